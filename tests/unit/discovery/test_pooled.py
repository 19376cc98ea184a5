"""Pools among what exchanges list: which symbols, what they cost besides, and who has a place."""

import math
from pathlib import Path
from typing import Any

import pytest
from pool_rows import SOL, USDC

from spread_scanner import config
from spread_scanner.config import Settings
from spread_scanner.discovery import assembly
from spread_scanner.discovery.asking import NO_VALIDATION
from spread_scanner.discovery.checking import check
from spread_scanner.discovery.doubts import Doubts
from spread_scanner.discovery.identity import judge
from spread_scanner.discovery.legs import pairs_of, select
from spread_scanner.discovery.outcome import states_of
from spread_scanner.discovery.pooled import (
    charged,
    floor_note,
    heard_prices,
    listed_pools,
    pool_sources,
    rates,
)
from spread_scanner.schema.enums import POOL_SOURCES, SOURCE_BY_LABEL
from spread_scanner.schema.pools import HeardPrice
from spread_scanner.solana.network_fees import priority_lamports
from spread_scanner.solana.priority_fees import units_of
from spread_scanner.symbology.fees import FillFees

SHIPPED = Path(__file__).parents[3] / "config" / "pools.toml"
ENABLED = SHIPPED.read_text().replace("enabled = false", "enabled = true", 1)


@pytest.fixture
def settings(build: Any) -> Settings:
    made: Settings = build.settings("[system]\nnum_sources = 12\n")
    (made.folder / "pools.toml").write_text(ENABLED)
    return config.load(made.folder, {})


def test_each_source_lists_what_its_pools_trade_and_usdt_for_usdc(settings: Settings) -> None:
    listed = {row.source.label: row for row in listed_pools(settings)}
    assert set(listed) == {"raydium", "orca", "meteora"}, "phoenix has no pools"
    names = {raw.exchange_symbol for raw in listed["raydium"].instruments}
    assert {"SOL-USDC", "SOL-USDT", "RAY-USDC", "RAY-USDT"} <= names


@pytest.mark.parametrize(
    ("general", "pools"),
    [
        ("[system]\nnum_sources = 8\n", ENABLED),
        ("[system]\nnum_sources = 12\n", SHIPPED.read_text()),
        ("", ENABLED),
        ("[system]\nnum_sources = 8\n", SHIPPED.read_text()),
    ],
)
def test_without_a_row_or_a_pool_that_is_read_there_are_none(
    build: Any, general: str, pools: str
) -> None:
    made = build.settings(general)
    (made.folder / "pools.toml").write_text(pools)
    made = config.load(made.folder, {})
    assert listed_pools(made) == []
    assert not any(map(made.runs, POOL_SOURCES))


def test_pools_get_pairs_places_and_the_networks_fee(build: Any, settings: Settings) -> None:
    listed = [
        build.listed("binance-futures", {"SOL": 150.0, "1000BONK": 0.02}),
        build.listed("binance-spot", {"USDC": 1.0, "SOL": 151.0}),
        *listed_pools(settings),
    ]
    selected, _, _ = select(listed, settings, None)
    legs, left_out = charged(selected, settings, {}, 0)
    assert left_out == []
    pairs = pairs_of(legs, [row.source.source_id for row in listed])
    ways = {(pair.direction.label, pair.symbol) for pair in pairs}
    assert {("raydium-binance", "SOL-USDT"), ("orca-binance", "SOL-USDT")} <= ways
    checked = check([*legs], NO_VALIDATION, settings, Doubts({}, {}, 0, 100.0, 0.0))
    assert {leg.source for leg in checked.legs} >= {SOURCE_BY_LABEL["raydium"]}
    verdicts = judge(pairs, {}, settings, None)
    assert [row.reason for row in verdicts] == [""] * len(verdicts)
    needed = rates(legs, settings)
    assert [leg.symbol for leg in needed] == ["USDC-USDT"]
    placed = assembly.placed(verdicts, 1, None, rates=needed)
    assert list(placed.ids) == ["USDC-USDT"], "without it there is no price in USDT"
    placed = assembly.placed(verdicts, 64, None, rates=needed)
    made = assembly.tables_of(verdicts, placed, listed, (), (1, 2), needed)
    sol = made.symbol_ids()["SOL-USDT"]
    ((fee_bps,),) = {
        tuple({row.network_fee_bps for row in made.of_source(8) if row.symbol_id == sol})
    }
    # (25,000 + 110,000) compute units and 15 in 100, at the floor of 1,000 micro-lamports each.
    assert fee_bps == pytest.approx((5_000 + 156) / 1e9 * 150.5 / 1_000 * 1e4)
    fees = FillFees(settings, made.instruments)
    raydium, binance = SOURCE_BY_LABEL["raydium"], SOURCE_BY_LABEL["binance-futures"]
    assert fees.bps(raydium, sol, "SOL-USDT") == fee_bps
    assert fees.bps(binance, sol, "SOL-USDT") == settings.fee_bps(binance, "SOL-USDT")
    states = states_of(settings, listed, made, NO_VALIDATION, {})
    assert states["raydium"] == "ok"
    assert "phoenix" not in states


