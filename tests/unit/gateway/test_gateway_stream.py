"""The stream over real sockets: snapshot and updates, what goes and comes, who may, who is slow."""

import contextlib
import itertools
import json
import os
import socket
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from gateway_bed import Quoting, Started, secret
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from spread_scanner.orders import orders
from spread_scanner.schema.enums import SOURCES
from spread_scanner.schema.names import GATEWAY
from spread_scanner.shm import PriceStore

LOAD_S = float(os.environ.get("SPREAD_GATEWAY_S", "3"))
ASKED_UNDER_LOAD = (
    "/health", "/prices", "/prices/AAA/USDT", "/metrics", "/v1/spreads", "/v1/spreads/columns",
    "/v1/status", "/v1/opportunities",
)  # fmt: skip
SPOT, OTHER = SOURCES[0].source_id, SOURCES[4].source_id


def url(life: Started) -> str:
    return life.address().replace("http", "ws") + "/v1/stream"


def said(web: ClientConnection, kind: str, **fields: Any) -> Any:
    """The next frame of that kind, and with those fields."""
    while True:
        frame = json.loads(web.recv(timeout=30))
        if frame["type"] == kind and all(frame.get(key) == want for key, want in fields.items()):
            return frame


def wish(web: ClientConnection, *kinds: str, **more: Any) -> None:
    web.send(json.dumps({"op": "subscribe", "kinds": kinds, **more}))


def test_a_snapshot_then_what_changes(life: Started, quoting: Quoting) -> None:
    quoting.quote(SPOT, 0, 99.0)
    with connect(url(life)) as web, connect(url(life)) as other:
        assert json.loads(web.recv(timeout=30))["type"] == "hello"
        wish(web, "prices", pace="live")
        wish(other, "prices", pairs=["bbb-usdt"], sources=["okx-spot"])
        first = said(web, "prices", snapshot=True)
        assert [one["bid_px"] for one in first["prices"]] == [99.0]
        assert said(other, "prices", snapshot=True)["prices"] == []
        quoting.quote(SPOT, 0, 98.0)
        update = said(web, "prices", snapshot=False)
        assert [one["bid_px"] for one in update["prices"]] == [98.0]
        assert update["version"] > first["version"]
        quoting.quote(OTHER, 0, 50.0)
        quoting.quote(OTHER, 1, 51.0)
        seen: list[float] = []
        while 51.0 not in seen:
            seen += [one["bid_px"] for one in said(web, "prices")["prices"]]
        mine = said(other, "prices", snapshot=False)
        assert [(one["pair"], one["bid_px"]) for one in mine["prices"]] == [("BBB/USDT", 51.0)]
        assert said(web, "heartbeat")["frames"] > 2
        wish(web, "prices", pairs=["AAA-USDT"])  # said again: what stands, anew
        assert len(said(web, "prices", snapshot=True)["prices"]) == 2


def test_what_cannot_be_stood_behind_any_more_is_gone(
    life: Started, quoting: Quoting, listed_bed: Any
) -> None:
    quoting.quote(SPOT, 0, 99.0)
    with connect(url(life)) as web:
        wish(web, "prices")
        assert len(said(web, "prices", snapshot=True)["prices"]) == 1
        quoting.close()  # the feed ends; its successor's epoch makes the quote stale
        with PriceStore.attach(listed_bed.namespace) as store, store.writer(SPOT):
            assert said(web, "prices")["gone"] == ["binance-spot:AAAUSDT"]


def test_words_that_mean_nothing_are_answered_and_the_stream_goes_on(
    life: Started, quoting: Quoting
) -> None:
    rows = [
        ("", "bad_request"),
        ("{", "bad_request"),
        ("[]", "bad_request"),
        ('{"op": "subscribe"}', "bad_request"),
        ('{"op": "subscribe", "kinds": []}', "bad_request"),
        ('{"op": "subscribe", "kinds": ["songs"]}', "bad_request"),
        ('{"op": "sing", "kinds": ["prices"]}', "bad_request"),
        ('{"op": "subscribe", "kinds": ["prices"], "pace": "quick"}', "bad_request"),
        ('{"op": "subscribe", "kinds": ["prices"], "pair": "AAA"}', "bad_request"),
        ('{"op": "subscribe", "kinds": ["books"], "levels": "10"}', "bad_request"),
        ('{"op": "subscribe", "kinds": ["signals"], "after_seq": "7"}', "bad_request"),
        ('{"op": "subscribe", "kinds": ["spreads"], "usable": 1}', "bad_request"),
        ('{"op": "subscribe", "kinds": ["prices"], "pairs": ["NOPE-USDT"]}', "unknown_pair"),
        ('{"op": "subscribe", "kinds": ["prices"], "sources": ["kraken"]}', "unknown_source"),
        ('{"op": "subscribe", "kinds": ["prices"], "sources": ["raydium"]}', "unknown_source"),
    ]
    with connect(url(life)) as web:
        for text, code in rows:
            web.send(text)
            assert said(web, "error")["code"] == code, text
        web.send(b"\xff\xfe")
        assert said(web, "error")["code"] == "bad_request"
        wish(web, "status")
        assert said(web, "status")["status"]["status"] == "unavailable"


