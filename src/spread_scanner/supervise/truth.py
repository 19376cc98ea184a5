"""What the simulator says was really there: its truth file, as the score reads it.

Written by the simulator (docs/simulator.md, "What it writes"). A line that is not whole raises
ValueError: the file is complete once the simulator has ended.
"""

import math
from pathlib import Path
from typing import Any, NamedTuple

import orjson

UNTOLD = -1  # Interval.fell_ns: at its end, if the pair stood again later
NAN = math.nan


class Interval(NamedTuple):
    """A stretch in which a pair stood over its threshold; monotonic ns.

    Owed: by the margin that nobody is judged within. `near`: not by the margin below it, which
    excuses a signal and owes none.
    """

    symbol: str
    direction: str
    start_ns: int
    end_ns: int | None
    planted: bool
    peak_bps: float
    sure: bool = True  # both legs were being sent when it began
    # When it had left the exit threshold as well; None: it is not known to have.
    fell_ns: int | None = UNTOLD
    near: bool = False


class SentQuote(NamedTuple):
    """One quote as it was sent, in base units; NaN: no such side."""

    bid_px: float
    bid_sz: float
    ask_px: float
    ask_sz: float


class OrderRule(NamedTuple):
    """What both legs of a pair ask of a size: whole lots, in base units, and the least in quote
    currency; 0: they ask nothing."""

    lot: float
    spot_notional_least: float = 0.0
    futures_notional_least: float = 0.0


class TruthFile(NamedTuple):
    """A truth file. Quotes are those around intervals, by source, symbol and update id."""

    intervals: list[Interval]
    quotes: dict[tuple[str, str, int], SentQuote]
    rules: dict[tuple[str, str], OrderRule]  # by symbol and direction


def read_truth(path: Path) -> TruthFile:
    """All of a truth file but its rows of faults."""
    truth = TruthFile([], {}, {})
    newest: dict[tuple[str, str], int] = {}  # place of each pair's last interval
    for line in path.read_bytes().splitlines():
        row = orjson.loads(line)
        if "quote" in row:
            truth.quotes[row["source"], row["symbol"], int(row["quote"])] = _quote_of(row)
        elif "fell_mono_ns" in row:
            place = newest[row["symbol"], row["direction"]]
            fell_ns = int(row["fell_mono_ns"])
            truth.intervals[place] = truth.intervals[place]._replace(fell_ns=fell_ns)
        elif "band" in row:
            pair = row["symbol"], row["direction"]
            truth.rules[pair] = OrderRule(*(float(row[name]) for name in OrderRule._fields))
            if row["band"] == "near":  # written after what it holds
                newest[pair] = len(truth.intervals)
            truth.intervals.append(_interval_of(row))
    return truth


def _interval_of(row: dict[str, Any]) -> Interval:
    return Interval(
        row["symbol"],
        row["direction"],
        int(row["start_mono_ns"]),
        None if row["end_mono_ns"] is None else int(row["end_mono_ns"]),
        bool(row["planted"]),
        float(row["peak_bps"]),
        bool(row["sure"]),
        fell_ns=None,
        near=row["band"] == "near",
    )


def _quote_of(row: dict[str, Any]) -> SentQuote:
    return SentQuote(
        *(NAN if row[name] is None else float(row[name]) for name in SentQuote._fields)
    )
