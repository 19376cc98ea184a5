"""The commands that only look: status, connections, watch, signals, why, report, decode, doctor."""

import contextlib
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from spread_scanner import clock, config
from spread_scanner.errors import SpreadError, TableError
from spread_scanner.ops import in_force
from spread_scanner.ops.children import command_of
from spread_scanner.ops.console import (
    EXIT_CODES,
    EXIT_DONE,
    EXIT_FAILED,
    Json,
    grid,
    people,
    print_json,
)
from spread_scanner.ops.status import Status, staying, switches
from spread_scanner.schema.enums import SOURCE_BY_LABEL, ProcessState, Source
from spread_scanner.shm import Control, Health, PriceStore
from spread_scanner.symbology import tables

TRACKER = "spread-tracker"
DEGRADED = ProcessState.DEGRADED.name.lower()
FOLLOW_EVERY_S = 0.1


class UnknownSource(SpreadError):
    """A source that does not exist."""


class UnreadableFile(SpreadError):
    """A file that cannot be read."""


def add_to(app: typer.Typer) -> None:
    """Register the commands of this module."""
    for name, command in (
        ("status", status),
        ("connections", connections),
        ("watch", watch),
        ("signals", signals),
        ("why", why),
        ("report", report),
        ("decode", decode),
        ("doctor", doctor),
    ):
        passes_on = {"ignore_unknown_options": True, "allow_extra_args": True}
        settings = passes_on if name == "report" else None
        app.command(name, epilog=EXIT_CODES, context_settings=settings)(command)


