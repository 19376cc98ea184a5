"""How fast the disk of the data fills: a trend of an hour, which one large file is not."""

import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
from tracking import tracking_of

from bed import until
from spread_scanner.clock import VirtualClock
from spread_scanner.schema.names import TRACKER
from spread_scanner.tracker.filling import LOOKS, LOOKS_MIN, DiskTrend

MB = 1 << 20


def test_what_grows_for_an_hour_is_a_trend_and_one_large_file_is_none(
    tmp_path: Path, virtual_clock: VirtualClock
) -> None:
    """Others write meanwhile, in a blink of the machine's time: within half a MB a minute."""
    trend, grown = DiskTrend(tmp_path), 0
    with tempfile.TemporaryFile(dir=tmp_path) as file:

        def eaten_mb_h(grows: int, minutes: int) -> float:
            nonlocal grown
            found = 0
            for _ in range(minutes):
                if grows:
                    os.posix_fallocate(file.fileno(), grown, grows)
                    grown += grows
                virtual_clock.advance_ms(60_000)
                found = trend.news() or 0
            return found / MB

        assert eaten_mb_h(grows=MB, minutes=LOOKS_MIN - 1) == 0, "too little is known"
        assert eaten_mb_h(grows=0, minutes=LOOKS) < 30
        assert eaten_mb_h(grows=8 * MB, minutes=1) < 30
        assert eaten_mb_h(grows=MB, minutes=LOOKS) > 30
        assert eaten_mb_h(grows=0, minutes=LOOKS) < 30


def test_a_look_is_taken_once_a_minute_and_a_disk_that_is_away_has_no_trend(
    tmp_path: Path, virtual_clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    trend = DiskTrend(tmp_path)
    assert trend.news() == 0
    assert trend.news() is None
    virtual_clock.advance_ms(60_000)
    assert trend.news() == 0
    assert DiskTrend(tmp_path / "away").news() is None


def test_the_tracker_has_it_in_its_row(up_bed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DiskTrend, "_eaten_per_h", lambda _: 123.4)
    with tracking_of(up_bed) as tracking:

        def told() -> int:
            tracking.tracker.turn()
            return tracking.health.read(TRACKER).counters["disk_eaten_b_h"]

        until(lambda: told() == 123, told)
