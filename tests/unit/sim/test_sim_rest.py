"""REST of the pretend exchanges beside real rows, and each exchange's own words for a refusal."""

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from test_sim_formats import real, shape

from spread_scanner.schema.enums import EXCHANGE_SOURCES
from spread_scanner.sim.limits import STRIKES_MAX
from spread_scanner.sim.market import Market
from spread_scanner.sim.rest import Answer, Rest
from spread_scanner.sim.universe import Universe

ROOT = Path(__file__).parents[3]
DATA = Path(os.environ.get("SPREAD_DATA", ROOT.parent / "shared" / "data")) / "exchanges"


@pytest.fixture(scope="module")
def universe() -> Universe:
    made = Universe(seed=2, symbols=60)
    Market(made)
    return made


def rest(universe: Universe) -> Callable[..., Answer]:
    answers = Rest(universe)

    def get(label: str, path: str, mono_s: float = 0.0, **query: str) -> Answer:
        return answers.handle(label, path, query, 1_787_848_767_000, mono_s)

    return get


def recorded_rows(name: str, *keys: str) -> list[dict[str, Any]]:
    path = DATA / name
    if not path.exists():
        pytest.skip(f"no recording {name}")
    text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    value = json.loads(text)
    for key in keys:
        value = value[key]
    return list(value)


RECORDED = [
    ("binance-spot", "/api/v3/exchangeInfo", {}, ("symbols",),
     "binance_spot/arb_rest_exchangeInfo_part_20260827.json"),
    ("binance-spot", "/api/v3/ticker/bookTicker", {}, (),
     "binance_spot/arb_rest_bookTicker_20260827.json"),
    ("binance-futures", "/fapi/v1/exchangeInfo", {}, ("symbols",),
     "binance_usdm/arb_rest_exchangeInfo_part_20260827.json"),
    ("binance-futures", "/fapi/v1/ticker/bookTicker", {}, (),
     "binance_usdm/arb_rest_bookTicker_20260827.json"),
    ("binance-futures", "/fapi/v1/fundingInfo", {}, (),
     "binance_usdm/arb_rest_fundingInfo_20260827.json"),
    ("bybit-spot", "/v5/market/instruments-info", {"category": "spot"}, ("result", "list"),
     "bybit_spot/arb_rest_instruments_part_20260827.json"),
    ("bybit-spot", "/v5/market/tickers", {"category": "spot"}, ("result", "list"),
     "bybit_spot/arb_rest_tickers_part_20260827.json"),
    ("bybit-futures", "/v5/market/instruments-info", {"category": "linear"},
     ("result", "list"), "bybit_linear/arb_rest_instruments_part_20260827.json"),
    ("bybit-futures", "/v5/market/tickers", {"category": "linear"}, ("result", "list"),
     "bybit_linear/arb_rest_tickers_part_20260827.json"),
    ("okx-spot", "/api/v5/public/instruments", {"instType": "SPOT"}, ("data",),
     "okx/arb_rest_instruments_spot_part_20260827.json"),
    ("okx-futures", "/api/v5/public/instruments", {"instType": "SWAP"}, ("data",),
     "okx/arb_rest_instruments_swap_part_20260827.json"),
    ("okx-spot", "/api/v5/market/tickers", {"instType": "SPOT"}, ("data",),
     "okx/arb_rest_tickers_spot_part_20260827.json"),
    ("okx-futures", "/api/v5/market/tickers", {"instType": "SWAP"}, ("data",),
     "okx/arb_rest_tickers_swap_part_20260827.json"),
    ("okx-futures", "/api/v5/public/funding-rate", {"instId": "BTC-USDT-SWAP"}, ("data",),
     "okx/arb_rest_funding_rate_BTC_20260827.json"),
    ("mexc-spot", "/api/v3/exchangeInfo", {}, ("symbols",),
     "mexc_spot/arb_rest_exchangeInfo_part_20260827.json"),
    ("mexc-spot", "/api/v3/ticker/bookTicker", {}, (),
     "mexc_spot/arb_rest_bookTicker_20260827.json"),
    ("mexc-futures", "/api/v1/contract/detail", {}, ("data",),
     "mexc_futures/arbitrack_rest_contract_detail_20250803_part.json.gz"),
    ("mexc-futures", "/api/v1/contract/detail", {}, ("data",),
     "mexc_futures/arb_rest_contract_detail_part_20260827.json"),
    ("mexc-futures", "/api/v1/contract/ticker", {}, ("data",),
     "mexc_futures/arb_rest_contract_ticker_part_20260827.json"),
]  # fmt: skip


