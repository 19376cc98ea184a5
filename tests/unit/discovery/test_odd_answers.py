"""Odd rows in right lists: each costs itself at most, and the report says why."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from saved_world import COINS, FUNDING, INSTRUMENTS, INTERVALS, TICKERS, World, run

from spread_scanner.discovery.identity import UNJUDGED, judge
from spread_scanner.discovery.report import OK, Findings, summary, texts
from spread_scanner.discovery.show import Bars, on_stderr, summary_tables
from spread_scanner.schema.enums import SOURCE_BY_LABEL
from spread_scanner.schema.figures import plain

ALL = len(COINS) * 12
LISTED = {
    "binance-spot": ("symbol", "bidPrice", "askPrice"),
    "bybit-futures": ("symbol", "bid1Price", "ask1Price"),
    "okx-spot": ("instId", "bidPx", "askPx"),
    "mexc-futures": ("symbol", "bid1", "ask1"),
}


def found(world: World, tmp_path: Path, build: Any, **sources: str) -> Findings:
    return run(world.write(tmp_path / "saved"), build.settings(**sources))


def pairs(findings: Findings) -> int:
    return sum(len(row.symbol_ids) for row in findings.tables.directions)


@pytest.mark.parametrize("price", [1e308, 1.7e308, 5e-324, 1e-300, "1e999", -1.0, "nan", {}, None])
@pytest.mark.parametrize("label", LISTED)
def test_an_absurd_price_costs_its_own_listing(
    tmp_path: Path, build: Any, label: str, price: Any
) -> None:
    world = World()
    _, bid, ask = LISTED[label]
    world.find(label, TICKERS, "ETH").update({bid: price, ask: price})
    findings = found(world, tmp_path, build)
    assert set(findings.states.values()) == {OK}
    assert pairs(findings) == ALL - 3
    assert [row.reason for row in findings.left_out] == ["no quote by REST"]


@pytest.mark.parametrize("mid", [1e30, 1e-30])
def test_a_price_that_disagrees_beyond_measure_is_quarantined(
    tmp_path: Path, build: Any, mid: float
) -> None:
    world = World()
    world.find("bybit-futures", TICKERS, "ETH").update(bid1Price=str(mid), ask1Price=str(mid))
    findings = found(world, tmp_path, build)
    assert pairs(findings) == ALL - 3
    assert {row.symbol for row in findings.tables.quarantine} == {"ETH-USDT"}
    assert all("e+" not in row.reason for row in findings.tables.quarantine), "no exponents"


def test_a_pair_that_cannot_be_computed_with_is_judged_under_a_guard(
    build: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever number slips through costs its pair, and the others are judged."""
    odd = build.pair("binance-okx", "ODD", 5e-324, 1.0)
    pairs = [build.pair("binance-okx", "ADA"), odd, build.pair("okx-bybit", "BTC")]
    verdicts = judge(pairs, {}, build.settings(), None)
    assert [bool(row.reason) for row in verdicts] == [False, True, False]
    beyond = build.pair("binance-okx", "ODD", 1e308, 1e-308)
    verdicts = judge([beyond], {}, build.settings(), None)
    assert "beyond measure" in verdicts[0].reason
    name = "spread_scanner.discovery.identity._proposal"
    monkeypatch.setattr(name, lambda *_: math.log(0.0))
    verdicts = judge([build.pair("binance-okx", "X", 1.0, 9.0), *pairs], {}, build.settings(), None)
    assert verdicts[0].reason.startswith(UNJUDGED)
    assert not verdicts[1].reason


@pytest.mark.parametrize("name", ["", " ", "A B", "A\nB", "\x1b[31m", "X" * 65, "\u202e", "\x7f"])
def test_a_coin_without_a_name_that_can_be_written_is_left_out(
    tmp_path: Path, build: Any, name: str
) -> None:
    world = World()
    world.find("bybit-futures", INSTRUMENTS, "ETH")["baseCoin"] = name
    findings = found(world, tmp_path, build)
    assert set(findings.states.values()) == {OK}
    assert pairs(findings) == ALL - 3
    assert "no name" in findings.left_out[0].reason


