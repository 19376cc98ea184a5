"""The REST client: what is tried again, after how long, and how a failure looks in the end."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from email.utils import formatdate
from typing import Any

import httpx
import pytest
import stamina
import structlog
from answering import closing
from socks_proxy import socks5

from spread_scanner.errors import BadMessage, ExchangeError
from spread_scanner.exchanges.adapter import RestRequest
from spread_scanner.runtime import refusals
from spread_scanner.runtime.gate import Gate, Pace
from spread_scanner.runtime.rest import Patience, RestClient
from spread_scanner.shm.dials import Dials

Answer = bytes | None  # None: the request is never answered
REQUEST = RestRequest("/list", {"kind": "all"})
QUICK = Patience(timeout_s=5.0, attempts_max=4, backoff_s_max=0.01)


@pytest.fixture(autouse=True)
def no_pauses() -> Any:
    """Back-off takes no time here; Retry-After is looked at apart."""
    with stamina.set_testing(True, attempts=100, cap=True):
        yield


class Served:
    """A server that gives prepared answers in turn, the last one for ever."""

    def __init__(self, answers: list[Answer]) -> None:
        self.answers = answers
        self.requests: list[bytes] = []
        self.rest_weight_per_s = 1e6
        self.port = 0

    def rest_base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            self.requests.append(await reader.readuntil(b"\r\n\r\n"))
            answer = self.answers[min(len(self.requests), len(self.answers)) - 1]
            if answer is None:
                await reader.read()  # until the client gives up
            else:
                writer.write(answer)
                await writer.drain()
        finally:
            writer.close()


def answer(status: int, body: bytes, *headers: str, length: int | None = None) -> bytes:
    lines = [f"HTTP/1.1 {status} X", f"content-length: {length or len(body)}", *headers]
    return "\r\n".join([*lines, "connection: close", "", ""]).encode() + body


@asynccontextmanager
async def served(*answers: Answer) -> AsyncIterator[Served]:
    source = Served(list(answers))
    server = await asyncio.start_server(source.serve, "127.0.0.1", 0)
    source.port = server.sockets[0].getsockname()[1]
    try:
        yield source
    finally:
        server.close()
        await server.wait_closed()


def parse(body: bytes) -> Any:
    try:
        value = json.loads(body)
    except json.JSONDecodeError:
        raise BadMessage("not the list", raw=body) from None
    if isinstance(value, dict) and value.get("code") == 510:
        raise ExchangeError("Requests are too frequent", code=510)
    return value


def got(*answers: Answer, patience: Patience = QUICK) -> tuple[Any, int]:
    """The parsed answer and how many requests it took."""

    async def ask() -> tuple[Any, int]:
        async with served(*answers) as source, RestClient(source, patience) as client:
            return await client.get(REQUEST, parse), len(source.requests)

    return asyncio.run(ask())


GOOD = answer(200, b"[1, 2]")


def test_an_answer_is_parsed_and_the_request_is_as_asked() -> None:
    async def ask() -> bytes:
        async with served(GOOD) as source, RestClient(source, QUICK) as client:
            assert await client.get(REQUEST, parse) == [1, 2]
            return source.requests[0]

    assert asyncio.run(ask()).startswith(b"GET /list?kind=all HTTP/1.1")


@pytest.mark.parametrize(
    "bad",
    [
        answer(500, b""),
        answer(503, b"<html>503</html>"),
        answer(200, b"[1, 2", length=6),  # cut by the connection's end
        answer(200, b"[1, "),  # cut inside
        answer(200, b'{"code":510}'),
        answer(200, b"\xff\xfe", "content-encoding: gzip"),
        b"",
        b"HTTP/1.1 banana\r\n\r\n",
    ],
    ids=lambda bad: bad[:60].decode(errors="replace"),
)
def test_a_passing_failure_is_tried_again(bad: bytes) -> None:
    assert got(bad, bad, GOOD) == ([1, 2], 3)


def test_each_failure_is_told_with_where_and_why() -> None:
    with structlog.testing.capture_logs() as lines:
        got(answer(503, b"busy"), GOOD)

    (line,) = lines
    assert line["event"] == "REST request failed"
    assert line["url"].startswith("http://127.0.0.1:")
    assert line["url"].endswith("/list")
    assert "status=503" in line["why"]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_followed(status: int) -> None:
    moved = answer(status, b"", "location: /elsewhere?kind=all")

    async def ask() -> tuple[Any, list[bytes]]:
        async with served(moved, GOOD) as source, RestClient(source, QUICK) as client:
            return await client.get(REQUEST, parse), source.requests

    found, requests = asyncio.run(ask())
    assert found == [1, 2]
    assert [row.partition(b" HTTP")[0] for row in requests] == [
        b"GET /list?kind=all",
        b"GET /elsewhere?kind=all",
    ]


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ((answer(302, b"", "location: /again"),), ("redirected too often", "/again")),
        (
            (answer(302, b"", "location: /blocked"), answer(200, b"<html>not here</html>")),
            ("not the list", "redirected_to", "/blocked"),
        ),
        (
            (answer(302, b"", "location: /blocked"), answer(451, b"not here")),
            ("refused", "451", "redirected_to", "/blocked"),
        ),
        ((answer(302, b"", "location: ftp://x/y"),), ("ftp",)),
        ((answer(302, b"", "location: http://[x"),), ()),
        ((answer(302, b"", "location: http://256.256.256.256/"),), ("256.256.256.256",)),
        ((answer(302, b"", "location: https://xn--a/"),), ("bad address",)),
        ((answer(302, b"", "location: //xn--/x"),), ("bad address",)),
        ((answer(302, b""),), ("refused", "302")),
    ],
)
def test_a_redirect_that_leads_nowhere_is_named(
    answers: tuple[Answer, ...], words: tuple[str, ...]
) -> None:
    with pytest.raises(ExchangeError) as caught:
        got(*answers, patience=QUICK._replace(attempts_max=1))
    for word in words:
        assert word in str(caught.value)


def test_a_redirect_away_from_tls_is_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer would be anybody's."""

    async def ask() -> int:
        async with served(GOOD) as source, RestClient(source, QUICK) as client:
            target = f"{source.rest_base()}/list"
            moved = httpx.MockTransport(lambda _: httpx.Response(302, headers={"location": target}))
            source.rest_base = lambda: "https://exchange.invalid"  # type: ignore[method-assign]
            client._base = source.rest_base()
            client._client = httpx.AsyncClient(transport=moved)
            with pytest.raises(ExchangeError, match="no TLS"):
                await client.get(REQUEST, parse)
            return len(source.requests)

    assert asyncio.run(ask()) == 0


