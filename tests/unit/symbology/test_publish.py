"""Tables are published whole or not at all, whatever fails or is killed on the way."""

import contextlib
import errno
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from spread_scanner import clock
from spread_scanner.errors import TableError
from spread_scanner.symbology import publish, tables
from spread_scanner.symbology.tables import (
    DirectionRow,
    FundingRow,
    InstrumentRow,
    QuarantineRow,
    SymbolRow,
    Tables,
)

TEXTS = {"symbols.txt": "0 BTC-USDT\n", "validation_report.txt": "nothing to report\n"}

# Steps of a publication that can fail or be the last thing a process did.
STEPS = ("mkdir", "open", "fsync", "rename", "symlink", "replace")
STEPS_MAX = 60


def a_set(generation: int) -> Tables:
    return Tables(
        generation=generation,
        created_wall_ns=1_700_000_000_000_000_000,
        symbols=(SymbolRow(0, "BTC-USDT", "BTC", "USDT"), SymbolRow(3, "币-USDT", "币", "USDT")),
        instruments=(
            InstrumentRow(0, 0, "BTCUSDT", 1.0, 1.0, 0.01, 1e-5, None, 5.0, False, False),
            InstrumentRow(3, 3, "1000币USDT", 1e3, 1e3, None, None, None, None, True, True),
        ),
        directions=(DirectionRow(0, (0, 3)),),
        funding=(FundingRow(3, 0, -1e-5, None),),
        quarantine=(QuarantineRow(1, "AI-USDT", "prices disagree"),),
        freed=(SymbolRow(1, "OLD-USDT", "OLD", "USDT"),),
    )


def test_what_is_published_is_what_is_loaded(tmp_path: Path) -> None:
    publish.publish(tmp_path, a_set(1), TEXTS, {"binance-spot": "ok"})
    assert tables.load(tmp_path) == a_set(1)
    assert a_set(1).judgement == 1
    for name in [*TEXTS, "symbols.bin", "directions.bin", "metadata.json"]:
        assert (tmp_path / name).readlink() == Path("current") / name
        assert (tmp_path / name).stat().st_size > 0
    assert '"binance-spot": "ok"' in (tmp_path / "metadata.json").read_text()


def test_a_set_that_only_adds_says_whose_verdicts_it_keeps(tmp_path: Path) -> None:
    publish.publish(tmp_path, msgspec.structs.replace(a_set(5), judged_in=3), {})
    assert tables.load(tmp_path).judgement == 3


def test_a_folder_without_tables_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="run spread-ctl discover"):
        tables.load(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["symbols.bin", "directions.bin", "metadata.json"])
@pytest.mark.parametrize("damage", [b"", b"\x93\x01", None])
def test_a_damaged_file_is_named(tmp_path: Path, name: str, damage: bytes | None) -> None:
    publish.publish(tmp_path, a_set(1), {})
    path = tmp_path / "sets" / "1" / name
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(damage)
    with pytest.raises(TableError, match=name):
        tables.load(tmp_path)


def test_files_of_two_sets_are_never_taken_together(tmp_path: Path) -> None:
    publish.publish(tmp_path, a_set(1), {})
    publish.publish(tmp_path, a_set(2), {})
    older = (tmp_path / "sets" / "1" / "symbols.bin").read_bytes()
    (tmp_path / "sets" / "2" / "symbols.bin").write_bytes(older)
    with pytest.raises(TableError, match="checksum"):
        tables.load(tmp_path)


def test_an_older_whole_set_is_found_when_the_one_in_force_is_damaged(tmp_path: Path) -> None:
    for generation in (1, 2, 3):
        publish.publish(tmp_path, a_set(generation), {})
    (tmp_path / "sets" / "3" / "symbols.bin").write_bytes(b"")
    found = publish.newest_intact(tmp_path)
    assert found is not None
    assert found.generation == 2
    assert publish.next_generation(tmp_path) == 4


def test_only_the_last_few_sets_stay(tmp_path: Path) -> None:
    for generation in range(1, publish.SETS_KEPT + 4):
        publish.publish(tmp_path, a_set(generation), TEXTS)
    kept = sorted(int(path.name) for path in (tmp_path / "sets").iterdir())
    assert kept == list(range(4, publish.SETS_KEPT + 4))


def test_an_older_set_does_not_replace_a_newer_one(tmp_path: Path) -> None:
    publish.publish(tmp_path, a_set(2), {})
    with pytest.raises(TableError, match="newer"):
        publish.publish(tmp_path, a_set(2), {})
    assert tables.load(tmp_path).generation == 2


