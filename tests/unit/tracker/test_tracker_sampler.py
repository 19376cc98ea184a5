"""The grid under clocks that step and wake-ups that are late; what a look makes of two quotes."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tracker_bed import pair, quotes

from spread_scanner import clock
from spread_scanner.clock import NS_PER_MS, SessionClock, VirtualClock
from spread_scanner.schema.enums import UNUSABLE, QuoteFlag
from spread_scanner.schema.freshness import FreshnessLimits
from spread_scanner.symbology.tables import DirectionRow, InstrumentRow, SymbolRow, Tables
from spread_scanner.tracker.opportunity import LOST, UNREAD, SampleFlag
from spread_scanner.tracker.pairs import pairs_of
from spread_scanner.tracker.sampler import Grid, Legs, looks

STEP_NS = 200 * NS_PER_MS
BOTH = int(SampleFlag.SPOT_LOST | SampleFlag.FUTURES_LOST)
FAR_NS = 10**18
LIMITS = FreshnessLimits(FAR_NS, FAR_NS, FAR_NS, 1e6)  # nothing is too old but where a test says so
NO_COINS = np.full((8, 16), -1)  # nobody quotes what another does


@given(
    wakes=st.lists(st.floats(0, 3_000), max_size=40),
    steps=st.lists(st.floats(-1e7, 1e7), max_size=40),
)
def test_the_grid_keeps_its_points_whatever_the_wall_clock_does(
    wakes: list[float], steps: list[float]
) -> None:
    with clock.use(VirtualClock()) as machine:
        session = SessionClock(anchor_ns=1_700_000_000_000_000_321)
        grid = Grid(STEP_NS, session.now_ns())
        start_ns = session.now_ns()
        points = []
        for number, ms in enumerate(wakes):
            machine.advance_ms(ms)
            machine.step_wall_ms(steps[number] if number < len(steps) else 0)
            now_ns = session.now_ns()
            point_ns = grid.due(now_ns)
            assert grid.due(now_ns) is None, "a point is due once"
            assert now_ns < grid.next_ns <= now_ns + STEP_NS
            if point_ns is not None:
                assert 0 <= now_ns - point_ns < STEP_NS
                points.append(point_ns)
        assert all(point % STEP_NS == 0 and point > start_ns for point in points)
    assert points == sorted(set(points))


def test_a_late_wake_up_gets_the_newest_point_and_the_others_never() -> None:
    grid = Grid(STEP_NS, 0)

    assert grid.due(3 * STEP_NS + 7) == 3 * STEP_NS
    assert grid.due(4 * STEP_NS - 1) is None
    assert grid.due(4 * STEP_NS) == 4 * STEP_NS
    assert grid.due(3 * STEP_NS) is None


def test_a_look_computes_what_entering_and_closing_would_earn() -> None:
    spot = quotes((99.0, 2.0, 100.0, 3.0, 1_000, 0))
    futures = quotes((101.0, 4.0, 102.0, 1.0, 2_000, int(QuoteFlag.NO_TS_EVENT)))

    [look] = looks(spot, futures, now_ns=5_000, limits=LIMITS)

    assert look.gross_bps == pytest.approx(100.0)
    assert look.exit_bps == pytest.approx(-300.0)
    assert (look.size_quote, look.exit_size_quote) == (300.0, 99.0)  # 3 and 1 of the spot
    assert (look.spot_age_ns, look.fut_age_ns) == (4_000, 3_000)
    assert look.flags == int(QuoteFlag.NO_TS_EVENT) << 16
    assert look.sides() == ((99.0, 2.0, 100.0, 3.0), (101.0, 4.0, 102.0, 1.0))


def test_a_sample_holds_every_flag_of_both_legs_where_it_has_always_stood() -> None:
    """Rows of before the second byte have zeros there, so old and new are read alike."""
    flags = [flag for flag in QuoteFlag if flag is not QuoteFlag.CONTENDED]
    assert max(flags) < 1 << 16, "a sample has room for two bytes of each leg"
    for flag in flags:
        one = quotes((99.0, 2.0, 100.0, 3.0, 1_000, int(flag)))
        none = quotes((99.0, 2.0, 100.0, 3.0, 1_000, 0))
        [of_spot], [of_futures] = looks(one, none, 5_000, LIMITS), looks(none, one, 5_000, LIMITS)
        assert (of_spot.flags >> 8 & 0xFF) | (of_spot.flags >> 24 & 0xFF) << 8 == flag
        assert (of_futures.flags >> 16 & 0xFF) | (of_futures.flags >> 32 & 0xFF) << 8 == flag
        assert of_spot.flags & of_futures.flags == 0
        assert bool(of_spot.flags & SampleFlag.SPOT_LOST) is bool(flag & UNUSABLE)


@pytest.mark.parametrize("flag", list(UNUSABLE))
def test_a_lost_leg_gives_no_spreads_but_keeps_what_stood_there(flag: QuoteFlag) -> None:
    good = (99.0, 2.0, 100.0, 3.0, 1_000, 0)
    bad = (99.0, 2.0, 100.0, 3.0, 1_000, int(flag))
    found = looks(quotes(good, bad, good), quotes(bad, good, good), now_ns=5_000, limits=LIMITS)

    assert [look.gross_bps is None for look in found] == [True, True, False]
    assert [look.exit_bps is None for look in found] == [True, True, False]
    assert [look.size_quote is None for look in found] == [True, True, False]
    assert found[0].flags & LOST == SampleFlag.FUTURES_LOST
    assert found[1].flags & LOST == SampleFlag.SPOT_LOST
    assert found[0].sides()[1] == (99.0, 2.0, 100.0, 3.0)


def test_a_quote_that_was_never_written_has_no_age_and_no_numbers() -> None:
    never = quotes((math.nan, math.nan, math.nan, math.nan, 0, int(QuoteFlag.STALE)))

    [look] = looks(never, never, now_ns=5_000, limits=LIMITS)

    assert look.spot_age_ns is None
    assert look.sides()[0] == (None, None, None, None)
    assert look.flags & LOST == BOTH


def test_a_sample_is_judged_as_the_engine_judges() -> None:
    """By age, by skew and by what a spread can be: with other limits than far away ones."""
    young = (99.0, 2.0, 100.0, 3.0, 990, 0)
    old = (101.0, 2.0, 102.0, 3.0, 899, 0)
    behind = (101.0, 2.0, 102.0, 3.0, 940, int(QuoteFlag.OVERDUE))
    absurd = (130.0, 2.0, 131.0, 3.0, 990, 0)
    good = (101.0, 2.0, 102.0, 3.0, 940, 0)
    limits = FreshnessLimits(500, stale_ns_max=100, skew_ns_max=49, implausible_bps=1_000)
    spot = quotes(*([young] * 4))

    found = looks(spot, quotes(old, behind, absurd, good), now_ns=1_000, limits=limits)

    flags = [look.flags & UNREAD for look in found]
    assert flags == [SampleFlag.FUTURES_LOST, SampleFlag.SKEWED, SampleFlag.IMPLAUSIBLE, 0]
    assert [look.gross_bps is None for look in found] == [True, True, True, False]


class FakeStore:
    """Quotes that say which cell they come from."""

    def __init__(self, beats: dict[int, int]) -> None:
        self.beats = beats
        self.calls: list[tuple[int, list[int]]] = []

    def read_many(self, source_id: int, ids: npt.NDArray[np.uint16]) -> np.ndarray:
        self.calls.append((source_id, ids.tolist()))
        rows: list[Any] = [(n + source_id / 100, 1.0, n + 1, 1.0, 10, 0) for n in ids.tolist()]
        return quotes(*rows)

    def heartbeat_mono_ns(self, source_id: int) -> int:
        return self.beats.get(source_id, 0)


class PricedStore:
    """Quotes of one price per source, a hair wide."""

    def __init__(self) -> None:
        self.px: dict[int, float] = {}
        self.flags: dict[int, int] = {}

    def read_many(self, source_id: int, ids: npt.NDArray[np.uint16]) -> np.ndarray:
        px, flags = self.px[source_id], self.flags.get(source_id, 0)
        return quotes(*[(px - 0.01, 1.0, px + 0.01, 1.0, 10, flags)] * len(ids))

    def heartbeat_mono_ns(self, source_id: int) -> int:
        return 1_000


def test_legs_are_read_one_call_per_source_in_the_order_of_the_pairs() -> None:
    wanted = [pair(5, 0), pair(7, 4), pair(9, 0), pair(3, 11)]
    store = FakeStore(dict.fromkeys(range(8), 1_000))

    limits = LIMITS._replace(heartbeat_ns_max=500)
    found = Legs(store, 0, limits, NO_COINS).look(wanted, now_ns=1_200)

    for one, look in zip(wanted, found, strict=True):
        spot, futures = look.sides()
        assert spot[0] == one.symbol_id + one.spot_source / 100
        assert futures[0] == one.symbol_id + one.futures_source / 100
    assert len(store.calls) == len({p.spot_source for p in wanted}) + len(
        {p.futures_source for p in wanted}
    )


def test_a_look_sees_whole_lots_of_its_pair_to_enter_and_to_leave_with() -> None:
    """As the engine and the screens size it: what is less than a lot cannot be traded."""
    rows = (SymbolRow(5, "C5-USDT", "C5", "USDT"), SymbolRow(7, "C7-USDT", "C7", "USDT"))
    rules = (None, 0.4, None, None, False, False)
    listed = tuple(
        InstrumentRow(source_id, row.symbol_id, row.base, 1.0, sz_mul, *rules)
        for source_id in (0, 3)
        for row, sz_mul in zip(rows, (1.0, 7.5), strict=True)
    )
    made = Tables(1, 0, rows, listed, (DirectionRow(0, (5, 7)),), (), ())
    wanted = [one for _, one in sorted(pairs_of(made).items())]
    assert [one.lot for one in wanted] == [0.4, 3.0]
    legs = Legs(FakeStore({0: 1_000, 3: 1_000}), 0, LIMITS, NO_COINS)

    small, large = legs.look(wanted, now_ns=1_200)  # one unit is there at each side of each top

    assert (small.size_quote, small.exit_size_quote) == pytest.approx((0.8 * 6, 0.8 * 5))
    assert (large.size_quote, large.exit_size_quote) == (0.0, 0.0)


def test_the_quotes_of_a_feed_without_a_heartbeat_are_lost() -> None:
    one = pair(5)
    beats = {one.spot_source: 1_000, one.futures_source: 1_000}
    legs = Legs(FakeStore(beats), 50_000, LIMITS._replace(heartbeat_ns_max=500), NO_COINS)

    assert legs.look([one], now_ns=51_500)[0].flags & LOST == 0
    assert legs.look([one], now_ns=51_501)[0].flags & LOST == BOTH
    beats[one.futures_source] = 0  # never beat at all
    assert legs.look([one], now_ns=51_500)[0].flags & LOST == SampleFlag.FUTURES_LOST
    assert legs.look([one], now_ns=50_100)[0].flags & LOST == SampleFlag.FUTURES_LOST
    assert legs.look([], now_ns=51_500) == []


def test_after_a_suspend_no_heartbeat_from_before_it_counts() -> None:
    """With a setting that a short sleep does not exceed: else the age alone would say it."""
    one = pair(5)
    beats = {one.spot_source: 1_000, one.futures_source: 1_000}
    legs = Legs(FakeStore(beats), 0, LIMITS._replace(heartbeat_ns_max=10**12), NO_COINS)
    legs.woke_ns = 1_001

    assert legs.look([one], now_ns=1_500)[0].flags & LOST
    beats.update(dict.fromkeys(beats, 1_001))
    assert legs.look([one], now_ns=1_500)[0].flags & LOST == 0


def test_a_leg_that_is_alone_against_the_other_sources_gives_no_spreads() -> None:
    """By a tenth and more against three or more that can be stood behind; asked of every look."""
    one, coins = pair(5), np.full((8, 16), -1)
    store, limits = PricedStore(), LIMITS._replace(implausible_bps=1_000)
    legs = Legs(store, 0, limits, coins)
    spot, futures = one.spot_source, one.futures_source
    others = [source for source in range(8) if source not in (spot, futures)][:3]
    store.px = {spot: 100.0, futures: 109.0, **dict.fromkeys(others, 98.0)}

    def seen() -> tuple[bool, int]:
        [look] = legs.look([one], now_ns=1_200)
        return look.exit_bps is None, look.flags & UNREAD

    assert seen() == (False, 0), "nobody knows that they are one coin"
    coins[[spot, futures, *others], 5] = 0
    assert seen() == (True, SampleFlag.IMPLAUSIBLE)
    coins[others[0], 5] = 2
    assert seen() == (True, SampleFlag.IMPLAUSIBLE), "spot is a witness too"
    coins[others[1], 5] = 2
    assert seen() == (False, 0), "two may be wrong together"
    coins[others[:2], 5] = 0
    store.flags = dict.fromkeys(others[:2], int(QuoteFlag.STALE))
    assert seen() == (False, 0), "what cannot be stood behind says nothing"
