"""Prices as bots ask for them: what stands in them, which are there, when they are written anew."""

from typing import Any

import msgspec
import pytest

from spread_scanner.clock import NS_PER_MS
from spread_scanner.gateway.prices import PricesAsText
from spread_scanner.schema.enums import EXCHANGE_SOURCES, SOURCE_BY_LABEL
from spread_scanner.shm import PriceStore
from spread_scanner.symbology import tables
from spread_scanner.view.arbitrage import Arbitrages, scan
from spread_scanner.view.prices import EXACT, SPOT_LIKE, Price, PriceBoard, UnknownPair

SPOT, OTHER = SOURCE_BY_LABEL["binance-spot"], SOURCE_BY_LABEL["okx-spot"]


@pytest.fixture
def board(listed_bed: Any) -> Any:
    with PriceStore.attach(listed_bed.namespace) as store:
        loaded = tables.load(listed_bed.settings.generated_dir)
        yield PriceBoard(listed_bed.settings, loaded, store)


def arbitrages(board: PriceBoard, threshold_pct: float) -> Arbitrages:
    return scan(board, [], 1_000.0, threshold_pct)


def told(text: PricesAsText, pair: str = "") -> list[Price]:
    body, _ = text.body_of_pair(pair) if pair else text.body(SPOT_LIKE)
    return msgspec.json.decode(body, type=list[Price])


def ageless(prices: list[Price]) -> list[Price]:
    return [msgspec.structs.replace(one, age_ms=0) for one in prices]


of_all_or_one = pytest.mark.parametrize("pair", ["", "AAA/USDT"])


def test_what_is_told_is_the_record_of_each_price(board: PriceBoard, listed_bed: Any) -> None:
    text = PricesAsText(board)
    assert told(text) == []
    for step in range(1, 4):
        listed_bed.quote(SPOT.source_id, step % 3, 99.0 + step, 100.0 + step)
        listed_bed.quote(OTHER.source_id, 1, 99.5, 100.5)
        assert ageless(told(text)) == ageless(board.prices(SPOT_LIKE))
    assert ageless(told(text, "BBB/USDT")) == ageless(board.prices(SPOT_LIKE, "BBB/USDT"))
    assert {one.pair for one in told(text, "BBB/USDT")} == {"BBB/USDT"}


def test_a_price_says_what_the_book_s_top_holds(board: PriceBoard, listed_bed: Any) -> None:
    listed_bed.quote(SPOT.source_id, 0, 2.0, 4.0)
    (price,) = board.prices([SPOT])
    assert (price.pool_id, price.dex_name, price.pair) == (
        "binance-spot:AAAUSDT",
        "binance",
        "AAA/USDT",
    )
    assert price.price == 3.0
    assert price.base_reserve == 10 * 10**price.base_decimals
    assert price.quote_reserve == 20 * 10**price.quote_decimals
    assert price.base_reserve_raw is msgspec.UNSET


def test_a_reserve_that_a_number_cannot_hold_is_told_in_digits(
    board: PriceBoard, listed_bed: Any
) -> None:
    listed_bed.quote(SPOT.source_id, 0, 1e8, 2e8)
    (price,) = board.prices([SPOT])
    assert price.quote_reserve > EXACT
    assert price.quote_reserve_raw == str(price.quote_reserve) == str(10 * 10**8 * 10**8)


@of_all_or_one
def test_a_quote_is_written_out_again_only_when_it_changed(
    pair: str, board: PriceBoard, listed_bed: Any
) -> None:
    text = PricesAsText(board)
    listed_bed.quote(SPOT.source_id, 0, 99.0, 100.0)
    listed_bed.quote(OTHER.source_id, 0, 99.0, 100.0)
    told(text, pair)
    told(text, pair)
    assert text.encoded == 2
    with (
        PriceStore.attach(listed_bed.namespace) as store,
        store.writer(OTHER.source_id) as writer,
    ):
        now_ns = store.clock.now_ns()
        writer.write(0, 98.0, 1.0, 99.0, 1.0, now_ns, now_ns, 2)
        writer.heartbeat(now_ns - store.clock.anchor_ns)
        assert [one.bid_px for one in told(text, pair)] == [99.0, 98.0]
        assert text.encoded == 3


