"""spread_scanner.client, both kinds, against a gateway that really runs, and one that is away."""

import asyncio
import contextlib
import gzip
import json
import math
import socket
import threading
from collections.abc import Callable, Iterator
from decimal import Decimal
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from gateway_bed import Quoting, Started, certified, secret
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

from bed import free_port, until
from spread_scanner import clock
from spread_scanner.client import (
    AsyncSpreadClient,
    JupiterClient,
    SpreadClient,
    asking,
    awaited,
    blocking,
)
from spread_scanner.client.asking import (
    AGAIN_S_MAX,
    AGAIN_S_MIN,
    FRAME_BYTES_MAX,
    TIMEOUT_S,
    URL,
    Following,
    next_pause_s,
    patience_s,
)
from spread_scanner.errors import ConfigError
from spread_scanner.gateway.api import BOOKS_WAIT_S
from spread_scanner.schema.enums import SOURCES

ADDRESSES = Path(__file__).parents[3] / "clients" / "typescript" / "test" / "addresses.json"
PATIENT_S = 30.0  # the machine may be busy
SPOT, OTHER, FUTURES = SOURCES[0], SOURCES[4], SOURCES[3]


class Awaited:
    """An AsyncSpreadClient that waits: so that every test is lived by both."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        self._client = AsyncSpreadClient(*arguments, **named)
        self._runner = asyncio.Runner()

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._client, name)
        if not callable(found):
            return found
        return lambda *said, **named: self._runner.run(found(*said, **named))

    def stream(self, *kinds: str, **wish: Any) -> Iterator[Any]:
        frames = self._client.stream(*kinds, **wish)

        async def following() -> Any:
            return await anext(frames, None)

        try:
            while (frame := self._runner.run(following())) is not None:
                yield frame
        finally:
            self._runner.run(frames.aclose())  # type: ignore[attr-defined]

    def close(self) -> None:
        self._runner.run(self._client.close())
        self._runner.close()


@pytest.fixture(
    params=[SpreadClient, pytest.param(Awaited, marks=pytest.mark.slow)],
    ids=["blocking", "awaited"],
)
def client_of(request: pytest.FixtureRequest) -> Iterator[Callable[..., Any]]:
    made: list[Any] = []

    def make(*arguments: Any, **named: Any) -> Any:
        made.append(request.param(*arguments, **{"timeout_s": PATIENT_S, **named}))
        return made[-1]

    yield make
    for client in made:
        client.close()


def test_the_calls_of_bots_and_some_more(
    client_of: Callable[..., Any], life: Started, quoting: Quoting
) -> None:
    client = client_of(life.address())
    assert client.is_available() is False
    assert client.health()["status"] == "unavailable"
    assert client.prices() == []
    quoting.quote(SPOT.source_id, 0, 99.0)
    quoting.quote(OTHER.source_id, 0, 104.0)
    quoting.quote(FUTURES.source_id, 1, 50.0)
    until(client.is_available)  # it looks once a second
    assert {one["pool_id"] for one in client.prices()} == {
        f"{source.label}:AAAUSDT" for source in (SPOT, OTHER)
    }
    assert [one["bid_px"] for one in client.prices(FUTURES.label)] == [50.0]
    assert len(client.pair_prices("AAA/USDT")) == len(client.pair_prices("AAA-USDT")) == 2
    assert client.pair_prices("AAA/USDT", OTHER.label)[0]["bid_px"] == 104.0
    (found,) = client.scan_arbitrage()
    assert (found["pool_a_dex"], found["pool_b_dex"]) == (
        SPOT.exchange.label,
        OTHER.exchange.label,
    )
    assert client.scan_arbitrage(threshold_pct=50) == []
    assert client.opportunities(count=1) == []
    assert {one["symbol"] for one in client.spreads("AAA", usable=False)} == {"AAA-USDT"}
    assert len(client.get("/v1/directions")) == 12
    assert client.reason == ""
    assert len(client.get("/v1/spreads?count=1")) == 1
    assert client.get("v1/spreads?count=1", symbol="NOPE") is None
    assert client.reason.startswith("unknown_symbol: ")
    assert client.pair_prices("NOPE/USDT") is None
    assert client.reason.startswith("unknown_pair: ")
    assert "NOPE" in client.reason
    assert client.get("/metrics") is None
    assert client.reason.startswith("no JSON but text/plain (HTTP 200)")


def test_who_is_away_is_no_error(client_of: Callable[..., Any]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        client = client_of(f"http://127.0.0.1:{silent.getsockname()[1]}", timeout_s=0.01)
        assert client.prices() is None
        assert "Timeout" in client.reason
    assert client.is_available() is False
    assert "Error" in client.reason
    assert client.pair_prices("BTC/USDT") is None
    assert client.scan_arbitrage() is None
    assert client.opportunities() is None
    with contextlib.closing(client.stream("prices")) as frames:
        first, second = next(frames), next(frames)
    assert (first["type"], second["type"]) == ("away", "away")
    assert "refused" in first["reason"].lower()


OF_SOMEBODY_ELSE = {
    "/health": ("application/json", b"[]"),
    "/prices": ("application/json", b'{"price": 1}'),
    "/v1/opportunities": ("text/html", b"<html>"),
    "/v1/spreads": ("text/plain", b"[1]"),
    "/v1/connections": ("application/json", b'["late"]'),
    "/v1/basis": ("https://xn--a/", b""),  # leads on to a name that cannot be read
}
LATE_S = 0.05
DRIPS = "/v1/tables"
DRIPS_HEAD = "/v1/costs"
TOO_LONG = "/v1/pools"


class NoGateway(BaseHTTPRequestHandler):
    """A server that answers, in its own way."""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path in (DRIPS, DRIPS_HEAD):
            self._drip(path == DRIPS)
            return
        if path == TOO_LONG:
            self._pack()
            return
        kind, body = OF_SOMEBODY_ELSE[path]
        clock.sleep(LATE_S if path == "/v1/connections" else 0)
        self.send_response(200 if body else 302)
        self.send_header("content-type" if body else "location", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _pack(self) -> None:
        """Some 64 KB of what is longer than anything that a gateway says."""
        body = gzip.compress(b"[" + b" " * FRAME_BYTES_MAX + b"]", 1)
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-encoding", "gzip")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _drip(self, has_head: bool) -> None:
        """Never done, and never silent for long, until whoever asked goes."""
        self.send_response(200)
        self.send_header("content-type", "application/json")
        if has_head:
            self.end_headers()
        else:
            self.flush_headers()
        with contextlib.suppress(ConnectionError):
            while True:
                self.wfile.write(b" ")
                clock.sleep(LATE_S / 10)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


def test_somebody_else_at_the_port_is_said(client_of: Callable[..., Any]) -> None:
    with HTTPServer(("127.0.0.1", 0), NoGateway) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        client = client_of(f"http://127.0.0.1:{server.server_port}")
        for asked, says in (
            (client.is_available, "another shape"),
            (client.prices, "another shape"),
            (client.opportunities, "no JSON"),
            (client.spreads, "HTTP 200"),
            (lambda: client.get("/v1/basis"), "InvalidCodepoint"),
        ):
            assert not asked()
            assert says in client.reason
        server.shutdown()


def test_who_is_never_done_is_not_waited_for(client_of: Callable[..., Any]) -> None:
    with HTTPServer(("127.0.0.1", 0), NoGateway) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        client = client_of(f"http://127.0.0.1:{server.server_port}", timeout_s=LATE_S)
        for path in (DRIPS, DRIPS_HEAD):
            assert client.get(path) is None
            assert "Timeout" in client.reason
        server.shutdown()


def test_an_answer_is_unpacked_no_further_than_it_may_be_long(
    client_of: Callable[..., Any],
) -> None:
    with HTTPServer(("127.0.0.1", 0), NoGateway) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        client = client_of(f"http://127.0.0.1:{server.server_port}")
        assert client.get(TOO_LONG) is None
        assert "too long" in client.reason
        server.shutdown()


def test_a_call_that_takes_its_time_is_waited_for(client_of: Callable[..., Any]) -> None:
    with HTTPServer(("127.0.0.1", 0), NoGateway) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        client = client_of(f"http://127.0.0.1:{server.server_port}", timeout_s=LATE_S / 10)
        assert client.get("/v1/connections", source="okx-spot") == ["late"]
        assert client.get("/v1/connections", timeout_s=LATE_S / 10) is None
        assert "Timeout" in client.reason
        server.shutdown()
    assert patience_s("/v1/connections", 9.0, None) == 9.0
    assert patience_s("/v1/books/BTC-USDT", 0.1, None) > BOOKS_WAIT_S
    assert patience_s("/v1/spreads", 0.1, None) == 0.1


@pytest.mark.slow
def test_the_stream_comes_back_by_itself(
    client_of: Callable[..., Any], listed_bed: Any, quoting: Quoting
) -> None:
    file = listed_bed.folder / "config" / "config.toml"
    file.write_text(file.read_text().replace("port = 0", f"port = {free_port()}"))
    quoting.quote(SPOT.source_id, 0, 99.0)
    lives = [Started(listed_bed)]
    try:
        frames = client_of(lives[0].address()).stream("prices", pairs=["AAA/USDT"], pace="live")
        seen = (frame for frame in frames if frame["type"] in ("prices", "away"))
        assert next(seen)["snapshot"] is True
        quoting.quote(SPOT.source_id, 0, 98.0)
        assert next(seen)["prices"][0]["bid_px"] == 98.0
        lives[0].child.terminate()
        assert next(seen)["type"] == "away"
        lives[0].child.wait(PATIENT_S)
        quoting.quote(SPOT.source_id, 0, 97.0)
        lives.append(Started(listed_bed))
        back = next(frame for frame in seen if frame["type"] == "prices")
        assert (back["snapshot"], back["prices"][0]["bid_px"]) == (True, 97.0)
        frames.close()
    finally:
        for life in lives:
            life.child.kill()
            life.child.wait()


@pytest.mark.slow
def test_a_token_goes_along(
    client_of: Callable[..., Any], listed_bed: Any, request: pytest.FixtureRequest
) -> None:
    token = secret(listed_bed, "token")
    with (listed_bed.folder / "config" / "config.toml").open("a") as file:
        file.write('token_file = "token"\n')
    address = request.getfixturevalue("life").address()
    refused = client_of(address)
    assert refused.prices() is None
    assert refused.reason.startswith("no_token: ")
    with contextlib.closing(refused.stream("status")) as frames:
        assert "401" in next(frames)["reason"]
    known = client_of(address, token=token)
    assert known.prices() == []
    with contextlib.closing(known.stream("status")) as frames:
        assert next(frames)["type"] == "hello"


def test_by_tls_calls_and_the_stream_trust_whom_the_machine_trusts(
    client_of: Callable[..., Any],
    listed_bed: Any,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    certified(listed_bed.folder)
    with (listed_bed.folder / "config" / "config.toml").open("a") as file:
        file.write('tls_certificate = "certificate.pem"\ntls_key = "key.pem"\n')
    address = request.getfixturevalue("life").address()
    stranger = client_of(address)
    assert stranger.health() is None
    assert "CERTIFICATE_VERIFY_FAILED" in stranger.reason
    with contextlib.closing(stranger.stream("status")) as frames:
        assert "CERTIFICATE_VERIFY_FAILED" in next(frames)["reason"]
    monkeypatch.setenv("SSL_CERT_FILE", str(listed_bed.folder / "certificate.pem"))
    known = client_of(address)
    assert known.health()
    with contextlib.closing(known.stream("status")) as frames:
        assert next(frames)["type"] == "hello"


def test_it_is_switched_and_found_by_the_names_that_bots_know(
    client_of: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (client_of().url, client_of().enabled, TIMEOUT_S) == (URL, True, 0.1)
    monkeypatch.setenv("RUST_CACHE_URL", "http://10.0.0.1:3001/")
    monkeypatch.setenv("USE_RUST_CACHE", "false")
    client = client_of()
    assert (client.url, client.enabled) == ("http://10.0.0.1:3001", False)
    assert client.prices() is None
    assert "USE_RUST_CACHE" in client.reason
    assert client.is_available() is False
    assert list(client.stream("prices")) == []
    assert client_of("http://127.0.0.1:1", enabled=True).url == "http://127.0.0.1:1"
    assert client_of("HTTP://h:1/")._stream_url == "ws://h:1/v1/stream"
    for token in ("hunter2é", "hunter2\n"):
        with pytest.raises(ConfigError, match="ASCII") as refused:
            client_of(token=token)
        assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("kind", ["taken", "refused"])
def test_addresses_are_those_that_every_client_takes(
    client_of: Callable[..., Any], kind: str
) -> None:
    """clients/typescript/test holds its own client to the same table."""
    for address in json.loads(ADDRESSES.read_text())[kind]:
        if kind == "taken":
            assert client_of(address).url.lower() == address.rstrip("/").lower()
            continue
        with pytest.raises(ConfigError, match="RUST_CACHE_URL") as refused:
            client_of(address)
        assert "hidden" not in str(refused.value)
        with pytest.raises(ConfigError, match="JUPITER_URL"):
            JupiterClient(address)


@pytest.mark.parametrize("odd", [5, b"http://h", b"a" * 16, ["a"]])
def test_what_is_no_text_is_no_address_and_no_token(
    client_of: Callable[..., Any], odd: Any
) -> None:
    with pytest.raises(ConfigError, match="RUST_CACHE_URL"):
        client_of(odd)
    with pytest.raises(ConfigError, match="token"):
        client_of(token=odd)


def test_an_address_that_is_refused_keeps_its_password() -> None:
    for wrong in (
        "http://me:hidden@h:abc",
        "ftp://me:hid/den@h",
        "me:hidden@h",
        "http://me:hidden@h",
    ):
        with pytest.raises(ConfigError) as refused:
            SpreadClient(wrong)
        assert "hid" not in str(refused.value)
        assert "url='h" in str(refused.value)


@pytest.mark.parametrize(
    "timeout_s",
    [0, -1, math.nan, math.inf, 3_601, 10**400, Decimal("sNaN"), Decimal(-1), "soon", [], 1j],
)
def test_a_time_out_that_is_none_is_refused_and_of_a_call_the_nearest(
    client_of: Callable[..., Any], timeout_s: float
) -> None:
    with pytest.raises(ConfigError, match="time-out"):
        client_of(timeout_s=timeout_s)
    client = client_of("http://127.0.0.1:1")
    assert client.get("/health", timeout_s=timeout_s) is None
    assert client.reason


@pytest.mark.parametrize(
    "timeout_s",
    [Decimal(30), Fraction(61, 2), np.float32(30), np.longdouble(30), np.int64(30), True, "30"],
)
def test_a_time_out_is_any_number(
    client_of: Callable[..., Any], life: Started, timeout_s: Any
) -> None:
    address = life.address()
    assert client_of(address, timeout_s=timeout_s).get("/health")
    assert client_of(address).get("/health", timeout_s=timeout_s)


THRESHOLDS: tuple[Any, ...] = (
    *(0.3, 1, Decimal("0.3"), Fraction(3, 10), np.float64(0.3), np.float32(0.3)),
    *(np.longdouble(0.3), np.int64(1), np.uint8(1), np.float16(0.3)),
)
NO_THRESHOLDS: dict[str, tuple[Any, ...]] = {
    "got `null`": (math.nan, math.inf, None, np.float64("nan"), Decimal("NaN"), Decimal("inf")),
    "got `bool`": (True, np.True_),
    "got `str`": ("0.3", np.str_("0.3")),
    "got `array`": ([], (0.3,), np.array([0.3])),
    ">= 0.0": (-1, Decimal("-0.1")),
    "<= 1000.0": (1_001, 2**63, Decimal(10**30), np.float64(1e300)),
    "Unsayable: ": (10**30, Decimal("sNaN"), object(), b"0.3", 1j, "\ud800"),
}


def test_a_threshold_is_any_number(
    client_of: Callable[..., Any], life: Started, quoting: Quoting
) -> None:
    client = client_of(life.address())
    quoting.quote(SPOT.source_id, 0, 99.0)
    quoting.quote(OTHER.source_id, 0, 104.0)
    until(client.is_available)
    for threshold_pct in THRESHOLDS:
        assert len(client.scan_arbitrage(threshold_pct)) == 1, (threshold_pct, client.reason)
    for says, none in NO_THRESHOLDS.items():
        for odd in none:
            assert client.scan_arbitrage(odd) is None, odd
            assert says in client.reason, (odd, client.reason)


ODD_PAIRS: tuple[Any, ...] = (
    *("", "/", ".", "..", "/./", "../health", "%2e", "\x00", " ", "?", "#", "\ud800", "AAA\ud800"),
    *("\u00e9", "\U0001f4a5", None, 5, b"AAA/USDT", [], {}, object()),
)
ODD_PARAMETERS: tuple[tuple[str, dict[str, Any], str], ...] = (
    ("prices", {"source": "\ud800"}, "unknown_source: "),
    ("prices", {"source": ["okx-spot"]}, "unknown_source: "),
    ("prices", {"source": np.array([1, 2])}, "unknown_source: "),
    ("prices", {"source": b"okx-spot"}, "unknown_source: "),
    ("spreads", {"symbol": "\ud800"}, "unknown_symbol: "),
    ("spreads", {"symbol": []}, "unknown_symbol: "),
    ("spreads", {"count": math.nan}, "bad_request: count: "),
    ("spreads", {"count": Decimal("0.5")}, "bad_request: count: "),
    ("spreads", {"count": 10**400}, "bad_request: count: "),
    ("spreads", {"usable": "yes"}, "bad_request: usable: "),
    ("opportunities", {"symbol": "\ud800"}, "unknown_symbol: "),
    ("opportunities", {"before_id": 0.5}, "bad_request: before_id: "),
    ("opportunities", {"count": object()}, "bad_request: count: "),
    ("get", {"path": "/v1/\ud800"}, "UnicodeEncodeError: "),
    ("get", {"path": "/v1/\x00"}, "InvalidURL: "),
    ("get", {"path": "a" * 100_000}, "InvalidURL: "),
    ("get", {"path": 5}, "bad_request: no such path"),
    ("get", {"path": None}, "bad_request: no such path"),
    ("get", {"path": b"/health"}, "bad_request: no such path"),
)


def test_what_cannot_be_asked_is_no_error(client_of: Callable[..., Any], life: Started) -> None:
    client = client_of(life.address())
    for pair in ODD_PAIRS:
        assert client.pair_prices(pair) is None, pair
        assert client.reason.startswith("unknown_pair: "), (pair, client.reason)
    for call, odd, says in ODD_PARAMETERS:
        assert getattr(client, call)(**odd) is None, odd
        assert client.reason.startswith(says), (call, odd, client.reason)
    assert len(client.spreads(usable=np.False_, count=np.int64(1))) == 1
    assert len(client.spreads(count=Decimal(1))) == 1


@pytest.mark.parametrize(
    "wish",
    [{"levels": object()}, {"pairs": ["\ud800"]}, {"pairs": {"AAA/USDT"}}, {"after_seq": 2**64}],
)
def test_a_wish_that_no_json_holds_is_said(client_of: Callable[..., Any], wish: Any) -> None:
    with contextlib.closing(client_of("http://127.0.0.1:1").stream("prices", **wish)) as frames:
        frame = next(frames)
    assert frame["type"] == "away"
    assert frame["reason"].startswith("Unsayable: ")


def test_a_token_is_told_the_gateway_alone(client_of: Callable[..., Any]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        client = client_of("http://127.0.0.1:1", token="a" * 16)
        for path in (f"http://127.0.0.1:{port}/health", f"//127.0.0.1:{port}/health"):
            assert client.get(path, timeout_s=0.1) is None
            assert client.reason.startswith("ConnectError: "), client.reason


def test_a_stream_that_is_switched_off_ends(client_of: Callable[..., Any], life: Started) -> None:
    client = client_of(life.address())
    frames = client.stream("status")
    assert next(frames)["type"] == "hello"
    switched = getattr(client, "_client", client)
    switched.enabled = False
    assert list(frames) == []


FOR_EVER_S = 3_600.0


def _said_hello(web: ServerConnection) -> None:
    """And nothing more."""
    web.send('{"type": "hello"}')
    web.recv()  # the wish
    with contextlib.suppress(ConnectionClosed):
        web.recv()


def _let_go(web: ServerConnection) -> None:
    """At once: it is tried again after a while."""


@pytest.mark.parametrize("said", [_said_hello, _let_go], ids=["silent", "away"])
def test_a_stream_that_waits_ends_when_it_is_switched_off(
    client_of: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, said: Callable[..., None]
) -> None:
    for module in (blocking, awaited):
        monkeypatch.setattr(module, "SILENT_S", FOR_EVER_S)
    monkeypatch.setattr(asking, "next_pause_s", lambda _: FOR_EVER_S)
    with serve(said, "127.0.0.1", 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        client = client_of(f"http://127.0.0.1:{server.socket.getsockname()[1]}")
        last = "hello" if said is _said_hello else "away"
        _ends_when_switched_off(client, lambda seen: last in seen)
        server.shutdown()


def test_a_dial_that_nobody_answers_ends_when_it_is_switched_off() -> None:
    """Of who awaits it: a thread that dials cannot be told."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        client = Awaited(f"http://127.0.0.1:{silent.getsockname()[1]}", timeout_s=PATIENT_S)
        with contextlib.ExitStack() as held:

            def dialled(_: list[str]) -> bool:
                return bool(held.enter_context(silent.accept()[0]))

            _ends_when_switched_off(client, dialled)
        client.close()


