"""Dialling a websocket: TLS, proxy, deadline; every way in which it can fail is one error.

Used by the feeds. The listener, which gets the frames, is the caller's. Compression is never
offered: inflating costs more than it saves on a fast path. Redirects are not followed: no exchange
redirects its websocket, a captive portal or a block page does.
"""

import asyncio
import base64
import logging
import re
import ssl
from collections.abc import Callable
from urllib.parse import unquote, urlsplit, urlunsplit

from picows import WSError, WSHandshakeError, WSListener, WSTransport, ws_connect
from python_socks import ProxyError
from python_socks._errors import IncompleteReadError  # picows lets it through, and no other has it

from spread_scanner import clock
from spread_scanner.errors import SpreadError
from spread_scanner.runtime import addresses
from spread_scanner.runtime.failures import failure_in_words
from spread_scanner.runtime.refusals import in_words, retry_after_s

__all__ = ["DialFailed", "WSError", "dial", "useless"]

FRAME_BYTES_MAX = 1 << 20
READ_BUFFER_BYTES = 64 << 10
REDIRECTS = range(300, 400)
_OLDER_HTTP = re.compile(r"response: http/\S+ ([1-5]\d\d)\b")  # picows' words

# picows tells of each connection at info level; what matters of it is logged by its user.
_quiet = logging.getLogger("picows.client")
_quiet.setLevel(logging.CRITICAL)


class DialFailed(SpreadError):
    """The websocket could not be opened: refused, timed out, DNS, TLS, proxy or handshake.

    `reason` says it in a few words, for a row of health. `status` is what the other side answered
    instead of a handshake, and `wait_s` its Retry-After; None where it said nothing of the kind.
    `begun_ns` is when it was dialled, monotonic.
    """

    begun_ns: int | None = None

    def __init__(
        self, reason: str, *, url: str, status: int | None = None, wait_s: float | None = None
    ) -> None:
        super().__init__(f"cannot open the websocket: {reason}", url=url)
        self.reason = reason
        self.status = status
        self.wait_s = wait_s


async def dial(
    url: str,
    make_listener: Callable[[], WSListener],
    *,
    timeout_s: float,
    proxy: str = "",
    tls: ssl.SSLContext | None = None,
) -> WSTransport:
    """Open a websocket, or raise DialFailed. Server pings reach the listener, which must answer.

    What is given up, by the caller or in time, is ended should hands be shaken after all.
    """
    begun_ns = clock.mono_ns()
    way = addresses.Way()
    waited_for = True

    def listener_if_waited_for() -> WSListener:
        if not waited_for:
            raise WSError("given up before hands were shaken")
        return make_listener()

    try:
        place, headers = without_login(url)
        async with asyncio.timeout(timeout_s):
            transport, listener = await ws_connect(
                listener_if_waited_for,
                place,
                extra_headers=headers,
                ssl_context=tls,
                websocket_handshake_timeout=timeout_s,
                logger_name=_quiet,
                enable_auto_pong=False,  # every frame is a sign of life that the listener notes
                max_frame_size=FRAME_BYTES_MAX,
                max_redirects=0,
                proxy=proxy or None,
                read_buffer_init_size=READ_BUFFER_BYTES,
                socket_factory=lambda at: way.connected(at.host, at.port),  # the proxy, if any
            )
    except WSHandshakeError as error:
        way.failed()
        failed = _answered(error, url)
        failed.begun_ns = begun_ns
        raise failed from None
    except (OSError, TimeoutError, WSError, ProxyError, IncompleteReadError, ValueError) as error:
        way.failed()
        raise DialFailed(failure_in_words(error, timeout_s), url=url) from None
    finally:
        waited_for = False
    if listener is None:
        way.failed()
        raise DialFailed("the server hung up during the handshake", url=url)
    way.opened()
    return transport


def without_login(url: str) -> tuple[str, dict[str, str]]:
    """An URL without name and password, and the header that says them, as httpx sends it: picows
    leaves them where they are, and sends them as part of the host's name.
    """
    parts = urlsplit(url)
    login, at, place = parts.netloc.rpartition("@")
    if not at:
        return url, {}
    name, _, password = login.partition(":")
    said = base64.b64encode(f"{unquote(name)}:{unquote(password)}".encode()).decode()
    return urlunsplit(parts._replace(netloc=place)), {"Authorization": f"Basic {said}"}


def useless(transport: WSTransport, url: str) -> None:
    """What was dialled there shook hands and was of no use: other addresses of the name, where it
    has some, are tried before it.
    """
    parts = urlsplit(url)
    peer = transport.underlying_transport.get_extra_info("peername")
    if parts.hostname is not None and peer is not None:
        port = parts.port or (443 if parts.scheme == "wss" else 80)
        addresses.blame((parts.hostname, port), peer)


def _answered(error: WSHandshakeError, url: str) -> DialFailed:
    """The other side speaks HTTP, but does not shake hands."""
    answer = error.response
    if answer is None:
        older = _OLDER_HTTP.search(str(error))  # which knows no upgrade, and refuses all the same
        if older is None:
            return DialFailed(f"handshake: {error}", url=url)
        return DialFailed(in_words(int(older[1])), url=url, status=int(older[1]))
    status = int(answer.status)
    if status in REDIRECTS:
        target = str(answer.headers.get("Location", "nowhere"))
        return DialFailed(
            f"{status} redirected to {target!r}: not followed", url=url, status=status
        )
    wait_s = retry_after_s(str(answer.headers.get("Retry-After", "")), clock.wall_ns())
    reason = in_words(status) if status != 101 else f"handshake: {error}"
    return DialFailed(reason, url=url, status=status, wait_s=wait_s)
