"""How a process lives: `run` sets it up, `Process` keeps it in touch with operator and system.

A process attaches to the health and control segments, says that it lives, obeys orders and ends
cleanly; what it does for a living is the body that it hands to `run`. Start is recovery: a process
that is killed leaves nothing that its next life has to clean up.

Exit codes: 0 clean stop, 1 fault, 2 bad settings, 4 segments missing or replaced (start again
after shm-init).
"""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import NamedTuple

from spread_scanner import clock, config
from spread_scanner.clock import NS_PER_MS, NS_PER_S, SuspendWatch
from spread_scanner.config import restart
from spread_scanner.errors import ConfigError, SpreadError
from spread_scanner.runtime import logs, scheduling
from spread_scanner.runtime.logs import Log, without_secrets
from spread_scanner.runtime.notifier import Notifier
from spread_scanner.schema.counters import counters_of
from spread_scanner.schema.enums import ProcessState, ReloadOutcome
from spread_scanner.schema.names import (
    ALSO_DEGRADED,
    EXIT_DONE,
    EXIT_FAILED,
    EXIT_NOT_UP,
    EXIT_SETTINGS,
)
from spread_scanner.schema.version import version
from spread_scanner.shm import Control, Health
from spread_scanner.shm.control import ControlSlot, Orders
from spread_scanner.shm.faults import NoSegment, NotReady, Retired
from spread_scanner.shm.health import HealthRow

_NOT_UP = (ProcessState.STARTING, ProcessState.FAILED)
_PAUSABLE = (ProcessState.RUNNING, ProcessState.DEGRADED)
NOT_ENABLED = "not enabled: there is nothing to do"
NO_MORE = "not enabled any more, leaving"
WATCH_MS = 500.0  # the watcher looks at least this often, should a wake-up be lost to a crash


# What `reload` is given: (new settings) -> the call that puts them in force.
Prepare = Callable[[config.Settings], Callable[[], None]]


class Tried(NamedTuple):
    """What came of preparing a reload: either the settings and the call, or why not."""

    settings: config.Settings | None
    put_in_force: Callable[[], None]
    digest: int = 0
    refusal: str = ""
    before: config.Settings | None = None  # so that whoever drops this drops them, too


