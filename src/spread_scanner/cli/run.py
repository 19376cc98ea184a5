"""The commands that run the system in the foreground: up, demo."""

import os
from pathlib import Path
from typing import Annotated

import typer

from spread_scanner.cli.console import (
    EXIT_CODES,
    Json,
    grid,
    on_screen,
    people,
    print_json,
)
from spread_scanner.errors import Unusable
from spread_scanner.schema.names import EXIT_DONE, EXIT_FAILED
from spread_scanner.supervise.summary import RunSummary

_Seconds = Annotated[
    float | None,
    typer.Option(help="End by itself after so long; default: at Ctrl-C.", min=0, max=1e9),
]
_Seed = Annotated[int, typer.Option(help="Of the simulated market.", min=0)]
_Symbols = Annotated[int, typer.Option(help="Simulated symbols per source.", min=4, max=16_384)]
_Rate = Annotated[
    float, typer.Option(help="Simulated quotes per second, all sources.", min=1, max=1e6)
]
_Plant = Annotated[
    float, typer.Option(help="Seconds between planted opportunities.", min=0, max=1e6)
]
_Characters = Annotated[
    float,
    typer.Option(
        help="Share of simulated coins that revert, stand apart, are wide or jump.", min=0, max=1
    ),
]
CHARACTERS = 0.3
_SIMULATED = (
    *("seed", "symbols", "rate", "plant_every_s", "characters", "tolerance_ms", "keep"),
    *("gateway", "pools", "pool_faults_s"),
)
POOL_FAULTS_S = 5.0
_Gateway = Annotated[
    bool | None,
    typer.Option(
        "--gateway/--no-gateway",
        help="Show a simulated run to browsers, at port 3001 or the next that is free; "
        "as shipped all are but `up --json`.",
    ),
]
_NoScreen = Annotated[bool, typer.Option("--no-screen", help="Log lines instead of the screen.")]


def add_to(app: typer.Typer) -> None:
    """Register the commands of this module."""
    for name, command in (("up", up), ("demo", demo)):
        app.command(name, epilog=EXIT_CODES)(command)


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
    characters: float,
    tolerance_ms: float,
    keep: Path | None,
    gateway: bool | None,
    pools: int = 0,
    pool_faults_s: float = 0.0,
) -> None:
    from spread_scanner.cli.screen import Screen
    from spread_scanner.schema.pools import POOLS_MAX
    from spread_scanner.supervise.simulation import SimulatedMarket
    from spread_scanner.supervise.up import UpOptions
    from spread_scanner.supervise.up import up as live

    if pools > POOLS_MAX:
        raise Unusable("more pools than a system has places for", given=pools, allowed=POOLS_MAX)
    namespace = os.environ.get("SPREAD_SYSTEM__NAMESPACE") if sim else None
    options = UpOptions(
        sim=sim,
        seconds=seconds,
        discover=discover,
        market=SimulatedMarket(
            *(seed, symbols, rate, plant_every_s, characters, pools, pool_faults_s)
        ),
        tolerance_ms=tolerance_ms,
        keep=keep,
        gateway=sim and (not as_json if gateway is None else gateway),
    )
    shown = screen and not as_json and on_screen()
    document = live(options, namespace, Screen if shown else None)
    if as_json:
        print_json(document)
    else:
        _tell(document)
    raise typer.Exit(EXIT_DONE if document["ok"] else EXIT_FAILED)


