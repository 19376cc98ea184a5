"""What there is to tell: all conditions of one system, and what has happened in it.

Conditions come from the records of the room `view`, as `spread-ctl status` has them.
"""

from spread_scanner.alerts.news import OpportunityNews, PairNews
from spread_scanner.config import Settings
from spread_scanner.view.conditions.condition import Condition
from spread_scanner.view.status import Segments, StatusReader


class Conditions:
    """Read afresh by each call of `now`."""

    def __init__(self, settings: Settings, segments: Segments) -> None:
        self._status = StatusReader(settings, segments)
        self._pairs = PairNews(self._status.tables)
        net_bps_min = settings.config.spread_alerts.opportunity_net_bps
        self._opportunities = OpportunityNews(settings.data_dir, net_bps_min)

    def take(self, settings: Settings) -> None:
        """Go on with other settings; what was reported is not reported again."""
        self._status.take(settings)
        self._opportunities.net_bps_min = settings.config.spread_alerts.opportunity_net_bps

    def now(self) -> list[Condition]:
        """All that lasts, and what has happened since the last call."""
        self._status.look()
        return [*self._status.conditions, *self._pairs.since(), *self._opportunities.since()]
