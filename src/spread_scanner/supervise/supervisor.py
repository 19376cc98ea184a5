"""The supervisor behind `spread-ctl up`: starts all processes in order and keeps them running.

Order: shm-init, pair-discovery, the feeds, spread-engine, spread-tracker; each step waits until
its processes run. What dies is started again after a pause that grows to a cap; what hangs (its
heartbeat stopped) is killed and started again. At the end all stop in reverse order and the
segments are removed, but for the dials' while an exchange's ban is in force. It has a row and a
control slot itself, named "spread-ctl": `spread-ctl down` speaks to those, and a second supervisor
of the same namespace finds them taken.

One thread only: children must die with the thread that started them (children.py).
"""

import contextlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from spread_scanner import clock, config
from spread_scanner.config.processes import optional
from spread_scanner.errors import SegmentError, SpreadError
from spread_scanner.orders import discovering
from spread_scanner.orders.carried import carry
from spread_scanner.orders.remembered import NotRemembered
from spread_scanner.runtime.logs import Log
from spread_scanner.runtime.process import (
    Process,
)
from spread_scanner.schema.enums import EXCHANGE_SOURCES, ProcessState
from spread_scanner.schema.figures import plain
from spread_scanner.schema.names import (
    DISCOVERY,
    ENGINE,
    EXIT_DONE,
    EXIT_NOT_UP,
    EXIT_PARTIAL,
    EXIT_SETTINGS,
    LOGS_FOLDER,
    SHM_INIT,
    SUPERVISOR,
    TRACKER,
)
from spread_scanner.schema.version import version
from spread_scanner.shm import Control, Health, dials, segment
from spread_scanner.shm.faults import NoSegment, NotReady, Retired
from spread_scanner.shm.health import Beat, ProcessHealth
from spread_scanner.supervise import log_files
from spread_scanner.supervise.children import (
    BUSY_S_MAX,
    Child,
    ask_all,
    await_all,
    end_all,
    in_short,
    kill_all,
    some_have_ended,
)
from spread_scanner.supervise.errands import Errand
from spread_scanner.supervise.outages import Outages

TICK_S = 0.05
LOOK_EVERY_S = 0.5  # at who hangs and what is due; who died is seen each tick, who returns as well
RENEW_LOGS_EVERY_S = 60.0
START_TIMEOUT_S = 30.0
STARTS_MAX = 3
STOP_TIMEOUT_S = 2.8
STEP_RESERVE_S = 0.8
HANG_S_MIN = 10.0
EVENTS_KEPT = 200

RUNS = {ProcessState.RUNNING, ProcessState.PAUSED, ProcessState.DEGRADED}


class CannotStart(SpreadError):
    """The system does not come up; the message names the process and its log."""


class Happening(NamedTuple):
    """Something that happened to a process, for people."""

    mono_ns: int
    process: str
    text: str


def stages_of(settings: config.Settings) -> list[list[str]]:
    """The processes that stay, in order of start; those of one step start together."""
    feeds = [
        source.process for source in EXCHANGE_SOURCES if settings.exchanges[source.label].enabled
    ]
    others = [name for name, wanted in optional(settings).items() if wanted]
    return [feeds, [ENGINE], [TRACKER], others]


