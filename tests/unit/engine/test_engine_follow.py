"""What both order books of a pair carry follows on its signal, once they are there."""

from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np
import pytest
from engine_bed import MAX_SYMBOLS, Bed, Rules, settings, tables

from spread_scanner.clock import NS_PER_MS, NS_PER_S
from spread_scanner.config import Books, Settings
from spread_scanner.schema.books import BOOK_DTYPE, BookFlag, BookLevels
from spread_scanner.schema.enums import DIRECTIONS, SignalKind, SwitchKind
from spread_scanner.schema.ladder import PairBooks, Terms, carried, rung
from spread_scanner.schema.records import (
    FOLLOW_UP_BOUNDED,
    FOLLOW_UP_DTYPE,
    FOLLOW_UP_TOP_DISAGREES,
    SIGNAL_AGED,
    signals_apart,
)
from spread_scanner.shm.books import BookStore
from spread_scanner.symbology.tables import Tables
from spread_scanner.view.depth import TOP_QUOTE

DIRECTION = DIRECTIONS[0]
SPOT_ID, FUT_ID = DIRECTION.spot.source_id, DIRECTION.futures.source_id
ENTER, RESIGNAL, EXIT, BOOK = map(int, SignalKind)
SIZES = [100.0, 1_000.0, 3_333.3]
SOON_MS = 20.0  # a sweep or two


class Books2:
    """The books of both legs, and who writes them."""

    def __init__(self, held: BookStore) -> None:
        self.held = held
        self.writers = {one: held.writer(one) for one in (SPOT_ID, FUT_ID)}

    def put(
        self, bed: Bed, source_id: int, levels: tuple[BookLevels, BookLevels], **fields: Any
    ) -> None:
        bids, asks = levels
        record = np.zeros(1, BOOK_DTYPE)
        record["source_id"], record["symbol_id"] = source_id, fields.pop("symbol_id", 0)
        record["ts_recv"], record["update_id"] = bed.session_ns, 77 + source_id
        record["bids"] = record["asks"] = np.nan
        record["bid_count"], record["ask_count"] = len(bids), len(asks)
        record["bids"][0, : len(bids)], record["asks"][0, : len(asks)] = bids, asks
        for name, value in fields.items():
            record[name] = value
        writer = self.writers[source_id]
        writer.take(int(record["symbol_id"][0]))
        writer.publish(record)


def sides(bid_px: float, ask_px: float, sz: float = 8.0) -> tuple[BookLevels, BookLevels]:
    """Three levels a side, half a unit apart, the deeper the larger."""
    steps, sizes = np.arange(3) * 0.5, sz * (1 + np.arange(3))
    return np.column_stack([bid_px - steps, sizes]), np.column_stack([ask_px + steps, sizes])


SPOT, FUT = sides(99.0, 100.0), sides(103.0, 104.0)


def having(given: Settings, **books: Any) -> Settings:
    chosen = Books(**({"sizes_quote": SIZES} | books))
    config = msgspec.structs.replace(given.config, books=chosen)
    return msgspec.structs.replace(given, config=config)


@pytest.fixture
def books(namespace: str) -> Iterator[Books2]:
    with BookStore.create(namespace, max_symbols=MAX_SYMBOLS, slots=4) as held:
        made = Books2(held)
        yield made
        for writer in made.writers.values():
            writer.close()


@pytest.fixture
def bed(namespace: str, books: Books2) -> Iterator[Bed]:
    with Bed(namespace, having(settings({"enter_bps": 20.0}))) as made:
        yield made


def followed(bed: Bed, ms: float = SOON_MS) -> np.ndarray:
    return signals_apart(bed.step(ms))[1]


