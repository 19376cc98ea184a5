"""Events as they are pushed: each once, in the order of their ids, to slow clients as well.

Each client has a place: how far it was told. Who reads nothing is told on from its place when it
reads again, and so is who comes back and says the last id that it knows: a bounded piece at a time,
so that nothing is lost and no memory is filled.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Any

from spread_scanner.gateway.channels import Channel, Client, Dirty, Frame, frame_of
from spread_scanner.gateway.living import LiveSystem
from spread_scanner.gateway.wishes import MissedEvents, PushWish
from spread_scanner.schema.enums import Direction
from spread_scanner.view.evaluations import direction_of
from spread_scanner.view.opportunities import FileId, Opportunities, OpportunityRow
from spread_scanner.view.prices import pair_of
from spread_scanner.view.signals import FollowUpView, SignalTail, SignalView, views_of
from spread_scanner.view.symbols import NamesThen

PIECE_MAX = 256  # events that are told a client at once


class EventFilter:
    """Of which pairs and directions somebody wants to hear."""

    def __init__(self, system: LiveSystem, wish: PushWish) -> None:
        """Raises UnknownPair, UnknownDirection."""
        board = system.shown.prices.board
        self._pairs = frozenset(board.named(pair) for pair in wish.pairs)
        wanted: Iterable[Direction] = map(direction_of, wish.directions)
        self._directions = frozenset(one.label for one in wanted)

    def wants(self, record: Any) -> bool:
        """Whether this one."""
        return (not self._pairs or pair_of(record.symbol) in self._pairs) and (
            not self._directions or record.direction in self._directions
        )


class EventPlace:
    """How far a client was told, and what it wants to hear of."""

    def __init__(self, wish: PushWish, wanted: EventFilter) -> None:
        self.wish, self.wanted = wish, wanted
        self.told = 0


class Events(Channel, ABC):
    """A kind that is told once each."""

    def __init__(self, system: LiveSystem) -> None:
        super().__init__(system)
        self._places: dict[Client, EventPlace] = {}

    @abstractmethod
    def begin(self, place: EventPlace, client: Client, wish: PushWish) -> None:
        """Where somebody's telling begins, by its wish."""

    @abstractmethod
    def head(self) -> int:
        """The place behind the newest."""

    @abstractmethod
    def beyond(self, told: int) -> tuple[list[Any], int]:
        """The next events from that place on, not more than a piece, and the place behind them."""

    @abstractmethod
    def frames(self, records: list[Any]) -> list[Frame]:
        """As they are told."""

    def prepared(self, wish: PushWish) -> Callable[[Client], None]:
        place = EventPlace(wish.subscribed(), EventFilter(self._system, wish))

        def join(client: Client) -> None:
            self._places[client] = place
            self.begin(place, client, wish)

        return join

    def leave(self, client: Client) -> None:
        self._places.pop(client, None)

    def tick(self, now_ns: int) -> None:
        """Those who are behind are told a piece; of one place and wish all are told the same."""
        if not self._places:
            return
        head, told = self.head(), {}
        for client, place in self._places.items():
            if client.stuck_ns or place.told == head:
                continue
            key = place.told, place.wish
            if key not in told:
                records, beyond = self.beyond(place.told)
                told[key] = self.frames([one for one in records if place.wanted.wants(one)]), beyond
            frames, place.told = told[key]
            for frame in frames:
                client.tell(frame)


class SignalEvents(Events):
    """From the ring, by `seq`; places are positions of the ring. As far back as it holds them."""

    kind = "signals"

    def __init__(self, system: LiveSystem) -> None:
        super().__init__(system)
        self._tail: SignalTail | None = None
        self._names = NamesThen(system.shown.settings.generated_dir)

    def begin(self, place: EventPlace, client: Client, wish: PushWish) -> None:
        tail = self._attached()
        place.told = tail.position
        if wish.after_seq is not None:
            place.told, missed = tail.place_after(wish.after_seq)
            if missed:
                client.tell(frame_of(MissedEvents(self.kind, missed)))

    def flush(self, dirty: Dirty, now_ns: int) -> None:
        self.tick(now_ns)

    def head(self) -> int:
        return self._attached().position

    def beyond(self, told: int) -> tuple[list[SignalView | FollowUpView], int]:
        first, records = self._attached().past(told)
        piece = records[:PIECE_MAX]
        return views_of(piece, self._names), first + len(piece)

    def frames(self, records: list[Any]) -> list[Frame]:
        return [frame_of({"type": "signal", "signal": one}) for one in records]

    def _attached(self) -> SignalTail:
        if self._tail is None:
            self._tail = SignalTail.attach(self._system.status.namespace)
        return self._tail

    def close(self) -> None:
        if self._tail is not None:
            self._tail.close()
        self._tail = None


class OpportunityEvents(Events):
    """From the tracker's database, by `id`: again when one that was open is closed. Places are ids.

    What is there is read by the loop, and never waited for: where the database cannot be read just
    now it is asked again a tenth of a second later.
    """

    kind = "opportunities"

    def __init__(self, system: LiveSystem) -> None:
        super().__init__(system)
        self._stored: Opportunities | None = None
        self._file: FileId | None = None
        self._newest = 0
        self._open: set[int] = set()

    def begin(self, place: EventPlace, client: Client, wish: PushWish) -> None:
        if self._stored is None:
            self._stored = Opportunities(self._system.shown.settings.data_dir, busy_s=0.0)
            self._file = self._stored.file()
            self._open = set(self._stored.open_ids())
        newest = self.head()
        place.told = newest if wish.after_id is None else wish.after_id
        if place.told > newest:  # of another database: all of this one is new
            place.told = 0

    def tick(self, now_ns: int) -> None:
        super().tick(now_ns)
        if self._stored is not None and self._open:
            closed = self._stored.closed(self._open)
            self._open -= {one.id for one in closed}
            for client, place in self._places.items():
                for frame in self.frames([one for one in closed if place.wanted.wants(one)]):
                    client.tell(frame)

    def leave(self, client: Client) -> None:
        super().leave(client)
        if not self._places:
            self.close()

    def head(self) -> int:
        if self._stored is None:
            return 0
        file = self._stored.file()
        if file is not None and file != self._file:  # ids are one file's
            self._newest, self._file, self._open = 0, file, set()
            for place in self._places.values():
                place.told = 0
        newest = self._stored.newest_id()
        self._newest = self._newest if newest is None else newest
        return self._newest

    def beyond(self, told: int) -> tuple[list[OpportunityRow], int]:
        rows = self._stored.since(told, PIECE_MAX) if self._stored is not None else []
        self._open |= {one.id for one in rows if one.closed_ns is None}
        return rows, rows[-1].id if rows else told

    def frames(self, records: list[Any]) -> list[Frame]:
        return [frame_of({"type": self.kind, self.kind: records})] if records else []

    def close(self) -> None:
        if self._stored is not None:
            self._stored.close()
        self._stored = None
