"""spread-alerts: tells people. Looks once a second, sends through the targets in [spread-alerts].

Reads health, store and the tracker's database; writes its own health row and what it has told
(alerts/state.py). Each target is served by a thread of its own: one that hangs holds up neither the
others nor the looking. Without a target it ends at once with code 0 and says so in its row, so that
its unit may always be enabled.
"""

import contextlib
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from spread_scanner import clock, config
from spread_scanner.alerts import state
from spread_scanner.alerts.conditions import Conditions
from spread_scanner.alerts.desk import Condition, Desk
from spread_scanner.alerts.outbox import Outbox
from spread_scanner.alerts.targets import Sender, senders
from spread_scanner.clock import NS_PER_S
from spread_scanner.config import Settings
from spread_scanner.runtime.process import (
    Process,
    run,
)
from spread_scanner.schema.counters import ALERTS_COUNTERS
from spread_scanner.schema.enums import ProcessState
from spread_scanner.schema.names import ALERTS
from spread_scanner.shm import Control, Health, PriceStore
from spread_scanner.shm.health import HealthRow

LOOK_EVERY_S = 1.0
TARGETS_MAX = 4  # served at a time: two kinds, and those of before a reload
NOBODY = "nobody is to be told: no target is set"
WAKE_NS = 30 * NS_PER_S  # until after a suspend all have dialled, asked and been quoted


def main() -> int:
    """Run until asked to stop; returns the exit code."""
    return run(ALERTS, _body)


class _Told:
    """Who is told about what, by the settings in force. What stands, and what a target that stays
    as it was has been told, survives a reload and a restart.
    """

    def __init__(
        self, process: Process, health: Health, store: PriceStore, control: Control
    ) -> None:
        alerts = process.settings.config.alerts
        self._process = process
        self._alerts = alerts
        self._known = state.read(process.settings)
        if self._known.damaged:
            process.log.warning("what was told is not known", reason=self._known.damaged)
        self.desk = Desk(self._known.raised)
        self.outboxes = [self._outbox(alerts, sender) for sender in senders(alerts)]
        self.watch = Conditions(process.settings, health, store, control)
        self._busy: dict[Outbox, Future[None]] = {}
        self._pool = ThreadPoolExecutor(TARGETS_MAX, "target")
        self._saved: tuple[object, ...] = ()

    @property
    def standing(self) -> int:
        """Conditions that are raised."""
        return len(self.desk.raised)

    def _outbox(self, alerts: config.Alerts, sender: Sender) -> Outbox:
        return Outbox(sender, alerts, self._known.of_target(sender.name, _targets(alerts)))

    def tell(self, conditions: list[Condition]) -> None:
        """Put what is worth saying of these into every outbox."""
        events = self.desk.update(conditions)
        for outbox in self.outboxes:
            outbox.take(self.desk.raised, events)

    def flush(self) -> None:
        """Have each target served that is not being served."""
        for outbox in self.outboxes:
            busy = self._busy.get(outbox)
            if busy is not None and busy.done():
                busy.result()  # a fault of ours ends the process
            if busy is None or busy.done():
                self._busy[outbox] = self._pool.submit(outbox.flush)

    def save(self) -> None:
        """Keep what stands and what was told, if that has changed."""
        raised = self.desk.raised
        now = (
            tuple((key, story.times) for key, story in raised.items()),
            tuple((outbox.name, outbox.changes) for outbox in self.outboxes),
        )
        if now == self._saved:
            return
        self._saved = now
        told = {outbox.name: outbox.entries() for outbox in self.outboxes}
        try:
            state.write(self._process.settings, raised.values(), told, _targets(self._alerts))
        except OSError as error:
            reason = error.strerror or type(error).__name__
            self._process.log.warning("what was told cannot be kept", reason=reason)

    def close(self) -> None:
        """Wait for what is being sent, a time-out at most, and keep what came of it."""
        self._pool.shutdown(cancel_futures=True)
        self.save()

    def prepared(self, settings: Settings) -> Callable[[], None]:
        """What a reload puts in force; raises when a target cannot be made."""
        alerts = settings.config.alerts
        made = senders(alerts)
        return lambda: self._take(settings, made)

    def _take(self, settings: Settings, made: list[Sender]) -> None:
        alerts = settings.config.alerts
        if _targets(alerts) != _targets(self._alerts):
            self.outboxes = [Outbox(sender, alerts) for sender in made]
        else:
            for outbox, sender in zip(self.outboxes, made, strict=True):
                outbox.settings(sender, alerts)
        self._alerts = alerts
        self.watch.take(settings)


