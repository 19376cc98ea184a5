"""What the tracker asks of the ring: looking, and parking, beyond what it holds."""

import threading

import numpy as np

from spread_scanner.schema.records import SIGNAL_DTYPE
from spread_scanner.shm import SignalRing


def records(start: int, count: int) -> np.ndarray:
    made = np.zeros(count, SIGNAL_DTYPE)
    made["seq"] = np.arange(start, start + count)
    return made


def test_a_consumer_sees_each_record_once_while_it_holds_them(namespace: str) -> None:
    """Over the place where positions wrap, and over the end of the slots."""
    with (
        SignalRing.create(namespace, "signals", slots=16, start=2**64 - 40) as ring,
        ring.producer() as producer,
        ring.consumer() as consumer,
    ):
        seen: list[int] = []
        pushed = held = 0
        for turn in range(60):
            pushed += int(producer.push_many(records(pushed, turn % 7)))
            found = consumer.peek_many(4, held)["seq"].tolist()
            seen += found
            held += len(found)
            if turn % 3 == 0:
                held -= consumer.release(held // 2)
        while found := consumer.peek_many(4, held)["seq"].tolist():
            seen += found
            held += len(found)
        assert seen == list(range(pushed))
        assert consumer.peek_many(9)["seq"].tolist() == seen[-held:][:9], "still there"
        assert consumer.peek_many(9, 1_000).size == 0


def test_a_consumer_parks_on_what_it_has_not_seen(namespace: str) -> None:
    with (
        SignalRing.create(namespace, "signals", slots=16) as ring,
        ring.producer() as producer,
        ring.consumer() as consumer,
    ):
        producer.push_many(records(0, 3))
        assert consumer.wait(0, 2)
        assert not consumer.wait(1, 3)
        assert not consumer.wait(1, 2**63)
        pusher = threading.Thread(target=producer.push_many, args=(records(3, 1),))
        pusher.start()
        assert consumer.wait(20_000, 3)
        pusher.join()
        assert consumer.peek_many(9, 3)["seq"].tolist() == [3]
