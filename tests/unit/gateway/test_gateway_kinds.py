"""Books, opportunities and msgpack in the push: asked for while wished, lossless, the same."""

import asyncio
import contextlib
import json
import sqlite3
from collections.abc import Callable, Iterator
from typing import Any

import database_bed
import msgspec
import numpy as np
import pytest
from gateway_bed import Told

from spread_scanner import clock
from spread_scanner.books._order_book import FollowedBook
from spread_scanner.client.asking import Following
from spread_scanner.clock import NS_PER_S
from spread_scanner.gateway.broadcast import Broadcast
from spread_scanner.gateway.channels import Frame
from spread_scanner.gateway.event_channels import PIECE_MAX
from spread_scanner.schema.names import DATABASE_FILE
from spread_scanner.shm import PriceStore
from spread_scanner.shm.books import BookStore
from spread_scanner.shm.wants import Wants
from spread_scanner.view.opportunities import Opportunities

SPOT_ID, FUT_ID, SYMBOL_ID = 0, 3, 1  # BBB-USDT
PAIR = "BBB/USDT"


@pytest.fixture
def asking(virtual_clock: Any, listed_bed: Any, gateway_of: Callable[..., Any]) -> Any:
    virtual_clock.advance_ms(1_000)
    return gateway_of()


@pytest.fixture
def publish(listed_bed: Any, asking: Any) -> Iterator[Callable[[float], None]]:
    """Publishes a book of BBB with that best bid, as the feed of a source that beats would."""
    with contextlib.ExitStack() as stack:
        shelf = stack.enter_context(BookStore.attach(listed_bed.namespace))
        writer = stack.enter_context(shelf.writer(SPOT_ID))
        store = stack.enter_context(PriceStore.attach(listed_bed.namespace))
        quotes = stack.enter_context(store.writer(SPOT_ID))
        quotes.heartbeat(clock.mono_ns() + 3_600 * NS_PER_S)
        writer.take(SYMBOL_ID)

        def publish(bid: float) -> None:
            followed = FollowedBook()
            followed.snapshot(np.array([[bid, 5.0], [bid - 1, 6.0]]), np.array([[bid + 1, 2.0]]))
            writer.publish(
                followed.record(
                    symbol_id=SYMBOL_ID,
                    source_id=SPOT_ID,
                    update_id=int(bid),
                    ts_recv=store.clock.now_ns(),
                )
            )

        yield publish


def bids(frame: Any) -> list[float]:
    (symbol,) = frame["books"]
    return [one["bids"][0]["px"] for one in symbol["books"]]


def test_books_are_what_get_says_and_told_again_when_they_are_written(
    asking: Any, stream: Broadcast, publish: Callable[[float], None], virtual_clock: Any
) -> None:
    publish(99.0)
    told, live = Told(stream), Told(stream)
    told.wish("books", pairs=[PAIR], levels=1)
    live.wish("books", pairs=["bbb-usdt"], levels=1, pace="live")
    (first,) = told.of("books")
    assert (first["snapshot"], bids(first)) == (True, [99.0])
    answer = asyncio.run(asking.get("/v1/books/BBB-USDT?levels=1")).json()
    del answer["books"][0]["age_ms"], first["books"][0]["books"][0]["age_ms"]
    assert first["books"] == [answer]
    for _ in range(3):
        virtual_clock.advance_ms(100)
        stream.tick()
    assert len(told.of("books")) == 1  # nothing was written
    publish(100.0)
    stream.flush([])
    assert bids(live.of("books")[-1]) == [100.0]
    virtual_clock.advance_ms(100)
    stream.tick()
    assert bids(told.of("books")[-1]) == [100.0]
    told.client.pause()
    for bid in (101.0, 102.0):
        publish(bid)
        virtual_clock.advance_ms(100)
        stream.tick()
    before = len(told.of("books"))
    stream.resume(told.client)
    assert (len(told.of("books")) - before, bids(told.of("books")[-1])) == (1, [102.0])


