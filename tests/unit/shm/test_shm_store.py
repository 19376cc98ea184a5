"""The price store seen from Python: what is kept, what is refused, what is stale."""

import math

import numpy as np
import pytest

from spread_scanner.errors import SegmentError
from spread_scanner.schema.enums import DIRTY_READERS, UNUSABLE, QuoteFlag
from spread_scanner.schema.records import QUOTE_DTYPE, TS_ABSENT
from spread_scanner.shm import PriceStore, segment
from spread_scanner.shm.faults import AlreadyClaimed, BadInput, NoSegment, Retired

NAN = math.nan
GOOD = (100.0, 1.0, 101.0, 2.0, 5, 6, 7)


def quotes(count: int) -> np.ndarray:
    made = np.zeros(count, QUOTE_DTYPE)
    made["bid_px"], made["ask_px"] = 10.0, 11.0
    made["bid_sz"], made["ask_sz"] = 1.0, 2.0
    made["update_id"] = np.arange(count)
    return made


def ids(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.uint16)


def test_a_quote_reads_as_it_was_written(namespace: str) -> None:
    with PriceStore.create(namespace, num_sources=2, max_symbols=4) as store:
        assert store.read(1, 3) is None
        with store.writer(1) as writer:
            writer.write(3, *GOOD)
            writer.write(2, *GOOD, flags=QuoteFlag.LAGGING)
            quote = store.read(1, 3)
            assert quote is not None
            assert tuple(quote) == (*GOOD, 0, 1)
            assert quote == store.read(1, 3) == writer.own(3)
            assert len({quote, store.read(1, 3)}) == 1
            assert "bid_px=100.0" in repr(quote)
            flagged = store.read(1, 2)
            assert flagged is not None
            assert flagged.flags == QuoteFlag.LAGGING
            assert writer.own(0) is None
        assert store.read(0, 3) is None
        assert store.sequences[1].tolist() == [0, 0, 1, 1]
        assert store.cells[1, 3, 1]["bid_px"] == 100.0


def test_a_store_is_taken_away_whole_and_who_has_it_can_tell(namespace: str) -> None:
    with PriceStore.create(namespace, num_sources=1, max_symbols=1) as store:
        assert len(segment.names(namespace)) == 3
        PriceStore.remove(namespace)
        assert segment.names(namespace) == []
        assert store.retired
        with pytest.raises(NoSegment):
            PriceStore.attach(namespace, timeout_s=0)
    PriceStore.remove(namespace)  # nothing there


def test_people_cannot_write_through_the_views(namespace: str) -> None:
    with PriceStore.create(namespace, num_sources=1, max_symbols=1):
        pass
    with PriceStore.attach(namespace) as store:
        for view in (store.cells, store.sequences):
            with pytest.raises(ValueError, match="read-only"):
                view[...] = 0


def test_snapshot_and_read_many_mark_what_was_never_written(namespace: str) -> None:
    with (
        PriceStore.create(namespace, num_sources=2, max_symbols=3) as store,
        store.writer(1) as writer,
    ):
        writer.write(2, *GOOD)
        snapshot = store.snapshot()
        assert snapshot.shape == (2, 3)
        assert snapshot.dtype == QUOTE_DTYPE
        assert snapshot[1, 2]["ask_px"] == 101.0
        assert snapshot[1, 2]["flags"] == 0
        several = store.read_many(1, ids(2, 0, 2))
        assert several["update_id"].tolist() == [7, 0, 7]
        absent = several[1]
        assert np.isnan([absent["bid_px"], absent["ask_px"]]).all()
        assert absent["ts_event"] == absent["ts_recv"] == TS_ABSENT
        assert absent["flags"] & UNUSABLE
        assert absent == snapshot[0, 0] or repr(absent) == repr(snapshot[0, 0])


@pytest.mark.parametrize("symbol_id", [-1, 4, 65_536])
def test_a_symbol_id_out_of_range_is_refused_and_harms_nothing(
    namespace: str, symbol_id: int
) -> None:
    with (
        PriceStore.create(namespace, num_sources=1, max_symbols=4) as store,
        store.writer(0) as writer,
    ):
        before = store.snapshot().tobytes()
        with pytest.raises(BadInput, match=r"no such symbol id.*0 to 3"):
            writer.write(symbol_id, *GOOD)
        with pytest.raises(BadInput, match="no such symbol id"):
            store.read(0, symbol_id)
        with pytest.raises(BadInput, match="no such symbol id"):
            writer.own(symbol_id)
        assert store.snapshot().tobytes() == before


