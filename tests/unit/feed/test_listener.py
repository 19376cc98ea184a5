"""The compiled listener: what it stores, what it skips, and what it does with bad bytes."""

import math
import random
import time
from collections.abc import Iterator

import numpy as np
import pytest
import structlog
from feed_bed import Bench, push
from picows import WSMsgType

from spread_scanner.clock import VirtualClock
from spread_scanner.config import Feed, SourceSettings
from spread_scanner.exchanges._match import Decoder
from spread_scanner.exchanges.registry import adapter_of
from spread_scanner.feed._listener import FLAGS, FRAGMENTS_BYTES_MAX, Listener
from spread_scanner.feed.connection import Connection
from spread_scanner.feed.counting import Counts
from spread_scanner.feed.evidence import Evidence
from spread_scanner.feed.listings import decoder_of
from spread_scanner.feed.share import Share
from spread_scanner.runtime.gate import Gate, Pace
from spread_scanner.runtime.life import rules_of
from spread_scanner.schema.enums import DIRTY_READERS, EXCHANGE_SOURCES, SOURCE_BY_LABEL, QuoteFlag
from spread_scanner.schema.records import TS_ABSENT
from spread_scanner.shm import segment
from spread_scanner.shm.dials import Dials
from spread_scanner.sim.tick import Tick
from spread_scanner.sim.universe import Universe
from spread_scanner.sim.wire import encoder, forms
from spread_scanner.symbology.tables import InstrumentRow

SETTINGS = SourceSettings(rest_url="https://rest.test", ws_url="wss://ws.test")
WALL_MS = 1_790_000_000_000
TEXT, BINARY, CONTINUATION = WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.CONTINUATION


@pytest.fixture
def bench(namespace: str) -> Iterator[Bench]:
    made = Bench(namespace)
    yield made
    made.close()


def put(listener: Listener, update_id: int, ts_ms: int = 0, px: float = 100.0) -> str:
    ts_event = ts_ms * 1_000_000 if ts_ms else TS_ABSENT
    return listener.quote(0, px, 1.0, px + 1, 2.0, ts_event, update_id)


def test_flag_bits_are_those_of_the_schema() -> None:
    assert {name: QuoteFlag[name] for name in FLAGS} == FLAGS


def test_a_name_that_the_native_tier_cannot_hold_does_not_stop_the_feed() -> None:
    row = InstrumentRow(1, 0, "X", 1.0, 1.0, None, None, None, None, False, False)
    adapter = adapter_of(SOURCE_BY_LABEL["binance-spot"], SETTINGS)
    decoder = decoder_of(adapter, {"X" * 65: row, 'A"B': row, "BTCUSDT": row})
    assert decoder.match(b"{}") is None


def test_a_connection_has_a_rate_of_its_own_from_sixteen_reads_on(bench: Bench) -> None:
    listener = bench.listener()
    for number in range(1, 16):
        put(listener, number)
    assert listener.mean_read_ns == 0.0

    put(listener, 16)
    assert 0.0 < listener.mean_read_ns <= listener.data_ns - listener.opened_ns


def test_a_quote_is_stored_with_its_time_epoch_and_flags(bench: Bench) -> None:
    listener = bench.listener()
    before = bench.store.clock.now_ns()

    assert listener.quote(3, 100.0, 1.5, 101.0, 2.5, TS_ABSENT, 7) == "stored"

    quote = bench.read(3)
    assert tuple(quote)[:4] == (100.0, 1.5, 101.0, 2.5)
    assert before <= quote.ts_recv <= bench.store.clock.now_ns()
    assert (quote.update_id, quote.epoch) == (7, bench.writer.epoch)
    assert quote.flags == QuoteFlag.NO_TS_EVENT
    assert listener.quoted[3] == 1
    assert listener.data_messages == 1


def test_absent_sides_and_crossed_books_are_stored_as_what_they_are(bench: Bench) -> None:
    listener = bench.listener()

    assert listener.quote(0, math.nan, math.nan, 5.0, 1.0, TS_ABSENT, 1) == "stored"
    assert bench.read(0).flags == QuoteFlag.NO_TS_EVENT | QuoteFlag.BID_EMPTY
    now_ns = bench.store.clock.now_ns()
    assert listener.quote(1, 6.0, 1.0, 5.0, 1.0, now_ns, 1) == "stored"
    assert bench.read(1).flags == QuoteFlag.CROSSED
    assert bench.counters["one_sided"] == 1
    assert bench.counters["crossed"] == 1


@pytest.mark.parametrize("bad", [0.0, -1.0, math.inf, -math.inf])
def test_a_price_that_cannot_be_is_not_stored(bench: Bench, bad: float) -> None:
    listener = bench.listener()

    assert listener.quote(0, bad, 1.0, 5.0, 1.0, TS_ABSENT, 1) == "impossible"
    assert listener.quote(0, 4.0, 1.0, bad, 1.0, TS_ABSENT, 1) == "impossible"
    assert bench.store.read(bench.source.source_id, 0) is None


