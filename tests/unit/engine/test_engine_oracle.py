"""The native engine and the numpy oracle say the same, signal for signal and field for field."""

import gzip
import itertools
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engine_bed import FAR_MS, START_NS, Bed, Rules, settings, tables
from engine_match import Match
from hypothesis import HealthCheck, given
from hypothesis import settings as trials
from hypothesis import strategies as st

from spread_scanner.config import ThresholdOverride
from spread_scanner.schema.enums import DIRECTION_BY_LABEL, QuoteFlag
from spread_scanner.shm import segment
from spread_scanner.symbology.tables import FundingRow, QuarantineRow

SYMBOLS = 2
GRID_NS = 5_000_000  # of the recorded day: one step for the quotes of 5 ms
RECORDINGS = Path(os.environ.get("SPREAD_DATA", Path(__file__).parents[4] / "shared" / "data"))
_numbers = itertools.count()


source_ids = st.integers(0, 3)  # two exchanges: both directions between them
usual_flags = [0] * 8 + [int(QuoteFlag.OVERDUE)] * 8
flags = st.sampled_from([*usual_flags, 1, 2, 4, int(QuoteFlag.BID_EMPTY), int(QuoteFlag.JUMPED)])
ages_ms = st.sampled_from([0] * 6 + [3, 40, 900])
quotes = st.tuples(
    st.just("quote"),
    source_ids,
    st.integers(0, SYMBOLS - 1),
    st.integers(-4, 8),
    st.integers(-1, 2),
    st.sampled_from([1, 2, 50]),
    st.tuples(flags, ages_ms),
)
steps = st.tuples(st.just("step"), st.sampled_from([1, 1, 2, 10, 45, 300, 1_500]))
switches = st.one_of(
    st.tuples(
        st.just("switch"), st.sampled_from(["source", "symbol"]), st.integers(0, 1), st.booleans()
    ),
    st.tuples(
        st.just("switch"),
        st.sampled_from(["direction"]),
        st.sampled_from([0, 3]),
        st.booleans(),
    ),
    st.tuples(st.just("switch"), st.sampled_from(["kill", "process"]), st.just(0), st.booleans()),
)
lives = st.tuples(st.sampled_from(["beat", "beat", "takeover", "stale"]), source_ids)
adoptions = st.tuples(st.just("adopt"))
events = st.lists(
    st.one_of(quotes, quotes, quotes, quotes, steps, steps, lives, switches),
    min_size=30,
    max_size=150,
)


rules = st.builds(
    Rules,
    # Sizes are 1, 2 and 50: whole lots, less than one, a rest; 1.013 and 1.019 never meet.
    lot_step=st.sampled_from([None, None, 0.1, 0.3, 0.7, 3.0, 1e-5, 1.013, 1.019]),
    min_qty=st.sampled_from([None, None, 0.1, 2.0, 49.0]),
    min_notional=st.sampled_from([None, 5.0, 200.0]),
)


@st.composite
def parameters(draw: st.DrawFn) -> tuple[Any, Any]:
    enter = draw(st.sampled_from([-5.0, 0.0, 6.25, 12.5]))
    thresholds = {
        "enter_bps": enter,
        "exit_bps": enter - draw(st.sampled_from([0.0, 6.25])),
        "resignal_step_bps": draw(st.sampled_from([0.5, 6.25, 20.0])),
        "cooldown_ms": draw(st.sampled_from([0, 0, 30, 1_000])),
        "size_quote_min": draw(st.sampled_from([0.0, 150.0])),
    }
    quarantine = draw(st.sampled_from([(), (QuarantineRow(3, "C1-USDT", "prices"),)]))
    directions = draw(
        st.sampled_from(
            [
                {},
                {"pair": {"binance-bybit:C0-USDT": ThresholdOverride(enabled=False)}},
                {"symbol": {"C1-USDT": ThresholdOverride(enter_bps=enter + 3)}},
            ]
        )
    )
    given_settings = settings(
        thresholds,
        fees=draw(st.sampled_from([{}, {"binance-spot": 1.0, "bybit-futures": 0.7}])),
        system={"heartbeat_ms": 10, "heartbeat_ms_max": draw(st.sampled_from([400, 60_000]))},
        directions=directions,
        stale_ms_max=draw(st.sampled_from([50, 1_000, FAR_MS])),
        skew_ms_max=draw(st.sampled_from([20, 500, FAR_MS])),
        hold_h=draw(st.sampled_from([0.0, 5.0])),
        funding_credit=draw(st.booleans()),
    )
    funding = (FundingRow(3, 0, 0.0001, 8.0), FundingRow(1, 0, -0.0002, 4.0))
    told = {(source, symbol): draw(rules) for source in range(4) for symbol in range(SYMBOLS)}
    return given_settings, tables(SYMBOLS, funding=funding, quarantine=quarantine, rules=told)


