"""What a week of quotes amounts to, in plain numpy and Python: an independent second opinion.

From the record alone: what leaving usually earns, when the engine had to speak, what the tracker
had to see and what each trade left. Uses nothing of the product; its rules are those of
docs/economics.md, its settings the shipped ones.
"""

import dataclasses
import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from weekly_market import NUMBER, PERPETUAL
from weekly_record import Record

ENTER_BPS, EXIT_BPS, STEP_BPS = 10.0, 5.0, 5.0
HALF_LIFE_S, TRUST = 3_600.0, 291.0
IMPLAUSIBLE_BPS = 1_000.0
GRID_NS, SPARSE_NS = 200_000_000, 5_000_000_000
CONVERGE_NS, STALE_NS, LIFE_NS = 1_000_000_000, 5_000_000_000, 3_600_000_000_000
TAKE_SHARE = 0.8
SECOND_NS = 1_000_000_000
SETTLE_NS = 8 * 3_600 * SECOND_NS
RATE_LOOK_NS = 10 * SECOND_NS  # the tracker may know a rate so much later than it is told
PROBES_NS = {after: after * 1_000_000 for after in (50, 100, 250, 500)}

Floats = npt.NDArray[np.float64]


class Way(NamedTuple):
    """A pair: a coin in a direction."""

    direction: str
    ids: tuple[int, int]  # of direction and symbol
    symbol: str
    number: int
    spot: int  # its place
    spot_fee_bps: float
    fut_fee_bps: float
    lot: float


@dataclasses.dataclass
class Trade:
    """An opportunity as it had to be."""

    way: Way
    opened_ns: int
    net_bps: float
    close_bps: float
    entry: tuple[float, float]  # spot ask, perpetual bid
    size_quote: float
    last_signal_ns: int
    next_ns: int
    signals: int = 1
    samples: int = 0
    exited: bool = False
    outcome: str = "open"
    ended_ns: int = 0
    settled: int = 0
    funding: float = 0.0
    mark: tuple[float, float] | None = None  # spot bid, perpetual ask
    mark_bps: float = math.nan
    mark_size_quote: float = math.nan
    fut_bid_px: float = 0.0
    since_ns: int | None = None
    stale_ns: int | None = None
    left_bps: dict[int, float] = dataclasses.field(default_factory=dict)
    stood: dict[int, float] = dataclasses.field(default_factory=dict)  # net then; by ms


class Usual(NamedTuple):
    """Of a pair, by generation: from which step on it holds, close (NaN: not known), its weight."""

    first_step: npt.NDArray[np.int64]
    close: Floats
    weight: Floats
    usual: Floats


