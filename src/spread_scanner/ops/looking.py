"""The commands that only look: status, signals, why, watch, report, decode, doctor."""

import time
from typing import Annotated

import typer

from spread_scanner import config
from spread_scanner.ops.console import (
    EXIT_CODES,
    EXIT_DONE,
    EXIT_FAILED,
    Json,
    people,
    print_json,
)
from spread_scanner.ops.status import Status, staying, switches
from spread_scanner.shm import Control, Health


def add_to(app: typer.Typer) -> None:
    """Register the commands of this module."""
    for name, command in (("status", status),):
        app.command(name, epilog=EXIT_CODES)(command)


def status(
    interval: Annotated[
        float, typer.Option(help="Seconds over which rates are measured.", min=0.05, max=60)
    ] = 0.5,
    as_json: Json = False,
) -> None:
    """Every process: state, heartbeat, rates, drops, latency, tables. Exit 1 if any is unwell."""
    from spread_scanner.ops.screen import processes_table

    settings = config.load()
    namespace = settings.config.system.namespace
    with Health.attach(namespace) as health, Control.attach(namespace) as control:
        looked = Status(settings, health)
        time.sleep(interval)
        looked.look()
        views = looked.views()
        switched = switches(control, settings)
    unwell = [
        view.process for view in views if view.process in staying(settings) and not view.healthy
    ]
    if as_json:
        print_json(
            {
                "namespace": namespace,
                "ok": not unwell,
                "unwell": unwell,
                "switches": switched,
                "processes": views,
            }
        )
    else:
        console = people()
        console.print(processes_table(views))
        on = [f"{name}: {value}" for name, value in switched.items() if value]
        if on:
            console.print(f"Switched by the operator: {'; '.join(on)}", style="bold yellow")
        if unwell:
            console.print(f"Unwell: {', '.join(unwell)}", style="bold red")
    raise typer.Exit(EXIT_FAILED if unwell else EXIT_DONE)