def up(
    context: typer.Context,
    sim: Annotated[bool, typer.Option("--sim", help="Against the built-in simulator.")] = False,
    seconds: _Seconds = None,
    seed: _Seed = 1,
    as_json: Json = False,
    no_screen: _NoScreen = False,
    no_discover: Annotated[
        bool, typer.Option("--no-discover", help="Use the tables that are there.")
    ] = False,
    symbols: _Symbols = 100,
    rate: _Rate = 2_000.0,
    plant_every_s: _Plant = 0.5,
    characters: _Characters = CHARACTERS,
    tolerance_ms: Annotated[
        float,
        typer.Option(help="How late a signal may be and still count as found.", min=0, max=1e6),
    ] = 250.0,
    keep: Annotated[
        Path | None, typer.Option(help="Keep a simulated run's files in this folder.")
    ] = None,
    gateway: _Gateway = None,
    pools: Annotated[
        int,
        typer.Option(
            help="Simulated pools of Solana, of three providers, against all perpetuals; five have "
            "one of each kind.",
            min=0,
        ),
    ] = 0,
    pool_faults_s: Annotated[
        float,
        typer.Option(help="A fault of a provider or the chain so often; 0: none.", min=0, max=1e6),
    ] = POOL_FAULTS_S,
) -> None:
    """Start everything in the foreground with a live screen; Ctrl-C ends it cleanly.

    With --sim --seconds N the run is scored against what the simulator planted: exit 0 only when
    nothing was missed or invented, every end was signalled in time, the tracker followed it all and
    every size was right. What was halted or paused meanwhile is not judged. N counts from when all
    feeds have subscribed. A long one that Ctrl-C ends is not scored, and a second Ctrl-C ends the
    judging of any.
    """
    if not sim and (given := _only_simulated(context)):
        raise Unusable("only a simulated run knows this: add --sim", given=" ".join(given))
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
        characters=characters,
        tolerance_ms=tolerance_ms,
        keep=keep,
        gateway=gateway,
        pools=pools,
        pool_faults_s=pool_faults_s if pools else 0.0,
    )


def _only_simulated(context: typer.Context) -> list[str]:
    """Options of the command line that mean nothing to live exchanges."""
    sources = {name: context.get_parameter_source(name) for name in _SIMULATED}
    said = [name for name, source in sources.items() if source and source.name == "COMMANDLINE"]
    return [f"--{name.replace('_', '-')}" for name in said]


def demo(
    seconds: _Seconds = 120.0,
    seed: _Seed = 1,
    as_json: Json = False,
    no_screen: _NoScreen = False,
    gateway: _Gateway = None,
) -> None:
    """The whole system on simulated exchanges, with the live screen, and for a browser at the
    address that it says. Needs no network."""
    _up(
        sim=True,
        seconds=seconds,
        seed=seed,
        as_json=as_json,
        screen=not no_screen,
        symbols=100,
        rate=2_000.0,
        plant_every_s=1.0,
        characters=CHARACTERS,
        tolerance_ms=250.0,
        keep=None,
        gateway=gateway is not False,
    )


def _tell(document: RunSummary) -> None:
    """The summary for people."""
    console = people()
    console.print(
        f"Ran {document['seconds']:z.0f} s: {document['messages']:,} messages, "
        f"{document['quotes']:,} quotes, {document['signals']:,} signals, "
        f"{document['opportunities']:,} opportunities, {document['drops']:,} drops, "
        f"{document['restarts']} restarts."
    )
    rows = [
        (stage, *[numbers[name] for name in ("p50", "p90", "p99", "p99.9", "max")])
        for stage, numbers in document["latency_us"].items()
        if numbers["count"]
    ]
    console.print(grid("", ["latency, us", "p50>", "p90>", "p99>", "p99.9>", "max>"], rows))
    if "planted" in document:
        console.print(
            f"Of {document['planted']:,} planted opportunities "
            f"({document['planted_by_pools']:,} of pools) {document['found']:,} were found, "
            f"{document['missed']:,} missed, {document['invented']:,} invented, "
            f"{document['overlong']:,} without an exit in time; "
            f"{document['opportunities_wrong']:,} opportunities and "
            f"{document['sizes_wrong']:,} of {document['sizes_judged']:,} sizes wrong "
            f"({document['sizes_unjudged']:,} made late on a busy machine not judged), "
            f"{document['carried_judged']:,} of them by order books "
            f"({_unjudged(document['carried_unjudged_why'])}); of opportunities "
            f"{_unjudged(document['not_judged_why'])}; {document['usual_wrong']:,} of "
            f"{document['usual_judged']:,} usual bases wrong."
        )
        for kind in (
            "missed_intervals",
            "overlong_intervals",
            "wrong_opportunities",
            "wrong_sizes",
            "wrong_usual",
            "invented_signals",
        ):
            for one in document[kind]:
                console.print(f"  {kind.replace('_', ' ')}: {one}")
    if "not_scored" in document:
        console.print(f"Not scored: {document['not_scored']}.")
    if document["killed_at_stop"]:
        console.print(f"Had to be killed at the end: {', '.join(document['killed_at_stop'])}")
    if "files" in document:
        console.print(f"Its files, logs among them, are in {document['files']}.")


def _unjudged(why: dict[str, int]) -> str:
    """For people."""
    if not why:
        return "all judged"
    return "not judged: " + ", ".join(f"{count} {reason}" for reason, count in why.items())
