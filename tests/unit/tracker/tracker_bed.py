"""A tracker without processes: signals in a list, quotes at will, time that moves when told."""

import collections
import math
from pathlib import Path
from typing import Any

import numpy as np

from spread_scanner import config
from spread_scanner.clock import NS_PER_MS
from spread_scanner.schema.enums import DIRECTIONS, SignalKind
from spread_scanner.schema.records import QUOTE_DTYPE
from spread_scanner.tracker.book import Book, Rules
from spread_scanner.tracker.database import Database
from spread_scanner.tracker.hearing import Ears
from spread_scanner.tracker.journal import Batch, Journal
from spread_scanner.tracker.opportunity import RingRecord, SampleFlag, Signal
from spread_scanner.tracker.pairs import Pair, PairKey
from spread_scanner.tracker.sampler import Grid, Look, Quotes
from spread_scanner.tracker.settling import Rates

START_NS = 1_700_000_000_123_456_789
STREAM = "ring"
INSTANCE = 7
RULES = Rules(
    step_ns=200 * NS_PER_MS,
    sparse_ns=600 * NS_PER_MS,
    late_ns_max=20 * NS_PER_MS,
    life_ns_max=5_000 * NS_PER_MS,
    take_share=0.8,
    converge_ns=400 * NS_PER_MS,
    stale_hold_ns=600 * NS_PER_MS,
    resume_gap_ns_max=3_000 * NS_PER_MS,
    open_max=4,
)
DEFAULTS = config.Tracker()


class Counts(collections.Counter[str]):
    """A tally to look into."""

    def add(self, label: str, count: int = 1) -> None:
        self[label] += count

    def level(self, label: str, value: int) -> None:
        self[label] = value


def pair(number: int, direction_id: int = 0) -> Pair:
    direction = DIRECTIONS[direction_id]
    return Pair(
        direction_id=direction_id,
        direction=direction.label,
        symbol_id=number,
        symbol=f"C{number}-USDT",
        spot_source=direction.spot.source_id,
        futures_source=direction.futures.source_id,
        legs=f"C{number}USDT/1 C{number}USDT/1",
    )


def pairs(count: int) -> dict[PairKey, Pair]:
    return {(0, number): pair(number) for number in range(count)}


def make_signal(
    seq: int,
    ts_ns: int,
    symbol_id: int = 0,
    kind: int = SignalKind.ENTER,
    *,
    net_bps: float = 12.0,
    gross_bps: float | None = None,
    flags: int = 0,
    direction_id: int = 0,
    instance: int = INSTANCE,
) -> Signal:
    return Signal(
        seq=seq,
        mono_ns=ts_ns,
        ts_engine=ts_ns,
        ts_trigger=ts_ns - 1_000,
        spot_bid_px=99.9,
        spot_bid_sz=1.0,
        spot_ask_px=100.0,
        spot_ask_sz=2.0,
        fut_bid_px=100.4,
        fut_bid_sz=3.0,
        fut_ask_px=100.5,
        fut_ask_sz=4.0,
        spot_ts_event=ts_ns - 3_000,
        spot_ts_recv=ts_ns - 2_000,
        fut_ts_event=ts_ns - 3_000,
        fut_ts_recv=ts_ns - 1_000,
        gross_bps=net_bps + 28.0 if gross_bps is None else gross_bps,
        fees_bps=25.0,
        carry_bps=3.0,
        net_bps=net_bps,
        exit_bps=-60.0,
        size_quote=200.0,
        close_bps=0.0,
        usual_bps=math.nan,
        parity_bps=-10.0,
        size_base=2.0,
        spot_fee_bps=7.5,
        spot_update_id=7,
        fut_update_id=9,
        symbol_id=symbol_id,
        direction_id=direction_id,
        kind=kind,
        flags=flags,
        generation=1,
        instance=instance,
        usual_generation=0,
        reserved=b"",
    )


def quotes(*rows: tuple[float, float, float, float, int, int]) -> np.ndarray:
    """(bid_px, bid_sz, ask_px, ask_sz, ts_recv, flags) each."""
    made = np.zeros(len(rows), QUOTE_DTYPE)
    names = ("bid_px", "bid_sz", "ask_px", "ask_sz", "ts_recv", "flags")
    for name, column in zip(names, zip(*rows, strict=True), strict=True):
        made[name] = column
    return made


