"""Each mend of the feed's policy, undone, makes a day fail; with it the same day is well.

The faults of these days are given, so that each takes seconds; `make days` with a mutant's kinds
finds them by chance too.
"""

import contextlib
from collections.abc import Callable
from typing import NamedTuple

import pytest
from day import run
from fault import Fault
from faults import schedule
from mutants import ask, believe, dial, tell
from shrink import shrink, story

pytestmark = pytest.mark.timeout(1_800)  # all of it is CPU: a busy machine takes its time
Undo = Callable[[], contextlib.AbstractContextManager[None]]


class Case(NamedTuple):
    """A mutant, the day that it is seen in, and the invariants of which it breaks one."""

    undo: Undo
    source: str
    hours: float
    faults: list[Fault]
    rules: set[int]


CASES = {
    "turns reserved ahead": Case(
        dial.turns_reserved_ahead, "mexc-spot", 0.2, [Fault(400, "flaky", 180, 0.1, 0.1)], {4}
    ),
    "turns of its own": Case(
        dial.turns_of_its_own, "okx-spot", 0.06, [Fault(120, "sibling", 30, 0.4, 0.9)], {3}
    ),
    "dialled by the tables of before": Case(
        dial.dialled_by_the_tables_of_before, "okx-spot", 0.09,
        [Fault(100, "ban", 40, 0.374, 0.944), Fault(130, "redenominated", 0, 0.1, 0.1)], {1},
    ),
    "one word for all addresses": Case(
        dial.one_word_for_all_addresses, "mexc-spot", 0.1,
        [Fault(120, "proxy", 30, 0.65, 0.9)], {4},
    ),
    "one word for all addresses, a SOCKS proxy's among them": Case(
        dial.one_word_for_all_addresses, "mexc-spot", 0.1,
        [Fault(120, "proxy", 30, 0.75, 0.9)], {4},
    ),
    "a SOCKS proxy that denies is our fault": Case(
        dial.a_proxy_that_denies_is_our_fault, "okx-spot", 0.06,
        [Fault(120, "proxy", 30, 0.35, 0.9)], {2},
    ),
    "successors without a pause": Case(
        dial.successors_without_pause, "binance-spot", 0.1,
        [Fault(120, "draining", 90, 0.5, 0.5)], {4},
    ),
    "one quote is proof": Case(
        dial.one_quote_is_proof, "bybit-spot", 0.1, [Fault(120, "cut early", 100, 0.1, 0.1)], {4}
    ),
    "quoted once is covered": Case(
        believe.quoted_once_is_covered, "binance-futures", 0.15,
        [
            Fault(200, "relist", 60, 0.0, 0.0),
            Fault(210, "relist", 20, 0.3, 0.0),
            Fault(320, "refuse", 60, 0.4, 0.0),
        ], {1, 7},
    ),
    "believed for ten seconds": Case(
        believe.believed_for_ten_seconds, "binance-spot", 0.1,
        [Fault(150, "half open", 0, 0.1, 0.9)], {1, 7},
    ),
    "refused for good": Case(
        ask.refused_for_good, "mexc-futures", 0.45, [Fault(150, "unwelcome", 60, 0.1, 0.1)], {2}
    ),
    "each end is a refusal": Case(
        ask.each_end_is_a_refusal, "mexc-spot", 0.37,
        [
            Fault(60, "closed", 200, 0.1, 0.1), Fault(262, "lost request", 0, 0.1, 0.9),
            *(Fault(at_s, "reset", 0, 0.1, 0.9) for at_s in range(370, 400, 2)),
        ], {4},
    ),
    "silent for good": Case(
        ask.silent_for_good, "binance-spot", 0.45, [Fault(300, "silent", 0, 0.1, 0.1)], {2}
    ),
    "requests without a deadline": Case(
        ask.requests_without_deadline, "mexc-futures", 0.2,
        [Fault(150, "lost request", 0, 0.1, 0.1)], {2},
    ),
    "lag from what is usual now": Case(
        believe.lag_from_what_is_usual_now, "bybit-spot", 0.15,
        [Fault(200, "behind", 120, 0.1, 0.2)], {1},
    ),
    "clocks do not drift": Case(
        believe.clocks_do_not_drift, "okx-spot", 6.7,  # by less than is allowed for, to be 2 s off
        [Fault(150, "drift", 23_900, 0.0, 0.1)], {6},
    ),
    "one message is the best": Case(
        believe.one_message_is_the_best, "okx-spot", 0.12,
        [Fault(300, "outlier", 0, 0.1, 0.0)], {6},
    ),
    "unread is ignored": Case(
        believe.unread_is_ignored, "okx-futures", 0.1,
        [Fault(150, "unreadable", 0, 0.1, 0.1)], {1},
    ),
    "half a frame is ignored": Case(
        believe.unread_is_ignored, "mexc-spot", 0.1, [Fault(150, "unreadable", 0, 0.1, 0.9)], {1},
    ),
    "lag that follows a backlog as it grows": Case(
        believe.lag_from_what_is_usual_now, "bybit-spot", 0.2,
        [Fault(150, "creep", 400, 0.1, 0.3)], {1},
    ),
    "lag from the envelope": Case(
        believe.lag_from_the_envelope, "bybit-futures", 0.1,
        [Fault(150, "engine late", 60, 0.1, 0.3)], {1},
    ),
    "an empty side is as before": Case(
        believe.an_empty_side_is_as_before, "bybit-futures", 0.1,
        [Fault(150, "one-sided", 0, 0.1, 0.3)], {1},
    ),
    "any time is a time": Case(
        believe.any_time_is_a_time, "mexc-futures", 0.1, [Fault(150, "bad time", 0, 0.1, 0.1)], {1},
    ),
    "made after it was sent": Case(
        believe.made_after_it_was_sent, "binance-futures", 0.08,
        [Fault(100.0 + 5 * number, "bad time", 0, number / 7, 0.99) for number in range(6)], {1},
    ),
    "silences teach rates": Case(
        believe.silences_teach_rates, "binance-spot", 0.9,  # a rate needs 16 intervals before
        [Fault(1_200, "silent", 0, 0.5, 0.1), Fault(1_800, "silent", 0, 0.5, 0.1)], {2},
    ),
    "pauses teach in full": Case(
        believe.pauses_teach_in_full, "mexc-spot", 0.33,
        [Fault(100, "quiet", 460, 0.1, 0.1), Fault(565, "quiet", 900, 0.1, 0.1)], {1},
    ),
    "any price is of its level": Case(
        believe.any_price_is_of_its_level, "okx-spot", 0.1, [Fault(150, "jump", 60, 0.1, 0.3)], {1},
    ),
    "who carries it is believed": Case(
        believe.who_carries_it_is_believed, "mexc-spot", 0.035,
        [Fault(100, "busy", 18.5, 0.02, 0.47), Fault(119.6, "reshape", 40, 0.77, 0.2)], {1},
    ),
    "tables judge what came after them": Case(
        believe.all_is_judged, "bybit-spot", 0.05,
        [Fault(56.805, "reshape", 60, 0.3, 0.1), Fault(116.905, "jump", 30, 0.4, 0.1)], {1},
    ),
    "who left speaks for the order": Case(
        believe.who_left_speaks_for_the_order, "bybit-futures", 0.085,
        [Fault(100, "reshape", 60, 0.216, 0.8), Fault(164, "new ids", 0, 0.1, 0.1)], {1},
    ),
    "who is silent speaks for the order": Case(
        believe.who_left_speaks_for_the_order, "bybit-spot", 0.06,
        [
            Fault(60, "reshape", 200, 0.95, 0.1), Fault(120, "half open", 0, 0.1, 0.1),
            Fault(120.8, "new ids", 0, 0.1, 0.1),
        ], {1},
    ),
    "a price of any level signals": Case(
        believe.any_level_signals, "binance-futures", 0.1, [Fault(150, "jump", 60, 0.1, 0.3)], {7},
    ),
    "each life learns the best lag anew": Case(
        believe.each_life_learns_the_best_anew, "okx-spot", 0.08,
        [Fault(150, "killed", 10, 0.1, 0.1), Fault(153, "behind", 40, 0.1, 0.5)], {1},
    ),
    "dead feeds are believed": Case(
        believe.dead_feeds_are_believed, "binance-spot", 0.05, [Fault(120, "killed", 8, 0.9, 0.5)],
        {7},
    ),
    "repeats are news": Case(
        believe.repeats_are_news, "bybit-spot", 0.3, [Fault(200, "quiet", 700, 0.1, 0.1)], {1},
    ),
    "maintenance for good": Case(
        believe.announced_for_good, "bybit-futures", 0.3,
        [Fault(150, "work", 120, 0.1, 0.9)], {10},
    ),
    "bans are not heard": Case(
        dial.bans_are_not_heard, "binance-futures", 0.1, [Fault(150, "ban", 60, 0.1, 0.9)], {5},
    ),
    "one address of a name": Case(
        dial.one_address_of_a_name, "okx-futures", 0.12,
        [Fault(150, "addresses", 180, 0.3, 0.9)], {2, 4},
    ),
    "refusals are not told": Case(
        tell.refusals_are_not_told, "okx-futures", 0.08, [Fault(90, "closed", 190, 0.1, 0.1)], {11},
    ),
    "a symbol leaves before it is carried": Case(
        ask.leaves_before_it_is_carried, "binance-spot", 0.1,
        [Fault(200, "refuse", 90, 0.1, 0.1), Fault(201, "reshape", 60, 0.3, 0.1)], {1},
    ),
    "an answer is proof": Case(
        ask.an_answer_is_proof, "mexc-futures", 0.12,
        [
            Fault(80, "reshape", 230, 0.967, 0.92),  # each symbol twice, until 20 s after
            Fault(290, "lost request", 0, 0.078, 0.215),
        ], {1},
    ),
    "any answer is its own": Case(
        ask.any_answer_is_its_own, "mexc-futures", 0.08,
        [Fault(105.74, "proxy", 100, 0.959, 0.1), Fault(106.04, "lost request", 0, 0.67, 0.092)],
        {1},
    ),
    "connections count twice": Case(
        tell.connections_count_twice, "mexc-spot", 0.04, [], {8},
    ),
    "alerts are forgotten": Case(
        tell.alerts_are_forgotten, "okx-spot", 0.2, [Fault(120, "refuse", 500, 0.1, 0.9)], {9},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_without_the_mend_the_day_fails(name: str) -> None:
    case = CASES[name]
    faults = {case.source: case.faults}

    well = run("mended", case.source, hours=case.hours, faults=faults)
    assert not well.violations, "\n".join([*well.events[-30:], *map(str, well.violations)])

    with case.undo():
        ill = run("mended", case.source, hours=case.hours, faults=faults)
    assert {found.rule for found in ill.violations} & case.rules, ill.counts


def test_a_day_that_fails_is_shrunk_to_the_fault_that_it_needs() -> None:
    """A day of chance, without a mend."""
    kinds = ("half open", "new ids", "outlier", "unreadable")
    faults = {"binance-spot": schedule("shrunk 8", 0.5, kinds=kinds)}

    with believe.believed_for_ten_seconds():
        ill = run("shrunk 8", "binance-spot", hours=0.5, faults=faults)
        short, needed = shrink(ill, faults)

    assert ill.violations
    before = [one for one in faults["binance-spot"] if one.at_s <= ill.violations[0].at_s]
    assert len(before) > 1
    assert [one.kind for one in needed["binance-spot"]] == ["half open"]
    assert "SOURCE=binance-spot" in story(short, needed)
    assert story(short, needed).count("BROKEN") == len(short.violations) > 0
