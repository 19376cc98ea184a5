"""Pins of every byte that two processes share. A failure here means: raise ABI_VERSION."""

import numpy as np
import pytest

from spread_scanner.schema.analysis import (
    BARS_DTYPE,
    BASIS_DTYPE,
    CELL_ANALYSIS_DTYPE,
    INDICATORS_DTYPE,
    PAIR_ANALYSIS_DTYPE,
)
from spread_scanner.schema.books import BOOK_DTYPE
from spread_scanner.schema.enums import DIRTY_READERS, UNUSABLE, QuoteFlag
from spread_scanner.schema.pools import POOL_DTYPE
from spread_scanner.schema.records import (
    EVALUATION_DTYPE,
    FOLLOW_UP_DTYPE,
    FUNDING_DTYPE,
    QUOTE_DTYPE,
    SIGNAL_DTYPE,
)
from spread_scanner.shm import (
    Control,
    Health,
    PriceStore,
    SignalRing,
    _dials,
    _store,
    layout,
)
from spread_scanner.shm.segment import Segment

# Name -> bytes, in order. No gaps are allowed, so the offsets follow and are pinned too.
QUOTE = "bid_px 8 bid_sz 8 ask_px 8 ask_sz 8 ts_event 8 ts_recv 8 update_id 8 flags 4 epoch 4"
SIGNAL = (
    "seq 8 mono_ns 8 ts_engine 8 ts_trigger 8 spot_bid_px 8 spot_bid_sz 8 spot_ask_px 8 "
    "spot_ask_sz 8 fut_bid_px 8 fut_bid_sz 8 fut_ask_px 8 fut_ask_sz 8 spot_ts_event 8 "
    "spot_ts_recv 8 fut_ts_event 8 fut_ts_recv 8 gross_bps 8 fees_bps 8 carry_bps 8 net_bps 8 "
    "exit_bps 8 size_quote 8 close_bps 8 usual_bps 8 parity_bps 8 size_base 8 spot_fee_bps 8 "
    "spot_update_id 8 fut_update_id 8 symbol_id 2 direction_id 1 kind 1 flags 4 generation 4 "
    "instance 4 usual_generation 4 reserved 4"
)
FOLLOW_UP = (
    "seq 8 mono_ns 8 ts_engine 8 of_seq 8 spot_update_id 8 fut_update_id 8 spot_ts_recv 8 "
    "fut_ts_recv 8 enter_bps 8 close_bps 8 net_bps 8 size_base 8 size_quote 8 rungs 128 "
    "symbol_id 2 direction_id 1 kind 1 flags 4 generation 4 instance 4 usual_generation 4 "
    "thin 1 reserved 3"
)
EVALUATION = (
    "ts_engine 8 gross_bps 8 fees_bps 8 carry_bps 8 net_bps 8 enter_bps 8 size_quote 8 "
    "size_quote_min 8 spot_age_ns 8 fut_age_ns 8 skew_ns 8 spot_px 8 fut_px 8 spot_flags 4 "
    "fut_flags 4 symbol_id 2 direction_id 1 verdict 1 count 4 exit_bps 8 close_bps 8 usual_bps 8 "
    "parity_bps 8 size_base 8 lot_base 8 learned 8 usual_generation 4 flags 4 "
    "z 8 z_min 8 z_mean_bps 8 z_deviation_bps 8 generation 4 spare 28 reserved 8"
)
FUNDING = (
    "rate 8 cap 8 floor 8 interval_h 8 next_wall_ns 8 asked_wall_ns 8 flags 4 listing 4 "
    "generation 8"
)
HEADER = (
    "state 8 magic 8 abi_version 4 kind 4 layout_hash 8 length 8 instance_id 8 anchor_ns 8 "
    "created_wall_ns 8 page_size 4 byte_order 4 creator_pid 4 creator 28 params 64 reserved 80 "
    "checksum 8"
)
ROW_HEAD = (
    "name 32 state 8 heartbeat_mono_ns 8 pid 8 started_wall_ns 8 starts 8 generation 8 "
    "longest_cycle_ns 8 message 128 version 40"
)
CONNECTION_HEAD = (
    "state 8 symbols 4 carries 4 number 4 ban_status 4 opened_mono_ns 8 heard_mono_ns 8 "
    "since_wall_ns 8 last_end 72 ban_until_mono_ns 8 provider 32 url 96"
)
DIAL_SLOT = (
    "key 8 dial_turn_ns 8 weight_turn_ns 8 ban_from_ns 8 ban_until_ns 8 ban_status 8 reserved 80 "
    "name 128"
)
SWITCHES = "generation 8 kill 8 issued_mono_ns 8 reserved 104"
SLOT = (
    "name 32 name_reserved 96 paused 8 stop_generation 8 reload_generation 8 command_reserved 104 "
    "ack_generation 8 ack_mono_ns 8 answer_count 8 ack_reserved 104 fixed 128 answers 512"
)
SWITCH = "state 8 since_wall_ns 8 kind 4 pid 4 checksum 4 reserved 4 name 64 user 32 command 128"
PAIR_ANALYSIS = (
    "ts 8 ts_sample 8 weight 24 usable_share 8 minutes 4 generation 4 flags 4 looked 4 "
    "entry 128 exit 128"
)
BASIS = "now 8 mean 24 deviation 24 z 24 median 8 q05 8 q25 8 q75 8 q95 8 half_life_s 8"
CELL_ANALYSIS = "ts 8 ts_sample 8 mid 8 generation 4 flags 4 frames 264 reserved 24"
BARS = "bars 8 closed 40 running 40"
BOOK = (
    "ts_event 8 ts_recv 8 update_id 8 top_since_ns 8 flags 4 epoch 4 symbol_id 4 source_id 1 "
    "bid_count 1 ask_count 1 spare 1 bid_kept 2 ask_kept 2 reserved 12 bids 320 asks 320"
)
POOL = (
    "key 44 program 20 mint0 44 mint1 44 symbol 40 why 248 price 8 reserve0 8 reserve1 8 "
    "liquidity 8 fee 8 slot 8 published 8 told_mono_ns 8 written_mono_ns 8 renewed_mono_ns 8 "
    "good_ns 8 decimals0 4 decimals1 4 flags 4 because 4 priority_price 8 priority_mono_ns 8 "
    "priority_slots 4 reserved 12"
)
INDICATORS = "rsi 8 ema 8 middle 8 upper 8 lower 8"
ANSWER = "generation 8 digest 8 outcome 4 checksum 4 text 232"


