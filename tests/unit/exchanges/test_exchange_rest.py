"""REST lists of every exchange: instruments, tickers, funding, and error envelopes."""

import json
import math
from collections.abc import Callable

import pytest

from spread_scanner.errors import BadMessage, ExchangeError
from spread_scanner.exchanges.adapter import (
    Adapter,
    Funding,
    FundingTerms,
    RawInstrument,
    RestQuote,
    Skipped,
)
from spread_scanner.schema.enums import EXCHANGE_SOURCES, Source

Adapters = Callable[..., Adapter]
Payloads = Callable[[str], bytes]
DUE_MS = 1_787_875_200_000


def instruments(adapter: Adapter, body: bytes) -> dict[str, RawInstrument]:
    return {one.exchange_symbol: one for one in adapter.parse_instruments(body).instruments}


def test_binance_spot_instruments(adapter_for: Adapters, payload: Payloads) -> None:
    adapter = adapter_for("binance-spot")
    page = adapter.parse_instruments(payload("binance/spot_exchange_info.json"))
    found = {one.exchange_symbol: one for one in page.instruments}

    assert found["BTCUSDT"] == RawInstrument(
        "BTCUSDT", "BTC", "USDT", "TRADING", True, 1e-5, 0.01, 1e-5, 5.0, 1.0, "USDT", "spot"
    )
    assert not found["OLDUSDT"].trading
    assert found["OLDUSDT"].tick_size is None
    assert found["OLDUSDT"].min_notional == 10.0
    assert not found["NOSPOTUSDT"].trading
    assert found["币安人生USDT"].base == "币安人生"
    assert [one.what for one in page.skipped] == ["TORNUSDT"]
    assert page.next_request is None


def test_binance_futures_instruments(adapter_for: Adapters, payload: Payloads) -> None:
    found = instruments(
        adapter_for("binance-futures"), payload("binance/futures_exchange_info.json")
    )

    assert found["1000SHIBUSDT"] == RawInstrument(
        *("1000SHIBUSDT", "1000SHIB", "USDT", "TRADING", True, 1.0, 1e-6, 1.0, 5.0, 1.0),
        *("USDT", "linear-perpetual"),
    )
    assert found["BTCUSDT_261225"].contract_type == "current-quarter"
    assert found["AAPLUSDT"].contract_type == "tradifi-perpetual"
    assert (found["ENDUSDT"].status, found["ENDUSDT"].trading) == ("TRADING", True)
    assert found["ENDUSDT"].ends_ms is not None
    assert (found["GONEUSDT"].contract_type, found["GONEUSDT"].trading) == ("unknown", False)


def test_bybit_spot_instruments(adapter_for: Adapters, payload: Payloads) -> None:
    page = adapter_for("bybit-spot").parse_instruments(payload("bybit/spot_instruments.json"))

    assert page.instruments == [
        RawInstrument(
            *("AAVEUSDT", "AAVE", "USDT", "Trading", True, 2e-4, 0.01, 1e-4, 5.0, 1.0),
            *("USDT", "spot"),
        )
    ]
    assert page.next_request is None


def test_bybit_futures_instruments_come_in_pages(adapter_for: Adapters, payload: Payloads) -> None:
    adapter = adapter_for("bybit-futures")
    first = adapter.parse_instruments(payload("bybit/futures_instruments_page_1.json"))
    second = adapter.parse_instruments(payload("bybit/futures_instruments_page_2.json"))

    assert adapter.instruments_request().params["limit"] == "1000"
    assert first.next_request is not None
    assert first.next_request.params["cursor"] == "first%3D1000PEPEUSDT%26last%3DBTC-25DEC26"
    assert [one.contract_type for one in first.instruments] == [
        "linear-perpetual",
        "linear-futures",
    ]
    assert second.next_request is None
    assert [one.trading for one in second.instruments] == [False]