SEEN = Quotes(quotes((99.9, 1.0, 100.0, 2.0, 1, 0)), quotes((100.4, 3.0, 100.5, 4.0, 1, 0)))


def make_look(
    exit_bps: float = -60.0, gross_bps: float | None = None, *, lost: bool = False
) -> Look:
    """Of two books without a width, unless told: what leaving costs is the distance of the mids.
    The spot stands still at its entry."""
    gross_bps = -exit_bps if gross_bps is None else gross_bps
    px = (100.0, 100.0, 100.0 + gross_bps / 100, 100.0 - exit_bps / 100)
    if lost:
        return Look(None, None, None, None, 5, 6, int(SampleFlag.SPOT_LOST), 0, SEEN, px)
    return Look(gross_bps, exit_bps, 200.0, 100.0, 5, 6, 0, 0, SEEN, px)


class Bed:
    """One life after another of the same tracker, over one database and one ring."""

    def __init__(
        self,
        path: Path,
        *,
        symbols: int = 4,
        rules: Rules = RULES,
        rates: Rates | None = None,
        start_ns: int = START_NS,
    ) -> None:
        self.path = path
        self.rules = rules
        self.rates = rates
        self.ears: Ears | None = None
        self.pairs = pairs(symbols)
        self.now_ns = start_ns
        self.ring: list[RingRecord] = []
        self.released = 0  # how many of the ring's records were given back
        self.exits: dict[int, float] = {}  # by symbol: exit_bps of its quotes; NaN: lost
        self.instance = INSTANCE
        self.counts = Counts()
        self.open()

    def open(self) -> None:
        """A new life."""
        self.journal = Journal()
        self.book = Book(
            *(self.rules, self.pairs, self.journal, self.counts, lambda *_: 10.0),
            *(self.rates, self.ears),
        )
        self.grid = Grid(self.rules.step_ns, self.now_ns)
        self.database = Database(self.path, STREAM, self.now_ns)
        kept = self.database.load()
        self.book.start(kept.next_id, kept.last_seq)
        self.journal.last_ts_ns = kept.last_ts_ns
        self.book.restore(kept.open_rows, kept.probed, self.instance, self.now_ns)
        self.base = self.released
        self.waiting: list[Batch] = []

    def kill(self) -> None:
        """What was not committed is gone; ring and database stay."""
        self.database.close()
        self.open()

    def push(self, symbol_id: int, kind: SignalKind, **fields: float) -> None:
        signal = make_signal(len(self.ring), self.now_ns, symbol_id, kind, **fields)  # type: ignore[arg-type]
        self.ring.append(signal)

    def pop(self) -> None:
        done = self.base + self.journal.applied
        self.book.apply(self.ring[done:])

    def look(self, symbol_id: int) -> Look:
        exit_bps = self.exits.get(symbol_id, -60.0)
        return make_look(lost=True) if exit_bps != exit_bps else make_look(exit_bps)

    def sample(self) -> None:
        due = self.book.due_probes(self.now_ns)
        self.book.probe(due, [self.look(p.followed.row.symbol_id) for p in due], self.now_ns)
        point_ns = self.grid.due(self.now_ns)
        if point_ns is not None:
            watched = self.book.due(self.book.watched(), point_ns)
            seen = [self.look(followed.row.symbol_id) for followed in watched]
            self.book.sample(watched, seen, point_ns, self.now_ns)

    def advance(self, ms: float) -> None:
        self.now_ns += int(ms * NS_PER_MS)

    def run(self, ms: float) -> None:
        """Time passes with a look on every grid point and probe, none of them late."""
        end_ns = self.now_ns + int(ms * NS_PER_MS)
        while True:
            next_ns = min(self.grid.next_ns, self.book.next_probe_ns or self.grid.next_ns)
            if next_ns > end_ns:
                break
            self.now_ns = max(self.now_ns, next_ns)
            self.sample()
        self.now_ns = end_ns

    def urgent(self) -> None:
        """What signals made is written, samples are not."""
        self.commit(everything=False)

    def commit(self, *, release: bool = True, everything: bool = True) -> None:
        batch = self.journal.drain(self.counts, everything=everything)
        self.database.write(batch, self.now_ns)
        if release:
            self.released = self.base + batch.applied

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        return list(self.database._connection.execute(query))