@pytest.mark.parametrize("source_id", [-1, 2, 64])
def test_a_source_id_out_of_range_is_refused(namespace: str, source_id: int) -> None:
    with PriceStore.create(namespace, num_sources=2, max_symbols=1) as store:
        with pytest.raises(SegmentError, match="no such source"):
            store.writer(source_id)
        with pytest.raises(BadInput, match="no such source"):
            store.read(source_id, 0)
        with pytest.raises(BadInput, match="no such source"):
            store.read_many(source_id, ids(0))
        with pytest.raises(BadInput, match="no such source"):
            store.epoch(source_id)
        with pytest.raises(BadInput, match="no such source"):
            store.heartbeat_mono_ns(source_id)


@pytest.mark.parametrize("side", ["bid", "ask"])
@pytest.mark.parametrize("value", [NAN, -1.0, 0.0, -0.0, math.inf, -math.inf])
def test_a_price_that_cannot_be_is_refused_and_harms_nothing(
    namespace: str, side: str, value: float
) -> None:
    with (
        PriceStore.create(namespace, num_sources=1, max_symbols=2) as store,
        store.writer(0) as writer,
    ):
        writer.write(1, *GOOD)
        before = store.snapshot().tobytes()
        prices = (value, 1.0, 101.0, 1.0) if side == "bid" else (100.0, 1.0, value, 1.0)
        with pytest.raises(BadInput, match=f"{side}_px"):
            writer.write(1, *prices, 5, 6, 7)
        assert store.snapshot().tobytes() == before
        assert store.sequences[0].tolist() == [0, 1]


@pytest.mark.parametrize("value", [NAN, -1.0, math.inf])
def test_a_size_that_cannot_be_is_refused(namespace: str, value: float) -> None:
    with (
        PriceStore.create(namespace, num_sources=1, max_symbols=2) as store,
        store.writer(0) as writer,
    ):
        with pytest.raises(BadInput, match="bid_sz must be finite and not negative"):
            writer.write(1, 100.0, value, 101.0, 1.0, 5, 6, 7)
        with pytest.raises(BadInput, match="ask_sz must be finite and not negative"):
            writer.write(1, 100.0, 1.0, 101.0, value, 5, 6, 7)
        assert store.read(0, 1) is None
        writer.write(1, 100.0, 0.0, 101.0, 0.0, 5, 6, 7)  # an empty top is a fact, not an error


def test_an_absent_side_is_nan_with_its_flag(namespace: str) -> None:
    with (
        PriceStore.create(namespace, num_sources=1, max_symbols=2) as store,
        store.writer(0) as writer,
    ):
        flags = QuoteFlag.BID_EMPTY
        writer.write(0, NAN, NAN, 101.0, 1.0, TS_ABSENT, 6, 7, flags=flags)
        quote = store.read(0, 0)
        assert quote is not None
        assert math.isnan(quote.bid_px)
        assert quote.flags == QuoteFlag.BID_EMPTY | QuoteFlag.NO_TS_EVENT
        with pytest.raises(BadInput, match="ASK_EMPTY"):
            writer.write(0, NAN, NAN, NAN, NAN, 5, 6, 7, flags=flags)


def test_a_crossed_quote_is_kept_and_flagged(namespace: str) -> None:
    with (
        PriceStore.create(namespace, num_sources=1, max_symbols=3) as store,
        store.writer(0) as writer,
    ):
        writer.write(0, 102.0, 1.0, 101.0, 1.0, 5, 6, 7)
        writer.write(1, 101.0, 1.0, 101.0, 1.0, 5, 6, 7)
        crossed = quotes(1)
        crossed["bid_px"] = 12.0
        writer.write_many(ids(2), crossed)
        first, locked, many = (store.read(0, symbol) for symbol in range(3))
        assert first is not None
        assert first.bid_px == 102.0
        assert first.flags == QuoteFlag.CROSSED
        assert locked is not None
        assert locked.flags == 0
        assert many is not None
        assert many.flags == QuoteFlag.CROSSED


