"""Kills forked writers at random moments and looks at what a reader then gets.

Usage: shm_kill_writers.py latch|oddeven NAMESPACE KILLS SEED. Prints the number of bad reads: torn,
given up, gone back to an older version, or a place that the dead one still holds.
"""

import mmap
import os
import random
import signal
import struct
import sys
import time
from collections.abc import Callable

from spread_scanner.shm import PriceStore
from spread_scanner.shm.price_store import Writer

SYMBOLS = 4
MASK = (1 << 64) - 1


def mixed(version: int) -> int:
    return version * 0x9E37_79B9_7F4A_7C15 & MASK


def fields_of(version: int) -> tuple[float, float, float, float, int, int, int]:
    """A quote whose every field follows from its version."""
    return (
        float(version),
        version * 3.0,
        version + 0.5,
        version * 5.0,
        mixed(version) >> 1,
        mixed(version + 1) >> 1,
        version,
    )


def kill_soon(pid: int, progress: Callable[[], int], moving: int, random_: random.Random) -> None:
    """Kill a writer at a random moment after its progress has reached `moving`."""
    while progress() < moving:
        time.sleep(0)
    time.sleep(random_.uniform(0, 0.002))
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def write_for_ever(writer: Writer, version: int) -> None:
    while True:
        for symbol in range(SYMBOLS):
            version += 1
            writer.write(symbol, *fields_of(version))


def latch(namespace: str, kills: int, random_: random.Random) -> int:
    bad = 0
    with PriceStore.create(namespace, num_sources=1, max_symbols=SYMBOLS) as store:
        last = [0] * SYMBOLS
        for _ in range(kills):
            before = int(store.sequences.sum())
            pid = os.fork()
            if pid == 0:
                write_for_ever(PriceStore.attach(namespace).writer(0), max(last))
            kill_soon(pid, lambda: int(store.sequences.sum()), before + 8, random_)
            bad += store._held.claimed(0)
            for symbol in range(SYMBOLS):
                quote = store.read(0, symbol)
                if quote is None:
                    bad += 1
                    continue
                version = quote.update_id
                whole = tuple(quote)[:7] == fields_of(version)
                bad += not whole or quote.flags != 0 or version < last[symbol]
                last[symbol] = version
        bad += store.contended
    return int(bad)


class OddEven:
    """What one would write in Python alone: odd while writing, even when done."""

    def __init__(self) -> None:
        self.memory = mmap.mmap(-1, mmap.PAGESIZE)

    @property
    def sequence(self) -> int:
        return int(struct.unpack_from("<Q", self.memory, 0)[0])

    def write(self, version: int) -> None:
        sequence = self.sequence
        struct.pack_into("<Q", self.memory, 0, sequence + 1)
        for number, value in enumerate(fields_of(version)):
            kind = "<d" if isinstance(value, float) else "<Q"
            struct.pack_into(kind, self.memory, 8 + 8 * number, value)
        struct.pack_into("<Q", self.memory, 0, sequence + 2)

    def read(self, tries: int = 64) -> tuple[object, ...] | None:
        for _ in range(tries):
            before = self.sequence
            found = struct.unpack_from("<ddddQQQ", self.memory, 8)
            after = self.sequence
            if before == after and before % 2 == 0:
                return found
        return None


def odd_even(_namespace: str, kills: int, random_: random.Random) -> int:
    lock = OddEven()
    bad = 0
    for _ in range(kills):
        lock.memory[:8] = bytes(8)
        pid = os.fork()
        if pid == 0:
            version = 0
            while True:
                version += 1
                lock.write(version)
        kill_soon(pid, lambda: lock.sequence, 8, random_)
        found = lock.read()
        bad += found is None or found != fields_of(int(str(found[-1])))
    return bad


def main() -> None:
    form, namespace, kills, seed = sys.argv[1:]
    run = {"latch": latch, "oddeven": odd_even}[form]
    print(run(namespace, int(kills), random.Random(int(seed))))


if __name__ == "__main__":
    main()
