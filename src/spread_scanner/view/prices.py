"""Quotes as programs ask for them over HTTP: one record a listing, in the shape of a pool's price.

The names are those that bots know from caches of pool prices; an exchange's listing is a pool whose
reserves are what stands at the top of its book. Only a quote that can be stood behind
(schema/freshness.py) is a price: who serves them (gateway/prices.py) leaves the others out.
"""

import math
from collections.abc import Container, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from spread_scanner.clock import NS_PER_MS
from spread_scanner.config import Settings
from spread_scanner.errors import Unusable
from spread_scanner.schema import costs, freshness
from spread_scanner.schema.enums import EXCHANGE_SOURCES, SOURCES, Market, Source
from spread_scanner.schema.freshness import FreshnessLimits
from spread_scanner.schema.records import QUOTE_DTYPE, TS_ABSENT
from spread_scanner.shm import PriceStore
from spread_scanner.shm._store import Quote
from spread_scanner.symbology.tables import Tables
from spread_scanner.view.depth import feed_beats
from spread_scanner.view.reading import Reading
from spread_scanner.view.sources import source_of

DECIMALS = 8  # of an exchange's reserves
EXACT = 2**53  # beyond it a JSON number of JavaScript is another number
# Of pools each has a price of its own (view.pools), beside which their source's says nothing new.
SPOT_LIKE = tuple(source for source in EXCHANGE_SOURCES if source.market is Market.SPOT)


class UnknownPair(Unusable):
    """A pair that no source lists."""


class Price(Reading, frozen=True):
    """What one listing can be had for now."""

    pool_id: str  # source and the exchange's own spelling: "binance-spot:BTCUSDT"
    dex_name: str  # the exchange
    source: str
    pair: str  # "BTC/USDT"
    price: float  # mid of bid and ask
    bid_px: float
    bid_sz: float  # base units
    ask_px: float
    ask_sz: float
    base_reserve: int  # what the best ask sells, in units of 10^-base_decimals
    quote_reserve: int  # what the best bid pays, likewise
    base_decimals: int
    quote_decimals: int
    ts_event_ns: int | None  # the exchange's clock; null: it tells none
    ts_recv_ns: int  # ours, by the session clock
    base_reserve_raw: str | msgspec.UnsetType = msgspec.UNSET  # beyond 2^53, where numbers are not
    quote_reserve_raw: str | msgspec.UnsetType = msgspec.UNSET
    age_ms: int = 0  # last, as it alone changes while the quote does not


class Served(Reading, frozen=True):
    """Whether there are prices, and of what; what else is amiss beside it."""

    status: str  # "ok" while there are prices that can be stood behind, else "unavailable"
    cached_pools: int  # listings with such a price
    cached_pairs: list[str]
    degraded: list[str]  # processes that are unwell, and in sentences what else is amiss
    switched: list[str]  # what is halted or paused
    version: str
    namespace: str


class PricedListing(NamedTuple):
    """One symbol on one source, by the names in its price."""

    source: Source
    symbol_id: int
    pool_id: str
    pair: str


class Quoted(NamedTuple):
    """What some listings are quoted at, row by row."""

    rows: npt.NDArray[np.int64]  # their numbers on the board
    listings: list[PricedListing]
    versions: npt.NDArray[np.uint64]  # how often each was written; its quote is no older
    quotes: np.ndarray  # QUOTE_DTYPE
    usable: npt.NDArray[np.bool_]
    ages_ms: npt.NDArray[np.int64]


class PairCells(NamedTuple):
    """Where one pair's listings lie in the store, row by row."""

    rows: npt.NDArray[np.int64]  # their numbers on the board
    listings: list[PricedListing]
    source_ids: list[int]
    at: tuple[npt.NDArray[np.int64], npt.NDArray[np.uint16]]  # sources and symbols


PairState = tuple[bytes, list[int]]  # versions, and the epochs of their sources


def pair_of(symbol: str) -> str:
    """BTC-USDT as bots write it: BTC/USDT."""
    base, _, quote = symbol.rpartition("-")
    return f"{base}/{quote}"


