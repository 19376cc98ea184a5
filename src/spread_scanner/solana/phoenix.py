"""Phoenix (Legacy) markets: an order book in one account. Pure; wrong bytes are refused.

Not checked: no recorded market was to be had. Layout and rules are the documentation's; of the
maths the fill of one recorded transaction agrees, with its fee of the quote, rounded up.
"""

from msgspec import Struct

from spread_scanner.solana import keys
from spread_scanner.solana.layout import checked_decimals, u32, u64
from spread_scanner.solana.order_books import MarketOrder, MarketUnits, OrderBookPool, checked_units
from spread_scanner.solana.pool import Accounts, bytes_of
from spread_scanner.solana.refusal import PoolReason, PoolRefusal
from spread_scanner.solana.tokens import TokenMint

KIND = bytes.fromhex("77df7173b7205871")
_TREE_AT, _TREE_HEAD, _NODE_BYTES = 880, 32, 64
_ACTIVE = 1


class PhoenixMarket(Struct, frozen=True):
    """The whole market: header, fee and both sides."""

    status: int
    mints: tuple[str, str]
    decimals: tuple[int, int]
    vaults: tuple[str, str]
    units: MarketUnits
    sequence: int
    bids: tuple[MarketOrder, ...]
    asks: tuple[MarketOrder, ...]


def decode(data: bytes) -> PhoenixMarket:
    if not data.startswith(KIND):
        raise PoolRefusal(PoolReason.WRONG_KIND, wanted="Phoenix market", begins=data[:8].hex())
    least = _TREE_AT + 2 * _TREE_HEAD
    if len(data) >= least:
        bids, asks = u64(data, 16), u64(data, 24)
        least += (bids + asks) * _NODE_BYTES
    if len(data) < least:
        raise PoolRefusal(
            PoolReason.WRONG_LENGTH, wanted="Phoenix market", length=len(data), wanted_length=least
        )
    asks_at = _TREE_AT + _TREE_HEAD + bids * _NODE_BYTES
    # Quote lots at one tick stand for a base unit, which is so many base lots.
    units = MarketUnits(
        u64(data, 112), u64(data, 192), u64(data, 840), u64(data, 832), u64(data, 856)
    )
    return PhoenixMarket(
        status=u64(data, 8),
        mints=(keys.text(data[48:80]), keys.text(data[128:160])),
        decimals=checked_decimals("Phoenix market", (u32(data, 40), u32(data, 120))),
        vaults=(keys.text(data[80:112]), keys.text(data[160:192])),
        units=checked_units("Phoenix market", units),
        sequence=u64(data, 272),
        bids=_orders(data, _TREE_AT, bids),
        asks=_orders(data, asks_at, asks),
    )


def _orders(data: bytes, at: int, capacity: int) -> tuple[MarketOrder, ...]:
    """Every node that hangs on the root; nodes are counted from 1, and 0 is none."""
    found: list[MarketOrder] = []
    waiting = [u32(data, at)]
    while waiting:
        number = waiting.pop()
        if not number:
            continue
        if number > capacity or len(found) >= capacity:
            raise PoolRefusal(PoolReason.BAD_VALUE, wanted="Phoenix market", node=number)
        node = at + _TREE_HEAD + (number - 1) * _NODE_BYTES
        waiting += (u32(data, node), u32(data, node + 4))
        fields = (node + 16, node + 40, node + 48, node + 56)
        order = MarketOrder(*(u64(data, field) for field in fields))
        if not order.ticks:
            raise PoolRefusal(PoolReason.BAD_VALUE, wanted="Phoenix market", order=order)
        found.append(order)
    return tuple(found)


def assemble(key: str, accounts: Accounts) -> OrderBookPool:
    market = decode(bytes_of(accounts, key, keys.PHOENIX, "Phoenix market"))
    base, quote = (TokenMint(decimals, 0) for decimals in market.decimals)
    closed = None if market.status == _ACTIVE else str(market.status)
    return OrderBookPool(
        market.mints, (base, quote), market.units, market.bids, market.asks, closed
    )
