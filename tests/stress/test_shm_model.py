"""The core's four protocols in every execution of the SC, TSO and ARM-like models, and the mutants.

Each program below is the header's code, step by step; what is left out on purpose to make a mutant
is a keyword. A mutant that no model finds would mean that the explorer sees nothing.
"""

from collections.abc import Callable

import pytest
from shm_explorer import (
    Await,
    Fence,
    Load,
    Memory,
    Op,
    Order,
    Outcome,
    Regs,
    Rmw,
    Store,
    Syscall,
    explore,
)

MODELS = ["sc", "tso", "arm"]
RELAXED, ACQUIRE, RELEASE = Order.RELAXED, Order.ACQUIRE, Order.RELEASE
ACQ_REL, FULL = Order.ACQ_REL, Order.FULL
WORDS = 2


def holds(reg: str, value: int) -> Callable[[Regs], bool]:
    return lambda regs: regs[reg] == value


def at_least(least: int) -> Callable[[int], bool]:
    return lambda value: value >= least


def published_cell(sequence_reg: str, word: int) -> Callable[[Regs], str]:
    return lambda regs: f"cell{regs[sequence_reg] & 1}.{word}"


# --- the latch (seqlock.h) ----------------------------------------------------------------------


def latch_writer(
    writes: int, *, fence: Order | None = RELEASE, final: Order = RELEASE, in_place: bool = False
) -> list[Op]:
    ops: list[Op] = []
    for seq in range(2, 2 + writes):
        cell = seq & 1 if in_place else (seq + 1) & 1
        if fence is not None:
            ops.append(Fence(order=fence))
        ops += [Store(at=f"cell{cell}.{word}", value=seq + 1) for word in range(WORDS)]
        ops.append(Store(order=final, at="seq", value=seq + 1))
    return ops


def latch_reader(
    reads: int,
    *,
    first: Order = ACQUIRE,
    fence: Order | None = ACQUIRE,
    second: Order = RELAXED,
) -> list[Op]:
    ops: list[Op] = []
    for n in range(reads):
        before = f"before{n}"
        ops.append(Load(order=first, at="seq", reg=before))
        ops += [
            Load(
                at=published_cell(before, word),
                needs=(before,),
                reg=f"word{n}.{word}",
            )
            for word in range(WORDS)
        ]
        if fence is not None:
            ops.append(Fence(order=fence))
        ops.append(Load(order=second, at="seq", reg=f"after{n}"))
    return ops


LATCH = {"seq": 2, **{f"cell{c}.{w}": 2 if c == 0 else 1 for c in (0, 1) for w in range(WORDS)}}


def latch_is_good(reads: int) -> Callable[[list[Regs], Memory, bool], bool]:
    """Every accepted read is whole and of the version it names, and versions never go back."""

    def good(threads: list[Regs], _: Memory, ended: bool) -> bool:
        regs = threads[1]
        accepted = [n for n in range(reads) if regs[f"before{n}"] == regs[f"after{n}"]]
        whole = all(
            regs[f"word{n}.{word}"] == regs[f"before{n}"] for n in accepted for word in range(WORDS)
        )
        versions = [regs[f"before{n}"] for n in accepted]
        return ended and whole and versions == sorted(versions)

    return good


def latch(model: str, writer: list[Op], reader: list[Op], reads: int) -> Outcome:
    return explore(model, [writer, reader], LATCH, latch_is_good(reads))


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(("writes", "reads"), [(2, 1), (3, 1), (2, 2)])
def test_c1_c2_no_torn_value_is_accepted_and_versions_never_go_back(
    model: str, writes: int, reads: int
) -> None:
    outcome = latch(model, latch_writer(writes), latch_reader(reads), reads)
    assert not outcome.bad
    assert outcome.states > 50


LATCH_MUTANTS = {
    "no_writer_fence": (latch_writer(2, fence=None), latch_reader(1)),
    "no_reader_fence": (latch_writer(2), latch_reader(1, fence=None)),
    "two_acquire_reader": (latch_writer(2), latch_reader(1, fence=None, second=ACQUIRE)),
    "non_release_final_store": (latch_writer(2, fence=None, final=RELAXED), latch_reader(1)),
    "plain": (
        latch_writer(2, fence=None, final=RELAXED),
        latch_reader(1, first=RELAXED, fence=None),
    ),
}