def test_a_symbol_id_out_of_range_is_a_fault_of_ours(bench: Bench) -> None:
    for symbol_id in (-1, 64):
        with pytest.raises(IndexError):
            bench.listener().quote(symbol_id, 1.0, 1.0, 2.0, 1.0, TS_ABSENT, 1)


def test_old_news_is_skipped_and_counted(bench: Bench) -> None:
    listener = bench.listener()

    found = [put(listener, update_id) for update_id in (10, 10, 9, 11, 8)]

    assert found == ["stored", "duplicate", "out of order", "stored", "out of order"]
    assert bench.read().update_id == 11
    counters = bench.counters
    assert (counters["skip_duplicate"], counters["skip_out_of_order"]) == (1, 2)
    assert counters["quotes"] == 2


def test_what_a_connection_counts_is_in_its_own_row_and_in_the_sources(bench: Bench) -> None:
    rows = [bench.rows.take() for _ in range(2)]
    one, other = (bench.listener(number, row=row) for number, row in enumerate(rows, 1))

    now_ms = bench.store.clock.now_ns() // 1_000_000
    for listener, ids in ((one, (10, 10, 9)), (other, (11, 8, 12))):
        for update_id in ids:
            put(listener, update_id, ts_ms=now_ms - 40)
            push(listener, TEXT, b"{}")

    first, second = bench.connections.read(bench.source.source_id)
    total = bench.health.read(bench.source.process)
    assert (first.counters["quotes"], second.counters["quotes"]) == (1, 2)
    assert (first.counters["skip_duplicate"], second.counters["skip_duplicate"]) == (1, 0)
    assert (first.counters["messages"], second.counters["slow"]) == (3, 3)
    for label, count in total.counters.items():
        assert first.counters[label] + second.counters[label] == count, label
    for label, latency in total.latencies.items():
        assert first.latencies[label].total + second.latencies[label].total == latency.total > 0
    assert first.latencies["exchange_to_recv"].percentiles_ns[0] >= 39e6


def test_without_update_ids_everything_is_news(bench: Bench) -> None:
    listener = bench.listener()
    assert [put(listener, 0, px=px) for px in (1.0, 2.0, 1.0)] == ["stored"] * 3


def test_of_two_connections_the_first_by_update_id_wins(bench: Bench) -> None:
    one, other = bench.listener(1), bench.listener(2)

    found = [
        put(one, 5, px=5.0),
        put(other, 5, px=50.0),
        put(other, 6, px=6.0),
        put(one, 6, px=60.0),
    ]

    assert found == ["stored", "duplicate", "stored", "duplicate"]
    assert bench.read().bid_px == 6.0
    assert bench.board.wrote[0] == 2


def test_a_quote_that_nobody_stands_behind_is_replaced_by_whatever_comes(bench: Bench) -> None:
    put(bench.listener(1), 1_000)
    bench.writer.mark_stale(np.array([0], np.uint16))

    assert put(bench.listener(2), 3) == "stored"
    assert bench.read().update_id == 3
    assert not bench.read().flags & QuoteFlag.STALE


def test_the_same_quote_again_is_heard_and_gets_no_younger(bench: Bench) -> None:
    """A halted book is sent again by the clock like any other."""
    listener = bench.listener()
    put(listener, 5)
    first = bench.read()
    heard_ns = int(bench.board.heard_ns[0])
    time.sleep(
        1.01
    )  # a repeat is what comes after SS_REPEAT_NS_MIN; sooner it is a copy on its way

    assert put(listener, 5) == "repeat"

    assert bench.read().ts_recv == first.ts_recv
    assert bench.board.heard_ns[0] > heard_ns
    assert bench.board.news_ns[0] == heard_ns
    assert bench.counters["repeats"] == 1


def test_the_same_quote_again_on_time_takes_a_lagging_mark_back(bench: Bench) -> None:
    listener = bench.listener()
    put(listener, 5)
    bench.writer.mark_stale(np.array([0], np.uint16), int(QuoteFlag.LAGGING))

    assert put(listener, 5) == "repeat"
    assert not bench.read().flags & QuoteFlag.LAGGING


@pytest.mark.parametrize(
    ("mark", "outcome"), [(QuoteFlag.LAGGING, "repeat"), (QuoteFlag.SILENT, "duplicate")]
)
def test_a_mark_that_the_same_quote_lifts_wakes_whoever_waits_for_quotes(
    virtual_clock: VirtualClock, bench: Bench, mark: QuoteFlag, outcome: str
) -> None:
    """Nothing is stored in that read; the cell can be used again all the same."""
    virtual_clock.advance_ms(10_000)  # a time of zero is none
    listener = bench.listener()
    put(listener, 5)
    bench.writer.mark_stale(np.array([0], np.uint16), int(mark))
    with bench.store.dirty(DIRTY_READERS[0]) as reader:
        reader.take_all()
        reader._held.words.wake_prepare(bench.store.layout.readers_at)  # as whoever parks
        before = reader.notifications

        assert put(listener, 5) == outcome

        assert not bench.read().flags & mark
        assert reader.notifications == before + 1
        assert [ids.tolist() for _, ids in reader.take_all()] == [[0]]

        reader._held.words.wake_prepare(bench.store.layout.readers_at)
        put(listener, 5)
        assert reader.notifications == before + 1, "nothing has changed"


