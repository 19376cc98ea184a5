"""What discovery found that a person wants to hear: new pairs, pairs in quarantine, symbols without
room, exchanges that were away, and that it has not looked for too long.

Reads the tables in force, whoever published them. Tables that are not there or not whole say
nothing here: the processes that need them do.
"""

from collections.abc import Iterator

from spread_scanner import clock
from spread_scanner.alerts.desk import Condition
from spread_scanner.clock import NS_PER_S
from spread_scanner.view.tables import TablesInForce, TablesView

NAMED_MAX = 5
NO_ROOM = "no room for"  # as discovery's warning begins
AS_IT_SHOULD = ("ok", "disabled")  # states of a source


class Found:
    """Of one generated folder; sets that were in force at the start are no news."""

    def __init__(self, in_force: TablesInForce) -> None:
        self._in_force = in_force
        in_force.look()
        self._read_ns = clock.mono_ns()

    def now(self, age_h_max: float) -> Iterator[Condition]:
        """What lasts, and once what is new in a set."""
        fresh = self._in_force.look()
        if fresh:
            self._read_ns = clock.mono_ns()
        view = self._in_force.view
        if view is None:
            return
        if fresh:
            yield from _added(view)
        yield from _lasting(view)
        age_h = (view.judged_age_s + (clock.mono_ns() - self._read_ns) / NS_PER_S) / 3_600
        if age_h > age_h_max:
            text = f"no full discovery for {age_h / 24:.1f} days: what is listed may be another now"
            yield Condition("old:tables", text, patient=True)


def _lasting(view: TablesView) -> Iterator[Condition]:
    for warning in view.warnings:
        if warning.startswith(NO_ROOM):
            yield Condition("room", warning, patient=True)
    for source, state in view.sources.items():
        if state not in AS_IT_SHOULD:
            text = f"discovery: {source} is {state}; enabled = false leaves it out for good"
            yield Condition(f"away:{source}", text, patient=True)
    ways: dict[str, list[str]] = {}
    for row in view.quarantined:
        ways.setdefault(row.symbol, []).append(f"{row.direction}: {row.reason}")
    for symbol, reasons in ways.items():
        text = f"{symbol} is in quarantine ({'; '.join(reasons)})"
        yield Condition(f"quarantine:{symbol}", text, patient=True)


def _added(view: TablesView) -> Iterator[Condition]:
    if view.added:
        more = len(view.added) - NAMED_MAX
        said = ", ".join(view.added[:NAMED_MAX]) + (f" and {more} more" if more > 0 else "")
        yield Condition(f"added:{view.generation}", f"new pairs: {said}", passing=True)
