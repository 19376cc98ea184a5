"""The generated tables: which symbols there are, where each is listed, and in which directions.

Writer:  pair-discovery, a whole set at a time.     Readers: every process, at start and at reload.

A set is a folder `sets/<generation>` below the generated folder; `current` is a symlink to the one
in force and is replaced in one rename. A reader resolves the link once, so it sees the old or the
new set, never a mixture. metadata.json holds the generation and the checksum of every file.
"""

import hashlib
import math
from collections.abc import Container, Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from spread_scanner.errors import TableError
from spread_scanner.schema.enums import DIRECTIONS, SOURCES
from spread_scanner.schema.ladder import Least
from spread_scanner.symbology.lots import LegRules, pair_rules

SYMBOL_IDS = 2**16  # an id is 16 bits in every record
SOURCE_IDS = frozenset(source.source_id for source in SOURCES)
DIRECTION_IDS = frozenset(direction.direction_id for direction in DIRECTIONS)

CURRENT = "current"
SYMBOLS_BIN = "symbols.bin"
DIRECTIONS_BIN = "directions.bin"
METADATA_JSON = "metadata.json"
FORMAT = 1


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
    # What each fill costs besides, whatever its size: of pools, by their reference size.
    network_fee_bps: float = 0.0


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


class LotRow(Struct, frozen=True, array_like=True):
    """What the listings of a pair allow, quarantined pairs too: sizes in base units, notionals in
    quote units. 0: not told, and flagged.
    """

    direction_id: int
    symbol_id: int
    lot: float  # both legs' sizes are multiples of it; 0: neither step is known
    spot_min_qty: float
    fut_min_qty: float
    spot_min_notional: float
    fut_min_notional: float
    flags: int  # schema.lots.LotFlag

    @property
    def least(self) -> Least:
        """What both listings ask of an order."""
        quantities = self.spot_min_qty, self.fut_min_qty
        return Least(*quantities, self.spot_min_notional, self.fut_min_notional)


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
    # Symbols that left, the oldest leaver first: their ids are given again last, to them first.
    freed: tuple[SymbolRow, ...] = ()
    # The set whose verdicts these still are, of a set that only adds to it; 0: its own.
    judged_in: int = 0
    judged_wall_ns: int = 0  # when that set was made; 0: as this one
    # When that run began to ask: what happened later its verdicts may not know; 0: nobody noted it.
    asked_wall_ns: int = 0
    lots: tuple[LotRow, ...] = ()  # of every pair; none in a set that an older version wrote

    @property
    def judgement(self) -> int:
        """The generation in which all listings and prices were last judged."""
        return self.judged_in or self.generation

    @property
    def judgement_wall_ns(self) -> int:
        """When they were; where an older version added to it, when this set was made."""
        return self.judged_wall_ns or self.created_wall_ns

    @property
    def asked_by_wall_ns(self) -> int:
        """Whatever happened before was to be seen by the run whose verdicts these are."""
        return self.asked_wall_ns or self.judgement_wall_ns

    def paired(self, symbol_ids: Container[int]) -> "Tables":
        """The same, with the pairs of these symbols alone: what is reckoned of all would be for
        nothing where few are asked for."""
        ways = tuple(
            replace(way, symbol_ids=tuple(one for one in way.symbol_ids if one in symbol_ids))
            for way in self.directions
        )
        return replace(self, directions=ways)

    def symbol_names(self) -> dict[int, str]:
        """symbol_id -> "BTC-USDT"."""
        return {row.symbol_id: row.symbol for row in self.symbols}

    def symbol_ids(self) -> dict[str, int]:
        """Symbol -> symbol_id; the other way round than `symbol_names`."""
        return {row.symbol: row.symbol_id for row in self.symbols}

    def lots_by_pair(self) -> dict[tuple[int, int], LotRow]:
        """By (direction, symbol) id; of a set that holds none they are made from its listings."""
        rows = self.lots or lots_of(self.instruments)
        return {(row.direction_id, row.symbol_id): row for row in rows}

    def of_source(self, source_id: int) -> list[InstrumentRow]:
        """The listings of one source."""
        return [row for row in self.instruments if row.source_id == source_id]


class SymbolsFile(Struct, frozen=True):
    """symbols.bin, as msgpack."""

    format: int
    generation: int
    symbols: tuple[SymbolRow, ...]
    instruments: tuple[InstrumentRow, ...]
    funding: tuple[FundingRow, ...]
    freed: tuple[SymbolRow, ...]


