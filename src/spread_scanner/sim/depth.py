"""Books of the pretend exchanges: what their depth channels say, and what goes wrong on them.

A book is what the market has of a listing now: its quote, and behind it levels whose sizes follow
from their prices alone, so that a move of the price changes little of them. Each channel is told
each tenth of a second what has changed since it was told last. REST snapshots (answers.levels) show
the same book; who begins with one goes on by the next message, which tells again what the snapshot
had otherwise, though it be as it was. Made and called by the exchange's loop; the frames are built
here, as depth is rare beside quotes.
"""

import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from spread_scanner.schema.enums import Exchange, Market
from spread_scanner.sim.answers import levels
from spread_scanner.sim.limits import Query
from spread_scanner.sim.rows import BOOK_LEVELS
from spread_scanner.sim.universe import Listing
from spread_scanner.sim.wire import (
    binary_frame,
    length_delimited,
    text_frame,
    unpadded,
    varint,
)

if TYPE_CHECKING:
    from spread_scanner.sim.dialects import Subscription
    from spread_scanner.sim.exchange import Exchange8
    from spread_scanner.sim.server import Connection

EMIT_S = 0.1
BOOK_FAULTS = ("gap", "duplicate", "checksum", "crossed", "again", "unknown-zero", "old-seed")
OF_UPDATES = 200  # levels a side of a channel of updates
OKX_CHECKED = 25
PREFIX = "depth:"  # of the forms of a subscription that are books

SideText = dict[str, str]  # price to size, the best first


class SpokenBook(NamedTuple):
    """A book as its exchange spells it."""

    bids: SideText
    asks: SideText


def form(channel: str) -> str:
    """How a subscription to a depth channel is told from one to quotes."""
    return PREFIX + channel


def window_of(listing: Listing, channel: str) -> int:
    """How many levels of a side a channel shows."""
    if listing.source.exchange == Exchange.BYBIT:
        return int(channel.rpartition(".")[2])
    return 20 if "20" in channel and not channel.startswith("depth@") else OF_UPDATES


class DepthChannel:
    """One listing's channel in one form, with who listens."""

    def __init__(self, listing: Listing, channel: str, *, combined: bool) -> None:
        self.listing = listing
        self.channel = channel
        self.combined = combined
        self.window = window_of(listing, channel)
        self.whole = self.window == 20
        self.connections: list[Connection] = []
        self.said = now_of(listing, self.window)
        self.shown: list[SpokenBook] = []  # by REST, since then
        self.last_id = listing.update_id
        self.number = listing.update_id  # Bybit's own count of updates: it never has two meanings

    @property
    def spoken_id(self) -> int:
        """By which the listeners know what was told last."""
        by_number = self.listing.source.exchange == Exchange.BYBIT
        return self.number if by_number else self.last_id


def now_of(listing: Listing, count: int) -> SpokenBook:
    """The book as the market has it."""
    return SpokenBook(dict(levels(listing, "bid", count)), dict(levels(listing, "ask", count)))


def changes(before: Sequence[SideText], now: SideText, nothing: str) -> list[tuple[str, str]]:
    """What brings each of these to the last one: a size of nothing takes a level away."""
    gone = {px: nothing for one in before for px in one if px not in now}
    changed = {px: sz for px, sz in now.items() if any(one.get(px) != sz for one in before)}
    return [*gone.items(), *changed.items()]


