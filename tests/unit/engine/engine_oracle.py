"""What the engine should say, by brute force in numpy: every pair at every step, nothing kept but
who is in. Knows nothing of dirty bits, rescans, sweeps or the plan's own arithmetic, and works out
what a trade earns by itself.
"""

import math
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from spread_scanner.config import Settings
from spread_scanner.schema.enums import DIRECTIONS, UNUSABLE, QuoteFlag, SignalKind
from spread_scanner.schema.records import (
    SIGNAL_AGED,
    SIGNAL_BASIS_UNKNOWN,
    SIGNAL_DTYPE,
    SIGNAL_FUNDING_UNKNOWN,
    SIGNAL_LEG_LOST,
    SIGNAL_MINIMUM_UNKNOWN,
)
from spread_scanner.symbology.tables import InstrumentRow, Tables

MS = 1_000_000
SLACK = 1e-9  # what lacks less than this of a lot, or of a least, is all there


@dataclass
class Switches:
    """What the operator has said."""

    killed: bool = False
    process: bool = False
    sources: set[int] = field(default_factory=set)
    directions: set[int] = field(default_factory=set)
    symbols: set[int] = field(default_factory=set)


class Analysed(NamedTuple):
    """What is said of a pair: when, on the engine's clock, and how it usually stands."""

    told_ns: int
    mean_bps: float
    deviation_bps: float
    known: bool


def _is_listed(tables: Tables, direction_id: int, symbol_id: int) -> bool:
    """On both legs: of others the tables keep no listing."""
    direction = DIRECTIONS[direction_id]
    listed = {row.source_id for row in tables.instruments if row.symbol_id == symbol_id}
    return {direction.spot.source_id, direction.futures.source_id} <= listed


