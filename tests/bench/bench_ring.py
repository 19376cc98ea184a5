"""Group ring: the signal ring within a process and across two."""

import multiprocessing as mp
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from measure import FORK, Child, Figure, figure, per_call_ns, run_floor

from spread_scanner.schema.records import SIGNAL_DTYPE
from spread_scanner.shm import SignalRing, segment

BATCH = 64


def figures(small: bool) -> Iterator[Figure]:
    batches, calls = (5, 20) if small else (300, 200)
    records = 6_400 if small else 6_400_000
    floor = run_floor("floor_core.c", 20_000 if small else 2_000_000, 20)
    namespace = f"bench-ring-{os.getpid()}"
    try:
        ring = SignalRing.create(namespace, "signals")
        yield _push_pop(ring, floor, batches, calls)
        peers = {"mp_queue": _mp_queue(records // 100)}
        if (zmq_rate := _zmq(records // 10)) is not None:
            peers["zmq"] = zmq_rate
        runs = [_throughput(namespace, ring, records) for _ in range(1 if small else 5)]
        yield figure(
            "ring.throughput",
            "records/s",
            runs,
            floor=floor["ring.throughput"],
            peers=peers,
            batch=BATCH,
            record_bytes=SIGNAL_DTYPE.itemsize,
            records=records,
        )
    finally:
        for name in segment.names(namespace):
            segment.remove(name)


def _push_pop(ring: SignalRing, floor: dict[str, float], batches: int, calls: int) -> Figure:
    records = np.zeros(BATCH, SIGNAL_DTYPE)
    with ring.producer() as producer, ring.consumer() as consumer:
        names = {"push": producer.push_many, "pop": consumer.pop_many, "records": records}
        turns = per_call_ns("push(records); pop(64)", names, batches=batches, calls=calls)
        samples = [turn / BATCH for turn in turns]
    return figure(
        "ring.push_pop",
        "ns",
        samples,
        floor=floor["ring.push_pop"],
        batch=BATCH,
        record_bytes=SIGNAL_DTYPE.itemsize,
    )


def _produce(namespace: str, count: int, start_at: int) -> None:
    """Push `count` numbered records; wait for room rather than drop, so that all must arrive."""
    records = np.zeros(BATCH, SIGNAL_DTYPE)
    ring = SignalRing.attach(namespace, "signals")
    room = ring.layout.slots - BATCH
    numbers = np.arange(BATCH, dtype=np.uint64)
    with ring.producer() as producer:
        for sent in range(0, count, BATCH):
            records["seq"] = numbers + np.uint64(start_at + sent)
            # Looking costs a microsecond, so look once for many batches.
            if sent % (BATCH * 64) == 0:
                while ring.counters().in_ring > room - BATCH * 64:
                    time.sleep(0)
            if producer.push_many(records) != BATCH:
                raise RuntimeError("the ring dropped records")


def _throughput(namespace: str, ring: SignalRing, count: int) -> float:
    expected = ring.position
    end = expected + count
    with ring.consumer() as consumer, Child(_produce, namespace, count, expected):
        while not consumer.wait(5_000):
            pass
        start = time.perf_counter()
        begun_at = expected
        numbers = np.arange(4096, dtype=np.uint64)
        while expected < end:
            popped = consumer.pop_many(4096)
            arrived = len(popped)
            if not np.array_equal(popped["seq"], numbers[:arrived] + np.uint64(expected)):
                raise RuntimeError(f"lost or reordered after {expected}")
            expected += arrived
        seconds = time.perf_counter() - start
    return (end - begun_at) / seconds


def _put(queue: "mp.Queue[bytes]", count: int) -> None:
    record = bytes(SIGNAL_DTYPE.itemsize)
    for _ in range(count):
        queue.put(record)


def _mp_queue(count: int) -> float:
    queue: Any = FORK.Queue()
    with Child(_put, queue, count):
        queue.get()
        start = time.perf_counter()
        for _ in range(count - 1):
            queue.get()
        seconds = time.perf_counter() - start
    return count / seconds


def _send(address: str, count: int) -> None:
    import zmq

    context = zmq.Context()
    socket = context.socket(zmq.PUSH)
    socket.connect(address)
    batch = bytes(SIGNAL_DTYPE.itemsize * BATCH)
    for _ in range(count // BATCH):
        socket.send(batch)
    socket.close()
    context.term()


def _zmq(count: int) -> float | None:
    """PUSH/PULL over ipc, a batch of 64 records as one message; None when pyzmq is not there."""
    try:
        import zmq
    except ImportError:
        return None
    with tempfile.TemporaryDirectory() as folder:
        address = f"ipc://{Path(folder) / 'ring'}"
        context = zmq.Context()
        socket = context.socket(zmq.PULL)
        socket.bind(address)
        with Child(_send, address, count):
            socket.recv()
            start = time.perf_counter()
            for _ in range(count // BATCH - 1):
                if len(np.frombuffer(socket.recv(), SIGNAL_DTYPE)) != BATCH:
                    raise RuntimeError("zmq: a batch came short")
            seconds = time.perf_counter() - start
        socket.close()
        context.term()
    return count / seconds
