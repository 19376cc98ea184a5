"""How long children waited for a CPU, of real ones: two that share one wait, one that sleeps does
not.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from bed import until
from spread_scanner.supervise.children import Child
from spread_scanner.supervise.waits import CpuWaits

BUSY = "while True: pass"
IDLE = "import time; time.sleep(60)"


class Living(Child):
    """A child that is any program."""

    def __init__(self, name: str, code: str, cpu: int) -> None:
        self.name = name
        self._running = subprocess.Popen([sys.executable, "-S", "-c", code])
        os.sched_setaffinity(self._running.pid, {cpu})


@pytest.fixture
def children() -> Iterator[list[Living]]:
    cpu = min(os.sched_getaffinity(0))
    made = [Living("one", BUSY, cpu), Living("other", BUSY, cpu), Living("idle", IDLE, cpu)]
    yield made
    for child in made:
        assert child._running is not None
        child._running.kill()
        child._running.wait()


def test_who_shares_a_cpu_waits_and_the_longest_wait_is_kept(children: list[Living]) -> None:
    waits = CpuWaits()
    waits.look(children)
    assert waits.longest_ms == {"one": 0.0, "other": 0.0, "idle": 0.0, "the machine": 0.0}
    assert not waits.kept

    def waited() -> bool:
        waits.look(children)
        return waits.longest_ms["one"] > 1.0 and waits.longest_ms["other"] > 1.0

    until(waited, lambda: waits.longest_ms)
    longest = waits.longest_ms["one"]
    of_one = [wait for wait in waits.kept if wait.who == "one"]
    assert 1e6 <= max(wait.waited_ns for wait in of_one) <= longest * 1e6 + 1
    assert all(wait.start_ns < wait.end_ns for wait in of_one)
    for child in children[:2]:
        assert child._running is not None
        child._running.kill()
        child._running.wait()
    waits.look(children)
    assert waits.longest_ms["one"] >= longest
    assert set(waits.beyond(1.0)) >= {"one", "other"}
    assert waits.beyond(1e9) == {}
    kept = len(waits.kept)
    waits.begin()
    assert (waits.longest_ms, len(waits.kept)) == ({}, kept)


def test_a_life_that_began_since_has_waited_for_nothing() -> None:
    class Fake:
        name, pid, waits_s = "feed-okx-spot", 1, 5.0

        def waited_s(self) -> float:
            return self.waits_s

    child: Any = Fake()
    waits = CpuWaits()
    waits.look([child])
    child.pid, child.waits_s = 2, 9.0
    waits.look([child])
    assert waits.longest_ms["feed-okx-spot"] == 0.0
    child.waits_s = 9.25
    waits.look([child])
    assert waits.longest_ms["feed-okx-spot"] == pytest.approx(250.0)
    assert "feed-okx-spot" in waits.beyond(125.0)
