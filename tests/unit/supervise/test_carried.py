"""What both books of a signal carry, as the score works it out, by figures worked out by hand."""

from typing import Any

import pytest

from spread_scanner.clock import NS_PER_MS
from spread_scanner.schema.enums import DIRECTIONS, POOL_DIRECTIONS, Source
from spread_scanner.supervise.carried import (
    BUSY_THEN,
    NEVER_PAID,
    NOBODY_WAITED,
    SHAKEN_THEN,
    UNTOLD,
    WAITED_NS_MAX,
    RightCarried,
    right_carried,
)
from spread_scanner.supervise.lateness import Lateness
from spread_scanner.supervise.seen import NAN, CpuWait, DownTime, SeenFollowUp, SeenRung
from spread_scanner.supervise.truth import SLOTS_APART, OrderRule, SentBook, TruthFile

WAY = DIRECTIONS[0]
PAIR = "AAA-USDT"


def fee_bps(_: Source, symbol: str) -> float:
    assert symbol == PAIR
    return 5.0


# Two units at the tops; from there on each side is worse by one for the next two.
SPOT = SentBook([(98.0, 2.0), (97.0, 2.0)], [(100.0, 2.0), (101.0, 2.0)])
FUTURES = SentBook([(104.0, 2.0), (103.0, 2.0)], [(106.0, 2.0), (107.0, 2.0)])
SENT = TruthFile(
    [],
    {},
    {(PAIR, WAY.label): OrderRule(0.5, 5.0, 5.0)},
    books={(WAY.spot.label, PAIR, 7): [SPOT], (WAY.futures.label, PAIR, 8): [FUTURES]},
)
# At the tops 400 come in, 20 are fees, and leaving is taken to cost 80: 300 are left. Of three
# units two are at the tops: each side is a third of a unit worse, the average ask 100 + 1 / 3.
ASK_PX, BID_PX = 100 + 1 / 3, 104 - 1 / 3
THREE_BPS = (BID_PX - ASK_PX - 2 / 3) / ASK_PX * 1e4 - 100.0
RUNGS = [
    SeenRung(4.0, NAN, NAN, NAN),  # less than an order
    SeenRung(100.0, 100.0, 104.0, 300.0),
    SeenRung(300.0, ASK_PX, BID_PX, THREE_BPS),
    SeenRung(1_000.0, NAN, NAN, NAN),
]
SAID = SeenFollowUp(
    *(PAIR, WAY.label, 1, 7, 8),
    enter_bps=THREE_BPS - 1.0,
    close_bps=-80.0,
    net_bps=300.0,
    size_base=3.0,
    size_quote=300.0,
    bounded=False,
    rungs=RUNGS,
)


def why(sent: TruthFile = SENT, **other: Any) -> str:
    ((judged,), unjudged) = right_carried([SAID._replace(**other)], sent, fee_bps)
    assert unjudged == {}
    assert judged.ok == (judged.why == "")
    return judged.why


def test_what_is_right_is_judged_so() -> None:
    assert why() == ""
    ((judged,), _) = right_carried([SAID], SENT, fee_bps)
    assert judged.right_base == 3.0


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"size_base": 2.5, "size_quote": 250.0}, "the largest size"),
        ({"size_base": 3.5, "size_quote": 350.0}, "the largest size"),
        ({"size_base": NAN}, "the largest size"),
        ({"size_quote": 301.0}, "the largest size in the quote coin"),
        ({"net_bps": 300.001}, "net at the tops"),
        ({"bounded": True}, "whether there may be more"),
        ({"rungs": [RUNGS[2]._replace(net_bps=THREE_BPS + 0.001)]}, "net at 300"),
        ({"rungs": [RUNGS[2]._replace(buy_px=ASK_PX + 0.001)]}, "net at 300"),
        ({"rungs": [RUNGS[3]._replace(net_bps=1.0)]}, "net at 1000"),
        ({"rungs": [RUNGS[1]._replace(net_bps=NAN)]}, "net at 100"),
    ],
)
def test_each_thing_that_is_wrong_is_named(wrong: dict[str, Any], text: str) -> None:
    assert why(**wrong) == text


