"""What a process shows while the operator's pause stands: PAUSED, whatever else it is, and both."""

import contextlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from spread_scanner.runtime import logs
from spread_scanner.runtime.process import Process
from spread_scanner.schema.enums import ProcessState
from spread_scanner.schema.names import TRACKER
from spread_scanner.shm import Control, Health
from spread_scanner.shm.operator import Operator
from spread_scanner.view import status
from spread_scanner.view.conditions.processes import of_processes
from spread_scanner.view.processes import ProcessView

FULL = "database: disk full"


class Paused(NamedTuple):
    process: Process
    operator: Operator

    def pause(self, *, paused: bool) -> None:
        self.operator.pause(TRACKER, paused=paused)
        orders = self.process.poll()
        assert orders is not None
        self.process.applied(orders)


@pytest.fixture
def pausing(up_bed: Any) -> Iterator[Paused]:
    with contextlib.ExitStack() as stack:
        enter = stack.enter_context
        health, control = enter(up_bed.health()), enter(Control.attach(up_bed.namespace))
        row, slot = enter(health.claim(TRACKER)), enter(control.claim(TRACKER))
        process = Process(TRACKER, up_bed.settings, logs.set_up(TRACKER, "error"), row, slot)
        yield Paused(process, enter(control.operator()))


def shown(bed: Any) -> tuple[ProcessState, str]:
    with Health.attach(bed.namespace) as health:
        row = health.read(TRACKER)
        return row.state, row.message.rstrip("\0")


def seen(bed: Any) -> ProcessView:
    views = status.read(bed.settings, 0.0).processes
    return next(view for view in views if view.process == TRACKER)


def test_a_pause_is_shown_over_what_is_degraded_and_says_both(up_bed: Any, pausing: Paused) -> None:
    process = pausing.process
    process.state(ProcessState.RUNNING, "")
    process.state(ProcessState.DEGRADED, FULL)
    pausing.pause(paused=True)
    assert shown(up_bed) == (ProcessState.PAUSED, f"degraded: {FULL}")
    view = seen(up_bed)
    assert (view.state, view.degraded, view.healthy) == ("paused", True, False)
    told = [one for one in of_processes([view], {}, 60_000) if one.key == f"degraded:{TRACKER}"]
    assert FULL in told[0].text

    process.state(ProcessState.RUNNING, "")
    assert shown(up_bed) == (ProcessState.PAUSED, "")
    assert seen(up_bed).healthy
    process.state(ProcessState.DEGRADED, FULL)
    assert shown(up_bed) == (ProcessState.PAUSED, f"degraded: {FULL}")
    pausing.pause(paused=False)
    assert shown(up_bed) == (ProcessState.DEGRADED, FULL)


def test_one_that_starts_paused_shows_it_and_what_it_says_stays(
    up_bed: Any, pausing: Paused
) -> None:
    pausing.pause(paused=True)
    assert shown(up_bed)[0] is ProcessState.STARTING
    pausing.process.state(ProcessState.RUNNING, "somebody holds the log")
    assert shown(up_bed) == (ProcessState.PAUSED, "somebody holds the log")
    pausing.pause(paused=False)
    assert shown(up_bed) == (ProcessState.RUNNING, "somebody holds the log")


def test_what_an_earlier_life_said_is_not_said_of_this_one(up_bed: Any, pausing: Paused) -> None:
    pausing.process.row.beat(ProcessState.FAILED, "a fault of then")
    pausing.process.state(ProcessState.RUNNING)
    assert shown(up_bed) == (ProcessState.RUNNING, "")
