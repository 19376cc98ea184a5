"""Which listings become legs and pairs, and that every other one leaves with its reason."""

import math
from typing import Any

import pytest

from spread_scanner.discovery.legs import pairs_of, select, unpaired
from spread_scanner.exchanges.adapter import Skipped
from spread_scanner.schema.enums import EXCHANGE_DIRECTIONS

ALL = range(8)


def test_a_coin_everywhere_is_in_all_twelve_directions(build: Any) -> None:
    answers = [build.listed(row.label, {"BTC": 80_000.0}) for row in sources()]
    legs, left_out, _ = select(answers, build.settings(), None)
    pairs = pairs_of(legs, ALL)
    assert [pair.direction for pair in pairs] == list(EXCHANGE_DIRECTIONS)
    assert {pair.symbol for pair in pairs} == {"BTC-USDT"}
    assert left_out == unpaired(legs, pairs) == []


def sources() -> list[Any]:
    return sorted({row for way in EXCHANGE_DIRECTIONS for row in (way.spot, way.futures)})


def test_a_disabled_source_is_in_no_direction(build: Any) -> None:
    answers = [build.listed(row.label, {"BTC": 80_000.0}) for row in sources()[1:]]
    legs, _, _ = select(answers, build.settings(), None)
    labels = {pair.direction.label for pair in pairs_of(legs, ALL[1:])}
    assert len(labels) == 9
    assert not any(label.startswith("binance-") for label in labels)


@pytest.mark.parametrize(
    ("source", "changes", "reason"),
    [
        ("binance-spot", {"quote": "USDC"}, "quote asset USDC is not taken"),
        ("binance-spot", {"trading": False, "status": "BREAK"}, "not trading: BREAK"),
        ("okx-futures", {"contract_type": "inverse-perpetual"}, "contract type inverse-perpetual"),
        ("bybit-futures", {"contract_type": "linear-futures"}, "contract type linear-futures"),
        ("mexc-futures", {"settle": "USDC"}, "settled in USDC"),
    ],
)
def test_what_cannot_be_a_leg_says_why(
    build: Any, source: str, changes: dict[str, Any], reason: str
) -> None:
    answers = build.listed(source, {}, build.raw(source, "ADA", **changes))
    legs, left_out, _ = select([answers], build.settings(), None)
    assert legs == []
    assert [(row.exchange_symbol, row.reason) for row in left_out] == [("ADAUSDT", reason)]


@pytest.mark.parametrize("name", ["X" * 65, 'A"B', "A\\B", ""])
def test_a_name_that_cannot_be_held_is_left_out_and_reported(build: Any, name: str) -> None:
    odd = build.raw("okx-futures", "ADA", exchange_symbol=name)
    answers = build.listed("okx-futures", {"BTC": 80_000.0}, odd)
    legs, left_out, _ = select([answers], build.settings(), None)
    assert [leg.symbol for leg in legs] == ["BTC-USDT"]
    assert [row.exchange_symbol for row in left_out] == [name]
    assert ("cannot be held" if name else "no name") in left_out[0].reason


def test_rows_that_the_parser_skipped_are_in_the_report(build: Any) -> None:
    answers = build.listed("mexc-futures", {"ADA": 1.0})
    answers.skipped.append(Skipped("X_USDT", "no contract size"))
    _, left_out, _ = select([answers], build.settings(), None)
    assert [(row.exchange_symbol, row.reason) for row in left_out] == [
        ("X_USDT", "no contract size")
    ]


def test_allow_and_deny_lists_speak_of_symbols_and_of_listings(build: Any) -> None:
    answers = [
        build.listed("binance-spot", {"ADA": 1.0, "BTC": 1.0, "ETH": 1.0}),
        build.listed("bybit-futures", {"ADA": 1.0, "BTC": 1.0, "ETH": 1.0}),
    ]
    deny = '[symbols]\ndeny = ["BTC-USDT", "bybit-futures:ETHUSDT"]\n'
    legs, left_out, _ = select(answers, build.settings(directions=deny), None)
    assert sorted(leg.symbol for leg in legs) == ["ADA-USDT", "ADA-USDT", "ETH-USDT"]
    assert {row.reason for row in left_out} == {"denied in the settings"}
    allow = '[symbols]\nallow = ["ADA-USDT"]\n'
    legs, left_out, _ = select(answers, build.settings(directions=allow), None)
    assert {leg.symbol for leg in legs} == {"ADA-USDT"}
    assert len(left_out) == 4


