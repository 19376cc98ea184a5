"""The chain's second, between two looks at its clock: what readers of the segment take it for."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from spread_scanner.clock import NS_PER_S
from spread_scanner.config.pools import PoolSettings
from spread_scanner.pools.feed import CLOCK_NS, PoolFeed
from spread_scanner.pools.pace import AHEAD_SLOTS_MAX
from spread_scanner.shm.pools import PoolTable

SLOT, NOW_NS, UNIX_TS = 350_000_000, 50 * NS_PER_S, 1_800_000_000


@pytest.fixture
def heard(namespace: str) -> Iterator[Any]:
    with PoolTable.create(namespace) as table, table.writer() as writer:
        count: Any = SimpleNamespace(add=lambda label, count=1: None)
        feed = PoolFeed(PoolSettings(), writer, count, lambda pool, why: None)
        feed.connected("a")
        feed.slot("a", SLOT, NOW_NS)
        yield SimpleNamespace(table=table, feed=feed)


def seconds(heard: Any, now_ns: int) -> int | None:
    """As the feed has it, which is as readers have it."""
    own: int | None = heard.feed.chain_unix_s(now_ns)
    assert own == heard.table.chain_unix_s(now_ns)
    return own


def test_it_goes_on_from_what_the_clock_told_and_the_slots_since(heard: Any) -> None:
    assert seconds(heard, NOW_NS) is None, "nobody has told it"
    heard.feed.clock_told(SLOT - 5, UNIX_TS, NOW_NS)
    assert seconds(heard, NOW_NS) == UNIX_TS + 2, "five slots of 0.4 s"
    assert seconds(heard, NOW_NS + 3 * NS_PER_S) == UNIX_TS + 5
    heard.feed.clock_told(SLOT, UNIX_TS + 90, NOW_NS)
    assert seconds(heard, NOW_NS) == UNIX_TS + 90, "its last word counts"


def test_a_slot_that_nobody_has_come_near_says_no_time_and_sleep_ends_it(heard: Any) -> None:
    heard.feed.clock_told(SLOT + AHEAD_SLOTS_MAX + 1, UNIX_TS, NOW_NS)
    assert seconds(heard, NOW_NS) is None
    heard.feed.clock_told(SLOT, UNIX_TS, NOW_NS)
    assert heard.feed.clock_due("a", NOW_NS)
    assert not heard.feed.clock_due("a", NOW_NS + CLOCK_NS - 1)
    heard.feed.forget_clock()
    assert seconds(heard, NOW_NS) is None
    assert heard.feed.clock_due("a", NOW_NS), "at once"
