"""Child processes: found, started with a log, ended in time, and gone with their parent."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from spread_scanner import clock
from spread_scanner.runtime import logs
from spread_scanner.schema.names import PROCESSES
from spread_scanner.supervise import children, supervisor
from spread_scanner.supervise.children import (
    Child,
    NoSuchBin,
    ask_all,
    await_all,
    command_of,
    end_all,
)

Until = Callable[[Callable[[], object]], None]


@pytest.fixture
def child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Child]]:
    """Children that run a line of shell each."""
    scripts: dict[str, str] = {}
    made: list[Child] = []
    monkeypatch.setattr(children, "command_of", lambda name: ["/bin/sh", "-c", scripts[name]])

    def make(script: str, name: str = "shell") -> Child:
        scripts[name] = script
        made.append(Child(name, os.environ, tmp_path / "logs" / f"{name}.log"))
        return made[-1]

    yield make
    end_all(made, time.monotonic())


def test_every_process_has_its_executable() -> None:
    for process in PROCESSES:
        assert Path(command_of(process)[1]).name == process
    with pytest.raises(NoSuchBin, match="feed-nowhere"):
        command_of("feed-nowhere")


def test_what_a_child_says_is_in_its_log_and_its_exit_code_is_kept(
    child: Callable[..., Child], until: Until
) -> None:
    one = child("echo out; echo err >&2; exit 7")
    one.start()
    until(lambda: one.ended() is not None)
    assert one.ended() == 7
    assert one.log_path.read_text().split() == ["out", "err"]


def test_the_pause_before_the_next_life_grows_to_a_cap(
    child: Callable[..., Child], until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(children, "BACKOFF_S_MAX", 1.0)
    one = child("exit 1")
    pauses = []
    for _ in range(5):
        one.start()
        until(lambda: one.ended() is not None)
        pauses.append(one._due_s - one._started_s)
    assert not one.due
    assert one.restarts == 4
    assert one._backoff_s == 1.0


def test_an_obedient_child_is_ended_and_a_deaf_one_killed_and_named(
    child: Callable[..., Child], until: Until
) -> None:
    obedient = child("exec sleep 60")
    deaf = child("trap '' TERM; echo ready; while :; do sleep 0.01; done", "deaf")
    obedient.start()
    deaf.start()
    until(lambda: "ready" in deaf.log_path.read_text())
    assert end_all([obedient], time.monotonic() + 20) == []
    assert end_all([deaf], time.monotonic() + 0.05) == ["deaf"]
    assert obedient.ended() == -signal.SIGTERM
    assert deaf.ended() == -signal.SIGKILL


def test_a_stopped_child_is_ended_too(child: Callable[..., Child]) -> None:
    one = child("exec sleep 60")
    one.start()
    assert one.pid is not None
    os.kill(one.pid, signal.SIGSTOP)
    assert end_all([one], time.monotonic() + 20) == []


def test_a_child_that_is_done_is_not_waited_for_and_not_named(
    child: Callable[..., Child], until: Until
) -> None:
    tidying = child("trap '' TERM; echo done; while :; do sleep 0.01; done")
    tidying.start()
    until(lambda: "done" in tidying.log_path.read_text())
    ask_all([tidying])
    assert await_all([tidying], time.monotonic() + 60, done=lambda _: True) == []


def test_a_child_dies_with_its_parent(
    start_python: Callable[..., "subprocess.Popen[str]"], tmp_path: Path, until: Until
) -> None:
    code = """
