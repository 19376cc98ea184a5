"""Listening: what counts as quoted, silent, refused or unreached, and what a refusal sets off.

The exchange is a websocket server of the test's own, with a dialect of one line per message.
"""

import asyncio
import json
import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from answering import closing
from socks_proxy import socks5
from websockets.asyncio.server import ServerConnection, serve

from spread_scanner.discovery.validate import Hearing, Validation, Wanted, batches, validate
from spread_scanner.errors import BadMessage
from spread_scanner.exchanges.adapter import (
    Ack,
    Delta,
    Event,
    Limits,
    PingRule,
    RawQuote,
    RefusalKind,
    Refused,
)
from spread_scanner.schema.enums import SOURCES

LIMITS = Limits(100, 100, 10_000, 1_000.0, 1_000.0, None)
SECONDS = 0.3


class Dialect:
    """An adapter of a made-up exchange: JSON lists, the first item says what it is."""

    source = SOURCES[0]
    binary = False
    ping = PingRule("ping", 0.05)

    def __init__(self, url: str, limits: Limits) -> None:
        self._url = url
        self.limits = limits

    def ws_url(self) -> str:
        return self._url

    def topic_bytes(self, exchange_symbol: str) -> int:
        return len(exchange_symbol) + 1

    def subscribe(self, exchange_symbols: Sequence[str], request_id: int) -> str:
        return json.dumps([request_id, *exchange_symbols])

    def parse(self, frame: bytes) -> list[Event]:
        message = json.loads(frame)
        if not isinstance(message, list):
            raise BadMessage("not a list", raw=frame)
        what, *rest = message
        if what == "quote":
            return [RawQuote(rest[0], rest[1], 1.0, rest[1], 1.0, 0, 0)]
        if what == "delta":
            return [Delta(rest[0], (rest[1], 1.0), None, 0, 0)]
        if what == "ack":
            return [Ack(str(rest[0]), tuple(rest[1:]))]
        if what == "busy":
            return [Refused(str(rest[0]), (), "429", "too frequent", RefusalKind.BUSY)]
        return [Refused(str(rest[0]), tuple(rest[1:]), "400", "no such thing")]


Talk = Callable[[list[str], Any], list[list[Any]]]  # (symbols, request id) -> what to answer


def listened(
    names: Sequence[str], talk: Talk, limits: Limits = LIMITS, **faults: int
) -> tuple[Validation, list[list[str]]]:
    """Validate against a server that answers as `talk` says; also the requests it got.

    `faults`: hang_up: how many connections are closed after their first request.
    """
    requests: list[list[str]] = []
    left = dict(faults)

    async def handle(socket: ServerConnection) -> None:
        async for text in socket:
            if text == "ping":
                continue
            request_id, *symbols = json.loads(text)
            requests.append(symbols)
            for answer in talk(symbols, request_id):
                await socket.send(json.dumps(answer))
            if left.get("hang_up", 0) > 0:
                left["hang_up"] -= 1
                await socket.close()

    async def run() -> Validation:
        async with serve(handle, "127.0.0.1", 0) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            dialect: Any = Dialect(f"ws://127.0.0.1:{port}", limits)
            seconds = SECONDS if not faults else 2.0
            return await validate([Wanted(dialect, "", names)], seconds, lambda *_: None)

    return asyncio.run(run()), requests


def states(validation: Validation) -> dict[str, Hearing]:
    return {name: heard.state for (_, name), heard in validation.heard.items()}


def everything_quoted(symbols: list[str], _request_id: Any) -> list[list[Any]]:
    return [["quote", name, 2.0] for name in symbols]


