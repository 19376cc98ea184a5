"""`spread-ctl book`, and what screens say of the depth behind a spread."""

import contextlib
import io
import math
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import numpy as np
import orjson
import pytest
from rich.console import Console

from spread_scanner import clock, config
from spread_scanner.books._order_book import FollowedBook
from spread_scanner.cli.book import fitted
from spread_scanner.cli.watch import ANALYST_COLUMNS, DEPTH_COLUMNS, columns_for
from spread_scanner.clock import NS_PER_S
from spread_scanner.schema.books import BookFlag
from spread_scanner.schema.enums import EXCHANGE_SOURCES, QuoteFlag, ReloadOutcome
from spread_scanner.shm import Control, PriceStore
from spread_scanner.shm.books import BookStore, BooksWriter
from spread_scanner.shm.wants import Wants
from spread_scanner.symbology import tables
from spread_scanner.symbology.publish import publish as publish_tables
from spread_scanner.symbology.tables import lots_of
from spread_scanner.view.books import (
    BooksInForce,
    Consolidated,
    PriceLevel,
    SharedLevel,
    ShownBook,
    SymbolBooks,
    ToldSide,
    Wish,
    shared,
)
from spread_scanner.view.spreads import SpreadBoard, with_depth
from spread_scanner.view.symbols import UnknownSymbol

Run = Callable[..., tuple[int, str, str]]
SYMBOL_ID = 1  # BBB-USDT
SPOT_ID, FUT_ID = 0, 3
BID_EMPTY = int(QuoteFlag.BID_EMPTY)


def quote(up_bed: Any) -> None:
    """The perpetual 5 % above the spot; both feeds beat for as long as a test may take."""
    with PriceStore.attach(up_bed.namespace) as store:
        now_ns = store.clock.now_ns()
        for source_id, bid, ask in ((SPOT_ID, 99.0, 100.0), (FUT_ID, 105.0, 106.0)):
            with store.writer(source_id) as writer:
                writer.write(SYMBOL_ID, bid, 10.0, ask, 10.0, now_ns, now_ns, 1)
                writer.heartbeat(clock.mono_ns() + 3_600 * NS_PER_S)


def publish(
    writer: BooksWriter, bids: list[list[float]], asks: list[list[float]], age_s: int = 0
) -> None:
    followed = FollowedBook()
    followed.snapshot(np.array(bids), np.array(asks))
    with PriceStore.attach(writer._held.name[1:].split(".")[0]) as store:
        received_ns = store.clock.now_ns() - age_s * NS_PER_S
    writer.take(SYMBOL_ID)
    writer.publish(
        followed.record(
            symbol_id=SYMBOL_ID, source_id=writer.source_id, update_id=7, ts_recv=received_ns
        )
    )


@pytest.fixture
def books(up_bed: Any) -> Iterator[dict[int, BooksWriter]]:
    """Two feeds with a book of BBB each: the perpetual stands 5 % above the spot."""
    quote(up_bed)
    with contextlib.ExitStack() as stack:
        store = stack.enter_context(BookStore.attach(up_bed.namespace))
        found = {one: stack.enter_context(store.writer(one)) for one in (SPOT_ID, FUT_ID)}
        publish(found[SPOT_ID], [[99.0, 5.0], [98.0, 50.0]], [[100.0, 2.0], [101.0, 200.0]])
        publish(found[FUT_ID], [[105.0, 3.0], [104.0, 100.0]], [[106.0, 1.0], [107.0, 90.0]])
        yield found


@pytest.mark.usefixtures("books")
def test_the_books_of_all_sources_that_list_it_are_shown_and_asked_for(
    up_bed: Any, spread_ctl: Run
) -> None:
    before_ns = clock.mono_ns()
    code, out, _ = spread_ctl("book", "bbb-usdt", "--json", "--levels", "1")
    said = orjson.loads(out)
    assert code == 0
    assert [one["source"] for one in said["books"]] == ["binance-spot", "bybit-futures"]
    first = said["books"][0]
    assert (first["bids"], first["asks"]) == (
        [{"px": 99.0, "sz": 5.0}],
        [{"px": 100.0, "sz": 2.0}],
    )
    assert (first["usable"], first["bids_known"]) == (True, 2)
    assert first["flags"] == ["no_ts_event", "bids_whole", "asks_whole"]
    assert (said["missing"], said["consolidated"]) == ([], None)
    with Wants.attach(up_bed.namespace) as wants:
        for source_id in (SPOT_ID, FUT_ID):
            assert np.flatnonzero(wants.asked(source_id, before_ns)).tolist() == [SYMBOL_ID]