class Process:
    """One process's link to the rest. Made by `run`; used from the process's own loop.

    Call `poll` at least once per heartbeat_ms: a process whose loop hangs stops beating, which is
    the point. What `poll` returns is to be applied and then acknowledged with `applied`. `on_wake`
    is called when the machine is found to have slept, before the next heartbeat: what is from
    before must no longer count when others see it.
    """

    def __init__(
        self,
        name: str,
        settings: config.Settings,
        log: Log,
        row: HealthRow,
        slot: ControlSlot,
    ) -> None:
        self.name = name
        self.settings = settings
        self.log = log
        self.row = row
        self.slot = slot
        self.orders = slot.orders()
        slot.fix(restart.checksums(settings, name))
        slot.answer(self.orders.generation, ReloadOutcome.STARTED, settings.digest)
        self._stop_asked = False
        self._retired = False
        self._state = ProcessState.STARTING  # but for the operator's pause, which is shown over it
        self._message = ""
        self._beat_every_ns = settings.config.system.heartbeat_ms * NS_PER_MS
        self._next_beat_ns = 0
        self._notifier = Notifier(self._beat_every_ns)
        self._suspends = SuspendWatch()
        self._suspends_counter = next(
            (one.counter_id for one in counters_of(name) if one.label == "suspends"), None
        )
        self.on_wake: Callable[[], None] = lambda: None
        self._wake: Callable[[], None] | None = None
        self._watcher: threading.Thread | None = None

    @property
    def stopping(self) -> bool:
        """A signal, a stop order, or segments that were replaced: leave the loop."""
        return self._stop_asked or self._retired

    @property
    def retired(self) -> bool:
        """Stopping because the segments were replaced."""
        return self._retired

    def poll(self) -> Orders | None:
        """Beat the heart when it is time; new orders, or None."""
        now_ns = clock.mono_ns()
        if now_ns >= self._next_beat_ns:
            self._next_beat_ns = now_ns + self._beat_every_ns
            self.feel_suspend()
            self.row.beat()
            self._notifier.alive()
            self._retired = self._retired or self.slot.retired
        if not self.slot.changed():
            return None
        orders = self.slot.orders()
        self.orders = orders
        self._stop_asked = self._stop_asked or orders.stop
        return orders

    def feel_suspend(self) -> None:
        """Notice that the machine slept: `poll` does with each heartbeat, others before they judge
        somebody by an age."""
        slept_ns = self._suspends.slept_ns()
        if not slept_ns:
            return
        if self._suspends_counter is not None:
            self.row.add(self._suspends_counter)
        self.log.warning("the machine was asleep", for_s=round(slept_ns / NS_PER_S, 1))
        self.on_wake()

    def applied(self, orders: Orders) -> None:
        """Acknowledge orders: they are in force now."""
        self.slot.ack(orders.generation)
        if self._state is ProcessState.PAUSED and not orders.paused:
            self._state = ProcessState.RUNNING
        if self._state in _PAUSABLE:
            self._show()

    def state(self, state: ProcessState, message: str | None = None) -> None:
        """Show what the process is doing; the first state after STARTING tells systemd "ready".

        Whatever that state is: a process that starts paused, or that is disabled and leaves, has
        come up as it should. While the operator's pause stands, RUNNING is shown as PAUSED, and
        DEGRADED as PAUSED with a message that says both. Without `message` the last one stays.
        """
        if self._state is ProcessState.STARTING and state not in _NOT_UP:
            self._notifier.ready()
        if state is ProcessState.STOPPED:
            self._notifier.stopping()
        self._state = state
        if message is not None:
            self._message = message
        self._show()

    def unwanted(self, why: str, said: str = "") -> None:
        """The settings give it nothing to do: shown and logged; who calls this returns."""
        self._wake = None  # what it parks on is about to be closed
        self.state(ProcessState.STOPPED, why)
        self.log.info(said or why)

    def _show(self) -> None:
        state, message = self._state, self._message
        if self.orders.paused and state in _PAUSABLE:
            message = ALSO_DEGRADED + message if state is ProcessState.DEGRADED else message
            state = ProcessState.PAUSED
        self.row.beat(state, message)

    def reload(self, orders: Orders, prepare: Prepare) -> bool:
        """Take the settings and tables as they are now, wholly or not at all; whether it was done.

        `prepare` reads and checks what the new settings name and changes nothing; it returns the
        call that puts them in force. Whatever it raises, and whatever is wrong with the settings,
        comes from outside: the reload is refused with the reason and everything stays as it was.
        """
        return self.conclude(orders, self.tried(prepare))

    def tried(self, prepare: Prepare) -> Tried:
        """The part of `reload` that changes nothing: another thread may do it."""
        try:
            settings = config.load(self.settings.folder)
            restart.refuse(self._differing(settings))
            put_in_force = prepare(settings)
            return Tried(settings, put_in_force, settings.digest, before=self.settings)
        except Exception as error:
            typed = isinstance(error, SpreadError)
            said = str(error) if typed else f"{type(error).__name__}: {error}"
            self.log.error("reload refused, all stays as it was", error=said, exc_info=not typed)
            return Tried(None, lambda: None, refusal=said)

    def conclude(self, orders: Orders, tried: Tried) -> bool:
        """The part that changes: put in force what was prepared, and answer; whether it was."""
        generation, settings = orders.generation, tried.settings
        if settings is None:
            said = without_secrets(tried.refusal)
            self.slot.answer(generation, ReloadOutcome.REFUSED, self.settings.digest, said)
            return False
        self.settings = settings
        self._beat_every_ns = settings.config.system.heartbeat_ms * NS_PER_MS
        self._notifier.beat_every_ns = self._beat_every_ns
        tried.put_in_force()
        self.slot.answer(generation, ReloadOutcome.APPLIED, tried.digest)
        return True

    def _differing(self, settings: config.Settings) -> dict[str, list[str]]:
        running = restart.checksums(self.settings, self.name)
        return {key: [self.name] for key in restart.changed(settings, self.name, running)}

    def extend_start(self, seconds: float) -> None:
        """Ask the service manager for more time to start: so long from now."""
        self._notifier.extend_start(seconds)

    def close(self) -> None:
        """The service manager hears no more of it."""
        self._notifier.close()

    def stop(self) -> None:
        """Ask this process to end; safe from signal handlers and threads, at any moment: of one
        that leaves already, what it parked on may be closed and is not woken."""
        leaving, self._stop_asked = self.stopping, True
        if not leaving:
            self._waken()

    def watch(self, wake: Callable[[], None]) -> None:
        """Call `wake` from a thread of its own whenever orders arrive or a stop is asked for.

        For loops that park: `wake` must be safe from another thread and only interrupt the park.
        """
        self._wake = wake
        if self.stopping:  # it was asked before there was anybody to wake
            wake()
        self._watcher = threading.Thread(target=self._watch, name="orders", daemon=True)
        self._watcher.start()

    def _watch(self) -> None:
        answered = -1
        while not self.stopping:
            arrived = self.slot.wait_beyond(answered, WATCH_MS)
            if self.stopping:
                return
            if arrived:
                answered = self.slot.generation()
                self._waken()
            elif self.slot.retired:
                self._retired = True
                self._waken()

    def _waken(self) -> None:
        wake = self._wake
        if wake is not None:
            wake()


