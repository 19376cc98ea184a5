"""What has changed and is not yet in the database: collected by the book, taken by the writer.

A batch is one consistent instant: the rows, and the sequence number of the last signal that they
reflect. Rows that change many times between two transactions are kept once. While the database
cannot be written, the journal grows up to a limit; then the oldest samples and probes go first,
closed opportunities last, open ones never, and every dropped row is counted.
"""

from collections import deque
from collections.abc import Mapping
from typing import Any, NamedTuple

from spread_scanner.tracker.opportunity import (
    Opportunity,
    ProbeRow,
    SampleRow,
    progress_of,
    row_of,
)


class Batch(NamedTuple):
    """One transaction."""

    rows: list[tuple[Any, ...]]  # whole opportunities, opened or closed
    progress: list[tuple[Any, ...]]  # what changed of open ones
    samples: list[SampleRow]
    probes: list[ProbeRow]
    last_seq: int | None  # the newest signal that is reflected
    applied: int  # signals taken from the ring since the process began
    totals: Mapping[str, int]  # of this run

    @property
    def size(self) -> int:
        return len(self.rows) + len(self.progress) + len(self.samples) + len(self.probes)


class Journal:
    """Changes since the last batch."""

    def __init__(self) -> None:
        self.last_seq: int | None = None
        self.applied = 0
        self._whole: dict[int, Opportunity] = {}
        self._touched: dict[int, Opportunity] = {}
        self._samples: deque[SampleRow] = deque()
        self._probes: deque[ProbeRow] = deque()
        self._moved = False

    @property
    def pending(self) -> int:
        """Rows that wait."""
        return len(self._whole) + len(self._touched) + len(self._samples) + len(self._probes)

    @property
    def dirty(self) -> bool:
        """Whether there is anything to write, be it only the position in the ring."""
        return self._moved or self.pending > 0

    def signal(self, seq: int) -> None:
        """A signal has been applied, or recognised as applied before."""
        self.last_seq = seq
        self._moved = True

    def whole(self, row: Opportunity) -> None:
        """An opportunity was opened or closed."""
        self._touched.pop(row.id, None)
        self._whole[row.id] = row

    def touched(self, row: Opportunity) -> None:
        """An open opportunity changed."""
        if row.id not in self._whole:
            self._touched[row.id] = row

    def sample(self, row: SampleRow) -> None:
        self._samples.append(row)

    def probe(self, row: ProbeRow) -> None:
        self._probes.append(row)

    def drain(self, totals: Mapping[str, int]) -> Batch:
        """Everything so far, as it is now."""
        batch = Batch(
            rows=[row_of(row) for row in self._whole.values()],
            progress=[progress_of(row) for row in self._touched.values()],
            samples=list(self._samples),
            probes=list(self._probes),
            last_seq=self.last_seq,
            applied=self.applied,
            totals=dict(totals),
        )
        for part in (self._whole, self._touched, self._samples, self._probes):
            part.clear()
        self._moved = False
        return batch

    def drop_beyond(self, limit: int) -> int:
        """Let go of the oldest rows until no more than `limit` wait. Returns how many went."""
        excess = self.pending - limit
        dropped = 0
        for queue in (self._samples, self._probes):
            while dropped < excess and queue:
                queue.popleft()
                dropped += 1
        if dropped < excess:
            closed = [row.id for row in self._whole.values() if row.closed_ns is not None]
            for number in closed[: excess - dropped]:
                del self._whole[number]
                dropped += 1
        return dropped
