"""What the engine decided about a pair, step by step, and what stands now.

The engine keeps its last evaluations at or over a threshold with their verdict; for a pair that was
never over one, the present spread from the price store says how far away it is.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from spread_scanner.clock import NS_PER_S
from spread_scanner.config import Settings
from spread_scanner.errors import Unusable
from spread_scanner.schema.enums import (
    DIRECTION_BY_LABEL,
    DIRECTIONS,
    Direction,
    QuoteFlag,
    Verdict,
)
from spread_scanner.schema.records import (
    EVALUATION_DTYPE,
    EVALUATION_FUT_ALONE,
    EVALUATION_SPOT_ALONE,
)
from spread_scanner.shm import PriceStore
from spread_scanner.shm.evaluations import Evaluations
from spread_scanner.symbology import tables
from spread_scanner.symbology.written import symbol_as
from spread_scanner.view import blocked, funding
from spread_scanner.view.blocked import BlockedPair
from spread_scanner.view.funding import FundingView
from spread_scanner.view.notes import notes_of
from spread_scanner.view.reading import Reading, known
from spread_scanner.view.spreads import Spread, SpreadBoard, with_depth
from spread_scanner.view.symbols import NamesThen, UnknownSymbol

MEANS = {
    Verdict.SIGNAL: "signalled",
    Verdict.STALE_LEG: "no signal: a leg cannot be stood behind",
    Verdict.SKEW: "no signal: the legs' quotes lie too far apart in time",
    Verdict.SIZE: "no signal: a top holds less than size_quote_min, a lot or a listing's least",
    Verdict.COOLDOWN: "no signal: cooling down after the last exit",
    Verdict.PAUSED: "no signal: paused by the operator, or disabled in the settings",
    Verdict.QUARANTINED: "no signal: quarantined, the prices of the two listings disagree",
    Verdict.FEE: "no signal: gross stands over the threshold, net of costs does not",
    Verdict.KILLED: "no signal: signals are halted",
    Verdict.RING_FULL: "signal lost: the ring to the tracker was full",
    Verdict.IMPLAUSIBLE: "no signal: so far apart that the legs are not one coin at one time",
    Verdict.NO_BASIS: "no signal: what leaving usually earns is not known yet",
    Verdict.BLOCKED: "no signal: implausible for so long that it waits to be judged anew",
    Verdict.NO_Z: "no signal: gross is not far enough above its mean, or its mean is not known",
    Verdict.HELD: "no new signal: signalled before, and not yet a step higher",
}
JUMPED = "no signal: a leg has left its price level, as another coin's would"
NONE_KEPT = "no evaluation over a threshold is kept"
ALONE = "no signal: a leg stands alone, too far from the other sources of its coin"
_LEGS_ALONE = {"spot": EVALUATION_SPOT_ALONE, "fut": EVALUATION_FUT_ALONE}


# Fields of the record that are the engine's own.
_SAME = set(EVALUATION_DTYPE.names or ()) - {"verdict", "spot_flags", "fut_flags"}
_MAY_BE_UNKNOWN = (
    *("exit_bps", "close_bps", "usual_bps", "parity_bps", "size_base", "size_quote"),
    *("z", "z_min", "z_mean_bps", "z_deviation_bps"),
)


class UnknownDirection(Unusable):
    """A direction that does not exist."""


class Evaluation(Reading, frozen=True):
    """What the engine decided about one pair at one moment, with the numbers that it had."""

    direction: str
    verdict: str
    meaning: str
    age_s: float
    ts_engine: int
    gross_bps: float
    fees_bps: float
    exit_bps: float | None  # what leaving would have earned then
    close_bps: float | None  # what leaving is assumed to earn
    usual_bps: float | None  # what it usually earns; null: not known
    parity_bps: float | None  # what it earns when the mids meet at the present widths
    learned: float  # how much of what makes usual_bps trusted there is; 1 and more: trusted
    carry_bps: float  # expected funding, as a cost
    net_bps: float
    enter_bps: float
    size_base: float | None
    lot_base: float
    size_quote: float | None
    size_quote_min: float
    z: float | None  # deviations that gross was off its mean; null: not known, or not asked
    z_min: float | None  # what enter_z_min asked for; null: nothing
    z_mean_bps: float | None  # of gross, as spread-analyst had it
    z_deviation_bps: float | None
    spot_age_ns: int
    fut_age_ns: int
    skew_ns: int
    spot_px: float
    fut_px: float
    spot_flags: list[str]
    fut_flags: list[str]
    notes: list[str]  # what a signal of it says besides: "minimum_unknown" and the like
    alone: list[str]  # legs ("spot", "fut") that stand alone against the other sources of the coin
    count: int  # evaluations with the same verdict that this one stands for


class Quarantined(Reading, frozen=True):
    """A pair that is kept out of a direction."""

    direction: str
    symbol: str
    reason: str


class Implausible(Reading, frozen=True):
    """A pair whose legs are not one coin at one time, by their distance, by the level that a leg
    was of, or by the other sources of it, and when that was seen."""

    direction: str
    symbol: str
    gross_bps: float
    ts_engine: int  # on the session clock


class Standing(Reading, frozen=True):
    """How far a pair is from a signal now, in words."""

    direction: str
    meaning: str


class Explanation(Reading, frozen=True):
    """Everything known about one symbol."""

    symbol: str
    meaning: str  # of the newest evaluation, or that there is none
    evaluations: list[Evaluation]  # the engine's, newest first
    now: list[Spread]  # every direction of the symbol as it stands in the store
    standing: list[Standing]  # the same in words, the nearest to a signal first
    quarantined: list[Quarantined]
    blocked: list[BlockedPair]  # as implausible for so long, until it is judged anew
    funding: list[FundingView]  # as each futures source that lists it told last


def direction_of(label: str) -> Direction:
    """The direction of that label; raises UnknownDirection."""
    if label not in DIRECTION_BY_LABEL:
        allowed = ", ".join(DIRECTION_BY_LABEL)
        raise UnknownDirection("no such direction", direction=label, allowed=allowed)
    return DIRECTION_BY_LABEL[label]


class LookedIn(NamedTuple):
    """What a symbol is looked up in."""

    loaded: tables.Tables
    store: PriceStore
    kept: Evaluations
    names: NamesThen


def ask(settings: Settings, symbol: str, direction: str | None, last: int) -> Explanation:
    """Look a symbol up. Raises UnknownSymbol, UnknownDirection, TableError, NoSegment."""
    loaded = tables.load(settings.generated_dir)
    symbol_id_of(loaded, symbol_as(symbol))  # before anything is waited for
    namespace = settings.config.system.namespace
    with PriceStore.attach(namespace) as store, Evaluations.attach(namespace) as kept:
        where = LookedIn(loaded, store, kept, NamesThen(settings.generated_dir))
        return explained(settings, where, symbol, direction, last)


def explained(
    settings: Settings, where: LookedIn, symbol: str, direction: str | None, last: int
) -> Explanation:
    """The same, of what is at hand. Raises UnknownSymbol, UnknownDirection."""
    loaded, store, kept, names = where
    symbol = symbol_as(symbol)
    symbol_id = symbol_id_of(loaded, symbol)
    wanted = None if direction is None else direction_of(direction).direction_id
    rows = _of_symbol(kept.recent(), symbol, names)
    now_ns = store.clock.now_ns()  # after them: none is of the future
    board = SpreadBoard(settings, loaded.paired((symbol_id,)), store)
    standing = board.rows()
    if wanted is not None:
        rows = rows[rows["direction_id"] == wanted]
        standing = standing[standing["direction_id"] == wanted]
    now = with_depth(standing, board)
    told = [evaluation_of(row, now_ns) for row in rows[:last]]
    return Explanation(
        symbol,
        told[0].meaning if told else NONE_KEPT,
        told,
        now,
        [Standing(one.direction, meaning_of(one)) for one in sorted(now, key=_last_known)],
        [
            Quarantined(DIRECTIONS[row.direction_id].label, row.symbol, row.reason)
            for row in loaded.quarantine
            if row.symbol == symbol and wanted in (None, row.direction_id)
        ],
        [
            one
            for one in blocked.look(settings)
            if one.symbol == symbol and direction in (None, one.direction)
        ],
        funding.of_symbol(
            settings,
            loaded,
            symbol_id,
            None if direction is None else DIRECTION_BY_LABEL[direction].futures,
        ),
    )


def meaning_of(one: Spread) -> str:
    """How far a pair is from a signal as it stands now."""
    if one.net_bps is None:
        return "no quotes yet"
    missing = one.enter_bps - one.net_bps
    would = "" if one.usable else "would be "
    far = f"{would}over its threshold" if missing <= 0 else f"{missing:z.1f} bps short"
    if one.implausible:
        return f"{far} (implausible: not one coin at one time)"
    return far if one.usable else f"{far} (cannot be stood behind)"


def _last_known(one: Spread) -> float:
    """By what is left, the most first."""
    return math.inf if one.net_bps is None else -one.net_bps


def _of_symbol(rows: np.ndarray, symbol: str, names: NamesThen) -> np.ndarray:
    """Those of a coin, by the tables that each was decided with: its id may have been another's."""
    mine = np.zeros(len(rows), np.bool_)
    for generation in np.unique(rows["generation"]).tolist():
        ids = [number for number, name in names.of(generation).items() if name == symbol]
        mine |= (rows["generation"] == generation) & np.isin(rows["symbol_id"], ids)
    return rows[mine]


