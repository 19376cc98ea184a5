"""All spreads of all directions as they stand now, computed from the price store for people.

The engine does the same sums natively and only for what changed; this is the slow, whole view that
the screens and the doctor use, from schema's one definition of a spread. A pair that cannot
be stood behind (schema/freshness.py) is shown as stale, with its last numbers.
"""

import contextlib
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from msgspec.structs import replace

from spread_scanner import clock
from spread_scanner.clock import NS_PER_MS, NS_PER_S
from spread_scanner.config import Settings
from spread_scanner.schema import costs, freshness
from spread_scanner.schema.enums import DIRECTIONS, Direction
from spread_scanner.schema.freshness import FreshnessLimits, Judged
from spread_scanner.schema.ladder import LEAST_DTYPE, Least
from spread_scanner.schema.lots import MINIMUM_UNKNOWN
from spread_scanner.schema.records import SIGNAL_FUNDING_UNKNOWN, SIGNAL_MINIMUM_UNKNOWN, TS_ABSENT
from spread_scanner.shm import PriceStore
from spread_scanner.symbology import coins
from spread_scanner.symbology.rates import FundingRates
from spread_scanner.symbology.tables import DirectionRow, LotRow, Tables
from spread_scanner.symbology.usual import pair_keys
from spread_scanner.symbology.written import symbol_as
from spread_scanner.view.costs import Cost, of_direction, rates_now
from spread_scanner.view.depth import Depth, DepthReader, feed_beats
from spread_scanner.view.notes import notes_of
from spread_scanner.view.reading import Reading, known_each
from spread_scanner.view.usual import UsualReader

PairPlaces = npt.NDArray[np.int64]  # in table order
ALL_PAIRS = slice(None)
PRICED_NS = 60 * NS_PER_S  # how long what funding is expected to cost is believed
BOARD_DTYPE = np.dtype(
    [
        ("direction_id", "u1"),
        ("symbol_id", "<u2"),
        ("gross_bps", "<f8"),
        ("net_bps", "<f8"),
        ("enter_bps", "<f8"),
        ("exit_bps", "<f8"),
        ("close_bps", "<f8"),
        ("usual_bps", "<f8"),
        ("learned", "<f8"),
        ("size_quote", "<f8"),
        ("fees_bps", "<f8"),
        ("carry_bps", "<f8"),
        ("lot_base", "<f8"),
        ("spot_ask_px", "<f8"),
        ("fut_bid_px", "<f8"),
        ("spot_age_ms", "<f8"),  # NaN: it was never quoted
        ("fut_age_ms", "<f8"),
        ("usable", "?"),
        ("implausible", "?"),  # both legs say what they are, and are not one coin at one time
        ("flags", "u1"),  # SIGNAL_*: what a signal of it would say besides
        *LEAST_DTYPE.descr,
    ]
)


class _Pairs(NamedTuple):
    """All pairs of all directions in table order, (n,) each: their legs, costs and thresholds."""

    direction_id: npt.NDArray[np.uint8]
    symbol_id: npt.NDArray[np.uint16]
    spot: npt.NDArray[np.uint8]  # source ids
    futures: npt.NDArray[np.uint8]
    keys: npt.NDArray[np.object_]  # what each pair really is: symbology/usual.py
    fees_bps: npt.NDArray[np.float64]
    carry_bps: npt.NDArray[np.float64]
    at_parity: npt.NDArray[np.bool_]
    enter_bps: npt.NDArray[np.float64]
    lot: npt.NDArray[np.float64]  # base units; 0: none is known
    least: np.ndarray  # LEAST_DTYPE
    flags: npt.NDArray[np.uint8]  # SIGNAL_*, of minima and funding

    def at(self, places: PairPlaces | slice) -> "_Pairs":
        """Some of them."""
        columns: list[Any] = [column[places] for column in self]
        return _Pairs(*columns)


class _Quoted(NamedTuple):
    """Quotes of all sources of some symbols, (sources, symbols) each, and how each is judged."""

    quotes: np.ndarray
    now_ns: int
    usable: freshness.Mask
    only_jumped: freshness.Mask
    alone: freshness.Mask  # against the other sources of its coin


