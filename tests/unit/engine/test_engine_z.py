"""enter_z_min: a signal only where gross stands far enough above its mean, by the analyst."""

import itertools
import math
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from engine_analyst import Analyst
from engine_bed import FAR_MS, MAX_SYMBOLS, START_NS, Bed, settings, tables
from engine_match import Match
from engine_oracle import Analysed
from hypothesis import HealthCheck, given
from hypothesis import settings as trials
from hypothesis import strategies as st
from test_engine_oracle import SYMBOLS, quotes, steps

from spread_scanner import clock
from spread_scanner.clock import NS_PER_MS, NS_PER_S, VirtualClock
from spread_scanner.config import Settings
from spread_scanner.engine.analysed import LOOK_NS
from spread_scanner.engine.main import SILENT_NS, AnalystHeard
from spread_scanner.runtime import logs
from spread_scanner.runtime.process import Process
from spread_scanner.schema.analysis import AnalysisFlag, z_of
from spread_scanner.schema.enums import ProcessState, SignalKind, Verdict
from spread_scanner.schema.records import SIGNAL_AGED
from spread_scanner.shm import segment

ENTER, RESIGNAL, EXIT, _ = map(int, SignalKind)
_numbers = itertools.count()


@pytest.fixture
def bed(namespace: str) -> Iterator[Bed]:
    with Bed(namespace, settings(enter_z_min=2.0)) as made:
        yield made


def attached(bed: Bed) -> Analyst:
    analyst = Analyst(bed)
    bed.engine.load(bed.settings, tables())
    return analyst


def last(bed: Bed) -> np.void:
    row: np.void = bed.evaluations.recent(limit=1)[0]
    return row


def test_only_what_stands_far_enough_above_its_mean_is_a_signal(bed: Bed) -> None:
    analyst = attached(bed)
    analyst.say(40.0, 10.0)
    bed.spread(59)
    assert bed.kinds(1) == []
    assert (bed.count("no_z"), bed.count("signals")) == (1, 0)
    row = last(bed)
    assert row["verdict"] == Verdict.NO_Z
    assert [row[name] for name in ("z", "z_min", "z_mean_bps", "z_deviation_bps")] == [
        pytest.approx(1.9), 2.0, 40.0, 10.0,
    ]  # fmt: skip
    bed.spread(60.5)
    assert bed.kinds(1) == [ENTER]
    assert last(bed)["z"] == pytest.approx(2.05)
    analyst.close()


def test_a_new_signal_of_what_is_in_is_asked_too_and_an_exit_is_not(bed: Bed) -> None:
    analyst = attached(bed)
    analyst.say(0.0, 10.0)
    bed.spread(60)
    assert bed.kinds(1) == [ENTER]
    analyst.say(100.0, 10.0)
    bed.spread(80)
    assert bed.kinds(1) == []
    assert last(bed)["verdict"] == Verdict.NO_Z
    analyst.say(0.0, 10.0)
    assert bed.kinds(1) == [RESIGNAL]
    analyst.say(100.0, 10.0)
    bed.spread(-20)
    assert bed.kinds(1) == [EXIT]
    analyst.close()


def test_it_is_asked_last(namespace: str) -> None:
    """What is no signal anyhow is counted by its own reason."""
    given_settings = settings({"size_quote_min": 1e9, "cooldown_ms": 10_000}, enter_z_min=2.0)
    with Bed(namespace, given_settings) as bed:
        bed.spread(60)
        assert bed.kinds(1) == []
        assert (bed.count("no_size"), bed.count("no_z")) == (1, 0)
        assert np.isnan(last(bed)["z_mean_bps"])


