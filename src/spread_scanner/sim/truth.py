"""What was really sent: last quotes per listing, and every interval over the threshold.

The simulator's loop calls `sent` for each quote that it wrote to at least one connection; pairs
are evaluated by the truth's own arithmetic (reckoning.py). Within MARGIN_BPS of a threshold nobody
is judged, so that there are two kinds of intervals: a pair that stands the margin above its
threshold, by tops of which something can be ordered, is owed a signal, and one that is not the
margin below it, `near`, excuses one. While a pair is near, each quote of its legs is written, with
the last ones before, for whoever judges sizes. A leg that died is believed for a while and then
unknown (belief.py): an interval that began on one is not `sure`, it excuses a signal and owes none.
Where what is usual is learned in the run (learning.py), a threshold lies between two: a signal is
owed by the higher and excused by the lower. One that falls makes no signal before the next quote.
An interval that is still open at the end is written with end null. Read by tests, chaos runs and
`spread-ctl up --sim`.
"""

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TextIO

import orjson

from spread_scanner.clock import NS_PER_S
from spread_scanner.schema.enums import Direction
from spread_scanner.sim.learning import Learned, Learning
from spread_scanner.sim.legs import NAN, BookRows, Leg, Pair
from spread_scanner.sim.looks import Looks
from spread_scanner.sim.reckoning import BPS, gross_bps, suffices, usual_of
from spread_scanner.sim.rows import Side, book_row, fallen, quote_row, sent_row
from spread_scanner.sim.tick import Tick
from spread_scanner.sim.universe import Listing

MARGIN_BPS = 1.0  # so near a threshold nobody is judged
HYSTERESIS_BPS = 5.0  # the exit threshold lies this far below the enter threshold
FELL_NS = NS_PER_S  # below it for so long: whoever reads it must have seen that
GUARD_BPS = 1e-6  # the cheap test may err by this much; the exact one follows it