def test_both_books_follow_once_by_the_one_definition(bed: Bed, books: Books2) -> None:
    bed.spread(0.0)
    bed.step(1)  # what was never read before is a backlog
    bed.spread(300.0)
    (signal,) = bed.step(1)
    assert len(followed(bed)) == 0, "there is no book"
    books.put(bed, SPOT_ID, SPOT)
    assert len(followed(bed)) == 0, "one is none"
    books.put(bed, FUT_ID, FUT)
    (told,) = followed(bed)
    assert told["mono_ns"] == bed.now_ns
    assert len(followed(bed)) == 0, "once"
    assert (told["seq"], told["of_seq"], told["kind"]) == (1, signal["seq"], BOOK)
    for name in ("symbol_id", "direction_id", "generation", "instance", "usual_generation"):
        assert told[name] == signal[name], name
    assert told["ts_engine"] - told["mono_ns"] == signal["ts_engine"] - signal["mono_ns"]
    assert (told["spot_update_id"], told["fut_update_id"]) == (77 + SPOT_ID, 77 + FUT_ID)
    assert told["flags"] == signal["flags"] | SIGNAL_AGED | FOLLOW_UP_BOUNDED
    both = PairBooks(*SPOT, *FUT)
    terms = Terms(float(signal["close_bps"]), 0.0, 0.0, 20.0, 0.0)
    expected = carried(both, terms)
    assert (told["size_base"], told["size_quote"]) == (expected.size_base, expected.size_base * 100)
    assert told["net_bps"] == rung(both, terms, TOP_QUOTE / 100.0).net_bps
    assert (told["enter_bps"], told["close_bps"]) == (20.0, terms.close_bps)
    for place, size in enumerate(SIZES):
        right = np.array(rung(both, terms, size / 100.0)[:3], np.float32)
        one = told["rungs"][place]
        assert one["size_quote"] == np.float32(size)
        np.testing.assert_array_equal(
            [one[name] for name in ("buy_px", "sell_px", "net_bps")], right
        )
    assert np.isnan(told["rungs"]["size_quote"][len(SIZES) :]).all()
    assert (bed.count("signals_book"), bed.count("books_missed"), bed.count("signals")) == (1, 0, 2)
    assert bed.health.read("spread-engine").latencies["recv_to_signal"].total == 1


def test_each_enter_and_resignal_is_followed_and_an_exit_is_not(bed: Bed, books: Books2) -> None:
    bed.spread(300.0)
    bed.step()
    bed.spread(400.0)
    bed.step(1)
    books.put(bed, SPOT_ID, SPOT)
    books.put(bed, FUT_ID, FUT)
    assert sorted(followed(bed)["of_seq"].tolist()) == [0, 1]
    bed.spread(-300.0)
    assert bed.kinds(1) == [EXIT]
    for _ in range(12):
        bed.beat()
        assert len(bed.step(1_000)) == 0
    assert bed.count("books_missed") == 0


def test_a_signal_whose_spread_left_and_came_back_is_missed(bed: Bed, books: Books2) -> None:
    """What the books carry now is of the spread that came back, whose signal is another."""
    bed.spread(300.0)
    bed.engine.loop.step(bed.now_ns)
    for spread_bps in (-300.0, 300.0):  # before anybody looks whether the first stands
        bed.now_ns += 1
        bed.spread(spread_bps)
        bed.engine.loop.step(bed.now_ns)
    assert bed.consumer.pop_many(9)["kind"].tolist() == [ENTER, EXIT, ENTER]
    books.put(bed, SPOT_ID, SPOT)
    books.put(bed, FUT_ID, FUT)
    assert followed(bed)["of_seq"].tolist() == [2]
    assert (bed.count("signals_book"), bed.count("books_missed")) == (1, 1)


@pytest.mark.parametrize(
    ("fields", "follows"),
    [
        ({}, True),
        ({"flags": int(BookFlag.STALE)}, False),
        ({"flags": int(BookFlag.RESYNCING)}, False),
        ({"flags": int(BookFlag.TOP_DISAGREES)}, True),
        ({"flags": int(BookFlag.PARTIAL)}, True),
        ({"older_ms": 5.0}, True),  # its tops are those of the quote
        ({"older_ms": 5.0, "apart": 0.5}, False),
        ({"older_ms": -5.0, "apart": 0.5}, True),
    ],
)
def test_a_book_counts_that_can_be_stood_behind_and_is_of_the_signals_time(
    bed: Bed, books: Books2, fields: dict[str, Any], follows: bool
) -> None:
    older_ms, apart = fields.pop("older_ms", -5.0), fields.pop("apart", 0.0)
    bed.spread(300.0)
    bed.step()
    recv_ns = bed.session_ns - int(older_ms * NS_PER_MS)
    bed.now_ns += 10 * NS_PER_MS
    books.put(bed, SPOT_ID, sides(99.0 - apart, 100.0), ts_recv=recv_ns, **fields)
    books.put(bed, FUT_ID, FUT)
    found = followed(bed)
    assert (len(found) == 1) == follows
    if follows and fields.get("flags") == BookFlag.TOP_DISAGREES:
        assert found["flags"][0] & FOLLOW_UP_TOP_DISAGREES