@pytest.mark.parametrize("status", [403, 418, 429])
def test_a_refusal_of_the_address_is_tried_again_when_its_ban_is_over(
    status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shipped bans are 10 s and more: here as short as the test's patience."""
    monkeypatch.setitem(refusals.BAN_S, status, 0.004)

    assert got(answer(status, b"away"), GOOD) == ([1, 2], 2)


def test_a_ban_that_comes_while_a_request_waits_its_turn_is_not_sat_out() -> None:
    """Spot and futures ask one host at once: the second one waits while the first one is banned."""

    async def two_at_once(source: Served) -> list[BaseException | Any]:
        source.rest_weight_per_s = 1.0  # the second is due a second after the first
        gate = Gate(Dials.private(), "test", Pace(1_000.0))
        async with RestClient(source, QUICK, gate=gate) as client:
            asked = [client.get(REQUEST, parse) for _ in range(3)]
            async with asyncio.timeout(30.0):  # the ban is of five minutes
                return await asyncio.gather(*asked, return_exceptions=True)

    async def run() -> tuple[list[BaseException | Any], int]:
        async with served(answer(451, b"no")) as source:
            return await two_at_once(source), len(source.requests)

    errors, requests = asyncio.run(run())
    assert [type(error) for error in errors] == [ExchangeError] * 3
    assert requests < 3
    assert "not asked: 451" in str(errors[-1])


@pytest.mark.parametrize(
    ("status", "body", "headers", "length"),
    [
        *((status, b"", (), None) for status in (403, 418, 429, 451)),
        (429, b"away", ("content-encoding: br",), None),
        (429, b"away", ("content-encoding: gzip",), None),
        (418, b"away", ("content-encoding: gzip, gzip",), None),
        (403, b"away", (), 400),  # cut by the connection's end
    ],
)
def test_a_ban_is_heard_by_the_next_request_and_not_asked_into(
    status: int, body: bytes, headers: tuple[str, ...], length: int | None
) -> None:
    """Whatever stands in its body, or does not."""
    gate = Gate(Dials.private(), "x", Pace(1.0))

    async def ask() -> tuple[str, int]:
        bad = answer(status, body, *headers, "retry-after: 600", length=length)
        async with served(bad) as source:
            for _ in range(2):
                async with RestClient(source, QUICK, gate=gate) as client:
                    with pytest.raises(ExchangeError) as raised:
                        await client.get(REQUEST, parse)
            return str(raised.value), len(source.requests)

    text, requests = asyncio.run(ask())
    assert requests == 1
    assert text.startswith(f"not asked: {status} ")
    assert "nobody dials for 600 s more" in text or "nobody dials for 599 s more" in text


def test_an_absurd_retry_after_is_cut_and_said() -> None:
    error = failed_with(serving(answer(503, b"", "retry-after: 1e12")), QUICK)

    assert error.evidence["note"] == "Retry-After of 1,000,000,000,000 s cut to 300 s"


def test_a_request_that_is_not_answered_is_tried_again() -> None:
    found, requests = got(None, GOOD, patience=QUICK._replace(timeout_s=0.2))
    assert found == [1, 2]
    assert requests >= 2  # a busy machine may be late with the second answer, too


def test_an_answer_that_trickles_for_ever_is_given_up() -> None:
    async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 X\r\ncontent-length: 100000\r\n\r\n")
        try:
            while not reader.at_eof():
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.02)
        except ConnectionError:
            pass
        finally:
            writer.close()

    error = failed_with(trickle, QUICK._replace(timeout_s=0.3, attempts_max=1))
    assert "no answer in time" in str(error)


