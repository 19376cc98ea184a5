"""Control: what the operator tells the processes, and what each of them answers.

Writer:  the operator (spread-ctl), one at a time, of the switches and the command lines;
         each process of its own answer line.
Readers: every process, on each turn of its loop or when woken.

A command changes what it changes, then steps the generation, then wakes. A process that sees a new
generation applies the switches, then answers with that generation and the time: so the operator
knows when it took effect, not only that it was said. `paused` and `kill` are levels and survive a
restart of a process; `stop` and `reload` are edges and concern only the life they were said to.
What stands switched has a name, an age and an author beside it (shm/switches.py). An operator that
is killed half-way leaves at most a level that is told late, with the next command;
an edge that it did not issue is taken back by the next operator.

A reload may be refused. What became of it stands beside the answer, before the answer is given:
the outcome, the digest of the settings in force and a sentence, in two places used in turn, with a
checksum, so that a reader has a whole sentence or none.
"""

import zlib
from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import numpy as np

from spread_scanner import clock
from spread_scanner.schema.enums import DIRECTIONS, SOURCES, ReloadOutcome, SwitchKind
from spread_scanner.shm import segment, switches
from spread_scanner.shm.faults import AlreadyClaimed
from spread_scanner.shm.layout import (
    ACK_GENERATION_AT,
    ANSWER_COUNT_AT,
    ANSWER_DTYPE,
    CONTROL_BYTES,
    CONTROL_WAKE_AT,
    DIRECTIONS_MAX,
    FIXED_MAX,
    NUM_SOURCES_MAX,
    PAUSED_AT,
    PAUSED_DIRECTIONS_AT,
    PAUSED_SOURCES_AT,
    PROCESSES_MAX,
    SLOT_DTYPE,
    SLOTS_AT,
    SWITCHES_AT,
    SWITCHES_DTYPE,
    Kind,
)
from spread_scanner.shm.operator import Operator, Who, label, obeyed, slot_at
from spread_scanner.shm.segment import Holder, Segment
from spread_scanner.shm.slots import NAME_BYTES, NAMING_CLAIM, find_or_name, find_slot
from spread_scanner.shm.switches import Switch

_OPERATOR_CLAIM = NAMING_CLAIM + 1
OPERATOR_TIMEOUT_S = 5.0
ANSWER_TRIES = 64  # a reader gives up on an answer that changes under it each time
TEXT_BYTES = ANSWER_DTYPE["text"].itemsize


class OrderAck(NamedTuple):
    """A process's answer: which command it has applied, and how long after it was issued (NaN
    when a newer command has been issued since)."""

    process: str
    generation: int
    latency_us: float


class Answer(NamedTuple):
    """What a process said of its settings: at its start, and of each reload."""

    process: str
    generation: int  # the command that it answers
    outcome: ReloadOutcome
    digest: int  # of the settings in force, whatever the outcome
    text: str  # why it was refused; empty otherwise


class Orders(NamedTuple):
    """What a process is told now. `stop` and `reload` are true once per command."""

    generation: int
    paused: bool
    killed: bool
    stop: bool
    reload: bool


class ControlSlot(Holder):
    """A process's own slot; made by Control.claim. Poll `changed` or park in `wait`."""

    def __init__(self, held: Segment, number: int) -> None:
        self._held = held
        at = SLOTS_AT + number * SLOT_DTYPE.itemsize
        self._slot = held.record(SLOT_DTYPE, at)
        self.paused_at = at + PAUSED_AT  # for the engine's native loop
        self._ack_generation_at = at + ACK_GENERATION_AT
        self._answer_count_at = at + ANSWER_COUNT_AT
        self._switches = held.array(SWITCHES_DTYPE, SWITCHES_AT, (1,))[0]
        self.paused_sources = held.array(np.dtype("u1"), PAUSED_SOURCES_AT, (NUM_SOURCES_MAX,))
        self.paused_directions = held.array(np.dtype("u1"), PAUSED_DIRECTIONS_AT, (DIRECTIONS_MAX,))
        # Edges said to an earlier life of this process are not meant for this one.
        self._seen = self.generation()
        self._applied = -1

    def generation(self) -> int:
        """The newest command's number (acquire: what it changed is visible)."""
        return self._held.words.load(SWITCHES_AT)

    def changed(self) -> bool:
        """Whether there is a command that this process has not answered."""
        return self.generation() != self._applied

    def orders(self) -> Orders:
        """What is told now; apply it, then call `ack` with its generation."""
        generation = self.generation()
        orders = Orders(
            generation=generation,
            paused=bool(self._slot["paused"]),
            killed=bool(self._switches["kill"]),
            # An edge is stored before its generation: one that is not issued yet waits its turn.
            stop=self._seen < int(self._slot["stop_generation"]) <= generation,
            reload=self._seen < int(self._slot["reload_generation"]) <= generation,
        )
        self._seen = generation
        return orders

    def ack(self, generation: int) -> None:
        """Say that everything up to a generation has been applied, now."""
        self._applied = generation
        self._slot["ack_mono_ns"] = clock.mono_ns()
        self._held.words.store(self._ack_generation_at, generation)

    def answer(self, generation: int, outcome: ReloadOutcome, digest: int, text: str = "") -> None:
        """Say what became of a reload; to be called before `ack`. Text beyond 232 bytes is cut."""
        self._held.refuse_when_closed()
        count = self._held.words.load(self._answer_count_at) + 1
        made = np.zeros((), ANSWER_DTYPE)
        made["generation"], made["digest"], made["outcome"] = generation, digest, outcome
        made["text"] = _cut(text)
        made["checksum"] = _checksum(made)
        self._slot["answers"][count & 1] = made
        self._held.words.store(self._answer_count_at, count)

    def fix(self, checksums: Sequence[int]) -> None:
        """Show the settings that this life keeps, as checksums by their number."""
        self._held.refuse_when_closed()
        self._slot["fixed"] = 0
        self._slot["fixed"][: len(checksums)] = checksums

    def wait(self, timeout_ms: float) -> bool:
        """Park until there is a command that was not answered: True, or the time-out: False."""
        return self.wait_beyond(self._applied, timeout_ms)

    def wait_beyond(self, generation: int, timeout_ms: float) -> bool:
        """Park until the newest command is not `generation`: True, or the time-out: False."""
        key = self._held.words.wake_prepare(CONTROL_WAKE_AT)
        if self.generation() != generation:
            self._held.words.wake_cancel(CONTROL_WAKE_AT)
            return True
        self._held.words.wake_wait(CONTROL_WAKE_AT, key, timeout_ms)
        return self.generation() != generation

    def wake(self) -> None:
        """Wake whoever waits on the control segment, for a process that stops its own waiter."""
        self._held.words.wake_broadcast(CONTROL_WAKE_AT)

    @property
    def memory_segment(self) -> Segment:
        """For the engine's native loop, which reads the switches itself."""
        return self._held


