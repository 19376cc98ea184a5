"""The verdict on a simulated run: what is found, missed, invented, and what nobody owes."""

from pathlib import Path

import orjson
import pytest

from spread_scanner.schema.enums import DIRECTIONS, SignalKind
from spread_scanner.schema.names import ENGINE, EXCHANGE_SIM
from spread_scanner.supervise.lateness import Lateness
from spread_scanner.supervise.score import Score, score
from spread_scanner.supervise.seen import CpuWait, DownTime, SeenSignal, TrackedLife
from spread_scanner.supervise.sizes import right_sizes
from spread_scanner.supervise.truth import Interval, OrderRule, SentQuote, TruthFile, read_truth

MS = 1_000_000
WINDOW = (1_000 * MS, 10_000 * MS)
WAY = DIRECTIONS[0]
OTHER_WAY = DIRECTIONS[5]


def interval(start_ms: int, end_ms: int | None, *, symbol: str = "AAA-USDT") -> Interval:
    end_ns = None if end_ms is None else end_ms * MS
    return Interval(symbol, WAY.label, start_ms * MS, end_ns, True, 60.0)


def seen(
    kind: SignalKind, at_ms: int, *, symbol: str = "AAA-USDT", way: str = WAY.label
) -> SeenSignal:
    return SeenSignal(symbol, way, kind, at_ms * MS, 30.0)


ENTER, AGAIN, EXIT = SignalKind.ENTER, SignalKind.RESIGNAL, SignalKind.EXIT


def test_an_interval_with_an_enter_inside_is_found() -> None:
    result = score([interval(2_000, 3_000)], [seen(ENTER, 2_001), seen(EXIT, 3_001)], WINDOW)
    assert (result.planted, result.found, result.missed, result.invented) == (1, 1, [], [])
    assert result.ok


def test_an_interval_without_a_signal_is_missed() -> None:
    lost = interval(2_000, 3_000)
    result = score([lost], [], WINDOW)
    assert result.missed == [lost]
    assert not result.ok


def test_what_stands_on_another_level_is_owed_by_nobody_and_excuses_nobody() -> None:
    leapt = interval(2_000, 3_000)._replace(jumped=True)
    result = score([leapt], [], WINDOW)
    assert (result.planted, result.unjudged, result.ok) == (0, {"implausible": 1}, True)
    result = score([leapt], [seen(ENTER, 2_500)], WINDOW)
    assert len(result.invented) == 1


@pytest.mark.parametrize(("lasts_ms", "owed"), [(1_500, 1), (1_800, 0), (2_500, 0)])
def test_what_was_implausible_for_so_long_may_be_blocked_and_owes_nothing(
    lasts_ms: int, owed: int
) -> None:
    """A hold of two seconds, less the tolerance; another pair is another one."""
    leapt = interval(2_000, 2_000 + lasts_ms)._replace(jumped=True)
    later = interval(6_000, 7_000)
    earlier, other = interval(1_000, 1_500), interval(6_000, 7_000, symbol="OTHER-USDT")
    result = score([earlier, leapt, later, other], [], WINDOW, implausible_hold_s=2.0)
    assert len(result.missed) == 2 + owed
    assert (later in result.missed) == bool(owed)


def test_what_is_implausible_is_owed_by_nobody_and_a_signal_of_it_is_invented() -> None:
    """As after a redenomination: ten million bps, for as long as the next quote takes."""
    jumped = interval(2_000, 3_000)._replace(peak_bps=9_989_043.0)
    usual = interval(4_000, 5_000)
    signals = [seen(ENTER, 4_001), seen(EXIT, 5_001)]
    result = score([jumped, usual], signals, WINDOW, implausible_bps=1_000)
    assert (result.planted, result.found, result.unjudged) == (1, 1, {"implausible": 1})
    assert result.ok
    said = seen(ENTER, 2_001)._replace(net_bps=9_989_000.0)
    result = score([jumped, usual], [said, *signals], WINDOW, implausible_bps=1_000)
    assert result.invented == [said]


