"""Priority fees, on constructed answers: no node's word on what got in is recorded here."""

import random
from collections.abc import Callable

import pytest

from spread_scanner.config.pools import FeeSettings
from spread_scanner.errors import BadMessage
from spread_scanner.schema.pools import HeardPrice
from spread_scanner.solana import keys
from spread_scanner.solana.priority_fees import (
    ACCOUNTS_MAX,
    UNITS_MAX,
    RecentFee,
    ask_helius,
    ask_recent,
    estimate,
    offered,
    read_helius,
    read_recent,
    units_of,
)

EVEN = FeeSettings(percentile=70, half_life_slots=1e9, congestion_gain=0, micro_lamports_min=0)
UNITS = 200_000


def constructed(*prices: int) -> list[RecentFee]:
    """A slot each, the last one the newest."""
    return [RecentFee(100 + at, price) for at, price in enumerate(prices)]


def test_the_percentile_is_of_those_that_are_not_zero() -> None:
    found = estimate(constructed(0, 0, 0, 100, 200, 300, 400), UNITS, EVEN)
    assert found.price == 300  # three of the four that paid
    assert found.congestion == pytest.approx(4 / 7)
    assert found.slots == 7
    assert estimate(constructed(0, 0), UNITS, EVEN).price == 0
    assert estimate([], UNITS, EVEN).price == 0


def test_order_says_nothing() -> None:
    fees = constructed(*(random.Random(5).randrange(1_000) for _ in range(150)))
    shuffled = random.Random(6).sample(fees, len(fees))
    assert estimate(fees, UNITS, FeeSettings()) == estimate(shuffled, UNITS, FeeSettings())


def test_what_is_old_counts_for_less() -> None:
    settings = FeeSettings(
        percentile=50, half_life_slots=1, congestion_gain=0, micro_lamports_min=0
    )
    assert estimate(constructed(900, 900, 900, 10), UNITS, settings).price == 10
    assert estimate(constructed(10, 10, 10, 900), UNITS, settings).price == 900
    assert estimate(constructed(900, 900, 900, 10), UNITS, EVEN).price == 900


def test_congestion_raises_it() -> None:
    settings = FeeSettings(
        percentile=75, half_life_slots=1e9, congestion_gain=0.5, micro_lamports_min=0
    )
    assert estimate(constructed(1_000, 0, 0, 0), UNITS, settings).price == 1_125
    assert estimate(constructed(1_000, 1_000), UNITS, settings).price == 1_500


def test_floor_cap_and_a_providers_own_word() -> None:
    settings = FeeSettings(micro_lamports_min=50, micro_lamports_max=400, congestion_gain=0)
    assert estimate(constructed(1), UNITS, settings).price == 50
    assert estimate(constructed(10_000), UNITS, settings).price == 400
    assert estimate(constructed(1), UNITS, settings, of_provider=123).price == 123
    assert estimate([], UNITS, settings, of_provider=10**9).price == 400


def test_what_it_costs() -> None:
    settings = FeeSettings(micro_lamports_min=0, congestion_gain=0, tip_lamports=20_000)
    found = estimate(constructed(12_345), 100_001, settings, signatures=2)
    assert found.priority_lamports == 1_235  # 1,234.51 rounded up
    assert (found.tip_lamports, found.lamports) == (0, 11_235)
    tipped = estimate(constructed(12_345), 100_001, settings, signatures=2, tip=True)
    assert (tipped.tip_lamports, tipped.lamports) == (20_000, 31_235)
    assert tipped.in_quote(150.0) == pytest.approx(31_235e-9 * 150)


def test_a_route_offers_what_its_dearest_pool_takes_and_the_floor_is_said() -> None:
    settings = FeeSettings(micro_lamports_min=500, tip_lamports=7, heard_s_max=10)
    cheap, dear, old = (
        HeardPrice(600, 9, 10**10),
        HeardPrice(900, 9, 10**10),
        HeardPrice(10**6, 9, 1),
    )
    found = offered([cheap, None, dear, old], 1_000_000, settings, 10**10 + 2)
    assert (found.price, found.lamports, found.heard) == (900, 5_000 + 900 + 7, False)
    assert offered([cheap, dear], 1_000_000, settings, 10**10 + 2).heard, "of all of them"
    for one in (None, old):
        assert not offered([cheap, one], 1_000_000, settings, 10**10 + 2).heard
    for nothing in ([], [None], [old]):
        floor = offered(nothing, 1_000_000, settings, 10**10 + 2)
        assert (floor.price, floor.lamports, floor.heard) == (500, 5_000 + 500 + 7, False)
    assert not estimate([], UNITS, settings).heard
    assert estimate([], UNITS, settings, of_provider=600).heard


def test_compute_units_by_route() -> None:
    one = units_of([keys.RAYDIUM_V4])
    assert one == 69_000  # (25,000 + 35,000) and 15 in 100
    assert units_of(["raydium-v4"]) == one
    assert units_of([keys.RAYDIUM_V4, keys.RAYDIUM_CLMM]) == 195_500
    assert units_of(["unknown"]) > one
    assert units_of([keys.RAYDIUM_CLMM] * 99) == UNITS_MAX


