"""How long children waited for a CPU, of real ones: two that share one wait, one that sleeps does
not.
"""

import os
import subprocess
import sys
from collections.abc import Iterator

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
        self._cpu = cpu
        self.live(code)

    def live(self, code: str) -> None:
        """Begin a life."""
        self._running = subprocess.Popen([sys.executable, "-S", "-c", code])
        os.sched_setaffinity(self._running.pid, {self._cpu})

    def die(self) -> None:
        """Nobody has asked since whether it lives."""
        assert self._running is not None
        self._running.kill()
        self._running.wait()


@pytest.fixture
def waits() -> Iterator[CpuWaits]:
    open_before = len(os.listdir("/proc/self/fd"))
    made = CpuWaits()
    yield made
    made.close()
    assert len(os.listdir("/proc/self/fd")) == open_before


@pytest.fixture
def children() -> Iterator[list[Living]]:
    cpu = min(os.sched_getaffinity(0))
    made = [Living("one", BUSY, cpu), Living("other", BUSY, cpu), Living("idle", IDLE, cpu)]
    yield made
    for child in made:
        child.die()


def of_machine(waits: CpuWaits) -> dict[str, float]:
    """Without what the host of this machine took from it."""
    return {who: ms for who, ms in waits.longest_ms.items() if who != "the machine"}


def test_who_shares_a_cpu_waits_and_the_longest_wait_is_kept(
    children: list[Living], waits: CpuWaits
) -> None:
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
        child.die()
    waits.look(children)
    assert waits.longest_ms["one"] >= longest
    assert set(waits.beyond(1.0)) >= {"one", "other"}
    assert waits.beyond(1e9) == {}
    kept = len(waits.kept)
    waits.begin()
    assert (waits.longest_ms, len(waits.kept)) == ({}, kept)


def test_a_life_that_began_since_has_waited_for_nothing(
    children: list[Living], waits: CpuWaits, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it has a pid of its own or that of the life before; nor is a life that is over read
    as the next."""
    one, other, idle = children

    def other_waited() -> bool:
        waits.look(children)
        return waits.longest_ms["other"] > 1.0

    until(other_waited, lambda: waits.longest_ms)
    waits.begin()
    idle._running, other._running = other._running, idle._running
    waits.look(children)
    assert of_machine(waits)["idle"] == 0.0, "it began to be looked at with what stood already"

    def follows_the_new_life() -> bool:
        waits.look(children)
        return waits.longest_ms["idle"] > 1.0

    until(follows_the_new_life, lambda: waits.longest_ms)

    one.die()
    one.live(IDLE)
    waits.look(children)
    waits.begin()
    monkeypatch.setattr(Living, "pid", property(lambda child: os.getpid()))
    waits.look([one])
    assert of_machine(waits)["one"] == 0.0

    monkeypatch.undo()
    gone = one.pid
    one.die()
    monkeypatch.setattr(Living, "pid", property(lambda child: gone))
    waits.look([one])
    waits.look([one])
    assert of_machine(waits)["one"] == 0.0, "nobody has that pid, and the other's is not read on"
