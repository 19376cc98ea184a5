"""Orders to the processes: pause, resume, kill, stop, reload; and who answered, how fast.

An order is a word in the control segment. Each live process answers when it has applied it; a dead
one is named at once and never waited for. What is switched is in force first, then in a file
(orders/remembered.py), and only then the command says so; where there is no segment it is in the
file alone, for the next start. A reload may be refused: by us, where settings or tables
show it, before anybody is told; else by a process, whose reason is passed on.
"""

import contextlib
import math
import os
import pwd
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from msgspec import Struct, structs

from spread_scanner import clock
from spread_scanner.config import Settings, files, restart
from spread_scanner.config.processes import staying
from spread_scanner.errors import SegmentError, SpreadError, TableError
from spread_scanner.orders import remembered
from spread_scanner.orders.hindrances import hindrances
from spread_scanner.orders.read_by import settings_by
from spread_scanner.orders.remembered import NotRemembered
from spread_scanner.schema.enums import (
    DIRECTION_BY_LABEL,
    SOURCE_BY_LABEL,
    ReloadOutcome,
    SwitchKind,
)
from spread_scanner.schema.names import ALERTS, GATEWAY, PROCESSES, SUPERVISOR
from spread_scanner.shm import Control, PriceStore
from spread_scanner.shm.faults import NoSegment, NotReady, Retired
from spread_scanner.shm.operator import Who
from spread_scanner.shm.switched import Switched, standing_now
from spread_scanner.shm.switches import Switch
from spread_scanner.symbology import tables
from spread_scanner.symbology.known import idle_settings, load_known
from spread_scanner.symbology.nearby import nearby
from spread_scanner.symbology.written import symbol_as

# Who can answer does so in milliseconds. On a busy machine a process may wait seconds for its turn,
# and one that has just begun, or reads tables, for as long again.
ANSWER_TIMEOUT_S = 5.0
ALL = "all"


class UnknownTarget(SpreadError):
    """Something to pause that does not exist."""


class Outcome(Struct, frozen=True, forbid_unknown_fields=True):
    """What came of an order."""

    did: str
    generation: int
    answered_us: dict[str, float | None]  # None: answered, then a newer order was issued
    silent: list[str]  # alive, but did not answer in ANSWER_TIMEOUT_S
    dead: list[str]  # not running
    refused: dict[str, str] = {}  # answered a reload with no, and why
    ok: bool = True  # nobody is silent, nobody refused; a switch is in force and remembered
    warnings: list[str] = []  # settings that were taken and do nothing
    standing: list[Switched] = []  # what is switched after it
    not_remembered: str = ""  # why the switch will be forgotten with the segment; empty: it is kept
    hindrances: dict[str, str] = {}  # what those who are silent do instead, as far as it is seen
    up: bool = True  # False: there is nobody whom it could concern before the next start


class NotInForce(SegmentError):
    """A switch that is remembered, but cannot reach what runs now."""


class Turning(NamedTuple):
    """One thing to switch, or to switch back."""

    kind: SwitchKind
    name: str
    on: bool


def here() -> Who:
    """Who gives this order. The kernel knows who logged in, which sudo and runuser hide."""
    command = shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
    return Who(_user(), os.getpid(), command)


def _user() -> str:
    with contextlib.suppress(OSError, ValueError, KeyError):
        return pwd.getpwuid(int(Path("/proc/self/loginuid").read_text())).pw_name
    with contextlib.suppress(KeyError):
        return os.environ.get("SUDO_USER") or pwd.getpwuid(os.getuid()).pw_name
    return str(os.getuid())