def test_batches_keep_to_every_limit() -> None:
    names = [f"C{number}" for number in range(25)]
    limits = LIMITS._replace(topics_per_request_max=10)
    assert [len(batch) for batch in batches(names, limits, len)] == [10, 10, 5]
    limits = LIMITS._replace(request_bytes_max=256 + 9)
    assert [name for batch in batches(names, limits, len) for name in batch] == names
    assert all(sum(map(len, batch)) <= 9 for batch in batches(names, limits, len))
    limits = LIMITS._replace(request_bytes_max=256)
    assert [len(batch) for batch in batches(names, limits, len)] == [1] * 25
    assert list(batches([], LIMITS, len)) == []


def test_a_quote_is_the_proof_and_an_acknowledgement_is_none() -> None:
    def talk(symbols: list[str], request_id: Any) -> list[list[Any]]:
        quotes = [["quote", name, 2.0] for name in symbols if name != "QUIET"]
        return [["ack", request_id, *symbols], *quotes]

    validation, _ = listened(["LOUD", "QUIET"], talk)
    assert states(validation) == {"LOUD": Hearing.QUOTED, "QUIET": Hearing.SILENT}
    mids = validation.heard[0, "LOUD"].mids
    assert mids[-1] == 2.0
    assert len(mids) == len(validation.heard[0, "QUIET"].mids)
    assert all(math.isnan(mid) for mid in validation.heard[0, "QUIET"].mids)


def test_deltas_change_the_side_that_they_name() -> None:
    def talk(symbols: list[str], _request_id: Any) -> list[list[Any]]:
        return [["quote", symbols[0], 2.0], ["delta", symbols[0], 1.0]]

    validation, _ = listened(["A"], talk)
    assert validation.heard[0, "A"].mids[-1] == 1.5


def test_quotes_of_others_are_no_concern() -> None:
    validation, _ = listened(["A"], lambda *_: [["quote", "B", 2.0]])
    assert states(validation) == {"A": Hearing.SILENT}


def test_connections_carry_no_more_than_the_exchange_allows() -> None:
    names = [f"C{number}" for number in range(25)]
    limits = LIMITS._replace(topics_per_connection_max=10, topics_per_request_max=4)
    validation, requests = listened(names, everything_quoted, limits)
    assert set(states(validation).values()) == {Hearing.QUOTED}
    assert sorted(len(request) for request in requests) == [1, 2, 2, 4, 4, 4, 4, 4]


