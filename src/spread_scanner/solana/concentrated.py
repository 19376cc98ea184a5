"""What Raydium CLMM and Orca Whirlpool have in common: a swap that walks through ticks. Integers
only.

Prices are square roots in Q64.64. A pool's file says which price a tick has, which ticks are known,
and what the fee is at each step where that changes with the price.
"""

import math
from abc import abstractmethod
from bisect import bisect_right
from collections.abc import Callable, Iterator
from functools import cached_property, lru_cache
from typing import NamedTuple, Protocol

from spread_scanner.solana._kept import KeptBytes, SwappedTicks
from spread_scanner.solana._ticks import TickWay
from spread_scanner.solana.layout import Q64_BITS
from spread_scanner.solana.pool import (
    PRICES_MAX,
    RATE_ALL,
    U64_MAX,
    Filled,
    Pool,
    PoolSight,
)
from spread_scanner.solana.refusal import PoolReason, PoolRefusal
from spread_scanner.solana.tokens import TokenMint

RATE_MAX = 100_000  # of a fee that grows with volatility
VOLATILITY_SCALE = 10_000
_CONTROL_ALL = 100_000
# Of a fee that changes on the way: of what a transaction may compute each would have 140 units.
STEPS_MAX = 10_000
TICK_MIN, TICK_MAX = -443_636, 443_636
NOWHERE = 1, 0  # the lowest and the highest of no prices
_U256_BITS = 256
_LOG_STEP = math.log(1.0001) / 2


class TickAt(NamedTuple):
    """A tick that the price stops at: what it adds to the liquidity going up, and orders there."""

    tick: int
    sqrt_price: int
    liquidity_net: int
    orders: int = 0  # of the token that is not swapped in, whichever that is


class TickRange(NamedTuple):
    """The ticks that are known, ascending, and what is at either end of them."""

    ticks: tuple[TickAt, ...]
    indexes: tuple[int, ...]
    below: "RangeEnd"
    above: "RangeEnd"


class RangeEnd(NamedTuple):
    """Until where the price may go, and the account that would tell what is beyond."""

    tick: int
    sqrt_price: int
    missing: str | None


class StepFees(Protocol):
    """A fee that changes as the price moves, within one swap."""

    advances_at_ticks: bool  # whether it moves on where a step ends at a tick, too

    def next(self, target: int, liquidity: int) -> tuple[int, int]:
        """The rate from here on, and the price up to which it holds, no further than `target`."""

    def advance(self, sqrt_price: int, tick: TickAt) -> None:
        """The price has come here, on its way to this tick."""


# Of a tick's orders: (tick, remaining, down, by_input, rate, fee on the input) to what goes in,
# comes out and is kept, as a step has it.
MatchOrders = Callable[[TickAt, int, bool, bool, int, bool], tuple[int, int, int]]


class Walk(NamedTuple):
    """A swap through ticks: what was used and given, and where price and liquidity are then."""

    amount_in: int  # with the fee where that is on the input
    amount_out: int  # without the fee where that is on the output
    remaining: int
    fees: tuple[tuple[int, int], ...]  # (fee, liquidity) of each step
    sqrt_price: int
    liquidity: int
    tick: int | None  # None: between ticks, where the price says which
    crossed: int


class Start(NamedTuple):
    """Where a swap begins."""

    sqrt_price: int
    tick: int
    liquidity: int


