"""Which sources and directions there are: their numbers stand in shared memory and in files."""

from typing import Any

import pytest

from spread_scanner.config import Directions, ThresholdOverride
from spread_scanner.errors import TableError
from spread_scanner.schema.enums import (
    DIRECTIONS,
    EXCHANGE_DIRECTIONS,
    EXCHANGE_SOURCES,
    POOL_DIRECTIONS,
    POOL_SOURCES,
    SOURCES,
    directions_within,
)
from spread_scanner.shm.layout import AnalysisLayout, WantsLayout
from spread_scanner.symbology.tables import InstrumentRow, Tables, check_sources


def test_numbers_are_never_given_anew() -> None:
    assert [source.label for source in SOURCES] == [
        *("binance-spot", "binance-futures", "bybit-spot", "bybit-futures"),
        *("okx-spot", "okx-futures", "mexc-spot", "mexc-futures"),
        *("raydium", "orca", "meteora", "phoenix"),
    ]
    assert [source.source_id for source in SOURCES] == list(range(12))
    assert [way.direction_id for way in DIRECTIONS] == list(range(28))
    assert (*EXCHANGE_SOURCES, *POOL_SOURCES) == SOURCES
    assert (*EXCHANGE_DIRECTIONS, *POOL_DIRECTIONS) == DIRECTIONS
    assert DIRECTIONS[5].label == "bybit-mexc"
    assert DIRECTIONS[12].label == "raydium-binance"
    assert DIRECTIONS[27].label == "phoenix-mexc"
    assert {source.process for source in POOL_SOURCES} == {"feed-solana"}


@pytest.mark.parametrize(
    ("num_sources", "count"), [(2, 12), (8, 12), (9, 16), (11, 24), (12, 28), (64, 28)]
)
def test_memory_by_direction_has_room_for_those_between_rows(num_sources: int, count: int) -> None:
    assert directions_within(num_sources) == DIRECTIONS[:count]
    assert AnalysisLayout(num_sources, 100).pairs == count * 100
    wants = WantsLayout(num_sources, 100)
    assert wants.wants_bytes - wants.near_at == count * 100 * 8


def test_directions_from_pools_are_disabled_by_default() -> None:
    ways = Directions(direction={"orca-okx": ThresholdOverride(enabled=True)})
    symbol = "SOL-USDT"
    for way in DIRECTIONS:
        wanted = way in EXCHANGE_DIRECTIONS or way.label == "orca-okx"
        assert ways.thresholds(way.label, symbol).enabled is wanted
    pair = Directions(pair={f"orca-okx:{symbol}": ThresholdOverride(enabled=True)})
    assert pair.thresholds("orca-okx", symbol).enabled
    assert not pair.thresholds("orca-okx", "RAY-USDT").enabled


def test_tables_with_a_source_beyond_the_store_are_refused() -> None:
    row: dict[str, Any] = {
        "generation": 1, "created_wall_ns": 1, "symbols": (), "directions": (), "funding": (),
        "quarantine": (),
    }  # fmt: skip
    listed = InstrumentRow(9, 0, "SOL-USDT", 1.0, 1.0, None, None, None, None, False, False)
    check_sources(Tables(**row, instruments=(listed,)), 10)
    check_sources(Tables(**row, instruments=()), 8)
    with pytest.raises(TableError, match="beyond the price store") as told:
        check_sources(Tables(**row, instruments=(listed,)), 8)
    assert told.value.evidence["source"] == "orca"
