"""Numbers of subscriptions, told before they are known, and how far providers are. The clock is
virtual.
"""

import pytest

from spread_scanner.pools.pace import SLOT_NS, SLOT_NS_MAX, ProviderPace
from spread_scanner.pools.rpc import AccountTold, Subscribed
from spread_scanner.pools.subscriptions import (
    EARLY_MAX,
    EARLY_NS_MAX,
    GIVEN_UP_MAX,
    LATE_MAX,
    SLOTS,
    Subscriptions,
    ToldOf,
)

S = 1_000_000_000


def told(subscription: int, slot: int = 1) -> AccountTold:
    return AccountTold(subscription, slot, "owner", b"data")


def test_what_is_told_is_of_the_account_that_was_asked_for() -> None:
    mine = Subscriptions()
    mine.ask(1, "a", 0)
    mine.ask(2, "b", 0)
    assert mine.next("ab", 0) is None, "both are under way"
    assert mine.acknowledged(Subscribed(2, 70), 0) == []
    assert mine.acknowledged(Subscribed(1, 71), 0) == []
    assert mine.told(told(70), 0) == ToldOf("b", told(70))
    assert mine.told(told(71), 0) == ToldOf("a", told(71))
    assert (mine.next("ab", 0), mine.keys) == (None, {"a", "b"})


def test_what_is_told_before_its_number_is_known_comes_with_it_in_order() -> None:
    mine = Subscriptions()
    mine.ask(1, "a", 0)
    assert mine.told(told(70, 5), 0) is None
    assert mine.told(told(70, 6), 0) is None
    found = mine.acknowledged(Subscribed(1, 70), 0)
    assert found == [ToldOf("a", told(70, 5)), ToldOf("a", told(70, 6))]
    assert mine.dropped == 0


def test_what_is_told_of_nothing_is_dropped_in_time_and_in_number() -> None:
    mine = Subscriptions()
    mine.ask(1, "a", 0)
    mine.told(told(70, 5), 0)
    assert mine.acknowledged(Subscribed(1, 70), EARLY_NS_MAX + 1) == []
    assert mine.dropped == 1
    mine.told(told(9), 0)
    assert mine.acknowledged(Subscribed(5, 9), 0) == [], "no request of that number"
    assert mine.dropped == 2
    for number in range(EARLY_MAX + 1):
        mine.told(told(1_000 + number), 0)
    assert mine.dropped == 3
    mine.ask(2, "b", 0)
    mine.told(told(5_000), EARLY_NS_MAX + 1)
    assert mine.dropped == 3 + EARLY_MAX, "those of before have made room"
    assert mine.acknowledged(Subscribed(2, 5_000), EARLY_NS_MAX + 1) == [ToldOf("b", told(5_000))]


def test_what_is_given_up_is_told_for_a_while_and_not_kept() -> None:
    mine = Subscriptions()
    mine.ask(1, "a", 0)
    mine.acknowledged(Subscribed(1, 70), 0)
    mine.give_up("a")
    mine.give_up("a")
    assert (mine.spare(), mine.spare()) == (70, None)
    assert mine.told(told(70), 0) is None
    assert (mine.dropped, mine.keys) == (1, set())
    mine.ask(2, "b", 0)
    assert mine.acknowledged(Subscribed(2, 70), 0) == [], "the number is another account's now"
    assert mine.told(told(70), 0) == ToldOf("b", told(70))


def test_a_connection_that_stands_for_weeks_keeps_no_more_of_what_is_over() -> None:
    """Arrays are subscribed to, and given up, as a price goes by."""
    mine = Subscriptions()
    for number in range(3 * GIVEN_UP_MAX):
        mine.ask(number, f"array {number}", 0)
        mine.acknowledged(Subscribed(number, number), 0)
        mine.give_up(f"array {number}")
        assert mine.spare() == number
    assert len(mine._given_up) == GIVEN_UP_MAX
    assert mine.told(told(3 * GIVEN_UP_MAX - 1), 0) is None
    assert (mine.dropped, mine._early) == (1, {}), "of the latest nothing is kept"


def test_of_who_never_answers_the_last_requests_are_known() -> None:
    mine = Subscriptions()
    mine.ask(0, "other", 0)
    for number in range(1, 1_001):
        mine.ask(number, "a", 0)
    assert len(mine._asked) == 1 + LATE_MAX
    mine.acknowledged(Subscribed(1, 70), 0)
    assert mine.keys == set(), "nobody knows what that was about any more"
    mine.acknowledged(Subscribed(1_000 - LATE_MAX + 1, 71), 0)
    mine.acknowledged(Subscribed(0, 72), 0)
    assert mine.keys == {"a", "other"}
    mine.acknowledged(Subscribed(1_000, 73), 0)
    assert mine.spare() == 73, "one too many"