@pytest.mark.usefixtures("books")
def test_all_sources_are_one_book_with_fees_where_that_is_asked(spread_ctl: Run) -> None:
    _, out, _ = spread_ctl("book", "BBB-USDT", "--consolidated", "--json")
    said = orjson.loads(out)["consolidated"]
    assert [one["px"] for one in said["bids"]] == [105.0, 104.0, 99.0, 98.0]
    assert [one["px"] for one in said["asks"]] == [100.0, 101.0, 106.0, 107.0]
    assert said["asks"][0]["with_fee_px"] is None
    _, out, _ = spread_ctl("book", "BBB-USDT", "--fees", "--json")
    said = orjson.loads(out)["consolidated"]  # 5 bps each
    assert said["asks"][0]["with_fee_px"] == pytest.approx(100.05)
    assert said["bids"][0]["with_fee_px"] == pytest.approx(105.0 * 0.9995)


def told(*rows: tuple[float, float], label: str, whole: bool, fee_bps: float = 0.0) -> ToldSide:
    """A side of a source; of a fee, what prices come to with it."""
    return ToldSide(
        [
            SharedLevel(px, sz, label, px * (1 + fee_bps / 1e4) if fee_bps else None, True)
            for px, sz in rows
        ],
        whole,
    )


def test_what_lies_beyond_the_source_that_tells_least_is_marked() -> None:
    """Of bids and of asks, by what prices come to; a side that is told to its end has no more."""
    deep = told((10.0, 1.0), (12.0, 1.0), (13.0, 1.0), label="deep", whole=False)
    short = told((11.0, 1.0), (12.0, 2.0), label="short", whole=False)
    found = shared([deep, short], bids=False)
    assert [(one.px, one.source, one.told_by_all) for one in found] == [
        (10.0, "deep", True), (11.0, "short", True), (12.0, "deep", True), (12.0, "short", True),
        (13.0, "deep", False),
    ]  # fmt: skip
    ended = short._replace(whole=True)
    assert all(one.told_by_all for one in shared([deep, ended], bids=False))
    nothing = told(label="nothing", whole=False)
    assert shared([nothing, deep], bids=False)[-1].told_by_all
    upside_down = [one._replace(levels=one.levels[::-1]) for one in (deep, short)]
    found = shared(upside_down, bids=True)
    assert [(one.px, one.told_by_all) for one in found] == [
        (13.0, True), (12.0, True), (12.0, True), (11.0, True), (10.0, False),
    ]  # fmt: skip
    dear = told((11.0, 1.0), (12.0, 2.0), label="dear", whole=False, fee_bps=1_000.0)
    cheap = told((12.0, 1.0), (13.0, 1.0), (13.3, 1.0), label="cheap", whole=False, fee_bps=1.0)
    found = shared([dear, cheap], bids=False)
    assert [(one.px, one.told_by_all) for one in found] == [
        (12.0, True), (11.0, True), (13.0, True), (12.0, True), (13.3, False),
    ]  # fmt: skip


def test_the_mark_is_in_the_record_and_beside_the_size(
    books: dict[int, BooksWriter], spread_ctl: Run
) -> None:
    """The perpetual's bids go on beyond the twelve that are told, the spot's are far below."""
    found, bids = FollowedBook(), [[105.0 - place / 10, 3.0] for place in range(12)]
    found.snapshot(np.array(bids), np.array([[106.0, 1.0]]), levels=12)
    with PriceStore.attach(books[FUT_ID]._held.name[1:].split(".")[0]) as store:
        now_ns = store.clock.now_ns()
    books[FUT_ID].publish(
        found.record(symbol_id=SYMBOL_ID, source_id=FUT_ID, update_id=8, ts_recv=now_ns)
    )
    asked = ("book", "BBB-USDT", "--consolidated", "--levels", "20")
    said = orjson.loads(spread_ctl(*asked, "--json")[1])["consolidated"]
    assert [one["told_by_all"] for one in said["bids"]] == [True] * 12 + [False] * 2
    assert all(one["told_by_all"] for one in said["asks"])
    lines = spread_ctl(*asked)[1].splitlines()
    assert ["+" in line for line in lines if "-spot" in line or "-futures" in line] == (
        [False] * 12 + [True] * 2
    ), lines


