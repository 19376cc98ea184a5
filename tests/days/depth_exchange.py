"""The depth channels of a pretended exchange: who listens, what is said, snapshots by REST.

Beside exchange.py, whose host, wires and faults it shares. It speaks the simulator's dialects and
keeps books of its own: which connection carries which symbol, and what was said of each.
"""

import contextlib
from collections import deque
from collections.abc import Callable, Iterator
from random import Random
from typing import Any, NamedTuple

import orjson
from depth_book import LEVELS, DepthRow, SaidBook
from exchange import Exchange
from host import Dial
from session import Session
from wire import Wire

from spread_scanner.clock import NS_PER_MS
from spread_scanner.schema.books import LEVELS_SHOWN
from spread_scanner.schema.enums import SOURCE_BY_LABEL
from spread_scanner.schema.enums import Exchange as Name
from spread_scanner.sim.depth import (
    PREFIX,
    DepthChannel,
    SpokenBook,
    Update,
    changes,
    nothing_of,
    okx_checksum,
    snapshot_frame,
    speaks_first,
    update_frame,
)
from spread_scanner.sim.dialects import Subscription

EMIT_NS = 100 * NS_PER_MS
REST_LEVELS = 100


class Held(NamedTuple):
    """What the gateway holds back."""

    due_ns: int
    row: DepthRow
    said: SaidBook
    frames: list[bytes]


class DepthSession(Session):
    """A connection that was dialled for books. What it brings is none of the quotes' counts."""

    def __init__(
        self, depth: "Depth", exchange: Exchange, wire: Wire, dial: Dial, number: int
    ) -> None:
        super().__init__(exchange, wire, dial, number)
        self.depth = depth
        self.rows: dict[str, int] = {}  # what it carries, since when

    def carries_book(self, row: DepthRow) -> bool:
        return row.row.name in self.rows and not self.over

    def _carry(self, subscription: Subscription) -> None:
        name = subscription.listing.exchange_symbol
        if subscription.form.startswith(PREFIX) and name in self.depth.rows:
            self.depth.subscribed(self, name)

    def _leave(self, subscription: Subscription) -> None:
        self.depth.unsubscribed(self, subscription.listing.exchange_symbol)

    def _hear(self, text: str) -> None:
        before = dict(self.rows)
        with self.depth.refusing():
            super()._hear(text)
        for name in () if self.over else self.rows:
            if before.get(name) != self.rows[name]:
                self.depth.welcome(self, name)

    def _told(self, outcome: str) -> None:
        self.dial.outcome = outcome
        self.dial.told_ns = self.exchange.clock.mono_ns()

    def _counted(self, taken: Any, heard: bool) -> None:
        if heard and taken is not None:
            taken()

    def _drop(self) -> None:
        if not self.over:
            super()._drop()
            self.depth.gone(self)

    def book(self, row: DepthRow, said: SaidBook, frame: bytes, made_ns: int) -> None:
        """Send a message of a book, which was made then."""
        self.sent_ns = self.exchange.clock.mono_ns()

        def taken(heard: bool) -> None:
            if heard:
                self.depth.arrived(row, said, made_ns)

        self.wire.to_near(frame, taken)


