"""The commands that change something: pause, resume, halt, allow, reload, down, discover, clean.

Each says what it did, which processes answered and after how long, and names those that are dead or
silent. Exit 0 when every live process answered; a dead process is no reason to fail: there is
nobody whom the order could concern.
"""

import os
import subprocess
import sys
from typing import Annotated

import typer

from spread_scanner import clock, config
from spread_scanner.cli import answers
from spread_scanner.cli.console import (
    EXIT_CODES,
    Json,
    grid,
    people,
    print_json,
    switched_lines,
)
from spread_scanner.cli.known import load_settings
from spread_scanner.config.processes import expected
from spread_scanner.discovery import options
from spread_scanner.orders import carried, orders
from spread_scanner.orders.hindrances import hindrances
from spread_scanner.orders.orders import Outcome
from spread_scanner.schema.figures import plain
from spread_scanner.schema.names import (
    DISCOVERY,
    EXIT_DONE,
    EXIT_FAILED,
    EXIT_NOT_UP,
    EXIT_PARTIAL,
    SHM_INIT,
)
from spread_scanner.shm import Health, dials, segment
from spread_scanner.shm.faults import NoSegment, NotReady, Retired
from spread_scanner.supervise.children import command_of, in_short
from spread_scanner.symbology import publish

FORMER = ("kill", "shutdown")  # other words for halt, allow and down --no-wait
# A supervisor ends its processes and itself in 5 s at most; on a busy machine thrice that. Without
# one each ends by itself, in less.
DOWN_TIMEOUT_S = 15.0
GONE_TIMEOUT_S = 3.0

_Target = Annotated[
    str,
    typer.Argument(help="all, a process, a source, a direction or a symbol such as BTC-USDT."),
]


def add_to(app: typer.Typer) -> None:
    """Register the commands of this module."""
    for name, command in (
        ("down", down),
        ("pause", pause),
        ("resume", resume),
        ("halt", halt),
        ("allow", allow),
        ("reload", reload),
        ("discover", discover),
        ("clean", clean),
        ("kill", kill),
        ("shutdown", shutdown),
    ):
        app.command(name, epilog=EXIT_CODES, hidden=name in FORMER)(command)


def tell(outcome: Outcome, as_json: bool) -> None:
    """Say what was done and who answered; ends the command."""
    if as_json:
        print_json(outcome)
    else:
        console = people()
        console.print(f"{outcome.did[0].upper()}{outcome.did[1:]} (order {outcome.generation}).")
        rows = [
            (name, "REFUSED" if name in outcome.refused else "answered", us)
            for name, us in outcome.answered_us.items()
        ]
        rows += [(name, "SILENT", None) for name in outcome.silent]
        rows += [(name, "not running", None) for name in outcome.dead]
        console.print(grid("", ["process", "answer", "after us>"], rows))
        for name, why in outcome.refused.items():
            console.print(f"{name} refused: {why}", markup=False)
        for line in _silent_lines(outcome):
            console.print(line, markup=False)
        for warning in outcome.warnings:
            console.print(f"warning: {warning}", markup=False)
    raise typer.Exit(EXIT_DONE if outcome.ok else EXIT_FAILED)


def _silent_lines(outcome: Outcome) -> list[str]:
    return [
        f"{name} lives, but did not answer within {plain(orders.ANSWER_TIMEOUT_S)} s"
        f"{_hindered(outcome.hindrances, name)}."
        for name in outcome.silent
    ]


def _hindered(known: dict[str, str], name: str) -> str:
    return f" ({known[name]})" if name in known else ""


def tell_switched(outcome: Outcome, as_json: bool) -> None:
    """As `tell`, and what stands switched after it, and whether that will outlive the segments."""
    if not as_json:
        console = people()
        for line in switched_lines(outcome.standing):
            console.print(line, markup=False)
        if outcome.not_remembered:
            forgotten = f"In force, not remembered: {outcome.not_remembered}"
            console.print(forgotten, style="bold red", markup=False)
    if outcome.up:
        tell(outcome, as_json)
    if as_json:
        print_json(outcome)
    else:
        did = f"{outcome.did[0].upper()}{outcome.did[1:]}"
        people().print(f"{did}, from the next start on: the system is not up.", markup=False)
    raise typer.Exit(EXIT_NOT_UP)


