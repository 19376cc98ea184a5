"""What all REST answers of the pretend exchanges are made of: envelopes, depth, funding, sums.

A request comes as path and query, an answer goes as status, headers and body. Reads the universe
as it stands now; knows nothing of sockets.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import orjson

from spread_scanner.sim.limits import Query
from spread_scanner.sim.universe import Listing, Universe

FUNDING_HOUR_MS = 3_600_000
MINUTE_MS = 60_000


class Answer(NamedTuple):
    status: int
    headers: list[tuple[str, str]]
    body: bytes


Route = Callable[[str, Query, int], Answer]  # label, query, the exchange's clock in ms
Routes = Mapping[str, Mapping[str, Route]]  # by source, by path


def good(payload: Any) -> Answer:
    headers = [("content-type", "application/json;charset=UTF-8")]
    return Answer(200, headers, orjson.dumps(payload))


def bad(status: int, payload: Any) -> Answer:
    return Answer(status, [("content-type", "application/json")], orjson.dumps(payload))


def rows_of(universe: Universe, label: str) -> list[Listing]:
    """What a source lists now."""
    return [row for row in universe.by_source[label] if row.status != "vanished"]


def whole(text: str, default: int) -> int:
    """A number of a query, or the default where it is none."""
    return int(text) if text.isdigit() else default


def levels(row: Listing, side: str, count: int) -> list[tuple[str, str]]:
    """Price and size of the best levels; what stands behind the first follows from its price."""
    if row.status != "trading":
        return []
    ticks, lots, step = (
        (row.bid_ticks, row.bid_lots, -1) if side == "bid" else (row.ask_ticks, row.ask_lots, 1)
    )
    prices = [ticks + step * n for n in range(count)]
    return [
        (row.px(price), row.sz(lots if not n else behind_lots(row, price)))
        for n, price in enumerate(prices)
        if price > 0
    ]


def behind_lots(row: Listing, ticks: int) -> int:
    """The size of a level that is not the best, the same whenever it is one."""
    typical = max(1, int(row.lots_typical))
    return 1 + typical * (2 + ticks * 2_654_435_761 % 97) // 33


def interval_hours(row: Listing) -> int:
    return (8, 8, 4, 8, 1)[row.coin.number % 5]


def next_funding_ms(row: Listing, now_ms: int) -> int:
    step = interval_hours(row) * FUNDING_HOUR_MS
    return (now_ms // step + 1) * step


def funding_times_ms(row: Listing, now_ms: int, count: int) -> list[int]:
    """The last settlements, newest first."""
    step = interval_hours(row) * FUNDING_HOUR_MS
    newest = next_funding_ms(row, now_ms) - step
    return [newest - n * step for n in range(count)]


def rate(row: Listing, at_ms: int) -> str:
    """A quiet funding rate that changes each minute, the same in every run."""
    usual = (row.coin.number * 37) % 21 - 6
    tenths = (at_ms // MINUTE_MS + 7 * row.coin.number) % 11 - 5
    return f"{(usual + tenths / 10) * 1e-5:.8f}"


def plain(number: float) -> str:
    """A float without an exponent and without trailing zeros."""
    return f"{number:.18f}".rstrip("0").rstrip(".") if number % 1 else str(int(number))
