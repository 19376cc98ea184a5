"""Discovery on the exchanges' own lists, recorded on 2026-08-27 within two seconds."""

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest
import saved_world

from spread_scanner.discovery import answers as asking
from spread_scanner.discovery.desks import SavedDesk
from spread_scanner.discovery.identity import judge
from spread_scanner.discovery.legs import pairs_of, select
from spread_scanner.discovery.report import Findings, texts
from spread_scanner.exchanges.registry import adapter_of
from spread_scanner.schema.enums import EXCHANGE_DIRECTIONS, EXCHANGE_SOURCES, Source

DATA = Path(os.environ.get("SPREAD_DATA") or Path(__file__).parents[4] / "shared" / "data")
RECORDED = DATA / "exchanges"
NEEDED = RECORDED / "okx" / "arb_rest_tickers_spot_part_20260827.json"

pytestmark = pytest.mark.skipif(not NEEDED.exists(), reason=f"not here: {NEEDED.name}")


def run(build: Any) -> Findings:
    return saved_world.run(RECORDED, build.settings())


def test_every_recorded_instrument_is_in_the_tables_or_left_out_with_a_reason(build: Any) -> None:
    findings = run(build)
    assert not findings.partial
    left_out = {(row.source.source_id, row.exchange_symbol) for row in findings.left_out}
    taken = {(row.source_id, row.exchange_symbol) for row in findings.tables.instruments}
    listed = {
        (row.source.source_id, one.exchange_symbol)
        for row in findings.listed
        for one in row.instruments
    }
    assert [len(row.instruments) for row in findings.listed] == [1, 6, 16, 11, 5, 6, 12, 4]
    assert listed == left_out | taken
    assert not left_out & taken
    report = texts(findings)["validation_report.txt"]
    for row in findings.left_out:
        assert row.reason
        assert f"{row.source.label} {row.exchange_symbol}: {row.reason}" in report


def test_the_recorded_lists_intersect_as_a_person_would(build: Any) -> None:
    lines = texts(run(build))["directions.txt"].splitlines()
    found = {label: names.split() for label, _, names in (row.split("\t") for row in lines[1:])}
    assert found["bybit-binance"] == [
        "1INCH-USDT",
        "AAVE-USDT",
        "ADA-USDT",
        "ALGO-USDT",
        "BTC-USDT",
    ]
    assert found["binance-mexc"] == ["BTC-USDT"]
    assert found["mexc-binance"] == ["ADA-USDT"]
    assert found["bybit-okx"] == ["1INCH-USDT", "AAVE-USDT"]


def test_reasons_are_those_of_the_reference(build: Any) -> None:
    reasons = {
        f"{row.source.label} {row.exchange_symbol}": row.reason for row in run(build).left_out
    }
    assert reasons["okx-futures ADA-USD-SWAP"] == "contract type inverse-perpetual"
    assert reasons["okx-futures BTC-USDT-SWAP"] == "no quote by REST"
    assert "no spot of BABYDOGE-USDT" in reasons["bybit-futures 1000000BABYDOGEUSDT"]
    assert "no spot of 0G-USDT" in reasons["bybit-futures 0GUSDT"]


def quoted(build: Any, source: Source) -> asking.Listed:
    """A source as if every recorded quote of it were a listing: far more coins than the lists."""
    settings = build.settings()
    adapter = adapter_of(source, settings.exchanges[source.label])
    desk = SavedDesk(RECORDED, source)
    request = adapter.tickers_request()
    rows, _ = asyncio.run(desk.get(asking.TICKERS, 1, request, adapter.parse_tickers))
    answers = asking.Listed(source, quotes={row.exchange_symbol: row for row in rows})
    for name in answers.quotes:
        bare = name.removesuffix("-SWAP")
        base, _, quote = bare.replace("_", "-").rpartition("-")
        if not base:
            base, quote = (bare[:-4], bare[-4:]) if bare.endswith("USDT") else (bare, "other")
        changes = {"exchange_symbol": name, "quote": quote, "settle": quote}
        answers.instruments.append(build.raw(source.label, base, **changes))
    return answers


def test_real_prices_tell_multipliers_from_names(build: Any) -> None:
    legs, _, _ = select(
        [quoted(build, source) for source in EXCHANGE_SOURCES], build.settings(), None
    )
    coins = {(leg.source.label, leg.exchange_symbol): (leg.base, leg.px_div) for leg in legs}
    expected = {
        ("binance-spot", "1MBABYDOGEUSDT"): ("BABYDOGE", 1e6),
        ("binance-futures", "1MBABYDOGEUSDT"): ("BABYDOGE", 1e6),
        ("bybit-futures", "1000000BABYDOGEUSDT"): ("BABYDOGE", 1e6),
        ("bybit-spot", "BABYDOGEUSDT"): ("BABYDOGE", 1.0),
        ("binance-spot", "1000SATSUSDT"): ("SATS", 1e3),
        ("bybit-futures", "10000SATSUSDT"): ("SATS", 1e4),
        ("mexc-futures", "1000RATS_USDT"): ("RATS", 1e3),
        ("binance-futures", "1000PEPEUSDT"): ("PEPE", 1e3),
        ("mexc-spot", "1INCHUSDT"): ("1INCH", 1.0),
        ("bybit-futures", "0GUSDT"): ("0G", 1.0),
        ("mexc-spot", "1R0RUSDT"): ("1R0R", 1.0),
        ("mexc-spot", "2U2USDT"): ("2U2", 1.0),
        ("mexc-spot", "9BITUSDT"): ("9BIT", 1.0),
    }
    assert {key: coins[key] for key in expected} == expected


def test_real_prices_tell_one_coin_from_its_namesake(build: Any) -> None:
    settings = build.settings()
    legs, _, _ = select([quoted(build, source) for source in EXCHANGE_SOURCES], settings, None)
    verdicts = judge(pairs_of(legs, range(8)), {}, settings, None)
    good = {(row.pair.direction.label, row.pair.symbol) for row in verdicts if not row.reason}
    bad = {(row.pair.direction.label, row.pair.symbol): row for row in verdicts if row.reason}
    clash = bad["binance-okx", "AI-USDT"]
    assert clash.spot_mid == pytest.approx(0.0186, rel=0.01)
    assert clash.futures_mid == pytest.approx(0.0204, rel=0.01)
    assert ("bybit-binance", "BABYDOGE-USDT") in good
    assert ("binance-bybit", "SATS-USDT") in good
    for way in EXCHANGE_DIRECTIONS:
        if has_btc(legs, way.spot) and has_btc(legs, way.futures):
            assert (way.label, "BTC-USDT") in good
    share = len(good) / len(verdicts)
    assert share > 0.9, sorted(bad)


def has_btc(legs: Any, source: Source) -> bool:
    return any(leg.source == source and leg.symbol == "BTC-USDT" for leg in legs)
