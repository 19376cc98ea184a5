"""One TCP connection to the pretend exchanges: what is decided for it, and when."""

import asyncio
from collections.abc import Callable
from typing import cast

import pytest

from spread_scanner.clock import VirtualClock
from spread_scanner.sim.exchange import Exchange8
from spread_scanner.sim.options import Options
from spread_scanner.sim.server import Connection

GET = b"GET /okx-spot/api/v5/public/instruments?instType=SPOT HTTP/1.1\r\nHost: sim\r\n\r\n"
UPGRADE = (
    b"GET /okx-spot/ws/v5/public HTTP/1.1\r\nHost: sim\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
Connect = Callable[[], tuple[Connection, "Written"]]


class Written:
    """A transport: what was said into it."""

    def __init__(self) -> None:
        self.said: list[bytes] = []
        self.closing = False

    def write(self, data: bytes) -> None:
        self.said.append(data)

    def statuses(self) -> list[bytes]:
        """Of all answers so far."""
        return [said.split()[1] for said in self.said if said.startswith(b"HTTP/1.1")]

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True

    def get_extra_info(self, _name: str) -> tuple[str, int]:
        return ("127.0.0.1", 1)

    def set_write_buffer_limits(self, **_limits: int) -> None:
        return


@pytest.fixture
def connect(virtual_clock: VirtualClock) -> Connect:
    exchange = Exchange8(Options(seed=1, symbols=8))

    def connected() -> tuple[Connection, Written]:
        made, written = Connection(exchange), Written()
        made.connection_made(cast(asyncio.Transport, written))
        return made, written

    return connected


@pytest.mark.parametrize("requests", [0, 1, 2])
@pytest.mark.parametrize("cut", [None, 40])
def test_a_connection_that_has_served_requests_becomes_a_websocket(
    connect: Connect, requests: int, cut: int | None
) -> None:
    """As every client with a pool of connections does it, at any place where its bytes are cut."""
    made, written = connect()
    for data in (*[GET] * requests, UPGRADE):
        for part in filter(None, (data[:cut], data[cut:] if cut else b"")):
            made.data_received(part)
    assert written.statuses() == [*[b"200"] * requests, b"101"]
    assert made.talk is not None
    assert not written.closing