def test_a_signal_of_another_pair_finds_nothing_and_is_invented() -> None:
    stray = seen(ENTER, 2_001, way=OTHER_WAY.label)
    result = score([interval(2_000, 3_000)], [stray], WINDOW)
    assert len(result.missed) == 1
    assert result.invented == [stray]


def test_a_late_enter_is_found_within_the_tolerance_and_not_beyond() -> None:
    one = interval(2_000, 2_100)
    in_time = score([one], [seen(ENTER, 2_300)], WINDOW, lateness=Lateness(250))
    too_late = score([one], [seen(ENTER, 2_400)], WINDOW, lateness=Lateness(250))
    assert in_time.ok
    assert len(too_late.missed) == 1
    assert len(too_late.invented) == 1


def waited(who: str, waited_ms: int, start_ms: int = 2_000) -> Lateness:
    wait = CpuWait(who, start_ms * MS, (start_ms + 1_000) * MS, waited_ms * MS)
    return Lateness(250, [wait])


@pytest.mark.parametrize("who", [WAY.spot.process, WAY.futures.process, ENGINE, "exchange-sim"])
def test_who_waited_for_a_cpu_may_be_later_by_what_he_waited(who: str) -> None:
    one = interval(1_000, 2_100)
    on_time, later = (
        [seen(ENTER, 1_001), seen(EXIT, 2_540)],
        [seen(ENTER, 1_001), seen(EXIT, 2_560)],
    )
    busy = waited(who, 200)
    assert score([one, interval(8_000, 8_500)], on_time, WINDOW).overlong == [one]
    assert score([one._replace(fell_ns=2_100 * MS)], on_time, WINDOW, lateness=busy).ok
    falls = one._replace(fell_ns=2_100 * MS)
    assert score([falls], later, WINDOW, lateness=busy).ok is False
    assert score([falls], on_time, WINDOW, lateness=waited("feed-solana", 200)).overlong == [falls]
    assert score([falls], on_time, WINDOW, lateness=waited(who, 200, 6_000)).overlong == [falls]
    assert score([falls], on_time, WINDOW, lateness=busy).late_ns_max == 450 * MS


def test_nobody_owes_what_is_shorter_than_what_was_waited_for_a_cpu() -> None:
    one = interval(2_100, 2_300)
    busy = score([one], [], WINDOW, lateness=waited(ENGINE, 200))
    assert (busy.ok, busy.unjudged) == (True, {"too short for so busy a machine": 1})
    assert score([one], [], WINDOW, lateness=waited(ENGINE, 100)).missed == [one]
    longer = one._replace(end_ns=4_000 * MS)
    assert score([longer], [], WINDOW, lateness=waited(ENGINE, 200)).missed == [longer]


def test_a_late_enter_of_one_that_waited_is_not_invented() -> None:
    one, late = interval(1_500, 2_000), [seen(ENTER, 2_400), seen(EXIT, 2_401)]
    assert score([one], late, WINDOW).invented == late[:1]
    assert score([one], late, WINDOW, lateness=waited(ENGINE, 200)).ok


def test_a_second_interval_within_the_hysteresis_needs_no_second_enter() -> None:
    truth = [interval(2_000, 2_500), interval(2_700, 3_000)]
    result = score(truth, [seen(ENTER, 2_001), seen(EXIT, 3_100)], WINDOW)
    assert result.found == 2
    assert result.ok


def test_a_span_that_ended_before_does_not_find_a_later_interval() -> None:
    truth = [interval(2_000, 2_500), interval(3_500, 4_000)]
    result = score(truth, [seen(ENTER, 2_001), seen(EXIT, 2_600)], WINDOW)
    assert result.missed == [truth[1]]


def test_an_exit_excuses_itself_and_a_resignal_does_not() -> None:
    calm = score([], [seen(EXIT, 5_000)], WINDOW)
    loud = score([], [seen(AGAIN, 5_000)], WINDOW)
    assert calm.ok
    assert len(loud.invented) == 1


def test_short_early_and_cut_off_intervals_are_not_judged() -> None:
    truth = [interval(2_000, 2_020), interval(500, 2_000), interval(9_990, None)]
    result = score(truth, [], WINDOW, lasting_ms=50)
    assert (result.planted, result.excused) == (0, 3)