class SpreadBoard:
    """Holds the pairs of one set of tables; `rows` reads the store."""

    def __init__(self, settings: Settings, tables: Tables, store: PriceStore) -> None:
        self.symbols = tables.symbol_names()
        self.generation = tables.generation
        self._store, self._settings = store, settings
        self._limits = FreshnessLimits.of(settings)
        self._usual = UsualReader(settings)
        self._coins = coins.by_source(tables, store.num_sources, store.max_symbols)
        self._tables = _of_its_pairs(tables)
        self._keys, self._lots = pair_keys(self._tables), self._tables.lots_by_pair()
        self._pairs = self._all_pairs()
        self._priced_ns = clock.mono_ns()

    def _all_pairs(self) -> _Pairs:
        rates = rates_now(self._settings, self._tables)
        ways = self._tables.directions
        found = [cost for way in ways for cost in self._costs(way, rates)]
        pairs = [(way.direction_id, symbol_id) for way in ways for symbol_id in way.symbol_ids]
        rules = [self._lots.get(pair) for pair in pairs]
        directions = [DIRECTIONS[direction_id] for direction_id, _ in pairs]
        return _Pairs(
            np.array([direction_id for direction_id, _ in pairs], np.uint8),
            np.array([symbol_id for _, symbol_id in pairs], np.uint16),
            np.array([one.spot.source_id for one in directions], np.uint8),
            np.array([one.futures.source_id for one in directions], np.uint8),
            np.array([self._keys.get(pair, "") for pair in pairs], np.object_),
            np.array([one.fees_bps for one in found], np.float64),
            np.array([one.carry_at_ask_bps for one in found], np.float64),
            np.array([one.close_at == "parity" for one in found], np.bool_),
            np.array([one.enter_bps for one in found], np.float64),
            np.array([0.0 if one is None else one.lot for one in rules], np.float64),
            np.array([Least() if one is None else one.least for one in rules], LEAST_DTYPE),
            np.array([_flags(*one) for one in zip(rules, found, strict=True)], np.uint8),
        )

    def _costs(self, row: DirectionRow, rates: FundingRates) -> list[Cost]:
        return of_direction(self._settings, self._tables, row, rates)

    @property
    def pairs(self) -> int:
        """How many (direction, symbol) there are."""
        return len(self._pairs.symbol_id)

    def legs(self) -> tuple[npt.NDArray[np.unsignedinteger], ...]:
        """(n,) each in table order: symbol, direction, source of the spot, of the perpetual."""
        pairs = self._pairs
        return pairs.symbol_id, pairs.direction_id, pairs.spot, pairs.futures

    def depth_reader(self) -> DepthReader:
        """Who tells what the order books of its rows carry; to be closed."""
        return DepthReader(self._settings, self._store)

    def written(self, places: PairPlaces | slice = ALL_PAIRS) -> npt.NDArray[np.uint64]:
        """(n, 2): how often the legs of each pair were written, in table order."""
        written, pairs = self._store.sequences, self._pairs.at(places)
        return np.stack([written[leg, pairs.symbol_id] for leg in (pairs.spot, pairs.futures)], 1)

    def rows(self, places: PairPlaces | slice = ALL_PAIRS) -> np.ndarray:
        """Every pair, or those at some places, as BOARD_DTYPE, in table order. Never-quoted pairs
        have NaN spreads. Funding is looked up each minute, as the engine does."""
        now_ns = clock.mono_ns()
        if now_ns - self._priced_ns > PRICED_NS:
            self._pairs, self._priced_ns = self._all_pairs(), now_ns
        return self._rows(self._pairs.at(places))

    def _quoted(self, symbols: npt.NDArray[np.uint16]) -> _Quoted:
        """Every source's, as one leg is judged by the others of its coin."""
        store, limits = self._store, self._limits
        sources = range(store.num_sources)
        quotes = np.stack([store.read_many(source_id, symbols) for source_id in sources])
        now_ns = store.clock.now_ns()
        beats = np.array([[feed_beats(store, source_id, limits)] for source_id in sources])
        usable = freshness.usable(quotes, beats, now_ns, limits.stale_ns_max)
        jumped = freshness.only_jumped(quotes, beats, now_ns, limits.stale_ns_max)
        px = costs.mid_px(quotes["bid_px"], quotes["ask_px"])
        px[~usable] = np.nan
        alone = freshness.alone(px, self._coins[:, symbols], limits.implausible_bps)
        return _Quoted(quotes, now_ns, usable, jumped, alone)

    def _rows(self, pairs: _Pairs) -> np.ndarray:
        symbols, column = np.unique(pairs.symbol_id, return_inverse=True)
        quoted = self._quoted(symbols)
        legs = [leg * np.int64(len(symbols)) + column for leg in (pairs.spot, pairs.futures)]
        spot, futures = (quoted.quotes.take(leg) for leg in legs)
        rows = np.zeros(len(pairs.symbol_id), BOARD_DTYPE)
        rows["direction_id"], rows["symbol_id"] = pairs.direction_id, pairs.symbol_id
        with np.errstate(invalid="ignore", divide="ignore"):
            rows["gross_bps"] = costs.entry_bps(spot["ask_px"], futures["bid_px"])
            rows["exit_bps"] = costs.exit_bps(spot["bid_px"], spot["ask_px"], futures["ask_px"])
            size = costs.size_base(spot["ask_sz"], futures["bid_sz"], pairs.lot)
            rows["size_quote"] = costs.size_quote(size, spot["ask_px"])
            self._price(rows, pairs, spot["ask_px"], futures["bid_px"])
        rows["enter_bps"] = pairs.enter_bps
        rows["fees_bps"], rows["carry_bps"] = pairs.fees_bps, pairs.carry_bps
        rows["lot_base"] = pairs.lot
        for name in Least._fields:
            rows[name] = pairs.least[name]
        rows["flags"] = pairs.flags
        rows["spot_ask_px"] = spot["ask_px"]
        rows["fut_bid_px"] = futures["bid_px"]
        rows["spot_age_ms"] = _ages_ms(quoted.now_ns, spot)
        rows["fut_age_ms"] = _ages_ms(quoted.now_ns, futures)
        judged = Judged(
            quoted.usable.take(legs[0]),
            quoted.usable.take(legs[1]),
            freshness.skewed(spot, futures, self._limits.skew_ns_max),
            freshness.plausible(rows["gross_bps"], self._limits.implausible_bps)
            & ~quoted.alone.take(legs).any(axis=0),
        )
        told = quoted.usable | quoted.only_jumped
        rows["usable"] = judged.usable
        rows["implausible"] = told.take(legs).all(axis=0) & ~judged.skewed & ~judged.usable
        return rows

    def _price(
        self,
        rows: np.ndarray,
        pairs: _Pairs,
        spot_ask_px: npt.NDArray[np.float64],
        fut_bid_px: npt.NDArray[np.float64],
    ) -> None:
        """What is left of each, as the engine has it; by the present widths where it is not known
        what leaving usually earns."""
        usual = self._usual.look(pairs.keys.tolist())
        close = costs.close_bps(
            usual["usual_bps"],
            usual["parity_bps"],
            costs.parity_bps(rows["gross_bps"], rows["exit_bps"]),
            trusted=usual["learned"] >= 1,
            at_parity=pairs.at_parity,
            credited=usual["credited_bps"],
        )
        carried = costs.carried_bps(pairs.carry_bps, spot_ask_px, fut_bid_px)
        rows["close_bps"] = close
        rows["usual_bps"] = usual["usual_bps"]
        rows["learned"] = usual["learned"]
        rows["net_bps"] = costs.net_bps(rows["gross_bps"], close, pairs.fees_bps, carried)


