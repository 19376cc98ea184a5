"""Spreads as they are pushed: the records of /v1/spreads, what changed of them, what is gone."""

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import numpy as np
import pytest
from gateway_bed import Told

from spread_scanner.gateway.broadcast import Broadcast
from spread_scanner.gateway.spread_channel import SpreadTable
from spread_scanner.schema.enums import DIRECTIONS
from spread_scanner.shm import PriceStore
from spread_scanner.symbology import publish, tables
from spread_scanner.symbology.tables import DirectionRow

WAY, OTHER = DIRECTIONS[:2]
LEGS = (WAY.spot.source_id, WAY.futures.source_id)


@pytest.fixture
def two_ways(listed_bed: Any) -> Any:
    """The last symbol in the second direction as well."""
    made = tables.load(listed_bed.settings.generated_dir)
    ways = (DirectionRow(WAY.direction_id, (0, 1, 2)), DirectionRow(OTHER.direction_id, (2,)))
    more = msgspec.structs.replace(made, generation=made.generation + 1, directions=ways)
    publish.publish(listed_bed.settings.generated_dir, more, {})
    return listed_bed


@pytest.fixture
def quotes(virtual_clock: Any, two_ways: Any) -> Iterator[Callable[..., None]]:
    virtual_clock.advance_ms(1_000)
    with PriceStore.attach(two_ways.namespace) as store:
        writers = {leg: store.writer(leg) for leg in LEGS}

        def quote(symbol_id: int, *bids: float) -> None:
            now_ns = store.clock.now_ns()
            for leg, bid in zip(LEGS, bids, strict=True):
                number = int(store.sequences[leg, symbol_id]) + 1
                writers[leg].write(symbol_id, bid, 10.0, bid + 1, 10.0, now_ns, now_ns, number)
                writers[leg].heartbeat(now_ns - store.clock.anchor_ns)

        yield quote
        for writer in writers.values():
            writer.close()


@pytest.fixture
def asking(quotes: Any, gateway_of: Callable[..., Any]) -> Any:
    return gateway_of()


def dirty(symbol_id: int) -> Any:
    return [(leg, np.array([symbol_id], np.uint16)) for leg in LEGS]


def grosses(frame: Any) -> dict[str, float | None]:
    return {one["symbol"]: one["gross_bps"] for one in frame["spreads"]}


def test_a_snapshot_is_what_get_says(
    asking: Any, stream: Broadcast, quotes: Callable[..., None]
) -> None:
    quotes(0, 100.0, 110.0)
    told = Told(stream)
    told.wish("spreads")
    (frame,) = told.of("spreads")
    assert (frame["snapshot"], frame["gone"]) == (True, [])
    assert frame["version"] == 2
    answer = asyncio.run(asking.get("/v1/spreads")).json()
    assert sorted(frame["spreads"], key=str) == sorted(answer, key=str)
    assert len(answer) == 4  # three of the first direction, one of the second
    told.wish("spreads", usable=True)
    assert [one["symbol"] for one in told.of("spreads")[1]["spreads"]] == ["AAA-USDT"]


def test_only_what_changed_is_told_and_once_for_all(
    stream: Broadcast, quotes: Callable[..., None], virtual_clock: Any
) -> None:
    quotes(0, 100.0, 110.0)
    crowd = [Told(stream) for _ in range(5)]
    for told in crowd:
        told.wish("spreads")
    virtual_clock.advance_ms(100)
    stream.tick()
    assert [len(told.of("spreads")) for told in crowd] == [1] * 5  # nobody has written
    quotes(1, 100.0, 120.0)
    virtual_clock.advance_ms(100)
    stream.tick()
    frames = [told.of("spreads")[1] for told in crowd]
    assert frames == [frames[0]] * 5
    assert (frames[0]["snapshot"], list(grosses(frames[0]))) == (False, ["BBB-USDT"])
    quotes(1, 100.0, 120.0)  # the same anew: its ages are other ones
    virtual_clock.advance_ms(100)
    stream.tick()
    assert list(grosses(crowd[0].of("spreads")[2])) == ["BBB-USDT"]