def test_okx_spot_instruments(adapter_for: Adapters, payload: Payloads) -> None:
    found = instruments(adapter_for("okx-spot"), payload("okx/spot_instruments.json"))

    assert found["BTC-USDT"] == RawInstrument(
        "BTC-USDT", "BTC", "USDT", "live", True, 1e-5, 0.1, 1e-8, None, 1.0, "USDT", "spot"
    )
    assert not found["OLD-USDT"].trading


def test_okx_swaps_take_base_from_the_family_and_size_from_the_contract(
    adapter_for: Adapters, payload: Payloads
) -> None:
    page = adapter_for("okx-futures").parse_instruments(payload("okx/swap_instruments.json"))
    found = {one.exchange_symbol: one for one in page.instruments}

    assert found["BTC-USDT-SWAP"] == RawInstrument(
        *("BTC-USDT-SWAP", "BTC", "USDT", "live", True, 0.01, 0.1, 0.01, None, 0.01),
        *("USDT", "linear-perpetual"),
    )
    assert found["ADA-USD-SWAP"].contract_type == "inverse-perpetual"
    assert [one.what for one in page.skipped] == ["ODD-USDT-SWAP", "NOFAMILY-SWAP"]


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"ctValCcy": "USDT"}, "counted in USDT"),
        ({"ruleType": "pre_market"}, "pre_market"),
        ({"ruleType": "xperp"}, "xperp"),
        ({"ruleType": "normal", "ctValCcy": "btc"}, ""),
    ],
)
def test_an_okx_swap_in_other_units_or_by_other_rules_is_left_out(
    adapter_for: Adapters, payload: Payloads, said: dict[str, str], reason: str
) -> None:
    answer = json.loads(payload("okx/swap_instruments.json"))
    answer["data"] = [answer["data"][0] | said]
    page = adapter_for("okx-futures").parse_instruments(json.dumps(answer).encode())
    if reason:
        assert not page.instruments
        assert reason in page.skipped[0].reason
    else:
        assert page.instruments[0].exchange_symbol == "BTC-USDT-SWAP"


def test_mexc_spot_instruments(adapter_for: Adapters, payload: Payloads) -> None:
    found = instruments(adapter_for("mexc-spot"), payload("mexc/spot_exchange_info.json"))

    assert found["AIDOGEUSDT"] == RawInstrument(
        *("AIDOGEUSDT", "AIDOGE", "USDT", "online", True, 1.0, 1e-15, 1.0, 1.0, 1.0),
        *("USDT", "spot"),
    )
    assert found["ADAUSDT"].min_qty == 0.1
    assert (found["PAUSEDUSDT"].status, found["PAUSEDUSDT"].trading) == ("paused", False)
    assert not found["SELLUSDT"].trading


def test_mexc_futures_instruments(adapter_for: Adapters, payload: Payloads) -> None:
    page = adapter_for("mexc-futures").parse_instruments(payload("mexc/futures_contracts.json"))
    found = {one.exchange_symbol: one for one in page.instruments}

    assert found["BTC_USDT"] == RawInstrument(
        *("BTC_USDT", "BTC", "USDT", "enabled", True, 1.0, 0.1, 1.0, None, 1e-4),
        *("USDT", "linear-perpetual", "BTC"),
    )
    assert found["TRUMPOFFICIAL_USDT"].base_name == "TRUMP"
    assert found["BTC_USD"].contract_type == "inverse-perpetual"
    assert (found["OFF_USDT"].status, found["OFF_USDT"].trading) == ("offline", False)
    assert page.skipped == [Skipped("ZERO_USDT", "no contract size")]


def test_tickers_without_any_quote_are_skipped(adapter_for: Adapters, payload: Payloads) -> None:
    quotes, skipped = adapter_for("binance-spot").parse_tickers(
        payload("binance/spot_tickers.json")
    )

    assert quotes[0] == RestQuote("BTCUSDT", 80349.99, 0.12541, 80350.0, 3.1298)
    assert skipped == [Skipped("0GBNB", "no bid and no ask")]
    assert (quotes[1].bid_px, math.isnan(quotes[1].ask_px)) == (1.5, True)