def test_what_was_in_vain_is_asked_for_at_once_when_all_is_named_anew() -> None:
    """What is under way is waited for."""
    mine = Subscriptions()
    mine.ask(1, "a", 0)
    mine.ask(2, "a", 10 * S)
    mine.ask(3, "b", 10 * S)
    assert mine.next("ab", 10 * S) is None
    mine.ask_at_once()
    assert mine.next("ab", 10 * S) == "a"
    assert mine.next("b", 10 * S) is None


@pytest.mark.parametrize(
    ("passing", "again_s"), [(True, [0, 0, 0]), (False, [60, 300, 900])], ids=["passing", "refused"]
)
def test_what_is_refused_is_named_and_asked_for_again_slowly(
    passing: bool, again_s: list[int]
) -> None:
    mine, now_ns = Subscriptions(chance=lambda: 0.0), 0
    for number, wait_s in enumerate(again_s):
        mine.ask(number, "a", now_ns)
        assert mine.refused(number, now_ns, passing=passing) == "a"
        assert mine.refused(number, now_ns, passing=passing) is None
        assert mine.next("ab", now_ns) == ("a" if passing else "b"), "the next is not kept waiting"
        now_ns += wait_s * S
        assert mine.next("a", now_ns) == "a"
        assert passing or mine.next("a", now_ns - 1) is None


def test_what_is_not_answered_is_asked_for_again_each_time_after_twice_as_long() -> None:
    mine, now_ns = Subscriptions(), 0
    for number, wait_s in enumerate([5, 10, 20, 40, 80, 160, 160]):
        assert mine.next([SLOTS, "a"], now_ns) == SLOTS
        mine.ask(number, SLOTS, now_ns)
        mine.ask(100 + number, "a", now_ns)
        now_ns += wait_s * S
        assert mine.next([SLOTS, "a"], now_ns - 1) is None
    assert mine.acknowledged(Subscribed(0, 70), now_ns) == [], "the first one, after all"
    mine.acknowledged(Subscribed(103, 71), now_ns)
    assert (mine.next([SLOTS, "a"], now_ns), mine.keys) == (None, {"a"})
    mine.told(told(72, 5), now_ns)
    assert mine.acknowledged(Subscribed(104, 72), now_ns) == [], "that account is told as 71"
    assert (mine.spare(), mine.spare(), mine.dropped) == (72, None, 1)
    assert mine.told(told(71), now_ns) == ToldOf("a", told(71))


def test_a_provider_that_tells_no_slot_is_not_in_time() -> None:
    pace = ProviderPace()
    assert not pace.in_time("a", 0)
    assert pace.behind_slots("a") is None
    pace.told("a", 100, 0)
    assert pace.in_time("a", 2 * S)
    assert not pace.in_time("a", 2 * S + 1)
    pace.told("a", 99, 3 * S)
    assert pace.in_time("a", 5 * S), "an earlier slot says that it lives"
    assert pace.best_slot == 100
    pace.lost("a")
    assert not pace.in_time("a", 5 * S)


@pytest.mark.parametrize(
    ("slot_ms", "lasts_ns"),
    [(100, SLOT_NS), (400, SLOT_NS), (1_000, S), (60_000, SLOT_NS_MAX)],
)
def test_slots_that_last_longer_are_waited_for(slot_ms: int, lasts_ns: int) -> None:
    pace = ProviderPace()
    for slot in range(200):
        pace.told("a", slot, slot * slot_ms * 1_000_000)
    assert pace.slot_ns == lasts_ns
    assert pace.silent_ns_max == max(2 * S, 5 * lasts_ns)
    last_ns = 199 * slot_ms * 1_000_000
    assert pace.in_time("a", last_ns + pace.silent_ns_max)
    assert not pace.in_time("a", last_ns + pace.silent_ns_max + 1)


def test_ten_slots_behind_the_best_is_too_far() -> None:
    pace = ProviderPace()
    pace.told("a", 100, 0)
    pace.told("b", 109, 0)
    assert pace.in_time("a", 0)
    pace.told("b", 110, 0)
    assert not pace.in_time("a", 0)
    assert (pace.behind_slots("a"), pace.behind_slots("b")) == (10, 0)
    pace.lost("b")
    assert pace.in_time("a", 0)
