"""The pools' segment: one writer, whole records, places that come and go."""

import os
import signal

import numpy as np
import pytest

from spread_scanner.schema.pools import POOL_DTYPE, POOLS_MAX
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


def test_a_place_beyond_and_a_segment_of_another_length_are_refused(namespace: str) -> None:
    with (
        PoolTable.create(namespace) as table,
        table.writer() as writer,
        pytest.raises(BadInput),
    ):
        writer.write(POOLS_MAX, row("one", 1))
    segment.create(f"/{namespace}.pools", Kind.POOLS, 4_096, [POOLS_MAX]).close()
    with pytest.raises(WrongSegment):
        PoolTable.attach(namespace)