def _ends_when_switched_off(client: Any, waits: Callable[[list[str]], bool]) -> None:
    """By another thread, while it waits for what never comes."""
    seen: list[str] = []

    def follow() -> None:
        seen.extend(frame["type"] for frame in client.stream("status"))
        seen.append("end")

    following = threading.Thread(target=follow, daemon=True)
    following.start()
    until(lambda: waits(seen))
    getattr(client, "_client", client).enabled = False
    following.join(PATIENT_S)
    assert seen[-1] == "end"


def test_it_asks_again_less_and_less_often() -> None:
    pauses = [0.0]
    while pauses[-1] < AGAIN_S_MAX:
        pauses.append(next_pause_s(pauses[-1]))
    assert pauses[1:4] == [AGAIN_S_MIN, 2 * AGAIN_S_MIN, 4 * AGAIN_S_MIN]
    assert next_pause_s(pauses[-1]) == AGAIN_S_MAX


@pytest.mark.parametrize(
    ("last", "pauses_s"),
    [
        ("hello", [AGAIN_S_MIN, 2 * AGAIN_S_MIN, 4 * AGAIN_S_MIN]),
        ("status", [AGAIN_S_MIN, AGAIN_S_MIN, AGAIN_S_MIN]),
    ],
)
def test_who_is_let_go_as_soon_as_it_has_wished_asks_less_and_less_often(
    monkeypatch: pytest.MonkeyPatch, last: str, pauses_s: list[float]
) -> None:
    def told(_: Following) -> Iterator[dict[str, str]]:
        yield {"type": "hello"}
        yield {"type": last}
        raise OSError("let go")

    paused_s: list[float] = []
    with SpreadClient(enabled=True) as client:
        monkeypatch.setattr(client, "_rest", paused_s.append)
        monkeypatch.setattr(client, "_told", told)
        frames = client.stream("status")
        assert [next(frames)["type"] for _ in range(3 * 3)] == ["hello", last, "away"] * 3
        next(frames)
    assert paused_s == pauses_s