def amount0(low: int, high: int, liquidity: int, up: bool) -> int:
    """Of token 0 between two prices, rounded up or down."""
    numerator, denominator = (liquidity << Q64_BITS) * (high - low), low * high
    return -(-numerator // denominator) if up else numerator // denominator


def amount1(low: int, high: int, liquidity: int, up: bool) -> int:
    """Of token 1 between two prices, rounded up or down."""
    product = liquidity * (high - low)
    return -(-product >> Q64_BITS) if up else product >> Q64_BITS


def price_after(price: int, liquidity: int, amount: int, down: bool, by_input: bool) -> int:
    """The price that an amount in or out moves it to; refused where there is none."""
    if down == by_input:  # of token 0
        scaled = liquidity << Q64_BITS
        numerator = scaled * price
        denominator = scaled + amount * price if by_input else scaled - amount * price
        if denominator <= 0 or numerator >> _U256_BITS:
            raise PoolRefusal(PoolReason.TOO_MUCH, amount=amount, liquidity=liquidity)
        return -(-numerator // denominator)
    if not liquidity:
        raise PoolRefusal(PoolReason.TOO_MUCH, amount=amount, liquidity=liquidity)
    if by_input:
        return price + (amount << Q64_BITS) // liquidity
    after = price - -(-(amount << Q64_BITS) // liquidity)
    if after <= 0:
        raise PoolRefusal(PoolReason.TOO_MUCH, amount=amount, liquidity=liquidity)
    return after


def moved(
    price: int, liquidity: int, amount: int, down: bool, by_input: bool
) -> tuple[int, int, int]:
    """Where an amount in or out, without fees, moves the price to; what goes in, and comes out."""
    after = price_after(price, liquidity, amount, down, by_input)
    if down:
        amount_in = amount0(after, price, liquidity, True)
        amount_out = amount1(after, price, liquidity, False)
    else:
        amount_in = amount1(price, after, liquidity, True)
        amount_out = amount0(price, after, liquidity, False)
    if amount_in > U64_MAX or amount_out > U64_MAX:
        raise PoolRefusal(PoolReason.TOO_MUCH, amount_in=amount_in, amount_out=amount_out)
    return after, amount_in, amount_out


def step(
    price: int,
    target: int,
    liquidity: int,
    remaining: int,
    rate: int,
    by_input: bool,
    down: bool,
    fee_on_input: bool = True,
) -> tuple[int, int, int, int]:
    """One step towards a price: the price it comes to, what goes in and out, and the fee.

    What goes in is without a fee on the input; what comes out is after one on the output.
    """
    low, high = (target, price) if down else (price, target)
    of_in, of_out = (amount0, amount1) if down else (amount1, amount0)
    if by_input:
        usable = remaining * (RATE_ALL - rate) // RATE_ALL if fee_on_input else remaining
        full = of_in(low, high, liquidity, True)
    else:
        usable = remaining if fee_on_input else -(-remaining * RATE_ALL // (RATE_ALL - rate))
        full = of_out(low, high, liquidity, False)
    if usable < full or full > U64_MAX:
        after, amount_in, amount_out = moved(price, liquidity, usable, down, by_input)
        if (after < target) if down else (after > target):
            raise PoolRefusal(PoolReason.TOO_MUCH, amount=remaining, liquidity=liquidity)
    else:
        after = target
        amount_in = full if by_input else of_in(low, high, liquidity, True)
        amount_out = of_out(low, high, liquidity, False) if by_input else full
        if amount_in > U64_MAX or amount_out > U64_MAX:
            raise PoolRefusal(PoolReason.TOO_MUCH, amount_in=amount_in, amount_out=amount_out)
    if not fee_on_input:
        fee = -(-amount_out * rate // RATE_ALL)
        net = amount_out - fee
        if not by_input and net > remaining:
            fee, net = amount_out - remaining, remaining
        return after, amount_in, net, fee
    if by_input and after != target:
        return after, amount_in, amount_out, remaining - amount_in
    fee = -(-amount_in * rate // (RATE_ALL - rate))
    return after, amount_in, amount_out if by_input else min(amount_out, remaining), fee


class FeeRules(NamedTuple):
    """How a pool takes its fee in this direction."""

    rate: int
    schedule: StepFees | None = None
    on_input: bool = True
    match_orders: MatchOrders | None = None


class _Sums:
    """What a swap has used and given so far."""

    def __init__(self, amount: int, by_input: bool, fee_on_input: bool) -> None:
        self.remaining, self.other = amount, 0
        self.fees: list[tuple[int, int]] = []
        self._by_input, self._fee_on_input = by_input, fee_on_input

    def add(self, amount_in: int, amount_out: int, fee: int, liquidity: int) -> None:
        paid = amount_in + fee if self._fee_on_input else amount_in
        if self._by_input:
            self.remaining -= paid
            self.other += amount_out
        else:
            self.remaining -= amount_out
            self.other += paid
        self.fees.append((fee, liquidity))
        if self.remaining < 0 or self.other > U64_MAX:
            raise PoolRefusal(PoolReason.TOO_MUCH, remaining=self.remaining, other=self.other)


def walk(
    start: Start,
    ticks: TickRange,
    amount: int,
    *,
    down: bool,
    by_input: bool,
    rules: FeeRules,
    limit: int | None = None,
) -> Walk:
    """Swap until the amount is used or the price limit is met; refused where ticks end before."""
    price, liquidity = start.sqrt_price, start.liquidity
    sums = _Sums(amount, by_input, rules.on_input)
    tick: int | None = start.tick
    crossed = 0
    for at in _onward(ticks, start.tick, down):
        if not sums.remaining or price == limit:
            break
        target = at.sqrt_price
        if limit is not None:
            target = max(target, limit) if down else min(target, limit)
        before = price
        price, orders = _towards(at, target, price, liquidity, sums, down, by_input, rules)
        if price == at.sqrt_price:
            crossed += 1
            if not orders:
                liquidity += -at.liquidity_net if down else at.liquidity_net
                if liquidity < 0:  # an account that is not what it should be
                    raise PoolRefusal(PoolReason.BAD_VALUE, tick=at.tick, liquidity=liquidity)
            tick = at.tick - 1 if down != bool(orders) else at.tick
        elif price != before:
            tick = None
    end = ticks.below if down else ticks.above
    if price != limit and (sums.remaining or (end.missing and price == end.sqrt_price)):
        raise _beyond(ticks, down, sums.remaining)
    used = amount - sums.remaining
    amount_in, amount_out = (used, sums.other) if by_input else (sums.other, used)
    fees = tuple(sums.fees)
    return Walk(amount_in, amount_out, sums.remaining, fees, price, liquidity, tick, crossed)


def _beyond(ticks: TickRange, down: bool, unfilled: int) -> PoolRefusal:
    end = ticks.below if down else ticks.above
    reason = PoolReason.MISSING if end.missing else PoolReason.TOO_MUCH
    where = {"key": end.missing} if end.missing else {}
    return PoolRefusal(reason, **where, beyond_tick=end.tick, unfilled_units=unfilled)


def _onward(ticks: TickRange, tick: int, down: bool) -> Iterator[TickAt]:
    """The ticks that the price comes to: down from here on, or up beyond it; and the last edge."""
    place = bisect_right(ticks.indexes, tick)
    for at in range(place - 1, -1, -1) if down else range(place, len(ticks.ticks)):
        yield ticks.ticks[at]
    end = ticks.below if down else ticks.above
    yield TickAt(end.tick, end.sqrt_price, 0)


def _towards(
    at: TickAt,
    target: int,
    price: int,
    liquidity: int,
    sums: _Sums,
    down: bool,
    by_input: bool,
    rules: FeeRules,
) -> tuple[int, int]:
    """To the next tick, or to the limit before it; also how much of the tick's orders is left."""
    rate, schedule, bounded = rules.rate, rules.schedule, target
    orders = at.orders
    while True:
        if schedule is not None:
            if len(sums.fees) >= STEPS_MAX:
                raise PoolRefusal(PoolReason.TOO_MUCH, steps=STEPS_MAX, unfilled=sums.remaining)
            rate, bounded = schedule.next(target, liquidity)
        if bounded != price:
            price, amount_in, amount_out, fee = step(
                *(price, bounded, liquidity, sums.remaining, rate),
                *(by_input, down, rules.on_input),
            )
            sums.add(amount_in, amount_out, fee, liquidity)
        if orders and price == at.sqrt_price and sums.remaining and rules.match_orders:
            amount_in, amount_out, fee = rules.match_orders(
                at, sums.remaining, down, by_input, rate, rules.on_input
            )
            sums.add(amount_in, amount_out, fee, liquidity)
            orders -= amount_out if rules.on_input else amount_out + fee
        done = not sums.remaining or price == target
        if schedule is not None and (schedule.advances_at_ticks or not done):
            schedule.advance(price, at)
        if done:
            return price, orders


def _way(start: Start, ticks: TickRange, rules: FeeRules, down: bool, by_input: bool) -> TickWay:
    """The same ticks, gone through once for all amounts."""
    place = bisect_right(ticks.indexes, start.tick)
    return TickWay(
        start,
        _onward(ticks, start.tick, down),
        place if down else len(ticks.ticks) - place,
        rules.rate,
        down=down,
        by_input=by_input,
        fee_on_input=rules.on_input,
    )


class PriceTable:
    """A program's own square root of 1.0001 to the power of a tick."""

    def __init__(self, sqrt_price_at: Callable[[int], int]) -> None:
        self.at = lru_cache(maxsize=PRICES_MAX)(sqrt_price_at)

    def tick_of(self, sqrt_price: int) -> int:
        """The highest tick whose price is no more than this one."""
        tick = int(math.log(sqrt_price / 2**Q64_BITS) / _LOG_STEP)
        tick = min(max(tick, TICK_MIN), TICK_MAX)
        while tick > TICK_MIN and self.at(tick) > sqrt_price:
            tick -= 1
        while tick < TICK_MAX and self.at(tick + 1) <= sqrt_price:
            tick += 1
        return tick

    def within(self, tick: int) -> int:
        """The price at a tick, or at the last one there is."""
        return self.at(min(max(tick, TICK_MIN), TICK_MAX))

    def span(self, tick: int) -> tuple[int, int]:
        """The prices that a pool may have at that tick: up to the next tick's, which it has after a
        swap down that ends there, and be it the first; NOWHERE at a tick that no pool is at."""
        if not TICK_MIN - 1 <= tick <= TICK_MAX:
            return NOWHERE
        return self.within(tick), self.within(tick + 1)

    def stands_at(self, tick: int, sqrt_price: int) -> bool:
        low, high = self.span(tick)
        return low <= sqrt_price <= high


def volatility_rate(control: int, accumulator: int, width: int) -> int:
    """What volatility adds to a fee, in steps so many ticks wide."""
    crossed = accumulator * width
    return -(-control * crossed * crossed // (_CONTROL_ALL * VOLATILITY_SCALE * VOLATILITY_SCALE))


def _ratio(sqrt_price: int) -> tuple[int, int]:
    return sqrt_price * sqrt_price, 1 << 2 * Q64_BITS


def _reserves(sqrt_price: int, liquidity: int) -> tuple[int, int]:
    return (liquidity << Q64_BITS) // sqrt_price, liquidity * sqrt_price >> Q64_BITS


class ConcentratedPool(Pool):
    """Where the price is and the ticks as far as they are known; how fees are taken, programs
    know.
    """

    def __init__(
        self,
        mints: tuple[str, str],
        token_mints: tuple[TokenMint, TokenMint],
        start: Start,
        known: Callable[[], TickRange],
    ) -> None:
        """`known` finds the ticks when a swap is asked for: a price needs none."""
        super().__init__(mints, token_mints)
        self._start, self._known = start, known
        self._ways: dict[tuple[bool, bool], TickWay] = {}

    @cached_property
    def ticks(self) -> TickRange:
        """As far as they are known. Raises PoolRefusal where an array is not what it should be."""
        return self._known()

    def follow(self, before: Pool) -> None:
        """While the price is between the same first and last tick, they are the same."""
        known = vars(before).get("ticks")
        if isinstance(before, ConcentratedPool) and known is not None and known.ticks:
            first, last = known.indexes[0], known.indexes[-1]
            if all(first <= pool._start.tick < last for pool in (before, self)):
                self.ticks = known

    @abstractmethod
    def rules(self, down: bool, unix_ts: int) -> FeeRules:
        """How the fee is taken in this direction, at this second where it changes with time."""

    def reserves(self) -> tuple[int, int]:
        """What the liquidity at this price is worth of each token, as if it went on for ever."""
        return _reserves(self._start.sqrt_price, self._start.liquidity)

    def liquidity(self) -> int:
        return self._start.liquidity

    def price_ratio(self, unix_ts: int = 0, slot: int = 0) -> tuple[int, int]:
        return _ratio(self._start.sqrt_price)

    def _sight(
        self,
        key: str,
        kept: KeptBytes,
        liquidity_at: int,
        prices: PriceTable,
        fixed: tuple[str, ...],
    ) -> PoolSight:
        """`kept` is what no swap writes of the pool's own account, which has the liquidity there,
        and price and tick behind it."""
        told = SwappedTicks(key, liquidity_at, prices.span)
        return PoolSight((*fixed, *self.mints), {key: kept}, told)

    def _way(self, down: bool, by_input: bool, rules: FeeRules) -> TickWay:
        way = self._ways.get((down, by_input))
        if way is None:
            way = self._ways[down, by_input] = _way(self._start, self.ticks, rules, down, by_input)
        return way

    def swap(self, down: bool, amount: int, by_input: bool, unix_ts: int, slot: int = 0) -> Filled:
        rules = self.rules(down, unix_ts)
        if rules.schedule is None:
            way = self._way(down, by_input, rules)
            if (filled := way.swap(amount)) is not None:
                return filled
            if way.all_used is not None and amount > way.all_used:
                raise _beyond(self.ticks, down, amount - way.all_used)
        path = walk(self._start, self.ticks, amount, down=down, by_input=by_input, rules=rules)
        fee = path.fees[0][0] if len(path.fees) == 1 else sum(fee for fee, _ in path.fees)
        return Filled(path.amount_in, path.amount_out, fee, rules.on_input, path.crossed)