def as_pair(written: str) -> str:
    """A pair however it was written: BTC/USDT, btc-usdt."""
    written = written.upper()
    return written if "/" in written else pair_of(written)


def price_of(listing: PricedListing, quote: Iterable[Any], age_ms: int = 0) -> Price:
    """A quote, its fields in the order of QUOTE_DTYPE, by its names."""
    bid_px, bid_sz, ask_px, ask_sz, ts_event, ts_recv, *_ = quote
    base, paid = _units(ask_sz), _units(bid_px * bid_sz)
    return Price(
        listing.pool_id,
        listing.source.exchange.label,
        listing.source.label,
        listing.pair,
        costs.mid_px(bid_px, ask_px),
        bid_px,
        bid_sz,
        ask_px,
        ask_sz,
        base,
        paid,
        DECIMALS,
        DECIMALS,
        None if ts_event == TS_ABSENT else ts_event,
        ts_recv,
        raw(base),
        raw(paid),
        age_ms,
    )


def raw(units: int) -> str | msgspec.UnsetType:
    """The digits of a number that JavaScript's do not hold."""
    return str(units) if units > EXACT else msgspec.UNSET


def _units(reserve: float) -> int:
    """In units of 10^-DECIMALS; 0: more than a number holds is none."""
    units = reserve * 10**DECIMALS
    return round(units) if math.isfinite(units) else 0