def serving(body: bytes) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(body)
        writer.close()

    return serve


def failed_with(
    handler: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
    patience: Patience,
) -> ExchangeError:
    async def ask() -> ExchangeError:
        server = await asyncio.start_server(closing(handler), "127.0.0.1", 0)
        source = Served([])
        source.port = server.sockets[0].getsockname()[1]
        try:
            async with RestClient(source, patience) as client:
                with pytest.raises(ExchangeError) as raised:
                    await client.get(REQUEST, parse)
        finally:
            server.close()
            await server.wait_closed()
        return raised.value

    return asyncio.run(ask())


@pytest.mark.parametrize("status", [301, 400, 401, 404, 451])
def test_a_final_refusal_is_not_tried_again(status: int) -> None:
    async def ask() -> tuple[ExchangeError, int]:
        bad = answer(status, b'{"code":-1121}')
        async with served(bad) as source, RestClient(source, QUICK) as client:
            with pytest.raises(ExchangeError) as raised:
                await client.get(REQUEST, parse)
            return raised.value, len(source.requests)

    error, requests = asyncio.run(ask())
    assert requests == 1
    assert error.evidence["status"] == status
    assert error.evidence["raw"] == b'{"code":-1121}'
    assert "/list" in str(error.evidence["url"])


def test_attempts_end_and_the_error_has_the_evidence() -> None:
    async def ask() -> tuple[ExchangeError, int]:
        async with served(answer(503, b"away")) as source, RestClient(source, QUICK) as client:
            with pytest.raises(ExchangeError) as raised:
                await client.get(REQUEST, parse)
            assert client.retries == QUICK.attempts_max - 1
            return raised.value, len(source.requests)

    error, requests = asyncio.run(ask())
    assert requests == QUICK.attempts_max
    assert error.evidence["status"] == 503


