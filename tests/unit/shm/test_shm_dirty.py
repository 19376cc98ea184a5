"""Dirty bitmaps against sets, and who may hold them."""

import itertools
import os

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from spread_scanner.errors import SegmentError
from spread_scanner.schema.enums import DIRTY_READERS
from spread_scanner.schema.records import QUOTE_DTYPE
from spread_scanner.shm import PriceStore, segment
from spread_scanner.shm.faults import AlreadyClaimed, BadInput

SOURCES = 2
GOOD = (100.0, 1.0, 101.0, 2.0, 5, 6, 7)
_numbers = itertools.count()
sources = st.integers(0, SOURCES - 1)
readers = st.integers(0, len(DIRTY_READERS) - 1)


class DirtyMachine(RuleBasedStateMachine):
    """Any sequence of writes and takes equals the same on a set per reader and source."""

    symbols = 1

    def __init__(self) -> None:
        super().__init__()
        self.namespace = f"test-dirty-{os.getpid()}-{next(_numbers)}"
        self.store = PriceStore.create(
            self.namespace, num_sources=SOURCES, max_symbols=self.symbols
        )
        self.writers = [self.store.writer(source) for source in range(SOURCES)]
        self.bitmaps = [self.store.dirty(reader) for reader in DIRTY_READERS]
        everything = set(range(self.symbols))
        self.model = [[set(everything) for _ in range(SOURCES)] for _ in DIRTY_READERS]
        self.written: list[set[int]] = [set() for _ in range(SOURCES)]

    def _mark(self, source: int, symbols: set[int]) -> None:
        for of_reader in self.model:
            of_reader[source] |= symbols

    @rule(source=sources, share=st.floats(0, 1, exclude_max=True))
    def write(self, source: int, share: float) -> None:
        symbol = int(share * self.symbols)
        self.writers[source].write(symbol, *GOOD)
        self._mark(source, {symbol})
        self.written[source].add(symbol)

    @rule(source=sources, shares=st.lists(st.floats(0, 1, exclude_max=True), max_size=70))
    def write_many(self, source: int, shares: list[float]) -> None:
        symbols = [int(share * self.symbols) for share in shares]
        quotes = np.zeros(len(symbols), QUOTE_DTYPE)
        quotes["bid_px"], quotes["ask_px"] = 1.0, 2.0
        self.writers[source].write_many(np.array(symbols, np.uint16), quotes)
        self._mark(source, set(symbols))
        self.written[source] |= set(symbols)

    @rule(source=sources)
    def mark_stale_marks_once(self, source: int) -> None:
        snapshot = self.store.snapshot()[source]
        fresh = {s for s in self.written[source] if not snapshot["flags"][s] & 1}
        assert self.writers[source].mark_stale() == len(fresh)
        self._mark(source, fresh)

    @rule(reader=readers, source=sources)
    def take(self, reader: int, source: int) -> None:
        expected = sorted(self.model[reader][source])
        assert self.bitmaps[reader].take(source).tolist() == expected
        self.model[reader][source].clear()

    @rule(reader=readers)
    def take_all(self, reader: int) -> None:
        expected = [(s, sorted(marks)) for s, marks in enumerate(self.model[reader]) if marks]
        found = [(s, ids.tolist()) for s, ids in self.bitmaps[reader].take_all()]
        assert found == expected
        for marks in self.model[reader]:
            marks.clear()

    @rule(reader=readers)
    def wait_tells_whether_something_is_dirty(self, reader: int) -> None:
        assert self.bitmaps[reader].wait(0.0) == any(self.model[reader])

    @rule(reader=readers)
    def a_reader_restarts_and_starts_from_everything(self, reader: int) -> None:
        self.bitmaps[reader].close()
        self.bitmaps[reader] = self.store.dirty(DIRTY_READERS[reader])
        self.model[reader] = [set(range(self.symbols)) for _ in range(SOURCES)]

    def teardown(self) -> None:
        for writer in self.writers:
            writer.close()
        for bitmap in self.bitmaps:
            bitmap.close()
        self.store.close()
        for name in segment.names(self.namespace):
            segment.remove(name)


@pytest.mark.parametrize("symbols", [1, 64, 65, 1000])
def test_b1_bitmaps_equal_sets(symbols: int) -> None:
    """B1 every mark is taken exactly once; B2 each reader has a bitmap of its own."""
    run_state_machine_as_test(
        type("Machine", (DirtyMachine,), {"symbols": symbols}),
        settings=settings(
            max_examples=25,
            stateful_step_count=30,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_b2_each_reader_is_one_process_and_known_by_name(namespace: str) -> None:
    with PriceStore.create(namespace, num_sources=1, max_symbols=1) as store:
        with (
            store.dirty(DIRTY_READERS[0]),
            store.dirty(DIRTY_READERS[1]),
            pytest.raises(AlreadyClaimed, match=DIRTY_READERS[0]),
        ):
            store.dirty(DIRTY_READERS[0])
        with pytest.raises(SegmentError, match="no such reader"):
            store.dirty("nobody")
        with store.dirty(DIRTY_READERS[0]) as again, pytest.raises(BadInput, match="source"):
            again.take(1)


def test_notify_wakes_nobody_when_nobody_is_parked(namespace: str) -> None:
    with (
        PriceStore.create(namespace, num_sources=1, max_symbols=1) as store,
        store.dirty(DIRTY_READERS[0]) as dirty,
    ):
        assert dirty.notify() is False
        assert dirty.notifications == 0
        with pytest.raises(ValueError, match="timeout_ms"):
            dirty.wait(-1.0)
