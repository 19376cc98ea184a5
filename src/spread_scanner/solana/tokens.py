"""Token accounts and mints of both token programs, and what Token-2022 keeps of a transfer.

A mint that is not given but is one of those below is known: the classic token program owns it, so
that it has no extension, and its decimals never change.
"""

from collections.abc import Iterator

from msgspec import Struct

from spread_scanner.solana import keys
from spread_scanner.solana._kept import KeptBytes
from spread_scanner.solana.layout import u16, u64
from spread_scanner.solana.refusal import PoolReason, PoolRefusal

ACCOUNT_BYTES, MINT_BYTES = 165, 82
PROGRAMS = (keys.TOKEN, keys.TOKEN_2022)
BPS_ALL = 10_000
# Mainnet has had epochs of so many slots from its first slot on.
SLOTS_PER_EPOCH = 432_000
_KIND_AT = ACCOUNT_BYTES  # of Token-2022: what an account is, then its extensions
_IS_MINT, _IS_ACCOUNT = 1, 2
_TRANSFER_FEE, _TRANSFER_FEE_BYTES = 1, 108
_FROZEN = 2
_AMOUNT_AT = 64
# Of a balance: a transfer writes its amount alone.
BALANCE_KEPT = KeptBytes((0, _AMOUNT_AT), (_AMOUNT_AT + 8, None))

WSOL = "So11111111111111111111111111111111111111112"
USDC = "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v"
USDT = "Es9vMFrzaCERmJfrF4H2FYD4KCoNkY11McCe8BenwNYB"
KNOWN_DECIMALS = {
    WSOL: 9,
    USDC: 6,
    USDT: 6,
    "mSoLzYCxHdYgdzU16g5QSh3i5K3z3KZK7ytfqcJm7So": 9,
    "J1toso1uCk3RLmjorhTtrVwY9HJ7X8V9yYac6Y7kGCPn": 9,
    "DezXAZ8z7PnrnRJjz3wXBoRgixCa6xjnB7YaB1pPB263": 5,
    "EKpQGSJtjMFqKZ9KQanSqYXRcF8fBopzLHYxdM65zcjm": 6,
    "JUPyiwrYJFskUPiHa7hkeR8VUtAeFoSYbKedZNsDvCN": 6,
    "4k3Dyjzvzp8eMZWUXbBCjEvwSkkk59S5iCNLY3QrkX6R": 6,
    "orcaEKTdK7LKz57vaAYr9QeNsVEPfiu6QeMU1kektZE": 6,
}


class TokenBalance(Struct, frozen=True):
    """A token account: a pool's vault."""

    mint: str
    owner: str
    amount: int
    frozen: bool


class TransferFee(Struct, frozen=True):
    """What Token-2022 keeps of each transfer, from an epoch on."""

    epoch: int
    maximum: int
    bps: int

    def of(self, amount: int) -> int:
        """Kept of an amount that is sent."""
        if not self.bps:
            return 0
        return min(-(-amount * self.bps // BPS_ALL), self.maximum)

    def on_top_of(self, received: int) -> int:
        """Kept of the least amount of which so much arrives; all of a transfer is never kept."""
        if not self.bps or not received:
            return 0
        if self.bps == BPS_ALL:
            return self.maximum
        return self.of(-(-received * BPS_ALL // (BPS_ALL - self.bps)))


NO_FEE = TransferFee(0, 0, 0)


class TokenMint(Struct, frozen=True):
    """A mint: decimals, and the fee on transfers before and from `newer.epoch` on."""

    decimals: int
    supply: int
    older: TransferFee = NO_FEE
    newer: TransferFee = NO_FEE

    def fee(self, epoch: int) -> TransferFee:
        return self.newer if epoch >= self.newer.epoch else self.older


def epoch_of(slot: int) -> int:
    return slot // SLOTS_PER_EPOCH


def decode(owner: str, data: bytes) -> TokenBalance | TokenMint:
    """An account of either token program: a balance or a mint."""
    if len(data) == MINT_BYTES or (
        owner == keys.TOKEN_2022 and data[_KIND_AT : _KIND_AT + 1] == bytes([_IS_MINT])
    ):
        return _mint(data)
    if len(data) == ACCOUNT_BYTES or (
        owner == keys.TOKEN_2022 and data[_KIND_AT : _KIND_AT + 1] == bytes([_IS_ACCOUNT])
    ):
        return _balance(data)
    raise PoolRefusal(
        PoolReason.WRONG_LENGTH,
        wanted="token account or mint",
        length=len(data),
        wanted_length=f"{ACCOUNT_BYTES} or {MINT_BYTES}",
    )


def _balance(data: bytes) -> TokenBalance:
    state = data[108]
    if state not in (1, _FROZEN):
        raise PoolRefusal(PoolReason.BAD_VALUE, wanted="token account", state=state)
    mint, owner = keys.text(data[:32]), keys.text(data[32:64])
    return TokenBalance(mint, owner, u64(data, _AMOUNT_AT), state == _FROZEN)


def amount_of(account: tuple[str, bytes]) -> int:
    """What a balance that was decoded before holds now."""
    return u64(account[1], _AMOUNT_AT)


def _mint(data: bytes) -> TokenMint:
    if data[45] != 1:
        raise PoolRefusal(PoolReason.BAD_VALUE, wanted="mint", initialised=data[45])
    older = newer = NO_FEE
    at = _extension(data, _TRANSFER_FEE)
    if at is not None:
        older, newer = (
            TransferFee(u64(data, at + by), u64(data, at + by + 8), u16(data, at + by + 16))
            for by in (72, 90)
        )
        if max(older.bps, newer.bps) > BPS_ALL:
            raise PoolRefusal(PoolReason.BAD_VALUE, wanted="mint", bps=(older.bps, newer.bps))
    return TokenMint(data[44], u64(data, 36), older, newer)


def extensions(data: bytes) -> Iterator[tuple[int, int, int]]:
    """What Token-2022 keeps behind an account or a mint: kind, where its value begins, its length.
    Raises PoolRefusal where one goes beyond the end."""
    at = _KIND_AT + 1
    while at + 4 <= len(data):
        kind, length = u16(data, at), u16(data, at + 2)
        at += 4
        if kind == 0:
            return
        if at + length > len(data):
            raise PoolRefusal(
                PoolReason.BAD_VALUE, wanted="token account or mint", extension=kind, length=length
            )
        yield kind, at, length
        at += length


def _extension(data: bytes, wanted: int) -> int | None:
    """Where the value of a Token-2022 extension begins; None if the mint has none of that type."""
    for kind, at, length in extensions(data):
        if kind == wanted:
            if length != _TRANSFER_FEE_BYTES:
                raise PoolRefusal(
                    PoolReason.BAD_VALUE, wanted="mint", extension=kind, length=length
                )
            return at
    return None
