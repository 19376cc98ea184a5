"""Group wake: from a write in one process to the reader in another, spinning and parked."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
from measure import Child, Figure, figure, run_floor

from spread_scanner import clock
from spread_scanner.schema.records import SIGNAL_DTYPE
from spread_scanner.shm import PriceStore, SignalRing, segment

ICEORYX2_PEER = Path(__file__).parent / "peer_iceoryx2.py"


def figures(small: bool) -> Iterator[Figure]:
    turns, wakes = (300, 20) if small else (50_000, 600)
    floor = run_floor("floor_core.c", 20_000 if small else 2_000_000, wakes)
    namespace = f"bench-wake-{os.getpid()}"
    try:
        store = PriceStore.create(namespace)
        peers = _iceoryx2(turns)
        samples, notifications = _spin(namespace, store, turns)
        yield figure(
            "handoff.spin",
            "ns",
            samples,
            floor=floor["handoff.spin"],
            peers=peers,
            turns=turns,
            how="half of a round trip, two processes",
            system_calls=notifications,
        )
        yield figure(
            "wake.blocked",
            "ns",
            _blocked(namespace, store, wakes),
            floor=floor["wake.blocked"],
            wakes=wakes,
            until="the interpreter holds the ids",
        )
        yield figure(
            "wake.popped",
            "ns",
            _popped(namespace, store, wakes),
            floor=floor["wake.blocked"],
            wakes=wakes,
            until="the record is copied natively, as the tracker takes its signals",
        )
    finally:
        for name in segment.names(namespace):
            segment.remove(name)


def _echo(namespace: str, turns: int) -> None:
    store = PriceStore.attach(namespace)
    read = store.read
    with store.writer(1) as writer:
        write = writer.write
        for turn in range(1, turns + 1):
            while True:
                quote = read(0, 0)
                if quote is not None and quote.update_id == turn:
                    break
            write(0, 1.0, 1.0, 2.0, 1.0, 1, 1, turn)


def _spin(namespace: str, store: PriceStore, turns: int) -> tuple[list[float], int]:
    """Half of each round trip in ns, and how many system calls the writers made to wake anyone."""
    samples = []
    read = store.read
    with Child(_echo, namespace, turns), store.writer(0) as writer, store.dirty("engine") as dirty:
        write = writer.write
        while not store._held.claimed(1):
            time.sleep(0.001)
        before = dirty.notifications
        for turn in range(1, turns + 1):
            start = time.perf_counter_ns()
            write(0, 1.0, 1.0, 2.0, 1.0, 1, 1, turn)
            while True:
                quote = read(1, 0)
                if quote is not None and quote.update_id == turn:
                    break
            samples.append((time.perf_counter_ns() - start) / 2)
        notifications = dirty.notifications - before
    if notifications:
        raise RuntimeError(f"{notifications} system calls although nobody was parked")
    return samples[turns // 10 :], notifications


def _park(namespace: str, turns: int) -> None:
    """Answer each wake-up with the time it took, in the echo's ts_recv."""
    store = PriceStore.attach(namespace)
    with store.dirty("gateway") as dirty, store.writer(3) as writer:
        for source_id in range(8):
            dirty.take(source_id)
        for turn in range(1, turns + 1):
            # Tells that the reader is about to park for this turn.
            writer.write(0, 1.0, 1.0, 2.0, 1.0, 1, 1, turn)
            dirty.take(3)
            while not len(dirty.take(2)):
                dirty.wait(1_000)
            woken = clock.mono_ns()
            quote = store.read(2, 0)
            if quote is None or quote.update_id != turn:
                raise RuntimeError(f"woken by turn {turn}, read {quote}")
            writer.write(1, 1.0, 1.0, 2.0, 1.0, 1, max(woken - quote.ts_recv, 0), turn)
            dirty.take(3)


def _blocked(namespace: str, store: PriceStore, turns: int) -> list[float]:
    samples = []
    with Child(_park, namespace, turns), store.writer(2) as writer:
        for turn in range(1, turns + 1):
            _await(store, 0, turn)
            time.sleep(0.0015)  # long enough to be asleep, as a reader of a quiet market is
            writer.write(0, 1.0, 1.0, 2.0, 1.0, 1, clock.mono_ns(), turn)
            samples.append(float(_await(store, 1, turn)))
    return samples


def _pop(namespace: str, wakes: int) -> None:
    """Take each signal as the tracker does; answer with the time that it took."""
    store = PriceStore.attach(namespace)
    with (
        SignalRing.attach(namespace, "wake") as ring,
        ring.consumer() as consumer,
        store.writer(3) as writer,
    ):
        for wake in range(1, wakes + 1):
            writer.write(0, 1.0, 1.0, 2.0, 1.0, 1, 1, wake)
            records, copied_ns = consumer.wait_peek(1_000, 16)
            while not len(records):
                records, copied_ns = consumer.wait_peek(1_000, 16)
            if records["seq"].tolist() != [wake]:
                raise RuntimeError(f"woken by {wake}, found {records['seq']}")
            consumer.release(wake)
            took_ns = max(copied_ns - int(records["ts_engine"][0]), 0)
            writer.write(1, 1.0, 1.0, 2.0, 1.0, 1, took_ns, wake)


def _popped(namespace: str, store: PriceStore, wakes: int) -> list[float]:
    samples = []
    record = np.zeros((), SIGNAL_DTYPE)
    with (
        SignalRing.create(namespace, "wake", slots=64) as ring,
        ring.producer() as producer,
        Child(_pop, namespace, wakes),
    ):
        for wake in range(1, wakes + 1):
            _await(store, 0, wake)
            time.sleep(0.0015)
            record["seq"] = wake
            record["ts_engine"] = clock.mono_ns()
            if not producer.try_push(record):
                raise RuntimeError("the ring is full")
            samples.append(float(_await(store, 1, wake)))
    return samples


def _await(store: PriceStore, symbol_id: int, turn: int) -> int:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        quote = store.read(3, symbol_id)
        if quote is not None and quote.update_id == turn:
            return quote.ts_recv
        time.sleep(0.0002)
    raise RuntimeError(f"no answer to turn {turn}")


def _iceoryx2(turns: int) -> dict[str, float]:
    """The same ping-pong over iceoryx2's Python binding; nothing when it is not installed."""
    try:
        import iceoryx2  # noqa: F401
    except ImportError:
        return {}
    printed = subprocess.run(
        [sys.executable, ICEORYX2_PEER, str(turns)],
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    ).stdout
    halves = msgspec.json.decode(printed.splitlines()[-1], type=list[float])
    return {"iceoryx2": float(np.median(halves[turns // 10 :]))}