@pytest.mark.parametrize(
    ("field", "value"),
    [("bid_px", NAN), ("ask_px", -1.0), ("bid_sz", math.inf), ("ask_sz", -1.0), ("bid_px", 0.0)],
)
def test_write_many_writes_all_or_nothing(namespace: str, field: str, value: float) -> None:
    with (
        PriceStore.create(namespace, num_sources=1, max_symbols=100) as store,
        store.writer(0) as writer,
        store.dirty(DIRTY_READERS[0]) as dirty,
    ):
        dirty.take_all()
        bad = quotes(80)
        bad[field][79] = value
        with pytest.raises(BadInput, match=rf"{field}.*row=79"):
            writer.write_many(np.arange(80, dtype=np.uint16), bad)
        with pytest.raises(BadInput, match="no such symbol id"):
            writer.write_many(ids(0, 100), quotes(2))
        assert not store.sequences.any()
        assert dirty.take_all() == ()
        writer.write_many(np.arange(80, dtype=np.uint16), quotes(80))
        assert store.read_many(0, ids(0, 63, 64, 79))["update_id"].tolist() == [0, 63, 64, 79]
        assert dirty.take(0).tolist() == list(range(80))


def test_write_many_refuses_arrays_of_another_kind(namespace: str) -> None:
    with (
        PriceStore.create(namespace, num_sources=1, max_symbols=4) as store,
        store.writer(0) as writer,
    ):
        swapped = np.dtype([("bid_sz", "<f8"), ("bid_px", "<f8"), *QUOTE_DTYPE.descr[2:]])
        refused: list[tuple[np.ndarray, np.ndarray]] = [
            (np.array([0, 1], np.int64), quotes(2)),
            (np.array([[0, 1]], np.uint16), quotes(2)),
            (ids(0, 1, 2, 3)[::2], quotes(2)),
            (ids(0, 1), quotes(3)),
            (ids(0, 1), quotes(2).reshape(1, 2)),
            (ids(0, 1), quotes(4)[::2]),
            (ids(0, 1), np.zeros((2, 8))[:, 0].copy()),
            (ids(0, 1), np.zeros(2, swapped)),
            (ids(0, 1), quotes(2).astype(QUOTE_DTYPE.newbyteorder(">"))),
        ]
        for symbols, rows in refused:
            with pytest.raises(BadInput):
                writer.write_many(symbols, rows)
        with pytest.raises(BadInput):
            store.read_many(0, np.array([0]))
        assert not store.sequences.any()
        writer.write_many(ids(), quotes(0))


def test_write_many_ignores_the_epoch_it_is_given(namespace: str) -> None:
    with (
        PriceStore.create(namespace, num_sources=1, max_symbols=1) as store,
        store.writer(0) as writer,
    ):
        rows = quotes(1)
        rows["epoch"] = 99
        writer.write_many(ids(0), rows)
        quote = store.read(0, 0)
        assert quote is not None
        assert quote.epoch == 1


def test_takeover_makes_quotes_of_the_previous_writer_stale_at_once(namespace: str) -> None:
    with PriceStore.create(namespace, num_sources=2, max_symbols=2) as store:
        with store.writer(0) as writer, store.writer(1) as other:
            writer.write(0, *GOOD)
            other.write(0, *GOOD)
        before = store.read(0, 0)
        assert before is not None
        assert before.flags == 0
        with store.writer(0) as successor:
            assert (successor.epoch, store.epoch(0)) == (2, 2)
            stale = store.read(0, 0)
            assert stale is not None
            assert stale.flags == QuoteFlag.STALE
            assert store.snapshot()[0, 0]["flags"] == QuoteFlag.STALE
            untouched = store.read(1, 0)
            assert untouched is not None
            assert untouched.flags == 0
            successor.write(0, *GOOD)
            fresh = store.read(0, 0)
            assert fresh is not None
            assert fresh.flags == 0


