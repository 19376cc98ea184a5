"""Which connection carries which symbol, and which request names which: pure, by the limits.

Used by the feed at start and when new tables arrive. The order of symbols is kept, so that the same
tables give the same shards.
"""

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from spread_scanner.exchanges.adapter import Limits

REQUEST_FRAME_BYTES = 96  # what a request has besides its topics: method, id, brackets


class Change(NamedTuple):
    """How to bring the connections to new symbols. Keys are those of the connections that are."""

    leave: dict[int, list[str]]
    join: dict[int, list[str]]
    more: list[list[str]]  # what no connection has room for: new ones


def shards(exchange_symbols: Sequence[str], limits: Limits) -> list[list[str]]:
    """Cut into as few connections as the limit allows, evenly filled: losing one costs the same."""
    total = len(exchange_symbols)
    if total == 0:
        return []
    count = -(-total // limits.topics_per_connection_max)
    edges = [total * number // count for number in range(count + 1)]
    return [list(exchange_symbols[a:b]) for a, b in itertools.pairwise(edges)]


def requests(
    exchange_symbols: Iterable[str], limits: Limits, topic_bytes: Callable[[str], int]
) -> list[list[str]]:
    """Cut into requests by number of topics and by length."""
    room = limits.request_bytes_max - REQUEST_FRAME_BYTES
    cut: list[list[str]] = []
    size = 0
    for symbol in exchange_symbols:
        adds = topic_bytes(symbol)
        full = bool(cut) and (len(cut[-1]) >= limits.topics_per_request_max or size + adds > room)
        if not cut or full:
            cut.append([])
            size = 0
        cut[-1].append(symbol)
        size += adds
    return cut


def change(
    carried: Mapping[int, Iterable[str]], exchange_symbols: Sequence[str], limits: Limits
) -> Change:
    """The least change: what stays, stays where it is; what is new fills the room there is."""
    wanted = set(exchange_symbols)
    leave: dict[int, list[str]] = {}
    join: dict[int, list[str]] = {}
    there: set[str] = set()
    room: dict[int, int] = {}
    for number, symbols in carried.items():
        stays = [symbol for symbol in symbols if symbol in wanted]
        goes = [symbol for symbol in symbols if symbol not in wanted]
        there.update(stays)
        room[number] = limits.topics_per_connection_max - len(stays)
        if goes:
            leave[number] = goes
    new = [symbol for symbol in exchange_symbols if symbol not in there]
    for number in sorted(room, key=lambda key: -room[key]):
        taken, new = new[: max(0, room[number])], new[max(0, room[number]) :]
        if taken:
            join[number] = taken
    return Change(leave, join, shards(new, limits))
