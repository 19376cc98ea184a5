"""Back-off, the gate and lines together: who waits for what, and for whom not.

Over real sockets; each pause is bounded from below only, so that a slow machine fails nothing.
`backoff_s_min` as shipped is 0.25 s and a turn some 0.2 to 1 s: shorter ones keep the tests short.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
import uvloop
from answering import closing
from feed_bed import Ground
from test_line import ROW, SOURCE, Act, Server, frame, quote_and_listen, ticker

from spread_scanner import clock
from spread_scanner.clock import NS_PER_S
from spread_scanner.config import Feed, SourceSettings
from spread_scanner.exchanges.registry import adapter_of
from spread_scanner.feed.connection import Connection
from spread_scanner.feed.line import Line
from spread_scanner.feed.share import Share, Target
from spread_scanner.runtime.backoff import Backoff
from spread_scanner.runtime.gate import Gate, Pace
from spread_scanner.runtime.life import End
from spread_scanner.shm.dials import Dials

DEADLINE_S = 60.0  # a busy machine may need it, a good run does not
NOTICE = frame(b'{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1}}')
# The pauses before the second to the sixth dial, of 0.05 s doubled each time, at their shortest.
FIVE_PAUSES_S = 0.5 * 0.05 * (1 + 2 + 4 + 8 + 16)


async def cut(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One quote, and the end."""
    writer.write(ticker(1_000 * server.connections))
    await writer.drain()
    writer.write_eof()


