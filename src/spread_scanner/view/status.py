"""The whole system at a glance: what `spread-ctl status`, the doctor and the gateway show.

What is wrong is weighed by the conditions that spread-alerts tells (view/conditions): all of them
say the same.
"""

import contextlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from spread_scanner import clock
from spread_scanner.clock import NS_PER_S
from spread_scanner.config import Settings
from spread_scanner.config.processes import staying
from spread_scanner.schema.enums import SwitchKind
from spread_scanner.schema.names import DATABASE_FILE, ONE_SHOT
from spread_scanner.schema.version import installed
from spread_scanner.shm import Control, Health, PriceStore
from spread_scanner.shm.evaluations import Evaluations
from spread_scanner.shm.switched import Switched, standing_now
from spread_scanner.view import blocked, disk, funding, in_force, sources
from spread_scanner.view.blocked import BlockedPair
from spread_scanner.view.conditions.condition import Condition, kind_of
from spread_scanner.view.conditions.standing import SystemLook, Weighing
from spread_scanner.view.disk import Disk
from spread_scanner.view.funding import FundingState
from spread_scanner.view.in_force import InForce
from spread_scanner.view.processes import ProcessView, StatusLooks
from spread_scanner.view.readers import Readers
from spread_scanner.view.reading import Reading
from spread_scanner.view.tables import TablesInForce

NAMED_MAX = 5  # of one kind, to people
OF_PROCESSES = ("down", "hung", "degraded", "failed")


class Segments(NamedTuple):
    """What is attached of one system."""

    health: Health
    control: Control
    store: PriceStore
    kept: Evaluations


@contextlib.contextmanager
def attached(namespace: str) -> Iterator[Segments]:
    """All that a status is read from. Raises NoSegment and its kind where the system is not up."""
    with (
        Health.attach(namespace) as health,
        Control.attach(namespace) as control,
        PriceStore.attach(namespace) as store,
        Evaluations.attach(namespace) as kept,
    ):
        yield Segments(health, control, store, kept)


class Switches(Reading, frozen=True):
    """What the operator has switched."""

    killed: bool
    paused_processes: list[str]
    paused_sources: list[str]
    paused_directions: list[str]
    paused_symbols: list[str]
    standing: list[Switched]  # all of it, with whose order it was

    @property
    def any(self) -> bool:
        """Whether anything is switched."""
        return bool(self.standing)


class StandingCondition(Reading, frozen=True):
    """Something that is not as it should be. docs/operating.md says of each key what to do."""

    key: str  # what kind, and where there are several, of what: `stale:okx-spot`
    text: str
    can_wait: bool  # until tomorrow
    deliberate: bool  # somebody wants it so: halted, paused, outside the band that was set


def brief(conditions: Sequence[StandingCondition]) -> list[str]:
    """For people, a line each with its key; of a kind that has many the first ones, and how many
    more."""
    kinds: dict[str, list[StandingCondition]] = {}
    for one in conditions:
        kinds.setdefault(kind_of(one.key), []).append(one)
    lines = []
    for kind, of_kind in kinds.items():
        lines += [f"{one.text} ({one.key})" for one in of_kind[:NAMED_MAX]]
        if (more := len(of_kind) - NAMED_MAX) > 0:
            lines.append(f"and {more:,} more ({kind})")
    return lines


class Status(Reading, frozen=True):
    """The whole system: its processes, what they have in force, and what is switched."""

    namespace: str
    version: str  # of what is installed, which has read this
    ok: bool  # all that shall run does, and no condition stands but what is deliberate
    starting: list[str]
    unwell: list[str]
    learning: bool  # what leaving usually earns is known of no pair: no signal until then
    mixed: list[str]  # in sentences
    conditions: list[StandingCondition]  # what spread-alerts tells, as it stands now
    in_force: list[InForce]
    switches: Switches
    blocked: list[BlockedPair]  # pairs that stayed implausible: none signals until judged anew
    disk: Disk
    funding: list[FundingState]  # by source; none where nothing is held of it
    clock_step_s: float  # how far the wall clock was set since the segments were made
    processes: list[ProcessView]
    counters: dict[str, dict[str, int]]  # by process; docs/counters.md says what each means

    @property
    def beside(self) -> list[StandingCondition]:
        """What stands beside the processes that are unwell, which their rows and messages tell."""
        of_unwell = {f"{kind}:{name}" for kind in OF_PROCESSES for name in self.unwell}
        return [one for one in self.conditions if one.key not in of_unwell]


