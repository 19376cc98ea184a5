"""The order books of a symbol as they stand: of each source, and of all of them as one.

Reads the books, the quotes' heartbeats and the tables; asks for the books that it looks at, so that
the feeds follow them while somebody looks.
"""

import contextlib
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from msgspec.structs import replace

from spread_scanner import clock
from spread_scanner.clock import NS_PER_MS
from spread_scanner.config import Settings
from spread_scanner.errors import Unusable
from spread_scanner.schema import costs, freshness
from spread_scanner.schema.books import BookFlag, BookLevels
from spread_scanner.schema.enums import SOURCES, Source
from spread_scanner.schema.freshness import FreshnessLimits
from spread_scanner.shm import PriceStore
from spread_scanner.shm.books import BookReading, BookStore
from spread_scanner.shm.wants import Wants
from spread_scanner.symbology import tables
from spread_scanner.symbology.fees import FillFees
from spread_scanner.symbology.tables import Tables
from spread_scanner.symbology.written import symbol_as
from spread_scanner.view.depth import feed_beats
from spread_scanner.view.evaluations import symbol_id_of
from spread_scanner.view.in_force import SettingsInForce
from spread_scanner.view.reading import Reading
from spread_scanner.view.tables import TablesInForce

Fee = Callable[[float, float], float]  # of a price and a fee: what it comes to
POLL_S = 0.05
ASK_S = 10.0  # so long a book is wanted after the last look at it; the feed lingers besides


class NoBooks(Unusable):
    """Books that nobody can follow: they are off, or no source lists the symbol."""


class PriceLevel(Reading, frozen=True):
    """One price of a book: per base unit, and the size in base units."""

    px: float
    sz: float


class ShownBook(Reading, frozen=True):
    """The book of one source."""

    source: str
    usable: bool
    # Why it cannot be stood behind: flags, "feed_silent", "too_old"; empty: it can.
    why_not: list[str]
    flags: list[str]  # schema.books.BookFlag: all that is to be said of it
    age_ms: float | None  # since its last message; null: there was none yet
    update_id: int
    bids_known: int  # levels that the feed follows
    asks_known: int
    bids: list[PriceLevel]  # the first of them, the best first
    asks: list[PriceLevel]


class SharedLevel(Reading, frozen=True):
    """A level of the consolidated book: whose it is, and with --fees what it comes to."""

    px: float
    sz: float
    source: str
    with_fee_px: float | None  # after the taker fee; null: not asked for
    # Every source tells its levels as far as this; false: one that tells fewer may have more here.
    told_by_all: bool


class Consolidated(Reading, frozen=True):
    """The usable books of all sources as one, the best first, with fees where asked for. It is
    whole as far as the source that tells least: what lies beyond that is marked."""

    bids: list[SharedLevel]
    asks: list[SharedLevel]


class ToldSide(NamedTuple):
    """One side of a source's book as it is shown; `whole`: no level lies beyond the last."""

    levels: list[SharedLevel]
    whole: bool


class SymbolBooks(Reading, frozen=True):
    """Everything that is known of the books of a symbol."""

    symbol: str
    books: list[ShownBook]
    missing: list[str]  # sources that list it and whose book is not followed (yet)
    consolidated: Consolidated | None  # null: not asked for


class Wish(NamedTuple):
    """What somebody wants to see."""

    symbol: str
    source: Source | None = None
    levels: int = 10
    consolidated: bool = False
    fees: bool = False


class BookSegments:
    """What books are looked at in, attached once for however many look: each has megabytes mapped
    of its own otherwise. Raises NoSegment."""

    def __init__(self, namespace: str) -> None:
        with contextlib.ExitStack() as stack:
            self.store = stack.enter_context(PriceStore.attach(namespace))
            self.books = stack.enter_context(BookStore.attach(namespace))
            self.wants = stack.enter_context(Wants.attach(namespace))
            self._held = stack.pop_all()

    def close(self) -> None:
        """Let go of the segments."""
        self._held.close()


