"""Recorded frames to normalised quotes: what `spread-ctl decode` prints, as pure functions.

Read by cli (the command) and by tests. Frames go through the same two tiers as in a feed: with the
tables the native one first, then the typed one. What is no quote is counted by reason and left out.
"""

import binascii
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal, NotRequired, TypedDict, cast

import msgspec

from spread_scanner.config import SourceSettings
from spread_scanner.errors import BadMessage, BadQuote
from spread_scanner.exchanges._match import Decoder
from spread_scanner.exchanges.adapter import (
    TS_IMPOSSIBLE,
    Ack,
    Adapter,
    BookChange,
    Delta,
    Notice,
    RawQuote,
    Refused,
)
from spread_scanner.exchanges.registry import adapter_of
from spread_scanner.schema.enums import Source

Scales = Mapping[str, tuple[int, float, float]]  # exchange symbol -> symbol id, px_div, sz_mul

# Nothing is dialled here, so any address will do.
OFFLINE = SourceSettings(rest_url="http://offline.invalid", ws_url="ws://offline.invalid")
RECEIVE_TIME = re.compile(rb"^\d+(?:\.\d+)?:?[ \t]+")  # "1723161253937085768 {", "1617647603.42: {"
BAD_MESSAGE = "bad message"  # a reason to skip a frame: it is none of the source's
BOM = b"\xef\xbb\xbf"
VARINT_BYTES_MAX = 10


class DecodedQuote(TypedDict):
    """A line of output. An empty side is null; a side that a delta leaves alone has no key."""

    source: str
    exchange_symbol: str
    kind: Literal["quote", "delta"]
    symbol_id: NotRequired[int]  # with the tables; prices and sizes are in base units then
    bid_px: NotRequired[float | None]
    bid_sz: NotRequired[float | None]
    ask_px: NotRequired[float | None]
    ask_sz: NotRequired[float | None]
    ts_event: int | None  # ns since 1970 UTC, by the exchange's clock
    update_id: int  # 0 where the exchange gives none
    tier: Literal["native", "typed"]


class _Wrapped(msgspec.Struct):
    """{"raw":"{\\"u\\":1}","where":"..."}, {"hex":"0a33...","channel":"..."} or, from archives of
    feeds, {"message":{"u":1},"nominal_local":"..."}
    """

    raw: str | None = None
    hex: str | None = None
    message: msgspec.Raw = msgspec.Raw(b"")


def frames_in(source: Source, data: bytes) -> Iterator[bytes]:
    """The frames of a file: one a line, or length-prefixed where the source sends binary frames.

    A length-prefixed wrapper begins with its length and 0x0A, lines begin with `{"` or a time.
    """
    start = data.removeprefix(BOM).lstrip()
    looks_like_lines = start[:2] in (b'{"', b"[{") or RECEIVE_TIME.match(start)
    if adapter_of(source, OFFLINE).binary and not looks_like_lines:
        return length_prefixed(data)
    return line_frames(data.splitlines())


def line_frames(lines: Iterable[bytes]) -> Iterator[bytes]:
    """One frame a line: bare, behind a receive time, or in JSON under "raw", "hex" or "message"."""
    for line in lines:
        text = RECEIVE_TIME.sub(b"", line.removeprefix(BOM).strip(), count=1)
        if text:
            yield _unwrapped(text)


def _unwrapped(text: bytes) -> bytes:
    try:
        wrapped = msgspec.json.decode(text, type=_Wrapped)
        if wrapped.raw is not None:
            return wrapped.raw.encode()
        if wrapped.hex is not None:
            return binascii.unhexlify(wrapped.hex)
        if bytes(wrapped.message).startswith(b"{"):
            return bytes(wrapped.message)
    except (msgspec.DecodeError, UnicodeError, RecursionError, ValueError):
        pass  # no JSON object of ours: the line itself is the frame
    return text


def length_prefixed(data: bytes) -> Iterator[bytes]:
    """Frames each behind its length as a varint. Raises BadMessage where the data is cut off."""
    at = 0
    while at < len(data):
        size, start = _varint(data, at)
        if start + size > len(data):
            raise BadMessage("the last frame is cut off", offset=at, raw=data[at:])
        yield data[start : start + size]
        at = start + size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for place, byte in enumerate(data[at : at + VARINT_BYTES_MAX]):
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return value, at + place + 1
    raise BadMessage("no length where a frame should begin", offset=at, raw=data[at:])


