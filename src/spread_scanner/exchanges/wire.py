"""What the four exchange files share: bytes to typed structs, and the rules of a possible quote.

Read by the exchange files only. Whatever does not fit raises BadMessage with the first bytes, and
nothing else: msgspec's own errors, bad UTF-8 and bottomless nesting all end here.

Numbers come as JSON numbers or as strings; msgspec's lax mode takes both by one grammar (JSON's)
and rounds correctly, which is what makes the native tier comparable bit for bit.
"""

import contextlib
import functools
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, TypeVar, get_args, get_origin

import msgspec

from spread_scanner.config import SourceSettings
from spread_scanner.errors import BadMessage, BadQuote, ConfigError, ExchangeError
from spread_scanner.exchanges.adapter import (
    TS_IMPOSSIBLE,
    Event,
    Funding,
    FundingTerms,
    Limits,
    PingRule,
    RawQuote,
    RefusalKind,
    Refused,
    RestQuote,
    RestRequest,
    Skipped,
)
from spread_scanner.schema.channels import CHANNELS, DEPTH_CHANNELS
from spread_scanner.schema.enums import Source
from spread_scanner.schema.records import TS_ABSENT

T = TypeVar("T")

BOM = b"\xef\xbb\xbf"
NAN = math.nan
INF = math.inf
NS_PER_MS = 1_000_000
# 2017-07-14 and 2100-01-01, as in native/match.h: seconds and microseconds fall outside, too.
TS_MS_MIN = 1_500_000_000_000
TS_MS_MAX = 4_102_444_800_000
AHEAD_NS_MAX = 500_000_000  # the same file's
UPDATE_ID_MAX = 2**64 - 1
EMPTY = (NAN, NAN)  # a side with nothing on it

# The cheapest coin costs some 1e-12 USDT and the largest count of coins is some 1e15; between these
# any product or ratio of three is a float.
ABSURD_MIN, ABSURD_MAX = 1e-40, 1e40

# ms since 1970 of a message: whatever stands there in place of a number costs the time alone, see
# `read`.
Time = Annotated[int, "ms since 1970"]
NO_TIME_MS = 1  # what is written for it: one that cannot be
Number = str | float | None  # as REST lists write it: text, number, "" or null

MALFORMED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


# Words of refusals that are about no symbol. None of the exchanges lists them all, and they change
# without notice, so the sense is looked for and not the sentence.
BUSY_WORDS = re.compile(
    r"too many (requests|visits|messages|attempts)|too (frequent|fast|often|quickly)|frequen"
    r"|(rate|request|message)s?.?limit|\bbusy\b|try again|retry later|overload|system error"
    r"|maintenance",
    re.IGNORECASE,
)
FULL_WORDS = re.compile(
    r"args? (size|length)|too (many|long)|\bexceed|\blimit\b|\bmax(imum)?\b|21,?000",
    re.IGNORECASE,
)


def refused(
    request_id: str,
    named: Sequence[str],
    code: str,
    message: str,
    kinds: Mapping[str, RefusalKind] | None = None,
) -> Refused:
    """A refusal with its kind: by its code where `kinds` has it, else by its words, else by whom
    it names. One that names nobody is never about a symbol.
    """
    kind = (kinds or {}).get(code)
    if kind is None and BUSY_WORDS.search(message):
        kind = RefusalKind.BUSY
    elif kind is None and FULL_WORDS.search(message):
        kind = RefusalKind.FULL
    elif kind is None:
        kind = RefusalKind.SYMBOL
    if kind is RefusalKind.SYMBOL and not named:
        kind = RefusalKind.UNKNOWN
    return Refused(request_id, tuple(named), code, message, kind)


# A text of JSON up to its end, escapes and all: what is cut off within a name names nobody.
SPELLED = rb'((?:[^"\\]|\\.)+)"'


def the_one_named(pattern: re.Pattern[bytes], frame: bytes) -> str:
    """What all finds of a pattern that ends by SPELLED name; "" where that is nobody or several."""
    named = set(pattern.findall(frame))
    if len(named) != 1:
        return ""
    with contextlib.suppress(*MALFORMED):
        return msgspec.json.decode(b'"' + named.pop() + b'"', type=str)
    return ""


