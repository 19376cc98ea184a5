"""Dialling a websocket: TLS, proxy, deadline; every way in which it can fail is one error.

Used by the feeds. The listener, which gets the frames, is the caller's. Compression is never
offered: inflating costs more than it saves on a fast path.
"""

import asyncio
import logging
import ssl
from collections.abc import Callable

from picows import WSError, WSListener, WSTransport, ws_connect
from python_socks import ProxyError

from spread_scanner.errors import SpreadError

__all__ = ["DialFailed", "WSError", "dial"]

FRAME_BYTES_MAX = 1 << 20
READ_BUFFER_BYTES = 64 << 10

# picows tells of each connection at info level; what matters of it is logged by its user.
_quiet = logging.getLogger("picows.client")
_quiet.setLevel(logging.CRITICAL)


class DialFailed(SpreadError):
    """The websocket could not be opened: refused, timed out, TLS, proxy or handshake."""


async def dial(
    url: str,
    make_listener: Callable[[], WSListener],
    *,
    timeout_s: float,
    proxy: str = "",
    tls: ssl.SSLContext | None = None,
) -> WSTransport:
    """Open a websocket, or raise DialFailed. Server pings reach the listener, which must answer."""
    try:
        async with asyncio.timeout(timeout_s):
            transport, listener = await ws_connect(
                make_listener,
                url,
                ssl_context=tls,
                websocket_handshake_timeout=timeout_s,
                logger_name=_quiet,
                enable_auto_pong=False,  # every frame is a sign of life that the listener notes
                max_frame_size=FRAME_BYTES_MAX,
                proxy=proxy or None,
                read_buffer_init_size=READ_BUFFER_BYTES,
            )
    except (OSError, TimeoutError, WSError, ProxyError) as error:
        reason = str(error) or type(error).__name__
        raise DialFailed(f"cannot open the websocket: {reason}", url=url) from None
    if listener is None:
        raise DialFailed("the server hung up during the handshake", url=url)
    return transport
