"""Which books are wanted: words that anybody stores, and the engine's."""

import math

import pytest

from spread_scanner import clock
from spread_scanner.errors import SegmentError
from spread_scanner.schema.enums import DIRECTIONS
from spread_scanner.shm import segment
from spread_scanner.shm.faults import AlreadyClaimed, BadInput, WrongSegment
from spread_scanner.shm.layout import Kind, WantsLayout
from spread_scanner.shm.wants import NEAR_S_MAX, NOT_NEAR, Wants

NOW_NS = 1_000_000_000_000


def test_what_is_asked_for_is_wanted_until_then(namespace: str) -> None:
    with Wants.create(namespace, num_sources=8, max_symbols=4) as wants:
        with Wants.attach(namespace) as asking:
            before_ns = clock.mono_ns()
            asking.ask(3, 2, 60.0)
            asking.ask(3, 2, 5.0)  # somebody else, for less
        assert wants.asked(3, before_ns + 59_000_000_000).tolist() == [False, False, True, False]
        assert not wants.asked(3, clock.mono_ns() + 60_000_000_000).any()
        assert not wants.asked(2, before_ns).any()
        for source_id, symbol_id in ((8, 0), (0, 4), (-1, 0)):
            with pytest.raises(BadInput):
                wants.ask(source_id, symbol_id, 1.0)
        for for_s in (math.inf, math.nan, -1.0, 1e12):
            with pytest.raises(BadInput, match="allowed='0 to 31536000'"):
                wants.ask(3, 3, for_s)
        assert not wants.asked(3, before_ns)[3]


def test_of_a_symbols_pairs_the_nearest_counts_and_for_seconds_only(namespace: str) -> None:
    with Wants.create(namespace, num_sources=8, max_symbols=4) as wants:
        with wants.near_writer() as near:
            with pytest.raises(AlreadyClaimed):
                wants.near_writer()
            near.say(0, 1, -12.5, NOW_NS)
            near.say(1, 1, -3.25, NOW_NS)
            near.say(0, 2, math.inf, NOW_NS)
        first, second = DIRECTIONS[0], DIRECTIONS[1]
        assert first.spot == second.spot
        spot = wants.near_bps(first.spot.source_id, NOW_NS)
        assert spot.tolist() == [NOT_NEAR, -3.25, math.inf, NOT_NEAR]
        futures = wants.near_bps(first.futures.source_id, NOW_NS)
        assert futures.tolist() == [NOT_NEAR, -12.5, math.inf, NOT_NEAR]
        later_ns = NOW_NS + NEAR_S_MAX * 1_000_000_000
        assert wants.near_bps(0, later_ns)[1] == -3.25
        assert (wants.near_bps(0, later_ns + 1_000_000_000) == NOT_NEAR).all()


def test_a_source_of_no_direction_has_nothing_near(namespace: str) -> None:
    with Wants.create(namespace, num_sources=9, max_symbols=4) as wants:
        assert (wants.near_bps(8, NOW_NS) == NOT_NEAR).all()


def test_sizes_are_checked(namespace: str) -> None:
    with pytest.raises(SegmentError, match="out of range"):
        Wants.create(namespace, num_sources=65)
    segment.create(segment.segment_name(namespace, "wants"), Kind.WANTS, 4_096, [99, 4]).close()
    with pytest.raises(WrongSegment, match="range"):
        Wants.attach(namespace, timeout_s=0)
    where = WantsLayout(8, 1_024)
    assert (where.asked_at, where.near_at, where.wants_bytes) == (256, 65_792, 164_096)
