"""Control: levels survive, edges fire once, answers carry their generation, the dead never wait."""

import math
import subprocess
import threading
from collections.abc import Callable

import pytest

from spread_scanner.schema.enums import DIRECTIONS, SOURCES, SwitchKind
from spread_scanner.shm import Control
from spread_scanner.shm.control import ControlSlot, Orders
from spread_scanner.shm.faults import AlreadyClaimed
from spread_scanner.shm.layout import CONTROL_WAKE_AT, SLOT_DTYPE, SLOTS_AT, SWITCHES_AT


def edges(orders: Orders) -> tuple[bool, bool]:
    return orders.stop, orders.reload


def test_a_fresh_slot_has_no_orders(namespace: str) -> None:
    with Control.create(namespace) as control, control.claim("engine") as slot:
        assert slot.changed()  # not yet answered in this life
        orders = slot.orders()
        assert orders == Orders(0, paused=False, killed=False, stop=False, reload=False)
        slot.ack(orders.generation)
        assert not slot.changed()
        assert control.standing == []
        assert control.paused_sources == control.paused_directions == []


def test_pause_and_kill_are_levels_that_survive_a_restart(namespace: str) -> None:
    with Control.create(namespace) as control:
        with control.operator() as operator:
            assert operator.pause("engine") == 1
            assert operator.kill() == 2
            assert operator.generation() == 2
        for _ in range(2):
            with control.claim("engine") as slot:
                orders = slot.orders()
                assert (orders.generation, orders.paused, orders.killed) == (2, True, True)
                assert edges(orders) == (False, False)
        assert control.killed
        assert control.paused("engine")
        assert not control.paused("unknown")
        with control.operator() as operator:
            operator.pause("engine", paused=False)
            operator.kill(killed=False)
        with control.claim("engine") as slot:
            assert (slot.orders().paused, slot.orders().killed) == (False, False)


def test_stop_and_reload_are_edges_for_one_life_and_once(namespace: str) -> None:
    with Control.create(namespace) as control:
        with control.claim("engine") as slot, control.operator() as operator:
            operator.stop("engine")
            operator.reload("engine")
            operator.reload("tracker")
            assert edges(slot.orders()) == (True, True)
            assert edges(slot.orders()) == (False, False)
            operator.reload("engine")
            assert edges(slot.orders()) == (False, True)
            operator.stop("engine")
        with control.claim("engine") as next_life:
            assert edges(next_life.orders()) == (False, False)


def test_an_edge_that_is_not_issued_yet_fires_once_when_it_is(namespace: str) -> None:
    """The operator stores an edge before its generation; a process may look in between."""
    with (
        Control.create(namespace) as control,
        control.claim("engine") as slot,
        control.operator() as operator,
    ):
        row = slot.memory_segment.array(SLOT_DTYPE, SLOTS_AT, (1,))[0]
        row["reload_generation"] = operator.generation() + 1
        assert edges(slot.orders()) == (False, False)
        slot.memory_segment.words.store(SWITCHES_AT, operator.generation() + 1)
        assert edges(slot.orders()) == (False, True)
        assert edges(slot.orders()) == (False, False)


def test_switches_of_sources_directions_and_symbols(namespace: str) -> None:
    with (
        Control.create(namespace) as control,
        control.claim("engine") as slot,
        control.operator() as operator,
    ):
        operator.switch(SwitchKind.SOURCE, SOURCES[7].label)
        operator.switch(SwitchKind.DIRECTION, DIRECTIONS[11].label)
        operator.switch(SwitchKind.SYMBOL, "1000SATS-USDT")
        generation = operator.switch(SwitchKind.SYMBOL, "BTC-USDT")
        assert control.paused_sources == [7]
        assert control.paused_directions == [11]
        assert control.paused_symbols == ["1000SATS-USDT", "BTC-USDT"]
        assert slot.orders().generation == generation == 4
        operator.switch(SwitchKind.SYMBOL, "1000SATS-USDT", on=False)
        assert control.paused_symbols == ["BTC-USDT"]
        assert operator.generation() == 5


