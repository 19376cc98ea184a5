"""Stopping: SIGTERM ends each process cleanly and disturbs no other; Ctrl-C ends `spread-ctl up`
at any moment of its life, within three seconds, and leaves nothing behind.
"""

import contextlib
import functools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import orjson
import pytest
from own_time import OwnTime
from whole_system import DEADLINE_S, FEEDS, STAYING, WholeSystem, whole_system

from bed import until
from spread_scanner.schema.enums import ProcessState
from spread_scanner.schema.names import TRACKER
from spread_scanner.shm import Health, segment
from spread_scanner.shm.faults import NoSegment, NotReady
from spread_scanner.supervise.simulation import environment

pytestmark = pytest.mark.timeout(300)
STOP_S_MAX = 3.0  # of its own: what others take of the machine is not waited for by choice
SPREAD_CTL = "from spread_scanner.cli.main import main; main()"
# Ctrl-C while the interpreter runs a fork's hooks, where an exception would be swallowed.
SIGNALLED_WHILE_FORKING = f"""
import os, signal
signals = iter([signal.SIGINT])
os.register_at_fork(after_in_parent=lambda: [os.kill(os.getpid(), one) for one in signals])
{SPREAD_CTL}
"""
# Ctrl-C when shm-init has begun: no segment stands yet, and none may be missed.
SIGNALLED_BEFORE_SEGMENTS = f"""
import os, signal
from spread_scanner.schema.names import SHM_INIT
from spread_scanner.supervise.children import Child
start = Child.start
def start_and_signal(self, **options):
    start(self, **options)
    if self.name == SHM_INIT:
        os.kill(os.getpid(), signal.SIGINT)
Child.start = start_and_signal
{SPREAD_CTL}
"""
RATE = 300.0
SMALL = ("--symbols=12", f"--rate={RATE}", "--time-scale=0.5")


def starts(system: WholeSystem) -> dict[str, tuple[int, int]]:
    """Which life of each process this is, and its pid."""
    rows = {name: system.health.read(name) for name in STAYING}
    return {name: (row.starts, row.pid) for name, row in rows.items()}


def test_each_process_ends_cleanly_at_sigterm_and_disturbs_no_other(
    tmp_path: Path, namespace: str
) -> None:
    with whole_system(tmp_path, namespace, *SMALL) as system:
        system.start()
        system.agree(RATE)
        # Of the feeds one: they are one program, and all of them end in the next test.
        for name in (one for one in STAYING if one not in FEEDS[1:]):
            before = starts(system)

            system.end(name)
            system.children[name].start()
            until(functools.partial(system.runs, name), system.states)

            after = starts(system)
            assert after.pop(name)[0] == before.pop(name)[0] + 1
            assert after == before
            assert all(system.children[other].ended() is None for other in STAYING)
        system.do(do="refresh")
        system.agree(RATE)
        system.end_all()


def test_a_feed_ends_cleanly_while_its_exchange_answers_nothing(
    tmp_path: Path, namespace: str
) -> None:
    with whole_system(tmp_path, namespace, *SMALL) as system:
        system.start()
        system.agree(RATE)
        system.do(do="half-open", source="all", new=True)
        system.end(*FEEDS)


