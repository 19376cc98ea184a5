"""What goes wrong in days of chance: all of it does, in each dozen of them, and is noticed."""

import os
from collections.abc import Callable
from typing import NamedTuple

import names
import pytest
import shapes
from day import run
from fault import Fault
from faults import KINDS, schedule

from spread_scanner.schema.enums import EXCHANGE_SOURCES

SEED = os.environ["SPREAD_DAYS_SEED"]
LABELS = [source.label for source in EXCHANGE_SOURCES]
DOZEN = 12
REFUSALS = ("refused", "dns", "hole", "503", "redirect")


def test_each_kind_of_fault_and_of_refusal_comes_by_chance_in_a_dozen_days() -> None:
    drawn = [
        fault
        for number in range(DOZEN)
        for fault in schedule(f"{SEED}-{number} {LABELS[number % len(LABELS)]}", 24.0)
    ]

    def kinds(kind: str, count: int, by: Callable[[Fault], float] = lambda one: one.pick) -> None:
        found = {int(by(one) * count) for one in drawn if one.kind == kind}
        assert found == set(range(count)), f"seed {SEED}: {kind}"

    assert {fault.kind for fault in drawn} == KINDS.keys(), f"seed {SEED}"
    kinds("refuse", len(REFUSALS))
    kinds("ban", 3)  # 418, 429, 403
    kinds("addresses", len(names.OTHERS))
    kinds("unreadable", len(shapes.UNREADABLE), lambda one: one.size)
    kinds("one-sided", len(shapes.EMPTY_BID) + len(shapes.EMPTY_ASK), lambda one: one.size)


class Seen(NamedTuple):
    """A fault that a day may draw, and what somebody notices of it: words of one event."""

    kind: str
    words: tuple[str, ...]
    source: str = "okx-futures"
    pick: float = 0.3
    size: float = 0.5


# What an exchange's actor is said to do, and by which kind of fault it does it. Clocks that are off
# or drift, ids that begin anew and repeats leave no event of their own, but a day that was found
# (test_days.py) or a mutant (test_mutants.py).
SEEN = {
    "limits per address": Seen("sibling", ("dial okx-futures beside",)),
    "acknowledged and not served": Seen("hollow", ("asked again", "never_quoted=2")),
    "errors that name nobody": Seen("nameless", ("refused", "kind=busy", "symbols=0")),
    "lost requests": Seen("lost request", ("asked okx-futures", '"id":"3"')),
    "a silent symbol": Seen("silent", ("mute okx-futures",)),
    "half open": Seen("half open", ("not even an answer to pings",)),
    "slow": Seen("slow", ("path lags",)),
    "reset": Seen("reset", ("connection ended why=lost",)),
    "announced cuts": Seen("announced", ("shutdown announced",)),
    "unannounced cuts": Seen("goodbye", ("connection ended why=lost",)),
    "a ban with Retry-After": Seen("ban", ("dial failed", "418 banned")),
    "one until a date": Seen("region", ("dial failed", "451")),
    "maintenance": Seen("maintenance", ("dial failed", "503")),
    "maintenance that is announced": Seen("work", ("maintenance", "state=ongoing")),
    "halts": Seen("halt", ("halted state=suspend",)),
    "delistings with reloads": Seen("relist", ("delisted okx-futures",)),
    "listings with reloads": Seen("relist", ("tables taken generation=3 symbols=6",)),
    "other units": Seen("new units", ("redenominated okx-futures",)),
    "nobody listens": Seen("refuse", ("dial failed", "connection refused"), pick=0.1),
    "no name": Seen("refuse", ("dial failed", "DNS"), pick=0.3),
    "a dial that leads nowhere": Seen("refuse", ("dial failed", "timed out"), pick=0.5),
    "suspend": Seen("suspend", ("the machine was asleep",)),
}


@pytest.mark.parametrize("what", SEEN)
def test_what_goes_wrong_is_noticed(what: str) -> None:
    seen = SEEN[what]
    for_s = min(KINDS[seen.kind].for_s[1], 60.0)
    faults = {seen.source: [Fault(90, seen.kind, for_s, seen.pick, seen.size)]}
    result = run("noticed", seen.source, hours=0.06, faults=faults)

    assert not result.violations, "\n".join(map(str, result.violations))
    events = [one for one in result.events if " fault " not in one]
    found = [one for one in events if all(word in one for word in seen.words)]
    assert found, "\n".join(result.events[-40:])
