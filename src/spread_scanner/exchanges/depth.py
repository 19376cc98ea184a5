"""Books by the exchanges' depth channels: what a depth adapter provides, and how updates follow.

Read by the feeds. A depth adapter is an `Adapter` for another channel of the same socket: it asks,
is answered and is refused as the one for quotes, but what arrives is a `BookChange`. Prices and
sizes leave it as the exchange gave them. Pure functions over bytes, as all of this room.

An update states the sizes as they are after it, so that one rule serves all exchanges: it takes a
book from `after_id`, or from any id between, to `last_id`. See `fits`.
"""

import math
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Protocol

import msgspec
import numpy as np

from spread_scanner.errors import BadMessage, BadQuote
from spread_scanner.exchanges._depth import DepthDecoder
from spread_scanner.exchanges._levels import read_levels
from spread_scanner.exchanges._spelled import read_spelled
from spread_scanner.exchanges.adapter import (
    TEXT_BYTES,
    TEXT_DTYPE,
    TS_IMPOSSIBLE,
    Adapter,
    BookChange,
    RestRequest,
    Texts,
    holdable,
)
from spread_scanner.exchanges.wire import MALFORMED, Level
from spread_scanner.schema.books import BookLevels
from spread_scanner.schema.records import TS_ABSENT

NO_LEVELS: BookLevels = np.zeros((0, 2))
NO_LEVELS.flags.writeable = False
SEED_LEVELS = 100  # asked for by REST: as many as are kept
BOOK_ID_MAX = 2**63 - 1


class SpelledLevel(msgspec.Struct, array_like=True):
    """["8476.98","415","0","13"]: what stands there."""

    px: msgspec.Raw
    sz: msgspec.Raw


_levels = msgspec.json.Decoder(list[Level | None] | None, strict=False).decode
_spelled = msgspec.json.Decoder(list[SpelledLevel | None] | None).decode


def dated(said: BookChange, latest_ns: int) -> tuple[BookChange, bool]:
    """What a message says with the one time that is believed, the engine's before that of sending,
    and whether a time of it cannot be: `latest_ns` is the last that can.
    """
    told = (said.ts_event, said.ts_sent)
    if TS_IMPOSSIBLE not in told and max(told) <= latest_ns:
        return said, False
    made, sent = (TS_ABSENT if one == TS_IMPOSSIBLE or one > latest_ns else one for one in told)
    return said._replace(ts_event=sent if made == TS_ABSENT else made), True


class Fit(Enum):
    """What an update is to a book that stands."""

    NEXT = "next"
    OLD = "old"  # all that it says is known
    GAP = "gap"  # something before it is missing


def fits(known_id: int, change: BookChange) -> Fit:
    """What an update is to a book that was brought to `known_id`.

    One whose ids run backwards begins a sequence anew, and goes on from what it names alone. One
    without an id is taken as it comes.
    """
    if change.last_id == 0:
        return Fit.NEXT
    if change.after_id > known_id:
        return Fit.GAP
    if change.last_id < change.after_id == known_id:
        return Fit.NEXT
    return Fit.NEXT if known_id < change.last_id else Fit.OLD


class DepthAdapter(Adapter, Protocol):
    """One source's channel of books. Its `parse` gives BookChange where the other gives quotes, and
    its `templates` are of books (native/template.h)."""

    channel: str
    levels_max: int  # a side, by the channel; beyond them it tells nothing
    keeps_window: bool  # the exchange says what comes into these levels as others leave
    snapshots_only: bool  # each message is a whole book
    wrapped: tuple[int, str] | None  # of protobuf: the field of the body, and the channel's name

    def seed_request(self, exchange_symbol: str) -> RestRequest | None:
        """A snapshot by REST; None where the channel itself gives one to whoever subscribes."""

    def parse_seed(self, exchange_symbol: str, body: bytes) -> BookChange:
        """Raises ExchangeError on an error envelope, BadMessage on bytes that are no snapshot."""

    def spelled(self, exchange_symbol: str) -> str:
        """What stands for a symbol in the place of the templates' hole; "": it has no place."""