def refusing(bad: set[str], *, named: bool) -> Talk:
    """One bad topic makes it refuse the whole request, as some exchanges do."""

    def talk(symbols: list[str], request_id: Any) -> list[list[Any]]:
        found = [name for name in symbols if name in bad]
        if not found:
            return everything_quoted(symbols, request_id)
        return [["refused", request_id, *(found[:1] if named else [])]]

    return talk


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused requests are sent again without the pause."""
    monkeypatch.setattr("spread_scanner.discovery.validate.RECHECK_S", 0.0)


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("named", [True, False])
def test_an_exchange_that_is_too_busy_at_first_costs_no_symbol(named: bool) -> None:
    """One symbol a request: a refusal of that request could be taken for one of its symbol."""
    names = [f"C{number}" for number in range(3)]
    left = 4

    def talk(symbols: list[str], request_id: Any) -> list[list[Any]]:
        nonlocal left
        left -= 1
        if left >= 0:
            return [["busy", request_id if named else ""]]
        return everything_quoted(symbols, request_id)

    validation, _ = listened(names, talk, LIMITS._replace(topics_per_request_max=1))
    assert set(states(validation).values()) == {Hearing.QUOTED}


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("named", [True, False])
def test_the_bad_ones_of_a_refused_request_are_found_and_the_rest_goes_on(named: bool) -> None:
    names = [f"C{number}" for number in range(20)]
    validation, _ = listened(names, refusing({"C3", "C14"}, named=named))
    found = states(validation)
    assert {name for name, state in found.items() if state is Hearing.REFUSED} == {"C3", "C14"}
    assert {state for name, state in found.items() if name not in ("C3", "C14")} == {Hearing.QUOTED}
    assert validation.heard[0, "C3"].refusal == "400 no such thing"


@pytest.mark.usefixtures("at_once")
def test_what_was_acknowledged_is_not_asked_for_again() -> None:
    def talk(symbols: list[str], request_id: Any) -> list[list[Any]]:
        rest = [name for name in symbols if name != "BAD"]
        return [["ack", request_id, *rest], ["refused", request_id, "BAD"]]

    validation, requests = listened(["A", "BAD", "B"], talk)
    assert states(validation) == {"A": Hearing.SILENT, "BAD": Hearing.REFUSED, "B": Hearing.SILENT}
    assert requests == [["A", "BAD", "B"]]


def test_a_refusal_of_nothing_that_was_asked_is_noted() -> None:
    validation, _ = listened(["A"], lambda *_: [["refused", "other"]])
    assert states(validation) == {"A": Hearing.SILENT}
    assert any("no such thing" in note for note in validation.notes)


def test_messages_that_cannot_be_read_are_counted_and_survived() -> None:
    def broken(symbols: list[str], request_id: Any) -> list[Any]:
        return ["rubbish", *everything_quoted(symbols, request_id), "more of it"]

    validation, _ = listened(["A"], broken)
    assert states(validation) == {"A": Hearing.QUOTED}
    assert any("2 messages could not be decoded" in note for note in validation.notes)


def test_a_lost_connection_is_dialled_again() -> None:
    names = ["A", "B"]
    validation, requests = listened(names, lambda *_: [], hang_up=1)
    assert requests == [names, names]
    assert any("connection was lost" in note for note in validation.notes)


def test_a_source_that_cannot_be_reached_is_neither_silent_nor_in_the_way() -> None:
    async def run() -> Validation:
        dialect: Any = Dialect("ws://127.0.0.1:1", LIMITS)
        return await validate([Wanted(dialect, "", ["A"])], SECONDS, lambda *_: None)

    validation = asyncio.run(run())
    assert states(validation) == {"A": Hearing.UNREACHED}
    assert "connection refused" in validation.unreached[SOURCES[0].label]


def test_nothing_to_listen_to_is_no_fault() -> None:
    validation = asyncio.run(validate([], 0.05, lambda *_: None))
    assert validation.heard == {}


async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One direction of a tunnel."""
    while data := await reader.read(65_536):
        writer.write(data)
    writer.close()


@pytest.mark.parametrize("scheme", ["http", "socks5"])
def test_the_exchange_is_heard_through_the_proxy_that_alone_can_find_it(scheme: str) -> None:
    asked: list[tuple[str, int]] = []

    async def handle(socket: ServerConnection) -> None:
        async for text in socket:
            for answer in everything_quoted(json.loads(text)[1:], 1):
                await socket.send(json.dumps(answer))

    async def run() -> Validation:
        async with serve(handle, "127.0.0.1", 0) as server:
            port = next(iter(server.sockets)).getsockname()[1]

            async def behind(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                inner, outer = await asyncio.open_connection("127.0.0.1", port)
                await asyncio.gather(relay(reader, outer), relay(inner, writer))

            async def http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                head = await reader.readuntil(b"\r\n\r\n")
                name, _, number = head.split()[1].decode().rpartition(":")
                asked.append((name, int(number)))
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                await behind(reader, writer)

            tunnel = http if scheme == "http" else socks5(asked, behind)
            async with await asyncio.start_server(closing(tunnel), "127.0.0.1", 0) as proxy:
                proxy_url = f"{scheme}://127.0.0.1:{proxy.sockets[0].getsockname()[1]}"
                dialect: Any = Dialect("ws://exchange.test:8080", LIMITS)
                wanted = [Wanted(dialect, proxy_url, ["A"])]
                return await validate(wanted, SECONDS, lambda *_: None)

    validation = asyncio.run(run())

    assert states(validation) == {"A": Hearing.QUOTED}
    assert set(asked) == {("exchange.test", 8080)}