@pytest.mark.parametrize(
    ("label", "name", "symbol", "empty"),
    [
        ("bybit-futures", "bybit/futures_tickers.json", "QUIETUSDT", "bid"),
        ("okx-spot", "okx/tickers.json", "HALF-USDT", "ask"),
        ("mexc-spot", "mexc/spot_tickers.json", "NULLUSDT", "bid"),
    ],
)
def test_an_empty_side_of_a_ticker_is_nan(
    adapter_for: Adapters, payload: Payloads, label: str, name: str, symbol: str, empty: str
) -> None:
    quotes, _ = adapter_for(label).parse_tickers(payload(name))
    (row,) = [one for one in quotes if one.exchange_symbol == symbol]

    assert math.isnan(row.bid_px) == (empty == "bid")
    assert math.isnan(row.ask_px) == (empty == "ask")


def test_mexc_futures_tickers_have_no_sizes(adapter_for: Adapters, payload: Payloads) -> None:
    quotes, _ = adapter_for("mexc-futures").parse_tickers(payload("mexc/futures_tickers.json"))

    assert (quotes[0].bid_px, quotes[0].ask_px) == (80319.2, 80319.3)
    assert math.isnan(quotes[0].bid_sz)
    assert math.isnan(quotes[0].ask_sz)


@pytest.mark.parametrize(
    ("label", "name", "expected"),
    [
        (
            "binance-futures",
            "binance/premium_index.json",
            [Funding("BTCUSDT", 3.5e-5, None, next_ms=DUE_MS)],
        ),
        (
            "bybit-futures",
            "bybit/futures_tickers.json",
            [
                Funding("0GUSDT", 5e-5, 4.0, 0.005, -0.005, DUE_MS),
                Funding("EMPTYUSDT", -1e-4, None),
            ],
        ),
        (
            "okx-futures",
            "okx/funding_rate.json",
            [Funding("BTC-USDT-SWAP", -0.0000143909410096, 8.0, 0.00375, -0.00375, DUE_MS)],
        ),
        (
            "mexc-futures",
            "mexc/futures_funding.json",
            [Funding("BTC_USDT", 7.3e-5, 8.0, 0.0018, -0.0018, DUE_MS)],
        ),
    ],
)
def test_funding(
    adapter_for: Adapters, payload: Payloads, label: str, name: str, expected: list[Funding]
) -> None:
    adapter = adapter_for(label)

    assert adapter.funding_request() is not None
    assert adapter.parse_funding(payload(name)) == expected


def test_binance_tells_funding_intervals_apart(adapter_for: Adapters, payload: Payloads) -> None:
    adapter = adapter_for("binance-futures")

    assert adapter.funding_terms_request() is not None
    assert adapter.parse_funding_terms(payload("binance/funding_info.json")) == {
        "LPTUSDT": FundingTerms(4.0, 0.02, -0.02),
        "BTCUSDT": FundingTerms(8.0, None, None),
    }


@pytest.mark.parametrize("label", ["okx-futures", "mexc-futures"])
def test_a_bulk_funding_call_can_be_turned_off(adapter_for: Adapters, label: str) -> None:
    assert adapter_for(label, funding_bulk=False).funding_request() is None


@pytest.mark.parametrize("source", EXCHANGE_SOURCES, ids=lambda source: source.label)
def test_spot_has_no_funding_and_only_binance_asks_for_intervals(
    adapter_for: Adapters,
    source: Source,
) -> None:
    label = source.label
    adapter = adapter_for(label)

    assert (adapter.funding_request() is None) == label.endswith("-spot")
    assert (adapter.funding_terms_request() is None) == (label != "binance-futures")