class DirectionsFile(Struct, frozen=True):
    """directions.bin, as msgpack."""

    format: int
    generation: int
    directions: tuple[DirectionRow, ...]
    quarantine: tuple[QuarantineRow, ...]
    lots: tuple[LotRow, ...] = ()  # an older version wrote none, and does not read them


# States of a source in a set that are as they should be; any other says how it was away.
SOURCE_OK = "ok"
SOURCE_DISABLED = "disabled in the settings"


class Metadata(Struct, frozen=True):
    """metadata.json: what the set is, and how to tell that it is whole."""

    format: int
    generation: int
    created_wall_ns: int
    created: str  # the same instant, for people
    counts: dict[str, int]
    sources: dict[str, str]  # state of each source when the set was made
    sha256: dict[str, str]  # by file name
    warnings: tuple[str, ...] = ()  # what a person should look at
    added: tuple[str, ...] = ()  # pairs that the set before did not have
    judged_in: int = 0  # the set whose verdicts these still are, after a quick look; 0: its own
    judged_wall_ns: int = 0  # when that one was made; 0: as this one
    asked_wall_ns: int = 0  # when that run began to ask; 0: nobody noted it


class ListedPair(NamedTuple):
    """One symbol in one direction whose both sources list it, wanted or not."""

    direction_id: int
    symbol_id: int
    spot: InstrumentRow
    futures: InstrumentRow


def listed_pairs(instruments: Iterable[InstrumentRow]) -> Iterator[ListedPair]:
    """All that these listings make, by direction and symbol id."""
    legs = {(row.source_id, row.symbol_id): row for row in instruments}
    symbol_ids = sorted({symbol_id for _, symbol_id in legs})
    for way in DIRECTIONS:
        for symbol_id in symbol_ids:
            spot = legs.get((way.spot.source_id, symbol_id))
            futures = legs.get((way.futures.source_id, symbol_id))
            if spot is not None and futures is not None:
                yield ListedPair(way.direction_id, symbol_id, spot, futures)


def lots_of(instruments: Iterable[InstrumentRow]) -> tuple[LotRow, ...]:
    """The rules of every symbol in every direction whose both sources list it."""
    rows: list[LotRow] = []
    for pair in listed_pairs(instruments):
        rules = pair_rules(_size_rules(pair.spot), _size_rules(pair.futures))
        rows.append(LotRow(pair.direction_id, pair.symbol_id, *rules[:-1], int(rules.flags)))
    return tuple(rows)


def _size_rules(row: InstrumentRow) -> LegRules:
    return LegRules(row.sz_mul, row.lot_step, row.min_qty, row.min_notional)


Whole = TypeVar("Whole", SymbolsFile, DirectionsFile)


def load(folder: Path) -> Tables:
    """The set in force below the generated folder. Raises TableError that names the file."""
    return load_set(set_in_force(folder))


def set_in_force(folder: Path) -> Path:
    """The folder that `current` leads to. Raises TableError.

    It is resolved once: a set published meanwhile is not seen, and nothing is mixed.
    """
    link = folder / CURRENT
    try:
        return folder / link.readlink()
    except FileNotFoundError:
        raise TableError("there are no tables yet: run spread-ctl discover", file=link) from None
    except OSError as error:
        raise TableError(f"not a link to a set of tables: {error.strerror}", file=link) from None


def load_metadata(folder: Path) -> Metadata:
    """What is said of the set in force: small, read often. Raises TableError."""
    return metadata_of(folder / CURRENT)


def load_set(chosen: Path) -> Tables:
    """One set's folder, checked against its checksums. Raises TableError that names the file."""
    metadata = metadata_of(chosen)
    symbols = _checked(chosen / SYMBOLS_BIN, metadata, SymbolsFile)
    directions = _checked(chosen / DIRECTIONS_BIN, metadata, DirectionsFile)
    loaded = Tables(
        generation=metadata.generation,
        created_wall_ns=metadata.created_wall_ns,
        symbols=symbols.symbols,
        instruments=symbols.instruments,
        directions=directions.directions,
        funding=symbols.funding,
        quarantine=directions.quarantine,
        freed=symbols.freed,
        judged_in=metadata.judged_in,
        judged_wall_ns=metadata.judged_wall_ns,
        asked_wall_ns=metadata.asked_wall_ns,
        lots=directions.lots,
    )
    _sound(loaded, chosen)
    return loaded