async def quote_for_ever(
    server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    for number in range(1, 10_000):
        writer.write(ticker(number))
        await asyncio.sleep(0.02)


async def leave(server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """It quotes until the end, which it announces."""
    writer.write(NOTICE)
    await quote_for_ever(server, reader, writer)


class Dialling:
    """Lines that share a gate, and what became of their connections."""

    def __init__(self, ground: Ground, pace: Pace) -> None:
        self.ground = ground
        self.gate = Gate(Dials.private(), "test", pace)
        self.lines: list[Line] = []
        self.ends: list[End] = []
        self.ended_ns = 0
        self.listening: list[asyncio.Server] = []
        self.began_s = clock.awake_s()

    @property
    def passed_s(self) -> float:
        return clock.awake_s() - self.began_s

    def line(self, server: "asyncio.Server", **settings: Any) -> Line:
        port = server.sockets[0].getsockname()[1]
        made = Feed(**{"backoff_s_min": 0.05, "backoff_s_max": 10.0, **settings})
        share: Share = self.ground.share(
            f"ws://127.0.0.1:{port}/stream", made, {"BTCUSDT": ROW}, connects=self.gate
        )
        line = Line(share, ["BTCUSDT"], self._lost)
        self.lines.append(line)
        return line

    def _lost(self, _: Connection, why: End) -> None:
        self.ends.append(why)
        self.ended_ns = clock.mono_ns()

    async def until(self, holds: Callable[[], bool]) -> None:
        deadline_s = clock.awake_s() + DEADLINE_S
        while not holds():
            assert clock.awake_s() < deadline_s, self.ends
            for line in self.lines:
                line.check(clock.mono_ns(), 1.0)
            await asyncio.sleep(0.005)

    async def served(self, *acts: Act) -> tuple[Server, asyncio.Server]:
        server = Server(list(acts))
        listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
        self.listening.append(listening)
        return server, listening

    def run(self, story: Callable[[], Awaitable[None]]) -> None:
        async def told() -> None:
            try:
                await story()
            finally:
                for line in self.lines:
                    line.stop()
                for one in self.listening:
                    one.close()
            assert self.ground.faults == []

        uvloop.run(told())


@pytest.fixture
def ground(namespace: str) -> Iterator[Ground]:
    made = Ground(namespace, SOURCE.label)
    yield made
    made.close()


def test_a_line_in_a_long_pause_keeps_nobody_waiting(ground: Ground) -> None:
    dialling = Dialling(ground, Pace(5.0))

    async def act() -> None:
        bad, unwell = await dialling.served(cut)
        good, well = await dialling.served(quote_and_listen)
        one, other = dialling.line(unwell), dialling.line(well)
        one._backoff = Backoff(7_200.0, 7_200.0)
        one.start()
        await dialling.until(lambda: bad.connections == 1 and one.current is None)
        other.start()
        for number in (1, 2, 3):
            await dialling.until(lambda number=number: good.connections == number)  # type: ignore[misc]
            await dialling.until(lambda: other.current is not None)
            if number < 3:
                assert other.current is not None
                other.current.end(End.LOST)
        assert bad.connections == 1

    dialling.run(act)


def test_one_quote_each_time_shortens_no_pause(ground: Ground) -> None:
    dialling = Dialling(ground, Pace(1_000.0))

    async def act() -> None:
        server, listening = await dialling.served(cut)
        line = dialling.line(listening)
        line.start()
        await dialling.until(lambda: server.connections == 6)
        assert dialling.passed_s >= FIVE_PAUSES_S
        assert line._backoff.failures in (5, 6), "whether the sixth has ended already"

    dialling.run(act)


def test_an_exchange_that_is_away_is_dialled_as_soon_after_a_refusal_as_ever(
    ground: Ground,
) -> None:
    """The pauses of what is refused are minutes; a dial that fails is no refusal."""
    dialling = Dialling(ground, Pace(1_000.0))

    async def act() -> None:
        _, listening = await dialling.served()
        line = dialling.line(listening)
        listening.close()
        line.refusal, line._refusals = "no such symbol", 2
        line.start()
        await dialling.until(lambda: line._backoff.failures >= 3)
        assert line.refusal == ""
        assert line.away

    dialling.run(act)


def test_a_successor_has_pauses_of_its_own(ground: Ground) -> None:
    """The old connection lives and quotes; that shortens nothing, and its end costs no pause."""

    dialling = Dialling(ground, Pace(1_000.0))

    async def act() -> None:
        _, listening = await dialling.served(leave, *[cut] * 6, quote_and_listen)
        line = dialling.line(listening)
        line.start()
        await dialling.until(lambda: line.current is not None)
        current = line.current
        await dialling.until(lambda: dialling.ends == [End.LOST] * 6)
        sixth_s = (line._successor_ns - dialling.ended_ns) / NS_PER_S
        assert sixth_s >= 0.5 * 0.05 * 32
        assert line.current is current
        assert line._backoff.failures == 0
        await dialling.until(lambda: line.current is not current)
        assert dialling.ends[:-1] == [End.LOST] * 6
        assert dialling.ends[-1] is End.SWAPPED

    dialling.run(act)


def test_what_successors_failed_at_long_ago_is_no_pause_of_the_next_ones(ground: Ground) -> None:
    """The line stood for ten minutes, and the next outage began with pauses of half a minute.

    `stood_s` is 30 s as shipped."""
    dialling = Dialling(ground, Pace(1_000.0))

    async def act() -> None:
        _, listening = await dialling.served(quote_for_ever)
        line = dialling.line(listening, stood_s=0.05)
        line._successor_backoff.failures = 8
        line.start()
        await dialling.until(lambda: line._successor_backoff.failures == 0)
        line._successor_backoff.failures = 8
        line._successor_ns = clock.mono_ns() + 3_600 * NS_PER_S
        quoted_ns = line.connections[0].listener.data_ns
        stands_ns = quoted_ns + 5 * NS_PER_S // 20
        await dialling.until(lambda: line.connections[0].listener.data_ns >= stands_ns)
        assert line._successor_backoff.failures == 8, "one that waits for its turn is not over"

    dialling.run(act)


def test_all_lines_take_their_turns_at_one_gate_and_hear_of_a_ban(ground: Ground) -> None:
    dialling = Dialling(ground, Pace(4.0))

    async def act() -> None:
        server, listening = await dialling.served(quote_and_listen)
        lines = [dialling.line(listening) for _ in range(3)]
        dialling.gate.refused(418, 1.0)
        for line in lines:
            line.start()
        await dialling.until(lambda: server.connections > 0)
        assert dialling.passed_s >= 1.0
        await dialling.until(lambda: server.connections == 3)
        assert dialling.passed_s >= 1.5, "one after the other, a quarter of a second each"

    dialling.run(act)


@pytest.mark.parametrize("successor", [False, True])
def test_a_dial_that_waits_out_a_ban_begins_anew_where_the_settings_are_others_now(
    ground: Ground, successor: bool
) -> None:
    """Whoever moves to another address because of a ban does not wait for that ban's end."""
    dialling = Dialling(ground, Pace(1_000.0))

    async def act() -> None:
        old, there = await dialling.served(leave if successor else quote_and_listen)
        new, here = await dialling.served(quote_and_listen)
        line = dialling.line(there)
        if successor:
            line.start()
            await dialling.until(lambda: line.current is not None)
        dialling.gate.refused(451, 3_600.0)
        if successor:
            await dialling.until(lambda: line._opening is not None)
        else:
            line.start()
            await asyncio.sleep(0.05)
        assert old.connections == int(successor)
        share = line._share
        url = f"ws://127.0.0.1:{here.sockets[0].getsockname()[1]}/stream"
        made = SourceSettings(rest_url="http://x", ws_url=url)
        share.adapter, share.target = adapter_of(ground.source, made), Target(url, "", "")
        share.connects = Gate(Dials.private(), "other", Pace(1_000.0))
        line.retune()
        await dialling.until(lambda: new.connections == 1 and not line._dialling)
        await dialling.until(lambda: line.current is not None and line.current.target.url == url)
        assert old.connections == int(successor)
        assert share.connects.ban() is None

    dialling.run(act)


def test_an_answer_is_told_at_the_gate_of_its_dial_whatever_a_reload_brought_meanwhile(
    ground: Ground,
) -> None:
    dialling = Dialling(ground, Pace(1_000.0))
    asked = asyncio.Event()
    answer = asyncio.Event()

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        await answer.wait()
        writer.write(b"HTTP/1.1 451 No\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async def act() -> None:
        listening = await asyncio.start_server(closing(refuse), "127.0.0.1", 0)
        dialling.listening.append(listening)
        line = dialling.line(listening)
        line.start()
        await dialling.until(asked.is_set)
        line._share.connects = other = Gate(Dials.private(), "other", Pace(1_000.0))
        line.retune()
        answer.set()
        await dialling.until(lambda: ground.counters["connect_failures"] == 1)
        ban = dialling.gate.ban()
        assert ban is not None
        assert ban.status == 451
        assert other.ban() is None

    dialling.run(act)
