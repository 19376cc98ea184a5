"""A leg that is alone against the other sources of its coin makes no signal; the oracle agrees."""

import itertools
import os
from typing import Any

import msgspec
import numpy as np
import pytest
from engine_bed import FAR_MS, Bed, settings, tables
from engine_match import Match
from engine_oracle import kin_of
from hypothesis import HealthCheck, given
from hypothesis import settings as trials
from hypothesis import strategies as st

from spread_scanner.schema.enums import (
    DIRECTIONS,
    EXCHANGE_DIRECTIONS,
    QuoteFlag,
    SignalKind,
    Verdict,
)
from spread_scanner.schema.records import SIGNAL_LEG_LOST
from spread_scanner.shm import segment
from spread_scanner.symbology import coins
from spread_scanner.symbology.tables import DirectionRow, QuarantineRow
from spread_scanner.view import evaluations

ENTER, RESIGNAL, EXIT, _ = map(int, SignalKind)
LIMIT_BPS = 1_000
# Of an evaluation that is kept: which leg it is.
SPOT, FUT = 32, 64
_numbers = itertools.count()


def others(bed: Bed, *sources: int, at: float = 100.0) -> None:
    for source in sources:
        bed.quote(source, at - 0.5, at + 0.5)


def legs(bed: Bed, spot: float, futures: float) -> None:
    """Direction 0, by the mids; both are narrow."""
    bed.quote(0, spot - 0.05, spot + 0.05)
    bed.quote(3, futures - 0.05, futures + 0.05)


@pytest.fixture
def bed(namespace: str) -> Any:
    with Bed(namespace, settings({"exit_bps": -1e4}, implausible_bps=LIMIT_BPS)) as made:
        yield made


# Spot stands 12 % below the others and the perpetual 4: 9 % apart, which could be a spread.
LOW, LESS = 88.0, 96.0


@pytest.mark.parametrize(
    ("spot", "futures", "flags"), [(LOW, LESS, SPOT), (104.0, 113.0, FUT), (80.0, 87.0, SPOT | FUT)]
)
def test_a_leg_that_is_alone_makes_no_signal_and_says_so(
    bed: Bed, spot: float, futures: float, flags: int
) -> None:
    others(bed, 1, 2, 4, 5, 6)
    legs(bed, spot, futures)
    found = bed.step(1)
    assert 0 not in found["direction_id"]
    rows = bed.evaluations.recent(limit=50)
    (row,) = (row for row in rows if row["direction_id"] == 0)
    assert row["verdict"] == Verdict.IMPLAUSIBLE
    assert row["flags"] & (SPOT | FUT) == flags
    assert abs(row["gross_bps"]) < LIMIT_BPS
    assert bed.count("no_implausible") >= 1
    shown = evaluations.evaluation_of(row, bed.session_ns)
    assert shown.alone == [name for name, bit in (("spot", SPOT), ("fut", FUT)) if flags & bit]


def test_a_dislocation_of_some_per_cent_against_all_others_stays_a_signal(bed: Bed) -> None:
    others(bed, 1, 2, 4, 5, 6, 7)
    legs(bed, 91.0, 100.0)  # 9 % below
    assert ENTER in [row["kind"] for row in bed.step(1) if row["direction_id"] == 0]


def test_three_others_are_needed_who_can_be_stood_behind(bed: Bed) -> None:
    others(bed, 2)
    bed.quote(4, 99.5, 100.5, flags=int(QuoteFlag.LAGGING))
    legs(bed, LOW, LESS)
    found = bed.step(1)
    assert 0 in found["direction_id"], "two others say nothing of it"
    others(bed, 4)
    legs(bed, LOW - 2, LESS - 2)  # a step higher, were it one
    assert [row["kind"] for row in bed.step(1) if row["direction_id"] == 0] == [EXIT]


def test_a_leg_is_no_witness_of_itself(bed: Bed) -> None:
    others(bed, 2)
    bed.quote(3, 95.0, 101.0)  # its mid is 11 % above, what is sold 9
    bed.quote(0, 86.95, 87.05)
    assert ENTER in [row["kind"] for row in bed.step(1) if row["direction_id"] == 0]


def test_one_that_is_in_is_left_when_its_next_step_shows_that_a_leg_is_alone(bed: Bed) -> None:
    others(bed, 1, 2, 4, 5, 6)
    legs(bed, 92.0, 97.0)
    assert ENTER in [row["kind"] for row in bed.step(1) if row["direction_id"] == 0]
    legs(bed, LOW, LESS)
    (left,) = (row for row in bed.step(1) if row["direction_id"] == 0)
    assert left["kind"] == EXIT
    assert left["flags"] & SIGNAL_LEG_LOST
    legs(bed, LOW, LESS)
    assert 0 not in bed.step(1)["direction_id"]
    others(bed, 1, 2, 4, 5, 6, at=95.0)  # the others come after it
    assert ENTER in [row["kind"] for row in bed.step(1) if row["direction_id"] == 0]


