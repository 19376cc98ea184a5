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
from spread_scanner.schema.enums import ProcessState
from spread_scanner.schema.names import SHM_INIT
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


@pytest.mark.parametrize(
    ("age_s", "said"),
    [
        (5, "5 s ago"),
        (119, "119 s ago"),
        (180, "3 min ago"),
        (7_300, "2 h ago"),
        (2e5, "2 days ago"),
    ],
)
def test_what_is_done_says_since_when(
    observed: tuple[Supervisor, Observer],
    virtual_clock: VirtualClock,
    up_bed: Any,
    age_s: float,
    said: str,
) -> None:
    """One that does its work and ends has not stopped: it is done."""
    with up_bed.health() as health, health.claim(SHM_INIT) as row:
        row.beat(ProcessState.STOPPED)
    virtual_clock.advance_ms(age_s * 1e3)
    observed[1].look()
    lines = drawn(*observed, 120, 40).splitlines()
    (line,) = (" ".join(line.split()) for line in lines if SHM_INIT in line)
    assert f"{SHM_INIT} done {said}" in line