def symbol_id_of(loaded: tables.Tables, symbol: str) -> int:
    """The id of a symbol of the tables. Raises UnknownSymbol, which names its neighbours."""
    ids = loaded.symbol_ids()
    if symbol not in ids:
        raise UnknownSymbol(symbol, ids)
    return ids[symbol]


def implausible(kept: Evaluations, names: NamesThen, since_ns: int) -> list[Implausible]:
    """All pairs that the engine has found so from then on, on the session clock, by the tables that
    each was decided with."""
    rows = kept.recent(verdict=Verdict.IMPLAUSIBLE)
    rows = rows[rows["ts_engine"] >= since_ns]
    return [
        Implausible(
            DIRECTIONS[row["direction_id"]].label,
            names.of(int(row["generation"])).get(
                int(row["symbol_id"]), f"symbol {row['symbol_id']}"
            ),
            float(row["gross_bps"]),
            int(row["ts_engine"]),
        )
        for row in rows
    ]


def evaluation_of(row: np.void, now_ns: int) -> Evaluation:
    """A row of EVALUATION_DTYPE by names instead of numbers; `now_ns` on the session clock."""
    numbers: dict[str, Any] = {name: row[name].item() for name in row.dtype.names or ()}
    verdict = Verdict(numbers["verdict"])
    alone = [leg for leg, bit in _LEGS_ALONE.items() if numbers["flags"] & bit]
    numbers |= {name: known(numbers[name]) for name in _MAY_BE_UNKNOWN}
    return Evaluation(
        **{name: numbers[name] for name in Evaluation.__struct_fields__ if name in _SAME},
        direction=DIRECTIONS[numbers["direction_id"]].label,
        verdict=verdict.name.lower(),
        meaning=_why_implausible(numbers) if verdict == Verdict.IMPLAUSIBLE else MEANS[verdict],
        age_s=(now_ns - numbers["ts_engine"]) / NS_PER_S,
        spot_flags=_flags(numbers["spot_flags"]),
        fut_flags=_flags(numbers["fut_flags"]),
        alone=alone,
        notes=notes_of(numbers["flags"]),
    )


def _why_implausible(numbers: Mapping[str, Any]) -> str:
    if (numbers["spot_flags"] | numbers["fut_flags"]) & QuoteFlag.JUMPED:
        return JUMPED
    alone = numbers["flags"] & (EVALUATION_SPOT_ALONE | EVALUATION_FUT_ALONE)
    return ALONE if alone else MEANS[Verdict.IMPLAUSIBLE]


def _flags(bits: int) -> list[str]:
    return [flag.name.lower() for flag in QuoteFlag if flag and bits & flag and flag.name]