def test_what_no_feed_stands_behind_follows_nothing(bed: Bed, books: Books2) -> None:
    bed.spread(300.0)
    bed.step()
    books.put(bed, SPOT_ID, SPOT)
    books.put(bed, FUT_ID, FUT, symbol_id=1)  # another symbol's
    assert len(followed(bed)) == 0
    books.writers[FUT_ID].release(1)
    books.put(bed, FUT_ID, FUT)
    assert len(followed(bed)) == 1


def test_time_an_exit_a_halt_and_new_tables_are_missed_and_counted(bed: Bed, books: Books2) -> None:
    bed.spread(300.0)
    bed.step()
    for _ in range(9):
        bed.beat()
        bed.step(1_000)
    assert bed.count("books_missed") == 0
    bed.beat()
    bed.step(1_001)
    assert bed.count("books_missed") == 1, "10 s are over"
    for miss in (
        lambda: bed.spread(-300.0),
        lambda: bed.operator.switch(SwitchKind.SYMBOL, "C0-USDT"),
        lambda: bed.engine.load(bed.settings, tables(generation=2)),
    ):
        bed.end()
        bed.start(tables())
        bed.spread(300.0)
        assert ENTER in bed.kinds(1)
        before = bed.count("books_missed")
        miss()
        bed.step(SOON_MS)
        assert bed.count("books_missed") == before + 1
        bed.operator.switch(SwitchKind.SYMBOL, "C0-USDT", on=False)


def test_what_is_owed_is_bounded_and_each_is_followed_or_missed(
    namespace: str, books: Books2
) -> None:
    with Bed(namespace, having(settings()), tables(MAX_SYMBOLS)) as bed:
        for symbol_id in range(MAX_SYMBOLS):
            for direction_id in range(5):
                bed.spread(300.0, direction_id, symbol_id)
        entered = len(bed.step(1))
        assert entered > 256
        assert bed.count("books_missed") == entered - 256
        for _ in range(60):
            bed.beat()
            bed.step(1_000)
        assert bed.count("books_missed") == entered


def test_a_full_ring_is_waited_for(namespace: str, books: Books2) -> None:
    with Bed(namespace, having(settings()), slots=1) as bed:
        bed.spread(300.0)
        bed.engine.loop.step(bed.now_ns)
        books.put(bed, SPOT_ID, SPOT)
        books.put(bed, FUT_ID, FUT)
        bed.now_ns += NS_PER_S
        bed.engine.loop.step(bed.now_ns)
        assert [int(one) for one in bed.consumer.pop_many(9)["kind"]] == [ENTER]
        assert bed.kinds(SOON_MS) == [BOOK]


@pytest.mark.parametrize(
    ("rules", "carried_base", "rungs"),
    [
        ({SPOT_ID: Rules(min_notional=150.0)}, 48.0, [1, 2]),
        ({FUT_ID: Rules(min_qty=20.0)}, 48.0, [2]),
        ({SPOT_ID: Rules(min_qty=60.0)}, 0.0, []),
        ({SPOT_ID: Rules(lot_step=5.0), FUT_ID: Rules(lot_step=5.0)}, 45.0, [0, 1, 2]),
    ],
)
def test_sizes_are_orders_that_both_listings_take(
    namespace: str,
    books: Books2,
    rules: dict[int, Rules],
    carried_base: float,
    rungs: list[int],
) -> None:
    given = tables(rules={(source_id, 0): one for source_id, one in rules.items()})
    with Bed(namespace, having(settings()), given) as bed:
        bed.quote(SPOT_ID, 99, 100, ask_sz=100.0)
        bed.quote(FUT_ID, 103, 104, bid_sz=100.0)
        bed.step()
        books.put(bed, SPOT_ID, SPOT)
        books.put(bed, FUT_ID, FUT)
        (told,) = followed(bed)
    assert told["size_base"] == carried_base
    assert np.flatnonzero(~np.isnan(told["rungs"]["net_bps"])).tolist() == rungs


