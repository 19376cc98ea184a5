"""What the exchanges answer by REST: instruments, quotes and funding of every source.

Asks all sources side by side, each for one thing after the other, live or from saved files
(discovery.saved); both go through the adapters' parsers. A source whose instruments or quotes
cannot be had has failed, with the reason; funding is welcome but not needed.
"""

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, TypeVar

from spread_scanner import clock
from spread_scanner.errors import BadMessage, ExchangeError
from spread_scanner.exchanges.adapter import (
    Adapter,
    Funding,
    FundingTerms,
    InstrumentPage,
    RawInstrument,
    RestQuote,
    RestRequest,
    Skipped,
)
from spread_scanner.schema.enums import Source
from spread_scanner.schema.figures import few, plain
from spread_scanner.schema.funding import INTERVAL_USUAL_H, interval_can_be, rate_can_be

T = TypeVar("T")
Done = Callable[[str, str], None]

PAGES_MAX = 50
INSTRUMENTS = "instruments"
TICKERS = "tickers"
FUNDING = "funding"
INTERVALS = "funding-intervals"
KINDS = (INSTRUMENTS, TICKERS, FUNDING, INTERVALS)
SPOT_TYPE = "spot"
PERPETUAL_TYPE = "linear-perpetual"
TAKEN_TYPES = (SPOT_TYPE, PERPETUAL_TYPE)
NAMES_SHOWN = 5


class RestDesk(Protocol):
    """Where answers come from: one exchange's REST interface, or a folder."""

    async def get(
        self, kind: str, page: int, request: RestRequest, parse: Callable[[bytes], T], /
    ) -> T:
        """Raises ExchangeError when there is none."""


class FundingTold(NamedTuple):
    """What a source says of funding, as it says it, and when it was asked."""

    rows: list[Funding]
    asked_wall_ns: int
    assumed: frozenset[str]  # whose interval is the usual one because it names no other
    notes: list[str]


@dataclass
class Listed:
    """All that one source said. `failure` is why it counts as unreachable, or empty."""

    source: Source
    instruments: list[RawInstrument] = field(default_factory=list)
    quotes: dict[str, RestQuote] = field(default_factory=dict)
    funding: dict[str, Funding] = field(default_factory=dict)
    told: FundingTold | None = None  # what `funding` is made of
    skipped: list[Skipped] = field(default_factory=list)
    twice: list[Skipped] = field(default_factory=list)  # rows of a name that another row has
    unquoted: dict[str, str] = field(default_factory=dict)  # rows of the quote list without one
    notes: list[str] = field(default_factory=list)
    failure: str = ""
    doubted: bool = False  # it was reached; the failure is that its lists are not believed

    def mid(self, exchange_symbol: str) -> float:
        """Mid price by REST, in the exchange's units; NaN where a side is missing."""
        quote = self.quotes.get(exchange_symbol)
        # Halved before they are added, so that no two prices make infinity.
        return quote.bid_px / 2 + quote.ask_px / 2 if quote is not None else math.nan


async def ask_all(
    adapters: Sequence[Adapter], desks: Mapping[str, RestDesk], done: Done
) -> list[Listed]:
    """Every source side by side. `done` is told (source label, kind) as answers come in."""

    async def ask(adapter: Adapter) -> Listed:
        desk = desks[adapter.source.label]
        listed = await _ask_list(adapter, desk, done)
        await _ask_rest(adapter, desk, listed, done)
        return listed

    return list(await asyncio.gather(*map(ask, adapters)))


async def ask_lists(
    adapters: Sequence[Adapter], desks: Mapping[str, RestDesk], done: Done
) -> list[Listed]:
    """The lists of instruments alone."""
    asked = (_ask_list(adapter, desks[adapter.source.label], done) for adapter in adapters)
    return list(await asyncio.gather(*asked))


async def ask_rest(
    adapters: Sequence[Adapter], desks: Mapping[str, RestDesk], listed: Sequence[Listed], done: Done
) -> None:
    """Quotes and funding of those whose lists were had."""
    rows = zip(adapters, listed, strict=True)
    await asyncio.gather(
        *(_ask_rest(adapter, desks[adapter.source.label], row, done) for adapter, row in rows)
    )


async def _ask_list(adapter: Adapter, desk: RestDesk, done: Done) -> Listed:
    listed = Listed(adapter.source)
    try:
        await _ask_instruments(adapter, desk, listed)
    except (ExchangeError, BadMessage) as error:
        listed.failure = str(error)
        done(adapter.source.label, "failed")
    else:
        done(adapter.source.label, INSTRUMENTS)
    return listed


