"""Swaps along curves that are made of pieces, in exact fractions: through ticks, where liquidity is
concentrated, and through bins of one price each.

A second opinion on the programs' integers, written from the formulas alone: prices and rates are
fractions, and each amount is rounded where the programs round; tests hold it to recorded runs of
the programs. Prices of ticks and bins are the programs' own, whose tables cut off.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from math import ceil, floor
from typing import NamedTuple

ONE = 1 << 64
_TURNED = (1 << 128) - 1
TICK_MAX = 443_636
# Raydium's: 1.0001 to the power of minus a half, minus one, minus two, minus four, and on.
_TICK_FACTORS = (
    *(0xFFFCB933BD6FB800, 0xFFF97272373D4000, 0xFFF2E50F5F657000, 0xFFE5CACA7E10F000),
    *(0xFFCB9843D60F7000, 0xFF973B41FA98E800, 0xFF2EA16466C9B000, 0xFE5DEE046A9A3800),
    *(0xFCBE86C7900BB000, 0xF987A7253AC65800, 0xF3392B0822BB6000, 0xE7159475A2CAF000),
    *(0xD097F3BDFD2F2000, 0xA9F746462D9F8000, 0x70D869A156F31C00, 0x31BE135F97ED3200),
    *(0x09AA508B5B85A500, 0x005D6AF8DEDC582C, 0x00002216E584F5FA),
)
BIN_RATE_ALL, BIN_RATE_MAX = 10**9, 10**8
BIN_SCALE = 10_000


class Filling(NamedTuple):
    """What went in with its fee, what came out, whether all of the amount was used; and where price
    and liquidity are then, behind how many of the ticks."""

    amount_in: int
    amount_out: int
    fee: int
    whole: bool
    sqrt_price: int
    liquidity: int
    crossed: int


def exact_walk(
    sqrt_price: int,
    ticks: Sequence[tuple[int, int]],
    liquidity: int,
    amount: int,
    fee: Fraction,
    *,
    down: bool,
    by_input: bool,
) -> Filling:
    """Through ticks in the order in which the price meets them: (square root of the price, net)."""
    price, left = Fraction(sqrt_price, ONE), amount
    paid = received = fees = crossed = 0
    for at, net in ticks:
        target = Fraction(at, ONE)
        if left == 0:
            break
        reached, went_in, came_out, kept = _part(
            price, target, liquidity, left, fee, down, by_input
        )
        paid, received, fees = paid + went_in + kept, received + came_out, fees + kept
        left -= went_in + kept if by_input else came_out
        price = reached
        if price == target:
            liquidity += -net if down else net
            crossed += 1
    return Filling(paid, received, fees, left == 0, int(price * ONE), liquidity, crossed)


def _part(
    price: Fraction,
    target: Fraction,
    liquidity: int,
    left: int,
    fee: Fraction,
    down: bool,
    by_input: bool,
) -> tuple[Fraction, int, int, int]:
    usable = floor(left * (1 - fee)) if by_input else left
    whole = _moved(price, target, liquidity, down == by_input)
    if usable >= (ceil(whole) if by_input else floor(whole)):
        reached = target
    else:
        reached = _reached(price, liquidity, usable, down, by_input)
    went_in = ceil(_moved(price, reached, liquidity, down))
    came_out = floor(_moved(price, reached, liquidity, not down))
    if by_input and reached != target:
        return reached, went_in, came_out, left - went_in
    kept = ceil(went_in * fee / (1 - fee))
    return reached, went_in, came_out if by_input else min(came_out, left), kept


def _moved(price: Fraction, other: Fraction, liquidity: int, of_token0: bool) -> Fraction:
    if of_token0:
        return abs(liquidity * (1 / price - 1 / other))
    return abs(liquidity * (price - other))


def _reached(price: Fraction, liquidity: int, usable: int, down: bool, by_input: bool) -> Fraction:
    """Rounded so that the pool never gives too much: up for token 0, down for token 1."""
    signed = usable if by_input else -usable
    if down == by_input:
        return Fraction(ceil(liquidity * price / (liquidity + signed * price) * ONE), ONE)
    return Fraction(floor((price + Fraction(signed, liquidity)) * ONE), ONE)


@lru_cache(maxsize=8_192)
def tick_price(tick: int) -> int:
    """The square root of a tick's price, Q64.64, as Raydium has it."""
    ratio = Fraction(ONE)
    for place, factor in enumerate(_TICK_FACTORS):
        if abs(tick) >> place & 1:
            ratio = Fraction(floor(ratio * factor / ONE))
    return floor(_TURNED / ratio) if tick > 0 else int(ratio)


def tick_at(sqrt_price: int) -> int:
    """The highest tick whose price is no more than this one."""
    low, high = -TICK_MAX, TICK_MAX
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if tick_price(middle) <= sqrt_price else (low, middle - 1)
    return low