def test_who_looks_on_sees_the_coin_that_he_asked_for_at_the_fees_in_force(
    books: dict[int, BooksWriter], up_bed: Any
) -> None:
    """Its id is another coin's by now; what it was reloaded with counts; and it may leave."""
    settings = up_bed.settings
    with contextlib.closing(BooksInForce(settings, Wish("BBB-USDT", None, 10, True, True))) as live:
        first = live.look()
        assert first.consolidated is not None
        assert first.consolidated.asks[0].with_fee_px == pytest.approx(100.05)
        path = settings.folder / "exchanges.toml"
        path.write_text(path.read_text().replace("taker_fee_bps = 5.0", "taker_fee_bps = 9.0"))
        with Control.attach(up_bed.namespace) as control, control.claim("spread-engine") as slot:
            slot.answer(1, ReloadOutcome.APPLIED, config.load(settings.folder).digest)
            dearer = live.look()
        assert dearer.consolidated is not None
        assert dearer.consolidated.asks[0].with_fee_px == pytest.approx(100.09)
        loaded = tables.load(settings.generated_dir)
        names = ["AAA-USDT", "NEW-USDT", "CCC-USDT"]
        renamed = tuple(
            msgspec.structs.replace(row, symbol=name)
            for row, name in zip(loaded.symbols, names, strict=True)
        )
        changed = msgspec.structs.replace(loaded, generation=2, symbols=renamed)
        publish_tables(settings.generated_dir, changed, {})
        with pytest.raises(UnknownSymbol):
            live.look()


@pytest.mark.parametrize(("consolidated", "fees"), [(False, False), (True, False), (True, True)])
@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40), (300, 80), (80, 60), (200, 12)])
def test_on_a_terminal_all_books_are_there_at_once(
    width: int, height: int, consolidated: bool, fees: bool
) -> None:
    """Fewer levels of each where there is less room; neither a source nor a figure is cut off."""
    levels = [PriceLevel(64_321.5 - place / 10, 1.2345) for place in range(20)]
    of_all = [
        SharedLevel(one.px, one.sz, "binance-futures", one.px * 1.001 if fees else None, place < 10)
        for place, one in enumerate(levels)
    ]
    names = [source.label for source in EXCHANGE_SOURCES]
    books = [
        ShownBook(name, True, [], [], 1_234.0, 7, 20, 20, levels, levels) for name in names[:-1]
    ]
    all_of_them = Consolidated(of_all, of_all) if consolidated else None
    now = SymbolBooks("BTC-USDT", books, names[-1:], all_of_them)
    console = Console(file=io.StringIO(), force_terminal=True, width=width, height=height)
    page = fitted(now, console)
    lines = ["".join(one.text for one in line) for line in console.render_lines(page)]
    assert len(lines) < height
    text = "\n".join(lines)
    assert all(name in text for name in (names[-1:] if consolidated else names))
    assert "\u2026" not in text
    best, last = ("64385.8215", "64383.9196") if fees else ("64321.5", "64319.6")
    assert best in text
    assert (last in text) is (height >= 40 and (consolidated or width == 300))


def test_what_cannot_be_stood_behind_is_said_and_left_out(
    books: dict[int, BooksWriter], spread_ctl: Run
) -> None:
    books[FUT_ID].mark(SYMBOL_ID, BookFlag.RESYNCING)
    code, out, _ = spread_ctl("book", "BBB-USDT", "--consolidated")
    assert code == 0
    assert "bybit-futures: left out, resyncing" in out
    assert "105" not in out
    code, out, _ = spread_ctl("book", "BBB-USDT", "--source", "bybit-futures")
    assert "cannot be stood behind: resyncing" in out
    assert "binance-spot" not in out


