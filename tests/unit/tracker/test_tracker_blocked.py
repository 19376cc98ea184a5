"""What is halted or paused, as the tracker sees it: a pair of which no signal can come."""

import contextlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bed import until
from spread_scanner.runtime import logs
from spread_scanner.runtime.process import Process
from spread_scanner.schema.enums import DIRECTIONS, SignalKind
from spread_scanner.schema.names import ENGINE, SIGNALS, TRACKER
from spread_scanner.schema.records import SIGNAL_DTYPE
from spread_scanner.shm import Control, Health, PriceStore, SignalRing
from spread_scanner.shm.connections import Connections
from spread_scanner.shm.operator import Operator
from spread_scanner.tracker.blocked import Blocked
from spread_scanner.tracker.main import Tracker
from spread_scanner.tracker.pairs import Pair

WAY = DIRECTIONS[0]
PAIR = Pair(
    direction_id=WAY.direction_id,
    direction=WAY.label,
    symbol_id=1,
    symbol="BBB-USDT",
    spot_source=WAY.spot.source_id,
    futures_source=WAY.futures.source_id,
    legs="",
)
OTHER = DIRECTIONS[5]
ELSEWHERE = PAIR._replace(
    direction_id=OTHER.direction_id,
    symbol="AAA-USDT",
    spot_source=OTHER.spot.source_id,
    futures_source=OTHER.futures.source_id,
)


@pytest.mark.parametrize(
    ("switch", "elsewhere_too"),
    [
        (lambda operator: operator.kill(), True),
        (lambda operator: operator.pause(ENGINE), True),
        (lambda operator: operator.pause_source(WAY.spot.source_id), False),
        (lambda operator: operator.pause_source(WAY.futures.source_id), False),
        (lambda operator: operator.pause_direction(WAY.direction_id), False),
        (lambda operator: operator.pause_symbol("BBB-USDT"), False),
    ],
)
def test_whatever_silences_the_engine_blocks_the_pair(
    up_bed: Any, switch: Callable[[Operator], object], elsewhere_too: bool
) -> None:
    with (
        Control.attach(up_bed.namespace) as control,
        control.operator() as operator,
        control.claim(ENGINE),
    ):
        assert not Blocked.read(up_bed.namespace).anything
        switch(operator)
        blocked = Blocked.read(up_bed.namespace)
    assert blocked.anything
    assert blocked.has(PAIR)
    assert blocked.has(ELSEWHERE) == elsewhere_too


def test_a_halt_makes_the_tracker_look_sparsely_until_a_signal_comes(up_bed: Any) -> None:
    namespace, settings = up_bed.namespace, up_bed.settings
    settings.data_dir.mkdir(exist_ok=True)
    with contextlib.ExitStack() as stack:
        enter = stack.enter_context
        prices = enter(PriceStore.attach(namespace))
        ring = enter(SignalRing.attach(namespace, SIGNALS))
        consumer, producer = enter(ring.consumer()), enter(ring.producer())
        control = enter(Control.attach(namespace))
        operator, slot = enter(control.operator()), enter(control.claim(TRACKER))
        health = enter(Health.attach(namespace))
        row = enter(health.claim(TRACKER))
        process = Process(TRACKER, settings, logs.set_up(TRACKER, "error"), row, slot)
        connections = enter(Connections.attach(namespace))
        tracker = Tracker(process, prices, ring, consumer, connections)
        tracker.recover()
        stack.callback(tracker.finish)

        def enter_signal(seq: int) -> None:
            made = np.zeros(1, SIGNAL_DTYPE)
            made["kind"], made["symbol_id"], made["seq"] = SignalKind.ENTER, 1, seq
            made["ts_engine"] = prices.clock.now_ns()
            producer.push_many(made)

        def sparse() -> list[bool]:
            tracker.turn()
            return [one.exited_ns is not None for one in tracker.book.watched()]

        enter_signal(0)
        until(lambda: sparse() == [False])
        operator.kill()
        until(lambda: sparse() == [True])
        operator.kill(killed=False)
        until(lambda: sparse() == [True] and not tracker._blocked.anything)
        enter_signal(1)
        until(lambda: sparse() == [False])
