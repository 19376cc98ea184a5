"""What the product did in a scored run: its signals, its opportunities, and who was away.

Made from the signal ring, the tracker's database, the supervisor's outages and what the kernel
counts; judged by score.py. All times are monotonic ns.
"""

import functools
import math
from typing import NamedTuple

import numpy as np

from spread_scanner.config.pools import StableRate
from spread_scanner.schema.enums import DIRECTION_BY_LABEL, DIRECTIONS, SOURCE_BY_LABEL, SignalKind
from spread_scanner.schema.names import ENGINE, EXCHANGE_SIM, TRACKER
from spread_scanner.schema.records import FOLLOW_UP_BOUNDED, decimal, signals_apart

NAN = math.nan
MACHINE = "the machine"  # whom a host gives its CPUs


class SeenSignal(NamedTuple):
    """One signal of the engine; sizes in base units and in quote currency."""

    symbol: str
    direction: str
    kind: SignalKind
    mono_ns: int
    net_bps: float
    spot_update_id: int = 0
    fut_update_id: int = 0
    size_base: float = NAN
    size_quote: float = NAN


class SeenRung(NamedTuple):
    """What was said of one size in the quote coin; NaN: the books do not carry it."""

    size_quote: float
    buy_px: float
    sell_px: float
    net_bps: float


class SeenFollowUp(NamedTuple):
    """What the engine said after a signal that both books carry."""

    symbol: str
    direction: str
    mono_ns: int
    spot_update_id: int
    fut_update_id: int
    enter_bps: float
    close_bps: float
    net_bps: float
    size_base: float
    size_quote: float
    bounded: bool
    rungs: list[SeenRung]


class TrackedLife(NamedTuple):
    """One opportunity of the tracker; None: still open."""

    symbol: str
    direction: str
    opened_ns: int
    closed_ns: int | None


class DownTime(NamedTuple):
    """Who could not do his part: a process, or a direction or symbol that was paused; None: has not
    come back."""

    who: str
    start_ns: int
    end_ns: int | None

    def concerns(self, symbol: str, direction: str, *, tracked: bool = False) -> bool:
        """Whether a pair's signals depend on him, or with `tracked` its opportunities."""
        return self.who in needed_by(symbol, direction, tracked=tracked)


class CpuWait(NamedTuple):
    """How long a process that could have gone on was given no CPU between two looks."""

    who: str
    start_ns: int
    end_ns: int
    waited_ns: int


@functools.cache
def needed_by(symbol: str, direction: str, *, tracked: bool = False) -> frozenset[str]:
    """Whom a pair's signals depend on, or with `tracked` its opportunities. A simulated run has the
    rate of USDC from where the settings as shipped do."""
    legs = DIRECTION_BY_LABEL[direction]
    rate = {SOURCE_BY_LABEL[StableRate().source].process} if legs.spot.exchange.by_pools else set()
    needed = {legs.spot.process, legs.futures.process, ENGINE, direction, symbol}
    return frozenset(needed | rate | {EXCHANGE_SIM, MACHINE} | ({TRACKER} if tracked else set()))


def seen_of(records: np.ndarray, symbols: dict[int, str]) -> list[SeenSignal]:
    """The engine's records as SeenSignal, in order, without what followed on them."""
    return [
        SeenSignal(
            *_pair_of(record, symbols),
            SignalKind(int(record["kind"])),
            int(record["mono_ns"]),
            float(record["net_bps"]),
            int(record["spot_update_id"]),
            int(record["fut_update_id"]),
            float(record["size_base"]),
            float(record["size_quote"]),
        )
        for record in signals_apart(records)[0]
    ]


def follow_ups_of(records: np.ndarray, symbols: dict[int, str]) -> list[SeenFollowUp]:
    """What followed on them, in order."""
    return [
        SeenFollowUp(
            *_pair_of(record, symbols),
            int(record["mono_ns"]),
            int(record["spot_update_id"]),
            int(record["fut_update_id"]),
            float(record["enter_bps"]),
            float(record["close_bps"]),
            float(record["net_bps"]),
            float(record["size_base"]),
            float(record["size_quote"]),
            bool(record["flags"] & FOLLOW_UP_BOUNDED),
            [
                SeenRung(decimal(rung["size_quote"]), *(float(one) for one in rung.tolist()[1:]))
                for rung in record["rungs"]
                if not math.isnan(rung["size_quote"])
            ],
        )
        for record in signals_apart(records)[1]
    ]


def _pair_of(record: np.void, symbols: dict[int, str]) -> tuple[str, str]:
    symbol_id = int(record["symbol_id"])
    return symbols.get(symbol_id, f"#{symbol_id}"), DIRECTIONS[int(record["direction_id"])].label
