"""Every live signal worked out again from its two quotes, its generation of what is usual and the
settings, all as the log has them: the same to the last bit, or what is missing, or what differs.

By schema/costs.py, not by the loop: a second opinion on what that said.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from enum import IntEnum
from typing import Any, NamedTuple, Self

import numpy as np

from spread_scanner.clock import NS_PER_S
from spread_scanner.config import Settings
from spread_scanner.engine._lanes import Lanes
from spread_scanner.engine.plan import Plan
from spread_scanner.schema import costs
from spread_scanner.schema.enums import DIRECTIONS
from spread_scanner.schema.records import (
    QUOTE_DTYPE,
    SIGNAL_AGED,
    SIGNAL_BASIS_UNKNOWN,
    SIGNAL_DTYPE,
    SIGNAL_LEG_LOST,
    joined,
)
from spread_scanner.symbology.usual import Usual

LEG_FIELDS = ("bid_px", "bid_sz", "ask_px", "ask_sz", "ts_event", "ts_recv", "update_id")
DECIDED = SIGNAL_LEG_LOST | SIGNAL_AGED  # flags of the decision, which no number says
KEPT_NS = 60 * NS_PER_S  # a generation may be named for so long after the next one stands
SPOT_OF, FUT_OF = (
    np.array([leg.source_id for leg in legs], np.uint8)
    for legs in zip(*((one.spot, one.futures) for one in DIRECTIONS), strict=True)
)  # by direction


class SignalVerdict(IntEnum):
    """What became of working a signal out again."""

    SAME = 0  # to the last bit
    NO_QUOTE = 1  # one of its quotes is not in the log
    NO_GENERATION = 2  # what was usual then is not, or its tables or settings
    NO_PAIR = 3  # its pair is in no table of then
    OTHER = 4  # another number comes out


class Verdicts(NamedTuple):
    """By signal; and how often each field was another."""

    of_signal: np.ndarray
    fields: Counter[str]

    @classmethod
    def joined(cls, parts: Sequence["Verdicts"]) -> "Verdicts":
        arrays = [np.zeros(0, np.uint8), *(part.of_signal for part in parts)]
        return cls(np.concatenate(arrays), sum((part.fields for part in parts), Counter()))


class Planned(NamedTuple):
    """A plan, and where each pair stands in it: by direction and symbol, -1: nowhere."""

    plan: Plan
    places: np.ndarray

    @classmethod
    def of(cls, made: Plan, max_symbols: int) -> Self:
        places = np.full((len(DIRECTIONS), max_symbols), -1, np.int32)
        pairs = made.pairs["direction_id"], made.pairs["symbol_id"]
        places[pairs] = np.arange(len(made.pairs))
        return cls(made, places)


class _InForce(NamedTuple):
    """A generation, by the pairs of its plan."""

    since_ns: int
    number: int
    planned: Planned
    told: Usual
    close_bps: np.ndarray  # NaN: not trusted


class Recomputing:
    """Of one store's signals. `resolve` looks at the ticks that were played last."""

    def __init__(self) -> None:
        self._waiting: list[np.ndarray] = []
        self._found: list[np.ndarray] = []
        self._of: list[np.ndarray] = []
        self._fields: Counter[str] = Counter()
        self._generations: list[_InForce] = []

    @property
    def signals(self) -> np.ndarray:
        return joined(self._found, SIGNAL_DTYPE)

    @property
    def verdicts(self) -> Verdicts:
        return Verdicts(np.concatenate([np.zeros(0, np.uint8), *self._of]), self._fields)

    def hear(self, signals: np.ndarray) -> None:
        self._waiting.append(signals)

    def adopt(self, since_ns: int, planned: Planned, told: Usual, settings: Settings) -> None:
        """A generation is in force from then on."""
        trusted = told.weight >= settings.config.spread_engine.basis_trust_s
        assumed = costs.close_bps(
            told.exit_bps,
            told.parity_bps,
            np.nan,
            trusted=trusted,
            at_parity=planned.plan.pairs["at_parity"] != 0,
            credited=np.nan if told.credited_bps is None else told.credited_bps,
        )
        close_bps = np.where(trusted, assumed, np.nan)
        number = told.generation & 0xFFFFFFFF
        self._generations.append(_InForce(since_ns, number, planned, told, close_bps))

    def resolve(self, lanes: Lanes, until_ns: int) -> None:
        """Judge what was signalled before that."""
        waiting = joined(self._waiting, SIGNAL_DTYPE)
        due = waiting["ts_engine"] < until_ns
        self._waiting = [waiting[~due]]
        if due.any():
            self._found.append(waiting[due])
            self._of.append(self._judged(waiting[due], lanes))
        while len(self._generations) > 1 and self._generations[1].since_ns < until_ns - KEPT_NS:
            self._generations.pop(0)

    def _judged(self, signals: np.ndarray, lanes: Lanes) -> np.ndarray:
        of = np.full(len(signals), SignalVerdict.NO_GENERATION, np.uint8)
        directions, symbols = signals["direction_id"], signals["symbol_id"]
        known = directions < len(DIRECTIONS)
        known &= symbols < lanes.symbols
        of[~known] = SignalVerdict.NO_PAIR
        rows = np.flatnonzero(known)
        there = np.ones(len(rows), bool)
        quotes = []
        for leg, sources in (("spot", SPOT_OF), ("fut", FUT_OF)):
            like = np.zeros(len(rows), QUOTE_DTYPE)
            for name in LEG_FIELDS:
                like[name] = signals[f"{leg}_{name}"][rows]
            found, found_there = lanes.quotes(sources[directions[rows]], symbols[rows], like)
            quotes.append(found)
            there &= found_there
        of[rows[~there]] = SignalVerdict.NO_QUOTE
        rows, quotes = rows[there], [one[there] for one in quotes]
        for in_force, some in self._in_force(signals[rows]):
            of[rows[some]] = self._of_generation(
                signals[rows[some]], quotes[0][some], quotes[1][some], in_force
            )
        return of

    def _in_force(self, signals: np.ndarray) -> Iterator[tuple[_InForce, np.ndarray]]:
        """Who names it: of several of one number the last before the signal, or the first."""
        left = np.ones(len(signals), bool)
        for place in reversed(range(len(self._generations))):
            one = self._generations[place]
            named = left & (signals["usual_generation"] == one.number)
            named &= signals["generation"] == one.planned.plan.generation & 0xFFFFFFFF
            first = not any(
                other.number == one.number
                and other.planned.plan.generation == one.planned.plan.generation
                for other in self._generations[:place]
            )
            if not first:
                named &= signals["ts_engine"] >= one.since_ns
            if named.any():
                left &= ~named
                yield one, np.flatnonzero(named)

    def _of_generation(
        self, signals: np.ndarray, spot: np.ndarray, fut: np.ndarray, in_force: _InForce
    ) -> np.ndarray:
        places = in_force.planned.places[signals["direction_id"], signals["symbol_id"]]
        of = np.full(len(signals), SignalVerdict.NO_PAIR, np.uint8)
        rows = np.flatnonzero(places >= 0)
        some = signals[rows]
        other = differing(some, recomputed(some, spot[rows], fut[rows], in_force, places[rows]))
        wrong = np.zeros(len(rows), bool)
        for name, differs in other.items():
            self._fields[name] += int(np.count_nonzero(differs))
            wrong |= differs
        of[rows] = np.where(wrong, SignalVerdict.OTHER, SignalVerdict.SAME)
        return of


