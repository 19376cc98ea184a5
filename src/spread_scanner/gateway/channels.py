"""What the kinds of the push have in common: frames, clients, and channels of what stands.

A channel is one kind: it has the clients that wish it, in groups of one wish each, and one frame
goes to all of a group. A channel of states (prices, spreads, books) thinks in rows: it says which
of them changed, and what each is. A client that is slow keeps one bit a row of what it has missed,
and no bytes beyond what its socket holds; when it reads again it gets what stands now.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterable, Sequence
from functools import cached_property
from typing import Any, ClassVar, Generic, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

from spread_scanner import clock
from spread_scanner.clock import NS_PER_MS
from spread_scanner.errors import SpreadError
from spread_scanner.gateway._outlet import Outlet, send_out
from spread_scanner.gateway.bits import Bits
from spread_scanner.gateway.living import LiveSystem
from spread_scanner.gateway.wishes import Misheard, PushWish
from spread_scanner.view.prices import UnknownPair

VIEW_NS = 100 * NS_PER_MS
DETAIL_MAX = 1_000  # characters of what is wrong with a wish; all directions have room
REST_SHARE = 9  # of the time that a survey took, before the next
INTEGER_BITS = 63  # of a whole number that every reader of msgpack has
Rows = dict[Any, Bits]  # which rows, of each part that is looked at by itself
Dirty = Sequence[tuple[int, npt.NDArray[np.uint16]]]  # by source the symbols that were written


class Frame:
    """What many are told, written out once."""

    def __init__(self, text: bytes) -> None:
        self.text = text

    @cached_property
    def packed(self) -> bytes:
        """As msgpack, where somebody wants it."""
        said = msgspec.json.decode(self.text)
        try:
            return msgspec.msgpack.encode(said)
        except OverflowError:  # reserves, whose digits stand beside them
            return msgspec.msgpack.encode(_fitting(said))


def frame_of(said: Any) -> Frame:
    """A record as a frame."""
    return Frame(msgspec.json.encode(said))


class Client:
    """One connection: its way out (and whether as msgpack), and since when it reads nothing."""

    def __init__(
        self, outlet: Outlet, let_go: Callable[[str], None], unread: Callable[[], int]
    ) -> None:
        """`unread` says how many bytes of what it was told are on their way to it."""
        self.outlet = outlet
        self.let_go = let_go
        self._unread = unread
        self._read_bytes = 0
        self.packed = False
        self.stuck_ns = 0  # since when it reads nothing; 0: it reads
        self.unheard = b""  # what it said last since then

    def tell(self, frame: Frame) -> None:
        """Send it, whatever its socket holds: for what is small and for what must not be lost."""
        tell_all([self], frame)

    def pause(self) -> None:
        """Its socket holds as much as it may."""
        self.stuck_ns = self.stuck_ns or clock.mono_ns()
        self._read_bytes = self._bytes_read()

    def look(self, now_ns: int) -> None:
        """Whether some was read of what it holds, since the last look: it is slow then."""
        read_bytes = self._bytes_read()
        if read_bytes > self._read_bytes:
            self._read_bytes, self.stuck_ns = read_bytes, now_ns

    def _bytes_read(self) -> int:
        """Of all that it was told."""
        return self.outlet.bytes_told - self._unread()


def tell_all(clients: Sequence[Client], frame: Frame) -> None:
    """The same to each of them, whatever its socket holds."""
    outlets = [client.outlet for client in clients if not client.packed]
    if outlets:
        send_out(outlets, frame.text, packed=False)
    if len(outlets) < len(clients):
        outlets = [client.outlet for client in clients if client.packed]
        send_out(outlets, frame.packed, packed=True)


class Channel:
    """One kind of what is told; it need not do all of this."""

    kind: ClassVar[str]

    def __init__(self, system: LiveSystem) -> None:
        self._system = system

    @property
    def watches(self) -> bool:
        """Whether somebody is to be told as soon as a quote is written."""
        return False

    @property
    def owes(self) -> bool:
        """Whether what was written is still to be looked at, once it has rested."""
        return False

    def prepared(self, wish: PushWish) -> Callable[[Client], None]:
        """A wish, looked at; the call makes it a client's. Raises SpreadError."""
        raise NotImplementedError

    def leave(self, client: Client) -> None:
        """It wishes this kind no more, or anew."""
        raise NotImplementedError

    def tidy(self) -> None:
        """Let go of what nobody wishes any more: after a wish has taken the place of another, or
        was none in the end."""

    def snapshot(self, client: Client) -> None:
        """What stands, to one that has just come."""

    def resume(self, client: Client) -> None:
        """It reads again."""

    def flush(self, dirty: Dirty, now_ns: int) -> None:
        """Quotes were written."""

    def tick(self, now_ns: int) -> None:
        """What is due by the clock, ten times a second."""

    def renew(self) -> None:
        """New tables or settings are in force."""

    def close(self) -> None:
        """Nobody is told any more."""