class Depth:
    """One source's. `of_books` are the numbers of the feed's lines that dial for books."""

    def __init__(
        self, exchange: Exchange, channel: str, of_books: set[int], random: Random
    ) -> None:
        self.exchange = exchange
        self.random = random
        self._of_books = of_books
        self.rows: dict[str, DepthRow] = {}
        for count, row in zip(LEVELS, exchange.rows.values(), strict=False):
            made = DepthChannel(row.listing, channel, combined=True)
            made.last_id = 1_000 + random.randrange(1_000_000)
            self.rows[row.name] = DepthRow(row, made, count, Random(f"{random.random()}"))
        self.sessions: list[DepthSession] = []  # also those that are dead, or over for us alone
        self.left_ns: dict[str, int] = {}
        self.turned_ns: dict[str, int] = {}  # when the feed itself unsubscribed it
        self.unmuted_ns: dict[str, int] = {}
        self.resubscribed: dict[str, int] = {}  # how often on a connection that had carried it
        self.seeds: dict[str, list[int]] = {}  # when snapshots by REST were asked for
        self.unwelcome: set[str] = set()  # whose books are refused, unlike their quotes
        self.rest = "well"  # how it answers: well, away, old
        self.messages = 0
        self._held: deque[Held] = deque()
        self.on_arrival: Callable[[DepthRow, SaidBook, int], None] = lambda *_: None
        exchange.session = self._session

    def start(self) -> None:
        self.exchange.loop.call_ns(EMIT_NS, self._emit_all)

    def _session(self, exchange: Exchange, wire: Wire, dial: Dial, number: int) -> Session:
        if dial.line not in self._of_books:
            return Session(exchange, wire, dial, number)
        made = DepthSession(self, exchange, wire, dial, number)
        self.sessions.append(made)
        return made

    # --- who listens

    def live(self) -> list[DepthSession]:
        """Those that bring what they are given to somebody who listens."""
        return [
            one for one in self.sessions if one.open and one.wire.listened_to and not one.wire.dead
        ]

    def subscribed(self, session: DepthSession, name: str) -> None:
        row, now_ns = self.rows[name], self.exchange.clock.mono_ns()
        if row.mute:
            row.mute = False
            self.unmuted_ns[name] = now_ns
        session.rows[name] = now_ns

    def unsubscribed(self, session: DepthSession, name: str) -> None:
        session.rows.pop(name, None)
        self.left_ns[name] = self.turned_ns[name] = self.exchange.clock.mono_ns()

    def gone(self, session: DepthSession) -> None:
        now_ns = self.exchange.clock.mono_ns()
        self.left_ns.update(dict.fromkeys(session.rows, now_ns))
        self.sessions.remove(session)

    def welcome(self, session: DepthSession, name: str) -> None:
        """The snapshot that a channel begins with: what was said last to the others."""
        row = self.rows[name]
        if row.row.last is None or row.mute:
            return
        if not self._listeners(row, but=session):
            self._state(row)
        if row.channel.whole or speaks_first(row.row.listing):
            said = row.said[-1]
            said.sent += 1
            session.book(row, said, self._snapshot(row), self.exchange.clock.mono_ns())

    def _listeners(self, row: DepthRow, but: DepthSession | None = None) -> list[DepthSession]:
        return [one for one in self.sessions if one.carries_book(row) and one is not but]

    @contextlib.contextmanager
    def refusing(self) -> Iterator[None]:
        """What of books is refused is refused to these connections alone."""
        unwelcome = self.exchange.switch.unwelcome
        added = self.unwelcome - unwelcome
        unwelcome |= added
        try:
            yield
        finally:
            unwelcome -= added

    # --- what is said

    def _emit_all(self) -> None:
        exchange = self.exchange
        exchange.loop.call_ns(EMIT_NS, self._emit_all)
        now_ns = exchange.clock.mono_ns()
        while self._held and (self._held[0].due_ns <= now_ns or not exchange.switch.behind_ns):
            self._send(self._held.popleft())
        for row in self.rows.values():
            if row.has_news and self._listeners(row):
                self._emit(row, now_ns)

    def _state(self, row: DepthRow) -> SaidBook:
        """Bring what the channel says to what the book is now."""
        row.disturb()
        row.channel.said = row.now()
        row.go_on()
        return row.note(self.exchange.clock.mono_ns())

    def _emit(self, row: DepthRow, now_ns: int) -> None:
        before, after_id = row.channel.said, row.channel.last_id
        if row.struck("anew"):
            after_id = self._begin_anew(row, after_id)
        said = self._state(row)
        frames = self._frames(row, before, after_id)
        held = Held(now_ns + self.exchange.switch.behind_ns, row, said, frames)
        if self.exchange.switch.behind_ns or self._held:
            self._held.append(held)
        else:
            self._send(held)

    def _begin_anew(self, row: DepthRow, after_id: int) -> int:
        """What the next message follows on: OKX names the last id before, Bybit begins with a
        snapshot, the others do not say that they begin anew."""
        name = SOURCE_BY_LABEL[self.exchange.label].exchange
        row.begin_anew()
        if name is Name.BYBIT:
            row.due["again"] = 1
        return after_id if name is Name.OKX else row.channel.last_id

    def _frames(self, row: DepthRow, before: Any, after_id: int) -> list[bytes]:
        """How one state is told; by a fault not at all, twice, or wrongly first."""
        channel, listing = row.channel, row.row.listing
        now_ms, nothing = self.exchange.now_ms(), nothing_of(listing)
        update = Update(
            changes([before.bids], channel.said.bids, nothing),
            changes([before.asks], channel.said.asks, nothing),
            after_id,
            channel.last_id,
        )
        if row.struck("zero") and not channel.whole:
            update.bids.append((row.unknown_px, nothing))
        if row.struck("gap"):
            return []
        begins = len(row.said) == 1  # there was nothing to welcome anybody with
        again = (row.struck("again") or begins) and speaks_first(listing)
        if channel.whole or again or (row.summed and row.struck("sum")):
            return [self._snapshot(row)]
        checksum = okx_checksum(channel.said) if row.summed else 0
        if checksum and row.struck("wrong sum") and not _bend(update, channel.said):
            checksum ^= 1
        frame = update_frame(channel, update, now_ms, checksum)
        return [frame, frame] if row.struck("twice") else [frame]

    def _snapshot(self, row: DepthRow) -> bytes:
        checksum = okx_checksum(row.channel.said) if row.summed else 0
        return snapshot_frame(row.channel, self.exchange.now_ms(), checksum)

    def _send(self, held: Held) -> None:
        row = held.row
        for frame in held.frames:
            for session in self._listeners(row):
                if not row.mute:
                    held.said.sent += 1
                    session.book(row, held.said, frame, held.said.said_ns)

    def arrived(self, row: DepthRow, said: SaidBook, made_ns: int) -> None:
        """The feed took notice of a message."""
        self.messages += 1
        self.on_arrival(row, said, made_ns)

    # --- by REST

    def snapshot(self, name: str) -> bytes | None:
        """A body; None: nobody answers."""
        row = self.rows[name]
        self.seeds.setdefault(name, []).append(self.exchange.clock.mono_ns())
        if self.rest == "away" or self.exchange.switch.refuse or row.row.last is None:
            return None
        if not self._listeners(row) or not row.said:
            self._state(row)
        channel = row.channel
        bids, asks = (list(side.items())[:REST_LEVELS] for side in channel.said)
        last_id = channel.last_id - (1_000_000 if self.rest == "old" else 0)
        return orjson.dumps(self._body(bids, asks, max(1, last_id)))

    def _body(self, bids: Any, asks: Any, last_id: int) -> Any:
        """As the simulator's REST answers (sim/rest_*.py)."""
        now_ms, source = self.exchange.now_ms(), SOURCE_BY_LABEL[self.exchange.label]
        if source.exchange is Name.OKX:
            bids, asks = ([(px, sz, "0", "1") for px, sz in side] for side in (bids, asks))
            row = {"bids": bids, "asks": asks, "ts": str(now_ms), "seqId": last_id}
            return {"code": "0", "msg": "", "data": [row]}
        if self.exchange.label == "mexc-futures":
            bids, asks = ([(float(px), float(sz), 1) for px, sz in side] for side in (bids, asks))
            data = {"bids": bids, "asks": asks, "version": last_id, "timestamp": now_ms}
            return {"success": True, "code": 0, "data": data}
        times = {"E": now_ms, "T": now_ms} if self.exchange.label == "binance-futures" else {}
        return {"lastUpdateId": last_id, **times, "bids": bids, "asks": asks}


def _bend(update: Update, now: SpokenBook) -> bool:
    """Leave out a level that is shown; False: the message has none."""
    for told, side in ((update.bids, now.bids), (update.asks, now.asks)):
        shown = list(side)[:LEVELS_SHOWN]
        for level in told:
            if level[0] in shown:
                told.remove(level)
                return True
    return False