def switch(settings: Settings, did: str, changes: Sequence[Turning]) -> Outcome:
    """Put changes in force, remember them, and wait for the answers of all live processes.

    Raises NotInForce where there is a segment that this version cannot write, NotRemembered where
    there is none and the file cannot be written, or is damaged and has to be seen by somebody.
    """
    while True:
        try:
            control = Control.attach(settings.config.system.namespace)
        except SegmentError as error:
            if (outcome := _switch_file(settings, did, changes, error)) is not None:
                return outcome
            continue  # it was made meanwhile
        with control:
            with control.operator(here()) as operator:
                for change in changes:
                    generation = operator.switch(change.kind, change.name, on=change.on)
                try:
                    with remembered.alone(settings):
                        if control.retired:
                            continue  # shm-init may have read the switches just before this one
                        remembered.write(settings, control.standing)
                    forgotten = ""
                except NotRemembered as error:
                    forgotten = str(error)
            # A halt never waits for those who are slow to answer somebody else.
            found = await_answers(control, settings, did, generation)
            return structs.replace(
                found,
                ok=found.ok and not forgotten,
                standing=standing_now(control.standing),
                not_remembered=forgotten,
            )


def _switch_file(
    settings: Settings, did: str, changes: Sequence[Turning], error: SegmentError
) -> Outcome | None:
    """Remember changes for the next start; None when there is a segment by now."""
    with remembered.alone(settings):
        try:
            Control.attach(settings.config.system.namespace, timeout_s=0).close()
            return None
        except SegmentError:
            pass
        found = remembered.read(settings)
        standing = {(one.kind, one.name): one for one in found.standing}
        for change in changes:
            key = (change.kind, change.name)
            if not change.on:
                standing.pop(key, None)
            elif key not in standing:
                who = here()
                standing[key] = Switch(*key, clock.wall_ns(), who.user, who.pid, who.command)
        if found.damaged and all(one.kind is not SwitchKind.HALT for one in changes):
            # Only a word on the halt itself ends that the next start is halted.
            raise NotRemembered(f"not remembered, and the next start is halted: {found.damaged}")
        remembered.write(settings, sorted(standing.values()))
    if not isinstance(error, NoSegment | NotReady | Retired):
        raise NotInForce(
            f"remembered for the next start, but NOT in force now: {error.message}",
            **error.evidence,
        ) from None
    stays = standing_now(sorted(standing.values()))
    return Outcome(did, 0, {}, [], [], ok=False, standing=stays, up=False)


def standing(settings: Settings) -> list[Switch]:
    """What is switched now, or would be at the next start."""
    try:
        with Control.attach(settings.config.system.namespace, timeout_s=0) as control:
            return control.standing
    except SegmentError:
        return remembered.read(settings).standing


def everybody(control: Control, settings: Settings) -> list[str]:
    """Who is to hear an order: those who belong to the system, and whoever else lives."""
    names = staying(settings)
    others = [name for name in (*PROCESSES, SUPERVISOR) if name not in names]
    return names + [name for name in others if control.alive(name)]


def await_answers(control: Control, settings: Settings, did: str, generation: int) -> Outcome:
    """Who answered a generation, who is silent, who is dead."""
    names = everybody(control, settings)
    acks, missing = control.await_acks(names, generation, timeout_s=ANSWER_TIMEOUT_S)
    silent = [name for name in missing if control.alive(name)]
    return Outcome(
        did=did,
        generation=generation,
        answered_us={
            ack.process: None if math.isnan(ack.latency_us) else round(ack.latency_us, 1)
            for ack in sorted(acks, key=lambda ack: names.index(ack.process))
        },
        silent=silent,
        dead=[name for name in missing if name not in silent],
        ok=not silent,
        hindrances=hindrances(settings.config.system.namespace, silent),
    )


def pause(settings: Settings, target: str, *, paused: bool) -> Outcome:
    """Pause or resume what a word names: all, a process, a source, a direction or a symbol.

    Raises UnknownTarget. What stands paused can be resumed, though nothing else knows it any more.
    """
    verb = "paused" if paused else "resumed"
    if target == ALL:
        names = staying(settings)
        if paused:  # whatever stands still, people go on being told of it
            names = [name for name in names if name not in (ALERTS, GATEWAY)]
        else:
            told = [one.name for one in standing(settings) if one.kind is SwitchKind.PROCESS]
            names += [name for name in told if name not in names]
        changes = [Turning(SwitchKind.PROCESS, name, paused) for name in names]
        return switch(settings, f"{verb} all processes", changes)
    kind, name = _named(settings, target, paused)
    return switch(settings, f"{verb} {kind.name.lower()} {name}", [Turning(kind, name, paused)])