def test_what_others_paid_is_charged_of_the_dearest_pool_and_the_floor_says_so(
    build: Any, settings: Settings
) -> None:
    def charges(heard: dict[str, HeardPrice], now_ns: int) -> dict[tuple[str, str], float]:
        """Lamports of a swap, by source and symbol."""
        listed = [build.listed("binance-futures", {"SOL": 150.0}), *listed_pools(settings)]
        selected, _, _ = select(listed, settings, None)
        legs, _ = charged(selected, settings, heard, now_ns)
        return {
            (leg.source.label, leg.exchange_symbol): leg.network_fee_bps * 1e9 / 150.0 / 10
            for leg in legs
            if leg.source.exchange.by_pools
        }

    pools = settings.pools
    usdc = [key for key, one in pools.of_source(SOURCE_BY_LABEL["raydium"]) if USDC in one.mints]
    of_sol = [key for key in usdc if SOL in pools.pools[key].mints]
    heard = {key: HeardPrice(10_000 * at, 150, 7) for at, key in enumerate(of_sol, 1)}
    every = [key for source in pool_sources(settings) for key, _ in pools.of_source(source)]
    dearest = max(
        5_000 + priority_lamports(10_000 * at, units_of([pools.pools[key].program]))
        for at, key in enumerate(of_sol, 1)
    )
    floor, now = charges({}, 8), charges(heard, 8)
    assert now.pop(("raydium", "SOL-USDT")) == pytest.approx(dearest)
    assert now == {leg: cost for leg, cost in floor.items() if leg != ("raydium", "SOL-USDT")}
    assert ("orca", "SOL-USDT") in now
    assert (
        f"of {len(every) - len(heard)} of {len(every)} pools" in floor_note(settings, heard, 8)[0]
    )
    assert floor_note(settings, dict.fromkeys(every, HeardPrice(1, 1, 7)), 8) == []
    late_ns = 8 + int(pools.fees.heard_s_max * 1e9)
    assert charges(heard, late_ns) == floor
    assert f"of {len(every)} of {len(every)} pools" in floor_note(settings, heard, late_ns)[0]
    assert "the floor, 1000 micro-lamports" in floor_note(settings, heard, late_ns)[0]
    assert heard_prices(settings) == {}, "nobody has made the segment"


def test_without_a_price_of_sol_pools_are_left_out_and_say_so(
    build: Any, settings: Settings
) -> None:
    listed = [build.listed("binance-futures", {"SOL": math.nan}), *listed_pools(settings)]
    selected, _, _ = select(listed, settings, None)
    legs, left_out = charged(selected, settings, {}, 0)
    assert not any(leg.source.exchange.by_pools for leg in legs)
    assert {row.source.label for row in left_out} == {"raydium", "orca", "meteora"}
    assert all("SOL-USDT" in row.reason for row in left_out)


def test_a_pool_whose_price_is_known_is_judged_by_it(build: Any, settings: Settings) -> None:
    pair = build.pair("raydium-binance", "SOL", 300.0, 150.0)
    (verdict,) = judge([pair], {}, settings, None)
    assert "disagree" in verdict.reason
