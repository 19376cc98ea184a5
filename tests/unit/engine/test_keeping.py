"""What the engine keeps in files: the newest value, written beside the loop."""

import threading
from pathlib import Path

import structlog

from bed import until
from spread_scanner.engine.keeping import Keeper


def test_the_newest_counts_and_what_is_kept_already_is_not_written(tmp_path: Path) -> None:
    written: list[str] = []
    begun, go_on = threading.Event(), threading.Event()

    def write(path: Path, value: str) -> None:
        begun.set()
        assert go_on.wait(60)
        written.append(value)

    keeper = Keeper(
        tmp_path / "kept", lambda path: "before", write, structlog.get_logger(), lost="", refused=""
    )
    kept = keeper.recall()
    assert kept == "before"
    keeper.keep(kept)
    keeper.keep("first")
    assert begun.wait(60)
    for value in ("second", "third", "last", "last"):
        keeper.keep(value)
    go_on.set()
    until(lambda: written[-1:] == ["last"])
    keeper.keep("after")
    until(lambda: written[-1:] == ["after"])
    assert written == ["first", "last", "after"]


def test_what_a_disk_refused_is_tried_again_until_it_stands(tmp_path: Path) -> None:
    tries: list[str] = []

    def write(path: Path, value: str) -> None:
        tries.append(value)
        if len(tries) < 3:
            raise OSError("full")

    keeper = Keeper(
        tmp_path / "kept",
        lambda path: None,
        write,
        structlog.get_logger(),
        lost="",
        refused="",
        again_s=0.001,
    )
    keeper.keep("only")
    until(lambda: len(tries) == 3)
    keeper.keep("next")
    until(lambda: tries[-1] == "next")
    assert tries == ["only", "only", "only", "next"]
