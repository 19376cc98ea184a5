"""Raydium AMM V4: a constant product over two vaults that any account may watch. Pure; wrong bytes
are refused.

Checked: decoding on two mainnet accounts, quotes against the mainnet binary (but for amounts under
200, whose fee that older build rounded down) and recorded swaps. Reserves are vault less
`need_take_pnl`, as the program has had it since July 2026; that it runs on mainnet is inferred.
Before, pools of status 1 and 5 also had reserves in an order book: of those nothing is known here.
"""

from enum import IntEnum
from struct import Struct as Layout

from msgspec import Struct

from spread_scanner.solana import keys
from spread_scanner.solana._kept import KeptBytes
from spread_scanner.solana.constant_product import ConstantProductPool
from spread_scanner.solana.layout import checked, checked_decimals, u64
from spread_scanner.solana.pool import (
    Accounts,
    Filled,
    PoolSight,
    bytes_of,
    remembered,
    vault_of,
)
from spread_scanner.solana.refusal import PoolReason, PoolRefusal
from spread_scanner.solana.tokens import TokenBalance, TokenMint

AMM_BYTES = 752
_OWED = Layout("<2Q")
_OWED_AT = 192
# But for what is owed, and what was swapped so far.
KEPT = KeptBytes((0, _OWED_AT), (208, 256), (336, None))


class AmmStatus(IntEnum):
    """What the program lets people do with a pool."""

    UNINITIALIZED = 0
    INITIALIZED = 1
    DISABLED = 2
    WITHDRAW_ONLY = 3
    LIQUIDITY_ONLY = 4
    ORDER_BOOK_ONLY = 5
    SWAP_ONLY = 6
    WAITING_TRADE = 7  # becomes SWAP_ONLY with the first swap from the open time on


_SWAPS = (AmmStatus.INITIALIZED, AmmStatus.SWAP_ONLY, AmmStatus.WAITING_TRADE)


class AmmInfo(Struct, frozen=True):
    """The pool's account. Its reserves are in the vaults."""

    status: int
    decimals: tuple[int, int]  # coin, pc
    swap_fee: tuple[int, int]  # numerator, denominator
    need_take_pnl: tuple[int, int]
    open_time_s: int
    vaults: tuple[str, str]
    mints: tuple[str, str]
    lp_mint: str
    open_orders: str
    market: str


def decode(data: bytes) -> AmmInfo:
    checked(data, "AmmInfo", length=AMM_BYTES)
    numerator, denominator = u64(data, 176), u64(data, 184)
    if not 0 <= numerator < denominator:
        raise PoolRefusal(PoolReason.BAD_VALUE, wanted="AmmInfo", swap_fee=(numerator, denominator))
    coin_vault, pc_vault, coin_mint, pc_mint, lp_mint, orders, market = (
        keys.text(data[at : at + 32]) for at in range(336, 560, 32)
    )
    return AmmInfo(
        status=u64(data, 0),
        decimals=checked_decimals("AmmInfo", (u64(data, 32), u64(data, 40))),
        swap_fee=(numerator, denominator),
        need_take_pnl=_owed(data),
        open_time_s=u64(data, 224),
        vaults=(coin_vault, pc_vault),
        mints=(coin_mint, pc_mint),
        lp_mint=lp_mint,
        open_orders=orders,
        market=market,
    )


class AmmPool(ConstantProductPool):
    """AmmInfo and both vaults, of one slot. Token 0 is the market's base, whatever the mints'
    order. The program takes mints of the classic token program only.
    """

    def __init__(self, info: AmmInfo, coin_vault: TokenBalance, pc_vault: TokenBalance) -> None:
        coin, pc = (TokenMint(decimals, 0) for decimals in info.decimals)
        super().__init__(info.mints, (coin, pc), (coin_vault, pc_vault), info.need_take_pnl)
        self.info = info

    def fee_rate(self) -> float:
        numerator, denominator = self.info.swap_fee
        return numerator / denominator

    def check_open(self, unix_ts: int, slot: int) -> None:
        status, opens_s = self.info.status, self.info.open_time_s
        if status not in _SWAPS:
            raise PoolRefusal(PoolReason.CLOSED, status=status, allowed=_SWAPS)
        if status == AmmStatus.WAITING_TRADE and unix_ts < opens_s:
            raise PoolRefusal(PoolReason.CLOSED, open_time_s=opens_s, unix_ts=unix_ts)

    def moment(self, unix_ts: int, slot: int) -> bool:
        return unix_ts < self.info.open_time_s

    def sight(self, key: str) -> PoolSight:
        return self._sight(key, KEPT, self.info.vaults, _owed)

    def swap(self, down: bool, amount: int, by_input: bool, unix_ts: int, slot: int = 0) -> Filled:
        numerator, denominator = self.info.swap_fee
        if by_input:
            fee = -(-amount * numerator // denominator)
            out = self._out_for(amount - fee, down)
            if not out:
                raise PoolRefusal(PoolReason.TOO_SMALL, amount_in=amount)
            return Filled(amount, out, fee)
        net = self._in_for(amount, down)
        paid = -(-net * denominator // (denominator - numerator))
        return Filled(paid, amount, paid - net)


def _owed(data: bytes) -> tuple[int, int]:
    coin, pc = _OWED.unpack_from(data, _OWED_AT)
    return coin, pc


decoded = remembered(decode)


def assemble(key: str, accounts: Accounts) -> AmmPool:
    info = decoded(bytes_of(accounts, key, keys.RAYDIUM_V4, "AmmInfo"))
    coin, pc = (
        vault_of(accounts, vault, mint) for vault, mint in zip(info.vaults, info.mints, strict=True)
    )
    return AmmPool(info, coin, pc)
