"""The commands that only look: status, connections, watch, signals, why, report."""

import contextlib
import os
import subprocess
from typing import Annotated

import typer

from spread_scanner import clock, config
from spread_scanner.cli.console import (
    EXIT_CODES,
    Json,
    grid,
    people,
    print_json,
    source_of,
)
from spread_scanner.config.processes import staying
from spread_scanner.errors import TableError
from spread_scanner.schema.enums import ProcessState
from spread_scanner.schema.names import EXIT_DONE, EXIT_FAILED, TRACKER
from spread_scanner.shm import Control, Health, PriceStore
from spread_scanner.supervise.children import command_of
from spread_scanner.symbology import tables
from spread_scanner.view import in_force
from spread_scanner.view.status import Status, switches

DEGRADED = ProcessState.DEGRADED.name.lower()
FOLLOW_EVERY_S = 0.1


def add_to(app: typer.Typer) -> None:
    """Register the commands of this module."""
    for name, command in (
        ("status", status),
        ("connections", connections),
        ("watch", watch),
        ("signals", signals),
        ("why", why),
        ("report", report),
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
    from spread_scanner.cli.screen import processes_table

    settings = config.load()
    namespace = settings.config.system.namespace
    with Health.attach(namespace) as health, Control.attach(namespace) as control:
        looked = Status(settings, health)
        clock.sleep(interval)
        looked.look()
        views = looked.views()
        counted = {view.process: looked.counters(view.process) for view in views}
        switched = switches(control, settings)
        having = in_force.look(control, health)
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
    from spread_scanner.cli.connections import columns_and_rows
    from spread_scanner.view import connections as seen

    only = source_of(source) if source else None
    views = seen.look(config.load().config.system.namespace, interval, only)
    if as_json:
        print_json(views)
    else:
        console = people()
        console.print(grid("", *columns_and_rows(views, console.width)))


def watch(
    symbol: Annotated[str, typer.Option(help="Show only symbols that contain this.")] = "",
    as_json: Json = False,
) -> None:
    """All spreads, live and full-screen: sort, filter, pause, a sparkline of the selected pair.

    With --json as they stand now, the highest net spread first, and the end.
    """
    from spread_scanner.cli.watch import Watch
    from spread_scanner.view.spreads import Board, board_rows

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
    from spread_scanner.view.signals import SignalTail, signal_row

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
    from spread_scanner.cli.why import lines
    from spread_scanner.view.evaluations import ask

    answer = ask(config.load(), symbol, direction, last)
    if as_json:
        print_json(answer._asdict())
        return
    console = people()
    for line in lines(answer):
        console.print(line)


def report(context: typer.Context, as_json: Json = False) -> None:
    """How many opportunities there were and how long they stood; options as spread-tracker's:
    --since 24h, --html FILE, --json."""
    arguments = [*command_of(TRACKER), "report", *context.args, *(["--json"] if as_json else [])]
    raise typer.Exit(subprocess.run(arguments, check=False, env=dict(os.environ)).returncode)
