"""Rule D6: a snapshot is there whole, or the one before is, wherever the power was cut or the
process killed.
"""

from pathlib import Path

import numpy as np
import pytest
from log_bed import SECTOR, WatchedDisk, crashes

import bed
from spread_scanner.schema.log import TICK_DTYPE
from spread_scanner.wal import snapshot
from spread_scanner.wal.disk import LogDisk
from spread_scanner.wal.snapshot import Snapshot
from spread_scanner.wal.times import LogTimes

CRASHES = 200
LIVES = 4


def taken(seq: int) -> Snapshot:
    """One of several sectors, that can be told apart."""
    quotes = np.zeros(20, TICK_DTYPE)
    quotes["number"] = seq
    return Snapshot(seq, LogTimes(1), b"tables", quotes)


def check(folder: Path, said: str) -> int:
    """The newest is whole; which it is, 0: there is none."""
    found, _ = snapshot.newest(folder)
    if found is None:
        return 0
    assert found.quotes["number"].tolist() == [found.seq] * 20, said
    return found.seq


def test_a_power_cut_leaves_the_newest_that_was_written_or_a_newer_one(tmp_path: Path) -> None:
    seed = bed.seed()
    disk = WatchedDisk()
    (tmp_path / "log").mkdir()
    for seq in range(1, LIVES + 1):
        snapshot.write(tmp_path / "log", taken(seq), disk)
        disk.note("durable", "", seq)
    torn = set()
    for folder, _, safe, said in crashes(disk, tmp_path, seed, CRASHES):
        found = check(folder, said)
        assert safe <= found <= safe + 1, said
        torn.add(found - safe)
    assert torn == {0, 1}


@pytest.mark.parametrize("damaged", [0, SECTOR + 1, -1])
def test_of_a_newest_that_decayed_the_one_before_counts(tmp_path: Path, damaged: int) -> None:
    for seq in (1, 2):
        snapshot.write(tmp_path, taken(seq), LogDisk())
    raw = bytearray((tmp_path / snapshot.SNAPSHOT).read_bytes())
    raw[damaged] ^= 1
    (tmp_path / snapshot.SNAPSHOT).write_bytes(raw)
    assert check(tmp_path, "") == 1


class Killed(BaseException):
    """What ends everything."""


def test_killed_behind_each_call_one_that_is_whole_is_there(tmp_path: Path) -> None:
    class Killing(WatchedDisk):
        left = 0

        def note(self, what: str, name: str = "", number: int = 0, data: bytes = b"") -> None:
            self.left -= 1
            if self.left < 0:
                raise Killed

    seen, at = set(), 0
    while True:
        folder = tmp_path / f"{at}"
        folder.mkdir()
        for seq in (1, 2):
            snapshot.write(folder, taken(seq), LogDisk())
        disk = Killing()
        disk.left = at
        try:
            snapshot.write(folder, taken(3), disk)
        except Killed:
            seen.add(check(folder, f"{at}"))
        else:
            break
        snapshot.write(folder, taken(4), LogDisk())
        assert check(folder, f"{at}") == 4
        at += 1
    assert seen == {2, 3}
