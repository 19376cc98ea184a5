"""Forks processes that die at a chosen line, or at random, and looks at what they leave behind.

Usage: shm_lives.py create NAMESPACE fresh|over    dies at every line of a creation
       shm_lives.py leaks NAMESPACE LIVES SEED     lives that hold everything, killed at random

Prints one line of findings; the tests say what they must be.
"""

import gc
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

from spread_scanner.errors import SegmentError
from spread_scanner.schema.enums import DIRTY_READERS
from spread_scanner.shm import Control, Health, PriceStore, SignalRing, price_store, segment
from spread_scanner.shm.faults import NoSegment, NotReady, Retired

GOOD = (100.0, 1.0, 101.0, 2.0, 5, 6, 7)


def die_at_line(number: int, action: Callable[[], object]) -> None:
    """Run an action; SIGKILL this process before the given line of the room's Python."""
    files = {segment.__file__, price_store.__file__}
    count = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal count
        if frame.f_code.co_filename not in files:
            return None
        if event == "line":
            count += 1
            if count == number:
                os.kill(os.getpid(), signal.SIGKILL)
        return trace

    sys.settrace(trace)
    action()
    sys.settrace(None)


def make(namespace: str) -> PriceStore:
    return PriceStore.create(namespace, num_sources=2, max_symbols=3)


def use(store: PriceStore) -> None:
    """A store that can be attached to is whole: it can be written, marked and read."""
    with store, store.writer(1) as writer, store.dirty(DIRTY_READERS[0]) as dirty:
        writer.write(2, *GOOD)
        quote = store.read(1, 2)
        if quote is None or tuple(quote)[:7] != GOOD or 2 not in dirty.take(1):
            raise AssertionError("half a store")


def deaths_while_creating(namespace: str, form: str) -> str:
    refused = attached = 0
    line = 0
    while True:
        line += 1
        segment.clean(namespace)
        if form == "over":
            make(namespace).close()
        gc.collect()
        pid = os.fork()
        if pid == 0:
            die_at_line(line, lambda: make(namespace))
            os._exit(0)
        _, status = os.waitpid(pid, 0)
        try:
            use(PriceStore.attach(namespace, timeout_s=0))
            attached += 1
        except (NoSegment, NotReady, Retired):
            refused += 1
        use(make(namespace))  # the next start succeeds
        use(PriceStore.attach(namespace, timeout_s=0))
        if status == 0:
            return f"lines {line - 1} refused {refused} attached {attached}"


def hold_everything(namespace: str, life: int) -> None:
    """Claim all there is and use it until killed; every third life makes the segments anew."""
    if life % 3 == 0:
        create_all(namespace)
    stores = PriceStore.attach(namespace), SignalRing.attach(namespace, "signals")
    held = [
        *(stores[0].writer(source) for source in range(2)),
        *(stores[0].dirty(reader) for reader in DIRTY_READERS),
        stores[1].producer(),
        stores[1].consumer(),
        Health.attach(namespace).claim("engine"),
        Control.attach(namespace).claim("engine"),
        Control.attach(namespace).operator(),
    ]
    while held:
        stores[0].read(0, 0)


def create_all(namespace: str) -> None:
    make(namespace).close()
    SignalRing.create(namespace, "signals", slots=8).close()
    Health.create(namespace).close()
    Control.create(namespace).close()


def look_around(namespace: str) -> tuple[list[str], int]:
    """What stands in /dev/shm, and how many files this process holds open."""
    gc.collect()
    return sorted(os.listdir("/dev/shm")), len(os.listdir("/proc/self/fd"))


def leaks(namespace: str, lives: str, seed: str) -> str:
    random_ = random.Random(int(seed))
    create_all(namespace)
    names = segment.names(namespace)
    files = look_around(namespace)[1]
    stuck = 0
    for life in range(int(lives)):
        pid = os.fork()
        if pid == 0:
            hold_everything(namespace, life)
        time.sleep(random_.uniform(0, 0.02))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        try:
            if random_.random() < 0.1:
                create_all(namespace)
        except SegmentError:
            stuck += 1
    create_all(namespace)
    here, files_after = look_around(namespace)
    ours = [f"/{name}" for name in here if name.startswith(f"{namespace}.")]
    free = len(segment.clean(namespace)[0])
    return f"names {ours == names} files {files_after - files} stuck {stuck} cleaned {free}"


if __name__ == "__main__":
    if sys.argv[1] == "create":
        print(deaths_while_creating(*sys.argv[2:]))
    else:
        print(leaks(*sys.argv[2:]))