class Oracle:
    def __init__(
        self, settings: Settings, tables: Tables, *, anchor_ns: int, instance: int
    ) -> None:
        self.anchor_ns, self.instance, self.generation = anchor_ns, instance, tables.generation
        self.limits = settings.config.spread_engine
        self.heartbeat_ns_max = settings.config.system.heartbeat_ms_max * MS
        names = {row.symbol_id: row.symbol for row in tables.symbols}
        pairs = [(row.direction_id, s) for row in tables.directions for s in row.symbol_ids]
        ids = {name: number for number, name in names.items()}
        kept_out = [
            (row.direction_id, ids[row.symbol])
            for row in tables.quarantine
            if _is_listed(tables, row.direction_id, ids.get(row.symbol, -1))
        ]
        pairs = sorted(pairs + kept_out)
        self.direction, self.symbol = np.array(pairs).reshape(-1, 2).T
        self.quarantined = np.array([pair in kept_out for pair in pairs])
        self.spot = np.array([DIRECTIONS[d].spot.source_id for d in self.direction], int)
        self.fut = np.array([DIRECTIONS[d].futures.source_id for d in self.direction], int)
        found = [
            settings.directions.thresholds(DIRECTIONS[d].label, names[s])
            for d, s in zip(self.direction, self.symbol, strict=True)
        ]
        self.enter = np.array([row.enter_bps for row in found])
        self.exit = np.array([row.exit_bps for row in found])
        self.rise = np.array([row.resignal_step_bps for row in found])
        self.cooldown = np.array([row.cooldown_ms * MS for row in found])
        self.size_min = np.array([row.size_quote_min for row in found])
        self.disabled = np.array([not row.enabled for row in found])
        fees = {label: row.taker_fee_bps for label, row in settings.exchanges.items()}
        self.fees = np.array(
            [2 * (fees[DIRECTIONS[d].spot.label] + fees[DIRECTIONS[d].futures.label])
             for d in self.direction]
        )  # fmt: skip
        self.spot_fee = np.array([fees[DIRECTIONS[d].spot.label] for d in self.direction])
        rates = {(row.source_id, row.symbol_id): row for row in tables.funding}
        self.carry = np.zeros(len(pairs))
        self.funding_unknown = np.ones(len(pairs), bool)
        for number, (source, symbol) in enumerate(zip(self.fut, self.symbol, strict=True)):
            row = rates.get((source, symbol))
            hold_h = self.limits.hold_h
            if row is None or not row.interval_hours:
                self.carry[number] = 0.05 * np.ceil(hold_h / 8) * 1e4
                continue
            paid = -row.rate if self.limits.funding_credit else max(0.0, -row.rate)
            self.carry[number] = paid * np.ceil(hold_h / row.interval_hours) * 1e4
            self.funding_unknown[number] = False
        self._limit(tables)
        self.kin = {symbol: kin_of(tables, symbol, names[symbol]) for symbol in set(self.symbol)}
        self.at_parity = np.array([row.close_at == "parity" for row in found])
        # By what leaving earned, look by look: when, and what; of a world that has always been so.
        self.looks: list[tuple[int, np.ndarray, np.ndarray]] = []
        self.generation_usual = 1
        self.usual = np.zeros(len(pairs))
        self.close = np.zeros(len(pairs))
        self.is_in = np.zeros(len(pairs), bool)
        self.last = np.zeros(len(pairs))
        self.exited = np.full(len(pairs), -(2**62))
        self.absurd_from = np.full(len(pairs), 2**62)  # since when it has been implausible
        self.barred = np.zeros(len(pairs), bool)
        self.stepped_ns = 0
        self.analysed: dict[tuple[int, int], Analysed] = {}  # by direction and symbol

    def _rises(self, now_ns: int, gross: np.ndarray) -> np.ndarray:
        """Who stands as many deviations above the mean as the settings ask."""
        least = self.limits.enter_z_min
        if least is None:
            return np.ones(len(gross), bool)
        found = np.zeros(len(gross), bool)
        for number, pair in enumerate(zip(self.direction, self.symbol, strict=True)):
            said = self.analysed.get((int(pair[0]), int(pair[1])))
            if said is None or not said.known or now_ns - said.told_ns > 5_000 * MS:
                continue
            if said.deviation_bps > 0:
                found[number] = (gross[number] - said.mean_bps) / said.deviation_bps >= least
        return found

    def _limit(self, tables: Tables) -> None:
        """Lots and minima, by both listings: columns lot, quantities and notionals of the legs."""
        listed = {(row.source_id, row.symbol_id): row for row in tables.instruments}
        limits = [
            [listed[source, symbol] for source in legs]
            for *legs, symbol in zip(self.spot, self.fut, self.symbol, strict=True)
        ]
        self.lot = np.array([common_lot(spot, fut) for spot, fut in limits])
        self.minima = np.array(
            [
                [(leg.min_qty or 0) * leg.sz_mul for leg in legs]
                + [leg.min_notional or 0 for leg in legs]
                for legs in limits
            ]
        ).reshape(-1, 4)
        self.minimum_unknown = (self.minima == 0).any(axis=1)

    def _fits(self, base: np.ndarray, spot: np.ndarray, fut: np.ndarray) -> np.ndarray:
        """Whether so much may be entered and left on both legs."""
        fits = base > 0
        with np.errstate(invalid="ignore"):
            for number, leg in enumerate((spot, fut)):
                worth = base * np.minimum(leg["bid_px"], leg["ask_px"])
                fits &= base * (1 + SLACK) >= self.minima[:, number]
                fits &= worth * (1 + SLACK) >= self.minima[:, 2 + number]
        return np.asarray(fits)

    def step(
        self,
        now_ns: int,
        quotes: np.ndarray,
        epochs: np.ndarray,
        beats_ns: np.ndarray,
        switches: Switches,
    ) -> np.ndarray:
        """Signals of one instant, by (direction, symbol); `seq` is left out."""
        spot, fut = quotes[self.spot, self.symbol], quotes[self.fut, self.symbol]
        with np.errstate(all="ignore"):
            gross = (fut["bid_px"] - spot["ask_px"]) / spot["ask_px"] * 1e4
            leaving = (spot["bid_px"] - fut["ask_px"]) / spot["ask_px"] * 1e4
            parity = (gross + leaving) / 2
            trusted = ~np.isnan(self.close)
            close = np.where(trusted, self.close, np.minimum(parity, 0.0))
            carry = self.carry * (fut["bid_px"] / spot["ask_px"])
            net = gross + close - self.fees - carry
            base = np.minimum(spot["ask_sz"], fut["bid_sz"])
            lots = np.floor(base / self.lot + SLACK)
            base = np.where(self.lot > 0, lots * self.lot, base)
            size = base * spot["ask_px"]
        sources = np.arange(len(quotes))[:, None]
        in_time = self._in_time(now_ns, quotes, sources, epochs, beats_ns)
        faults = quotes["flags"] & int(UNUSABLE)
        good = in_time & (faults == 0)
        told = in_time & np.isin(faults, [0, int(QuoteFlag.JUMPED)])
        usable = good[self.spot, self.symbol] & good[self.fut, self.symbol]
        both = told[self.spot, self.symbol] & told[self.fut, self.symbol]
        blocked = self._blocked(switches) | self.barred
        skewed = self._skewed(spot, fut)
        counts = both & ~skewed & ~blocked
        stood = (self.absurd_from < 2**62) & (now_ns - self.stepped_ns <= 1_000_000_000)
        alone = self._alone(quotes, good, counts & stood)
        leapt = ~usable & (stood | (net >= self.enter))
        absurd = counts & ((gross > self.limits.implausible_bps) | alone | leapt)
        blocked |= self._bar(now_ns, spot, fut, absurd)
        self.is_in &= ~blocked
        stands = usable & (np.abs(gross) <= self.limits.implausible_bps)
        leave = self.is_in & ~(stands & (net >= self.exit))
        fit = ~blocked & stands & ~skewed & (size * (1 + SLACK) >= self.size_min)
        fit &= self._fits(base, spot, fut)
        fit &= trusted | self.limits.signal_basis_unknown
        fit &= self._rises(now_ns, gross)
        again = self.is_in & ~leave & fit & (net >= self.last + self.rise)
        cool = now_ns - self.exited >= self.cooldown
        enter = ~self.is_in & fit & cool & (net >= self.enter)
        alone = self._alone(quotes, good, enter | again)
        self._begin(now_ns, spot, fut, alone)
        leave |= self.is_in & alone
        enter, again = enter & ~alone, again & ~alone
        stands &= ~alone
        self.last = np.where(enter | again, net, self.last)
        self.exited = np.where(leave, now_ns, self.exited)
        self.is_in = (self.is_in | enter) & ~leave
        kinds = np.select(
            [enter, again, leave], [SignalKind.ENTER, SignalKind.RESIGNAL, SignalKind.EXIT], 0
        )
        flags = np.where(leave & ~stands, SIGNAL_LEG_LOST, 0)
        flags |= np.where(self.funding_unknown, SIGNAL_FUNDING_UNKNOWN, 0)
        flags |= np.where(self.minimum_unknown, SIGNAL_MINIMUM_UNKNOWN, 0)
        flags |= np.where(trusted, 0, SIGNAL_BASIS_UNKNOWN)
        self._look(now_ns, quotes, good, gross, leaving)
        values = {
            "gross_bps": gross, "net_bps": net, "exit_bps": leaving, "size_quote": size,
            "fees_bps": self.fees, "carry_bps": carry, "symbol_id": self.symbol,
            "close_bps": close, "usual_bps": self.usual,
            "usual_generation": self.generation_usual, "parity_bps": parity, "size_base": base,
            "spot_fee_bps": self.spot_fee, "direction_id": self.direction, "kind": kinds,
            "flags": flags, "ts_trigger": np.maximum(spot["ts_recv"], fut["ts_recv"]),
        }  # fmt: skip
        return self._records(now_ns, spot, fut, values, kinds != 0)

    def _bar(
        self, now_ns: int, spot: np.ndarray, fut: np.ndarray, absurd: np.ndarray
    ) -> np.ndarray:
        """Who has stood beyond what can be for so long, quoted anew on both legs meanwhile, and was
        looked at each second."""
        came = np.stack([spot["ts_recv"], fut["ts_recv"]]).astype(float) - self.anchor_ns
        if now_ns - self.stepped_ns > 1_000_000_000:
            self.absurd_from[:] = 2**62
        self.stepped_ns = now_ns
        self._begin(now_ns, spot, fut, absurd)
        self.absurd_from[~absurd] = 2**62
        long_ago = now_ns - self.absurd_from >= self.limits.implausible_hold_s * 1e9
        self.barred |= absurd & long_ago & (came > self.absurd_from).all(axis=0)
        return self.barred

    def _begin(self, now_ns: int, spot: np.ndarray, fut: np.ndarray, absurd: np.ndarray) -> None:
        newest = np.maximum(spot["ts_recv"], fut["ts_recv"]).astype(float) - self.anchor_ns
        begins = absurd & (self.absurd_from == 2**62)
        self.absurd_from[begins] = np.maximum(now_ns, newest)[begins]

    def _alone(self, quotes: np.ndarray, good: np.ndarray, asked: np.ndarray) -> np.ndarray:
        """Whose leg is beyond the limit from the median of three or more others."""
        found = np.zeros(len(asked), bool)
        share = self.limits.implausible_bps / 1e4
        for number in np.flatnonzero(asked):
            symbol, legs = self.symbol[number], (self.spot[number], self.fut[number])
            bids, asks = (quotes[name][:, symbol] for name in ("bid_px", "ask_px"))
            mids = bids / 2 + asks / 2
            for leg in legs:
                kin = self.kin[symbol][leg] - {leg}
                others = [mids[source] for source in kin if good[source, symbol]]
                if len(others) >= 3:
                    median = float(np.median(others))
                    found[number] |= abs(mids[leg] - median) > share * median
        return found

    def _look(
        self,
        now_ns: int,
        quotes: np.ndarray,
        good: np.ndarray,
        gross: np.ndarray,
        leaving: np.ndarray,
    ) -> None:
        """Once a second, by the first step that is in it; `good`: by source and symbol."""
        second = now_ns // 1_000_000_000
        if self.looks and self.looks[-1][0] == second:
            return
        if self.looks and second - self.looks[-1][0] > self.limits.basis_half_life_s:
            self.looks.clear()
        usable = good[self.spot, self.symbol] & good[self.fut, self.symbol]
        near = np.abs((gross - leaving) / 2) <= self.limits.implausible_bps
        seen = usable & near & ~self.quarantined
        seen &= ~self._alone(quotes, good, seen)
        parity = (gross + leaving) / 2
        self.looks.append((second, np.where(seen, leaving, np.nan), np.where(seen, parity, np.nan)))

    def adopt(self) -> None:
        """A new generation, from all looks by their ages."""
        self.generation_usual += 1
        if not self.looks:
            return
        seconds, leavings, parities = map(np.array, zip(*self.looks, strict=True))
        half_lives = (seconds[-1] - seconds) / self.limits.basis_half_life_s
        seen = ~np.isnan(leavings)
        weights = seen * (2.0**-half_lives)[:, None]
        weight = weights.sum(axis=0)
        with np.errstate(all="ignore"):
            self.usual = np.nansum(weights * leavings, axis=0) / weight
            parity_usual = np.nansum(weights * parities, axis=0) / weight
        lower = np.minimum(self.usual, parity_usual)
        close = np.where(self.at_parity, parity_usual, lower)
        self.close = np.where(weight >= self.limits.basis_trust_s, close, np.nan)

    def know_nothing(self) -> None:
        """As at a first start, whose generation is the first."""
        self.usual[:] = self.close[:] = np.nan

    def _skewed(self, spot: np.ndarray, fut: np.ndarray) -> np.ndarray:
        skew = spot["ts_recv"] - fut["ts_recv"]
        older = np.where(skew < 0, spot["flags"], fut["flags"])
        overdue = (older & int(QuoteFlag.OVERDUE)) != 0
        return np.asarray(overdue & (np.abs(skew) > self.limits.skew_ms_max * MS))

    def _in_time(
        self,
        now_ns: int,
        leg: np.ndarray,
        source: np.ndarray,
        epochs: np.ndarray,
        beats_ns: np.ndarray,
    ) -> np.ndarray:
        alive = (beats_ns != 0) & (now_ns - beats_ns <= self.heartbeat_ns_max)
        age = now_ns + self.anchor_ns - leg["ts_recv"]
        good = alive[source] & (leg["epoch"] >= epochs[source])
        good &= age <= self.limits.stale_ms_max * MS
        return np.asarray(good)

    def _blocked(self, switches: Switches) -> np.ndarray:
        blocked = self.quarantined | self.disabled
        blocked = blocked | np.isin(self.spot, list(switches.sources))
        blocked |= np.isin(self.fut, list(switches.sources))
        blocked |= np.isin(self.direction, list(switches.directions))
        blocked |= np.isin(self.symbol, list(switches.symbols))
        return np.asarray(blocked | switches.killed | switches.process)

    def _records(
        self,
        now_ns: int,
        spot: np.ndarray,
        fut: np.ndarray,
        values: dict[str, Any],
        chosen: np.ndarray,
    ) -> np.ndarray:
        records = np.zeros(int(chosen.sum()), SIGNAL_DTYPE)
        for name, column in values.items():
            records[name] = column[chosen] if np.ndim(column) else column
        for leg, quotes in (("spot", spot), ("fut", fut)):
            for name in (
                "bid_px",
                "bid_sz",
                "ask_px",
                "ask_sz",
                "ts_event",
                "ts_recv",
                "update_id",
            ):
                records[f"{leg}_{name}"] = quotes[name][chosen]
        records["mono_ns"] = now_ns
        records["ts_engine"] = now_ns + self.anchor_ns
        records["generation"] = self.generation
        records["instance"] = self.instance
        return records