@pytest.mark.parametrize(("label", "path", "query", "keys", "recording"), RECORDED)
def test_rest_rows_use_only_fields_that_real_rows_have(
    universe: Universe,
    label: str,
    path: str,
    query: dict[str, str],
    keys: tuple[str, ...],
    recording: str,
) -> None:
    value = json.loads(rest(universe)(label, path, **query).body)
    for key in keys:
        value = value[key]
    real_rows = recorded_rows(recording, *keys)
    known: dict[str, list[Any]] = {}
    for row in real_rows:
        for key, item in row.items():
            known.setdefault(key, []).append(shape(item))
    extra = {"permissions", "permissionSets", "defaultSelfTradePreventionMode"}
    extra |= {"allowedSelfTradePreventionModes", "typeLabel", "preMarket"}  # not in that recording
    if recording == "mexc_futures/arb_rest_contract_detail_part_20260827.json":
        extra |= set(value[0])  # it holds a choice of the fields

    assert value
    for key, item in value[0].items():
        assert key in known or key in extra, key
        if key in known and not isinstance(item, list):
            assert shape(item) in known[key], key


def fields(row: dict[str, Any], path: str = "") -> set[str]:
    """The names of all fields, those of objects inside objects too."""
    found = {path + key for key in row}
    for key, value in row.items():
        if isinstance(value, dict):
            found |= fields(value, f"{path}{key}.")
    return found


@pytest.mark.parametrize(("label", "path", "query", "keys", "recording"), RECORDED)
def test_rest_rows_have_every_field_that_every_real_row_has(
    universe: Universe,
    label: str,
    path: str,
    query: dict[str, str],
    keys: tuple[str, ...],
    recording: str,
) -> None:
    value = json.loads(rest(universe)(label, path, **query).body)
    for key in keys:
        value = value[key]
    real_rows = recorded_rows(recording, *keys)
    wanted = set.intersection(*(fields(row) for row in real_rows))

    assert len(wanted) >= 5
    for row in value:
        assert wanted <= fields(row), (row, wanted - fields(row))


@pytest.mark.parametrize(
    ("label", "path"),
    [
        ("mexc-spot", "/api/v1/contract/detail"),
        ("mexc-futures", "/api/v3/exchangeInfo"),
        ("binance-spot", "/fapi/v1/premiumIndex"),
        ("binance-spot", "/fapi/v1/exchangeInfo"),
        ("binance-futures", "/api/v3/exchangeInfo"),
        ("bybit-spot", "/v5/market/funding/history"),
        ("bybit-futures", "/api/v5/public/instruments"),
        ("okx-spot", "/v5/market/tickers"),
        *((source.label, "/nothing/of/the/kind") for source in EXCHANGE_SOURCES),
    ],
)
def test_a_path_of_another_source_is_not_found_in_the_exchanges_own_words(
    universe: Universe, label: str, path: str
) -> None:
    answer = rest(universe)(label, path)
    body = json.loads(answer.body)

    assert answer.status == 404
    exchange = label.partition("-")[0]
    own = {"binance": "msg", "bybit": "retMsg", "okx": "msg"}
    assert body[own.get(exchange, "message" if label == "mexc-futures" else "msg")]


QUOTED = [
    ("binance-spot", "/api/v3/depth", {"symbol": "BTCUSDT", "limit": "5"}, (), ("bids", "asks")),
    ("binance-futures", "/fapi/v1/depth", {"symbol": "BTCUSDT", "limit": "5"}, (),
     ("bids", "asks")),
    ("bybit-spot", "/v5/market/orderbook", {"category": "spot", "symbol": "BTCUSDT", "limit": "5"},
     ("result",), ("b", "a")),
    ("bybit-futures", "/v5/market/orderbook",
     {"category": "linear", "symbol": "BTCUSDT", "limit": "5"}, ("result",), ("b", "a")),
    ("okx-spot", "/api/v5/market/books", {"instId": "BTC-USDT", "sz": "5"}, ("data", 0),
     ("bids", "asks")),
    ("okx-futures", "/api/v5/market/books", {"instId": "BTC-USDT-SWAP", "sz": "5"}, ("data", 0),
     ("bids", "asks")),
    ("mexc-spot", "/api/v3/depth", {"symbol": "BTCUSDT", "limit": "5"}, (), ("bids", "asks")),
    ("mexc-futures", "/api/v1/contract/depth/BTC_USDT", {"limit": "5"}, ("data",),
     ("bids", "asks")),
]  # fmt: skip


