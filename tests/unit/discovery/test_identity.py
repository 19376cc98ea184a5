"""One coin or two of the same name: the ratio of mids decides, and says what it rests on."""

import math
from typing import Any

import pytest

from spread_scanner.discovery.identity import Identity, judge
from spread_scanner.discovery.legs import Candidate

NAN = math.nan


def verdict(build: Any, pair: Candidate, samples: Any = None, **settings: str) -> Identity:
    return judge([pair], samples or {}, build.settings(**settings), None)[0]


def test_prices_within_the_band_are_one_coin(build: Any) -> None:
    found = verdict(build, build.pair("binance-okx", "ADA", 1.0, 1.029))
    assert found.reason == ""
    assert found.ratio == pytest.approx(1 / 1.029)


def test_prices_outside_the_band_are_quarantined_with_both_prices(build: Any) -> None:
    found = verdict(build, build.pair("binance-okx", "AI", 0.0186, 0.0204))
    assert "prices disagree by 9.68 % (band 3 %)" in found.reason
    assert "binance-spot 0.0186" in found.reason
    assert "okx-futures 0.0204" in found.reason
    assert found.proposal == ""


def test_the_band_is_as_wide_upwards_as_downwards(build: Any) -> None:
    for spot, futures in ((1.0, 1.031), (1.031, 1.0)):
        assert verdict(build, build.pair("binance-okx", "ADA", spot, futures)).reason


def test_a_symbol_may_have_a_band_of_its_own(build: Any) -> None:
    own = '[symbols.identity_band_pct]\n"AI-USDT" = 15.0\n'
    assert not verdict(
        build, build.pair("binance-okx", "AI", 0.0186, 0.0204), directions=own
    ).reason
    narrow = "[pair-discovery]\nidentity_band_pct = 0.1\n"
    assert verdict(build, build.pair("binance-okx", "ADA", 1.0, 1.002), general=narrow).reason


def test_the_median_over_the_window_counts_before_a_rest_quote(build: Any) -> None:
    pair = build.pair("binance-okx", "ADA", 1.0, 5.0)
    samples = {pair.spot.key: [NAN, 1.0, 1.0, 9.0], pair.futures.key: [1.0, 1.01, 1.01, 1.01]}
    found = verdict(build, pair, samples)
    assert found.reason == ""
    assert found.basis == "the median of 3 samples"
    assert found.ratio == pytest.approx(1 / 1.01)


def test_sides_are_compared_at_the_same_instants(build: Any) -> None:
    """Both coins double half-way; one starts to quote only after that."""
    pair = build.pair("binance-okx", "ADA", NAN, NAN)
    samples = {pair.spot.key: [1.0, 1.0, 1.0, 2.0], pair.futures.key: [NAN, NAN, NAN, 2.0]}
    assert verdict(build, pair, samples).reason == ""


def test_a_quiet_leg_is_compared_by_rest_on_both_sides(build: Any) -> None:
    pair = build.pair("binance-okx", "ADA", 1.0, 1.0)
    found = verdict(build, pair, {pair.spot.key: [1.2, 1.2], pair.futures.key: [NAN, NAN]})
    assert (found.reason, found.basis) == ("", "one REST quote each")


def test_a_leg_without_a_rest_quote_is_compared_by_what_there_is(build: Any) -> None:
    pair = build.pair("binance-okx", "ADA", NAN, 1.0)
    found = verdict(build, pair, {pair.spot.key: [1.01, 1.01]})
    assert (found.reason, found.basis) == ("", "a REST quote and the websocket")


@pytest.mark.parametrize(
    ("spot", "futures", "word"),
    [(NAN, 1.0, "spot"), (1.0, NAN, "perpetual"), (NAN, NAN, "spot and the perpetual")],
)
def test_without_a_price_there_is_no_pair(
    build: Any, spot: float, futures: float, word: str
) -> None:
    found = verdict(build, build.pair("binance-okx", "ADA", spot, futures))
    assert found.reason == f"no price of the {word} to compare"


def test_a_last_known_leg_without_a_price_keeps_what_the_previous_tables_held(build: Any) -> None:
    pair = build.pair("binance-bybit", "ADA", 1.0, NAN)
    pair = pair._replace(futures=pair.futures._replace(last_known=True))
    settings = build.settings()
    assert not judge([pair], {}, settings, build.tables({"ADA": 0}))[0].reason
    assert judge([pair], {}, settings, build.tables({"BTC": 0}))[0].reason
    assert judge([pair], {}, settings, None)[0].reason


def test_a_last_known_leg_whose_websocket_quotes_is_judged_like_any_other(build: Any) -> None:
    pair = build.pair("binance-bybit", "ADA", 1.0, NAN)
    pair = pair._replace(futures=pair.futures._replace(last_known=True))
    samples = {pair.futures.key: [1.2]}
    assert judge([pair], samples, build.settings(), build.tables({"ADA": 0}))[0].reason


def test_a_ratio_near_a_power_of_ten_proposes_the_missing_multiplier(build: Any) -> None:
    pairs = [
        build.pair("binance-okx", "ABC", 1.0, 998.0),
        build.pair("bybit-okx", "ABC", 1.001, 998.0),
    ]
    found = judge(pairs, {}, build.settings(), None)
    expected = '[symbols.multiplier] "okx-futures:ABCUSDT" = 1000'
    assert all(expected in row.proposal and expected in row.reason for row in found)


def test_the_leg_that_stands_apart_is_the_suspect_whichever_side_it_is(build: Any) -> None:
    pairs = [
        build.pair("okx-binance", "ABC", 0.001, 1.0),
        build.pair("okx-bybit", "ABC", 0.001, 1.0),
    ]
    found = judge(pairs, {}, build.settings(), None)
    assert '"okx-spot:ABCUSDT" = 0.001' in found[0].proposal


def test_between_two_the_dearer_one_is_the_suspect(build: Any) -> None:
    pair = build.pair("binance-okx", "ABC", 1000.0, 1.0)
    assert '"binance-spot:ABCUSDT" = 1000' in verdict(build, pair).proposal