def _ages_ms(now_ns: int, quotes: np.ndarray) -> npt.NDArray[np.float64]:
    """Since each was received; NaN: it never was."""
    received_ns = quotes["ts_recv"]
    return np.where(received_ns != TS_ABSENT, (now_ns - received_ns) / NS_PER_MS, np.nan)


def _flags(rules: LotRow | None, cost: Cost) -> int:
    """As the engine has them (engine/plan.py)."""
    minimum_unknown = rules is None or bool(rules.flags & MINIMUM_UNKNOWN)
    return SIGNAL_MINIMUM_UNKNOWN * minimum_unknown | SIGNAL_FUNDING_UNKNOWN * (not cost.rate_known)


def shares_learned(rows: np.ndarray) -> float:
    """How far it is known what leaving earns, of the pairs that can be stood behind; 1: of all."""
    usable = rows[rows["usable"]]
    return float(np.minimum(usable["learned"], 1).mean()) if len(usable) else 1.0


def top(rows: np.ndarray, count: int) -> np.ndarray:
    """The highest net spreads that can be stood behind."""
    usable = rows[rows["usable"] & np.isfinite(rows["net_bps"])]
    highest_first = np.argsort(-usable["net_bps"], kind="stable")
    best: np.ndarray = usable[highest_first[:count]]
    return best