def test_what_is_not_known_is_no_signal(bed: Bed) -> None:
    analyst = attached(bed)
    bed.spread(60)
    unknown: list[tuple[str, dict[str, Any]]] = [
        ("of too few samples", {"flags": int(AnalysisFlag.USABLE | AnalysisFlag.KNOWN_0)}),
        ("of other tables", {"generation": 2}),
        ("of an analyst that has ended", {"age_ns": 5 * NS_PER_S + 1}),
        ("of another time", {"age_ns": -6 * NS_PER_S}),
        ("of another pair", {"symbol_id": 1}),
        ("of another direction", {"direction_id": 1}),
    ]
    assert bed.kinds(1) == [], "never written"
    for what, how in unknown:
        analyst.say(0.0, 1.0, **how)
        assert bed.kinds(1) == [], what
        assert math.isnan(last(bed)["z"]), what
    for deviation in (0.0, math.nan, -1.0):
        analyst.say(0.0, deviation)
        assert bed.kinds(1) == []
    assert bed.count("no_z") == 1 + len(unknown) + 3
    analyst.say(0.0, 1.0, age_ns=5 * NS_PER_S - NS_PER_MS)
    (signal,) = bed.step(1)
    assert signal["kind"] == ENTER
    assert signal["flags"] & SIGNAL_AGED, "no quote made it: it says nothing of latency"
    analyst.close()


def test_off_nobody_is_attached_and_nothing_is_asked(namespace: str) -> None:
    with Bed(namespace, settings()) as bed:
        analyst = attached(bed)
        assert bed.engine.loop.analysed is None
        bed.spread(60)
        assert bed.kinds(1) == [ENTER]
        assert bed.count("no_z") == 0
        assert math.isnan(last(bed)["z_min"])
        bed.engine.load(settings(enter_z_min=2.0), tables())
        assert bed.engine.loop.analysed is not None
        bed.spread(90)
        assert bed.kinds(1) == []
        assert bed.count("no_z") == 1
        bed.engine.load(settings(), tables())
        assert bed.engine.loop.analysed is None
        assert bed.kinds(1) == [RESIGNAL]
        analyst.close()


def test_the_analyst_may_come_late_go_and_come_again(namespace: str) -> None:
    """On a virtual clock: the segment is looked for once a second."""
    virtual = VirtualClock(mono_ns=START_NS)
    with clock.use(virtual), Bed(namespace, settings(enter_z_min=2.0)) as bed:

        def look() -> None:
            virtual.advance_ns(LOOK_NS)
            bed.engine.analysed.look()

        bed.spread(60)
        assert bed.kinds(1) == []
        assert bed.count("no_z") == 1
        other = Analyst(bed, max_symbols=2 * MAX_SYMBOLS)  # not of this system
        look()
        assert bed.engine.loop.analysed is None
        other.close()
        first = Analyst(bed)
        first.say(0.0, 1.0)
        bed.engine.analysed.look()
        assert bed.engine.loop.analysed is None, "not before its second"
        look()
        assert bed.kinds(1) == [ENTER]
        second = Analyst(bed)  # replaced: what the old one says is of nobody
        look()
        bed.spread(90)
        assert bed.kinds(1) == []
        assert last(bed)["verdict"] == Verdict.NO_Z
        segment.remove(segment.segment_name(bed.namespace, "analysis"))
        look()
        assert bed.engine.loop.analysed is None
        third = Analyst(bed)
        third.say(0.0, 1.0)
        look()
        assert bed.kinds(1) == [RESIGNAL]
        bed.engine.check()
        for one in (first, second, third):
            one.close()


def test_that_nobody_says_anything_is_said(namespace: str) -> None:
    virtual = VirtualClock(mono_ns=START_NS)
    given_settings = settings(enter_z_min=2.0)
    with clock.use(virtual), Bed(namespace, given_settings) as bed:
        log = logs.set_up("spread-engine", "error")
        process = Process("spread-engine", given_settings, log, bed.row, bed.slot)
        process.state(ProcessState.RUNNING)
        hearing = AnalystHeard(process, bed.engine)

        def told(passed_ns: int) -> tuple[ProcessState, str]:
            virtual.advance_ns(passed_ns)
            hearing.poll()
            seen = bed.health.read("spread-engine")
            assert seen is not None
            return seen.state, seen.message

        assert told(SILENT_NS) == (ProcessState.RUNNING, ""), "an analyst may take its time"
        off = "no signal: enter_z_min is set and spread-analyst is not enabled"
        assert told(NS_PER_S) == (ProcessState.DEGRADED, off)
        analyst = Analyst(bed)
        bed.now_ns = virtual.mono_ns() + NS_PER_S
        analyst.say(0.0, 1.0)
        assert told(NS_PER_S) == (ProcessState.RUNNING, "")
        assert told(5 * NS_PER_S) == (ProcessState.RUNNING, ""), "spoke five seconds ago"
        assert told(SILENT_NS + NS_PER_S) == (ProcessState.DEGRADED, off)
        bed.engine.load(settings(), tables())
        assert told(0) == (ProcessState.RUNNING, ""), "nobody is asked any more"
        analyst.close()