@pytest.mark.parametrize(
    ("dtype", "pinned", "size"),
    [
        (QUOTE_DTYPE, QUOTE, 64),
        (SIGNAL_DTYPE, SIGNAL, 256),
        (FOLLOW_UP_DTYPE, FOLLOW_UP, 256),
        (EVALUATION_DTYPE, EVALUATION, 256),
        (FUNDING_DTYPE, FUNDING, layout.SIZES["cell"]),
        (layout.HEADER_DTYPE, HEADER, 256),
        (layout.ROW_HEAD_DTYPE, ROW_HEAD, 256),
        (layout.SWITCHES_DTYPE, SWITCHES, 128),
        (layout.SWITCH_DTYPE, SWITCH, 256),
        (layout.SLOT_DTYPE, SLOT, 1_024),
        (layout.ANSWER_DTYPE, ANSWER, 256),
        (layout.CONNECTION_HEAD_DTYPE, CONNECTION_HEAD, 256),
        (layout.DIAL_SLOT_DTYPE, DIAL_SLOT, 256),
        (PAIR_ANALYSIS_DTYPE, PAIR_ANALYSIS, 320),
        (BASIS_DTYPE, BASIS, 128),
        (CELL_ANALYSIS_DTYPE, CELL_ANALYSIS, 320),
        (BARS_DTYPE, BARS, 88),
        (INDICATORS_DTYPE, INDICATORS, 40),
        (BOOK_DTYPE, BOOK, 704),
        (POOL_DTYPE, POOL, 576),
    ],
    ids=[
        "quote",
        "signal",
        "follow_up",
        "evaluation",
        "funding",
        "header",
        "row_head",
        "switches",
        "switch",
        "slot",
        "answer",
        "connection",
        "dial_slot",
        "pair_analysis",
        "basis",
        "cell_analysis",
        "bars",
        "indicators",
        "book",
        "pool",
    ],
)
def test_records_have_their_fields_at_their_offsets_without_padding(
    dtype: np.dtype, pinned: str, size: int
) -> None:
    words = pinned.split()
    offset = 0
    fields = dtype.fields
    assert dtype.names == tuple(words[::2])
    for name, bytes_ in zip(words[::2], map(int, words[1::2]), strict=True):
        assert fields is not None
        field_dtype, at = fields[name][:2]
        assert (at, field_dtype.itemsize) == (offset, bytes_), name
        offset += bytes_
    assert offset == size == dtype.itemsize


