"""The chain's second, between two looks at its clock and of several providers: what readers of the
segment take it for.
"""

from collections import Counter
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from spread_scanner.clock import NS_PER_S
from spread_scanner.config.pools import PoolSettings
from spread_scanner.pools.chain_times import WORD_NS
from spread_scanner.pools.feed import CLOCK_NS, PoolFeed
from spread_scanner.pools.pace import AHEAD_SLOTS_MAX
from spread_scanner.shm.pools import PoolTable

SLOT, NOW_NS, UNIX_TS = 350_000_000, 50 * NS_PER_S, 1_800_000_000


@pytest.fixture
def heard(namespace: str) -> Iterator[Any]:
    with PoolTable.create(namespace) as table, table.writer() as writer:
        counted = Counter[str]()

        def add(label: str, count: int = 1) -> None:
            counted[label] += count

        count: Any = SimpleNamespace(add=add)
        feed = PoolFeed(PoolSettings(), writer, count, lambda pool, why: None)
        feed.connected("a")
        feed.slot("a", SLOT, NOW_NS)
        yield SimpleNamespace(table=table, feed=feed, counted=counted)


def tell(heard: Any, provider: str, off_s: int, at_s: int = 0, own_off_s: int = 0) -> None:
    """A provider's clock is off by so much, so long after NOW_NS; this machine's by so much."""
    now_ns = NOW_NS + at_s * NS_PER_S
    wall_ns = (UNIX_TS + at_s + own_off_s) * NS_PER_S
    heard.feed.clock_told(provider, SLOT, UNIX_TS + at_s + off_s, now_ns, wall_ns)


def seconds(heard: Any, now_ns: int) -> int | None:
    """As the feed has it, which is as readers have it."""
    own: int | None = heard.feed.chain_unix_s(now_ns)
    assert own == heard.table.chain_unix_s(now_ns)
    return own


def off_s(heard: Any, at_s: int = 0) -> int | None:
    """How far what is believed is off what is right."""
    found = seconds(heard, NOW_NS + at_s * NS_PER_S)
    return None if found is None else found - UNIX_TS - at_s


def test_it_goes_on_from_what_the_clock_told_and_the_slots_since(heard: Any) -> None:
    assert seconds(heard, NOW_NS) is None, "nobody has told it"
    heard.feed.clock_told("a", SLOT - 5, UNIX_TS, NOW_NS, 0)
    assert seconds(heard, NOW_NS) == UNIX_TS + 2, "five slots of 0.4 s"
    assert seconds(heard, NOW_NS + 3 * NS_PER_S) == UNIX_TS + 5
    tell(heard, "a", 5)
    assert seconds(heard, NOW_NS) == UNIX_TS + 5, "its last word counts"


def test_a_slot_that_nobody_has_come_near_says_no_time_and_sleep_ends_it(heard: Any) -> None:
    heard.feed.clock_told("a", SLOT + AHEAD_SLOTS_MAX + 1, UNIX_TS, NOW_NS, 0)
    assert seconds(heard, NOW_NS) is None
    tell(heard, "a", 0)
    assert heard.feed.clock_due("a", NOW_NS)
    assert heard.feed.clock_due("b", NOW_NS), "each of them is asked"
    assert not heard.feed.clock_due("a", NOW_NS + CLOCK_NS - 1)
    assert heard.feed.clock_due("a", NOW_NS + CLOCK_NS)
    heard.feed.forget_clock()
    assert seconds(heard, NOW_NS) is None
    assert heard.feed.clock_due("a", NOW_NS), "at once"
    tell(heard, "a", 900)
    assert off_s(heard) == 900, "nothing of before counts"


@pytest.mark.parametrize("order", ["abc", "acb", "cab"])
def test_who_says_another_time_than_most_is_not_believed_and_named(heard: Any, order: str) -> None:
    said = {"a": 0, "b": 1, "c": 90}
    for at_s in (0, 10, 20):
        for provider in order:
            tell(heard, provider, said[provider], at_s, own_off_s=600)
        assert off_s(heard, at_s) in (0, 1)
        assert [heard.feed.clock_off_s(name) for name in "abd"] == [0, 0, 0]
        assert heard.feed.clock_off_s("c") in (89, 90)
    assert heard.counted["clock_doubted"] in (2, 3), "whoever is first has nobody against it"


@pytest.mark.parametrize("order", ["ac", "ca"])
@pytest.mark.parametrize("wrong_s", [-40, 40])
def test_between_two_this_machines_own_clock_decides(heard: Any, order: str, wrong_s: int) -> None:
    said = {"a": 0, "c": wrong_s}
    for at_s in (0, 10, 20, 30, 40, 50):
        for provider in order:
            tell(heard, provider, said[provider], at_s, own_off_s=3)
        assert off_s(heard, at_s) == 0


@pytest.mark.parametrize(("first", "believed_s"), [("a", 0), ("c", 12)])
def test_where_its_own_clock_lies_between_two_what_was_believed_stays(
    heard: Any, first: str, believed_s: int
) -> None:
    """Each word is off by up to a second, as is what this machine's clock says."""
    said = {"a": 0, "c": 12}
    tell(heard, first, said[first], own_off_s=6)
    for at_s in range(1, 100):
        provider = "ac"[at_s % 2]
        tell(heard, provider, said[provider], at_s, own_off_s=6 + at_s // 2 % 3 - 1)
        assert off_s(heard, at_s) == believed_s
    tell(heard, "a", 0, 100, own_off_s=12)
    assert off_s(heard, 100) == 12
    tell(heard, "a", 0, 101, own_off_s=0)
    assert off_s(heard, 101) == 0, "nearer by more than five seconds"


def test_one_alone_that_leaps_is_doubted_for_half_a_minute(heard: Any) -> None:
    tell(heard, "a", 0)
    for at_s in (10, 20, 30):
        tell(heard, "a", 90, at_s)
        assert off_s(heard, at_s) == 0
        assert heard.feed.clock_off_s("a") == 90
    assert heard.counted["clock_doubted"] == 3
    tell(heard, "a", 90, 40)
    assert (off_s(heard, 40), heard.feed.clock_off_s("a")) == (90, 0), "it keeps to it"
    tell(heard, "a", 0, 50)
    assert off_s(heard, 50) == 0, "back to what this machine's clock says"


def test_all_who_leap_together_are_believed(heard: Any) -> None:
    for provider in "ab":
        tell(heard, provider, 0)
    tell(heard, "a", 90, 10)
    assert off_s(heard, 10) == 0
    tell(heard, "b", 90, 11)
    assert off_s(heard, 11) == 90


def test_who_says_nothing_any_more_counts_for_half_a_minute(heard: Any) -> None:
    for provider in "ab":
        tell(heard, provider, 90)
    tell(heard, "c", 0, WORD_NS // NS_PER_S)
    assert off_s(heard, 30) == 90, "two against one"
    tell(heard, "c", 0, WORD_NS // NS_PER_S + 1)
    assert off_s(heard, 31) == 0
    assert off_s(heard, 86_400) == 0, "the last word goes on, whoever is silent"
