"""One life of the whole system: brought up, shown where there is a screen, and taken down again.

On the live exchanges or against the simulator, where the run can be scored. Its end is a summary;
the words in it are those of `spread-ctl status`.
"""

import contextlib
import dataclasses
import functools
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, Protocol, cast

from spread_scanner import clock, config
from spread_scanner.errors import SpreadError
from spread_scanner.runtime import logs
from spread_scanner.runtime.logs import Log
from spread_scanner.schema.enums import ProcessState
from spread_scanner.schema.figures import lasting
from spread_scanner.schema.names import EXCHANGE_SIM, GATEWAY, LOGS_FOLDER, SUPERVISOR
from spread_scanner.supervise import learned, score
from spread_scanner.supervise.carried import right_carried
from spread_scanner.supervise.lateness import Lateness
from spread_scanner.supervise.log_files import opened
from spread_scanner.supervise.observer import Observer
from spread_scanner.supervise.scored import scored
from spread_scanner.supervise.seen import follow_ups_of, seen_of
from spread_scanner.supervise.simulation import SimulatedMarket, Simulation
from spread_scanner.supervise.stop import Stop, on_signals
from spread_scanner.supervise.summary import RunSummary
from spread_scanner.supervise.supervisor import Supervisor, running
from spread_scanner.supervise.truth import TruthFile, read_truth
from spread_scanner.supervise.waits import CpuWaits
from spread_scanner.symbology import tables
from spread_scanner.symbology.fees import FeeOfFill, fees_by_name

SUBSCRIBED_TIMEOUT_S = 20.0
DRAINED_TIMEOUT_S = 1.0
LOOK_EVERY_S = 0.2  # while somebody watches, or something is waited for
WAITS_EVERY_S = 0.1  # where a score allows for them: of whole seconds it were not known when
# What was sent, of which the verdict takes a few seconds: minutes of a market as shipped.
JUDGED_BYTES_MAX = 32 * 2**20
COUNT_EVERY_S = 1.0  # else: signals are kept for the summary, long before the ring comes round


class SimulatorDied(SpreadError):
    """The simulator ended while it was needed."""


class CannotKeep(SpreadError):
    """A folder where the files of a simulated run cannot be kept."""


class UpOptions(NamedTuple):
    """What `up` was asked for."""

    sim: bool
    seconds: float | None
    discover: bool
    market: SimulatedMarket
    tolerance_ms: float
    keep: Path | None  # where a simulated run leaves its files
    gateway: bool = False  # a simulated run shows itself to browsers


class Drawing(Protocol):
    """A screen that shows the run; it decides itself how often it draws."""

    def draw(self, observer: Observer | None, note: str = "", *, at_once: bool = False) -> None: ...


# Opens a screen for a supervisor, under a heading.
OpenScreen = Callable[[Supervisor, str], contextlib.AbstractContextManager[Drawing]]