def test_live_is_told_as_soon_as_a_leg_is_written(
    stream: Broadcast, quotes: Callable[..., None]
) -> None:
    live, view = Told(stream), Told(stream)
    live.wish("spreads", pace="live", pairs=["AAA/USDT"])
    view.wish("spreads", pairs=["AAA/USDT"])
    for bid in range(3):
        quotes(0, 100.0, 110.0 + bid)
        stream.flush(dirty(0))
    assert len(live.of("spreads")) == 4
    assert len(view.of("spreads")) <= 2
    assert stream.watches


def test_between_two_looks_at_all_only_what_was_written_is_looked_at(
    stream: Broadcast, quotes: Callable[..., None], virtual_clock: Any, monkeypatch: Any
) -> None:
    looked: list[list[int]] = []
    look = SpreadTable.look

    def counted(table: SpreadTable, places: Any, *more: Any) -> Any:
        looked.append(places.tolist())
        return look(table, places, *more)

    monkeypatch.setattr(SpreadTable, "look", counted)
    quotes(0, 100.0, 110.0)
    live, view = Told(stream), Told(stream)
    live.wish("spreads", pace="live", pairs=["AAA/USDT", "CCC/USDT"])
    view.wish("spreads", directions=[WAY.label])
    looked.clear()
    for symbol_id in (0, 1):  # the second is wished by nobody who wants it at once
        quotes(symbol_id, 100.0, 110.0)
        stream.flush(dirty(symbol_id))
    assert looked == [[0]]
    virtual_clock.advance_ms(100)
    stream.tick()
    assert looked[1] == [0, 1, 2, 3]
    assert list(grosses(view.of("spreads")[-1])) == ["BBB-USDT"]


def test_what_is_written_while_a_look_rests_is_told_when_it_has_rested(
    stream: Broadcast, quotes: Callable[..., None], virtual_clock: Any, monkeypatch: Any
) -> None:
    """Nobody may write anything more: it waited for the next look at all."""
    look = SpreadTable.look

    def slow(table: SpreadTable, *more: Any) -> Any:
        virtual_clock.advance_ms(1)
        return look(table, *more)

    quotes(0, 100.0, 110.0)
    live = Told(stream)
    live.wish("spreads", pace="live")
    monkeypatch.setattr(SpreadTable, "look", slow)
    quotes(0, 100.0, 111.0)
    assert not stream.flush(dirty(0)), "all is told"
    quotes(0, 100.0, 112.0)
    assert stream.flush(dirty(0)), "it rests for nine times as long as it took"
    assert stream.flush([])
    virtual_clock.advance_ms(9)
    assert not stream.flush([])
    assert [len(one["spreads"]) for one in live.of("spreads")[1:]] == [1, 1]


def test_a_frame_is_at_least_as_new_as_its_version(
    asking: Any, stream: Broadcast, quotes: Callable[..., None], virtual_clock: Any
) -> None:
    """Who reads all of them as columns as well knows by it which of both is newer."""
    quotes(0, 100.0, 110.0)
    early, late = Told(stream), Told(stream)
    early.wish("spreads")
    quotes(0, 100.0, 111.0)
    assert asyncio.run(asking.get("/v1/spreads/columns")).json()["version"] == 4
    late.wish("spreads")  # what was looked at a moment ago is not looked at again for it
    assert [one.of("spreads")[0]["version"] for one in (early, late)] == [2, 2]
    assert grosses(early.of("spreads")[0]) == grosses(late.of("spreads")[0])
    virtual_clock.advance_ms(100)
    stream.tick()
    assert early.of("spreads")[1]["version"] == 4


