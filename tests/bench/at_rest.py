"""A spread-analyst of its own over quotes that stand, and what it spends: of group stats.

8 sources, 1,024 symbols, 300 of them in each of the twelve directions; every quote and every pair
is usable, which costs most. The process is the one that is shipped, with the settings as shipped.
Its CPU time is read while it runs (what getrusage tells, of another process), so that its start is
not in it.
"""

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from spread_scanner import clock, config
from spread_scanner.clock import NS_PER_S
from spread_scanner.schema.enums import EXCHANGE_DIRECTIONS, EXCHANGE_SOURCES
from spread_scanner.schema.names import ANALYST
from spread_scanner.schema.records import QUOTE_DTYPE
from spread_scanner.shm import Health, PriceStore, segment
from spread_scanner.shm.price_store import Writer
from spread_scanner.shminit import making
from spread_scanner.symbology.publish import publish
from spread_scanner.symbology.tables import DirectionRow, InstrumentRow, SymbolRow, Tables

BIN = Path(__file__).parents[2] / "bins" / ANALYST
START_S_MAX = 120.0
BEAT_S = 0.25


class Spent(NamedTuple):
    """By CPU time per look, so that seconds missed on a busy machine make it no cheaper."""

    percent: float  # of a core, with a look each second
    looks: int
    missed: int
    resident_mb: float


def spend(*, cells: int, pairs: int, seconds: float) -> Spent:
    """What the process spends while `seconds` pass."""
    namespace = f"bench-analyst-{os.getpid()}"
    symbols = cells // len(EXCHANGE_SOURCES)
    with tempfile.TemporaryDirectory() as folder:
        settings = _settle(Path(folder), namespace, symbols)
        publish(settings.generated_dir, _tables(symbols, pairs // len(EXCHANGE_DIRECTIONS)), {})
        making.ensure(settings)
        try:
            with _quoted(namespace, symbols) as writers, _analyst(settings.folder) as child:
                return _measure(child, namespace, writers, seconds)
        finally:
            for name in segment.names(namespace):
                segment.remove(name)


def _settle(folder: Path, namespace: str, symbols: int) -> config.Settings:
    (folder / "config").mkdir()
    (folder / "config" / "config.toml").write_text(
        # This process beats for all sources, and may wait for a CPU itself.
        f'[system]\nnamespace = "{namespace}"\nmax_symbols = {symbols}\n'
        "heartbeat_ms_max = 60_000\n"
        f"[{ANALYST}]\nenabled = true\n"
    )
    (folder / "config" / "exchanges.toml").write_text(
        "".join(
            f'[{source.label}]\nrest_url = "https://rest.test"\nws_url = "wss://ws.test"\n'
            "taker_fee_bps = 0.0\n"
            for source in EXCHANGE_SOURCES
        )
    )
    return config.load(folder / "config", {})


def _tables(symbols: int, in_each: int) -> Tables:
    rows = tuple(SymbolRow(n, f"C{n}-USDT", f"C{n}", "USDT") for n in range(symbols))
    nothing = (1.0, 1.0, None, None, None, None, False, False)
    listed = tuple(
        InstrumentRow(source.source_id, row.symbol_id, row.base, *nothing)
        for source in EXCHANGE_SOURCES
        for row in rows
    )
    ways = tuple(
        DirectionRow(way.direction_id, tuple(range(in_each))) for way in EXCHANGE_DIRECTIONS
    )
    return Tables(1, 0, rows, listed, ways, (), ())


@contextlib.contextmanager
def _quoted(namespace: str, symbols: int) -> Iterator[list[Writer]]:
    with contextlib.ExitStack() as stack:
        store = stack.enter_context(PriceStore.attach(namespace))
        writers = [
            stack.enter_context(store.writer(source.source_id)) for source in EXCHANGE_SOURCES
        ]
        quotes = np.zeros(symbols, QUOTE_DTYPE)
        quotes["bid_px"], quotes["ask_px"] = 100.0, 100.01
        quotes["bid_sz"] = quotes["ask_sz"] = 5.0
        quotes["ts_event"] = quotes["ts_recv"] = store.clock.now_ns()
        for writer in writers:
            writer.write_many(np.arange(symbols, dtype=np.uint16), quotes)
        yield writers


@contextlib.contextmanager
def _analyst(folder: Path) -> "Iterator[subprocess.Popen[bytes]]":
    environ = {**os.environ, "SPREAD_CONFIG_DIR": str(folder)}
    child = subprocess.Popen(
        [sys.executable, BIN], env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield child
    finally:
        child.kill()
        child.wait()


def _measure(
    child: "subprocess.Popen[bytes]", namespace: str, writers: list[Writer], seconds: float
) -> Spent:
    """Not from its first look on, which touches memory for the first time."""
    begun = _await(child, namespace, writers, looks=1)
    spent_ns, until_s = _cpu_ns(child.pid), time.monotonic() + seconds
    while time.monotonic() < until_s:
        _beat(writers)
    ended = _await(child, namespace, writers, looks=begun["samples"] + 1)
    took_ns, looks = _cpu_ns(child.pid) - spent_ns, ended["samples"] - begun["samples"]
    if ended["pairs_usable"] == 0:
        raise RuntimeError("no pair was usable")
    pages = int(Path(f"/proc/{child.pid}/statm").read_text().split()[1])
    return Spent(
        percent=took_ns / looks / NS_PER_S * 100,
        looks=looks,
        missed=ended["samples_missed"] - begun["samples_missed"],
        resident_mb=pages * os.sysconf("SC_PAGE_SIZE") / 1e6,
    )


def _await(
    child: "subprocess.Popen[bytes]", namespace: str, writers: list[Writer], *, looks: int
) -> dict[str, int]:
    """Its counters, once it has looked so often."""
    deadline_s = time.monotonic() + START_S_MAX
    while child.poll() is None and time.monotonic() < deadline_s:
        with Health.attach(namespace) as health:
            row = health.read(ANALYST) if ANALYST in health.names() else None
        if row is not None and row.counters["samples"] >= looks:
            return row.counters
        _beat(writers)
    raise RuntimeError("spread-analyst does not look at anything")


def _beat(writers: list[Writer]) -> None:
    for writer in writers:
        writer.heartbeat(clock.mono_ns())
    time.sleep(BEAT_S)


def _cpu_ns(pid: int) -> int:
    """CPU time of all its threads, user and system, by the kernel's clock of the process."""
    return time.clock_gettime_ns(~pid << 3 | 2)  # clock_getcpuclockid