class Spread(Reading, frozen=True):
    """One pair as it stands now; spreads are null until both legs were quoted, a leg's age until
    it was."""

    symbol: str
    direction: str
    gross_bps: float | None
    net_bps: float | None
    enter_bps: float
    exit_bps: float | None
    close_bps: float | None  # what leaving is assumed to earn
    usual_bps: float | None  # what it usually earns; null: not known
    learned: float  # share of what makes usual_bps trusted; below 1 there is no signal yet
    size_quote: float | None
    spot_ask_px: float | None
    fut_bid_px: float | None
    spot_age_ms: float | None
    fut_age_ms: float | None
    usable: bool
    implausible: bool  # not usable, as the legs are not one coin at one time
    notes: list[str]  # what a signal of it would say besides (view/notes.py)
    fees_bps: float
    carry_at_ask_bps: float  # expected funding with the perpetual at the spot's ask, as a cost
    depth: Depth | None  # by both order books; null: none stand, size_quote is of the tops


_UNSHOWN = ("lot_base", *Least._fields)
_KNOWN = ("usable", "implausible", "enter_bps", "learned", "fees_bps")


def named(
    rows: np.ndarray, symbols: dict[int, str], depths: Iterable[Depth | None]
) -> list[Spread]:
    """Rows of BOARD_DTYPE by names instead of numbers, column by column: there may be thousands."""
    shown = [name for name in BOARD_DTYPE.names or () if name not in _UNSHOWN]
    unknown = set(shown) & set(Spread.__struct_fields__) - set(_KNOWN)  # as some of them may be
    columns: dict[str, Iterable[Any]] = {
        name: known_each(rows[name]) if name in unknown else rows[name].tolist() for name in shown
    }
    columns["carry_at_ask_bps"] = columns["carry_bps"]
    columns["symbol"] = [symbols.get(one, f"#{one}") for one in columns["symbol_id"]]
    columns["direction"] = [DIRECTIONS[one].label for one in columns["direction_id"]]
    columns["notes"] = map(notes_of, columns["flags"])
    columns["depth"] = depths
    fields = [columns[name] for name in Spread.__struct_fields__]
    return [Spread(*one) for one in zip(*fields, strict=True)]


def spread_of(row: np.void, symbols: dict[int, str], depth: Depth | None = None) -> Spread:
    """One row by names."""
    return named(row.reshape(1), symbols, [depth])[0]


def _of_its_pairs(tables: Tables) -> Tables:
    """With the listings of paired symbols alone, which is all that costs and lots are made from."""
    paired = {symbol_id for way in tables.directions for symbol_id in way.symbol_ids}
    return replace(
        tables, instruments=tuple(row for row in tables.instruments if row.symbol_id in paired)
    )


def with_depth(rows: np.ndarray, board: SpreadBoard) -> list[Spread]:
    """Rows of a board by names, with what their order books carry."""
    with contextlib.closing(board.depth_reader()) as reader:
        return named(rows, board.symbols, map(reader.depth_of, reader.look(rows)))


def spreads_of(
    board: SpreadBoard,
    wanted: str = "",
    *,
    direction: Direction | None = None,
    usable: bool = False,
    count: int | None = None,
) -> list[Spread]:
    """Pairs whose symbol contains `wanted`, the highest net spread first, never-quoted last: of all
    directions or of one, all or those that can be stood behind, so many at most."""
    rows = board.rows()
    part = symbol_as(wanted)
    named = {number for number, name in board.symbols.items() if part in name}
    chosen = np.isin(rows["symbol_id"], list(named))
    if direction is not None:
        chosen &= rows["direction_id"] == direction.direction_id
    if usable:
        chosen &= rows["usable"]
    rows = rows[chosen]
    return with_depth(rows[np.argsort(-rows["net_bps"])][:count], board)
