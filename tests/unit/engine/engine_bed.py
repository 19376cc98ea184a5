"""A whole engine in one test: its segments, feeds to write with, an operator, a consumer.

Time is the test's own: it moves when told to, and `step` runs one cycle at it.
"""

from pathlib import Path
from typing import Any, NamedTuple, Self

import msgspec
import numpy as np

from spread_scanner import clock, config
from spread_scanner.clock import NS_PER_MS
from spread_scanner.engine.core import Engine
from spread_scanner.schema.counters import ENGINE_COUNTERS
from spread_scanner.schema.enums import DIRECTIONS, EXCHANGE_DIRECTIONS, EXCHANGE_SOURCES
from spread_scanner.shm.control import Control
from spread_scanner.shm.evaluations import Evaluations
from spread_scanner.shm.funding import FundingTable
from spread_scanner.shm.health import Health
from spread_scanner.shm.price_store import PriceStore
from spread_scanner.shm.ring import SignalRing
from spread_scanner.shm.wants import Wants
from spread_scanner.symbology.tables import (
    DirectionRow,
    FundingRow,
    InstrumentRow,
    QuarantineRow,
    SymbolRow,
    Tables,
)
from spread_scanner.symbology.usual import Usual, pair_keys

NAME = "spread-engine"
START_NS = 1_000_000_000_000
MAX_SYMBOLS = 64
FAR_MS = 86_400_000


class Rules(NamedTuple):
    """What a listing says of sizes, in its own units; None: nothing."""

    lot_step: float | None = None
    min_qty: float | None = None
    min_notional: float | None = None


def settings(
    thresholds: dict[str, Any] | None = None,
    *,
    fees: dict[str, float] | None = None,
    system: dict[str, Any] | None = None,
    directions: dict[str, Any] | None = None,
    sources: dict[str, dict[str, Any]] | None = None,
    **engine: Any,
) -> config.Settings:
    """Fees of nothing and limits far away, but for what a test names."""
    relaxed = {"stale_ms_max": FAR_MS, "skew_ms_max": FAR_MS, "park_ms_max": 1}
    relaxed["implausible_bps"] = 1_000_000  # random walks of a few coins stray far
    return config.Settings(
        Path("config"),
        config.Config(
            system=config.System(**({"heartbeat_ms_max": 60_000} | (system or {}))),
            spread_engine=config.Engine(**(relaxed | engine)),
        ),
        {
            source.label: config.SourceSettings(
                rest_url="https://rest.test",
                ws_url="wss://ws.test",
                taker_fee_bps=(fees or {}).get(source.label, 0.0),
                **(sources or {}).get(source.label, {}),
            )
            for source in EXCHANGE_SOURCES
        },
        config.Directions(
            defaults=config.Thresholds(**(thresholds or {})),
            **(directions or {}),
        ),
    )


def tables(
    symbols: int = 1,
    *,
    funding: tuple[FundingRow, ...] = (),
    quarantine: tuple[QuarantineRow, ...] = (),
    generation: int = 1,
    names: dict[int, str] | None = None,
    rules: dict[tuple[int, int], Rules] | None = None,
) -> Tables:
    """Every symbol on every source, in every direction that it is not quarantined in. `rules`, by
    source and symbol, is what a listing says of sizes; nothing, where it says none."""
    rows = tuple(
        SymbolRow(number, (names or {}).get(number, f"C{number}-USDT"), f"C{number}", "USDT")
        for number in range(symbols)
    )
    kept_out = {(row.direction_id, row.symbol) for row in quarantine}
    return Tables(
        generation,
        0,
        rows,
        tuple(
            InstrumentRow(
                source.source_id,
                row.symbol_id,
                row.base,
                1,
                1,
                None,
                *(rules or {}).get((source.source_id, row.symbol_id), Rules()),
                False,
                False,
            )
            for source in EXCHANGE_SOURCES
            for row in rows
        ),
        tuple(
            DirectionRow(
                direction.direction_id,
                tuple(
                    row.symbol_id
                    for row in rows
                    if (direction.direction_id, row.symbol) not in kept_out
                ),
            )
            for direction in EXCHANGE_DIRECTIONS
        ),
        funding,
        quarantine,
    )


def only(symbol_id: int, symbols: Tables) -> Tables:
    """The same as it is published where all pairs of the other symbols are in quarantine."""
    return msgspec.structs.replace(
        symbols,
        symbols=tuple(row for row in symbols.symbols if row.symbol_id == symbol_id),
        instruments=tuple(row for row in symbols.instruments if row.symbol_id == symbol_id),
        directions=tuple(
            DirectionRow(row.direction_id, (symbol_id,)) for row in EXCHANGE_DIRECTIONS
        ),
    )


def known_for_ever(symbols: Tables) -> Usual:
    """That leaving costs nothing, of such a weight that what a test shows changes no bit of it."""
    keys = tuple(pair_keys(symbols).values())
    nothing = np.zeros(len(keys))
    return Usual(0, clock.wall_ns(), 3_600.0, keys, np.full(len(keys), 1e280), nothing, nothing)