@given(parameters(), events)
@trials(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_order_of_events_gives_the_oracles_signals(
    given_parameters: tuple[Any, Any], happened: list[tuple[Any, ...]]
) -> None:
    namespace = f"test-oracle-{os.getpid()}-{next(_numbers)}"
    given_settings, symbols = given_parameters
    try:
        with Bed(namespace, given_settings, symbols) as bed:
            match = Match(bed, symbols)
            for event in [*happened, ("step", 1)]:
                getattr(match, event[0])(*event[1:])
    finally:
        for left in segment.names(namespace):
            segment.remove(left)


@given(
    parameters(),
    st.lists(st.one_of(quotes, quotes, quotes, adoptions, steps, lives), min_size=40, max_size=160),
    st.booleans(),
    st.booleans(),
)
@trials(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_what_leaving_usually_earns_is_learned_as_the_oracle_learns_it(
    given_parameters: tuple[Any, Any],
    happened: list[tuple[Any, ...]],
    at_parity: bool,
    unknown_too: bool,
) -> None:
    """A half-life of seconds; thresholds between what quotes on a grid can give, so that a sum that
    is made in another order decides nothing else."""
    namespace = f"test-oracle-{os.getpid()}-{next(_numbers)}"
    before, symbols = given_parameters
    given_settings = settings(
        {"enter_bps": -7.1234567, "exit_bps": -11.1234567, "resignal_step_bps": 6.7654321}
        | ({"close_at": "parity"} if at_parity else {}),
        system={"heartbeat_ms": 10, "heartbeat_ms_max": 60_000},
        stale_ms_max=before.config.spread_engine.stale_ms_max,
        basis_half_life_s=4.0,
        basis_trust_s=2.0,
        signal_basis_unknown=unknown_too,
    )
    try:
        with Bed(namespace, given_settings, symbols, known=False) as bed:
            match = Match(bed, symbols)
            for event in [*happened, ("adopt",), ("step", 1)]:
                getattr(match, event[0])(*event[1:])
    finally:
        for left in segment.names(namespace):
            segment.remove(left)


@pytest.mark.slow
def test_long_random_streams_give_the_oracles_signals(namespace: str) -> None:
    """Longer than hypothesis goes: signals of every kind in numbers, with the seed in the text."""
    seed = 20_240_808
    print(f"seed {seed}")
    random = np.random.default_rng(seed)
    given_settings = settings(
        {"enter_bps": 6.0, "exit_bps": 0.0, "resignal_step_bps": 6.0, "cooldown_ms": 20},
        system={"heartbeat_ms": 10, "heartbeat_ms_max": 400},
        stale_ms_max=300,
        skew_ms_max=60,
    )
    # Of 1 to 49: some are less than a common lot, some less than a minimum, most have a rest.
    told = {(0, 0): Rules(0.3, 0.3, 5.0), (3, 0): Rules(1.0, 1.0, 700.0), (1, 1): Rules(0.7)}
    symbols = tables(SYMBOLS, rules=told)
    kinds: dict[int, int] = {}
    with Bed(namespace, given_settings, symbols) as bed:
        match = Match(bed, symbols)
        for _ in range(4_000):
            for _ in range(random.integers(0, 4)):
                match.quote(
                    int(random.integers(0, 4)), int(random.integers(0, SYMBOLS)),
                    int(random.integers(-3, 5)), int(random.integers(0, 2)),
                    int(random.integers(1, 50)),
                    (int(QuoteFlag.OVERDUE) * int(random.integers(0, 2)), 0),
                )  # fmt: skip
            if random.random() < 0.1:
                match.beat(int(random.integers(0, 4)))
            if random.random() < 0.02:
                match.takeover(int(random.integers(0, 4)))
            if random.random() < 0.02:
                what, number = [("kill", 0), ("process", 0), ("source", 3), ("symbol", 1)][
                    int(random.integers(0, 4))
                ]
                match.switch(what, number, bool(random.random() < 0.3))
            for kind in match.step(int(random.integers(1, 12)))["kind"]:
                kinds[int(kind)] = kinds.get(int(kind), 0) + 1
        assert bed.count("stale_exits") > 5
        assert bed.count("no_cooldown") > 5
        assert bed.count("no_skew") > 5
        assert bed.count("no_size") > 5
    assert set(kinds) == {1, 2, 3}
    assert min(kinds.values()) > 50


def test_who_stands_absurd_is_blocked_when_the_oracle_blocks_it(namespace: str) -> None:
    """A limit of some steps of the grid and a hold of a few quotes: reached often, not always."""
    seed = 20_261_126
    print(f"seed {seed}")
    random = np.random.default_rng(seed)
    given_settings = settings(
        {"enter_bps": 6.0, "exit_bps": 0.0, "resignal_step_bps": 6.0},
        implausible_bps=20.0,
        implausible_hold_s=0.3,
        stale_ms_max=1_500,
        skew_ms_max=60,
    )
    symbols = tables(10)
    with Bed(namespace, given_settings, symbols) as bed:
        match = Match(bed, symbols)
        signals = 0
        for _ in range(500):
            for _ in range(random.integers(0, 8)):
                symbol, source = int(random.integers(0, 10)), int(random.integers(0, 8))
                far = symbol if source in (1, 3) and random.random() < 0.8 else 0
                overdue = int(QuoteFlag.OVERDUE) * int(random.random() < 0.3)
                leapt = int(QuoteFlag.JUMPED) * int(symbol > 7 and source == 3)
                flag = overdue | leapt * int(random.random() < 0.9)
                match.quote(source, symbol, far, int(random.integers(0, 2)), 10, (flag, 0))
            match.beat(int(random.integers(0, 8)))
            if random.random() < 0.01:
                match.switch("symbol", int(random.integers(5, 10)), bool(random.random() < 0.5))
            signals += len(match.step(1_100 if random.random() < 0.05 else 25))
        assert 0 < bed.engine.loop.blocks == match.oracle.barred.sum() < len(match.oracle.barred)
        assert set(bed.engine.loop.pairs["barred"]) == {0, 1}
        np.testing.assert_array_equal(bed.engine.loop.pairs["barred"] != 0, match.oracle.barred)
        assert bed.count("no_blocked") > 0
        assert signals > 50


def recorded(name: str, source_id: int) -> Iterator[tuple[int, int, list[str]]]:
    path = RECORDINGS / "exchanges" / name
    if not path.exists():
        pytest.skip(f"no recording {name}")
    with gzip.open(path, "rt") as lines:
        for line in lines:
            if "@bookTicker" not in line:
                continue
            recv_ns, _, text = line.partition(" ")
            data = json.loads(text)["data"]
            yield int(recv_ns), source_id, [data[key] for key in "bBaA"]


@pytest.mark.slow
@pytest.mark.timeout(600)  # ten thousand steps of numpy: two minutes are little on a busy machine
def test_a_recorded_day_gives_the_oracles_signals(namespace: str) -> None:
    """Spot and perpetual of one exchange stand for two exchanges. The long form plays the whole."""
    direction = DIRECTION_BY_LABEL["binance-bybit"]
    spot = recorded("binance_spot/hftbacktest_spot_btcusdt_20240808.txt.gz", 0)
    fut = recorded("binance_usdm/hftbacktest_usdm_btcusdt_20240808.txt.gz", 3)
    rows = sorted(itertools.chain(spot, fut))
    if os.environ.get("SPREAD_STRESS") != "long":
        rows = rows[len(rows) * 3 // 5 :]
    given_settings = settings(
        {"enter_bps": -5.0, "exit_bps": -5.5, "resignal_step_bps": 0.25},
        skew_ms_max=2_000,
    )
    symbols = tables(1)
    with Bed(namespace, given_settings, symbols) as bed:
        match = Match(bed, symbols)
        signals = 0
        last_ms = began_ms = rows[0][0] // GRID_NS * GRID_NS // 1_000_000
        for recv_ns, source_id, texts in rows:
            now_ms = recv_ns // GRID_NS * GRID_NS // 1_000_000
            if now_ms > last_ms:
                signals += len(match.step(now_ms - last_ms))
                last_ms = now_ms
                bed.beat()
            bid_px, bid_sz, ask_px, ask_sz = map(float, texts)
            bed.quote(source_id, bid_px, ask_px, bid_sz=bid_sz, ask_sz=ask_sz)
        assert bed.now_ns == START_NS + (last_ms - began_ms) * 1_000_000
        assert bed.count("dirty") > 10_000
    assert signals > 20, f"{signals} signals of {direction.label}"