def test_requests_and_answers() -> None:
    assert ask_recent(["a"]) == ("getRecentPrioritizationFees", [["a"]])
    assert ask_recent(["a"], 75.5)[1] == [["a"], {"percentile": 7_550}]  # Triton's, in 1/10,000
    said = b'[{"slot": 7, "prioritizationFee": 0}, {"prioritizationFee": 5, "slot": 6}]'
    assert read_recent(said) == [RecentFee(7, 0), RecentFee(6, 5)]
    method, (params,) = ask_helius(["a", "b"])
    assert (method, params["accountKeys"]) == ("getPriorityFeeEstimate", ["a", "b"])
    levels = b'{"priorityFeeLevels": {"min": 0.0, "medium": 1000.4, "high": 5e4}}'
    assert (read_helius(levels), read_helius(levels, "high")) == (1_000, 50_000)
    assert read_helius(b'{"priorityFeeEstimate": 120000.0}') == 120_000


WRONG: list[tuple[Callable[[bytes], object], bytes, str]] = [
    (read_recent, b"", "not what a fee call answers"),
    (read_recent, b"null", "not what a fee call answers"),
    (read_recent, b'[{"slot": 1}]', "not what a fee call answers"),
    (read_recent, b'[{"slot": 1, "prioritizationFee": -1}]', ">= 0"),
    (read_recent, b'[{"slot": -1, "prioritizationFee": 1}]', ">= 0"),
    (read_recent, b'[{"slot": 1, "prioritizationFee": %d}]' % 2**63, "not what a fee call answers"),
    (read_recent, b'[{"slot": 1, "prioritizationFee": 1%s}]' % (b"0" * 400), "not what a fee"),
    (read_recent, b'[{"slot": 1%s, "prioritizationFee": 1}]' % (b"0" * 400), "not what a fee"),
    (read_recent, b'[{"slot": 1.0, "prioritizationFee": 1}]', "not what a fee call answers"),
    (read_recent, b'[{"slot": 1, "prioritizationFee": true}]', "not what a fee call answers"),
    (read_recent, b'[{"slot": 1, "prioritizationFee": null}]', "not what a fee call answers"),
    (read_recent, b"[null]", "not what a fee call answers"),
    (read_recent, b"{}", "not what a fee call answers"),
    (read_recent, b'"\xff"', "not what a fee call answers"),
    (read_recent, b'[{"slot": 1, "prioritizationFee": "1"}]', "not what a fee call answers"),
    (read_helius, b"{}", "no fee of this level"),
    (read_helius, b'{"priorityFeeLevels": {"low": 1.0}}', "no fee of this level"),
    (read_helius, b'{"priorityFeeEstimate": -1.0}', "no fee of this level"),
    (read_helius, b'{"priorityFeeEstimate": 1e300}', "no fee of this level"),
    (read_helius, b'{"priorityFeeEstimate": 1e400}', "not what a fee call answers"),
    (read_helius, b'{"priorityFeeEstimate": null}', "no fee of this level"),
    (read_helius, b'{"priorityFeeEstimate": "7"}', "not what a fee call answers"),
    (read_helius, b'{"priorityFeeLevels": {"medium": null}}', "not what a fee call answers"),
    (read_helius, b"null", "not what a fee call answers"),
    (read_helius, b"[]", "not what a fee call answers"),
]


@pytest.mark.parametrize("number", range(len(WRONG)))
def test_wrong_answers(number: int) -> None:
    read, said, why = WRONG[number]
    with pytest.raises(BadMessage, match=why):
        read(said)


def test_the_largest_prices_and_slots_are_offered_as_the_cap() -> None:
    said = b'[{"slot": %d, "prioritizationFee": %d}, {"slot": 0, "prioritizationFee": 1}]'
    dear = read_recent(said % (2**63 - 1, 2**63 - 1))
    assert estimate(dear, UNITS, FeeSettings()).price == FeeSettings().micro_lamports_max
    unpaid = read_recent(said % (2**63 - 1, 0))  # beside which the other weighs nothing
    assert estimate(unpaid, UNITS, FeeSettings()).price == FeeSettings().micro_lamports_min


@pytest.mark.parametrize(("units", "signatures"), [(0, 1), (-1, 1), (UNITS_MAX + 1, 1), (1, 0)])
def test_units_that_no_transaction_has(units: int, signatures: int) -> None:
    with pytest.raises(ValueError, match="1 to"):
        estimate([], units, FeeSettings(), signatures=signatures)


@pytest.mark.parametrize("count", [0, ACCOUNTS_MAX + 1])
def test_more_accounts_than_a_request_names(count: int) -> None:
    for ask in (ask_recent, ask_helius):
        with pytest.raises(ValueError, match="1 to 128 accounts"):
            ask(["a"] * count)