@of_all_or_one
def test_what_cannot_be_stood_behind_is_no_price(
    pair: str, virtual_clock: Any, board: PriceBoard, listed_bed: Any
) -> None:
    virtual_clock.advance_ms(1_000)
    text = PricesAsText(board)
    listed_bed.quote(SPOT.source_id, 0, 99.0, 100.0)
    assert len(told(text, pair)) == 1
    virtual_clock.advance_ms(listed_bed.settings.config.system.heartbeat_ms_max + 1)
    assert told(text, pair) == []  # its feed beats no more
    assert text.served(SPOT_LIKE) == (0, set())
    with (
        PriceStore.attach(listed_bed.namespace) as store,
        store.writer(SPOT.source_id) as successor,
    ):
        successor.heartbeat(store.clock.now_ns() - store.clock.anchor_ns)
        assert told(text, pair) == []  # of its predecessor
        now_ns = store.clock.now_ns()
        successor.write(0, 98.0, 1.0, 99.0, 1.0, now_ns, now_ns, 2)
        assert len(told(text, pair)) == 1
        virtual_clock.advance_ms(listed_bed.settings.config.spread_engine.stale_ms_max + 1)
        successor.heartbeat(store.clock.now_ns() - store.clock.anchor_ns)
        assert told(text, pair) == []  # too old


@of_all_or_one
def test_an_etag_stays_while_nothing_is_written_comes_or_goes(
    pair: str, virtual_clock: Any, board: PriceBoard, listed_bed: Any
) -> None:
    text = PricesAsText(board)

    def tag() -> bytes:
        return (text.body_of_pair(pair) if pair else text.body(SPOT_LIKE))[1]

    tags = [tag()]
    for _ in range(2):
        virtual_clock.advance_ms(1_000)
        listed_bed.quote(SPOT.source_id, 0, 99.0, 100.0)
        virtual_clock.advance_ms(1)
        tags.append(tag())
        virtual_clock.advance_ms(1)
        assert tag() == tags[-1]
    virtual_clock.advance_ms(listed_bed.settings.config.system.heartbeat_ms_max + 1)
    tags.append(tag())
    assert len(set(tags)) == 4


@of_all_or_one
def test_ages_go_on_while_the_text_stays(
    pair: str, virtual_clock: Any, board: PriceBoard, listed_bed: Any
) -> None:
    virtual_clock.advance_ms(1_000)
    text = PricesAsText(board)
    listed_bed.quote(SPOT.source_id, 0, 99.0, 100.0)
    first = told(text, pair)[0].age_ms
    virtual_clock.advance_ns(7 * NS_PER_MS)
    assert told(text, pair)[0].age_ms == first + 7
    assert text.encoded == 1


@pytest.mark.parametrize("written", ["AAA/USDT", "aaa/usdt", "AAA-USDT", "aaa-usdt"])
def test_a_pair_is_known_however_it_is_written(board: PriceBoard, written: str) -> None:
    assert board.named(written) == "AAA/USDT"


@pytest.mark.parametrize("written", ["", "/", "-", "AAA", "AAA/", "AAA/USDT/", "AAA_USDT", "ÄÄÄ/ß"])
def test_a_pair_that_nobody_lists_is_none(board: PriceBoard, written: str) -> None:
    with pytest.raises(UnknownPair):
        board.named(written)


def test_an_arbitrage_is_what_both_tops_and_fees_leave(board: PriceBoard, listed_bed: Any) -> None:
    listed_bed.quote(SPOT.source_id, 0, 99.0, 100.0)
    listed_bed.quote(OTHER.source_id, 0, 102.0, 103.0)
    (found,) = arbitrages(board, 0.3).opportunities
    assert (found.pool_a_dex, found.pool_b_dex) == ("binance", "okx")
    assert found.price_diff_pct == pytest.approx(2.0)
    assert found.estimated_profit_pct == pytest.approx(2.0 - 0.05 - 0.051)  # 5 bps each
    assert found.size_base == 10.0
    assert found.profit_quote == pytest.approx(10.0 * (102.0 * 0.9995 - 100.0 * 1.0005))
    assert arbitrages(board, 2.5).count == 0


def test_two_coins_of_one_name_are_no_arbitrage(board: PriceBoard, listed_bed: Any) -> None:
    listed_bed.quote(SPOT.source_id, 0, 99.0, 100.0)
    listed_bed.quote(OTHER.source_id, 0, 150.0, 151.0)
    assert arbitrages(board, 0.3).count == 0


def test_perpetuals_are_no_spot(board: PriceBoard, listed_bed: Any) -> None:
    futures = [source for source in EXCHANGE_SOURCES if source not in SPOT_LIKE]
    for source in futures:
        listed_bed.quote(source.source_id, 0, 99.0, 100.0)
    assert board.prices(SPOT_LIKE) == []
    assert len(board.prices(futures)) == 4
