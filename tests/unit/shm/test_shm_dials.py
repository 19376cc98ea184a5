"""Turns to dial: no window ever holds more than the limit, whoever takes them."""

import contextlib
import os
import subprocess
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spread_scanner.shm import dials, segment
from spread_scanner.shm._dials import DIALS, WEIGHT, DialSlot
from spread_scanner.shm.dials import Dials
from spread_scanner.shm.layout import DIAL_SLOTS, HEADER_BYTES, Kind

S = 10**9

TAKER = """
import sys, time
from spread_scanner.shm.dials import Dials
slot = Dials.open(sys.argv[1]).slot("okx ws.test direct")
cost_ns, tolerance_ns = map(int, sys.argv[2:])
print("ready", flush=True)
sys.stdin.readline()
taken, end_ns = [], time.monotonic_ns() + 300_000_000
while (now_ns := time.monotonic_ns()) < end_ns:
    if slot.take(0, now_ns, cost_ns, tolerance_ns) == 0:
        taken.append(now_ns)
print(*taken, flush=True)
"""


def most_in_a_window(taken_ns: list[int], window_ns: int) -> int:
    """The most turns that any half-open window of this length holds."""
    taken_ns = sorted(taken_ns)
    most, first = 0, 0
    for last, at_ns in enumerate(taken_ns):
        while at_ns - taken_ns[first] >= window_ns:
            first += 1
        most = max(most, last - first + 1)
    return most


@given(
    pauses_ms=st.lists(st.integers(0, 30_000), min_size=1, max_size=400),
    per_s=st.floats(0.1, 20.0),
    burst=st.integers(1, 30),
    start_ns=st.sampled_from([0, 1, 10**15]),
)
def test_no_window_holds_more_than_rate_times_window_plus_burst(
    pauses_ms: list[int], per_s: float, burst: int, start_ns: int
) -> None:
    slot = Dials.private().slot("x")
    cost_ns = round(S / per_s)
    now_ns, taken = start_ns, []
    for pause_ms in pauses_ms:
        now_ns += pause_ms * 1_000_000
        wait_ns = slot.take(DIALS, now_ns, cost_ns, cost_ns * (burst - 1))
        if wait_ns == 0:
            taken.append(now_ns)
        else:  # what it says to wait is enough, and not more than needed
            assert slot.take(DIALS, now_ns + wait_ns - 1, cost_ns, cost_ns * (burst - 1)) == 1

    for window_ns in {cost_ns, 10 * cost_ns, S, 5 * S, 300 * S}:
        assert most_in_a_window(taken, window_ns) <= window_ns / cost_ns + burst


def test_a_rested_address_has_its_burst_and_then_the_even_pace() -> None:
    slot = Dials.private().slot("x")

    taken = [at for at in range(0, 10 * S, S // 10) if slot.take(DIALS, at, S, 2 * S) == 0]

    assert [at / S for at in taken] == [0.0, 0.1, 0.2, *range(1, 10)]


def test_dials_and_weight_are_counted_apart() -> None:
    slot = Dials.private().slot("x")

    assert slot.take(DIALS, 0, S, 0) == 0
    assert slot.take(WEIGHT, 0, 5 * S, 0) == 0
    assert slot.take(DIALS, S, S, 0) == 0
    assert slot.take(WEIGHT, S, S, 0) == 4 * S


@pytest.mark.parametrize("damage", [2**62, -(2**62), 4_000 * S])
def test_a_word_that_nobody_could_have_written_holds_up_nobody(damage: int) -> None:
    slot = Dials.private().slot("x")
    slot.take(DIALS, damage, 0, 0)

    assert slot.take(DIALS, S, S, 0) == 0
    assert slot.take(DIALS, S, S, 0) == S


def test_several_processes_together_keep_the_limit(
    namespace: str, start_python: Callable[..., subprocess.Popen[str]]
) -> None:
    """Four that do nothing but try, at 2,000 turns a second and 5 at once."""
    cost_ns, burst = S // 2_000, 5
    Dials.open(namespace).close()
    children = [start_python(TAKER, namespace, cost_ns, cost_ns * (burst - 1)) for _ in range(4)]
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    taken = [int(word) for child in children for word in child.communicate()[0].split()]

    assert len(taken) > 50
    for window_ns in (cost_ns, S // 100, S // 10, S):
        assert most_in_a_window(taken, window_ns) <= window_ns / cost_ns + burst
    assert [row.name for row in dials.rows(namespace, 0)] == ["okx ws.test direct"]


def test_a_longer_ban_stands_and_a_new_one_begins_anew() -> None:
    slot = Dials.private().slot("x")

    slot.ban(10 * S, 100 * S, 418)
    slot.ban(20 * S, 50 * S, 429)
    assert slot.banned(30 * S) == (70 * S, 418)
    assert slot.banned(100 * S) == (0, 0)
    slot.ban(200 * S, 210 * S, 403)
    assert slot.banned(200 * S) == (10 * S, 403)
    assert slot.last_ban() == (200 * S, 210 * S)


def test_a_ban_without_an_end_is_damage_and_not_believed() -> None:
    slot = Dials.private().slot("x")
    slot.ban(0, 2**62, 418)

    assert slot.banned(S) == (0, 0)
    slot.ban(S, 5 * S, 429)
    assert slot.banned(S) == (4 * S, 429)


def test_a_name_has_one_slot_for_all_processes_and_the_last_one_is_for_the_rest(
    namespace: str,
) -> None:
    first, second = Dials.open(namespace), Dials.open(namespace)
    with contextlib.closing(first), contextlib.closing(second):
        assert first.slot("a").take(DIALS, S, S, 0) == 0
        assert second.slot("a").take(DIALS, S, S, 0) == S
        for number in range(DIAL_SLOTS):
            second.slot(f"fill {number}")
        assert first.slot("late").take(DIALS, S, S, 0) == 0
        assert second.slot("later").take(DIALS, S, S, 0) == S
        assert second.slot("a").take(DIALS, S, S, 0) == S
    assert len(dials.rows(namespace, 0)) == DIAL_SLOTS


def test_it_is_made_where_it_is_missing_or_of_no_use(namespace: str) -> None:
    name = segment.segment_name(namespace, "dials")
    Dials.open(namespace).close()
    path = segment.SHM_FOLDER / name[1:]
    for damage in (b"", b"x" * 100):
        path.write_bytes(damage)
        assert Dials.open(namespace).slot("a").take(DIALS, S, S, 0) == 0
    os.unlink(path)
    assert dials.rows(namespace, 0) == []


def test_read_only_memory_takes_no_turn(namespace: str) -> None:
    Dials.open(namespace).close()
    held = segment.attach(segment.segment_name(namespace, "dials"), Kind.DIALS)
    with pytest.raises(ValueError, match="read-only"):
        DialSlot(held.memory, HEADER_BYTES)
    held.close()
