"""Group questions: what it takes to ask for the last quotes of a listing by name, from each layer
that may have them, and what docs/history.md asks in SQL; and what an hour takes to become Parquet.

Of 250 symbols on eight sources. Peers: SQLite with an index over the same quotes, LMDB by key.
"""

import importlib.util
import os
import re
import sqlite3
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from logged_day import (
    BEGUN_NS,
    DATA_VARIABLE,
    import_recorded,
    settled,
    tables,
    walked,
    write_log,
)
from measure import Figure, figure, median_ns, per_call_ns

from spread_scanner.clock import NS_PER_S
from spread_scanner.config import Settings
from spread_scanner.history import asking, compact, kept, units
from spread_scanner.history.kept import HistoryKind, KeptFile
from spread_scanner.history.listings import Listings
from spread_scanner.schema.enums import SOURCES
from spread_scanner.schema.names import HISTORY_FOLDER, WAL_FOLDER
from spread_scanner.schema.records import QUOTE_DTYPE
from spread_scanner.shm import PriceStore, segment
from spread_scanner.shminit import making
from spread_scanner.wal import reader

DOCS = Path(__file__).parents[2] / "docs" / "history.md"
SYMBOL, SOURCE = "C1-USDT", SOURCES[0]
US_PER_NS = 1e-3
HOUR_NS = 3_600 * NS_PER_S


def figures(small: bool) -> Iterator[Figure]:
    if not all(importlib.util.find_spec(name) for name in ("pyarrow", "duckdb")):
        raise RuntimeError("these need the extra [history]")
    ticks = walked(40_000 if small else 2_000_000)
    with tempfile.TemporaryDirectory() as folder:
        settings = settled(Path(folder))
        making.ensure(settings)
        try:
            write_log(settings, ticks)
            yield from _asked_of_memory(settings, ticks, Path(folder), batches=2 if small else 40)
            yield from _compacted(settings, len(ticks))
            yield from _asked_of_history(settings, len(ticks), batches=1 if small else 5)
        finally:
            for name in segment.names(settings.config.system.namespace):
                segment.remove(name)


def _asked_of_memory(
    settings: Settings, ticks: np.ndarray, folder: Path, batches: int
) -> Iterator[Figure]:
    namespace = settings.config.system.namespace
    (symbol_id,) = (row.symbol_id for row in tables().symbols if row.symbol == SYMBOL)
    mine = (ticks["source_id"] == SOURCE.source_id) & (ticks["symbol_id"] == symbol_id)
    quotes = ticks["quote"][mine]
    with PriceStore.attach(namespace) as store, Listings(settings) as listings:
        with store.writer(SOURCE.source_id) as writer:
            shown = quotes[-1:].copy()
            shown["ts_recv"] = store.clock.now_ns()
            writer.write_many(np.array([symbol_id], np.uint16), shown)
            names: dict[str, Any] = {"listings": listings, "store": store}
            names |= {"of": SOURCE.source_id, "id": symbol_id}
            asked = f"listings.last({SYMBOL!r}, {SOURCE.label!r}%s)"
            database = _database(folder / "peer.db", ticks)
            names["peer"] = database.execute
            one = f"peer({_NEWEST!r}, (of, id, 1)).fetchall()"
            peers = {"sqlite": median_ns(one, names, batches=batches, calls=200) * US_PER_NS}
            if importlib.util.find_spec("lmdb") is not None:
                names["get"] = _lmdb(folder / "peer.lmdb", ticks)
                key = struct.pack(">BH", SOURCE.source_id, symbol_id)
                peers["lmdb"] = median_ns(f"get({key!r})", names, batches=batches, calls=200) / 1e3
            yield figure(
                "tick.last",
                "us",
                _us(asked % "", names, batches, 200),
                floor=median_ns("store.read(of, id)", names, batches=batches, calls=200) / 1e3,
                peers=peers,
            )
        count = min(1_000, len(quotes))
        found = listings.last(SYMBOL, SOURCE.label, count)
        if found.tobytes() != np.ascontiguousarray(quotes[-count:]).tobytes():
            raise RuntimeError("these are not the last quotes")
        names["quotes"] = quotes[-count:]
        many = f"peer({_NEWEST!r}, (of, id, {count})).fetchall()"
        yield figure(
            "tick.last_1000",
            "us",
            _us(asked % f", {count}", names, batches, 10),
            floor=median_ns("quotes.copy()", names, batches=batches, calls=200) / 1e3,
            peers={"sqlite": median_ns(many, names, batches=batches, calls=2) / 1e3},
            ticks=count,
        )
        database.close()


_NEWEST = "SELECT * FROM ticks WHERE source = ? AND symbol = ? ORDER BY ts DESC LIMIT ?"


