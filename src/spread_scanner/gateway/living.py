"""What the gateway's answers are read from: one store, one set of settings and tables at a time.

Lives on the process's loop, but for what is asked from threads (gateway/api.py). Segments are
attached once and tables read once for all who ask: each mapping of them is megabytes. A reload
makes a new Shown and puts it in force between two requests; one that fails leaves the old one.
"""

import contextlib
import threading
from collections.abc import Callable

import msgspec
import numpy as np
import numpy.typing as npt

from spread_scanner import clock
from spread_scanner.clock import NS_PER_MS
from spread_scanner.config import Settings
from spread_scanner.gateway.metrics import Scraped
from spread_scanner.gateway.pool_prices import PoolsAsText
from spread_scanner.gateway.prices import PricesAsText
from spread_scanner.gateway.waiting import Waits
from spread_scanner.schema.enums import Direction, Source
from spread_scanner.schema.version import version
from spread_scanner.shm import Control, Health, PriceStore
from spread_scanner.shm.analysis import Analysis
from spread_scanner.shm.connections import Connections
from spread_scanner.shm.evaluations import Evaluations
from spread_scanner.shm.pools import PoolTable
from spread_scanner.shm.price_store import DirtyBitmap
from spread_scanner.shm.tapes import Tapes
from spread_scanner.symbology import tables
from spread_scanner.symbology.tables import Tables
from spread_scanner.view import analysis, arbitrage, costs, evaluations, pools, sources
from spread_scanner.view.analysis import SymbolAnalysis
from spread_scanner.view.arbitrage import Arbitrages
from spread_scanner.view.basis import BasisReader
from spread_scanner.view.books import BookSegments, BooksView, Wish
from spread_scanner.view.columns import SpreadColumns, columns_of
from spread_scanner.view.connections import ConnectionRates
from spread_scanner.view.costs import Cost
from spread_scanner.view.evaluations import Explanation, LookedIn
from spread_scanner.view.pools import PoolPrice, PoolView
from spread_scanner.view.prices import SPOT_LIKE, PriceBoard, Served, as_pair
from spread_scanner.view.sources import SourceView
from spread_scanner.view.spreads import Spread, SpreadBoard, spreads_of
from spread_scanner.view.status import Segments, Status, StatusReader
from spread_scanner.view.symbols import NamesThen
from spread_scanner.view.tables import TablesView

HEALTH_NS = 100 * NS_PER_MS  # how long an answer to "are you well" is given again


class Shown:
    """Everything that is made of one set of settings and tables."""

    def __init__(
        self, settings: Settings, loaded: Tables, store: PriceStore, pool_table: PoolTable
    ) -> None:
        self.settings = settings
        self.tables = loaded
        self.prices = PricesAsText(PriceBoard(settings, loaded, store))
        self.pools = PoolsAsText(settings, pool_table)
        self.board = SpreadBoard(settings, loaded, store)
        self.names = NamesThen(settings.generated_dir)


class StoreVersion:
    """LiveSystem.version for one who is told what was written: to add up all cells is to read a
    megabyte, which would cost more than the frame that carries the sum."""

    def __init__(self, sequences: np.ndarray) -> None:
        self._sequences = sequences
        self.renew()

    def renew(self) -> None:
        """Whatever was written."""
        self._seen = self._sequences.copy()
        self.known = int(self._seen.sum())

    def add(self, source_id: int, ids: npt.NDArray[np.uint16]) -> None:
        """These symbols of a source were written, and none of another but what is added as well."""
        found = self._sequences[source_id, ids]
        self.known += int((found - self._seen[source_id, ids]).sum())
        self._seen[source_id, ids] = found