@pytest.mark.parametrize("dead_first", [True, False])
def test_the_row_that_trades_wins_over_a_dead_one_of_its_name(
    tmp_path: Path, build: Any, dead_first: bool
) -> None:
    world = World()
    rows = world.rows["binance-futures", INSTRUMENTS]
    dead = {**rows[0], "status": "SETTLING", "contractType": "CURRENT_QUARTER"}
    rows.insert(0 if dead_first else len(rows), dead)
    findings = found(world, tmp_path, build)
    assert pairs(findings) == ALL
    assert [row.reason for row in findings.left_out] == [
        "a second row of this name: current-quarter, SETTLING"
    ]


def test_instruments_that_are_not_there_yet_are_left_out_with_a_reason(
    tmp_path: Path, build: Any
) -> None:
    """As OKX lists before an opening: rows of empty fields, without a name, in unusual states."""
    world = World()
    rows = world.rows["okx-futures", INSTRUMENTS]
    whole = rows[0]
    empty = dict.fromkeys(whole, "") | {"instType": "SWAP", "state": "preopen"}
    rows[:0] = [empty, {**empty, "instId": "NIL-USDT-SWAP"}, {**whole, "instId": ""}]
    states = ("rebase", "post_only", "suspend", "test")
    for state in states:
        named = {"instId": f"{state}-USDT-SWAP", "instFamily": f"{state}-USDT", "state": state}
        rows.append({**whole, **named, "uly": named["instFamily"], "ctValCcy": state})
    findings = found(world, tmp_path, build)
    assert set(findings.states.values()) == {OK}
    assert pairs(findings) == ALL
    assert sorted(row.reason for row in findings.left_out) == [
        "neither base nor quote is told",
        "neither base nor quote is told",
        *sorted(f"not trading: {state}" for state in states),
        "the exchange has no name for it",
    ]
    assert all(row.exchange_symbol for row in findings.tables.instruments)


def test_null_means_absent_and_a_number_may_stand_for_text(tmp_path: Path, build: Any) -> None:
    world = World()
    for coin in COINS:
        world.find("okx-spot", INSTRUMENTS, coin).update(
            ctType=None, settleCcy=None, uly=None, instFamily=None, ruleType=None, expTime=None
        )
        world.find("bybit-futures", INSTRUMENTS, coin)["priceFilter"] = None
        world.find("bybit-spot", INSTRUMENTS, coin).update(lotSizeFilter=None, contractType=None)
        world.find("binance-spot", INSTRUMENTS, coin).update(
            isSpotTradingAllowed=None, filters=None
        )
        world.find("binance-futures", INSTRUMENTS, coin)["filters"] = [{"filterType": None}]
        world.find("mexc-spot", INSTRUMENTS, coin).update(status=1, tradeSideType=None)
        world.find("mexc-futures", INSTRUMENTS, coin).update(baseCoinName=None, isHidden=None)
    folder = world.write(tmp_path / "saved")
    envelopes = {
        "okx-spot.instruments": {"msg": None},
        "mexc-futures.tickers": {"message": None, "msg": None, "code": None},
        "bybit-futures.tickers": {"retMsg": None},
    }
    for name, odd in envelopes.items():
        path = folder / f"{name}.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | odd))
    path = folder / "bybit-futures.instruments.json"
    path.write_text(path.read_text().replace('"nextPageCursor": ""', '"nextPageCursor": null'))
    findings = run(folder, build.settings())
    assert set(findings.states.values()) == {OK}
    assert pairs(findings) == ALL
    assert findings.left_out == []


def test_null_where_something_is_needed_costs_the_row(tmp_path: Path, build: Any) -> None:
    world = World()
    world.find("okx-spot", INSTRUMENTS, "ETH")["state"] = None
    world.find("mexc-futures", INSTRUMENTS, "ADA")["contractSize"] = None
    findings = found(world, tmp_path, build)
    assert pairs(findings) == ALL - 6
    reasons = {row.exchange_symbol: row.reason for row in findings.left_out}
    assert reasons["ETH-USDT"] == "malformed row: Expected `str`, got `null` - at `$.state`"
    assert reasons["ADA_USDT"] == "no contract size"


