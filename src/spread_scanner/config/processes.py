"""Which processes belong to the system as it is configured.

Read by orders (who is to answer), view (who is to be there), the supervisor and the doctor.
"""

from spread_scanner.config.settings import Settings
from spread_scanner.schema.enums import (
    SOURCE_BY_LABEL,
)
from spread_scanner.schema.names import (
    ALERTS,
    ANALYST,
    FEED_SOLANA,
    GATEWAY,
    ONE_SHOT,
    PATHS,
    PROCESSES,
    RECORDER,
)


def optional(settings: Settings) -> dict[str, bool]:
    """Those that end at once unless the settings want them, and whether they do."""
    config = settings.config
    return {
        ALERTS: config.spread_alerts.wanted,
        ANALYST: config.spread_analyst.wanted,
        RECORDER: config.spread_recorder.wanted,
        GATEWAY: config.spread_gateway.wanted,
        FEED_SOLANA: settings.pools.runs,
        PATHS: config.spread_paths.wanted and settings.pools.runs,
    }


def expected(settings: Settings) -> list[str]:
    """The processes that belong to the system as it is configured."""
    disabled = {
        SOURCE_BY_LABEL[label].process
        for label, source in settings.exchanges.items()
        if not source.enabled
    }
    disabled |= {process for process, wanted in optional(settings).items() if not wanted}
    return [process for process in PROCESSES if process not in disabled]


def staying(settings: Settings) -> list[str]:
    """Those that run all the time."""
    return [process for process in expected(settings) if process not in ONE_SHOT]
