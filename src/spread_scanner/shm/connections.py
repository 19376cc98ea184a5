"""Connections: a row per connection of each source, with its state, counters and latencies; and one
per provider of pools, which are no source's.

Writer:  the feed that claimed the source's rows (feed-solana: the providers').     Readers:
spread-ctl, the gateway; they map it read-only.

A row stands for a place that the feed keeps connected (its share of the symbols), not for one
socket: it goes on counting when the connection is replaced, so that reconnects are among its
counts. Counter and histogram ids are the feed's. Rows count from `since_wall_ns`: a feed that
starts again begins them anew, while its health row goes on. A feed with more than CONNECTIONS_MAX
connections counts the others in its health row alone.

Segment: "<namespace>.connections".
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import numpy as np

from spread_scanner import clock
from spread_scanner.errors import SegmentError
from spread_scanner.schema.counters import (
    COUNTERS_MAX,
    FEED_COUNTERS,
    FEED_HISTOGRAMS,
    POOL_COUNTERS,
    POOL_HISTOGRAMS,
    Counter,
    Histogram,
)
from spread_scanner.schema.enums import Carries, ConnectionState
from spread_scanner.shm import _rows, segment
from spread_scanner.shm.faults import WrongSegment
from spread_scanner.shm.health import BUCKETS, Latency, latency
from spread_scanner.shm.layout import (
    CONNECTION_BYTES,
    CONNECTION_COUNTERS_AT,
    CONNECTION_HEAD_DTYPE,
    CONNECTION_HISTOGRAMS_AT,
    CONNECTIONS_MAX,
    NUM_SOURCES_MAX,
    ConnectionsLayout,
    Kind,
)
from spread_scanner.shm.segment import Holder, Segment

_PART = "connections"
LAST_END_BYTES = CONNECTION_HEAD_DTYPE["last_end"].itemsize
PROVIDER_BYTES = CONNECTION_HEAD_DTYPE["provider"].itemsize
URL_BYTES = CONNECTION_HEAD_DTYPE["url"].itemsize
_HISTOGRAMS = len(FEED_HISTOGRAMS)
_MESSAGES = next(row.counter_id for row in FEED_COUNTERS if row.label == "messages")
# A whole row, its histograms left out.
_ROW_DTYPE = np.dtype(
    [
        *CONNECTION_HEAD_DTYPE.descr,
        ("counters", "<u8", (COUNTERS_MAX,)),
        ("histograms", f"V{CONNECTION_BYTES - CONNECTION_HISTOGRAMS_AT}"),
    ]
)


class ConnectionHealth(NamedTuple):
    """One connection as its row shows it. Ages are None where nothing is open."""

    number: int
    carries: Carries
    state: ConnectionState
    symbols: int
    open_ns: int | None
    heard_age_ns: int | None
    since_wall_ns: int
    last_end: str
    ban_left_ns: int  # nobody dials there for so long; 0: anybody may
    ban_status: int  # what any of those who dial there was answered; 0: there is no ban
    provider: str  # of pools; empty: an exchange's
    url: str  # where that is dialled, its key masked
    counters: dict[str, int]
    latencies: dict[str, Latency]


class ConnectionRow(_rows.Row):
    """A connection's own row; made by ConnectionRows.take."""

    def __init__(
        self, held: Segment, number: int, at: int, carries: Carries, provider: str, url: str
    ) -> None:
        super().__init__(
            held.memory,
            at + CONNECTION_COUNTERS_AT,
            COUNTERS_MAX,
            at + CONNECTION_HISTOGRAMS_AT,
            _HISTOGRAMS,
        )
        self.number = number
        self._head = held.record(CONNECTION_HEAD_DTYPE, at)
        self._head["since_wall_ns"] = clock.wall_ns()
        self._head["carries"] = carries
        self._head["provider"] = provider.encode()[:PROVIDER_BYTES]
        self._head["url"] = url.encode()[:URL_BYTES]
        self.dialling()

    def dialling(self) -> None:
        """No connection stands; one is on its way."""
        self._head["opened_mono_ns"] = 0
        self._head["state"] = ConnectionState.DIALLING

    def opened(self, number: int, opened_mono_ns: int) -> None:
        """Connection `number` of the feed carries the symbols from now on."""
        self._head["number"] = number
        self._head["heard_mono_ns"] = opened_mono_ns
        self._head["opened_mono_ns"] = opened_mono_ns
        self._head["state"] = ConnectionState.OPEN

    def heard(self, mono_ns: int, symbols: int) -> None:
        """Note the last frame and how many symbols are carried; the feed does at each check."""
        self._head["heard_mono_ns"] = mono_ns
        self._head["symbols"] = symbols

    def ended(self, why: str) -> None:
        """Why the connection ended, or why the dial failed."""
        self._head["last_end"] = why.encode()[:LAST_END_BYTES]

    def banned(self, until_mono_ns: int, status: int = 0) -> None:
        """Until when nobody dials there, and because of which answer; 0: anybody may."""
        self._head["ban_status"] = status
        self._head["ban_until_mono_ns"] = until_mono_ns

    def give_back(self) -> None:
        """Refuse all further writes: the row may be another connection's by now."""
        self.shut()
        self._head.give_back()


