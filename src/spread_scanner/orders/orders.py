"""Orders to the processes: pause, resume, kill, stop, reload; and who answered, how fast.

An order is a word in the control segment. Each live process answers when it has applied it; a dead
one is named at once and never waited for. A reload may be refused: by us, where settings or tables
show it, before anybody is told; else by a process, whose reason is passed on.
"""

import math
from collections.abc import Callable

from msgspec import Struct, structs

from spread_scanner.config import Settings, restart
from spread_scanner.config.processes import staying
from spread_scanner.errors import SpreadError
from spread_scanner.schema.enums import (
    DIRECTION_BY_LABEL,
    SOURCE_BY_LABEL,
    ReloadOutcome,
)
from spread_scanner.schema.names import ALERTS, PROCESSES, SUPERVISOR
from spread_scanner.shm import Control, PriceStore
from spread_scanner.shm.control import Operator
from spread_scanner.symbology import tables
from spread_scanner.symbology.known import idle_settings, load_known

ACK_TIMEOUT_S = 2.0
RELOAD_TIMEOUT_S = 5.0  # reading the tables takes its time on a busy machine
ALL = "all"


class UnknownTarget(SpreadError):
    """Something to pause that does not exist."""


class Outcome(Struct, frozen=True, forbid_unknown_fields=True):
    """What came of an order."""

    did: str
    generation: int
    answered_us: dict[str, float | None]  # None: answered, then a newer order was issued
    silent: list[str]  # alive, but did not answer in time
    dead: list[str]  # not running
    refused: dict[str, str] = {}  # answered a reload with no, and why
    ok: bool = True  # nobody is silent, nobody refused
    warnings: list[str] = []  # settings that were taken and do nothing


def order(settings: Settings, did: str, issue: Callable[[Operator], int]) -> Outcome:
    """Issue an order and wait for the answers of all live processes."""
    with (
        Control.attach(settings.config.system.namespace) as control,
        control.operator() as operator,
    ):
        return await_answers(control, settings, did, issue(operator))


def everybody(control: Control, settings: Settings) -> list[str]:
    """Who is to hear an order: those who belong to the system, and whoever else lives."""
    names = staying(settings)
    others = [name for name in (*PROCESSES, SUPERVISOR) if name not in names]
    return names + [name for name in others if control.alive(name)]


def await_answers(
    control: Control,
    settings: Settings,
    did: str,
    generation: int,
    timeout_s: float | None = None,
) -> Outcome:
    """Who answered a generation, who is silent, who is dead."""
    names = everybody(control, settings)
    acks, missing = control.await_acks(names, generation, timeout_s=timeout_s or ACK_TIMEOUT_S)
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
    )


def pause(settings: Settings, target: str, *, paused: bool) -> Outcome:
    """Pause or resume what a word names: all, a process, a source, a direction or a symbol."""
    verb = "paused" if paused else "resumed"
    what, issue = _issuer(settings, target, paused)
    return order(settings, f"{verb} {what}", issue)


def _issuer(settings: Settings, target: str, paused: bool) -> tuple[str, Callable[[Operator], int]]:
    processes = staying(settings)
    if target == ALL:
        if paused:  # whatever stands still, people go on being told of it
            processes = [name for name in processes if name != ALERTS]
        return "all processes", lambda op: [op.pause(name, paused=paused) for name in processes][-1]
    if target in processes:
        return f"process {target}", lambda op: op.pause(target, paused=paused)
    if target in SOURCE_BY_LABEL:
        source_id = SOURCE_BY_LABEL[target].source_id
        return f"source {target}", lambda op: op.pause_source(source_id, paused=paused)
    if target in DIRECTION_BY_LABEL:
        direction_id = DIRECTION_BY_LABEL[target].direction_id
        return f"direction {target}", lambda op: op.pause_direction(direction_id, paused=paused)
    symbol_id = symbol_id_of(settings, target)
    if symbol_id is None:
        raise UnknownTarget(
            "nothing of that name",
            target=target,
            allowed=f"{ALL}, a process (spread-engine), a source ({next(iter(SOURCE_BY_LABEL))}), "
            f"a direction ({next(iter(DIRECTION_BY_LABEL))}) or a symbol (BTC-USDT)",
        )
    return f"symbol {target.upper()}", lambda op: op.pause_symbol(symbol_id, paused=paused)


def symbol_id_of(settings: Settings, symbol: str) -> int | None:
    """The id of a symbol in the tables in force; upper or lower case."""
    for row in tables.load(settings.generated_dir).symbols:
        if row.symbol == symbol.upper():
            return row.symbol_id
    return None


def kill(settings: Settings, *, killed: bool) -> Outcome:
    """Stop all signals at once, or allow them again."""
    did = "kill switch on: no signal leaves the engine" if killed else "kill switch off"
    return order(settings, did, lambda op: op.kill(killed=killed))


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
            did = "told all processes to reload"
            found = await_answers(control, settings, did, issued[-1], RELOAD_TIMEOUT_S)
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
    """Refuse what settings and tables themselves show, by name."""
    differing: dict[str, list[str]] = {}
    for name in everybody(control, settings):
        if control.alive(name):
            for key in restart.changed(settings, name, control.fixed(name)):
                differing.setdefault(key, []).append(name)
    restart.refuse(differing)
    with PriceStore.attach(settings.config.system.namespace) as store:
        tables.load_for(settings.generated_dir, store.max_symbols)


def stop(settings: Settings) -> Outcome:
    """End everything. Where a supervisor runs, it is told, and it ends the others in order."""
    with Control.attach(settings.config.system.namespace) as control:
        supervised = control.alive(SUPERVISOR)
        names = [SUPERVISOR] if supervised else list(reversed(staying(settings)))
        with control.operator() as operator:
            generation = [operator.stop(name) for name in names][-1]
        did = "told the supervisor to end" if supervised else "told all processes to end"
        return await_answers(control, settings, did, generation)
