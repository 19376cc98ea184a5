"""Every live signal worked out again from its two quotes, its generation of what is usual and the
settings, all as the log has them: the same to the last bit, or what is missing, or what differs.

By schema/costs.py, not by the loop: a second opinion on what that said.
"""

from collections import Counter
from collections.abc import Sequence
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np

from spread_scanner.config import Settings
from spread_scanner.engine import plan
from spread_scanner.engine.plan import Plan
from spread_scanner.replay.private import told_of
from spread_scanner.schema import costs
from spread_scanner.schema.enums import DIRECTIONS
from spread_scanner.schema.records import (
    SIGNAL_AGED,
    SIGNAL_BASIS_UNKNOWN,
    SIGNAL_DTYPE,
    SIGNAL_LEG_LOST,
)
from spread_scanner.symbology.tables import Tables
from spread_scanner.symbology.usual import Usual

LEG_FIELDS = ("bid_px", "bid_sz", "ask_px", "ask_sz", "ts_event", "ts_recv", "update_id")
DECIDED = SIGNAL_LEG_LOST | SIGNAL_AGED  # flags of the decision, which no number says
BATCHES = 2  # in which a signal's quotes are looked for; before them each symbol's last


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


class _InForce(NamedTuple):
    """A generation, by the pairs of its plan."""

    since_ns: int
    plan: Plan
    places: dict[tuple[int, int], int]
    told: Usual
    close_bps: np.ndarray  # NaN: not trusted


class Recomputing:
    """Of one store's signals. `resolve` looks at the ticks that were merged last."""

    def __init__(self, cells: np.ndarray) -> None:
        self._before = cells  # by source and symbol, the last quote before the batches
        self._batches: list[list[tuple[np.ndarray, np.ndarray]]] = []
        self._waiting: list[np.ndarray] = []
        self._found: list[np.ndarray] = []
        self._of: list[int] = []
        self._fields: Counter[str] = Counter()
        self._generations: dict[int, list[_InForce]] = {}
        self._plans: dict[tuple[int, int], tuple[Plan, dict[tuple[int, int], int]]] = {}

    @property
    def signals(self) -> np.ndarray:
        return np.concatenate([np.zeros(0, SIGNAL_DTYPE), *self._found])

    @property
    def verdicts(self) -> Verdicts:
        return Verdicts(np.array(self._of, np.uint8), self._fields)

    def hear(self, signals: np.ndarray) -> None:
        self._waiting.append(signals)

    def adopt(self, found: Usual, settings: Settings, tables: Tables) -> None:
        """A generation is in force from now on."""
        max_symbols = settings.config.system.max_symbols
        made = self._plans.get(found.origin[1:3])
        if made is None:
            planned = plan.plan(settings, tables, max_symbols)
            ids = (planned.pairs[name].tolist() for name in ("direction_id", "symbol_id"))
            made = planned, {pair: place for place, pair in enumerate(zip(*ids, strict=True))}
            self._plans[found.origin[1:3]] = made
        told, _, _ = told_of(made[0], found)
        trust_s = settings.config.spread_engine.basis_trust_s
        assumed = costs.close_bps(
            told.exit_bps,
            told.parity_bps,
            np.nan,
            trusted=told.weight >= trust_s,
            at_parity=made[0].pairs["at_parity"] != 0,
            credited=np.nan if told.credited_bps is None else told.credited_bps,
        )
        close_bps = np.where(told.weight >= trust_s, assumed, np.nan)
        known = _InForce(found.origin.ts, *made, told, close_bps)
        self._generations.setdefault(found.generation & 0xFFFFFFFF, []).append(known)

    def resolve(
        self, lanes: list[tuple[np.ndarray, np.ndarray]], cells: np.ndarray, until_ns: int
    ) -> None:
        """Judge what was signalled before that; `cells`: the last quote of each symbol behind all
        lanes."""
        self._batches.append(lanes)
        waiting = np.concatenate([np.zeros(0, SIGNAL_DTYPE), *self._waiting])
        due = waiting["ts_engine"] < until_ns
        self._waiting = [waiting[~due]]
        self._found.append(waiting[due])
        for signal in waiting[due]:
            self._of.append(self._judge(signal))
        while len(self._batches) > BATCHES:
            for source_id, (ticks, _) in enumerate(self._batches.pop(0)):
                self._before[source_id][ticks["symbol_id"]] = ticks["quote"]

    def _judge(self, signal: np.void) -> SignalVerdict:
        direction = DIRECTIONS[int(signal["direction_id"])]
        spot = self._quote(signal, "spot", direction.spot.source_id)
        fut = self._quote(signal, "fut", direction.futures.source_id)
        if spot is None or fut is None:
            return SignalVerdict.NO_QUOTE
        known = [
            one
            for one in self._generations.get(int(signal["usual_generation"]), ())
            if one.plan.generation & 0xFFFFFFFF == signal["generation"]
        ]
        if not known:
            return SignalVerdict.NO_GENERATION
        before = [one for one in known if one.since_ns <= signal["ts_engine"]]
        in_force = before[-1] if before else known[0]
        place = in_force.places.get((int(signal["direction_id"]), int(signal["symbol_id"])))
        if place is None:
            return SignalVerdict.NO_PAIR
        other = differing(signal, recomputed(signal, spot, fut, in_force, place))
        self._fields.update(other)
        return SignalVerdict.OTHER if other else SignalVerdict.SAME

    def _quote(self, signal: np.void, leg: str, source_id: int) -> np.void | None:
        """The quote that the engine read, by its times and number."""
        symbol_id, ts_recv = int(signal["symbol_id"]), int(signal[f"{leg}_ts_recv"])
        found: list[np.void] = []
        for lanes in reversed(self._batches):
            ticks, at_ns = lanes[source_id]
            begin = int(np.searchsorted(at_ns, ts_recv))
            some = ticks[begin : int(np.searchsorted(at_ns, int(signal["ts_engine"]), "right")) + 1]
            quotes = some["quote"][some["symbol_id"] == symbol_id]
            found += list(quotes[quotes["ts_recv"] == ts_recv])
        found.append(self._before[source_id, symbol_id])
        for quote in found:
            if all(_equal(quote[name], signal[f"{leg}_{name}"]) for name in LEG_FIELDS):
                return quote
        return None


