"""What the engine evaluates: one row per (direction, symbol), made from tables and settings.

Writer:  this module, at start and at reload; then the native loop, which keeps each pair's state in
the same row (native/engine.h, ss_engine_pair). Reader: the native loop.

What a pair costs is schema/costs.py's. Where the rate of its funding is not known, every signal
says so with SIGNAL_FUNDING_UNKNOWN; where a listing tells no minimum, with SIGNAL_MINIMUM_UNKNOWN.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from spread_scanner import clock
from spread_scanner.clock import NS_PER_MS, NS_PER_S
from spread_scanner.config import Settings
from spread_scanner.engine.carrying import Carrying, Contracts
from spread_scanner.errors import TableError
from spread_scanner.schema import costs, freshness
from spread_scanner.schema.enums import DIRECTIONS, Direction
from spread_scanner.schema.lots import MINIMUM_UNKNOWN
from spread_scanner.schema.records import SIGNAL_MINIMUM_UNKNOWN
from spread_scanner.symbology.fees import FillFees
from spread_scanner.symbology.rates import FundingRates
from spread_scanner.symbology.tables import LotRow, Tables, check_sources
from spread_scanner.symbology.usual import pair_keys

IDLES = ("spin", "spin-park", "park")  # by the loop's number
NEVER_NS = -(2**63)
PAIR_BYTES = 256

# ss_engine_pair: parameters, and in "blocked" and the like the loop's own state.
PAIR_DTYPE = np.dtype(
    [
        ("costs_min_bps", "<f8"),
        ("enter_bps", "<f8"),
        ("exit_bps", "<f8"),
        ("resignal_step_bps", "<f8"),
        ("cooldown_ns", "<i8"),
        ("spot_cell", "<u4"),
        ("fut_cell", "<u4"),
        ("symbol_id", "<u2"),
        ("direction_id", "u1"),
        ("spot_source", "u1"),
        ("fut_source", "u1"),
        ("signal_flags", "u1"),
        ("disabled", "u1"),
        ("quarantined", "u1"),
        ("blocked", "u1"),
        ("trusted", "u1"),
        ("at_parity", "u1"),
        ("barred", "u1"),
        ("reserved", "<u4"),
        ("fees_bps", "<f8"),
        ("carry_bps", "<f8"),
        ("carry_before_bps", "<f8"),
        ("close_bps", "<f8"),
        ("usual_bps", "<f8"),
        ("parity_usual_bps", "<f8"),
        ("learned", "<f8"),
        ("close_before_bps", "<f8"),
        ("size_quote_min", "<f8"),
        ("lot_base", "<f8"),
        ("spot_qty_min", "<f8"),
        ("fut_qty_min", "<f8"),
        ("spot_notional_min", "<f8"),
        ("fut_notional_min", "<f8"),
        ("barred_gross_bps", "<f8"),
        ("spot_fee_bps", "<f8"),
        ("weight", "<f8"),
        ("exit_sum", "<f8"),
        ("parity_sum", "<f8"),
        ("last_net_bps", "<f8"),
        ("exited_mono_ns", "<i8"),
        ("implausible_ns", "<i8"),
        ("kept_at", "<u8"),
        ("kept_count", "<u4"),
        ("in", "u1"),
        ("waiting", "u1"),
        ("kept_verdict", "u1"),
        ("reserved_life", "u1"),
    ]
)


class LoopLimits(NamedTuple):
    """What holds for all pairs, in the loop's units."""

    heartbeat_ns_max: int
    stale_ns_max: int
    skew_ns_max: int
    sweep_ns: int
    spin_ns: int
    park_ns: int
    implausible_hold_ns: int
    implausible_bps: float
    dirty_max: int
    idle: int
    basis_unknown: bool
    half_life_s: float
    trust_s: float
    enter_z_min: float  # NaN: any
    rung_quote: tuple[float, ...]  # sizes in the quote coin, of what follows on a signal