@pytest.mark.parametrize("name", LATCH_MUTANTS)
def test_c1_mutant_is_found_where_order_is_weak(name: str) -> None:
    writer, reader = LATCH_MUTANTS[name]
    assert latch("arm", writer, reader, 1).bad
    assert not latch("sc", writer, reader, 1).bad  # it is the order that is missing, not the idea


@pytest.mark.parametrize("model", MODELS)
def test_c1_mutant_that_writes_in_place_is_found_everywhere(model: str) -> None:
    assert latch(model, latch_writer(2, in_place=True), latch_reader(1), 1).bad


# --- dirty bits (bitmap.h, store.h) -------------------------------------------------------------


def mark_writer(
    writes: int,
    *,
    mark_first: bool = False,
    skip_if_set: bool = False,
    skip_fence: bool = False,
    mark_order: Order = FULL,
) -> list[Op]:
    ops: list[Op] = []
    for version in range(1, writes + 1):
        publish = Store(order=RELEASE, at="cell", value=version)
        reg = f"looked{version}"
        mark: Rmw = Rmw(order=mark_order, at="bit", reg=f"m{version}", change=lambda _: 1)
        if skip_if_set:
            look = Load(at="bit", reg=reg)
            mark = Rmw(
                order=mark_order,
                at="bit",
                reg=f"m{version}",
                change=lambda _: 1,
                when=holds(reg, 0),
                when_needs=(reg,),
            )
            fences: list[Op] = [Fence(order=FULL)] if skip_fence else []
            ops += [publish, *fences, look, mark]
        else:
            ops += [mark, publish] if mark_first else [publish, mark]
    return ops


def mark_reader(scans: int, *, read_first: bool = False, take_order: Order = ACQ_REL) -> list[Op]:
    ops: list[Op] = []
    for n in range(scans):
        look, took = f"look{n}", f"took{n}"
        peek = Load(at="bit", reg=look)
        take = Rmw(
            order=take_order,
            at="bit",
            reg=took,
            change=lambda _: 0,
            when=holds(look, 1),
            when_needs=(look,),
        )
        read = Load(
            at="cell",
            reg=f"seen{n}",
            when=holds(look, 1),
            when_needs=(look,),
        )
        ops += [peek, read, take] if read_first else [peek, take, read]
    return ops


def no_mark_is_lost(threads: list[Regs], memory: Memory, ended: bool) -> bool:
    """At rest: the bit is still set, or the reader's last look saw the last version."""
    regs = threads[1]
    taken = [n for n in range(9) if regs.get(f"took{n}") == 1]
    last = regs[f"seen{taken[-1]}"] if taken else 0
    return ended and (memory["bit"] == 1 or last == memory["cell"])


def bitmap(model: str, writer: list[Op], reader: list[Op]) -> Outcome:
    return explore(model, [writer, reader], {"cell": 0, "bit": 0}, no_mark_is_lost)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(("writes", "scans"), [(1, 2), (2, 2), (3, 2), (2, 3)])
def test_b1_no_mark_is_lost(model: str, writes: int, scans: int) -> None:
    assert not bitmap(model, mark_writer(writes), mark_reader(scans)).bad


@pytest.mark.parametrize("model", MODELS)
def test_b1_mutant_of_the_reverse_order_is_found_everywhere(model: str) -> None:
    assert bitmap(model, mark_writer(2, mark_first=True), mark_reader(2)).bad
    assert bitmap(model, mark_writer(2), mark_reader(2, read_first=True)).bad


def test_b1_mutant_that_skips_a_set_bit_is_found_on_x86_too() -> None:
    skipping = mark_writer(2, skip_if_set=True)
    assert not bitmap("sc", skipping, mark_reader(2)).bad
    assert bitmap("tso", skipping, mark_reader(2)).bad
    assert bitmap("arm", skipping, mark_reader(2)).bad
    for model in MODELS:  # a full fence would make it right, and cost what it saves
        fenced = mark_writer(2, skip_if_set=True, skip_fence=True)
        assert not bitmap(model, fenced, mark_reader(2)).bad


def test_b2_mutant_with_relaxed_read_modify_writes_is_found() -> None:
    assert bitmap("arm", mark_writer(2, mark_order=RELAXED), mark_reader(2)).bad
    assert bitmap("arm", mark_writer(2), mark_reader(2, take_order=RELAXED)).bad


