"""What a source's tapes and the signal ring hold, into the log; what they do not hold any more, as
Gaps. A source has two tapes: of its quotes, and of the levels of its order books that changed.

A record is given back to its tape when it is written (not: on the disk): who is killed in between
reads it again, and the numbers tell that the log has it. How far the log is with a tape, and how
far the disk, is told on the tape itself.
"""

from collections import deque
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from spread_scanner import clock
from spread_scanner.schema.log import GAP_DTYPE, GapOf, RecordKind
from spread_scanner.schema.records import TS_ABSENT
from spread_scanner.shm import SignalRing
from spread_scanner.shm.tapes import Recorded, TapeCounters, TapeReader
from spread_scanner.wal import reader
from spread_scanner.wal.writer import LogWriter

AT_ONCE = 8_192
MARKS_MAX = 64  # of a tape; a disk that refuses for a day takes no more memory
TAIL_SEGMENTS = 2  # of the log, in which a start looks for the last number of each source


class TapeOf(NamedTuple):
    """What stands on a tape."""

    kind: RecordKind
    gap: GapOf
    received: Callable[[np.ndarray], np.ndarray]  # when each was


TICKS = TapeOf(RecordKind.TICK, GapOf.TICKS, lambda ticks: ticks["quote"]["ts_recv"])
LEVELS = TapeOf(RecordKind.BOOK_DELTA, GapOf.BOOK_DELTAS, lambda levels: levels["ts_recv"])
TAPES = (TICKS, LEVELS)


class LogEnd:
    """What the log ends with, of one store: by kind and source the next number and the time of the
    last record, and the last signal."""

    def __init__(self) -> None:
        self.next: dict[tuple[RecordKind, int], int] = {}
        self.ts: dict[tuple[RecordKind, int], int] = {}
        self.signal_seq = 0
        self.signal_ts = TS_ABSENT
        self.begun_ts = 0  # when the oldest segment that was read began; 0: there is none

    @classmethod
    def read(cls, folder: Path, instance_id: int) -> "LogEnd":
        """Of the newest segments alone: who was quiet for longer is not in it. What is damaged, or
        of another version, says nothing. Raises OSError."""
        known = cls()
        try:
            links = reader.chain(folder)
        except reader.NoLog:
            return known
        links = [link for link in links if link.head["instance_id"] == instance_id]
        links = links[-TAIL_SEGMENTS:]
        if links:
            head = links[0].head
            known.begun_ts = int(head["created_mono_ns"]) + int(head["anchor_ns"])
        for link in links:
            data = reader.bytes_of(link)
            for piece in reader.pieces_of(link, data, reader.walk(link, data).blocks):
                known._note(piece)
        return known

    def _note(self, piece: reader.Piece) -> None:
        if piece.kind is RecordKind.SIGNAL:
            last_signal = piece.array()[-1]
            self.signal_seq = int(last_signal["seq"])
            self.signal_ts = int(last_signal["ts_engine"])
        for of in TAPES:
            if piece.kind is of.kind:
                records = piece.array()
                for source_id in np.unique(records["source_id"]).tolist():
                    last = records[records["source_id"] == source_id][-1:]
                    self.next[of.kind, source_id] = int(last["number"][0]) + 1
                    self.ts[of.kind, source_id] = int(of.received(last)[0])


class _Mark(NamedTuple):
    """How far a tape was when it was looked at."""

    seq: int  # of the log: the tape's records are before it
    number: int  # of the tape: those that are
    at_ns: int  # clock.mono_ns


