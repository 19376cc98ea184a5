"""Plays recorded best-bid/ask streams at any speed, each through the wire format of any source.

A recording is gzip or plain text, one `<receive ns> <combined-stream JSON>` per line; only
bookTicker lines are played, merged by receive time. Prices and sizes keep their spelling; sizes are
divided by the contract size where the source counts contracts.
"""

import contextlib
import gzip
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import orjson

from spread_scanner.clock import NS_PER_S
from spread_scanner.schema.enums import SOURCE_BY_LABEL
from spread_scanner.sim.market import Told
from spread_scanner.sim.tick import Tick
from spread_scanner.sim.universe import Listing, Universe


class Recorded(NamedTuple):
    """One line."""

    recv_ns: int
    listing: Listing
    update_id: int
    bid_px: str
    bid_sz: str
    ask_px: str
    ask_sz: str


class Playback:
    """What is still to be played. A spec is `source=FILE` or `source=FILE:BTC-USDT`."""

    def __init__(self, universe: Universe, specs: tuple[str, ...], speed: float) -> None:
        self._speed = speed
        self._began_s: float | None = None
        self._position = 0
        self.driven: set[Listing] = set()
        self.last: dict[Listing, Tick] = {}
        rows: list[Recorded] = []
        for spec in specs:
            rows += _rows(universe, spec)
        rows.sort(key=lambda row: row.recv_ns)
        self._rows = rows
        self._first_ns = rows[0].recv_ns if rows else 0
        for row in reversed(rows):
            row.listing.coin.price = row.listing.coin.price_start = float(row.bid_px)
            self.driven.add(row.listing)
        for listing in self.driven:
            for other in listing.coin.listings:
                other.quiet = other not in self.driven
                other.driven = other in self.driven

    @property
    def left(self) -> int:
        return len(self._rows) - self._position

    def begin(self, elapsed_s: float) -> None:
        """The first line is due now."""
        if self._began_s is None:
            self._began_s = elapsed_s

    def due(self, elapsed_s: float, now_ms: Sequence[int]) -> Iterator[Told]:
        """Lines whose time has come, in the order of the recording."""
        if self._began_s is None:
            return
        until_ns = self._first_ns + (elapsed_s - self._began_s) * self._speed * NS_PER_S
        rows = self._rows
        while self._position < len(rows) and rows[self._position].recv_ns <= until_ns:
            row = rows[self._position]
            self._position += 1
            listing = row.listing
            tick = Tick(
                row.update_id,
                row.bid_px,
                row.bid_sz,
                row.ask_px,
                row.ask_sz,
                now_ms[listing.source_id],
                self._position,
            )
            listing.bid_ticks = round(float(row.bid_px) * listing.px_pow)
            listing.ask_ticks = round(float(row.ask_px) * listing.px_pow)
            self.last[listing] = tick
            yield listing, tick


def _rows(universe: Universe, spec: str) -> Iterator[Recorded]:
    label, equals, rest = spec.partition("=")
    if not equals or label not in SOURCE_BY_LABEL:
        raise ValueError(f"a recording is source=FILE or source=FILE:SYMBOL, not {spec!r}")
    name, _, symbol = rest.partition(":")
    path = Path(name)
    with contextlib.ExitStack() as stack:
        plain = stack.enter_context(path.open("rb"))
        lines = gzip.open(plain) if path.suffix == ".gz" else plain  # noqa: SIM115
        for line in lines:
            if b"@bookTicker" not in line[:80]:
                continue
            stamp, _, payload = line.partition(b" ")
            data = orjson.loads(payload)["data"]
            listing = _listing(universe, label, symbol or f"{data['s'].removesuffix('USDT')}-USDT")
            yield Recorded(
                int(stamp),
                listing,
                int(data["u"]),
                data["b"],
                _size(listing, data["B"]),
                data["a"],
                _size(listing, data["A"]),
            )


def _listing(universe: Universe, label: str, symbol: str) -> Listing:
    for listing in universe.by_source[label]:
        if listing.symbol == symbol and listing.trading:
            return listing
    raise ValueError(f"{label} does not list {symbol}")


def _size(listing: Listing, text: str) -> str:
    if listing.contract_size == 1.0:
        return text
    contracts = Decimal(text) / Decimal(repr(listing.contract_size))
    return f"{contracts.normalize():f}"
