"""A latency is that of a quote just read: neither what time made nor what waited for a start is."""

from typing import Any

from tracking import tracking_of

from bed import until
from spread_scanner.clock import NS_PER_S
from spread_scanner.schema.names import TRACKER
from spread_scanner.schema.records import SIGNAL_AGED


def test_what_time_made_and_what_waited_for_the_tracker_has_no_latency(up_bed: Any) -> None:
    with tracking_of(up_bed) as tracking:

        def taken() -> int:
            tracking.tracker.turn()
            return tracking.health.read(TRACKER).counters["signals"]

        tracking.enter_signal(age_ns=3_600 * NS_PER_S)  # in the ring since before this life
        tracking.enter_signal(flags=SIGNAL_AGED)
        tracking.enter_signal()
        tracking.enter_signal(flags=SIGNAL_AGED)
        until(lambda: taken() == 4, taken)
        found = tracking.health.read(TRACKER).latencies["recv_to_pop"]
        assert found.total == 1
        assert found.max_ns < 3_600 * NS_PER_S