class Tape:
    """One of a source's tapes, while it is recorded. `missed`: records that are in no log."""

    def __init__(
        self,
        of: TapeOf,
        reader: TapeReader,
        source_id: int,
        known: LogEnd,
        log: LogWriter,
        *,
        counters: Callable[[], TapeCounters],
        now_ns: int,
    ) -> None:
        self.of, self.source_id, self._log = of, source_id, log
        self._reader, self._counters = reader, counters
        self._ts = known.ts.get((of.kind, source_id), TS_ABSENT)
        self._unreleased = 0
        self._next = known.next.get((of.kind, source_id), -1)
        if self._next < 0:  # not in the newest of the log: whoever looked then has seen to the rest
            self._next = self._waiting_from(counters().given)
        self.taken = self.missed = self.gaps = 0
        # A pause may have ended before the disk had what was taken until then.
        durable = min(self._next, reader.recorded.durable)
        self._marks: deque[_Mark] = deque()
        self._marked = durable  # the number of the last one
        self._told = Recorded(durable, durable, 0)
        reader.tell(self._told)
        if not self._reader.asked:  # nobody did meanwhile: what passed has no number
            self.drain()
            self._gap(max(self._next, self._counters().given), now_ns)
        self._reader.record()

    def note_end(self, known: LogEnd) -> None:
        """The next number, and the time of the last record."""
        known.next[self.of.kind, self.source_id] = self._next
        known.ts[self.of.kind, self.source_id] = self._ts

    def drain(self) -> None:
        """Take what waits, as long as the log has room."""
        while self._log.room:
            records = self._reader.peek_many(AT_ONCE, self._unreleased)
            if not len(records):
                return
            self._unreleased += len(records)
            self._append(records)
            if len(records) < AT_ONCE:
                return

    def written(self) -> None:
        """What was taken, and the log was told to write: its slots are the feed's again."""
        if self._unreleased:
            self._reader.release(self._unreleased)
            self._unreleased = 0
        self._mark()
        self._tell()

    def _mark(self) -> None:
        if self._next == self._marked:
            return
        at_ns = self._told.waits_since_ns if not self._marks else 0
        if len(self._marks) == MARKS_MAX:
            at_ns = self._marks.pop().at_ns
        mark = _Mark(self._log.appended_seq, self._next, at_ns or clock.mono_ns())
        self._marks.append(mark)
        self._marked = self._next

    def _tell(self) -> None:
        """What a segment that failed had is not on the disk: `durable_seq` stays before it."""
        durable, since_ns = self._told.durable, 0
        while self._marks and self._marks[0].seq <= self._log.durable_seq:
            durable = self._marks.popleft().number
        if self._marks:
            since_ns = self._marks[0].at_ns
        elif not self._log.room and self._counters().given > self._next:  # waits on the tape
            since_ns = self._told.waits_since_ns or clock.mono_ns()
        told = Recorded(self._next, durable, since_ns)
        if told != self._told:
            self._reader.tell(told)
            self._told = told

    def stop(self) -> int:
        """Nothing is asked for any more; how many numbers were given until then."""
        self._reader.stop()
        return self._counters().given

    def close(self, given: int, now_ns: int) -> None:
        """What was dropped of so many, behind all that was taken, is a Gap; what could not be taken
        stays on the tape."""
        following = self._waiting_from(given)
        if following > self._next:
            self._gap(following, now_ns)
        self._reader.close()

    def _waiting_from(self, given: int) -> int:
        """The number of the first record that waits, or that is the next one to be given."""
        waiting = self._reader.peek_many(1, self._unreleased)
        following: int = min([given, *waiting["number"].tolist()])
        return following

    def _append(self, records: np.ndarray) -> None:
        """A Gap stands before the record behind the hole."""
        numbers = records["number"]
        first, last = int(numbers[0]), int(numbers[-1])
        if first == self._next and last - first == len(records) - 1:  # numbers only ever rise
            self._take(records, last)
            return
        records = records[numbers >= self._next]  # the log has what is before
        if not len(records):
            return
        numbers = records["number"]
        holes = (np.flatnonzero(np.diff(numbers) != 1) + 1).tolist()
        for begin, end in pairwise([0, *holes, len(records)]):
            if int(numbers[begin]) != self._next:
                self._gap(int(numbers[begin]), int(self.of.received(records)[begin]))
            self._take(records[begin:end], int(numbers[end - 1]))

    def _take(self, records: np.ndarray, last: int) -> None:
        """Into the log: all of them follow on each other."""
        self._log.append(self.of.kind, records)
        self._next = last + 1
        self._ts = int(self.of.received(records[-1:])[0])
        self.taken += len(records)

    def _gap(self, following: int, ts_to: int) -> None:
        """From the last record to the one of that number."""
        record = gap(self.of.gap, self._next, following, self._ts, ts_to, self.source_id)
        self._log.append(RecordKind.GAP, record)
        self.missed += following - self._next
        self.gaps += 1
        self._next = following


class Signals:
    """The engine's signals, looked on at."""

    def __init__(self, ring: SignalRing, known: LogEnd, log: LogWriter) -> None:
        self._ring, self._log = ring, log
        self._last, self._ts = known.signal_seq, known.signal_ts  # 0: none is known
        # Where the log's end has none: what is older than that has whoever looked then.
        self._since_ts = 0 if self._last else known.begun_ts
        self._at = 0
        self.signals = self.missed = self.gaps = 0

    def drain(self) -> None:
        """Take what is new; what the ring does not have any more is a Gap."""
        if not self._log.room or self._ring.position == self._at:
            return
        first, found = self._ring.past(self._at)
        self._at = first + len(found)
        new = found[(found["seq"] > self._last) & (found["ts_engine"] >= self._since_ts)]
        if not len(new):
            return
        begin = int(new["seq"][0])
        if self._last and begin != self._last + 1:
            self.missed += begin - self._last - 1
            self.gaps += 1
            ts_to = int(new["ts_engine"][0])
            self._log.append(
                RecordKind.GAP, gap(GapOf.SIGNALS, self._last + 1, begin, self._ts, ts_to)
            )
        self._log.append(RecordKind.SIGNAL, new)
        self._last, self._ts = int(new["seq"][-1]), int(new["ts_engine"][-1])
        self.signals += len(new)


def gap(
    what: GapOf, first: int, following: int, ts_from: int, ts_to: int, source_id: int = 0
) -> np.ndarray:
    """The record of what is missing."""
    record = np.zeros(1, GAP_DTYPE)
    record["what"], record["first"], record["next"] = what, first, following
    record["ts_from"], record["ts_to"], record["source_id"] = ts_from, ts_to, source_id
    return record
