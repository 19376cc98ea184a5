"""The ring against a deque, its policy when full, its claims, and positions that cannot be."""

import itertools
import os
import subprocess
import threading
from collections import deque
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from spread_scanner import clock
from spread_scanner.errors import SegmentError
from spread_scanner.schema.records import SIGNAL_DTYPE
from spread_scanner.shm import SignalRing, segment
from spread_scanner.shm.faults import AlreadyClaimed, Retired, RingCorrupt, WrongSegment
from spread_scanner.shm.layout import Kind

RECORD = np.dtype([("number", "<u8"), ("check", "<u8")])
MIX = 0x9E37_79B9_7F4A_7C15
STARTS = {"zero": 0, "near_2_32": 2**32 - 3, "near_2_64": 2**64 - 3}
_numbers = itertools.count()


def records(first: int, count: int) -> np.ndarray:
    made = np.zeros(count, RECORD)
    made["number"] = np.arange(first, first + count, dtype=np.uint64)
    made["check"] = made["number"] * np.uint64(MIX)
    return made


def numbers_of(found: np.ndarray) -> list[int]:
    """The records' numbers, after a look that none is torn or invented."""
    assert (found["check"] == found["number"] * np.uint64(MIX)).all()
    return [int(number) for number in found["number"]]


class RingMachine(RuleBasedStateMachine):
    """Any sequence of pushes, pops, peeks, releases and restarts equals the same on a deque."""

    capacity = 1
    start = 0

    def __init__(self) -> None:
        super().__init__()
        self.namespace = f"test-ring-{os.getpid()}-{next(_numbers)}"
        self.ring = SignalRing.create(
            self.namespace, "r", slots=self.capacity, record_dtype=RECORD, start=self.start
        )
        self.producer = self.ring.producer()
        self.consumer = self.ring.consumer()
        self.model: deque[int] = deque()
        self.pushed = self.popped = self.dropped = 0

    def _amount(self, share: float) -> int:
        return int(share * (self.capacity + 2))

    @rule(share=st.floats(0, 1))
    def push_many(self, share: float) -> None:
        batch = records(self.pushed, self._amount(share))
        fits = min(len(batch), self.capacity - len(self.model))
        assert self.producer.push_many(batch) == fits
        self.model.extend(range(self.pushed, self.pushed + fits))
        self.pushed += len(batch)
        self.dropped += len(batch) - fits

    @rule()
    def try_push(self) -> None:
        fits = len(self.model) < self.capacity
        assert self.producer.try_push(records(self.pushed, 1)[0]) is fits
        if fits:
            self.model.append(self.pushed)
        self.pushed += 1
        self.dropped += not fits

    @rule(share=st.floats(0, 1))
    def pop_many(self, share: float) -> None:
        limit = self._amount(share)
        expected = [self.model.popleft() for _ in range(min(limit, len(self.model)))]
        assert numbers_of(self.consumer.pop_many(limit)) == expected
        self.popped += len(expected)

    @rule(share=st.floats(0, 1))
    def peek_changes_nothing(self, share: float) -> None:
        limit = self._amount(share)
        found = numbers_of(self.consumer.peek_many(limit))
        assert found == list(itertools.islice(self.model, limit))

    @rule(share=st.floats(0, 1))
    def release(self, share: float) -> None:
        count = self._amount(share)
        given = min(count, len(self.model))
        assert self.consumer.release(count) == given
        for _ in range(given):
            self.model.popleft()
        self.popped += given

    @rule()
    def producer_restarts(self) -> None:
        self.producer.close()
        self.producer = self.ring.producer()

    @rule()
    def consumer_restarts(self) -> None:
        self.consumer.close()
        self.consumer = self.ring.consumer()

    @precondition(lambda self: self.model)
    @rule()
    def waiting_for_what_is_there_returns_at_once(self) -> None:
        assert self.consumer.wait(1000.0)

    @invariant()
    def the_counters_balance(self) -> None:
        counters = self.ring.counters()
        assert counters.pushed == self.pushed
        assert counters.popped == self.popped
        assert counters.dropped == self.dropped
        assert counters.in_ring == len(self.model)
        assert counters.notifications == 0  # the consumer was never parked
        assert self.ring.position == self.pushed - self.dropped

    def teardown(self) -> None:
        self.producer.close()
        self.consumer.close()
        self.ring.close()
        for name in segment.names(self.namespace):
            segment.remove(name)