@pytest.mark.parametrize(
    ("whole", "rules", "thin"),
    [
        (BookFlag.NONE, {}, 0),  # beyond what is known there may be more
        (BookFlag.ASKS_WHOLE, {}, 0b1000),
        (BookFlag.BIDS_WHOLE, {}, 0b1000),
        (BookFlag.ASKS_WHOLE, {SPOT_ID: Rules(min_qty=90.0)}, 0),  # less than an order is not asked
    ],
)
def test_a_size_that_nobody_can_do_is_said(
    namespace: str, books: Books2, whole: BookFlag, rules: dict[int, Rules], thin: int
) -> None:
    """The spot's side holds 48 units of 100."""
    sizes = {"sizes_quote": [*SIZES, 5_000.0]}
    given = tables(rules={(source_id, 0): one for source_id, one in rules.items()})
    with Bed(namespace, having(settings(), **sizes), given) as bed:
        bed.quote(SPOT_ID, 99, 100, ask_sz=100.0)
        bed.quote(FUT_ID, 103, 104, bid_sz=100.0)
        bed.step()
        books.put(bed, SPOT_ID, SPOT, flags=int(whole))
        books.put(bed, FUT_ID, FUT)
        (told,) = followed(bed)
    assert np.isnan(told["rungs"]["net_bps"][3])
    assert told["thin"] == thin


def test_without_books_nothing_is_owed(namespace: str) -> None:
    """Nobody made room for them; or the settings have none."""
    with Bed(namespace, having(settings())) as bed:
        bed.spread(300.0)
        bed.step()
        for _ in range(12):
            bed.beat()
            bed.step(1_000)
        assert bed.count("books_missed") == bed.count("signals_book") == 0


def test_books_that_a_reload_switches_off_follow_no_more(bed: Bed, books: Books2) -> None:
    books.put(bed, SPOT_ID, SPOT)
    books.put(bed, FUT_ID, FUT)
    bed.engine.load(having(bed.settings, books_max=0), tables())
    bed.spread(300.0)
    assert bed.kinds() == [ENTER]
    assert len(followed(bed)) == 0
    bed.engine.load(having(bed.settings), tables(generation=2))
    bed.spread(600.0)
    books.put(bed, FUT_ID, FUT)
    assert bed.kinds(1) + bed.kinds(SOON_MS) == [RESIGNAL, BOOK]


def test_a_lot_that_changes_with_new_tables_counts_at_once(bed: Bed, books: Books2) -> None:
    """The pair goes on: a size of half a lot is no signal, and books carry whole new lots."""
    bed.spread(300.0)
    bed.engine.load(bed.settings, lots_of(5.0, generation=2))
    bed.quote(SPOT_ID, 99, 100, ask_sz=12.0)
    bed.quote(FUT_ID, 103, 104, bid_sz=100.0)
    (signal,) = bed.step()
    assert (signal["kind"], signal["size_base"]) == (ENTER, 10.0)
    bed.engine.load(bed.settings, lots_of(7.0, generation=3))
    bed.quote(FUT_ID, 106, 107, bid_sz=100.0)
    (again,) = bed.step(1)
    assert (again["kind"], again["size_base"]) == (RESIGNAL, 7.0)
    books.put(bed, SPOT_ID, SPOT)
    books.put(bed, FUT_ID, sides(106.0, 107.0))
    (told,) = followed(bed)
    assert told["size_base"] == 42.0, "of 48"
    bed.engine.load(bed.settings, lots_of(13.0, generation=4))
    bed.quote(FUT_ID, 109, 110, bid_sz=100.0)
    assert len(bed.step(1)) == 0, "the top holds less than a lot"
    assert bed.count("no_size") > 0


def lots_of(lot: float, generation: int) -> Tables:
    rules = {(source_id, 0): Rules(lot_step=lot) for source_id in (SPOT_ID, FUT_ID)}
    return tables(rules=rules, generation=generation)


def test_a_follow_up_lies_in_a_signals_slot() -> None:
    assert FOLLOW_UP_DTYPE.itemsize == 256
