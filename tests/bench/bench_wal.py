"""Group wal: what a tape costs a quote, what the log takes to append and to verify, and
what a start takes to know the last quotes again.

Records per second are of CPU time, all threads of the process: a disk in use by others says little.
"""

import importlib.util
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
from log_peers import json_lines, sqlite
from measure import Figure, figure, run_floor

from spread_scanner import clock
from spread_scanner.recorder.recording import COMMIT_NS
from spread_scanner.schema.enums import EXCHANGE_SOURCES
from spread_scanner.schema.log import DOCUMENT_DTYPE, TICK_DTYPE, RecordKind
from spread_scanner.shminit.restoring import last_quotes
from spread_scanner.symbology.tables import InstrumentRow, SymbolRow, Tables
from spread_scanner.wal import packed, reader, segments, snapshot
from spread_scanner.wal.disk import LogDisk
from spread_scanner.wal.salvage import examine
from spread_scanner.wal.snapshot import Snapshot
from spread_scanner.wal.times import LogTimes
from spread_scanner.wal.writer import LogWriter, Origin

sys.path.append(str(Path(__file__).parents[1] / "bed"))  # whose quotes these are
from quote_walks import walk

DRAIN = 400  # ticks of 20 ms at 20,000 a second
PEER_BATCH = 1_000
SYMBOLS = 250  # of each source
TAIL = 5_000_000  # records behind the snapshot
WHOLE = 100_000_000  # records of a log, of which the snapshot has all but the last GB
SNAPSHOT_EACH = 1_000_000_000 // TICK_DTYPE.itemsize


