"""Serum v3 and OpenBook v1 markets: a market, and a slab of orders for each side. Pure; wrong bytes
are refused.

Checked: decoding of a market, of two slabs and of open orders, on recorded bytes. Not checked:
quotes. The fee in them is the market's own; what the program takes by the taker's tier is not in
any account of the market.
"""

from typing import NamedTuple

from msgspec import Struct

from spread_scanner.solana import keys
from spread_scanner.solana.layout import checked, u32, u64, u128
from spread_scanner.solana.order_books import MarketOrder, MarketUnits, OrderBookPool, checked_units
from spread_scanner.solana.pool import Accounts, account_of, bytes_of, mint_of
from spread_scanner.solana.refusal import PoolReason, PoolRefusal

PROGRAMS = (keys.SERUM_V3, keys.OPENBOOK_V1)
KIND, TAIL = b"serum", b"padding"
MARKET_BYTES, OPEN_ORDERS_BYTES = 388, 3_228
_INITIALISED, _MARKET, _OPEN_ORDERS, _BIDS, _ASKS, _DISABLED = (
    1 << bit for bit in (0, 1, 2, 5, 6, 7)
)
_SLAB_AT, _NODES_AT, _NODE_BYTES = 13, 45, 72
_INNER, _LEAF = 1, 2


class OpenBookMarket(Struct, frozen=True):
    """The market's account; a price is in quote lots for a base lot."""

    own: str
    mints: tuple[str, str]
    vaults: tuple[str, str]
    request_queue: str
    event_queue: str
    bids: str
    asks: str
    units: MarketUnits
    disabled: bool


class SlabOrder(NamedTuple):
    """A leaf: its key is the price in lots and its number, turned over for bids."""

    key: int
    owner_slot: int
    owner: str
    quantity: int
    client_id: int

    @property
    def price_lots(self) -> int:
        return self.key >> 64


class SlabSide(Struct, frozen=True):
    """One side of a book: its orders by ascending key."""

    is_bids: bool
    orders: tuple[SlabOrder, ...]


class OpenOrders(Struct, frozen=True):
    """What one owner has in a market: free and in all, and the ids of orders that rest."""

    market: str
    owner: str
    base_free: int
    base_total: int
    quote_free: int
    quote_total: int
    bids: tuple[int, ...]
    asks: tuple[int, ...]


def decode(data: bytes) -> OpenBookMarket | SlabSide | OpenOrders:
    if not data.startswith(KIND) or not data.endswith(TAIL) or len(data) < _SLAB_AT:
        raise PoolRefusal(PoolReason.WRONG_KIND, wanted="Serum account", begins=data[:5].hex())
    flags = u64(data, 5)
    if flags & ~_DISABLED == _INITIALISED | _MARKET:
        return _market(data, bool(flags & _DISABLED))
    if flags == _INITIALISED | _OPEN_ORDERS:
        return _open_orders(data)
    if flags in (_INITIALISED | _BIDS, _INITIALISED | _ASKS):
        return _side(data, bool(flags & _BIDS))
    raise PoolRefusal(PoolReason.WRONG_KIND, wanted="market, open orders or slab", flags=flags)


def _market(data: bytes, disabled: bool) -> OpenBookMarket:
    checked(data, "Serum market", length=MARKET_BYTES)
    own, base, quote, base_vault, quote_vault, requests, events, bids, asks = (
        keys.text(data[at : at + 32]) for at in (13, 53, 85, 117, 165, 221, 253, 285, 317)
    )
    units = MarketUnits(u64(data, 349), u64(data, 357), 1, 1, u64(data, 365))
    return OpenBookMarket(
        *(own, (base, quote), (base_vault, quote_vault), requests, events, bids, asks),
        *(checked_units("Serum market", units), disabled),
    )


def _side(data: bytes, is_bids: bool) -> SlabSide:
    orders = slab(data[_SLAB_AT : -len(TAIL)])
    for order in orders:
        if not order.price_lots:
            raise PoolRefusal(PoolReason.BAD_VALUE, wanted="slab", order=order)
    return SlabSide(is_bids, orders)


def _open_orders(data: bytes) -> OpenOrders:
    checked(data, "Serum open orders", length=OPEN_ORDERS_BYTES)
    free, of_bids = u128(data, 109), u128(data, 125)
    bids, asks = (
        tuple(
            u128(data, 141 + 16 * place)
            for place in range(128)
            if not free >> place & 1 and bool(of_bids >> place & 1) is wanted
        )
        for wanted in (True, False)
    )
    return OpenOrders(
        market=keys.text(data[13:45]),
        owner=keys.text(data[45:77]),
        base_free=u64(data, 77),
        base_total=u64(data, 85),
        quote_free=u64(data, 93),
        quote_total=u64(data, 101),
        bids=bids,
        asks=asks,
    )


def slab(data: bytes) -> tuple[SlabOrder, ...]:
    """The leaves that hang on the root, by ascending key."""
    head = _NODES_AT - _SLAB_AT
    if len(data) < head:
        raise PoolRefusal(PoolReason.WRONG_LENGTH, wanted="slab", length=len(data))
    nodes, leaves = (len(data) - head) // _NODE_BYTES, u32(data, 24)
    waiting, found = [u32(data, 20)] if leaves else [], []
    for _ in range(nodes):
        if not waiting:
            break
        number = waiting.pop()
        at = head + number * _NODE_BYTES
        tag = u32(data, at) if number < nodes else 0
        if tag == _INNER:
            waiting += (u32(data, at + 28), u32(data, at + 24))
        elif tag == _LEAF:
            owner = keys.text(data[at + 24 : at + 56])
            found.append(
                SlabOrder(
                    u128(data, at + 8), data[at + 4], owner, u64(data, at + 56), u64(data, at + 64)
                )
            )
        else:
            raise PoolRefusal(PoolReason.BAD_VALUE, wanted="slab", node=number, tag=tag)
    if waiting or len(found) != leaves:
        raise PoolRefusal(PoolReason.BAD_VALUE, wanted="slab", leaves=leaves, found=len(found))
    return tuple(found)


def assemble(key: str, accounts: Accounts) -> OrderBookPool:
    market = account_of(accounts, key, PROGRAMS, decode, OpenBookMarket, "Serum market")
    sides = []
    for side, is_bids in ((market.bids, True), (market.asks, False)):
        found = decode(bytes_of(accounts, side, PROGRAMS, "slab"))
        if not isinstance(found, SlabSide) or found.is_bids is not is_bids:
            raise PoolRefusal(PoolReason.WRONG_KIND, wanted="slab", key=side)
        sides.append([MarketOrder(order.price_lots, order.quantity) for order in found.orders])
    base, quote = (mint_of(accounts, mint) for mint in market.mints)
    closed = "disabled" if market.disabled else None
    return OrderBookPool(market.mints, (base, quote), market.units, sides[0], sides[1], closed)
