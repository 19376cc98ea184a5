"""From a day that failed to the shortest prefix of its faults that still fails.

A day is its seed and its faults; the faults after the violation cannot have caused it, so what is
looked for is the least number of faults, from the first on, after which the same rule is broken.
Faults before the last one that are not needed are dropped too, one at a time.
"""

from day import run
from events import Result
from fault import Fault

TAIL_S = 1_200.0  # after the last fault that is kept: the longest recovery, and a full check
EVENTS_SHOWN = 60

Faults = dict[str, list[Fault]]


def shrink(result: Result, faults: Faults) -> tuple[Result, Faults]:
    """The least faults that still break the first rule that was broken, and how that day went."""
    first = result.violations[0]
    until_s = first.at_s
    best, kept = result, _before(faults, until_s)
    every = sorted((fault, label) for label, rows in kept.items() for fault in rows)
    for fault, label in every:
        fewer = {name: [one for one in rows if one is not fault] if name == label else rows
                 for name, rows in kept.items()}  # fmt: skip
        again = _again(result, fewer, until_s)
        if any(found.rule == first.rule for found in again.violations):
            best, kept = again, fewer
            until_s = again.violations[0].at_s
    return best, kept


def _before(faults: Faults, until_s: float) -> Faults:
    return {label: [one for one in rows if one.at_s <= until_s] for label, rows in faults.items()}


def _again(result: Result, faults: Faults, until_s: float) -> Result:
    source = result.sources[0] if len(result.sources) == 1 else ""
    return run(result.seed, source, hours=(until_s + TAIL_S) / 3_600, faults=faults)


def story(result: Result, faults: Faults) -> str:
    """A failed day for a person: seed, faults, the last events, what was broken."""
    source = result.sources[0] if len(result.sources) == 1 else "all"
    lines = [f"seed {result.seed!r} of {source}: again with  make days SEED={result.seed} "
             f"SOURCE={source}"]  # fmt: skip
    lines += [f"  fault {label}: {one}" for label, rows in faults.items() for one in rows]
    lines += [f"  {event}" for event in result.events[-EVENTS_SHOWN:]]
    lines += [f"BROKEN {violation}" for violation in result.violations]
    return "\n".join(lines)
