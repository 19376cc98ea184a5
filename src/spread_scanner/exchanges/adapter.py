"""What every exchange file provides, and the records it speaks in. Pure functions over bytes.

Discovery and the feeds know exchanges only through `Adapter`. Times, sockets, retries and the
price store belong to others; an adapter turns bytes into records and records into text to send.
Prices and sizes leave an adapter as the exchange gave them; the tables (symbology) hold what
brings them to one base unit: `px / px_div`, `sz * sz_mul`.
"""

from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from spread_scanner.schema.books import BookLevels
from spread_scanner.schema.enums import Source
from spread_scanner.schema.records import TS_ABSENT

TS_IMPOSSIBLE = TS_ABSENT + 1  # a time was given, and it is none: seconds, 1970, the far future


class RestRequest(NamedTuple):
    """A GET to the source's REST base. `weight` is what it costs of the exchange's limit."""

    path: str
    params: dict[str, str]
    weight: int = 1


class RawInstrument(NamedTuple):
    """One listing, in the exchange's own words. Absent numbers are None, never zero.

    `base` and `quote` are as the exchange spells them, multiplier prefix included ("1000PEPE");
    `base_name` is the coin behind a ticker where the exchange tells (MEXC's baseCoinName).
    `contract_size` is base units per contract (1.0 where sizes are in base already).
    """

    exchange_symbol: str
    base: str
    quote: str
    status: str
    trading: bool
    min_qty: float | None
    tick_size: float | None
    lot_step: float | None
    min_notional: float | None
    contract_size: float
    settle: str
    contract_type: str  # "spot", "linear-perpetual", or what it is instead
    base_name: str = ""
    api_closed: bool = False  # trades, but takes no orders through the API
    ends_ms: int | None = None  # announced end of trading, ms since 1970; None: none announced


SPELLING_BYTES_MAX = 64


def holdable(exchange_symbol: str) -> bool:
    """Whether the native tier can find a spelling in a message: 1 to 64 bytes, and none that JSON
    would write differently (native/symbols.h has the same rule; a test holds the two together)."""
    size = len(exchange_symbol.encode(errors="replace"))
    odd = any(char < " " or char in '"\\' for char in exchange_symbol)
    return 1 <= size <= SPELLING_BYTES_MAX and not odd


class Skipped(NamedTuple):
    """A row that was not taken, and why: evidence for the report."""

    what: str
    reason: str


class InstrumentPage(NamedTuple):
    """One answer to an instruments request; `next_request` is None on the last page."""

    instruments: list[RawInstrument]
    skipped: list[Skipped]
    next_request: RestRequest | None


class RestQuote(NamedTuple):
    """A top of book by REST. An absent side is NaN."""

    exchange_symbol: str
    bid_px: float
    bid_sz: float
    ask_px: float
    ask_sz: float


class Funding(NamedTuple):
    """Expected funding of a perpetual: `rate` per interval, as a fraction. None: not told."""

    exchange_symbol: str
    rate: float
    interval_hours: float | None
    cap: float | None = None  # the highest rate that the exchange lets it have
    floor: float | None = None  # the lowest
    next_ms: int | None = None  # the next settlement, ms since 1970


class FundingTerms(NamedTuple):
    """What stays of a contract's funding while its rate changes. None: not told."""

    interval_hours: float | None
    cap: float | None
    floor: float | None


class RawQuote(NamedTuple):
    """A top of book from the websocket, in the exchange's units. An absent side is NaN.

    Times are ns, TS_ABSENT where there is none, TS_IMPOSSIBLE where one stands that cannot be.
    `ts_engine` is the matching engine's where the message has a second time that is its own; it is
    old in a quote that is only sent again. `ts_sent` is when it was sent where `ts_event` is the
    engine's: not the quote's time, but one that may be wrong. `update_id` is 0 where the exchange
    gives none.
    """

    exchange_symbol: str
    bid_px: float
    bid_sz: float
    ask_px: float
    ask_sz: float
    ts_event: int
    update_id: int
    ts_engine: int = TS_ABSENT
    ts_sent: int = TS_ABSENT


class Delta(NamedTuple):
    """A change of one side or both at level 1 (old Bybit): None means unchanged, NaN emptied."""

    exchange_symbol: str
    bid: tuple[float, float] | None
    ask: tuple[float, float] | None
    ts_event: int
    update_id: int


class Ack(NamedTuple):
    """The exchange accepted a request. No proof of data: the first quote is."""

    request_id: str
    exchange_symbols: tuple[str, ...] = ()  # those it names, where it names any
    subscribes: bool | None = None  # what was accepted, where the answer tells


class RefusalKind(Enum):
    """What a refusal is about, which decides what is done about it."""

    SYMBOL = "symbol"  # the symbols it names
    BUSY = "busy"  # the pace, or the exchange's own trouble: ask the same again, later
    FULL = "full"  # the connection or the request holds no more
    UNKNOWN = "unknown"  # it names nobody, so nobody is to blame


class Refused(NamedTuple):
    """The exchange refused a request, or some symbols of it (empty: it does not say which)."""

    request_id: str
    exchange_symbols: tuple[str, ...]
    code: str
    message: str
    kind: RefusalKind = RefusalKind.UNKNOWN


