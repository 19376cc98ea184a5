"""What has changed and is not yet in the database: collected by the book, taken by the writer.

A batch is one consistent instant. What signals change (an opening, a closing, the position in the
ring) is written at once. What samples change is written rarely, by `drain` of everything: their
rows are appended in the order of time, and an open row's columns that only samples change follow
then. So a row never claims a sample that is not in the same transaction or an earlier one, and a
kill costs the samples since the last full batch, never a signal. A closing takes everything along.

Rows that change many times between two transactions are kept once. While the database cannot be
written, the journal grows up to a limit; then the oldest samples and probes go first, closed
opportunities last, open ones never, and every dropped row is counted.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from spread_scanner.tracker.opportunity import (
    COLUMNS,
    Opportunity,
    ProbeRow,
    SampleRow,
    SettlementRow,
    row_of,
    sampled_of,
    signalled_of,
)

SAMPLE_BYTES = 8 * len(SampleRow._fields)  # as they are measured
FULL_BYTES = 65_536  # samples that are worth a transaction


class Stretch(NamedTuple):
    """A time in which a tracker ran and was not paused: a row of the table of runs."""

    since_ns: int
    until_ns: int


class Batch(NamedTuple):
    """One transaction."""

    rows: list[tuple[Any, ...]]  # whole opportunities, opened or closed
    signalled: list[tuple[Any, ...]]  # what signals changed of open ones
    sampled: list[tuple[Any, ...]]  # what samples changed of open ones
    samples: list[SampleRow]
    probes: list[ProbeRow]
    last_seq: int | None  # the newest signal that is reflected
    applied: int  # signals taken from the ring since the process began
    totals: Mapping[str, int]  # of this run
    settlements: Sequence[SettlementRow] = ()
    stretch: Stretch | None = None  # of this run up to now; None: since the database was opened
    reflected: Mapping[str, int] = {}  # by store (lost_ring.py), the newest signal of its ring

    @property
    def size(self) -> int:
        parts = (self.rows, self.signalled, self.sampled, self.samples, self.probes)
        return sum(len(part) for part in parts) + len(self.settlements)


class Journal:
    """Changes since the last batch. `store`: of which signals are now, as lost_ring.py names it."""

    def __init__(self, store: str = "") -> None:
        self._store = store
        self._made_up_for: dict[str, int] = {}
        self.last_seq: int | None = None
        self.last_ts_ns = 0  # of the newest sample
        self.applied = 0
        self._whole: dict[int, Opportunity] = {}
        self._signalled: dict[int, Opportunity] = {}
        self._sampled: dict[int, Opportunity] = {}
        self._samples: deque[SampleRow] = deque()
        self._probes: deque[ProbeRow] = deque()
        self._settlements: deque[SettlementRow] = deque()
        self._moved = False

    @property
    def pending(self) -> int:
        """Rows that wait."""
        rows = self._whole.keys() | self._signalled.keys() | self._sampled.keys()
        return len(rows) + len(self._samples) + len(self._probes) + len(self._settlements)

    @property
    def urgent(self) -> bool:
        """Whether something came from a signal, be it only the position in the ring."""
        return bool(self._moved or self._whole or self._signalled)

    @property
    def dirty(self) -> bool:
        """Whether there is anything to write."""
        waiting = (self._sampled, self._samples, self._probes, self._settlements)
        return self.urgent or any(waiting)

    @property
    def full(self) -> bool:
        """Whether the samples alone are worth a transaction."""
        return len(self._samples) * SAMPLE_BYTES >= FULL_BYTES

    def signal(self, seq: int) -> None:
        """A signal has been applied, or recognised as applied before."""
        self.last_seq = seq
        self._moved = True

    def made_up_for(self, store: str, seq: int) -> None:
        """Signals of a ring that is gone have been applied, up to this one."""
        self._made_up_for[store] = seq
        self._moved = True

    def whole(self, row: Opportunity) -> None:
        """An opportunity was opened or closed."""
        self._signalled.pop(row.id, None)
        self._sampled.pop(row.id, None)
        self._whole[row.id] = row

    def signalled(self, row: Opportunity) -> None:
        """A signal changed an open opportunity."""
        if row.id not in self._whole:
            self._signalled[row.id] = row

    def sampled(self, row: Opportunity) -> None:
        """A sample or probe changed an open opportunity."""
        if row.closed_ns is None:
            self._sampled[row.id] = row

    def sample(self, row: SampleRow) -> None:
        """Its time is its key: those of one instant stand a nanosecond apart, and their lateness
        with them."""
        ahead_ns = self.last_ts_ns + 1 - row.ts_ns
        if ahead_ns > 0:
            row = row._replace(ts_ns=row.ts_ns + ahead_ns, late_ns=row.late_ns + ahead_ns)
        self.last_ts_ns = row.ts_ns
        self._samples.append(row)

    def probe(self, row: ProbeRow) -> None:
        self._probes.append(row)

    def settlement(self, row: SettlementRow) -> None:
        """It goes with the samples: the row that counts it does, too."""
        self._settlements.append(row)

    def drain(
        self,
        totals: Mapping[str, int],
        *,
        everything: bool = True,
        stretch: Stretch | None = None,
    ) -> Batch:
        """What has come so far, as it is now; without `everything` only what signals made, unless
        something was closed or resumed."""
        whole = list(self._whole.values())
        # An open row with a gap is a resumed one: it has samples in the database already.
        everything = everything or any(row.closed_ns is not None or row.gaps for row in whole)
        batch = Batch(
            rows=[row_of(row) if everything else _unsampled(row) for row in whole],
            signalled=[signalled_of(row) for row in self._signalled.values()],
            sampled=[sampled_of(row) for row in self._sampled.values()] if everything else [],
            samples=list(self._samples) if everything else [],
            probes=list(self._probes) if everything else [],
            last_seq=self.last_seq,
            applied=self.applied,
            totals=dict(totals),
            settlements=list(self._settlements) if everything else [],
            stretch=stretch,
            reflected=self._reflected(),
        )
        if not everything:
            self._sampled.update((row.id, row) for row in whole)
        for part in (self._whole, self._signalled):
            part.clear()
        if everything:
            for waiting in (self._sampled, self._samples, self._probes, self._settlements):
                waiting.clear()
        self._moved = False
        return batch

    def _reflected(self) -> dict[str, int]:
        """Of the store of now in each batch, of those before once."""
        reflected, self._made_up_for = self._made_up_for, {}
        if self.last_seq is not None and self._store:
            reflected[self._store] = self.last_seq
        return reflected

    def drop_beyond(self, limit: int) -> int:
        """Let go of the oldest rows until no more than `limit` wait. Returns how many went."""
        excess = self.pending - limit
        dropped = 0
        for queue in (self._samples, self._probes, self._settlements):
            while dropped < excess and queue:
                queue.popleft()
                dropped += 1
        if dropped < excess:
            closed = [row.id for row in self._whole.values() if row.closed_ns is not None]
            for number in closed[: excess - dropped]:
                del self._whole[number]
                dropped += 1
        return dropped


_COUNTED = [COLUMNS.index(name) for name in ("samples", "late", "missed", "lost", "settlements")]
_MARK = [place for place, name in enumerate(COLUMNS) if name.startswith("mark_")]
_LAST_SEEN, _SETTLED = COLUMNS.index("last_seen_ns"), COLUMNS.index("settled_ns")
_PAID = COLUMNS.index("funding_paid")


def _unsampled(row: Opportunity) -> tuple[Any, ...]:
    """An opening row as it is without the samples that are not written with it."""
    values = list(row_of(row))
    for place in _COUNTED:
        values[place] = 0
    for place in _MARK:
        values[place] = None
    values[_LAST_SEEN] = row.last_signal_ns
    values[_SETTLED], values[_PAID] = row.opened_ns, 0.0
    return tuple(values)