async def _ask_rest(adapter: Adapter, desk: RestDesk, listed: Listed, done: Done) -> None:
    label = adapter.source.label
    if listed.failure:
        return
    try:
        quotes, skipped = await desk.get(
            TICKERS, 1, adapter.tickers_request(), adapter.parse_tickers
        )
        listed.quotes = {quote.exchange_symbol: quote for quote in quotes}
        listed.unquoted = {row.what: row.reason for row in skipped}
        if not listed.quotes:
            raise ExchangeError("the quote list is empty", skipped=len(skipped))
    except (ExchangeError, BadMessage) as error:
        listed.failure = str(error)
        done(label, "failed")
        return
    done(label, TICKERS)
    try:
        told = await ask_funding(adapter, desk)
        if told is not None:
            listed.told = told
            listed.notes += told.notes
            listed.funding = _possible(told.rows, listed.notes)
    except (ExchangeError, BadMessage) as error:
        listed.notes.append(f"expected funding is not known: {error}")
    done(label, FUNDING)


async def _ask_instruments(adapter: Adapter, desk: RestDesk, listed: Listed) -> None:
    """Page after page; a listing that is named twice counts once."""
    request: RestRequest | None = adapter.instruments_request()
    rows: list[RawInstrument] = []
    for page in range(1, PAGES_MAX + 1):
        if request is None:
            break
        answer: InstrumentPage = await desk.get(
            INSTRUMENTS, page, request, adapter.parse_instruments
        )
        rows += answer.instruments
        listed.skipped += answer.skipped
        request = answer.next_request
    else:
        raise ExchangeError("the instrument list never ends", pages=PAGES_MAX)
    listed.instruments, listed.twice = _once(rows)
    if not listed.instruments:
        raise ExchangeError("the instrument list is empty", skipped=len(listed.skipped))


def _once(rows: Sequence[RawInstrument]) -> tuple[list[RawInstrument], list[Skipped]]:
    """One row per name: the one that trades before a dead one, else the first; and the others."""
    chosen: dict[str, RawInstrument] = {}
    others: list[RawInstrument] = []
    for row in rows:
        rival = chosen.get(row.exchange_symbol)
        if rival is None or (alive(row) and not alive(rival)):
            chosen[row.exchange_symbol] = row
            row = rival if rival is not None else row
        if row is not chosen[row.exchange_symbol] and row != chosen[row.exchange_symbol]:
            others.append(row)
    twice = [
        Skipped(
            row.exchange_symbol, f"a second row of this name: {row.contract_type}, {row.status}"
        )
        for row in others
    ]
    return list(chosen.values()), twice


def alive(row: RawInstrument) -> bool:
    """Whether a row trades and is of a kind that is taken."""
    return row.trading and row.contract_type in TAKEN_TYPES


async def ask_funding(adapter: Adapter, desk: RestDesk) -> FundingTold | None:
    """Funding of everything, or None where there is no such call. Raises ExchangeError."""
    request = adapter.funding_request()
    if request is None:
        return None
    asked_wall_ns = clock.wall_ns()
    # Where the quotes carry the funding, it is asked for with the same request.
    kind = TICKERS if request == adapter.tickers_request() else FUNDING
    rows = await desk.get(kind, 1, request, adapter.parse_funding)
    request = adapter.funding_terms_request()
    if request is None:
        return FundingTold(rows, asked_wall_ns, frozenset(), [])
    try:
        terms = await desk.get(INTERVALS, 1, request, adapter.parse_funding_terms)
    except (ExchangeError, BadMessage) as error:
        notes = [f"funding intervals are not known: {error}"]
        return FundingTold(rows, asked_wall_ns, frozenset(), notes)
    known = {symbol for symbol, one in terms.items() if one.interval_hours is not None}
    assumed = frozenset(row.exchange_symbol for row in rows) - known
    rows = [_with_terms(row, terms.get(row.exchange_symbol)) for row in rows]
    return FundingTold(rows, asked_wall_ns, assumed, [])


def _with_terms(row: Funding, terms: FundingTerms | None) -> Funding:
    if terms is None:
        return row._replace(interval_hours=INTERVAL_USUAL_H)
    hours = terms.interval_hours
    return row._replace(
        interval_hours=INTERVAL_USUAL_H if hours is None else hours,
        cap=terms.cap,
        floor=terms.floor,
    )


def _possible(rows: Sequence[Funding], notes: list[str]) -> dict[str, Funding]:
    """By name, what no exchange has counted as not known; a rate that is no rate leaves."""
    found: dict[str, Funding] = {}
    odd_rates: list[str] = []
    odd_hours: list[str] = []
    for row in rows:
        if not rate_can_be(row.rate):
            odd_rates.append(f"{row.exchange_symbol} {plain(row.rate)}")
            continue
        hours = row.interval_hours
        if hours is not None and not interval_can_be(hours):
            odd_hours.append(f"{row.exchange_symbol} {plain(hours)} h")
            row = row._replace(interval_hours=None)
        found[row.exchange_symbol] = row
    if odd_rates:
        notes.append(
            f"funding rates beyond every cap count as unknown: {few(odd_rates, NAMES_SHOWN)}"
        )
    if odd_hours:
        notes.append(f"funding intervals that no exchange has: {few(odd_hours, NAMES_SHOWN)}")
    return found