import os, pathlib, sys, time
from spread_scanner.supervise import children
children.command_of = lambda name: ["/bin/sh", "-c", "exec sleep 60"]
child = children.Child("x", os.environ, pathlib.Path(sys.argv[1]) / "x.log")
child.start()
print(child.pid, flush=True)
time.sleep(60)
"""
    parent = start_python(code, tmp_path)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    assert Path(f"/proc/{pid}").exists()
    parent.kill()
    until(lambda: _gone(pid))


def _gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_the_first_line_of_a_child_is_read_and_silence_is_empty(
    child: Callable[..., Child],
) -> None:
    speaks = child("echo hello; exec sleep 60")
    speaks.start(keep_stdout=True)
    assert speaks.read_line(20.0) == b"hello\n"
    end_all([speaks], time.monotonic() + 20)
    silent = child("exit 3")
    silent.start(keep_stdout=True)
    assert silent.read_line(20.0) == b""
    assert silent.ended() == 3


def test_who_gets_no_cpu_has_longer(
    child: Callable[..., Child], until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = "trap 'sleep 0.3; exit 0' TERM; echo ready; while :; do sleep 0.01; done"
    waited_s = iter([5.0] + [8.0] * 10_000)  # when it is asked, and from then on
    monkeypatch.setattr(Child, "waited_s", lambda _: next(waited_s))
    one = child(script)
    one.start()
    until(partial(_is_ready, one))
    assert end_all([one], time.monotonic() + 0.05) == []
    assert one.ended() == 0


def test_its_wait_for_a_cpu_is_the_kernels(child: Callable[..., Child], until: Until) -> None:
    one = child("while :; do sleep 0.01; done")
    assert one.waited_s() == 0.0
    one.start()
    until(lambda: one.waited_s() > 0.0)
    one.ask()
    assert one.held_up_s < one.waited_s()


def _is_ready(one: Child) -> bool:
    return "ready" in one.log_path.read_text()


def test_who_takes_longer_than_the_next_can_wait_for_has_until_the_end_of_all(
    bed: Any, child: Callable[..., Child], until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What stops first has the shortest time of its own, and need not be quick for that."""
    told = supervisor.Supervisor(bed.settings, {}, logs.set_up("spread-ctl"))
    scripts = {
        "feed": "touch {0}.feed; exit",
        "engine": "touch {0}.engine; exit",
        "gateway": "while [ ! -e {0}.feed ]; do sleep 0.01; done; exit",
        "deaf": "true",
    }
    told._stages = [["feed"], ["engine"], ["gateway"], ["deaf"]]
    for name, at_the_end in scripts.items():
        script = f"trap '{at_the_end}' TERM; echo ready; while :; do sleep 0.01; done"
        one = told.children[name] = child(script.replace("{0}", str(bed.folder / "gone")), name)
        one.start()
        until(partial(_is_ready, one))
    monkeypatch.setattr(supervisor, "STOP_TIMEOUT_S", 1.0)
    monkeypatch.setattr(supervisor, "STEP_RESERVE_S", 0.25)

    told.stop()

    assert told.killed == ["deaf"]
    assert told.children["gateway"].ended() == 0


class Ending:
    """Stands for a child that ends so long after it was asked, and waits for a CPU all the while or
    not at all."""

    starts = 1

    def __init__(self, name: str, takes_s: float, *, busy: bool) -> None:
        self.name = name
        self._takes_s = takes_s
        self._busy = busy
        self._asked_s = 0.0
        self._killed = False

    def ask(self) -> None:
        self._asked_s = clock.awake_s()

    @property
    def held_up_s(self) -> float:
        return clock.awake_s() - self._asked_s if self._busy else 0.0

    def ended(self) -> int | None:
        over = clock.awake_s() - self._asked_s >= self._takes_s
        return -signal.SIGKILL if self._killed else 0 if over else None

    def signal(self, _: signal.Signals) -> None:
        self._killed = True


@pytest.mark.parametrize(
    ("gateway_s", "others_s", "killed"),
    [
        (6.0, 0.5, []),
        (6.0, 2.0, ["spread-tracker", "spread-engine"]),  # each has a moment, and not for ever
        (60.0, 0.5, ["spread-gateway"]),
    ],
)
def test_what_a_busy_machine_takes_of_a_stop_is_taken_from_nobody_else(
    bed: Any, gateway_s: float, others_s: float, killed: list[str]
) -> None:
    """Who is asked to end only when the time for all is over has a moment for it all the same; and
    all is over within ten seconds."""
    told = supervisor.Supervisor(bed.settings, {}, logs.set_up("spread-ctl"))
    told._stages = [["spread-engine"], ["spread-tracker"], ["spread-gateway"]]
    children: dict[str, Any] = told.children
    children["spread-gateway"] = Ending("spread-gateway", gateway_s, busy=True)
    for name in ("spread-tracker", "spread-engine"):
        children[name] = Ending(name, others_s, busy=False)
    with clock.use(clock.VirtualClock(mono_ns=clock.mono_ns())):
        began_s = clock.awake_s()
        told.stop()
        assert clock.awake_s() - began_s <= 10.0
    assert told.killed == killed
