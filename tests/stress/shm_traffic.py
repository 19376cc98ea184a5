"""The other process of the multi-process tests.

Usage: shm_traffic.py ROLE NAMESPACE COUNT SEED. Roles:

    hammer     writes symbols 0 to 3 without a pause until standard input closes
    scatter    writes COUNT quotes to random symbols, singly and in batches, with pauses at random
    push       pushes COUNT records to the ring, as fast as the ring takes them
    ping       answers each new version of (0, 0) with the same version of (1, 0), parked in between
"""

import random
import select
import sys
import time

import numpy as np

from spread_scanner.schema.enums import DIRTY_READERS
from spread_scanner.schema.records import QUOTE_DTYPE
from spread_scanner.shm import PriceStore, SignalRing

RECORD = np.dtype([("number", "<u8"), ("check", "<u8")])
MIX = np.uint64(0x9E37_79B9_7F4A_7C15)
WAIT_MS = 30_000.0


def quotes_of(symbols: np.ndarray, versions: np.ndarray) -> np.ndarray:
    """Quotes whose every field follows from symbol and version."""
    made = np.zeros(len(symbols), QUOTE_DTYPE)
    key = versions.astype(np.uint64) * np.uint64(65_536) + symbols.astype(np.uint64)
    mixed = key * MIX
    made["bid_px"] = versions + 1.0
    made["bid_sz"] = symbols + 1.0
    made["ask_px"] = versions + 2.0
    made["ask_sz"] = (mixed >> np.uint64(40)) + np.uint64(1)
    made["ts_event"] = (mixed >> np.uint64(1)).astype(np.int64)
    made["ts_recv"] = (mixed >> np.uint64(2)).astype(np.int64)
    made["update_id"] = versions
    return made


def hammer(namespace: str, _: int, random_: random.Random) -> None:
    """Long batches: most of its time goes into the writes and not into their preparation."""
    with PriceStore.attach(namespace) as store, store.writer(0) as writer:
        version = 1
        while not select.select([sys.stdin], [], [], 0)[0]:
            symbols = np.arange(20_000, dtype=np.uint16) % np.uint16(random_.randrange(1, 5))
            writer.write_many(symbols, quotes_of(symbols, np.arange(version, version + 20_000)))
            version += 20_000


def scatter(namespace: str, count: int, random_: random.Random) -> None:
    with PriceStore.attach(namespace) as store, store.writer(0) as writer:
        for version in range(1, count + 1):
            symbols = np.unique(
                np.array(
                    [random_.randrange(store.max_symbols) for _ in range(random_.choice((1, 64)))],
                    np.uint16,
                )
            )
            writer.write_many(symbols, quotes_of(symbols, np.full(len(symbols), version)))
            if random_.random() < 0.01:
                time.sleep(random_.uniform(0, 0.0005))


def push(namespace: str, count: int, random_: random.Random) -> None:
    records = np.zeros(64, RECORD)
    with (
        SignalRing.attach(namespace, "r", record_dtype=RECORD) as ring,
        ring.producer() as producer,
    ):
        sent = 0
        while sent < count:
            size = min(random_.randrange(1, 65), count - sent)
            records["number"][:size] = np.arange(sent, sent + size, dtype=np.uint64)
            records["check"][:size] = records["number"][:size] * MIX
            accepted = producer.push_many(records[:size])
            sent += accepted
            if accepted < size:
                time.sleep(0)


def ping(namespace: str, count: int, random_: random.Random) -> None:
    one = np.zeros(1, np.uint16)
    with (
        PriceStore.attach(namespace) as store,
        store.writer(1) as writer,
        store.dirty(DIRTY_READERS[1]) as dirty,
    ):
        dirty.take_all()
        print("ready", flush=True)
        version = 0
        while version < count:
            dirty.take_all()  # its own marks too, or it would never park
            quote = store.read(0, 0)
            if quote is None or quote.update_id == version:
                assert dirty.wait(WAIT_MS), "a wait ended by its time-out"
                continue
            assert quote.update_id > version, "went back"
            version = quote.update_id
            for _ in range(random_.randrange(200)):
                pass
            writer.write_many(one, quotes_of(one, np.array([version])))


def main() -> None:
    role, namespace, count, seed = sys.argv[1:]
    run = {"hammer": hammer, "scatter": scatter, "push": push, "ping": ping}[role]
    run(namespace, int(count), random.Random(int(seed)))


if __name__ == "__main__":
    main()