def _targets(alerts: config.Alerts) -> tuple[str, ...]:
    """What makes the targets what they are: another one has been told nothing."""
    return (
        alerts.webhook_url,
        alerts.telegram_api,
        alerts.telegram_token_file,
        alerts.telegram_chat_id,
    )


def _body(process: Process) -> None:
    if not process.settings.config.alerts.wanted:
        process.state(ProcessState.STOPPED, NOBODY)
        process.log.info(NOBODY)
        return
    namespace = process.settings.config.system.namespace
    quiet = Quiet(process)
    woken = threading.Event()
    process.watch(woken.set)
    with contextlib.ExitStack() as stack:
        health = stack.enter_context(Health.attach(namespace))
        store = stack.enter_context(PriceStore.attach(namespace))
        control = stack.enter_context(Control.attach(namespace))
        told = stack.enter_context(contextlib.closing(_Told(process, health, store, control)))
        count = _Counting(process.row)
        process.state(ProcessState.RUNNING)
        while not process.stopping:
            orders = process.poll()
            if orders is not None:
                if orders.reload and process.reload(orders, told.prepared):
                    count.add("reloads")
                process.applied(orders)
            if not told.outboxes:
                process.state(ProcessState.STOPPED, NOBODY)
                process.log.info("no target is set any more, leaving")
                return
            if not process.orders.paused:
                conditions = quiet.filter(told.watch.now())
                if conditions is not None:
                    told.tell(conditions)
                told.flush()
                told.save()
                _fare(process, told.outboxes)
            count.levels(told)
            _rest(process, woken)


class _Counting:
    """Brings the outboxes' own counts, which end with a target, into the row's, which go on."""

    def __init__(self, row: HealthRow) -> None:
        self._row = row
        self._ids = {counter.label: counter.counter_id for counter in ALERTS_COUNTERS}
        self._seen: dict[tuple[Outbox, str], int] = {}

    def add(self, label: str, count: int = 1) -> None:
        self._row.add(self._ids[label], count)

    def levels(self, told: _Told) -> None:
        """Take over what the outboxes have counted since the last call."""
        self._row.set(self._ids["conditions"], told.standing)
        self._row.set(self._ids["waiting"], sum(outbox.waiting for outbox in told.outboxes))
        seen = {}
        for outbox in told.outboxes:
            for label in ("sent", "failures", "dropped", "held_back"):
                now = getattr(outbox, label)
                self.add(label, now - self._seen.get((outbox, label), 0))
                seen[outbox, label] = now
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


def _rest(process: Process, woken: threading.Event) -> None:
    """Wait for the next look without missing a heartbeat."""
    beat_s = process.settings.config.system.heartbeat_ms / 1e3
    for _ in range(max(1, round(LOOK_EVERY_S / beat_s))):
        if woken.wait(beat_s):
            woken.clear()
            return
        process.row.beat()


def _fare(process: Process, outboxes: Sequence[Outbox]) -> None:
    """How the targets fare: one that fails is said once, and once more when it is well again."""
    for outbox in outboxes:
        if outbox.failing and outbox.said_failing != outbox.last_error:
            process.log.warning(
                "alerts cannot be sent", target=outbox.name, error=outbox.last_error
            )
            outbox.said_failing = outbox.last_error
        elif outbox.said_failing and not outbox.failing:
            process.log.info("alerts are sent again", target=outbox.name)
            outbox.said_failing = ""
    failing = [f"{outbox.name}: {outbox.last_error}" for outbox in outboxes if outbox.failing]
    if failing:
        process.state(ProcessState.DEGRADED, "; ".join(failing))
    elif process.row.state is ProcessState.DEGRADED:
        process.state(ProcessState.RUNNING, "")
