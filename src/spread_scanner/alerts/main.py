"""spread-alerts: tells people. Looks once a second, sends through the targets in [spread-alerts].

Reads the records of the view (conditions.py); writes its own health row and what it has told
(alerts/state.py). Without a target it ends at once with code 0 and says so in its row, so that its
unit may always be enabled.
"""

import contextlib
import threading
from collections.abc import Sequence

from spread_scanner import clock
from spread_scanner.alerts.heartbeat import Heartbeat
from spread_scanner.alerts.outbox import Outbox
from spread_scanner.alerts.telling import Telling
from spread_scanner.clock import NS_PER_S
from spread_scanner.runtime.process import (
    Process,
    run,
)
from spread_scanner.schema.counters import ALERTS_COUNTERS
from spread_scanner.schema.enums import ProcessState
from spread_scanner.schema.names import ALERTS
from spread_scanner.shm.health import HealthRow
from spread_scanner.view import status
from spread_scanner.view.conditions.condition import Condition

LOOK_EVERY_S = 1.0
NOBODY = "nobody is to be told: no target is set"
WAKE_NS = 30 * NS_PER_S  # until after a suspend all have dialled, asked and been quoted


def main() -> int:
    """Run until asked to stop; returns the exit code."""
    return run(ALERTS, _body)


def _body(process: Process) -> None:
    if not process.settings.config.spread_alerts.wanted:
        process.unwanted(NOBODY)
        return
    namespace = process.settings.config.system.namespace
    quiet = Quiet(process)
    woken = threading.Event()
    process.watch(woken.set)
    with contextlib.ExitStack() as stack:
        segments = stack.enter_context(status.attached(namespace))
        told = stack.enter_context(contextlib.closing(Telling(process, segments)))
        count = _Counting(process.row)
        process.state(ProcessState.RUNNING)
        while not process.stopping:
            orders = process.poll()
            if orders is not None:
                if orders.reload and process.reload(orders, told.prepared):
                    count.add("reloads")
                process.applied(orders)
            if not told.wanted:
                process.unwanted(NOBODY, "no target is set any more, leaving")
                return
            if not process.orders.paused:
                conditions = quiet.filter(told.watch.now())
                if conditions is not None:
                    told.tell(conditions)
                told.save()  # before it is sent: what a kill makes forget still gets its end
                told.flush()
                told.beat()
                _fare(process, [*told.outboxes, told.heartbeat])
            count.levels(told)
            _rest(process, woken, told)


class _Counting:
    """Brings the counts of outboxes, which end with a target, and of the heartbeat into the row's,
    which go on."""

    def __init__(self, row: HealthRow) -> None:
        self._row = row
        self._ids = {counter.label: counter.counter_id for counter in ALERTS_COUNTERS}
        self._seen: dict[tuple[Outbox | Heartbeat, str], int] = {}

    def add(self, label: str, count: int = 1) -> None:
        self._row.add(self._ids[label], count)

    def levels(self, told: Telling) -> None:
        """Take over what was counted since the last call."""
        self._row.set(self._ids["conditions"], told.standing)
        self._row.set(self._ids["waiting"], sum(outbox.waiting for outbox in told.outboxes))
        counted: list[tuple[Outbox | Heartbeat, str]] = [
            (outbox, label)
            for outbox in told.outboxes
            for label in ("sent", "failures", "dropped", "held_back")
        ]
        counted += [(told.heartbeat, label) for label in ("heartbeats", "heartbeat_failures")]
        seen = {}
        for one, label in counted:
            seen[one, label] = now = getattr(one, label)
            self.add(label, now - self._seen.get((one, label), 0))
        self._seen = seen


class Quiet:
    """After a suspend nobody has beaten and every quote is stale; that is no news. Until everybody
    has had the time to come back, nothing is judged; what only passes is kept for later."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._until_ns = 0
        self._kept: list[Condition] = []
        process.on_wake = self._woke

    def _woke(self) -> None:
        self._until_ns = clock.mono_ns() + WAKE_NS

    def filter(self, conditions: list[Condition]) -> list[Condition] | None:
        """What to judge of what was just found, or None for nothing."""
        self._process.feel_suspend()
        self._kept += [one for one in conditions if one.passing]
        if clock.mono_ns() < self._until_ns:
            return None
        lasting = [one for one in conditions if not one.passing]
        passing, self._kept = self._kept, []
        return lasting + passing


def _rest(process: Process, woken: threading.Event, told: Telling) -> None:
    """Wait for the next look without missing a heartbeat, and keep what targets take meanwhile: a
    kill before that has it told once more."""
    beat_s = process.settings.config.system.heartbeat_ms / 1e3
    for _ in range(max(1, round(LOOK_EVERY_S / beat_s))):
        if woken.wait(beat_s):
            woken.clear()
            return
        process.row.beat()
        told.save()


def _fare(process: Process, served: Sequence[Outbox | Heartbeat]) -> None:
    """How those who are asked fare: one that fails is said once, and once more when it is well."""
    for one in served:
        if one.failing and one.said_failing != one.last_error:
            process.log.warning("alerts cannot be sent", target=one.name, error=one.last_error)
            one.said_failing = one.last_error
        elif one.said_failing and not one.failing:
            process.log.info("alerts are sent again", target=one.name)
            one.said_failing = ""
    failing = [f"{one.name}: {one.last_error}" for one in served if one.failing]
    if failing:
        process.state(ProcessState.DEGRADED, "; ".join(failing))
    elif process.row.state is ProcessState.DEGRADED:
        process.state(ProcessState.RUNNING, "")
