"""What others paid for writing pools: who is asked about when, and what stands in the cells."""

from collections import Counter
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from pool_rows import SOL, USDC

from spread_scanner.clock import NS_PER_S
from spread_scanner.config.pools import FeeSettings, PoolEntry
from spread_scanner.pools._cells import PoolCell
from spread_scanner.pools._units import WatchedPool
from spread_scanner.pools.fees import FeeHearing, read
from spread_scanner.pools.wanted import WantedAccounts
from spread_scanner.schema.pools import HeardPrice, heard_price
from spread_scanner.shm.pools import PoolTable
from spread_scanner.solana.priority_fees import RecentFee

SETTINGS = FeeSettings(ask_every_s=2.0, congestion_gain=0.0, micro_lamports_min=10)


@pytest.fixture
def segment(namespace: str) -> Iterator[Any]:
    with PoolTable.create(namespace) as table, table.writer() as writer:
        yield SimpleNamespace(table=table, writer=writer)


def watched(writer: Any, place: int, moving: set[str], key: str = "") -> WatchedPool:
    key, entry = key or f"{place}" * 44, PoolEntry("raydium-v4", [SOL, USDC])
    pool = WatchedPool(key, entry, "SOL-USDC", PoolCell(writer, place, key, entry))
    pool.wanted = WantedAccounts((), frozenset(), frozenset(moving))
    return pool


def test_one_pool_after_the_other_is_asked_about_at_the_pace_that_is_set(segment: Any) -> None:
    one, unread, other = (
        watched(segment.writer, place, moving)
        for place, moving in enumerate(({"vault"}, set[str](), {"a", "b"}))
    )
    fees = FeeHearing(SETTINGS, {pool.key: pool for pool in (one, unread, other)})
    asked = [fees.next("a", at * NS_PER_S) for at in range(5)]
    told = [None if found is None else (found.pool, set(found.accounts)) for found in asked]
    first, second = (one.key, {one.key, "vault"}), (other.key, {other.key, "a", "b"})
    assert told == [first, None, second, None, first], "who has told nothing yet writes nothing"
    assert FeeHearing(SETTINGS, {}).next("a", 0) is None


def test_what_is_heard_stands_in_the_cell_and_nothing_says_nothing(segment: Any) -> None:
    pool = watched(segment.writer, 0, {"vault"})
    fees = FeeHearing(SETTINGS, {pool.key: pool})

    def stands() -> HeardPrice | None:
        return heard_price(segment.table.rows()[0])

    fees.heard("a", pool.key, [], 7)
    fees.heard("a", "another", [RecentFee(1, 5)], 7)
    assert stands() is None
    fees.heard("a", pool.key, [RecentFee(1, 500), RecentFee(2, 0)], 8)
    assert stands() == HeardPrice(500, 2, 8)
    fees.heard("a", pool.key, [RecentFee(3, 0)], 9)
    assert stands() == HeardPrice(10, 1, 9), "nobody had to pay: the floor, and it was heard"
    pool.cell.show(good=False, paused=False, now_ns=10, good_ns=0)
    assert stands() == HeardPrice(10, 1, 9)


@pytest.mark.parametrize("many", [1, 2, 3, 4, 16])
@pytest.mark.parametrize("names", ["ab", "ba", "abc", "bac"])
def test_what_one_provider_does_not_answer_another_is_asked(
    segment: Any, many: int, names: str
) -> None:
    """All but `a` refuse, or have no slots; nobody knows of the last pool."""
    pools = {str(at): watched(segment.writer, at % 10, {"vault"}, str(at)) for at in range(many)}
    fees, heard, asked = FeeHearing(SETTINGS, pools), Counter[str](), 0
    for at_s in range(3 * len(names) * many * int(SETTINGS.ask_every_s)):
        for name in names:
            now_ns = at_s * NS_PER_S
            question = fees.next(name, now_ns)
            if question is None:
                continue
            asked += 1
            if name == "b" or question.pool == str(many - 1):
                fees.unheard(name, question.pool, now_ns)
            elif name == "c":
                fees.heard(name, question.pool, [], now_ns)
            else:
                fees.heard(name, question.pool, [RecentFee(1, 5)], now_ns)
                heard[question.pool] += 1
    assert {*heard} == {*pools} - {str(many - 1)}, "nobody is asked of the same half for ever"
    assert min(heard.values(), default=3) >= 3, "three rounds, of each provider a question a pool"
    assert asked == 3 * len(names) * many


def test_each_provider_is_asked_by_its_own_call(segment: Any) -> None:
    pool = watched(segment.writer, 0, {"vault"})
    fees = FeeHearing(SETTINGS, {pool.key: pool})
    assert fees.request("recent", ["a"]) == ("getRecentPrioritizationFees", [["a"]])
    assert fees.request("triton", ["a"])[1] == [["a"], {"percentile": 7_500}]
    assert fees.request("helius", ["a"])[0] == "getPriorityFeeEstimate"
    slots = read("triton", b'[{"slot": 7, "prioritizationFee": 5}]')
    assert slots == read("recent", b'[{"slot": 7, "prioritizationFee": 5}]') == [RecentFee(7, 5)]
    fees.heard("a", pool.key, read("helius", b'{"priorityFeeEstimate": 70000.0}'), 9)
    assert heard_price(segment.table.rows()[0]) == HeardPrice(70_000, 0, 9)