def test_two_discoveries_do_not_write_at_once(tmp_path: Path) -> None:
    with (
        publish.exclusive(tmp_path),
        pytest.raises(TableError, match="another discovery"),
        publish.exclusive(tmp_path),
    ):
        pass
    with publish.exclusive(tmp_path):
        pass


def test_who_may_wait_begins_when_the_other_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full run beside a quick look: refused, it counted as failed until the next, in hours."""
    other = contextlib.ExitStack()
    other.enter_context(publish.exclusive(tmp_path))
    monkeypatch.setattr(clock, "sleep", lambda seconds: other.close())
    with publish.exclusive(tmp_path, wait_s=60.0):
        pass


def failing_at(
    monkeypatch: pytest.MonkeyPatch, step: int, fail: Callable[[], None]
) -> Callable[[], int]:
    """Let the given step fail; returns how to ask for the number of steps that were made."""
    made = 0

    def wrapped(original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            nonlocal made
            made += 1
            if made == step:
                fail()
            return original(*arguments, **options)

        return call

    for name in STEPS:
        monkeypatch.setattr(os, name, wrapped(getattr(os, name)))
    monkeypatch.setattr(Path, "open", wrapped(Path.open))
    return lambda: made


def no_leftovers(folder: Path) -> bool:
    sets = [path.name for path in (folder / publish.SETS).iterdir()]
    return all(name.isdigit() for name in sets) and not list(folder.glob(".*"))


def test_everything_is_on_the_disk_before_the_link_is_swung(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish.publish(tmp_path, a_set(1), TEXTS)
    synced: list[str] = []
    fsync, replace = os.fsync, os.replace

    def note_sync(number: int) -> None:
        synced.append(Path(f"/proc/self/fd/{number}").readlink().name)
        fsync(number)

    def note_swing(source: Any, target: Any) -> None:
        synced.append(f"-> {Path(target).name}")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(os, "replace", note_swing)
    publish.publish(tmp_path, a_set(2), TEXTS)
    before = synced[: synced.index(f"-> {tables.CURRENT}")]
    files = [path.name for path in (tmp_path / "sets" / "2").iterdir()]
    assert set(files) | {f"{publish.TEMPORARY}2", publish.SETS} == set(before)


def test_a_full_disk_at_any_step_leaves_a_whole_set_in_force(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full() -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    outcomes: list[tuple[bool, int]] = []
    for step in range(1, STEPS_MAX):
        folder = tmp_path / str(step)
        publish.publish(folder, a_set(1), TEXTS)
        refused = False
        with monkeypatch.context() as patch:
            made = failing_at(patch, step, full)
            try:
                publish.publish(folder, a_set(2), TEXTS)
            except TableError as error:
                refused = "No space left" in str(error)
        found = tables.load(folder)
        assert found == a_set(found.generation)
        outcomes.append((refused, found.generation))
        publish.publish(folder, a_set(3), TEXTS)
        assert tables.load(folder) == a_set(3)
        assert no_leftovers(folder)
        if made() < step:
            break
    else:
        pytest.fail("more steps than expected")
    # An error means the old set, none the new one.
    assert set(outcomes) == {(True, 1), (False, 2)}
    assert outcomes.count((True, 1)) >= 12


# A process of its own, so that forking meets no threads of the test runner.
KILLED = textwrap.dedent(
    """
    import sys
    from pathlib import Path
    sys.path.insert(0, sys.argv[1])
    import test_publish

    test_publish.die_at_every_step(Path(sys.argv[2]))
    """
)


def die_at_every_step(tmp_path: Path) -> None:
    """For each step a folder of its own in which a publisher is killed at that step."""
    for step in range(1, STEPS_MAX):
        folder = tmp_path / f"{step:02}"
        publish.publish(folder, a_set(1), TEXTS)
        child = os.fork()
        if child == 0:
            with pytest.MonkeyPatch.context() as patch:
                failing_at(patch, step, lambda: os.kill(os.getpid(), signal.SIGKILL))
                publish.publish(folder, a_set(2), TEXTS)
            os._exit(0)
        if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0:
            return
    raise SystemExit("more steps than expected")


def test_kill_9_at_any_step_leaves_a_whole_set_in_force(tmp_path: Path) -> None:
    command = [sys.executable, "-c", KILLED, str(Path(__file__).parent), str(tmp_path)]
    subprocess.run(command, check=True, timeout=60)
    generations = []
    for folder in sorted(tmp_path.iterdir()):
        found = tables.load(folder)
        assert found == a_set(found.generation)
        generations.append(found.generation)
        publish.publish(folder, a_set(3), TEXTS)
        assert tables.load(folder) == a_set(3)
        assert no_leftovers(folder)
    assert generations == sorted(generations), "a later step never goes back to the old set"
    assert generations.count(1) >= 12
    assert generations.count(2) >= 2