class UsualDepth:
    """What holds of most channels' native tier."""

    wrapped: tuple[int, str] | None = None

    def spelled(self, exchange_symbol: str) -> str:
        return exchange_symbol


def depth_decoder_of(
    adapter: DepthAdapter, scales: Mapping[str, tuple[int, float, float]]
) -> DepthDecoder:
    """The native tier of these symbols: spelling to (id, px_div, sz_mul). One that it cannot hold
    is left to the typed tier."""
    symbols = {adapter.spelled(name): scale for name, scale in scales.items()}
    return DepthDecoder(
        adapter.templates(),
        {name: scale for name, scale in symbols.items() if holdable(name)},
        window=adapter.levels_max if adapter.snapshots_only else 0,
        wrapped=adapter.wrapped,
    )


def side_of(levels: msgspec.Raw, symbol: str) -> BookLevels:
    """One side as a message lists it: natively as it is usually spelled, else by the typed tier,
    for which null, and a level of null, are nothing. Raises BadMessage, or BadQuote.
    """
    found = read_levels(levels)
    return side_by_types(levels, symbol) if found is None else found


def spelled_side_of(levels: msgspec.Raw, symbol: str) -> tuple[BookLevels, Texts]:
    """The same, and how each of its levels is spelled. Raises BadMessage, or BadQuote."""
    found = read_spelled(levels)
    return spelled_by_types(levels, symbol) if found is None else found


def spelled_by_types(levels: msgspec.Raw, symbol: str) -> tuple[BookLevels, Texts]:
    """The typed tier."""
    numbers = side_by_types(levels, symbol)
    said = [one for one in _spelled(levels) or () if one is not None]
    pairs = [(bytes(one.px).strip(b'"'), bytes(one.sz).strip(b'"')) for one in said]
    texts = [b":".join(pair) for pair in pairs if float(pair[0]) > 0.0]
    if any(len(text) >= TEXT_BYTES for text in texts):
        raise BadMessage("a level is spelled at too great a length", symbol=symbol)
    return numbers, np.array(texts, TEXT_DTYPE)


def side_by_types(levels: msgspec.Raw, symbol: str) -> BookLevels:
    """The typed tier."""
    try:
        found = _levels(levels)
    except MALFORMED as error:
        raise BadMessage(f"not a side of a book: {error}", symbol=symbol) from None
    if not found:
        return NO_LEVELS
    return checked([(one.px, one.sz) for one in found if one is not None], symbol)


def checked(pairs: Sequence[tuple[float, float]], symbol: str) -> BookLevels:
    """Prices and sizes as an array. Raises BadQuote where one cannot be: what the others say then
    is no book either. Without a size no price is too odd.
    """
    if not pairs:
        return NO_LEVELS
    found = np.array(pairs, np.float64)
    if found[:, 0].min() > 0.0 and found.min() >= 0.0 and found.max() < math.inf:
        return found
    possible = (found >= 0.0).all() and (found < math.inf).all()
    if not possible or (found[found[:, 1] > 0.0, 0] == 0.0).any():
        raise BadQuote("a price or size that cannot be", symbol=symbol)
    return np.ascontiguousarray(found[found[:, 0] > 0.0])


def change(
    symbol: str,
    bids: BookLevels,
    asks: BookLevels,
    ids: tuple[int, int],
    times: tuple[int, int],
    window: int = 0,
) -> BookChange:
    """An update, or with `window`, the levels of a side that the channel shows, a snapshot.

    `ids`: what it follows on and what it leads to. `times`: as `wire.book_ns` has them. Raises
    BadMessage on what cannot be.
    """
    if not symbol:
        raise BadMessage("a book of no symbol")
    if not all(-1 <= number <= BOOK_ID_MAX for number in ids):
        raise BadMessage("update id out of range", symbol=symbol, ids=str(ids))
    return BookChange(symbol, window > 0, bids, asks, *ids, *times, window)
