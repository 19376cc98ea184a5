"""Wallets of a pretend Solana: token accounts of both programs, by layouts of the documentation,
with the lamports that each holds.

They stand as long as the chain does, whatever slot is asked for: nobody swaps from them.
"""

from spread_scanner.sim.chain_pools import BASES, TOKEN, USDC, Account, laid, le
from spread_scanner.sim.solana_keys import named, raw

TOKEN_2022 = "TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb"
RENT_LAMPORTS = 2_039_280  # of a classic token account
INITIALISED, FROZEN = 1, 2
_IS_MINT, _IS_ACCOUNT = 1, 2


def extended(data: bytes, kind: int, *extensions: tuple[int, bytes]) -> bytes:
    """An account or a mint of Token-2022, with these behind it."""
    tail = b"".join(le(of, 2) + le(len(value), 2) + value for of, value in extensions)
    return data.ljust(165, b"\0") + bytes([kind]) + tail


class SimWallets:
    """Who holds what."""

    def __init__(self, seed: int) -> None:
        self.lamports: dict[str, int] = {}  # of any account that is here
        self.accounts: dict[str, Account] = {}  # token accounts and mints
        self.owners: dict[str, str] = {}  # by token account
        self.shown = named(seed, "wallet")
        self._count = 0
        self.lamports[self.shown] = 12_500_000_000
        self.hold(self.shown, BASES[0].mint, 3_000_000_000, native=True)
        self.hold(self.shown, USDC.mint, 1_234_560_000)
        self.hold(self.shown, BASES[1].mint, 7)
        self.hold(self.shown, BASES[2].mint, 0)

    def mint(self, name: str, decimals: int, *extensions: tuple[int, bytes]) -> str:
        """A mint of its own; with extensions, of Token-2022."""
        key = named("mint", name)
        data = laid(82, (36, le(10**15, 8)), (44, bytes([decimals, 1])))
        if extensions:
            self.accounts[key] = TOKEN_2022, extended(data, _IS_MINT, *extensions)
        else:
            self.accounts[key] = TOKEN, data
        return key

    def hold(
        self,
        owner: str,
        mint: str,
        amount: int,
        *extensions: tuple[int, bytes],
        native: bool = False,
        state: int = INITIALISED,
    ) -> str:
        """A token account of somebody's; with extensions, of Token-2022."""
        self._count += 1
        key = named("token account", owner, self._count)
        parts = [(0, raw(mint)), (32, raw(owner)), (64, le(amount, 8)), (108, bytes([state]))]
        if native:
            parts += [(109, le(1, 4)), (113, le(RENT_LAMPORTS, 8))]
        data = laid(165, *parts)
        program = TOKEN_2022 if extensions else TOKEN
        data = extended(data, _IS_ACCOUNT, *extensions) if extensions else data
        self.accounts[key] = program, data
        self.lamports[key] = RENT_LAMPORTS + (amount if native else 0)
        self.owners[key] = owner
        return key

    def of(self, owner: str, program: str) -> list[str]:
        """Somebody's token accounts of one program."""
        return [
            key
            for key, whose in self.owners.items()
            if whose == owner and self.accounts[key][0] == program
        ]