def dialled(at: str) -> socket.socket:
    host, port = at.split("/")[2].split(":")
    return socket.create_connection((host, int(port)))


def test_who_may_not_is_refused_before_the_upgrade(life: Started, listed_bed: Any) -> None:
    at = url(life)
    refused: list[tuple[Any, int]] = [
        ({"uri": at.replace("stream", "streams")}, 404),
        ({"uri": at, "origin": "http://evil.example"}, 403),
        ({"uri": "ws://evil.example/v1/stream", "sock": dialled(at)}, 421),
        ({"uri": at, "additional_headers": {"Host": "evil.example"}}, 400),  # beside its own
    ]
    for how, status in refused:
        with pytest.raises(InvalidStatus) as error:
            connect(**how)
        assert error.value.response.status_code == status, how
    token = secret(listed_bed, "token")
    before = connect(at)
    file = listed_bed.folder / "config" / "config.toml"
    file.write_text(file.read_text() + 'token_file = "token"\n')
    assert orders.reload(listed_bed.settings).refused == {}
    with before, pytest.raises(ConnectionClosed):  # what it was let in with is worth nothing now
        said(before, "nothing")
    with pytest.raises(InvalidStatus) as error:
        connect(at)
    assert error.value.response.status_code == 401
    offered: Any = ["spread-scanner.v1", f"bearer.{token}"]
    with connect(at, subprotocols=offered) as web:
        assert web.subprotocol == "spread-scanner.v1"
        assert said(web, "hello")
    with connect(at, additional_headers={"Authorization": f"Bearer {token}"}) as web:
        assert said(web, "hello")


def test_frames_that_nobody_sends_end_the_connection_and_nothing_else(
    life: Started, quoting: Quoting
) -> None:
    at = url(life)
    with connect(at) as well:
        with connect(at, max_size=None) as web:
            web.send("x" * 200_000)
            with pytest.raises(ConnectionClosed):
                said(web, "nothing")
        for garbage in (b"\x00" * 64, b"\xff" * 64, b"\x81\x05hello"):  # the last one unmasked
            with dialled(at) as raw:
                raw.sendall(
                    b"GET /v1/stream HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
                    b"Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                    b"Sec-WebSocket-Version: 13\r\n\r\n"
                )
                raw.settimeout(30)
                assert raw.recv(65_536).startswith(b"HTTP/1.1 101")
                raw.sendall(garbage)
                with contextlib.suppress(ConnectionError):
                    while raw.recv(65_536):
                        pass
        wish(well, "status")
        assert said(well, "status")


@pytest.mark.slow
@pytest.mark.timeout(60 + LOAD_S)
def test_under_load_nothing_grows(life: Started, quoting: Quoting) -> None:
    """For some seconds; `make nightly` has an hour of it."""
    numbers, process = itertools.count(), Path(f"/proc/{life.child.pid}")

    def rounds(seconds: float) -> tuple[float, int, int]:
        """The gateway's memory behind them, MB, its open files and its threads."""
        until_s = time.monotonic() + seconds
        while time.monotonic() < until_s:
            number = next(numbers)
            quoting.quote(SOURCES[0].source_id, number % 3, 100.0 + number % 7)
            for path in ASKED_UNDER_LOAD:
                assert web.get(path).status_code == 200, path
            with connect(url(life), proxy=None) as stream:
                wish(stream, "prices", "spreads", "signals", "opportunities", "status")
                said(stream, "spreads")
        pages = int((process / "statm").read_text().split()[1])
        found = (
            pages * os.sysconf("SC_PAGE_SIZE") / 1e6,
            len(os.listdir(process / "fd")),
            len(os.listdir(process / "task")),
        )
        print(f"{number} rounds: {found[0]:.1f} MB, {found[1]} files, {found[2]} threads")
        return found

    with httpx.Client(base_url=life.address(), timeout=60) as web:
        before = rounds(2)
        for _ in range(3):
            after = rounds(LOAD_S / 3)
    assert after[0] < min(before[0] + 20, 150)
    assert after[1] < before[1] + 10  # some of what just ended is still being closed
    assert after[2] < before[2] + 10


def test_paused_and_at_the_end_everybody_is_let_go(life: Started, listed_bed: Any) -> None:
    with connect(url(life)) as web:
        assert said(web, "hello")
        orders.pause(listed_bed.settings, GATEWAY, paused=True)
        with pytest.raises(ConnectionClosed) as closed:
            said(web, "nothing")
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (
            1013,
            "spread-gateway is paused",
        )
    with pytest.raises(InvalidStatus) as error:
        connect(url_of_paused(life))
    assert error.value.response.status_code == 503
    orders.pause(listed_bed.settings, GATEWAY, paused=False)
    with connect(url(life)) as web:
        assert said(web, "hello")
        life.child.terminate()
        with pytest.raises(ConnectionClosed):
            said(web, "nothing")
    assert life.child.wait(30) == 0


def url_of_paused(life: Started) -> str:
    return str(life.row().message).replace("http", "ws") + "/v1/stream"
