"""A replay in segments of its own, and at a pace: what it says stays the same, whoever looks on."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from replay_bed import Market

import bed as waits
from spread_scanner import clock, config
from spread_scanner.clock import NS_PER_S, VirtualClock
from spread_scanner.config import Settings
from spread_scanner.replay.pacing import ReplayPace, speed_of
from spread_scanner.replay.playing import replay
from spread_scanner.replay.private import PrivateEngine
from spread_scanner.replay.showing import LiveCopy, NamespaceTaken, Stage
from spread_scanner.schema.names import SIGNALS
from spread_scanner.schema.records import TS_ABSENT
from spread_scanner.shm import PriceStore, SignalRing, segment
from spread_scanner.symbology.tables import Tables, load

MAX = ReplayPace(speed_of("max"), 0)


@pytest.fixture
def market(tmp_path: Path, virtual_clock: VirtualClock) -> Market:
    made = Market(tmp_path / "wal", virtual_clock, waits.seed())
    for _ in range(400):
        made.happen()
    made.close()
    return made


class Looked(Stage):
    """Looks at the segments after each slice, as a reader would."""

    def __init__(self, copy: LiveCopy) -> None:
        super().__init__(MAX, copy)
        self.looks = 0
        self.folder: Path | None = None
        self.signals: list[np.ndarray] = []

    def take(self, settings: Settings, tables: Tables) -> None:
        super().take(settings, tables)

    def show(self, engine: PrivateEngine, log_ns: int, signals: np.ndarray) -> None:
        super().show(engine, log_ns, signals)
        copy = self._copy
        assert copy is not None
        if not segment.names(copy.namespace):
            return
        self.looks += 1
        self.signals.append(signals)
        with (
            PriceStore.attach(copy.namespace) as store,
            SignalRing.attach(copy.namespace, SIGNALS) as ring,
        ):
            moved_ns = store.clock.now_ns() - log_ns
            for source_id in range(4):
                ids = np.arange(2, dtype=np.uint16)
                ours, theirs = (one.read_many(source_id, ids) for one in (store, engine.store))
                for name in ("bid_px", "ask_sz", "update_id"):
                    np.testing.assert_array_equal(ours[name], theirs[name])
                there = theirs["ts_recv"] != TS_ABSENT
                found, logged = (one["ts_recv"][there] for one in (ours, theirs))
                np.testing.assert_array_equal(found, logged + moved_ns)
            assert ring.position == sum(map(len, self.signals))


def test_readers_see_what_the_engine_has(market: Market, tmp_path: Path, namespace: str) -> None:
    alone = replay(market.folder)
    with LiveCopy(namespace, tmp_path / "data", "own") as copy:
        looked = Looked(copy)
        found = replay(market.folder, audience=looked)
        folder = tmp_path / "data" / "replay" / namespace / "config"
        settings = config.load(folder, {})
        assert settings.config.system.namespace == namespace
        assert load(settings.generated_dir).symbol_names() == market.tables.symbol_names()
    assert looked.looks > 1
    assert sum(map(len, looked.signals)) > 5
    assert found.digest == alone.digest
    assert segment.names(namespace) == []
    assert not folder.exists()


def test_a_namespace_that_somebody_has_is_refused(up_bed: Any, tmp_path: Path) -> None:
    for own in ("own", up_bed.namespace):
        with pytest.raises(NamespaceTaken, match=up_bed.namespace):
            LiveCopy(up_bed.namespace, tmp_path, own)
    with PriceStore.attach(up_bed.namespace) as store:
        assert not store.retired


def test_a_second_replay_is_refused_and_what_a_killed_one_left_goes(
    market: Market, tmp_path: Path, namespace: str
) -> None:
    made = LiveCopy(namespace, tmp_path / "data", "own")
    replay(market.folder, audience=Stage(MAX, made))
    with pytest.raises(NamespaceTaken, match="another replay"):
        LiveCopy(namespace, tmp_path / "data", "own")
    assert made._made is not None
    made._made.close()  # as a kill does
    with LiveCopy(namespace, tmp_path / "data", "own"):
        assert segment.names(namespace) == []


def test_a_pace_is_kept_from_its_begin_on(monkeypatch: pytest.MonkeyPatch) -> None:
    pace = ReplayPace(4.0, 10 * NS_PER_S)
    waited: list[float] = []
    monkeypatch.setattr(pace._never, "wait", waited.append)
    now_s = clock.awake_s()
    monkeypatch.setattr(clock, "awake_s", lambda: now_s)
    for log_s in (8, 10, 12, 18):
        pace.wait(log_s * NS_PER_S)
    assert waited == pytest.approx([0.0, 0.5, 2.0])