def test_books_are_asked_for_while_they_are_wished(
    stream: Broadcast, virtual_clock: Any, listed_bed: Any
) -> None:
    def asked(at_ns: int) -> list[int]:
        with Wants.attach(listed_bed.namespace) as wants:
            return [int(one) for one in np.flatnonzero(wants.asked(SPOT_ID, at_ns))]

    told = Told(stream)
    told.wish("books", pairs=[PAIR])
    assert told.of("books")[0]["books"][0]["missing"]
    for _ in range(300):  # half a minute, and no book has come
        virtual_clock.advance_ms(100)
        stream.tick()
    assert asked(clock.mono_ns()) == [SYMBOL_ID]
    told.wish("status")
    virtual_clock.advance_ms(11_000)
    stream.tick()
    assert asked(clock.mono_ns()) == []


def test_books_want_pairs_that_are_named_and_not_too_many(stream: Broadcast) -> None:
    told = Told(stream)
    told.wish("books")
    told.wish("books", pairs=["AAA/USDT"] * 17)
    told.wish("books", pairs=["NOPE/USDT"])
    told.wish("books", pairs=[PAIR], levels=0)
    codes = [one["code"] for one in told.of("error")]
    assert codes == ["bad_request", "bad_request", "unknown_pair", "bad_request"]
    crowd = [Told(stream) for _ in range(65)]
    for number, one in enumerate(crowd):
        one.wish("books", pairs=[PAIR], levels=1 + number)
    assert [len(one.of("books")) for one in crowd] == [1] * 64 + [0]
    assert crowd[-1].of("error")[0]["code"] == "full"
    stream.leave(crowd[0].client)
    crowd[-1].wish("books", pairs=[PAIR], levels=65)
    assert crowd[-1].of("books")


def test_books_that_are_wished_anew_are_told_anew(
    stream: Broadcast, publish: Callable[[float], None]
) -> None:
    publish(99.0)
    told = Told(stream)
    for pairs in ([PAIR], [PAIR], ["AAA/USDT"], ["AAA/USDT", PAIR], [PAIR]):
        told.wish("books", pairs=pairs)
        frame = told.of("books")[-1]
        shown = {one["symbol"] for one in frame["books"]}
        assert (frame["snapshot"], shown) == (True, {one.replace("/", "-") for one in pairs})
        stream.tick()
    assert len(told.of("books")) == 5
    assert len(stream._channels["books"]._views) == 1  # type: ignore[attr-defined]


def ids(told: Told) -> list[int]:
    return [one["id"] for frame in told.of("opportunities") for one in frame["opportunities"]]


def test_opportunities_are_told_once_each_and_what_was_missed(
    asking: Any, stream: Broadcast, listed_bed: Any
) -> None:
    data = listed_bed.settings.data_dir
    data.mkdir(parents=True, exist_ok=True)

    def store(number: int, **more: object) -> None:
        database_bed.store(data, id=number, direction="binance-bybit", **more)

    early = Told(stream)
    early.wish("opportunities")  # before there is a database
    stream.tick()
    for number in (1, 2):
        store(number, symbol="AAA-USDT")
    told, back, other, ahead = (Told(stream) for _ in range(4))
    told.wish("opportunities")
    back.wish("opportunities", after_id=1)
    other.wish("opportunities", after_id=0, pairs=["BBB/USDT"])
    ahead.wish("opportunities", after_id=99)  # of another database
    stream.tick()
    assert [ids(one) for one in (early, told, back, other, ahead)] == [[1, 2], [], [2], [], [1, 2]]
    told.client.pause()
    store(3, symbol="BBB-USDT")
    stream.tick()
    store(4, symbol="AAA-USDT")
    stream.tick()
    stream.resume(told.client)
    stream.tick()
    assert [ids(one) for one in (told, back, other)] == [[3, 4], [2, 3, 4], [3]]
    answer = asyncio.run(asking.get("/v1/opportunities")).json()
    came = [one for frame in back.of("opportunities") for one in frame["opportunities"]]
    assert came == answer[2::-1]