def test_z_is_the_same_to_the_last_bit_in_python(bed: Bed) -> None:
    seed = 20_261_127
    print(f"seed {seed}")
    random = np.random.default_rng(seed)
    analyst = attached(bed)
    for _ in range(300):
        bed.spread(-50)
        bed.step(1)  # out again
        bed.spread(float(random.uniform(20, 90)))
        record = analyst.say(float(random.normal(0, 500)), float(random.choice([1e-9, 3, 700, 0])))
        bed.step(1)
        row = last(bed)
        gross = np.array([row["gross_bps"]])
        (expected,) = z_of(record, gross, int(row["ts_engine"]), 1)
        if row["verdict"] in (Verdict.NO_Z, Verdict.SIGNAL):
            np.testing.assert_array_equal(row["z"], expected)
            assert (row["verdict"] == Verdict.SIGNAL) == (expected >= 2.0)
    assert bed.count("no_z") > 100
    assert bed.count("signals") > 2
    analyst.close()


says = st.tuples(
    st.just("say"),
    st.sampled_from([0, 3]),
    st.integers(0, SYMBOLS - 1),
    st.sampled_from([-50.0, 0.0, 3.0]),
    st.sampled_from([0.0, 2.0, 2.0, 7.0, 1e9]),
    st.sampled_from([{}] * 5 + [{"flags": 3}, {"generation": 2}, {"age_ns": 6 * NS_PER_S}]),
)


class MatchZ(Match):
    """With an analyst, whose records the oracle is told by hand."""

    def __init__(self, bed: Bed, symbols: Any) -> None:
        super().__init__(bed, symbols)
        self.analyst = Analyst(bed)
        bed.engine.analysed.take(bed.engine.analysed.some(bed.engine.loop.pairs), wanted=True)

    def say(
        self, way: int, symbol: int, mean: float, deviation: float, how: dict[str, int]
    ) -> None:
        self.analyst.say(mean, deviation, direction_id=way, symbol_id=symbol, **how)
        known = not {"flags", "generation"} & how.keys()
        told_ns = self.bed.now_ns - how.get("age_ns", 0)
        self.oracle.analysed[way, symbol] = Analysed(told_ns, mean, deviation, known)


@given(
    st.sampled_from([-1.0, 0.0, 1.5]),
    st.lists(st.one_of(quotes, quotes, quotes, says, says, steps), min_size=40, max_size=150),
    st.sampled_from([0, 30]),
)
@trials(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_order_of_events_gives_the_oracles_signals(
    least: float, happened: list[tuple[Any, ...]], cooldown_ms: int
) -> None:
    namespace = f"test-oracle-z-{os.getpid()}-{next(_numbers)}"
    thresholds = {"enter_bps": -5.0, "exit_bps": -11.0, "resignal_step_bps": 6.0}
    given_settings: Settings = settings(
        thresholds | {"cooldown_ms": cooldown_ms},
        enter_z_min=least,
        stale_ms_max=FAR_MS,
    )
    symbols = tables(SYMBOLS)
    try:
        with Bed(namespace, given_settings, symbols) as bed:
            match = MatchZ(bed, symbols)
            for event in [*happened, ("step", 1)]:
                getattr(match, event[0])(*event[1:])
            match.analyst.close()
    finally:
        for left in segment.names(namespace):
            segment.remove(left)