def status(
    interval: Annotated[
        float, typer.Option(help="Seconds over which rates are measured.", min=0.05, max=60)
    ] = 0.5,
    counters: Annotated[
        bool, typer.Option("--counters", help="Also every counter that is not zero.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Every process: state, heartbeat, rates, drops, latency, tables. Exit 1 if any is unwell, a
    degraded one included, or if they have different settings or tables.

    With --json all counters are there too, by process.
    """
    from spread_scanner.ops.screen import processes_table

    settings = config.load()
    namespace = settings.config.system.namespace
    with Health.attach(namespace) as health, Control.attach(namespace) as control:
        looked = Status(settings, health)
        clock.sleep(interval)
        looked.look()
        views = looked.views()
        counted = {view.process: looked.counters(view.process) for view in views}
        switched = switches(control, settings)
        having = in_force.look(settings, control, health)
    mixed = in_force.differences(having)
    stay = staying(settings)
    unwell = [
        view.process
        for view in views
        if view.process in stay and (not view.healthy or view.state == DEGRADED)
    ]
    if as_json:
        print_json(
            {
                "namespace": namespace,
                "ok": not unwell and not mixed,
                "unwell": unwell,
                "mixed": mixed,
                "in_force": having,
                "switches": switched,
                "processes": views,
                "counters": counted,
            }
        )
    else:
        console = people()
        console.print(processes_table(views, console.width))
        if counters:
            rows = [
                (process, label, count)
                for process, counts in counted.items()
                for label, count in counts.items()
                if count
            ]
            console.print(grid("", ["process", "counter", "count>"], rows))
        on = [f"{name}: {value}" for name, value in switched.items() if value]
        if on:
            console.print(f"Switched by the operator: {'; '.join(on)}", style="bold yellow")
        for line in mixed:
            console.print(f"Mixed: {line}", style="bold yellow", markup=False, soft_wrap=True)
        if unwell:
            console.print(f"Unwell: {', '.join(unwell)}", style="bold red")
    raise typer.Exit(EXIT_FAILED if unwell or mixed else EXIT_DONE)


def connections(
    source: Annotated[str, typer.Option(help="Only this source's.")] = "",
    interval: Annotated[
        float, typer.Option(help="Seconds over which rates are measured.", min=0.05, max=60)
    ] = 0.5,
    as_json: Json = False,
) -> None:
    """Every connection of the feeds: messages, quotes, skips, reconnects, latencies.

    With --json all counters are there too, by connection.
    """
    from spread_scanner.ops import connections as seen

    only = _source_of(source) if source else None
    views = seen.look(config.load().config.system.namespace, interval, only)
    if as_json:
        print_json(views)
    else:
        console = people()
        console.print(grid("", *seen.columns_and_rows(views, console.width)))


def watch(
    symbol: Annotated[str, typer.Option(help="Show only symbols that contain this.")] = "",
    as_json: Json = False,
) -> None:
    """All spreads, live and full-screen: sort, filter, pause, a sparkline of the selected pair.

    With --json as they stand now, the highest net spread first, and the end.
    """
    from spread_scanner.ops.board import Board, board_rows
    from spread_scanner.ops.watch import Watch

    settings = config.load()
    loaded = tables.load(settings.generated_dir)
    with PriceStore.attach(settings.config.system.namespace) as store:
        if as_json:
            print_json(board_rows(Board(settings, loaded, store), symbol))
        else:
            Watch(settings, loaded, store, symbol).run()


def signals(
    count: Annotated[int, typer.Option("--last", "-n", help="How many past ones.", min=0)] = 20,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C or the system ends.")
    ] = False,
    as_json: Json = False,
) -> None:
    """The engine's last signals, as they stand in the ring. With --json --follow one a line."""
    from spread_scanner.ops.signal_tail import SignalTail, signal_row

    settings = config.load()
    symbols = _symbol_names(settings)
    with SignalTail.attach(settings.config.system.namespace, last=count) as tail:
        rows = [signal_row(record, symbols) for record in tail.take()] if count else []
        if as_json and not follow:
            print_json(rows)
            return
        if not as_json:
            people().print(_SIGNAL_HEADING, style="bold")
        with contextlib.suppress(KeyboardInterrupt):  # the usual end of --follow
            while True:
                for row in rows:
                    if as_json:
                        print_json(row)
                    else:
                        people().print(_signal_line(row))
                if not follow or tail.retired:
                    return
                clock.sleep(FOLLOW_EVERY_S)
                rows = [signal_row(record, symbols) for record in tail.take()]


_SIGNAL_HEADING = (
    f"{'seq':>8}  {'kind':8} {'symbol':14} {'direction':16} {'net':>8} {'gross':>8} "
    f"{'size':>10} {'ages ms':>14}"
)


def _signal_line(row: dict[str, object]) -> str:
    ages = f"{row['spot_age_ms']:,.0f} / {row['fut_age_ms']:,.0f}"
    return (
        f"{row['seq']:>8}  {row['kind']:8} {row['symbol']:14} {row['direction']:16} "
        f"{row['net_bps']:8.1f} {row['gross_bps']:8.1f} {row['size_quote']:10,.0f} {ages:>14}"
    )


def _symbol_names(settings: config.Settings) -> dict[int, str]:
    try:
        return tables.load(settings.generated_dir).symbol_names()
    except TableError:
        return {}  # the signals are worth more than their names


def why(
    symbol: Annotated[str, typer.Argument(help="For example BTC-USDT.")],
    direction: Annotated[str | None, typer.Option(help="Only this one.")] = None,
    last: Annotated[int, typer.Option(help="How many decisions.", min=1)] = 5,
    as_json: Json = False,
) -> None:
    """Why a spread gave a signal, or gave none: gross, fees, funding, size, ages, verdict."""
    from spread_scanner.ops import why as explanation

    answer = explanation.ask(config.load(), symbol, direction, last)
    if as_json:
        print_json(answer._asdict())
        return
    console = people()
    for line in explanation.lines(answer):
        console.print(line)


def report(context: typer.Context, as_json: Json = False) -> None:
    """How many opportunities there were and how long they stood; options as spread-tracker's:
    --since 24h, --html FILE, --json."""
    arguments = [*command_of(TRACKER), "report", *context.args, *(["--json"] if as_json else [])]
    raise typer.Exit(subprocess.run(arguments, check=False, env=dict(os.environ)).returncode)


def decode(
    file: Annotated[Path, typer.Argument(help="Recorded frames; - for stdin.")],
    source: Annotated[str, typer.Option(help="Whose frames they are.")],
    with_tables: Annotated[
        bool, typer.Option("--tables", help="Normalise by the tables in force.")
    ] = False,
) -> None:
    """Recorded frames to normalised quotes, one JSON object a line; what was skipped to stderr."""
    from spread_scanner.exchanges.decode import decode_lines, frames_in

    named = _source_of(source)
    scales = None
    if with_tables:
        listed = tables.load(config.load().generated_dir).of_source(named.source_id)
        scales = {row.exchange_symbol: (row.symbol_id, row.px_div, row.sz_mul) for row in listed}
    try:
        data = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        raise UnreadableFile(f"cannot be read: {error.strerror}", file=file) from None
    skipped: Counter[str] = Counter()
    count = 0
    for row in decode_lines(named, frames_in(named, data), scales, skipped):
        print_json(row)
        count += 1
    left_out = ", ".join(f"{number} {reason}" for reason, number in skipped.items()) or "none"
    sys.stderr.write(f"{count} quotes; skipped: {left_out}\n")


def _source_of(label: str) -> Source:
    if label not in SOURCE_BY_LABEL:
        raise UnknownSource("no such source", source=label, allowed=", ".join(SOURCE_BY_LABEL))
    return SOURCE_BY_LABEL[label]


def doctor(
    offline: Annotated[bool, typer.Option("--offline", help="Do not call the exchanges.")] = False,
    as_json: Json = False,
) -> None:
    """Machine, limits, shared memory, clocks, settings, exchanges: what is wrong and what to do."""
    from spread_scanner.ops.doctor import FAIL, examine

    checks = examine(reach=not offline)
    failed = [check.name for check in checks if check.result == FAIL]
    if as_json:
        print_json({"ok": not failed, "failed": failed, "checks": checks})
    else:
        console = people()
        styles = {"ok": "green", "warn": "yellow", FAIL: "bold red"}
        for check in checks:
            style = styles[check.result]
            console.print(f"[{style}]{check.result:4}[/]  {check.name:26} {check.found}")
            if check.advice:
                console.print(f"      {'':26} -> {check.advice}", style="italic")
    raise typer.Exit(EXIT_FAILED if failed else EXIT_DONE)