def metadata_of(chosen: Path) -> Metadata:
    """What is said of one set, by its folder. Raises TableError that names the file."""
    metadata_path = chosen / METADATA_JSON
    try:
        metadata = msgspec.json.decode(_bytes(metadata_path), type=Metadata)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise TableError(f"damaged: {error}", file=metadata_path) from None
    if metadata.format != FORMAT:
        raise TableError(
            "of another format: run spread-ctl discover",
            file=metadata_path,
            format=metadata.format,
            expected=FORMAT,
        )
    return metadata


def load_for(folder: Path, num_sources: int, max_symbols: int) -> Tables:
    """The set in force, for a price store of so many sources and symbols. Raises TableError."""
    loaded = load(folder)
    check_sources(loaded, num_sources)
    highest = max((row.symbol_id for row in loaded.symbols), default=-1)
    if highest >= max_symbols:
        raise TableError(
            "the tables hold a symbol beyond the price store: raise system.max_symbols and restart",
            symbol_id=highest,
            max_symbols=max_symbols,
        )
    return loaded


def check_sources(loaded: Tables, num_sources: int) -> None:
    """Whether a price store of so many rows has one for each listing. Raises TableError."""
    highest = max((row.source_id for row in loaded.instruments), default=-1)
    if highest >= num_sources:
        raise TableError(
            "the tables hold a source beyond the price store: run spread-ctl discover, or raise "
            "system.num_sources and restart",
            source=SOURCES[highest].label,
            num_sources=num_sources,
        )


def _sound(loaded: Tables, chosen: Path) -> None:
    """Whether every number can be what it says; whoever uses the tables relies on it."""
    if not 0 <= loaded.judged_in <= loaded.generation < 2**63:
        raise TableError("a generation that cannot be", file=chosen / METADATA_JSON)
    names = loaded.symbol_names()
    if len(names) != len(loaded.symbols) or len(set(names.values())) != len(names):
        raise TableError("a symbol or an id stands twice", file=chosen / SYMBOLS_BIN)
    for symbol in loaded.symbols:
        if not 0 <= symbol.symbol_id < SYMBOL_IDS or not symbol.symbol:
            raise TableError("no symbol", file=chosen / SYMBOLS_BIN, row=symbol)
    for row in loaded.instruments:
        usable = all(math.isfinite(x) and x > 0 for x in (row.px_div, row.sz_mul))
        known = row.symbol_id in names and row.source_id in SOURCE_IDS
        charged = 0 <= row.network_fee_bps < math.inf
        if not (usable and known and charged and row.exchange_symbol):
            raise TableError("a listing that cannot be", file=chosen / SYMBOLS_BIN, row=row)
    for rate in loaded.funding:
        hours = rate.interval_hours
        if not math.isfinite(rate.rate) or (hours is not None and not 0 < hours < math.inf):
            raise TableError("funding that cannot be", file=chosen / SYMBOLS_BIN, row=rate)
    odd = [row for row in loaded.lots if not _lot_can_be(row, names)]
    if odd:
        raise TableError("a lot that cannot be", file=chosen / DIRECTIONS_BIN, row=odd[0])
    for way in loaded.directions:
        if way.direction_id not in DIRECTION_IDS or not names.keys() >= set(way.symbol_ids):
            raise TableError(
                "a direction that cannot be",
                file=chosen / DIRECTIONS_BIN,
                direction_id=way.direction_id,
            )


def _lot_can_be(row: LotRow, names: Mapping[int, str]) -> bool:
    quantities = (row.lot, row.spot_min_qty, row.fut_min_qty)
    counts = all(
        0 <= x < math.inf for x in (*quantities, row.spot_min_notional, row.fut_min_notional)
    )
    return counts and row.direction_id in DIRECTION_IDS and row.symbol_id in names


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise TableError(f"cannot be read: {error.strerror}", file=path) from None


def _checked(path: Path, metadata: Metadata, kind: type[Whole]) -> Whole:
    data = _bytes(path)
    if hashlib.sha256(data).hexdigest() != metadata.sha256.get(path.name):
        raise TableError("does not match its checksum", file=path, bytes=len(data))
    try:
        whole = msgspec.msgpack.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise TableError(f"damaged: {error}", file=path) from None
    if whole.generation != metadata.generation:
        raise TableError(
            "of another generation than its set",
            file=path,
            generation=whole.generation,
            expected=metadata.generation,
        )
    return whole
