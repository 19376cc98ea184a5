"""What is sent: subscribe text within the exchange's limits, pings, addresses, channels."""

import json
from collections.abc import Callable

import pytest

from spread_scanner.errors import ConfigError
from spread_scanner.exchanges.adapter import Adapter
from spread_scanner.schema.enums import EXCHANGE_SOURCES, Source

Adapters = Callable[..., Adapter]


@pytest.mark.parametrize(
    ("label", "symbols", "expected"),
    [
        (
            "binance-spot",
            ["BTCUSDT", "币安人生USDT"],
            {
                "method": "SUBSCRIBE",
                "params": ["btcusdt@bookTicker", "币安人生usdt@bookTicker"],
                "id": 7,
            },
        ),
        (
            "bybit-spot",
            ["BTCUSDT"],
            {"req_id": "7", "op": "subscribe", "args": ["orderbook.1.BTCUSDT"]},
        ),
        (
            "okx-futures",
            ["BTC-USDT-SWAP"],
            {
                "id": "7",
                "op": "subscribe",
                "args": [{"channel": "bbo-tbt", "instId": "BTC-USDT-SWAP"}],
            },
        ),
        (
            "mexc-spot",
            ["BTCUSDT"],
            {
                "method": "SUBSCRIPTION",
                "params": ["spot@public.aggre.bookTicker.v3.api.pb@10ms@BTCUSDT"],
            },
        ),
        (
            "mexc-futures",
            ["BTC_USDT"],
            {"method": "sub.depth.full", "param": {"symbol": "BTC_USDT", "limit": 5}},
        ),
    ],
)
def test_subscribe_text(
    adapter_for: Adapters, label: str, symbols: list[str], expected: dict[str, object]
) -> None:
    adapter = adapter_for(label)

    assert json.loads(adapter.subscribe(symbols, 7)) == expected
    assert adapter.unsubscribe(symbols, 7) != adapter.subscribe(symbols, 7)
    assert json.loads(adapter.unsubscribe(symbols, 7)).keys() == expected.keys()


@pytest.mark.parametrize("source", EXCHANGE_SOURCES, ids=lambda source: source.label)
def test_topic_bytes_is_what_a_symbol_adds(adapter_for: Adapters, source: Source) -> None:
    adapter = adapter_for(source.label)
    one = ["1000000BABYDOGE_人"]
    if adapter.limits.topics_per_request_max == 1:
        assert len(adapter.subscribe(one, 1).encode()) <= adapter.topic_bytes(one[0])
        return
    short = len(adapter.subscribe(["A"], 1).encode())
    long = len(adapter.subscribe(["A", *one], 1).encode())

    assert long - short == adapter.topic_bytes(one[0])


def test_mexc_futures_takes_one_symbol_a_request(adapter_for: Adapters) -> None:
    with pytest.raises(ValueError, match="one symbol"):
        adapter_for("mexc-futures").subscribe(["BTC_USDT", "ETH_USDT"], 1)


@pytest.mark.parametrize("source", EXCHANGE_SOURCES, ids=lambda source: source.label)
def test_limits_leave_room_and_settings_override_them(
    adapter_for: Adapters, source: Source
) -> None:
    limits = adapter_for(source.label).limits
    overridden = adapter_for(source.label, topics_per_connection_max=9).limits

    assert limits.topics_per_request_max <= limits.topics_per_connection_max
    assert limits.requests_per_s_max > 0
    assert limits.connects_per_s_max > 0
    assert overridden == limits._replace(topics_per_connection_max=9)


def test_a_full_bybit_connection_stays_within_its_characters(adapter_for: Adapters) -> None:
    adapter = adapter_for("bybit-futures")
    longest = "1000000" + "X" * 20

    assert adapter.limits.topics_per_connection_max * adapter.topic_bytes(longest) <= 21_000
    assert adapter.limits.topic_bytes_per_connection_max == 21_000


@pytest.mark.parametrize("source", EXCHANGE_SOURCES, ids=lambda source: source.label)
def test_addresses_come_from_the_settings(adapter_for: Adapters, source: Source) -> None:
    adapter = adapter_for(source.label)

    assert adapter.rest_base() == "https://rest.test"
    assert adapter.ws_url() == "wss://ws.test/x"
    assert adapter.source == source
    assert adapter.binary == (source.label == "mexc-spot")
    for request in (adapter.instruments_request(), adapter.tickers_request()):
        assert request.path.startswith("/")


def test_mexc_spot_can_be_slower(adapter_for: Adapters) -> None:
    assert "@100ms@BTCUSDT" in adapter_for("mexc-spot", channel="100ms").subscribe(["BTCUSDT"], 1)


@pytest.mark.parametrize("source", EXCHANGE_SOURCES, ids=lambda source: source.label)
def test_a_channel_that_is_not_known_is_a_config_error(
    adapter_for: Adapters, source: Source
) -> None:
    with pytest.raises(ConfigError, match="channel"):
        adapter_for(source.label, channel="nonsense")


@pytest.mark.parametrize(
    ("label", "text"),
    [
        ("binance-spot", None),
        ("bybit-spot", '{"req_id":"ping","op":"ping"}'),
        ("okx-spot", "ping"),
        ("mexc-spot", '{"method":"PING"}'),
        ("mexc-futures", '{"method":"ping"}'),
    ],
)
def test_ping_text(adapter_for: Adapters, label: str, text: str | None) -> None:
    rule = adapter_for(label).ping

    assert rule.text == text
    assert (rule.interval_s > 0) == (text is not None)