class Depth:
    """All books of the process."""

    def __init__(self, exchange: "Exchange8") -> None:
        self._exchange = exchange
        self._channels: dict[tuple[Listing, str, bool], DepthChannel] = {}
        self._due: Counter[tuple[str, str, str]] = Counter()  # faults to come: source, kind, symbol
        self.messages = 0

    # --- who listens

    def subscribed(self, connection: "Connection", subscription: "Subscription") -> None:
        listing, channel = subscription.listing, subscription.form.removeprefix(PREFIX)
        combined = connection.talk is None or connection.talk.combined
        key = (listing, channel, combined)
        if key not in self._channels:
            self._channels[key] = DepthChannel(listing, channel, combined=combined)
            self._showed(self._channels[key])
        self._channels[key].connections.append(connection)

    def unsubscribed(self, connection: "Connection", subscription: "Subscription") -> None:
        channel = subscription.form.removeprefix(PREFIX)
        for combined in (False, True):
            found = self._channels.get((subscription.listing, channel, combined))
            if found is not None and connection in found.connections:
                found.connections.remove(connection)
                if not found.connections:
                    del self._channels[subscription.listing, channel, combined]

    def welcome(self, connection: "Connection", subscription: "Subscription") -> None:
        """The snapshot that a channel begins with; it is what was said last to the others."""
        for combined in (False, True):
            key = (subscription.listing, subscription.form.removeprefix(PREFIX), combined)
            found = self._channels.get(key)
            begins = found is not None and (found.whole or speaks_first(found.listing))
            if found is not None and begins and connection in found.connections:
                self._write([connection], snapshot_frame(found, self._now_ms(found)))

    # --- the loop

    def advance(self) -> None:
        """What has changed since the last time, to all who listen."""
        for channel in list(self._channels.values()):
            listing = channel.listing
            if listing.update_id != channel.last_id and not listing.driven:
                self._emit(channel)

    def _emit(self, channel: DepthChannel) -> None:
        listing, now_ms = channel.listing, self._now_ms(channel)
        now = now_of(listing, channel.window)
        if self._struck(channel, "crossed") and now.asks:
            above = listing.px(listing.ask_ticks + 1)
            now = now._replace(bids={above: listing.sz(1), **now.bids})
        before = [channel.said, *channel.shown]
        update = Update(
            changes([one.bids for one in before], now.bids, nothing_of(listing)),
            changes([one.asks for one in before], now.asks, nothing_of(listing)),
            channel.last_id,
            listing.update_id,
        )
        channel.number += 1
        channel.said, channel.last_id = now, listing.update_id
        channel.shown.clear()
        self._showed(channel)
        if self._struck(channel, "unknown-zero"):
            update.bids.append((listing.px(max(1, listing.bid_ticks // 2)), nothing_of(listing)))
        frame = (
            snapshot_frame(channel, now_ms)
            if channel.whole
            else update_frame(channel, update, now_ms)
        )
        if self._struck(channel, "gap"):
            return
        if self._struck(channel, "again") and speaks_first(listing):
            frame = snapshot_frame(channel, now_ms)
        if self._struck(channel, "checksum") and listing.source.exchange == Exchange.OKX:
            right = okx_checksum(channel.said)
            self._write(channel.connections, snapshot_frame(channel, now_ms, right))
            empty = Update([], [], channel.last_id, channel.last_id + 1)
            channel.last_id = listing.update_id = listing.update_id + 1
            self._showed(channel)
            frame = update_frame(channel, empty, now_ms, right ^ 1)
        self._write(channel.connections, frame)
        if self._struck(channel, "duplicate"):
            self._write(channel.connections, frame)

    def _showed(self, channel: DepthChannel) -> None:
        said = channel.said
        bids, asks = list(said.bids.items()), list(said.asks.items())
        self._exchange.truth.showed(channel.listing, channel.spoken_id, bids, asks)

    def _write(self, connections: "list[Connection]", frame: bytes) -> None:
        for connection in connections:
            if not (connection.frozen or connection.deaf):
                self._exchange.delivery.write_raw(connection, frame)
                self.messages += 1

    def _now_ms(self, channel: DepthChannel) -> int:
        return self._exchange.now_ms(channel.listing.label)

    # --- faults

    def fault(self, action: dict[str, Any]) -> None:
        """So many messages of a source's books, or of one, are to be hit."""
        key = (str(action["source"]), str(action["kind"]), str(action.get("symbol", "")))
        self._due[key] += int(action.get("count", 1))

    def _struck(self, channel: DepthChannel, kind: str) -> bool:
        listing = channel.listing
        return any(
            self._use(listing.label, kind, name)
            for name in ("", listing.symbol, listing.exchange_symbol)
        )

    def _use(self, label: str, kind: str, name: str) -> bool:
        if not self._due[label, kind, name]:
            return False
        self._due[label, kind, name] -= 1
        return True

    def asked(self, label: str, path: str, query: Query, body: bytes) -> bytes:
        """What is answered by REST: a snapshot is true; a fault makes it one of long ago."""
        if not ("depth" in path or path.endswith("/books")):
            return body
        names = (query.get("symbol"), query.get("instId"), path.rpartition("/")[2])
        for listing in self._exchange.universe.by_source[label]:
            if listing.exchange_symbol in names:
                bids, asks = (
                    levels(listing, "bid", BOOK_LEVELS),
                    levels(listing, "ask", BOOK_LEVELS),
                )
                self._exchange.truth.showed(listing, listing.update_id, bids, asks)
                self._shown(listing)
        if not self._use(label, "old-seed", ""):
            return body
        answer = orjson.loads(body)
        data = answer.get("data", answer)
        data = data[0] if isinstance(data, list) else data
        for name in ("lastUpdateId", "seqId", "version"):
            if name in data:
                data[name] -= 1_000_000
        return orjson.dumps(answer)

    def _shown(self, listing: Listing) -> None:
        """Somebody has seen by REST what no message of these channels said."""
        for channel in self._channels.values():
            if channel.listing is listing and channel.last_id != listing.update_id:
                channel.shown.append(now_of(listing, channel.window))

    @property
    def due(self) -> dict[str, dict[str, int]]:
        """How many messages are still to be hit: source, kind, count."""
        left: dict[str, dict[str, int]] = {}
        for (label, kind, _), count in (+self._due).items():
            kinds = left.setdefault(label, {})
            kinds[kind] = kinds.get(kind, 0) + count
        return left

    # --- what is true

    def books(self) -> list[dict[str, Any]]:
        """What listeners were told last of each book, as it was spelled, and in what units."""
        return [
            {
                "source": channel.listing.label,
                "symbol": channel.listing.symbol,
                "exchange_symbol": channel.listing.exchange_symbol,
                "channel": channel.channel,
                "update_id": channel.last_id,
                "bids": list(channel.said.bids.items()),
                "asks": list(channel.said.asks.items()),
                "px_mul": channel.listing.px_mul,
                "sz_mul": channel.listing.sz_mul,
            }
            for channel in self._channels.values()
        ]


class Update(NamedTuple):
    bids: list[tuple[str, str]]
    asks: list[tuple[str, str]]
    after_id: int
    last_id: int


def speaks_first(listing: Listing) -> bool:
    """Whether a subscription begins with a snapshot."""
    return listing.source.exchange in (Exchange.BYBIT, Exchange.OKX)


def nothing_of(listing: Listing) -> str:
    return listing.sz(0) if listing.source.exchange == Exchange.BINANCE else "0"


# --- how each exchange says it

Frame = Callable[[DepthChannel, Update, int, bool, int], bytes]


def snapshot_frame(channel: DepthChannel, now_ms: int, checksum: int = 0) -> bytes:
    said = Update(
        list(channel.said.bids.items()), list(channel.said.asks.items()), -1, channel.last_id
    )
    return _frame(channel)(channel, said, now_ms, True, checksum)


def update_frame(channel: DepthChannel, update: Update, now_ms: int, checksum: int = 0) -> bytes:
    return _frame(channel)(channel, update, now_ms, False, checksum)


def _frame(channel: DepthChannel) -> Frame:
    source = channel.listing.source
    if source.exchange == Exchange.MEXC:
        return _mexc_spot if source.market == Market.SPOT else _mexc_futures
    return {Exchange.BINANCE: _binance, Exchange.BYBIT: _bybit, Exchange.OKX: _okx}[source.exchange]


def _binance(
    channel: DepthChannel, said: Update, now_ms: int, snapshot: bool, checksum: int
) -> bytes:
    listing = channel.listing
    name, spot = listing.exchange_symbol, listing.source.market == Market.SPOT
    if snapshot and spot:
        data: dict[str, Any] = {
            "lastUpdateId": said.last_id, "bids": said.bids, "asks": said.asks,
        }  # fmt: skip
    else:
        times = {} if spot else {"T": now_ms - listing.lags_ms[listing.source_id]}
        after_id = max(said.after_id, 0) if said.after_id < said.last_id else 0
        before = {} if spot else {"pu": after_id}
        data = {
            "e": "depthUpdate", "E": now_ms, **times, "s": name, "U": after_id + 1,
            "u": said.last_id, **before, "b": said.bids, "a": said.asks,
        }  # fmt: skip
    if channel.combined:
        data = {"stream": f"{name.lower()}@{channel.channel}", "data": data}
    return text_frame(orjson.dumps(data))


def _bybit(
    channel: DepthChannel, said: Update, now_ms: int, snapshot: bool, checksum: int
) -> bytes:
    listing = channel.listing
    return text_frame(
        orjson.dumps(
            {
                "topic": f"{channel.channel}.{listing.exchange_symbol}",
                "type": "snapshot" if snapshot else "delta",
                "ts": now_ms,
                "data": {
                    "s": listing.exchange_symbol, "b": said.bids, "a": said.asks,
                    "u": channel.number, "seq": said.last_id,
                },
                "cts": now_ms - listing.lags_ms[listing.source_id],
            }
        )
    )  # fmt: skip


def _okx(channel: DepthChannel, said: Update, now_ms: int, snapshot: bool, checksum: int) -> bytes:
    def levels_of(side: list[tuple[str, str]]) -> list[tuple[str, str, str, str]]:
        return [(px, sz, "0", "0" if sz == "0" else "1") for px, sz in side]

    book = {
        "asks": levels_of(said.asks), "bids": levels_of(said.bids), "ts": str(now_ms),
        "checksum": checksum, "seqId": said.last_id, "prevSeqId": -1 if snapshot else said.after_id,
    }  # fmt: skip
    arg = {"channel": channel.channel, "instId": channel.listing.exchange_symbol}
    action = "snapshot" if snapshot else "update"
    return text_frame(orjson.dumps({"arg": arg, "action": action, "data": [book]}))


def okx_checksum(book: SpokenBook) -> int:
    """CRC32 of the best levels in turn, as the documentation has it, signed."""
    bids, asks = (list(side.items())[:OKX_CHECKED] for side in book)
    parts: list[str] = []
    for place in range(OKX_CHECKED):
        for side in (bids, asks):
            parts += [f"{px}:{sz}" for px, sz in side[place : place + 1]]
    found = zlib.crc32(":".join(parts).encode())
    return found - 2**32 if found >= 2**31 else found


def _mexc_futures(
    channel: DepthChannel, said: Update, now_ms: int, snapshot: bool, checksum: int
) -> bytes:
    listing = channel.listing

    def levels_of(side: list[tuple[str, str]]) -> list[tuple[float, float, int]]:
        return [(float(px), float(sz), int(float(sz) > 0)) for px, sz in side]

    data: dict[str, Any] = {
        "cts": now_ms - listing.lags_ms[listing.source_id], "asks": levels_of(said.asks),
        "bids": levels_of(said.bids),
    }  # fmt: skip
    if not snapshot:
        data |= {"end": said.last_id, "begin": said.after_id + 1}
    data["version"] = said.last_id
    name = "push.depth.full" if channel.whole else "push.depth"
    return text_frame(
        orjson.dumps(
            {"symbol": listing.exchange_symbol, "data": data, "channel": name, "ts": now_ms}
        )
    )


def _mexc_spot(
    channel: DepthChannel, said: Update, now_ms: int, snapshot: bool, checksum: int
) -> bytes:
    name = channel.listing.exchange_symbol
    body = b""
    for field, side in ((1, said.asks), (2, said.bids)):
        for px, sz in side:
            level = length_delimited(1, unpadded(px).encode())
            body += length_delimited(field, level + length_delimited(2, unpadded(sz).encode()))
    versions = [said.last_id] if snapshot else [said.after_id + 1, said.last_id]
    for field, version in enumerate(versions, 4):
        body += length_delimited(field, str(version).encode())
    start = length_delimited(1, mexc_depth_topic(name, channel.channel).encode())
    start += length_delimited(3, name.encode()) + b"\x30" + varint(now_ms)
    return binary_frame(start + length_delimited(303 if snapshot else 313, body))


def mexc_depth_topic(exchange_symbol: str, channel: str) -> str:
    """`channel`: limit.depth@20 or aggre.depth@100ms, as the settings have it."""
    kind, _, detail = channel.partition("@")
    if kind == "limit.depth":
        return f"spot@public.limit.depth.v3.api.pb@{exchange_symbol}@{detail}"
    return f"spot@public.aggre.depth.v3.api.pb@{detail}@{exchange_symbol}"
