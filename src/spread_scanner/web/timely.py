"""How long who waits for a web server waits at most: for a connection, a head and a body together.

httpx waits for so long for each piece that it reads, and looks at none of a head before all of it
is there: a server that drips would hold for good whoever asks without a loop that could end it.
Here each wait of a socket has what is left of the whole time. httpx takes no network of one's own:
its transport's pool is internal to it, and pinned; a test has a server drip.
"""

import contextlib
import math
import ssl
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from typing import Any

import httpcore
import httpx

from spread_scanner import clock

_until_s = ContextVar("until_s", default=math.inf)  # clock.awake_s, of what is asked now


@contextlib.contextmanager
def answered_by(until_s: float) -> Iterator[None]:
    """Whatever is asked in here by a client that `bound` was given ends by then (clock.awake_s):
    httpx.TimeoutException."""
    before = _until_s.set(until_s)
    try:
        yield
    finally:
        _until_s.reset(before)


def bound(client: httpx.Client) -> httpx.Client:
    """The same client, each wait of whose sockets ends when `answered_by` says."""
    for transport in (client._transport, *client._mounts.values()):
        if isinstance(transport, httpx.HTTPTransport):
            pool = transport._pool
            pool._network_backend = _TimelyNetwork(pool._network_backend)
    return client


def _left(timeout: float | None, over: type[httpcore.TimeoutException]) -> float | None:
    """Of a wait of so long what there is time for. Raises `over` where there is none."""
    left_s = _until_s.get() - clock.awake_s()
    if left_s <= 0:
        raise over("no whole answer in time")
    if math.isinf(left_s):
        return timeout
    return left_s if timeout is None else min(left_s, timeout)


class _TimelyStream(httpcore.NetworkStream):
    def __init__(self, inner: httpcore.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, _left(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, _left(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> "_TimelyStream":
        left_s = _left(timeout, httpcore.ConnectTimeout)
        return _TimelyStream(self._inner.start_tls(ssl_context, server_hostname, left_s))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class _TimelyNetwork(httpcore.NetworkBackend):
    def __init__(self, inner: httpcore.NetworkBackend) -> None:
        self._inner = inner

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> _TimelyStream:
        left_s = _left(timeout, httpcore.ConnectTimeout)
        return _TimelyStream(
            self._inner.connect_tcp(host, port, left_s, local_address, socket_options)
        )

    def sleep(self, seconds: float) -> None:
        self._inner.sleep(seconds)
