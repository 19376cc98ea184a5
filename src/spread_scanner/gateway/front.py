"""The front door: every request passes here first, and the four hottest end here.

An ASGI application around another one. Who may not ask is refused before anything is read
(gateway/access.py); health, prices, the prices of a pair and the metrics are answered from bytes
that are ready (GET, without a query), which a connection asks for without the ways of ASGI where it
can (`at_once`, gateway/connections.py); so are the files of both pages (gateway/dashboard.py,
gateway/openapi_page.py); the dashboard's login ends here, too; all else is the api's
(gateway/api.py), which answers the same paths where there is a query, and describes them.
"""

import asyncio
import contextlib
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from http import HTTPStatus
from typing import Any, NamedTuple

import msgspec

from spread_scanner import clock
from spread_scanner.errors import SpreadError
from spread_scanner.gateway import dashboard, openapi_page, problems
from spread_scanner.gateway.access import Access
from spread_scanner.gateway.cookies import set_cookie
from spread_scanner.gateway.counting import Counting
from spread_scanner.gateway.living import LiveSystem
from spread_scanner.gateway.metrics import CONTENT_TYPE
from spread_scanner.gateway.problems import NotAnswered, Problem

AsgiMessage = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[AsgiMessage]]
Send = Callable[[AsgiMessage], Awaitable[None]]
App = Callable[[AsgiMessage, Receive, Send], Awaitable[None]]
Header = tuple[bytes, bytes]

VERSIONED = "/v1"
HOT = ("/health", "/prices", "/metrics")  # and the prices of a pair
PRICES_OF = "/prices/"
SHORT = ("/health", "/prices", "/scan-arbitrage")  # calls of bots, which any page may make
CONTROL = f"{VERSIONED}/control/"
# What waits for others: feeds, children, processes. In the api these are coroutines.
WAITING = (
    CONTROL,
    *(
        f"{VERSIONED}/{name}"
        for name in ("books/", "connections", "candles/", "history/", "report")
    ),
)
STREAM = f"{VERSIONED}/stream"  # gateway/sockets.py has it, once it is upgraded
JSON = b"application/json"
METRICS = CONTENT_TYPE.encode()
_OF_ALL: tuple[Header, ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-cache"),
)
_OF_PAGE: tuple[Header, ...] = ((b"referrer-policy", b"no-referrer"),)
_VARIES: Header = (b"vary", b"accept-encoding")
_PACKED: tuple[Header, ...] = ((b"content-encoding", b"gzip"),)
_TAG = re.compile(rb'"[^"]*"')  # weak or not: nothing is asked for in part
_GZIP = re.compile(rb"(?<![\w-])gzip(?![\w-])(?!\s*;\s*q=0(\.0*)?\s*(,|$))", re.IGNORECASE)
_SESSION = (dashboard.LOGIN, dashboard.LOGOUT)
TOKEN_BYTES_MAX = 4_096
_EXPOSED = (b"access-control-expose-headers", b"etag, retry-after")
_PREFLIGHT: tuple[Header, ...] = (
    (b"access-control-allow-methods", b"GET, HEAD, POST"),
    (b"access-control-allow-headers", b"authorization, content-type, if-none-match"),
    (b"access-control-max-age", b"600"),
)
_UPGRADE = (("upgrade", "websocket"), ("connection", "upgrade"))


class Ready(NamedTuple):
    """An answer of bytes."""

    body: bytes
    tag: bytes = b""  # its ETag
    kind: bytes = JSON
    status: HTTPStatus = HTTPStatus.OK


class HttpAnswer(NamedTuple):
    """What is said to a request."""

    status: int
    headers: tuple[Header, ...]
    body: bytes


class _Way:
    """What is heard and told of one request, and when: whoever says its body, or reads its answer,
    takes as long as he likes, and that is not our time."""

    def __init__(
        self, receive: Receive, send: Send, more: tuple[Header, ...], *, bodiless: bool
    ) -> None:
        """`more` goes with every answer."""
        self._receive, self._send = receive, send
        self._more, self._bodiless = more, bodiless
        self.heard_ns, self.answered_ns = clock.mono_ns(), 0

    async def heard(self) -> AsgiMessage:
        """The next of it."""
        message = await self._receive()
        if not self.answered_ns:
            self.heard_ns = clock.mono_ns()
        return message

    async def told(self, message: AsgiMessage) -> None:
        """The next of its answer."""
        if message["type"] == "http.response.start":
            self.answered_ns = clock.mono_ns()
            message["headers"] = [*message.get("headers", ()), *self._more]
        elif self._bodiless and message["type"] == "http.response.body":
            message["body"] = b""
        await self._send(message)