class Plan(NamedTuple):
    """Pairs in the order of (direction, symbol), the symbols' names, the tables' generation."""

    pairs: np.ndarray
    names: dict[int, str]
    generation: int
    keys: tuple[str, ...]  # by pair, what it really is (symbology/usual.py); empty: not listed
    rates: FundingRates | None = None
    contracts: Contracts | None = None


def limits(settings: Settings) -> LoopLimits:
    engine = settings.config.spread_engine
    fresh = freshness.FreshnessLimits.of(settings)
    return LoopLimits(
        **fresh._asdict(),
        sweep_ns=engine.park_ms_max * NS_PER_MS,
        spin_ns=engine.spin_us * 1_000,
        park_ns=engine.park_ms_max * NS_PER_MS,
        implausible_hold_ns=int(engine.implausible_hold_s * NS_PER_S),
        dirty_max=engine.dirty_per_cycle_max,
        idle=IDLES.index(engine.idle),
        basis_unknown=engine.signal_basis_unknown,
        half_life_s=engine.basis_half_life_s,
        trust_s=engine.basis_trust_s,
        enter_z_min=math.nan if engine.enter_z_min is None else engine.enter_z_min,
        rung_quote=tuple(settings.config.books.sizes_quote),
    )


def empty_pairs(count: int) -> np.ndarray:
    """(count,) PAIR_DTYPE of zeros on 256-byte boundaries, each pair never exited."""
    room = np.zeros((count + 2) * PAIR_BYTES, np.uint8)
    start = -room.ctypes.data % PAIR_BYTES
    # With one more, so that none stand on a boundary, too: an empty slice of `room` begins with it.
    pairs = room[start : start + (count + 1) * PAIR_BYTES].view(PAIR_DTYPE)[:count]
    pairs["exited_mono_ns"] = NEVER_NS
    return pairs


def plan(
    settings: Settings, tables: Tables, max_symbols: int, told: np.ndarray | None = None
) -> Plan:
    """All pairs whose two sources are enabled; `told`: of funding (FundingTable.snapshot). Raises
    TableError when an id does not fit."""
    names = tables.symbol_names()
    rates = FundingRates(tables, told)
    lots = tables.lots_by_pair()
    members = sorted(_members(settings, tables, names))
    pairs = empty_pairs(len(members))
    fees = FillFees(settings, tables.instruments)
    check_sources(tables, settings.config.system.num_sources)
    for pair, (direction_id, symbol_id, quarantined) in zip(pairs, members, strict=True):
        if not 0 <= symbol_id < max_symbols:
            raise TableError(
                "the tables hold a symbol beyond the price store: raise system.max_symbols",
                symbol_id=symbol_id,
                max_symbols=max_symbols,
            )
        direction = DIRECTIONS[direction_id]
        pair["quarantined"] = quarantined
        _fill(pair, settings, direction, symbol_id, names[symbol_id], max_symbols)
        _charge(pair, fees, direction, symbol_id, names[symbol_id])
        _limit(pair, lots.get((direction_id, symbol_id)))
    contracts = Contracts.of(pairs)
    expected = Carrying(contracts, rates, settings.config.spread_engine, clock.wall_ns()).all()
    pairs["carry_bps"], pairs["signal_flags"] = expected
    listed = pair_keys(tables)
    keys = tuple(listed.get(member[:2], "") for member in members)
    return Plan(pairs, names, tables.generation, keys, rates, contracts)


def places(old: Plan, new: Plan) -> np.ndarray:
    """By pair of the new plan, its place in the old one, -1: none, as int32. What is another pair
    now starts afresh: another symbol, listing or multiplier, and one that was quarantined."""
    known = {key: place for place, key in enumerate(_identities(old)) if not key[-1]}
    return np.array([known.get(key, -1) for key in _identities(new)], np.int32)


