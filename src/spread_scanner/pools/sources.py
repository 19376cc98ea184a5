"""Pools as sources of the price store: each source's quotes, and ladders of those that are wanted.

Writer of the rows of its sources in "<namespace>.store", of their tapes and of their slots in
"<namespace>.books"; reads the rate of USDC in USDT from the store, and which books are wanted. A
quote is written when a pool of it has moved, and once a slot while slots are told; where nothing
is left to stand behind it is marked stale. A process that is killed leaves quotes that its heart
no longer beats for.

All this is done in short stretches, between which what providers tell is heard: what a pool's cell
waits for is one stretch at most, whatever there is to be quoted.
"""

import contextlib
import math
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from msgspec.structs import replace

from spread_scanner import clock
from spread_scanner.clock import NS_PER_S
from spread_scanner.config import Settings
from spread_scanner.config.pools import in_usdc
from spread_scanner.pools._units import WatchedPool
from spread_scanner.pools.effective import PoolSide, PoolSides, StableQuote, as_traded
from spread_scanner.pools.feed import PoolFeed
from spread_scanner.pools.markets import ChainTime, PoolMarkets, levels
from spread_scanner.pools.pace import SLOT_NS
from spread_scanner.schema import freshness
from spread_scanner.schema.books import BOOK_DTYPE, BookFlag
from spread_scanner.schema.enums import POOL_SOURCES, SOURCE_BY_LABEL, QuoteFlag, Source
from spread_scanner.schema.freshness import FreshnessLimits
from spread_scanner.schema.pools import PROGRAM_SOURCES
from spread_scanner.schema.records import TS_ABSENT
from spread_scanner.shm import PriceStore
from spread_scanner.shm.books import BookStore, BooksWriter
from spread_scanner.shm.price_store import Writer
from spread_scanner.shm.wants import Wants
from spread_scanner.symbology import tables
from spread_scanner.symbology.tables import Tables

STRETCH_NS = 50_000  # after which what is heard has its turn
WANTED_NS = NS_PER_S  # between two looks at which ladders are wanted
# Of a book's record: before its levels, from the first number to the last.
_BOOK_HEAD = struct.Struct("<2qQq3I4B2H")
_BID_EMPTY, _ASK_EMPTY = int(QuoteFlag.BID_EMPTY), int(QuoteFlag.ASK_EMPTY)
_NONE = PoolSide(math.nan, math.nan, "", 0)  # a side that no pool fills


class _Rate(NamedTuple):
    """Where the price of a USDC in USDT stands."""

    source_id: int
    symbol_id: int


