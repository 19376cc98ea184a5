"""Rules D4 and D5: power cut anywhere, with what was not synced there or not, sector by sector;
every call to the disk that fails once; and a writer that is killed behind each of them.
"""

import errno
import os
import signal
from collections import Counter
from pathlib import Path

import pytest
from log_bed import SECTOR, SMALL, CountedDisk, KilledDisk, WatchedDisk, crashes, numbers, ticks

import bed
from spread_scanner.clock import VirtualClock
from spread_scanner.schema.log import RecordKind
from spread_scanner.wal import reader
from spread_scanner.wal.disk import LogDisk
from spread_scanner.wal.frames import COPY_BYTES
from spread_scanner.wal.writer import LogWriter

ROUNDS = 45
FAILING_ROUNDS = 30
CRASHES = 150
HEADS_LOST = 60
COPY_AT = SMALL - COPY_BYTES


def written(folder: Path, disk: LogDisk, rounds: int = ROUNDS) -> LogWriter:
    """A log of several segments, of which old ones are used again; some syncs are waited for."""
    writer = LogWriter(folder, segment_bytes=SMALL, disk=disk)
    for number in range(rounds):
        writer.append(RecordKind.TICK, ticks(writer.appended_seq, 20 + number % 9))
        writer.commit()
        if number % 3 == 0:
            writer.sync()
        if isinstance(disk, WatchedDisk):
            disk.note("durable", "", writer.durable_seq)
        if number % 10 == 9:
            links = reader.chain(folder)
            old = [link.path for link in links[:-1]]
            del links
            for path in old:
                writer.reuse(path)
    return writer


def test_a_crash_anywhere_leaves_what_was_called_safe(tmp_path: Path) -> None:
    seed = bed.seed()
    disk = WatchedDisk()
    writer = written(tmp_path / "log", disk)
    appended = writer.appended_seq
    writer.close()
    cut = 0
    for folder, _, safe, said in crashes(disk, tmp_path, seed, CRASHES):
        found = numbers(folder)
        if found:
            assert found == list(range(found[0], found[-1] + 1)), said
        end = found[-1] + 1 if found else 0
        assert safe <= end <= appended, said
        again = LogWriter(folder, segment_bytes=SMALL)
        assert again.durable_seq == end, said
        cut += again.torn is not None
        again.append(RecordKind.TICK, ticks(end, 20))
        again.close()
        assert numbers(folder) == [*found, *range(end, end + 20)], said
    assert cut >= 3, "crashes that tear nothing try nothing"


def test_after_a_crash_a_lost_head_is_told_from_a_file_that_waits(tmp_path: Path) -> None:
    """From a segment's second sync on: with the first the head is on the disk, and its copy is
    written. What was called safe by then is there, or is missed loudly."""
    seed = bed.seed()
    disk = WatchedDisk()
    written(tmp_path / "log", disk).close()
    refused = 0
    for folder, events, _, said in crashes(disk, tmp_path, seed, HEADS_LOST):
        links = reader.chain(folder)
        if not links:
            continue
        newest = links[-1].path
        with newest.open("r+b") as file:
            file.write(bytes(SECTOR))
        put = [at for at, one in enumerate(events) if one[:3] == ("pwrite", newest.name, COPY_AT)]
        safe = any(
            one[:2] == ("fdatasync", newest.name) and one[2] > put[0] for one in events if put
        )
        last = reader.chain(folder)[-1:]
        told = [one.path for one in last if not one.whole] == [newest]
        assert told or not safe, said
        if told:
            with pytest.raises(reader.LogDamaged):
                numbers(folder)
        refused += told
    assert refused > HEADS_LOST / 10, "crashes that lose nothing try nothing"


def test_the_copy_of_a_head_is_written_when_that_is_on_the_disk(tmp_path: Path) -> None:
    """Else a power cut that keeps the copy alone would be taken for damage."""
    disk = WatchedDisk()
    written(tmp_path / "log", disk).close()
    copies = 0
    for at, (what, name, offset, data) in enumerate(disk.events):
        if (what, offset) == ("pwrite", COPY_AT) and len(data) == COPY_BYTES:
            before = disk.events[:at]
            head = max(n for n, one in enumerate(before) if one[:3] == ("pwrite", name, 0))
            assert any(one[:2] == ("fdatasync", name) and one[2] > head for one in before)
            copies += 1
    assert copies > 3


def killed_behind(folder: Path, at: int) -> tuple[bool, int]:
    """Whether a writer of its own process got so far, and what it had called safe."""
    told, said = os.pipe()
    child = os.fork()
    if child == 0:
        written(folder, KilledDisk(at, said), FAILING_ROUNDS)
        os._exit(0)
    os.close(said)
    safe = 0
    with open(told, "rb") as file:
        while raw := file.read(8):
            safe = int.from_bytes(raw, "little")
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, -signal.SIGKILL), code
    return code != 0, safe


@pytest.mark.slow
def test_killed_behind_each_call_what_was_called_safe_is_there_and_the_log_goes_on(
    tmp_path: Path,
) -> None:
    at, torn = 0, 0
    while True:
        folder = tmp_path / f"{at}"
        killed, safe = killed_behind(folder, at)
        found = numbers(folder)
        end = found[-1] + 1 if found else 0
        assert found == list(range(end - len(found), end)), at
        assert safe <= end, at
        again = LogWriter(folder, segment_bytes=SMALL)
        assert again.durable_seq == end, at
        torn += again.torn is not None
        again.append(RecordKind.TICK, ticks(end, 20))
        again.close()
        assert numbers(folder)[-20:] == list(range(end, end + 20)), at
        if not killed:
            break
        at += 1
    assert at > FAILING_ROUNDS
    assert torn == 0, "what was written is whole: the kernel has it, whoever is killed"


def calls_of(folder: Path) -> Counter[str]:
    """How often a writer that nothing disturbs makes each call."""
    disk = CountedDisk()
    written(folder, disk, FAILING_ROUNDS).close()
    return disk.calls


@pytest.mark.parametrize("how", ["EIO", "ENOSPC", "short"])
def test_a_call_that_fails_costs_a_segment_and_no_record(
    tmp_path: Path, how: str, virtual_clock: VirtualClock
) -> None:
    error, short = getattr(errno, how, 0), how == "short"
    calls = calls_of(tmp_path / "well")
    numbered = [(call, number) for call, count in calls.items() for number in range(count)]
    failed, hurt = set(), 0
    for kind, at in numbered:
        folder = tmp_path / f"{kind}-{at}"
        disk = CountedDisk(kind, at, error, short=short)
        try:
            writer = written(folder, disk, FAILING_ROUNDS)
        except OSError:  # an old segment that could not be unlinked, or the folder not opened
            assert kind in {"unlink", "open", "fdatasync", "close"}, disk.failed
            continue
        virtual_clock.advance_ms(2_000)
        writer.sync()
        assert writer.refusal == ""
        assert writer.durable_seq == writer.appended_seq
        appended = writer.appended_seq
        assert numbers(folder)[-1] == appended - 1
        found = numbers(folder)
        assert found == list(range(found[0], appended)), (kind, at)
        failed.add(disk.failed)
        hurt += writer.segments_failed > 0
        try:
            writer.close()
        except OSError:
            assert disk.failed == "close"
    assert "pwrite" in failed
    if not short:
        assert {"open", "allocate", "fdatasync", "sync_folder", "rename"} <= failed
        assert hurt > len(numbered) / 3