@pytest.mark.parametrize(
    ("label", "name", "code"),
    [
        ("binance-spot", "binance/rest_error.json", -1121),
        ("bybit-spot", "bybit/rest_error.json", 10001),
        ("okx-spot", "okx/rest_error.json", "50011"),
        ("mexc-spot", "mexc/spot_error.json", 10072),
        ("mexc-futures", "mexc/futures_error.json", 1001),
        ("mexc-futures", "mexc/futures_error_510.json", 510),
    ],
)
def test_an_error_envelope_is_an_exchange_error(
    adapter_for: Adapters, payload: Payloads, label: str, name: str, code: object
) -> None:
    adapter = adapter_for(label)
    for parse in (adapter.parse_instruments, adapter.parse_tickers):
        with pytest.raises(ExchangeError) as caught:
            parse(payload(name))
        assert caught.value.evidence["code"] == code


@pytest.mark.parametrize("source", EXCHANGE_SOURCES, ids=lambda source: source.label)
@pytest.mark.parametrize("body", [b"", b"<html>403</html>", b"null", b'{"a":', b"\xff", b"{}"])
def test_what_is_no_list_is_a_bad_message(
    adapter_for: Adapters, source: Source, body: bytes
) -> None:
    adapter = adapter_for(source.label)
    for parse in (adapter.parse_instruments, adapter.parse_tickers):
        with pytest.raises(BadMessage):
            parse(body)


@pytest.mark.parametrize(
    ("label", "name", "asked", "count", "trading"),
    [
        (
            "binance-spot",
            "binance_spot/cryptofeed_rest_exchangeInfo_20211012.txt.gz",
            b"exchangeInfo",
            1695,
            1222,
        ),
        (
            "binance-futures",
            "binance_usdm/cryptofeed_rest_exchangeInfo_20210722.txt.gz",
            b"exchangeInfo",
            122,
            121,
        ),
        ("okx-spot", "okx/cryptofeed_rest_instruments_20220513.txt.gz", b"=SPOT", 513, 513),
        ("okx-futures", "okx/cryptofeed_rest_instruments_20220513.txt.gz", b"=SWAP", 166, 166),
    ],
)
def test_whole_instrument_lists_of_other_years(
    adapter_for: Adapters,
    recording: Callable[[str], bytes],
    label: str,
    name: str,
    asked: bytes,
    count: int,
    trading: int,
) -> None:
    """Lines of "<url> -> <time>: <body>"."""
    lines = [line.split(b": ", 1) for line in recording(name).splitlines()]
    body = next(line[1] for line in lines if asked in line[0])
    page = adapter_for(label).parse_instruments(body)

    assert (len(page.instruments), page.skipped) == (count, [])
    assert sum(one.trading for one in page.instruments) == trading


def test_a_large_part_of_the_mexc_contracts(
    adapter_for: Adapters, recording: Callable[[str], bytes]
) -> None:
    name = "mexc_futures/arbitrack_rest_contract_detail_20250803_part.json.gz"
    page = adapter_for("mexc-futures").parse_instruments(recording(name))
    renamed = [one for one in page.instruments if one.base_name != one.base]

    assert (len(page.instruments), page.skipped) == (525, [])
    assert {one.contract_type for one in page.instruments} >= {"linear-perpetual"}
    assert renamed


@pytest.mark.parametrize(
    ("label", "name", "count", "without"),
    [
        ("binance-spot", "binance_spot/tat3_ccxt_info_24hr_20221122T0051Z.json.gz", 2123, 677),
        ("mexc-spot", "mexc_spot/tat3_ccxt_info_v3_24hr_20221122T0051Z.json.gz", 2125, 4),
        ("okx-spot", "okx/tat3_ccxt_info_v5_tickers_SPOT_20221122T0051Z.json.gz", 646, 0),
    ],
)
def test_every_row_of_a_whole_exchange_is_a_quote_or_explained(
    adapter_for: Adapters,
    recording: Callable[[str], bytes],
    label: str,
    name: str,
    count: int,
    without: int,
) -> None:
    rows = [one["info"] for one in json.loads(recording(name))]
    body = {"code": "0", "data": rows} if label == "okx-spot" else rows
    quotes, skipped = adapter_for(label).parse_tickers(json.dumps(body).encode())

    assert len(quotes) + len(skipped) == count
    assert [one.reason for one in skipped] == ["no bid and no ask"] * without


