"""A run of the whole system, disturbed in every way and recorded, is replayed signal by signal."""

import os
import signal
import subprocess
from pathlib import Path

import numpy as np
import pytest
import seeds
import simulated
from engine_oracle import sorted_without_seq
from logged_oracle import LoggedOracle
from simulated import Ask, Starter, is_up, rows_of, wait_for

from spread_scanner.replay.comparing import Difference, compared
from spread_scanner.replay.playing import Replayed, replay
from spread_scanner.replay.recomputing import SignalVerdict
from spread_scanner.schema.names import ENGINE, RECORDER, WAL_FOLDER
from spread_scanner.shm import Health, segment

start_up, ask = simulated.start_up, simulated.ask
EVER = (-(2**63), 2**63 - 1)


class Recorded:
    """A system that runs and is recorded."""

    def __init__(
        self, child: "subprocess.Popen[bytes]", ask: Ask, namespace: str, folder: Path
    ) -> None:
        self.child, self.ask, self.folder = child, ask, folder
        self._health = Health.attach(namespace)

    def counted(self, name: str) -> int:
        return int(self._health.read(RECORDER).counters[name])

    def lives(self, signals: int = 5, ticks: int = 150) -> None:
        """Until so much more is in the log."""
        names = {"signals": signals, "ticks": ticks}
        wanted = {name: self.counted(name) + more for name, more in names.items()}
        wait_for(
            lambda: all(self.counted(name) >= least for name, least in wanted.items()),
            self.child,
            f"more is in the log: {wanted}",
        )

    def obeys(self, *command: str) -> None:
        code, answer = self.ask(*command)
        assert code == 0, answer

    def kills(self, process: str) -> None:
        before = rows_of(self.ask)[process]
        os.kill(before["pid"], signal.SIGKILL)
        wait_for(
            lambda: (
                (row := rows_of(self.ask)[process])["starts"] == before["starts"] + 1
                and row["healthy"]
            ),
            self.child,
            f"{process} is there again",
        )


def disturb(run: Recorded) -> None:
    run.lives(signals=20)
    run.obeys("pause", "binance-bybit")
    run.lives()
    run.obeys("resume", "binance-bybit")
    run.lives()
    run.obeys("halt")
    run.lives(signals=0)
    run.obeys("allow")
    run.lives()
    run.kills(ENGINE)
    run.lives()
    run.kills(RECORDER)
    run.lives()
    path = run.folder / "config" / "directions.toml"
    text = path.read_text()
    assert "[defaults]\n" in text, text
    path.write_text(text.replace("[defaults]\n", "[defaults]\ncooldown_ms = 1777\n", 1))
    run.obeys("reload")
    run.lives()
    run.obeys("discover")
    run.lives()
    run.obeys("down")
    run.child.communicate(timeout=60)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_disturbed_run_is_replayed_signal_by_signal(
    start_up: Starter, ask: Ask, namespace: str, tmp_path: Path
) -> None:
    seed = seeds.fresh()
    print(f"seed {seed}")
    quick = ("--symbols", "12", "--rate", "150", "--plant-every-s", "0.5", "--seed", str(seed))
    child = start_up(*quick, recorded=True)
    wait_for(lambda: segment.names(namespace) and is_up(ask), child, "all run")
    disturb(Recorded(child, ask, namespace, tmp_path))
    folder = tmp_path / "data" / WAL_FOLDER
    found = replay(folder)
    print(found.counts, compared(found, *EVER))
    as_it_was(found)
    assert replay(folder).digest == found.digest
    as_the_oracle_says(found, LoggedOracle(folder))
    code, shown = ask("replay")
    assert code == 0
    assert shown["digest"] == found.digest


def as_it_was(found: Replayed) -> None:
    """Every signal to the last bit, and whatever is on one side alone has a name."""
    counts = found.counts
    assert counts.without == 0
    assert (counts.lives, counts.starts) == (1, 2)
    assert counts.reloads >= 2
    assert counts.switches >= 5
    verdicts = np.bincount(found.verdicts.of_signal, minlength=len(SignalVerdict))
    assert verdicts[SignalVerdict.NO_GENERATION] == 0
    assert verdicts[SignalVerdict.NO_PAIR] == 0
    assert verdicts[SignalVerdict.OTHER] == 0, found.verdicts.fields
    assert verdicts[SignalVerdict.SAME] > 50
    told = compared(found, *EVER)
    assert told.same > 50
    assert Difference.UNEXPLAINED not in told.live, told
    assert Difference.UNEXPLAINED not in told.replayed, told


def as_the_oracle_says(found: Replayed, oracle: LoggedOracle) -> None:
    """Pair by pair, in order: what time alone ends, the engine sees with its next sweep."""
    print(oracle.steps, "steps of the oracle")
    assert len(oracle.signals) > 50
    says = found.signals[found.signals["ts_engine"] < oracle.until_ns]
    ours, theirs = (_by_pair(sorted_without_seq(one)) for one in (says, oracle.signals))
    assert ours.keys() == theirs.keys()
    for pair, signals in ours.items():
        for name in signals.dtype.names or ():
            if name not in ("seq", "mono_ns", "ts_engine"):
                np.testing.assert_array_equal(
                    signals[name], theirs[pair][name], err_msg=f"{pair} {name}"
                )


def _by_pair(signals: np.ndarray) -> dict[tuple[int, int], np.ndarray]:
    ids = np.stack([signals["direction_id"], signals["symbol_id"]])
    return {
        (int(direction), int(symbol)): np.sort(
            signals[np.equal(ids.T, (direction, symbol)).all(axis=1)], order="mono_ns"
        )
        for direction, symbol in np.unique(ids, axis=1).T
    }
