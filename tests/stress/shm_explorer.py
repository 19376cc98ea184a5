"""Walks through every execution of a few small threads under a memory model, and judges each.

A thread is a list of operations. Three models:

    sc    operations happen in program order, at once
    tso   stores wait in a first-in-first-out buffer per thread (x86)
    arm   an operation may overtake earlier ones of its thread unless acquire, release, a fence, the
          same location or a dependency forbids it; memory itself is one for all (ARMv8)

A branch is a `when` on an operation: stores wait until every earlier branch is decided, loads do
not (processors speculate). An `Await` is a loop that ends when the value is as wanted.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum

Regs = Mapping[str, int]
Memory = Mapping[str, int]
Address = str | Callable[[Regs], str]
Verdict = Callable[[list[Regs], Memory, bool], bool]  # registers, memory, all came to their end

SKIPPED = 1 << 30  # what a register holds whose operation stood in a branch not taken


class Order(Enum):
    """How an operation is ordered; FULL is sequentially consistent."""

    RELAXED = 0
    ACQUIRE = 1
    RELEASE = 2
    ACQ_REL = 3
    FULL = 4

    @property
    def acquires(self) -> bool:
        return self in (Order.ACQUIRE, Order.ACQ_REL, Order.FULL)

    @property
    def releases(self) -> bool:
        return self in (Order.RELEASE, Order.ACQ_REL, Order.FULL)


@dataclass(frozen=True)
class Op:
    """One step. `needs` and `when_needs` name the registers that it, and its branch, depend on."""

    order: Order = Order.RELAXED
    needs: tuple[str, ...] = ()
    when: Callable[[Regs], bool] | None = None
    when_needs: tuple[str, ...] = ()
    at: Address = ""


@dataclass(frozen=True)
class Load(Op):
    reg: str = ""


@dataclass(frozen=True)
class Await(Op):
    reg: str = ""
    until: Callable[[int], bool] = bool


@dataclass(frozen=True)
class Store(Op):
    value: Callable[[Regs], int] | int = 0


@dataclass(frozen=True)
class Rmw(Op):
    """One atomic step: the old value to `reg`, `change` of it to memory."""

    reg: str = ""
    change: Callable[[int], int] = lambda value: value


@dataclass(frozen=True)
class Fence(Op):
    pass


@dataclass(frozen=True)
class Syscall(Op):
    """One atomic step of the kernel on the whole memory; orders everything."""

    order: Order = Order.FULL
    act: Callable[[dict[str, int], Regs], None] = lambda memory, regs: None


@dataclass(frozen=True)
class Thread:
    """Which operations are done, what the registers hold, which stores wait in the buffer."""

    done: int = 0
    regs: tuple[tuple[str, int], ...] = ()
    buffer: tuple[tuple[str, int], ...] = ()


@dataclass
class Outcome:
    """How many states there are, and one bad end with its registers and memory, if any."""

    states: int = 0
    bad: list[object] = field(default_factory=list)


State = tuple[tuple[tuple[str, int], ...], tuple[Thread, ...]]


def explore(
    model: str, programs: list[list[Op]], memory: Memory, good: Verdict, states_max: int = 400_000
) -> Outcome:
    """Visit every reachable state once; stop at the first end that is not good."""
    start: State = (tuple(sorted(memory.items())), tuple(Thread() for _ in programs))
    seen = {start}
    stack = [start]
    outcome = Outcome()
    while stack:
        state = stack.pop()
        outcome.states += 1
        assert outcome.states <= states_max, "the model is too large to walk through"
        following = list(_steps(model, programs, state))
        if not following and not _is_good(programs, state, good):
            outcome.bad.append(state)
            return outcome
        for new in following:
            if new not in seen:
                seen.add(new)
                stack.append(new)
    return outcome


def _is_good(programs: list[list[Op]], state: State, good: Verdict) -> bool:
    memory, threads = state
    ended = all(
        thread.done == (1 << len(program)) - 1
        for thread, program in zip(threads, programs, strict=True)
    )
    return good([dict(thread.regs) for thread in threads], dict(memory), ended)


def _steps(model: str, programs: list[list[Op]], state: State) -> Iterator[State]:
    memory, threads = state
    for number, (thread, program) in enumerate(zip(threads, programs, strict=True)):
        if thread.buffer:
            (at, value), *rest = thread.buffer
            drained = Thread(thread.done, thread.regs, tuple(rest))
            yield _with(state, number, drained, {**dict(memory), at: value})
        for index in _ready(model, thread, program):
            new = _perform(model, thread, program[index], index, dict(memory))
            if new is not None:
                yield _with(state, number, *new)


def _with(state: State, number: int, thread: Thread, memory: dict[str, int]) -> State:
    threads = (*state[1][:number], thread, *state[1][number + 1 :])
    return tuple(sorted(memory.items())), threads


def _ready(model: str, thread: Thread, program: list[Op]) -> Iterator[int]:
    waiting = [index for index in range(len(program)) if not thread.done >> index & 1]
    if model != "arm":
        yield from waiting[:1]
        return
    regs = dict(thread.regs)
    for place, index in enumerate(waiting):
        op = program[index]
        if not all(name in regs for name in op.needs):
            continue
        if not isinstance(op, Load) and not all(name in regs for name in op.when_needs):
            continue
        if not any(_holds_back(program[earlier], op, regs) for earlier in waiting[:place]):
            yield index


def _holds_back(earlier: Op, later: Op, regs: Regs) -> bool:
    """Whether the model forbids `later` to overtake `earlier`."""
    if isinstance(earlier, Fence) or isinstance(later, Fence):
        return _fence_holds_back(earlier, later)
    if earlier.order.acquires or later.order.releases:
        return True
    if Order.FULL in (earlier.order, later.order):
        return True
    writes = not isinstance(later, Load | Await)
    if writes and (isinstance(earlier, Await) or any(n not in regs for n in earlier.when_needs)):
        return True
    if not all(name in regs for name in earlier.needs):
        return writes or not isinstance(earlier, Load)
    return _address(earlier, regs) == _address(later, regs)


def _fence_holds_back(earlier: Op, later: Op) -> bool:
    for fence, other, comes_later in ((earlier, later, True), (later, earlier, False)):
        if not isinstance(fence, Fence):
            continue
        if fence.order in (Order.FULL, Order.ACQ_REL) or isinstance(other, Fence):
            return True
        reads = isinstance(other, Load | Await | Rmw)
        if fence.order is Order.ACQUIRE:  # earlier reads stay before everything later
            if comes_later or reads:
                return True
        elif not comes_later or not isinstance(other, Load | Await):
            return True  # everything earlier stays before later writes
    return False


def _address(op: Op, regs: Regs) -> str:
    return op.at(regs) if callable(op.at) else op.at


def _perform(
    model: str, thread: Thread, op: Op, index: int, memory: dict[str, int]
) -> tuple[Thread, dict[str, int]] | None:
    """The thread and memory after an operation, or None when it cannot happen now."""
    regs = dict(thread.regs)
    buffer = thread.buffer
    done = thread.done | 1 << index
    decided = all(name in regs for name in op.when_needs)
    if op.when is not None and decided and not op.when(regs):
        if isinstance(op, Load | Await | Rmw):
            regs[op.reg] = SKIPPED
        return Thread(done, tuple(sorted(regs.items())), buffer), memory
    drains = isinstance(op, Rmw | Syscall) or (isinstance(op, Fence) and op.order is Order.FULL)
    if drains and buffer:
        return None
    if isinstance(op, Load | Await | Rmw):
        at = _address(op, regs)
        value = next((v for where, v in reversed(buffer) if where == at), memory[at])
        if isinstance(op, Await) and not op.until(value):
            return None
        if isinstance(op, Rmw):
            memory[at] = op.change(value)
        regs[op.reg] = value
    elif isinstance(op, Store):
        stored = op.value(regs) if callable(op.value) else op.value
        if model == "tso" and op.order is not Order.FULL:
            buffer = (*buffer, (_address(op, regs), stored))
        elif buffer:
            return None
        else:
            memory[_address(op, regs)] = stored
    elif isinstance(op, Syscall):
        op.act(memory, regs)
    return Thread(done, tuple(sorted(regs.items())), buffer), memory
