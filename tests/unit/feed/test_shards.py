"""Symbols to connections and requests."""

from hypothesis import given
from hypothesis import strategies as st

from spread_scanner.exchanges.adapter import Limits
from spread_scanner.feed import shards

SYMBOLS = st.lists(
    st.text("ABCDEFGHIJ0123456789币", min_size=1, max_size=30), unique=True, max_size=200
)


def limits(
    topics: int = 30,
    per_request: int = 10,
    request_bytes: int = 21_000,
    topic_bytes_max: int | None = None,
) -> Limits:
    return Limits(
        topics,
        per_request,
        request_bytes,
        5.0,
        1.0,
        None,
        topic_bytes_per_connection_max=topic_bytes_max,
    )


def topic_bytes(symbol: str) -> int:
    return len(symbol.encode()) + 20


@given(symbols=SYMBOLS, topics=st.integers(1, 40))
def test_every_symbol_is_carried_once_within_the_limit(symbols: list[str], topics: int) -> None:
    cut = shards.shards(symbols, limits(topics), topic_bytes)

    assert [symbol for shard in cut for symbol in shard] == symbols
    assert all(0 < len(shard) <= topics for shard in cut)
    assert len(cut) == -(-len(symbols) // topics)
    if cut:
        assert max(map(len, cut)) - min(map(len, cut)) <= 1


@given(symbols=SYMBOLS, per_request=st.integers(1, 50), request_bytes=st.integers(200, 2_000))
def test_requests_keep_to_both_limits(
    symbols: list[str], per_request: int, request_bytes: int
) -> None:
    allowed = limits(500, per_request, request_bytes)

    cut = shards.requests(symbols, allowed, topic_bytes)

    assert [symbol for batch in cut for symbol in batch] == symbols
    for batch in cut:
        assert len(batch) <= per_request
        size = sum(map(topic_bytes, batch)) + shards.REQUEST_FRAME_BYTES
        assert size <= request_bytes or len(batch) == 1


@given(old=SYMBOLS, new=SYMBOLS, topics=st.integers(1, 40))
def test_a_change_leaves_in_place_what_stays(old: list[str], new: list[str], topics: int) -> None:
    allowed = limits(topics)
    carried = dict(enumerate(shards.shards(old, allowed, topic_bytes)))

    change = shards.change(carried, new, allowed, topic_bytes)

    after = {number: list(symbols) for number, symbols in carried.items()}
    for number, gone in change.leave.items():
        assert set(gone) <= set(after[number]) - set(new)
        after[number] = [symbol for symbol in after[number] if symbol not in gone]
    for number, added in change.join.items():
        assert not set(added) & set(old)
        after[number] += added
    everything = [*after.values(), *change.more]
    assert sorted(symbol for shard in everything for symbol in shard) == sorted(new)
    assert all(len(shard) <= topics for shard in everything)
    for number, symbols in carried.items():
        assert set(symbols) & set(new) <= set(after[number])


def test_new_symbols_fill_the_room_there_is_before_a_new_connection_is_made() -> None:
    change = shards.change({0: ["A", "B"], 1: ["C"]}, list("ABCDEF"), limits(3), topic_bytes)

    assert change.leave == {}
    assert change.join == {1: ["D", "E"], 0: ["F"]}
    assert change.more == []


def test_a_connection_gets_no_more_than_it_turned_out_to_be_given() -> None:
    carried = {0: ["A", "B"], 1: ["C"]}

    change = shards.change(carried, list("ABCDEFG"), limits(4), topic_bytes, {0: 2, 1: 2})

    assert change.join == {1: ["D"]}
    assert change.more == [["E"], ["F", "G"]]


@given(symbols=SYMBOLS, topics=st.integers(1, 300), bytes_max=st.integers(60, 2_000))
def test_the_topics_of_a_connection_keep_to_their_characters(
    symbols: list[str], topics: int, bytes_max: int
) -> None:
    allowed = limits(topics, topic_bytes_max=bytes_max)

    cut = shards.shards(symbols, allowed, topic_bytes)

    assert [symbol for shard in cut for symbol in shard] == symbols
    for shard in cut:
        assert len(shard) <= topics
        assert sum(map(topic_bytes, shard)) <= bytes_max or len(shard) == 1
    joined = shards.change(dict(enumerate(cut)), [*symbols, "ZZ"], allowed, topic_bytes).join
    for number, more in joined.items():
        assert sum(map(topic_bytes, cut[number] + more)) <= bytes_max
