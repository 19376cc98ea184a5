"""How often the feeds look at things: as they ship around faults, rarely in between.

A day has 864,000 regular looks of a tenth of a second; most of them find nothing. From three
seconds before a fault until well after its end they come as they ship; in the calm between, each
0.8 s (a second without one is taken for a stall), and heartbeats each 400 ms (SETTINGS in system.py
allows it). The hour of all sources is brisk from its beginning to its end.
"""

import contextlib
from collections.abc import Iterator

from spread_scanner.feed import feed

SHIPPED_CHECK_S, SHIPPED_POLL_S = feed.CHECK_S, feed.POLL_S_MAX
CALM_CHECK_S, CALM_POLL_S = 0.8, 0.4


def go(*, brisk: bool) -> None:
    """From each look's next turn on."""
    feed.CHECK_S = SHIPPED_CHECK_S if brisk else CALM_CHECK_S
    feed.POLL_S_MAX = SHIPPED_POLL_S if brisk else CALM_POLL_S


@contextlib.contextmanager
def kept() -> Iterator[None]:
    """As it was, afterwards."""
    try:
        yield
    finally:
        go(brisk=True)
