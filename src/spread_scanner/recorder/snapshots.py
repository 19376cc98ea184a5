"""A snapshot of the store beside the log, each minute or each GB of it, and at the end; sooner
where segments have to go that none knows yet, as lives may be shorter than a minute.

What the log has is older than what the store shows when it is read afterwards, so the position is
read first. It is written in a thread of its own: a sync takes as long as the disk likes.
"""

from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np

from spread_scanner import clock
from spread_scanner.clock import NS_PER_S
from spread_scanner.recorder.documents import Documents
from spread_scanner.schema.log import TICK_DTYPE
from spread_scanner.shm import PriceStore
from spread_scanner.wal import snapshot
from spread_scanner.wal.disk import LogDisk
from spread_scanner.wal.snapshot import Snapshot
from spread_scanner.wal.times import LogTimes

EACH_NS = 60 * NS_PER_S
EACH_BYTES = 1_000_000_000
EACH_RECORDS = EACH_BYTES // TICK_DTYPE.itemsize


class Snapshots:
    """Those of one log. `refusal`: why the last one was not written."""

    def __init__(
        self, folder: Path, store: PriceStore, documents: Documents, disk: LogDisk
    ) -> None:
        self._folder, self._store, self._documents, self._disk = folder, store, documents, disk
        self.refusal = ""
        self._boot = clock.boot_id()
        self._at_ns, self._at_seq = clock.mono_ns(), 0
        self._thread = ThreadPoolExecutor(1, "snapshot")
        self._writing: Future[None] | None = None

    def turn(self, durable_seq: int) -> None:
        """Have one written, if it is time; hear what became of the one before."""
        if self._writing is not None:
            if not self._writing.done():
                return
            self._hear()
        due = clock.mono_ns() >= self._at_ns + EACH_NS
        if due or durable_seq >= self._at_seq + EACH_RECORDS:
            self._begin(durable_seq)

    def soon(self) -> None:
        """The next one is wanted at once, whenever the last one was."""
        self._at_ns = min(self._at_ns, clock.mono_ns() - EACH_NS)

    def close(self, durable_seq: int) -> None:
        """The last one."""
        if self._writing is not None:
            self._hear()
        if self._documents.tables:  # ids say nothing without
            self._begin(durable_seq)
            self._hear()
        self._thread.shutdown()

    def _begin(self, durable_seq: int) -> None:
        self._at_ns, self._at_seq = clock.mono_ns(), durable_seq
        times = LogTimes(self._store.clock.anchor_ns, clock.wall_ns(), clock.mono_ns(), self._boot)
        taken = Snapshot(durable_seq, times, self._documents.tables, self._quotes())
        self._writing = self._thread.submit(snapshot.write, self._folder, taken, self._disk)

    def _hear(self) -> None:
        writing, self._writing = self._writing, None
        assert writing is not None
        try:
            writing.result()
        except OSError as error:
            self.refusal = f"no snapshot could be written: {error}"
        else:
            self.refusal = ""

    def _quotes(self) -> np.ndarray:
        """Every cell that was ever written."""
        sources, symbols = np.nonzero(self._store.sequences)
        taken = np.zeros(len(sources), TICK_DTYPE)
        taken["source_id"], taken["symbol_id"] = sources, symbols
        taken["quote"] = self._store.snapshot()[sources, symbols]
        return taken