class Seen:
    """A pair's quotes as the engine saw them, by its steps."""

    def __init__(self, record: Record, way: Way) -> None:
        self.way = way
        self.ts_ns = record.steps_ns
        when, books = record.quotes(way.number)
        at = np.searchsorted(when, self.ts_ns, side="right") - 1
        spot, fut = books[:, way.spot], books[:, PERPETUAL]
        self.bid, self.bid_sz, self.ask, self.ask_sz = (spot[at, n] for n in range(4))
        self.fut_bid, self.fut_bid_sz, self.fut_ask, self.fut_ask_sz = (
            fut[at, n] for n in range(4)
        )
        self.gross = (self.fut_bid - self.ask) / self.ask * 1e4
        self.exit = (self.bid - self.fut_ask) / self.ask * 1e4
        self.plausible = np.abs(self.gross) <= IMPLAUSIBLE_BPS
        self.awake = record.awake
        self.touched = np.diff(at, prepend=-1) > 0
        for one in record.befell:  # a start and new tables have every pair evaluated
            if one.what != "adopted" and one.steps < len(self.touched):
                self.touched[one.steps] = True
        self.touched &= self.awake
        self.listed = self._listed(record)
        self.usual = self._usual(record)
        place = np.searchsorted(self.usual.first_step, np.arange(len(self.ts_ns)), "right") - 1
        close = self.usual.close[place]
        fees = 2 * (way.spot_fee_bps + way.fut_fee_bps)
        self.close = close
        self.net = self.gross + close - fees
        raw = np.minimum(self.ask_sz, self.fut_bid_sz)
        self.size = np.floor(raw / way.lot + 1e-9) * way.lot if way.lot else raw

    def _listed(self, record: Record) -> range:
        """The steps in which the pair is in the tables."""
        first, last = 0, len(self.ts_ns)
        for one in record.befell:
            if one.what == "listed" and self.way.number == NUMBER["NEW-USDT"]:
                first = one.steps
            if one.what == "changed" and self.way.number == NUMBER["GONE-USDT"]:
                last = one.steps
        return range(first, last)

    def _looks(self, record: Record) -> npt.NDArray[np.bool_]:
        """The first step in each second in which the engine was there; not that a life began in."""
        there = np.flatnonzero(self.awake)
        looks = np.zeros(len(self.ts_ns), bool)
        looks[there] = np.diff(self.ts_ns[there] // SECOND_NS, prepend=-1) > 0
        for one in record.befell:
            if one.what == "start" and one.steps < len(looks):
                looks[one.steps] = False
        return looks

    def _usual(self, record: Record) -> Usual:
        """What the looks, one a second at most, amount to in each generation."""
        found: list[tuple[int, float, float, float]] = []
        looks = self._looks(record)
        basis = (self.gross - self.exit) / 2
        counts = (np.abs(basis) <= IMPLAUSIBLE_BPS).astype(float)
        columns = np.stack([counts, self.exit * counts, (self.gross + self.exit) / 2 * counts])
        ticks = self.ts_ns // SECOND_NS
        sums, kept, kept_ns, seen_at = np.zeros(3), np.zeros(3), 0, 0
        before = 0
        for one in record.befell:
            inside = np.arange(max(before, self.listed.start), min(one.steps, self.listed.stop))
            inside = inside[looks[inside]]
            if len(inside):
                last = ticks[inside[-1]]
                powers = 2.0 ** ((ticks[inside] - last) / HALF_LIFE_S)
                sums = sums * 2.0 ** ((seen_at - last) / HALF_LIFE_S) + columns[:, inside] @ powers
                seen_at = int(last)
            before = one.steps
            if one.what == "start":
                age_s = (one.ts_ns - kept_ns) / SECOND_NS
                sums = kept * 2.0 ** (-age_s / HALF_LIFE_S)
                seen_at = int(ticks[min(one.steps, len(ticks) - 1)])  # of the loop's first run
            if one.what == "changed" and self.way.number == NUMBER["MULT-USDT"]:
                sums = np.zeros(3)
            kept, kept_ns = sums.copy(), one.ts_ns
            weight, mean, parity = sums[0], math.nan, math.nan
            if weight > 0:
                mean, parity = sums[1:] / weight
            close = min(mean, parity) if weight >= TRUST else math.nan
            found.append((one.steps, close, weight, mean))
        steps, closes, weights, means = zip(*found, strict=True)
        return Usual(np.array(steps), np.array(closes), np.array(weights), np.array(means))


class _Engine:
    """Whether a pair is in, and what the engine says of it at a step."""

    def __init__(self, record: Record, seen: Seen) -> None:
        self._seen = seen
        self._pays = seen.touched & (seen.net >= ENTER_BPS) & seen.plausible & (seen.size > 0)
        self._coming = np.flatnonzero(self._pays)
        self._fresh = {one.steps for one in record.befell if _forgets(one.what, seen.way)}
        self._last_net = 0.0
        self.inside = False

    def next_step(self, step: int) -> int | None:
        """From which step on it may enter."""
        at = np.searchsorted(self._coming, step)
        if at == len(self._coming) or self._coming[at] not in self._seen.listed:
            return None
        return int(self._coming[at])

    def says(self, step: int) -> str:
        """enter (or once more), exit or nothing."""
        if step in self._fresh:
            self.inside = False
        seen, net = self._seen, float(self._seen.net[step])
        if not seen.awake[step]:
            return ""
        if self.inside and not (seen.plausible[step] and net >= EXIT_BPS):
            self.inside = False
            return "exit"
        if self._pays[step] and (not self.inside or net >= self._last_net + STEP_BPS):
            self.inside, self._last_net = True, net
            return "enter"
        return ""


def trades(record: Record, seen: Seen) -> list[Trade]:
    """All opportunities of a pair, by the order of time."""
    engine = _Engine(record, seen)
    found: list[Trade] = []
    trade: Trade | None = None
    step = seen.listed.start
    while step in seen.listed:
        if not engine.inside and trade is None:
            coming = engine.next_step(step)
            if coming is None:
                break
            step = coming
        said = engine.says(step)
        if said == "enter":
            trade = _signalled(seen, step, trade)
            if not found or trade is not found[-1]:
                found.append(trade)
        elif said == "exit" and trade is not None:
            trade.exited = True
        now_ns = int(seen.ts_ns[step])
        if trade is not None and now_ns >= trade.next_ns and now_ns % GRID_NS == 0:
            _look(record, seen, step, trade)
            if trade.outcome != "open":
                trade = None
        step += 1
    if trade is not None and seen.listed.stop < len(seen.ts_ns):
        trade.outcome, trade.ended_ns = "retired", int(seen.ts_ns[seen.listed.stop - 1])
    for one in found:
        _later(seen, one)
    return found


def _forgets(what: str, way: Way) -> bool:
    """What makes the engine begin anew with a pair."""
    return what == "start" or (what == "changed" and way.number == NUMBER["MULT-USDT"])


def _signalled(seen: Seen, step: int, trade: Trade | None) -> Trade:
    now_ns = int(seen.ts_ns[step])
    point_ns = (now_ns // GRID_NS + 1) * GRID_NS
    if trade is not None:
        trade.signals += 1
        trade.last_signal_ns = now_ns
        if trade.exited:
            trade.exited, trade.next_ns = False, point_ns
        return trade
    entry = float(seen.ask[step]), float(seen.fut_bid[step])
    size = float(seen.size[step]) * entry[0]
    made = Trade(
        seen.way,
        now_ns,
        float(seen.net[step]),
        float(seen.close[step]),
        entry,
        size,
        now_ns,
        point_ns,
    )
    made.fut_bid_px = entry[1]
    return made


def _look(record: Record, seen: Seen, step: int, trade: Trade) -> None:
    """One look of the tracker, and what it makes of it."""
    now_ns = int(seen.ts_ns[step])
    trade.samples += 1
    trade.next_ns = now_ns + (SPARSE_NS if trade.exited else GRID_NS)
    _settle(record, trade, now_ns)
    if not seen.plausible[step]:
        trade.since_ns = None
        trade.stale_ns = now_ns if trade.stale_ns is None else trade.stale_ns
        if now_ns - trade.stale_ns >= STALE_NS:
            trade.outcome, trade.ended_ns = "stale", trade.stale_ns
    else:
        trade.stale_ns = None
        trade.fut_bid_px = float(seen.fut_bid[step])
        trade.mark = float(seen.bid[step]), float(seen.fut_ask[step])
        trade.mark_bps = realised(trade.way, trade.entry, trade.mark, trade.funding)
        top = float(min(seen.bid_sz[step], seen.fut_ask_sz[step]))
        trade.mark_size_quote = _whole_lots(top, trade.way.lot) * trade.mark[0]
        if trade.mark_bps >= TAKE_SHARE * max(trade.net_bps, 0.0):
            trade.since_ns = now_ns if trade.since_ns is None else trade.since_ns
            if now_ns - trade.since_ns >= CONVERGE_NS:
                trade.outcome, trade.ended_ns = "converged", trade.since_ns
        else:
            trade.since_ns = None
    if trade.outcome == "open" and now_ns - trade.last_signal_ns >= LIFE_NS:
        trade.outcome, trade.ended_ns = "expired", now_ns


def _settle(record: Record, trade: Trade, now_ns: int) -> None:
    due_ns = (trade.opened_ns // SETTLE_NS + 1 + trade.settled) * SETTLE_NS
    if now_ns < due_ns:
        return
    known = [
        rate for ts_ns, rate in record.rates[trade.way.number] if ts_ns <= due_ns - RATE_LOOK_NS
    ]
    trade.settled += 1
    trade.funding -= known[-1] * trade.fut_bid_px


def _whole_lots(size: float, lot: float) -> float:
    return math.floor(size / lot + 1e-9) * lot if lot else size


def realised(
    way: Way, entry: tuple[float, float], left: tuple[float, float], funding: float
) -> float:
    """In bps of the spot ask that was paid: the money of one base unit."""
    ask, fut_bid = entry
    bid, fut_ask = left
    fees = way.spot_fee_bps * (ask + bid) + way.fut_fee_bps * (fut_bid + fut_ask)
    return ((fut_bid - ask) + (bid - fut_ask) - fees / 1e4 - funding) / ask * 1e4


def _later(seen: Seen, trade: Trade) -> None:
    """What the looks after the signal show, and what entering then would have left."""
    fees = 2 * (trade.way.spot_fee_bps + trade.way.fut_fee_bps)
    for after_ms, after_ns in PROBES_NS.items():
        step = int(np.searchsorted(seen.ts_ns, trade.opened_ns + after_ns))
        if step == len(seen.ts_ns) or seen.ts_ns[step] != trade.opened_ns + after_ns:
            continue
        if not seen.plausible[step]:
            trade.stood[after_ms] = -math.inf  # a leg that is lost does not stand
            continue
        entry = float(seen.ask[step]), float(seen.fut_bid[step])
        trade.stood[after_ms] = float(seen.gross[step]) + trade.close_bps - fees
        if trade.mark is not None:
            trade.left_bps[after_ms] = realised(trade.way, entry, trade.mark, trade.funding)
