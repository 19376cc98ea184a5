"""Looking on at the signal ring."""

from typing import Any

import numpy as np
import pytest

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


def test_the_place_behind_a_signal_is_found_without_reading_the_ring(
    up_bed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As shipped it is 8 MB, and the gateway's loop looks for the place of each who comes back."""
    read: list[int] = []
    past = SignalRing.past

    def counted(ring: SignalRing, since: int, most: int | None = None) -> tuple[int, np.ndarray]:
        first, records = past(ring, since, most)
        read.append(len(records))
        return first, records

    monkeypatch.setattr(SignalRing, "past", counted)
    with (
        SignalRing.attach(up_bed.namespace, "signals") as ring,
        ring.producer() as producer,
        ring.consumer() as consumer,
        SignalTail.attach(up_bed.namespace) as tail,
    ):
        assert tail.place_after(-1) == tail.place_after(7) == 0
        for first in (0, 20, 47, 67):  # 40 to 46 are not there
            producer.push_many(_signals(first, 20))
            consumer.pop_many(64)
        there = [*range(40), *range(47, 87)]
        for place in range(48, 80):  # the newer half of 64 slots
            assert tail.place_after(there[place]) == place + 1
        assert tail.place_after(40) == 48 - (55 - 40 - 1)  # stands no more: as if none was missing
        assert tail.place_after(1_000) == 80
        read.clear()
        assert tail.place_after(60) == 54
        assert sum(read) < 8