def test_an_opportunity_that_is_closed_is_told_again(stream: Broadcast, listed_bed: Any) -> None:
    data = listed_bed.settings.data_dir
    data.mkdir(parents=True, exist_ok=True)
    database_bed.store(data, id=1, symbol="AAA-USDT", direction="binance-bybit")
    told = Told(stream)
    told.wish("opportunities")
    database_bed.store(data, id=2, symbol="AAA-USDT", direction="binance-bybit")
    stream.tick()
    with contextlib.closing(sqlite3.connect(data / DATABASE_FILE)) as database:
        database.execute("UPDATE opportunities SET closed_ns = 5, reason = 'converged'")
        database.commit()
    stream.tick()
    stream.tick()
    assert shown(told) == [(2, None), (1, 5), (2, 5)]


def shown(told: Told) -> list[tuple[int, int | None]]:
    """Opportunities in the order in which they were told, and when each closed."""
    frames = told.of("opportunities")
    return [(one["id"], one["closed_ns"]) for frame in frames for one in frame["opportunities"]]


def test_who_comes_back_is_told_what_was_closed_meanwhile(
    stream: Broadcast, listed_bed: Any
) -> None:
    data = listed_bed.settings.data_dir
    data.mkdir(parents=True, exist_ok=True)
    minute_ns = 60 * NS_PER_S

    def store(number: int, opened_ns: int, closed_ns: int | None = None) -> None:
        more = {"opened_ns": opened_ns, "closed_ns": closed_ns}
        database_bed.store(data, id=number, symbol="AAA-USDT", direction="binance-bybit", **more)

    store(1, 1 * minute_ns, 5 * minute_ns)  # closed long before 3 was opened: it was told
    store(2, 2 * minute_ns)
    store(3, 10 * minute_ns)
    following = Following(["opportunities"], (), (), {})
    before = Told(stream)
    stream.heard(before.client, following.wish.encode())
    for frame in before.frames:
        following.frame(json.dumps(frame))
    stream.leave(before.client)
    with contextlib.closing(sqlite3.connect(data / DATABASE_FILE)) as database:
        database.execute("UPDATE opportunities SET closed_ns = ? WHERE id = 2", (11 * minute_ns,))
        database.commit()
    store(4, 12 * minute_ns)
    back, elsewhere = Told(stream), Told(stream)
    stream.heard(back.client, following.wish.encode())
    elsewhere.wish("opportunities", after_id=3, pairs=["BBB/USDT"])
    stream.tick()
    stream.tick()
    assert shown(before) == []
    assert shown(back) == [(2, 11 * minute_ns), (4, None)]
    assert shown(elsewhere) == []


def test_closings_come_before_what_was_opened_with_them(stream: Broadcast, listed_bed: Any) -> None:
    """So that who knows the one knows the others; and one that comes late tells it as closed."""
    data = listed_bed.settings.data_dir
    data.mkdir(parents=True, exist_ok=True)
    for number in (1, 2):
        database_bed.store(data, id=number, symbol="AAA-USDT", direction="binance-bybit")
    told, behind = Told(stream), Told(stream)
    told.wish("opportunities")
    behind.wish("opportunities", after_id=1)
    behind.client.pause()
    with contextlib.closing(sqlite3.connect(data / DATABASE_FILE)) as database:
        database.execute("UPDATE opportunities SET closed_ns = 7")
        database.commit()
    database_bed.store(data, id=3, symbol="AAA-USDT", direction="binance-bybit")
    stream.tick()
    stream.resume(behind.client)
    stream.tick()
    assert shown(told) == [(1, 7), (2, 7), (3, None)]
    assert shown(behind) == [(1, 7), (2, 7), (3, None)]


