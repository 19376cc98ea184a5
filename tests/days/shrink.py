"""From a day that failed to the shortest prefix of its faults that still fails.

A day is its seed and its faults; the faults after the violation cannot have caused it, so what is
looked for is the least number of faults, from the first on, after which the same rule is broken.
Faults before the last one that are not needed are dropped too: first all but the last few, then
one at a time, as long as there is patience.
"""

import time

from day import run
from events import Result
from fault import Fault

TAIL_S = 1_200.0  # after the last fault that is kept: the longest recovery, and a full check
EVENTS_SHOWN = 60
PATIENCE_S = 300.0  # of CPU

Faults = dict[str, list[Fault]]


def shrink(result: Result, faults: Faults) -> tuple[Result, Faults]:
    """The least faults that still break the first rule that was broken, and how that day went."""
    until_s = time.process_time() + PATIENCE_S
    best, kept = result, _before(faults, result.violations[0].at_s)
    best, kept = _only_the_last(best, kept)
    for fault, label in _in_order(kept):
        if time.process_time() > until_s:
            break
        fewer = kept | {label: [one for one in kept[label] if one is not fault]}
        again = _again(best, fewer)
        if again is not None:
            best, kept = again, fewer
    return best, kept


def _only_the_last(result: Result, faults: Faults) -> tuple[Result, Faults]:
    """One fault, two, four, until they are enough."""
    every, count = _in_order(faults), 1
    while count < len(every):
        last = every[-count:]
        fewer = {label: [one for one, of in last if of == label] for label in faults}
        again = _again(result, fewer)
        if again is not None:
            return again, fewer
        count *= 2
    return result, faults


def _in_order(faults: Faults) -> list[tuple[Fault, str]]:
    return sorted((fault, label) for label, rows in faults.items() for fault in rows)


def _before(faults: Faults, until_s: float) -> Faults:
    return {label: [one for one in rows if one.at_s <= until_s] for label, rows in faults.items()}


def _again(result: Result, faults: Faults) -> Result | None:
    """The day with these faults, if it breaks the same rule."""
    first = result.violations[0]
    source = result.sources[0] if len(result.sources) == 1 else ""
    again = run(result.seed, source, hours=(first.at_s + TAIL_S) / 3_600, faults=faults)
    return again if any(found.rule == first.rule for found in again.violations) else None


def story(result: Result, faults: Faults) -> str:
    """A failed day for a person: seed, faults, the last events, what was broken."""
    source = result.sources[0] if len(result.sources) == 1 else "all"
    lines = [f"seed {result.seed!r} of {source}: again with  make days SEED={result.seed} "
             f"SOURCE={source}"]  # fmt: skip
    lines += [f"  fault {label}: {one}" for label, rows in faults.items() for one in rows]
    lines += [f"  {event}" for event in result.events[-EVENTS_SHOWN:]]
    lines += [f"BROKEN {violation}" for violation in result.violations]
    return "\n".join(lines)