def test_native_sizes_are_those_of_the_records() -> None:
    assert layout.SIZES == {
        "quote": 64,
        "cell": 64,
        "sequence": 64,
        "source_row": 128,
        "wake": 128,
        "ring_control": 384,
        "histogram_buckets": 656,
        "readers_max": 8,
        "tick": 80,
        "level_change": 48,
    }
    assert len(DIRTY_READERS) <= layout.SIZES["readers_max"]


def test_native_flag_bits_equal_those_of_the_schema() -> None:
    flags = {flag.name: int(flag) for flag in QuoteFlag if flag}
    assert {**flags, "UNUSABLE": int(UNUSABLE)} == dict(_store.FLAGS)
    assert {flag.name: int(flag) for flag in QuoteFlag} == {
        "STALE": 1,
        "SILENT": 2,
        "LAGGING": 4,
        "CROSSED": 8,
        "NO_TS_EVENT": 16,
        "BID_EMPTY": 32,
        "ASK_EMPTY": 64,
        "JUMPED": 128,
        "OVERDUE": 256,
        "CONTENDED": 0x80000000,
    }


def test_store_offsets_are_pinned() -> None:
    store = layout.StoreLayout(8, 1024)
    assert (store.rows_at, store.sequences_at, store.cells_at) == (256, 1280, 525_568)
    assert (store.store_bytes, store.dirty_bytes) == (1_574_144, 2560)
    assert (store.words_per_source, store.words_stride, store.reader_stride) == (16, 16, 1152)
    largest = layout.StoreLayout(64, 16_384)
    assert (largest.store_bytes, largest.dirty_bytes) == (201_335_040, 262_656)
    odd = layout.StoreLayout(3, 100)
    assert (odd.words_per_source, odd.words_stride, odd.reader_stride) == (2, 16, 512)


def test_tape_offsets_are_pinned() -> None:
    tapes = layout.TapesLayout(8, 32_768)
    assert (tapes.tape(0).control_at, tapes.tape(0).slots_at) == (256, 640)
    assert (tapes.tape(1).control_at, tapes.tapes_bytes) == (2_622_080, 20_974_848)


def test_the_offsets_of_books_are_pinned() -> None:
    books = layout.BooksLayout(8, 1_024, 64, 32_768)
    assert (books.places_at, books.sequences_at, books.cells_at) == (256, 65_792, 98_560)
    assert (books.tape(0).control_at, books.tape(0).slots_at) == (819_456, 819_840)
    assert (books.tape(1).control_at, books.books_bytes) == (2_392_704, 13_405_440)


def test_ring_offsets_are_pinned() -> None:
    ring = layout.RingLayout(65_536, 192)
    assert (ring.control_at, ring.slots_at, ring.ring_bytes) == (256, 640, 12_583_552)


def test_health_and_control_offsets_are_pinned() -> None:
    assert (layout.ROW_COUNTERS_AT, layout.ROW_HISTOGRAMS_AT) == (256, 768)
    assert (layout.ROW_BYTES, layout.HEALTH_BYTES) == (21_760, 1_396_992)
    assert (layout.SWITCHES_AT, layout.CONTROL_WAKE_AT) == (256, 384)
    assert (layout.PAUSED_SOURCES_AT, layout.PAUSED_DIRECTIONS_AT) == (512, 576)
    assert (layout.STANDING_AT, layout.SLOTS_AT) == (640, 131_712)
    assert (layout.CONTROL_BYTES, layout.ACK_GENERATION_AT) == (197_248, 256)
    fields = layout.SLOT_DTYPE.fields
    assert fields is not None
    assert fields["ack_generation"][1] == layout.ACK_GENERATION_AT
    assert fields["answer_count"][1] == layout.ANSWER_COUNT_AT