class Run:
    """One life of the system under a supervisor."""

    def __init__(
        self,
        options: UpOptions,
        supervisor: Supervisor,
        simulation: Simulation | None,
        screen: Drawing | None,
        stop: Stop,
    ) -> None:
        self._options, self._stop = options, stop
        self._supervisor = supervisor
        self._simulation = simulation
        self._screen = screen
        self._observer: Observer | None = None
        self._looked_s = self._waits_s = 0.0
        self._waits = CpuWaits()
        self._address = ""  # of the gateway

    def live(self) -> RunSummary:
        """Start, run until told or timed to end, and give the summary."""
        supervisor = self._supervisor
        supervisor.on_wait = self._draw_start
        supervisor.before_engine = self._seed_history
        with contextlib.ExitStack() as stack:
            stack.callback(self._close)
            with running(supervisor):
                supervisor.start()
                if supervisor.health is None:
                    raise KeyboardInterrupt  # asked to stop before segments stood: nothing was seen
                self._tell_address()
                observer = self._watched()
                self._until(observer.subscribed, SUBSCRIBED_TIMEOUT_S)
                observer.begin()
                if self._simulation is not None:
                    self._simulation.begin()
                begin_ns = clock.mono_ns()
                self._waits.begin()
                self._until(None, self._options.seconds)
                end_ns = clock.mono_ns()
                self._drain(observer)
                document = self._document(observer, begin_ns, end_ns)
            if self._simulation is not None:
                self._simulation.stop()
                document |= self._verdict(self._simulation, observer, (begin_ns, end_ns))
            document["ok"] = document["ok"] and supervisor.came_up
            if not document["ok"]:
                self._tell_waits()
            document["killed_at_stop"] = supervisor.killed
        return cast("RunSummary", document)  # a test holds it to that

    def _seed_history(self) -> None:
        """A simulated market has been there for ever, as far as the engine is concerned. Written
        down just before that starts: a history older than its half-life would be none."""
        if self._simulation is not None:
            text = self._simulation.seed_history(self._supervisor.settings)
            self._supervisor.tell(EXCHANGE_SIM, text)

    def _tell_address(self) -> None:
        """Where the gateway answers, if there is one."""
        health = self._supervisor.health
        row = health.read(GATEWAY) if health is not None and GATEWAY in health.names() else None
        if row is not None and row.state is ProcessState.RUNNING:
            self._address = row.message
            self._supervisor.tell(GATEWAY, f"answers at {row.message}")

    def _watched(self) -> Observer:
        if self._observer is None:
            self._observer = Observer(self._supervisor.settings)
        return self._observer

    def _close(self) -> None:
        self._waits.close()
        if self._observer is not None:
            self._observer.close()

    def _draw_start(self) -> None:
        """While processes start: show those that have come so far."""
        if self._supervisor.health is not None:
            self._look(self._watched())
        if self._screen is not None:
            self._screen.draw(self._observer, "starting")

    def _until(self, condition: Callable[[], bool] | None, seconds: float | None) -> None:
        """Turn the supervisor until a condition holds, a time is over or a stop is asked for."""
        watched = condition is not None or self._screen is not None
        observer = self._watched()
        deadline_s = None if seconds is None else clock.awake_s() + seconds
        while not self._supervisor.stopping and not (condition is not None and condition()):
            if deadline_s is not None and clock.awake_s() >= deadline_s:
                return
            self._supervisor.tick()
            self._look(observer, watched=watched)
            self._look_at_waits()
            if self._screen is not None:
                left_s = None if deadline_s is None else deadline_s - clock.awake_s()
                self._screen.draw(observer, _note(left_s, self._address))
            if self._simulation is not None and self._simulation.died:
                raise SimulatorDied("the simulator ended by itself", log=self._simulation.log_path)

    def _look(self, observer: Observer, *, watched: bool = True) -> None:
        if clock.mono_s() - self._looked_s < (LOOK_EVERY_S if watched else COUNT_EVERY_S):
            return
        self._looked_s = clock.mono_s()
        observer.use(self._supervisor.settings)
        if watched:
            observer.look()
        else:
            observer.keep()

    def _look_at_waits(self) -> None:
        scored = self._simulation is not None
        if clock.mono_s() - self._waits_s < (WAITS_EVERY_S if scored else COUNT_EVERY_S):
            return
        self._waits_s = clock.mono_s()
        of_sim = [self._simulation.child] if self._simulation is not None else []
        self._waits.look([*self._supervisor.children.values(), *of_sim])

    def _tell_waits(self) -> None:
        """What is wrong in a run on a busy machine may be that machine's doing."""
        busy = self._waits.beyond(self._options.tolerance_ms / 2)
        if busy:
            said = ", ".join(f"{name} {waited_ms:,.0f} ms" for name, waited_ms in busy.items())
            text = f"the machine was busy: waited for a CPU within a second: {said}"
            self._supervisor.tell(SUPERVISOR, text)

    def _drain(self, observer: Observer) -> None:
        """The tracker takes what is still in the ring, so that the counts agree."""
        self._until(lambda: observer.tail.in_ring == 0, DRAINED_TIMEOUT_S)
        observer.look()

    def _document(self, observer: Observer, begin_ns: int, end_ns: int) -> dict[str, Any]:
        summary = observer.summary()
        views = {view.process: view for view in observer.views()}
        return {
            "ok": True,
            "seconds": round((end_ns - begin_ns) / 1e9, 3),
            "processes": {
                name: {
                    "state": view.state,
                    "starts": view.starts,
                    "drops": view.drops,
                    "skips": view.skips,
                }
                for name, view in views.items()
            },
            "pairs": observer.board.pairs if observer.board is not None else 0,
            **summary._asdict(),
            "restarts": self._supervisor.restarts,
            "cpu_wait_ms": {
                name: round(ms, 1) for name, ms in sorted(self._waits.longest_ms.items())
            },
        }

    def _verdict(
        self, simulation: Simulation, observer: Observer, window_ns: tuple[int, int]
    ) -> dict[str, Any]:
        """What was found of what was sent, or why nobody says it: who ends a run of hours waits
        for none of it."""
        sent_bytes = simulation.truth_path.stat().st_size
        sent = f"{sent_bytes / 2**20:z,.0f} MiB of what was sent"
        if self._stop.asked and sent_bytes > JUDGED_BYTES_MAX:
            why = f"it was told to end, and {sent} take long; one of --seconds N is, at its end"
            return self._not_scored(why)
        note = f"judges by {sent}; Ctrl-C ends it without"
        self._supervisor.tell(SUPERVISOR, note)
        if self._screen is not None:
            self._screen.draw(observer, note, at_once=True)
        try:
            with self._stop.at_once():
                return self._scored(simulation, observer, window_ns)
        except KeyboardInterrupt:
            return self._not_scored(f"it was ended while it was judged by {sent}")

    def _not_scored(self, why: str) -> dict[str, Any]:
        """One that was to last for so long has not held what it promises."""
        return {"ok": self._options.seconds is None, "not_scored": why}

    def _scored(
        self, simulation: Simulation, observer: Observer, window_ns: tuple[int, int]
    ) -> dict[str, Any]:
        truth, settings = read_truth(simulation.truth_path), self._supervisor.settings
        late = Lateness(self._options.tolerance_ms, self._waits.kept)
        result = score.score(
            truth.intervals,
            seen_of(observer.signals, observer.symbols),
            window_ns,
            sent=truth,
            lives=observer.lives(),
            usual=self._usual_judged(simulation, truth, window_ns[0], late),
            carried=right_carried(
                follow_ups_of(observer.signals, observer.symbols),
                truth,
                _fee_bps(settings),
                late,
            ),
            outages=self._supervisor.outages.all,
            lateness=late,
            implausible_bps=settings.config.spread_engine.implausible_bps,
            implausible_hold_s=settings.config.spread_engine.implausible_hold_s,
        )
        return scored(result, self._options.market.seed, window_ns[0])

    def _usual_judged(
        self, simulation: Simulation, truth: TruthFile, begin_ns: int, late: Lateness
    ) -> list[learned.UsualJudged]:
        """Of each pair, what the engine has adopted last; nothing if it never came so far."""
        adopted = learned.adopted_last(self._supervisor.settings)
        if adopted is None:
            return []
        return learned.judged(
            adopted,
            truth,
            simulation.seeded_ns,
            begin_ns,
            late,
            self._supervisor.outages.all,
            implausible_bps=self._supervisor.settings.config.spread_engine.implausible_bps,
            seeded=simulation.seeded,
        )


