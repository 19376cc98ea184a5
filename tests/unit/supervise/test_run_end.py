"""What a simulated run judges once it has ended, and for how long whoever asked for that waits."""

import os
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from spread_scanner.supervise import up
from spread_scanner.supervise.simulation import SimulatedMarket
from spread_scanner.supervise.stop import Stop, on_signals

MARKET = SimulatedMarket(seed=1, symbols=4, rate=100.0, plant_every_s=1.0)


class Ended:
    """A run that has ended, of whose verdict only how often it was begun is real."""

    def __init__(self, truth: Path, stop: Stop, *, seconds: float | None, size: int) -> None:
        self.said: list[str] = []
        self.begun = 0
        self.during: Any = lambda: None  # while it judges
        with truth.open("wb") as file:
            file.truncate(size)
        supervisor: Any = SimpleNamespace(tell=lambda _, text: self.said.append(text))
        simulation: Any = SimpleNamespace(truth_path=truth)
        options = up.UpOptions(True, seconds, True, MARKET, 250.0, keep=None)
        self._run = up.Run(options, supervisor, simulation, self, stop)
        self._run._scored = self._score  # type: ignore[method-assign,assignment]
        self._simulation = simulation

    def draw(self, observer: Any, note: str = "", *, at_once: bool = False) -> None:
        assert at_once
        self.said.append(note)

    def _score(self, *_: object) -> dict[str, Any]:
        self.begun += 1
        self.during()
        return {"ok": True, "planted": 1}

    def verdict(self) -> dict[str, Any]:
        observer: Any = None
        return self._run._verdict(self._simulation, observer, (0, 1))


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


BOUND = up.JUDGED_BYTES_MAX


@pytest.mark.parametrize(
    ("asked", "seconds", "size", "begun", "ok"),
    [
        (0, 10.0, BOUND + 1, 1, True),
        (1, None, BOUND, 1, True),
        (1, 10.0, BOUND, 1, True),
        (1, None, BOUND + 1, 0, True),
        (1, 10.0, BOUND + 1, 0, False),
        (2, None, BOUND, 0, True),
        (2, 10.0, BOUND, 0, False),
    ],
)
def test_who_asks_for_the_end_waits_for_no_long_verdict(
    tmp_path: Path, asked: int, seconds: float | None, size: int, begun: int, ok: bool
) -> None:
    """What was to last for so long promises a verdict: without it is not well."""
    with on_signals() as stop:
        ended = Ended(tmp_path / "truth.jsonl", stop, seconds=seconds, size=size)
        for _ in range(asked):
            interrupt()
        said = ended.verdict()
    assert (ended.begun, said["ok"], "not_scored" in said) == (begun, ok, not begun)


def test_who_asks_while_it_judges_is_heard_at_once_and_has_been_told_what_it_does(
    tmp_path: Path,
) -> None:
    with on_signals() as stop:
        ended = Ended(tmp_path / "truth.jsonl", stop, seconds=10.0, size=5 * 2**20)
        ended.during = interrupt
        assert ended.verdict() == {
            "ok": False,
            "not_scored": "it was ended while it was judged by 5 MiB of what was sent",
        }
        assert ended.said == 2 * ["judges by 5 MiB of what was sent; Ctrl-C ends it without"]
        interrupt()  # afterwards nobody is thrown out of what ends the run


def test_while_the_run_lives_a_signal_raises_nothing() -> None:
    told = []
    with on_signals() as stop:
        stop.then(lambda: told.append(1))
        interrupt()
        interrupt()
    assert (stop.asked, told) == (True, [1, 1])
