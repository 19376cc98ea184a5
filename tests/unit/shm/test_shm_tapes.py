"""Tapes: every quote that is published while somebody asks, whoever publishes it, in its order."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from spread_scanner.errors import SegmentError
from spread_scanner.schema.enums import QuoteFlag
from spread_scanner.schema.log import TICK_DTYPE
from spread_scanner.schema.records import QUOTE_DTYPE
from spread_scanner.shm import PriceStore, segment
from spread_scanner.shm.faults import AlreadyClaimed, NoSegment, Retired
from spread_scanner.shm.tapes import Tapes

SLOTS = 8


@pytest.fixture
def store(namespace: str) -> Iterator[PriceStore]:
    with PriceStore.create(namespace, max_symbols=64, tape_slots=SLOTS) as made:
        yield made


def quotes(count: int, bid: float = 1.0) -> np.ndarray:
    made = np.zeros(count, QUOTE_DTYPE)
    made["bid_px"], made["ask_px"] = bid, bid + 1
    made["bid_sz"] = made["ask_sz"] = 1.0
    return made


def test_quotes_batches_and_marks_are_on_the_tape_as_they_stand_in_the_store(
    store: PriceStore, namespace: str
) -> None:
    with Tapes.attach(namespace) as tapes, tapes.reader(3) as tape, store.writer(3) as writer:
        tape.record()
        writer.write(5, 1.0, 2.0, 1.5, 2.5, 7, 8, 9)
        writer.write_many(np.array([6, 5], np.uint16), quotes(2))
        assert writer.mark_stale() == 2
        ticks = tape.pop_many(100)
    assert ticks.dtype == TICK_DTYPE
    assert ticks["number"].tolist() == [0, 1, 2, 3, 4]
    assert ticks["symbol_id"].tolist() == [5, 6, 5, 5, 6]
    assert set(ticks["source_id"]) == {3}
    stale = [bool(flags & QuoteFlag.STALE) for flags in ticks["quote"]["flags"]]
    assert stale == [False, False, False, True, True]
    first = ticks["quote"][0]
    assert [first[name] for name in ("bid_px", "ask_sz", "ts_event", "update_id")] == [1, 2.5, 7, 9]
    assert store.read(3, 5) is not None
    last = {int(tick["symbol_id"]): tick["quote"] for tick in ticks}
    for symbol_id in (5, 6):
        assert tuple(store.read(3, symbol_id) or ()) == tuple(last[symbol_id].tolist())


def test_nobody_asks_nothing_is_numbered(store: PriceStore, namespace: str) -> None:
    with Tapes.attach(namespace) as tapes, store.writer(0) as writer:
        writer.write_many(np.zeros(30, np.uint16), quotes(30))
        assert tapes.counters(0) == (0, 0, 0)
        with tapes.reader(0) as tape:
            writer.write(0, 1, 1, 2, 1, 0, 0, 0)
            assert tapes.counters(0) == (0, 0, 0), "to have it is not to ask"
            tape.record()
            writer.write(0, 1, 1, 2, 1, 0, 0, 0)
            assert tapes.counters(0) == (1, 0, 1)
        writer.write(0, 1, 1, 2, 1, 0, 0, 0)
        assert tapes.counters(0) == (1, 0, 1), "who goes asks no more"


def test_a_full_tape_drops_the_newest_and_the_numbers_show_the_hole(
    store: PriceStore, namespace: str
) -> None:
    with Tapes.attach(namespace) as tapes, store.writer(0) as writer, tapes.reader(0) as tape:
        tape.record()
        for number in range(SLOTS + 5):
            writer.write(number, 1, 1, 2, 1, 0, 0, 0)
        assert tapes.counters(0) == (SLOTS + 5, 5, SLOTS)
        assert tape.pop_many(100)["number"].tolist() == list(range(SLOTS))
        writer.write(63, 1, 1, 2, 1, 0, 0, 0)
        (tick,) = tape.pop_many(100)
        assert (tick["number"], tick["symbol_id"]) == (SLOTS + 5, 63)
        assert store.read(0, SLOTS + 4) is not None, "published all the same"


def test_numbers_go_on_over_the_lives_of_both(store: PriceStore, namespace: str) -> None:
    with Tapes.attach(namespace) as tapes:
        seen: list[int] = []
        for _ in range(4):
            with store.writer(0) as writer, tapes.reader(0) as tape:
                tape.record()
                for _ in range(3):
                    writer.write(0, 1, 1, 2, 1, 0, 0, 0)
                seen += tape.pop_many(100)["number"].tolist()
        assert seen == list(range(12))


def test_a_recorder_that_was_killed_is_asked_for_and_what_is_dropped_is_counted(
    store: PriceStore, namespace: str, start_python: Callable[..., object]
) -> None:
    child = start_python(
        "import sys, time\n"
        "from spread_scanner.shm.tapes import Tapes\n"
        "tape = Tapes.attach(sys.argv[1]).reader(0)\n"
        "tape.record()\n"
        "print('asks', flush=True)\n"
        "sys.stdin.read()\n",
        namespace,
    )
    assert child.stdout.readline() == "asks\n"  # type: ignore[attr-defined]
    with Tapes.attach(namespace) as tapes, store.writer(0) as writer:
        with pytest.raises(AlreadyClaimed):
            tapes.reader(0)
        child.kill()  # type: ignore[attr-defined]
        child.wait()  # type: ignore[attr-defined]
        for _ in range(SLOTS + 3):
            writer.write(0, 1, 1, 2, 1, 0, 0, 0)
        with tapes.reader(0) as tape:
            assert tapes.counters(0).dropped == 3
            assert len(tape.pop_many(100)) == SLOTS


def test_tapes_come_and_go_with_their_store(store: PriceStore, namespace: str) -> None:
    tapes = Tapes.attach(namespace)
    with pytest.raises(SegmentError, match="no such source"):
        tapes.reader(8)
    newer = PriceStore.create(namespace, tape_slots=SLOTS)
    assert tapes.retired
    with pytest.raises(Retired):
        tapes.reader(0)
    with pytest.raises(Retired):
        store.writer(0)
    PriceStore.remove(namespace)
    with pytest.raises(NoSegment):
        Tapes.attach(namespace, timeout_s=0)
    assert segment.names(namespace) == []
    newer.close()


@pytest.mark.parametrize("slots", [0, 3, 1 << 21])
def test_sizes_that_no_tape_has_are_refused(namespace: str, slots: int) -> None:
    with pytest.raises(SegmentError, match="power of two"):
        PriceStore.create(namespace, tape_slots=slots)
    assert segment.names(namespace) == []