def test_an_answer_carries_its_generation_and_its_time(namespace: str) -> None:
    with (
        Control.create(namespace) as control,
        control.claim("engine") as slot,
        control.operator() as operator,
    ):
        assert control.ack("engine") is None
        assert control.ack("unknown") is None
        generation = operator.pause("engine")
        assert control.await_acks(["engine"], generation, timeout_s=0.01) == ([], ["engine"])
        slot.ack(slot.orders().generation)
        answers, silent = control.await_acks(["engine"], generation)
        assert (len(answers), silent) == (1, [])
        assert answers[0].generation == generation
        assert answers[0].latency_us > 0
        operator.pause("engine", paused=False)
        late = control.ack("engine")
        assert late is not None
        assert late.generation == generation
        assert math.isnan(late.latency_us)  # its command is no longer the newest


ANSWER_AND_END = """
import sys
from spread_scanner.shm import Control
slot = Control.attach(sys.argv[1]).claim(sys.argv[2])
print("claimed", flush=True)
while not slot.orders().stop:
    slot.wait(10_000.0)
slot.ack(slot.generation())
"""
HOLD = """
import sys
from spread_scanner.shm import Control
slot = Control.attach(sys.argv[1]).claim(sys.argv[2])
print("claimed", flush=True)
sys.stdin.readline()
"""


def test_a_process_that_answers_and_ends_has_answered(
    namespace: str, start_python: Callable[..., "subprocess.Popen[str]"]
) -> None:
    with Control.create(namespace) as control:
        child = start_python(ANSWER_AND_END, namespace, "engine")
        assert child.stdout is not None
        assert child.stdout.readline() == "claimed\n"
        with control.operator() as operator:
            generation = operator.stop("engine")
        answers, silent = control.await_acks(["engine"], generation, timeout_s=20)
        assert (len(answers), silent) == (1, [])
        assert child.wait(20) == 0


def test_a_dead_process_is_never_waited_for(
    namespace: str, start_python: Callable[..., "subprocess.Popen[str]"]
) -> None:
    """The time-out is an hour: if the test ends, nobody waited for it."""
    with Control.create(namespace) as control:
        child = start_python(HOLD, namespace, "engine")
        assert child.stdout is not None
        assert child.stdout.readline() == "claimed\n"
        assert control.alive("engine")
        with control.operator() as operator:
            generation = operator.kill()
        child.kill()
        child.wait()
        assert not control.alive("engine")
        found = control.await_acks(["engine", "never-started"], generation, timeout_s=3600)
        assert found == ([], ["engine", "never-started"])


def test_a_slot_and_the_operators_place_have_one_holder(namespace: str) -> None:
    with Control.create(namespace) as control:
        with control.claim("engine"), pytest.raises(AlreadyClaimed, match="engine"):
            control.claim("engine")
        with control.operator(), pytest.raises(AlreadyClaimed, match="operator"):
            control.operator(timeout_s=0.01)
        control.operator().close()


def waiting(slot: ControlSlot) -> bool:
    """The flag that a waiter raises, as it stands in the segment."""
    return slot.memory_segment.words.load(CONTROL_WAKE_AT) >> 32 == 1


def test_w1_a_waiter_that_leaves_does_not_hide_another_that_is_parked(
    namespace: str, until: Callable[[Callable[[], object]], None]
) -> None:
    """Control has many waiters on one eventcount; the waits' time-out is an hour."""
    with (
        Control.create(namespace) as control,
        control.claim("first") as first,
        control.claim("second") as second,
        control.operator() as operator,
    ):
        for slot in (first, second):
            slot.ack(slot.generation())
        woken: list[bool] = []
        waiter = threading.Thread(target=lambda: woken.append(first.wait(3_000_000.0)))
        waiter.start()
        until(lambda: waiting(first))
        assert not second.wait(0.0)
        assert not waiting(first)  # lowered by the one that left; the other is still parked
        operator.pause("first")
        waiter.join(30)
        assert woken == [True]


def test_a_waiter_is_woken_by_its_own_process(namespace: str) -> None:
    with Control.create(namespace) as control, control.claim("engine") as slot:
        slot.ack(0)
        woken: list[bool] = []
        waiter = threading.Thread(target=lambda: woken.append(slot.wait(3_000_000.0)))
        waiter.start()
        while waiter.is_alive():
            slot.wake()
            waiter.join(0.001)
        assert woken == [False]  # woken, but there was no command


def test_new_switches_retire_the_old(namespace: str) -> None:
    with (
        Control.create(namespace) as old,
        old.claim("engine") as slot,
        Control.create(namespace) as new,
    ):
        assert (old.retired, slot.retired, new.retired) == (True, True, False)