class NoticeKind(Enum):
    PONG = "pong"
    SHUTDOWN = "shutdown"  # this connection will be cut soon: open its replacement
    SAID = "said"  # words for people, on the connection of quotes: logged
    OTHER = "other"  # a channel or kind that is not used; counted


class Notice(NamedTuple):
    kind: NoticeKind
    text: str = ""


TEXT_BYTES = 88
TEXT_DTYPE = np.dtype(f"S{TEXT_BYTES}")
Texts = npt.NDArray[np.bytes_]  # (n,) TEXT_DTYPE


class Spelled(NamedTuple):
    """How each level of both sides is spelled, "price:size": what checksums are made of."""

    bids: Texts
    asks: Texts


class BookChange(NamedTuple):
    """What one message says of one book. A snapshot says all of it, an update what has changed.

    `window`: how many levels of a side a snapshot shows at most. `checksum` is that of the book
    after the message, where the exchange gives one, and `texts` the levels as they were spelled,
    which it is made of. `ts_event` is the engine's time where `ts_sent`, that of sending, is told
    as well: which of them is believed is decided where it is known when it came.
    """

    exchange_symbol: str
    snapshot: bool
    bids: BookLevels
    asks: BookLevels
    after_id: int  # of an update
    last_id: int
    ts_event: int  # ns; TS_ABSENT, or TS_IMPOSSIBLE
    ts_sent: int = TS_ABSENT  # likewise
    window: int = 0  # 0: it shows all, or is an update
    checksum: int | None = None
    texts: Spelled | None = None

    @property
    def beyond(self) -> bool:
        """More may lie beyond a snapshot's last levels: a side has as many as it shows."""
        return self.window > 0 and max(len(self.bids), len(self.asks)) >= self.window


# What the slow tier makes of one frame. Bytes that fit nothing raise errors.BadMessage.
Event = RawQuote | Delta | BookChange | Ack | Refused | Notice


class PingRule(NamedTuple):
    """What the client must send to be kept: `text` every `interval_s` (None: nothing to send).

    Websocket ping frames of the server are answered by the socket layer, not here.
    """

    text: str | None
    interval_s: float


class Limits(NamedTuple):
    """What the exchange allows one connection; the feed shards and paces by it.

    Connects are counted by address, both markets and all processes together: no window of W seconds
    holds more than W * connects_per_s_max + connects_burst.
    """

    topics_per_connection_max: int
    topics_per_request_max: int
    request_bytes_max: int
    requests_per_s_max: float
    connects_per_s_max: float
    lifetime_s: float | None  # the exchange's own cut; None: no cut
    whole_request_refused: bool = False  # one bad topic: none of its request is subscribed
    requests_per_h_max: int | None = None  # None: no such limit
    topic_bytes_per_connection_max: int | None = None  # all topics together; None: no such limit
    connects_burst: int = 1  # of an address that has rested; connects_per_s_max is its long run


class Adapter(Protocol):
    """One source. Instances come from `exchanges.registry.adapter_of(source, settings)`."""

    source: Source
    limits: Limits
    ping: PingRule
    binary: bool  # quotes arrive as binary frames (MEXC spot)
    rest_weight_per_s: float  # REST weight that may be used per second
    period_ms: int  # how long a change may wait until the channel tells it; 0: it is told at once

    def rest_base(self) -> str:
        """For example "https://api.binance.com", from the settings."""

    def ws_url(self) -> str:
        """Where to dial, from the settings."""

    def instruments_request(self) -> RestRequest:
        """The first page of the instrument list."""

    def parse_instruments(self, body: bytes) -> InstrumentPage:
        """Raises ExchangeError on an error envelope, BadMessage on bytes that are not the list."""

    def tickers_request(self) -> RestRequest:
        """Best bids and asks of everything, for validation."""

    def parse_tickers(self, body: bytes) -> tuple[list[RestQuote], list[Skipped]]: ...

    def funding_request(self) -> RestRequest | None:
        """Expected funding of everything in one call, or None where there is no such call."""

    def listing_funding_request(self, exchange_symbol: str) -> RestRequest | None:
        """Expected funding of one listing, where funding_bulk is off; None: there is no such call.
        Answered as `parse_funding` reads it."""

    def parse_funding(self, body: bytes) -> list[Funding]: ...

    def funding_terms_request(self) -> RestRequest | None:
        """Where the funding call has no intervals: a second call that has them, else None."""

    def parse_funding_terms(self, body: bytes) -> dict[str, FundingTerms]:
        """By exchange symbol; one that is missing here has the exchange's usual 8 hours."""

    def subscribe(self, exchange_symbols: Sequence[str], request_id: int) -> str:
        """The text of one request; the caller keeps to `limits`."""

    def unsubscribe(self, exchange_symbols: Sequence[str], request_id: int) -> str: ...

    def topic_bytes(self, exchange_symbol: str) -> int:
        """What one symbol adds to a request's length, for `request_bytes_max`."""

    def parse(self, frame: bytes) -> list[Event]:
        """The slow tier: any frame, any key order, any optional field. Raises BadMessage."""

    def symbol_of(self, frame: bytes) -> str:
        """Whose quote a frame was to be that could not be read; "" when it does not tell."""

    def templates(self) -> tuple[str, ...]:
        """The native tier: the usual quote message with named holes, see native/template.h."""
