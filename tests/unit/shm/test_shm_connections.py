"""Connections' rows: one writer per source, empty at each start, gone with the feed."""

from collections.abc import Callable

import pytest

from spread_scanner import clock
from spread_scanner.errors import SegmentError
from spread_scanner.schema.counters import FEED_COUNTERS, FEED_HISTOGRAMS, POOL_COUNTERS
from spread_scanner.schema.enums import Carries, ConnectionState
from spread_scanner.shm import segment
from spread_scanner.shm.connections import PROVIDER_BYTES, URL_BYTES, Connections
from spread_scanner.shm.faults import AlreadyClaimed, WrongSegment
from spread_scanner.shm.layout import CONNECTIONS_MAX, Kind

SOURCE = 3
MESSAGES = next(row.counter_id for row in FEED_COUNTERS if row.label == "messages")
POOL_ACCOUNTS = next(row.counter_id for row in POOL_COUNTERS if row.label == "accounts")
LATENCY = FEED_HISTOGRAMS[1]


def test_a_row_shows_what_its_feed_wrote(namespace: str) -> None:
    with Connections.create(namespace) as made, made.claim(SOURCE) as rows:
        row = rows.take()
        assert row is not None
        with Connections.attach(namespace) as read:
            (dialling,) = read.read(SOURCE)
            row.opened(7, 1_000)
            row.heard(2_000, 30)
            row.ended("lost")
            until_ns = clock.mono_ns() + 60 * 10**9
            rows.banned(until_ns, 451)
            row.add(MESSAGES, 5)
            row.observe(LATENCY.histogram_id, 700)
            (found,) = read.read(SOURCE)
            assert read.read(SOURCE + 1) == []
            notices = rows.take(Carries.NOTICES)
            assert notices is not None
            (_, later) = read.read(SOURCE)
            rows.banned(0)
            assert [(one.ban_left_ns, one.ban_status) for one in read.read(SOURCE)] == [(0, 0)] * 2
            rows.banned(clock.mono_ns() - 1, 429)
            assert [one.ban_status for one in read.read(SOURCE)] == [0, 0], "it is over"

    assert (dialling.state, dialling.open_ns) == (ConnectionState.DIALLING, None)
    assert found.state is ConnectionState.OPEN
    assert (found.carries, later.carries) == (Carries.QUOTES, Carries.NOTICES)
    assert dialling.ban_left_ns == 0
    assert (dialling.ban_status, found.ban_status, later.ban_status) == (0, 451, 451)
    assert 0 < later.ban_left_ns <= found.ban_left_ns <= 60 * 10**9
    assert (found.number, found.symbols, found.last_end) == (0, 30, "lost")
    assert found.open_ns is not None
    assert found.heard_age_ns == pytest.approx(found.open_ns - 1_000)
    assert found.counters["messages"] == 5
    assert found.latencies[LATENCY.label].total == 1
    assert found.latencies[LATENCY.label].max_ns == pytest.approx(700, rel=0.05)


def test_rows_do_not_reach_into_each_other(namespace: str) -> None:
    with (
        Connections.create(namespace, num_sources=2) as made,
        made.claim(0) as one,
        made.claim(1) as other,
    ):
        taken = [(rows, rows.take()) for rows in (one, other) for _ in range(CONNECTIONS_MAX)]
        for number, (_, row) in enumerate(taken):
            assert row is not None
            row.opened(number, number)
            for counter in range(64):
                row.add(counter, number + 1)
            row.observe(0, 0)
            row.observe(len(FEED_HISTOGRAMS) - 1, 2**62)

        assert one.take() is None  # its own are taken, the other's are no help
        found = made.read(0) + made.read(1)

    for number, read in enumerate(found):
        assert set(read.counters.values()) == {number + 1}
        assert [one.total for one in read.latencies.values()] == [1, 1]


def test_a_row_given_back_is_gone_and_the_next_begins_empty(namespace: str) -> None:
    with Connections.create(namespace) as made, made.claim(SOURCE) as rows:
        first, second = rows.take(), rows.take()
        assert first is not None
        assert second is not None
        first.add(MESSAGES, 9)
        rows.give_back(first)
        assert [row.number for row in made.read(SOURCE)] == [second.number]

        again = rows.take()

        assert again is not None
        assert again.number == first.number
        assert made.read(SOURCE)[0].counters["messages"] == 0


def test_one_feed_at_a_time_writes_a_sources_rows(namespace: str) -> None:
    with Connections.create(namespace) as made:
        with made.claim(SOURCE), pytest.raises(AlreadyClaimed):
            made.claim(SOURCE)
        with made.claim(SOURCE) as rows:
            assert rows.take() is not None


def test_a_dead_feed_has_no_connections_and_its_successor_begins_anew(
    namespace: str, run_python: Callable[..., tuple[int, str]]
) -> None:
    with Connections.create(namespace) as made:
        code, out = run_python(
            """
import os, signal, sys
from spread_scanner.shm.connections import Connections
rows = Connections.attach(sys.argv[1]).claim(3)
for number in range(5):
    rows.take().opened(number, 1)
print(len(Connections.attach(sys.argv[1]).read(3)), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
""",
            namespace,
        )
        assert (code, out.strip()) == (-9, "5")
        assert made.read(SOURCE) == []
        with made.claim(SOURCE) as rows:
            assert made.read(SOURCE) == []
            rows.take()
            assert len(made.read(SOURCE)) == 1


@pytest.mark.parametrize("source_id", [-1, 2, 64])
def test_a_source_out_of_range_is_named(namespace: str, source_id: int) -> None:
    with Connections.create(namespace, num_sources=2) as made:
        for call in (made.read, made.claim):
            with pytest.raises(SegmentError, match=f"source_id={source_id}"):
                call(source_id)


@pytest.mark.parametrize("num_sources", [0, 65])
def test_an_impossible_number_of_sources_is_refused(namespace: str, num_sources: int) -> None:
    with pytest.raises(SegmentError, match=f"num_sources={num_sources}"):
        Connections.create(namespace, num_sources=num_sources)
    name = segment.segment_name(namespace, "connections")
    segment.create(name, Kind.CONNECTIONS, 4_096, [num_sources]).close()
    with pytest.raises(WrongSegment, match="number of sources"):
        Connections.attach(namespace)


def test_providers_have_rows_of_their_own_and_tell_by_their_counters(namespace: str) -> None:
    with Connections.create(namespace) as made, made.claim(SOURCE), made.claim_providers() as rows:
        row = rows.take(Carries.ACCOUNTS, "mine" * 10, "wss://rpc.example.com/?key=***" * 10)
        assert row is not None
        row.opened(1, 1_000)
        row.add(POOL_ACCOUNTS, 5)
        with Connections.attach(namespace) as read, pytest.raises(AlreadyClaimed):
            read.claim_providers()
        (found,) = made.read_providers()
        assert made.read(SOURCE) == []
    assert (found.carries, found.counters["accounts"]) == (Carries.ACCOUNTS, 5)
    assert (len(found.provider), len(found.url)) == (PROVIDER_BYTES, URL_BYTES), "cut to its room"
    with Connections.attach(namespace) as read:
        assert read.read_providers() == [], "nobody lives"