def _identities(made: Plan) -> list[tuple[int, int, str, str, bool]]:
    """Direction, id and name of the symbol, listings and whether it is kept out, of each pair."""
    columns = [made.pairs[name].tolist() for name in ("direction_id", "symbol_id", "quarantined")]
    return [
        (direction_id, symbol_id, made.names[symbol_id], key, bool(quarantined))
        for direction_id, symbol_id, quarantined, key in zip(*columns, made.keys, strict=True)
    ]


def _members(
    settings: Settings, tables: Tables, names: dict[int, str]
) -> Iterator[tuple[int, int, bool]]:
    """(direction, symbol, quarantined): those of the tables, and those that discovery kept out but
    that are listed on both legs, so that what they would have paid is counted."""
    enabled = [
        direction
        for direction in DIRECTIONS
        if settings.runs(direction.spot) and settings.runs(direction.futures)
    ]
    allowed = {direction.direction_id for direction in enabled}
    ids = tables.symbol_ids()
    listed = {(row.source_id, row.symbol_id) for row in tables.instruments}
    seen = set()
    for row in tables.directions:
        for symbol_id in row.symbol_ids:
            if row.direction_id in allowed and symbol_id in names:
                seen.add((row.direction_id, symbol_id))
    yield from ((direction_id, symbol_id, False) for direction_id, symbol_id in seen)
    for kept_out in set(tables.quarantine):
        symbol_id = ids.get(kept_out.symbol, -1)
        key = (kept_out.direction_id, symbol_id)
        if key in seen or kept_out.direction_id not in allowed:
            continue
        direction = DIRECTIONS[kept_out.direction_id]
        legs = ((leg.source_id, symbol_id) for leg in (direction.spot, direction.futures))
        if all(leg in listed for leg in legs):
            seen.add(key)
            yield (*key, True)


def _charge(
    pair: np.void, fees: FillFees, direction: Direction, symbol_id: int, symbol: str
) -> None:
    """What its fills cost."""
    fee_bps = fees.bps(direction.spot, symbol_id, symbol)
    pair["spot_fee_bps"] = fee_bps
    pair["fees_bps"] = costs.fees_bps(fee_bps, fees.bps(direction.futures, symbol_id, symbol))


def _limit(pair: np.void, rules: LotRow | None) -> None:
    """What both listings ask of a size; a pair that is not listed on both legs asks nothing."""
    if rules is None:
        pair["signal_flags"] |= SIGNAL_MINIMUM_UNKNOWN
        return
    pair["lot_base"] = rules.lot
    pair["spot_qty_min"] = rules.spot_min_qty
    pair["fut_qty_min"] = rules.fut_min_qty
    pair["spot_notional_min"] = rules.spot_min_notional
    pair["fut_notional_min"] = rules.fut_min_notional
    if rules.flags & MINIMUM_UNKNOWN:
        pair["signal_flags"] |= SIGNAL_MINIMUM_UNKNOWN


def _fill(
    pair: np.void,
    settings: Settings,
    direction: Direction,
    symbol_id: int,
    symbol: str,
    max_symbols: int,
) -> None:
    spot, futures = direction.spot, direction.futures
    thresholds = settings.directions.thresholds(direction.label, symbol)
    pair["usual_bps"] = pair["parity_usual_bps"] = pair["close_bps"] = np.nan
    pair["at_parity"] = thresholds.close_at == "parity"
    pair["enter_bps"] = thresholds.enter_bps
    pair["exit_bps"] = thresholds.exit_bps
    pair["resignal_step_bps"] = thresholds.resignal_step_bps
    pair["cooldown_ns"] = thresholds.cooldown_ms * NS_PER_MS
    pair["size_quote_min"] = thresholds.size_quote_min
    pair["disabled"] = not thresholds.enabled
    pair["symbol_id"] = symbol_id
    pair["direction_id"] = direction.direction_id
    pair["spot_source"] = spot.source_id
    pair["fut_source"] = futures.source_id
    pair["spot_cell"] = spot.source_id * max_symbols + symbol_id
    pair["fut_cell"] = futures.source_id * max_symbols + symbol_id