def pause(target: _Target, as_json: Json = False) -> None:
    """No signals for what is named, until it is resumed; it survives restarts of everything."""
    tell_switched(orders.pause(config.load(), target, paused=True), as_json)


def resume(target: _Target, as_json: Json = False) -> None:
    """Take a pause back; says what stays paused."""
    tell_switched(orders.pause(config.load(), target, paused=False), as_json)


def halt(as_json: Json = False) -> None:
    """No signal leaves the engine, at once and until `allow`, whatever is restarted meanwhile. Says
    when each process answered, in microseconds."""
    tell_switched(orders.kill(config.load(), killed=True), as_json)


def allow(as_json: Json = False) -> None:
    """Signals may leave the engine again; what is paused stays paused."""
    tell_switched(orders.kill(config.load(), killed=False), as_json)


def kill(
    off: Annotated[bool, typer.Option("--off", help="Allow signals again.")] = False,
    as_json: Json = False,
) -> None:
    """Another word for `halt`; with --off for `allow`."""
    tell_switched(orders.kill(config.load(), killed=not off), as_json)


def reload(as_json: Json = False) -> None:
    """Every process takes the settings and tables as they are now; what is unchanged goes on.

    What cannot be taken is refused by name before anyone is told. Exit 1 where a process refuses.
    """
    settings = load_settings()
    tell(orders.reload(settings), as_json)


def shutdown(as_json: Json = False) -> None:
    """Another word for `down --no-wait`."""
    tell(orders.stop(load_settings()), as_json)


def down(
    no_wait: Annotated[
        bool, typer.Option("--no-wait", help="Only ask them to end; the segments stay.")
    ] = False,
    as_json: Json = False,
) -> None:
    """End everything that `up` started: wait until all have gone and remove the segments."""
    settings = load_settings()
    if no_wait:
        tell(orders.stop(settings), as_json)
    namespace = settings.config.system.namespace
    outcome = orders.stop(settings)
    deadline_s = clock.awake_s() + DOWN_TIMEOUT_S
    while (alive := _alive(namespace)) and clock.awake_s() < deadline_s:
        clock.sleep(0.02)
    removed, kept = ([], segment.names(namespace)) if alive else _cleaned(settings)
    known = hindrances(namespace, alive)
    if as_json:
        print_json(answers.Ended(outcome.did, not alive, alive, kept, known))
    elif alive:
        named = [f"{name}{_hindered(known, name)}" for name in alive]
        said = f"Still running after {plain(DOWN_TIMEOUT_S)} s: {', '.join(named)}."
        people().print(said, markup=False)
    else:
        people().print(f"Everything in namespace {namespace} has ended.")
        if removed:
            people().print(f"Removed {len(removed)} segments.")
        if kept:
            people().print(f"Segments kept, as somebody looks at them: {', '.join(kept)}.")
    raise typer.Exit(EXIT_FAILED if alive else EXIT_DONE)


def _cleaned(settings: config.Settings) -> tuple[list[str], list[str]]:
    """Remove the segments, when what is switched in them is remembered. A process that has let go
    of its row holds them until it has gone."""
    namespace = settings.config.system.namespace
    if segment.names(namespace):
        carried.carry(settings)
    deadline_s = clock.awake_s() + GONE_TIMEOUT_S
    while True:
        removed, kept = segment.clean(namespace, but=_bans(namespace))
        if not kept or clock.awake_s() >= deadline_s:
            return removed, kept
        clock.sleep(0.02)


def _bans(namespace: str) -> str:
    """What is left, as asking an exchange before a ban's end prolongs it."""
    return dials.segment_of_bans(namespace, clock.mono_ns())


def _alive(namespace: str) -> list[str]:
    try:
        with Health.attach(namespace, timeout_s=0) as health:
            return [name for name in health.names() if health.alive(name)]
    except (NoSegment, NotReady, Retired):
        return []


