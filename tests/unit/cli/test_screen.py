"""The live screen at every width: no head is cut, and what happened long ago is gone from it."""

from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from spread_scanner.cli import screen
from spread_scanner.cli.screen import Screen
from spread_scanner.clock import VirtualClock
from spread_scanner.runtime import logs
from spread_scanner.supervise.observer import Observer
from spread_scanner.supervise.supervisor import Supervisor


@pytest.fixture
def observed(virtual_clock: VirtualClock, up_bed: Any) -> Iterator[tuple[Supervisor, Observer]]:
    observer = Observer(up_bed.settings)
    observer.look()
    yield Supervisor(up_bed.settings, {}, logs.set_up("spread-ctl", "error")), observer
    observer.close()


def drawn(supervisor: Supervisor, observer: Observer, width: int, height: int) -> str:
    shown = Screen(supervisor, "simulated exchanges")
    console = Console(file=StringIO(), width=width, height=height)
    shown._live.console = console
    with console.capture() as capture:
        console.print(shown._page(observer, "Ctrl-C ends it"))
    return capture.get()


@pytest.mark.parametrize(("width", "height"), [(80, 24), (80, 50), (100, 40), (144, 40), (200, 60)])
def test_every_head_says_what_its_columns_mean(
    observed: tuple[Supervisor, Observer], width: int, height: int
) -> None:
    said = " ".join(drawn(*observed, width, height).replace("─", " ").split())
    heads = [screen.SPREADS, screen.EVENTS, *([screen.PROCESSES] if height >= 36 else [])]
    assert [part for head in heads for part in head.split(": ", 1) if part not in said] == []


def test_what_happened_to_a_process_is_shown_for_a_minute(
    observed: tuple[Supervisor, Observer], virtual_clock: VirtualClock
) -> None:
    observed[0].tell("feed-okx-spot", "started again")
    assert "started again" in drawn(*observed, 80, 24)
    virtual_clock.advance_ms(screen.NEWS_S * 1e3 + 1)
    assert "started again" not in drawn(*observed, 80, 24)
