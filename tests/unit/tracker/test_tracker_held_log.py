"""A reader that keeps the database's log from being given back is named, in health row and log."""

import contextlib
import sqlite3
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from database_bed import OtherReader, store

from bed import until
from spread_scanner.clock import VirtualClock
from spread_scanner.runtime import logs
from spread_scanner.runtime.process import Process
from spread_scanner.schema.names import DATABASE_FILE, SIGNALS, TRACKER
from spread_scanner.shm import Control, Health, PriceStore, SignalRing
from spread_scanner.shm.connections import Connections
from spread_scanner.shm.funding import FundingTable
from spread_scanner.tracker import held_log, writer
from spread_scanner.tracker.held_log import HELD_S_MIN, LOOK_EVERY_S, HeldLog
from spread_scanner.tracker.main import Tracker

Start = Callable[..., "subprocess.Popen[str]"]


def test_who_holds_a_large_log_is_said_once_and_its_end_once(
    tmp_path: Path, start_python: Start, virtual_clock: VirtualClock
) -> None:
    store(tmp_path, id=1, symbol="AAA-USDT", direction="okx-mexc")
    database = tmp_path / DATABASE_FILE
    connection = sqlite3.connect(database, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("UPDATE opportunities SET signals = 2")
    other = OtherReader(start_python, database)
    other.obey("BEGIN")
    large, small = HeldLog(database, bytes_max=0), HeldLog(database)

    def said(one: HeldLog, seconds: float) -> list[str]:
        found = []
        for _ in range(int(seconds)):
            virtual_clock.advance_ms(1_000)
            found.append(one.news())
        return [text for text in found if text is not None]

    assert said(large, HELD_S_MIN - 1) == []
    (text,) = said(large, 2 * LOOK_EVERY_S)
    assert text.startswith(f"pid {other.pid} python")
    assert said(large, 60) == []
    other.obey("COMMIT")
    assert said(large, 2 * LOOK_EVERY_S) == [""]
    other.obey("BEGIN")
    assert said(small, 60) == [], "a small log is nobody's business"
    connection.close()


def test_the_tracker_shows_who_holds_the_log_until_it_is_over(
    up_bed: Any, start_python: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Not the shipped 64 MB and 10 s: nobody wants to wait for those.
    monkeypatch.setattr(writer, "HeldLog", partial(HeldLog, bytes_max=0))
    monkeypatch.setattr(held_log, "LOOK_EVERY_S", 0.02)
    monkeypatch.setattr(held_log, "HELD_S_MIN", 0.05)
    namespace, settings = up_bed.namespace, up_bed.settings
    settings.data_dir.mkdir(exist_ok=True)
    with (
        PriceStore.attach(namespace) as prices,
        SignalRing.attach(namespace, SIGNALS) as ring,
        ring.consumer() as consumer,
        Health.attach(namespace) as health,
        Control.attach(namespace) as control,
        health.claim(TRACKER) as row,
        control.claim(TRACKER) as slot,
        Connections.attach(namespace) as connections,
        FundingTable.attach(namespace) as told,
    ):
        process = Process(TRACKER, settings, logs.set_up(TRACKER, "error"), row, slot)
        tracker = Tracker(process, prices, ring, consumer, connections, told)
        tracker.recover()
        other = OtherReader(start_python, settings.data_dir / DATABASE_FILE)

        def message() -> str:
            tracker.turn()
            (view,) = (one for one in health.read_all() if one.process == TRACKER)
            assert view.state.name == "RUNNING"
            return view.message.rstrip("\0")

        with contextlib.ExitStack() as stack:
            stack.callback(tracker.finish)
            stack.callback(process.stop)
            other.obey("BEGIN")
            until(lambda: message().startswith(f"pid {other.pid} python"))
            other.obey("COMMIT")
            until(lambda: message() == "")
