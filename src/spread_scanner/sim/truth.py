"""What was really sent: last quotes per listing, and every interval over the threshold.

The simulator's loop calls `sent` for each quote that it wrote to at least one connection; pairs
are evaluated with schema's one definition of a spread. A leg that died is believed for a while and
then unknown (belief.py): an interval that began on one is not `sure`, it excuses a signal and owes
none. An interval that is still open at the end is written with end null. Read by tests, chaos runs
and `spread-ctl up --sim`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import orjson

from spread_scanner.clock import NS_PER_S
from spread_scanner.schema.costs import BPS, entry_bps
from spread_scanner.schema.enums import Direction, Market
from spread_scanner.sim.tick import Tick
from spread_scanner.sim.universe import Listing, Universe
from spread_scanner.sim.wire import Encoder

if TYPE_CHECKING:
    from spread_scanner.sim.server import Connection

NAN = float("nan")
HYSTERESIS_BPS = 5.0  # the exit threshold lies this far below the enter threshold
FELL_NS = NS_PER_S  # below it for so long: whoever reads it must have seen that
GUARD_BPS = 1e-6  # the cheap test may err by this much; the exact one follows it


class Leg:
    """What the subscribers were last told about one listing."""

    __slots__ = (
        "ask",
        "bid",
        "buys",
        "count",
        "forms",
        "heard",
        "listing",
        "pairs",
        "sure",
        "tick",
    )

    def __init__(self, listing: Listing) -> None:
        self.listing = listing
        self.bid = NAN  # per base unit
        self.ask = NAN
        self.tick: Tick | None = None
        self.heard = False  # whether those who listen now have been told
        self.sure = True  # told since it last died
        self.buys = listing.source.market == Market.SPOT
        self.count = 0
        self.pairs: list[Pair] = []
        # Who listens, by form of the channel: the encoder and the connections.
        self.forms: dict[str, tuple[Encoder, list[Connection]]] = {}

    def connections(self) -> "list[Connection]":
        """Who carries it, in whatever form."""
        return [one for _, connections in self.forms.values() for one in connections]


class Pair:
    """One direction of one coin; `row` is the interval it stands in, if any. After it the pair is
    `leaving` until it has been below the exit threshold for FELL_NS, since `fell_ns`."""

    __slots__ = (
        "direction",
        "fell_ns",
        "futures",
        "guard",
        "leaving",
        "peak",
        "row",
        "spot",
        "symbol",
        "threshold",
        "watched",
    )

    def __init__(
        self, direction: Direction, symbol: str, spot: Leg, futures: Leg, threshold: float
    ) -> None:
        self.direction = direction
        self.symbol = symbol
        self.spot = spot
        self.futures = futures
        self.threshold = threshold
        self.guard = (threshold - GUARD_BPS) / BPS
        self.row: dict[str, Any] | None = None
        self.peak = NAN
        self.leaving = False
        self.fell_ns: int | None = None  # monotonic
        self.watched = False  # in an interval, or leaving one


class Truth:
    """Evaluates pairs as quotes go out; rows wait for the time of the write that sent them."""

    def __init__(
        self, universe: Universe, thresholds: Mapping[str, float], path: Path | None
    ) -> None:
        self.legs = {listing: Leg(listing) for listing in universe.listings}
        self.pairs: list[Pair] = []
        for direction, spot, futures in universe.pairs():
            pair = Pair(
                direction,
                spot.symbol,
                self.legs[spot],
                self.legs[futures],
                thresholds[direction.label],
            )
            self.pairs.append(pair)
            pair.spot.pairs.append(pair)
            pair.futures.pairs.append(pair)
        self.intervals = 0
        self.open = 0
        self._path = path
        self._file: TextIO | None = None
        self._opened: list[dict[str, Any]] = []
        self._closed: list[dict[str, Any]] = []
        self._below: set[Pair] = set()  # judged so since the last stamp
        if path is not None:
            self._file = path.open("w", encoding="utf-8")

    def sent(self, leg: Leg, tick: Tick, bid: float, ask: float) -> None:
        """A quote went out, prices per base unit; `stamp` follows with the time."""
        leg.tick = tick
        leg.heard = leg.sure = True
        leg.count += 1
        leg.bid = bid
        leg.ask = ask
        if leg.buys:
            for pair in leg.pairs:
                if pair.watched or pair.futures.bid - ask >= pair.guard * ask:
                    self._judge(pair)
        else:
            for pair in leg.pairs:
                spot_ask = pair.spot.ask
                if pair.watched or bid - spot_ask >= pair.guard * spot_ask:
                    self._judge(pair)

    def unheard(self, leg: Leg) -> None:
        """The last listener has gone: whoever comes next knows nothing before the next quote."""
        leg.heard = False
        for pair in leg.pairs:
            if pair.row is not None:
                self._finish(pair)
            self._left(pair)

    def reheard(self, leg: Leg) -> None:
        """The listeners live again and the market has not moved: what they were told stands."""
        leg.heard = leg.tick is not None
        for pair in leg.pairs:
            self._judge(pair)

    def _judge(self, pair: Pair) -> None:
        heard = pair.spot.heard and pair.futures.heard
        gross = entry_bps(pair.spot.ask, pair.futures.bid) if heard else NAN
        if gross >= pair.threshold:
            if pair.row is None:
                self._begin(pair, gross)
            elif gross > pair.peak:
                pair.peak = gross
        elif pair.row is not None:
            self._finish(pair)
        if pair.leaving:
            if gross < pair.threshold - HYSTERESIS_BPS:
                self._below.add(pair)
            else:
                pair.fell_ns = None
                self._below.discard(pair)

    def _left(self, pair: Pair) -> None:
        """It is no matter any more when it fell: it did, stands again, or is unknown."""
        pair.leaving, pair.fell_ns, pair.watched = False, None, pair.row is not None
        self._below.discard(pair)

    def _begin(self, pair: Pair, gross: float) -> None:
        self._left(pair)
        spot, futures = pair.spot, pair.futures
        planted = spot.listing.offset != 0.0 or futures.listing.offset != 0.0
        pair.row = {
            "symbol": pair.symbol,
            "direction": pair.direction.label,
            "start_ns": 0,
            "end_ns": None,
            "start_mono_ns": 0,
            "end_mono_ns": None,
            "peak_bps": gross,
            "threshold_bps": pair.threshold,
            "planted": planted,
            "sure": spot.sure and futures.sure,
            "spot_update_id_first": spot.tick.update_id if spot.tick else 0,
            "futures_update_id_first": futures.tick.update_id if futures.tick else 0,
        }
        pair.peak, pair.watched = gross, True
        self.intervals += 1
        self.open += 1
        self._opened.append(pair.row)

    def _finish(self, pair: Pair) -> None:
        row = pair.row
        if row is None:
            return
        row["peak_bps"] = pair.peak
        row["spot_update_id_last"] = pair.spot.tick.update_id if pair.spot.tick else 0
        row["futures_update_id_last"] = pair.futures.tick.update_id if pair.futures.tick else 0
        pair.row = None
        pair.leaving, pair.fell_ns = True, None
        self.open -= 1
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
                self.write(_fallen(pair))
                self._left(pair)
        self._below.clear()

    @property
    def waiting(self) -> bool:
        return bool(self._opened or self._closed or self._below)

    def write(self, row: Mapping[str, Any]) -> None:
        """One line of the truth file; fault rows come through here too."""
        if self._file is not None:
            self._file.write(orjson.dumps(row).decode() + "\n")

    def flush(self) -> None:
        if self._file is not None:
            self._file.flush()

    def close(self) -> None:
        """Open intervals are written with end null."""
        for pair in self.pairs:
            if pair.row is not None:
                pair.row["peak_bps"] = pair.peak
                self.write(pair.row)
                pair.row = None
        if self._file is not None:
            self._file.close()
            self._file = None

    def sent_rows(self) -> list[dict[str, Any]]:
        """What was last sent for every listing, in the exchange's and in base units."""
        return [_sent_row(leg, leg.tick) for leg in self.legs.values() if leg.tick is not None]


def _fallen(pair: Pair) -> dict[str, Any]:
    """The row that says when the last interval of a pair had also left the exit threshold."""
    return {
        "symbol": pair.symbol,
        "direction": pair.direction.label,
        "fell_mono_ns": pair.fell_ns,
    }


def _sent_row(leg: Leg, tick: Tick) -> dict[str, Any]:
    listing = leg.listing
    sides = {"bid_sz": tick.bid_sz, "ask_sz": tick.ask_sz}
    return {
        "source": listing.label,
        "symbol": listing.symbol,
        "exchange_symbol": listing.exchange_symbol,
        "update_id": tick.update_id,
        "ts_ms": tick.ts_ms,
        "bid_px": tick.bid_px,
        "bid_sz": tick.bid_sz,
        "ask_px": tick.ask_px,
        "ask_sz": tick.ask_sz,
        "base": {
            "bid_px": leg.bid,
            "ask_px": leg.ask,
            **{name: float(text) * listing.sz_mul if text else NAN for name, text in sides.items()},
        },
        "px_mul": listing.px_mul,
        "sz_mul": listing.sz_mul,
        "messages": leg.count,
    }