def test_an_exchange_that_begins_anew_is_believed_by_its_time(bench: Bench) -> None:
    listener = bench.listener()
    put(listener, 1_000, WALL_MS)

    assert put(listener, 7, WALL_MS + 999) == "out of order"
    assert put(listener, 7, WALL_MS + 1_000) == "reset"
    assert put(listener, 8, WALL_MS + 1_001) == "stored"
    assert bench.counters["resets"] == 1


def test_update_id_one_is_a_restart_at_once_unless_it_is_old(bench: Bench) -> None:
    listener = bench.listener()
    put(listener, 1_000, WALL_MS)

    assert put(listener, 1, WALL_MS - 1) == "out of order"
    assert put(listener, 1, WALL_MS) == "reset"


def test_a_second_connection_that_lags_is_no_restart(bench: Bench) -> None:
    put(bench.listener(1), 1_000, WALL_MS)
    late = bench.listener(2)

    assert put(late, 990, WALL_MS + 5_000) == "out of order"
    bench.board.let_go(1)  # the first one is gone
    assert put(late, 991, WALL_MS + 5_001) == "reset"


def test_what_was_on_its_way_when_a_symbol_was_left_holds_up_no_restart(bench: Bench) -> None:
    first, second = bench.listener(1), bench.listener(2)
    put(first, 1_000, WALL_MS)
    first.left[0] = 1
    assert put(first, 1_001, WALL_MS + 1) == "stored"
    assert bench.board.wrote[0] == 0

    assert put(second, 33, WALL_MS + 5_000) == "reset"
    assert put(first, 1_002, WALL_MS + 5_001) == "stored", "older, by no more than its way"
    assert put(second, 34, WALL_MS + 6_001) == "reset"
    assert bench.board.wrote[0] == 2


def now_ms(bench: Bench) -> int:
    return bench.store.clock.now_ns() // 1_000_000


def lagging(bench: Bench) -> bool:
    return bool(bench.read().flags & QuoteFlag.LAGGING)


def test_exchange_time_far_behind_its_best_makes_a_quote_lagging(bench: Bench) -> None:
    listener = bench.listener()
    now = now_ms(bench)

    put(listener, 1, now - 40_000)  # a clock that is off by forty seconds is nobody's lag
    assert not lagging(bench)
    put(listener, 2, now - 43_000)
    assert lagging(bench)
    put(listener, 3, now - 41_000)
    assert not lagging(bench)
    assert bench.counters["lagging_marks"] == 1


def test_no_clock_is_off_by_as_much_as_a_backlog_of_an_hour(bench: Bench) -> None:
    put(bench.listener(), 1, now_ms(bench) - 3_600_000)
    assert lagging(bench)


def test_one_quote_ahead_of_its_time_condemns_nobody(bench: Bench) -> None:
    listener = bench.listener()
    put(listener, 1, now_ms(bench) + 3_000)
    for number in range(2, 50):
        put(listener, number, now_ms(bench) - 20)
        assert not lagging(bench)
    put(listener, 50, now_ms(bench) + 3_000)
    put(listener, 51, now_ms(bench) - 20)
    assert not lagging(bench)
    assert bench.counters["clock_ahead"] == 2
    assert bench.health.read(bench.source.process).latencies["exchange_to_recv"].total == 49


def test_a_single_lag_too_good_to_be_true_condemns_nobody(bench: Bench) -> None:
    """The exchange's clock is 40 s behind, but for one message."""
    listener = bench.listener()
    found = []
    for number in range(1, 60):
        put(listener, number, now_ms(bench) - (0 if number == 20 else 40_000))
        found.append(lagging(bench))
    assert not any(found)


def test_a_time_that_lies_an_hour_ahead_is_none_and_the_quote_is_taken(bench: Bench) -> None:
    listener = bench.listener()
    put(listener, 1, now_ms(bench))
    assert put(listener, 2, now_ms(bench) + 3_600_000, px=200.0) == "stored"

    quote = bench.read()
    assert (quote.bid_px, quote.ts_event, quote.flags) == (
        200.0,
        TS_ABSENT,
        QuoteFlag.NO_TS_EVENT,
    )
    assert bench.counters["bad_times"] == 1
    put(listener, 3, now_ms(bench))
    assert bench.read().flags == 0


