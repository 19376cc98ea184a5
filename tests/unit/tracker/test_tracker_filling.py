"""How fast the disk of the data fills: a trend of an hour, which one large file is not."""

import os
import shutil
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
    tmp_path: Path, virtual_clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of numbers: on the machine's disk others write meanwhile, more than is looked for here."""
    trend, free = DiskTrend(tmp_path), 1 << 40
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=free))

    def eaten_mb_h(grows: int, minutes: int) -> float:
        nonlocal free
        found = 0
        for _ in range(minutes):
            free -= grows
            virtual_clock.advance_ms(60_000)
            found = trend.news() or 0
        return found / MB

    assert eaten_mb_h(grows=MB, minutes=15) == 0, "too little is known"
    assert eaten_mb_h(grows=MB, minutes=1) == 60, "a quarter of an hour"
    assert eaten_mb_h(grows=0, minutes=LOOKS) == 0
    assert eaten_mb_h(grows=8 * MB, minutes=1) == 0, "one large file"
    assert eaten_mb_h(grows=MB, minutes=LOOKS) == 60
    assert eaten_mb_h(grows=-MB, minutes=LOOKS) == 0, "what empties does not fill"


def test_what_is_written_to_the_real_disk_is_seen(
    tmp_path: Path, virtual_clock: VirtualClock
) -> None:
    """More in a minute than others write in the blink of the machine's time that it takes."""
    trend, size = DiskTrend(tmp_path), 64 * MB
    with tempfile.TemporaryFile(dir=tmp_path) as file:
        for look in range(LOOKS_MIN):
            os.posix_fallocate(file.fileno(), 0, max(1, look * size))
            virtual_clock.advance_ms(60_000)
            found = trend.news() or 0
        assert found > 15 * size


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