def test_who_comes_back_says_which_events_were_the_last() -> None:
    following = Following(["signals", "opportunities"], (), (), {"usable": True})
    before = json.loads(following.wish)
    following.frame('{"type": "signal", "signal": {"seq": 7}}')
    following.frame('{"type": "opportunities", "opportunities": [{"id": 3}, {"id": 4}]}')
    following.frame(msgspec.msgpack.encode({"type": "opportunities", "opportunities": [{"id": 2}]}))
    following.frame('{"type": "heartbeat"}')
    assert json.loads(following.wish) == {**before, "after_seq": 7, "after_id": 4}
    assert before["usable"] is True
    following.frame('{"type": "began", "kind": "signals", "after_seq": 2, "ring": "a1"}')
    following.frame('{"type": "began", "kind": "opportunities", "after_id": 1, "database": "b2"}')
    following.frame('{"type": "opportunities", "opportunities": []}')
    places = {"after_seq": 2, "ring": "a1", "after_id": 1, "database": "b2"}
    assert json.loads(following.wish) == {**before, **places}
    unknown = Following(["opportunities"], (), (), {"after_id": None, "after_seq": None})
    unknown.frame('{"type": "opportunities", "opportunities": [{"id": 5}]}')
    assert json.loads(unknown.wish)["after_id"] == 5
    odd_events = ('{"type": "signal"}', '{"type": "opportunities", "opportunities": 3}')
    deep = ("[" * 5_000, b"\x91" * 5_000)
    for odd in ("[]", "", "{", b"", b"\x01", b"\xc1", *odd_events, *deep):
        with pytest.raises(ValueError):  # noqa: PT011  # orjson's, and ours
            following.frame(odd)
