"""Many days: `make days N=1000`, or one again: `make days SEED=... SOURCE=...`.

Days of the eight sources in turn, after each dozen an hour of all; as many at a time as there are
CPUs. Prints every seed. A day that fails is shrunk and told; the exit code is 1 then.
"""

import argparse
import os
import secrets
import sys
import time
from concurrent.futures import ProcessPoolExecutor

from day import run
from events import Result
from faults import schedule
from shrink import shrink, story

from spread_scanner.schema.enums import SOURCES

LABELS = [source.label for source in SOURCES]
DAYS_PER_HOUR_OF_ALL = 12


def faults_of(result: Result) -> dict[str, list]:  # type: ignore[type-arg]
    """The schedule that the day had."""
    single = len(result.sources) == 1
    hours, dense = (24.0, 1.0) if single else (1.0, 1.5)
    return {
        label: schedule(f"{result.seed} {label}", hours, dense=dense) for label in result.sources
    }


def live(work: tuple[str, str]) -> tuple[bool, str]:
    """One day: whether it was well, and what to print."""
    seed, source = work
    began = time.process_time()
    result = run(seed, source)
    took_s = time.process_time() - began
    what = " ".join(f"{key}={count}" for key, count in result.counts.items())
    line = f"{seed:>12} {source or 'all':16} {took_s:5.1f} s CPU  {what}"
    if not result.violations:
        return True, line
    shrunk, faults = shrink(result, faults_of(result))
    return False, f"{line}\n{story(shrunk, faults)}"


def works(count: int, seed: str, source: str) -> list[tuple[str, str]]:
    """Which days to live."""
    if seed and source:
        return [(seed, "" if source == "all" else source)]
    base = seed or secrets.token_hex(3)
    days = [(f"{base}-{number}", LABELS[number % len(LABELS)]) for number in range(count)]
    hours = [(f"{base}-all-{number}", "") for number in range(-(-count // DAYS_PER_HOUR_OF_ALL))]
    return days + hours


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=12)
    parser.add_argument("--seed", default="")
    parser.add_argument("--source", default="")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args()
    failed = 0
    with ProcessPoolExecutor(given.jobs) as pool:
        for well, text in pool.map(live, works(given.count, given.seed, given.source)):
            print(text, flush=True)
            failed += not well
    print(f"{failed} failed" if failed else "all well")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
