"""The operator: who may command, one at a time, and how a command becomes words in memory.

Writer:  spread-ctl and whoever else commands, through Control.operator; shm-init, before READY.
Readers: every process (shm/control.py says how a command is seen, and what a killed operator
         leaves).
"""

import os
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from spread_scanner import clock
from spread_scanner.schema.enums import DIRECTIONS, SOURCES, Direction, Source, SwitchKind
from spread_scanner.shm import switches
from spread_scanner.shm.layout import (
    CONTROL_WAKE_AT,
    DIRECTIONS_MAX,
    NUM_SOURCES_MAX,
    PAUSED_DIRECTIONS_AT,
    PAUSED_SOURCES_AT,
    PROCESSES_MAX,
    SLOT_DTYPE,
    SLOTS_AT,
    SWITCHES_AT,
    SWITCHES_DTYPE,
)
from spread_scanner.shm.segment import Holder, Record, Segment
from spread_scanner.shm.slots import find_or_name, find_slot
from spread_scanner.shm.switches import Switch


def slot_at(number: int) -> int:
    """Where a process's slot of the control segment begins: with its name."""
    return SLOTS_AT + number * SLOT_DTYPE.itemsize


class Who(NamedTuple):
    """Who gives orders: for people to read, no proof of anything."""

    user: str
    pid: int
    command: str


class Operator(Holder):
    """The right to command; made by Control.operator, held by one process at a time."""

    def __init__(self, held: Segment, who: Who | None = None) -> None:
        self._held = held
        self._who = who or Who("", os.getpid(), "")
        self._switches = held.record(SWITCHES_DTYPE, SWITCHES_AT)
        self._clear_stale_edges()
        self._clear_stale_records()

    def switch(self, kind: SwitchKind, name: str, *, on: bool = True) -> int:
        """Switch a thing, or back. Returns the generation to wait for. What has no level of that
        name (a source of another version) is but remembered. Raises SegmentError: no room.
        """
        self._set(Switch(kind, name, clock.wall_ns(), *self._who), on)
        return self._issue()

    def restore(self, standing: Iterable[Switch]) -> int:
        """Switch what stood before, by whoever did it and since then."""
        for switch in standing:
            self._set(switch, on=True)
        return self._issue()

    def pause(self, process: str, *, paused: bool = True) -> int:
        """Pause or resume a process. Returns the generation to wait for."""
        return self.switch(SwitchKind.PROCESS, process, on=paused)

    def kill(self, *, killed: bool = True) -> int:
        """Stop all signals at once, or allow them again."""
        return self.switch(SwitchKind.HALT, "", on=killed)

    def stop(self, process: str) -> int:
        """Ask a process to end cleanly."""
        self._slot(process)["stop_generation"] = self.generation() + 1
        return self._issue()

    def reload(self, process: str) -> int:
        """Ask a process to take new settings and tables."""
        self._slot(process)["reload_generation"] = self.generation() + 1
        return self._issue()

    def generation(self) -> int:
        return self._held.words.load(SWITCHES_AT)

    def _slot(self, process: str) -> Record:
        number = find_or_name(self._held, process, slot_at)
        return self._held.record(SLOT_DTYPE, slot_at(number))

    def _clear_stale_edges(self) -> None:
        """Take back what an operator stored and did not live to issue. Nobody has seen it, and the
        next command, of whatever kind, would say it to a process that it was not meant for."""
        issued = self.generation()
        for number in range(PROCESSES_MAX):
            slot = self._held.record(SLOT_DTYPE, slot_at(number))
            for edge in ("stop_generation", "reload_generation"):
                if int(slot[edge]) > issued:
                    slot[edge] = 0

    def _clear_stale_records(self) -> None:
        """Free what an operator switched back and did not live to free: it would tell the next one
        who switches that thing the wrong author."""
        for switch in switches.standing(self._held):
            if obeyed(self._held, switch) is False:
                switches.drop(self._held, switch.kind, switch.name)

    def _set(self, switch: Switch, on: bool) -> None:
        """The level first: it is what matters, should this process end here."""
        self._level(switch, on)
        if on:
            switches.put(self._held, switch)
        else:
            switches.drop(self._held, switch.kind, switch.name)

    def _level(self, switch: Switch, on: bool) -> None:
        """What processes obey; a symbol's is its record."""
        if switch.kind is SwitchKind.HALT:
            self._switches["kill"] = on
        elif switch.kind is SwitchKind.PROCESS:
            self._slot(switch.name)["paused"] = on
        elif switch.kind is SwitchKind.SOURCE:
            number = number_of(SOURCES, switch.name, NUM_SOURCES_MAX)
            if number is not None:
                self._held.put_bytes(PAUSED_SOURCES_AT + number, bytes([on]))
        elif switch.kind is SwitchKind.DIRECTION:
            number = number_of(DIRECTIONS, switch.name, DIRECTIONS_MAX)
            if number is not None:
                self._held.put_bytes(PAUSED_DIRECTIONS_AT + number, bytes([on]))

    def _issue(self) -> int:
        """Publish what was changed: the generation last (release), then wake everybody."""
        generation = self.generation() + 1
        self._switches["issued_mono_ns"] = clock.mono_ns()
        self._held.words.store(SWITCHES_AT, generation)
        self._held.words.wake_broadcast(CONTROL_WAKE_AT)
        return generation


def obeyed(held: Segment, switch: Switch) -> bool | None:
    """Whether the level of a thing is on; None: it has none beside its record, as a symbol and what
    this version does not know."""
    if switch.kind is SwitchKind.HALT:
        return bool(held.array(SWITCHES_DTYPE, SWITCHES_AT, (1,))[0]["kill"])
    if switch.kind is SwitchKind.PROCESS:
        slot = find_slot(held, switch.name, slot_at)
        return slot is not None and bool(held.array(SLOT_DTYPE, slot_at(slot), (1,))[0]["paused"])
    if switch.kind is SwitchKind.SOURCE:
        number = number_of(SOURCES, switch.name, NUM_SOURCES_MAX)
        return None if number is None else held.bytes_at(PAUSED_SOURCES_AT + number, 1) != b"\0"
    if switch.kind is SwitchKind.DIRECTION:
        number = number_of(DIRECTIONS, switch.name, DIRECTIONS_MAX)
        return None if number is None else held.bytes_at(PAUSED_DIRECTIONS_AT + number, 1) != b"\0"
    return None


def label(members: Sequence[Source | Direction], number: int) -> str:
    """The name of an id; one that has none goes by its digits."""
    return members[number].label if number < len(members) else str(number)


def number_of(members: Sequence[Source | Direction], name: str, count: int) -> int | None:
    """The id behind a name; None: this version knows none."""
    for number, member in enumerate(members):
        if member.label == name:
            return number
    return int(name) if name.isdecimal() and int(name) < count else None
