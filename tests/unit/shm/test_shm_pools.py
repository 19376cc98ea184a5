"""The pools' segment: one writer, whole records, places that come and go."""

import os
import signal
import threading
from collections.abc import Callable

import numpy as np
import pytest

from spread_scanner.schema.pools import PACKED_BYTES, POOL_DTYPE, POOLS_MAX
from spread_scanner.shm import segment
from spread_scanner.shm.faults import AlreadyClaimed, BadInput, WrongSegment
from spread_scanner.shm.layout import Kind
from spread_scanner.shm.pools import PoolTable


def row(key: str, slot: int) -> np.ndarray:
    made = np.zeros(1, POOL_DTYPE)
    made["key"], made["slot"] = key.encode(), slot
    return made


def test_what_is_written_is_what_is_read(namespace: str) -> None:
    with PoolTable.create(namespace) as table:
        assert len(table.rows()) == 0
        with table.writer() as writer, PoolTable.attach(namespace) as reader:
            for slot in (1, 2, 3):  # both cells in turn
                writer.write(0, row("one", slot))
                assert reader.rows().tobytes() == row("one", slot).tobytes()
            writer.write(POOLS_MAX - 1, row("other", 7))
            assert [(one["key"], one["slot"]) for one in reader.rows()] == [
                (b"one", 3),
                (b"other", 7),
            ]
            writer.write(0, np.zeros(1, POOL_DTYPE))
            assert reader.rows().tobytes() == row("other", 7).tobytes()
            writer.clear()
            assert len(reader.rows()) == 0
            assert reader.contended == 0


def test_what_a_pool_is_quoted_by_belongs_to_its_record(namespace: str) -> None:
    with (
        PoolTable.create(namespace) as table,
        table.writer() as writer,
        PoolTable.attach(namespace) as reader,
    ):
        assert reader.packed(3, b"one", 0) is None
        for published, packed in enumerate((b"", b"x" * PACKED_BYTES, b"ab"), 1):
            writer.write_state(3, "one", published, packed)
            assert reader.packed(3, b"one", published) == packed
        assert reader.packed(3, b"one", 2) is None, "of a publication that is over"
        assert reader.packed(3, b"other", 3) is None
        for beyond in (POOLS_MAX, -1):
            with pytest.raises(BadInput):
                writer.write_state(beyond, "one", 1, b"")


def test_whoever_waits_is_woken_by_anything_that_is_written(namespace: str) -> None:
    with (
        PoolTable.create(namespace) as table,
        table.writer() as writer,
        table.waiter() as waiter,
        PoolTable.attach(namespace) as reader,
    ):
        with pytest.raises(AlreadyClaimed, match="waiting for pools"):
            table.waiter()
        assert not waiter.wait_beyond(reader.changes, 1.0)
        writes: list[Callable[[], None]] = [
            lambda: writer.write(0, row("one", 1)),
            lambda: writer.write_state(0, "one", 1, b""),
            lambda: writer.slot(77),
            writer.clear,
        ]
        for write in writes:
            before = reader.changes
            write()
            assert waiter.wait_beyond(before, 10_000.0)
        assert reader.slot == 77
        woken = threading.Timer(0.05, waiter.wake)
        woken.start()
        assert waiter.wait_beyond(reader.changes, 10_000.0)
        woken.join()


def test_one_process_writes_at_a_time_and_a_dead_one_holds_nothing(namespace: str) -> None:
    with PoolTable.create(namespace) as table:
        with table.writer(), pytest.raises(AlreadyClaimed, match="the pools"):
            table.writer()
        pid = os.fork()
        if pid == 0:
            PoolTable.attach(namespace).writer().write(1, row("one", 5))
            os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(pid, 0)
        assert table.rows().tobytes() == row("one", 5).tobytes()
        with table.writer() as writer:
            writer.write(1, row("one", 6))


@pytest.mark.parametrize("beyond", [POOLS_MAX, -1])
def test_a_place_beyond_and_a_segment_of_another_length_are_refused(
    namespace: str, beyond: int
) -> None:
    with (
        PoolTable.create(namespace) as table,
        table.writer() as writer,
        pytest.raises(BadInput),
    ):
        writer.write(beyond, row("one", 1))
    segment.create(f"/{namespace}.pools", Kind.POOLS, 4_096, [POOLS_MAX]).close()
    with pytest.raises(WrongSegment):
        PoolTable.attach(namespace)