def read(settings: Settings, interval_s: float) -> Status:
    """Look twice, so long apart. Raises NoSegment and its kind where the system is not up."""
    with attached(settings.config.system.namespace) as segments:
        reader = StatusReader(settings, segments)
        clock.sleep(interval_s)
        return reader.look()


class StatusReader:
    """The same of what is attached, again and again; rates are since the look before."""

    def __init__(self, settings: Settings, segments: Segments) -> None:
        self._settings = settings
        self._segments = segments
        self._looks = StatusLooks(settings, segments.health)
        self._readers = Readers(settings.data_dir / DATABASE_FILE)
        self._readers.look()
        self.tables = TablesInForce(settings.generated_dir)
        self._weighing = Weighing(settings, segments.kept)
        self.conditions: list[Condition] = []  # of the last look

    def take(self, settings: Settings) -> None:
        """Go on with other settings; what only time tells is not forgotten."""
        self._settings = settings
        self._looks = StatusLooks(settings, self._segments.health)
        self._weighing.take(settings)

    def look(self) -> Status:
        settings = self._settings
        health, control, store, _ = self._segments
        self._looks.look()
        self.tables.look()
        views = self._looks.views()
        switched = switches(control)
        now = SystemLook(
            processes=views,
            counters={view.process: self._looks.counters(view.process) for view in views},
            in_force=in_force.look(control, health),
            switched=switched.standing,
            blocked=blocked.look(settings),
            disk=disk.look(settings.data_dir, self._readers.look()),
            funding=funding.states(settings),
            # Without tables: how many quotes a source should have takes a while, and is not asked.
            sources=sources.look(settings, health, control, store, None),
            clock_step_s=store.clock.step_ns() / NS_PER_S,
            session_ns=store.clock.now_ns(),
        )
        self.conditions = list(self._weighing.conditions(now, self.tables))
        return self._status(now, switched)

    def _status(self, now: SystemLook, switched: Switches) -> Status:
        stay = staying(self._settings)
        ill = [view for view in now.processes if _owes(view, stay) and not view.healthy]
        standing = list(_standing(self.conditions, now.processes))
        return Status(
            namespace=self._settings.config.system.namespace,
            version=installed(),
            ok=not ill and all(one.deliberate for one in standing),
            starting=[view.process for view in ill if view.starting],
            unwell=[view.process for view in ill if not view.starting],
            learning=any(one.key == "learning" for one in self.conditions),
            mixed=in_force.differences(now.in_force),
            conditions=standing,
            in_force=now.in_force,
            switches=switched,
            blocked=now.blocked,
            disk=now.disk,
            funding=now.funding,
            clock_step_s=now.clock_step_s,
            processes=now.processes,
            counters=now.counters,
        )


def _standing(
    conditions: Sequence[Condition], views: Sequence[ProcessView]
) -> Iterator[StandingCondition]:
    """But for what a process that has just begun makes for a while."""
    ages_s = {view.process: view.age_s for view in views}
    for one in conditions:
        age_s = ages_s.get(one.process)
        if age_s is None or age_s >= one.stands_s:
            yield StandingCondition(one.key, one.text, one.patient, one.deliberate)


def _owes(view: ProcessView, stay: Sequence[str]) -> bool:
    """Whether it is to be well: what runs all the time, and a one-shot that has run."""
    return view.process in stay or (view.process in ONE_SHOT and view.starts > 0)


def switches(control: Control) -> Switches:
    """What the operator has switched, by name."""
    standing = control.standing

    def named(kind: SwitchKind) -> list[str]:
        return [one.name for one in standing if one.kind is kind]

    return Switches(
        killed=control.killed,
        paused_processes=named(SwitchKind.PROCESS),
        paused_sources=named(SwitchKind.SOURCE),
        paused_directions=named(SwitchKind.DIRECTION),
        paused_symbols=named(SwitchKind.SYMBOL),
        standing=standing_now(standing),
    )