def test_c5_a_second_writer_is_refused_until_the_first_lets_go(namespace: str) -> None:
    with PriceStore.create(namespace, num_sources=2, max_symbols=1) as store:
        first = store.writer(0)
        assert store._held.claimed(0)
        with pytest.raises(AlreadyClaimed, match="source 0 is claimed"):
            store.writer(0)
        store.writer(1).close()
        first.close()
        assert not store._held.claimed(0)
        store.writer(0).close()


def test_c5_a_closed_writer_writes_no_more(namespace: str) -> None:
    with PriceStore.create(namespace, num_sources=1, max_symbols=1) as store:
        writer = store.writer(0)
        writer.close()
        writer.close()
        for act in (
            lambda: writer.write(0, *GOOD),
            lambda: writer.write_many(ids(0), quotes(1)),
            lambda: writer.mark_stale(),
            lambda: writer.heartbeat(1),
        ):
            with pytest.raises(ValueError, match="closed"):
                act()
        assert store.read(0, 0) is None


def test_mark_stale_flags_what_was_written_and_marks_it_dirty(namespace: str) -> None:
    with (
        PriceStore.create(namespace, num_sources=1, max_symbols=200) as store,
        store.writer(0) as writer,
        store.dirty(DIRTY_READERS[0]) as dirty,
    ):
        for symbol in (1, 70, 199):
            writer.write(symbol, *GOOD)
        dirty.take_all()
        assert writer.mark_stale(ids(1, 2)) == 1
        assert dirty.take(0).tolist() == [1]
        assert writer.mark_stale() == 2
        assert writer.mark_stale() == 0
        assert dirty.take(0).tolist() == [70, 199]
        assert writer.mark_stale(flag=QuoteFlag.SILENT) == 3
        quote = store.read(0, 70)
        assert quote is not None
        assert quote.flags == QuoteFlag.STALE | QuoteFlag.SILENT
        assert quote.bid_px == 100.0
        with pytest.raises(BadInput):
            writer.mark_stale(ids(200))


def test_heartbeats_are_per_source(namespace: str) -> None:
    with PriceStore.create(namespace, num_sources=2, max_symbols=1) as store:
        assert store.heartbeat_mono_ns(1) == 0
        with store.writer(1) as writer:
            writer.heartbeat(123_456)
        assert (store.heartbeat_mono_ns(0), store.heartbeat_mono_ns(1)) == (0, 123_456)


def test_who_is_attached_to_a_retired_store_can_tell_and_leaves(namespace: str) -> None:
    with PriceStore.create(namespace, num_sources=1, max_symbols=1) as old:
        reader = PriceStore.attach(namespace)
        writer = old.writer(0)
        writer.write(0, *GOOD)
        assert (old.retired, reader.retired, writer.retired) == (False, False, False)
        with PriceStore.create(namespace, num_sources=1, max_symbols=1) as new:
            assert old.retired
            assert reader.retired
            assert writer.retired
            assert not new.retired
            assert reader.read(0, 0) is not None  # what it mapped is still whole
            assert new.read(0, 0) is None
            writer.write(0, *GOOD)  # harms only the old one
            assert new.read(0, 0) is None
            for claim in (lambda: reader.writer(0), lambda: reader.dirty(DIRTY_READERS[0])):
                with pytest.raises(Retired):
                    claim()
            assert new.instance_id != old.instance_id
        writer.close()
        reader.close()


@pytest.mark.parametrize(("sources", "symbols"), [(0, 1), (65, 1), (1, 0), (1, 16_385)])
def test_sizes_out_of_range_are_refused(namespace: str, sources: int, symbols: int) -> None:
    with pytest.raises(SegmentError, match="out of range"):
        PriceStore.create(namespace, num_sources=sources, max_symbols=symbols)


def test_the_largest_symbol_id_has_a_cell_and_a_bit(namespace: str) -> None:
    with (
        PriceStore.create(namespace, num_sources=1, max_symbols=16_384) as store,
        store.writer(0) as writer,
        store.dirty(DIRTY_READERS[-1]) as dirty,
    ):
        assert len(dirty.take(0)) == 16_384
        writer.write(16_383, *GOOD)
        assert dirty.take(0).tolist() == [16_383]
        assert store.read(0, 16_383) is not None
