"""Group gateway: what an answer and a pushed frame cost the process, and how long they take.

gateway.health, gateway.pair, gateway.prices   requests a CPU second of the process, from eight
    connections; p50 and p99 of an answer in us, to one who asks alone, are parameters. /prices has
    every listing of four sources.
gateway.push   frames a CPU second to all clients of one wish while quotes are written; p50 and p99
    from the write of a quote to a client in us are parameters, as is what memory the process has
    then.
gateway.stuck   p99 from the write of a quote to a client in us while one client in five reads
    nothing; times what it is for the same readers without these, times_all for as many of whom all
    read; write_times and write_times_all are the same of what a write took its feed. The three are
    measured in turns, BLOCKS times, of which the medians are said.

The peers do the same from the same store in the same run: FastAPI on uvicorn, and for the push
websockets, which is what a bot's author would take. Each answer is looked at: one that is short, a
peer that answers a pair or all prices otherwise than we do, or a client that was not told the last
quote, fails the run.
"""

import asyncio
import contextlib
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from measure import Figure, compiled, figure

from spread_scanner import config
from spread_scanner.config import Settings
from spread_scanner.schema.enums import EXCHANGE_SOURCES, ProcessState
from spread_scanner.schema.names import GATEWAY
from spread_scanner.shm import Health, PriceStore, segment
from spread_scanner.shminit import making
from spread_scanner.symbology import publish
from spread_scanner.symbology.tables import DirectionRow, InstrumentRow, SymbolRow, Tables
from spread_scanner.view.prices import SPOT_LIKE

ROOT = Path(__file__).parents[2]
TWIN = Path(__file__).with_name("gateway_twin.py")
PUSH_TWIN = Path(__file__).with_name("push_twin.py")
CONNECTIONS = 8
START_S_MAX = 60.0
QUOTE_S = 0.001  # between two quotes that are pushed
# A p99 of one stretch may be three times that of the next, whoever is connected: of five turns the
# ratio of medians came out anywhere from 0.5 to 2.3.
BLOCKS, BLOCKS_SMALL = 15, 3
BLOCK_SHARE = 0.2  # of the time of the others, each stretch
FILLING = 2_000  # quotes after which whoever reads nothing is told nothing more
WISH = '{"op":"subscribe","kinds":["prices"],"pace":"live"}'