def test_a_database_that_cannot_be_read_just_now_is_waited_for(
    stream: Broadcast, listed_bed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody is told all that ever was, or loses a closing."""
    data = listed_bed.settings.data_dir
    data.mkdir(parents=True, exist_ok=True)
    for number in (1, 2):
        database_bed.store(data, id=number, symbol="AAA-USDT", direction="binance-bybit")
    asked = Opportunities._asked
    with monkeypatch.context() as busy:
        busy.setattr(Opportunities, "_asked", lambda *_: None)
        fresh, back = Told(stream), Told(stream)
        fresh.wish("opportunities")
        back.wish("opportunities", after_id=1)
        stream.tick()
        assert (fresh.of("began"), back.of("began")) == ([], [])
    assert Opportunities._asked is asked
    with contextlib.closing(sqlite3.connect(data / DATABASE_FILE)) as database:
        database.execute("UPDATE opportunities SET closed_ns = 7 WHERE id = 1")
        database.commit()
    stream.tick()
    assert (fresh.of("began")[0]["after_id"], back.of("began")[0]["after_id"]) == (2, 1)
    assert (shown(fresh), shown(back)) == ([], [(1, 7), (2, None)])


def test_who_knows_another_database_is_told_this_one_whole(
    stream: Broadcast, listed_bed: Any
) -> None:
    data = listed_bed.settings.data_dir
    data.mkdir(parents=True, exist_ok=True)
    for number in (1, 2):
        database_bed.store(data, id=number, symbol="AAA-USDT", direction="binance-bybit")
    told = Told(stream)
    told.wish("opportunities", after_id=1, database="5e1f")
    stream.tick()
    assert ids(told) == [1, 2]
    assert told.of("missed") == [{"type": "missed", "kind": "opportunities", "count": None}]
    (data / DATABASE_FILE).rename(data / "before.sqlite")
    database_bed.store(data, id=1, symbol="BBB-USDT", direction="binance-bybit")
    stream.tick()
    before, now = told.of("began")
    assert (before["after_id"], now["after_id"], ids(told)) == (0, 0, [1, 2, 1])
    assert before["database"] != now["database"]


def test_who_missed_much_is_told_in_pieces_and_another_database_from_its_beginning(
    stream: Broadcast, listed_bed: Any
) -> None:
    data = listed_bed.settings.data_dir
    data.mkdir(parents=True, exist_ok=True)
    database_bed.store(data, id=1, symbol="AAA-USDT", direction="binance-bybit")
    count = PIECE_MAX + 10
    with contextlib.closing(sqlite3.connect(data / DATABASE_FILE)) as database:
        names = [row[1] for row in database.execute("PRAGMA table_info(opportunities)")][1:]
        columns = ", ".join(names)
        for number in range(2, count + 1):
            database.execute(
                f"INSERT INTO opportunities (id, {columns}) SELECT {number}, {columns} "
                "FROM opportunities WHERE id = 1"
            )
        database.commit()
    told = Told(stream)
    told.wish("opportunities", after_id=0)
    stream.tick()
    assert ids(told) == list(range(1, PIECE_MAX + 1))
    stream.tick()
    assert ids(told) == list(range(1, count + 1))
    (data / DATABASE_FILE).rename(data / "before.sqlite")
    database_bed.store(data, id=1, symbol="BBB-USDT", direction="binance-bybit")
    stream.tick()
    assert ids(told)[count:] == [1]


def test_msgpack_is_the_same_in_fewer_bytes(stream: Broadcast) -> None:
    plain, packed = Told(stream), Told(stream)
    plain.wish("spreads", "status")
    packed.wish("spreads", "status", encoding="msgpack")
    assert (plain.client.packed, packed.client.packed) == (False, True)
    assert packed.of("spreads")[0] == plain.of("spreads")[0]
    assert packed.of("status") == plain.of("status")
    packed.wish("spreads", "nothing")
    assert packed.of("error")


def test_a_number_beyond_64_bits_is_the_nearest_there_is() -> None:
    frame = Frame(b'{"type":"prices","prices":[{"base_reserve":123456789012345678901234567890}]}')
    said = msgspec.msgpack.decode(frame.packed)
    assert said["prices"][0]["base_reserve"] == pytest.approx(123456789012345678901234567890)