class PriceBoard:
    """Reads the quotes of one set of tables; made anew with each."""

    def __init__(self, settings: Settings, tables: Tables, store: PriceStore) -> None:
        self._store = store
        self._sequences = store.sequences
        self._settings = settings
        self.limits = FreshnessLimits.of(settings)
        names = tables.symbol_names()
        self.listings = [
            PricedListing(
                source,
                row.symbol_id,
                f"{source.label}:{row.exchange_symbol}",
                pair_of(names[row.symbol_id]),
            )
            for source in SOURCES
            for row in tables.of_source(source.source_id)
        ]
        # By pair the symbol, of what is listed anywhere.
        self.pairs = {one.pair: names[one.symbol_id] for one in self.listings}
        self._ids = np.array([one.symbol_id for one in self.listings], np.uint16)
        of_source = np.array([one.source.source_id for one in self.listings], np.int64)
        self._rows = {source: np.flatnonzero(of_source == source.source_id) for source in SOURCES}
        self._ids_of = {source: self._ids[rows] for source, rows in self._rows.items()}
        self._listed = {
            source: [self.listings[number] for number in rows.tolist()]
            for source, rows in self._rows.items()
        }
        self._numbers = {source: rows.tolist() for source, rows in self._rows.items()}
        self._place_of = {
            source: {symbol_id: place for place, symbol_id in enumerate(ids.tolist())}
            for source, ids in self._ids_of.items()
        }
        self._rows_of_pair: dict[str, list[int]] = {pair: [] for pair in self.pairs}
        for number, one in enumerate(self.listings):
            self._rows_of_pair[one.pair].append(number)

    def source_of(self, label: str) -> Source:
        """A source that the store has; raises UnknownSource."""
        return source_of(label, self._store.num_sources)

    def ids(self, source: Source) -> npt.NDArray[np.uint16]:
        """The symbol of each row of a source."""
        return self._ids_of[source]

    def places(self, source: Source, ids: npt.NDArray[np.uint16]) -> list[int]:
        """Where among a source's rows these symbols are, of those that it lists."""
        place_of = self._place_of[source]
        return [place_of[one] for one in ids.tolist() if one in place_of]

    def rows(self, source: Source) -> npt.NDArray[np.int64]:
        """The numbers of a source's rows on the board."""
        return self._rows[source]

    def numbers(self, source: Source) -> list[int]:
        """The same, one by one."""
        return self._numbers[source]

    def listed(self, source: Source) -> list[PricedListing]:
        """A source's rows by their names."""
        return self._listed[source]

    def look(self, source: Source) -> Quoted:
        """Every listing of a source as it stands now."""
        ids = self._ids_of[source]
        beats = self.beats(source.source_id)
        versions = self._sequences[source.source_id, ids]
        quotes = self._store.read_many(source.source_id, ids)
        return self._judged(self._rows[source], self._listed[source], versions, quotes, beats)

    def standing(
        self, source: Source, places: Iterable[int], now_ns: int
    ) -> Iterator[tuple[int, int, Quote]]:
        """Of some of a source's listings, by their places among its rows, those that can be stood
        behind now: place, version, and the quote, which is no older. Of few of them: each is looked
        at by itself, for a tenth of what arrays of one take."""
        source_id, listed, read = source.source_id, self._listed[source], self._store.read
        beating, stale_ns_max = self.beats(source_id), self.limits.stale_ns_max
        for place in places:
            symbol_id = listed[place].symbol_id
            version = int(self._sequences[source_id, symbol_id])
            quote = read(source_id, symbol_id)
            if quote is not None and freshness.usable_one(
                quote.flags, quote.ts_recv, beating, now_ns, stale_ns_max
            ):
                yield place, version, quote

    def cells_of(self, pair: str, sources: Container[Source]) -> PairCells:
        """The listings of one pair on some sources; of one that pools alone have there are none."""
        rows = [n for n in self._rows_of_pair.get(pair, ()) if self.listings[n].source in sources]
        listed = [self.listings[number] for number in rows]
        numbers, source_ids = np.array(rows, np.int64), [one.source.source_id for one in listed]
        return PairCells(
            numbers, listed, source_ids, (np.array(source_ids, np.int64), self._ids[numbers])
        )

    def state_of(self, cells: PairCells) -> PairState:
        """What their quotes have come to: the same, and they are the same quotes with the same
        marks. To be read before them."""
        epochs = [self._store.epoch(source_id) for source_id in cells.source_ids]
        return self._sequences[cells.at].tobytes(), epochs

    def look_at(self, cells: PairCells) -> Quoted:
        """The listings of one pair as they stand now."""
        beating = [self.beats(source_id) for source_id in cells.source_ids]
        versions = self._sequences[cells.at]
        quotes = np.empty(len(beating), QUOTE_DTYPE)  # numpy puts records together slowly
        for at, (source_id, symbol_id) in enumerate(zip(*cells.at, strict=True)):
            quotes[at] = self._store.read_many(source_id, symbol_id.reshape(1))[0]
        beats = np.array(beating, np.bool_)
        return self._judged(cells.rows, cells.listings, versions, quotes, beats)

    def beats(self, source_id: int) -> bool:
        """Whether the feed of a source lives."""
        return feed_beats(self._store, source_id, self.limits)

    def now_ns(self) -> int:
        """By the session clock, as quotes are dated."""
        return self._store.clock.now_ns()

    def _judged(
        self,
        rows: npt.NDArray[np.int64],
        listed: list[PricedListing],
        versions: npt.NDArray[np.uint64],
        quotes: np.ndarray,
        beating: bool | freshness.Mask,
    ) -> Quoted:
        now_ns = self.now_ns()
        return Quoted(
            rows,
            listed,
            versions,
            quotes,
            freshness.usable(quotes, beating, now_ns, self.limits.stale_ns_max),
            np.maximum(now_ns - quotes["ts_recv"], 0) // NS_PER_MS,
        )

    def quoted(self, sources: Sequence[Source], pair: str = "") -> list[Quoted]:
        """Of one pair, or of all."""
        if pair:
            return [self.look_at(self.cells_of(pair, sources))]
        return [self.look(source) for source in sources]

    def prices(self, sources: Sequence[Source], pair: str = "") -> list[Price]:
        """What can be stood behind, of one pair or of all."""
        return [
            price_of(seen.listings[at], seen.quotes[at].item(), int(seen.ages_ms[at]))
            for seen in self.quoted(sources, pair)
            for at in np.flatnonzero(seen.usable).tolist()
        ]

    def named(self, pair: str) -> str:
        """The pair as prices have it, however it was written: BTC/USDT, btc-usdt. Raises
        UnknownPair."""
        found = as_pair(pair)
        if found not in self.pairs:
            raise UnknownPair("no source lists this pair", pair=pair)
        return found

    def fee_bps(self, listing: PricedListing) -> float:
        """What an exchange takes of a trade there."""
        return self._settings.fee_bps(listing.source, self.pairs[listing.pair])
