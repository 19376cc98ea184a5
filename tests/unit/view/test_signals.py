"""Looking on at the signal ring."""

from typing import Any

import numpy as np

from spread_scanner.schema.records import SIGNAL_DTYPE
from spread_scanner.shm import SignalRing
from spread_scanner.view.signals import SignalTail


def _signals(first: int, count: int) -> np.ndarray:
    records = np.zeros(count, SIGNAL_DTYPE)
    records["seq"] = np.arange(first, first + count)
    records["kind"] = 1
    records["net_bps"] = 12.5
    return records


def test_an_onlooker_sees_all_signals_and_takes_none(up_bed: Any) -> None:
    with (
        SignalRing.attach(up_bed.namespace, "signals") as ring,
        ring.producer() as producer,
        ring.consumer() as consumer,
        SignalTail.attach(up_bed.namespace) as tail,
    ):
        producer.push_many(_signals(0, 5))
        assert tail.take()["seq"].tolist() == [0, 1, 2, 3, 4]
        assert consumer.pop_many(10)["seq"].tolist() == [0, 1, 2, 3, 4]
        producer.push_many(_signals(5, 2))
        assert tail.take()["seq"].tolist() == [5, 6]
        assert len(tail.take()) == 0
        assert tail.missed == 0


def test_an_onlooker_that_comes_too_late_counts_what_it_missed(up_bed: Any) -> None:
    with (
        SignalRing.attach(up_bed.namespace, "signals") as ring,
        ring.producer() as producer,
        ring.consumer() as consumer,
        SignalTail.attach(up_bed.namespace) as tail,
    ):
        for first in range(0, 200, 20):
            producer.push_many(_signals(first, 20))
            consumer.pop_many(64)
        seen = tail.take()["seq"].tolist()
        assert seen == list(range(168, 200))  # the newer half of 64 slots
        assert tail.missed == 168
