"""When the host did not let this machine run: a witness of the highest priority on each CPU.

Nothing of ours can delay a SCHED_FIFO task that sleeps to the next millisecond; what it oversleeps,
the hypervisor took (or the kernel itself). Lag within such a time is not the pipeline's.
"""

import contextlib
import gc
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spread_scanner import clock

PRIORITY = 90
TURN_NS = 1_000_000
STALL_NS_MIN = 500_000
END_S_MAX = 5.0

Stalls = npt.NDArray[np.int64]  # (n, 2): monotonic ns, from when it should have run until it did


@dataclass
class Seen:
    """`stalls` is None where FIFO is not allowed; both are there when the watch has ended."""

    stalls: Stalls | None = None
    stolen_ms: int = 0


@contextlib.contextmanager
def witness() -> Iterator[Seen]:
    """Watch all CPUs while the block runs."""
    children = [
        subprocess.Popen([sys.executable, __file__, str(cpu)], stdout=subprocess.PIPE, text=True)
        for cpu in sorted(os.sched_getaffinity(0))
    ]
    for child in children:
        assert child.stdout is not None
        child.stdout.readline()  # it watches, or has said that it may not
    seen, ticks = Seen(), _stolen_ticks()
    try:
        yield seen
    finally:
        seen.stolen_ms = (_stolen_ticks() - ticks) * 1000 // os.sysconf("SC_CLK_TCK")
        for child in children:
            child.terminate()
        said = [json.loads(one.communicate(timeout=END_S_MAX)[0] or "null") for one in children]
        if None not in said:
            rows = [row for rows in said for row in rows]
            seen.stalls = np.array(sorted(rows), np.int64).reshape(-1, 2)


def within(stalls: Stalls, begin_ns: int, end_ns: int) -> int:
    """How many ns of a span lie in stalls; where those of several CPUs overlap, once."""
    covered, reached = 0, begin_ns
    for start, end in stalls[(stalls[:, 1] > begin_ns) & (stalls[:, 0] < end_ns)]:
        start, end = max(int(start), reached), min(int(end), end_ns)
        if end > start:
            covered += end - start
            reached = end
    return covered


def _stolen_ticks() -> int:
    with open("/proc/stat", encoding="ascii") as file:
        return int(file.readline().split()[8])


def main() -> None:
    """One CPU's witness: a word, then at SIGTERM its stalls as a JSON line; null: not allowed."""
    os.sched_setaffinity(0, {int(sys.argv[1])})
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))
    except PermissionError:
        print("refused\nnull")
        return
    ended: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: ended.append(number))
    gc.disable()
    print("watching", flush=True)
    stalls: list[tuple[int, int]] = []
    due_ns = clock.mono_ns()
    while not ended:
        due_ns += TURN_NS
        time.sleep(max(0, due_ns - clock.mono_ns()) / 1e9)
        now_ns = clock.mono_ns()
        if now_ns - due_ns > STALL_NS_MIN:
            stalls.append((due_ns, now_ns))
            due_ns = now_ns
    print(json.dumps(stalls))


if __name__ == "__main__":
    main()