def test_it_signals_once_the_others_have_come_to_it_without_a_quote_of_its_own(bed: Bed) -> None:
    others(bed, 1, 2, 4, 5, 6)
    legs(bed, LOW, LESS)
    assert 0 not in bed.step(1)["direction_id"]
    others(bed, 1, 2, 4, 5, 6, at=95.0)
    assert ENTER in [row["kind"] for row in bed.step(1) if row["direction_id"] == 0]


def test_who_stays_alone_is_blocked_however_its_own_spread_goes(bed: Bed) -> None:
    for second in range(12):
        others(bed, 1, 2, 4, 5, 6)
        legs(bed, LOW, LESS if second % 3 == 0 else 84.0)  # mostly no spread at all
        assert 0 not in bed.step(1_000)["direction_id"]
    (block,) = (one for one in bed.engine.newly_blocked() if one.direction == DIRECTIONS[0].label)
    assert block.symbol == "C0-USDT"
    others(bed, 1, 2, 4, 5, 6)
    legs(bed, 97.0, 99.0)
    assert 0 not in bed.step(1_000)["direction_id"]


def test_a_moment_among_the_others_ends_the_stand(bed: Bed) -> None:
    for second in range(30):
        others(bed, 1, 2, 4, 5, 6)
        legs(bed, *((97.0, 97.1) if second % 8 == 7 else (LOW, LESS)))
        bed.step(1_000)
    assert bed.count("blocks") == 0


@pytest.mark.parametrize(("witnesses", "learns"), [([1, 2], 3), ([1], 6)])
def test_nothing_is_learned_of_a_leg_that_is_alone(
    namespace: str, witnesses: list[int], learns: int
) -> None:
    """Though its own basis is within the limit, as that of a coin that is another one may be. The
    perpetual is the third witness against spot."""
    given_settings = settings(
        {}, implausible_bps=LIMIT_BPS, basis_half_life_s=3_600.0, basis_trust_s=2.0
    )
    with Bed(namespace, given_settings, known=False) as bed:
        for spot, futures in [(97.0, 97.1)] * 3 + [(LOW, LESS)] * 3:
            others(bed, *witnesses)
            legs(bed, spot, futures)
            bed.step(1_000)
        made = bed.engine.adopt()
        assert made is not None
        assert made.weight[0] == pytest.approx(learns, abs=0.01)
        assert (made.exit_bps[0] == pytest.approx(-20.6, abs=0.2)) == (learns == 3)


def test_another_coin_of_the_same_ticker_is_no_witness(namespace: str) -> None:
    """Sources 0 and 3 list one coin, five others another; discovery keeps what mixes them out."""
    mixed = tuple(
        QuarantineRow(row.direction_id, "C0-USDT", "prices")
        for row in EXCHANGE_DIRECTIONS
        if (row.spot.source_id in (0, 3)) != (row.futures.source_id in (0, 3))
    )
    given_settings = settings({}, implausible_bps=LIMIT_BPS)
    with Bed(namespace, given_settings, tables(quarantine=mixed)) as bed:
        others(bed, 1, 2, 4, 5, 6, 7, at=50.0)
        legs(bed, 97.0, 99.0)
        assert bed.step(1)["direction_id"].tolist() == [0]


def test_two_exchanges_are_four_sources_of_one_coin_unless_a_pair_is_kept_out() -> None:
    """Pairs link spot of each with the perpetual of the other, and nobody else."""
    made = tables(1, quarantine=(QuarantineRow(0, "C0-USDT", "prices"),))
    two = [row for row in made.directions if row.direction_id in (0, 3)]
    linked = [DirectionRow(row.direction_id, (0,)) for row in two]
    for kept_out, expected in (((), {0, 1, 2, 3}), (made.quarantine, {1, 2})):
        given_tables = msgspec.structs.replace(
            made, directions=tuple(linked[bool(kept_out) :]), quarantine=kept_out
        )
        found = int(coins.kin(coins.by_source(given_tables, 8, 1))[1, 0])
        assert {bit for bit in range(8) if found >> bit & 1} == expected