def test_a_pair_that_is_listed_no_more_leaves_the_others_standing(
    asking: Any, stream: Broadcast, quotes: Callable[..., None], two_ways: Any
) -> None:
    quotes(0, 100.0, 110.0)
    quotes(1, 100.0, 110.0)
    folder = two_ways.settings.generated_dir
    made = tables.load(folder)
    wishes = {
        "spreads": [{"pairs": ["AAA/USDT", "BBB/USDT"]},
                    {"only": [f"AAA-USDT {WAY.label}", f"BBB/USDT {WAY.label}"]}],
        "prices": [{"pairs": ["AAA/USDT", "BBB/USDT"]}],
        "books": [{"pairs": ["AAA/USDT", "BBB/USDT"]}],
    }  # fmt: skip
    crowd = [(Told(stream), kind, more) for kind, some in wishes.items() for more in some]
    for told, kind, more in crowd:
        told.wish(kind, **more)
    left = msgspec.structs.replace(
        made,
        generation=made.generation + 1,
        instruments=tuple(row for row in made.instruments if row.symbol_id != 1),
        directions=tuple(
            msgspec.structs.replace(way, symbol_ids=tuple(set(way.symbol_ids) - {1}))
            for way in made.directions
        ),
    )
    for generation, named in ((0, ["AAA"]), (1, ["AAA"]), (2, ["AAA", "BBB"])):
        now = msgspec.structs.replace(
            left if generation < 2 else made, generation=made.generation + 1 + generation
        )
        publish.publish(folder, now, {})
        asking.system.prepared(two_ways.settings)()
        stream.tick()
        for told, kind, _ in crowd:
            (frame,) = told.of(kind)[-1:]
            assert frame["snapshot"]
            symbols = {one.get("symbol", one.get("pair"))[:3] for one in frame[kind]}
            assert sorted(symbols) == named, kind
    for told, kind, _ in crowd:
        assert told.let_go == [], kind
        (error,) = told.of("error")
        assert (error["code"], "BBB" in error["detail"]) == ("unknown_pair", True)


def test_pairs_may_be_wished_one_by_one(stream: Broadcast) -> None:
    told = Told(stream)
    told.wish("spreads", only=[f"ccc/usdt {OTHER.label}", f"AAA-USDT {WAY.label}"])
    (frame,) = told.of("spreads")
    assert [(one["symbol"], one["direction"]) for one in frame["spreads"]] == [
        ("AAA-USDT", WAY.label),
        ("CCC-USDT", OTHER.label),
    ]
    for wrong in ("AAA-USDT", "NOPE-USDT okx-mexc", "AAA-USDT okx-kraken"):
        told.wish("spreads", only=[wrong])
    codes = [one["code"] for one in told.of("error")]
    assert codes == ["bad_request", "unknown_pair", "unknown_direction"]


def test_all_directions_may_be_wished_by_name(stream: Broadcast) -> None:
    told = Told(stream)
    told.wish("spreads", directions=[way.label for way in DIRECTIONS])
    assert (told.of("error"), len(told.of("spreads"))) == ([], 1)


def test_by_pair_and_direction(stream: Broadcast) -> None:
    told = Told(stream)
    told.wish("spreads", pairs=["ccc-usdt"])
    told.wish("spreads", directions=[WAY.label])
    told.wish("spreads", pairs=["CCC/USDT"], directions=[WAY.label])
    shown = [
        [(one["symbol"], one["direction"]) for one in frame["spreads"]]
        for frame in told.of("spreads")
    ]
    assert shown == [
        [("CCC-USDT", WAY.label), ("CCC-USDT", OTHER.label)],
        [(f"{coin * 3}-USDT", WAY.label) for coin in "ABC"],
        [("CCC-USDT", WAY.label)],
    ]
    told.wish("spreads", directions=["okx-kraken"])
    assert "okx-kraken" in told.of("error")[0]["detail"]


