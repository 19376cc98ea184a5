"""The generated tables: which symbols there are, where each is listed, and in which directions.

Writer:  pair-discovery, a whole set at a time.     Readers: every process, at start and at reload.

A set is a folder `sets/<generation>` below the generated folder; `current` is a symlink to the one
in force and is replaced in one rename. A reader resolves the link once, so it sees the old or the
new set, never a mixture. metadata.json holds the generation and the checksum of every file.
"""

from msgspec import Struct


class SymbolRow(Struct, frozen=True, array_like=True):
    """A normalised pair, for example "BTC-USDT". The id stays while the symbol stays."""

    symbol_id: int
    symbol: str
    base: str
    quote: str


class InstrumentRow(Struct, frozen=True, array_like=True):
    """One listing. Prices per base unit are `px / px_div`, sizes in base units `sz * sz_mul`."""

    source_id: int
    symbol_id: int
    exchange_symbol: str
    px_div: float
    sz_mul: float
    tick_size: float | None  # as the exchange gives them, in its own units
    lot_step: float | None
    min_qty: float | None
    min_notional: float | None
    quiet: bool  # quoted by REST, silent during validation
    last_known: bool  # kept from an earlier set because the exchange could not be reached


class DirectionRow(Struct, frozen=True, array_like=True):
    """The symbols that may be traded in one direction."""

    direction_id: int
    symbol_ids: tuple[int, ...]


class FundingRow(Struct, frozen=True, array_like=True):
    """Expected funding of a perpetual when the tables were made."""

    source_id: int
    symbol_id: int
    rate: float  # per interval, as a fraction; positive: longs pay shorts
    interval_hours: float | None


class QuarantineRow(Struct, frozen=True, array_like=True):
    """A pair that was kept out of a direction because its prices disagree."""

    direction_id: int
    symbol: str
    reason: str


class Tables(Struct, frozen=True):
    """One set, checked against its checksums."""

    generation: int
    created_wall_ns: int
    symbols: tuple[SymbolRow, ...]
    instruments: tuple[InstrumentRow, ...]
    directions: tuple[DirectionRow, ...]
    funding: tuple[FundingRow, ...]
    quarantine: tuple[QuarantineRow, ...]

    def symbol_names(self) -> dict[int, str]:
        """symbol_id -> "BTC-USDT"."""
        return {row.symbol_id: row.symbol for row in self.symbols}

    def of_source(self, source_id: int) -> list[InstrumentRow]:
        """The listings of one source."""
        return [row for row in self.instruments if row.source_id == source_id]