def test_the_best_lag_is_the_sources_over_all_its_connections(bench: Bench) -> None:
    for number in range(1, 20):
        put(bench.listener(1), number, now_ms(bench) - 20)
    put(bench.listener(2), 20, now_ms(bench) - 5_000)  # after a reconnect: nothing is forgotten
    assert lagging(bench)


def engine_quote(listener: Listener, update_id: int, sent_ms: int, made_ms: int) -> str:
    return listener.quote(0, 100.0, 1.0, 101.0, 1.0, sent_ms * 10**6, update_id, made_ms * 10**6)


def test_of_two_times_the_engines_is_the_quotes_where_the_id_is_new(bench: Bench) -> None:
    listener = bench.listener()
    now = now_ms(bench)
    # A quiet coin's first quote is of yesterday, and on time.
    engine_quote(listener, 1, now - 20, now - 86_400_000)
    assert (bench.read().ts_event, bench.read().flags) == ((now - 86_400_000) * 10**6, 0)

    engine_quote(listener, 2, now - 19, now - 22)
    assert (bench.read().ts_event, bench.read().flags) == ((now - 22) * 10**6, 0)

    # A fresh envelope about what the engine did half a minute ago.
    engine_quote(listener, 3, now - 10, now - 30_000)
    assert lagging(bench)


@pytest.mark.parametrize("slower_ms", [0, 1_500])
def test_of_two_connections_the_second_brings_a_late_quote_as_late_as_the_first(
    virtual_clock: VirtualClock, bench: Bench, slower_ms: int
) -> None:
    """Both envelopes are fresh. What is sent again a second later stands by then."""
    virtual_clock.advance_ms(10_000)  # a time of zero is none
    one, other, now = bench.listener(1), bench.listener(2), now_ms(bench)
    for number in range(1, 20):
        engine_quote(one, number, now - 20, now - 22)
    late = 20, now - 10, now - 30_000
    engine_quote(one, *late)
    virtual_clock.advance_ms(slower_ms)
    engine_quote(other, *late)
    assert lagging(bench)

    virtual_clock.advance_ms(1_100)
    engine_quote(other, 20, now_ms(bench) - 10, now - 30_000)
    assert not lagging(bench)


def test_the_same_book_again_after_a_reconnect_is_dated_by_its_sending(bench: Bench) -> None:
    now = now_ms(bench)
    engine_quote(bench.listener(1), 7, now - 30, now - 32)
    bench.writer.mark_stale(np.array([0], np.uint16))

    engine_quote(bench.listener(2), 7, now - 5, now - 32)

    assert (bench.read().ts_event, bench.read().flags) == ((now - 5) * 10**6, 0)


def test_without_ids_an_older_quote_of_another_connection_is_old_news(bench: Bench) -> None:
    now = now_ms(bench)
    put(bench.listener(3), 0, now, px=100.0)

    assert put(bench.listener(4), 0, now - 1_500, px=90.0) == "out of order"
    assert put(bench.listener(3), 0, now - 1_500, px=95.0) == "stored"  # it keeps its own order
    assert put(bench.listener(4), 0, now - 1_000, px=96.0) == "stored"


def test_a_restart_that_is_minutes_ahead_is_believed_from_any_connection(bench: Bench) -> None:
    put(bench.listener(1), 1_000, WALL_MS)
    other = bench.listener(2)

    assert put(other, 5, WALL_MS + 119_999) == "out of order"
    assert other.quoted[0] == 0  # what is not believed was not heard
    assert put(other, 6, WALL_MS + 120_000) == "reset"
    assert other.quoted[0] == 1


def test_what_is_out_of_order_is_not_heard(bench: Bench) -> None:
    listener = bench.listener()
    put(listener, 10)
    heard_ns = int(bench.board.heard_ns[0])
    put(listener, 9)
    assert bench.board.heard_ns[0] == heard_ns


def jumped(bench: Bench) -> bool:
    return bool(bench.read().flags & QuoteFlag.JUMPED)


@pytest.mark.parametrize("factor", [1_000.0, 5.1, 0.19, 0.001])
def test_a_price_that_jumps_is_flagged_until_it_is_back(bench: Bench, factor: float) -> None:
    listener = bench.listener()
    for update_id, px, expected in [
        (1, 100.0, False),
        (2, 100.0 * factor, True),
        (3, 101.0 * factor, True),
        (4, 100.0, False),
    ]:
        assert listener.quote(0, px, 1.0, px, 1.0, TS_ABSENT, update_id) == "stored"
        assert jumped(bench) is expected, update_id
    assert bench.counters["jumped"] == 2


@pytest.mark.parametrize("factor", [4.9, 0.21])
def test_a_squeeze_is_no_jump(bench: Bench, factor: float) -> None:
    listener = bench.listener()
    put(listener, 1, px=100.0)
    put(listener, 2, px=100.0 * factor)
    assert not jumped(bench)