class Front:
    """Answers what is hot, refuses what may not ask, hands the rest on."""

    def __init__(self, system: LiveSystem, access: Access, api: App, count: Counting) -> None:
        self.access = access  # replaced by a reload
        self.paused = False
        self._system = system
        self._api = api
        self._count = count
        files = dashboard.page_files()
        self._open = {*files, dashboard.ROOT, *_SESSION}
        shown = openapi_page.page_files()  # not without a token: it says what is asked
        self._files = files | {f"{VERSIONED}{path}": file for path, file in shown.items()}

    def at_once(
        self, method: str, path: str, address: str, headers: dict[bytes, bytes]
    ) -> HttpAnswer | None:
        """The answer to a request without a query, refusals included, where it is one of the hot;
        None: it is none of them, and nothing was done."""
        path = as_read(path)
        short = _short(path)
        if method not in ("GET", "HEAD") or not (short in HOT or short.startswith(PRICES_OF)):
            return None
        began_ns = clock.mono_ns()
        try:
            self._check(method, address, headers, path)
            answer = _handed_out(self._ready(short), headers)
        except SpreadError as error:
            answer = self._refused(error, path)
        except Exception as fault:
            answer = self._failed(fault, path)
        told = (*answer.headers, *_OF_ALL, *self._readable(headers, path))
        self._count.answered(clock.mono_ns() - began_ns)
        return HttpAnswer(answer.status, told, b"" if method == "HEAD" else answer.body)

    async def __call__(self, scope: AsgiMessage, receive: Receive, send: Send) -> None:
        headers: dict[bytes, bytes] = dict(scope["headers"])
        method, address = scope["method"], scope["client"][0] if scope["client"] else ""
        path = scope["path"] = as_read(scope["path"])
        if not scope["query_string"] and not _says_more(headers):
            hot = self.at_once(method, path, address, headers)
            if hot is not None:
                # Of the server, whose time to end is over while a slow reader is waited for.
                with contextlib.suppress(asyncio.CancelledError):
                    await _say(send, hot)
                return
        bodiless = method == "HEAD"  # a GET whose answer is not said
        more = (*_OF_ALL, *self._readable(headers, path))
        way = _Way(receive, send, more, bodiless=bodiless)
        try:
            self._check(method, address, headers, path)
            if method == "OPTIONS":
                await _say(way.told, answer_of(HTTPStatus.NO_CONTENT, b"", _PREFLIGHT))
            elif not await self._page(scope, path, headers, way.heard, way.told):
                asked = {**scope, "method": "GET"} if bodiless else scope
                await self._api(asked, way.heard, way.told)
        except SpreadError as error:
            await _say(way.told, self._refused(error, path))
        except asyncio.CancelledError:  # the server's time to end is over
            if not way.answered_ns:
                await _say(way.told, self._refused(problems.stopping(), path))
        except Exception as fault:
            await _say(way.told, self._failed(fault, path))
        finally:
            took_ns = (way.answered_ns or clock.mono_ns()) - way.heard_ns
            self._count.answered(took_ns, waited=path.startswith(WAITING))

    def _refused(self, error: SpreadError, path: str) -> HttpAnswer:
        self._count.refused(error)
        return refusal_of(problems.of_error(error, path), getattr(error, "headers", ()))

    def _failed(self, fault: Exception, path: str) -> HttpAnswer:
        """A fault of ours: the request has it, the process goes on."""
        self._count.failed(path, fault)
        return refusal_of(problems.fault(path))

    def check_socket(self, address: str, headers: Mapping[bytes, bytes]) -> None:
        """Raises NotAnswered when nobody may be told over a socket."""
        self.access.check_socket(address, headers)
        if self.paused:
            raise _paused()

    def _check(self, method: str, address: str, headers: dict[bytes, bytes], path: str) -> None:
        # Browsers send no token with OPTIONS, and have none before they have the page.
        open_to_all = method == "OPTIONS" or path in self._open
        controls = path.startswith(CONTROL)  # which has a token of its own
        self.access.check(address, headers, tokens=not (open_to_all or controls))
        if open_to_all:
            return
        if controls:
            self.access.check_control(headers)
        elif self.paused and not _is_health(path):
            raise _paused()
        elif _short(path) == PRICES_OF:
            said = f"no pair is named, as in {path}BTC-USDT; {path.rstrip('/')} has all prices"
            raise NotAnswered(HTTPStatus.NOT_FOUND, "unknown_pair", said)

    def _readable(self, headers: dict[bytes, bytes], path: str) -> tuple[Header, ...]:
        """Whose pages may read the answer."""
        origin = headers.get(b"origin", b"").decode("latin-1")
        if not origin or path.startswith(CONTROL):
            return ()
        reader = self.access.reader_of(origin, short=path.startswith(SHORT))
        allowed = ((b"access-control-allow-origin", reader.encode()), _EXPOSED) if reader else ()
        return (*allowed, (b"vary", b"Origin"))

    async def _page(
        self,
        scope: AsgiMessage,
        path: str,
        headers: dict[bytes, bytes],
        receive: Receive,
        send: Send,
    ) -> bool:
        """Whether it was a page's."""
        file = self._files.get(path)
        if file is not None:
            if scope["method"] not in ("GET", "HEAD"):
                allowed = (("allow", "GET, HEAD"),)
                said = "a page is only read"
                raise NotAnswered(HTTPStatus.METHOD_NOT_ALLOWED, "bad_request", said, allowed)
            packs = _GZIP.search(headers.get(b"accept-encoding", b"")) is not None
            ready = Ready(file.packed if packs else file.body, file.tag, file.kind)
            policy = (b"content-security-policy", file.policy)
            more = (policy, *_OF_PAGE, _VARIES, *(_PACKED if packs else ()))
            await _say(send, _handed_out(ready, headers, more))
        elif scope["method"] in ("GET", "HEAD") and path in (dashboard.ROOT, *_SESSION):
            # Typed, or loaded again: the page is meant.
            await _say(send, answer_of(HTTPStatus.SEE_OTHER, b"", ((b"location", b"/"), *_OF_PAGE)))
        elif path in _SESSION:
            if scope["method"] != "POST":
                allowed = (("allow", "GET, HEAD, POST"),)
                said = "a token is said by POST"
                raise NotAnswered(HTTPStatus.METHOD_NOT_ALLOWED, "bad_request", said, allowed)
            self.access.check_page(headers)
            leaves = path == dashboard.LOGOUT
            value = "" if leaves else self.access.cookie_for(await _body(receive))
            secure = headers.get(b"origin", b"").startswith(b"https:") or self.access.over_tls
            cookie = set_cookie(headers, value, secure=secure)
            await _say(send, answer_of(HTTPStatus.NO_CONTENT, b"", ((b"set-cookie", cookie),)))
        elif path == STREAM:
            said = "a WebSocket is spoken here: ask for an upgrade, and have proxies hand it on"
            raise NotAnswered(HTTPStatus.UPGRADE_REQUIRED, "bad_request", said, _UPGRADE)
        else:
            return False
        return True

    def _ready(self, short: str) -> Ready:
        """The answer to a hot path. Raises UnknownPair."""
        if short == "/health":
            well, body = self._system.health()
            return Ready(body, status=HTTPStatus.OK if well else HTTPStatus.SERVICE_UNAVAILABLE)
        if short == "/prices":
            return Ready(*self._system.prices())
        if short == "/metrics":
            return Ready(self._system.metrics(), kind=METRICS)
        pair = self._system.named(short.removeprefix(PRICES_OF))
        return Ready(*self._system.prices(pair))