def test_what_is_only_unusual_about_a_book_is_no_reason_against_it(
    books: dict[int, BooksWriter], up_bed: Any, spread_ctl: Run
) -> None:
    """Who follows it has ended: its flags are as he left them, and none of them is why."""
    with PriceStore.attach(up_bed.namespace) as store, store.writer(SPOT_ID) as writer:
        writer.heartbeat(1)
    _, out, _ = spread_ctl("book", "BBB-USDT", "--source", "binance-spot")
    assert "cannot be stood behind: feed silent\n" in out
    books[SPOT_ID].mark(SYMBOL_ID, BookFlag.RESYNCING)
    _, out, _ = spread_ctl("book", "BBB-USDT", "--json")
    spot, futures = orjson.loads(out)["books"]
    assert spot["why_not"] == ["resyncing", "feed_silent"]
    assert spot["flags"] == ["resyncing", "no_ts_event", "bids_whole", "asks_whole"]
    assert (futures["usable"], futures["why_not"]) == (True, [])


def test_an_old_book_of_a_feed_that_lives_is_too_old(
    books: dict[int, BooksWriter], spread_ctl: Run
) -> None:
    publish(books[FUT_ID], [[105.0, 3.0]], [[106.0, 1.0]], age_s=601)
    _, out, _ = spread_ctl("book", "BBB-USDT", "--source", "bybit-futures")
    assert "cannot be stood behind: too old\n" in out


def test_a_book_of_which_nothing_came_has_not_come(
    books: dict[int, BooksWriter], spread_ctl: Run
) -> None:
    books[SPOT_ID].release(SYMBOL_ID)
    books[SPOT_ID].take(SYMBOL_ID)  # its feed has begun to ask for it
    wanted = ("book", "BBB-USDT", "--source", "binance-spot", "--wait", "0")
    code, out, _ = spread_ctl(*wanted)
    assert (code, "binance-spot, never heard" in out) == (1, True)


def test_no_book_is_said_and_is_exit_code_1(up_bed: Any, spread_ctl: Run) -> None:
    code, out, _ = spread_ctl("book", "BBB-USDT", "--wait", "0")
    assert code == 1
    assert "binance-spot: no book yet" in out
    code, out, err = spread_ctl("book", "BBB-USDT", "--source", "okx-spot")
    assert code == 2
    assert "okx-spot does not list BBB-USDT" in err
    path = up_bed.settings.folder / "config.toml"
    path.write_text(path.read_text() + "\n[books]\nbooks_max = 0\n")
    code, out, err = spread_ctl("book", "BBB-USDT")
    assert code == 2
    assert "books.books_max" in err


@pytest.mark.usefixtures("books")
def test_why_and_watch_say_how_much_a_spread_carries(spread_ctl: Run) -> None:
    _, out, _ = spread_ctl("watch", "--json", "--symbol", "BBB")
    (pair,) = orjson.loads(out)
    depth = pair["depth"]
    assert [one["size_quote"] for one in depth["sizes"]] == [100.0, 1_000.0, 10_000.0, 100_000.0]
    assert depth["sizes"][0]["buy_px"] == 100.0
    assert depth["sizes"][0]["net_bps"] == pytest.approx(pair["net_bps"])  # the tops
    assert depth["sizes"][1]["net_bps"] < pair["net_bps"]
    assert depth["sizes"][3]["net_bps"] is None  # 1,000 units: the books hold 55
    assert depth["size_quote"] == pytest.approx(depth["size_base"] * 100.0)
    _, out, _ = spread_ctl("why", "BBB-USDT")
    _, now = out.split("\nnow\n")
    assert "carries" in now
    assert ", thin at 100,000" in now
    assert max(map(len, now.splitlines())) <= 80


@pytest.mark.usefixtures("books")
def test_what_books_carry_is_not_known_while_it_is_not_what_closing_earns(
    up_bed: Any, spread_ctl: Run
) -> None:
    """A leg without a side has no widths, by which closing is guessed while it is not learned."""
    with PriceStore.attach(up_bed.namespace) as store, store.writer(SPOT_ID) as writer:
        now_ns = store.clock.now_ns()
        writer.write(SYMBOL_ID, math.nan, math.nan, 100.0, 10.0, now_ns, now_ns, 2, BID_EMPTY)
        writer.heartbeat(clock.mono_ns() + 3_600 * NS_PER_S)
    _, out, _ = spread_ctl("watch", "--json", "--symbol", "BBB")
    (pair,) = orjson.loads(out)
    assert pair["net_bps"] is None
    assert [one["net_bps"] for one in pair["depth"]["sizes"]] == [None] * 4
    assert (pair["depth"]["size_base"], pair["depth"]["size_quote"]) == (None, None)