def test_the_level_is_remembered_over_connections_and_judged_anew_when_asked(
    bench: Bench,
) -> None:
    put(bench.listener(1), 1)
    bench.writer.mark_stale(np.array([0], np.uint16))
    other = bench.listener(2)
    put(other, 2, px=100_000.0)
    assert jumped(bench)

    assert bench.board.judged([0]) == 1
    assert not jumped(bench)
    put(other, 3, px=100_000.0)
    assert not jumped(bench)


def test_a_book_that_is_wide_open_sets_no_level(bench: Bench) -> None:
    listener = bench.listener()
    listener.quote(0, 1.0, 1.0, 1_000.0, 1.0, TS_ABSENT, 1)
    put(listener, 2, px=10.0)
    assert not jumped(bench)


def test_a_path_that_lags_marks_what_carries_no_time(bench: Bench) -> None:
    listener = bench.listener()
    listener.path_lags = True
    put(listener, 1)
    assert lagging(bench)
    put(listener, 2, now_ms(bench))
    assert not lagging(bench)


def test_a_mark_is_taken_back_from_those_that_bear_it(bench: Bench) -> None:
    listener = bench.listener()
    put(listener, 1)
    listener.quote(1, 1.0, 1.0, 2.0, 1.0, now_ms(bench) * 10**6, 1)
    bench.writer.mark_stale(np.array([0, 1], np.uint16), int(QuoteFlag.SILENT))

    assert bench.board.unmark([0, 1, 2], QuoteFlag.SILENT, QuoteFlag.NO_TS_EVENT) == 1
    assert (bench.read(0).flags, bench.read(1).flags) == (
        QuoteFlag.NO_TS_EVENT,
        QuoteFlag.SILENT,
    )
    with pytest.raises(IndexError):
        bench.board.unmark([64], 1)


def test_a_pong_is_passed_on_with_its_payload(bench: Bench) -> None:
    push(bench.listener(), WSMsgType.PONG, b"12345678")
    assert bench.handler.pongs == [b"12345678"]


def test_a_closed_writer_is_beyond_the_native_path_too(bench: Bench) -> None:
    """A frame that is still read must not be stored, or counted, beside the source's next feed."""
    listener = bench.listener()
    put(listener, 1)
    bench.writer.close()
    with bench.store.writer(bench.source.source_id) as successor:
        successor.write(0, 5.0, 1.0, 6.0, 1.0, 1, 1, 1)
        bench.row.close()
        counted = bench.counters
        assert put(listener, 2) == "impossible"
        assert bench.read().bid_px == 5.0
        assert bench.counters == counted


def test_a_listener_that_hung_up_stores_nothing_and_passes_nothing_on(bench: Bench) -> None:
    listener = bench.listener()
    listener.hang_up()
    push(listener, TEXT, b"whatever")
    push(listener, CONTINUATION, b"whatever")
    assert bench.handler.messages == []


def test_messages_in_pieces_are_put_together(bench: Bench) -> None:
    listener = bench.listener()

    push(listener, TEXT, b'{"a":', fin=False)
    push(listener, CONTINUATION, b"[1,", fin=False)
    push(listener, CONTINUATION, b"2]}")
    push(listener, BINARY, b"\x00whole")

    assert bench.handler.messages == [b'{"a":[1,2]}', b"\x00whole"]
    assert bench.handler.broken_ones == []
    assert bench.counters["messages"] == 2


def test_frames_against_the_protocol_are_named_and_survived(bench: Bench) -> None:
    listener = bench.listener()

    push(listener, CONTINUATION, b"of nothing")
    push(listener, TEXT, b"compressed", rsv1=True)
    push(listener, TEXT, b"begun", fin=False)
    push(listener, TEXT, b"a new one")

    assert bench.handler.broken_ones == [
        "a continuation of nothing",
        "a compressed frame, which was never agreed",
        "a new message within a fragmented one",
    ]
    assert bench.handler.messages == [b"a new one"]