def test_each_interval_that_is_not_judged_has_its_reason() -> None:
    truth = [interval(2_000, 2_020), interval(500, 2_000), interval(4_000, 5_000)]
    result = score(truth, [], WINDOW, outages=[DownTime(WAY.spot.process, 4_100 * MS, 4_200 * MS)])
    assert result.unjudged == {
        "too short": 1,
        "began before the run": 1,
        "down, halted or paused": 1,
    }


def test_intervals_before_and_after_the_run_are_no_part_of_it() -> None:
    truth = [interval(100, 900), interval(10_500, 11_000), interval(10_500, None)]
    result = score(truth, [], WINDOW)
    assert (result.planted, result.excused) == (0, 0)
    assert result.ok


def test_an_interval_that_is_not_judged_still_excuses_its_signal() -> None:
    result = score([interval(2_000, 2_020)], [seen(ENTER, 2_010)], WINDOW, lasting_ms=50)
    assert result.ok
    assert result.planted == 0


def test_an_interval_open_at_the_end_is_judged_by_the_end_of_the_run() -> None:
    result = score([interval(2_000, None)], [seen(ENTER, 9_000)], WINDOW)
    assert result.found == 1


def test_an_outage_of_its_feed_or_the_engine_excuses_an_interval_and_no_other() -> None:
    one = interval(2_000, 3_000)
    for process in (
        *(WAY.spot.process, WAY.futures.process, "spread-engine"),
        *(one.direction, one.symbol),  # somebody has paused them
    ):
        assert score([one], [], WINDOW, outages=[DownTime(process, 2_500 * MS, 2_600 * MS)]).ok
        assert score([one], [], WINDOW, outages=[DownTime(process, 2_500 * MS, None)]).ok
    elsewhere = DIRECTIONS[11].spot.process
    assert elsewhere not in (WAY.spot.process, WAY.futures.process)
    assert not score([one], [], WINDOW, outages=[DownTime(elsewhere, 2_500 * MS, None)]).ok
    assert not score([one], [], WINDOW, outages=[DownTime(WAY.spot.process, 0, 1_999 * MS)]).ok


def test_what_began_on_a_silent_leg_is_owed_by_nobody_and_excuses_a_signal() -> None:
    one = interval(2_000, 4_000)._replace(sure=False)
    result = score([one], [], WINDOW)
    assert result.ok
    assert result.unjudged == {"a leg had fallen silent": 1}
    assert score([one], [seen(ENTER, 3_000)], WINDOW).ok
    late = score([one], [seen(ENTER, 4_300)], WINDOW, lateness=Lateness(250))
    assert len(late.invented) == 1