def decode_lines(
    source: Source,
    frames: Iterable[bytes],
    tables: Scales | None = None,
    skipped: Counter[str] | None = None,
    settings: SourceSettings = OFFLINE,
) -> Iterator[DecodedQuote]:
    """Quotes as plain dicts; with tables in base units, without as the exchange gave them.

    `skipped` counts, while the iterator runs, what gave no quote, by reason.
    """
    adapter = adapter_of(source, settings)
    counts = Counter[str]() if skipped is None else skipped
    native = None
    if tables is not None:
        native = Decoder(adapter.templates(), tables, protobuf=adapter.binary)
    names = {scale[0]: symbol for symbol, scale in (tables or {}).items()}
    for frame in frames:
        matched = native.match(frame) if native is not None else None
        if matched is not None:
            quote = RawQuote(names[matched[0]], *matched[1:])
            yield _row(source, quote, matched[0], "native")
        else:
            yield from _typed(adapter, frame, tables, counts)


def scaled(quote: RawQuote, px_div: float, sz_mul: float) -> RawQuote:
    """A quote in base units. The native tier has the same two operations per side."""
    return quote._replace(
        bid_px=quote.bid_px / px_div,
        bid_sz=quote.bid_sz * sz_mul,
        ask_px=quote.ask_px / px_div,
        ask_sz=quote.ask_sz * sz_mul,
    )


def _typed(
    adapter: Adapter, frame: bytes, tables: Scales | None, counts: Counter[str]
) -> Iterator[DecodedQuote]:
    try:
        events = adapter.parse(frame)
    except BadQuote as error:
        counts[f"bad quote: {error.message}"] += 1
        return
    except BadMessage:
        counts[BAD_MESSAGE] += 1
        return
    for event in events:
        if not isinstance(event, RawQuote | Delta):
            counts[_reason(event)] += 1
        elif tables is None:
            yield _row(adapter.source, event, None, "typed")
        elif event.exchange_symbol not in tables:
            counts["unknown symbol"] += 1
        else:
            symbol_id, px_div, sz_mul = tables[event.exchange_symbol]
            yield _row(adapter.source, _scaled_event(event, px_div, sz_mul), symbol_id, "typed")


def _scaled_event(event: RawQuote | Delta, px_div: float, sz_mul: float) -> RawQuote | Delta:
    if isinstance(event, RawQuote):
        return scaled(event, px_div, sz_mul)
    bid, ask = event.bid, event.ask
    return event._replace(
        bid=bid and (bid[0] / px_div, bid[1] * sz_mul),
        ask=ask and (ask[0] / px_div, ask[1] * sz_mul),
    )


def _reason(event: Ack | Refused | Notice | BookChange) -> str:
    if isinstance(event, Ack):
        return "acknowledgement"
    if isinstance(event, Refused):
        return "refusal"
    if isinstance(event, BookChange):
        return "book"
    return f"notice: {event.kind.value}"


def _row(
    source: Source,
    event: RawQuote | Delta,
    symbol_id: int | None,
    tier: Literal["native", "typed"],
) -> DecodedQuote:
    if isinstance(event, RawQuote):
        bid: tuple[float, float] | None = (event.bid_px, event.bid_sz)
        ask: tuple[float, float] | None = (event.ask_px, event.ask_sz)
    else:
        bid, ask = event.bid, event.ask
    row: dict[str, object] = {
        "source": source.label,
        "exchange_symbol": event.exchange_symbol,
        "kind": "quote" if isinstance(event, RawQuote) else "delta",
    }
    if symbol_id is not None:
        row["symbol_id"] = symbol_id
    if bid is not None:
        row["bid_px"], row["bid_sz"] = _or_null(bid[0]), _or_null(bid[1])
    if ask is not None:
        row["ask_px"], row["ask_sz"] = _or_null(ask[0]), _or_null(ask[1])
    row["ts_event"] = None if event.ts_event <= TS_IMPOSSIBLE else event.ts_event
    row["update_id"], row["tier"] = event.update_id, tier
    return cast("DecodedQuote", row)


def _or_null(value: float) -> float | None:
    return None if math.isnan(value) else value
