"""Moments that people write, in ns since 1970 UTC, as columns and files hold them."""

from datetime import UTC, datetime, timedelta

from spread_scanner.clock import NS_PER_S

MOMENT_S_MAX = 1 << 33  # what the columns hold; nothing is from after the year 2242
_1970 = datetime(1970, 1, 1, tzinfo=UTC)
_NS_PER_US = 1_000


def moment_ns(moment: datetime) -> int:
    """One without a zone is UTC; one that no column holds is the nearest that they do."""
    # Not timestamp() or astimezone(): a zone may lead out of the years that they know.
    since = moment.replace(tzinfo=moment.tzinfo or UTC) - _1970
    us = since // timedelta(microseconds=1)
    return min(max(us * _NS_PER_US, 0), MOMENT_S_MAX * NS_PER_S)
