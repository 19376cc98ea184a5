"""spread_scanner.client, both kinds, against a gateway that really runs, and one that is away."""

import asyncio
import contextlib
import json
import math
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import msgspec
import numpy as np
import pytest
from gateway_bed import Quoting, Started, secret

from bed import free_port, until
from spread_scanner import clock
from spread_scanner.client import AsyncSpreadClient, SpreadClient
from spread_scanner.client.asking import (
    AGAIN_S_MAX,
    AGAIN_S_MIN,
    TIMEOUT_S,
    URL,
    Following,
    next_pause_s,
    patience_s,
)
from spread_scanner.errors import ConfigError
from spread_scanner.gateway.api import BOOKS_WAIT_S
from spread_scanner.schema.enums import SOURCES

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
    assert client.scan_arbitrage(float("nan")) is None
    assert client.reason.startswith("bad_request: threshold_pct: ")
    assert len(client.scan_arbitrage(np.float64(0.3))) == 1
    assert len(client.get("/v1/spreads?count=1")) == 1
    assert client.get("v1/spreads?count=1", symbol="NOPE") is None
    assert client.reason.startswith("unknown_symbol: ")
    for nothing in ("", "/"):
        assert client.pair_prices(nothing) is None
        assert client.reason.startswith("unknown_pair: ")
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


class NoGateway(BaseHTTPRequestHandler):
    """A server that answers, in its own way."""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path in (DRIPS, DRIPS_HEAD):
            self._drip(path == DRIPS)
            return
        kind, body = OF_SOMEBODY_ELSE[path]
        clock.sleep(LATE_S if path == "/v1/connections" else 0)
        self.send_response(200 if body else 302)
        self.send_header("content-type" if body else "location", kind)
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
    for wrong in (
        "127.0.0.1:3001", "ftp://x", "http://", "http://[::1", "http://h:abc", "http://h:99999",
        "http://h:-1", "http://h:0", "http://a..b", "http://h?x=1", "http://h#x", " http://h",
    ):  # fmt: skip
        with pytest.raises(ConfigError, match="RUST_CACHE_URL"):
            client_of(wrong)
    for token in ("hunter2é", "hunter2\n"):
        with pytest.raises(ConfigError, match="ASCII") as refused:
            client_of(token=token)
        assert "hunter2" not in str(refused.value)


def test_an_address_that_is_refused_keeps_its_password() -> None:
    for wrong in ("http://me:hidden@h:abc", "ftp://me:hid/den@h", "me:hidden@h"):
        with pytest.raises(ConfigError) as refused:
            SpreadClient(wrong)
        assert "hid" not in str(refused.value)
        assert "url='h" in str(refused.value)


@pytest.mark.parametrize("timeout_s", [0, -1, math.nan, math.inf, 3_601])
def test_a_time_out_that_is_none_is_refused_and_of_a_call_the_nearest(
    client_of: Callable[..., Any], timeout_s: float
) -> None:
    with pytest.raises(ConfigError, match="time-out"):
        client_of(timeout_s=timeout_s)
    client = client_of("http://127.0.0.1:1")
    assert client.get("/health", timeout_s=timeout_s) is None
    assert client.reason


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


def test_a_path_that_no_url_has_is_no_error(client_of: Callable[..., Any]) -> None:
    client = client_of("http://127.0.0.1:1")
    assert client.get("/v1/\x00") is None
    assert client.reason.startswith("InvalidURL: ")


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
    monkeypatch.setattr(clock, "sleep", paused_s.append)
    with SpreadClient(enabled=True) as client:
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
    for odd in ("[]", "", "{", b"", b"\x01", b"\xc1", *odd_events):
        with pytest.raises(ValueError):  # noqa: PT011  # orjson's, and ours
            following.frame(odd)
