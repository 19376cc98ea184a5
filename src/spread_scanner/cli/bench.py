"""spread-bench: runs the benchmarks of a checkout, one JSON line per figure or a table.

The benchmarks stand in tests/bench/bench_<group>.py, each with `figures(small)`; this runs them in
the order of the groups and prints each figure beside its floor and its peers from the same run. A
benchmark that lost or reordered anything raises, and the exit code is 1.
"""

import importlib
import platform
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.table import Table

from spread_scanner import clock

GROUPS = (
    *("shm", "ring", "wake", "sim", "feed", "books", "engine", "tracker", "stats", "chain"),
    *("wal", "recorder", "questions", "replay", "supervise", "gateway", "pools", "paths", "e2e"),
)
# All that the log is for, in one run.
FAMILIES = {"wal": ("wal", "recorder", "replay", "questions")}


def _bench_folder() -> Path:
    for root in (Path.cwd(), Path(__file__).parents[3]):
        folder = root / "tests" / "bench"
        if folder.is_dir():
            return folder
    raise typer.BadParameter("the benchmarks are part of the source checkout: run this inside one")


def _named(said: list[str] | None) -> list[str]:
    """The groups, each once: of one that is named with those that belong to it."""
    named = (one for name in said or () for one in FAMILIES.get(name, (name,)))
    return list(dict.fromkeys(named)) or list(GROUPS)


def _machine(folder: Path) -> dict[str, object]:
    """What a figure means nothing without."""
    commit = subprocess.run(
        ["git", "-C", folder, "rev-parse", "--short", "HEAD"],
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        models = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        cpu = f"{models[0].partition(': ')[2]} x {len(models)}" if models else cpu
    return {
        "machine": cpu,
        "kernel": platform.release(),
        "python": platform.python_version(),
        "commit": commit or "none",
        "wall_ns": clock.wall_ns(),
    }


def _row(figure: dict[str, Any]) -> list[str]:
    peers = ", ".join(f"{name} {value:,.6g}" for name, value in figure["peers"].items())
    params = ", ".join(f"{name}={value}" for name, value in figure["params"].items())
    numbers = [figure["value"], figure["p99"], figure["floor"]]
    shown = ["" if number is None else f"{number:,.6g}" for number in numbers]
    return [figure["name"], figure["unit"], *shown, peers, params]


def run(
    group: Annotated[list[str] | None, typer.Argument(help="Groups to run; all if none.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON line per figure.")] = False,
    small: Annotated[
        bool, typer.Option(help="Small parameters: checks, measures nothing.")
    ] = False,
) -> None:
    """Run benchmarks and print their figures."""
    folder = _bench_folder()
    unknown = set(group or ()) - set(GROUPS)
    if unknown:
        raise typer.BadParameter(f"{', '.join(sorted(unknown))}: the groups are {' '.join(GROUPS)}")
    sys.path.insert(0, str(folder))
    table = Table("figure", "unit", "median", "p99", "floor", "peers", "parameters")
    machine = _machine(folder)
    if as_json:
        print(orjson.dumps({"name": "machine", **machine}).decode(), flush=True)
    console = Console(stderr=True, markup=False)
    for name in _named(group):
        if not (folder / f"bench_{name}.py").exists():
            continue
        console.print(f"running {name} ...", style="dim")
        for figure in importlib.import_module(f"bench_{name}").figures(small):
            if as_json:
                print(orjson.dumps(figure).decode(), flush=True)
            table.add_row(*_row(figure))
    if not as_json:
        wide = Console(width=None if sys.stdout.isatty() else 200, markup=False)
        wide.print(", ".join(f"{key} {value}" for key, value in machine.items()))
        wide.print(table)


def main() -> None:
    typer.run(run)


if __name__ == "__main__":
    main()