def test_where_a_side_is_cut_off_there_may_be_more() -> None:
    least: dict[str, Any] = {"enter_bps": -1_000.0, "size_base": 4.0, "size_quote": 400.0}
    assert why(**least) == "", "known to its end"
    cut = [(104.0, 0.15)] * 20  # the first that ends
    books = {**SENT.books, (WAY.futures.label, PAIR, 8): [FUTURES._replace(bids=cut)]}
    sent = SENT._replace(books=books)
    rungs: dict[str, Any] = {"rungs": []}
    least |= {"size_base": 3.0, "size_quote": 300.0}
    assert why(sent, **least, **rungs) == "whether there may be more"
    assert why(sent, **least, **rungs, bounded=True) == ""


def test_who_knows_fewer_levels_and_says_so_is_right_to_the_end_of_one() -> None:
    deep = FUTURES._replace(bids=[(104.0, 3.0), (103.9, 3.0)]), SPOT._replace(asks=[(100.0, 9.0)])
    books = {(WAY.futures.label, PAIR, 8): [deep[0]], (WAY.spot.label, PAIR, 7): [deep[1]]}
    sent = SENT._replace(books=books)
    rungs = [RUNGS[1], RUNGS[3]]
    less: dict[str, Any] = {
        "enter_bps": -1_000.0, "size_base": 3.0, "size_quote": 300.0, "rungs": rungs,
    }  # fmt: skip
    assert why(sent, **less, bounded=True) == ""
    assert why(sent, **less, bounded=False) == "the largest size"
    assert why(sent, **{**less, "size_base": 2.5}, bounded=True) == "the largest size"
    for wrong in (
        {"size_quote": 301.0},
        {"net_bps": 299.0},
        {"rungs": [RUNGS[1]._replace(net_bps=1.0)]},
        {"rungs": [RUNGS[1]._replace(size_quote=350.0)]},
    ):
        assert why(sent, **{**less, **wrong}, bounded=True) != "", "all else is judged as well"


def test_less_than_an_order_is_nothing() -> None:
    sent = SENT._replace(rules={(PAIR, WAY.label): OrderRule(0.5, 0.0, 400.0)})
    rungs: dict[str, Any] = {"rungs": []}
    assert why(sent, **rungs) == "the largest size"
    assert why(sent, **rungs, size_base=0.0, size_quote=0.0) == ""


def test_of_two_books_that_were_told_under_one_id_either_is_right() -> None:
    """By REST and by a stream, or by two streams."""
    other = FUTURES._replace(bids=[(104.0, 9.0)])
    for told in ([other, FUTURES], [FUTURES, other]):
        books = {**SENT.books, (WAY.futures.label, PAIR, 8): told}
        assert why(SENT._replace(books=books)) == ""
    books = {**SENT.books, (WAY.futures.label, PAIR, 8): [other, other]}
    assert why(SENT._replace(books=books)) != ""


def test_books_that_nobody_was_told_are_not_judged_and_counted() -> None:
    unknown = [SAID._replace(spot_update_id=6), SAID._replace(fut_update_id=9)]
    assert right_carried(unknown, SENT, fee_bps) == ([], {UNTOLD: 2})
    assert right_carried([SAID], SENT._replace(rules={}), fee_bps) == ([], {NEVER_PAID: 1})


BY_POOLS = POOL_DIRECTIONS[0]


def of_pools(
    slot: int,
    slots: tuple[int, ...],
    shaken: list[DownTime],
    late: Lateness = NOBODY_WAITED,
    rate_age_ms: int = 0,
    **other: Any,
) -> RightCarried:
    """What is said of a ladder that has the number of a slot, where it was told in others."""
    books = {(BY_POOLS.futures.label, PAIR, 8): [FUTURES]}
    for told in slots:
        wrong = SPOT._replace(bids=[(98.0, 1.0)])
        aged = SPOT._replace(rate_age_ns=rate_age_ms * NS_PER_MS)
        books[BY_POOLS.spot.label, PAIR, told] = [wrong, aged]
    rules = {(PAIR, BY_POOLS.label): OrderRule(0.5, 5.0, 5.0)}
    said = SAID._replace(direction=BY_POOLS.label, spot_update_id=slot, **other)
    sent = SENT._replace(books=books, rules=rules, shaken=shaken)
    return right_carried([said], sent, fee_bps, late)