class Supervisor:
    """Use: `with Supervisor(...) as s: s.start(); while not s.stopping: s.tick(); ...`."""

    def __init__(
        self,
        settings: config.Settings,
        environ: Mapping[str, str],
        log: Log,
        *,
        discover: bool = True,
    ) -> None:
        self.settings = settings
        self.namespace = settings.config.system.namespace
        self.events: deque[Happening] = deque(maxlen=EVENTS_KEPT)
        self.outages = Outages()
        self._stages = stages_of(settings)
        self._environ = environ
        self._log = log
        self._discover = discover
        self._stop_asked = False
        self._is_up = False
        self._woke_ns = 0  # who hangs since before a suspend has not hung so long
        self.killed: list[str] = []  # at the end, as they did not stop
        self._link = contextlib.ExitStack()
        self._process: Process | None = None
        self._control: Control | None = None
        self.health: Health | None = None
        self.children = {
            name: self._child(name) for name in [name for step in self._stages for name in step]
        }
        self._errands = [
            Errand(
                "a full discovery",
                lambda: self.settings.config.pair_discovery.discover_every_s,
                lambda: self._sent(SUPERVISOR, "discover"),
                log,
                publishes=True,
                asked=lambda: discovering.taken(self.settings),
            ),
            Errand(
                "a quick look",
                lambda: self.settings.config.pair_discovery.look_every_s,
                lambda: self._sent(SUPERVISOR, "discover", "--quick"),
                log,
                publishes=True,
            ),
            Errand(
                "asking for funding",
                lambda: self.settings.config.pair_discovery.funding_every_s,
                lambda: self._sent(DISCOVERY, "--funding"),
                log,
            ),
        ]
        self._dismissed: set[str] = set()  # children that are no longer wanted
        self._hang_ns = _hang_ns(settings)
        self._looked_s = 0.0
        self._renewed_s = 0.0
        self.on_wait: Callable[[], None] = lambda: None  # the screen draws while we wait
        self.before_engine: Callable[[], None] = lambda: None  # the feeds run, and it starts next

    def _child(self, name: str) -> Child:
        return Child(name, self._environ, self.log_path(name))

    def _sent(self, name: str, *arguments: str) -> Child:
        return Child(name, self._environ, self.log_path(DISCOVERY), arguments)

    def log_path(self, process: str) -> Path:
        return self.settings.data_dir / LOGS_FOLDER / f"{process}.log"

    @property
    def restarts(self) -> int:
        return sum(child.restarts for child in self.children.values())

    @property
    def came_up(self) -> bool:
        """Whether it was brought up to the end; not where it was asked to stop before."""
        return self._is_up

    @property
    def stopping(self) -> bool:
        return self._stop_asked or (self._process is not None and self._process.stopping)

    def ask_to_stop(self) -> None:
        """Safe from a signal handler."""
        self._stop_asked = True

    def start(self) -> None:
        """Bring everything up. Raises CannotStart; returns early when asked to stop."""
        self._log.info("starting", version=version())
        self._refuse_when_up()
        self._once(SHM_INIT, "the segments could not be made")
        if self.stopping:
            return  # what was ended half-way may have made no segment yet
        self._attach()
        if self._discover:
            self._find_pairs()
        for step in self._stages:
            if self.stopping:
                return
            if ENGINE in step:
                self.before_engine()
            step = [name for name in step if name not in self._dismissed]
            for name in step:
                self.children[name].start()
            self._await_running(step)
        if self._process is not None and not self.stopping:
            self._is_up = True
            self._process.state(ProcessState.RUNNING)

    def tick(self) -> None:
        """One turn: our own heartbeat and orders, then who died, then who is due again."""
        self._beat()
        looks = clock.mono_s() - self._looked_s >= LOOK_EVERY_S
        if looks:
            self._looked_s = clock.mono_s()
        ended = some_have_ended()
        for child in list(self.children.values()):
            if child.pid is not None:
                self._look_after(child, looks, ended)
            elif child.name in self._dismissed:
                continue
            elif child.due and not self.stopping:
                again = bool(child.starts)  # else enabled while the others were started
                child.start()
                self._note(
                    child.name, "started again" if again else "enabled, started", pid=child.pid
                )
        if looks:
            self._send_errands()
            self._renew_logs()
        clock.sleep(TICK_S)

    def _renew_logs(self) -> None:
        if clock.mono_s() - self._renewed_s >= RENEW_LOGS_EVERY_S:
            self._renewed_s = clock.mono_s()
            for name in (*self.children, DISCOVERY, SHM_INIT, SUPERVISOR):
                log_files.renew(self.log_path(name))

    def _send_errands(self) -> None:
        """Find the pairs anew, look for new listings, ask for funding: each every so often. Who
        writes tables waits for the other who does: it would be refused."""
        may_start = self._discover and self._is_up and not self.stopping
        for errand in self._errands:
            free = not errand.publishes or not any(
                one.publishes and one.under_way for one in self._errands if one is not errand
            )
            errand.turn(may_start=may_start and free)

    def stop(self) -> None:
        """End all in reverse order and remove the segments; `killed` names who had to be. Who takes
        longer than the next can wait for has until the end of all; what a busy machine takes is
        taken from nobody else."""
        deadline_s = clock.awake_s() + STOP_TIMEOUT_S
        busy_until_s = deadline_s + BUSY_S_MAX
        if self._process is not None:
            self._process.state(ProcessState.STOPPING)
        late: list[Child] = []
        for number, step in reversed(list(enumerate(self._stages))):
            # What is left is theirs, less a little for each step that is still to come.
            step_deadline_s = deadline_s - number * STEP_RESERVE_S
            children = [self.children[name] for name in step]
            ask_all(children)
            late += await_all(children, step_deadline_s, self._done, busy_until_s - deadline_s)
            deadline_s = max(deadline_s, clock.awake_s() + number * STEP_RESERVE_S)
        late = await_all(late, deadline_s, self._done, busy_until_s - deadline_s)
        self.killed += kill_all(late)
        if self.killed:
            self._log.warning("killed, as they did not stop in time", processes=self.killed)
        sent = [errand.under_way for errand in self._errands if errand.under_way is not None]
        end_all(sent, clock.awake_s() + STEP_RESERVE_S)
        mine = self._process is not None
        # Also of who had not come so far: what a crashed system has left may be all that knows.
        kept = bool(segment.names(self.namespace)) and not self._carried()
        self._detach()
        if kept:
            return
        bans = dials.segment_of_bans(self.namespace, clock.mono_ns())
        if mine:
            # Also those that somebody only looks at: they are marked, so that he can tell.
            for name in segment.names(self.namespace):
                if name != bans:
                    segment.remove(name)
        else:
            segment.clean(self.namespace, but=bans)

    def _carried(self) -> bool:
        """Whether what is switched is remembered. A disk may have been full when it was: then the
        segments alone know it, and stay.
        """
        try:
            carry(self.settings)
        except NotRemembered as error:
            self._log.error("segments kept: what is switched would be forgotten", why=str(error))
            return False
        return True

    def rows(self) -> list[ProcessHealth]:
        """The health of everybody in the namespace."""
        return self.health.read_all() if self.health is not None else []

    def _refuse_when_up(self) -> None:
        try:
            with Health.attach(self.namespace, timeout_s=0) as health:
                alive = [name for name in health.names() if health.alive(name)]
        except (NoSegment, NotReady, Retired):
            return
        if alive:
            raise CannotStart(
                "the system is up already: stop it first (spread-ctl down), "
                "or use another namespace",
                namespace=self.namespace,
                running=", ".join(alive),
            )

    def _once(self, name: str, failure: str, accepted: tuple[int, ...] = (EXIT_DONE,)) -> int:
        """Run a process that ends by itself."""
        child = self._child(name)
        child.start()
        while (code := child.ended()) is None:
            self._turn()
            if self.stopping:
                end_all([child], clock.awake_s() + 1.0)
                return 0
        if self.stopping:
            return 0  # by a signal to all of us, a closed terminal's
        if code not in accepted:
            raise CannotStart(
                failure, process=name, exit_code=code, log=child.log_path, said=_last(child)
            )
        return code

    def _find_pairs(self) -> None:
        discovering.taken(self.settings)  # what was left in an earlier life is done now
        try:
            code = self._once(
                DISCOVERY, "no pairs were found; try spread-ctl doctor", (EXIT_DONE, EXIT_PARTIAL)
            )
        except CannotStart as error:
            if not (self.settings.generated_dir / "current").exists():
                raise
            self._note(DISCOVERY, "failed; the tables of its last run stay in force")
            self._log.warning("discovery failed, going on with the old tables", why=str(error))
            return
        if code == EXIT_PARTIAL:
            self._note(DISCOVERY, "some exchange was not reached; its last known pairs are kept")

    def _attach(self) -> None:
        """Take our row and slot; also after the segments were replaced."""
        self._detach()
        self.health = self._link.enter_context(Health.attach(self.namespace))
        control = self._control = self._link.enter_context(Control.attach(self.namespace))
        self.outages.switched(control.standing)
        row = self._link.enter_context(self.health.claim(SUPERVISOR))
        slot = self._link.enter_context(control.claim(SUPERVISOR))
        self._process = Process(SUPERVISOR, self.settings, self._log, row, slot)
        self._process.on_wake = self._woke
        slot.ack(slot.generation())
        if self._is_up:
            self._process.state(ProcessState.RUNNING)

    def _detach(self) -> None:
        if self._process is not None:
            self._process.state(ProcessState.STOPPED)
            self._process.close()
        self._link.close()
        self._process = self._control = None
        self.health = None

    def _beat(self) -> None:
        if self._process is None:
            return
        orders = self._process.poll()
        if orders is not None:
            if orders.reload:
                self._process.reload(orders, self._prepared)
            self._process.applied(orders)
            if self._control is not None:
                self.outages.switched(self._control.standing)
        if self._process.retired and not self._stop_asked:
            self._note(SUPERVISOR, "the segments were replaced; attaching to the new ones")
            with contextlib.suppress(NoSegment, NotReady, Retired):
                self._attach()

    def _prepared(self, settings: config.Settings) -> Callable[[], None]:
        stages = stages_of(settings)
        return lambda: self._take(settings, stages)

    def _take(self, settings: config.Settings, stages: list[list[str]]) -> None:
        """Settings that were reloaded: who is enabled now is started, who is not leaves by itself
        and is not started again.
        """
        self.settings = settings
        self._hang_ns = _hang_ns(settings)
        wanted = [name for step in stages for name in step]
        for name in wanted:
            if name not in self.children:
                self.children[name] = self._child(name)
                if self._is_up:
                    self.children[name].start()
                    self._note(name, "enabled, started")
        self._dismissed = {name for name in self.children if name not in wanted}
        # Those that leave stay in their step, so that the end waits for them.
        late = [name for name in self._dismissed if name not in wanted]
        self._stages = [*stages, late] if late else stages

    def _turn(self) -> None:
        self._beat()
        self.on_wait()
        clock.sleep(TICK_S)

    def _await_running(self, names: list[str]) -> None:
        """Until all run. One that keeps ending is an error; one that is slow is only named."""
        deadline_s = clock.awake_s() + START_TIMEOUT_S
        waiting = set(names)
        while waiting and not self.stopping and clock.awake_s() < deadline_s:
            self._turn()
            waiting -= self._dismissed  # by a reload meanwhile
            for name in sorted(waiting):
                child = self.children[name]
                if child.pid is None:
                    if child.due:
                        child.start()
                elif (code := child.ended()) is not None:
                    self._ended_at_start(child, code)
                elif self._runs(child):
                    waiting.discard(name)
        for name in sorted(waiting):
            if not self.stopping:
                self._note(
                    name, f"not running after {plain(START_TIMEOUT_S)} s; going on without it"
                )

    def _ended_at_start(self, child: Child, code: int) -> None:
        """Bad settings stay bad; anything else is tried again a few times."""
        self._note(child.name, _ending(code))
        if code == EXIT_SETTINGS or child.starts >= STARTS_MAX:
            raise CannotStart(
                "a process ended while starting",
                process=child.name,
                exit_code=code,
                log=child.log_path,
                said=_last(child),
            )

    def _segments_stand(self) -> bool:
        try:
            Health.attach(self.namespace, timeout_s=0).close()
        except SegmentError:
            return False
        return True

    def _row(self, child: Child) -> Beat | None:
        """The row of this very life of a child, or None when it has not come so far."""
        row = self.health.beat(child.name) if self.health is not None else None
        return row if row is not None and row.pid == child.pid else None

    def _done(self, child: Child) -> bool:
        row = self._row(child)
        return row is not None and row.state is ProcessState.STOPPED

    def _runs(self, child: Child) -> bool:
        row = self._row(child)
        return row is not None and row.alive and row.state in RUNS

    def _look_after(self, child: Child, looks: bool, ended: bool) -> None:
        code = child.ended() if ended else None
        if code is not None and child.name in self._dismissed:
            self._note(child.name, "no longer wanted, has ended")
            return
        if code is not None:
            self._note(child.name, _ending(code))
            self.outages.gone(child.name, clock.mono_ns())
            if code == EXIT_NOT_UP and not self._segments_stand():
                with contextlib.suppress(CannotStart):
                    self._once(SHM_INIT, "the segments could not be made again")
            return
        row = self._row(child) if looks else None
        if row is not None and (hung_ns := self._hung_ns(row)) > self._hang_ns:
            self._note(child.name, f"hangs: no heartbeat for {hung_ns / 1e9:.1f} s")
            end_all([child], clock.awake_s())
            self.outages.gone(child.name, clock.mono_ns() - hung_ns)
        elif self.outages.is_gone(child.name) and self._runs(child):
            self.outages.back(child.name)

    def _hung_ns(self, row: Beat) -> int:
        """For how long a process has not beaten although it could."""
        if row.heartbeat_age_ns > self._hang_ns and self._process is not None:
            self._process.feel_suspend()  # since the last beat of ours, perhaps
        return min(row.heartbeat_age_ns, clock.mono_ns() - self._woke_ns)

    def _woke(self) -> None:
        self._woke_ns = clock.mono_ns()
        self.events.append(Happening(self._woke_ns, SUPERVISOR, "the machine was asleep"))

    def tell(self, process: str, text: str) -> None:
        """Something that people should see; nothing is wrong."""
        self.events.append(Happening(clock.mono_ns(), process, text))
        self._log.info(text, about=process)

    def _note(self, process: str, text: str, **details: object) -> None:
        self.events.append(Happening(clock.mono_ns(), process, text))
        self._log.warning(text, about=process, **details)


def _hang_ns(settings: config.Settings) -> int:
    """A heartbeat older than this is a process that hangs."""
    return int(max(HANG_S_MIN, 5 * settings.config.system.heartbeat_ms_max / 1e3) * 1e9)


def _ending(code: int) -> str:
    return f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"


def _last(child: Child) -> str:
    """The last thing that a process logged, in short."""
    try:
        lines = child.log_path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return in_short(lines[-1] if lines else "")


@contextlib.contextmanager
def running(supervisor: Supervisor) -> Iterator[Supervisor]:
    """Whatever happens inside, everything is stopped and removed afterwards."""
    try:
        yield supervisor
    finally:
        supervisor.stop()