@lru_cache(maxsize=8_192)
def bin_price(bin_id: int, step: int) -> int:
    """Y per X in a bin, Q64.64, as Meteora has it: squared below one, and turned over last."""
    power = Fraction(_TURNED // (ONE + step * ONE // BIN_SCALE))
    ratio = Fraction(ONE)
    for place in range(abs(bin_id).bit_length()):
        if abs(bin_id) >> place & 1:
            ratio = Fraction(floor(ratio * power / ONE))
        power = Fraction(floor(power * power / ONE))
    return floor(_TURNED / ratio) if bin_id > 0 else int(ratio)


class BinRates(NamedTuple):
    """What a pair's fee is made of."""

    base: int  # parts of a thousand million
    control: int
    accumulator_max: int
    filter_s: int
    decay_s: int
    reduction: int


@dataclass
class BinOrders:
    """Orders in one bin, of X where they ask and of Y otherwise: what is left of those that are
    being filled, and those behind."""

    processed: int
    waiting: int
    asks: bool


@dataclass
class BinCurve:
    """A pair: what its bins hold, and how much the price has moved of late, by which the fee
    grows."""

    active_id: int
    step: int
    bins: dict[int, tuple[int, int]]
    rates: BinRates
    fee_on_y: bool = False
    orders: dict[int, BinOrders] = field(default_factory=dict)
    accumulator: int = 0
    reference: int = 0
    index: int = 0
    updated_s: int = 0

    def moved_since(self, unix_s: int) -> tuple[int, int]:
        """How much it had moved, and from which bin on it is counted, for who comes now."""
        rested_s = unix_s - self.updated_s
        if rested_s < self.rates.filter_s:
            return self.reference, self.index
        if rested_s >= self.rates.decay_s:
            return 0, self.active_id
        kept = Fraction(self.accumulator * self.rates.reduction, BIN_SCALE)
        return floor(kept), self.active_id

    def rate(self, bin_id: int, moved: tuple[int, int]) -> Fraction:
        """What is taken in a bin."""
        squared = (self.grown(bin_id, moved) * self.step) ** 2
        variable = ceil(Fraction(self.rates.control * squared, 10**11))
        return Fraction(min(self.rates.base + variable, BIN_RATE_MAX), BIN_RATE_ALL)

    def grown(self, bin_id: int, moved: tuple[int, int]) -> int:
        reference, index = moved
        return min(reference + abs(index - bin_id) * BIN_SCALE, self.rates.accumulator_max)

    def onward(self, down: bool) -> Iterator[tuple[int, list[int]]]:
        """The bins that the price comes to, and what each has to give, in its order."""
        ahead = (at for at in self.bins if (at <= self.active_id if down else at >= self.active_id))
        for bin_id in sorted(ahead, reverse=down):
            layers = [self.bins[bin_id][1 if down else 0]]
            found = self.orders.get(bin_id)
            if found is not None and found.asks is not down:
                layers += [found.processed, found.waiting]
            if any(layers):
                yield bin_id, layers


class BinPart(NamedTuple):
    """What a swap does in one bin."""

    bin_id: int
    amount_in: int  # with the fee, where that is on what goes in
    amount_out: int  # after the fee, where it is not
    fee: int


def exact_bins(
    curve: BinCurve, amount: int, *, down: bool, by_input: bool, unix_s: int
) -> list[BinPart] | None:
    """Bin after bin, until the amount is used; None where there is not so much."""
    moved = curve.moved_since(unix_s)
    on_input = not (down and curve.fee_on_y)
    parts, left = [], amount
    for bin_id, layers in curve.onward(down):
        price = Fraction(bin_price(bin_id, curve.step), ONE)
        gives = price if down else 1 / price
        take = _bin_in if by_input else _bin_out
        part = BinPart(bin_id, *take(layers, left, gives, curve.rate(bin_id, moved), on_input))
        parts.append(part)
        left -= part.amount_in if by_input else part.amount_out
        if not left:
            return parts
    return None


def _bin_in(
    layers: list[int], left: int, gives: Fraction, rate: Fraction, on_input: bool
) -> tuple[int, int, int]:
    """As much as a bin takes: in, out, fee."""
    costs = [ceil(held / gives) for held in layers]
    on_top = ceil(sum(costs) * rate / (1 - rate)) if on_input else 0
    if left > sum(costs) + on_top:
        used, out, fee = sum(costs) + on_top, sum(layers), on_top
    else:
        fee = ceil(left * rate) if on_input else 0
        used, out, rest = left, 0, left - fee
        for held, cost in zip(layers, costs, strict=True):
            if rest < cost:
                out += min(floor(rest * gives), held)
                break
            out, rest = out + held, rest - cost
    if not on_input:
        fee = ceil(out * rate)
        out -= fee
    return used, out, fee


def _bin_out(
    layers: list[int], left: int, gives: Fraction, rate: Fraction, on_input: bool
) -> tuple[int, int, int]:
    """As much of what is wanted as a bin has: in, out, fee."""
    gross = min(left if on_input else ceil(left / (1 - rate)), sum(layers))
    paid, rest = 0, gross
    for held in layers:
        paid, rest = paid + ceil(min(held, rest) / gives), rest - min(held, rest)
    if on_input:
        fee = ceil(paid * rate / (1 - rate))
        return paid + fee, gross, fee
    net = min(gross - ceil(gross * rate), left)
    return paid, net, gross - net
