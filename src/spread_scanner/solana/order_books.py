"""Markets with an order book on the chain: what taking from it gives, in whole lots. Pure.

Not checked against any program: no recorded market is whole. What does not fill a lot stays with
the user, so that an exact amount in may take less, and an exact amount out give more.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from spread_scanner.solana.pool import Filled, Pool
from spread_scanner.solana.refusal import PoolReason, PoolRefusal
from spread_scanner.solana.tokens import BPS_ALL, TokenMint


class MarketOrder(NamedTuple):
    """An order that rests: price in ticks, base lots, until when (0: for ever)."""

    ticks: int
    lots: int
    until_slot: int = 0
    until_ts: int = 0

    def rests(self, unix_ts: int, slot: int) -> bool:
        """Whether it has not expired."""
        return (not self.until_slot or self.until_slot >= slot) and (
            not self.until_ts or self.until_ts >= unix_ts
        )


class MarketUnits(NamedTuple):
    """Smallest units in a lot, quote lots for `scale` base lots at one tick, and the fee."""

    base_step_atoms: int
    quote_step_atoms: int
    tick: int
    scale: int
    taker_bps: int


def checked_units(what: str, units: MarketUnits) -> MarketUnits:
    """Refuse steps of nothing, and a fee that leaves nothing."""
    if min(units[:4]) < 1 or units.taker_bps >= BPS_ALL:
        raise PoolRefusal(PoolReason.BAD_VALUE, wanted=what, units=units)
    return units


class OrderBookPool(Pool):
    """Both sides of a market. Token 0 is the base: going down is selling it to the bids."""

    def __init__(
        self,
        mints: tuple[str, str],
        token_mints: tuple[TokenMint, TokenMint],
        units: MarketUnits,
        bids: Sequence[MarketOrder],
        asks: Sequence[MarketOrder],
        closed: str | None = None,
    ) -> None:
        super().__init__(mints, token_mints)
        self.units, self._closed = units, closed
        self.bids = sorted(bids, key=lambda order: -order.ticks)
        self.asks = sorted(asks, key=lambda order: order.ticks)

    def reserves(self) -> tuple[int, int]:
        """Of base what is asked for, of quote what is bid, whatever has expired included."""
        units = self.units
        bid = sum(order.ticks * order.lots for order in self.bids) * units.tick // units.scale
        asked = sum(order.lots for order in self.asks)
        return asked * units.base_step_atoms, bid * units.quote_step_atoms

    def price_ratio(self, unix_ts: int = 0, slot: int = 0) -> tuple[int, int]:
        """Half-way between the best of both sides; nothing where one is empty."""
        bid, ask = (next(self._resting(down, unix_ts, slot), None) for down in (True, False))
        if bid is None or ask is None:
            return 0, 0
        units = self.units
        return (
            (bid.ticks + ask.ticks) * units.tick * units.quote_step_atoms,
            2 * units.scale * units.base_step_atoms,
        )

    def _resting(self, down: bool, unix_ts: int, slot: int) -> Iterator[MarketOrder]:
        """Of the side that is taken from, the best first."""
        side = self.bids if down else self.asks
        return (order for order in side if order.rests(unix_ts, slot))

    def check_open(self, unix_ts: int, slot: int) -> None:
        if self._closed is not None:
            raise PoolRefusal(PoolReason.CLOSED, status=self._closed)

    def swap(self, down: bool, amount: int, by_input: bool, unix_ts: int, slot: int = 0) -> Filled:
        rest = self._resting(down, unix_ts, slot)
        units = self.units
        if down == by_input:  # of base
            whole = (
                amount // units.base_step_atoms if by_input else _up(amount, units.base_step_atoms)
            )
            taken = _by_base(rest, whole)
        elif by_input:
            budget = amount // units.quote_step_atoms
            taken = _by_quote(rest, budget * BPS_ALL // (BPS_ALL + units.taker_bps), units, False)
        else:
            wanted = _up(amount, units.quote_step_atoms)
            gross = _up(wanted * BPS_ALL, BPS_ALL - units.taker_bps)
            taken = _by_quote(rest, gross, units, True)
        return self._filled(taken, down)

    def _filled(self, taken: "_TakenLots", down: bool) -> Filled:
        units = self.units
        value = taken.ticks_by_lots * units.tick
        quote = value // units.scale if down else _up(value, units.scale)
        fee = _up(quote * units.taker_bps, BPS_ALL)
        base = taken.lots * units.base_step_atoms
        other = (quote - fee if down else quote + fee) * units.quote_step_atoms
        if base <= 0 or other <= 0:
            raise PoolRefusal(PoolReason.TOO_SMALL, lots=taken.lots, quote_lots=quote)
        paid, received = (base, other) if down else (other, base)
        return Filled(paid, received, fee * units.quote_step_atoms, not down, taken.orders)


class _TakenLots(NamedTuple):
    lots: int
    ticks_by_lots: int
    orders: int


def _up(amount: int, step: int) -> int:
    return -(-amount // step)


def _by_base(orders: Iterable[MarketOrder], wanted: int) -> _TakenLots:
    left, value, met = wanted, 0, 0
    for order in orders:
        if not left:
            break
        lots = min(order.lots, left)
        left, value, met = left - lots, value + order.ticks * lots, met + 1
    if left:
        raise PoolRefusal(PoolReason.TOO_MUCH, lots=wanted, unfilled=left)
    return _TakenLots(wanted, value, met)


def _by_quote(
    orders: Iterable[MarketOrder], quote: int, units: MarketUnits, at_least: bool
) -> _TakenLots:
    """Lots for no more than so many quote lots, or for at least so many."""
    left = quote * units.scale
    lots = value = met = 0
    for order in orders:
        each = order.ticks * units.tick
        taken = min(order.lots, _up(left, each) if at_least else left // each)
        lots, value, met = lots + taken, value + order.ticks * taken, met + bool(taken)
        left -= taken * each
        if left <= 0 or taken < order.lots:
            return _TakenLots(lots, value, met)
    raise PoolRefusal(PoolReason.TOO_MUCH, quote_lots=quote, unfilled=left // units.scale)
