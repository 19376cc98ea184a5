"""Which coin a listing is: prefixes are believed for a reason, digits alone are none."""

import math

import pytest

from spread_scanner.symbology.normalise import Coin, Listing, NameRules, candidates, coins

NO_RULES = NameRules({}, {}, {})


def listing(source: str, base: str, mid: float = math.nan, base_name: str = "") -> Listing:
    return Listing(source, f"{base}USDT", base, "USDT", base_name, mid)


def read(rows: list[Listing], rules: NameRules = NO_RULES) -> list[tuple[str, float]]:
    return [(coin.base, coin.multiplier) for coin in coins(rows, rules)]


@pytest.mark.parametrize(
    ("base", "expected"),
    [
        ("1000PEPE", [("PEPE", 1e3)]),
        ("10000SATS", [("SATS", 1e4)]),
        ("100000AIDOGE", [("AIDOGE", 1e5)]),
        ("1000000MOG", [("MOG", 1e6)]),
        ("1MBABYDOGE", [("BABYDOGE", 1e6)]),
        ("SHIB1000", [("SHIB", 1e3)]),
        ("1INCH", []),
        ("0G", []),
        ("2Z", []),
        ("4", []),
        ("67", []),
        ("114514", []),
        ("1R0R", []),
        ("9BIT", []),
        ("2U2", []),
        ("1000", []),
        ("100X", []),
        ("API3", []),
        ("币安人生", []),
    ],
)
def test_a_spelling_only_proposes(base: str, expected: list[tuple[str, float]]) -> None:
    assert candidates(base) == expected


def test_a_prefix_is_believed_when_the_bare_coin_costs_a_thousandth_elsewhere() -> None:
    rows = [listing("a", "1000ABC", 0.00392), listing("b", "ABC", 3.9e-6)]
    assert read(rows) == [("ABC", 1000.0), ("ABC", 1.0)]


def test_an_infix_is_believed_for_the_same_reason() -> None:
    rows = [listing("a", "ABC1000", 0.00547), listing("b", "ABC", 5.47e-6)]
    assert read(rows) == [("ABC", 1000.0), ("ABC", 1.0)]


def test_two_multipliers_confirm_each_other_without_the_bare_coin() -> None:
    rows = [listing("a", "1000ABC", 0.0000118), listing("b", "10000ABC", 0.00011823)]
    assert read(rows) == [("ABC", 1000.0), ("ABC", 10_000.0)]


def test_a_coin_whose_name_begins_like_a_multiplier_keeps_it_when_prices_disagree() -> None:
    rows = [listing("a", "1000PEPE", 0.5), listing("b", "PEPE", 3.9e-6)]
    found = coins(rows, NO_RULES)
    assert (found[0].base, found[0].multiplier) == ("1000PEPE", 1.0)
    assert "no listing of the bare coin agrees" in found[0].why


def test_the_same_spelling_elsewhere_proves_nothing() -> None:
    rows = [listing("a", "1000QQQ", 0.5), listing("b", "1000QQQ", 0.5)]
    assert read(rows) == [("1000QQQ", 1.0), ("1000QQQ", 1.0)]


def test_a_listing_of_the_same_source_proves_nothing() -> None:
    rows = [listing("a", "1000QQQ", 0.5), listing("a", "QQQ", 0.0005)]
    assert read(rows)[0] == ("1000QQQ", 1.0)


def test_coins_known_to_be_sold_in_bulk_are_asked_last() -> None:
    assert read([listing("a", "1000PEPE")]) == [("PEPE", 1000.0)]


def test_the_previous_tables_outlast_a_missing_price() -> None:
    previous = {("a", "1000QQQUSDT"): ("QQQ", 1000.0)}
    assert read([listing("a", "1000QQQ", 0.5)], NameRules({}, {}, previous)) == [("QQQ", 1000.0)]


def test_a_listing_without_a_price_follows_its_namesakes() -> None:
    rows = [listing("a", "1000QQQ", 0.5), listing("b", "QQQ", 0.0005), listing("c", "1000QQQ")]
    assert read(rows)[2] == ("QQQ", 1000.0)


def test_the_exchanges_own_name_for_the_coin_counts_more_than_its_ticker() -> None:
    rows = [
        listing("m", "TRUMPOFFICIAL", 5.2, "TRUMP"),
        listing("m", "TRUMP", 0.04, "MAGATRUMP"),
        listing("m", "1000BONK", 0.0116, "BONK"),
        listing("m", "10000WEN", 0.1, "10000WEN"),
        listing("b", "WEN", 0.00001),
    ]
    assert read(rows)[:4] == [
        ("TRUMP", 1.0),
        ("MAGATRUMP", 1.0),
        ("BONK", 1000.0),
        ("WEN", 10_000.0),
    ]


def test_xbt_is_bitcoin() -> None:
    assert read([listing("a", "XBT", 80_000.0)]) == [("BTC", 1.0)]


def test_the_settings_are_not_argued_with() -> None:
    rows = [
        listing("a", "1000ABC", 0.00392),
        listing("b", "ABC", 3.9e-6),
        listing("c", "GAS", 2.0),
        listing("c", "1000XYZ", 7.0),
    ]
    rules = NameRules(
        alias={"a:1000ABCUSDT": "OTHER", "c:GAS": "GASDAO"},
        multiplier={"c:1000XYZUSDT": 1000.0, "b:ABCUSDT": 10.0},
        previous={},
    )
    assert read(rows, rules) == [
        ("OTHER", 1.0),
        ("ABC", 10.0),
        ("GASDAO", 1.0),
        ("XYZ", 1000.0),
    ]


def test_every_decision_that_needs_a_word_has_one() -> None:
    rows = [listing("a", "1000ABC", 0.00392), listing("b", "ABC", 3.9e-6)]
    found = coins(rows, NO_RULES)
    assert found[0].why == "its price is 1000 times that of b:ABCUSDT"
    assert found[1] == Coin("ABC", 1.0, "")
