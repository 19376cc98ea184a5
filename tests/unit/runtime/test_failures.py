"""Why nobody was reached is said in the same words, whichever library found out."""

import asyncio
import socket
import ssl

import httpx
import pytest

from spread_scanner.runtime.failures import failure_in_words


def caused(error: Exception, cause: Exception | None = None) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (socket.gaierror(-2, "Name or service not known"), "DNS: Name or service not known"),
        (
            caused(httpx.ConnectError("[Errno -2] x"), socket.gaierror(-2, "no such name")),
            "DNS: no such name",
        ),
        (
            caused(
                httpx.ConnectError("All connection attempts failed"),
                caused(OSError("All"), ConnectionRefusedError(111, "x")),
            ),
            "connection refused",
        ),
        (httpx.ConnectTimeout(""), "timed out after 2 s"),
        (TimeoutError(), "timed out after 2 s"),
        (httpx.ProxyError("407"), "proxy: 407"),
        (
            caused(httpx.ReadError(""), ConnectionResetError()),
            "connection lost: ConnectionResetError",
        ),
        (caused(httpx.ConnectError("x"), ssl.SSLError(1, "odd")), "TLS: odd"),
        (httpx.RemoteProtocolError("no HTTP"), "no HTTP"),
        (httpx.ReadError(""), "ReadError"),
    ],
)
def test_a_failure_is_told_by_its_kind(error: Exception, said: str) -> None:
    assert failure_in_words(error, 2.0) == said


def test_what_nobody_listens_at_refuses() -> None:
    async def ask() -> None:
        async with httpx.AsyncClient(trust_env=False) as client:
            await client.get("http://127.0.0.1:1/")

    with pytest.raises(httpx.ConnectError) as failed:
        asyncio.run(ask())
    assert failure_in_words(failed.value) == "connection refused"
