"""The other end of the feed's benchmarks: a process of its own that sends prebuilt frames.

Frames are made beforehand in each exchange's real format; while the clock runs the sender does
nothing but write them. It serves one connection at a time: handshake, first request, frames, end.
"""

import base64
import hashlib
import socket
import ssl
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from spread_scanner.schema.enums import SOURCE_BY_LABEL, Market
from spread_scanner.sim.tick import Tick
from spread_scanner.sim.universe import Listing, Universe
from spread_scanner.sim.wire import encoder, forms
from spread_scanner.symbology.tables import InstrumentRow

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
CHUNK = 256 << 10
SYMBOLS = 100
WALL_MS = 1_790_000_000_000


@dataclass
class Messages:
    """What is sent, and what must be in the store afterwards: (px, sz, px, sz, update id)."""

    label: str
    frames: list[bytes]
    instruments: dict[str, InstrumentRow]
    last: dict[int, tuple[float, float, float, float, int]]


def messages(label: str, count: int) -> Messages:
    """`count` quotes of a source, its symbols in turn, prices moving, update ids rising."""
    listings = [
        listing
        for listing in Universe(1, SYMBOLS).by_source[label]
        if listing.moves and listing.source is SOURCE_BY_LABEL[label]
    ]
    instruments = {
        listing.exchange_symbol: InstrumentRow(
            SOURCE_BY_LABEL[label].source_id, number, listing.exchange_symbol,
            float(listing.px_mul), float(listing.sz_mul), None, None, None, None, False, False,
        )
        for number, listing in enumerate(listings)
    }  # fmt: skip
    encode = [encoder(listing, forms(listing)[0]) for listing in listings]
    frames, last = [], {}
    for number in range(count):
        at = number % len(listings)
        tick = _tick(listings[at], number)
        frames.append(encode[at](tick))
        row = instruments[listings[at].exchange_symbol]
        last[at] = (
            float(tick.bid_px) / row.px_div,
            float(tick.bid_sz) * row.sz_mul,
            float(tick.ask_px) / row.px_div,
            float(tick.ask_sz) * row.sz_mul,
            tick.update_id,
        )
    return Messages(label, frames, instruments, last)


def _tick(listing: Listing, number: int) -> Tick:
    price = listing.coin.price * listing.px_mul * (1 + number % 97 / 10_000)
    spot8 = listing.label == "binance-spot"
    px = f"%.{max(8, listing.px_decimals) if spot8 else listing.px_decimals}f"
    sz = f"%.{8 if spot8 else listing.sz_decimals}f"
    step = 10.0**-listing.px_decimals
    size = 10.0 ** -min(listing.sz_decimals, 3) * (3 + number % 1_000)
    futures = listing.source.market is Market.FUTURES
    return Tick(
        50_000_000_000 + number * (3 if futures else 7),
        px % max(price, step),
        sz % size,
        px % max(price + step, 2 * step),
        sz % (2 * size),
        WALL_MS + number // 1_000,
        number,
    )


def certificate(folder: Path) -> tuple[Path, Path]:
    """A key and a certificate for the TLS runs, trusted by nobody else."""
    key, cert = folder / "key.pem", folder / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj",
         "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
         "-keyout", str(key), "-out", str(cert)],
        check=True, capture_output=True,
    )  # fmt: skip
    return key, cert


@dataclass
class Order:
    """How one connection is served: gap_ns 0 bursts, else a frame each so many ns."""

    frames: list[bytes]
    gap_ns: int
    tls: tuple[Path, Path] | None


def serve(server: socket.socket, orders: list[Order]) -> None:
    """Serve one connection per order, then end. Runs in the other process."""
    for order in orders:
        blob = b"".join(order.frames) if not order.gap_ns else b""
        connection, _ = server.accept()
        if order.tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(order.tls[1], order.tls[0])
            connection = context.wrap_socket(connection, server_side=True)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with connection:
            _shake(connection)
            connection.recv(65_536)  # the first request: the clock runs
            if order.gap_ns:
                _paced(connection, order.frames, order.gap_ns)
            else:
                for at in range(0, len(blob), CHUNK):
                    connection.sendall(blob[at : at + CHUNK])
            connection.recv(65_536)  # the receiver's goodbye, or its end


def _paced(connection: socket.socket, frames: list[bytes], gap_ns: int) -> None:
    due = time.perf_counter_ns()
    for frame in frames:
        while time.perf_counter_ns() < due:
            pass
        connection.sendall(frame)
        due = max(due + gap_ns, time.perf_counter_ns() - gap_ns)


def _shake(connection: socket.socket) -> None:
    head = b""
    while b"\r\n\r\n" not in head:
        head += connection.recv(4_096)
    line = next(
        line for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key")
    )
    accept = base64.b64encode(hashlib.sha1(line.split(b":", 1)[1].strip() + GUID).digest())
    connection.sendall(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )
