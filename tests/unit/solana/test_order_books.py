"""Phoenix, Serum and OpenBook: recorded bytes where there are any, and books of our own numbers."""

import base64
import json
from fractions import Fraction
from math import ceil, floor
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pool_accounts import key, mint, openbook, openbook_side, phoenix
from solana_data import SOLANA, needs_data, read

from spread_scanner.solana import (
    PoolQuote,
    PoolReason,
    PoolRefusal,
    assemble,
    decode,
    keys,
    price,
    quote,
)
from spread_scanner.solana.openbook import (
    OpenBookMarket,
    OpenOrders,
    SlabSide,
    slab,
)
from spread_scanner.solana.order_books import MarketOrder, MarketUnits, OrderBookPool
from spread_scanner.solana.phoenix import PhoenixMarket
from spread_scanner.solana.tokens import USDC, WSOL, TokenMint

NOW_TS, SLOT = 1_790_000_000, 453_868_631
MARKET, BIDS, ASKS = key("market"), key("bids"), key("asks")


def text(name: str) -> str:
    return (SOLANA / "serum_openbook" / name).read_text().strip()


@needs_data
def test_recorded_serum_accounts() -> None:
    market = decode(keys.SERUM_V3, base64.b64decode(text("market_v2.b64")))
    assert isinstance(market, OpenBookMarket)
    assert market.event_queue == "13iGJcA4w5hcJZDjJbJQor1zUiDLE4jv2rMW9HkD5Eo1"
    assert market.mints[1] == USDC

    side = decode(keys.SERUM_V3, base64.b64decode(text("pyserum_ask_order_binary.b64")))
    assert isinstance(side, SlabSide)
    assert not side.is_bids
    assert len(side.orders) == 15
    assert [order.key for order in side.orders] == sorted(order.key for order in side.orders)

    small = {order.key: order for order in slab(bytes.fromhex(text("pyserum_slab.hex")))}
    assert len(small) == 4
    assert small[123456789012345678901234567890].owner_slot == 1

    raw = bytes.fromhex(text("serum-open-orders-new.hex"))
    found, said = decode(keys.SERUM_V3, raw), json.loads(text("serum-open-orders-new.json"))
    assert isinstance(found, OpenOrders)
    assert (found.market, found.owner) == (said["Market"], said["Owner"])
    assert [found.base_free, found.base_total, found.quote_free, found.quote_total] == [
        int(said[f"Native{of}Token{part}"])
        for of in ("Base", "Quote")
        for part in ("Free", "Total")
    ]
    order = said["Orders"][20]["Hi"] << 64 | said["Orders"][20]["Lo"]
    assert order in found.bids
    assert order >> 64 == 2_112
    for name in ("mango_account1_openorders3", "mango_account5_openorders2"):
        row = read(f"serum_openbook/{name}.json")
        assert isinstance(decode(keys.SERUM_V3, base64.b64decode(row["data"][0])), OpenOrders)


@needs_data
def test_a_recorded_fill_of_phoenix_comes_out_the_same() -> None:
    """In that market a tick is one quote lot for a base lot; the fee of 5 bps is rounded up."""
    header, summary = None, None
    for event in read("phoenix/log_events.json")[0]["decoded"]["events"]:
        if event["type"] == "Fill":
            header = event
        else:
            summary = event
    assert header is not None
    assert summary is not None
    bid = MarketOrder(
        header["price_in_ticks"], header["base_lots_filled"] + header["base_lots_remaining"]
    )
    mints = (TokenMint(9, 0), TokenMint(6, 0))
    book = OrderBookPool((WSOL, USDC), mints, MarketUnits(1, 1, 1, 1, 5), [bid], [])
    found = book.swap(True, summary["total_base_lots_filled"], True, NOW_TS)
    assert found.amount_out == summary["total_quote_lots_filled"]
    assert found.fee == summary["total_fee_in_quote_lots"]


BOOK: dict[str, Any] = {
    "bids": [(99_000, 50), (98_000, 100)],
    "asks": [(100_000, 40), (101_000, 100)],
}


def phoenix_accounts(**more: Any) -> dict[str, Any]:
    return {MARKET: phoenix(mints=(WSOL, USDC), **BOOK | more)}


def openbook_accounts(**more: Any) -> dict[str, Any]:
    fields: Any = {"mints": (WSOL, USDC), "bids": BIDS, "asks": ASKS}
    return {
        MARKET: openbook(**fields | more),
        BIDS: openbook_side(1 << 5, sorted(BOOK["bids"])),
        ASKS: openbook_side(1 << 6, BOOK["asks"]),
    }


