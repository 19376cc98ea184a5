"""What a week of trading sees: nine coins on two spot exchanges and one perpetual, as pure numbers.

Each coin is of a kind of its own, and every number follows from one seed. Mids are drawn on a grid
of GRID_S; what happens in between (a dislocation, a jump of one leg before the other, an absurd
message) is a function of time. Nothing here knows the product.
"""

import math
from collections import deque
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

GRID_S = 5.0
PLACES = ("binance-spot", "mexc-spot", "bybit-futures")
SPOTS, PERPETUAL = (0, 1), 2
FOUR_FEES = (31.0, 21.0)  # as shipped: 2 x (10 + 5.5), 2 x (5 + 5.5)
MARGIN_BPS = 12.0  # over the shipped threshold of 10
SURE_BPS = 10.0  # more: it is entered wherever the noise stands, and what is usual after 400 bps
SETTLE_S = 8 * 3_600.0
TOLD_S = 15  # so long before a settlement its rate is told for the last time
AWAY_S = 20.0  # how long the engine is away when it is restarted


class Kind(NamedTuple):
    """What a coin is like; bps."""

    symbol: str
    width: float  # of each book
    premium: float = 0.0
    noise: float = 1.5
    every_s: float = 5_400.0  # between two dislocations; 0: none
    half_life_s: tuple[float, float] = (1.5, 6.0)
    walk: float = 1.0  # of the mid, per grid step


KINDS = (
    Kind("REV-USDT", 3.0),
    Kind("STAND-USDT", 3.0, premium=80.0, noise=3.0, every_s=0.0),
    Kind("WIDE-USDT", 14.0, every_s=10_800.0),
    Kind("JUMP-USDT", 4.0, every_s=14_400.0),
    Kind("CALM-USDT", 2.0, premium=5.0, noise=0.0, every_s=21_600.0, walk=0.0),
    Kind("FUND-USDT", 3.0, every_s=0.0),
    Kind("GONE-USDT", 3.0, every_s=10_800.0),
    Kind("MULT-USDT", 3.0, every_s=10_800.0),
    Kind("NEW-USDT", 3.0, every_s=7_200.0),
)
NUMBER = {kind.symbol: number for number, kind in enumerate(KINDS)}


class Episode(NamedTuple):
    """The perpetual stands off by so much for a while, maybe by less for another, then comes
    back."""

    start_s: float
    stands_s: float
    bps: float
    half_life_s: float  # 0: at once
    rest_bps: float = 0.0
    rests_s: float = 0.0

    @property
    def end_s(self) -> float:
        """When nothing is left of it, or less than a tenth of a basis point."""
        fades_s = self.half_life_s * math.log2(max(self.bps, 1.0) / 0.1) if self.half_life_s else 0
        return self.start_s + self.stands_s + self.rests_s + fades_s

    def at(self, now_s: float) -> float:
        """By how much it stands off then."""
        after_s = now_s - self.start_s
        if after_s < 0 or now_s >= self.end_s:
            return 0.0
        if after_s < self.stands_s:
            return self.bps
        if after_s < self.stands_s + self.rests_s:
            return self.rest_bps
        return float(self.bps * 2.0 ** (-(after_s - self.stands_s) / self.half_life_s))


class Jump(NamedTuple):
    """One leg's price steps by a factor, the other's after it."""

    start_s: float
    factor: float
    leads: int  # PERPETUAL, or a spot: then both do
    lag_s: float


class Absurd(NamedTuple):
    """One message of one place has a price that cannot be; the next is right again."""

    start_s: float
    number: int
    place: int
    factor: float
    lasts_s: float = 1.0


class Plan(NamedTuple):
    """When what happens to the system itself; seconds from the start."""

    listed_s: float  # NEW is listed
    changed_s: float  # GONE leaves, MULT is another contract
    restarted_s: float  # the engine


class Coming(NamedTuple):
    """Something that happens, and when it matters."""

    since_s: float
    until_s: float
    number: int
    what: Episode | Jump | Absurd