@pytest.mark.parametrize(("label", "path", "query", "keys", "sides"), QUOTED)
def test_depth_begins_with_the_quote_and_is_in_order(
    universe: Universe,
    label: str,
    path: str,
    query: dict[str, str],
    keys: tuple[str | int, ...],
    sides: tuple[str, str],
) -> None:
    value = json.loads(rest(universe)(label, path, **query).body)
    for key in keys:
        value = value[key]
    bids, asks = ([(float(level[0]), float(level[1])) for level in value[s]] for s in sides)
    row = next(r for r in universe.by_source[label] if r.symbol == "BTC-USDT")

    assert len(bids) == len(asks) == 5
    assert bids == sorted(bids, reverse=True)
    assert [px for px, _ in asks] == sorted(px for px, _ in asks)
    assert bids[0] == (float(row.px(row.bid_ticks)), float(row.sz(row.bid_lots)))
    assert asks[0] == (float(row.px(row.ask_ticks)), float(row.sz(row.ask_lots)))


@pytest.mark.parametrize(
    ("label", "path", "query"),
    [
        ("binance-spot", "/api/v3/time", {}),
        ("binance-spot", "/api/v3/ping", {}),
        ("binance-spot", "/api/v3/ticker/24hr", {}),
        ("binance-spot", "/api/v3/ticker/24hr", {"symbol": "BTCUSDT"}),
        ("binance-spot", "/api/v3/ticker/bookTicker", {"symbols": '["BTCUSDT","ETHUSDT"]'}),
        ("binance-spot", "/api/v3/ticker/price", {"symbol": "BTCUSDT"}),
        ("binance-futures", "/fapi/v1/time", {}),
        ("binance-futures", "/fapi/v1/ping", {}),
        ("binance-futures", "/fapi/v1/ticker/24hr", {"symbol": "BTCUSDT"}),
        ("binance-futures", "/fapi/v1/premiumIndex", {"symbol": "BTCUSDT"}),
        ("binance-futures", "/fapi/v1/fundingRate", {"symbol": "BTCUSDT", "limit": "3"}),
        ("bybit-spot", "/v5/market/time", {}),
        ("bybit-spot", "/v5/market/tickers", {"category": "spot", "symbol": "BTCUSDT"}),
        ("bybit-futures", "/v5/market/time", {}),
        ("bybit-futures", "/v5/market/tickers", {"category": "linear", "symbol": "BTCUSDT"}),
        ("bybit-futures", "/v5/market/funding/history",
         {"category": "linear", "symbol": "BTCUSDT"}),
        ("okx-spot", "/api/v5/public/time", {}),
        ("okx-spot", "/api/v5/market/ticker", {"instId": "BTC-USDT"}),
        ("okx-futures", "/api/v5/market/ticker", {"instId": "BTC-USDT-SWAP"}),
        ("okx-futures", "/api/v5/public/funding-rate-history", {"instId": "BTC-USDT-SWAP"}),
        ("okx-futures", "/api/v5/system/status", {}),
        ("mexc-spot", "/api/v3/time", {}),
        ("mexc-spot", "/api/v3/ping", {}),
        ("mexc-spot", "/api/v3/ticker/24hr", {"symbol": "BTCUSDT"}),
        ("mexc-spot", "/api/v3/ticker/bookTicker", {"symbol": "BTCUSDT"}),
        ("mexc-futures", "/api/v1/contract/ping", {}),
        ("mexc-futures", "/api/v1/contract/ticker", {"symbol": "BTC_USDT"}),
        ("mexc-futures", "/api/v1/contract/funding_rate/BTC_USDT", {}),
        ("mexc-futures", "/api/v1/contract/funding_rate/history", {"symbol": "BTC_USDT"}),
    ],
)  # fmt: skip
def test_what_clients_ask_is_served_and_names_what_was_asked(
    universe: Universe, label: str, path: str, query: dict[str, str]
) -> None:
    answer = rest(universe)(label, path, **query)
    text = answer.body.decode()

    assert answer.status == 200
    assert json.loads(text) is not None
    named = query.get("symbol") or query.get("instId")
    if named:
        others = ("ETHUSDT", "ETH-USDT", "ETH_USDT")
        assert f'"{named}"' in text
        assert not any(other in text for other in others)
    assert not any(word in text for word in ('"code":1001', "10001"))


