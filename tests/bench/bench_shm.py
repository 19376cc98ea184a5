"""Group shm: one process's cost of writing, reading and scanning the price store."""

import os
import struct
import subprocess
import sys
import time
from collections.abc import Iterator

import numpy as np
from measure import Figure, figure, median_ns, per_call_ns, run_floor

from spread_scanner.schema.records import QUOTE_DTYPE
from spread_scanner.shm import PriceStore, segment


def figures(small: bool) -> Iterator[Figure]:
    batches, calls = (5, 200) if small else (300, 5_000)
    namespace = f"bench-shm-{os.getpid()}"
    floor = run_floor("floor_core.c", 20_000 if small else 2_000_000, 20 if small else 300)
    try:
        store = PriceStore.create(namespace)
        yield from _write(store, floor, batches, calls)
        yield from _read(store, floor, batches, calls)
        yield from _take(store, floor, batches, calls)
    finally:
        for name in segment.names(namespace):
            segment.remove(name)
    yield from _start(small)


def _write(
    store: PriceStore, floor: dict[str, float], batches: int, calls: int
) -> Iterator[Figure]:
    with store.writer(0) as writer:
        call = "write(5, 100.0, 1.0, 100.5, 2.0, 1700000000000000000, 1700000000000000001, 7)"
        samples = per_call_ns(call, {"write": writer.write}, batches=batches, calls=calls)
        peers = _write_peers(batches, calls)
        yield figure("shm.write", "ns", samples, floor=floor["shm.write"], peers=peers, readers=3)
        read = store.read(0, 5)
        if read is None or (read.bid_px, read.update_id) != (100.0, 7):
            raise RuntimeError(f"wrote bid 100.0, update 7; read {read}")
        for count in (64, 512):
            ids = np.arange(count, dtype=np.uint16)
            quotes = np.zeros(count, QUOTE_DTYPE)
            quotes["bid_px"], quotes["ask_px"] = 100.0 + ids, 101.0 + ids
            names = {"write_many": writer.write_many, "ids": ids, "quotes": quotes}
            turns = per_call_ns(
                "write_many(ids, quotes)", names, batches=batches, calls=max(calls // count, 10)
            )
            if not np.array_equal(store.read_many(0, ids)["bid_px"], quotes["bid_px"]):
                raise RuntimeError("write_many: other quotes were read than written")
            yield figure(
                "shm.write_many",
                "ns",
                [turn / count for turn in turns],
                floor=floor["shm.write_many"],
                quotes=count,
            )


def _write_peers(batches: int, calls: int) -> dict[str, float]:
    """One quote as numpy field writes, and as struct into a memoryview: no ordering, no atomicity,
    no dirty bit and no wake-up, so less work than ours."""
    fields = "; ".join(
        f"row['{name}'] = {value}"
        for name, value in zip(
            QUOTE_DTYPE.names or (), (100.0, 1.0, 100.5, 2.0, 1, 2, 7), strict=False
        )
    )
    names: dict[str, object] = {
        "rows": np.zeros((8, 1024), QUOTE_DTYPE),
        "memory": memoryview(bytearray(64 * 1024)),
        "pack": struct.Struct("<4d2qQ").pack_into,
    }
    pack = "pack(memory, 320, 100.0, 1.0, 100.5, 2.0, 1, 2, 7)"
    turns = max(batches // 5, 3)
    return {
        "numpy": median_ns(f"row = rows[0, 5]; {fields}", names, batches=turns, calls=calls),
        "struct": median_ns(pack, names, batches=turns, calls=calls),
    }


def _read(store: PriceStore, floor: dict[str, float], batches: int, calls: int) -> Iterator[Figure]:
    ids = np.arange(64, dtype=np.uint16)
    names: dict[str, object] = {
        "rows": np.zeros((8, 1024), QUOTE_DTYPE),
        "memory": memoryview(bytearray(64 * 1024)),
        "unpack": struct.Struct("<4d2qQ").unpack_from,
        "read": store.read,
        "read_many": store.read_many,
        "ids": ids,
    }
    turns = max(batches // 5, 3)
    peers = {
        "numpy": median_ns("tuple(rows[0, 5])", names, batches=turns, calls=calls),
        "struct": median_ns("unpack(memory, 320)", names, batches=turns, calls=calls),
    }
    samples = per_call_ns("read(0, 5)", names, batches=batches, calls=calls)
    yield figure("shm.read", "ns", samples, floor=floor["shm.read"], peers=peers)
    many = per_call_ns("read_many(0, ids)", names, batches=batches, calls=max(calls // 64, 10))
    per_quote = [turn / 64 for turn in many]
    yield figure("shm.read_many", "ns", per_quote, floor=floor["shm.read_many"], quotes=64)


def _take(store: PriceStore, floor: dict[str, float], batches: int, calls: int) -> Iterator[Figure]:
    with store.dirty("engine") as dirty:
        dirty.take_all()
        names: dict[str, object] = {
            "flatnonzero": np.flatnonzero,
            "words": np.zeros(128, np.uint64),
            "take_all": dirty.take_all,
        }
        peers = {"numpy": median_ns("flatnonzero(words)", names, batches=batches, calls=calls)}
        samples = per_call_ns("take_all()", names, batches=batches, calls=calls)
        yield figure(
            "bitmap.take_empty",
            "ns",
            samples,
            floor=floor["bitmap.take_empty"],
            peers=peers,
            bits=8 * 1024,
        )
        spent = []
        for _ in range(batches):
            for source_id in range(8):
                dirty.mark_all(source_id)
            start = time.perf_counter_ns()
            taken = dirty.take_all()
            spent.append(float(time.perf_counter_ns() - start))
            if sum(len(ids) for _, ids in taken) != 8 * 1024:
                raise RuntimeError("bitmap.take_full: bits were lost")
        yield figure(
            "bitmap.take_full", "ns", spent, floor=floor["bitmap.take_full"], bits=8 * 1024
        )


# VmHWM, not ru_maxrss: the latter keeps the high water of the parent that forked us.
_PROBE = """
import spread_scanner.shm
print(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
"""


def _start(small: bool) -> Iterator[Figure]:
    """A process that only imports the core: seconds from its start to the end of the import."""
    seconds, megabytes = [], []
    for _ in range(3 if small else 15):
        start = time.perf_counter()
        printed = subprocess.run(
            [sys.executable, "-c", _PROBE], check=True, capture_output=True, text=True
        ).stdout
        seconds.append(time.perf_counter() - start)
        megabytes.append(float(printed) / 1024)
    yield figure("start.seconds", "s", seconds, what="import spread_scanner.shm")
    yield figure("memory.shm-import", "MB", megabytes, what="import spread_scanner.shm")
