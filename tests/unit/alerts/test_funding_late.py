"""Funding that nobody tells any more is told of, from the same records that `status` shows."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from alerts_bed import conditions_of

from spread_scanner import clock
from spread_scanner.alerts.conditions import Conditions
from spread_scanner.clock import VirtualClock
from spread_scanner.schema.funding import FundingNow, listing_of
from spread_scanner.shm.funding import FundingTable

HOUR_MS = 3_600_000
BYBIT = 3
KEY = "funding:bybit-futures"


@pytest.fixture
def watch(virtual_clock: VirtualClock, up_bed: Any) -> Iterator[Conditions]:
    virtual_clock.advance_ms(1_000)  # a heartbeat at the clock's zero would be none
    with conditions_of(up_bed.settings) as made:
        yield made


def tell(namespace: str, interval_h: float) -> None:
    row = FundingNow(1e-4, 0.01, -0.01, interval_h, 0, clock.wall_ns(), 0, listing_of("AAAUSDT"), 1)
    with FundingTable.attach(namespace) as table, table.writer() as writer:
        writer.write(BYBIT, 0, row)


def late(watch: Conditions) -> str:
    """What is said of the one futures source that the tables hold."""
    said = [one.text for one in watch.now() if one.key.startswith("funding:")]
    assert all(one.key == KEY for one in watch.now() if one.key.startswith("funding:"))
    return said[0] if said else ""


def test_a_source_that_tells_nothing_for_an_interval_is_told_of(
    watch: Conditions, up_bed: Any, virtual_clock: VirtualClock
) -> None:
    tell(up_bed.namespace, 4.0)
    assert late(watch) == ""
    virtual_clock.advance_ms(4 * HOUR_MS - 1_000)
    assert late(watch) == ""
    virtual_clock.advance_ms(2_000)
    said = late(watch)
    assert said == "bybit-futures has told no funding for 4.0 h: its rates count as unknown"
    tell(up_bed.namespace, 4.0)
    assert late(watch) == ""


def test_one_that_has_never_told_any_is_waited_for_as_long_as_the_usual_interval(
    watch: Conditions, up_bed: Any, virtual_clock: VirtualClock
) -> None:
    virtual_clock.advance_ms(7 * HOUR_MS)
    assert late(watch) == ""
    virtual_clock.advance_ms(2 * HOUR_MS)
    assert late(watch) != ""


def test_who_does_not_want_funding_is_told_nothing(
    watch: Conditions, up_bed: Any, virtual_clock: VirtualClock
) -> None:
    virtual_clock.advance_ms(9 * HOUR_MS)
    section = msgspec.structs.replace(up_bed.settings.config.pair_discovery, funding_every_s=0.0)
    config = msgspec.structs.replace(up_bed.settings.config, pair_discovery=section)
    watch.take(msgspec.structs.replace(up_bed.settings, config=config))
    assert late(watch) == ""