def test_multiplier_and_contract_size_go_into_the_leg(build: Any) -> None:
    contract = build.raw("mexc-futures", "1000ABC", contract_size=50.0)
    answers = build.listed("mexc-futures", {}, contract)
    build.quote(answers, "1000ABCUSDT", 0.004)
    legs, _, _ = select(
        [answers, build.listed("bybit-spot", {"ABC": 4e-6})], build.settings(), None
    )
    leg = next(leg for leg in legs if leg.source.label == "mexc-futures")
    assert (leg.symbol, leg.px_div, leg.sz_mul) == ("ABC-USDT", 1000.0, 50_000.0)
    assert leg.mid == pytest.approx(4e-6)


def test_of_two_listings_of_a_symbol_the_one_at_the_others_price_is_taken(build: Any) -> None:
    answers = [
        build.listed("mexc-futures", {"TRUMPOFFICIAL": 5.2, "TRUMP": 0.04}),
        build.listed("binance-spot", {"TRUMP": 5.21}),
        build.listed("bybit-spot", {"TRUMP": 5.22}),
    ]
    alias = '[symbols.alias]\n"mexc-futures:TRUMPOFFICIALUSDT" = "TRUMP"\n'
    legs, left_out, _ = select(answers, build.settings(directions=alias), None)
    assert "TRUMPOFFICIALUSDT" in {leg.exchange_symbol for leg in legs}
    assert [(row.exchange_symbol, row.reason) for row in left_out] == [
        ("TRUMPUSDT", "a second listing of TRUMP-USDT; TRUMPOFFICIALUSDT was taken")
    ]


def test_a_leg_without_a_partner_on_another_exchange_says_so(build: Any) -> None:
    answers = [
        build.listed("binance-spot", {"ADA": 1.0, "BTC": 1.0}),
        build.listed("binance-futures", {"ADA": 1.0}),
        build.listed("okx-futures", {"BTC": 1.0}),
    ]
    legs, _, _ = select(answers, build.settings(), None)
    left_out = unpaired(legs, pairs_of(legs, ALL))
    assert [(row.source.label, row.reason) for row in left_out] == [
        ("binance-spot", "no perpetual of ADA-USDT on another exchange"),
        ("binance-futures", "no spot of ADA-USDT on another exchange"),
    ]


def test_an_unreachable_source_keeps_its_last_known_listings(build: Any) -> None:
    answers = [build.listed("binance-spot", {"ADA": 1.0}), build.listed("bybit-futures", {})]
    answers[1].failure = "away"
    legs, _, _ = select(answers, build.settings(), build.tables({"ADA": 7}))
    kept = next(leg for leg in legs if leg.source.label == "bybit-futures")
    assert (kept.symbol, kept.last_known, kept.quoted) == ("ADA-USDT", True, False)
    assert math.isnan(kept.mid)
    assert [pair.direction.label for pair in pairs_of(legs, ALL)] == ["binance-bybit"]


def test_last_known_listings_obey_the_settings_of_today(build: Any) -> None:
    answers = [build.listed("bybit-futures", {})]
    answers[0].failure = "away"
    deny = '[symbols]\ndeny = ["bybit-futures:ADAUSDT"]\n'
    legs, left_out, _ = select(answers, build.settings(directions=deny), build.tables({"ADA": 7}))
    assert legs == []
    assert [row.reason for row in left_out] == ["denied in the settings"]
    usdc = '[pair-discovery]\nquotes = ["USDC"]\n'
    legs, left_out, _ = select(answers, build.settings(usdc), build.tables({"ADA": 7}))
    assert legs == []
    assert [row.reason for row in left_out] == ["quote asset USDT is not taken"]


def test_the_previous_symbol_rows_name_the_base(build: Any) -> None:
    answers = [build.listed("bybit-futures", {})]
    answers[0].failure = "away"
    legs, _, _ = select(answers, build.settings(), build.tables({"A-B": 7}))
    assert [(leg.base, leg.quote) for leg in legs] == [("A-B", "USDT")]