@pytest.mark.parametrize(
    ("label", "path", "query"),
    [
        ("binance-spot", "/api/v3/depth", {"symbol": "NOPE"}),
        ("binance-futures", "/fapi/v1/premiumIndex", {"symbol": "NOPE"}),
        ("bybit-spot", "/v5/market/tickers", {"category": "spot", "symbol": "NOPE"}),
        ("okx-spot", "/api/v5/market/ticker", {"instId": "NOPE"}),
        ("mexc-spot", "/api/v3/ticker/24hr", {"symbol": "NOPE"}),
        ("mexc-futures", "/api/v1/contract/depth/NOPE", {}),
    ],
)
def test_an_unknown_symbol_is_an_error_in_the_exchanges_own_form(
    universe: Universe, label: str, path: str, query: dict[str, str]
) -> None:
    answer = rest(universe)(label, path, **query)
    body = json.loads(answer.body)

    assert answer.status == (200 if label in ("bybit-spot", "mexc-futures") else 400)
    assert body.get("retCode", body.get("code")) not in (0, "0", None)


def test_who_goes_on_asking_is_banned_with_418_and_the_time_to_wait(universe: Universe) -> None:
    get = rest(universe)
    asked = [get("binance-futures", "/fapi/v1/exchangeInfo") for _ in range(2400 + STRIKES_MAX)]
    banned = get("binance-spot", "/api/v3/time", mono_s=100.0)

    assert {one.status for one in asked[2400:]} == {429}
    assert banned.status == 418
    assert dict(banned.headers)["Retry-After"] == "20"
    assert json.loads(banned.body)["code"] == -1003
    assert get("binance-spot", "/api/v3/time", mono_s=121.0).status == 200


def test_bybit_pages_with_a_cursor_and_answers_errors_with_http_200(universe: Universe) -> None:
    get = rest(universe)
    names: list[str] = []
    cursor, pages = "", 0
    while pages == 0 or cursor:
        query = {"category": "linear", "limit": "25", **({"cursor": cursor} if cursor else {})}
        result = json.loads(get("bybit-futures", "/v5/market/instruments-info", **query).body)
        names += [row["symbol"] for row in result["result"]["list"]]
        cursor = result["result"]["nextPageCursor"]
        pages += 1
    wrong = get("bybit-futures", "/v5/market/tickers", category="option")

    assert pages == 3
    assert len(set(names)) == len(names) == 63
    assert wrong.status == 200
    assert json.loads(wrong.body)["retCode"] == 10001


def test_who_asks_too_often_is_told_in_the_exchanges_own_words(universe: Universe) -> None:
    get = rest(universe)

    def last(label: str, path: str, times: int, **query: str) -> Answer:
        return [get(label, path, **query) for _ in range(times)][-1]

    okx = last("okx-spot", "/api/v5/market/tickers", 21, instType="SPOT")
    assert okx.status == 429
    assert json.loads(okx.body)["code"] == "50011"
    futures = last("mexc-futures", "/api/v1/contract/detail", 11)
    assert futures.status == 200
    assert json.loads(futures.body) == real("mexc/futures_error_510.json")
    binance = last("binance-spot", "/api/v3/exchangeInfo", 301)
    assert binance.status == 429
    assert dict(binance.headers)["retry-after"] == "60"
    assert get("binance-spot", "/api/v3/exchangeInfo", mono_s=61.0).status == 200


def test_a_halted_row_is_quoted_with_zeros(universe: Universe) -> None:
    rows = json.loads(rest(universe)("binance-spot", "/api/v3/ticker/bookTicker").body)
    halted = next(row for row in rows if row["symbol"] == "HALTEDUSDT")

    assert halted["bidPrice"] == halted["askQty"] == "0.00000000"