class PoolSource:
    """One source: its claims, and what its pools quote."""

    def __init__(self, source: Source, writer: Writer, shelf: BooksWriter) -> None:
        self.source, self.writer, self._shelf = source, writer, shelf
        self.markets = PoolMarkets(1.0)
        self.ids: dict[str, int] = {}  # of the symbols that it quotes
        # By what pools trade, the symbols whose quotes that concerns.
        self._concerned: dict[str, list[str]] = {}
        self._stale: set[int] = set()  # the symbols that nothing was written of since
        self._book: np.ndarray = np.zeros(1, BOOK_DTYPE)
        self._book_bytes = self._book.view("u1").data

    def take(self, ids: Mapping[str, int], reference_quote: float) -> None:
        """These are quoted from now on, with nothing known of any pool yet."""
        self._stale.clear()
        for symbol_id in set(self.ids.values()) - set(ids.values()):
            self._mark_stale(symbol_id)
            self._shelf.release(symbol_id)
        self.ids, self.markets = dict(ids), PoolMarkets(reference_quote)
        self._concerned.clear()
        for symbol in ids:
            for traded in filter(None, (symbol, in_usdc(symbol))):
                self._concerned.setdefault(traded, []).append(symbol)

    def concerned(self, traded: Iterable[str]) -> dict[str, None]:
        """The symbols that are quoted by what pools trade, which has changed."""
        return {symbol: None for one in traded for symbol in self._concerned.get(one, ())}

    def quote(self, symbol: str, sides: PoolSides, slot: int, now_ns: int) -> None:
        """Write what the reference size costs. Two pools may be further apart than their fees: what
        a bid would be above the ask is left out of it."""
        symbol_id = self.ids[symbol]
        if sides.bid is None and sides.ask is None:
            self._mark_stale(symbol_id)
            return
        self._stale.discard(symbol_id)
        bid, ask = sides.bid or _NONE, sides.ask or _NONE
        flags = (_BID_EMPTY if sides.bid is None else 0) | (_ASK_EMPTY if sides.ask is None else 0)
        bid_px = min(bid.px, ask.px) if sides.bid and sides.ask else bid.px
        self.writer.write(
            symbol_id, bid_px, bid.size, ask.px, ask.size, TS_ABSENT, now_ns, slot, flags
        )

    def book(self, symbol: str, rungs: list[PoolSides], slot: int, now_ns: int) -> None:
        """Publish a ladder as a book, where there is a slot for it."""
        symbol_id = self.ids[symbol]
        if self._shelf.take(symbol_id) < 0:
            return
        bids = levels([rung.bid for rung in rungs], bids=True)
        asks = levels([rung.ask for rung in rungs], bids=False)
        flags = BookFlag.NO_TS_EVENT | BookFlag.PARTIAL
        flags |= BookFlag.NONE if bids else BookFlag.BID_EMPTY
        flags |= BookFlag.NONE if asks else BookFlag.ASK_EMPTY
        if bids and asks and bids[0][0] >= asks[0][0]:
            flags |= BookFlag.CROSSED
        many, more = len(bids), len(asks)
        _BOOK_HEAD.pack_into(
            self._book_bytes,
            0,
            *(TS_ABSENT, now_ns, slot, now_ns, int(flags), self.writer.epoch, symbol_id),
            *(self.source.source_id, many, more, 0, many, more),
        )
        for name, side in (("bids", bids), ("asks", asks)):
            shown = self._book[name][0]
            shown.fill(math.nan)
            if side:
                shown[: len(side)] = side
        self._shelf.publish(self._book)

    def _mark_stale(self, symbol_id: int) -> None:
        """Its quote and the ladder that stands: the next one comes with a slot, if any does."""
        if symbol_id not in self._stale:
            self._stale.add(symbol_id)
            self._shelf.mark(symbol_id, BookFlag.STALE)
            self.writer.mark_stale(np.array([symbol_id], np.uint16))

    def no_book(self, symbol: str) -> None:
        self._shelf.release(self.ids[symbol])

    def close(self) -> None:
        """Nothing of it is stood behind from here on."""
        self.writer.mark_stale()
        self.writer.close()
        self._shelf.close()


