"""What is wrong now, or worth a word: all conditions of one system.

Everything comes from the records of the room `view`, as `spread-ctl` prints them. What each record
says is weighed by topic: processes, market, disk, found (discovery), news (opportunities).
"""

from typing import NamedTuple

from spread_scanner.alerts.desk import Condition
from spread_scanner.alerts.disk import DiskWatch
from spread_scanner.alerts.found import Found
from spread_scanner.alerts.funding import of_funding
from spread_scanner.alerts.market import (
    ImplausibleWatch,
    of_blocked,
    of_learning,
    of_sources,
    of_usual,
)
from spread_scanner.alerts.news import OpportunityNews
from spread_scanner.alerts.processes import (
    Endings,
    hangs,
    of_clock,
    of_in_force,
    of_notices,
    of_processes,
    of_switches,
)
from spread_scanner.config import Settings
from spread_scanner.shm import Control, Health, PriceStore
from spread_scanner.shm.evaluations import Evaluations
from spread_scanner.view import blocked, sources
from spread_scanner.view.status import StatusReader
from spread_scanner.view.symbols import NamesThen
from spread_scanner.view.tables import TablesInForce
from spread_scanner.view.usual import UsualReader


class Segments(NamedTuple):
    """What is attached of one system."""

    health: Health
    control: Control
    store: PriceStore
    kept: Evaluations


class Conditions:
    """Read afresh by each call of `now`."""

    def __init__(self, settings: Settings, attached: Segments) -> None:
        self._settings = settings
        self._attached = attached
        self._status = self._reader(settings)
        self._tables = TablesInForce(settings.generated_dir)
        self._found = Found(self._tables)
        self._endings = Endings()
        self._disk = DiskWatch()
        self._implausible = ImplausibleWatch(
            attached.kept, attached.store, NamesThen(settings.generated_dir)
        )
        self._usual = UsualReader(settings)
        self._news = OpportunityNews(
            settings.data_dir, settings.config.spread_alerts.opportunity_net_bps
        )

    def _reader(self, settings: Settings) -> StatusReader:
        health, control, store, _ = self._attached
        return StatusReader(settings, health, control, store)

    def take(self, settings: Settings) -> None:
        """Go on with other settings; what was reported is not reported again."""
        self._settings = settings
        self._status = self._reader(settings)
        self._usual = UsualReader(settings)
        self._news.net_bps_min = settings.config.spread_alerts.opportunity_net_bps

    def now(self) -> list[Condition]:
        """All that lasts, and what has happened since the last call."""
        settings, alerts = self._settings, self._settings.config.spread_alerts
        health, control, store, _ = self._attached
        now = self._status.look()
        found = [*self._found.now(alerts.tables_age_h_max)]
        beat_ms_max = settings.config.system.heartbeat_ms_max
        hung = {view.process for view in now.processes if hangs(view, beat_ms_max)}
        # Without tables: how many quotes a source should have takes a while, and is not asked here.
        quotes = sources.look(settings, health, control, store, None)
        return [
            *of_processes(now.processes, beat_ms_max),
            *self._endings.now(now.processes),
            *of_notices(now),
            *of_in_force(now),
            *of_clock(now, alerts.clock_step_s_max),
            *of_switches(now, alerts.switched_h_max),
            *of_sources(quotes, hung),
            *self._implausible.now(),
            *of_blocked(blocked.look(settings)),
            *of_usual(
                now.processes, self._usual.age_s, settings.config.spread_engine.basis_half_life_s
            ),
            *(
                of_learning(now.processes, *self._usual.learned)
                if not settings.config.spread_engine.signal_basis_unknown
                else ()
            ),
            *self._disk.now(now.disk, settings),
            *of_funding(now.funding, settings, self._tables.loaded),
            *found,
            *self._news.since(),
        ]
