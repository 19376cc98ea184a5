"""Dialling a websocket: every way in which it can fail is one error, and it never hangs."""

import asyncio
import base64
import hashlib
import shutil
import ssl
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from picows import WSListener
from socks_proxy import socks5

from spread_scanner.runtime.ws import DialFailed, dial

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def closing(serve: Serve) -> Serve:
    """The server's side is closed however it ends."""

    async def run(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        finally:
            writer.close()

    return run


async def shake(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    key = next(row for row in head.split(b"\r\n") if row.lower().startswith(b"sec-websocket-key"))
    accept = base64.b64encode(hashlib.sha1(key.split(b":", 1)[1].strip() + GUID).digest())
    writer.write(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )
    await writer.drain()


@closing
async def good(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await shake(reader, writer)
    await reader.read()


@closing
async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


@closing
async def not_found(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
    await writer.drain()


@closing
async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")


@closing
async def garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"\x00\xff" * 40_000)
    await writer.drain()


async def try_dial(serve: Serve, timeout_s: float = 5.0) -> None:
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        transport = await dial(f"ws://127.0.0.1:{port}/ws", WSListener, timeout_s=timeout_s)
        transport.disconnect()
        await transport.wait_disconnected()


def test_a_good_server_is_reached() -> None:
    asyncio.run(try_dial(good))


@pytest.mark.parametrize("serve", [not_found, hang_up, garbage])
def test_a_server_that_does_not_shake_hands_is_one_error(serve: Serve) -> None:
    with pytest.raises(DialFailed) as failed:
        asyncio.run(try_dial(serve))
    assert "ws://127.0.0.1" in str(failed.value)


def test_a_server_that_says_nothing_is_given_up_in_time() -> None:
    with pytest.raises(DialFailed):
        asyncio.run(try_dial(silent, timeout_s=0.2))


@pytest.mark.parametrize("proxy", ["", "http://127.0.0.1:{port}", "socks5://127.0.0.1:{port}"])
def test_nobody_there_is_the_same_error_with_and_without_a_proxy(proxy: str) -> None:
    async def attempt() -> None:
        server = await asyncio.start_server(good, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        server.close()
        await server.wait_closed()
        url = f"ws://127.0.0.1:{port}/"
        await dial(url, WSListener, timeout_s=5.0, proxy=proxy.format(port=port))

    with pytest.raises(DialFailed):
        asyncio.run(attempt())


async def dial_through(proxy: Serve, scheme: str) -> None:
    """Dial an exchange that only the proxy can find."""
    server = await asyncio.start_server(proxy, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        transport = await dial(
            "ws://exchange.test:9443/ws", WSListener, timeout_s=5.0,
            proxy=f"{scheme}://127.0.0.1:{port}",
        )  # fmt: skip
        transport.disconnect()
        await transport.wait_disconnected()


def test_an_http_proxy_is_gone_through() -> None:
    asked: list[bytes] = []

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[0])
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await good(reader, writer)

    asyncio.run(dial_through(proxy, "http"))
    assert asked == [b"CONNECT exchange.test:9443 HTTP/1.1"]


def test_a_socks_proxy_is_gone_through_and_resolves_the_name() -> None:
    asked: list[tuple[str, int]] = []

    asyncio.run(dial_through(socks5(asked, good), "socks5"))
    assert asked == [("exchange.test", 9443)]


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl for a certificate")
def test_tls_is_checked(tmp_path: Path) -> None:
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj",
         "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", cert],
        check=True, capture_output=True,
    )  # fmt: skip

    async def attempt(tls: ssl.SSLContext | None) -> None:
        own = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        own.load_cert_chain(cert, key)
        server = await asyncio.start_server(good, "localhost", 0, ssl=own)
        async with server:
            port = server.sockets[0].getsockname()[1]
            url = f"wss://localhost:{port}/"
            transport = await dial(url, WSListener, timeout_s=5.0, tls=tls)
            transport.disconnect()
            await transport.wait_disconnected()

    asyncio.run(attempt(ssl.create_default_context(cafile=str(cert))))
    with pytest.raises(DialFailed):
        asyncio.run(attempt(None))