def recomputed(signal: np.void, spot: np.void, fut: np.void, in_force: _InForce, place: int) -> Any:
    """The signal as its quotes and what was in force make it; what was decided stays."""
    made, pair = np.array([signal], SIGNAL_DTYPE)[0], in_force.plan.pairs[place]
    for leg, quote in (("spot", spot), ("fut", fut)):
        for name in LEG_FIELDS:
            made[f"{leg}_{name}"] = quote[name]
    spot_ask, fut_bid = np.float64(spot["ask_px"]), np.float64(fut["bid_px"])
    with np.errstate(all="ignore"):
        entry = costs.entry_bps(spot_ask, fut_bid)
        leaving = costs.exit_bps(np.float64(spot["bid_px"]), spot_ask, np.float64(fut["ask_px"]))
        parity = costs.parity_bps(entry, leaving)
        trusted = not np.isnan(in_force.close_bps[place])
        guessed = costs.close_bps(np.nan, np.nan, parity, trusted=False)
        close = float(in_force.close_bps[place] if trusted else guessed)
        carry = in_force.told.carry_bps
        assert carry is not None
        carried = costs.carried_bps(float(carry[place]), spot_ask, fut_bid)
        base = costs.size_base(spot["ask_sz"], fut["bid_sz"], pair["lot_base"])
        fees = float(pair["fees_bps"])
        values: dict[str, Any] = {
            "gross_bps": entry,
            "exit_bps": leaving,
            "parity_bps": parity,
            "close_bps": close,
            "carry_bps": carried,
            "fees_bps": fees,
            "net_bps": costs.net_bps(entry, close, fees, carried),
            "size_base": base,
            "size_quote": costs.size_quote(float(base), spot_ask),
        }
    flags = in_force.told.flags
    assert flags is not None
    values["usual_bps"] = in_force.told.exit_bps[place]
    values["spot_fee_bps"] = pair["spot_fee_bps"]
    values["ts_trigger"] = max(int(spot["ts_recv"]), int(fut["ts_recv"]))
    said = int(flags[place]) & 0x7F | (0 if trusted else SIGNAL_BASIS_UNKNOWN)
    values["flags"] = said | int(signal["flags"]) & DECIDED
    for name, value in values.items():
        made[name] = value
    return made


def differing(one: np.void, other: np.void) -> list[str]:
    """The fields in which they are not the same; what is not a number is the same as such."""
    names = SIGNAL_DTYPE.names or ()
    return [name for name in names if name != "reserved" and not _equal(one[name], other[name])]


def _equal(one: Any, other: Any) -> bool:
    return bool(one == other or (one != one and other != other))  # NaN