class Bed:
    """The segments and everyone at them. Feeds live and time stands at START_NS."""

    def __init__(
        self,
        namespace: str,
        given: config.Settings | None = None,
        symbols: Tables | None = None,
        *,
        slots: int = 1_024,
        kept: int = 1_024,
        known: bool = True,
    ) -> None:
        """`known`: leaving has always cost nothing; net is then gross less fees and carry."""
        self.known = known
        self.settings = given or settings()
        self.namespace = namespace
        self.store = PriceStore.create(namespace, max_symbols=MAX_SYMBOLS)
        self.ring = SignalRing.create(namespace, "signals", slots=slots)
        self.evaluations = Evaluations.create(namespace, slots=kept)
        self.funding = FundingTable.create(namespace, max_symbols=MAX_SYMBOLS)
        self.wants = Wants.create(namespace, max_symbols=MAX_SYMBOLS)
        self.health = Health.create(namespace)
        self.control = Control.create(namespace)
        self.operator = self.control.operator()
        self.consumer = self.ring.consumer()
        self.writers = [self.store.writer(source.source_id) for source in EXCHANGE_SOURCES]
        self.update_id = 0
        self.now_ns = START_NS
        self.beat()
        self.start(symbols or tables())

    def start(self, symbols: Tables) -> None:
        """A life of the engine."""
        self.start_with(symbols, known_for_ever(symbols) if self.known else None)

    def start_with(self, symbols: Tables, history: Usual | None) -> None:
        """The same, with what was usual before."""
        self.row = self.health.claim(NAME)
        self.slot = self.control.claim(NAME)
        self.engine = Engine(self.namespace, self.row, self.slot, history)
        self.engine.load(self.settings, symbols)

    def know(self) -> None:
        """Of pairs that are new with a reload, too: leaving has always cost nothing."""
        pairs = self.engine.loop.pairs
        pairs["weight"], pairs["exit_sum"], pairs["parity_sum"] = 1e280, 0.0, 0.0
        self.engine.adopt()

    def end(self) -> None:
        """The engine's end: its claims are free again."""
        self.engine.close()
        self.slot.close()
        self.row.close()

    @property
    def session_ns(self) -> int:
        return self.now_ns + self.store.clock.anchor_ns

    def beat(self, *source_ids: int) -> None:
        for source_id in source_ids or range(len(EXCHANGE_SOURCES)):
            self.writers[source_id].heartbeat(self.now_ns)

    def quote(
        self,
        source_id: int,
        bid_px: float,
        ask_px: float,
        *,
        symbol_id: int = 0,
        bid_sz: float = 10.0,
        ask_sz: float = 10.0,
        flags: int = 0,
        age_ms: float = 0,
    ) -> None:
        self.update_id += 1
        recv_ns = self.session_ns - int(age_ms * NS_PER_MS)
        self.writers[source_id].write(
            symbol_id, bid_px, bid_sz, ask_px, ask_sz, recv_ns - 5, recv_ns, self.update_id, flags
        )

    def spread(self, net_bps: float, direction_id: int = 0, symbol_id: int = 0) -> None:
        """Both legs of a direction: spot at 99 to 100, the perpetual so that its net is this."""
        direction = DIRECTIONS[direction_id]
        bid_px = 100 + net_bps / 100
        self.quote(direction.spot.source_id, 99, 100, symbol_id=symbol_id)
        self.quote(direction.futures.source_id, bid_px, bid_px + 1, symbol_id=symbol_id)

    def step(self, ms: float = 0) -> np.ndarray:
        """Let time pass, run one cycle, and pop what came."""
        self.now_ns += int(ms * NS_PER_MS)
        self.engine.loop.step(self.now_ns)
        return self.consumer.pop_many(100_000)

    def kinds(self, ms: float = 0) -> list[int]:
        return [int(kind) for kind in self.step(ms)["kind"]]

    def count(self, label: str) -> int:
        number = next(row.counter_id for row in ENGINE_COUNTERS if row.label == label)
        return self.engine.loop.counts[number]

    def quotes(self, symbols: int) -> np.ndarray:
        """What the store holds, without the reader's own STALE by epoch."""
        written = self.store.sequences[:, :symbols]
        cells = self.store.cells[:, :symbols]
        published = (written & 1).astype(bool)
        quotes: np.ndarray = np.where(published, cells[:, :, 1], cells[:, :, 0])
        quotes["flags"][written == 0] = 1
        for field in ("bid_px", "bid_sz", "ask_px", "ask_sz"):
            quotes[field][written == 0] = np.nan
        return quotes

    def close(self) -> None:
        self.end()
        for writer in self.writers:
            writer.close()
        for close in (self.consumer.close, self.operator.close, self.control.close):
            close()
        self.funding.close()
        self.wants.close()
        for close in (self.health.close, self.evaluations.close, self.ring.close, self.store.close):
            close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
