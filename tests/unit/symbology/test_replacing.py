"""A file put in place of another: whole, or the one before."""

import os
import resource
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from spread_scanner.errors import SpreadError
from spread_scanner.symbology import sealed
from spread_scanner.symbology.replacing import replace

ROOM = 64  # bytes that the kernel takes


def refused_by_the_disk(act: Callable[[], object]) -> bool:
    """Act in a child whose files cannot grow; whether that raised an OSError."""
    pid = os.fork()
    if pid == 0:
        try:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (ROOM, ROOM))
            act()
            os._exit(0)
        except OSError:
            os._exit(3)
        except BaseException:
            os._exit(4)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert code in (0, 3)
    return code == 3


@pytest.mark.parametrize("length", [ROOM, 100_000])
def test_on_a_full_disk_the_one_before_stays(tmp_path: Path, length: int) -> None:
    """The kernel takes the first part and reports no error; it is the next byte that it refuses."""
    path = tmp_path / "kept"
    sealed.write(path, b"before")
    assert refused_by_the_disk(lambda: sealed.write(path, b"x" * length))
    assert sealed.read(path, SpreadError) == b"before"


def test_it_is_for_its_user_alone_and_synced_where_that_is_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "folder" / "kept"
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    replace(path, b"before", synced=False)
    assert not synced
    replace(path, b"after")
    assert len(synced) == 1
    assert path.read_bytes() == b"after"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert [one.name for one in path.parent.iterdir()] == [path.name]
