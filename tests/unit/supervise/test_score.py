"""The verdict on a simulated run: what is found, missed, invented, and what nobody owes."""

from pathlib import Path

import orjson

from spread_scanner.schema.enums import DIRECTIONS, SignalKind
from spread_scanner.supervise.score import (
    DownTime,
    Interval,
    Score,
    SeenSignal,
    TrackedLife,
    read_truth,
    score,
)

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


def test_a_signal_of_another_pair_finds_nothing_and_is_invented() -> None:
    stray = seen(ENTER, 2_001, way=OTHER_WAY.label)
    result = score([interval(2_000, 3_000)], [stray], WINDOW)
    assert len(result.missed) == 1
    assert result.invented == [stray]


def test_a_late_enter_is_found_within_the_tolerance_and_not_beyond() -> None:
    one = interval(2_000, 2_100)
    in_time = score([one], [seen(ENTER, 2_300)], WINDOW, tolerance_ms=250)
    too_late = score([one], [seen(ENTER, 2_400)], WINDOW, tolerance_ms=250)
    assert in_time.ok
    assert len(too_late.missed) == 1
    assert len(too_late.invented) == 1


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
    late = score([one], [seen(ENTER, 4_300)], WINDOW, tolerance_ms=250)
    assert len(late.invented) == 1


def test_an_engine_that_never_says_the_end_has_not_found_all() -> None:
    truth = [interval(start_ms, start_ms + 500) for start_ms in range(2_000, 8_000, 1_000)]
    silent = score(truth, [seen(ENTER, 2_001)], WINDOW)
    assert (silent.found, silent.missed) == (6, [])
    assert silent.unended == [truth[0]]
    assert not silent.ok
    spoken = [seen(kind, one.start_ns // MS + at) for one in truth for kind, at in BOTH]
    assert score(truth, spoken, WINDOW).ok


BOTH = ((ENTER, 1), (EXIT, 501))


def test_an_exit_is_owed_when_the_exit_threshold_is_left_and_not_before() -> None:
    one = interval(2_000, 3_000)._replace(fell_ns=5_000 * MS)
    assert score([one], [seen(ENTER, 2_001), seen(EXIT, 5_200)], WINDOW, tolerance_ms=250).ok
    late = score([one], [seen(ENTER, 2_001), seen(EXIT, 5_300)], WINDOW, tolerance_ms=250)
    assert late.unended == [one]
    unknown = one._replace(fell_ns=None)
    assert score([unknown], [seen(ENTER, 2_001)], WINDOW).ok
    at_the_end = one._replace(fell_ns=9_900 * MS)
    assert score([at_the_end], [seen(ENTER, 2_001)], WINDOW, tolerance_ms=250).ok


def test_an_engine_that_was_down_owes_no_exit_of_what_it_has_forgotten() -> None:
    one = interval(2_000, 3_000)._replace(fell_ns=5_000 * MS)
    down = DownTime("spread-engine", 4_000 * MS, 4_100 * MS)
    assert score([one], [seen(ENTER, 2_001)], WINDOW, outages=[down]).ok
    before = DownTime("spread-engine", 1_000 * MS, 1_100 * MS)
    assert not score([one], [seen(ENTER, 2_001)], WINDOW, outages=[before]).ok


def test_a_found_interval_without_an_opportunity_is_the_trackers_fault() -> None:
    one = interval(2_000, 3_000)
    signals = [seen(ENTER, 2_001), seen(EXIT, 3_001)]

    def judged(*lives: tuple[str, int, int | None]) -> Score:
        made = [
            TrackedLife(symbol, WAY.label, opened * MS, None if closed is None else closed * MS)
            for symbol, opened, closed in lives
        ]
        return score([one], signals, WINDOW, lives=made)

    assert judged(("AAA-USDT", 2_001, 3_500)).ok
    assert judged(("AAA-USDT", 1_000, None)).ok
    for lives in ((), (("BBB-USDT", 2_001, 3_500),), (("AAA-USDT", 1_000, 1_900),)):
        result = judged(*lives)
        assert result.untracked == [one]
        assert result.found == 1
        assert not result.ok
    assert score([one], [], WINDOW, lives=[]).untracked == [], "a miss is the engine's"


def test_the_truth_file_is_read_without_its_fault_rows(tmp_path: Path) -> None:
    rows = [
        {"fault": "gap", "source": "x", "start_ns": 1, "start_mono_ns": 1, "end_mono_ns": None},
        {
            "symbol": "AAA-USDT", "direction": WAY.label, "start_mono_ns": 5, "end_mono_ns": 9,
            "planted": True, "peak_bps": 50.0, "sure": True,
        },
        {
            "symbol": "BBB-USDT", "direction": WAY.label, "start_mono_ns": 6, "end_mono_ns": None,
            "planted": False, "peak_bps": 41.0, "sure": False,
        },
        {"symbol": "AAA-USDT", "direction": WAY.label, "fell_mono_ns": 11},
    ]  # fmt: skip
    path = tmp_path / "truth.jsonl"
    path.write_bytes(b"\n".join(orjson.dumps(row) for row in rows) + b"\n")
    assert read_truth(path) == [
        Interval("AAA-USDT", WAY.label, 5, 9, True, 50.0, fell_ns=11),
        Interval("BBB-USDT", WAY.label, 6, None, False, 41.0, False, fell_ns=None),
    ]