def _says_more(headers: Mapping[bytes, bytes]) -> bool:
    """Whether there is a body, of which the api knows what it is worth."""
    return b"transfer-encoding" in headers or headers.get(b"content-length", b"0") != b"0"


def as_read(path: str) -> str:
    """As litestar reads it: what is refused by its path is that path. But a pair that is nothing
    stays one: without it the path is that of all prices."""
    read = "/" + re.sub("/+", "/", path.strip("/"))
    return f"{read}/" if path.endswith("/") and _short(f"{read}/") == PRICES_OF else read


def _short(path: str) -> str:
    return path.removeprefix(VERSIONED)


def _paused() -> NotAnswered:
    said = "spread-gateway is paused"
    return NotAnswered(HTTPStatus.SERVICE_UNAVAILABLE, "paused", said)


def _is_health(path: str) -> bool:
    return _short(path) == "/health"


def answer_of(status: int, body: bytes, headers: Iterable[Header]) -> HttpAnswer:
    """With its length."""
    return HttpAnswer(int(status), (*headers, (b"content-length", b"%d" % len(body))), body)


def refusal_of(said: Problem, extra: Iterable[tuple[str, str]] = ()) -> HttpAnswer:
    """A problem, and headers that go with it."""
    headers = [(name.encode(), value.encode()) for name, value in extra]
    headers.append((b"content-type", problems.MEDIA_TYPE.encode()))
    return answer_of(said.status, msgspec.json.encode(said), headers)


def _handed_out(
    ready: Ready, headers: Mapping[bytes, bytes], more: tuple[Header, ...] = ()
) -> HttpAnswer:
    tagged = ((b"etag", ready.tag),) if ready.tag else ()
    known = headers.get(b"if-none-match", b"")
    if ready.tag and (ready.tag in _TAG.findall(known) or known.strip() == b"*"):
        return answer_of(HTTPStatus.NOT_MODIFIED, b"", (*tagged, *more))
    return answer_of(ready.status, ready.body, (*tagged, (b"content-type", ready.kind), *more))


async def _body(receive: Receive) -> bytes:
    """What was sent, or as much of it as no token has."""
    body, more = b"", True
    while more and len(body) <= TOKEN_BYTES_MAX:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body.strip()


async def _say(send: Send, answer: HttpAnswer) -> None:
    start = {"type": "http.response.start", "status": answer.status, "headers": answer.headers}
    await send(start)
    await send({"type": "http.response.body", "body": answer.body})