def test_connection_rows_are_pinned() -> None:
    assert (layout.CONNECTION_COUNTERS_AT, layout.CONNECTION_HISTOGRAMS_AT) == (256, 768)
    assert (layout.CONNECTION_BYTES, layout.CONNECTIONS_MAX) == (11_264, 64)
    rows = layout.ConnectionsLayout(8)
    assert (rows.row_at(0, 0), rows.row_at(1, 1)) == (256, 732_416)
    assert rows.connections_bytes == 6_488_320  # those of providers with them
    fields = layout.CONNECTION_HEAD_DTYPE.fields
    assert fields is not None
    assert fields["state"][1] == 0  # what tells a free row from one in use


def test_dial_slots_are_pinned() -> None:
    assert _dials.SIZES["dial_slot"] == layout.DIAL_SLOT_DTYPE.itemsize
    assert (layout.DIAL_SLOTS, layout.DIALS_BYTES) == (64, 16_640)


def test_places_of_pools_are_pinned() -> None:
    assert (layout.POOLS_WAKE_AT, layout.POOLS_CHANGES_AT, layout.POOLS_SLOT_AT) == (256, 384, 392)
    assert layout.POOLS_CLOCK_AT == 400
    assert (layout.POOLS_SEQUENCES_AT, layout.POOLS_CELLS_AT) == (512, 16_896)
    assert (layout.POOL_STATE_SEQUENCES_AT, layout.POOL_STATES_AT) == (311_808, 328_192)
    assert layout.POOLS_BYTES == 8_716_800


def test_magic_and_state_words_spell_what_they_mean() -> None:
    assert layout.MAGIC.to_bytes(8, "little") == b"SPRDSHM1"
    assert layout.State.READY.to_bytes(8, "little") == b"READY\0\0\0"
    assert layout.State.RETIRED.to_bytes(8, "little") == b"RETRD\0\0\0"
    assert layout.ABI_VERSION == 11


def test_layout_hash_changes_with_a_record(monkeypatch: pytest.MonkeyPatch) -> None:
    before = layout.layout_hash()
    swapped = np.dtype([("bid_sz", "<f8"), ("bid_px", "<f8"), *QUOTE_DTYPE.descr[2:]])
    monkeypatch.setattr(layout, "QUOTE_DTYPE", swapped)
    assert layout.layout_hash() != before == layout.LAYOUT_HASH


@pytest.mark.parametrize(("sources", "symbols"), [(1, 1), (3, 100), (8, 1024), (64, 65)])
def test_b3_hot_lines_are_128_byte_aligned_where_they_are_mapped(
    namespace: str, sources: int, symbols: int
) -> None:
    with PriceStore.create(namespace, num_sources=sources, max_symbols=symbols) as store:
        where = store.layout
        with store.writer(0) as writer, store.dirty(DIRTY_READERS[0]):
            dirty_address = writer.view.dirty_memory
            assert dirty_address is not None
            for reader in range(where.num_readers):
                wake = dirty_address.address + where.readers_at + reader * where.reader_stride
                blocks = wake + layout.SIZES["wake"]
                assert wake % 128 == 0
                assert all(
                    (blocks + source * where.words_stride * 8) % 128 == 0
                    for source in range(sources)
                )
            base = writer.view.memory.address
            assert (base + where.rows_at) % 128 == 0
            assert (base + where.sequences_at) % 64 == 0
            assert (base + where.cells_at) % 64 == 0


def test_b3_ring_health_and_control_lines_are_128_byte_aligned_where_they_are_mapped(
    namespace: str,
) -> None:
    with (
        SignalRing.create(namespace, "signals", slots=4) as ring,
        Health.create(namespace) as health,
        Control.create(namespace) as control,
    ):
        with ring.producer() as producer:
            assert (producer.memory.address + ring.layout.control_at) % 128 == 0
            assert (producer.memory.address + ring.layout.slots_at) % 128 == 0
        with health.claim("first"), health.claim("second") as row:
            assert (row.memory.address + 256 + layout.ROW_BYTES) % 128 == 0
        with control.claim("first") as slot:
            held: Segment = slot.memory_segment
            assert (held.memory.address + layout.CONTROL_WAKE_AT) % 128 == 0
            assert (held.memory.address + layout.SLOTS_AT) % 128 == 0