def test_phoenix_numbers_of_our_own() -> None:
    """A base lot is 0.001 SOL, a tick 0.001 USDC a SOL: 50 lots at 99 are 4.95 USDC."""
    accounts = phoenix_accounts()
    market = decode(*accounts[MARKET])
    assert isinstance(market, PhoenixMarket)
    assert market.bids == (MarketOrder(99_000, 50), MarketOrder(98_000, 100))
    assert price(MARKET, accounts) == 99.5
    asked = (MARKET, accounts, WSOL)
    sold = quote(*asked, 60_500_000, unix_ts=NOW_TS, slot=SLOT)
    assert sold == PoolQuote(60_000_000, 5_927_035, 2_965, False, 0, 0, 2)
    gives = quote(*asked, 5_927_035, exact="out", unix_ts=NOW_TS, slot=SLOT)
    assert gives == sold
    bought = quote(MARKET, accounts, USDC, 40_000_000, exact="out", unix_ts=NOW_TS, slot=SLOT)
    assert bought == PoolQuote(4_002_000, 40_000_000, 2_000, True, 0, 0, 1)
    again = quote(MARKET, accounts, USDC, 4_002_000, unix_ts=NOW_TS, slot=SLOT)
    assert again == bought


def test_orders_that_have_expired_are_skipped() -> None:
    bids = [(99_000, 50, SLOT - 1), (98_500, 50, 0, NOW_TS - 1), (98_000, 50, SLOT, NOW_TS)]
    found = quote(
        *(MARKET, phoenix_accounts(bids=bids, taker_bps=0), WSOL, 1_000_000),
        unix_ts=NOW_TS,
        slot=SLOT,
    )
    assert found.amount_out == 98_000


def test_a_price_knows_when_orders_expire_if_it_is_told_when() -> None:
    accounts = phoenix_accounts(bids=[(99_900, 50, SLOT - 1), (99_000, 50)])
    assert price(MARKET, accounts, unix_ts=NOW_TS, slot=SLOT) == 99.5
    assert price(MARKET, accounts) == 99.95
    gone = phoenix_accounts(asks=[(100_000, 40, 0, NOW_TS - 1)])
    with pytest.raises(PoolRefusal) as refused:
        price(MARKET, gone, unix_ts=NOW_TS, slot=SLOT)
    assert refused.value.reason is PoolReason.TOO_MUCH


def test_what_is_bought_costs_a_quote_lot_for_a_part_of_one() -> None:
    """Three base lots at 100.001 ticks of 1,000 for 1,000 base lots: 300.003 quote lots."""
    units = MarketUnits(1, 1, 1, 1_000, 0)
    mints = (TokenMint(0, 0), TokenMint(0, 0))
    book = OrderBookPool((WSOL, USDC), mints, units, [], [MarketOrder(100_001, 50)])
    for amount, by_input in ((3, False), (301, True)):
        found = book.swap(False, amount, by_input, NOW_TS)
        assert (found.amount_in, found.amount_out) == (301, 3)
    with pytest.raises(PoolRefusal):
        book.swap(False, 100, True, NOW_TS)


def test_what_a_book_leaves_pays_no_transfer_fee() -> None:
    """Of 1.99 lots one is sold: 1,000,000 arrive of the 1,010,102 that are sent."""
    coin = key("coin")
    accounts = openbook_accounts(mints=(coin, USDC))
    accounts[coin] = mint(9, fees=((0, 10**12, 100),) * 2)
    found = quote(MARKET, accounts, coin, 1_990_000, unix_ts=NOW_TS, slot=SLOT)
    assert found == PoolQuote(1_010_102, 99_000, 0, False, 10_102, 0, 1)
    whole = quote(MARKET, accounts, coin, 1_010_102, unix_ts=NOW_TS, slot=SLOT)
    assert whole == found


def test_openbook_numbers_of_our_own() -> None:
    accounts = openbook_accounts()
    assert price(MARKET, accounts) == 99_500 / 1_000
    asked = (MARKET, accounts, WSOL)
    sold = quote(*asked, 60_500_000, unix_ts=NOW_TS, slot=SLOT)
    assert sold == PoolQuote(60_000_000, 5_930_000, 0, False, 0, 0, 2)
    bought = quote(MARKET, accounts, USDC, 4_101_000, unix_ts=NOW_TS, slot=SLOT)
    assert bought == PoolQuote(4_101_000, 41_000_000, 0, True, 0, 0, 2)


MILLION = st.integers(1, 10**6)


