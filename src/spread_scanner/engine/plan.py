"""What the engine evaluates: one row per (direction, symbol), made from tables and settings.

Writer:  this module, at start and at reload; then the native loop, which keeps each pair's state in
the same row (native/engine.h, ss_engine_pair). Reader: the native loop.

Fees are those of the two entries and the two exits: twice the taker fee of each leg. Funding is an
expected cost (schema/costs.py). Where it is not known, it is 0 and every signal says so with
SIGNAL_FUNDING_UNKNOWN.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from spread_scanner.clock import NS_PER_MS
from spread_scanner.config import Settings
from spread_scanner.errors import TableError
from spread_scanner.schema import costs, freshness
from spread_scanner.schema.enums import DIRECTIONS, Direction
from spread_scanner.schema.records import SIGNAL_FUNDING_UNKNOWN
from spread_scanner.symbology.tables import Tables

IDLES = ("spin", "spin-park", "park")  # by the loop's number
NEVER_NS = -(2**63)
PAIR_BYTES = 128

# ss_engine_pair: parameters, and behind "stamp", "blocked" and the like the loop's own state.
PAIR_DTYPE = np.dtype(
    [
        ("fees_bps", "<f8"),
        ("funding_bps", "<f8"),
        ("enter_bps", "<f8"),
        ("exit_bps", "<f8"),
        ("stamp", "<u8"),
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
        ("in", "u1"),
        ("waiting", "u1"),
        ("kept_verdict", "u1"),
        ("reserved", "V4"),
        ("resignal_step_bps", "<f8"),
        ("size_quote_min", "<f8"),
        ("cooldown_ns", "<i8"),
        ("last_net_bps", "<f8"),
        ("exited_mono_ns", "<i8"),
        ("kept_at", "<u8"),
        ("kept_count", "<u8"),
        ("reserved_cold", "<u8"),
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
    implausible_bps: float
    dirty_max: int
    idle: int


class Plan(NamedTuple):
    """Pairs in the order of (direction, symbol), the symbols' names, the tables' generation."""

    pairs: np.ndarray
    names: dict[int, str]
    generation: int


def limits(settings: Settings) -> LoopLimits:
    engine = settings.config.spread_engine
    fresh = freshness.FreshnessLimits.of(settings)
    return LoopLimits(
        **fresh._asdict(),
        sweep_ns=engine.park_ms_max * NS_PER_MS,
        spin_ns=engine.spin_us * 1_000,
        park_ns=engine.park_ms_max * NS_PER_MS,
        dirty_max=engine.dirty_per_cycle_max,
        idle=IDLES.index(engine.idle),
    )


def empty_pairs(count: int) -> np.ndarray:
    """(count,) PAIR_DTYPE of zeros on 128-byte boundaries, each pair never exited."""
    room = np.zeros((count + 1) * PAIR_BYTES, np.uint8)
    start = -room.ctypes.data % PAIR_BYTES
    pairs = room[start : start + count * PAIR_BYTES].view(PAIR_DTYPE)
    pairs["exited_mono_ns"] = NEVER_NS
    return pairs


def plan(settings: Settings, tables: Tables, max_symbols: int) -> Plan:
    """All pairs whose two sources are enabled. Raises TableError when an id does not fit."""
    names = tables.symbol_names()
    funding = {(row.source_id, row.symbol_id): row for row in tables.funding}
    members = sorted(_members(settings, tables, names))
    pairs = empty_pairs(len(members))
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
        known = funding.get((direction.futures.source_id, symbol_id))
        cost_bps = known and costs.funding_bps(
            known.rate, known.interval_hours, settings.config.spread_engine.funding_hours
        )
        pair["funding_bps"] = cost_bps or 0.0
        pair["signal_flags"] = SIGNAL_FUNDING_UNKNOWN if cost_bps is None else 0
    return Plan(pairs, names, tables.generation)


def places(old: Plan, new: Plan) -> np.ndarray:
    """By pair of the new plan, its place in the old one, -1: none, as int32. A symbol id that now
    means another symbol starts afresh."""
    known = {
        (int(direction_id), int(symbol_id)): place
        for place, (direction_id, symbol_id) in enumerate(_keys(old))
        if new.names.get(int(symbol_id)) == old.names[int(symbol_id)]
    }
    return np.array([known.get((key[0], key[1]), -1) for key in _keys(new)], np.int32)


def _keys(made: Plan) -> list[list[int]]:
    """(direction, symbol) of each pair."""
    columns = [made.pairs[name].astype(np.int64) for name in ("direction_id", "symbol_id")]
    keys: list[list[int]] = np.stack(columns, axis=1).tolist()
    return keys


def _members(
    settings: Settings, tables: Tables, names: dict[int, str]
) -> Iterator[tuple[int, int, bool]]:
    """(direction, symbol, quarantined): those of the tables, and those that discovery kept out but
    that are listed on both legs, so that what they would have paid is counted."""
    enabled = [
        direction
        for direction in DIRECTIONS
        if settings.exchanges[direction.spot.label].enabled
        and settings.exchanges[direction.futures.label].enabled
    ]
    allowed = {direction.direction_id for direction in enabled}
    ids = {name: symbol_id for symbol_id, name in names.items()}
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
    fee_bps = settings.exchanges[spot.label].fee_bps(symbol)
    fee_bps += settings.exchanges[futures.label].fee_bps(symbol)
    pair["fees_bps"] = 2 * fee_bps
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
