"""All that is wrong now, of what one look has read.

What each record says is weighed by topic: processes, market, disk, found (by discovery), funding.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from spread_scanner.config import Settings
from spread_scanner.config.processes import expected
from spread_scanner.schema.names import PROCESSES, TRACKER
from spread_scanner.shm.evaluations import Evaluations
from spread_scanner.shm.switched import Switched
from spread_scanner.view.blocked import BlockedPair
from spread_scanner.view.conditions.condition import Condition
from spread_scanner.view.conditions.disk import of_disk
from spread_scanner.view.conditions.found import of_tables
from spread_scanner.view.conditions.funding import of_funding
from spread_scanner.view.conditions.market import (
    ImplausibleWatch,
    of_blocked,
    of_learning,
    of_sources,
    of_usual,
)
from spread_scanner.view.conditions.processes import (
    Endings,
    SwitchWatch,
    hangs,
    of_clock,
    of_in_force,
    of_notices,
    of_processes,
    of_refused_pools,
    of_reports,
)
from spread_scanner.view.disk import Disk
from spread_scanner.view.funding import FundingState
from spread_scanner.view.in_force import InForce
from spread_scanner.view.processes import ProcessView
from spread_scanner.view.sources import SourceView
from spread_scanner.view.symbols import NamesThen
from spread_scanner.view.tables import TablesInForce
from spread_scanner.view.usual import UsualReader


class SystemLook(NamedTuple):
    """What was read of one system at one time."""

    processes: list[ProcessView]
    counters: dict[str, dict[str, int]]  # by process
    in_force: list[InForce]
    switched: list[Switched]
    blocked: list[BlockedPair]
    disk: Disk
    funding: list[FundingState]
    sources: list[SourceView]
    clock_step_s: float
    session_ns: int  # when, on the session clock


class Weighing:
    """Remembers between two looks what only time tells."""

    def __init__(self, settings: Settings, kept: Evaluations) -> None:
        self._settings = settings
        self._endings = Endings()
        self._switches = SwitchWatch()
        self._implausible = ImplausibleWatch(kept, NamesThen(settings.generated_dir))
        self._usual = UsualReader(settings)

    def take(self, settings: Settings) -> None:
        """Go on with other settings."""
        self._settings = settings
        self._usual = UsualReader(settings)

    def conditions(self, now: SystemLook, tables: TablesInForce) -> Iterator[Condition]:
        """All that lasts."""
        settings, alerts = self._settings, self._settings.config.spread_alerts
        beat_ms_max = settings.config.system.heartbeat_ms_max
        hung = {view.process for view in now.processes if hangs(view, beat_ms_max)}
        wanted = expected(settings)
        concern = [one for one in now.processes if one.alive or _concerns(one.process, wanted)]
        yield from of_processes(concern, now.counters, beat_ms_max)
        yield from self._endings.now(now.processes)
        yield from of_notices(now.processes, now.counters)
        yield from of_refused_pools(now.processes, now.counters)
        if settings.config.spread_tracker.report_every_s:
            yield from of_reports(now.processes, now.counters)
        yield from of_in_force(now.in_force, now.processes)
        yield from of_clock(now.clock_step_s, alerts.clock_step_s_max)
        yield from self._switches.now(now.switched, alerts.switched_h_max, now.session_ns)
        yield from of_sources(now.sources, hung)
        yield from self._implausible.now(now.session_ns)
        yield from of_blocked(now.blocked, settings)
        yield from self._of_usual(now.processes)
        yield from of_disk(now.disk, settings, _eaten_b_h(now))
        yield from of_funding(now.funding, settings, tables.loaded)
        if tables.view is not None:
            yield from of_tables(tables.view, tables.judged_age_s, settings)

    def _of_usual(self, views: list[ProcessView]) -> Iterator[Condition]:
        engine = self._settings.config.spread_engine
        yield from of_usual(views, self._usual.age_s, engine.basis_half_life_s)
        if not engine.signal_basis_unknown:
            yield from of_learning(views, *self._usual.learned, engine)


def _concerns(process: str, wanted: Sequence[str]) -> bool:
    """Whether anybody is to know of its end: not of one that settings have switched off since."""
    return process in wanted or process not in PROCESSES


def _eaten_b_h(now: SystemLook) -> int:
    """By how much the disk fills, as the tracker has it; what one that is gone said last is old."""
    lives = any(view.process == TRACKER and view.alive for view in now.processes)
    return now.counters[TRACKER].get("disk_eaten_b_h", 0) if lives else 0