def figures(small: bool) -> Iterator[Figure]:
    yield _tape_push(5 if small else 300)
    ticks = np.zeros(20_000 if small else 2_000_000, TICK_DTYPE)
    ticks["number"] = np.arange(len(ticks))
    runs = 1 if small else 5
    with tempfile.TemporaryDirectory() as folder:
        rates = [_append(Path(folder) / str(run), ticks) for run in range(runs)]
        logs, walls = zip(*rates, strict=True)
        few = ticks[: len(ticks) // 20]
        peers = {
            "sqlite": _per_cpu_s(
                len(few), lambda: sqlite(Path(folder) / "peer.db", few, PEER_BATCH)
            ),
            "json_lines": _per_cpu_s(len(few), lambda: json_lines(Path(folder) / "peer", few)),
        }
        if importlib.util.find_spec("lmdb") is not None:
            work = partial(_lmdb, Path(folder) / "peer.lmdb", few)
            peers["lmdb"] = _per_cpu_s(len(few), work)
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
            best=round(max(logs)),
            per_wall_s=round(np.median(walls)),
        )
        rates = [_append(Path(folder) / f"again-{run}", ticks, again=True) for run in range(runs)]
        logs, walls = zip(*rates, strict=True)
        yield figure(
            "wal.append_again",
            "records/s",
            logs,
            floor=copied,
            records=len(ticks),
            best=round(max(logs)),
            cold=round(_append(Path(folder) / "cold", ticks, again=True, cold=True)[0]),
            per_wall_s=round(np.median(walls)),
        )
        yield figure(
            "wal.verify",
            "records/s",
            [_verify(Path(folder) / str(run), len(ticks)) for run in range(runs)],
            floor=copied,
            records=len(ticks),
        )

    yield from _packed(20_000 if small else 700_000, 1 if small else 3)
    yield _recover("wal.recover", TAIL // (50 if small else 1), 0, runs)
    whole = WHOLE // (500 if small else 1)
    yield _recover("wal.recover_whole", whole, max(whole - SNAPSHOT_EACH, whole // 2), runs)


def _packed(count: int, runs: int) -> Iterator[Figure]:
    """A segment's ticks of a made-up market into a packed one and back, in its own bytes."""
    ticks = walk(5, count)
    with tempfile.TemporaryDirectory() as folder:
        writer = LogWriter(Path(folder))
        for at in range(0, count, DRAIN):
            writer.append(RecordKind.TICK, ticks[at : at + DRAIN])
            writer.write()
        writer.close()
        (link,) = reader.chain(Path(folder))
        data = reader.mapped(link.path)
        blocks = reader.walk(link, data).blocks
        path = segments.packed_of(link.path)
        path.write_bytes(packed.pack(data, blocks))
        if packed.unpacked(path).tobytes() != data[: blocks[-1].end].tobytes():
            raise RuntimeError("it does not come out as it was")
        size = path.stat().st_size / count
        for name, work in (
            ("wal.pack", partial(packed.pack, data, blocks)),
            ("wal.unpack", partial(packed.unpacked, path)),
        ):
            rates = [_per_cpu_s(count, work) for _ in range(runs)]
            copied = _per_cpu_s(count, data[: blocks[-1].end].tobytes)
            yield figure(
                name, "records/s", rates, floor=copied, records=count, record_bytes=round(size, 2)
            )


def _recover(name: str, records: int, known: int, runs: int) -> Figure:
    """Seconds of CPU to the last quote of every cell of a log of so many records, of which a
    snapshot holds the first `known`. Warm, as what was just written is in the page cache; once
    more cold."""
    cells = len(EXCHANGE_SOURCES) * SYMBOLS
    ticks = np.zeros(200_000, TICK_DTYPE)
    ticks["source_id"] = np.arange(len(ticks)) % len(EXCHANGE_SOURCES)
    ticks["symbol_id"] = np.random.default_rng(1).permutation(len(ticks)) % SYMBOLS
    symbols = tuple(SymbolRow(one, f"C{one}-USDT", f"C{one}", "USDT") for one in range(SYMBOLS))
    rows = tuple(
        InstrumentRow(source.source_id, one, f"C{one}", 1, 1, None, None, None, None, False, False)
        for source in EXCHANGE_SOURCES
        for one in range(SYMBOLS)
    )
    body = msgspec.json.encode(Tables(1, 1, symbols, rows, (), (), ()))
    with tempfile.TemporaryDirectory() as folder:
        writer = LogWriter(Path(folder), Origin(anchor_ns=1))
        writer.append_document(RecordKind.TABLES, np.zeros((), DOCUMENT_DTYPE), body)
        for at in range(0, records, len(ticks)):
            ticks["quote"]["ts_recv"] = np.arange(at, at + len(ticks)) + 1
            writer.append(RecordKind.TICK, ticks[: records - at])
            writer.commit()
        writer.close()
        if known:
            taken = Snapshot(known, LogTimes(1), body, ticks[:cells])
            snapshot.write(Path(folder), taken, LogDisk())
        found = [_recovered_s(Path(folder), cells) for _ in range(runs)]
        _forget(Path(folder))
        cold = _recovered_s(Path(folder), cells)
    took = [cpu for cpu, _ in found]
    return figure(
        name, "s", took, records=records, known=known, cells=cells, least=round(min(took), 3),
        wall_s=round(min(one for _, one in found), 3),
        cold_s=round(cold[0], 3), cold_wall_s=round(cold[1], 3),
    )  # fmt: skip


def _forget(folder: Path) -> None:
    """Have the kernel drop what it holds of these files, as after a boot."""
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _recovered_s(folder: Path, cells: int) -> tuple[float, float]:
    begun, begun_cpu = time.perf_counter(), time.process_time()
    found, troubles = last_quotes(folder, LogTimes(mono_ns=1))
    took = time.process_time() - begun_cpu, time.perf_counter() - begun
    if len(found) != cells or troubles:
        raise RuntimeError(f"{len(found)} of {cells} cells; {troubles}")
    return took


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


def _append(
    folder: Path, ticks: np.ndarray, *, again: bool = False, cold: bool = False
) -> tuple[float, float]:
    """Records a second of CPU and of wall time: in drains that are written one by one, a commit
    each 50 ms, as the recorder does; all on the disk at the end. `again`: each segment over
    the file of an older one, as the recorder goes on after hours; `cold`: which the page cache does
    not have."""
    for _ in range(2 if again else 0):
        _append(folder, ticks)
    if cold:
        _forget(folder)
    writer = LogWriter(folder)
    before = writer.appended_seq
    old = [link.path for link in reader.chain(folder)[:-1]] if again else []

    def work() -> None:
        due_ns, segment = clock.mono_ns(), -1
        for at in range(0, len(ticks), DRAIN):
            if old and segment != writer.segment:
                segment = writer.segment
                writer.reuse(old.pop(0))
            writer.append(RecordKind.TICK, ticks[at : at + DRAIN])
            writer.write()
            if clock.mono_ns() >= due_ns:
                writer.commit()
                due_ns += COMMIT_NS
        writer.sync()

    begun_s = time.perf_counter()
    rate = _per_cpu_s(len(ticks), work)
    wall = len(ticks) / (time.perf_counter() - begun_s)
    if writer.durable_seq - before != len(ticks):
        raise RuntimeError(f"{writer.durable_seq - before} of {len(ticks)} are on the disk")
    writer.close()
    return rate, wall


def _verify(folder: Path, count: int) -> float:
    def work() -> None:
        found = examine(folder)
        if found.records[RecordKind.TICK] != count or found.holes:
            raise RuntimeError(f"not what was written: {found.records}")

    return _per_cpu_s(count, work)


def _lmdb(path: Path, ticks: np.ndarray) -> None:
    import lmdb

    with lmdb.open(str(path), map_size=1 << 30) as environment:
        for at in range(0, len(ticks), PEER_BATCH):
            part = ticks[at : at + PEER_BATCH]
            keys = part["number"].astype(">u8")
            with environment.begin(write=True) as transaction:
                for key, tick in zip(keys, part, strict=True):
                    transaction.put(key.tobytes(), tick.tobytes(), append=True)