class BooksView:
    """Looks at the books of one symbol again and again. Raises UnknownSymbol, TableError, NoBooks,
    NoSegment."""

    def __init__(
        self,
        settings: Settings,
        wish: Wish,
        loaded: Tables | None = None,
        segments: BookSegments | None = None,
    ) -> None:
        """`loaded`, `segments`: what whoever asks has of them already, which stay his to close."""
        loaded = loaded or tables.load(settings.generated_dir)
        self.symbol = symbol_as(wish.symbol)
        self._symbol_id = symbol_id_of(loaded, self.symbol)
        self._wish, self._settings = wish, settings
        self._limits = FreshnessLimits.of(settings)
        self._fees = FillFees(settings, loaded.instruments)
        listed = {row.source_id for row in loaded.instruments if row.symbol_id == self._symbol_id}
        wanted = SOURCES if wish.source is None else (wish.source,)
        self._sources = [source for source in wanted if source.source_id in listed]
        if not self._sources:
            where = (
                "no source lists" if wish.source is None else f"{wish.source.label} does not list"
            )
            raise NoBooks(f"{where} {self.symbol}", symbol=self.symbol)
        if not settings.config.books.books_max:
            raise NoBooks("books are off", setting="books.books_max", allowed="1 to 1024")
        self._own = None if segments else BookSegments(settings.config.system.namespace)
        held = segments or self._own
        assert held is not None
        self._store, self._books, self._wants = held.store, held.books, held.wants

    def ask(self) -> None:
        """They are wanted for ten seconds more."""
        for source in self._sources:
            self._wants.ask(source.source_id, self._symbol_id, ASK_S)

    def stamp(self) -> tuple[tuple[int, int, int, list[str]] | None, ...]:
        """The same, and there is nothing else to be said of any of them."""
        found = ((one, self._books.read(one.source_id, self._symbol_id)) for one in self._sources)
        return tuple(
            None
            if book is None
            else (
                int(book.record["update_id"]),
                int(book.record["ts_recv"]),
                int(book.record["flags"]),
                self._why_not(source, book.record, self._store.clock.now_ns()),
            )
            for source, book in found
        )

    def look(self) -> SymbolBooks:
        """As they stand now; they are asked for, for ten seconds more."""
        self.ask()
        books, missing, usable = [], [], []
        for source in self._sources:
            found = self._books.read(source.source_id, self._symbol_id)
            if found is None:
                missing.append(source.label)
                continue
            book = self._of_source(source, found)
            books.append(book)
            if book.usable:
                usable.append((source, found))
        shared = self._consolidated(usable) if self._wish.consolidated else None
        return SymbolBooks(self.symbol, books, missing, shared)

    def awaited(self, wait_s: float) -> SymbolBooks:
        """As soon as all have come, or after that long."""
        deadline_s = clock.awake_s() + wait_s
        now = self.look()
        while not self.complete and clock.awake_s() < deadline_s:
            clock.sleep(POLL_S)
            now = self.look()
        return now

    @property
    def complete(self) -> bool:
        """Whether each source's book has come."""
        now = [self._books.read(source.source_id, self._symbol_id) for source in self._sources]
        return all(one is not None and not one.flags & BookFlag.STALE for one in now)

    @property
    def retired(self) -> bool:
        return self._books.retired

    def _of_source(self, source: Source, found: BookReading) -> ShownBook:
        record, now_ns = found.record, self._store.clock.now_ns()
        heard = int(record["ts_recv"]) > 0
        why_not = self._why_not(source, record, now_ns)
        return ShownBook(
            source=source.label,
            usable=not why_not,
            why_not=why_not,
            flags=_named(found.flags),
            age_ms=(now_ns - int(record["ts_recv"])) / NS_PER_MS if heard else None,
            update_id=int(record["update_id"]),
            bids_known=int(record["bid_kept"]),
            asks_known=int(record["ask_kept"]),
            bids=_levels(found.bids[: self._wish.levels]),
            asks=_levels(found.asks[: self._wish.levels]),
        )

    def _why_not(self, source: Source, record: np.void, now_ns: int) -> list[str]:
        """Why a book cannot be stood behind; empty: it can."""
        beats = feed_beats(self._store, source.source_id, self._limits)
        one, stale_ns_max = record.reshape(1), self._limits.stale_ns_max
        if freshness.book_usable(one, beats, now_ns, stale_ns_max)[0]:
            return []
        why = _named(freshness.book_marks(int(record["flags"])))
        if not beats:
            why.append("feed_silent")
        return why or ["too_old"]

    def _consolidated(self, found: list[tuple[Source, BookReading]]) -> Consolidated:
        bids, asks = [], []
        for source, book in found:
            fee_bps = self._fees.bps(source, self._symbol_id, self.symbol)
            whole = [flag in book.flags for flag in (BookFlag.BIDS_WHOLE, BookFlag.ASKS_WHOLE)]
            bids.append(self._told(source.label, book.bids, costs.got_px, fee_bps, whole[0]))
            asks.append(self._told(source.label, book.asks, costs.paid_px, fee_bps, whole[1]))
        levels = self._wish.levels
        return Consolidated(shared(bids, bids=True)[:levels], shared(asks, bids=False)[:levels])

    def _told(
        self, label: str, levels: BookLevels, with_fee: Fee, fee_bps: float, whole: bool
    ) -> ToldSide:
        fees = self._wish.fees
        rows = [
            SharedLevel(px, sz, label, with_fee(px, fee_bps) if fees else None, told_by_all=True)
            for px, sz in levels.tolist()
        ]
        return ToldSide(rows, whole)

    def close(self) -> None:
        if self._own is not None:
            self._own.close()


