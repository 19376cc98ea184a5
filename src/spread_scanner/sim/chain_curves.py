"""Pools of a pretend Solana whose curve is made of pieces: Raydium's CLMM, with several positions
whose ticks swaps cross, and Meteora's DLMM, with a fee that grows as its bins are crossed.

Accounts from the layouts' documentation, swaps by fractions (swap_curves.py). A swap that the
pool cannot fill does not happen. All arrays that have anything are there; a tick that was crossed
changes the array that it is in, as fees that were earned outside of it do.
"""

import copy
import math
import random
from fractions import Fraction
from typing import NamedTuple, Self

from spread_scanner.sim.chain_pools import (
    MILLION,
    Account,
    Coin,
    SimPool,
    kind_of,
    laid,
    le,
)
from spread_scanner.sim.solana_keys import derived, named, raw
from spread_scanner.sim.swap_curves import (
    BIN_SCALE,
    ONE,
    BinCurve,
    BinPart,
    BinRates,
    Filling,
    bin_price,
    exact_bins,
    exact_walk,
    tick_at,
    tick_price,
)

CLMM = "CAMMCzo5YL8w4VFF8KVHrK22GGUsp5VTaW7grrKgrWqK"
DLMM = "LBUZKhRxPF3XUpBCjp4YzTKgLccjZhTSDM9YuVaPwxo"
BITMAP_HALF = 512  # arrays to either side that a pool's own bitmap has


class Position(NamedTuple):
    """Liquidity between two ticks."""

    low: int
    high: int
    liquidity: int