class Truth:
    """Evaluates pairs as quotes go out; rows wait for the time of the write that sent them."""

    def __init__(
        self,
        listings: Iterable[Listing],
        pairs: Iterable[tuple[Direction, Listing, Listing]],
        thresholds: Mapping[str, float],
        path: Path | None,
    ) -> None:
        self.legs = {listing: Leg(listing) for listing in listings}
        self.pairs: list[Pair] = []
        for direction, spot, futures in pairs:
            legs = self.legs[spot], self.legs[futures]
            usual = usual_of(spot, futures)
            pair = Pair(direction, spot.symbol, *legs, thresholds[direction.label], usual)
            _set_guard(pair)
            self.pairs.append(pair)
            for leg in legs:
                leg.pairs.append(pair)
        self.intervals = 0
        self.open = 0
        self._path = path
        self._file: TextIO | None = None
        self._opened: list[dict[str, Any]] = []
        self._closed: list[dict[str, Any]] = []
        self._below: set[Pair] = set()  # judged so since the last stamp
        self._looks: Looks | None = None
        self.learning: Learning | None = None
        if path is not None:
            self._file = path.open("w", encoding="utf-8")
            for row in self.usual_rows():
                self.write({"usual": row})
            self._looks = Looks(self.legs.values(), self.pairs, self.write, self._passed)

    # --- what is usual

    def learn(self, learning: Learning) -> None:
        """From now on whoever signals learns it, beginning with the history."""
        if self._looks is not None and learning.moves:
            self.learning = learning
            self._looks.learn()
            for pair in self.pairs:
                pair.learned = Learned(learning, pair.usual)

    def begin(self) -> None:
        """Whoever learns misses no second from now on."""
        if self.learning is not None:
            self.learning.watched = True

    @property
    def rests(self) -> bool:
        """Whether a look may be made just now that is learned from: no quote changes meanwhile."""
        return self._looks is not None and self._looks.learning and self._looks.watching

    def _passed(self) -> None:
        """Another second is part of it: the thresholds are others."""
        for pair in self.pairs:
            if pair.learned is None:
                continue
            close = pair.learned.close
            pair.threshold, pair.least = pair.enter - close.low, pair.enter - close.high
            _set_guard(pair)
            spot_ask = pair.spot.ask
            if pair.watched or pair.futures.bid - spot_ask >= pair.guard * spot_ask:
                self._judge(pair, quoted=False)

    # --- what the loop and the delivery tell

    def advance(self, mono_ns: int) -> None:
        """Before anything else is sent."""
        if self._looks is not None:
            self._looks.advance(mono_ns)

    def sent(self, leg: Leg, tick: Tick, bid: float, ask: float) -> None:
        """A quote went out, prices per base unit; `stamp` follows with the time."""
        leg.heard = leg.sure = True
        if not leg.low < bid < leg.high and leg.weigh(bid, ask):
            self._leapt(leg)
        if self._looks is not None:
            self._looks.sent(leg, bid, ask)
        leg.bid = bid
        leg.ask = ask
        self.resized(leg, tick)
        if leg.buys:
            for pair in leg.pairs:
                if pair.watched or pair.futures.bid - ask >= pair.guard * ask:
                    self._judge(pair)
        else:
            for pair in leg.pairs:
                spot_ask = pair.spot.ask
                if pair.watched or bid - spot_ask >= pair.guard * spot_ask:
                    self._judge(pair)

    def resized(self, leg: Leg, tick: Tick) -> None:
        """A quote went out; alone it says that its prices are those of the one before."""
        leg.tick = tick
        leg.count += 1
        leg.past.append(tick)
        if leg.standing:
            self._write_quotes(leg)
            for pair in leg.pairs:
                if pair.near is not None:
                    self._judge(pair)

    def may_have_asked(self, leg: Leg, ticks: Iterable[Tick]) -> None:
        """What a reader of several pools may rest a signal on besides what they ask together."""
        if self._file is not None:
            leg.past.extend(ticks)
            if leg.standing:
                self._write_quotes(leg)

    def showed(self, listing: Listing, update_id: int, bids: Side, asks: Side) -> None:
        """Somebody was told a book: what it carried is judged by this."""
        row = book_row(listing, update_id, bids, asks)
        self.may_have_shown(listing, lambda: [row])

    def may_have_shown(self, listing: Listing, rows: BookRows) -> None:
        """The same of a book that somebody may have been told, as one of these: they are made where
        a pair of it pays."""
        if self._file is not None:
            leg = self.legs[listing]
            leg.books.append(rows)
            if any(pair.watched for pair in leg.pairs):
                self._write_books(leg)

    def _leapt(self, leg: Leg) -> None:
        """It left its level, or is back: what stood before is another interval."""
        for pair in leg.pairs:
            self._stand(pair, NAN)
            self._left(pair)

    def unheard(self, leg: Leg) -> None:
        """The last listener has gone: whoever comes next knows nothing before the next quote."""
        leg.heard = False
        for pair in leg.pairs:
            self._stand(pair, NAN)
            self._left(pair)

    def reheard(self, leg: Leg) -> None:
        """The listeners live again and the market has not moved: what they were told stands."""
        leg.heard = leg.tick is not None
        for pair in leg.pairs:
            self._judge(pair)

    # --- pairs

    def _judge(self, pair: Pair, *, quoted: bool = True) -> None:
        heard = pair.spot.heard and pair.futures.heard
        gross = gross_bps(pair.spot.ask, pair.futures.bid) if heard else NAN
        self._stand(pair, gross, quoted=quoted)
        if pair.leaving:
            if gross < pair.least - HYSTERESIS_BPS - MARGIN_BPS:
                self._below.add(pair)
            else:
                pair.fell_ns = None
                self._below.discard(pair)

    def _stand(self, pair: Pair, gross: float, *, quoted: bool = True) -> None:
        """Begin and end the intervals of a pair that stands so now; NaN: nobody knows. Nothing is
        owed before it is `quoted`."""
        if pair.near is None and gross >= pair.least - MARGIN_BPS:
            self._begin_near(pair, gross)
        owed = gross >= _highest(pair, gross) + MARGIN_BPS and _suffices(pair)
        if pair.row is None and owed and quoted:
            pair.row = self._begun(pair, gross, "owed")
            self.intervals += 1
            self.open += 1
        elif pair.row is not None and not owed:
            self._ended(pair, pair.row)
            pair.row = None
            self.open -= 1
        if pair.near is not None and not gross >= pair.least - MARGIN_BPS:
            self._end_near(pair, pair.near)
        for row in (pair.row, pair.near):
            if row is not None and gross > row["peak_bps"]:
                row["peak_bps"] = gross

    def _begin_near(self, pair: Pair, gross: float) -> None:
        self._left(pair)
        pair.near = self._begun(pair, gross, "near")
        pair.watched = True
        for leg in (pair.spot, pair.futures):
            leg.standing += 1
            self._write_quotes(leg)
            self._write_books(leg)

    def _end_near(self, pair: Pair, row: dict[str, Any]) -> None:
        self._ended(pair, row)
        pair.near = None
        pair.leaving, pair.fell_ns = True, None
        pair.spot.standing -= 1
        pair.futures.standing -= 1

    def _left(self, pair: Pair) -> None:
        """It is no matter any more when it fell: it did, stands again, or is unknown."""
        pair.leaving, pair.fell_ns, pair.watched = False, None, pair.near is not None
        self._below.discard(pair)

    def _begun(self, pair: Pair, gross: float, band: str) -> dict[str, Any]:
        spot, futures = pair.spot, pair.futures
        row = {
            "symbol": pair.symbol,
            "direction": pair.direction.label,
            "band": band,
            "start_ns": 0,
            "end_ns": None,
            "start_mono_ns": 0,
            "end_mono_ns": None,
            "peak_bps": gross,
            "threshold_bps": pair.threshold,
            "enter_bps": pair.enter,
            "planted": spot.listing.offset != 0.0 or futures.listing.offset != 0.0,
            "sure": spot.sure and futures.sure,
            "jumped": spot.jumped or futures.jumped,
            "lot": pair.lot,
            "spot_notional_least": spot.listing.notional_least,
            "futures_notional_least": futures.listing.notional_least,
            "spot_update_id_first": spot.tick.update_id if spot.tick else 0,
            "futures_update_id_first": futures.tick.update_id if futures.tick else 0,
        }
        self._opened.append(row)
        return row

    def _ended(self, pair: Pair, row: dict[str, Any]) -> None:
        row["spot_update_id_last"] = pair.spot.tick.update_id if pair.spot.tick else 0
        row["futures_update_id_last"] = pair.futures.tick.update_id if pair.futures.tick else 0
        self._closed.append(row)

    def stamp(self, wall_ns: int, mono_ns: int) -> None:
        """Everything told since the last call goes out now."""
        for row in self._opened:
            row["start_ns"], row["start_mono_ns"] = wall_ns, mono_ns
        self._opened.clear()
        for row in self._closed:
            row["end_ns"], row["end_mono_ns"] = wall_ns, mono_ns
            self.write(row)
        self._closed.clear()
        for pair in list(self._below):
            if pair.fell_ns is None:
                pair.fell_ns = mono_ns
            elif mono_ns - pair.fell_ns >= FELL_NS:
                self.write(fallen(pair))
                self._left(pair)
        self._below.clear()

    @property
    def waiting(self) -> bool:
        return bool(self._opened or self._closed or self._below)

    # --- the file

    def write(self, row: Mapping[str, Any]) -> None:
        """One line of the truth file; fault rows come through here too."""
        if self._file is not None:
            self._file.write(orjson.dumps(row).decode() + "\n")

    def _write_quotes(self, leg: Leg) -> None:
        """The quotes of a leg that pays, each once."""
        if self._file is not None:
            for tick in leg.past:
                self.write(quote_row(leg, tick))
        leg.past.clear()

    def _write_books(self, leg: Leg) -> None:
        for rows in leg.books:
            for row in rows():
                self.write(row)
        leg.books.clear()

    def flush(self) -> None:
        if self._file is not None:
            self._file.flush()

    def close(self) -> None:
        """Open intervals are written with end null."""
        if self._looks is not None:
            self._looks.close()
            self._looks = None
        for pair in self.pairs:
            for row in (pair.row, pair.near):
                if row is not None:
                    self.write(row)  # without last ids: it goes on
            pair.row = pair.near = None
        if self._file is not None:
            self._file.close()
            self._file = None

    def usual_rows(self) -> list[dict[str, Any]]:
        """What each pair's history is to say before the first quote."""
        return [
            {
                "direction": pair.direction.label,
                "symbol": pair.symbol,
                "spot": pair.spot.listing.exchange_symbol,
                "futures": pair.futures.listing.exchange_symbol,
                **pair.usual._asdict(),
            }
            for pair in self.pairs
        ]

    def sent_rows(self) -> list[dict[str, Any]]:
        """What was last sent for every listing, in the exchange's and in base units."""
        return [sent_row(leg, leg.tick) for leg in self.legs.values() if leg.tick is not None]


def _set_guard(pair: Pair) -> None:
    pair.guard = (pair.least - MARGIN_BPS - GUARD_BPS) / BPS


def _highest(pair: Pair, gross: float) -> float:
    """What the threshold is at most, of a pair that stands so: this may be part of what is usual
    before the second is over."""
    if pair.learned is None:
        return pair.threshold
    if not pair.learned.trusted:
        return math.inf
    peak = gross if pair.near is None else max(gross, pair.near["peak_bps"])
    return pair.enter - pair.learned.close_after(peak)


def _suffices(pair: Pair) -> bool:
    """Whether both tops hold what may be ordered on both legs, now and when it is left."""
    spot, futures = pair.spot, pair.futures
    top = min(spot.top(buys=True), futures.top(buys=False))
    orders = [(min(leg.bid, leg.ask), leg.listing.notional_least) for leg in (spot, futures)]
    return suffices(top, pair.lot, orders)