class Up:
    """`spread-ctl up --sim` in a namespace and folder of the test's own."""

    def __init__(self, folder: Path, namespace: str, code: str = SPREAD_CTL) -> None:
        self.folder = folder  # where its temporary folder is made
        self.namespace = namespace
        self.child = subprocess.Popen(
            [
                *(sys.executable, "-c", code, "--namespace", namespace),
                *("up", "--sim", "--json", "--symbols", "12", "--rate", "300"),
            ],
            env={**environment(os.environ), "TMPDIR": str(folder)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def has(self, name: str, *states: ProcessState) -> bool:
        """Whether a process has taken its row, and is in one of these states."""
        try:
            with Health.attach(self.namespace, timeout_s=0) as health:
                if name not in health.names():
                    return False
                return not states or health.read(name).state in states
        except (NoSegment, NotReady):
            return False

    def left(self) -> list[str]:
        """Processes that were started for this system and still run."""
        found = []
        for path in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                mine = str(self.folder).encode() in (path / "environ").read_bytes()
                state = (path / "stat").read_text().rpartition(") ")[2][0]
                if mine and state != "Z" and int(path.name) != os.getpid():
                    found.append((path / "cmdline").read_text().replace("\0", " "))
        return found

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.child.kill()
        self.child.communicate()


@pytest.fixture
def up(tmp_path: Path, namespace: str) -> Iterator[Up]:
    started = Up(tmp_path, namespace)
    yield started
    started.kill()


CTRL_C, KILL = signal.SIGINT, signal.SIGTERM
MOMENTS: dict[str, Callable[[Up], bool]] = {
    "the simulator starts": lambda up: any(up.folder.iterdir()),
    "segments stand": lambda up: bool(segment.names(up.namespace)),
    "pairs are sought": lambda up: up.has("pair-discovery"),
    "feeds start": lambda up: up.has(FEEDS[-1]),
    "all run": lambda up: up.has("spread-ctl", ProcessState.RUNNING),
}


SLOW = "feeds start"  # as slow as the next, and near to it


@pytest.mark.parametrize(
    ("number", "moment"),
    [
        *(
            pytest.param(CTRL_C, moment, marks=pytest.mark.slow if moment == SLOW else ())
            for moment in MOMENTS
        ),
        (KILL, "the simulator starts"),
        pytest.param(KILL, "all run", marks=pytest.mark.slow),
    ],
)
def test_a_signal_ends_everything_at_any_moment(
    up: Up, number: signal.Signals, moment: str
) -> None:
    def come() -> bool:
        assert up.child.poll() is None, up.child.communicate()
        return MOMENTS[moment](up)

    until(come, lambda: moment)
    asked_s, own = time.monotonic(), OwnTime(up.child.pid)
    up.child.send_signal(number)
    try:
        out, err = up.child.communicate(timeout=DEADLINE_S)
    finally:
        own_s = own.end()

    print(f"ended {time.monotonic() - asked_s:.2f} s after the signal, {own_s:.2f} s its own")
    assert segment.names(up.namespace) == []
    assert up.left() == []
    assert list(up.folder.iterdir()) == []
    if moment == "all run":
        assert up.child.returncode == 0, err
        assert orjson.loads(out)["killed_at_stop"] == []
    elif out:
        document = orjson.loads(out)
        assert document["ok"] == (up.child.returncode == 0)
        tracker = document["processes"].get(TRACKER, {})
        assert not document["ok"] or tracker.get("starts"), "it never came up"
    assert own_s < STOP_S_MAX, err


@pytest.mark.parametrize("code", [SIGNALLED_WHILE_FORKING, SIGNALLED_BEFORE_SEGMENTS])
def test_a_signal_at_an_awkward_moment_is_obeyed_too(
    tmp_path: Path, namespace: str, code: str
) -> None:
    up = Up(tmp_path, namespace, code)
    try:
        _, err = up.child.communicate(timeout=DEADLINE_S)
    finally:
        up.kill()
    assert up.child.returncode != 0, err
    assert segment.names(namespace) == []
    assert up.left() == []
    assert list(tmp_path.iterdir()) == []


SLEEPS = (
    "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(1)'])"
)
COMPUTES = "import time\nwhile time.process_time() < 0.5: pass"


@pytest.mark.parametrize("code", [SLEEPS, COMPUTES])
def test_what_a_child_sleeps_and_computes_is_its_own(code: str) -> None:
    """Beside one that takes half its CPU: what it waits for that is not."""
    cpu = min(os.sched_getaffinity(0))
    spinning = ["taskset", "--cpu-list", str(cpu), sys.executable, "-c", "while True: pass"]
    other = subprocess.Popen(spinning)
    try:
        begun_s = time.monotonic()
        child = subprocess.Popen([*spinning[:3], sys.executable, "-c", code])
        own = OwnTime(child.pid)
        child.wait(timeout=DEADLINE_S)
        took_s, own_s = time.monotonic() - begun_s, own.end()
    finally:
        other.kill()
        other.wait()
    print(f"{took_s:.2f} s, {own_s:.2f} s its own")
    if code == SLEEPS:
        assert own.slept_s > 0.7
    else:
        assert own.ran_s > 0.4
        assert own_s < 0.8 * took_s