@settings(max_examples=40)
@given(
    orders=st.lists(
        st.tuples(st.integers(1, 10**6), st.integers(1, 10**6)), min_size=1, max_size=6
    ),
    amount=st.integers(1, 10**12),
    bps=st.integers(0, 100),
    scale=st.integers(1, 1_000),
)
def test_selling_is_the_exact_sum(
    orders: list[tuple[int, int]], amount: int, bps: int, scale: int
) -> None:
    units = MarketUnits(10, 3, 7, scale, bps)
    resting = [MarketOrder(*order) for order in orders]
    mints = (TokenMint(0, 0), TokenMint(0, 0))
    book = OrderBookPool((WSOL, USDC), mints, units, resting, [])
    left, value = amount // 10, Fraction(0)
    for ticks, lots in sorted(orders, reverse=True):
        taken = min(lots, left)
        left, value = left - taken, value + Fraction(ticks * 7 * taken, scale)
    net = floor(value) - ceil(Fraction(floor(value) * bps, 10_000))
    if left or net <= 0 or amount < 10:
        with pytest.raises(PoolRefusal):
            book.swap(True, amount, True, NOW_TS)
        return
    found = book.swap(True, amount, True, NOW_TS)
    assert (found.amount_in, found.amount_out) == (amount // 10 * 10, net * 3)
    assert found.amount_out <= book.reserves()[1]
    back = book.swap(True, found.amount_out, False, NOW_TS)
    assert back.amount_out >= found.amount_out
    assert back.amount_in <= found.amount_in


@pytest.mark.parametrize(
    ("accounts", "amount", "reason"),
    [
        (phoenix_accounts(status=3), 10**6, PoolReason.CLOSED),
        (phoenix_accounts(bids=[]), 10**6, PoolReason.TOO_MUCH),
        (phoenix_accounts(), 10**12, PoolReason.TOO_MUCH),
        (phoenix_accounts(), 999_999, PoolReason.TOO_SMALL),
        (phoenix_accounts(tick=0), 10**6, PoolReason.BAD_VALUE),
        (phoenix_accounts(taker_bps=10_000), 10**6, PoolReason.BAD_VALUE),
        (phoenix_accounts(bids=[(0, 10)]), 10**6, PoolReason.BAD_VALUE),
        (phoenix_accounts(decimals=(256, 6)), 10**6, PoolReason.BAD_VALUE),
        (phoenix_accounts(decimals=(9, 2**32 - 1)), 10**6, PoolReason.BAD_VALUE),
        (phoenix_accounts(bids=[(2**63, 2**63)], tick=1_000), 10**18, PoolReason.TOO_MUCH),
        ({MARKET: (keys.PHOENIX, phoenix_accounts()[MARKET][1][:-1])}, 1, PoolReason.WRONG_LENGTH),
        ({MARKET: (keys.PHOENIX, b"\0" * 2_000)}, 1, PoolReason.WRONG_KIND),
        ({MARKET: openbook_accounts()[MARKET]}, 10**6, PoolReason.MISSING),
        (openbook_accounts(flags=0x83), 10**6, PoolReason.CLOSED),
        (openbook_accounts(steps=(0, 1)), 10**6, PoolReason.BAD_VALUE),
        (openbook_accounts(fee_bps=10_000), 10**6, PoolReason.BAD_VALUE),
        (openbook_accounts(fee_bps=20_000), 10**6, PoolReason.BAD_VALUE),
        (
            openbook_accounts() | {BIDS: openbook_side(1 << 5, [(0, 10)])},
            10**6,
            PoolReason.BAD_VALUE,
        ),
        (openbook_accounts(flags=1), 10**6, PoolReason.WRONG_KIND),
        (openbook_accounts() | {BIDS: openbook_side(1 << 6, [])}, 1, PoolReason.WRONG_KIND),
        (openbook_accounts() | {BIDS: (keys.PHOENIX, b"")}, 1, PoolReason.WRONG_OWNER),
        (openbook_accounts() | {MARKET: openbook_side(1 << 5, [])}, 1, PoolReason.WRONG_KIND),
    ],
)
def test_is_refused_with_the_reason(
    accounts: dict[str, Any], amount: int, reason: PoolReason
) -> None:
    with pytest.raises(PoolRefusal) as refused:
        quote(MARKET, accounts, WSOL, amount, unix_ts=NOW_TS, slot=SLOT)
    assert refused.value.reason is reason


def test_trees_that_go_in_circles_or_astray_are_refused() -> None:
    owner, data = phoenix_accounts()[MARKET]
    for node in (1, 99):  # its own left-hand neighbour, or none that there is
        wrong = data[: 880 + 32] + bytes([node, 0, 0, 0]) + data[880 + 36 :]
        with pytest.raises(PoolRefusal):
            decode(owner, wrong)
    owner, data = openbook_accounts()[BIDS]
    for child in (0, 99):
        wrong = data[: 45 + 24] + bytes([child, 0, 0, 0]) + data[45 + 28 :]
        with pytest.raises(PoolRefusal):
            decode(owner, wrong)
    for leaves in (1, 3):  # of which there are two
        wrong = data[: 13 + 24] + bytes([leaves, 0, 0, 0]) + data[13 + 28 :]
        with pytest.raises(PoolRefusal):
            decode(owner, wrong)
    assert isinstance(assemble(MARKET, openbook_accounts()), OrderBookPool)


def test_a_price_that_no_number_holds_is_refused() -> None:
    most = 2**64 - 1
    accounts = phoenix_accounts(
        bids=[(most, 1)], asks=[(most, 1)], tick=most, steps=(1, most), scale=1, decimals=(255, 0)
    )
    with pytest.raises(PoolRefusal) as refused:
        price(MARKET, accounts)
    assert refused.value.reason is PoolReason.BAD_VALUE
