"""A file put in place of another: whole, or the one before."""

import os
from pathlib import Path

import pytest
from child import ROOM, on_a_full_disk

from spread_scanner.errors import SpreadError
from spread_scanner.symbology import sealed
from spread_scanner.symbology.replacing import replace


@pytest.mark.parametrize("length", [ROOM, 100_000])
def test_on_a_full_disk_the_one_before_stays(tmp_path: Path, length: int) -> None:
    """The kernel takes the first part and reports no error; it is the next byte that it refuses."""
    path = tmp_path / "kept"
    sealed.write(path, b"before")
    assert on_a_full_disk(lambda: sealed.write(path, b"x" * length), OSError)
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