def discover(
    quick: options.Quick = False,
    due: options.Due = False,
    accept: options.Accept = False,
    no_validate: options.NoValidate = False,
    as_json: Json = False,
) -> None:
    """Find the pairs anew (runs pair-discovery), then reload where the system is up."""
    if due and not quick:
        raise typer.BadParameter(options.DUE_ALONE)
    settings = config.load()
    started_s = clock.awake_s()
    generation = publish.generation_in_force(settings.generated_dir)
    wanted = {
        "--quick": quick,
        "--due": due,
        "--accept": accept,
        "--no-validate": no_validate,
    }
    given = [option for option, wished in wanted.items() if wished]
    code, said = _run_discovery(given, as_json)
    took_s = round(clock.awake_s() - started_s, 1)
    if code not in (EXIT_DONE, EXIT_PARTIAL):
        if as_json:
            error = said or f"pair-discovery failed with code {code}"
            print_json(answers.Discovered(False, code, took_s, error=error))
        else:
            people().print(f"pair-discovery failed with code {code}; the old tables stay in force.")
        raise typer.Exit(EXIT_FAILED)
    published = publish.generation_in_force(settings.generated_dir) != generation
    outcome = None
    if published and any(
        name in expected(settings) and name != SHM_INIT for name in _alive_of(settings)
    ):
        # Read again: the files may have been edited while discovery ran.
        outcome = orders.reload(config.load())
    if as_json:
        ok = outcome is None or outcome.ok
        print_json(answers.Discovered(ok, code, took_s, outcome, published))
    else:
        _say_found(code, took_s, published, outcome)
    raise typer.Exit(code if outcome is None or outcome.ok else EXIT_FAILED)


def _run_discovery(given: list[str], as_json: bool) -> tuple[int, str]:
    """Its exit code and, under --json, the last that it said: then all of it goes to stderr, as
    stdout is ours."""
    said = ""
    out = subprocess.PIPE if as_json else None
    with subprocess.Popen(
        [*command_of(DISCOVERY), *given],
        stdout=out,
        stderr=subprocess.STDOUT if as_json else None,
        env=dict(os.environ),
        encoding="utf-8",
        errors="replace",
    ) as child:
        for line in child.stdout or ():
            sys.stderr.write(line)
            said = line.strip() or said
    return child.returncode, in_short(said)


def _say_found(code: int, took_s: float, published: bool, outcome: Outcome | None) -> None:
    if not published:
        people().print(f"Nothing new after {took_s} s; the tables stay as they are.")
        return
    partly = "; some exchange was not reached or not believed" if code == EXIT_PARTIAL else ""
    people().print(f"Tables published after {took_s} s{partly}.")
    people().print(
        "The system is not up: they are taken at its next start."
        if outcome is None
        else f"{len(outcome.answered_us) - len(outcome.refused)} processes have taken them."
    )
    for name, why in (outcome.refused if outcome is not None else {}).items():
        people().print(f"  {name} refused: {why}", markup=False)
    for line in _silent_lines(outcome) if outcome is not None else []:
        people().print(f"  {line}", markup=False)


def _alive_of(settings: config.Settings) -> list[str]:
    return _alive(settings.config.system.namespace)


def clean(as_json: Json = False) -> None:
    """Remove the segments of the namespace, unless a live process holds any of them. What is
    switched in them is remembered for the next start."""
    settings = config.load()
    namespace = settings.config.system.namespace
    if segment.names(namespace):
        carried.carry(settings)
    removed, kept = segment.clean(namespace, but=_bans(namespace))
    if as_json:
        print_json(answers.Cleaned(removed, kept))
    elif kept:
        people().print(f"Kept, as a live process holds them: {', '.join(kept)}. Try down first.")
    else:
        people().print(
            f"Removed {', '.join(removed)}." if removed else f"Nothing of {namespace} to remove."
        )
    raise typer.Exit(EXIT_FAILED if kept else EXIT_DONE)