class Market:
    """Everything that will happen in `seconds` from a start; `starts_s` is its time of day."""

    def __init__(
        self,
        rng: np.random.Generator,
        seconds: float,
        starts_s: float,
        plan: Plan,
        pace: float = 1.0,
    ) -> None:
        """`pace`: how many times as often as in a week things happen."""
        self.seconds, self._rng, self._pace = seconds, rng, pace
        steps = int(seconds / GRID_S) + 2
        walks = np.array([kind.walk for kind in KINDS])
        self._mids = 100 * np.exp(np.cumsum(rng.normal(0, 1, (steps, len(KINDS))), 0) * walks / 1e4)
        self._noise = [self._wander(steps) for _ in SPOTS]
        self._sizes = rng.uniform(5.0, 180.0, (steps, len(KINDS), len(PLACES), 2))
        self.settlements_s = _settlements(seconds, starts_s)
        self.episodes = [self._episodes(kind) for kind in KINDS]
        for symbol, at_s in _certain(plan):
            self._add(NUMBER[symbol], round(at_s))
        self.jumps = self._jumps()
        self.absurd = self._absurd(plan.restarted_s)
        self.pinned: dict[int, float] = {}  # by coin: what leaving earns, while it is told so
        self._coming, self._now = self._all(), list[Coming]()

    def _wander(self, steps: int) -> npt.NDArray[np.float64]:
        """A basis that comes back within a minute: an AR(1) of the kinds' noise."""
        back = math.exp(-GRID_S / 60.0)
        drawn = self._rng.normal(0, math.sqrt(1 - back * back), (steps, len(KINDS)))
        drawn *= np.array([kind.noise for kind in KINDS])
        for step in range(1, steps):
            drawn[step] += back * drawn[step - 1]
        return drawn

    def _starts(self, every_s: float) -> list[float]:
        """Apart by at least a quarter of the usual distance, after the first ten minutes."""
        every_s = max(every_s / self._pace, 240.0)
        starts, at_s = [], 600.0
        while at_s < self.seconds - 120:
            at_s += every_s * (0.25 + self._rng.exponential(0.75))
            starts.append(round(at_s))
        return [start for start in starts if start < self.seconds - 120]

    def _episodes(self, kind: Kind) -> list[Episode]:
        rng, least = self._rng, FOUR_FEES[0] + MARGIN_BPS + 2 * kind.width
        if kind.symbol == "CALM-USDT":
            return [Episode(s, 6.0, least + rng.exponential(8), 0.0) for s in self._starts(21_600)]
        if kind.symbol == "FUND-USDT":
            return [
                Episode(
                    s - rng.integers(TOLD_S + 5, 30),
                    60.0,
                    least + SURE_BPS + rng.exponential(6),
                    3.0,
                )
                for s in self.settlements_s
                if 700 < s < self.seconds - 200
            ]
        starts = self._starts(kind.every_s) if kind.every_s else []
        lives = rng.uniform(*kind.half_life_s, len(starts))
        return [
            Episode(start, 0.6, least + rng.exponential(6), life)
            for start, life in zip(starts, lives.tolist(), strict=True)
        ]

    def _add(self, number: int, at_s: float) -> None:
        """One that a test is sure of: it comes first, and no other stands near it."""
        others = [one for one in self.episodes[number] if abs(one.start_s - at_s) > 100]
        calm = KINDS[number].symbol == "CALM-USDT"
        made = Episode(at_s, 6.0, 60.0, 0.0) if calm else Episode(at_s, 8.0, 70.0, 2.0)
        if KINDS[number].symbol == "WIDE-USDT":
            made = made._replace(bps=90.0)
        if KINDS[number].symbol == "FUND-USDT":
            # Most is taken while what is left would still be entered: looked at on the fine grid,
            # where it shows how long it is to last until it is believed.
            made = Episode(at_s, 8.0, 400.0, 0.0, rest_bps=57.0, rests_s=4.0)
        self.episodes[number] = [made, *others]

    def _jumps(self) -> list[Jump]:
        rng, level, jumps = self._rng, 0.0, []
        for start in self._starts(10_800.0):
            by = math.copysign(
                rng.uniform(0.02, 0.07), -level if abs(level) > 0.2 else rng.normal()
            )
            level += by
            jumps.append(
                Jump(start, math.exp(by), int(rng.integers(1, 3)), rng.integers(1, 10) / 5)
            )
        return jumps

    def _absurd(self, away_s: float) -> list[Absurd]:
        """Half a minute before a dislocation, so that it shows whether that is still seen; in turn
        of the perpetual and of a spot, far up and far down. `away_s`: when nobody would see it."""
        factors = (1_000.0, 0.001, 3.0, 0.3, 2.0)
        found = []
        for number in (NUMBER["REV-USDT"], NUMBER["JUMP-USDT"], NUMBER["WIDE-USDT"]):
            busy_s = [away_s, *(one.start_s for one in self.episodes[number])]
            if number == NUMBER["JUMP-USDT"]:
                busy_s += [one.start_s for one in self.jumps]
            for turn, one in enumerate(self.episodes[number][::2]):
                if any(0 < abs(one.start_s - other_s) < 90 for other_s in busy_s):
                    continue
                factor, place = factors[turn % len(factors)], (PERPETUAL, 0, PERPETUAL, 1)[turn % 4]
                found.append(Absurd(one.start_s - 30.0, number, place, factor))
        return found

    @property
    def begins_s(self) -> float | None:
        """When the next thing happens."""
        return self._coming[0].since_s if self._coming else None

    def hot(self, now_s: float) -> list[int]:
        """The coins of which something happens now; asked in the order of time."""
        while self._coming and self._coming[0].since_s <= now_s:
            self._now.append(self._coming.popleft())
        self._now = [one for one in self._now if one.until_s > now_s]
        return sorted({one.number for one in self._now})

    def calm(self, first: int, until: int) -> npt.NDArray[np.float64]:
        """(step, place, coin, bid_px bid_sz ask_px ask_sz) of some steps of the grid, where nothing
        happens."""
        found = np.empty((until - first, len(PLACES), len(KINDS), 4))
        mids = self._mids[first:until].copy()
        mids[:, NUMBER["JUMP-USDT"]] *= self._level(
            np.arange(first, until, dtype=np.float64) * GRID_S
        )
        premiums = np.array([kind.premium for kind in KINDS])
        halves = np.array([kind.width for kind in KINDS]) / 2e4
        bases = (0.0, self._noise[1][first:until] * 0.3, self._noise[0][first:until] + premiums)
        for place, basis in enumerate(bases):
            here = mids * (1 + np.asarray(basis) / 1e4)
            found[:, place, :, 0], found[:, place, :, 2] = here * (1 - halves), here * (1 + halves)
        found[..., 1::2] = self._sizes[first:until].swapaxes(1, 2)
        return found

    def happens(self, now_s: float, number: int, books: npt.NDArray[np.float64]) -> None:
        """Put into a coin's books, (place, bid_px bid_sz ask_px ask_sz) of the grid, what happens
        to it."""
        step = int(now_s / GRID_S)
        for one in (one for one in self._now if one.number == number):
            what = one.what
            if isinstance(what, Episode):
                premium = KINDS[number].premium + self._noise[0][step, number]
                off = 1 + what.at(now_s) / (1e4 + premium)
                books[PERPETUAL, 0::2] *= off
            elif isinstance(what, Absurd):
                if what.start_s <= now_s < what.start_s + what.lasts_s:
                    books[what.place, 0::2] *= what.factor
            elif what.start_s <= now_s < what.start_s + what.lag_s:
                leads = [PERPETUAL] if what.leads == PERPETUAL else [*SPOTS]
                books[leads, 0::2] *= what.factor
        if number in self.pinned:
            ask = books[0, 0] - self.pinned[number] * books[0, 2] / 1e4
            books[PERPETUAL, 0], books[PERPETUAL, 2] = ask * (1 - KINDS[number].width / 1e4), ask

    def _level(self, now_s: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """What all jumps that are over have made of the price."""
        over_s = [one.start_s + one.lag_s for one in self.jumps]
        levels = np.cumprod([1.0, *(one.factor for one in self.jumps)])
        return np.asarray(levels[np.searchsorted(over_s, now_s, side="right")])

    def _all(self) -> deque["Coming"]:
        """What happens, by when it begins to matter."""
        found = [
            Coming(one.start_s, one.end_s + 6, number, one)
            for number, episodes in enumerate(self.episodes)
            for one in episodes
        ]
        found += [
            Coming(one.start_s, one.start_s + 8, NUMBER["JUMP-USDT"], one) for one in self.jumps
        ]
        found += [Coming(one.start_s, one.start_s + 2, one.number, one) for one in self.absurd]
        return deque(sorted(found, key=lambda one: one[:3]))


def _certain(plan: Plan) -> list[tuple[str, float]]:
    """Dislocations that there are in every life, by when; the last of a coin comes first."""
    return [
        ("NEW-USDT", plan.listed_s + 60),  # too soon to know what is usual
        ("NEW-USDT", plan.listed_s + 600),
        ("MULT-USDT", plan.listed_s - 300),
        ("MULT-USDT", plan.changed_s + 60),  # too soon, too
        ("MULT-USDT", plan.changed_s + 600),
        ("GONE-USDT", plan.changed_s - 4),  # in the middle of it
        ("WIDE-USDT", plan.listed_s + 300),
        ("CALM-USDT", plan.listed_s + 400),
        ("FUND-USDT", plan.listed_s + 450),
        ("REV-USDT", plan.restarted_s + AWAY_S + 10),
        ("REV-USDT", plan.listed_s + 200),
    ]


def _settlements(seconds: float, starts_s: float) -> list[float]:
    first = SETTLE_S - starts_s % SETTLE_S
    return np.arange(first, seconds, SETTLE_S).tolist()