RECORDED = [
    ("binance-spot", "binance_spot/arb_rest_exchangeInfo_part_20260827.json", 1, 0),
    ("binance-spot", "binance_spot/gct_rest_exchangeInfo_2025_trimmed.json.gz", 25, 0),
    ("binance-futures", "binance_usdm/arb_rest_exchangeInfo_part_20260827.json", 6, 0),
    ("binance-futures", "binance_usdm/gct_rest_exchangeInfo_trimmed.json.gz", 25, 0),
    ("bybit-spot", "bybit_spot/arb_rest_instruments_part_20260827.json", 16, 0),
    ("bybit-futures", "bybit_linear/arb_rest_instruments_part_20260827.json", 11, 0),
    ("okx-spot", "okx/arb_rest_instruments_spot_part_20260827.json", 5, 0),
    ("okx-futures", "okx/arb_rest_instruments_swap_part_20260827.json", 6, 0),
    ("mexc-spot", "mexc_spot/arb_rest_exchangeInfo_part_20260827.json", 12, 0),
    ("mexc-futures", "mexc_futures/arb_rest_contract_detail_part_20260827.json", 4, 0),
]


@pytest.mark.parametrize(("label", "name", "count", "skipped"), RECORDED)
def test_recorded_instrument_lists_decode(
    adapter_for: Adapters,
    recording: Callable[[str], bytes],
    label: str,
    name: str,
    count: int,
    skipped: int,
) -> None:
    page = adapter_for(label).parse_instruments(recording(name))

    assert (len(page.instruments), len(page.skipped)) == (count, skipped)
    for one in page.instruments:
        assert one.exchange_symbol
        assert one.base
        assert one.quote
        assert one.contract_size > 0


@pytest.mark.parametrize(
    ("label", "name", "count"),
    [
        ("binance-spot", "binance_spot/arb_rest_bookTicker_20260827.json", 37),
        ("binance-futures", "binance_usdm/arb_rest_bookTicker_20260827.json", 42),
        ("binance-futures", "binance_usdm/gct_rest_bookTicker.json.gz", 65),
        ("bybit-spot", "bybit_spot/arb_rest_tickers_part_20260827.json", 28),
        ("bybit-spot", "bybit_spot/gct_rest_v5_tickers_spot.json.gz", 400),
        ("bybit-futures", "bybit_linear/arb_rest_tickers_part_20260827.json", 14),
        ("bybit-futures", "bybit_linear/gct_rest_v5_tickers_linear.json.gz", 250),
        ("okx-spot", "okx/arb_rest_tickers_spot_part_20260827.json", 29),
        ("okx-futures", "okx/arb_rest_tickers_swap_part_20260827.json", 27),
        ("mexc-spot", "mexc_spot/arb_rest_bookTicker_20260827.json", 32),
        ("mexc-futures", "mexc_futures/arb_rest_contract_ticker_part_20260827.json", 16),
    ],
)
def test_recorded_tickers_decode(
    adapter_for: Adapters, recording: Callable[[str], bytes], label: str, name: str, count: int
) -> None:
    quotes, skipped = adapter_for(label).parse_tickers(recording(name))

    assert len(quotes) >= count
    assert all(one.reason == "no bid and no ask" for one in skipped)
    assert all(one.bid_px < one.ask_px for one in quotes if one.bid_px and one.ask_px == one.ask_px)
