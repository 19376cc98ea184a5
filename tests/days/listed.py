"""Who there is in a day, and what is listed: the exchanges from the seed, the tables from them."""

from random import Random
from typing import Any

import proxies
from events import EventLog
from exchange import Exchange
from host import Host, host_of
from loop import VirtualLoop
from market import Row

from spread_scanner.clock import VirtualClock
from spread_scanner.schema.enums import EXCHANGE_DIRECTIONS, SOURCE_BY_LABEL, Direction, Source
from spread_scanner.schema.enums import Exchange as Name
from spread_scanner.sim import dialects
from spread_scanner.sim.universe import Listing, Universe
from spread_scanner.symbology.tables import DirectionRow, InstrumentRow, SymbolRow, Tables

WEIGHTS = (4.0, 2.0, 2.0, 1.0, 1.0, 1.0)
DAY_RATE, HOUR_RATE = 1.2, 0.8  # messages a second and source, but for the windows of high rates


class Listed:
    """`exchanges` by source. A single source has in `others` the direction of which somebody else
    has to write the other leg.
    """

    def __init__(
        self, seed: str, labels: tuple[str, ...], loop: VirtualLoop, virtual: VirtualClock,
        log: EventLog,
    ) -> None:  # fmt: skip
        self._seed = seed
        self._several = len(labels) > 1
        self._loop = loop
        self._clock = virtual
        self._log = log
        self._universe = Universe(7, 40)
        self._generation = 0
        self._hosts = {
            host_of(label): {via: Host(label.partition("-")[0]) for via in ("", *proxies.URLS)}
            for label in labels
        }
        self.exchanges = {label: self._exchange(label) for label in labels}
        self.others: dict[str, Direction] = {}
        if not self._several:
            (label,) = labels
            self.others[label] = next(
                row for row in EXCHANGE_DIRECTIONS if label in (row.spot.label, row.futures.label)
            )

    def _exchange(self, label: str) -> Exchange:
        moving = [row for row in self._universe.by_source[label] if row.moves]
        chosen = moving[: 4 if self._several else 6]
        rate = (HOUR_RATE if self._several else DAY_RATE) / sum(WEIGHTS[: len(chosen)])
        rows = [
            Row(
                listing, listing.coin.number, rate * weight,
                Random(f"row {self._seed} {label} {number}"),
            )
            for number, (listing, weight) in enumerate(zip(chosen, WEIGHTS, strict=False))
        ]  # fmt: skip
        hosts = self._hosts[host_of(label)]
        return Exchange(
            label, hosts, rows, self._dialect, self._loop, self._clock,
            Random(f"exchange {self._seed} {label}"), self._log,
        )  # fmt: skip

    def _dialect(self, exchange: Exchange) -> dialects.Dialect:
        names = _Welcome(self._universe, exchange)
        kinds: dict[Name, Any] = {
            Name.BINANCE: dialects.Binance, Name.BYBIT: dialects.Bybit, Name.OKX: dialects.Okx
        }  # fmt: skip
        source = SOURCE_BY_LABEL[exchange.label]
        if source.exchange in kinds:
            made: dialects.Dialect = kinds[source.exchange](names, exchange.rules)
            return made
        spot = exchange.label == "mexc-spot"
        return dialects.MexcSpot(names) if spot else dialects.MexcFutures(names)

    def tables(self) -> Tables:
        """What the feed is told of: the rows that are wanted now."""
        self._generation += 1
        rows = [
            (SOURCE_BY_LABEL[label].source_id, row)
            for label, exchange in self.exchanges.items()
            for row in exchange.rows.values()
            if row.wanted
        ]
        coins = {row.symbol_id: row.listing.coin.name for _, row in rows}
        instruments = [_instrument(source_id, row) for source_id, row in rows]
        for label, direction in self.others.items():
            other = other_leg(direction, label)
            instruments += [
                InstrumentRow(other.source_id, symbol_id, name, 1.0, 1.0, None, None, None, None,
                              False, False)
                for symbol_id, name in coins.items()
            ]  # fmt: skip
        listed = {(row.source_id, row.symbol_id) for row in instruments}
        return Tables(
            self._generation, self._clock.wall_ns(),
            tuple(SymbolRow(n, f"{coin}-USDT", coin, "USDT") for n, coin in sorted(coins.items())),
            tuple(instruments),
            tuple(
                DirectionRow(row.direction_id, tuple(
                    n for n in sorted(coins)
                    if (row.spot.source_id, n) in listed and (row.futures.source_id, n) in listed
                ))
                for row in EXCHANGE_DIRECTIONS
            ),
            (), (),
        )  # fmt: skip


class _Welcome(dialects.Names):
    """Which listings may be subscribed now."""

    def __init__(self, universe: Universe, exchange: Exchange) -> None:
        self._by_name = universe.by_name[exchange.label]
        self._exchange = exchange

    def find(self, name: str) -> Listing | None:
        if self._exchange.switch.refused(name):
            return None
        return self._by_name.get(name)


def other_leg(direction: Direction, label: str) -> Source:
    """The source at the other end of a direction."""
    return direction.futures if direction.spot.label == label else direction.spot


def _instrument(source_id: int, row: Row) -> InstrumentRow:
    listing, symbol_id = row.listing, row.symbol_id
    return InstrumentRow(
        source_id, symbol_id, listing.exchange_symbol, float(listing.px_mul), listing.sz_mul,
        None, None, None, None, False, False,
    )  # fmt: skip
