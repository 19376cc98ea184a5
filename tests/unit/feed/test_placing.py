"""Symbols find their place: over real sockets, where there is little room and streams are dead."""

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
import structlog
import uvloop
from feed_bed import Ground
from structlog.testing import CapturingLogger
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from spread_scanner import clock
from spread_scanner.config import Feed
from spread_scanner.feed._listener import FLAGS
from spread_scanner.feed.line import Line
from spread_scanner.feed.placing import Placing
from spread_scanner.runtime.life import End
from spread_scanner.schema.enums import SOURCE_BY_LABEL
from spread_scanner.symbology.tables import InstrumentRow

SOURCE = SOURCE_BY_LABEL["okx-spot"]
NAMES = [f"C{number}-USDT" for number in range(8)]
DEADLINE_S = 60.0
FULL = {"event": "error", "code": "1", "msg": "too many subscriptions on this connection"}


class Exchange:
    """Takes `room` symbols a connection. A symbol in `dead` is acknowledged, and its stream begins
    only with its second subscribing.
    """

    def __init__(self, room: int = 100, dead: tuple[str, ...] = ()) -> None:
        self.room = room
        self.dead = set(dead)
        self.words = ""  # refuses everything, in these words
        self.together = 1  # the first connection is answered when it has asked so often, slowly
        self._held: list[str] = []
        self.requests: list[tuple[int, str, list[str]]] = []
        self.connections = 0
        self._sequence = 0

    async def serve(self, socket: ServerConnection) -> None:
        number, carried = self.connections, set[str]()
        self.connections += 1
        pump = asyncio.create_task(self._quote(socket, carried))
        try:
            async for text in socket:
                if text == "ping":
                    await socket.send("pong")
                else:
                    await self._take(number, json.loads(text), socket, carried)
        finally:
            pump.cancel()

    async def _take(
        self, number: int, request: dict[str, Any], socket: ServerConnection, carried: set[str]
    ) -> None:
        names = [arg["instId"] for arg in request["args"]]
        self.requests.append((number, request["op"], names))
        if self.words:
            refusal = {"event": "error", "id": request["id"], "code": "60018"}
            for name in names:
                text = f"instId:{name} {self.words}"
                await socket.send(json.dumps({**refusal, "msg": text}))
            return
        if request["op"] == "unsubscribe":
            carried.difference_update(names)
            self.dead.difference_update(names)
        elif len(carried.union(names)) > self.room:
            await self._answer(number, socket, [{**FULL, "id": request["id"]}])
            return
        else:
            carried.update(names)
        said = {"id": request["id"], "event": request["op"]}
        await self._answer(number, socket, [{**said, "arg": arg} for arg in request["args"]])

    async def _answer(
        self, number: int, socket: ServerConnection, answers: list[dict[str, Any]]
    ) -> None:
        texts = [json.dumps(answer) for answer in answers]
        if number == 0 and self.together > 1:
            self._held += texts
            if len(self.requests) < self.together:
                return
            texts, self._held = self._held, []
        for text in texts:
            await socket.send(text)
            if self.together > 1:
                await asyncio.sleep(0.05)  # longer than between two looks

    def asked(self, names: list[str]) -> list[int]:
        """The connections that have subscribed exactly these, as often as they did."""
        return [one for one, op, asked in self.requests if op == "subscribe" and asked == names]

    async def _quote(self, socket: ServerConnection, carried: set[str]) -> None:
        while True:
            for name in sorted(carried - self.dead):
                self._sequence += 1
                book = {
                    "asks": [["2", "1", "0", "1"]],
                    "bids": [["1", "1", "0", "1"]],
                    "ts": str(clock.wall_ns() // 10**6),
                    "seqId": self._sequence,
                }
                arg = {"channel": "bbo-tbt", "instId": name}
                try:
                    await socket.send(json.dumps({"arg": arg, "data": [book]}))
                except ConnectionClosed:
                    return
            await asyncio.sleep(0.05)


INSTRUMENTS = {
    name: InstrumentRow(
        SOURCE.source_id, number, name, 1.0, 1.0, None, None, None, None, False, False
    )
    for number, name in enumerate(NAMES)
}


class Bed(Ground):
    """Lines of one source, looked after as the feed does it."""

    def __init__(self, namespace: str) -> None:
        super().__init__(namespace, SOURCE.label)
        self.silent: set[int] = set()
        self.copies: list[list[Line]] = []
        self.log = CapturingLogger()
        self.limits: dict[str, Any] = {}  # others than the exchange's

    def said(self, event: str) -> list[dict[str, Any]]:
        """The lines of the log of that event."""
        return [call.kwargs for call in self.log.calls if call.kwargs["event"] == event]

    @property
    def copy(self) -> list[Line]:
        """The first one."""
        return self.copies[0]

    def run(
        self,
        exchange: Exchange,
        cut: list[list[str]],
        done: Callable[["Bed"], bool],
        **settings: Any,
    ) -> None:
        uvloop.run(self._run(exchange, cut, done, settings))

    async def _run(
        self,
        exchange: Exchange,
        cut: list[list[str]],
        done: Callable[["Bed"], bool],
        settings: dict[str, Any],
    ) -> None:
        async with serve(exchange.serve, "127.0.0.1", 0) as listening:
            port = next(iter(listening.sockets)).getsockname()[1]
            # One request a second would make the test long, and so would pauses and waits for a
            # first quote as shipped: the budget is its own test, and the days live all of them.
            share = self.share(
                f"ws://127.0.0.1:{port}/",
                Feed(backoff_s_min=0.01, backoff_s_max=0.05, **settings),
                INSTRUMENTS,
                **{"requests_per_s_max": 100.0, **self.limits},
            )
            share.log = structlog.wrap_logger(self.log, processors=[lambda *event: event[-1]])

            def new_lines(cut: list[list[str]]) -> list[Line]:
                return [Line(share, symbols, lambda *_: None) for symbols in cut]

            placing = Placing(share, new_lines)
            self.copies = [new_lines(cut) for _ in range(share.settings.redundant)]
            for line in self.lines():
                line.start()
            loop = asyncio.get_running_loop()
            deadline = loop.time() + DEADLINE_S
            try:
                while not done(self):
                    assert loop.time() < deadline, (exchange.requests, self.counters)
                    now_ns = clock.mono_ns()
                    for line in self.lines():
                        line.check(now_ns, 1.0)
                    placing.look(self.copies, self.silent, now_ns)
                    await asyncio.sleep(0.01)
            finally:
                for line in self.lines():
                    line.stop()
        assert self.faults == []

    def lines(self) -> list[Line]:
        return [line for copy in self.copies for line in copy]

    def good(self) -> list[str]:
        """Who has a quote that no connection's end has taken back."""
        quotes = {
            name: self.store.read(SOURCE.source_id, number) for number, name in enumerate(NAMES)
        }
        return [n for n, quote in quotes.items() if quote and not quote.flags & FLAGS["STALE"]]


@pytest.fixture
def bed(namespace: str) -> Iterator[Bed]:
    made = Bed(namespace)
    yield made
    made.close()


def test_what_a_connection_has_no_room_for_finds_another(bed: Bed) -> None:
    exchange = Exchange(room=3)

    capacities: list[int | None] = []

    def placed(bed: Bed) -> bool:
        capacities[:] = [line.capacity for line in bed.copy]
        return bed.good() == NAMES

    bed.run(exchange, [NAMES], placed)

    assert sorted(len(line.symbols) for line in bed.copy) == [2, 3, 3]
    assert sorted(symbol for line in bed.copy for symbol in line.symbols) == NAMES
    assert capacities[0] == 3
    assert bed.counters["handed_over"] >= 5
    assert bed.counters["refused_symbols"] == 0


def test_what_there_is_no_room_for_is_one_line_of_the_log_with_a_count(bed: Bed) -> None:
    """Each symbol is asked for by itself, as on MEXC, and each request that is out is refused.

    An answer may take a minute, so that on a slow machine none is given up.
    """
    exchange = Exchange(room=3)
    exchange.together = len(NAMES)
    bed.limits = {"topics_per_request_max": 1}

    def of_the_first() -> list[dict[str, Any]]:
        return [said for said in bed.said("no room") if NAMES[3] in said["first"]]

    bed.run(
        exchange,
        [NAMES],
        lambda bed: bed.good() == NAMES and bool(of_the_first()),
        answer_s_max=60.0,
    )

    (no_room,) = of_the_first()
    assert (no_room["symbols"], no_room["first"]) == (5, NAMES[3:])
    refused = [said for said in bed.said("refused") if said["connection"] == 1]
    assert {said["kind"] for said in refused} == {"full"}
    assert sum(said["answers"] for said in refused) == 5
    assert len(refused) <= 2, "one, but for a machine that takes seconds between two looks"


def test_the_next_connection_may_be_given_more(bed: Bed) -> None:
    exchange = Exchange(room=3)
    wider = False

    def gathered(bed: Bed) -> bool:
        nonlocal wider
        (line, *more) = bed.copy
        if not wider and bed.good() == NAMES and line.current is not None:
            assert line.capacity == 3
            wider, exchange.room = True, 100
            line.current.end(End.LOST)
        if not wider or not line.carried or line.capacity is not None:
            return False
        if more:
            for one in more:
                line.join(one.symbols)
                one.stop()
            del bed.copy[1:]
        return sorted(line.symbols) == NAMES and bed.good() == NAMES

    bed.run(exchange, [NAMES], gathered)

    assert len(bed.copy) == 1


def test_of_two_copies_one_at_a_time_asks_again(bed: Bed) -> None:
    """While one has unsubscribed, the other is to bring the quote if it comes after all.
    `first_quote_s_max` as shipped is a minute.
    """
    exchange = Exchange()

    def asked(bed: Bed) -> list[tuple[int, str]]:
        return [(number, op) for number, op, names in exchange.requests if names == [NAMES[2]]]

    def both_asked(bed: Bed) -> bool:
        settled = (one.current and one.current.subscription.settled for one in bed.lines())
        if all(settled) and bed.good() == NAMES:
            bed.silent = {2}  # whatever comes: as when both copies get repeats only
        return len(asked(bed)) >= 4

    bed.run(exchange, [NAMES], both_asked, redundant=2, first_quote_s_max=1.0)

    first, second = sorted({number for number, _ in asked(bed)})
    assert [op for _, op in asked(bed)] == ["unsubscribe", "subscribe"] * 2
    assert [number for number, _ in asked(bed)] in (
        [first, first, second, second],
        [second, second, first, first],
    )


def test_a_symbol_that_never_quotes_is_asked_for_on_another_connection(bed: Bed) -> None:
    """`first_quote_s_max` as shipped is a minute."""
    exchange = Exchange(dead=(NAMES[0],))

    bed.run(
        exchange,
        [NAMES[:4], NAMES[4:]],
        lambda bed: bed.good() == NAMES,
        first_quote_s_max=1.0,
    )

    told = [(number, op) for number, op, names in exchange.requests if names == [NAMES[0]]]
    assert sorted(op for _, op in told) == ["subscribe", "unsubscribe"]
    assert len({number for number, _ in told}) == 2
    assert NAMES[0] in bed.copy[1].symbols
    counters = bed.counters
    assert (counters["no_first_quote"], counters["resubscribes"]) == (1, 1)
    assert (counters["connects"], counters["stale_marks"]) == (2, 0)


def test_nothing_moves_away_from_a_connection_before_it_is_judged(
    bed: Bed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that brings nothing is asked again itself: it is to blame, or it is not. And of one that
    is silent nobody knows anything. `first_quote_s_max` as shipped is a minute.
    """
    exchange = Exchange(dead=(NAMES[0], NAMES[4]))
    until_s: list[float] = []

    def judged(bed: Bed) -> bool:
        one, other = bed.copy
        assert one.symbols == NAMES[:1]
        assert other.symbols == NAMES[1:]
        if other.current is not None and not other.current.silent:
            other.current.silent = True  # for good: its pulse is not felt any more
            monkeypatch.setattr(other.current, "feel", lambda *_: False)
        if len(exchange.asked(NAMES[:1])) >= 2 and not until_s:
            until_s.append(clock.mono_ns() / 1e9 + 0.5)
        return bool(until_s) and clock.mono_ns() / 1e9 > until_s[0]

    bed.run(exchange, [NAMES[:1], NAMES[1:]], judged, first_quote_s_max=3.0)

    # Either of the two may have been the first to connect.
    itself, again = exchange.asked(NAMES[:1])
    assert itself == again
    assert not any(op == "unsubscribe" for one, op, _ in exchange.requests if one != itself)
    assert (bed.counters["no_first_quote"], bed.counters["resubscribes"]) == (1, 1)


def test_a_silent_symbol_is_asked_for_again_and_its_cell_stays_as_it_is(bed: Bed) -> None:
    exchange = Exchange()
    asked = [(0, "unsubscribe", [NAMES[2]]), (0, "subscribe", [NAMES[2]])]

    def asked_again(bed: Bed) -> bool:
        if bed.good() == NAMES:
            bed.silent = {2}  # as the feed finds out from its rate
        assert not bed.silent or bed.good() == NAMES
        return exchange.requests[-2:] == asked

    bed.run(exchange, [NAMES], asked_again)

    assert bed.counters["resubscribes"] == 1
    assert bed.counters["no_first_quote"] == 0


def test_what_the_next_connection_asks_for_in_vain_waits_for_no_silence_of_before(bed: Bed) -> None:
    """`first_quote_s_max` as shipped is a minute, and so is the pause that is not waited for."""
    exchange = Exchange()

    def asked(connection: int) -> int:
        # On a machine that stood still others are asked for again along with it.
        return sum(
            at == connection and verb == "subscribe" and NAMES[2] in names
            for at, verb, names in exchange.requests
        )

    def asked_twice(bed: Bed) -> bool:
        line = bed.copy[0]
        if not bed.silent and bed.good() == NAMES:
            bed.silent = {2}  # as the feed finds out from its rate
        if exchange.connections == 1 and asked(0) >= 2 and line.current is not None:
            exchange.dead = {NAMES[2]}
            line.current.end(End.LOST)
        return asked(1) >= 2 and bed.good() == NAMES

    bed.run(exchange, [NAMES], asked_twice, first_quote_s_max=1.0)

    assert bed.counters["resubscribes"] >= 2
    assert bed.counters["no_first_quote"] >= 1


def test_what_is_joined_later_is_watched_like_the_others(bed: Bed) -> None:
    """`first_quote_s_max` as shipped is a minute."""
    exchange = Exchange(dead=tuple(NAMES[6:]))
    joined = False

    def heard(bed: Bed) -> bool:
        nonlocal joined
        if not joined and bed.good() == NAMES[:6]:
            bed.copy[0].join(NAMES[6:])
            joined = True
        return bed.good() == NAMES

    bed.run(exchange, [NAMES[:6]], heard, first_quote_s_max=1.0)

    assert bed.counters["no_first_quote"] == 2
    assert bed.counters["connects"] == 1


def test_one_that_is_refused_everything_says_so_and_is_not_dialled_again(bed: Bed) -> None:
    """`first_quote_s_max` as shipped is a minute, and so it is until the refusal has come."""
    exchange = Exchange()
    exchange.words = "is no more"
    end: list[float] = []

    def refused_for_a_while(bed: Bed) -> bool:
        (line,) = bed.copy
        if line.refusal and not end:
            share = line._share
            share.settings = msgspec.structs.replace(share.settings, first_quote_s_max=0.5)
            end.append(clock.mono_ns() / 1e9 + 3.0)
        return bool(end) and clock.mono_ns() / 1e9 > end[0]

    bed.run(exchange, [NAMES], refused_for_a_while)

    assert "is no more" in bed.copy[0].refusal
    assert bed.counters["refusals"] == len(NAMES)
    assert exchange.connections == 1
    assert len(exchange.requests) == 1