class ConnectionRows(Holder):
    """A source's rows, or those of providers, claimed; made by Connections."""

    def __init__(self, held: Segment, layout: ConnectionsLayout, source_id: int) -> None:
        self._held = held
        self._ats = [layout.row_at(source_id, number) for number in range(CONNECTIONS_MAX)]
        self._free = list(range(CONNECTIONS_MAX))
        self._taken: list[ConnectionRow] = []
        self._ban = (0, 0)
        for number in self._free:
            self._clear(number)

    def take(
        self, carries: Carries = Carries.QUOTES, provider: str = "", url: str = ""
    ) -> ConnectionRow | None:
        """The first free row, empty; None when all are taken. `url` as it may be shown."""
        if not self._free:
            return None
        number = self._free.pop(0)
        row = ConnectionRow(self._held, number, self._ats[number], carries, provider, url)
        row.banned(*self._ban)
        self._taken.append(row)
        return row

    def give_back(self, row: ConnectionRow) -> None:
        """The place is no longer kept: readers do not see its row any more."""
        row.give_back()
        self._taken.remove(row)
        self._clear(row.number)
        self._free = sorted([*self._free, row.number])

    def banned(self, until_mono_ns: int, status: int = 0) -> None:
        """A ban, told to whomever, keeps all of them from dialling until then; 0: none does."""
        if (until_mono_ns, status) != self._ban:
            self._ban = (until_mono_ns, status)
            for row in self._taken:
                row.banned(until_mono_ns, status)

    def shut(self) -> None:
        """Refuse all further writes, of the rows that were taken too."""
        for row in self._taken:
            row.give_back()

    def _clear(self, number: int) -> None:
        at = self._ats[number]
        if self._held.words.load(at) != ConnectionState.FREE:  # free ones are empty: touch no page
            self._held.put_bytes(at, bytes(CONNECTION_BYTES))