def _named(settings: Settings, target: str, paused: bool) -> tuple[SwitchKind, str]:
    """What a word means."""
    if not paused:
        for one in standing(settings):
            if one.kind is not SwitchKind.HALT and one.name.upper() == symbol_as(target):
                return one.kind, one.name
    if target in staying(settings):
        return SwitchKind.PROCESS, target
    if target in SOURCE_BY_LABEL:
        return SwitchKind.SOURCE, target
    if target in DIRECTION_BY_LABEL:
        return SwitchKind.DIRECTION, target
    unread, names = {}, [*staying(settings), *SOURCE_BY_LABEL, *DIRECTION_BY_LABEL]
    try:
        if symbol_id_of(settings, target) is not None:
            return SwitchKind.SYMBOL, symbol_as(target)
        names += [row.symbol for row in tables.load(settings.generated_dir).symbols]
    except TableError as error:
        unread = {"symbols": f"not known: {error}"}
    raise UnknownTarget(
        "nothing of that name",
        target=target,
        near=nearby(target, names),
        **unread,
        allowed=f"{ALL}, a process (spread-engine), a source ({next(iter(SOURCE_BY_LABEL))}), "
        f"a direction ({next(iter(DIRECTION_BY_LABEL))}) or a symbol (BTC-USDT)",
    )


def symbol_id_of(settings: Settings, symbol: str) -> int | None:
    """The id of a symbol in the tables in force, however it is written."""
    named = symbol_as(symbol)
    for row in tables.load(settings.generated_dir).symbols:
        if row.symbol == named:
            return row.symbol_id
    return None


def kill(settings: Settings, *, killed: bool) -> Outcome:
    """Stop all signals at once, or allow them again."""
    did = "halted" if killed else "allowed: signals may leave the engine again"
    return switch(settings, did, [Turning(SwitchKind.HALT, "", killed)])


def reload(settings: Settings) -> Outcome:
    """Every process takes new settings and tables, or says why not.

    Raises ConfigError or TableError, before anybody is told, where settings or tables show that
    they cannot be taken.
    """
    with Control.attach(settings.config.system.namespace) as control:
        check_reload(settings, control)
        names = everybody(control, settings)
        with control.operator() as operator:
            issued = [operator.reload(name) for name in names]
        found = await_answers(control, settings, "told all processes to reload", issued[-1])
        answers = [control.answer(name) for name in names]
        refused = {
            answer.process: answer.text
            for answer in answers
            if answer is not None
            and answer.outcome is ReloadOutcome.REFUSED
            and answer.generation >= issued[0]
        }
    idle = idle_settings(settings, load_known(settings.generated_dir))
    ok = found.ok and not refused
    return structs.replace(found, refused=refused, ok=ok, warnings=idle)


def check_reload(settings: Settings, control: Control) -> None:
    """Refuse what settings, the files that they name, and tables themselves show, by name."""
    files.check_files(settings)
    differing: dict[str, list[str]] = {}
    alive = [name for name in everybody(control, settings) if control.alive(name)]
    read = settings_by(settings, alive)
    for name in alive:
        for key in restart.changed(read.get(name, settings), name, control.fixed(name)):
            differing.setdefault(key, []).append(name)
    restart.refuse(differing)
    with PriceStore.attach(settings.config.system.namespace) as store:
        tables.load_for(settings.generated_dir, store.num_sources, store.max_symbols)


def stop(settings: Settings) -> Outcome:
    """End everything. Where a supervisor runs, it is told, and it ends the others in order."""
    with Control.attach(settings.config.system.namespace) as control:
        supervised = control.alive(SUPERVISOR)
        names = [SUPERVISOR] if supervised else list(reversed(everybody(control, settings)))
        with control.operator() as operator:
            generation = [operator.stop(name) for name in names][-1]
        did = "told the supervisor to end" if supervised else "told all processes to end"
        return await_answers(control, settings, did, generation)