def test_of_the_usable_alone_what_is_not_is_gone_and_comes_back(
    stream: Broadcast, quotes: Callable[..., None], virtual_clock: Any, listed_bed: Any
) -> None:
    quotes(0, 100.0, 110.0)
    good, every = Told(stream), Told(stream)
    good.wish("spreads", usable=True)
    every.wish("spreads")
    virtual_clock.advance_ms(listed_bed.settings.config.system.heartbeat_ms_max + 1)
    stream.tick()  # the feeds beat no more
    last = good.of("spreads")[-1]
    assert (last["spreads"], last["gone"]) == ([], [["AAA-USDT", WAY.label]])
    (stale,) = every.of("spreads")[-1]["spreads"]
    assert (stale["symbol"], stale["usable"]) == ("AAA-USDT", False)
    assert every.of("spreads")[-1]["gone"] == []
    quotes(0, 100.0, 110.0)
    virtual_clock.advance_ms(100)
    stream.tick()
    assert list(grosses(good.of("spreads")[-1])) == ["AAA-USDT"]


def test_who_was_slow_is_told_what_stands_of_what_it_missed(
    stream: Broadcast, quotes: Callable[..., None], virtual_clock: Any
) -> None:
    slow, quick = Told(stream), Told(stream)
    for told in (slow, quick):
        told.wish("spreads")
    slow.client.pause()
    for bid in range(5):
        quotes(bid % 2, 100.0, 110.0 + bid)
        virtual_clock.advance_ms(100)
        stream.tick()
    assert (len(slow.of("spreads")), len(quick.of("spreads"))) == (1, 6)
    stream.resume(slow.client)
    (caught_up,) = slow.of("spreads")[1:]
    wanted: dict[str, float | None] = {}
    for frame in quick.of("spreads")[1:]:
        wanted |= grosses(frame)
    assert grosses(caught_up) == wanted


def test_while_nobody_wishes_spreads_none_are_computed(
    stream: Broadcast, monkeypatch: pytest.MonkeyPatch, virtual_clock: Any
) -> None:
    told = Told(stream)
    told.wish("spreads")
    made: list[int] = []
    monkeypatch.setattr(SpreadTable, "look", lambda *_: made.append(1))
    told.wish("status")
    virtual_clock.advance_ms(100)
    stream.tick()
    stream.flush(dirty(0))
    assert not made
    assert not stream.watches


@pytest.mark.parametrize(
    "wish",
    [
        {"kinds": ["spreads"], "pairs": ["NOPE/USDT"]},
        {"kinds": ["spreads", "books"]},  # books are of pairs that are named
        {"kinds": ["books", "spreads"], "pairs": ["AAA/USDT"], "directions": ["okx-kraken"]},
    ],
)
def test_a_wish_that_comes_to_nothing_has_nothing_held(
    stream: Broadcast, wish: dict[str, Any]
) -> None:
    told = Told(stream)
    told.wish(*wish.pop("kinds"), **wish)
    assert len(told.of("error")) == 1
    channels: Any = stream._channels
    assert channels["spreads"]._held is None
    assert not channels["books"]._views


def test_the_first_who_wishes_is_attended_before_what_stands_is_looked_at(
    asking: Any, quotes: Callable[..., None]
) -> None:
    attended: list[tuple[bool, int]] = []
    told: list[Told] = []
    made = Broadcast(
        asking.system,
        lambda: attended.append((made.watches, len(told[0].frames) if told else 0)),
    )
    told.append(Told(made))
    assert attended == [(False, 0)]  # somebody is there: beats are due
    told[0].wish("prices")
    assert attended[1:] == [(True, 1)]  # the hello alone has been told
    told[0].wish("prices", pace="live")
    assert len(attended) == 2  # it was attended already
    told[0].wish("status")
    told[0].wish("spreads", pace="live")
    assert attended[2:] == [(True, len(told[0].frames) - 1)]
    made.close()


def test_new_tables_begin_with_a_snapshot(
    asking: Any, stream: Broadcast, quotes: Callable[..., None], listed_bed: Any
) -> None:
    told = Told(stream)
    told.wish("spreads", "status")
    asking.system.prepared(listed_bed.settings)()
    stream.tick()
    assert [frame["snapshot"] for frame in told.of("spreads")] == [True, True]
    assert json.dumps(told.of("spreads")[0]["spreads"]) == json.dumps(
        told.of("spreads")[1]["spreads"]
    )