class SimClmm(SimPool):
    """Raydium's CLMM: price and liquidity in the pool, positions in arrays of sixty ticks."""

    program, kind = CLMM, "raydium-clmm"
    spacing, rate = 10, 500
    width = 60 * spacing

    def __init__(self, seed: int, number: int, coins: tuple[Coin, Coin], usd: int) -> None:
        super().__init__(seed, number, coins, usd)
        amount0, amount1 = self.amounts
        self.config = named(seed, "clmm config")
        self.sqrt_price = math.isqrt(amount1 * ONE * ONE // amount0)
        self.tick = tick_at(self.sqrt_price)
        whole = 2 * math.isqrt(amount0 * amount1)
        self.nets: dict[int, int] = {}
        for position in self._positions(random.Random(f"{seed} {number} ticks"), whole):
            for tick, net in ((position.low, 1), (position.high, -1)):
                self.nets[tick] = self.nets.get(tick, 0) + net * position.liquidity
        self.liquidity = sum(net for tick, net in self.nets.items() if tick <= self.tick)
        self.crossed: dict[int, int] = {}  # how often, by tick
        self.amounts = [60 * amount for amount in self.amounts]

    def _positions(self, rng: random.Random, whole: int) -> list[Position]:
        """One around all prices that come, and some that begin and end near this one."""
        own = self.tick // self.width
        around = Position((own - 8) * self.width, (own + 9) * self.width, whole)
        near = [
            Position(
                (self.tick // self.spacing - rng.randint(1, 12)) * self.spacing,
                (self.tick // self.spacing + rng.randint(1, 12)) * self.spacing,
                whole * rng.randint(1, 5),
            )
            for _ in range(8)
        ]
        return [around, *near]

    def reserves(self) -> tuple[Fraction, Fraction]:
        price = Fraction(self.sqrt_price, ONE)
        return self.liquidity / price, self.liquidity * price

    def ratio(self) -> Fraction:
        return Fraction(self.sqrt_price, ONE) ** 2

    def _walked(self, side: int, amount: int, *, by_input: bool = True) -> Filling | None:
        down = side == 0
        found = exact_walk(
            self.sqrt_price,
            [(tick_price(tick), self.nets[tick]) for tick in self._met(down)],
            self.liquidity,
            amount,
            Fraction(self.rate, MILLION),
            down=down,
            by_input=by_input,
        )
        return found if found.whole and found.amount_in and found.amount_out else None

    def _met(self, down: bool) -> list[int]:
        ahead = (tick for tick in self.nets if (tick <= self.tick) is down)
        return sorted(ahead, reverse=down)

    def quote(self, side: int, amount: int) -> int:
        found = self._walked(side, amount)
        return 0 if found is None else found.amount_out

    def costs(self, side: int, amount: int) -> int:
        found = self._walked(side, amount, by_input=False)
        return 0 if found is None else found.amount_in

    def towards(self, price: float) -> tuple[int, int]:
        """Tick by tick."""
        smallest = self.coins[1].decimals - self.coins[0].decimals
        wanted, root = math.sqrt(price * 10.0**smallest), self.sqrt_price / ONE
        down, liquidity, amount = wanted < root, self.liquidity, 0.0
        for tick in self._met(down):
            end = tick_price(tick) / ONE
            end = max(end, wanted) if down else min(end, wanted)
            amount += liquidity * (1 / end - 1 / root if down else end - root)
            if end == wanted:
                break
            root, liquidity = end, liquidity + (-1 if down else 1) * self.nets[tick]
        return (0 if down else 1), int(amount)

    def swap(self, side: int, amount: int) -> None:
        found = self._walked(side, amount)
        if found is None:
            return
        met = self._met(side == 0)[: found.crossed]
        self.sqrt_price, self.liquidity = found.sqrt_price, found.liquidity
        self.tick = tick_at(self.sqrt_price)
        for tick in met:
            self.crossed[tick] = self.crossed.get(tick, 0) + 1
        if met and side == 0 and tick_price(met[-1]) == self.sqrt_price:
            self.tick = met[-1] - 1  # it rests on the tick, and has gone through it
        self.amounts[side] += amount
        self.amounts[1 - side] -= found.amount_out

    def array(self, start: int) -> str:
        return derived([b"tick_array", raw(self.key), start.to_bytes(4, signed=True)], CLMM)

    def accounts(self) -> dict[str, Account]:
        numbers = {tick // self.width for tick in self.nets}
        bitmap = sum(1 << number + BITMAP_HALF for number in numbers)
        decimals = bytes(coin.decimals for coin in self.coins)
        parts = (
            (0, kind_of("PoolState")),
            (9, raw(self.config)),
            (73, b"".join(raw(coin.mint) for coin in self.coins)),
            (137, b"".join(map(raw, self.vaults))),
            (233, decimals + le(self.spacing, 2) + le(self.liquidity, 16)),
            (253, le(self.sqrt_price, 16) + le(self.tick, 4)),
            (904, le(bitmap, 128)),
        )
        config = laid(117, (0, kind_of("AmmConfig")), (47, le(self.rate, 4)))
        return {
            self.key: (CLMM, laid(1_544, *parts)),
            self.config: (CLMM, config),
            **super().accounts(),
        }

    def arrays(self, around: int) -> dict[str, Account]:
        """All that have ticks: the bitmap names them however far they are."""
        starts = {tick // self.width * self.width for tick in self.nets}
        return {self.array(start): (CLMM, self._array(start)) for start in starts}

    def _array(self, start: int) -> bytes:
        parts = [(0, kind_of("TickArrayState") + raw(self.key) + le(start, 4))]
        for tick, net in self.nets.items():
            if start <= tick < start + self.width:
                head = le(tick, 4) + le(net, 16) + le(abs(net), 16)
                earned = le(self.crossed.get(tick, 0), 16)
                parts.append((44 + 168 * ((tick - start) // self.spacing), head + earned))
        return laid(10_240, *parts)


class SimDlmm(SimPool):
    """Meteora's DLMM: bins of one price each, seventy in an array. Every other pair takes its fee
    in token Y alone."""

    program, kind = DLMM, "meteora-dlmm"
    bins_in_array, half = 70, 140
    rates = BinRates(0, 20_000, 350_000, 5, 60, 5_000)

    def __init__(self, seed: int, number: int, coins: tuple[Coin, Coin], usd: int) -> None:
        super().__init__(seed, number, coins, usd)
        step, self.factor = 10, 2_000
        amount0, amount1 = self.amounts
        active = round(math.log(amount1 / amount0) / math.log1p(step / BIN_SCALE))
        each = amount0 // 50, amount1 // 50
        bins = {
            active + at: (each[0] if at >= 0 else 0, each[1] if at <= 0 else 0)
            for at in range(-self.half, self.half + 1)
        }
        rates = self.rates._replace(base=self.factor * step * 10)
        self.curve = BinCurve(active, step, bins, rates, fee_on_y=number % 2 == 1)
        self.amounts = [10 * amount for amount in self.amounts]

    def copied(self) -> Self:
        found = super().copied()
        found.curve = copy.copy(self.curve)
        found.curve.bins = dict(self.curve.bins)
        return found

    def reserves(self) -> tuple[Fraction, Fraction]:
        """Of the bin at the price."""
        held_x, held_y = self.curve.bins.get(self.curve.active_id, (0, 0))
        return Fraction(held_x), Fraction(held_y)

    def ratio(self) -> Fraction:
        return Fraction(bin_price(self.curve.active_id, self.curve.step), ONE)

    def _parts(self, side: int, amount: int, *, by_input: bool = True) -> list[BinPart]:
        down = side == 0
        found = exact_bins(self.curve, amount, down=down, by_input=by_input, unix_s=self.unix_s)
        return found if found and sum(part.amount_out for part in found) else []

    def quote(self, side: int, amount: int) -> int:
        return sum(part.amount_out for part in self._parts(side, amount))

    def costs(self, side: int, amount: int) -> int:
        return sum(part.amount_in for part in self._parts(side, amount, by_input=False))

    def towards(self, price: float) -> tuple[int, int]:
        """What all bins on the way hold."""
        curve, smallest = self.curve, self.coins[1].decimals - self.coins[0].decimals
        wanted = round(math.log(price * 10.0**smallest) / math.log1p(curve.step / BIN_SCALE))
        side = 0 if wanted < curve.active_id else 1
        ends = (wanted + 1, curve.active_id + 1) if side == 0 else (curve.active_id, wanted)
        way = range(*ends)
        held = [(bin_id, curve.bins[bin_id]) for bin_id in way if bin_id in curve.bins]
        gives = {bin_id: bin_price(bin_id, curve.step) / ONE for bin_id, _ in held}
        if side == 0:
            return side, int(sum(held_y / gives[bin_id] for bin_id, (_, held_y) in held))
        return side, int(sum(held_x * gives[bin_id] for bin_id, (held_x, _) in held))

    def swap(self, side: int, amount: int) -> None:
        parts, curve = self._parts(side, amount), self.curve
        if not parts:
            return
        on_input = not (side == 0 and curve.fee_on_y)
        moved = curve.moved_since(self.unix_s)
        for part in parts:
            held = list(curve.bins[part.bin_id])
            held[side] += part.amount_in - (part.fee if on_input else 0)
            held[1 - side] -= part.amount_out + (0 if on_input else part.fee)
            curve.bins[part.bin_id] = held[0], held[1]
        curve.reference, curve.index = moved
        curve.active_id, curve.updated_s = parts[-1].bin_id, self.unix_s
        curve.accumulator = curve.grown(curve.active_id, moved)
        self.amounts[side] += amount
        self.amounts[1 - side] -= sum(part.amount_out for part in parts)

    def array(self, number: int) -> str:
        return derived(
            [b"bin_array", raw(self.key), number.to_bytes(8, "little", signed=True)], DLMM
        )

    def accounts(self) -> dict[str, Account]:
        curve, rates = self.curve, self.curve.rates
        numbers = {bin_id // self.bins_in_array for bin_id in curve.bins}
        bitmap = sum(1 << number + BITMAP_HALF for number in numbers)
        static = (self.factor, rates.filter_s, rates.decay_s, rates.reduction)
        volatility = (curve.accumulator, curve.reference, curve.index)
        parts = (
            (0, kind_of("LbPair") + b"".join(le(number, 2) for number in static)),
            (16, le(rates.control, 4) + le(rates.accumulator_max, 4)),
            (35, bytes((1, curve.fee_on_y))),
            (40, b"".join(le(number, 4) for number in volatility)),
            (56, le(curve.updated_s, 8)),
            (76, le(curve.active_id, 4) + le(curve.step, 2)),
            (88, b"".join(raw(coin.mint) for coin in self.coins) + b"".join(map(raw, self.vaults))),
            (584, le(bitmap, 128)),
        )
        return {self.key: (DLMM, laid(904, *parts)), **super().accounts()}

    def arrays(self, around: int) -> dict[str, Account]:
        """All of them: the bitmap names them however far they are."""
        numbers = {bin_id // self.bins_in_array for bin_id in self.curve.bins}
        return {self.array(number): (DLMM, self._array(number)) for number in numbers}

    def _array(self, number: int) -> bytes:
        parts = [(0, kind_of("BinArray") + le(number, 8)), (24, raw(self.key))]
        for place in range(self.bins_in_array):
            bin_id = number * self.bins_in_array + place
            if bin_id in self.curve.bins:
                held_x, held_y = self.curve.bins[bin_id]
                price = le(bin_price(bin_id, self.curve.step), 16)
                parts.append((56 + 144 * place, le(held_x, 8) + le(held_y, 8) + price))
        return laid(10_136, *parts)