class BooksInForce:
    """The same for who looks on: by the tables and settings in force, which may be reloaded
    meanwhile. `look` raises as BooksView does where they leave nothing to be looked at."""

    def __init__(self, settings: Settings, wish: Wish) -> None:
        loaded = tables.load(settings.generated_dir)
        self._view = BooksView(settings, wish, loaded)
        self._wish = wish
        self._settings = SettingsInForce(settings)
        self._tables = TablesInForce(settings.generated_dir, loaded)

    def look(self) -> SymbolBooks:
        """As they stand now; they are asked for, for ten seconds more."""
        new_tables, new_settings = self._tables.look(), self._settings.look()
        if new_tables or new_settings:
            new = BooksView(self._settings.now, self._wish, self._tables.loaded)
            self._view.close()
            self._view = new
        return self._view.look()

    @property
    def retired(self) -> bool:
        return self._view.retired

    def close(self) -> None:
        self._view.close()
        self._settings.close()


def shared(sides: list[ToldSide], *, bids: bool) -> list[SharedLevel]:
    """The sides of several sources as one, the best first; what is worse than the last level of one
    that may have more is not told by all."""
    sign = -1.0 if bids else 1.0  # so that the best is the least
    ends = (sign * _comes_to(one.levels[-1]) for one in sides if one.levels and not one.whole)
    end = min(ends, default=math.inf)
    rows = sorted(
        (row for one in sides for row in one.levels), key=lambda row: sign * _comes_to(row)
    )
    return [replace(row, told_by_all=sign * _comes_to(row) <= end) for row in rows]


def _named(flags: BookFlag) -> list[str]:
    return [flag.name.lower() for flag in BookFlag if flag & flags and flag.name]


def _levels(rows: BookLevels) -> list[PriceLevel]:
    return [PriceLevel(px, sz) for px, sz in rows.tolist()]


def _comes_to(row: SharedLevel) -> float:
    return row.px if row.with_fee_px is None else row.with_fee_px