def test_an_engine_that_never_says_the_end_has_not_found_all() -> None:
    truth = [interval(start_ms, start_ms + 500) for start_ms in range(2_000, 8_000, 1_000)]
    silent = score(truth, [seen(ENTER, 2_001)], WINDOW)
    assert (silent.found, silent.missed) == (6, [])
    assert silent.overlong == [truth[0]]
    assert not silent.ok
    spoken = [seen(kind, one.start_ns // MS + at) for one in truth for kind, at in BOTH]
    assert score(truth, spoken, WINDOW).ok


BOTH = ((ENTER, 1), (EXIT, 501))


def test_an_exit_is_owed_when_the_exit_threshold_is_left_and_not_before() -> None:
    one = interval(2_000, 3_000)._replace(fell_ns=5_000 * MS)
    assert score([one], [seen(ENTER, 2_001), seen(EXIT, 5_200)], WINDOW, lateness=Lateness(250)).ok
    late = score([one], [seen(ENTER, 2_001), seen(EXIT, 5_300)], WINDOW, lateness=Lateness(250))
    assert late.overlong == [one]
    unknown = one._replace(fell_ns=None)
    assert score([unknown], [seen(ENTER, 2_001)], WINDOW).ok
    at_the_end = one._replace(fell_ns=9_900 * MS)
    assert score([at_the_end], [seen(ENTER, 2_001)], WINDOW, lateness=Lateness(250)).ok


def test_an_engine_that_was_down_owes_no_exit_of_what_it_has_forgotten() -> None:
    one = interval(2_000, 3_000)._replace(fell_ns=5_000 * MS)
    down = DownTime("spread-engine", 4_000 * MS, 4_100 * MS)
    assert score([one], [seen(ENTER, 2_001)], WINDOW, outages=[down]).ok
    before = DownTime("spread-engine", 1_000 * MS, 1_100 * MS)
    assert not score([one], [seen(ENTER, 2_001)], WINDOW, outages=[before]).ok


def followed(*lives: tuple[str, int, int | None], outages: tuple[DownTime, ...] = ()) -> Score:
    """Of an interval from 2,000 to 3,000 ms that was signalled right."""
    signals = [seen(ENTER, 2_001), seen(EXIT, 3_001)]
    made = [
        TrackedLife(symbol, WAY.label, opened * MS, None if closed is None else closed * MS)
        for symbol, opened, closed in lives
    ]
    return score([interval(2_000, 3_000)], signals, WINDOW, lives=made, outages=outages)


@pytest.mark.parametrize(
    ("lives", "why"),
    [
        ((), ["was not followed"]),
        ((("AAA-USDT", 1_000, 1_700),), ["was not followed", "nothing stood in it"]),
        ((("BBB-USDT", 2_001, 3_500),), ["was not followed", "nothing stood in it"]),
        (
            (("AAA-USDT", 2_001, 2_500), ("AAA-USDT", 2_501, 3_500)),
            ["was followed by 2 opportunities"],
        ),
        ((("AAA-USDT", 2_001, 2_700),), ["was followed to its half"]),
        ((("AAA-USDT", 2_001, 2_800),), []),  # within the tolerance
        ((("AAA-USDT", 2_001, 3_500),), []),
        ((("AAA-USDT", 1_000, None),), []),
        ((("AAA-USDT", 2_001, 3_500), ("AAA-USDT", 5_000, 6_000)), ["nothing stood in it"]),
    ],
)
def test_each_found_interval_lies_in_exactly_one_opportunity_and_each_of_them_meets_one(
    lives: tuple[tuple[str, int, int | None], ...], why: list[str]
) -> None:
    result = followed(*lives)
    assert [one.why for one in result.opportunities_wrong] == why
    assert (result.found, result.ok) == (1, not why)


@pytest.mark.parametrize(
    ("stood_ms", "second", "why"),
    [
        ((2_200, 2_600), (2_650, 3_500), []),
        ((2_200, 2_600), (2_650, 2_700), ["was followed to its half"]),
        ((3_100, 4_300), (2_650, 3_500), ["was followed by 2 opportunities"]),
    ],
)
def test_an_interval_in_which_the_simulator_stood_still_may_be_followed_anew(
    stood_ms: tuple[int, int], second: tuple[int, int], why: list[str]
) -> None:
    start_ms, end_ms = stood_ms
    sent = TruthFile([], {}, {}, stood=[DownTime(EXCHANGE_SIM, start_ms * MS, end_ms * MS)])
    lives = [
        TrackedLife("AAA-USDT", WAY.label, opened * MS, closed * MS)
        for opened, closed in ((2_001, 2_500), second)
    ]
    signals = [seen(ENTER, 2_001), seen(EXIT, 3_001)]
    result = score([interval(2_000, 3_000)], signals, WINDOW, lives=lives, sent=sent)
    assert [one.why for one in result.opportunities_wrong] == why


def test_a_tracker_that_was_down_owes_no_opportunity_of_what_stood_then() -> None:
    down = DownTime("spread-tracker", 2_400 * MS, 2_500 * MS)
    assert followed(outages=(down,)).ok
    assert not followed(outages=(down._replace(end_ns=1_999 * MS, start_ns=0),)).ok


def test_a_miss_is_the_engines_fault_and_not_the_trackers() -> None:
    assert score([interval(2_000, 3_000)], [], WINDOW, lives=[]).opportunities_wrong == []


def test_within_the_margin_nobody_is_judged() -> None:
    near = interval(2_000, 4_000)._replace(near=True, fell_ns=4_100 * MS)
    owed = interval(2_500, 3_000)._replace(fell_ns=None)
    assert score([near], [], WINDOW).ok
    assert score([near], [seen(ENTER, 3_900), seen(EXIT, 4_001)], WINDOW).ok
    assert score([owed, near], [], WINDOW).missed == [owed]
    assert score([owed, near], [seen(ENTER, 2_501)], WINDOW).overlong == [near]
    assert score([owed, near], [seen(ENTER, 2_501), seen(EXIT, 4_300)], WINDOW).ok


# --- what an operator halted


@pytest.mark.parametrize(
    "who", [WAY.spot.process, WAY.futures.process, "spread-engine", WAY.label, "AAA-USDT"]
)
def test_what_an_operator_halted_is_not_judged(who: str) -> None:
    one = interval(2_000, 3_000)
    off = DownTime(who, 2_500 * MS, 2_600 * MS)
    result = score([one], [], WINDOW, outages=[off])
    assert (result.ok, result.unjudged) == (True, {"down, halted or paused": 1})
    assert not score([one], [], WINDOW, outages=[DownTime(who, 0, 1_999 * MS)]).ok
    forgotten = [seen(ENTER, 2_001)]  # a halt takes it out without a word
    assert score([one._replace(fell_ns=3_000 * MS)], forgotten, WINDOW, outages=[off]).ok


@pytest.mark.parametrize(
    "who", [DIRECTIONS[11].spot.process, OTHER_WAY.label, "BBB-USDT", "spread-tracker"]
)
def test_what_an_operator_halted_elsewhere_is(who: str) -> None:
    outages = [DownTime(who, 2_500 * MS, 2_600 * MS)]
    assert len(score([interval(2_000, 3_000)], [], WINDOW, outages=outages).missed) == 1


def test_a_second_enter_says_that_the_first_was_forgotten() -> None:
    truth = [interval(2_000, 3_000)._replace(fell_ns=None), interval(5_000, 6_000)]
    truth[1] = truth[1]._replace(fell_ns=6_010 * MS)
    twice = [seen(ENTER, 2_001), seen(ENTER, 5_001), seen(EXIT, 6_020)]
    assert score(truth, twice, WINDOW).ok
    owed = [truth[0]._replace(fell_ns=3_010 * MS), truth[1]]
    assert score(owed, twice, WINDOW).overlong == [owed[0]]


# --- sizes


LOT = 0.5
SENT = TruthFile(
    [],
    {
        (WAY.spot.label, "AAA-USDT", 7): SentQuote(99.0, 1.0, 100.0, 3.3),
        (WAY.futures.label, "AAA-USDT", 8): SentQuote(101.0, 2.9, 102.0, 9.0),
    },
    {("AAA-USDT", WAY.label): OrderRule(LOT)},
)


@pytest.mark.parametrize(
    ("base", "quote", "wrong"),
    [(2.5, 250.0, 0), (2.8, 280.0, 1), (2.5, 252.5, 1), (float("nan"), 250.0, 1)],
)
def test_a_size_is_what_both_quotes_had_in_whole_lots(
    base: float, quote: float, wrong: int
) -> None:
    one = seen(ENTER, 2_001)._replace(
        spot_update_id=7, fut_update_id=8, size_base=base, size_quote=quote
    )
    result = score([interval(2_000, 3_000)], [one, seen(EXIT, 3_001)], WINDOW, sent=SENT)
    assert (len(result.sizes_wrong), result.sizes_judged) == (wrong, 1)
    assert result.ok == (wrong == 0)
    unknown = one._replace(spot_update_id=6)
    assert score([interval(2_000, 3_000)], [unknown], WINDOW, sent=SENT).sizes_judged == 0


def test_a_lot_that_is_there_but_for_rounding_counts() -> None:
    quotes = {
        **SENT.quotes,
        (WAY.futures.label, "AAA-USDT", 8): SentQuote(101.0, 0.3, 102.0, 9.0),
    }
    sent = SENT._replace(quotes=quotes, rules={("AAA-USDT", WAY.label): OrderRule(0.1)})
    one = seen(ENTER, 2_001)._replace(
        spot_update_id=7, fut_update_id=8, size_base=0.3, size_quote=30.0
    )
    assert score([interval(2_000, 3_000)], [one], WINDOW, sent=sent).sizes_wrong == []


@pytest.mark.parametrize(
    ("rule", "right"),
    [
        (OrderRule(LOT, 247.4, 252.4), 2.5),  # 2.5 at 99 on spot, at 101 on the perpetual
        (OrderRule(LOT, 247.6, 0.0), 0.0),
        (OrderRule(LOT, 0.0, 252.6), 0.0),
        (OrderRule(3.0), 0.0),
    ],
)
def test_a_signal_of_less_than_may_be_ordered_is_wrong(rule: OrderRule, right: float) -> None:
    sent = SENT._replace(rules={("AAA-USDT", WAY.label): rule})
    for size in (2.5, 0.0):
        one = seen(ENTER, 2_001)._replace(
            spot_update_id=7, fut_update_id=8, size_base=size, size_quote=size * 100
        )
        (judged,) = right_sizes([one], sent).judged
        assert (judged.right_base, judged.ok) == (right, right > 0 and size == right)


def test_a_signal_of_a_pair_that_never_stood_is_invented_and_has_no_right_size() -> None:
    """Its quotes are in the file by intervals of other pairs; what it asks of a size is not."""
    one = seen(ENTER, 2_001)._replace(spot_update_id=7, fut_update_id=8)
    found = score([], [one], WINDOW, sent=SENT._replace(rules={}))
    assert (found.invented, found.sizes_judged) == ([one], 0)


# --- the truth file


def test_the_truth_file_is_read_without_its_fault_rows(tmp_path: Path) -> None:
    def row(symbol: str, band: str, start: int, end: int | None, **more: object) -> object:
        return {
            "symbol": symbol, "direction": WAY.label, "band": band, "start_mono_ns": start,
            "end_mono_ns": end, "planted": True, "peak_bps": 50.0, "sure": True, "jumped": False,
            "lot": 0.1, "spot_notional_least": 5.0, "futures_notional_least": 0.0, **more,
        }  # fmt: skip

    quote = {"source": "okx-spot", "symbol": "AAA-USDT", "bid_px": 1.0, "bid_sz": 2.0}
    rows = [
        {"fault": "gap", "source": "x", "start_ns": 1, "start_mono_ns": 1, "end_mono_ns": None},
        {"fault": "stood", "process": EXCHANGE_SIM, "start_mono_ns": 2, "end_mono_ns": 3},
        {"quote": 77, **quote, "ask_px": None, "ask_sz": None},
        row("AAA-USDT", "owed", 5, 9),
        row("AAA-USDT", "near", 4, 10),
        row("BBB-USDT", "near", 6, None, planted=False, sure=False),
        {"symbol": "AAA-USDT", "direction": WAY.label, "fell_mono_ns": 11},
    ]
    path = tmp_path / "truth.jsonl"
    path.write_bytes(b"\n".join(orjson.dumps(row) for row in rows) + b"\n")
    truth = read_truth(path)
    assert truth.intervals == [
        Interval("AAA-USDT", WAY.label, 5, 9, True, 50.0, fell_ns=None),
        Interval("AAA-USDT", WAY.label, 4, 10, True, 50.0, fell_ns=11, near=True),
        Interval("BBB-USDT", WAY.label, 6, None, False, 50.0, False, fell_ns=None, near=True),
    ]
    assert truth.stood == [DownTime(EXCHANGE_SIM, 2, 3)]
    pairs = [("AAA-USDT", WAY.label), ("BBB-USDT", WAY.label)]
    assert truth.rules == dict.fromkeys(pairs, OrderRule(0.1, 5.0, 0.0))
    (key,) = truth.quotes
    assert key == ("okx-spot", "AAA-USDT", 77)
    assert truth.quotes[key][:2] == (1.0, 2.0)
    assert truth.quotes[key].ask_px != truth.quotes[key].ask_px  # NaN