class PoolSources:
    """All sources that pools are, of one life of the process."""

    def __init__(self, settings: Settings, soon: Callable[[Callable[[], None]], None]) -> None:
        """`soon` has something called when what is being heard is dealt with. Raises TableError,
        and whatever a claim does."""
        self._soon = soon
        self._attached = contextlib.ExitStack()
        self.sources: dict[int, PoolSource] = {}
        self._moved: dict[str, WatchedPool] = {}  # since what was heard was dealt with last
        self._dirty: dict[int, set[str]] = {}  # symbols whose pools have moved, by source
        self._waits = self._slot_told = False
        self._pieces = self._all_pieces()
        self._renewed_slot = self._renewed_ns = self._wanted_ns = 0
        self._wanted: dict[int, set[int]] = {}  # ids of symbols whose ladders are, by source
        self._feed: PoolFeed | None = None
        self.take(settings, self.tables_of(settings))

    def tables_of(self, settings: Settings) -> Tables | None:
        """What a reload needs; None where no source runs. Raises TableError."""
        if not any(map(settings.runs, POOL_SOURCES)):
            return None
        system = settings.config.system
        return tables.load_for(settings.generated_dir, system.num_sources, system.max_symbols)

    def take(self, settings: Settings, loaded: Tables | None) -> None:
        """Settings and tables that are in force from now on."""
        self._settings, self._limits = settings, FreshnessLimits.of(settings)
        self._wanted_ns = 0
        self._pieces = self._all_pieces()  # what was begun was of others
        wanted = {one.source_id: one for one in POOL_SOURCES if settings.runs(one)}
        for source_id in self.sources.keys() - wanted.keys():
            self.sources.pop(source_id).close()
        if not wanted or loaded is None:
            return
        namespace = settings.config.system.namespace
        if not self.sources:
            self._attached.close()
            self._store = self._attached.enter_context(PriceStore.attach(namespace))
            self._books = self._attached.enter_context(BookStore.attach(namespace))
            self._wants = self._attached.enter_context(Wants.attach(namespace))
        for source_id, source in wanted.items():
            if source_id not in self.sources:
                writer = self._store.writer(source_id)
                shelf = self._books.writer(source_id)
                self.sources[source_id] = PoolSource(source, writer, shelf)
            listed = loaded.of_source(source_id)
            ids = {row.exchange_symbol: row.symbol_id for row in listed}
            self.sources[source_id].take(ids, settings.pools.reference_quote)
        stable, ids = settings.pools.stable, loaded.symbol_ids()
        self._rate = _Rate(SOURCE_BY_LABEL[stable.source].source_id, ids.get(stable.symbol, -1))

    def hear(self, feed: PoolFeed) -> None:
        """Whose pools they are, from now on."""
        self._feed = feed
        feed.moved, feed.renewed = self.moved, self.renewed
        self._moved = {pool.key: pool for pool in feed.pools.values() if pool.cell.published}
        for source_id, of in self.sources.items():
            self._dirty.setdefault(source_id, set()).update(of.ids)
        while next(self._pieces):  # nothing is heard yet
            pass

    def moved(self, pool: WatchedPool) -> None:
        """A pool is other than it was; which way is looked at when what is heard is dealt with."""
        if self.sources:
            self._moved[pool.key] = pool
            self._wait()

    def _source_of(self, pool: WatchedPool) -> PoolSource | None:
        return self.sources.get(PROGRAM_SOURCES[pool.entry.program].source_id)

    def _take_in(self, of: PoolSource, pool: WatchedPool) -> None:
        decoded = pool.cell.pool if pool.good else None
        if decoded is not None:
            slot, made = pool.cell.slot, of.markets.get(pool.symbol, pool.key)
            if made is not None:
                of.markets.put(replace(made, slot=slot, pool=decoded))
            elif made := as_traded(pool.key, slot, decoded, self._settings.pools.mints):
                of.markets.put(made)
        else:
            of.markets.leave(pool.key)
        self._dirty.setdefault(of.source.source_id, set()).add(pool.symbol)

    def renewed(self) -> None:
        """Somebody has told a slot, so that what is good is good still."""
        if self.sources:
            self._slot_told = True
            self._wait()

    def _wait(self) -> None:
        if not self._waits:
            self._waits = True
            self._soon(self.flush)

    def flush(self) -> None:
        """Write what has changed, and with a new slot everything: a stretch of it, and another one
        when what was heard meanwhile is dealt with."""
        self._waits = False
        until_ns = clock.mono_ns() + STRETCH_NS
        while next(self._pieces):
            if clock.mono_ns() >= until_ns:
                self._wait()
                return

    def _all_pieces(self) -> Iterator[bool]:
        """All that there is to do, for ever, piece by piece: what has moved before what a slot
        renews. False: there is nothing just now."""
        renewal: Iterator[None] = iter(())
        while True:
            if self._moved or self._dirty:
                for _ in self._changes():
                    yield True
            elif next(renewal, False) is None:
                yield True
            elif self._slot_told:
                self._slot_told = False
                renewal = self._renewal()
            else:
                yield False

    def _changes(self) -> Iterator[None]:
        """What has moved until now, pool by pool, and then the symbols that it concerns."""
        moved, self._moved = self._moved, {}
        for pool in moved.values():
            if (of := self._source_of(pool)) is not None:
                self._take_in(of, pool)
                yield
                of.markets.ask(pool.symbol, pool.key, self._now())
                yield
        dirty, self._dirty = self._dirty, {}
        for source_id, symbols in dirty.items():
            if (of := self.sources.get(source_id)) is not None:
                at, rate = self._now(), self._stable()
                for symbol in of.concerned(symbols):
                    self._write(of, symbol, rate, at)
                    yield

    def _renewal(self) -> Iterator[None]:
        """Everything anew, as of now, where the best provider has come to another slot: the quotes
        of all sources, and then their ladders."""
        now_ns, at = clock.mono_ns(), self._now()
        if at.slot == self._renewed_slot and now_ns - self._renewed_ns < SLOT_NS:
            return
        self._renewed_slot, self._renewed_ns = at.slot, now_ns
        reference = (self._settings.pools.reference_quote,)
        for of in self.sources.values():
            for symbol in of.ids:
                yield from _renewed(of.markets, symbol, reference, at)
                self._write(of, symbol, self._stable(), at)
                yield
        if now_ns - self._wanted_ns >= WANTED_NS:
            self._wanted_ns = now_ns
            for of in self.sources.values():
                self._wanted[of.source.source_id] = self._wanted_of(of, now_ns)
                yield
        for of in self.sources.values():
            yield from self._ladders(of, at)

    def _now(self) -> ChainTime:
        """When a swap would be done that was asked for now."""
        if self._feed is None:
            return ChainTime(0, 0)
        unix_s = self._feed.chain_unix_s(clock.mono_ns())
        own_s = clock.wall_ns() // NS_PER_S
        return ChainTime(own_s if unix_s is None else unix_s, self._feed.pace.best_slot)

    def _write(self, of: PoolSource, symbol: str, rate: StableQuote | None, at: ChainTime) -> None:
        sides = of.markets.best(symbol, rate, at)
        of.quote(symbol, sides, at.slot, self._store.clock.now_ns())

    def _ladders(self, of: PoolSource, at: ChainTime) -> Iterator[None]:
        """A book is made in one piece, so that all of its levels are of one time."""
        wanted = self._wanted.get(of.source.source_id, ())
        sizes = self._settings.pools.ladder_quote
        for symbol, symbol_id in of.ids.items():
            if symbol_id not in wanted:
                of.no_book(symbol)
                continue
            yield from _renewed(of.markets, symbol, sizes, at)
            rate = self._stable()
            rungs = [of.markets.best(symbol, rate, at, size) for size in sizes]
            of.book(symbol, rungs, at.slot, self._store.clock.now_ns())
            yield

    def _wanted_of(self, of: PoolSource, now_ns: int) -> set[int]:
        """Whose books somebody asked for, are watched, or are near a threshold."""
        books, source_id = self._settings.config.books, of.source.source_id
        if not books.books_max:
            return set()
        wanted = self._wants.asked(source_id, now_ns)
        if books.books_margin_bps >= 0:
            near_bps = self._wants.near_bps(source_id, now_ns)
            wanted = wanted | (near_bps >= -books.books_margin_bps)
        watched = (of.ids[symbol] for symbol in books.watch if symbol in of.ids)
        return {*np.flatnonzero(wanted).tolist(), *watched}

    def _stable(self) -> StableQuote | None:
        """What a USDC brings and costs in USDT; None where the tables do not have it."""
        source_id, symbol_id = self._rate
        if symbol_id < 0:
            return None
        found = self._store.read(source_id, symbol_id)
        if found is None:
            return StableQuote(math.nan, math.nan, False)
        beat_ns = self._store.heartbeat_mono_ns(source_id)
        beats = freshness.beats(beat_ns, clock.mono_ns(), 0, self._limits.heartbeat_ns_max)
        now_ns, stale_ns_max = self._store.clock.now_ns(), self._limits.stale_ns_max
        fresh = freshness.usable_one(found.flags, found.ts_recv, beats, now_ns, stale_ns_max)
        return StableQuote(found.bid_px, found.ask_px, fresh)

    def beat(self, now_ns: int) -> None:
        """The sources live."""
        for of in self.sources.values():
            of.writer.heartbeat(now_ns)

    def close(self) -> None:
        """Give everything back."""
        for of in self.sources.values():
            of.close()
        self.sources.clear()
        self._pieces = self._all_pieces()
        self._attached.close()


def _renewed(
    markets: PoolMarkets, symbol: str, sizes_quote: Sequence[float], at: ChainTime
) -> Iterator[None]:
    """Ask all pools that a symbol is quoted by anew: one in USDC may have no pair of its own."""
    for traded in filter(None, (symbol, in_usdc(symbol))):
        yield from markets.renew(traded, sizes_quote, at)