class LiveSystem:
    """The living system. `shown` is what is in force; `status` was looked at a second ago."""

    def __init__(self, settings: Settings) -> None:
        """Raises NoSegment and its kind, TableError."""
        namespace = settings.config.system.namespace
        with contextlib.ExitStack() as stack:
            self._store = stack.enter_context(PriceStore.attach(namespace))
            self._health = stack.enter_context(Health.attach(namespace))
            self._control = stack.enter_context(Control.attach(namespace))
            self._kept = stack.enter_context(Evaluations.attach(namespace))
            self._pools = stack.enter_context(PoolTable.attach(namespace))
            self._tapes = stack.enter_context(Tapes.attach(namespace))
            self._analysis = stack.enter_context(Analysis.attach(namespace))
            self._connections = stack.enter_context(Connections.attach(namespace))
            self._books = stack.enter_context(contextlib.closing(BookSegments(namespace)))
            basis = BasisReader(namespace, self._store)
            self._basis = stack.enter_context(contextlib.closing(basis))
            self.shown = self._made(settings)
            segments = Segments(self._health, self._control, self._store, self._kept)
            self._status = StatusReader(settings, segments)
            self.status: Status = self._status.look()
            self._held = stack.pop_all()
        self.waits = Waits()
        self._one_at_a_time = threading.Lock()
        self._served: bytes = b""
        self._served_until_ns = 0
        self._metrics: tuple[Status | None, bytes] = (None, b"")

    def _made(self, settings: Settings) -> Shown:
        loaded = tables.load_for(
            settings.generated_dir, self._store.num_sources, self._store.max_symbols
        )
        return Shown(settings, loaded, self._store, self._pools)

    def prepared(self, settings: Settings) -> Callable[[], None]:
        """New settings and tables, read and checked; the call puts them in force."""
        shown = self._made(settings)

        def put_in_force() -> None:
            self.shown = shown
            self._status.take(settings)
            self.look()

        return put_in_force

    def look(self) -> None:
        """How everybody fares, once a second."""
        self.status = self._status.look()

    @property
    def generation(self) -> int:
        return self.shown.tables.generation

    @property
    def instance_id(self) -> int:
        """Which store this is, of all that ever had its name."""
        return self._store.instance_id

    def version(self) -> int:
        """How often anything was written to the store: the same, and nothing has changed."""
        return int(self._store.sequences.sum())

    def own_version(self) -> StoreVersion:
        """The same, for one who is told each write."""
        return StoreVersion(self._store.sequences)

    def bits(self) -> DirtyBitmap:
        """The gateway's dirty bits, claimed. Raises AlreadyClaimed."""
        return self._store.dirty("gateway")

    def health(self) -> tuple[bool, bytes]:
        """Whether there are prices, and the record that says so."""
        now_ns = clock.mono_ns()
        if now_ns >= self._served_until_ns:
            self._served = msgspec.json.encode(self.served())
            self._served_until_ns = now_ns + HEALTH_NS
        return b'"status":"ok"' in self._served, self._served

    def served(self) -> Served:
        """What there is to be had."""
        count, pairs = self.shown.prices.served(SPOT_LIKE)
        found = self.shown.pools.look()
        status = self.status
        return Served(
            "ok" if count or found.pairs else "unavailable",
            count + len(found.pairs),
            sorted(pairs.union(found.pairs)),
            [*status.unwell, *(one.text for one in status.beside if not one.deliberate)],
            [f"{one.kind} {one.name}".strip() for one in status.switches.standing],
            version(),
            status.namespace,
        )

    def named(self, written: str) -> str:
        """A pair as prices have it, of any listing or pool, however it was written. Raises
        UnknownPair."""
        pair = as_pair(written)
        return pair if pair in self.shown.pools.pairs else self.shown.prices.board.named(written)

    def pool_prices(self, pair: str = "") -> list[PoolPrice]:
        """What pools say, of one pair or of all, where any are read."""
        return pools.prices(self.shown.settings, self._pools, pair)

    def arbitrages(self, threshold_pct: float) -> Arbitrages:
        """What differs by so much, of spot listings and pools."""
        shown = self.shown
        priced = pools.priced(shown.settings, self._pools)
        reference_quote = shown.settings.pools.reference_quote
        return arbitrage.scan(shown.prices.board, priced, reference_quote, threshold_pct)

    def pools(self, wanted: str = "") -> list[PoolView]:
        """Every pool that is watched, or those whose key, program or symbol contains `wanted`."""
        return pools.of_table(self._pools, wanted)

    def prices(self, pair: str = "") -> tuple[bytes, bytes]:
        """All prices that can be stood behind, of one pair or of all; and an ETag that stays while
        nothing is written, comes or goes."""
        shown = self.shown
        body, tag = shown.prices.body_of_pair(pair) if pair else shown.prices.body(SPOT_LIKE)
        if pair and pair not in shown.pools.pairs:
            return body, tag
        found = shown.pools.look(pair)
        if not found.texts:
            return body, tag
        told = b",".join(found.parts)
        joined = b"[%b,%b]" % (body[1:-1], told) if body != b"[]" else b"[%b]" % told
        return joined, b'%b-%x"' % (tag[:-1], found.said)

    def metrics(self) -> bytes:
        """What Prometheus scrapes, of the last look."""
        if self._metrics[0] is not self.status:
            shown = self.shown
            found = sources.look(
                shown.settings, self._health, self._control, self._store, shown.tables
            )
            self._metrics = self.status, Scraped(self.status, found, self._health).text()
        return self._metrics[1]

    def spreads(
        self, wanted: str, direction: Direction | None, count: int, *, usable: bool
    ) -> list[Spread]:
        """As view.spreads.spreads_of has them."""
        with self._one_at_a_time:
            return spreads_of(
                self.shown.board, wanted, direction=direction, usable=usable, count=count
            )

    def own_board(self) -> SpreadBoard:
        """The spreads again, for one who looks often and waits for nobody."""
        return SpreadBoard(self.shown.settings, self.shown.tables, self._store)

    def columns(self) -> SpreadColumns:
        """Every pair, as view.columns has them."""
        with self._one_at_a_time:
            board, ts_ns = self.shown.board, self._store.clock.now_ns()
            version, rows = self.version(), board.rows()
            z = self._basis.look(rows, board.generation)["z"]
            return columns_of(
                rows, z, board.symbols, ts_ns=ts_ns, version=version, generation=board.generation
            )

    def sources(self) -> list[SourceView]:
        """As view.sources has them."""
        shown = self.shown
        return sources.look(
            shown.settings, self._health, self._control, self._store, shown.tables, self._tapes
        )

    def rates(self, source: Source | None) -> ConnectionRates:
        """What connections do from now on."""
        return ConnectionRates(self._connections, source)

    def books(self, wish: Wish) -> BooksView:
        """Books by what is in force. Raises UnknownSymbol, NoBooks."""
        return BooksView(self.shown.settings, wish, self.shown.tables, self._books)

    def explained(self, symbol: str, direction: str | None, last: int) -> Explanation:
        """As view.evaluations has it. Raises UnknownSymbol, UnknownDirection."""
        with self._one_at_a_time:  # the names are remembered
            shown = self.shown
            where = LookedIn(shown.tables, self._store, self._kept, shown.names)
            return evaluations.explained(shown.settings, where, symbol, direction, last)

    def analysis(self, symbol: str) -> SymbolAnalysis:
        """As view.analysis has it. Raises UnknownSymbol."""
        shown = self.shown
        return analysis.look(
            shown.settings, shown.tables, symbol, self._analysis, self._store.clock
        )

    def costs(self, wanted: str) -> list[Cost]:
        """As view.costs has them. Raises UnknownSymbol."""
        return costs.of_tables(self.shown.settings, self.shown.tables, wanted)

    def published(self) -> TablesView:
        """The tables that were published last and are whole, in force here or not yet. Raises
        TableError where there are none."""
        return self._status.tables.now()

    def close(self) -> None:
        """Let go of the segments."""
        self._held.close()
