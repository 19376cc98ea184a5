"""Pools as sources, end to end: a pretend chain beside the pretend exchanges, feed-solana beside
the feeds, and a signal of a pool against a perpetual that the tracker keeps.

One direction alone is left switched on, which asks for nothing: so it is signalled at once.
"""

import re
from pathlib import Path

import pytest
from whole_system import STAYING, rows_of, whole_system

from bed import until
from spread_scanner import config
from spread_scanner.schema.enums import DIRECTION_BY_LABEL, POOL_SOURCES
from spread_scanner.schema.names import DATABASE_FILE, FEED_SOLANA
from spread_scanner.view import costs, sources
from spread_scanner.view.spreads import SpreadBoard

POOLS = 5  # SOL in USDT is one of Raydium's
WAY = """[direction.raydium-binance]
enabled = true
enter_bps = -500.0
exit_bps = -600.0
"""
ENGINE = "basis_trust_s = 1.0\n\n[system]\nnum_sources = 12\n"


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_pool_against_a_perpetual_is_signalled_and_kept(tmp_path: Path, namespace: str) -> None:
    arguments = "--seed=5", "--symbols=30", "--rate=400", f"--pools={POOLS}"
    with whole_system(tmp_path, namespace, *arguments) as system:
        system.settings(ENGINE)
        path = system.config / "directions.toml"
        text = path.read_text(encoding="utf-8").replace("enabled = true", "enabled = false")
        path.write_text(re.sub(r"\[direction\.raydium-binance\]\n(.+\n)+", WAY, text))
        system.children[FEED_SOLANA] = system.child(FEED_SOLANA)
        system.start((*STAYING, FEED_SOLANA))
        settings = config.load(system.config, {"SPREAD_SYSTEM__NAMESPACE": namespace})

        found = {cost.direction: cost for cost in costs.read(settings, "SOL-USDT")}
        assert {way for way in found if way.startswith("raydium-")} == {
            way for way in DIRECTION_BY_LABEL if way.startswith("raydium-")
        }
        assert 0 < found["raydium-binance"].spot_fee_bps < 1, "what the network takes of 1,000 USDT"

        database = system.folder / "data" / DATABASE_FILE
        query = "SELECT direction, symbol FROM opportunities"
        until(
            lambda: any(row["direction"] == "raydium-binance" for row in rows_of(database, query)),
            lambda: [tuple(row) for row in rows_of(database, query)],
        )
        kept = {row["direction"] for row in rows_of(database, query)}
        pools = {one.exchange.label for one in POOL_SOURCES}
        assert {way for way in kept if way.partition("-")[0] in pools} == {"raydium-binance"}

        shown = {one.source: one for one in sources.read(settings)}
        assert shown["raydium"].enabled
        assert shown["raydium"].usable > 0
        assert not shown["phoenix"].enabled
        rows = SpreadBoard(settings, system.tables, system.store).rows()
        okx = rows[rows["direction_id"] == DIRECTION_BY_LABEL["raydium-okx"].direction_id]
        assert len(okx) == 1, "it is looked at, and not signalled"
        system.end(FEED_SOLANA)
        system.end_all()
