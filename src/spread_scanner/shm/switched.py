"""Switches as commands and programs are told of them: a record with an age, for JSON.

Apart from switches.py, which comes with the room into every process and stays without msgspec.
"""

from collections.abc import Sequence

from msgspec import Struct

from spread_scanner import clock
from spread_scanner.clock import NS_PER_S
from spread_scanner.shm.switches import Switch


class Switched(Struct, frozen=True, forbid_unknown_fields=True):
    """A switch as commands and programs are told of it."""

    kind: str  # halt, process, source, direction, symbol
    name: str
    age_s: float | None  # None: not known
    user: str
    pid: int
    command: str


def standing_now(found: Sequence[Switch]) -> list[Switched]:
    """Switches with their ages."""
    now_ns = clock.wall_ns()
    return [
        Switched(
            one.kind.name.lower(),
            one.name,
            max(0, now_ns - one.since_wall_ns) / NS_PER_S if one.since_wall_ns else None,
            one.user,
            one.pid,
            one.command,
        )
        for one in found
    ]
