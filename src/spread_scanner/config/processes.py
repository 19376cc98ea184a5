"""Which processes belong to the system as it is configured.

Read by orders (who is to answer), view (who is to be there), the supervisor and the doctor.
"""

from spread_scanner.config.settings import Settings
from spread_scanner.schema.enums import (
    SOURCE_BY_LABEL,
)
from spread_scanner.schema.names import ALERTS, ANALYST, GATEWAY, ONE_SHOT, PROCESSES, RECORDER


def expected(settings: Settings) -> list[str]:
    """The processes that belong to the system as it is configured."""
    disabled = {
        SOURCE_BY_LABEL[label].process
        for label, source in settings.exchanges.items()
        if not source.enabled
    }
    if not settings.config.spread_alerts.wanted:
        disabled.add(ALERTS)
    if not settings.config.spread_analyst.wanted:
        disabled.add(ANALYST)
    if not settings.config.spread_recorder.wanted:
        disabled.add(RECORDER)
    if not settings.config.spread_gateway.wanted:
        disabled.add(GATEWAY)
    return [process for process in PROCESSES if process not in disabled]


def staying(settings: Settings) -> list[str]:
    """Those that run all the time."""
    return [process for process in expected(settings) if process not in ONE_SHOT]