def test_a_message_in_pieces_is_bounded_and_reported_once(bench: Bench) -> None:
    listener = bench.listener()
    piece = bytes(FRAGMENTS_BYTES_MAX // 4)

    push(listener, TEXT, piece, fin=False)
    for _ in range(20):
        push(listener, CONTINUATION, piece, fin=False)
    push(listener, CONTINUATION, b"the end")
    push(listener, TEXT, b"next")

    assert bench.handler.broken_ones == ["a fragmented message beyond all bounds"]
    assert bench.handler.messages == [b"next"]


@pytest.mark.parametrize("seed", range(5))
def test_no_order_of_frames_raises_or_loses_a_whole_message(bench: Bench, seed: int) -> None:
    rng = random.Random(seed)
    listener = bench.listener()
    whole = 0
    for _ in range(3_000):
        kind = rng.choice([TEXT, BINARY, CONTINUATION])
        fin, rsv1 = rng.random() < 0.7, rng.random() < 0.05
        push(listener, kind, rng.randbytes(rng.choice([0, 1, 7, 300])), fin, rsv1)
        whole += kind is not CONTINUATION and fin and not rsv1
    assert len(bench.handler.messages) >= whole


class Tier:
    """A connection without a socket: its listener, adapter and slow tier as they are."""

    def __init__(
        self, bench: Bench, instruments: dict[str, InstrumentRow], *, native: bool
    ) -> None:
        adapter = adapter_of(bench.source, SETTINGS)
        log = structlog.get_logger()
        self.faults: list[BaseException] = []
        share = Share(
            adapter=adapter,
            # As shipped twenty bad ones in a row would end what is fed on here.
            settings=Feed(bad_messages_in_row_max=100_000),
            board=bench.board,
            row=bench.row,
            rows=bench.rows,
            decoder=decoder_of(adapter, instruments)
            if native
            else Decoder((), {}, protobuf=adapter.binary),
            instruments=instruments,
            connects=Gate(Dials.private(), "test", Pace(1.0)),
            evidence=Evidence(lambda *_, **__: None),
            log=log,
            fail=self.faults.append,
        )
        rules = rules_of(share.settings, adapter.limits.lifetime_s)
        self.kind = BINARY if adapter.binary else TEXT
        counts = Counts(bench.row, bench.rows.take())
        self.connection = Connection(share, counts, rules, lambda *_: None)

    def push(self, payload: bytes) -> None:
        push(self.connection.listener, self.kind, payload)


def payloads(
    label: str, rng: random.Random, count: int
) -> tuple[list[bytes], dict[str, InstrumentRow]]:
    """Messages of one source, a third of them damaged."""
    listings = [row for row in Universe(3, 12).by_source[label] if row.moves]
    rows = {
        row.exchange_symbol: InstrumentRow(
            row.source.source_id, number, row.exchange_symbol, float(row.px_mul),
            float(row.sz_mul), None, None, None, None, False, False,
        )
        for number, row in enumerate(listings[:-1])
    }  # fmt: skip
    made = []
    for number in range(count):
        listing = rng.choice(listings)
        px, sz = rng.randint(1, 10**9), rng.randint(0, 10**6)
        scale = 10 ** rng.randint(0, 12)
        tick = Tick(
            rng.choice([number, number // 2, 1]) + 1, f"{px / scale:.12f}", f"{sz / 100}",
            f"{(px + 1) / scale:.12f}", f"{sz / 7:.5f}", WALL_MS + number, number,
        )  # fmt: skip
        frame = encoder(listing, forms(listing)[0])(tick)
        payload = bytearray(frame[4 if frame[1] == 126 else 2 :])
        if rng.random() < 0.33:
            at = rng.randrange(len(payload))
            harm = rng.choice(["flip", "cut", "double", "insert"])
            if harm == "flip":
                payload[at] = rng.randrange(256)
            elif harm == "cut":
                del payload[at:]
            elif harm == "double":
                payload += payload[at:]
            else:
                payload[at:at] = rng.choice([b" ", b"0", b"-", b"e5", b'"', b"\\u0041"])
        made.append(bytes(payload))
    return made, rows


@pytest.mark.parametrize("label", [source.label for source in EXCHANGE_SOURCES])
def test_both_tiers_leave_the_same_cells_whatever_comes(namespace: str, label: str) -> None:
    seed = 11
    print(f"seed {seed}")
    messages, instruments = payloads(label, random.Random(seed), 2_000)
    cells, skipped = [], []
    for native in (True, False):
        bench = Bench(f"{namespace}-{native}", label)
        tier = Tier(bench, instruments, native=native)
        for message in messages:
            tier.push(message)
        assert tier.faults == []
        counters = bench.counters
        assert (counters["native"] > 500) is native
        assert counters["messages"] == len(messages)
        skipped.append({name: n for name, n in counters.items() if name.startswith("skip")})
        quotes = [bench.store.read(bench.source.source_id, symbol_id) for symbol_id in range(64)]
        cells.append(
            [
                None if one is None else (*map(repr, tuple(one)[:5]), one.update_id, one.flags)
                for one in quotes
            ]
        )
        bench.close()
        for name in segment.names(f"{namespace}-{native}"):
            segment.remove(name)
    assert cells[0] == cells[1]
    assert skipped[0] == skipped[1]
    assert sum(cell is not None for cell in cells[0]) > 5


ROW = InstrumentRow(1, 0, "X", 1.0, 1.0, None, None, None, None, False, False)


def test_a_connection_covers_what_it_carries_and_has_quoted(bench: Bench) -> None:
    connection = Tier(bench, {"X": ROW}, native=True).connection
    connection.subscription.join(["X"])
    assert not connection.covered(planned=False)[0]
    put(connection.listener, 1)
    assert connection.covered(planned=False)[0]
    connection.silent = True
    assert not connection.covered(planned=False)[0]
    connection.silent = False
    connection.subscription.leave(["X"])
    assert not connection.covered(planned=False)[0]


def test_an_id_that_is_given_to_another_coin_has_not_quoted(bench: Bench) -> None:
    connection = Tier(bench, {"X": ROW}, native=True).connection
    connection.subscription.join(["X"])
    put(connection.listener, 1)
    put(connection.listener, 2)
    connection.forget([0])
    bench.board.forget([0])

    assert not connection.watch.quoted("X")
    assert bench.board.mid[0] == bench.board.heard_ns[0] == bench.board.mean_ns[0] == 0


BINANCE = (
    b'{"e":"bookTicker","u":%d,"s":"X","ps":"X","b":"%s","B":"1","a":"101","A":"1","T":%d,"E":%d,'
    b'"st":1}'
)


@pytest.mark.parametrize("native", [True, False])
def test_a_binance_futures_quote_is_of_its_engines_time(bench: Bench, native: bool) -> None:
    tier = Tier(bench, {"X": ROW}, native=native)
    now = now_ms(bench)
    tier.push(BINANCE % (1, b"100", now - 25, now - 20))
    assert (bench.read().ts_event, bench.read().flags) == ((now - 25) * 10**6, 0)

    tier.push(BINANCE % (2, b"99", now - 30_000, now - 20))
    assert bench.read().ts_event == (now - 30_000) * 10**6
    assert lagging(bench)


@pytest.mark.parametrize("ms", [0, 1_790_000_000, 1_790_000_000_000_000])
def test_where_the_engines_time_cannot_be_when_it_was_sent_is_the_quotes(
    bench: Bench, ms: int
) -> None:
    """And judged: what is late by it is late."""
    tier = Tier(bench, {"X": ROW}, native=True)
    now = now_ms(bench)
    tier.push(BINANCE % (1, b"100", now - 20, now - 20))
    tier.push(BINANCE % (2, b"100", ms, now - 15))
    assert (bench.read().ts_event, bench.read().flags) == ((now - 15) * 10**6, 0)

    tier.push(BINANCE % (3, b"100", ms, now - 30_000))
    assert lagging(bench)
    assert bench.counters["bad_times"] == (2 if ms else 0)


UNREADABLE = {
    "a size at a price of zero": BINANCE % (3, b"0", 1_790_000_000_000, 1),
    "a price that is no number": BINANCE % (3, b"x", 1_790_000_000_000, 1),
    "half a side": b'{"e":"bookTicker","u":3,"s":"X","b":"1","B":"1","A":"1","T":1,"E":1}',
    "cut off": BINANCE[:60] % (3, b"1"),
}


@pytest.mark.parametrize("what", UNREADABLE)
def test_a_message_that_cannot_be_read_costs_the_quote_it_would_have_replaced(
    bench: Bench, what: str
) -> None:
    tier = Tier(bench, {"X": ROW}, native=True)
    now = now_ms(bench)
    tier.push(BINANCE % (1, b"100", now, now))
    tier.push(UNREADABLE[what])

    assert bench.read().flags & QuoteFlag.STALE
    assert bench.counters["unread_marks"] == 1
    tier.push(BINANCE % (4, b"100", now, now))
    assert not bench.read().flags


@pytest.mark.parametrize("ms", [1_790_000_000, 5, 4_200_000_000_000, -1])
def test_a_time_that_cannot_be_is_none_and_said(bench: Bench, ms: int) -> None:
    tier = Tier(bench, {"X": ROW}, native=True)
    tier.push(BINANCE % (1, b"100", ms, ms))

    assert (bench.read().bid_px, bench.read().ts_event) == (100.0, TS_ABSENT)
    assert bench.read().flags == QuoteFlag.NO_TS_EVENT
    assert bench.counters["bad_times"] == 1
    tier.push(BINANCE % (2, b"101", ms, ms))  # both of its times: still one quote
    assert (bench.read().bid_px, bench.read().ts_event) == (101.0, TS_ABSENT)
    assert bench.counters["bad_times"] == 2


# Both times as the message spells them: what is added to now, or the text itself.
TWO_TIMES = {
    "binance-futures": (
        '{"e":"bookTicker","u":1,"s":"X","ps":"X","b":"100","B":"1","a":"101","A":"1",'
        '"T":MADE,"E":SENT,"st":1}'
    ),
    "bybit-spot": (
        '{"topic":"orderbook.1.X","ts":SENT,"type":"snapshot","data":{"s":"X","b":[["100","1"]],'
        '"a":[["101","1"]],"u":1,"seq":2},"cts":MADE}'
    ),
    "mexc-futures": (
        '{"symbol":"X","data":{"cts":MADE,"asks":[[101,1,1]],"bids":[[100,1,1]],"version":1},'
        '"channel":"push.depth.full","ts":SENT}'
    ),
}
TWO_TIMES["binance-futures, combined"] = (
    f'{{"stream":"x@bookTicker","data":{TWO_TIMES["binance-futures"]}}}'
)
OF_TWO_TIMES: dict[str, tuple[int | str, int | str, str, int]] = {
    "made before it was sent": (-5, 0, "MADE", 0),
    "made and sent at once": (0, 0, "MADE", 0),
    "made as much later as two clocks may be apart": (500, 0, "MADE", 0),
    "made later than that": (501, 0, "SENT", 1),
    "made ten seconds later": (10_000, 0, "SENT", 1),
    "made a year later": (31_536_000_000, 0, "SENT", 1),
    "made in 2099": ("4102444799000", 0, "SENT", 1),
    "made in 2100": ("4102444800001", 0, "SENT", 1),
    "made in seconds": ("1790000000", 0, "SENT", 1),
    "made in microseconds": ("1790000000000000", 0, "SENT", 1),
    "made in 1970": ("86400000", 0, "SENT", 1),
    "made before 1970": ("-1", 0, "SENT", 1),
    "made at a time without end": ("1" * 40, 0, "SENT", 1),
    "made at a part of a ms": ("1790000000000.5", 0, "SENT", 1),
    "made at words": ('"soon"', 0, "SENT", 1),
    "made at a list": ("[1790000000000]", 0, "SENT", 1),
    "made at true": ("true", 0, "SENT", 1),
    "made at no time, 0": ("0", 0, "SENT", 0),
    "made at no time, null": ("null", 0, "SENT", 0),
    "made at no time, empty": ('""', 0, "SENT", 0),
    "sent in seconds": (0, "1790000000", "MADE", 1),
    "sent at words": (0, '"soon"', "MADE", 1),
    "sent at no time, 0": (0, "0", "MADE", 0),
    "sent at no time, null": (0, "null", "MADE", 0),
    "sent an hour ahead": (0, 3_600_000, "MADE", 1),
    "made at words, sent an hour ahead": ('"soon"', 3_600_000, "", 1),
    "made an hour ahead, sent at words": (3_600_000, '"soon"', "", 1),
    "both an hour ahead": (3_600_000, 3_600_000, "", 1),
    "both in seconds": ("1790000000", "1790000000", "", 1),
    "both words": ('"soon"', '"later"', "", 1),
    "neither": ("0", "null", "", 0),
}


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize("what", TWO_TIMES)
def test_of_two_times_the_one_that_can_be_is_the_quotes(
    namespace: str, what: str, native: bool
) -> None:
    for name, (made, sent, shown, counted) in OF_TWO_TIMES.items():
        bench = Bench(f"{namespace}-{name[:4]}", what.partition(",")[0])
        told = {"MADE": made, "SENT": sent}
        now = now_ms(bench)
        said = {key: str(now + one) if isinstance(one, int) else one for key, one in told.items()}
        frame = TWO_TIMES[what].replace("MADE", said["MADE"]).replace("SENT", said["SENT"])
        Tier(bench, {"X": ROW}, native=native).push(frame.encode())
        found = (bench.read().bid_px, bench.read().ts_event, bench.counters["bad_times"])
        bench.close()
        for one in segment.names(f"{namespace}-{name[:4]}"):
            segment.remove(one)

        time_ns = int(said[shown]) * 1_000_000 if shown else TS_ABSENT
        assert found == (100.0, time_ns, counted), (name, frame)


OKX = (
    b'{"arg":{"channel":"bbo-tbt","instId":"X"},"data":[{"asks":[["101","1","0","1"]],'
    b'"bids":[["100","1","0","1"]],"ts":%s,"seqId":1}]}'
)


@pytest.mark.parametrize(
    ("ts", "counted"), [(b"null", 0), (b'""', 0), (b'"soon"', 1), (b"[]", 1), (b"1.5e3", 1)]
)
def test_what_is_no_time_costs_a_quote_of_one_time_nothing_else(
    namespace: str, ts: bytes, counted: int
) -> None:
    bench = Bench(namespace, "okx-spot")
    Tier(bench, {"X": ROW}, native=True).push(OKX % ts)
    found = (bench.read().bid_px, bench.read().ts_event, bench.counters["bad_times"])
    bench.close()

    assert found == (100.0, TS_ABSENT, counted)


@pytest.mark.parametrize("label", ["bybit-spot", "mexc-futures"])
def test_what_was_sent_an_hour_ahead_is_of_its_engines_time(namespace: str, label: str) -> None:
    bench = Bench(namespace, label)
    now = now_ms(bench)
    frame = TWO_TIMES[label].replace("MADE", str(now)).replace("SENT", str(now + 3_600_000))
    Tier(bench, {"X": ROW}, native=True).push(frame.encode())
    found = (bench.read().ts_event, bench.counters["bad_times"])
    bench.close()

    assert found == (now * 1_000_000, 1)
