"""Simulated runs of seeds that nobody has used before, scored: `make seeds` (SEEDS=10 of them).

Each is printed as it comes out, with what was not right by name and time, and can be run again:
`spread-ctl up --sim --json --seconds SECONDS --seed SEED`. Ends with 1 if one was not right.
"""

import argparse
import os
import secrets
import subprocess
import sys
from typing import Any

import orjson

SPREAD_CTL = [sys.executable, "-c", "from spread_scanner.cli.main import main; main()"]
WRONG = (*("missed", "invented", "overlong", "opportunities_wrong", "sizes_wrong", "usual_wrong"),)
BY_BOOKS = ("carried_judged", "carried_unjudged_why")
NAMED = (
    *("missed_intervals", "invented_signals", "overlong_intervals"),
    *("wrong_opportunities", "wrong_sizes", "wrong_usual"),
)
SEED_BITS = 31
BUSY_MS = 100.0  # of the 250 that a signal may be late


def fresh() -> int:
    """A seed that has not been used before."""
    return secrets.randbits(SEED_BITS)


def run(seed: int, seconds: float) -> dict[str, Any]:
    """The document of one run."""
    command = [*SPREAD_CTL, "up", "--sim", "--json", "--no-screen"]
    command += ["--seconds", str(seconds), "--seed", str(seed)]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("SPREAD_")}
    done = subprocess.run(command, env=environ, stdout=subprocess.PIPE, check=False)
    return dict(orjson.loads(done.stdout))


def told(document: dict[str, Any]) -> str:
    """One run in a line, and what was wrong in it."""
    counts = {name: document.get(name) for name in ("planted", *WRONG, *BY_BOOKS, "not_judged_why")}
    lines = [" ".join(f"{name}={count}" for name, count in counts.items())]
    lines += [f"  {name}: {one}" for name in NAMED for one in document.get(name, [])]
    lines += [f"  {document['error']}"] if "error" in document else []
    waits_ms = {name: ms for name, ms in document.get("cpu_wait_ms", {}).items() if ms > BUSY_MS}
    lines += [f"  waited for a CPU, ms within a second: {waits_ms}"] if waits_ms else []
    return "\n".join(lines)


def main() -> int:
    """Run as many as were asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=25.0)
    parser.add_argument("seeds", type=int, nargs="*", help="these instead of fresh ones")
    given = parser.parse_args()
    right = True
    for seed in given.seeds or [fresh() for _ in range(given.count)]:
        document = run(seed, given.seconds)
        print(f"seed {seed}: {told(document)}", flush=True)
        right = right and document.get("ok", False)  # a run that never began has none
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