class Connections(Holder):
    """All rows, for reading; `claim` gives a feed its source's."""

    def __init__(self, namespace: str, held: Segment) -> None:
        self.namespace = namespace
        self.layout = ConnectionsLayout(held.params[0])
        self._held = held
        shape = (self.layout.num_sources, CONNECTIONS_MAX)
        self._rows = held.array(_ROW_DTYPE, self.layout.row_at(0, 0), shape)

    @classmethod
    def create(cls, namespace: str, *, num_sources: int = 8) -> Self:
        """Make new, empty rows; those that stand under the namespace are retired."""
        if not 1 <= num_sources <= NUM_SOURCES_MAX:
            raise SegmentError(
                "num_sources is out of range",
                num_sources=num_sources,
                allowed=f"1 to {NUM_SOURCES_MAX}",
            )
        name = segment.segment_name(namespace, _PART)
        size = ConnectionsLayout(num_sources).connections_bytes
        return cls(namespace, segment.create(name, Kind.CONNECTIONS, size, [num_sources]))

    @classmethod
    def attach(cls, namespace: str, *, timeout_s: float = segment.ATTACH_TIMEOUT_S) -> Self:
        """Map the rows of a namespace read-only."""
        return cls(namespace, _attach(namespace, writable=False, timeout_s=timeout_s))

    def claim(self, source_id: int) -> ConnectionRows:
        """Take a source's rows, emptied: AlreadyClaimed when a live process has them."""
        self._check(source_id)
        return self._claim(source_id, f"the connection rows of source {source_id}")

    def claim_providers(self) -> ConnectionRows:
        """The same of those of providers of pools."""
        return self._claim(self.layout.providers_id, "the connection rows of providers")

    def _claim(self, place: int, what: str) -> ConnectionRows:
        held = _attach(self.namespace, writable=True, timeout_s=segment.ATTACH_TIMEOUT_S)
        with segment.closed_on_failure(held):
            held.claim(place, what)
            return ConnectionRows(held, self.layout, place)

    def read(self, source_id: int) -> list[ConnectionHealth]:
        """The connections of a source whose feed lives, by row; [] when none does.

        The feed goes on counting meanwhile: single values are whole, their sum is of no one moment.
        """
        self._check(source_id)
        return self._read(source_id, FEED_COUNTERS, FEED_HISTOGRAMS)

    def read_providers(self) -> list[ConnectionHealth]:
        """The connections to providers of pools, with feed-solana's counters; [] while it does not
        live."""
        return self._read(self.layout.providers_id, POOL_COUNTERS, POOL_HISTOGRAMS)

    def _read(
        self, place: int, counters: Sequence[Counter], histograms: Sequence[Histogram]
    ) -> list[ConnectionHealth]:
        if not self._held.claimed(place):
            return []
        rows = (self._row(place, one, counters, histograms) for one in range(CONNECTIONS_MAX))
        return [row for row in rows if row is not None]

    def messages(self, source_id: int) -> tuple[tuple[int, int], ...] | None:
        """Of each connection that carries quotes of the source: its number and how many messages
        it has brought. None while one of them is away, there is none, or some may have no row."""
        self._check(source_id)
        rows = self._rows[source_id]
        rows = rows[rows["state"] != ConnectionState.FREE]
        if len(rows) == CONNECTIONS_MAX:
            return None
        rows = rows[rows["carries"] == Carries.QUOTES]
        if not len(rows) or (rows["state"] != ConnectionState.OPEN).any():
            return None
        return tuple(
            zip(rows["number"].tolist(), rows["counters"][:, _MESSAGES].tolist(), strict=True)
        )

    def _row(
        self,
        place: int,
        number: int,
        told: Sequence[Counter],
        timed: Sequence[Histogram],
    ) -> ConnectionHealth | None:
        at = self.layout.row_at(place, number)
        head: Any = self._held.array(CONNECTION_HEAD_DTYPE, at, (1,))[0].copy()
        state = ConnectionState(int(head["state"]))
        if state is ConnectionState.FREE:
            return None
        counts = self._words(at + CONNECTION_COUNTERS_AT, COUNTERS_MAX)
        histograms = self._words(at + CONNECTION_HISTOGRAMS_AT, _HISTOGRAMS * BUCKETS)
        now_ns = clock.mono_ns()
        ban_left_ns = max(int(head["ban_until_mono_ns"]) - now_ns, 0)
        is_open = state is ConnectionState.OPEN
        return ConnectionHealth(
            number=number,
            carries=Carries(int(head["carries"])),
            state=state,
            symbols=int(head["symbols"]),
            open_ns=now_ns - int(head["opened_mono_ns"]) if is_open else None,
            heard_age_ns=now_ns - int(head["heard_mono_ns"]) if is_open else None,
            since_wall_ns=int(head["since_wall_ns"]),
            last_end=head["last_end"].decode(errors="ignore"),
            ban_left_ns=ban_left_ns,
            ban_status=int(head["ban_status"]) if ban_left_ns else 0,
            provider=head["provider"].decode(errors="ignore"),
            url=head["url"].decode(errors="ignore"),
            counters={row.label: int(counts[row.counter_id]) for row in told},
            latencies={
                row.label: latency(histograms.reshape(_HISTOGRAMS, BUCKETS)[row.histogram_id])
                for row in timed
            },
        )

    def _words(self, at: int, count: int) -> np.ndarray:
        return self._held.array(np.dtype("<u8"), at, (count,))

    def _check(self, source_id: int) -> None:
        if not 0 <= source_id < self.layout.num_sources:
            raise SegmentError(
                "no such source", source_id=source_id, num_sources=self.layout.num_sources
            )


def _attach(namespace: str, *, writable: bool, timeout_s: float) -> Segment:
    return segment.attach(
        segment.segment_name(namespace, _PART),
        Kind.CONNECTIONS,
        writable=writable,
        timeout_s=timeout_s,
        expect_bytes=_connections_bytes,
    )


def _connections_bytes(params: list[int]) -> int:
    if not 1 <= params[0] <= NUM_SOURCES_MAX:
        raise WrongSegment("the number of sources is out of range", num_sources=params[0])
    return ConnectionsLayout(params[0]).connections_bytes