class BaseAdapter:
    """What the adapters of all exchanges do alike; see `Adapter` for what each method promises."""

    binary = False
    symbol_named: re.Pattern[bytes] | None = None  # the symbol in a frame of quotes, however bad
    rest_weight_per_s = 5.0
    period_ms = 0

    def __init__(
        self, source: Source, settings: SourceSettings, limits: Limits, ping: PingRule
    ) -> None:
        self.source = source
        self.settings = settings
        self.ping = ping
        wanted = settings.topics_per_connection_max
        self.limits = limits._replace(topics_per_connection_max=wanted) if wanted else limits

    def rest_base(self) -> str:
        return self.settings.rest_url.rstrip("/")

    def ws_url(self) -> str:
        return self.settings.ws_url

    def funding_request(self) -> RestRequest | None:
        return None

    def listing_funding_request(self, exchange_symbol: str) -> RestRequest | None:
        return None

    def parse_funding(self, body: bytes) -> list[Funding]:
        raise BadMessage("no funding is asked of this source", source=self.source.label, raw=body)

    def funding_terms_request(self) -> RestRequest | None:
        return None

    def parse_funding_terms(self, body: bytes) -> dict[str, FundingTerms]:
        raise BadMessage("no intervals are asked of this source", source=self.source.label)

    def symbol_of(self, frame: bytes) -> str:
        """The one symbol that a frame names where a quote names it; "" for none or several."""
        return the_one_named(self.symbol_named, frame) if self.symbol_named is not None else ""

    def parse(self, frame: bytes) -> list[Event]:
        """One frame; a BadMessage leaves with the source and the frame as evidence."""
        try:
            # One look at one byte: `startswith` costs as much as a field of the message.
            if frame and frame[0] == BOM[0] and frame.startswith(BOM):
                return self._parse(frame[len(BOM) :])
            return self._parse(frame)
        except BadMessage as error:
            error.evidence.setdefault("source", self.source.label)
            error.evidence.setdefault("raw", frame)
            raise

    def _parse(self, frame: bytes) -> list[Event]:
        raise NotImplementedError


class Level(msgspec.Struct, array_like=True):
    """One price level: ["63561.5", "1.776"], or [0.080550, 48, 1] with an order count behind."""

    px: float
    sz: float


# One side of a book as it comes: encoders write an empty list as null, and some leave it out.
Levels = Sequence[Level | None] | None


def decoder(kind: type[T]) -> Callable[[bytes], T]:
    """A JSON decoder of `kind` that takes numbers in strings as well."""
    return msgspec.json.Decoder(kind, strict=False).decode


def decoded(decode: Callable[[bytes], T], data: bytes, kind: type[T] | None = None) -> T:
    """The bytes as the decoder's type, a byte-order mark ignored.

    With `kind`, which is that type, fields that say nothing may say it by null: see `lenient`.
    """
    text = data[3:] if data[:3] == BOM else data
    try:
        return decode(text)
    except MALFORMED as error:
        if kind is not None:
            with contextlib.suppress(*MALFORMED):
                return decode(lenient(kind, text))
        raise BadMessage(f"not the expected message: {error}", raw=data) from None


def lenient(kind: Any, data: bytes) -> bytes:
    """The same JSON object as a struct of `kind` is usually written: null is left out, so that it
    counts as absent, but where anything may stand, which whoever wants it reads; and a number
    stands in quotes where text is wanted. What is no time where one is wanted is NO_TIME_MS, and ""
    none.

    Exchanges change from absent to null, or from "1" to 1, without notice; that costs no list.
    Raises one of MALFORMED on what is no object.
    """
    wanted = _wanted(kind)
    kept: dict[str, msgspec.Raw] = {}
    for name, raw in msgspec.json.decode(data, type=dict[str, msgspec.Raw]).items():
        text = bytes(raw)
        if name not in wanted or (text == b"null" and wanted[name] is not msgspec.Raw):
            continue
        if wanted[name] is str and text[:1] in NUMBER_BEGINS:
            text = b'"' + text + b'"'
        else:
            text = _lenient_within(wanted[name], text)
        kept[name] = msgspec.Raw(text)
    return msgspec.json.encode(kept)


@functools.cache
def _wanted(kind: Any) -> dict[str, Any]:
    """The fields of a struct by their names on the wire; kept, as msgspec works their types out at
    each call, which took 14 of the 16 us of an acknowledgement."""
    return {field.encode_name: field.type for field in msgspec.structs.fields(kind)}


def _lenient_within(kind: Any, text: bytes) -> bytes:
    """The same of a struct in a field, and of each in a list."""
    if kind == Time and text == b'""':
        return b"0"
    if kind == Time:
        return text if _is_whole(text) else b"%d" % NO_TIME_MS
    if _is_struct(kind) and text[:1] == b"{":
        return lenient(kind, text)
    if get_origin(kind) is list and _is_struct(get_args(kind)[0]) and text[:1] == b"[":
        rows = [bytes(raw) for raw in msgspec.json.decode(text, type=list[msgspec.Raw])]
        within = [_lenient_within(get_args(kind)[0], row) for row in rows if row != b"null"]
        return b"[" + b",".join(within) + b"]"
    return text


