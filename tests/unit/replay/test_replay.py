"""A log played again gives the oracle's signals, one hash, and every live signal once more."""

from pathlib import Path

import numpy as np
import pytest
from engine_oracle import assert_same, sorted_without_seq
from replay_bed import ANCHOR_NS, Market

import bed as waits
from spread_scanner.clock import VirtualClock
from spread_scanner.replay.comparing import Difference, compared
from spread_scanner.replay.playing import Replayed, replay
from spread_scanner.replay.recomputing import SignalVerdict
from spread_scanner.schema.enums import SignalKind
from spread_scanner.schema.log import RecordKind

EVER = (-(2**63), 2**63 - 1)


@pytest.fixture
def market(tmp_path: Path, virtual_clock: VirtualClock) -> Market:
    return Market(tmp_path / "wal", virtual_clock, waits.seed())


def lived(market: Market, things: int) -> np.ndarray:
    """What the oracle says of so many things."""
    for _ in range(things):
        market.happen()
    return np.concatenate(market.oracles)


def signalled(market: Market, things: int) -> np.ndarray:
    """What the replay says of so many things."""
    lived(market, things)
    market.drain()
    market.log.sync()
    return replay(market.folder).signals


def with_signals(market: Market, signals: np.ndarray) -> Replayed:
    """The same log with these as what the engine has said."""
    market.log.append(RecordKind.SIGNAL, signals)
    market.close()
    return replay(market.folder)


@pytest.mark.parametrize("things", [200, pytest.param(3_000, marks=pytest.mark.slow)])
def test_a_log_gives_the_oracles_signals_and_one_hash(market: Market, things: int) -> None:
    """Rule D8, over takeovers, marks, silent feeds, switches, reloads, restarts; out of order as
    drained."""
    expected = lived(market, things)
    market.drain()
    market.log.sync()
    found = replay(market.folder)
    assert found.counts.without == 0
    if things > 1_000:
        assert found.counts.starts > 3
        assert found.counts.reloads > 10
        assert found.counts.switches > 30
        assert set(found.signals["kind"]) == set(SignalKind) - {SignalKind.BOOK}
        assert np.bincount(found.signals["kind"])[1:].min() > 20
    np.testing.assert_array_equal(found.signals["seq"], np.arange(len(found.signals)))
    times = np.unique(expected["mono_ns"])
    np.testing.assert_array_equal(np.unique(found.signals["mono_ns"]), times)
    for at_ns in times:
        same = found.signals[found.signals["mono_ns"] == at_ns]
        assert_same(sorted_without_seq(same), expected[expected["mono_ns"] == at_ns])
    again = replay(market.folder)
    assert again.digest == found.digest
    market.close()


@pytest.mark.slow
def test_every_signal_recomputes_to_the_last_bit(market: Market) -> None:
    said = signalled(market, 500)
    found = with_signals(market, said)
    assert len(said) > 20
    assert (found.verdicts.of_signal == SignalVerdict.SAME).all(), found.verdicts.fields
    same = compared(found, *EVER)
    assert (same.same, same.live, same.replayed) == (len(said), {}, {})


@pytest.mark.slow
def test_what_is_missing_or_another_is_named(market: Market) -> None:
    said = signalled(market, 300)
    other = said.copy()
    other["net_bps"][3] = np.nextafter(other["net_bps"][3], 1e9)
    other["spot_update_id"][5] += 1_000_000
    other["usual_generation"][7] = 999
    found = with_signals(market, np.delete(other, 9))
    verdicts = found.verdicts.of_signal.tolist()
    assert verdicts[3] == SignalVerdict.OTHER
    assert found.verdicts.fields == {"net_bps": 1}
    assert verdicts[5] == SignalVerdict.NO_QUOTE
    assert verdicts[7] == SignalVerdict.NO_GENERATION
    assert np.count_nonzero(found.verdicts.of_signal) == 3
    same = compared(found, *EVER)
    assert same.same == len(said) - 2
    assert sum(same.replayed.values()) == 2
    assert Difference.UNEXPLAINED not in same.live


@pytest.mark.slow
def test_where_no_recorder_looked_the_differences_say_so(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Quotes came from the tape later; that their feeds lived nobody wrote down."""
    lived(market, 150)
    append = market.log.append
    with monkeypatch.context() as patched:
        patched.setattr(
            market.log,
            "append",
            lambda kind, records: kind is RecordKind.SOURCE_STATE or append(kind, records),
        )
        lived(market, 250)
    said = lived(market, 150)
    market.log.append(RecordKind.SIGNAL, said)
    market.close()
    found = replay(market.folder)
    ((begun_ns, end_ns),) = found.unseen
    assert end_ns - begun_ns > 1_000_000_000
    told = compared(found, *EVER)
    assert told.live[Difference.UNSEEN] + told.replayed[Difference.UNSEEN] > 0
    assert Difference.UNEXPLAINED not in told.live, told
    assert Difference.UNEXPLAINED not in told.replayed, told
    assert Difference.GAP not in told.live, told


@pytest.mark.slow
def test_ticks_that_are_not_there_change_nothing_else(market: Market) -> None:
    """A Gap: the replay goes on with what it has, twice alike."""
    lived(market, 150)
    market.drain()
    market.quote(0)
    market.lose(0)
    lived(market, 80)
    market.close()
    found = replay(market.folder)
    assert len(found.gaps) == 1
    assert replay(market.folder).digest == found.digest


@pytest.mark.slow
def test_a_log_may_end_anywhere(market: Market) -> None:
    lived(market, 150)
    market.close()
    whole = replay(market.folder)
    until_ns = int(whole.signals["ts_engine"][len(whole.signals) // 2])
    part = replay(market.folder, until_ns=until_ns)
    assert whole.signals[: len(part.signals)].tobytes() == part.signals.tobytes()
    assert until_ns > ANCHOR_NS