def figures(small: bool) -> Iterator[Figure]:
    symbols, requests, clients, seconds = (20, 200, 4, 1.0) if small else (500, 20_000, 100, 10.0)
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        settings = stack.enter_context(_system(Path(folder), symbols))
        quotes = stack.enter_context(Quotes(settings, symbols))
        ours = stack.enter_context(_started([str(ROOT / "bins" / GATEWAY)], settings))
        port = _port(settings)
        twin = None
        if importlib.util.find_spec("fastapi") is not None:
            twin = stack.enter_context(_started([str(TWIN)], settings))
            assert twin.stdout is not None
            twin_port = int(twin.stdout.readline())
        for name, path, share in (
            ("health", "/health", 1),
            ("pair", "/prices/S0/USDT", 1),
            ("prices", "/prices", 20),
        ):
            quotes.write_all()  # what is older than a minute is no price
            count = max(requests // share, CONNECTIONS)
            asked = asyncio.run(_asked(port, path, count, ours.pid, quotes))
            peers = {}
            if twin is not None:
                if path != "/health":  # the peer says less there
                    _compare(path, port, twin_port)
                other = asyncio.run(
                    _asked(twin_port, path, max(count // 4, CONNECTIONS), twin.pid, quotes)
                )
                peers = {"fastapi": other.per_cpu_s, "fastapi_p50_us": other.p50_us}
            yield asked.figure(f"gateway.{name}", peers)
        pushed = _pushed(port, clients, seconds, ours.pid, quotes)
        stuck = clients // 5
        blocks = [
            _beside_stuck(port, clients - stuck, stuck, seconds * BLOCK_SHARE, ours.pid, quotes)
            for _ in range(BLOCKS_SMALL if small else BLOCKS)
        ]
        twin = stack.enter_context(_started([str(PUSH_TWIN)], settings))
        assert twin.stdout is not None
        twin_port = int(twin.stdout.readline())
        other = _pushed(twin_port, clients, seconds, twin.pid, quotes).told
        peers = {"websockets": other.per_cpu_s, "websockets_p50_us": other.p50_us}
        yield pushed.told.figure(
            "gateway.push", peers, clients=clients, rss_mb=round(pushed.rss_mb, 1)
        )
        yield _stuck_figure(blocks, clients, stuck)


class PushTold(msgspec.Struct):
    """What native/push_clients.c prints."""

    frames: int
    p50_us: float
    p99_us: float


class Measured:
    """How many, at what cost, how late."""

    def __init__(self, count: int, cpu_s: float, p50_us: float, p99_us: float) -> None:
        self.per_cpu_s = count / max(cpu_s, 0.01)
        self.p50_us, self.p99_us = p50_us, p99_us
        self.count = count

    def figure(self, name: str, peers: dict[str, float], **more: Any) -> Figure:
        return figure(
            name, "a CPU s", [self.per_cpu_s], peers=peers, p50_us=round(self.p50_us, 1),
            p99_us=round(self.p99_us, 1), count=self.count, **more,
        )  # fmt: skip


class Pushed(NamedTuple):
    """What clients were told while quotes were written, and what else there was to see."""

    told: Measured
    rss_mb: float
    write_p99_us: float  # what a write took whoever wrote


def _stuck_figure(blocks: list[tuple[Pushed, Pushed, Pushed]], clients: int, stuck: int) -> Figure:
    """Of readers and stuck ones, beside the same readers alone and beside all reading."""
    beside, alone, all_read = (
        np.median([(one.told.p99_us, one.write_p99_us) for one in each], axis=0)
        for each in zip(*blocks, strict=True)
    )
    (times, write_times), (times_all, write_times_all) = (
        np.round(beside / each, 2).tolist() for each in (alone, all_read)
    )
    return figure(
        "gateway.stuck", "us", [each[0].told.p99_us for each in blocks],
        clients=clients, stuck=stuck, times=times, write_times=write_times,
        times_all=times_all, write_times_all=write_times_all,
        write_p99_us=round(float(beside[1]), 1),
    )  # fmt: skip


class Stuck:
    """Clients that wish for all prices, and read none of what they are told."""

    def __init__(self, port: int, clients: int, quotes: "Quotes") -> None:
        self.clients = clients
        self._quotes = quotes
        self._sockets = [_listening(port) for _ in range(clients)]

    def __enter__(self) -> "Stuck":
        """With so much on its way to each that no more is told to it."""
        for _ in range(FILLING):
            self._quotes.write()
            time.sleep(QUOTE_S)
        return self

    def check(self) -> None:
        """Raises RuntimeError where one was refused or let go."""
        for one in self._sockets:
            one.settimeout(0.2)
            if b" 101 " not in one.recv(1 << 10):
                raise RuntimeError("a client that was to read nothing was not let in")

    def __exit__(self, *_: object) -> None:
        for one in self._sockets:
            one.close()


def _listening(port: int) -> socket.socket:
    """A socket of little room, whose wish was said."""
    one = socket.socket()
    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    one.connect(("127.0.0.1", port))
    one.sendall(
        f"GET /v1/stream HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
        + bytes([0x81, 0x80 | len(WISH), 0, 0, 0, 0]) + WISH.encode()
    )  # fmt: skip
    return one


@contextlib.contextmanager
def _system(folder: Path, symbols: int) -> Iterator[Settings]:
    """Settings, tables and segments of a system without processes."""
    namespace = f"bench-gateway-{os.getpid()}"
    (folder / "config").mkdir()
    files = {
        "config.toml": f'[system]\nnamespace = "{namespace}"\nheartbeat_ms_max = 60000\n'
        f"[{GATEWAY}]\nenabled = true\nport = 0\n",
        "exchanges.toml": "\n".join(
            f'[{one.label}]\nrest_url = "http://127.0.0.1:1"\nws_url = "ws://127.0.0.1:1"\n'
            for one in EXCHANGE_SOURCES
        ),
        "directions.toml": "",
    }
    for name, text in files.items():
        (folder / "config" / name).write_text(text)
    settings = config.load(folder / "config", {})
    names = [f"S{number}-USDT" for number in range(symbols)]
    rows = tuple(SymbolRow(n, name, f"S{n}", "USDT") for n, name in enumerate(names))
    listed = tuple(
        InstrumentRow(one.source_id, n, f"S{n}USDT", 1.0, 1.0, None, None, None, None, False, False)
        for n in range(symbols)
        for one in SPOT_LIKE
    )
    directions = (DirectionRow(0, ()),)
    tables = Tables(1, time.time_ns(), rows, listed, directions, (), ())
    publish.publish(settings.generated_dir, tables, {})
    making.ensure(settings)
    try:
        yield settings
    finally:
        for name in segment.names(namespace):
            segment.remove(name)


class Quotes:
    """Writes quotes of all spot sources, as feeds do."""

    def __init__(self, settings: Settings, symbols: int) -> None:
        self.store = PriceStore.attach(settings.config.system.namespace)
        self.writers = [self.store.writer(one.source_id) for one in SPOT_LIKE]
        self.symbols = symbols
        self.listings = symbols * len(SPOT_LIKE)
        self.number = 0
        self.last: dict[str, float] = {}

    def __enter__(self) -> "Quotes":
        self.write_all()
        return self

    def write_all(self) -> None:
        """A quote of each listing."""
        for _ in range(self.listings):
            self.write()

    def write(self) -> None:
        """The next listing's next quote."""
        lane, symbol_id = self.number % len(self.writers), (self.number // 4) % self.symbols
        self.number += 1
        now_ns = self.store.clock.now_ns()
        bid = 100 + self.number / 1e6
        self.writers[lane].write(symbol_id, bid, 1.0, bid + 1, 1.0, now_ns, now_ns, self.number)
        self.writers[lane].heartbeat(now_ns - self.store.clock.anchor_ns)

    def __exit__(self, *_: object) -> None:
        for writer in self.writers:
            writer.close()
        self.store.close()


@contextlib.contextmanager
def _started(script: list[str], settings: Settings) -> "Iterator[subprocess.Popen[bytes]]":
    environ = {**os.environ, "SPREAD_CONFIG_DIR": str(settings.folder)}
    child = subprocess.Popen(
        [sys.executable, *script], env=environ, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        yield child
    finally:
        child.send_signal(signal.SIGTERM)
        child.wait(30)


def _port(settings: Settings) -> int:
    deadline_s = time.monotonic() + START_S_MAX
    with Health.attach(settings.config.system.namespace) as health:
        while time.monotonic() < deadline_s:
            row = health.read(GATEWAY) if GATEWAY in health.names() else None
            if row is not None and row.state is ProcessState.RUNNING:
                return int(row.message.rpartition(":")[2])
            time.sleep(0.05)
    raise RuntimeError("the gateway does not run")


async def _asked(port: int, path: str, count: int, pid: int, quotes: Quotes) -> Measured:
    """So many requests over a few connections, one after the other on each; then some by one."""
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()
    wanted = {"/prices": quotes.listings, "/health": 0}.get(path, len(SPOT_LIKE))

    async def one(times: int) -> list[float]:
        took_us = []
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 24)
        for _ in range(times):
            began_ns = time.perf_counter_ns()
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
            body = await reader.readexactly(length)
            took_us.append((time.perf_counter_ns() - began_ns) / 1e3)
            if not head.startswith(b"HTTP/1.1 200") or body.count(b'"pool_id"') != wanted:
                raise RuntimeError(f"{path} is short: {head!r} {body[:200]!r}")
        writer.close()
        return took_us

    each = count // CONNECTIONS
    before_s = _cpu_s(pid)
    await asyncio.gather(*(one(each) for _ in range(CONNECTIONS)))
    cpu_s = _cpu_s(pid) - before_s
    p50_us, p99_us = (float(took) for took in np.percentile(await one(each), [50, 99]))
    return Measured(each * CONNECTIONS, cpu_s, p50_us, p99_us)


def _compare(path: str, port: int, other_port: int) -> None:
    """Raises RuntimeError where both do not say the same; ages go on meanwhile."""
    said = []
    for each in (port, other_port):
        with urllib.request.urlopen(f"http://127.0.0.1:{each}{path}", timeout=60) as answer:
            said.append([{**one, "age_ms": 0} for one in msgspec.json.decode(answer.read())])
    if said[0] != said[1]:
        raise RuntimeError(f"{path}: the peer answers otherwise")


def _pushed(port: int, clients: int, seconds: float, pid: int, quotes: Quotes) -> Pushed:
    """1,000 quotes a second, one at a time, to all clients."""
    took_us = []
    anchor_ns = quotes.store.clock.anchor_ns
    with compiled("push_clients.c") as program:
        told = subprocess.Popen(
            [program, str(port), str(clients), str(anchor_ns), WISH],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        with told:
            assert told.stdin is not None
            assert told.stdout is not None
            if told.stdout.readline() != "ready\n":
                raise RuntimeError("the clients were not told what stands")
            before_s, next_s = _cpu_s(pid), time.monotonic()
            until_s = next_s + seconds
            while next_s < until_s:
                began_ns = time.perf_counter_ns()
                quotes.write()
                took_us.append((time.perf_counter_ns() - began_ns) / 1e3)
                next_s += QUOTE_S
                time.sleep(max(0.0, next_s - time.monotonic()))
            print(int(quotes.store.snapshot()["ts_recv"].max()), file=told.stdin, flush=True)
            printed = told.stdout.read()
    if told.returncode:
        raise RuntimeError("a client was not told everything")
    cpu_s, rss_mb = _cpu_s(pid) - before_s, _rss_mb(pid)
    found = msgspec.json.decode(printed, type=PushTold)
    measured = Measured(found.frames, cpu_s, found.p50_us, found.p99_us)
    return Pushed(measured, rss_mb, float(np.percentile(took_us, 99)))


def _beside_stuck(
    port: int, readers: int, stuck: int, seconds: float, pid: int, quotes: Quotes
) -> tuple[Pushed, Pushed, Pushed]:
    """Readers beside some who read nothing; without these; and with all reading."""
    with Stuck(port, stuck, quotes) as silent:
        beside = _pushed(port, readers, seconds, pid, quotes)
        silent.check()
    alone = _pushed(port, readers, seconds, pid, quotes)
    return beside, alone, _pushed(port, readers + stuck, seconds, pid, quotes)


def _rss_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
