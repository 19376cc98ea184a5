"""What all connections of one feed have in common: one value, made by the feed.

The feed replaces it part by part at a reload; lines, connections and what looks after them read it
anew each time and keep nothing of it, but for what a connection was opened with.
"""

import asyncio
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from random import Random
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from spread_scanner import clock
from spread_scanner.config import Feed
from spread_scanner.exchanges._match import Decoder
from spread_scanner.exchanges.adapter import Adapter
from spread_scanner.feed._board import Board
from spread_scanner.feed._books import BookBoard
from spread_scanner.feed.evidence import Evidence
from spread_scanner.feed.outage_log import OutageLog
from spread_scanner.runtime.gate import Gate
from spread_scanner.runtime.logs import Log
from spread_scanner.runtime.ws import DialFailed
from spread_scanner.schema.enums import Carries
from spread_scanner.shm._rows import Row
from spread_scanner.shm.connections import ConnectionRows
from spread_scanner.symbology.tables import InstrumentRow

if TYPE_CHECKING:
    from spread_scanner.feed.typed import Tier

NAMES_LOGGED_MAX = 10


class Target(NamedTuple):
    """What a connection is a connection to; another one needs another connection."""

    url: str
    proxy: str
    channel: str
    ca_file: str = ""


NOWHERE = Target("", "", "")


@dataclass
class Share:
    """One feed's. All that it leaves to chance comes from `random`: a day can be lived again."""

    adapter: Adapter
    settings: Feed
    board: Board
    row: Row
    rows: ConnectionRows
    decoder: Decoder
    instruments: dict[str, InstrumentRow]
    connects: Gate
    evidence: Evidence
    log: Log
    fail: Callable[[BaseException], None]  # a fault of ours: the process ends
    # What a connection had quoted, by id, and is refused from now on.
    disowned: Callable[[npt.NDArray[np.uint16]], None] = lambda _: None
    # Whether quotes that are good now would be stale without the connection of that number.
    rest_on: Callable[[int], bool] = lambda _: False
    tls: ssl.SSLContext | None = None  # None: the system's trusted authorities
    target: Target = NOWHERE
    opened_ns: int = 0  # when a connection for quotes was opened last
    woke_ns: int = 0  # a connection that was opened before this is dead, whatever it seems
    random: Random = field(default_factory=Random)
    carries: Carries = Carries.QUOTES
    books: BookBoard | None = (
        None  # what its listeners take messages into, of connections for books
    )
    # Where a connection's messages go that the listener did not store; None: as quotes.
    tier: "Callable[[int], Tier] | None" = None
    numbers: Iterator[int] = field(default_factory=lambda: count(1))
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    outages: OutageLog = field(init=False)

    def __post_init__(self) -> None:
        self.outages = OutageLog(self.log.log)

    def refused(self, error: DialFailed, gate: Gate) -> None:
        """Tell all who dial there what an exchange answered, if it did: by the gate of that dial,
        which after a reload may be another one than `connects`.
        """
        if error.status is not None:
            note = gate.refused(error.status, error.wait_s, error.begun_ns)
            if note:
                now_ns = clock.mono_ns()
                self.outages.take("odd Retry-After", note, now_ns, error=str(error))

    def number(self) -> int:
        """Connections are numbered from 1, for the life of the process."""
        return next(self.numbers)