def read(decode: Callable[[bytes], T], data: bytes, kind: type[T]) -> T:
    """A message as it stands, or as `lenient` has it where that cannot be read. Raises one of
    MALFORMED."""
    try:
        return decode(data)
    except MALFORMED:
        return decode(lenient(kind, data))


NUMBER_BEGINS = tuple(b"-0123456789"[place : place + 1] for place in range(11))


def _is_whole(text: bytes) -> bool:
    try:
        msgspec.json.decode(text, type=int, strict=False)
    except MALFORMED:
        return False
    return True


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


class Envelope(msgspec.Struct):
    """What comes in place of an answer, as Binance and MEXC spot have it:
    {"code":-1121,"msg":"Invalid symbol."}
    """

    code: int = 0
    msg: str = ""


_envelope = decoder(Envelope)


def answered(decode: Callable[[bytes], T], body: bytes, kind: type[T] | None = None) -> T:
    """A REST answer; ExchangeError when an error envelope came in its place."""
    try:
        return decoded(decode, body, kind)
    except BadMessage:
        envelope = decoded(_envelope, body, Envelope)
        if envelope.code:
            raise ExchangeError(envelope.msg, code=envelope.code) from None
        raise


def rows(kind: type[T], raws: Sequence[msgspec.Raw]) -> tuple[list[T], list[Skipped]]:
    """Each row on its own, so that one bad row does not cost the list."""
    decode = decoder(kind)
    good: list[T] = []
    skipped: list[Skipped] = []
    for number, raw in enumerate(raws):
        try:
            good.append(decoded(decode, bytes(raw), kind))
        except BadMessage as error:
            why = error.message.removeprefix("not the expected message: ")
            skipped.append(Skipped(_row_name(bytes(raw), number), f"malformed row: {why}"))
    return good, skipped


class _Named(msgspec.Struct):
    symbol: str = ""
    instId: str = ""  # noqa: N815


def _row_name(raw: bytes, number: int) -> str:
    try:
        named = msgspec.json.decode(raw, type=_Named)
    except MALFORMED:
        return f"row {number}"
    return named.symbol or named.instId or f"row {number}"


def ts_ns(ms: int) -> int:
    """Milliseconds of the exchange's clock in ns; zero is what some send for "no time".

    A time that cannot be costs the time, not the quote: TS_IMPOSSIBLE.
    """
    if TS_MS_MIN <= ms <= TS_MS_MAX:
        return ms * NS_PER_MS
    return TS_ABSENT if ms == 0 else TS_IMPOSSIBLE


def engine_ns(ms: int, sent_ns: int) -> int:
    """The same of the matching engine's time, in a message that was sent at `sent_ns`.

    Nothing is sent before it is made, but for what two clocks of one exchange are apart.
    """
    made_ns = ts_ns(ms)
    dated = sent_ns > TS_IMPOSSIBLE
    return TS_IMPOSSIBLE if dated and made_ns > sent_ns + AHEAD_NS_MAX else made_ns


def book_ns(made_ms: int, sent_ms: int = 0) -> tuple[int, int]:
    """A book's times: the engine's and that of sending; where only one is told it is the first."""
    sent_ns = ts_ns(sent_ms)
    made_ns = engine_ns(made_ms, sent_ns)
    return (sent_ns, TS_ABSENT) if made_ns == TS_ABSENT else (made_ns, sent_ns)


_tuple = tuple.__new__


def quote(
    symbol: str,
    bid: tuple[float, float],
    ask: tuple[float, float],
    ts_event: int,
    update_id: int,
    ts_engine: int = TS_ABSENT,
    ts_sent: int = TS_ABSENT,
) -> RawQuote:
    """A top of book after the rules of `side`; the usual quote passes by one glance."""
    bid_px, bid_sz = bid
    ask_px, ask_sz = ask
    if not (
        bid_px > 0.0
        and bid_sz > 0.0
        and ask_px > 0.0
        and ask_sz > 0.0
        and bid_px + bid_sz + ask_px + ask_sz < INF
    ):
        bid_px, bid_sz = EMPTY if bid is EMPTY else side(bid_px, bid_sz, symbol)
        ask_px, ask_sz = EMPTY if ask is EMPTY else side(ask_px, ask_sz, symbol)
    if not symbol:
        raise BadMessage("a quote of no symbol")
    if not 0 <= update_id <= UPDATE_ID_MAX:
        raise BadMessage("update id out of range", symbol=symbol, update_id=update_id)
    # The tuple's own constructor: a NamedTuple's is Python, and costs as much as the checks above.
    return _tuple(
        RawQuote,
        (symbol, bid_px, bid_sz, ask_px, ask_sz, ts_event, update_id, ts_engine, ts_sent),
    )