def _database(path: Path, ticks: np.ndarray) -> sqlite3.Connection:
    connection = sqlite3.connect(path)
    connection.execute(
        "CREATE TABLE ticks (source INTEGER, symbol INTEGER, ts INTEGER, bid REAL, bid_sz REAL, "
        "ask REAL, ask_sz REAL, event INTEGER, id INTEGER, PRIMARY KEY (source, symbol, ts, id)) "
        "WITHOUT ROWID"
    )
    quote = ticks["quote"]
    names = ("ts_recv", "bid_px", "bid_sz", "ask_px", "ask_sz", "ts_event", "update_id")
    columns = [ticks["source_id"], ticks["symbol_id"], *(quote[name] for name in names)]
    rows = zip(*(column.tolist() for column in columns), strict=True)
    connection.executemany("INSERT INTO ticks VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
    connection.commit()
    return connection


def _lmdb(path: Path, ticks: np.ndarray) -> Any:
    """A reader of each listing's last quote."""
    import lmdb

    environment = lmdb.open(str(path), map_size=1 << 30)
    with environment.begin(write=True) as transaction:
        for tick in ticks[-20_000:]:
            key = struct.pack(">BH", int(tick["source_id"]), int(tick["symbol_id"]))
            transaction.put(key, tick["quote"].tobytes())

    def get(key: bytes) -> np.ndarray:
        with environment.begin() as transaction:
            return np.frombuffer(transaction.get(key) or b"", QUOTE_DTYPE)

    return get


def _us(statement: str, names: dict[str, Any], batches: int, calls: int) -> list[float]:
    samples = per_call_ns(statement, names, batches=batches, calls=calls)
    return [sample * US_PER_NS for sample in samples]


def _compacted(settings: Settings, count: int) -> Iterator[Figure]:
    """The child's memory at its most, beside what loading pyarrow alone takes; and what a tick
    takes on the disk, of these and of recorded ones."""
    log, history = settings.data_dir / WAL_FOLDER, settings.data_dir / HISTORY_FOLDER
    took_s, peak_mb = _child([*_COMPACT, str(log), str(history)])
    standing = kept.read(history)
    files = standing.of(HistoryKind.TICKS)
    if sum(file.rows for file in files) != count:
        raise RuntimeError("not every tick is in the history")
    yield figure(
        "history.compact_memory",
        "MB",
        [peak_mb],
        floor=_child([sys.executable, "-c", "import numpy, pyarrow.parquet"])[1],
        ticks=count,
        ticks_per_cpu_s=round(count / took_s),
    )
    recorded = _recorded(settings)
    yield figure(
        "history.tick_bytes",
        "bytes",
        [_tick_bytes(files)],
        ticks=count,
        recorded=round(_tick_bytes(recorded), 2) if recorded else f"{DATA_VARIABLE} is not set",
        recorded_ticks=sum(file.rows for file in recorded),
    )


def _tick_bytes(files: list[KeptFile]) -> float:
    return sum(file.bytes for file in files) / sum(file.rows for file in files)


def _recorded(settings: Settings) -> list[KeptFile]:
    """Files of recorded quotes of Binance spot; none where there are no recordings."""
    if DATA_VARIABLE not in os.environ:
        return []
    with tempfile.TemporaryDirectory() as folder:
        log, history = Path(folder) / WAL_FOLDER, Path(folder) / HISTORY_FOLDER
        import_recorded(settings, Path(folder))
        compaction = compact.Compaction(log, history)
        made = compaction.run(units.parted(reader.chain(log)))
    return [file for file in made if file.kind is HistoryKind.TICKS]


_COMPACT = (sys.executable, "-m", "spread_scanner.history.compact")


def _child(command: list[str]) -> tuple[float, float]:
    """CPU seconds and MB resident at its most, of a process that has to end well. By a process in
    between: who is started by a large one counts as that large."""
    done = subprocess.run(
        [sys.executable, "-c", _BETWEEN, *command], check=True, capture_output=True, text=True
    )
    cpu_s, resident_kb = map(float, done.stdout.rpartition("\n")[2].split())
    return cpu_s, resident_kb * 1_024 / 1e6


_BETWEEN = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(used.ru_utime + used.ru_stime, used.ru_maxrss, end="")
"""


def _asked_of_history(settings: Settings, count: int, batches: int) -> Iterator[Figure]:
    """What the log gave up, and each question of the documentation."""
    for path in (settings.data_dir / WAL_FOLDER).glob("*.wal"):
        path.unlink()
    with Listings(settings) as listings:
        names: dict[str, Any] = {"listings": listings}
        asked = f"listings.last({SYMBOL!r}, {SOURCE.label!r}, 1000)"
        yield figure("tick.last_kept", "us", _us(asked, names, batches, 3), ticks=1_000)
    samples, names = dict[str, float](), {}
    for question in re.findall(r"```sql\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL):
        connection = asking.connect(settings)
        begun = time.process_time()
        asking.ask(connection, question).fetchall()
        samples[question.splitlines()[0]] = (time.process_time() - begun) * 1_000
        connection.close()
    connection = asking.connect(settings)
    begun = time.process_time()
    ((found,),) = connection.sql("SELECT count(*) FROM ticks").fetchall()
    floor = (time.process_time() - begun) * 1_000
    if found != count:
        raise RuntimeError(f"{found} of {count} ticks are asked")
    connection.close()
    slowest = max(samples, key=samples.__getitem__)
    yield figure(
        "history.question",
        "ms",
        [*samples.values()],
        floor=floor,
        questions=len(samples),
        slowest=round(samples[slowest], 1),
        slowest_is=slowest,
        ticks=count,
        begun=BEGUN_NS // HOUR_NS,
    )
