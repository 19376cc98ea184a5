"""Stands in for a gateway with thousands of pairs, so that the page alone is measured.

Serves the dashboard's own files, columns that move with each ask, and ten frames a second of what
is wished for, all made up.
"""

import asyncio
import contextlib
import math
import threading
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import msgspec
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from spread_scanner import clock
from spread_scanner.clock import NS_PER_S
from spread_scanner.gateway.dashboard import page_files
from spread_scanner.gateway.problems import MEDIA_TYPE, problem
from spread_scanner.schema.enums import DIRECTIONS, EXCHANGE_DIRECTIONS
from spread_scanner.view.columns import SpreadColumns
from spread_scanner.view.spreads import Spread

FRAME_S = 0.1
TURNS = 40  # then it is as it was


def pair(number: int) -> tuple[str, str]:
    symbol, way = divmod(number, len(EXCHANGE_DIRECTIONS))
    return f"C{symbol:03d}-USDT", DIRECTIONS[way].label


def spread(number: int, turn: int) -> Spread:
    """One pair at one moment."""
    symbol, direction = pair(number)
    wave = math.sin(7 * number + 2 * math.pi * turn / TURNS)
    gross = round(40 * math.sin(number) + 2 * wave, 3)
    net, size = round(gross - 20, 3), 100.0 + number
    return Spread(
        symbol=symbol, direction=direction, gross_bps=gross, net_bps=net,
        enter_bps=10.0, exit_bps=-3.0, close_bps=-2.0, usual_bps=-2.0, learned=1.0, size_quote=size,
        spot_ask_px=100.0, fut_bid_px=100.4, spot_age_ms=float(turn % 90), fut_age_ms=12.0,
        usable=number % 50 != 0, implausible=False, notes=[], fees_bps=17.0, carry_at_ask_bps=1.0,
        depth=None,
    )  # fmt: skip


def columns(pairs: int, turn: int) -> bytes:
    found = [spread(number, turn) for number in range(pairs)]
    names = SpreadColumns.__struct_fields__
    told = {
        name: [getattr(one, name) for one in found] for name in names if hasattr(found[0], name)
    }
    whole = SpreadColumns(
        ts_ns=clock.wall_ns(), version=turn, generation=1, z=[None] * pairs, **told
    )
    return msgspec.json.encode(whole)


class Canned:
    """What is answered."""

    def __init__(self, pairs: int) -> None:
        self._numbers = {" ".join(pair(number)): number for number in range(pairs)}
        self._columns = [columns(pairs, turn) for turn in range(TURNS)]
        self._files = page_files()

    def answer(self, _: ServerConnection, request: Request) -> Response | None:
        """None: it is for the stream."""
        path = request.path.partition("?")[0]
        if path == "/v1/stream":
            return None
        if path in self._files:
            file = self._files[path]
            return _said(file.body, file.kind.decode())
        if path == "/v1/spreads/columns":
            return _said(self._columns[_turn()], "application/json")
        if path in ("/v1/opportunities", "/v1/funding"):
            return _said(b"[]", "application/json")
        said = problem(HTTPStatus.NOT_FOUND, "bad_request", "canned", path)
        return _said(msgspec.json.encode(said), MEDIA_TYPE, HTTPStatus.NOT_FOUND)

    async def tell(self, client: ServerConnection) -> None:
        """Frames, for as long as it listens."""
        with contextlib.suppress(ConnectionClosed):
            await self._tell(client)

    async def _tell(self, client: ServerConnection) -> None:
        """Of the symbols that were wished for last."""
        wish: dict[str, Any] = {}

        async def listen() -> None:
            async for said in client:
                wish.update(msgspec.json.decode(said))

        listening = asyncio.create_task(listen())
        try:
            await self._frames(client, wish)
        finally:
            listening.cancel()

    async def _frames(self, client: ServerConnection, wish: dict[str, Any]) -> None:
        while True:
            await asyncio.sleep(FRAME_S)
            turn = _turn()
            frame: dict[str, Any] = {"type": "heartbeat"}
            if "spreads" in wish.get("kinds", ()):
                told = [spread(self._numbers[one], turn) for one in wish["only"]]
                frame = {
                    "type": "spreads",
                    "snapshot": False,
                    "version": turn,
                    "spreads": told,
                    "gone": [],
                }
            await client.send(msgspec.json.encode(frame).decode())


def _turn() -> int:
    return int(clock.mono_ns() / NS_PER_S / FRAME_S) % TURNS


def _said(body: bytes, kind: str, status: HTTPStatus = HTTPStatus.OK) -> Response:
    headers = Headers(
        {"content-type": kind, "content-length": str(len(body)), "connection": "close"}
    )
    return Response(status, status.phrase, headers, body)


@contextlib.contextmanager
def canned_gateway(pairs: int) -> Iterator[str]:
    """Its address, while it stands."""
    canned, loop = Canned(pairs), asyncio.new_event_loop()
    addresses: list[str] = []
    up, ends = threading.Event(), asyncio.Event()

    async def run() -> None:
        async with serve(
            canned.tell, "127.0.0.1", 0, process_request=canned.answer,
            subprotocols=["spread-scanner.v1"],  # type: ignore[list-item]
        ) as server:  # fmt: skip
            addresses.append(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
            up.set()
            await ends.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(run()))
    thread.start()
    up.wait(10)
    yield addresses[0]
    loop.call_soon_threadsafe(ends.set)
    thread.join()
    loop.close()
