"""What funding is expected to cost: by what was told last, looked up with each generation."""

import math
from typing import Any

import pytest
from engine_bed import Bed, settings, tables

from spread_scanner import clock
from spread_scanner.clock import NS_PER_S
from spread_scanner.engine.carrying import CONTRACTS_PER_TURN
from spread_scanner.schema.enums import DIRECTIONS, SignalKind
from spread_scanner.schema.funding import NS_PER_HOUR, FundingNow, listing_of
from spread_scanner.schema.records import SIGNAL_AGED, SIGNAL_FUNDING_UNKNOWN
from spread_scanner.symbology.tables import FundingRow

ENTER, _, EXIT, _ = map(int, SignalKind)
FUTURES = DIRECTIONS[0].futures.source_id
CARRIES = settings({"enter_bps": -10_000.0}, hold_h=24.0)


def told(rate: float, symbol_id: int = 0, **more: Any) -> FundingNow:
    """Asked now, due in an hour: 24 hours cross three settlements."""
    now_ns = clock.wall_ns()
    row = FundingNow(
        rate, 0.003, -0.003, 8.0, now_ns + NS_PER_HOUR, now_ns, 0, listing_of(f"C{symbol_id}"), 1
    )
    return row._replace(**more)


def cost(bed: Bed, symbol_id: int = 0) -> tuple[Any, bool]:
    """Of the first direction: what carrying costs, and whether the rate is known."""
    pairs = bed.engine.loop.pairs
    (pair,) = pairs[(pairs["direction_id"] == 0) & (pairs["symbol_id"] == symbol_id)]
    return float(pair["carry_bps"]), not pair["signal_flags"] & SIGNAL_FUNDING_UNKNOWN


def adopt(bed: Bed) -> None:
    """The turns of a minute, and its generation."""
    for _ in range(100):
        if bed.engine.look_ahead():
            break
    bed.engine.adopt()


def test_what_was_told_comes_before_what_the_tables_noted(namespace: str) -> None:
    symbols = tables(2, funding=(FundingRow(FUTURES, 0, -0.0002, 8.0),))
    with Bed(namespace, CARRIES, symbols) as bed, bed.funding.writer() as funding:
        assert cost(bed) == (pytest.approx(3 * 2.0), True)
        assert cost(bed, 1) == (pytest.approx(3 * 500.0), False)
        funding.write(FUTURES, 0, told(-0.0001))
        funding.write(FUTURES, 1, told(-0.0003, 1))
        bed.engine.adopt()  # before the round: what holds is whole
        assert cost(bed) == (pytest.approx(3 * 2.0), True)
        adopt(bed)
        assert cost(bed) == (pytest.approx(3 * 1.0), True)
        assert cost(bed, 1) == (pytest.approx(3 * 3.0), True)
        bed.engine.load(CARRIES, symbols)
        assert cost(bed, 1) == (pytest.approx(3 * 3.0), True)


def test_what_was_told_of_another_coin_does_not_stand_before_the_tables(namespace: str) -> None:
    symbols = tables(funding=(FundingRow(FUTURES, 0, -0.0002, 8.0),))
    with Bed(namespace, CARRIES, symbols) as bed, bed.funding.writer() as funding:
        funding.write(FUTURES, 0, told(-0.0001, listing=listing_of("ANOTHER")))
        adopt(bed)
        assert cost(bed) == (pytest.approx(3 * 2.0), True)


def test_the_next_signal_carries_it(namespace: str) -> None:
    with Bed(namespace, CARRIES) as bed, bed.funding.writer() as funding:
        funding.write(FUTURES, 0, told(-0.0001))
        adopt(bed)
        bed.spread(12)
        (signal,) = bed.step(1)
        assert signal["carry_bps"] == pytest.approx(3.0 * 1.0012)
        assert signal["net_bps"] == pytest.approx(12 - 3.0 * 1.0012)
        assert not signal["flags"] & SIGNAL_FUNDING_UNKNOWN


def test_what_a_new_rate_makes_has_no_latency(namespace: str) -> None:
    """It comes with a generation, as what is usual does: in or out, no quote has made it."""
    given = settings({"enter_bps": 20.0, "exit_bps": 15.0, "cooldown_ms": 0}, hold_h=24.0)
    with Bed(namespace, given) as bed, bed.funding.writer() as funding:
        funding.write(FUTURES, 0, told(-0.001))
        adopt(bed)
        for rate, kind in ((-0.0001, ENTER), (-0.001, EXIT)):
            bed.spread(32)
            assert len(bed.step(1)) == 0
            funding.write(FUTURES, 0, told(rate))
            adopt(bed)
            bed.spread(32)  # the same again
            (signal,) = bed.step(1)
            assert (signal["kind"], signal["flags"] & SIGNAL_AGED) == (kind, SIGNAL_AGED)
        adopt(bed)  # at the same rate
        bed.spread(70)
        (signal,) = bed.step(1)
        assert (signal["kind"], signal["flags"] & SIGNAL_AGED) == (ENTER, 0)


@pytest.mark.parametrize(
    ("change", "most"),
    [
        ({"asked_wall_ns": 8 * NS_PER_HOUR + NS_PER_S}, 30.0),  # so long ago
        ({"rate": 0.0031}, 30.0),  # beyond its cap
        ({"rate": math.nan}, 30.0),
        ({"rate": -0.01, "floor": math.nan}, None),  # no floor is told
        ({"rate": -0.06, "floor": math.nan}, 500.0),
        ({"listing": 1}, 500.0),  # another coin's
    ],
)
def test_a_rate_that_may_not_be_used_costs_the_most_it_can(
    namespace: str, change: dict[str, Any], most: float | None
) -> None:
    with Bed(namespace, CARRIES) as bed, bed.funding.writer() as funding:
        row = told(-0.0001)
        if "asked_wall_ns" in change:
            change = {"asked_wall_ns": row.asked_wall_ns - int(change["asked_wall_ns"])}
        funding.write(FUTURES, 0, row._replace(**change))
        adopt(bed)
        expected = 100.0 if most is None else most
        crossed = 3  # of an unknown listing: by the usual interval
        assert cost(bed) == (pytest.approx(crossed * expected), most is None)


def test_a_round_is_taken_in_turns_and_a_reload_begins_it_anew(namespace: str) -> None:
    symbols = tables(4)
    with Bed(namespace, CARRIES, symbols) as bed, bed.funding.writer() as funding:
        contracts = len(set(bed.engine.loop.pairs["fut_cell"].tolist()))
        assert contracts > CONTRACTS_PER_TURN
        assert not bed.engine.look_ahead()
        bed.engine.load(CARRIES, symbols)
        funding.write(FUTURES, 0, told(-0.0001))
        adopt(bed)
        assert cost(bed) == (pytest.approx(3.0), True)