def run(name: str, body: Callable[[Process], None]) -> int:
    """Live: settings, logs, row, slot, signals; then the body. Returns the exit code."""
    log = logs.set_up(name)
    try:
        settings = config.load()
    except ConfigError as error:
        log.error("bad settings", error=str(error))
        return EXIT_SETTINGS
    log = logs.set_up(name, settings.config.system.log_level, settings.config.system.log_format)
    try:
        with _attached(name, settings, log) as process:
            scheduling.pin(settings.cpus(name), name)
            return _live(process, body)
    except (NoSegment, NotReady, Retired) as error:
        log.error("segments are missing or were replaced", error=str(error))
        return EXIT_NOT_UP
    except ConfigError as error:  # found out late: CPUs that are not there, a file of a setting
        log.error("bad settings", error=str(error))
        return EXIT_SETTINGS
    except SpreadError as error:
        log.error("cannot go on", error=str(error))
        return EXIT_FAILED
    except Exception:
        # One line in the log, traceback and all, instead of the interpreter's many.
        log.exception("a fault of ours")
        return EXIT_FAILED


@contextlib.contextmanager
def _attached(name: str, settings: config.Settings, log: Log) -> Iterator[Process]:
    namespace = settings.config.system.namespace
    with contextlib.ExitStack() as stack:
        health = stack.enter_context(Health.attach(namespace))
        control = stack.enter_context(Control.attach(namespace))
        asked = _Asked()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, asked)
        row = stack.enter_context(health.claim(name))
        slot = stack.enter_context(control.claim(name))
        process = Process(name, settings, log, row, slot)
        stack.callback(process.close)
        asked.to_end(process)
        yield process


class _Asked:
    """Hears SIGTERM and SIGINT from before the process has a row: who ends by such a signal leaves
    a row as of one that was killed. Until then there is nothing to leave, and the kernel ends it.
    """

    def __init__(self) -> None:
        self._process: Process | None = None
        self._early = False

    def __call__(self, _number: int, _frame: object) -> None:
        self._early = True
        if self._process is not None:
            self._process.stop()

    def to_end(self, process: Process) -> None:
        """Whom the signals concern."""
        self._process = process
        if self._early:
            process.stop()


def _live(process: Process, body: Callable[[Process], None]) -> int:
    # The orders in force at start are obeyed from the start: acknowledge them.
    process.slot.ack(process.orders.generation)
    process.log.info("started", pid=os.getpid(), version=version())
    try:
        if not process.stopping:
            body(process)
    except (NoSegment, NotReady, Retired):
        process.state(ProcessState.FAILED, "segments are missing or were replaced")
        raise
    except BaseException as error:
        process.state(ProcessState.FAILED, str(error) or type(error).__name__)
        raise
    if process.retired:
        process.log.warning("segments were replaced, leaving")
        process.state(ProcessState.STOPPED, "segments were replaced")
        return EXIT_NOT_UP
    process.state(ProcessState.STOPPED)
    process.log.info("stopped")
    return EXIT_DONE