def recomputed(
    signals: np.ndarray, spot: np.ndarray, fut: np.ndarray, in_force: _InForce, places: np.ndarray
) -> np.ndarray:
    """Signals as their quotes and what was in force make them; what was decided stays."""
    made, pairs = signals.copy(), in_force.planned.plan.pairs[places]
    told = in_force.told
    assert told.carry_bps is not None
    assert told.flags is not None
    spot_ask, fut_bid = spot["ask_px"], fut["bid_px"]
    with np.errstate(all="ignore"):
        entry = costs.entry_bps(spot_ask, fut_bid)
        leaving = costs.exit_bps(spot["bid_px"], spot_ask, fut["ask_px"])
        parity = costs.parity_bps(entry, leaving)
        assumed = in_force.close_bps[places]
        trusted = ~np.isnan(assumed)
        guessed = costs.close_bps(np.nan, np.nan, parity, trusted=False)
        close = np.where(trusted, assumed, guessed)
        carried = costs.carried_bps(told.carry_bps[places], spot_ask, fut_bid)
        base = costs.size_base(spot["ask_sz"], fut["bid_sz"], pairs["lot_base"])
        values: dict[str, Any] = {
            "gross_bps": entry,
            "exit_bps": leaving,
            "parity_bps": parity,
            "close_bps": close,
            "carry_bps": carried,
            "fees_bps": pairs["fees_bps"],
            "net_bps": costs.net_bps(entry, close, pairs["fees_bps"], carried),
            "size_base": base,
            "size_quote": costs.size_quote(base, spot_ask),
            "usual_bps": told.exit_bps[places],
            "spot_fee_bps": pairs["spot_fee_bps"],
            "ts_trigger": np.maximum(spot["ts_recv"], fut["ts_recv"]),
        }
    said = (told.flags[places] & 0x7F).astype(np.uint32)
    said |= np.where(trusted, 0, SIGNAL_BASIS_UNKNOWN).astype(np.uint32)
    values["flags"] = said | signals["flags"] & np.uint32(DECIDED)
    for name, value in values.items():
        made[name] = value
    return made


def differing(some: np.ndarray, others: np.ndarray) -> dict[str, np.ndarray]:
    """By field, where they are not the same; what is not a number is the same as such."""
    found = {}
    for name in SIGNAL_DTYPE.names or ():
        one, other = some[name], others[name]
        if name != "reserved":
            found[name] = ~((one == other) | ((one != one) & (other != other)))  # NaN
    return found
