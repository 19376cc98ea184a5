"""The opportunities that are open: pure logic, no clock, no memory, no database of its own.

A pair has at most one open opportunity. The first enter or re-signal opens it; every further one
extends it: it is counted, and the maximum life counts anew. An exit signal is the engine's word
that the net spread is gone; it is noted, but what closes an opportunity is what the samples show:

    converged  leaving would realise take_share of what the first signal promised (worth.py) in
               every look for converge_ms, with both legs usable
    stale      a leg unusable in every look for stale_hold_ms
    expired    life_s_max after the last signal
    gap        nobody looked for longer than resume_gap_s_max, or the legs are other listings than
               before: what was paid and what is quoted now are not of one unit
    retired    the pair left the tables

After an exit the looks are sparse: one each sparse_ns, until a signal comes again. Whatever closes
it, the row has the mark of the last look at which both legs could be stood behind; only of what
converged is that called realised.

A hold is only claimed over time that was seen: it begins anew after a stretch without a look that
is longer than the hold itself and than two steps of its grid. `ended_ns` is where the hold began.

Signals carry consecutive sequence numbers: what was seen before (read again from the ring after a
crash) is counted and dropped, what is missing is counted.
"""

import heapq
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from spread_scanner import config
from spread_scanner.clock import NS_PER_MS, NS_PER_S
from spread_scanner.schema.enums import SignalKind
from spread_scanner.schema.records import SIGNAL_LEG_LOST
from spread_scanner.tracker import depths, worth
from spread_scanner.tracker.hearing import Deaf, Ears
from spread_scanner.tracker.journal import Journal
from spread_scanner.tracker.opening import makes_sense, opened_by
from spread_scanner.tracker.opportunity import (
    LOST,
    UNREAD,
    Followed,
    FollowUp,
    Opportunity,
    ProbeRow,
    Reason,
    RingRecord,
    SampleFlag,
    SampleRow,
    Signal,
)
from spread_scanner.tracker.pairs import Pair, PairKey
from spread_scanner.tracker.sampler import Look
from spread_scanner.tracker.settling import Rates, TableRates, settle

PROBES_MS = (50, 100, 250, 500)


class BookTally(Protocol):
    """Where the book counts; labels are those of schema.counters.TRACKER_COUNTERS."""

    def add(self, label: str, count: int = 1) -> None: ...


