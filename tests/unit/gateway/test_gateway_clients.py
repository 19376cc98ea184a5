"""Who is slow misses frames and no state, holds up nobody, and is let go in the end."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from gateway_bed import Told

from spread_scanner.gateway.broadcast import STUCK_NS, Broadcast
from spread_scanner.schema.enums import SOURCES
from spread_scanner.schema.names import SIGNALS
from spread_scanner.schema.records import SIGNAL_DTYPE
from spread_scanner.shm import PriceStore, SignalRing


@pytest.fixture
def quotes(virtual_clock: Any, listed_bed: Any) -> Iterator[Callable[..., None]]:
    virtual_clock.advance_ms(1_000)
    with (
        PriceStore.attach(listed_bed.namespace) as store,
        store.writer(SOURCES[0].source_id) as writer,
    ):

        def quote(symbol_id: int, bid: float, *, beats: bool = True) -> None:
            now_ns = store.clock.now_ns()
            number = int(store.sequences[SOURCES[0].source_id, symbol_id]) + 1
            writer.write(symbol_id, bid, 10.0, bid + 1, 10.0, now_ns, now_ns, number)
            if beats:
                writer.heartbeat(now_ns - store.clock.anchor_ns)

        yield quote


@pytest.fixture
def stream(quotes: Any, gateway_of: Callable[..., Any]) -> Iterator[Broadcast]:
    made = Broadcast(gateway_of().system)
    yield made
    made.close()


DIRTY = [(SOURCES[0].source_id, np.arange(3, dtype=np.uint16))]


def test_a_slow_client_gets_what_stands_when_it_reads_again(
    stream: Broadcast, quotes: Callable[..., None], virtual_clock: Any, listed_bed: Any
) -> None:
    for symbol_id in range(3):
        quotes(symbol_id, 10.0)
    slow, quick = Told(stream), Told(stream)
    for told in (slow, quick):
        told.wish("prices", pace="live")
    slow.client.pause()
    for bid in range(11, 111):
        quotes(bid % 3, float(bid))
        stream.flush(DIRTY)
    assert len(slow.of("prices")) == 1
    assert len(quick.of("prices")) == 101
    stream.resume(slow.client)
    assert len(slow.of("prices")) == 2
    assert slow.prices() == quick.prices()


def test_what_was_lost_while_nobody_read_is_gone_for_all(
    stream: Broadcast, quotes: Callable[..., None], virtual_clock: Any, listed_bed: Any
) -> None:
    quotes(0, 10.0)
    slow, quick = Told(stream), Told(stream)
    for told in (slow, quick):
        told.wish("prices", pace="live")
    stream.tick()
    slow.client.pause()
    virtual_clock.advance_ms(listed_bed.settings.config.system.heartbeat_ms_max + 1)
    stream.tick()
    assert quick.prices() == {}
    stream.resume(slow.client)
    assert slow.prices() == {}
    quotes(1, 11.0)  # its feed beats again, so that the first is good as well, unwritten
    stream.flush([(SOURCES[0].source_id, np.array([1], np.uint16))])
    stream.tick()
    assert set(quick.prices()) == {"binance-spot:AAAUSDT", "binance-spot:BBBUSDT"}
    assert slow.prices() == quick.prices()


def test_who_reads_nothing_for_ten_seconds_is_let_go(stream: Broadcast, virtual_clock: Any) -> None:
    stuck, quick = Told(stream), Told(stream)
    stuck.client.pause()
    virtual_clock.advance_ns(STUCK_NS)
    stream.tick()
    assert stuck.let_go == []
    virtual_clock.advance_ms(1)
    stream.tick()
    assert len(stuck.let_go) == 1
    assert (stream.clients, quick.let_go) == (1, [])


def test_a_view_is_told_ten_times_a_second_and_the_last_of_each(
    stream: Broadcast, quotes: Callable[..., None], virtual_clock: Any
) -> None:
    quotes(0, 10.0)
    viewer = Told(stream)
    viewer.wish("prices")
    for bid in range(1, 301):
        quotes(0, float(bid))
        stream.flush(DIRTY)
        virtual_clock.advance_ms(1)
    stream.tick()
    assert 3 <= len(viewer.of("prices")) <= 6
    virtual_clock.advance_ms(100)
    stream.tick()
    assert viewer.prices() == {"binance-spot:AAAUSDT": 300.0}


def test_those_of_one_wish_share_each_frame(stream: Broadcast, quotes: Callable[..., None]) -> None:
    quotes(0, 10.0)
    crowd = [Told(stream) for _ in range(20)]
    for told in crowd:
        told.wish("prices", pace="live")
    before = stream._shown.prices.encoded
    quotes(0, 11.0)
    stream.flush(DIRTY)
    assert stream._shown.prices.encoded == before + 1
    assert all(told.prices() == {"binance-spot:AAAUSDT": 11.0} for told in crowd)


def test_signals_are_told_once_each_from_the_wish_on(stream: Broadcast, listed_bed: Any) -> None:
    told, other = Told(stream), Told(stream)
    with (
        SignalRing.attach(listed_bed.namespace, SIGNALS) as shared,
        shared.producer() as ring,
    ):
        records = np.zeros(3, SIGNAL_DTYPE)
        records["kind"], records["generation"] = 1, 2
        records["symbol_id"] = [0, 1, 2]
        ring.push_many(records[:1])
        told.wish("signals")
        other.wish("signals", pairs=["CCC/USDT"])
        ring.push_many(records[1:])
        stream.tick()
        stream.tick()
    assert len(told.of("signal")) == 2
    assert [frame["signal"]["symbol"] for frame in other.of("signal")] == ["CCC-USDT"]


def test_a_price_that_is_lost_before_the_first_look_is_gone(
    stream: Broadcast, quotes: Callable[..., None], virtual_clock: Any, listed_bed: Any
) -> None:
    quotes(0, 10.0)
    told = Told(stream)
    told.wish("prices")
    assert told.prices() == {"binance-spot:AAAUSDT": 10.0}
    virtual_clock.advance_ms(listed_bed.settings.config.system.heartbeat_ms_max + 1)
    stream.tick()
    assert told.prices() == {}


def test_who_asks_again_and_reads_nothing_is_sent_nothing(
    stream: Broadcast, quotes: Callable[..., None]
) -> None:
    quotes(0, 10.0)
    told = Told(stream)
    told.wish("prices")
    told.client.pause()
    for _ in range(50):
        told.wish("prices", pace="live")
    assert len(told.of("prices")) == 1
    stream.resume(told.client)
    assert len(told.of("prices")) == 2
    assert told.prices() == {"binance-spot:AAAUSDT": 10.0}


def test_who_comes_back_is_told_the_signals_since_and_how_many_are_no_more_to_be_had(
    stream: Broadcast, listed_bed: Any
) -> None:
    with (
        SignalRing.attach(listed_bed.namespace, SIGNALS) as shared,
        shared.producer() as ring,
    ):
        records = np.zeros(40, SIGNAL_DTYPE)  # the newer half of 64 slots is to be had
        records["kind"], records["generation"] = 1, 2
        records["seq"] = np.arange(101, 141)
        ring.push_many(records)
        near, far, ahead = Told(stream), Told(stream), Told(stream)
        near.wish("signals", after_seq=138)
        far.wish("signals", after_seq=105, directions=["binance-bybit"])
        ahead.wish("signals", after_seq=200)
        stream.tick()
        stream.tick()
    told = [[frame["signal"]["seq"] for frame in one.of("signal")] for one in (near, far, ahead)]
    assert told == [[139, 140], list(range(109, 141)), []]
    assert [one.of("missed") for one in (near, far, ahead)] == [
        [],
        [{"type": "missed", "kind": "signals", "count": 3}],
        [],
    ]


def test_a_slow_client_is_told_its_signals_when_it_reads_again(
    stream: Broadcast, listed_bed: Any
) -> None:
    told = Told(stream)
    told.wish("signals")
    told.client.pause()
    with (
        SignalRing.attach(listed_bed.namespace, SIGNALS) as shared,
        shared.producer() as ring,
    ):
        records = np.zeros(3, SIGNAL_DTYPE)
        records["kind"], records["generation"] = 1, 2
        ring.push_many(records)
        stream.tick()
        assert told.of("signal") == []
        stream.resume(told.client)
        stream.tick()
    assert len(told.of("signal")) == 3