class Control(Holder):
    """The switches and slots, for reading; `claim` and `operator` give the right to write."""

    def __init__(self, namespace: str, held: Segment) -> None:
        self.namespace = namespace
        self._held = held
        self._switches = held.array(SWITCHES_DTYPE, SWITCHES_AT, (1,))[0]

    @classmethod
    def create(cls, namespace: str, standing: Sequence[Switch] = ()) -> Self:
        """Make new switches, those of `standing` on before anybody can attach, the others off; the
        segment that stands under the namespace is retired."""

        def fill(held: Segment) -> None:
            if standing:
                Operator(held).restore(standing)

        name = segment.segment_name(namespace, "control")
        return cls(
            namespace,
            segment.create(name, Kind.CONTROL, CONTROL_BYTES, [PROCESSES_MAX], fill=fill),
        )

    @classmethod
    def attach(cls, namespace: str, *, timeout_s: float = segment.ATTACH_TIMEOUT_S) -> Self:
        return cls(namespace, _attach(namespace, writable=False, timeout_s=timeout_s))

    def claim(self, process: str) -> ControlSlot:
        """A process's own slot: AlreadyClaimed when a live process of that name has it."""
        held = _attach(self.namespace, writable=True)
        with segment.closed_on_failure(held):
            number = find_or_name(held, process, slot_at)
            held.claim(number, f"control slot of {process!r}")
            return ControlSlot(held, number)

    def operator(
        self, who: Who | None = None, *, timeout_s: float = OPERATOR_TIMEOUT_S
    ) -> Operator:
        """The right to command; waits a while for another operator to finish."""
        held = _attach(self.namespace, writable=True)
        deadline = clock.awake_s() + timeout_s
        with segment.closed_on_failure(held):
            while True:
                try:
                    held.claim(_OPERATOR_CLAIM, "the operator's place")
                    return Operator(held, who)
                except AlreadyClaimed:
                    if clock.awake_s() > deadline:
                        raise
                    clock.sleep(0.001)

    @property
    def generation(self) -> int:
        """The newest command's number (acquire: what it changed is visible)."""
        return self._held.words.load(SWITCHES_AT)

    @property
    def issued_mono_ns(self) -> int:
        """When the newest command was given; 0: none was."""
        return int(self._switches["issued_mono_ns"])

    @property
    def killed(self) -> bool:
        return bool(self._switches["kill"])

    def paused(self, process: str) -> bool:
        slot = self._slot(process)
        return slot is not None and bool(slot["paused"])

    @property
    def paused_sources(self) -> list[int]:
        return self._switched_on(PAUSED_SOURCES_AT, NUM_SOURCES_MAX)

    @property
    def paused_directions(self) -> list[int]:
        return self._switched_on(PAUSED_DIRECTIONS_AT, DIRECTIONS_MAX)

    @property
    def paused_symbols(self) -> list[str]:
        found = switches.standing(self._held)
        return sorted(one.name for one in found if one.kind is SwitchKind.SYMBOL)

    @property
    def standing(self) -> list[Switch]:
        """All that is switched, by kind and name. What processes obey decides; who did it and when
        is told where it is known."""
        told = {(one.kind, one.name): one for one in switches.standing(self._held)}
        on: list[tuple[SwitchKind, str]] = [(SwitchKind.HALT, "")] if self.killed else []
        on += [(SwitchKind.PROCESS, name) for name in self._named() if self.paused(name)]
        for kind, members, ids in (
            (SwitchKind.SOURCE, SOURCES, self.paused_sources),
            (SwitchKind.DIRECTION, DIRECTIONS, self.paused_directions),
        ):
            on += [(kind, label(members, number)) for number in ids]
        found = [told.pop(key, Switch(*key)) for key in on]
        found += [one for one in told.values() if obeyed(self._held, one) is None]
        return sorted(found)

    def alive(self, process: str) -> bool:
        """Whether a live process holds the slot: asked of the kernel."""
        number = find_slot(self._held, process, slot_at)
        return number is not None and self._held.claimed(number)

    def ack(self, process: str) -> OrderAck | None:
        """The last answer of a process, or None when it never gave one."""
        number = find_slot(self._held, process, slot_at)
        if number is None:
            return None
        # The generation first (acquire): the time that is read after it is not older than it.
        generation = self._held.words.load(slot_at(number) + ACK_GENERATION_AT)
        acked_mono_ns = int(self._slot_at(number)["ack_mono_ns"])
        if acked_mono_ns == 0:
            return None
        waited_ns = acked_mono_ns - int(self._switches["issued_mono_ns"])
        newest = generation == self._held.words.load(SWITCHES_AT)
        return OrderAck(process, generation, waited_ns / 1e3 if newest else float("nan"))

    def answer(self, process: str) -> Answer | None:
        """What a process said of its settings last; None when it never did, or while what it says
        changes under each of the tries."""
        number = find_slot(self._held, process, slot_at)
        if number is None:
            return None
        at = slot_at(number) + ANSWER_COUNT_AT
        for _ in range(ANSWER_TRIES):
            count = self._held.words.load(at)
            if count == 0:
                return None
            read = self._slot_at(number)["answers"][count & 1].copy()
            if int(read["checksum"]) == _checksum(read) and self._held.words.load(at) == count:
                return Answer(
                    process,
                    int(read["generation"]),
                    ReloadOutcome(int(read["outcome"])),
                    int(read["digest"]),
                    bytes(read["text"]).decode(errors="replace"),
                )
        return None

    def fixed(self, process: str) -> list[int]:
        """The checksums of the settings that a process keeps until it is restarted; 0: none."""
        number = find_slot(self._held, process, slot_at)
        if number is None:
            return [0] * FIXED_MAX
        return [int(word) for word in self._slot_at(number)["fixed"]]

    def await_acks(
        self, processes: list[str], generation: int, *, timeout_s: float = 1.0
    ) -> tuple[list[OrderAck], list[str]]:
        """Wait until each live process has applied a generation: (answers, who did not answer).

        A process that is not alive is never waited for; it stands among those without an answer.
        """
        deadline = clock.awake_s() + timeout_s
        acks: dict[str, OrderAck] = {}
        while True:
            # Who lives is asked before who has answered: a process may answer and then end.
            living = {process for process in processes if self.alive(process)}
            for process in processes:
                ack = self.ack(process)
                if process not in acks and ack is not None and ack.generation >= generation:
                    acks[process] = ack
            missing = [process for process in processes if process not in acks]
            waiting = living.intersection(missing)
            if not waiting or clock.awake_s() > deadline:
                return list(acks.values()), missing
            clock.sleep(0.0002)

    def _named(self) -> list[str]:
        """The processes that have a slot."""
        names = (
            self._held.bytes_at(slot_at(number), NAME_BYTES) for number in range(PROCESSES_MAX)
        )
        return [name.rstrip(b"\0").decode() for name in names if name.strip(b"\0")]

    def _slot(self, process: str) -> Any:
        number = find_slot(self._held, process, slot_at)
        return None if number is None else self._slot_at(number)

    def _slot_at(self, number: int) -> Any:
        return self._held.array(SLOT_DTYPE, slot_at(number), (1,))[0]

    def _switched_on(self, at: int, count: int) -> list[int]:
        switches = self._held.array(np.dtype("u1"), at, (count,))
        return [int(number) for number in np.flatnonzero(switches)]


def _cut(text: str) -> bytes:
    """As much of a text as fits, cut between two characters."""
    whole = text.replace("\0", " ").encode(errors="replace")
    if len(whole) <= TEXT_BYTES:
        return whole
    return whole[: TEXT_BYTES - 3].decode(errors="ignore").encode() + b"..."


def _checksum(answer: Any) -> int:
    """Of an answer but for the checksum itself."""
    blank = answer.copy()
    blank["checksum"] = 0
    return zlib.crc32(blank.tobytes())


def _attach(
    namespace: str, *, writable: bool, timeout_s: float = segment.ATTACH_TIMEOUT_S
) -> Segment:
    name = segment.segment_name(namespace, "control")
    return segment.attach(name, Kind.CONTROL, writable=writable, timeout_s=timeout_s)