def test_who_quotes_one_coin_is_found_as_the_oracle_finds_it() -> None:
    seed = 20_261_127
    print(f"seed {seed}")
    random = np.random.default_rng(seed)
    names = {number: f"C{number}-USDT" for number in range(6)}
    for _ in range(40):
        kept_out = tuple(
            QuarantineRow(direction.direction_id, name, "prices")
            for direction in EXCHANGE_DIRECTIONS
            for name in names.values()
            if name > "C1" and random.random() < 0.6
        )
        made = tables(6, quarantine=kept_out)
        found = coins.kin(coins.by_source(made, 8, 6))
        for number, name in names.items():
            expected = kin_of(made, number, name)
            listed = {leg for leg, of_leg in expected.items() if len(of_leg) > 1}
            for source in range(8):
                bits = {bit for bit in range(8) if int(found[source, number]) >> bit & 1}
                assert bits == (expected[source] if source in listed else set()), name


FAR = st.integers(-6, 10)
quotes = st.tuples(
    st.just("quote"),
    st.integers(0, 7),
    st.integers(0, 1),
    FAR,
    st.integers(0, 1),
    st.just(10),
    st.tuples(
        st.sampled_from([0] * 12 + [int(QuoteFlag.JUMPED), int(QuoteFlag.OVERDUE)]), st.just(0)
    ),
)
everyone = st.tuples(st.just("everyone"), st.integers(0, 1), FAR)
steps = st.tuples(st.just("step"), st.sampled_from([1, 1, 5, 60, 300, 700, 1_100]))
lives = st.tuples(st.sampled_from(["beat", "takeover", "stale"]), st.integers(0, 7))


class Crowd(Match):
    """With others who quote one price."""

    def everyone(self, symbol: int, at: int) -> None:
        for source in range(8):
            self.quote(source, symbol, at, 0, 10, (0, 0))


@given(
    st.lists(st.one_of(quotes, quotes, quotes, everyone, steps, steps, lives), max_size=120),
    st.sampled_from([-50.0, 0.0, 12.5]),
    st.sampled_from([(), tuple(QuarantineRow(n, "C1-USDT", "prices") for n in (0, 2, 5, 7))]),
)
@trials(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_the_sources_quote_the_oracle_says_the_same(
    happened: list[tuple[Any, ...]], enter_bps: float, quarantine: tuple[QuarantineRow, ...]
) -> None:
    """A limit between three and four steps of the grid, and a hold of a few steps of time."""
    namespace = f"test-alone-{os.getpid()}-{next(_numbers)}"
    given_settings = settings(
        {"enter_bps": enter_bps, "exit_bps": enter_bps - 7, "resignal_step_bps": 5.0},
        implausible_bps=20.3,
        implausible_hold_s=0.5,
        skew_ms_max=400,
        stale_ms_max=FAR_MS,
    )
    symbols = tables(2, quarantine=quarantine)
    try:
        with Bed(namespace, given_settings, symbols) as bed:
            match = Crowd(bed, symbols)
            for event in [("everyone", 0, 0), ("everyone", 1, 0), *happened, ("step", 1)]:
                getattr(match, event[0])(*event[1:])
            barred = bed.engine.loop.pairs["barred"] != 0
            np.testing.assert_array_equal(barred, match.oracle.barred)
    finally:
        for left in segment.names(namespace):
            segment.remove(left)


@given(
    st.lists(
        st.one_of(quotes, quotes, quotes, everyone, steps, steps, lives, st.just(("adopt",))),
        max_size=100,
    )
)
@trials(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_what_is_learned_of_who_may_be_alone_is_what_the_oracle_learns(
    happened: list[tuple[Any, ...]],
) -> None:
    """Thresholds beside the grid, as a mean of many looks is a sum made in another order."""
    namespace = f"test-alone-{os.getpid()}-{next(_numbers)}"
    given_settings = settings(
        {"enter_bps": -7.1234567, "exit_bps": -11.1234567, "resignal_step_bps": 6.7654321},
        implausible_bps=20.3,
        implausible_hold_s=60.0,
        basis_half_life_s=4.0,
        basis_trust_s=2.0,
        signal_basis_unknown=True,
    )
    symbols = tables(2)
    try:
        with Bed(namespace, given_settings, symbols, known=False) as bed:
            match = Crowd(bed, symbols)
            for event in [("everyone", 0, 0), *happened, ("step", 1), ("adopt",), ("step", 1)]:
                getattr(match, event[0])(*event[1:])
            found = bed.engine.loop.pairs["usual_bps"]
            np.testing.assert_allclose(found, match.oracle.usual, atol=1e-9)
    finally:
        for left in segment.names(namespace):
            segment.remove(left)
