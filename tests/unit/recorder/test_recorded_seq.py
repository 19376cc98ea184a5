"""How far the log is with each source, and how far the disk: told by the recorder on the tapes."""

import contextlib
import errno
import os
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from recorder_bed import Recorded

from spread_scanner.clock import NS_PER_MS, VirtualClock
from spread_scanner.recorder import draining
from spread_scanner.schema.log import RecordKind
from spread_scanner.shm.tapes import Tapes
from spread_scanner.wal import reader

HELD_S_MAX = 30.0


@pytest.fixture
def recorded(up_bed: Any, virtual_clock: VirtualClock) -> Iterator[Recorded]:
    with contextlib.ExitStack() as stack:
        made = Recorded(up_bed, virtual_clock, stack)
        made.turns()
        made.recording.log.sync()
        yield made


@contextlib.contextmanager
def held_back(recorded: Recorded, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The disk takes nothing until then."""
    go = threading.Event()

    def fdatasync(file: int) -> None:
        assert go.wait(HELD_S_MAX), "nobody let it go"
        os.fdatasync(file)

    with monkeypatch.context() as patch:
        patch.setattr(recorded.recording.log._disk, "fdatasync", fdatasync)
        try:
            yield
        finally:
            go.set()
            recorded.recording.log.sync()


def told(recorded: Recorded, source_id: int = 0) -> tuple[int, int, float]:
    """Appended, on the disk, and ms since the oldest was taken that is not."""
    with Tapes.attach(recorded.bed.namespace) as tapes:
        words = tapes.recorded(source_id)
    assert words is not None
    since_ns = words.waits_since_ns
    age_ms = (recorded.clock.mono_ns() - since_ns) / NS_PER_MS if since_ns else 0.0
    return words.appended, words.durable, age_ms


def test_what_is_appended_is_ahead_of_the_disk_by_source_until_it_is_synced(
    recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    with held_back(recorded, monkeypatch):
        for _ in range(3):
            recorded.quote(0)
        recorded.turns(5)
        recorded.quote(1)
        recorded.turns()
        assert told(recorded, 0) == (3, 0, 100.0)
        assert told(recorded, 1) == (1, 0, 0.0)
        recorded.quote(0)
        recorded.turns(5)
        assert told(recorded, 0) == (4, 0, 200.0), "the oldest is as old as it was"
        assert told(recorded, 1) == (1, 0, 100.0)
        assert told(recorded, 2) == (0, 0, 0.0)
    recorded.turns()
    assert [told(recorded, one) for one in range(3)] == [(4, 4, 0.0), (1, 1, 0.0), (0, 0, 0.0)]


def test_a_segment_that_fails_is_not_on_the_disk(
    recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(file: int) -> None:
        raise OSError(errno.EIO, "broken")

    log = recorded.recording.log
    recorded.quote()
    recorded.quote()
    recorded.turns()
    log.sync()
    with monkeypatch.context() as patch:
        patch.setattr(log._disk, "fdatasync", broken)
        for _ in range(10):
            recorded.quote()
            recorded.turns()
            log.sync()
            assert told(recorded)[:2] == (recorded.store_given(0), 2)
        assert log.segments_failed
        assert told(recorded)[2] == 180.0
    for _ in range(100):
        recorded.turns()
        in_it = [piece.records for piece in reader.pieces(recorded.folder) if is_ticks(piece)]
        appended, durable, _ = told(recorded)
        assert durable <= sum(in_it)
        if durable == appended:
            break
        log.sync()
    assert told(recorded) == (12, 12, 0.0)


def is_ticks(piece: reader.Piece) -> bool:
    return piece.kind is RecordKind.TICK


def test_a_pause_makes_nothing_durable(recorded: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    with held_back(recorded, monkeypatch):
        recorded.quote()
        recorded.turns(5)
        recorded.recording.pause(True)
        with Tapes.attach(recorded.bed.namespace) as tapes:
            assert tapes.recorded(0) is None
        recorded.recording.pause(False)
        recorded.turns()
        assert told(recorded)[:2] == (1, 0)
    recorded.turns()
    assert told(recorded) == (1, 1, 0.0)


def test_what_the_log_has_no_room_for_waits_on_the_tape_and_ages(
    recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("spread_scanner.wal.writer.UNSYNCED_BYTES_MAX", 0)
        recorded.quote()
        recorded.turns(6)
        assert told(recorded) == (0, 0, 100.0)
        assert told(recorded, 1) == (0, 0, 0.0)
    with held_back(recorded, monkeypatch):
        recorded.turns()
        assert told(recorded) == (1, 0, 120.0)
    recorded.turns()
    assert told(recorded) == (1, 1, 0.0)


@pytest.mark.parametrize("marks_max", [1, 3])
def test_a_disk_that_takes_nothing_for_long_takes_no_more_memory(
    recorded: Recorded, monkeypatch: pytest.MonkeyPatch, marks_max: int
) -> None:
    monkeypatch.setattr(draining, "MARKS_MAX", marks_max)
    with held_back(recorded, monkeypatch):
        for _ in range(10):
            recorded.quote()
            recorded.turns()
        (tape, *_) = recorded.recording._tapes_open
        assert len(tape._marks) == marks_max
        assert told(recorded) == (10, 0, 180.0)
    recorded.turns()
    assert told(recorded) == (10, 10, 0.0)
