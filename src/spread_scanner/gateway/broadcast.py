"""The push: who wants what, and one frame for all who want the same.

Lives on the process's loop. A thread parks on the gateway's dirty bits while somebody wants prices
(Watching) and has the loop flush: the bits say which cells changed, each is read once, its text is
written once, and one frame goes to all clients of the same wish. Once in 100 ms all prices are
looked at: what cannot be stood behind any more is `gone`, without anybody having written.

A client that is slow keeps one bit a cell of what it has missed, and no bytes beyond what its
socket holds; when it reads again it gets what stands now. One that reads nothing for ten seconds is
closed with 1013. The order within a frame's wish: snapshot, then updates of the same scan.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from spread_scanner import clock
from spread_scanner.clock import NS_PER_MS, NS_PER_S
from spread_scanner.errors import SpreadError
from spread_scanner.gateway.living import LiveSystem, Shown
from spread_scanner.gateway.wishes import Misheard, PushWish, StreamBeat, StreamHello
from spread_scanner.schema.enums import SOURCES, Source
from spread_scanner.view.prices import SPOT_LIKE, Quoted, pair_of
from spread_scanner.view.signals import FollowUpView, SignalTail, SignalView, views_of
from spread_scanner.view.sources import source_of
from spread_scanner.view.symbols import NamesThen

VIEW_NS = 100 * NS_PER_MS
HEARTBEAT_NS = NS_PER_S
STUCK_NS = 10 * NS_PER_S  # without reading, and a client is let go
Rows = dict[Source, npt.NDArray[np.bool_]]  # which listings, of each source


class PriceLook(NamedTuple):
    """What some sources are quoted at, and how often the store had been written before."""

    version: int
    quoted: dict[Source, Quoted]


class Client:
    """One connection: how to send, and what it missed while it could not be sent to."""

    def __init__(self, send: Callable[[bytes], None], let_go: Callable[[str], None]) -> None:
        self._send = send
        self.let_go = let_go
        self.frames = 0
        self.stuck_ns = 0  # since when it reads nothing; 0: it reads
        self.missed: Rows = {}

    def tell(self, frame: bytes) -> None:
        """Send it, whatever its socket holds: for what is small and for what must not be lost."""
        self.frames += 1
        self._send(frame)

    def pause(self) -> None:
        """Its socket holds as much as it may."""
        self.stuck_ns = self.stuck_ns or clock.mono_ns()


class Listeners:
    """All clients of one wish."""

    def __init__(self, wish: PushWish, shown: Shown) -> None:
        self.wish = wish
        self.clients: set[Client] = set()
        self.changed: Rows = {}  # since its last frame
        self.told_ns = 0
        board = shown.prices.board
        self.pairs = frozenset(board.named(pair) for pair in wish.pairs)
        self.sources = tuple(source_of(label) for label in wish.sources) or SPOT_LIKE
        self.rows: Rows = {}
        self.told: Rows = {}  # those of which its clients have a price
        if "prices" in wish.kinds:
            for source in self.sources:
                listings = [board.listings[row] for row in board.rows(source).tolist()]
                mine = [not self.pairs or one.pair in self.pairs for one in listings]
                self.rows[source] = np.array(mine, np.bool_)
                self.told[source] = np.zeros(len(mine), np.bool_)

    def add(self, changed: Rows) -> None:
        """Remember what changed of what it wants."""
        for source, rows in changed.items():
            if source in self.rows:
                _add(self.changed, source, rows & self.rows[source])

    def signals(self, found: Iterable[SignalView | FollowUpView]) -> list[bytes]:
        """Those of its pairs, as frames."""
        return [
            msgspec.json.encode({"type": "signal", "signal": one})
            for one in found
            if not self.pairs or pair_of(one.symbol) in self.pairs
        ]


class Broadcast:
    """Everybody who is told, and what there is to tell."""

    def __init__(self, system: LiveSystem) -> None:
        self._system = system
        self._shown = system.shown
        self._groups: dict[PushWish, Listeners] = {}
        self._of: dict[Client, Listeners | None] = {}
        self._tail: SignalTail | None = None
        self._names = NamesThen(system.shown.settings.generated_dir)
        self._beat_ns = clock.mono_ns()
        self._status = system.status

    @property
    def clients(self) -> int:
        return len(self._of)

    @property
    def watches(self) -> bool:
        """Whether somebody wants prices."""
        return any(group.rows for group in self._groups.values())

    def join(self, client: Client) -> None:
        """Somebody has come."""
        self._of[client] = None
        status = self._system.status
        hello = StreamHello(status.version, status.namespace, HEARTBEAT_NS / NS_PER_S)
        client.tell(msgspec.json.encode(hello))

    def leave(self, client: Client) -> None:
        """Somebody has gone."""
        group = self._of.pop(client, None)
        if group is not None:
            group.clients.discard(client)
            if not group.clients:
                del self._groups[group.wish]

    def heard(self, client: Client, said: bytes) -> None:
        """A client's words: a wish, from now on, or what is no wish."""
        try:
            wish = msgspec.json.decode(said, type=PushWish)
            group = self._groups.get(wish) or Listeners(wish, self._shown)
        except msgspec.DecodeError as error:
            client.tell(msgspec.json.encode(Misheard("bad_request", str(error))))
            return
        except SpreadError as error:
            client.tell(msgspec.json.encode(Misheard("unknown", str(error))))
            return
        if client in self._of:
            self.leave(client)
        self._groups[wish] = group
        self._of[client] = group
        group.clients.add(client)
        client.missed = {}
        self._snapshot(client, group)

    def _snapshot(self, client: Client, group: Listeners) -> None:
        """What stands, to one that has just come to a group; who reads nothing gets it when he
        does, and one that asks again and again meanwhile fills no memory."""
        if client.stuck_ns:
            client.missed = dict(group.rows)
            return
        if group.rows:
            client.tell(self._standing(group, group.rows, snapshot=True))
        if "status" in group.wish.kinds:
            client.tell(self._status_frame())
        if "signals" in group.wish.kinds and self._tail is None:
            namespace = self._system.status.namespace
            self._tail = SignalTail.attach(namespace, last=0)

    def flush(self, dirty: Iterable[tuple[int, npt.NDArray[np.uint16]]]) -> None:
        """Cells changed: tell whose turn it is."""
        changed = self._rows_of(dirty)
        for group in self._groups.values():
            group.add(changed)
        self._tell_signals()
        self._tell_prices(clock.mono_ns())

    def tick(self) -> None:
        """What is due by the clock, ten times a second: what went stale, beats, who is stuck."""
        now_ns = clock.mono_ns()
        if self._shown is not self._system.shown:
            self._begin_anew()
        self._look_over()
        self._tell_signals()
        self._tell_prices(now_ns)
        if self._status is not self._system.status:
            self._status = self._system.status
            self._tell_status()
        if now_ns - self._beat_ns >= HEARTBEAT_NS:
            self._beat_ns = now_ns
            for client in self._of:
                beat = StreamBeat(client.frames, clock.wall_ns())
                if not client.stuck_ns:
                    client.tell(msgspec.json.encode(beat))
        for client in [one for one in self._of if one.stuck_ns]:
            if now_ns - client.stuck_ns > STUCK_NS:
                client.let_go("nothing was read for ten seconds")

    def resume(self, client: Client) -> None:
        """It reads again: what it missed, as it stands now."""
        client.stuck_ns = 0
        missed, client.missed = client.missed, {}
        group = self._of.get(client)
        if missed and group is not None:
            client.tell(self._standing(group, missed, snapshot=False))

    def _begin_anew(self) -> None:
        """New tables or settings: everybody's wish is read again, and begins with a snapshot."""
        self._shown = self._system.shown
        for wish, group in list(self._groups.items()):
            try:
                new = Listeners(wish, self._shown)
            except SpreadError as error:  # a pair that is listed no more
                for client in list(group.clients):
                    client.let_go(str(error))
                continue
            new.clients = group.clients
            self._groups[wish] = new
            for client in new.clients:
                self._of[client] = new
                client.missed = {}
                self._snapshot(client, new)

    def _rows_of(self, dirty: Iterable[tuple[int, npt.NDArray[np.uint16]]]) -> Rows:
        changed: Rows = {}
        board = self._shown.prices.board
        for source_id, ids in dirty:
            if source_id < len(SOURCES):
                source = SOURCES[source_id]
                changed[source] = np.isin(board.ids(source), ids)
        return changed

    def _look_over(self) -> None:
        """Whose prices can be stood behind and were not told, or the other way round, though nobody
        has written."""
        board = self._shown.prices.board
        wanted = {source for group in self._groups.values() for source in group.rows}
        usable = {source: board.look(source).usable for source in wanted}
        for group in self._groups.values():
            group.add({source: group.told[source] != usable[source] for source in group.rows})

    def _tell_prices(self, now_ns: int) -> None:
        due = [
            group
            for group in self._groups.values()
            if group.changed and (group.wish.pace == "live" or now_ns - group.told_ns >= VIEW_NS)
        ]
        if not due:
            return
        look = self._look(source for group in due for source in group.changed)
        for group in due:
            group.told_ns = now_ns
            changed, group.changed = group.changed, {}
            frame = self._update(group, changed, look)
            for client in group.clients:
                if client.stuck_ns:
                    for source, rows in changed.items():
                        _add(client.missed, source, rows)
                elif frame:
                    client.tell(frame)

    def _look(self, sources: Iterable[Source]) -> PriceLook:
        """Once for all who are told. The version is of before: what is written meanwhile may be
        told already, and is told again with the next."""
        version, board = self._system.version(), self._shown.prices.board
        return PriceLook(version, {source: board.look(source) for source in set(sources)})

    def _update(self, group: Listeners, changed: Rows, look: PriceLook) -> bytes:
        """What changed, for all of a group; empty: nothing that any of them would see."""
        parts: list[bytes] = []
        gone: list[str] = []
        for source, rows in changed.items():
            told, good = self._shown.prices.parts(look.quoted[source], rows)
            parts += told
            before = group.told[source]
            gone += self._pools(source, before & rows & ~good)
            group.told[source] = (before & ~rows) | good
        return _frame(look.version, parts, gone, snapshot=False) if parts or gone else b""

    def _standing(self, group: Listeners, wanted: Rows, *, snapshot: bool) -> bytes:
        """What stands now of some rows, for one client alone: the others hear of it in their turn,
        so that who has lost a price is not forgotten by them."""
        look = self._look(wanted)
        parts: list[bytes] = []
        gone: list[str] = []
        for source, rows in wanted.items():
            told, good = self._shown.prices.parts(look.quoted[source], rows)
            parts += told
            gone += [] if snapshot else self._pools(source, rows & ~good)
            group.told[source] |= good
        return _frame(look.version, parts, gone, snapshot=snapshot)

    def _pools(self, source: Source, rows: npt.NDArray[np.bool_]) -> list[str]:
        board = self._shown.prices.board
        return [board.listings[row].pool_id for row in board.rows(source)[rows].tolist()]

    def _tell_status(self) -> None:
        groups = [one for one in self._groups.values() if "status" in one.wish.kinds]
        frame = self._status_frame() if groups else b""
        for group in groups:
            for client in group.clients:
                if not client.stuck_ns:
                    client.tell(frame)

    def _status_frame(self) -> bytes:
        return msgspec.json.encode({"type": "status", "status": self._system.served()})

    def _tell_signals(self) -> None:
        """Events are told to slow clients as well: there are few, and none may be lost."""
        if self._tail is None:
            return
        records = self._tail.take()
        if not len(records):
            return
        found = views_of(records, self._names)
        for group in self._groups.values():
            if "signals" in group.wish.kinds:
                for frame in group.signals(found):
                    for client in group.clients:
                        client.tell(frame)

    def let_all_go(self, why: str) -> None:
        """Nobody is told any more."""
        for client in list(self._of):
            client.let_go(why)

    def close(self) -> None:
        """The gateway ends: everybody is let go."""
        self.let_all_go("the gateway ends")
        if self._tail is not None:
            self._tail.close()


def _frame(version: int, parts: list[bytes], gone: list[str], *, snapshot: bool) -> bytes:
    head = b'{"type":"prices","snapshot":%b,"version":%d,"gone":%b,"prices":[' % (
        b"true" if snapshot else b"false",
        version,
        msgspec.json.encode(gone),
    )
    return b"%b%b]}" % (head, b",".join(parts))


def _add(to: Rows, source: Source, rows: npt.NDArray[np.bool_]) -> None:
    if rows.any():
        to[source] = to[source] | rows if source in to else rows