def _fee_bps(settings: config.Settings) -> FeeOfFill:
    """By the tables, which are there once somebody asks: a run may end before its pairs are
    found."""

    @functools.cache
    def by_tables() -> FeeOfFill:
        return fees_by_name(settings, tables.load(settings.generated_dir))

    return lambda source, symbol: by_tables()(source, symbol)


def _note(left_s: float | None, address: str) -> str:
    where = f"{address}  " if address else ""
    ending = "" if left_s is None else f"ends in {lasting(max(0.0, left_s))}; "
    return f"{where}{ending}Ctrl-C ends it"


def up(
    options: UpOptions, namespace: str | None = None, open_screen: OpenScreen | None = None
) -> RunSummary:
    """Run; returns the summary. `namespace` names the simulated system."""
    with contextlib.ExitStack() as stack:
        stop = stack.enter_context(on_signals())
        simulation = files = None
        environ = dict(os.environ)
        if options.sim:
            files = stack.enter_context(_files(options.keep))
            folder = files.folder
            simulation = Simulation(
                folder, namespace or folder.name, options.market, gateway=options.gateway
            )
            stack.callback(simulation.stop)
            simulation.start(lambda: stop.asked)
            environ = simulation.environ()
        settings = config.load(environ=environ)
        on_screen = open_screen is not None
        log = stack.enter_context(_logging(settings, into_file=on_screen))
        supervisor = Supervisor(settings, environ, log, discover=options.discover)
        stop.then(supervisor.ask_to_stop)
        screen = None
        if open_screen is not None:
            heading = "simulated exchanges" if options.sim else "live exchanges"
            screen = stack.enter_context(open_screen(supervisor, heading))
        summary = Run(options, supervisor, simulation, screen, stop).live()
        if files is not None:
            # By whom it was started: no failure.
            given_up = stop.asked and ("not_scored" in summary or not supervisor.came_up)
            files.stay = files.stay or not (summary["ok"] or given_up)
            if files.stay:
                summary["files"] = str(files.folder)
        return summary


@dataclasses.dataclass
class _Files:
    """Of a simulated run."""

    folder: Path
    stay: bool


@contextlib.contextmanager
def _files(keep: Path | None) -> Iterator[_Files]:
    """Where a simulated run puts its files; removed afterwards unless they are to stay. Those of a
    run that failed do: its error names a log in there, and who looks for the cause needs them all.
    """
    if keep is not None:
        try:
            keep.mkdir(parents=True, exist_ok=True)
            in_use = any(keep.iterdir())
        except (OSError, ValueError) as error:  # a name with a zero byte is a ValueError
            raise CannotKeep(f"the folder cannot be made: {error}", folder=keep) from None
        if in_use:
            raise CannotKeep("the folder is in use: name a new or empty one", folder=keep)
        yield _Files(keep.resolve(), stay=True)
        return
    files = _Files(Path(tempfile.mkdtemp(prefix="spread-sim-")), stay=False)
    try:
        yield files
    except Exception:  # not of Ctrl-C
        files.stay = True
        raise
    finally:
        if not files.stay:
            shutil.rmtree(files.folder, ignore_errors=True)


@contextlib.contextmanager
def _logging(settings: config.Settings, *, into_file: bool) -> Iterator[Log]:
    """Our log lines: on stderr, or in a file beside the children's while the screen is on."""
    system = settings.config.system
    with contextlib.ExitStack() as stack:
        if into_file:
            path = settings.data_dir / LOGS_FOLDER / f"{SUPERVISOR}.log"
            file = stack.enter_context(opened(path))
            stack.enter_context(contextlib.redirect_stderr(file))
        yield logs.set_up(SUPERVISOR, system.log_level, system.log_format)
