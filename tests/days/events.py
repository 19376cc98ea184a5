"""What a day leaves behind: its event log, and how it went."""

import hashlib
from typing import NamedTuple

from fault import Fault
from invariants import Violation

from spread_scanner.clock import NS_PER_S, VirtualClock

LINES_KEPT = 4_000


class Result(NamedTuple):
    """How a day went. `digest` is that of its whole event log."""

    seed: str
    sources: tuple[str, ...]
    digest: str
    violations: list[Violation]
    faults: list[Fault]
    events: list[str]
    counts: dict[str, int]


class EventLog:
    """Every event with its time; all go into the digest, the last ones are kept."""

    def __init__(self, virtual: VirtualClock) -> None:
        self._clock = virtual
        self._began_ns = virtual.mono_ns()
        self._hash = hashlib.blake2b(digest_size=16)
        self.kept: list[str] = []

    def __call__(self, *what: object) -> None:
        at_s = (self._clock.mono_ns() - self._began_ns) / NS_PER_S
        line = f"{at_s:.6f} " + " ".join(map(str, what))
        self._hash.update(line.encode())
        self.kept.append(line)
        if len(self.kept) > 2 * LINES_KEPT:
            del self.kept[:LINES_KEPT]

    def quote(self, number: int, session: int, flags: int) -> None:
        """Too many to be kept."""
        self._hash.update(b"%d %d %d %d" % (self._clock.mono_ns(), session, number, flags))

    def digest(self) -> str:
        return self._hash.hexdigest()
