"""The file of switches: whole or old, never a licence to signal when it is damaged."""

import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from child import in_child, on_a_full_disk

from spread_scanner.config import Settings
from spread_scanner.orders import remembered
from spread_scanner.orders.remembered import NotRemembered
from spread_scanner.schema.enums import SwitchKind
from spread_scanner.shm.switches import Switch
from spread_scanner.symbology import replacing

OLD = [Switch(SwitchKind.SYMBOL, "BTC-USDT", 1_700_000_000_000_000_000, "alice", 7, "spread-ctl x")]
NEW = [Switch(SwitchKind.HALT, "", 1_700_000_000_000_000_001, "bob", 8, "spread-ctl kill"), *OLD]


@pytest.fixture
def settings(bed: Any) -> Settings:
    given: Settings = bed.settings
    return given


def killed_at_line(number: int, act: Callable[[], object]) -> bool:
    """Act in a child that is killed before its n-th line of what writes the file; whether it came
    so far."""
    paths = (remembered.__file__, replacing.__file__)

    def run() -> None:
        left = [number]

        def trace(frame: FrameType, event: str, _: object) -> Any:
            if frame.f_code.co_filename not in paths:
                return None
            if event == "line":
                left[0] -= 1
                if left[0] < 0:
                    os.kill(os.getpid(), signal.SIGKILL)
            return trace

        sys.settrace(trace)
        act()
        sys.settrace(None)

    code = in_child(run, NotRemembered)
    assert code in (0, -signal.SIGKILL), code
    return code != 0


def test_what_was_written_is_read(settings: Settings) -> None:
    assert remembered.read(settings) == ([], "")  # never written: all is allowed
    for standing in (NEW, []):
        remembered.write(settings, standing)
        assert remembered.read(settings) == (standing, "")
    path = remembered.path_of(settings)
    assert path.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_each_namespace_has_its_own(settings: Settings) -> None:
    remembered.write(settings, NEW)
    assert settings.config.system.namespace in remembered.path_of(settings).name


def test_no_part_of_the_file_and_no_flipped_bit_is_believed(settings: Settings) -> None:
    remembered.write(settings, NEW)
    path = remembered.path_of(settings)
    whole = path.read_bytes()
    cut = [whole[:length] for length in range(len(whole))]
    flipped = [
        whole[:at] + bytes([whole[at] ^ 1 << at % 8]) + whole[at + 1 :] for at in range(len(whole))
    ]
    for raw in (*cut, *flipped, whole + b" ", whole.replace(b"switches 1", b"switches 2")):
        path.write_bytes(raw)
        found = remembered.read(settings)
        assert found.damaged, raw
        assert found.standing == []


def test_a_file_that_cannot_be_read_is_no_missing_file(settings: Settings) -> None:
    path = remembered.path_of(settings)
    path.mkdir(parents=True)
    assert "cannot be read" in remembered.read(settings).damaged
    path.rmdir()
    path.symlink_to(path)
    assert remembered.read(settings).damaged


def test_a_damaged_file_is_kept_beside_the_new_one(settings: Settings) -> None:
    remembered.write(settings, OLD)
    path = remembered.path_of(settings)
    path.write_bytes(b"nonsense")
    remembered.write(settings, NEW)
    assert remembered.read(settings) == (NEW, "")
    assert path.with_name(f"{path.name}.damaged").read_bytes() == b"nonsense"


def test_a_writer_killed_anywhere_leaves_the_old_or_the_new(settings: Settings) -> None:
    """Also where the old one was damaged: at no moment is there no file."""
    path = remembered.path_of(settings)
    number, died, seen = 0, True, set()
    while died:
        remembered.write(settings, OLD)
        if number % 2:
            path.write_bytes(b"nonsense")
        died = killed_at_line(number // 2, lambda: remembered.write(settings, NEW))
        found = remembered.read(settings)
        old = ([], True) if number % 2 else (OLD, False)
        assert (found.standing, bool(found.damaged)) in (old, (NEW, False))
        seen.add(len(found.standing))
        number += 1
    assert number > 20
    assert seen == {0, 1, 2}


def test_on_a_full_disk_the_old_one_stays_and_the_writer_says_so(settings: Settings) -> None:
    remembered.write(settings, OLD)
    assert on_a_full_disk(lambda: remembered.write(settings, NEW), NotRemembered)
    assert remembered.read(settings) == (OLD, "")


def test_a_folder_that_cannot_be_made_is_said(settings: Settings) -> None:
    settings.data_dir.parent.mkdir(parents=True, exist_ok=True)
    settings.data_dir.write_text("a file where the folder should be")
    with pytest.raises(NotRemembered, match=str(settings.data_dir)):
        remembered.write(settings, NEW)
    with pytest.raises(NotRemembered), remembered.alone(settings):
        pass


def test_everything_is_synced_before_the_writer_returns(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lies in caches alone is gone with the power: the file first, then its name."""
    done: list[str] = []
    real_sync, real_rename = os.fsync, Path.rename

    def sync(file: int) -> None:
        done.append(f"sync {Path(os.readlink(f'/proc/self/fd/{file}')).name}")
        real_sync(file)

    def rename(path: Path, target: Path) -> Path:
        done.append("rename")
        return real_rename(path, target)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(Path, "rename", rename)
    remembered.write(settings, NEW)
    path = remembered.path_of(settings)
    assert done == [f"sync {path.name}.new", "rename", f"sync {path.parent.name}"]


def test_only_one_at_a_time(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    inside, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with remembered.alone(settings):
            inside.set()
            leave.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        assert inside.wait(60)
        monkeypatch.setattr(remembered, "LOCK_TIMEOUT_S", 0.02)
        with pytest.raises(NotRemembered, match="lock"), remembered.alone(settings):
            pass
    finally:
        leave.set()
        thread.join()
    with remembered.alone(settings):
        pass