def kin_of(tables: Tables, symbol: int, name: str) -> dict[int, set[int]]:
    """By source that quotes the symbol in a pair, all that quote the same coin: everyone, or those
    that a chain of pairs leads to where a pair is kept out."""
    links: dict[int, set[int]] = {}
    for row in tables.directions:
        if symbol in row.symbol_ids:
            direction = DIRECTIONS[row.direction_id]
            legs = {direction.spot.source_id, direction.futures.source_id}
            for leg in legs:
                links.setdefault(leg, set()).update(legs)
    if all(row.symbol != name for row in tables.quarantine):
        return {leg: set(links) for leg in links}
    for leg in links:
        while (further := set().union(*(links[kin] for kin in links[leg]))) != links[leg]:
            links[leg] = further
    for kept_out in tables.quarantine:  # nothing is asked of them, but they are there
        direction = DIRECTIONS[kept_out.direction_id]
        for leg in (direction.spot.source_id, direction.futures.source_id):
            links.setdefault(leg, {leg})
    return links


def adopted(
    before: dict[str, Any],
    *,
    trust_s: float,
    implausible_bps: float,
    anew: bool,
    carry_before_bps: float,
    credited: float = math.nan,
) -> dict[str, Any]:
    """What one pair's row is to hold once its looks are adopted, in the numbers of Python."""
    weight, nothing = before["weight"], math.nan
    usual = before["exit_sum"] / weight if weight > 0 else nothing
    parity = before["parity_sum"] / weight if weight > 0 else nothing
    trusted = weight >= trust_s
    close = parity if before["at_parity"] or not usual < parity else usual
    if not math.isnan(credited) and not before["at_parity"]:
        close = credited
    stray = implausible_bps / 1e4  # by which the perpetual may stand beside spot
    carry, widest, narrowest = before["carry_bps"], 1 + stray, max(0.0, 1 - stray)
    carried = carry * widest if carry < 0 else carry * narrowest
    now = close if trusted else nothing
    return {
        "usual_bps": usual,
        "parity_usual_bps": parity,
        "learned": weight / trust_s,
        "trusted": int(trusted),
        "close_bps": now,
        "carry_before_bps": carry if anew else carry_before_bps,
        "close_before_bps": now if anew else before["close_bps"] if before["trusted"] else nothing,
        "costs_min_bps": before["fees_bps"] + carried - (close if trusted else 0.0) - 1e-6,
    }


