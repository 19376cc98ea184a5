"""Moments that people write, in ns since 1970 UTC, as columns and files hold them."""

import re
from datetime import UTC, datetime, timedelta

from spread_scanner.clock import NS_PER_S

MOMENT_S_MAX = 1 << 33  # what the columns hold; nothing is from after the year 2242
_1970 = datetime(1970, 1, 1, tzinfo=UTC)
_NS_PER_US = 1_000


def moment_ns(said: str) -> int:
    """An ISO date or time, of which every digit down to the ns counts: rows have them, and who asks
    for those before a row is not to be given it again. One without a zone is UTC; one that no
    column holds is the nearest that they do. Raises ValueError."""
    moment = datetime.fromisoformat(said.upper())  # RFC 3339 may say t and z
    beyond_us = re.search(r"[.,]\d{6}(\d{1,3})", said)
    # Not timestamp() or astimezone(): a zone may lead out of the years that they know.
    since = moment.replace(tzinfo=moment.tzinfo or UTC) - _1970
    ns = since // timedelta(microseconds=1) * _NS_PER_US
    ns += int(beyond_us[1].ljust(3, "0")) if beyond_us else 0
    return min(max(ns, 0), MOMENT_S_MAX * NS_PER_S)
