"""Which connection carries which symbol, and which request names which: pure, by the limits.

Used by the feed at start and when new tables arrive. The order of symbols is kept, so that the same
tables give the same shards.
"""

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from spread_scanner.exchanges.adapter import Limits

TopicBytes = Callable[[str], int]

REQUEST_FRAME_BYTES = 96  # what a request has besides its topics: method, id, brackets


class Change(NamedTuple):
    """How to bring the connections to new symbols. Keys are those of the connections that are."""

    leave: dict[int, list[str]]
    join: dict[int, list[str]]
    more: list[list[str]]  # what no connection has room for: new ones


def shards(
    exchange_symbols: Sequence[str],
    limits: Limits,
    topic_bytes: TopicBytes,
    topics_max: int | None = None,
) -> list[list[str]]:
    """Cut into as few connections as the limits allow, evenly filled: losing one costs the same.

    `topics_max`: what an exchange turned out to give a connection, where that is less.
    """
    total = len(exchange_symbols)
    if total == 0:
        return []
    count = -(-total // min(limits.topics_per_connection_max, topics_max or total))
    while True:
        edges = [total * number // count for number in range(count + 1)]
        cut = [list(exchange_symbols[a:b]) for a, b in itertools.pairwise(edges)]
        if count == total or all(
            room((), shard, limits, topic_bytes) == len(shard) for shard in cut
        ):
            return cut
        count += 1


def room(
    carried: Iterable[str],
    more: Sequence[str],
    limits: Limits,
    topic_bytes: TopicBytes,
    topics_max: int | None = None,
) -> int:
    """How many of `more`, in their order, a connection has room for beside what it carries."""
    there = list(carried)
    count = min(limits.topics_per_connection_max, topics_max or len(there) + len(more)) - len(there)
    left = limits.topic_bytes_per_connection_max
    if left is None:
        return max(0, min(count, len(more)))
    left -= sum(map(topic_bytes, there))
    for number, symbol in enumerate(more[: max(0, count)]):
        left -= topic_bytes(symbol)
        if left < 0:
            return number
    return max(0, min(count, len(more)))


def requests(
    exchange_symbols: Iterable[str], limits: Limits, topic_bytes: TopicBytes
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
    carried: Mapping[int, Iterable[str]],
    exchange_symbols: Sequence[str],
    limits: Limits,
    topic_bytes: TopicBytes,
    topics_max: Mapping[int, int] | None = None,
) -> Change:
    """The least change: what stays, stays where it is; what is new fills the room there is.

    `topics_max`: of the connections that turned out to get less than the limits say.
    """
    wanted = set(exchange_symbols)
    leave: dict[int, list[str]] = {}
    join: dict[int, list[str]] = {}
    stays: dict[int, list[str]] = {}
    for number, symbols in carried.items():
        stays[number] = [symbol for symbol in symbols if symbol in wanted]
        goes = [symbol for symbol in symbols if symbol not in wanted]
        if goes:
            leave[number] = goes
    there = {symbol for symbols in stays.values() for symbol in symbols}
    new = [symbol for symbol in exchange_symbols if symbol not in there]
    known = topics_max or {}
    for number in sorted(stays, key=lambda key: len(stays[key])):
        count = room(stays[number], new, limits, topic_bytes, known.get(number))
        taken, new = new[:count], new[count:]
        if taken:
            join[number] = taken
    least = min(known.values(), default=None)
    return Change(leave, join, shards(new, limits, topic_bytes, least))