class WishedPairs:
    """Pairs as prices name them, however a wish wrote them."""

    def __init__(self, system: LiveSystem, *, all_known: bool) -> None:
        """`all_known`: raises UnknownPair for one that nobody lists; else it is `missing`."""
        self._board, self._all_known = system.shown.prices.board, all_known
        self.missing: set[str] = set()

    def names(self, pairs: Iterable[str]) -> list[str]:
        """Of those that are listed."""
        found = []
        for pair in pairs:
            try:
                found.append(self._board.named(pair))
            except UnknownPair:
                if self._all_known:
                    raise
                self.missing.add(pair)
        return found


class WishGroup:
    """All clients of one wish for a kind."""

    def __init__(self, wish: PushWish, rows: Rows) -> None:
        self.wish = wish
        self.rows = rows  # those that it wants
        self.missing: set[str] = set()  # pairs of the wish that are listed no more
        self.told = dict.fromkeys(rows, 0)
        self.changed: Rows = {}  # since its last frame
        self.told_ns = 0
        # By client, while it could not be sent to; None: it is owed all, as a snapshot.
        self.missed: dict[Client, Rows | None] = {}

    def add(self, changed: Rows) -> None:
        """Remember what changed of what it wants."""
        for key, rows in changed.items():
            if key in self.rows:
                _add(self.changed, key, rows & self.rows[key])

    def is_due(self, now_ns: int) -> bool:
        """Whether its clients are to be told now."""
        live = self.wish.pace == "live"
        return bool(self.changed) and (live or now_ns - self.told_ns >= VIEW_NS)


Scan = TypeVar("Scan")


