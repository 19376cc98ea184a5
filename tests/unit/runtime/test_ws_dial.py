"""Dialling a websocket: every way in which it can fail is one error, and it never hangs."""

import asyncio
import base64
import hashlib
import shutil
import ssl
import subprocess
from pathlib import Path

import httpx
import pytest
from answering import Serve, closing
from picows import WSListener, WSTransport
from socks_proxy import socks5

from spread_scanner.errors import ConfigError
from spread_scanner.runtime.ws import DialFailed, dial
from spread_scanner.web import trust

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


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


@pytest.mark.parametrize(
    ("login", "said"),
    [
        ("", None),
        ("user:word@", "user:word"),
        ("user:w%40rd@", "user:w@rd"),
        ("user:w@r:d@", "user:w@r:d"),
        ("user@", "user:"),
        (":word@", ":word"),
        ("us%C3%A9r:w\u00f6rd@", "us\u00e9r:w\u00f6rd"),
    ],
)
def test_name_and_password_of_an_url_are_said_as_by_rest(login: str, said: str | None) -> None:
    """In a header of their own: in the host's name a server refuses them, and others read them."""
    heads: list[dict[str, str]] = []

    @closing
    async def heard(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        heads.append(dict(row.split(": ", 1) for row in head if ": " in row))

    async def run() -> int:
        server = await asyncio.start_server(heard, "127.0.0.1", 0)
        async with server:
            port: int = server.sockets[0].getsockname()[1]
            for scheme in ("ws", "http"):
                url = f"{scheme}://{login}127.0.0.1:{port}/ws"
                if scheme == "ws":
                    with pytest.raises(DialFailed):
                        await dial(url, WSListener, timeout_s=5.0)
                else:
                    with pytest.raises(httpx.TransportError):
                        async with httpx.AsyncClient(trust_env=False) as client:
                            await client.get(url)
            return port

    port = asyncio.run(run())
    by_dial, by_rest = heads
    expected = None if said is None else f"Basic {base64.b64encode(said.encode()).decode()}"
    assert by_dial["Host"] == f"127.0.0.1:{port}"
    assert by_dial.get("Authorization") == by_rest.get("Authorization") == expected


@pytest.mark.parametrize("serve", [not_found, hang_up, garbage])
def test_a_server_that_does_not_shake_hands_is_one_error(serve: Serve) -> None:
    with pytest.raises(DialFailed) as failed:
        asyncio.run(try_dial(serve))
    assert "ws://127.0.0.1" in str(failed.value)


def test_a_server_that_says_nothing_is_given_up_in_time() -> None:
    with pytest.raises(DialFailed):
        asyncio.run(try_dial(silent, timeout_s=0.2))


@pytest.mark.parametrize("how", ["by its caller", "in time"])
def test_what_was_given_up_is_ended_should_hands_be_shaken_after_all(how: str) -> None:
    met: list[str] = []

    class Listener(WSListener):
        def on_ws_connected(self, transport: WSTransport) -> None:
            met.append("connected")

    async def attempt() -> None:
        asked, shakes, over = asyncio.Event(), asyncio.Event(), asyncio.Event()

        @closing
        async def late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            asked.set()
            await shakes.wait()
            await shake(reader, writer)
            met.append("shaken")
            await reader.read()
            over.set()

        server = await asyncio.start_server(late, "127.0.0.1", 0)
        async with server, asyncio.timeout(20):
            url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/ws"
            timeout_s = 10.0 if how == "by its caller" else 0.3
            dialled = asyncio.ensure_future(dial(url, Listener, timeout_s=timeout_s))
            await asked.wait()
            if how == "by its caller":
                dialled.cancel()
            with pytest.raises((asyncio.CancelledError, DialFailed)):
                await dialled
            shakes.set()
            await over.wait()

    asyncio.run(attempt())
    assert "connected" not in met


@pytest.mark.parametrize("proxy", ["", "http://127.0.0.1:{port}", "socks5://127.0.0.1:{port}"])
def test_nobody_there_is_the_same_error_with_and_without_a_proxy(proxy: str) -> None:
    async def attempt() -> None:
        server = await asyncio.start_server(good, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        server.close()
        await server.wait_closed()
        url = f"ws://127.0.0.1:{port}/"
        await dial(url, WSListener, timeout_s=5.0, proxy=proxy.format(port=port))

    with pytest.raises(DialFailed) as failed:
        asyncio.run(attempt())
    assert failed.value.status is None


async def dial_through(proxy: Serve, scheme: str) -> None:
    """Dial an exchange that only the proxy can find."""
    server = await asyncio.start_server(closing(proxy), "127.0.0.1", 0)
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


@pytest.fixture
def authority(tmp_path: Path) -> tuple[Path, Path]:
    """Key and certificate of "localhost", which only who is told so trusts."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl for a certificate")
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj",
         "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", cert],
        check=True, capture_output=True,
    )  # fmt: skip
    return key, cert


async def dial_tls(authority: tuple[Path, Path], tls: ssl.SSLContext | None) -> None:
    key, cert = authority
    own = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    own.load_cert_chain(cert, key)
    server = await asyncio.start_server(good, "localhost", 0, ssl=own)
    async with server:
        port = server.sockets[0].getsockname()[1]
        url = f"wss://localhost:{port}/"
        transport = await dial(url, WSListener, timeout_s=5.0, tls=tls)
        transport.disconnect()
        await transport.wait_disconnected()


def test_tls_is_checked(authority: tuple[Path, Path]) -> None:
    asyncio.run(dial_tls(authority, trust.context(str(authority[1]))))
    for tls in (None, trust.context()):
        with pytest.raises(DialFailed) as failed:
            asyncio.run(dial_tls(authority, tls))
        assert failed.value.reason.startswith("TLS: self-signed certificate")


def test_an_authority_of_the_environment_is_trusted(
    authority: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority[1]))
    asyncio.run(dial_tls(authority, trust.context()))


def test_rest_trusts_whom_the_websocket_trusts(authority: tuple[Path, Path]) -> None:
    key, cert = authority

    async def ask(tls: ssl.SSLContext) -> int:
        own = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        own.load_cert_chain(cert, key)
        server = await asyncio.start_server(answering("200 OK", body="[]"), "localhost", 0, ssl=own)
        async with server:
            port = server.sockets[0].getsockname()[1]
            async with httpx.AsyncClient(verify=tls, trust_env=False) as client:
                return (await client.get(f"https://localhost:{port}/")).status_code

    assert asyncio.run(ask(trust.context(str(cert)))) == 200
    with pytest.raises(httpx.ConnectError):
        asyncio.run(ask(trust.context()))


@pytest.mark.parametrize("text", [None, "no certificate"])
def test_a_file_without_certificates_is_a_setting_error(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "ca.pem"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError, match="ca_file"):
        trust.context(str(path))


def answering(*lines: str, body: str = "", http: str = "HTTP/1.1") -> Serve:
    """Answers the handshake with these lines of HTTP."""

    @closing
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = [f"{http} {lines[0]}", *lines[1:], f"Content-Length: {len(body)}", "", body]
        writer.write("\r\n".join(head).encode())
        await writer.drain()

    return serve


# What the server answers: the reason, the status, the seconds of Retry-After.
REFUSALS: list[tuple[tuple[str, ...], str, int, float | None]] = [
    (("403 Forbidden",), "403 forbidden: a firewall or a blocked region", 403, None),
    (("418 I'm a teapot", "Retry-After: 180"), "418 banned", 418, 180.0),
    (("429 Too Many", "retry-after: 7"), "429 too many requests", 429, 7.0),
    (("429 Too Many", "Retry-After: soon"), "429 too many requests", 429, None),
    (("429 X", "Retry-After: Mon, 21 Sep 2026 14:13:20 GMT"), "429 too many requests", 429, None),
    (("429 X", "Retry-After: 0"), "429 too many requests", 429, None),
    (("451 Unavailable",), "451 not served in this region", 451, None),
    (("503 Away", "Retry-After: 30"), "503 server error", 503, 30.0),
    (("404 Not Found",), "404 refused", 404, None),
]  # fmt: skip


@pytest.mark.parametrize(
    ("lines", "reason", "status", "wait_s"), REFUSALS, ids=lambda value: str(value)[:40]
)
def test_a_refusal_carries_its_reason_status_and_wait(
    lines: tuple[str, ...], reason: str, status: int, wait_s: float | None
) -> None:
    with pytest.raises(DialFailed) as failed:
        asyncio.run(try_dial(answering(*lines, body="<html>")))

    said = (failed.value.reason, failed.value.status, failed.value.wait_s)
    assert said == (reason, status, wait_s)


def test_a_refusal_by_an_older_http_has_its_status_too() -> None:
    """Of a proxy or a page for people, which answer an upgrade as they answer anything."""
    with pytest.raises(DialFailed) as failed:
        asyncio.run(try_dial(answering("451 Unavailable", http="HTTP/1.0")))
    assert (failed.value.reason, failed.value.status) == ("451 not served in this region", 451)


@pytest.mark.parametrize(
    "line", ["200 OK", "101 Switching Protocols", "999 What", "42 Little", "x"]
)
def test_any_other_answer_is_a_failure_with_a_reason(line: str) -> None:
    with pytest.raises(DialFailed) as failed:
        asyncio.run(try_dial(answering(line)))
    assert failed.value.reason


BAD_URLS = [
    "ws://[portal/",
    "ws://127.0.0.1:99999/",
    "ws://127.0.0.1:x/",
    f"ws://{'a' * 64}.test/",
    "ws://a..b/",
    "ws:///",
    "http://127.0.0.1/",
    "ws://127.0.0.1/#there",
    "ws://a b/",
    "ws://\x00/",
    "",
]


@pytest.mark.parametrize("url", BAD_URLS)
def test_no_url_raises_anything_else(url: str) -> None:
    with pytest.raises(DialFailed):
        asyncio.run(dial(url, WSListener, timeout_s=5.0))


def test_the_reason_names_the_kind_of_failure() -> None:
    async def reason_of(url: str, timeout_s: float = 5.0) -> str:
        with pytest.raises(DialFailed) as failed:
            await dial(url, WSListener, timeout_s=timeout_s)
        return failed.value.reason

    async def run() -> list[str]:
        server = await asyncio.start_server(silent, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            return [
                await reason_of("ws://127.0.0.1:1/"),
                await reason_of(f"ws://127.0.0.1:{port}/", timeout_s=0.1),
                await reason_of(f"wss://127.0.0.1:{port}/", timeout_s=0.1),
            ]

    refused, late, late_tls = asyncio.run(run())
    assert refused == "connection refused"
    assert late == "timed out after 0.1 s"
    assert late_tls == "timed out after 0.1 s"
