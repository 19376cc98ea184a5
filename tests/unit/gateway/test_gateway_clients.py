"""Who is slow misses frames and no state, holds up nobody, and is let go in the end."""

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import database_bed
import numpy as np
import pytest
from gateway_bed import Told
from log_bed import SMALL, ticks

from bed import until
from spread_scanner.client.asking import Following
from spread_scanner.clock import NS_PER_S
from spread_scanner.gateway import event_channels
from spread_scanner.gateway.broadcast import STOOD_NS_MIN, STUCK_NS, Broadcast
from spread_scanner.gateway.channels import DETAIL_MAX
from spread_scanner.schema.enums import SOURCES
from spread_scanner.schema.log import RecordKind
from spread_scanner.schema.names import SIGNALS, WAL_FOLDER
from spread_scanner.schema.records import SIGNAL_DTYPE
from spread_scanner.shm import PriceStore, SignalRing
from spread_scanner.view.signals import SignalTail
from spread_scanner.wal.writer import LogWriter, Origin


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
def asking(quotes: Any, gateway_of: Callable[..., Any]) -> Any:
    return gateway_of()


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
    for _ in range(STUCK_NS // NS_PER_S):
        virtual_clock.advance_ns(NS_PER_S)
        stream.tick()
    assert stuck.let_go == []
    virtual_clock.advance_ns(STOOD_NS_MIN + STUCK_NS)  # the process itself stood still
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


def test_a_frame_says_how_often_the_store_was_written_whoever_was_told(
    stream: Broadcast, quotes: Callable[..., None], listed_bed: Any
) -> None:
    with PriceStore.attach(listed_bed.namespace) as store:
        for wishes in (1, 2):  # what was written before the wish is no frame of it
            quotes(1, 10.0)
            told = Told(stream)
            told.wish("prices", pace="live")
            for number in range(5):
                quotes(number % 3, 20.0 + number)
                stream.flush(DIRTY if number else DIRTY * 2)
                assert told.frames[-1]["version"] == int(store.sequences.sum())
            assert len(told.of("prices")) == 6
            stream.leave(told.client)
            quotes(wishes, 30.0)


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


def test_who_talks_and_reads_nothing_is_heard_when_it_reads_and_by_its_last_words(
    stream: Broadcast,
) -> None:
    told = Told(stream)
    told.client.pause()
    for _ in range(1_000):
        stream.heard(told.client, b"x" * 60_000)
    told.wish("prices", pairs=["NOPE/USDT"])
    assert told.of("error") == []
    stream.resume(told.client)
    assert [frame["code"] for frame in told.of("error")] == ["unknown_pair"]
    stream.heard(told.client, b'{"op": "' + b"x" * 60_000 + b'"}')
    assert len(told.of("error")[-1]["detail"]) <= DETAIL_MAX


def test_who_wishes_anew_and_reads_nothing_is_owed_a_snapshot(
    stream: Broadcast, quotes: Callable[..., None]
) -> None:
    for symbol_id in range(3):
        quotes(symbol_id, 10.0)
    told, reloaded = Told(stream), Told(stream)
    for one in (told, reloaded):
        one.wish("prices", pairs=["AAA/USDT", "BBB/USDT"], pace="live")
        one.client.pause()
    told.wish("prices", pairs=["BBB/USDT"], pace="live")
    for channel in stream._channels.values():  # as after a reload
        channel.renew()
    quotes(1, 11.0)
    stream.flush(DIRTY)
    for one in (told, reloaded):
        stream.resume(one.client)
        assert {frame["snapshot"] for frame in one.of("prices")} == {True}
    quotes(1, 12.0)
    stream.flush(DIRTY)
    assert told.prices() == {"binance-spot:BBBUSDT": 12.0}
    assert set(reloaded.prices()) == {"binance-spot:AAAUSDT", "binance-spot:BBBUSDT"}


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
        near, far, ahead, other = (Told(stream) for _ in range(4))
        near.wish("signals", after_seq=138)
        far.wish("signals", after_seq=105, directions=["binance-bybit"])
        ahead.wish("signals", after_seq=200)  # of a ring before this one
        other.wish("signals", after_seq=138, ring="5e1f")
        stream.tick()
        stream.tick()
    clients = (near, far, ahead, other)
    stands = list(range(109, 141))
    assert [seqs(one) for one in clients] == [[139, 140], stands, stands, stands]
    of_another = [{"type": "missed", "kind": "signals", "count": None}]
    gone = [{"type": "missed", "kind": "signals", "count": 8}]
    assert [one.of("missed") for one in clients] == [
        [],
        [{"type": "missed", "kind": "signals", "count": 3}],
        of_another + gone,
        of_another + gone,
    ]
    places = [one.of("began")[0] for one in clients]
    assert {one["ring"] for one in places} == {f"{shared.instance_id:x}"}
    assert [one["after_seq"] for one in places] == [138, 105, 100, 100]


def test_what_the_ring_has_no_more_comes_from_the_log(
    stream: Broadcast, asking: Any, listed_bed: Any
) -> None:
    records = np.zeros(40, SIGNAL_DTYPE)
    records["kind"], records["generation"] = 1, 2
    records["seq"] = np.arange(101, 141)
    folder = listed_bed.settings.data_dir / WAL_FOLDER
    folder.mkdir(parents=True)
    written = ((asking.system.instance_id ^ 2, 0), (asking.system.instance_id, 2))
    for instance_id, first in written:  # of the store before this one: other signals
        writer = LogWriter(folder, Origin(instance_id=instance_id), segment_bytes=SMALL)
        for at in range(first, 35, 3):
            writer.append(RecordKind.SIGNAL, records[at : min(at + 3, 35)])
            writer.append(RecordKind.TICK, ticks(at, 100))
            writer.commit()
        writer.close()
    with (
        SignalRing.attach(listed_bed.namespace, SIGNALS) as shared,
        shared.producer() as ring,
    ):
        ring.push_many(records)  # the newer half of 64 slots is to be had: from 109 on
        near, far, before, filtered = (Told(stream) for _ in range(4))
        near.wish("signals", after_seq=120)
        far.wish("signals", after_seq=104)
        before.wish("signals", after_seq=100)
        filtered.wish("signals", after_seq=104, directions=["okx-mexc"])

        def told_all() -> bool:
            stream.tick()
            return [one.frames[-1]["type"] for one in (far, before)] == ["signal"] * 2 and bool(
                filtered.of("began") and seqs(far)[-1] == seqs(before)[-1] == 140
            )

        until(told_all)
    assert seqs(near) == list(range(121, 141))
    assert seqs(far) == list(range(105, 141))
    assert seqs(before) == list(range(103, 141))
    assert seqs(filtered) == []
    assert [one.of("began")[0]["after_seq"] for one in (near, far, before)] == [120, 104, 100]
    missed = [[frame["count"] for frame in one.of("missed")] for one in (near, far, before)]
    assert missed == [[], [], [2]]


def test_one_look_at_the_log_at_a_time_and_none_for_who_wishes_no_more(
    stream: Broadcast, asking: Any, listed_bed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a look takes is seconds: whoever says wish after wish would have the gateway look for
    hours, and its end wait for them."""
    known, may_go, by = list[int](), threading.Event(), list[threading.Thread]()

    def look(_folder: Path, _instance_id: int, after_seq: int) -> np.ndarray:
        known.append(after_seq)
        by.append(threading.current_thread())
        assert may_go.wait(60.0)
        return np.zeros(0, SIGNAL_DTYPE)

    monkeypatch.setattr(event_channels, "logged_signals", look)
    (listed_bed.settings.data_dir / WAL_FOLDER).mkdir(parents=True)
    records = np.zeros(40, SIGNAL_DTYPE)
    records["kind"], records["generation"] = 1, 2
    records["seq"] = np.arange(101, 141)
    with (
        SignalRing.attach(listed_bed.namespace, SIGNALS) as shared,
        shared.producer() as ring,
    ):
        ring.push_many(records)
        restless, near = Told(stream), Told(stream)
        for after_seq in range(100, 105):
            restless.wish("signals", after_seq=after_seq)
            stream.tick()
        near.wish("signals", after_seq=120)
        stream.tick()
        assert seqs(near) == list(range(121, 141)), "who needs no log waits for nobody's look"
        with monkeypatch.context() as meanwhile:  # all of the ring, each millisecond of a look
            meanwhile.delattr(SignalTail, "place_after")
            stream.tick()
        assert not restless.of("began")
        may_go.set()

        def has_begun() -> bool:
            stream.tick()
            return bool(restless.of("began"))

        until(has_begun)
    assert known == [100, 104]
    assert all(one.daemon for one in by)


def test_the_place_where_signals_began_is_what_a_client_comes_back_with(
    stream: Broadcast, listed_bed: Any
) -> None:
    with (
        SignalRing.attach(listed_bed.namespace, SIGNALS) as shared,
        shared.producer() as ring,
    ):
        records = np.zeros(8, SIGNAL_DTYPE)
        records["kind"], records["generation"] = 1, 2
        records["seq"] = np.arange(8)
        empty = Following(["signals"], (), (), {})
        first = lost_before_any(stream, empty)
        assert first.of("began")[0]["after_seq"] == -1
        ring.push_many(records[:3])
        later = Following(["signals"], (), (), {})
        assert lost_before_any(stream, later).of("began")[0]["after_seq"] == 2
        ring.push_many(records[3:])
        back = [lost_before_any(stream, one) for one in (empty, later)]
        stream.tick()
        for one in back:
            stream.leave(one.client)
    assert [seqs(one) for one in back] == [list(range(8)), [3, 4, 5, 6, 7]]
    assert [one.of("missed") for one in back] == [[], []]


def lost_before_any(stream: Broadcast, following: Following) -> Told:
    """A client that says its wish and has heard where its events begin."""
    told = Told(stream)
    stream.heard(told.client, following.wish.encode())
    for frame in told.frames:
        following.frame(json.dumps(frame))
    return told


def seqs(told: Told) -> list[int]:
    return [frame["signal"]["seq"] for frame in told.of("signal")]


def test_signals_that_the_ring_lost_while_nobody_read_are_missed(
    stream: Broadcast, listed_bed: Any
) -> None:
    told = Told(stream)
    told.wish("signals")
    told.client.pause()
    with (
        SignalRing.attach(listed_bed.namespace, SIGNALS) as shared,
        shared.producer() as ring,
    ):
        records = np.zeros(40, SIGNAL_DTYPE)  # the newer half of 64 slots is to be had
        records["kind"], records["generation"], records["seq"] = 1, 2, np.arange(40)
        ring.push_many(records)
        stream.resume(told.client)
        stream.tick()
    assert told.of("missed") == [{"type": "missed", "kind": "signals", "count": 8}]
    assert seqs(told) == list(range(8, 40))


def test_no_wish_ends_the_loop(stream: Broadcast, listed_bed: Any) -> None:
    data = listed_bed.settings.data_dir
    data.mkdir(parents=True, exist_ok=True)
    database_bed.store(data, id=1, symbol="AAA-USDT", direction="binance-bybit")
    told = Told(stream)
    beyond = 2**63
    for kind, wrong in (
        ("opportunities", {"after_id": -beyond - 1}),
        ("opportunities", {"after_id": -1}),
        ("opportunities", {"after_id": beyond}),
        ("opportunities", {"after_id": 2**80, "encoding": "msgpack"}),
        ("signals", {"after_seq": -2}),
        ("signals", {"after_seq": -beyond - 1}),
        ("signals", {"after_seq": beyond}),
        ("signals", {"ring": "x" * 33}),
        ("prices", {"pairs": ["\ud800"]}),
        ("books", {"pairs": ["\ud800"]}),
    ):
        told.wish(kind, **wrong)
        stream.tick()
    assert len(told.of("error")) == 10
    told.wish("opportunities", "signals", after_id=beyond - 1, after_seq=beyond - 1)
    stream.tick()
    assert [one["kind"] for one in told.of("began")] == ["opportunities", "signals"]


def test_a_fault_in_a_channel_is_its_clients_and_nobody_elses(
    gateway_of: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    faults: list[tuple[str, Exception]] = []
    stream = Broadcast(gateway_of().system, failed=lambda *fault: faults.append(fault))
    hurt, well = Told(stream), Told(stream)
    hurt.wish("prices", "status")
    well.wish("status")

    def fails(*_: object) -> None:
        raise OverflowError("too large")

    monkeypatch.setattr(stream._channels["prices"], "tick", fails)
    stream.tick()
    assert (len(hurt.let_go), len(well.let_go), stream.clients) == (1, 0, 1)
    assert [(kind, type(fault)) for kind, fault in faults] == [("prices", OverflowError)]
    stream.close()


@pytest.mark.parametrize("step", ["prepared", "snapshot", "resume"])
@pytest.mark.parametrize("stuck", [False, True], ids=["at once", "when it reads again"])
def test_a_fault_while_a_wish_is_heard_is_told_counted_and_whoevers_wish_it_was(
    gateway_of: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, step: str, stuck: bool
) -> None:
    faults: list[Exception] = []
    stream = Broadcast(gateway_of().system, failed=lambda _, fault: faults.append(fault))
    hurt, well = Told(stream), Told(stream)
    hurt.wish("prices")
    well.wish("status")

    def fails(*_: object) -> None:
        raise OverflowError("too large")

    monkeypatch.setattr(stream._channels["prices"], step, fails)
    if stuck:
        hurt.client.pause()
    hurt.wish("status", "prices")
    if stuck:
        stream.resume(hurt.client)
    well.wish("status")
    wrong = int(stuck or step != "resume")
    assert (len(hurt.let_go), len(well.let_go), stream.clients) == (wrong, 0, 2 - wrong)
    assert [type(fault) for fault in faults] == [OverflowError] * wrong
    assert len(well.of("status")) == 2
    stream.close()


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