class Rules(NamedTuple):
    """The tracker's settings in the book's units."""

    step_ns: int
    sparse_ns: int  # a multiple of the step
    late_ns_max: int
    life_ns_max: int
    take_share: float
    converge_ns: int
    stale_hold_ns: int
    resume_gap_ns_max: int
    open_max: int

    @classmethod
    def of(cls, settings: config.Tracker) -> "Rules":
        step_ns = settings.sample_ms * NS_PER_MS
        return cls(
            step_ns=step_ns,
            sparse_ns=max(1, settings.sample_exited_ms * NS_PER_MS // step_ns) * step_ns,
            late_ns_max=settings.late_ms_max * NS_PER_MS,
            life_ns_max=int(settings.life_s_max * NS_PER_S),
            take_share=settings.take_share,
            converge_ns=settings.converge_ms * NS_PER_MS,
            stale_hold_ns=settings.stale_hold_ms * NS_PER_MS,
            resume_gap_ns_max=int(settings.resume_gap_s_max * NS_PER_S),
            open_max=settings.open_max,
        )


class Probe(NamedTuple):
    """A look that is due a fixed time after an opening signal. Ordered by when."""

    due_ns: int
    opportunity_id: int
    after_ms: int
    followed: Followed


class Book:
    """All open opportunities, and the probes still to be taken (which outlive a closing)."""

    def __init__(
        self,
        rules: Rules,
        pairs: Mapping[PairKey, Pair],
        journal: Journal,
        tally: BookTally,
        enter_bps: Callable[[str, str], float],
        rates: Rates | None = None,
        ears: Ears | None = None,
        generation: int | None = None,
        then: Callable[[int], Mapping[PairKey, Pair]] = lambda generation: {},
    ) -> None:
        """Without `rates` and `ears` nothing is known of funding and of connections. `generation`:
        of the tables that `pairs` are of, None: of all signals; `then` has those of others.
        """
        self.rules = rules
        self.pairs = pairs
        self._by_name = _by_name(pairs)
        self._generation = generation
        self._then = then
        self._enter_bps = enter_bps
        self.rates: Rates = rates or TableRates()
        self._ears: Ears = ears or Deaf()
        self._journal = journal
        self._tally = tally
        self._next_id = 1
        self._open: dict[PairKey, Followed] = {}
        self._probes: list[Probe] = []

    @property
    def open_count(self) -> int:
        return len(self._open)

    def watched(self) -> list[Followed]:
        """Everything open, to be looked at on the grid."""
        return list(self._open.values())

    def start(self, next_id: int, last_seq: int | None) -> None:
        """Go on counting where an earlier life ended."""
        self._next_id = next_id
        self._journal.last_seq = last_seq

    # Signals.

    def apply(self, signals: Iterable[RingRecord]) -> None:
        """Take signals, and what followed on them, in the order of the ring."""
        journal = self._journal
        for signal in signals:
            last = journal.last_seq
            journal.applied += 1
            if last is not None and signal.seq <= last:
                self._tally.add("duplicates")
                journal.signal(last)
                continue
            if last is not None and signal.seq > last + 1:
                self._tally.add("signal_gaps", signal.seq - last - 1)
            journal.signal(signal.seq)
            self._tally.add("signals")
            self._take(signal)

    def _take(self, signal: RingRecord) -> None:
        pair = self._meant(signal)
        followed = None if pair is None else self._open.get((pair.direction_id, pair.symbol_id))
        if isinstance(signal, FollowUp):
            self._tally.add("follow_ups")
            if followed is not None and depths.note(followed.row, signal):
                self._journal.signalled(followed.row)
        elif signal.kind == SignalKind.EXIT:
            self._tally.add("exits")
            if followed is not None:
                self._note_exit(followed, signal)
        elif pair is None or not makes_sense(signal):
            self._tally.add("refused_unknown")
        elif followed is not None:
            self._extend(followed, signal)
        elif len(self._open) >= self.rules.open_max:
            self._tally.add("refused_full")
        else:
            self._open_new(pair, signal)

    def _meant(self, signal: RingRecord) -> Pair | None:
        """The pair of a signal, if it is still in the tables with the same listings. One of other
        tables than those in force goes by its own: an id may mean another coin by now."""
        key = (signal.direction_id, signal.symbol_id)
        if self._generation is None or signal.generation == self._generation & 0xFFFF_FFFF:
            return self.pairs.get(key)
        meant = self._then(signal.generation).get(key)
        now = None if meant is None else self._by_name.get((meant.direction, meant.symbol))
        return now if now is not None and meant is not None and now.legs == meant.legs else None

    def _note_exit(self, followed: Followed, signal: Signal) -> None:
        row = followed.row
        row.left_ns = signal.ts_engine
        row.exits += 1
        if row.first_exit_ns is None:
            row.first_exit_ns = signal.ts_engine
            row.flags |= signal.flags & SIGNAL_LEG_LOST
        self._journal.signalled(row)

    def mind_blocked(self, blocked: Callable[[Pair], bool], now_ns: int) -> None:
        """Pairs of which the engine may say nothing have left it without an exit: they are seen
        sparsely, unless a signal comes again."""
        for followed in self._open.values():
            if followed.row.left_ns is None and blocked(followed.pair):
                followed.row.left_ns = now_ns
                self._journal.signalled(followed.row)

    def _extend(self, followed: Followed, signal: Signal) -> None:
        self._tally.add("extended")
        row = followed.row
        if row.left_ns is not None:
            row.left_ns = None
            followed.next_point_ns = self._point_after(signal.ts_engine)
        row.signals += 1
        row.last_signal_ns = max(row.last_signal_ns, signal.ts_engine)
        row.last_seen_ns = max(row.last_seen_ns, signal.ts_engine)
        self._peak(row, worth.net_bps(row, signal.gross_bps), signal.ts_engine)
        self._journal.signalled(row)

    def _open_new(self, pair: Pair, signal: Signal) -> None:
        enter_bps = self._enter_bps(pair.direction, pair.symbol)
        row = opened_by(signal, pair, self._next_id, enter_bps)
        self._next_id += 1
        followed = Followed(row, pair, self._point_after(signal.ts_engine))
        followed.heard = self._ears.note(pair)
        settle(followed, self.rates, signal.ts_engine)
        self._open[pair.direction_id, pair.symbol_id] = followed
        self._plan_probes(followed, PROBES_MS)
        self._tally.add("opened")
        self._journal.whole(row)

    def _point_after(self, ts_ns: int) -> int:
        return (ts_ns // self.rules.step_ns + 1) * self.rules.step_ns

    # Samples.

    def sample(
        self, watched: Sequence[Followed], looks: Sequence[Look], point_ns: int, now_ns: int
    ) -> int:
        """One look at everything open, for the grid point `point_ns`, taken at `now_ns`. Returns
        for how many of them this point counts.
        """
        late_ns = now_ns - point_ns
        late = late_ns > self.rules.late_ns_max
        taken = missed = 0
        for followed, look in zip(watched, looks, strict=True):
            if point_ns < followed.next_point_ns or followed.row.closed_ns is not None:
                continue  # opened after this point
            if self._out_of_sight(followed, now_ns):
                continue
            missed += self._miss(followed, point_ns)
            taken += 1
            self._settle(followed, now_ns)
            self._record(followed, look, late_ns, now_ns, late=late)
            self._judge(followed, look, now_ns)
        self._tally.add("samples", taken)
        self._tally.add("samples_missed", missed)
        if late:
            self._tally.add("samples_late", taken)
        return taken

    def _step(self, followed: Followed) -> int:
        """How far its points lie apart now."""
        return self.rules.step_ns if followed.row.left_ns is None else self.rules.sparse_ns

    def _miss(self, followed: Followed, point_ns: int) -> int:
        """Count the grid points that passed unseen; never filled in afterwards."""
        step_ns = self._step(followed)
        missed = (point_ns - followed.next_point_ns) // step_ns
        followed.row.missed += missed
        followed.next_point_ns = point_ns + step_ns
        return missed

    def due(self, watched: Iterable[Followed], point_ns: int) -> list[Followed]:
        """Those that a grid point counts for: not what was opened after it, or is seen sparsely."""
        return [one for one in watched if point_ns >= one.next_point_ns]

    def _settle(self, followed: Followed, now_ns: int) -> None:
        paid = settle(followed, self.rates, now_ns)
        if paid is not None:
            self._journal.settlement(paid)

    def _record(
        self, followed: Followed, look: Look, late_ns: int, now_ns: int, *, late: bool
    ) -> None:
        row = followed.row
        net = worth.net_bps(row, look.gross_bps)
        row.samples += 1
        row.late += late
        row.lost += look.flags & UNREAD != 0
        self._journal.sample(
            SampleRow(
                row.id,
                now_ns,
                late_ns,
                look.gross_bps,
                net,
                look.exit_bps,
                look.size_quote,
                look.exit_size_quote,
                look.spot_age_ns,
                look.fut_age_ns,
                look.flags | (SampleFlag.LATE if late else 0),
                look.depth_size_quote,
            )
        )
        self._peak(row, net, now_ns)
        worth.mark(row, look, now_ns)
        if look.gross_bps is not None:
            followed.fut_px = look.px[2]
        self._journal.sampled(row)

    def _peak(self, row: Opportunity, net: float | None, now_ns: int) -> None:
        if net is not None and net > row.peak_net_bps:
            row.peak_net_bps, row.peak_ns = net, now_ns

    def _out_of_sight(self, followed: Followed, now_ns: int) -> bool:
        """Close what nobody saw for too long, before what is seen now is made part of it."""
        row = followed.row
        unseen_ns = now_ns - row.last_seen_ns
        if unseen_ns <= self.rules.resume_gap_ns_max:
            return False
        row.gaps += 1
        row.gap_ms += unseen_ns / NS_PER_MS
        self._close(followed, Reason.GAP, now_ns, row.last_seen_ns, None)
        return True

    def _judge(self, followed: Followed, look: Look, now_ns: int) -> None:
        """Close what has converged, gone stale or expired."""
        row, rules = followed.row, self.rules
        unseen_ns = now_ns - row.last_seen_ns
        row.last_seen_ns = now_ns
        if look.flags & LOST:
            reason, hold_ns = Reason.STALE, rules.stale_hold_ns
            followed.converged_since_ns = None
            since_ns = self._since(followed, followed.stale_since_ns, unseen_ns, hold_ns)
            followed.stale_since_ns = since_ns
        else:
            reason, hold_ns = Reason.CONVERGED, rules.converge_ns
            followed.stale_since_ns = since_ns = None
            if worth.converges(row, rules.take_share, now_ns):
                since_ns = self._since(followed, followed.converged_since_ns, unseen_ns, hold_ns)
            followed.converged_since_ns = since_ns
        if since_ns is not None and now_ns - since_ns >= hold_ns:
            self._close(followed, reason, now_ns, since_ns, look)
        elif now_ns - row.last_signal_ns >= rules.life_ns_max:
            self._close(followed, Reason.EXPIRED, now_ns, now_ns, look)

    def _since(
        self, followed: Followed, before_ns: int | None, unseen_ns: int, hold_ns: int
    ) -> int:
        """Where a hold began: now, unless it was seen to hold up to now."""
        if before_ns is None or unseen_ns > max(hold_ns, 2 * self._step(followed)):
            return followed.row.last_seen_ns
        return before_ns

    def _close(
        self, followed: Followed, reason: Reason, now_ns: int, ended_ns: int, look: Look | None
    ) -> None:
        del self._open[followed.row.direction_id, followed.row.symbol_id]
        self._close_row(followed.row, reason, now_ns, ended_ns, look)

    def _close_row(
        self, row: Opportunity, reason: Reason, now_ns: int, ended_ns: int, look: Look | None
    ) -> None:
        row.closed_ns, row.ended_ns, row.reason = now_ns, ended_ns, reason.value
        if reason is Reason.CONVERGED:
            row.realised_bps = row.mark_bps
        if look is not None:
            spot, futures = look.sides()
            row.exit_gross_bps = look.gross_bps
            row.reentry_net_bps = worth.net_bps(row, look.gross_bps)
            row.exit_bps = look.exit_bps
            row.exit_size_quote = look.exit_size_quote
            (
                row.exit_spot_bid_px,
                row.exit_spot_bid_sz,
                row.exit_spot_ask_px,
                row.exit_spot_ask_sz,
            ) = spot
            (
                row.exit_fut_bid_px,
                row.exit_fut_bid_sz,
                row.exit_fut_ask_px,
                row.exit_fut_ask_sz,
            ) = futures
            row.exit_spot_age_ns, row.exit_fut_age_ns = look.spot_age_ns, look.fut_age_ns
            row.exit_flags = look.flags
        self._tally.add(f"closed_{reason.value}")
        self._journal.whole(row)

    # Probes.

    @property
    def next_probe_ns(self) -> int | None:
        """When the next probe is due."""
        return self._probes[0].due_ns if self._probes else None

    def due_probes(self, now_ns: int, limit: int = 1_000_000) -> list[Probe]:
        """The probes to be taken now, up to `limit` of them. Those that are too late for an
        answer are noted as missed: what stands 200 ms after a signal says nothing about 50 ms.
        """
        due: list[Probe] = []
        while self._probes and self._probes[0].due_ns <= now_ns and len(due) < limit:
            probe = heapq.heappop(self._probes)
            if probe.followed.retired or now_ns - probe.due_ns > self.rules.late_ns_max:
                self._tally.add("probes_missed")
                missed = (probe.opportunity_id, probe.after_ms, None, None, None, None, None, None)
                self._journal.probe(ProbeRow(*missed))
            else:
                due.append(probe)
        return due

    def probe(self, probes: Sequence[Probe], looks: Sequence[Look], now_ns: int) -> None:
        """Record what probes saw."""
        for probe, look in zip(probes, looks, strict=True):
            row = probe.followed.row
            net = worth.net_bps(row, look.gross_bps)
            seen = look.gross_bps is not None
            self._journal.probe(
                ProbeRow(
                    row.id,
                    probe.after_ms,
                    now_ns - probe.due_ns,
                    look.gross_bps,
                    net,
                    look.exit_bps,
                    look.size_quote,
                    look.flags,
                    look.px[1] if seen else None,
                    look.px[2] if seen else None,
                    self._renewed(probe.followed, look, now_ns),
                )
            )
            if row.closed_ns is None:
                self._peak(row, net, now_ns)
                self._journal.sampled(row)
        self._tally.add("probes", len(probes))

    def _renewed(self, followed: Followed, look: Look, now_ns: int) -> int:
        """Which legs are known to stand as they are seen: quoted since the signal, or silent where
        a change would have been told."""
        pair, heard = followed.pair, followed.heard or (None, None)
        legs = (
            (1, look.spot_age_ns, pair.spot_source, heard[0]),
            (2, look.fut_age_ns, pair.futures_source, heard[1]),
        )
        return sum(
            bit
            for bit, age_ns, source_id, before in legs
            if (age_ns is not None and now_ns - age_ns > followed.row.opened_ns)
            or self._ears.told(source_id, before)
        )

    def _plan_probes(self, followed: Followed, after_ms: Iterable[int]) -> None:
        row = followed.row
        for after in after_ms:
            due_ns = row.opened_ns + after * NS_PER_MS
            heapq.heappush(self._probes, Probe(due_ns, row.id, after, followed))

    # New tables, new settings, a new life.

    def reload(
        self,
        pairs: Mapping[PairKey, Pair],
        rules: Rules,
        now_ns: int,
        generation: int | None = None,
    ) -> None:
        """Take new tables and settings. What is open goes on under its new ids; what left the
        tables, or has other listings now, is closed.
        """
        self._generation = generation
        self._by_name = by_name = _by_name(pairs)
        watched = self.watched()
        steps = self.rules.step_ns, self.rules.sparse_ns
        self.pairs, self.rules = pairs, rules
        for followed in watched:
            row = followed.row
            pair = by_name.get((row.direction, row.symbol))
            if pair is None or pair.legs != row.legs:
                followed.retired = True
                reason = Reason.RETIRED if pair is None else Reason.GAP
                self._close(followed, reason, now_ns, now_ns, None)
        for followed in self.watched():
            self._rename(followed, by_name[followed.row.direction, followed.row.symbol])
            followed.ask_ns = 0  # the tables may have other rates
            if (rules.step_ns, rules.sparse_ns) != steps:
                followed.next_point_ns = self._point_after(now_ns)
        self._open = {(f.row.direction_id, f.row.symbol_id): f for f in self.watched()}

    def _rename(self, followed: Followed, pair: Pair) -> None:
        followed.pair = pair
        followed.row.symbol_id, followed.row.direction_id = pair.symbol_id, pair.direction_id

    def restore(
        self,
        rows: Iterable[Opportunity],
        probed: Mapping[int, set[int]],
        instance: int,
        now_ns: int,
        lost: Sequence[RingRecord] = (),
    ) -> None:
        """Go on with what an earlier life left open, and name the gap in it.

        `probed` says which probes of them were recorded. Prices are comparable, also in another
        `instance` of the store, if both legs are the same listings as before. `lost`: signals that
        came behind the last that the earlier life has written, of a ring that is gone.
        """
        for row in rows:
            pair = self._by_name.get((row.direction, row.symbol))
            if pair is None or pair.legs != row.legs:
                reason = Reason.RETIRED if pair is None else Reason.GAP
                self._end_unseen(row, reason, now_ns)
                continue
            followed = Followed(row, pair, self._point_after(now_ns))
            self._rename(followed, pair)
            self._open[pair.direction_id, pair.symbol_id] = followed
        for signal in lost:
            self._tally.add("signals")
            self._tally.add("made_up_for")
            self._take(signal)
        for followed in self.watched():
            row = followed.row
            if 0 <= now_ns - row.last_seen_ns <= self.rules.resume_gap_ns_max:
                self._resume(followed, instance, now_ns)
                if row.id in probed:  # what was just opened has planned its own
                    self._plan_probes(followed, set(PROBES_MS) - probed[row.id])
            else:
                del self._open[row.direction_id, row.symbol_id]
                followed.retired = True
                self._end_unseen(row, Reason.GAP, now_ns)

    def _end_unseen(self, row: Opportunity, reason: Reason, now_ns: int) -> None:
        """Close what nobody has seen since; the clock may have been set back."""
        self._note_gap(row, now_ns)
        self._close_row(row, reason, max(now_ns, row.last_seen_ns), row.last_seen_ns, None)

    def _note_gap(self, row: Opportunity, now_ns: int) -> None:
        row.gaps += 1
        row.gap_ms += max(0, now_ns - row.last_seen_ns) / NS_PER_MS

    def _resume(self, followed: Followed, instance: int, now_ns: int) -> None:
        row = followed.row
        self._note_gap(row, now_ns)
        row.instance = instance
        row.last_seen_ns = now_ns
        row.settled_ns = max(row.settled_ns, row.opened_ns)  # rows of before have none
        followed.next_point_ns = self._point_after(now_ns)
        # What settles next is looked up before the first look, whose price is of after it.
        settle(followed, self.rates, now_ns)
        self._tally.add("resumed")
        self._journal.whole(row)


def _by_name(pairs: Mapping[PairKey, Pair]) -> dict[tuple[str, str], Pair]:
    return {(pair.direction, pair.symbol): pair for pair in pairs.values()}
