"""spread-ctl: one command for the operator. Each subcommand's work is in a module of its own.

Those modules are imported where they are used: `spread-ctl kill` must not wait for a screen library
or a plotting one to load. Errors of the world end as one clear line and an exit code; a fault of
ours keeps its traceback.
"""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from spread_scanner.errors import ConfigError, SpreadError
from spread_scanner.ops import looking, steering
from spread_scanner.ops.console import (
    EXIT_CODES,
    EXIT_DONE,
    EXIT_FAILED,
    EXIT_NOT_UP,
    EXIT_USAGE,
    Json,
    print_json,
)
from spread_scanner.shm.faults import NoSegment, NotReady, Retired

app = typer.Typer(
    help="Watches spot-to-perpetual spreads across exchanges. Starts, shows and steers the system.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Seconds = Annotated[
    float | None, typer.Option(help="End by itself after so long; default: at Ctrl-C.", min=0)
]
Seed = Annotated[int, typer.Option(help="Of the simulated market.")]
Symbols = Annotated[int, typer.Option(help="Simulated symbols per source.", min=4)]
Rate = Annotated[float, typer.Option(help="Simulated quotes per second, all sources.", min=1)]
Plant = Annotated[float, typer.Option(help="Seconds between planted opportunities.", min=0)]
NoScreen = Annotated[bool, typer.Option("--no-screen", help="Log lines instead of the screen.")]


@app.callback()
def _for_all(
    folder: Annotated[
        Path | None,
        typer.Option(
            "--config",
            help="Folder of the settings; default: SPREAD_CONFIG_DIR, ./config or "
            "/etc/spread-scanner.",
        ),
    ] = None,
    namespace: Annotated[
        str | None, typer.Option(help="Of the shared memory, instead of the settings'.")
    ] = None,
) -> None:
    # In the environment, so that the processes that a command starts see the same.
    if folder is not None:
        os.environ["SPREAD_CONFIG_DIR"] = str(folder.resolve())
    if namespace is not None:
        os.environ["SPREAD_SYSTEM__NAMESPACE"] = namespace


def _up(
    *,
    sim: bool,
    seconds: float | None,
    seed: int,
    as_json: bool,
    screen: bool,
    discover: bool = True,
    symbols: int,
    rate: float,
    plant_every_s: float,
    tolerance_ms: float,
    keep: Path | None,
) -> None:
    from spread_scanner.ops import up
    from spread_scanner.ops.simulation import Market

    namespace = os.environ.get("SPREAD_SYSTEM__NAMESPACE") if sim else None
    options = up.Options(
        sim=sim,
        seconds=seconds,
        json=as_json,
        screen=screen and not as_json and sys.stdout.isatty(),
        discover=discover,
        market=Market(seed, symbols, rate, plant_every_s),
        tolerance_ms=tolerance_ms,
        keep=keep,
    )
    raise typer.Exit(up.up(options, namespace))


@app.command("up", epilog=EXIT_CODES)
def _command_up(
    sim: Annotated[bool, typer.Option("--sim", help="Against the built-in simulator.")] = False,
    seconds: Seconds = None,
    seed: Seed = 1,
    as_json: Json = False,
    no_screen: NoScreen = False,
    no_discover: Annotated[
        bool, typer.Option("--no-discover", help="Use the tables that are there.")
    ] = False,
    symbols: Symbols = 100,
    rate: Rate = 2_000.0,
    plant_every_s: Plant = 0.5,
    tolerance_ms: Annotated[
        float, typer.Option(help="How late a signal may be and still count as found.", min=0)
    ] = 250.0,
    keep: Annotated[
        Path | None, typer.Option(help="Keep a simulated run's files in this folder.")
    ] = None,
) -> None:
    """Start everything in the foreground with a live screen; Ctrl-C ends it cleanly.

    With --sim --seconds N the run is scored against what the simulator planted: exit 0 only when
    nothing was missed and nothing invented. N counts from when all feeds have subscribed.
    """
    _up(
        sim=sim,
        seconds=seconds,
        seed=seed,
        as_json=as_json,
        screen=not no_screen,
        discover=not no_discover,
        symbols=symbols,
        rate=rate,
        plant_every_s=plant_every_s,
        tolerance_ms=tolerance_ms,
        keep=keep,
    )


@app.command("demo", epilog=EXIT_CODES)
def _command_demo(
    seconds: Seconds = 120.0,
    seed: Seed = 1,
    as_json: Json = False,
    no_screen: NoScreen = False,
) -> None:
    """The whole system on simulated exchanges, with the live screen. Needs no network."""
    _up(
        sim=True,
        seconds=seconds,
        seed=seed,
        as_json=as_json,
        screen=not no_screen,
        symbols=100,
        rate=2_000.0,
        plant_every_s=1.0,
        tolerance_ms=250.0,
        keep=None,
    )


steering.add_to(app)
looking.add_to(app)


def main() -> None:
    """The entry point."""
    raise SystemExit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """One command line; returns the exit code. Errors of the world become one line."""
    try:
        app(arguments, prog_name="spread-ctl")
    except SpreadError as error:
        return _failed(error, "--json" in arguments)
    except SystemExit as ending:
        return ending.code if isinstance(ending.code, int) else EXIT_FAILED
    return EXIT_DONE


def _failed(error: SpreadError, as_json: bool) -> int:
    code = exit_code_of(error)
    if as_json:
        print_json({"error": str(error), "exit_code": code})
    sys.stderr.write(f"spread-ctl: {error}\n")
    return code


def exit_code_of(error: SpreadError) -> int:
    """What an error of the world means to the caller."""
    if isinstance(error, ConfigError):
        return EXIT_USAGE
    if isinstance(error, NoSegment | NotReady | Retired):
        return EXIT_NOT_UP
    return EXIT_FAILED