# --- the ring (ring.h) ---------------------------------------------------------------------------


def ring_producer(
    capacity: int, count: int, *, publish: Order = RELEASE, look: Order = ACQUIRE
) -> list[Op]:
    ops: list[Op] = []
    for n in range(count):
        if n >= capacity:
            room = n - capacity + 1
            ops.append(Await(order=look, at="read_pos", reg=f"r{n}", until=at_least(room)))
        ops.append(Store(at=f"slot{n % capacity}", value=n + 1))
        ops.append(Store(order=publish, at="write_pos", value=n + 1))
    return ops


def ring_consumer(
    capacity: int, count: int, *, release: Order = RELEASE, look: Order = ACQUIRE
) -> list[Op]:
    ops: list[Op] = []
    for n in range(count):
        ops.append(Await(order=look, at="write_pos", reg=f"w{n}", until=at_least(n + 1)))
        ops.append(Load(at=f"slot{n % capacity}", reg=f"got{n}"))
        ops.append(Store(order=release, at="read_pos", value=n + 1))
    return ops


def ring(model: str, capacity: int, producer: list[Op], consumer: list[Op]) -> Outcome:
    count = capacity + 2

    def good(threads: list[Regs], _: Memory, ended: bool) -> bool:
        return ended and [threads[1][f"got{n}"] for n in range(count)] == list(range(1, count + 1))

    memory = {"write_pos": 0, "read_pos": 0, **{f"slot{n}": 0 for n in range(capacity)}}
    return explore(model, [producer, consumer], memory, good)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("capacity", [1, 2, 3])
def test_r1_first_in_first_out_without_loss_duplicate_or_invention(
    model: str, capacity: int
) -> None:
    count = capacity + 2
    producer, consumer = ring_producer(capacity, count), ring_consumer(capacity, count)
    assert not ring(model, capacity, producer, consumer).bad


@pytest.mark.parametrize("capacity", [1, 2, 3])
def test_r1_mutants_with_plain_indices_are_found(capacity: int) -> None:
    count = capacity + 2
    producer, consumer = ring_producer(capacity, count), ring_consumer(capacity, count)
    plain_producer = ring_producer(capacity, count, publish=RELAXED, look=RELAXED)
    plain_consumer = ring_consumer(capacity, count, release=RELAXED, look=RELAXED)
    assert ring("arm", capacity, plain_producer, consumer).bad
    assert ring("arm", capacity, producer, plain_consumer).bad
    not_released = ring_consumer(capacity, count, release=RELAXED)
    assert ring("arm", capacity, producer, not_released).bad
    for model in ("sc", "tso"):
        assert not ring(model, capacity, plain_producer, plain_consumer).bad


# --- the wake-up (wake.h) ------------------------------------------------------------------------


def waiter(rounds: int, target: int, *, fence: bool = True) -> list[Op]:
    """Until there is all the work: key, flag, fence, look, park."""
    ops: list[Op] = []
    idle: list[str] = []
    for n in range(rounds):
        looks = tuple(idle)

        def still(regs: Regs, looks: tuple[str, ...] = looks) -> bool:
            return all(regs.get(name, 0) < target for name in looks)

        key, look = f"key{n}", f"look{n}"
        here = (*looks, look)

        def park(regs: Regs, here: tuple[str, ...] = here) -> bool:
            return all(regs.get(name, 0) < target for name in here)

        def futex_wait(memory: dict[str, int], regs: Regs, key: str = key) -> None:
            if memory["sequence"] == regs[key]:
                memory["asleep"] = 1

        ops.append(Load(order=ACQUIRE, at="sequence", reg=key, when=still, when_needs=looks))
        ops.append(Store(at="waiting", value=1, when=still, when_needs=looks))
        if fence:
            ops.append(Fence(order=FULL, when=still, when_needs=looks))
        ops.append(Load(at="work", reg=look, when=still, when_needs=looks))
        ops.append(Syscall(act=futex_wait, when=park, when_needs=here))
        ops.append(
            Await(
                order=ACQUIRE,
                at="asleep",
                reg=f"slept{n}",
                until=lambda v: v == 0,
                when=park,
                when_needs=here,
            )
        )
        ops.append(Store(at="waiting", value=0, when=still, when_needs=looks))
        idle.append(look)
    return ops