class States(Channel, ABC, Generic[Scan]):
    """A kind that is told as it stands: a snapshot, then what changed."""

    def __init__(self, system: LiveSystem) -> None:
        super().__init__(system)
        self._groups: dict[PushWish, WishGroup] = {}
        self._of: dict[Client, WishGroup] = {}

    @abstractmethod
    def group_of(self, wish: PushWish, listed: WishedPairs) -> WishGroup:
        """Which rows a wish wants. Raises SpreadError."""

    @abstractmethod
    def look(self, wanted: Rows) -> tuple[int, Scan]:
        """These parts as they stand, those rows of them at least; and the store's version of
        before."""

    @abstractmethod
    def parts(self, look: Scan, group: WishGroup, key: Any, rows: Bits) -> tuple[list[bytes], Bits]:
        """The records of those rows that there are, and which these are."""

    @abstractmethod
    def names(self, key: Any, rows: Bits) -> list[Any]:
        """What rows are called when they are gone."""

    def prepared(self, wish: PushWish) -> Callable[[Client], None]:
        """Its group: one that stands, or a new one."""
        wish = wish.subscribed()
        group = self._groups.get(wish)
        if group is None or group.missing:
            group = self.group_of(wish, WishedPairs(self._system, all_known=True))

        def join(client: Client) -> None:
            self._groups[wish] = self._of[client] = group
            group.missed[client] = {}

        return join

    def leave(self, client: Client) -> None:
        group = self._of.pop(client, None)
        if group is not None:
            del group.missed[client]
            if not group.missed:
                self._groups.pop(group.wish, None)

    def snapshot(self, client: Client) -> None:
        """Who reads nothing gets it when he does, and one that asks again and again meanwhile fills
        no memory."""
        group = self._of[client]
        if client.stuck_ns:
            group.missed[client] = None
        else:
            client.tell(self._standing(group, group.rows, snapshot=True))

    def resume(self, client: Client) -> None:
        """What it missed, as it stands now."""
        group = self._of.get(client)
        if group is None:
            return
        missed, group.missed[client] = group.missed[client], {}
        if missed is None:
            client.tell(self._standing(group, group.rows, snapshot=True))
        elif missed:
            client.tell(self._standing(group, missed, snapshot=False))

    def renew(self) -> None:
        """Everybody's wish is read again, and begins with a snapshot. A pair that is listed no more
        is not in it, and is again as soon as it is listed."""
        before, self._groups = self._groups, {}
        for wish, group in before.items():
            try:
                new = self._groups[wish] = self._group_again(wish)
            except SpreadError as error:  # books are off by now
                for client in list(group.missed):
                    client.let_go(str(error))
                continue
            for client in group.missed:
                self._of[client] = new
                new.missed[client] = {}
        for wish, group in self._groups.items():
            left = sorted(group.missing - before[wish].missing)
            said = f"listed no more: {', '.join(left)}"[:DETAIL_MAX]
            for client in group.missed:
                if left:
                    client.tell(frame_of(Misheard("unknown_pair", said)))
                self.snapshot(client)

    def _group_again(self, wish: PushWish) -> WishGroup:
        """By other tables."""
        listed = WishedPairs(self._system, all_known=False)
        group = self.group_of(wish, listed)
        group.missing = listed.missing
        return group

    def add(self, changed: Rows) -> None:
        """These changed."""
        for group in self._groups.values():
            group.add(changed)

    def tell(self, now_ns: int) -> None:
        """Tell whose turn it is. What is looked at is looked at once for all of them; what is
        written meanwhile may be told already, and is told again with the next."""
        due = [group for group in self._groups.values() if group.is_due(now_ns)]
        if not due:
            return
        wanted: Rows = {}
        for group in due:
            for key, rows in group.changed.items():
                _add(wanted, key, rows)
        version, look = self.look(wanted)
        for group in due:
            group.told_ns = now_ns
            changed, group.changed = group.changed, {}
            frame = self._update(group, changed, version, look)
            if frame is not None:
                tell_all([client for client in group.missed if not client.stuck_ns], frame)
            for client, missed in group.missed.items():
                if client.stuck_ns and missed is not None:
                    for key, rows in changed.items():
                        _add(missed, key, rows)

    def _update(self, group: WishGroup, changed: Rows, version: int, look: Scan) -> Frame | None:
        """What changed, for all of a group; None: nothing that any of them would see."""
        parts: list[bytes] = []
        gone: list[Any] = []
        for key, rows in changed.items():
            told, good = self.parts(look, group, key, rows)
            parts += told
            before = group.told[key]
            if left := before & rows & ~good:
                gone += self.names(key, left)
            group.told[key] = (before & ~rows) | good
        return self._frame(version, parts, gone, snapshot=False) if parts or gone else None

    def _standing(self, group: WishGroup, wanted: Rows, *, snapshot: bool) -> Frame:
        """What stands now of some rows, for one client alone: the others hear of it in their turn,
        so that who has lost a row is not forgotten by them."""
        version, look = self.look(wanted)
        parts: list[bytes] = []
        gone: list[Any] = []
        for key, rows in wanted.items():
            told, good = self.parts(look, group, key, rows)
            parts += told
            gone += [] if snapshot else self.names(key, rows & ~good)
            group.told[key] |= good
        return self._frame(version, parts, gone, snapshot=snapshot)

    def _frame(self, version: int, parts: list[bytes], gone: list[Any], *, snapshot: bool) -> Frame:
        kind = self.kind.encode()
        head = b'{"type":"%b","snapshot":%b,"version":%d,"gone":%b,"%b":[' % (
            kind,
            b"true" if snapshot else b"false",
            version,
            msgspec.json.encode(gone),
            kind,
        )
        return Frame(b"%b%b]}" % (head, b",".join(parts)))


class Surveyed(States[Scan], ABC):
    """States that are looked at to see what changed: ten times a second, and where somebody wishes
    them live as often as a tenth of a core allows."""

    def __init__(self, system: LiveSystem) -> None:
        super().__init__(system)
        self._rest_until_ns = 0

    @abstractmethod
    def survey(self, *, live: bool) -> None:
        """Look, and `add` what differs from the last time; `live`: at what was written, for those
        who wish it so."""

    @property
    def watches(self) -> bool:
        return any(group.wish.pace == "live" for group in self._groups.values())

    def flush(self, dirty: Dirty, now_ns: int) -> None:
        if now_ns >= self._rest_until_ns and self.watches:
            self._look_around(now_ns, live=True)

    def tick(self, now_ns: int) -> None:
        self._look_around(now_ns, live=False)

    def _look_around(self, now_ns: int, *, live: bool) -> None:
        if self._groups:
            began_ns = clock.mono_ns()
            self.survey(live=live)
            ended_ns = clock.mono_ns()
            self._rest_until_ns = ended_ns + REST_SHARE * (ended_ns - began_ns)
            self.tell(now_ns)


def _fitting(said: Any) -> Any:
    """Whole numbers beyond 64 bits as the nearest ones that there are."""
    if isinstance(said, dict):
        return {key: _fitting(value) for key, value in said.items()}
    if isinstance(said, list):
        return [_fitting(value) for value in said]
    return float(said) if isinstance(said, int) and said.bit_length() > INTEGER_BITS else said


def _add(to: Rows, key: Hashable, rows: Bits) -> None:
    if rows:
        to[key] = to.get(key, 0) | rows
