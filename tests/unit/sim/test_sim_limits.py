"""What one address may do, and the ban of one that goes on."""

from email.utils import parsedate_to_datetime

import pytest

from spread_scanner.sim.limits import (
    ALLOWANCES,
    CUT_STRIKES,
    STRIKES_MAX,
    Limits,
    Refusal,
    weight_of,
)


def dials(limits: Limits, label: str, count: int, now_s: float = 0.0, address: str = "a") -> int:
    """How many of so many attempts are let in."""
    return sum(limits.dial(label, address, now_s) is None for _ in range(count))


@pytest.mark.parametrize(
    ("labels", "most", "window_s"),
    [
        (("okx-spot", "okx-futures"), 3, 1.0),
        (("binance-spot", "binance-futures"), 300, 300.0),
        (("bybit-spot", "bybit-futures"), 500, 300.0),
    ],
)
def test_dials_are_counted_per_exchange_and_address(
    labels: tuple[str, str], most: int, window_s: float
) -> None:
    limits = Limits()
    one, other = labels
    assert dials(limits, one, most - 1) == most - 1
    assert dials(limits, other, 2) == 1  # both sources together
    assert dials(limits, other, 1, address="b") == 1
    refusal = limits.dial(one, "a", window_s / 2)
    assert refusal is not None
    assert (refusal.status, refusal.retry_after_s) == (429, window_s / 2)
    assert dials(limits, one, 1, window_s) == 1


def test_who_goes_on_after_refusals_is_banned_and_longer_each_time() -> None:
    limits = Limits()
    dials(limits, "binance-spot", 300 + STRIKES_MAX)
    for label in ("binance-spot", "binance-futures"):
        ban = limits.banned(label, "a", 1.0)
        assert ban is not None
        assert (ban.status, ban.retry_after_s) == (418, 119.0)
    assert limits.banned("binance-spot", "b", 1.0) is None
    assert limits.banned("binance-spot", "a", 120.0) is None
    limits.strike("binance-spot", "a", 130.0, STRIKES_MAX)
    again = limits.banned("binance-spot", "a", 130.0)
    assert again is not None
    assert again.retry_after_s == 240.0


def test_strikes_of_long_ago_count_no_more() -> None:
    limits = Limits()
    limits.strike("mexc-spot", "a", 0.0, STRIKES_MAX - 1)
    limits.strike("mexc-spot", "a", 300.0)
    assert limits.banned("mexc-spot", "a", 300.0) is None
    limits.strike("mexc-spot", "a", 300.0, STRIKES_MAX - 1)
    assert limits.banned("mexc-spot", "a", 300.0) is not None


def test_three_cuts_for_too_many_messages_are_a_ban() -> None:
    limits = Limits(scale=0.01)
    for number in range(3):
        assert limits.banned("binance-spot", "a", float(number) / 100) is None
        limits.strike("binance-spot", "a", number / 100, CUT_STRIKES)
    ban = limits.banned("binance-spot", "a", 0.02)
    assert ban is not None
    assert ban.retry_after_s == pytest.approx(1.2)


def test_okx_and_bybit_have_their_own_ways() -> None:
    limits = Limits()
    limits.strike("okx-spot", "a", 0.0, 100)
    assert limits.banned("okx-spot", "a", 0.0) is None
    limits.strike("bybit-spot", "a", 0.0, STRIKES_MAX)
    ban = limits.banned("bybit-futures", "a", 599.0)
    assert ban is not None
    assert (ban.status, ban.retry_after_s) == (403, None)  # how long is not said
    assert limits.banned("bybit-futures", "a", 600.0) is None


def asked(limits: Limits, label: str, path: str, count: int, **query: str) -> int:
    return sum(limits.ask(label, path, query, "a", 0.0) is None for _ in range(count))


def test_rest_is_counted_as_each_exchange_counts() -> None:
    limits = Limits()
    tickers = "/api/v5/market/tickers"
    assert asked(limits, "okx-spot", tickers, 30, instType="SPOT") == 20
    assert asked(limits, "okx-spot", tickers, 30, instType="SWAP") == 20
    assert asked(limits, "okx-futures", tickers, 1, instType="SPOT") == 0  # one host
    assert asked(limits, "bybit-spot", "/v5/market/time", 400) == 400
    assert asked(limits, "bybit-futures", "/v5/market/tickers", 400) == 200
    assert asked(limits, "mexc-futures", "/api/v1/contract/detail", 20) == 10
    assert asked(limits, "mexc-futures", "/api/v1/contract/ticker", 20) == 10
    assert asked(limits, "mexc-futures", "/api/v1/contract/funding_rate", 30) == 20
    weight = ALLOWANCES["binance-spot"].weight
    assert asked(limits, "binance-spot", "/api/v3/exchangeInfo", 400) == weight // 20
    assert asked(limits, "binance-futures", "/fapi/v1/exchangeInfo", 400) == 400


@pytest.mark.parametrize(
    ("label", "path", "query", "weight"),
    [
        ("binance-spot", "/api/v3/depth", {}, 5),
        ("binance-spot", "/api/v3/depth", {"limit": "500"}, 25),
        ("binance-spot", "/api/v3/depth", {"limit": "5000"}, 250),
        ("binance-spot", "/api/v3/depth", {"limit": "nonsense"}, 5),
        ("binance-futures", "/fapi/v1/depth", {"limit": "1000"}, 20),
        ("binance-spot", "/api/v3/ticker/bookTicker", {}, 4),
        ("binance-spot", "/api/v3/ticker/bookTicker", {"symbol": "X"}, 2),
        ("mexc-spot", "/api/v3/depth", {"limit": "5000"}, 1),
    ],
)
def test_a_request_has_its_weight(
    label: str, path: str, query: dict[str, str], weight: int
) -> None:
    assert weight_of(label, path, query) == weight


def test_retry_after_is_seconds_or_a_date() -> None:
    assert Refusal(429, "", 0.2).headers(0.0) == [("Retry-After", "1")]
    assert Refusal(403, "").headers(0.0) == []
    ((_, date),) = Refusal(418, "", 60.0, as_date=True).headers(1_700_000_000.0)
    assert parsedate_to_datetime(date).timestamp() == 1_700_000_060.0