@pytest.mark.parametrize("start", STARTS.values(), ids=STARTS)
@pytest.mark.parametrize("capacity", [1, 2, 3, 65_536])
def test_r1_ring_equals_a_deque(capacity: int, start: int) -> None:
    """R1 FIFO, no loss, duplicate or invention; R2 exact counts of what a full ring refused.

    Capacity 3 is refused, as positions are masked; what can be built behaves.
    """
    if capacity == 3:
        with pytest.raises(SegmentError, match="power of two"):
            SignalRing.create(f"test-ring-{os.getpid()}", "r", slots=3)
        capacity = 4
    run_state_machine_as_test(
        type("Machine", (RingMachine,), {"capacity": capacity, "start": start}),
        settings=settings(
            max_examples=25,
            stateful_step_count=40,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_r2_a_full_ring_drops_the_newest_and_counts_exactly(namespace: str) -> None:
    """Dropping the newest is the only policy: the producer never waits, nothing is overwritten."""
    with (
        SignalRing.create(namespace, "r", slots=4, record_dtype=RECORD) as ring,
        ring.producer() as producer,
        ring.consumer() as consumer,
    ):
        assert producer.push_many(records(0, 6)) == 4
        assert producer.try_push(records(6, 1)) is False
        assert ring.counters() == (7, 0, 3, 4, 0)
        assert numbers_of(consumer.pop_many(2)) == [0, 1]
        assert producer.push_many(records(7, 3)) == 2
        assert numbers_of(consumer.pop_many(99)) == [2, 3, 7, 8]
        assert ring.counters() == (10, 6, 4, 0, 0)


def test_r3_what_a_dead_consumer_had_not_released_is_there_again(namespace: str) -> None:
    with (
        SignalRing.create(namespace, "r", slots=8, record_dtype=RECORD) as ring,
        ring.producer() as producer,
    ):
        producer.push_many(records(0, 5))
        with ring.consumer() as consumer:
            assert numbers_of(consumer.peek_many(4)) == [0, 1, 2, 3]
            assert consumer.release(2) == 2
        with ring.consumer() as successor:
            assert numbers_of(successor.pop_many(99)) == [2, 3, 4]


WILD = [1, 5, 2**31, 2**32, 2**63, 2**64 - 9]


@pytest.mark.parametrize("wild", WILD)
@pytest.mark.parametrize("end", ["write_pos", "read_pos"])
def test_r4_a_position_that_cannot_be_is_detected_and_not_followed(
    namespace: str, end: str, wild: int
) -> None:
    with (
        SignalRing.create(namespace, "r", slots=4, record_dtype=RECORD) as ring,
        ring.producer() as producer,
        ring.consumer() as consumer,
    ):
        producer.push_many(records(0, 4))
        name = segment.segment_name(namespace, "ring.r")
        with_claims = segment.attach(name, Kind.RING, writable=True)
        at = ring.layout.control_at + (0 if end == "write_pos" else 128)
        right = with_claims.words.load(at)
        # Beyond the other position by more than the capacity, whichever of the two is wild.
        value = right + 4 + wild if end == "write_pos" else right - wild
        with_claims.words.store(at, value % 2**64)
        slots_before = with_claims.bytes_at(ring.layout.slots_at, 4 * 16)
        with pytest.raises(RingCorrupt, match=r"write_pos.*read_pos") as refused:
            producer.push_many(records(4, 1))
        assert refused.value.evidence[end] == value % 2**64
        assert ring.counters().in_ring > 4
        consumer.close()
        with ring.consumer() as successor:
            for read in (successor.pop_many, successor.peek_many, successor.release):
                with pytest.raises(RingCorrupt, match="nothing was read"):
                    read(1)
            assert successor.wait(0.0)  # there is something to look at: the fault
        assert with_claims.bytes_at(ring.layout.slots_at, 4 * 16) == slots_before
        with_claims.words.store(at, right)
        with ring.consumer() as healed:
            assert numbers_of(healed.pop_many(99)) == [0, 1, 2, 3]
        with_claims.close()


def test_who_looks_on_is_given_no_more_than_it_asks_for(namespace: str) -> None:
    with (
        SignalRing.create(namespace, "r", slots=16, record_dtype=RECORD) as ring,
        ring.producer() as producer,
    ):
        producer.push_many(records(0, 12))
        for since, most, first, numbers in (
            (9, None, 9, [9, 10, 11]), (9, 2, 9, [9, 10]), (9, 0, 9, []),
            (0, 3, 4, [4, 5, 6]), (12, 1, 12, []),
        ):  # fmt: skip
            found_first, found = ring.past(since, most)
            assert (found_first, numbers_of(found)) == (first, numbers), (since, most)


def test_each_end_has_one_owner(namespace: str) -> None:
    with SignalRing.create(namespace, "r", slots=4, record_dtype=RECORD) as ring:
        with ring.producer(), ring.consumer():
            with pytest.raises(AlreadyClaimed, match="write end of ring 'r'"):
                ring.producer()
            with pytest.raises(AlreadyClaimed, match="read end of ring 'r'"):
                ring.consumer()
        ring.producer().close()
        ring.consumer().close()


def test_records_of_another_kind_are_refused(namespace: str) -> None:
    with (
        SignalRing.create(namespace, "r", slots=4, record_dtype=RECORD) as ring,
        ring.producer() as producer,
    ):
        with pytest.raises(ValueError, match="records must be of"):
            producer.push_many(np.zeros(1, SIGNAL_DTYPE))
        with pytest.raises(ValueError, match="contiguous"):
            producer.push_many(records(0, 4)[::2])
        with pytest.raises(ValueError, match="one record"):
            producer.try_push(records(0, 2))
        assert ring.counters().pushed == 0
        assert producer.push_many(records(0, 0)) == 0
        same_size = np.dtype([("check", "<u8"), ("number", "<u8")])
        for other in (SIGNAL_DTYPE, same_size):
            with pytest.raises(WrongSegment, match="other records"):
                SignalRing.attach(namespace, "r", record_dtype=other)


@pytest.mark.parametrize("slots", [0, -1, 3, 65_537, 2**21])
def test_a_number_of_slots_that_cannot_be_is_refused(namespace: str, slots: int) -> None:
    with pytest.raises(SegmentError, match="power of two"):
        SignalRing.create(namespace, "r", slots=slots)


def test_a_replaced_ring_is_never_claimed_with_the_old_ones_size(namespace: str) -> None:
    with SignalRing.create(namespace, "r", slots=64, record_dtype=RECORD) as old:
        producer = old.producer()
        with SignalRing.create(namespace, "r", slots=4, record_dtype=RECORD) as new:
            assert old.retired
            assert not new.retired
            assert old.instance_id != new.instance_id
            for claim in (old.producer, old.consumer):
                with pytest.raises(Retired):
                    claim()
            new.producer().close()
            producer.push_many(records(0, 9))
            assert new.counters().pushed == 0
        producer.close()


def test_rings_of_one_namespace_are_apart(namespace: str) -> None:
    with (
        SignalRing.create(namespace, "a", slots=4, record_dtype=RECORD) as first,
        SignalRing.create(namespace, "b", slots=4, record_dtype=RECORD) as second,
        first.producer() as producer,
    ):
        producer.push_many(records(0, 3))
        assert (first.position, second.position) == (3, 0)


@pytest.mark.parametrize("timeout_ms", [-1.0, float("nan"), float("inf"), 3.7e6])
def test_a_wait_without_a_bound_is_refused(namespace: str, timeout_ms: float) -> None:
    with (
        SignalRing.create(namespace, "r", slots=4, record_dtype=RECORD) as ring,
        ring.consumer() as consumer,
        pytest.raises(ValueError, match="timeout_ms"),
    ):
        consumer.wait(timeout_ms)


def test_a_consumer_peeks_and_waits_beyond_what_it_holds(namespace: str) -> None:
    with (
        SignalRing.create(namespace, "r", slots=8, record_dtype=RECORD) as ring,
        ring.producer() as producer,
        ring.consumer() as consumer,
    ):
        producer.push_many(records(0, 5))
        assert numbers_of(consumer.peek_many(3)) == [0, 1, 2]
        assert numbers_of(consumer.peek_many(99, beyond=3)) == [3, 4]
        assert numbers_of(consumer.peek_many(99, beyond=5)) == []
        assert numbers_of(consumer.peek_many(2**64 - 1, beyond=2**64 - 1)) == []
        assert consumer.wait(0.0, beyond=4)
        assert not consumer.wait(0.0, beyond=5)
        producer.push_many(records(5, 1))
        assert numbers_of(consumer.peek_many(99, beyond=5)) == [5]
        assert consumer.release(6) == 6


PUSH_LATER = """
import sys, time
import numpy as np
from spread_scanner.schema.records import SIGNAL_DTYPE
from spread_scanner.shm import SignalRing
with SignalRing.attach(sys.argv[1], "warm") as ring, ring.producer() as producer:
    time.sleep(0.05)  # several pieces of the park are over
    record = np.zeros((), SIGNAL_DTYPE)
    record["seq"] = 7
    assert producer.try_push(record)
"""


def test_wait_peek_kept_warm_still_waits_to_its_end_and_wakes_for_a_signal(
    namespace: str, start_python: Callable[..., subprocess.Popen[str]]
) -> None:
    ring = SignalRing.create(namespace, "warm", slots=8)
    with ring, ring.consumer() as consumer:
        before_ns = clock.mono_ns()
        assert len(consumer.wait_peek(30, 4, 0, 2)[0]) == 0
        assert clock.mono_ns() - before_ns >= 28_000_000  # all pieces but the last begun one
        pusher = start_python(PUSH_LATER, namespace)
        found, copied_ns = consumer.wait_peek(20_000, 4, 0, 1)
        assert found["seq"].tolist() == [7]
        assert copied_ns <= clock.mono_ns()
        assert pusher.wait(20) == 0
        # A notify without a record is a reason to return as well: somebody has something to tell.
        threading.Timer(0.05, consumer.notify).start()
        consumer.release(1)
        assert len(consumer.wait_peek(20_000, 4, 0, 1)[0]) == 0


def test_wait_peek_gives_what_is_there_and_when_it_was_copied(namespace: str) -> None:
    ring = SignalRing.create(namespace, "peeked", slots=8)
    records = np.zeros(5, SIGNAL_DTYPE)
    records["seq"] = range(5)
    with ring, ring.producer() as producer, ring.consumer() as consumer:
        empty, before_ns = consumer.wait_peek(0, 4)
        assert len(empty) == 0
        producer.push_many(records)
        first, after_ns = consumer.wait_peek(1_000, 4)
        assert first["seq"].tolist() == [0, 1, 2, 3]
        assert after_ns >= before_ns
        rest, _ = consumer.wait_peek(1_000, 4, 4)
        assert rest["seq"].tolist() == [4]
        assert consumer.release(5) == 5
        assert len(consumer.wait_peek(0, 1_000_000)[0]) == 0
