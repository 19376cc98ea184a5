"""Group wal: what a tape costs a quote, and what the log takes to append and to verify.

Records per second are of CPU time, all threads of the process: a disk in use by others says little.
"""

import json
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from measure import Figure, figure, run_floor

from spread_scanner.schema.log import TICK_DTYPE, RecordKind
from spread_scanner.wal.salvage import examine
from spread_scanner.wal.writer import LogWriter

DRAIN = 400  # ticks of 20 ms at 20,000 a second
PEER_BATCH = 1_000


def figures(small: bool) -> Iterator[Figure]:
    yield _tape_push(5 if small else 300)
    ticks = np.zeros(20_000 if small else 2_000_000, TICK_DTYPE)
    ticks["number"] = np.arange(len(ticks))
    runs = 1 if small else 3
    with tempfile.TemporaryDirectory() as folder:
        logs = [_append(Path(folder) / str(run), ticks) for run in range(runs)]
        few = ticks[: len(ticks) // 20]
        peers = {
            "sqlite": _per_cpu_s(len(few), lambda: _sqlite(Path(folder) / "peer.db", few)),
            "json_lines": _per_cpu_s(len(few), lambda: _json_lines(Path(folder) / "peer", few)),
        }
        copied = _per_cpu_s(len(ticks), ticks.tobytes)
        size = examine(Path(folder) / "0").bytes / len(ticks)
        yield figure(
            "wal.append",
            "records/s",
            logs,
            floor=copied,
            peers=peers,
            records=len(ticks),
            drain=DRAIN,
            record_bytes=round(size, 2),
        )
        yield figure(
            "wal.verify",
            "records/s",
            [_verify(Path(folder) / str(run), len(ticks)) for run in range(runs)],
            floor=copied,
            records=len(ticks),
        )


def _tape_push(rounds: int) -> Figure:
    found = run_floor("tape_core.c", rounds)
    return figure(
        "tape.push",
        "ns",
        [found["with"] - found["without"]],
        floor=found["copy"],
        published_without=round(found["without"], 2),
    )


def _per_cpu_s(count: int, work: Callable[[], object]) -> float:
    begun = time.process_time()
    work()
    return count / max(time.process_time() - begun, 1e-9)


def _append(folder: Path, ticks: np.ndarray) -> float:
    """In drains, a commit after each third, as the recorder does; all on the disk at the end."""
    writer = LogWriter(folder)

    def work() -> None:
        for number, at in enumerate(range(0, len(ticks), DRAIN)):
            writer.append(RecordKind.TICK, ticks[at : at + DRAIN])
            if number % 3 == 0:
                writer.commit()
        writer.sync()

    rate = _per_cpu_s(len(ticks), work)
    if writer.durable_seq != len(ticks):
        raise RuntimeError(f"{writer.durable_seq} of {len(ticks)} are on the disk")
    writer.close()
    return rate


def _verify(folder: Path, count: int) -> float:
    def work() -> None:
        found = examine(folder)
        if found.records[RecordKind.TICK] != count or found.holes:
            raise RuntimeError(f"not what was written: {found.records}")

    return _per_cpu_s(count, work)


def _sqlite(path: Path, ticks: np.ndarray) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("CREATE TABLE ticks (number INTEGER, symbol INTEGER, bid REAL, ask REAL)")
    for at in range(0, len(ticks), PEER_BATCH):
        part = ticks[at : at + PEER_BATCH]
        rows = zip(
            part["number"].tolist(),
            part["symbol_id"].tolist(),
            part["quote"]["bid_px"].tolist(),
            part["quote"]["ask_px"].tolist(),
            strict=True,
        )
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO ticks VALUES (?, ?, ?, ?)", rows)
        connection.execute("COMMIT")
    connection.close()


def _json_lines(path: Path, ticks: np.ndarray) -> None:
    with path.open("w") as file:
        for tick in ticks:
            number, symbol_id, source_id, _, quote = tick.tolist()
            file.write(json.dumps([number, symbol_id, source_id, *quote]) + "\n")
