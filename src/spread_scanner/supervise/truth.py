"""What the simulator says was really there: its truth file, as the score reads it.

Written by the simulator (docs/simulator.md, "What it writes"). A line that is not whole raises
ValueError: the file is complete once the simulator has ended.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import orjson

from spread_scanner.supervise.seen import DownTime

# Of what a pool was and what number it got: a provider is believed for five slots without one, a
# simulated fork takes back as many, and the second provider is one behind.
SLOTS_APART = 6
SHAKEN, STOOD = "shaken", "stood"  # the faults that are read here
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
    jumped: bool = False  # a leg was of another level than before: it excuses nothing and owes none


class SentQuote(NamedTuple):
    """One quote as it was sent, in base units; NaN: no such side."""

    bid_px: float
    bid_sz: float
    ask_px: float
    ask_sz: float


SentSide = list[tuple[float, float]]  # price and size in base units, the best first


class SentBook(NamedTuple):
    """A book as it was told; a side of 20 levels is cut off there. Of pools: how long the rate that
    it is by had been another one."""

    bids: SentSide
    asks: SentSide
    rate_age_ns: int = 0


class OrderRule(NamedTuple):
    """What both legs of a pair ask of a size: whole lots, in base units, and the least in quote
    currency; 0: they ask nothing."""

    lot: float
    spot_notional_least: float = 0.0
    futures_notional_least: float = 0.0


class SentLook(NamedTuple):
    """What leaving a pair earned at a whole second, give or take how late a look may be. Not
    `sure`: a look may have seen nothing."""

    mono_ns: int
    low_bps: float
    high_bps: float
    sure: bool


class SentRange(NamedTuple):
    """Between what leaving a pair earned."""

    low_bps: float
    high_bps: float


class History(NamedTuple):
    """What leaving a pair is said to have earned before the run, and earned in it; `before`: since
    the time around the second before, by the ns of a look."""

    exit_bps: float
    looks: list[SentLook]
    before: dict[int, SentRange]


class TruthFile(NamedTuple):
    """A truth file. Quotes, books and what pools asked are those around intervals, by source,
    symbol and update id; the rest is by symbol and direction."""

    intervals: list[Interval]
    quotes: dict[tuple[str, str, int], SentQuote]
    rules: dict[tuple[str, str], OrderRule]
    histories: Mapping[tuple[str, str], History] = MappingProxyType({})
    books: Mapping[tuple[str, str, int], Sequence[SentBook]] = MappingProxyType({})
    asked: Mapping[tuple[str, str, int], Sequence[SentQuote]] = MappingProxyType({})
    shaken: Sequence[DownTime] = ()  # when what Solana's providers told was not to be relied on
    stood: Sequence[DownTime] = ()  # when the simulator itself told nobody anything

    def ladders(self, source: str, symbol: str, number: int) -> Iterator[SentBook]:
        """What a book of pools that has this number may have been: its number is the slot that its
        reader knew of when it began to make it, and what that is made of may be of others."""
        for slot in _slots_about(number):
            yield from self.books.get((source, symbol, slot), ())

    def are_shaken(self, mono_ns: int, late_ns: int) -> bool:
        """Whether what Solana's providers told was not to be relied on, then or so long before."""
        return any(
            one.start_ns <= mono_ns and (one.end_ns is None or mono_ns - late_ns <= one.end_ns)
            for one in self.shaken
        )

    def tops(self, source: str, symbol: str, number: int) -> Sequence[SentQuote]:
        """What a quote of this number may have been; of pools, whose numbers are slots of whoever
        was heard then, several."""
        key = source, symbol, number
        if key in self.quotes:
            return [self.quotes[key]]
        slots = _slots_about(number)
        return [one for slot in slots for one in self.asked.get((source, symbol, slot), ())]


def _slots_about(number: int) -> list[int]:
    """The nearest first."""
    apart = range(-SLOTS_APART, SLOTS_APART + 1)
    return [number + by for by in sorted(apart, key=abs)]


def read_truth(path: Path) -> TruthFile:
    """All of a truth file but its rows of exchanges' faults."""
    histories: dict[tuple[str, str], History] = {}
    books: dict[tuple[str, str, int], list[SentBook]] = {}
    asked: dict[tuple[str, str, int], list[SentQuote]] = {}
    away: dict[str, list[DownTime]] = {SHAKEN: [], STOOD: []}
    truth = TruthFile([], {}, {}, histories, books, asked, *away.values())
    pairs: list[History] = []  # in the order that looks go by
    newest: dict[tuple[str, str], int] = {}  # place of each pair's last interval
    for line in path.read_bytes().splitlines():
        row = orjson.loads(line)
        if row.get("fault") in away:
            times = row["start_mono_ns"], row["end_mono_ns"]
            away[row["fault"]].append(DownTime(row["process"], *times))
        elif "quote" in row:
            truth.quotes[row["source"], row["symbol"], int(row["quote"])] = _quote_of(row)
        elif "asked" in row:
            key = row["source"], row["symbol"], int(row["asked"])
            asked.setdefault(key, []).append(_quote_of(row))
        elif "book" in row:
            _take_book(row, books)
        elif "pairs" in row:
            _take_second(row, pairs)
        elif "usual" in row:
            pairs.append(History(float(row["usual"]["exit_bps"]), [], {}))
            histories[row["usual"]["symbol"], row["usual"]["direction"]] = pairs[-1]
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


def _take_second(row: dict[str, Any], pairs: Sequence[History]) -> None:
    """What leaving earned around a second, or between the one before and this."""
    if "before_mono_ns" in row:
        for number, low_bps, high_bps in row["pairs"]:
            pairs[number].before[int(row["before_mono_ns"])] = SentRange(low_bps, high_bps)
        return
    for number, low_bps, high_bps, sure in row["pairs"]:
        look = SentLook(int(row["look_mono_ns"]), low_bps, high_bps, bool(sure))
        pairs[number].looks.append(look)


def _take_book(row: dict[str, Any], books: dict[tuple[str, str, int], list[SentBook]]) -> None:
    """A snapshot by REST and a stream, or two streams, may have told two under one id."""
    bids, asks = ([(px, sz) for px, sz in row[side]] for side in ("bids", "asks"))
    told = books.setdefault((row["source"], row["symbol"], int(row["book"])), [])
    if (book := SentBook(bids, asks, row.get("rate_age_ns", 0))) not in told:
        told.append(book)


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
        jumped=bool(row["jumped"]),
    )


def _quote_of(row: dict[str, Any]) -> SentQuote:
    return SentQuote(
        *(NAN if row[name] is None else float(row[name]) for name in SentQuote._fields)
    )
