"""Killed behind each call to the disk that a recorder makes: what it called safe is there, and the
next life goes on with each tick once.
"""

import contextlib
import os
import signal
from functools import partial
from typing import Any

import pytest
from log_bed import KilledDisk
from recorder_bed import Recorded, recorded_of

from spread_scanner.clock import VirtualClock
from spread_scanner.recorder import recording
from spread_scanner.recorder.compacting import Compacting
from spread_scanner.wal import reader, snapshot
from spread_scanner.wal.disk import LogDisk
from spread_scanner.wal.writer import LogWriter

ROUNDS = 12
SEGMENT_BYTES = 64 << 10  # the documents of a start fill half of one
LIFE_MS = 120_000


def lived(bed: Any, clock: VirtualClock, disk: LogDisk, patch: pytest.MonkeyPatch) -> None:
    """A life with quotes, a snapshot in its midst and one at its end."""
    patch.setattr(recording, "LogDisk", lambda: disk)
    patch.setattr(recording, "LogWriter", partial(LogWriter, segment_bytes=SEGMENT_BYTES))
    patch.setattr(Compacting, "look", lambda _, **__: None)
    with contextlib.ExitStack() as stack:
        recorded = Recorded(bed, clock, stack)
        for number in range(ROUNDS):
            for update_id in range(20):
                recorded.quote(0, number % 5, update_id)
            if number == ROUNDS // 2:
                clock.advance_ms(60_000)
            recorded.turns(3)
            if isinstance(disk, KilledDisk):
                disk.note("durable", "", recorded.recording.log.durable_seq)


def killed_behind(
    bed: Any, clock: VirtualClock, at: int, patch: pytest.MonkeyPatch
) -> tuple[bool, int]:
    """Whether a recorder of its own process got so far, and what it had called safe."""
    told, said = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            lived(bed, clock, KilledDisk(at, said), patch)
            code = 0
        finally:
            os._exit(code)
    os.close(said)
    safe = 0
    with open(told, "rb") as file:
        while raw := file.read(8):
            safe = int.from_bytes(raw, "little")
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, -signal.SIGKILL), code
    clock.advance_ms(LIFE_MS)
    return code != 0, safe


@pytest.mark.slow
def test_killed_behind_each_call_what_was_called_safe_is_there_and_each_tick_once(
    up_bed: Any, virtual_clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    at, killed = 0, True
    while killed:
        killed, safe = killed_behind(up_bed, virtual_clock, at, monkeypatch)
        folder = up_bed.settings.data_dir / "wal"
        seen = [piece.seq + piece.records for piece in reader.pieces(folder)]
        assert safe <= max(seen, default=0), at
        with contextlib.ExitStack() as stack, monkeypatch.context() as patch:
            patch.setattr(Compacting, "look", lambda _, **__: None)
            patch.setattr(recording, "LogWriter", partial(LogWriter, segment_bytes=SEGMENT_BYTES))
            recorded = Recorded(up_bed, virtual_clock, stack)
            recorded.quote()
            recorded.turns(3)
            given = recorded.store_given(0)
        virtual_clock.advance_ms(LIFE_MS)
        assert recorded_of(folder, 0) == given, at
        known, troubles = snapshot.newest(folder)
        assert known is not None, at
        assert troubles == [], at
        at += 1
    assert at > 3 * ROUNDS