def test_funding_that_no_exchange_has_is_unknown(tmp_path: Path, build: Any) -> None:
    world = World()
    world.find("binance-futures", INTERVALS, "BTC")["fundingIntervalHours"] = 7
    world.find("bybit-futures", TICKERS, "ETH")["fundingIntervalHour"] = "480"
    world.find("mexc-futures", FUNDING, "SOL")["collectCycle"] = 0.5
    world.find("okx-futures", FUNDING, "ADA")["nextFundingTime"] = "1787875200001"
    world.find("bybit-futures", TICKERS, "DOT")["fundingRate"] = "5"
    world.find("okx-futures", FUNDING, "LTC")["fundingRate"] = "-0.06"
    findings = found(world, tmp_path, build)
    tables = findings.tables
    names = tables.symbol_names()
    funding = {(row.source_id, names[row.symbol_id]): row for row in tables.funding}
    ids = {label: source.source_id for label, source in SOURCE_BY_LABEL.items()}
    for label, coin in [
        ("binance-futures", "BTC"), ("bybit-futures", "ETH"), ("mexc-futures", "SOL"),
        ("okx-futures", "ADA"),
    ]:  # fmt: skip
        assert funding[ids[label], f"{coin}-USDT"].interval_hours is None
    assert (ids["bybit-futures"], "DOT-USDT") not in funding
    assert (ids["okx-futures"], "LTC-USDT") not in funding
    assert funding[ids["binance-futures"], "ETH-USDT"].interval_hours == 4.0
    assert len(funding) == 4 * len(COINS) - 2
    assert any("bybit-futures: funding rates beyond" in row for row in findings.warnings)
    assert any("mexc-futures: funding intervals" in row for row in findings.warnings)
    assert set(findings.states.values()) == {OK}


def test_not_tradable_through_the_api_is_said_and_can_be_taken(tmp_path: Path, build: Any) -> None:
    world = World()
    world.find("mexc-spot", INSTRUMENTS, "BTC")["isSpotTradingAllowed"] = False
    world.find("binance-spot", INSTRUMENTS, "ETH")["isSpotTradingAllowed"] = False
    folder = world.write(tmp_path / "saved")
    findings = run(folder, build.settings())
    reasons = {row.source.label: row.reason for row in findings.left_out}
    assert reasons["mexc-spot"].startswith("not tradable through the API")
    assert reasons["binance-spot"] == "not trading: TRADING, but spot trading is not allowed"
    assert pairs(findings) == ALL - 6
    taken = run(folder, build.settings("[pair-discovery]\nkeep_api_closed = true\n"))
    assert pairs(taken) == ALL - 3


def test_an_announced_end_is_in_the_report(tmp_path: Path, build: Any) -> None:
    world = World()
    world.find("binance-futures", INSTRUMENTS, "BTC")["deliveryDate"] = 1_788_000_000_000
    world.find("bybit-futures", INSTRUMENTS, "ETH")["deliveryTime"] = "1788000000000"
    world.find("okx-spot", INSTRUMENTS, "SOL")["expTime"] = "1788000000000"
    findings = found(world, tmp_path, build)
    assert pairs(findings) == ALL
    report = texts(findings)["validation_report.txt"]
    assert "Ending: an end of trading is announced (3)" in report
    for name in ("binance-futures BTCUSDT", "bybit-futures ETHUSDT", "okx-spot SOL-USDT"):
        assert f"{name}: ends 2026-08-29 10:40+00:00" in report


def test_numbers_for_people_have_no_exponents() -> None:
    said = [plain(value) for value in (1e6, 1.27e8, 1.23456789e-7, 1.0, 0.1, 11_000.4, math.nan)]
    assert said == ["1000000", "127000000", "0.000000123457", "1", "0.1", "11000.4", "nan"]


def test_the_world_has_every_pair(tmp_path: Path, build: Any) -> None:
    findings = found(World(), tmp_path, build)
    assert pairs(findings) == ALL
    assert findings.warnings == []
    assert not findings.partial


@pytest.mark.parametrize("columns", [160, 80])
def test_an_exchanges_words_are_shown_as_they_came(
    tmp_path: Path,
    build: Any,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    columns: int,
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    words = "see [/docs-v5/en/#overview] [red]"
    numbers = summary(run(World().write(tmp_path), build.settings()))
    numbers["sources"]["okx-spot"]["state"] = words
    console = on_stderr()
    with Bars(console) as bars:
        bars.show(words, 1, 2, note=words)
    capsys.readouterr()
    summary_tables(console, numbers)
    lines = capsys.readouterr().err.splitlines()
    cells = [line.split("\u2502")[-2] for line in lines if line.count("\u2502") > 3]
    assert words.replace(" ", "") in "".join(cells).replace(" ", "")