def test_nobody_listening_is_an_exchange_error() -> None:
    async def ask() -> None:
        source = Served([])
        source.port = 1  # nobody listens there
        async with RestClient(source, QUICK) as client:
            with pytest.raises(ExchangeError, match="connection refused"):
                await client.get(REQUEST, parse)

    asyncio.run(ask())


def took_s(*answers: Answer, patience: Patience) -> tuple[float, int]:
    async def ask() -> tuple[float, int]:
        async with served(*answers) as source, RestClient(source, patience) as client:
            start_s = time.monotonic()
            with contextlib.suppress(ExchangeError):
                await client.get(REQUEST, parse)
            return time.monotonic() - start_s, len(source.requests)

    with stamina.set_testing(False):
        return asyncio.run(ask())


def test_retry_after_is_waited_for() -> None:
    seconds, requests = took_s(
        answer(429, b"", "retry-after: 1"), GOOD, patience=QUICK._replace(backoff_s_max=5.0)
    )
    assert requests == 2
    assert seconds >= 1.0


def test_retry_after_as_a_date_is_understood() -> None:
    due_s = int(time.time()) + 2
    date = formatdate(due_s, usegmt=True)
    _, requests = took_s(
        answer(429, b"", f"retry-after: {date}"), GOOD, patience=QUICK._replace(backoff_s_max=5.0)
    )
    assert requests == 2
    assert time.time() >= due_s, "not before it"


@pytest.mark.parametrize("text", ["soon", "nan", "", "-5", "inf", "99999-01-01", "\xff"])
def test_a_retry_after_that_makes_no_sense_does_no_harm(text: str) -> None:
    _, requests = took_s(answer(503, b"", f"retry-after: {text}"), GOOD, patience=QUICK)
    assert requests == 2


def test_a_ban_for_hours_is_reported_and_not_sat_out() -> None:
    _, requests = took_s(answer(429, b"", "retry-after: 7200"), patience=QUICK)
    assert requests == 1


def test_requests_are_paced_by_their_weight() -> None:
    async def ask() -> float:
        async with served(GOOD) as source:
            source.rest_weight_per_s = 20.0
            async with RestClient(source, QUICK) as client:
                start_s = time.monotonic()
                for _ in range(3):
                    await client.get(REQUEST._replace(weight=4), parse)
                return time.monotonic() - start_s

    assert asyncio.run(ask()) >= 0.4  # two waits of 4 / 20 s


def test_an_optional_request_may_be_tried_less_often() -> None:
    async def ask() -> int:
        async with served(answer(503, b"")) as source, RestClient(source, QUICK) as client:
            with pytest.raises(ExchangeError):
                await client.get(REQUEST, parse, attempts_max=2)
            return len(source.requests)

    assert asyncio.run(ask()) == 2


def test_a_proxy_is_asked_for_the_exchange() -> None:
    async def ask() -> bytes:
        async with served(GOOD) as proxy:
            source = Served([])
            source.rest_base = lambda: "http://exchange.invalid"  # type: ignore[method-assign]
            async with RestClient(source, QUICK, proxy.rest_base()) as client:
                assert await client.get(REQUEST, parse) == [1, 2]
            return proxy.requests[0]

    assert asyncio.run(ask()).startswith(b"GET http://exchange.invalid/list?kind=all ")


def test_a_socks_proxy_is_asked_for_the_exchange() -> None:
    asked: list[tuple[str, int]] = []

    async def ask() -> bytes:
        behind = Served([GOOD])
        behind.rest_base = lambda: "http://exchange.invalid"  # type: ignore[method-assign]
        server = await asyncio.start_server(closing(socks5(asked, behind.serve)), "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            async with RestClient(behind, QUICK, f"socks5://127.0.0.1:{port}") as client:
                assert await client.get(REQUEST, parse) == [1, 2]
        return behind.requests[0]

    assert asyncio.run(ask()).startswith(b"GET /list?kind=all ")
    assert asked == [("exchange.invalid", 80)]