def notifier(*, fence: bool = True, step_first: bool = False) -> list[Op]:
    parked = holds("flag", 1)
    lower = Store(order=FULL, at="waiting", value=0, when=parked, when_needs=("flag",))
    step = Rmw(
        order=FULL,
        at="sequence",
        reg="was",
        change=lambda v: v + 1,
        when=parked,
        when_needs=("flag",),
    )
    wake = Syscall(act=lambda memory, _: memory.update(asleep=0), when=parked, when_needs=("flag",))
    # The work is published with release, as write_pos is. Two notifiers have a word each.
    return [
        Rmw(order=RELEASE, at="work", reg="had", change=lambda v: v + 1),
        *([Fence(order=FULL)] if fence else []),
        Load(at="waiting", reg="flag"),
        *([step, lower] if step_first else [lower, step]),
        wake,
    ]


def plain_notifier(*, fence: bool) -> list[Op]:
    """One notifier whose work is a plain release store, as the ring's write_pos is."""
    return [Store(order=RELEASE, at="work", value=1), *notifier(fence=fence)[1:]]


def wake(model: str, waiting: list[Op], *notifiers: list[Op]) -> Outcome:
    """Bad is an end in which the waiter sleeps for ever, although all the work is there."""

    def good(_: list[Regs], memory: Memory, ended: bool) -> bool:
        return ended or memory["asleep"] == 0

    memory = {"sequence": 0, "waiting": 0, "work": 0, "asleep": 0}
    return explore(model, [waiting, *notifiers], memory, good)


@pytest.mark.parametrize("model", MODELS)
def test_w1_no_wake_up_is_lost(model: str) -> None:
    assert not wake(model, waiter(2, 1), plain_notifier(fence=True)).bad
    assert not wake(model, waiter(2, 2), notifier(), notifier()).bad


@pytest.mark.parametrize("model", ["tso", "arm"])
def test_w1_mutants_without_a_fence_are_found_on_x86_too(model: str) -> None:
    assert wake(model, waiter(2, 1, fence=False), plain_notifier(fence=True)).bad
    assert wake(model, waiter(2, 1), plain_notifier(fence=False)).bad
    assert wake(model, waiter(2, 1, fence=False), plain_notifier(fence=False)).bad


def test_w1_the_fenceless_form_is_right_when_memory_is_ordered() -> None:
    assert not wake("sc", waiter(2, 1, fence=False), plain_notifier(fence=False)).bad


@pytest.mark.parametrize("model", ["sc", "tso"])
def test_w1_a_read_modify_write_is_the_fence_on_x86(model: str) -> None:
    """ss_wake_notify_after_rmw leaves the second fence out where the mark is one already."""
    after_rmw = [Rmw(order=FULL, at="work", reg="had", change=lambda v: v + 1)]
    assert not wake(model, waiter(2, 1), [*after_rmw, *notifier(fence=False)[1:]]).bad


@pytest.mark.parametrize("model", MODELS)
def test_w1_mutant_that_lowers_the_flag_after_the_step_is_found(model: str) -> None:
    assert wake(model, waiter(2, 2), notifier(step_first=True), notifier()).bad


def test_the_explorer_walks_through_what_it_should() -> None:
    """Store buffering and message passing, the two textbook cases, by hand."""
    left: list[Op] = [Store(at="x", value=1), Load(at="y", reg="r")]
    right: list[Op] = [Store(at="y", value=1), Load(at="x", reg="r")]

    def not_both_old(threads: list[Regs], _: Memory, ended: bool) -> bool:
        return ended and (threads[0]["r"], threads[1]["r"]) != (0, 0)

    found = [bool(explore(m, [left, right], {"x": 0, "y": 0}, not_both_old).bad) for m in MODELS]
    assert found == [False, True, True]

    sender: list[Op] = [Store(at="data", value=1), Store(at="flag", value=1)]
    receiver: list[Op] = [Load(at="flag", reg="f"), Load(at="data", reg="d")]

    def whole(threads: list[Regs], _: Memory, ended: bool) -> bool:
        return ended and (threads[1]["f"], threads[1]["d"]) != (1, 0)

    memory = {"data": 0, "flag": 0}
    found = [bool(explore(m, [sender, receiver], memory, whole).bad) for m in MODELS]
    assert found == [False, False, True]