def side(px: float, sz: float, symbol: str) -> tuple[float, float]:
    """One side as a message states it. No size means that nothing is there, at any price."""
    if not (0.0 <= px < INF and 0.0 <= sz < INF):
        raise BadQuote("a price or size that cannot be", symbol=symbol, px=px, sz=sz)
    if sz == 0.0:
        return EMPTY
    if px == 0.0:
        raise BadQuote("a size at a price of zero", symbol=symbol, px=px, sz=sz)
    return px, sz


def top(levels: Levels) -> tuple[float, float]:
    """The best level is the first; an empty list, null and a level of null are an empty side."""
    if not levels:
        return EMPTY
    best = levels[0]
    return EMPTY if best is None else (best.px, best.sz)


def flat(px: float | None, sz: float | None, symbol: str) -> tuple[float, float]:
    """A side of two plain fields; without both it is empty, without one of them it is no side."""
    if px is not None and sz is not None:
        return px, sz
    if px is not None or sz is not None:
        raise BadQuote("half a side", symbol=symbol, px=px, sz=sz)
    return EMPTY


def number(value: Number) -> float | None:
    """A number of a REST list; None where it is missing, empty or not a finite number."""
    if value is None or value == "":
        return None
    try:
        result: float = msgspec.convert(value, float, strict=False)
    except msgspec.ValidationError:
        return None
    return result if math.isfinite(result) else None


def positive(value: Number) -> float | None:
    """As `number`, and None for zero: exchanges write zero for "rule does not apply".

    None, too, for what no price, size or step ever was (see ABSURD_MIN): products and ratios of
    such numbers leave the range of floats.
    """
    result = number(value)
    return result if result is not None and ABSURD_MIN < result < ABSURD_MAX else None


def end_ms(value: Number) -> int | None:
    """An announced end of trading, ms since 1970; "", "0" and absence mean that none is."""
    ms = positive(value)
    return int(ms) if ms is not None else None


def instant_ms(value: Number) -> int | None:
    """A time of a REST list, ms since 1970; None where it is missing, zero or in no such unit."""
    ms = number(value)
    return int(ms) if ms is not None and TS_MS_MIN <= ms < TS_MS_MAX else None


RestTop = tuple[str, Number, Number, Number, Number]  # symbol, bid_px, bid_sz, ask_px, ask_sz


def rest_quote(
    symbol: str, bid_px: Number, bid_sz: Number, ask_px: Number, ask_sz: Number
) -> RestQuote | Skipped:
    """A REST top of book; a side without a price is NaN, without either there is no quote."""
    bid = (positive(bid_px) or NAN, _size(bid_sz))
    ask = (positive(ask_px) or NAN, _size(ask_sz))
    if math.isnan(bid[0]) or bid[1] == 0.0:
        bid = EMPTY
    if math.isnan(ask[0]) or ask[1] == 0.0:
        ask = EMPTY
    if math.isnan(bid[0]) and math.isnan(ask[0]):
        return Skipped(symbol, "no bid and no ask")
    return RestQuote(symbol, *bid, *ask)


def _size(value: Number) -> float:
    """A size; NaN where the exchange gives none (a list of prices only)."""
    size = number(value)
    return NAN if size is None or size < 0.0 else size


def rest_quotes(
    kind: type[T], raws: Sequence[msgspec.Raw], top: Callable[[T], RestTop]
) -> tuple[list[RestQuote], list[Skipped]]:
    """A list of tops of book: the quotes, and what was left out with the reason."""
    good, skipped = rows(kind, raws)
    quotes: list[RestQuote] = []
    for row in good:
        found = rest_quote(*top(row))
        if isinstance(found, Skipped):
            skipped.append(found)
        else:
            quotes.append(found)
    return quotes, skipped


def channel_of(settings: SourceSettings, label: str) -> str:
    """The best-bid/ask channel that the settings choose; the first is the fastest."""
    return _chosen(settings.channel, CHANNELS[label], f"{label}.channel")


def depth_channel_of(settings: SourceSettings, label: str) -> str:
    """The channel of books that the settings choose; the first is the usual one."""
    return _chosen(settings.depth_channel, DEPTH_CHANNELS[label], f"{label}.depth_channel")


def _chosen(wanted: str, channels: tuple[str, ...], key: str) -> str:
    if not wanted:
        return channels[0]
    if wanted not in channels:
        raise ConfigError(
            "bad setting", file="exchanges.toml", key=key, allowed=", ".join(channels)
        )
    return wanted
