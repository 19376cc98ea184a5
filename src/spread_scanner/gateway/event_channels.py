"""Events as they are pushed: each once, in the order of their ids, to slow clients as well.

Each client has a place: how far it was told. Who reads nothing is told on from its place when it
reads again, and so is who comes back and says the last id that it knows: a bounded piece at a time,
so that nothing is lost and no memory is filled. Where it begins, and of which ring or database that
is a place, it is told first: so who loses the stream before the first event can come back to it.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from functools import partial
from typing import Any

import numpy as np

from spread_scanner.gateway.channels import Channel, Client, Dirty, Frame, frame_of
from spread_scanner.gateway.living import LiveSystem
from spread_scanner.gateway.wishes import EventsBegan, MissedEvents, PushWish
from spread_scanner.runtime import background
from spread_scanner.schema.enums import Direction
from spread_scanner.schema.names import WAL_FOLDER
from spread_scanner.view.evaluations import direction_of
from spread_scanner.view.logged import logged_signals
from spread_scanner.view.opportunities import Opportunities, OpportunityRow
from spread_scanner.view.prices import pair_of
from spread_scanner.view.signals import FollowUpView, SignalTail, SignalView, views_of
from spread_scanner.view.stored import FileId
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
        self.said, self.wanted = wish, wanted
        self.wish = wish.subscribed()
        self.told: int | None = None  # None: where it begins cannot be seen just now
        self.first: list[Frame] = []  # what it is told before any event
        self.past: np.ndarray | None = None  # events of before that place, to be told first
        self.asked: Future[np.ndarray] | None = None  # the log, for them
        self.behind: Future[np.ndarray] | None = None  # that, or the look that is to end before it


class Events(Channel, ABC):
    """A kind that is told once each."""

    def __init__(self, system: LiveSystem) -> None:
        super().__init__(system)
        self._places: dict[Client, EventPlace] = {}

    @abstractmethod
    def begin(self, place: EventPlace) -> None:
        """Where somebody's telling begins, by what it said; nothing is done while that cannot be
        seen."""

    @abstractmethod
    def head(self) -> int:
        """The place behind the newest."""

    @abstractmethod
    def beyond(self, told: int) -> tuple[list[Any], int, int]:
        """The next events from that place on, not more than a piece; the place behind them; how
        many before them are no more to be had."""

    @abstractmethod
    def frames(self, records: list[Any]) -> list[Frame]:
        """As they are told."""

    def prepared(self, wish: PushWish) -> Callable[[Client], None]:
        place = EventPlace(wish, EventFilter(self._system, wish))

        def join(client: Client) -> None:
            self._places[client] = place
            self.begin(place)

        return join

    def snapshot(self, client: Client) -> None:
        self._began(client, self._places[client])

    def _began(self, client: Client, place: EventPlace) -> bool:
        """Whether there is more to tell it: it reads, and knows where its events begin."""
        if place.told is None:
            self.begin(place)
        if client.stuck_ns or place.told is None:
            return False
        first, place.first = place.first, []
        for frame in first:
            client.tell(frame)
        return True

    def leave(self, client: Client) -> None:
        self._places.pop(client, None)

    def tick(self, now_ns: int) -> None:
        """Those who are behind are told a piece; of one place and wish all are told the same."""
        if not self._places:
            return
        head = self.head()
        told: dict[tuple[int, PushWish], tuple[list[Frame], int]] = {}
        for client, place in self._places.items():
            if not self._began(client, place) or place.told is None:
                continue
            if place.past is not None:
                self._tell_past(client, place)
                continue
            if place.told == head:
                continue
            key = place.told, place.wish
            if key not in told:
                told[key] = self._piece(place.told, place.wanted)
            frames, place.told = told[key]
            for frame in frames:
                client.tell(frame)

    def _tell_past(self, client: Client, place: EventPlace) -> None:
        """The next piece of what was before its place."""

    def _piece(self, told: int, wanted: EventFilter) -> tuple[list[Frame], int]:
        """What somebody at that place is told next, and the place behind it."""
        records, beyond, missed = self.beyond(told)
        frames = [frame_of(MissedEvents(self.kind, missed))] if missed else []
        return frames + self.frames([one for one in records if wanted.wants(one)]), beyond


class SignalEvents(Events):
    """From the ring, by `seq`; places are positions of the ring. What it has no more is looked up
    in the log, in a thread: where spread-recorder runs, none is missed. One look at a time, which
    no end waits for: who says another wish meanwhile, or goes, has nothing more looked up."""

    kind = "signals"

    def __init__(self, system: LiveSystem) -> None:
        super().__init__(system)
        self._tail: SignalTail | None = None
        self._looking: Future[np.ndarray] | None = None  # the last look at the log
        self._names = NamesThen(system.shown.settings.generated_dir)

    def prepared(self, wish: PushWish) -> Callable[[Client], None]:
        self._attached()  # raises NoSegment and its kind
        return super().prepared(wish)

    def begin(self, place: EventPlace) -> None:
        tail, known = self._attached(), place.said.after_seq
        place.told = tail.position
        of_another = known is not None and (
            place.said.ring not in ("", tail.instance) or known > tail.seq_before(place.told)
        )
        if of_another:
            place.told = 0
        elif known is not None:
            place.told = self._after(place, known)
        if place.told is None:
            return
        begins = tail.seq_before(place.told) if place.past is None else known
        place.first = [frame_of(EventsBegan(self.kind, after_seq=begins, ring=tail.instance))]
        if of_another:
            place.first.append(frame_of(MissedEvents(self.kind, None)))
        if place.past is not None and known is not None:
            missed = int(place.past["seq"][-1]) - known - len(place.past)
            place.first += [frame_of(MissedEvents(self.kind, missed))] if missed else []

    def _after(self, place: EventPlace, known: int) -> int | None:
        """Where the ring goes on behind a signal; None: what it lacks is being looked up."""
        if place.behind is not None and not place.behind.done():
            return None
        tail = self._attached()
        told = tail.place_after(known)
        first, _ = tail.past(told, 1)
        folder = self._system.shown.settings.data_dir / WAL_FOLDER
        if place.asked is None and first > told and folder.is_dir():
            if self._looking is None or self._looking.done():
                look = partial(logged_signals, folder, self._system.instance_id, known)
                place.asked = self._looking = background.begin(look, "log")
            place.behind = self._looking
            return None
        if place.asked is None:
            return told
        found = place.asked.result()
        if len(found):
            place.past = found
            told = tail.place_after(int(found["seq"][-1]))
        return told

    def _tell_past(self, client: Client, place: EventPlace) -> None:
        if place.past is None:
            return
        piece, left = place.past[:PIECE_MAX], place.past[PIECE_MAX:]
        place.past = left if len(left) else None
        wanted = [one for one in views_of(piece, self._names) if place.wanted.wants(one)]
        for frame in self.frames(wanted):
            client.tell(frame)

    def flush(self, dirty: Dirty, now_ns: int) -> None:
        self.tick(now_ns)

    def head(self) -> int:
        return self._attached().position

    def beyond(self, told: int) -> tuple[list[SignalView | FollowUpView], int, int]:
        first, piece = self._attached().past(max(told, 0), PIECE_MAX)
        return views_of(piece, self._names), first + len(piece), first - told

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
    now it is asked again a tenth of a second later. Closings are told before openings that were
    stored with them or later: so who knows an opening knows every closing up to then, and its id
    says which closings it may have missed when it comes back.
    """

    kind = "opportunities"

    def __init__(self, system: LiveSystem) -> None:
        super().__init__(system)
        self._stored: Opportunities | None = None
        self._file: FileId | None = None
        self._newest: int | None = None  # None: it could not be read yet
        self._open: set[int] = set()  # of those up to the newest

    def begin(self, place: EventPlace) -> None:
        if self._stored is None:
            self._stored = Opportunities(self._system.shown.settings.data_dir, busy_s=0.0)
        newest = self._look(self._stored)
        if newest is None:
            return
        known, closed = place.said.after_id, list[OpportunityRow]()
        of_another = known is not None and (
            place.said.database not in ("", self._database) or known > newest
        )
        told = newest if known is None else 0 if of_another else known
        if known is not None and not of_another:
            found = self._stored.closed_since(known)
            if found is None:
                return
            closed = [one for one in found if place.wanted.wants(one)]
        place.told, place.first = told, [self._began_at(told)]
        if of_another:
            place.first.append(frame_of(MissedEvents(self.kind, None)))
        for at in range(0, len(closed), PIECE_MAX):
            place.first += self.frames(closed[at : at + PIECE_MAX])

    def _began_at(self, told: int) -> Frame:
        return frame_of(EventsBegan(self.kind, after_id=told, database=self._database))

    @property
    def _database(self) -> str:
        """Which file it is, of all that ever stood there: ids are one file's."""
        return "" if self._file is None else f"{self._file[1]:x}"

    def tick(self, now_ns: int) -> None:
        if not self._places or self._stored is None or self._look(self._stored) is None:
            return
        closed = self._stored.closed(self._open) if self._open else []
        if closed is not None:
            self._tell_closed(closed)
            super().tick(now_ns)

    def _tell_closed(self, closed: list[OpportunityRow]) -> None:
        """Those behind an opening hear of its closing in their turn: it comes as closed."""
        self._open -= {one.id for one in closed}
        for client, place in self._places.items() if closed else ():
            told = -1 if place.told is None else place.told
            known = [one for one in closed if one.id <= told and place.wanted.wants(one)]
            frames = self.frames(known)
            if client.stuck_ns and place.first:  # it does not know yet where it began
                place.first += frames
                continue
            for frame in frames:
                client.tell(frame)

    def tidy(self) -> None:
        if not self._places:
            self.close()

    def _look(self, stored: Opportunities) -> int | None:
        """The newest that there is, and which of them stand; None: it cannot be read just now."""
        file, newest = stored.file(), stored.newest_id()
        if newest is None:
            return None
        if file is not None and file != self._file:  # ids are one file's
            self._file, self._newest, self._open = file, 0, set()
            for place in self._places.values():
                if place.told is not None:
                    place.told, place.first = 0, [self._began_at(0)]
        if newest != self._newest:
            stand = stored.open_ids(beyond_id=self._newest or 0)
            if stand is None:
                return None
            self._open |= set(stand)
            self._newest = newest
        return newest

    def head(self) -> int:
        return self._newest or 0

    def beyond(self, told: int) -> tuple[list[OpportunityRow], int, int]:
        rows = self._stored.since(told, PIECE_MAX) if self._stored is not None else []
        rows = [one for one in rows if one.id <= self.head()]  # what came since has its closings
        return rows, rows[-1].id if rows else told, 0

    def frames(self, records: list[Any]) -> list[Frame]:
        return [frame_of({"type": self.kind, self.kind: records})] if records else []

    def close(self) -> None:
        if self._stored is not None:
            self._stored.close()
        self._stored, self._file, self._newest, self._open = None, None, None, set()
