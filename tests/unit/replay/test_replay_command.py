"""`spread-ctl replay`: what was signalled beside what is replayed, and with settings otherwise."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from replay_bed import Market

import bed as waits
from spread_scanner.clock import VirtualClock
from spread_scanner.replay.playing import replay
from spread_scanner.schema.enums import SignalKind
from spread_scanner.schema.log import RecordKind

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def market(tmp_path: Path, virtual_clock: VirtualClock) -> Market:
    """A log whose engine said what the replay says, but for one signal in the middle."""
    made = Market(tmp_path / "wal", virtual_clock, waits.seed())
    for _ in range(200):
        made.happen()
    made.drain()
    made.log.sync()
    said = replay(made.folder).signals
    made.log.append(RecordKind.SIGNAL, np.delete(said, len(said) // 2))
    made.close()
    return made


def test_both_sides_are_shown(bed: Any, spread_ctl: Run, market: Market) -> None:
    code, out, said = spread_ctl("replay", "--folder", str(market.folder), "--json")
    assert code == 0, said
    shown = orjson.loads(out)
    assert shown["signalled"] == shown["replayed"] - 1 == shown["same"]
    assert shown["only_signalled"] == {}
    assert sum(shown["only_replayed"].values()) == 1
    assert shown["recomputed"] == {"same": shown["signalled"]}
    whole = replay(market.folder)
    assert shown["digest"] == whole.digest
    enters = np.count_nonzero(whole.signals["kind"] == SignalKind.ENTER)
    assert sum(pair["replayed"] for pair in shown["pairs"]) == enters
    assert all("-" in pair["symbol"] for pair in shown["pairs"])
    code, out, _ = spread_ctl("replay", "--folder", str(market.folder))
    assert code == 0
    assert "the same to the last bit" in out


def test_settings_otherwise_signal_otherwise(bed: Any, spread_ctl: Run, market: Market) -> None:
    never = ("directions.defaults.enter_bps=999", "spread-engine.skew_ms_max=61")
    sets = [word for one in never for word in ("--set", one)]
    code, out, said = spread_ctl("replay", "--folder", str(market.folder), *sets, "--json")
    assert code == 0, said
    shown = orjson.loads(out)
    assert shown["replayed"] == 0 < shown["signalled"]
    assert shown["settings"] == list(never)
    assert shown["recomputed"] == {"same": shown["signalled"]}


def test_a_period_is_what_is_shown(bed: Any, spread_ctl: Run, market: Market) -> None:
    where = ("--folder", str(market.folder), "--json")
    code, out, said = spread_ctl("replay", "2020-01-01", "2020-01-02", *where)
    assert code == 0, said
    shown = orjson.loads(out)
    assert (shown["signalled"], shown["replayed"], shown["pairs"]) == (0, 0, [])
    assert shown["played_since_ns"] <= shown["played_until_ns"]
    assert shown["until_ns"] < shown["played_since_ns"]
    code, out, _ = spread_ctl("replay", "2020-01-01", "2020-01-02", *where[:2])
    assert code == 0
    assert "nothing of it of the time that is asked about" in " ".join(out.split())