@pytest.mark.parametrize("apart", [0, -1, 1, -SLOTS_APART, SLOTS_APART])
def test_a_ladder_of_pools_is_one_that_was_told_about_that_slot(apart: int) -> None:
    judged, unjudged = of_pools(100, (100 + apart,), [])
    assert ([one.why for one in judged], unjudged) == ([""], {})


@pytest.mark.parametrize(
    "broken",
    [
        {"size_base": 2.5, "size_quote": 250.0},
        {"net_bps": 299.0},
        {"rungs": [RUNGS[2]._replace(buy_px=100.3)]},
    ],
)
def test_a_ladder_of_pools_that_is_none_of_these_is_wrong(broken: dict[str, Any]) -> None:
    judged, unjudged = of_pools(100, (99, 100, 101), [], **broken)
    assert [one.ok for one in judged] == [False]
    assert unjudged == {}


@pytest.mark.parametrize(
    ("slots", "shaken", "why_not"),
    [
        ((100 + SLOTS_APART + 1,), [], UNTOLD),
        ((101,), [], UNTOLD),  # and what was told next is another one
        ((), [DownTime("feed-solana", 0, None)], SHAKEN_THEN),
        ((100,), [DownTime("feed-solana", 0, 1)], SHAKEN_THEN),
        ((100,), [DownTime("feed-solana", 1, 9)], SHAKEN_THEN),
    ],
)
def test_why_a_ladder_of_pools_is_not_judged(
    slots: tuple[int, ...], shaken: list[DownTime], why_not: str
) -> None:
    assert of_pools(100, slots, shaken, size_base=2.5) == ([], {why_not: 1})


@pytest.mark.parametrize(("start_ns", "end_ns"), [(2, 9), (-5, 0)])
def test_while_providers_are_not_shaken_a_ladder_is_judged(start_ns: int, end_ns: int) -> None:
    shaken = [DownTime("feed-solana", start_ns, end_ns)]
    (judged,), _ = of_pools(100, (100,), shaken, size_base=2.5)
    assert not judged.ok


@pytest.mark.parametrize(
    ("age_ms", "who", "waited_ms", "right"),
    [
        (0, "", 0, True),
        (400, "", 0, True),  # it stands for a slot
        (401, "", 0, False),  # a rate that everybody else had forgotten
        (700, "feed-solana", 300, True),
        (701, "feed-solana", 300, False),
        (700, "feed-binance-spot", 300, True),  # that knew the rate
        (700, "spread-tracker", 300, False),
    ],
)
def test_a_ladder_by_a_rate_that_had_become_another_is_right_as_long_as_its_maker_waited(
    age_ms: int, who: str, waited_ms: int, right: bool
) -> None:
    late = Lateness(0.0, [CpuWait(who, 0, 2, waited_ms * NS_PER_MS)] if who else [])
    judged, unjudged = of_pools(100, (100,), [], late, rate_age_ms=age_ms)
    assert [one.ok for one in judged] == [right]
    assert unjudged == {}


@pytest.mark.parametrize(
    ("who", "waited_ns", "size_base", "unjudged"),
    [
        ("feed-solana", WAITED_NS_MAX + 1, 2.5, {BUSY_THEN: 1}),
        ("feed-solana", WAITED_NS_MAX + 1, 3.0, {}),  # and is right
        ("feed-solana", WAITED_NS_MAX, 2.5, {}),
        ("spread-tracker", WAITED_NS_MAX + 1, 2.5, {}),
    ],
)
def test_a_ladder_whose_maker_waited_is_right_or_not_judged(
    who: str, waited_ns: int, size_base: float, unjudged: dict[str, int]
) -> None:
    late = Lateness(0.0, [CpuWait(who, 0, 2, waited_ns)])
    said: dict[str, Any] = {"size_base": size_base, "size_quote": size_base * 100.0}
    judged, not_judged = of_pools(100, (100,), [], late, **said)
    assert not_judged == unjudged
    assert [one.ok for one in judged] == ([] if unjudged else [size_base == 3.0])
