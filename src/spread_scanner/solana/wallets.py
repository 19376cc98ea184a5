"""What a wallet holds, from its accounts' bytes: tokens of both programs, SOL as it is and wrapped,
and what its accounts lock up as rent. Pure; wrong bytes are refused.

Amounts are raw, in smallest units: what Token-2022 makes of them for display (interest, scaled
amounts) is another number for the same holding. What a mint withheld of transfers into an account
is in the account and not the owner's.
"""

from collections.abc import Iterable, Mapping

from msgspec import Struct

from spread_scanner.solana import keys, tokens
from spread_scanner.solana.layout import u32, u64
from spread_scanner.solana.refusal import PoolReason, PoolRefusal
from spread_scanner.solana.tokens import TokenMint

_NATIVE_AT = 109  # whether it is wrapped SOL, and the rent that is not part of the amount
_WITHHELD = 2  # the extension's kind
ACCOUNT_OVERHEAD_BYTES, LAMPORTS_PER_BYTE = 128, 6_960
# By the type that stands before each: those of accounts and of mints, in one range of numbers.
EXTENSIONS = {
    1: "transfer-fee",
    2: "withheld-fee",
    3: "mint-close-authority",
    4: "confidential-mint",
    5: "confidential-account",
    6: "default-state",
    7: "immutable-owner",
    8: "memo-required",
    9: "non-transferable",
    10: "interest-bearing",
    11: "cpi-guard",
    12: "permanent-delegate",
    13: "non-transferable-account",
    14: "transfer-hook",
    15: "transfer-hook-account",
    16: "confidential-fee",
    17: "confidential-fee-account",
    18: "metadata-pointer",
    19: "metadata",
    20: "group-pointer",
    21: "group",
    22: "member-pointer",
    23: "member",
    24: "confidential-supply",
    25: "scaled-amount",
    26: "pausable",
    27: "pausable-account",
}


class TokenHolding(Struct, frozen=True):
    """One token account of a wallet."""

    account: str
    mint: str
    program: str  # token or token-2022
    amount: int  # in smallest units
    decimals: int | None  # None: the mint is not known
    native: bool  # wrapped SOL
    frozen: bool
    dust: bool  # less than was asked for, or nothing
    rent_lamports: int  # that come back when it is closed
    withheld: int  # of transfers into it, the mint's
    extensions: tuple[str, ...]
    mint_extensions: tuple[str, ...]

    @property
    def closable(self) -> bool:
        """Whether its owner may close it as it is: wrapped SOL at any amount."""
        return not self.frozen and not self.withheld and (self.native or not self.amount)


class Wallet(Struct, frozen=True):
    """All that an address holds, as of a slot. `lamports` are its own account's."""

    address: str
    slot: int  # the earliest that anything of it was told of
    lamports: int
    wrapped_lamports: int
    rent_lamports: int  # in its token accounts
    reclaimable_lamports: int  # of that, in those that are empty and may be closed
    holdings: tuple[TokenHolding, ...]


def rent_lamports(account_bytes: int) -> int:
    """What an account of this length has to hold to be kept for ever."""
    return (ACCOUNT_OVERHEAD_BYTES + account_bytes) * LAMPORTS_PER_BYTE


def extensions_of(data: bytes) -> tuple[str, ...]:
    """Names of what Token-2022 keeps beside an account or a mint, in their order; a kind that is
    not known by its number."""
    return tuple(
        EXTENSIONS.get(kind, f"extension-{kind}") for kind, _, _ in tokens.extensions(data)
    )


def holding(
    account: str,
    program: str,
    lamports: int,
    data: bytes,
    mints: Mapping[str, tuple[TokenMint, tuple[str, ...]]],
    dust: float,
) -> TokenHolding:
    """A token account. `mints`: those that are known, with their extensions; `dust`: whole tokens
    below which an amount is none. Raises PoolRefusal."""
    found = tokens.decode(program, data)
    if not isinstance(found, tokens.TokenBalance):
        raise PoolRefusal(PoolReason.WRONG_KIND, wanted="token account", key=account)
    native = u32(data, _NATIVE_AT) == 1
    of_mint = mints.get(found.mint)
    decimals = of_mint[0].decimals if of_mint else tokens.KNOWN_DECIMALS.get(found.mint)
    kept = u64(data, _NATIVE_AT + 4) if native else lamports
    withheld = [
        at for kind, at, length in tokens.extensions(data) if kind == _WITHHELD and length >= 8
    ]
    return TokenHolding(
        account=account,
        mint=found.mint,
        program="token" if program == keys.TOKEN else "token-2022",
        amount=found.amount,
        decimals=decimals,
        native=native,
        frozen=found.frozen,
        dust=not found.amount or (decimals is not None and found.amount < dust * 10**decimals),
        rent_lamports=kept,
        withheld=u64(data, withheld[0]) if withheld else 0,
        extensions=extensions_of(data) if program == keys.TOKEN_2022 else (),
        mint_extensions=of_mint[1] if of_mint else (),
    )


def wallet(address: str, slot: int, lamports: int, holdings: Iterable[TokenHolding]) -> Wallet:
    """Summed up: what is worth something first, then dust, by mint."""
    held = tuple(sorted(holdings, key=lambda one: (one.dust, one.mint, one.account)))
    return Wallet(
        address=address,
        slot=slot,
        lamports=lamports,
        wrapped_lamports=sum(one.amount for one in held if one.native),
        rent_lamports=sum(one.rent_lamports for one in held),
        reclaimable_lamports=sum(
            one.rent_lamports for one in held if one.closable and not one.amount
        ),
        holdings=held,
    )
