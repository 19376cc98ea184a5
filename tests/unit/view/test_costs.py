"""What a pair costs, as the settings and tables say."""

import math
from typing import Any

import msgspec
import pytest

from spread_scanner import clock
from spread_scanner.config import Settings
from spread_scanner.schema.funding import FundingNow, listing_of
from spread_scanner.shm import PriceStore
from spread_scanner.shm.funding import FundingTable
from spread_scanner.symbology import publish, tables
from spread_scanner.symbology.tables import FundingRow
from spread_scanner.view import costs
from spread_scanner.view.spreads import SpreadBoard, spreads_of
from spread_scanner.view.symbols import UnknownSymbol

KEY = 3, 1  # BBB on bybit-futures
NAN = math.nan


def credited(bed: Any) -> Settings:
    """BBB's perpetual pays, and who holds for nine hours counts on it."""
    made = tables.load(bed.settings.generated_dir)
    paid = msgspec.structs.replace(made, generation=2, funding=(FundingRow(3, 1, 0.0008, 8.0),))
    publish.publish(bed.settings.generated_dir, paid, {})
    engine = msgspec.structs.replace(
        bed.settings.config.spread_engine, hold_h=9.0, funding_credit=True
    )
    given = msgspec.structs.replace(bed.settings.config, spread_engine=engine)
    settings: Settings = msgspec.structs.replace(bed.settings, config=given)
    return settings


def test_a_board_looks_funding_up_each_minute(up_bed: Any) -> None:
    settings, loaded = credited(up_bed), tables.load(up_bed.settings.generated_dir)
    by = clock.VirtualClock(clock.wall_ns(), clock.mono_ns())
    with PriceStore.attach(up_bed.namespace) as store, clock.use(by):
        board = SpreadBoard(settings, loaded, store)

        def carry_bps() -> float:
            rows = board.rows()
            return float(rows[rows["symbol_id"] == 1]["carry_bps"][0])

        assert carry_bps() == pytest.approx(-16.0)
        with FundingTable.attach(up_bed.namespace) as told, told.writer() as writer:
            wall_ns = clock.wall_ns()
            name = next(row for row in loaded.instruments if (row.source_id, row.symbol_id) == KEY)
            listing = listing_of(name.exchange_symbol)
            now = FundingNow(0.001, NAN, NAN, 8.0, 0, wall_ns, 0, listing, 2)
            writer.write(*KEY, now)
        by.advance_ms(59_000)
        assert carry_bps() == pytest.approx(-16.0)
        by.advance_ms(2_000)
        assert carry_bps() == pytest.approx(-20.0)


def test_costs_are_what_the_board_takes_off(up_bed: Any) -> None:
    settings = credited(up_bed)
    found = {one.symbol: one for one in costs.read(settings)}
    assert sorted(found) == ["AAA-USDT", "BBB-USDT", "CCC-USDT"]
    one = found["BBB-USDT"]
    assert (one.spot_fee_bps, one.fut_fee_bps, one.fees_bps) == (5.0, 5.0, 20.0)
    assert one.carry_at_ask_bps == pytest.approx(-16.0)  # two settlements
    assert one.costs_bps == pytest.approx(4.0)
    assert one.rate_known
    unknown = found["AAA-USDT"]
    assert not unknown.rate_known
    assert unknown.carry_at_ask_bps == pytest.approx(2 * 500.0)
    assert [cost.symbol for cost in costs.read(settings, "ccc")] == ["CCC-USDT"]
    rule = settings.directions.thresholds(one.direction, one.symbol)
    assert (one.enter_bps, one.exit_below_bps) == (rule.enter_bps, rule.exit_bps)
    assert rule.enter_bps != rule.exit_bps

    up_bed.quote(0, 1, 99.0, 100.0)
    up_bed.quote(3, 1, 101.0, 102.0)
    with PriceStore.attach(up_bed.namespace) as store:
        board = SpreadBoard(settings, tables.load(settings.generated_dir), store)
        (spread,) = spreads_of(board, "BBB")
    assert spread.gross_bps is not None
    assert spread.learned == 0
    assert spread.close_bps == pytest.approx(-100)  # by the present widths
    carried = one.carry_at_ask_bps * 101 / 100
    assert spread.net_bps == pytest.approx(spread.gross_bps - 100 - one.fees_bps - carried)
    assert spread.enter_bps == one.enter_bps


def test_where_no_pair_is_listed_nothing_costs_and_a_symbol_is_unknown(up_bed: Any) -> None:
    made = tables.load(up_bed.settings.generated_dir)
    empty = msgspec.structs.replace(made, generation=2, directions=())
    publish.publish(up_bed.settings.generated_dir, empty, {})
    assert costs.read(up_bed.settings) == []
    with pytest.raises(UnknownSymbol):
        costs.read(up_bed.settings, "BBB")