def common_lot(spot: InstrumentRow, fut: InstrumentRow) -> float:
    """What both trade whole multiples of, in base units: 0 without steps, 1e30 without sense."""
    steps = [
        Fraction(f"{row.lot_step:.12g}") * Fraction(f"{row.sz_mul:.12g}")
        for row in (spot, fut)
        if row.lot_step
    ]
    if not steps:
        return 0.0
    common = steps[0]
    for step in steps[1:]:
        numerator = math.lcm(common.numerator, step.numerator)
        common = Fraction(numerator, math.gcd(common.denominator, step.denominator))
    return float(common) if common <= 1_000 * max(steps) else 1e30


def sorted_without_seq(signals: np.ndarray) -> np.ndarray:
    """By (direction, symbol), as the oracle gives them; a step has at most one signal of a pair.
    Whether a quote just read made it is the loop's affair: the oracle sees instants."""
    ordered = np.sort(signals, order=["direction_id", "symbol_id"])
    ordered["seq"] = 0
    ordered["flags"] &= ~np.uint32(SIGNAL_AGED)
    return ordered


LEARNED = ("usual_bps", "close_bps", "net_bps")


def assert_same(found: np.ndarray, expected: np.ndarray, *, learned: bool = False) -> None:
    """Field for field, to the last bit; an absent price equals an absent price. What is usual is a
    sum that each of the two makes in another order: equal to 1e-9, as is what follows from it."""
    assert len(found) == len(expected), (found, expected)
    for name in SIGNAL_DTYPE.names or ():
        if name in LEARNED and learned:
            np.testing.assert_allclose(found[name], expected[name], atol=1e-9, err_msg=name)
            continue
        np.testing.assert_array_equal(found[name], expected[name], err_msg=name, strict=True)