@pytest.mark.usefixtures("books")
@pytest.mark.parametrize(
    ("least", "carries", "known"),
    [
        (0.0, True, [True, True]),
        (500.0, True, [False, True]),
        (1e6, False, [False, False]),
    ],
)
def test_what_is_less_than_a_least_order_is_not_carried(
    up_bed: Any, least: float, carries: bool, known: list[bool]
) -> None:
    made = tables.load(up_bed.settings.generated_dir)
    rows = tuple(msgspec.structs.replace(row, min_notional=least) for row in made.instruments)
    made = msgspec.structs.replace(made, instruments=rows, lots=lots_of(rows))
    with PriceStore.attach(up_bed.namespace) as store:
        board = SpreadBoard(up_bed.settings, made, store)
        shown = board.rows()
        (pair,) = with_depth(shown[shown["symbol_id"] == SYMBOL_ID], board)
    assert pair.depth is not None
    assert (pair.depth.size_base or 0.0) * 100.0 == pair.depth.size_quote
    assert (pair.depth.size_base != 0.0) == carries
    assert [one.net_bps is not None for one in pair.depth.sizes[:2]] == known


@pytest.mark.usefixtures("books")
@pytest.mark.parametrize(
    ("dear", "bids", "asks"),
    [
        ("binance-spot", [105.0, 104.0, 99.0, 98.0], [106.0, 107.0, 100.0, 101.0]),
        ("bybit-futures", [99.0, 98.0, 105.0, 104.0], [100.0, 101.0, 106.0, 107.0]),
    ],
)
def test_who_charges_less_comes_first_with_fees(
    up_bed: Any, spread_ctl: Run, dear: str, bids: list[float], asks: list[float]
) -> None:
    path = up_bed.settings.folder / "exchanges.toml"
    head, section, rest = path.read_text().partition(f"[{dear}]")
    rest = rest.replace("taker_fee_bps = 5.0", "taker_fee_bps = 800.0", 1)
    path.write_text(head + section + rest)
    _, out, _ = spread_ctl("book", "BBB-USDT", "--fees", "--json")
    said = orjson.loads(out)["consolidated"]
    assert [one["px"] for one in said["bids"]] == bids
    assert [one["px"] for one in said["asks"]] == asks


@pytest.mark.parametrize("source_id", [SPOT_ID, FUT_ID])
def test_one_book_that_cannot_be_stood_behind_leaves_no_depth(
    books: dict[int, BooksWriter], spread_ctl: Run, source_id: int
) -> None:
    def depth() -> Any:
        return orjson.loads(spread_ctl("watch", "--json", "--symbol", "BBB")[1])[0]["depth"]

    assert depth() is not None
    books[source_id].mark(SYMBOL_ID, BookFlag.RESYNCING)
    assert depth() is None


def test_without_books_it_is_said_that_size_is_of_the_tops(up_bed: Any, spread_ctl: Run) -> None:
    quote(up_bed)
    _, out, _ = spread_ctl("watch", "--json", "--symbol", "BBB")
    assert orjson.loads(out)[0]["depth"] is None
    _, out, _ = spread_ctl("why", "BBB-USDT")
    assert "no order books: the tops alone, 1,000" in out


@pytest.mark.parametrize("width", [80, 103, 104, 116, 117, 143, 144, 172, 173, 300])
@pytest.mark.parametrize("analyst", [False, True])
def test_what_books_carry_has_columns_where_there_is_room(width: int, analyst: bool) -> None:
    """What they carry stands on any terminal, and before what the analyst says."""
    found = columns_for(width, analyst=analyst, depth=True)
    assert sum(room + 2 for room in found.values()) <= max(width, 80)
    assert "carries" in found
    assert (DEPTH_COLUMNS.keys() <= found.keys()) is (width >= 104)
    assert (ANALYST_COLUMNS.keys() <= found.keys()) is (analyst and width >= 173)
