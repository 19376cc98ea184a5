"""Group supervise: what it costs to keep a system running that runs well.

`spread-ctl up --sim` without a screen; once all processes run, the CPU time of the supervisor's own
process over a while, as a share of one core. Its children, the simulator among them, are not in it.
The floor is a process that does nothing but wake up as often.
"""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from measure import Figure, figure

from spread_scanner.schema.enums import ProcessState
from spread_scanner.schema.names import SUPERVISOR
from spread_scanner.shm import Health, segment
from spread_scanner.shm.faults import NoSegment, NotReady
from spread_scanner.supervise import supervisor

START_S_MAX = 90.0
IDLE = "import time\nwhile True: time.sleep({})"


def figures(small: bool) -> Iterator[Figure]:
    blocks, seconds = (1, 1.0) if small else (5, 10.0)
    namespace = f"bench-supervise-{os.getpid()}"
    with tempfile.TemporaryDirectory() as folder:
        up = _start(namespace, Path(folder))
        try:
            _await_running(up, namespace)
            shares = [_share(up.pid, seconds) for _ in range(blocks)]
        finally:
            up.send_signal(signal.SIGTERM)
            up.wait(30)
            for name in segment.names(namespace):
                segment.remove(name)
    with subprocess.Popen([sys.executable, "-S", "-c", IDLE.format(supervisor.TICK_S)]) as idle:
        time.sleep(1.0)
        floor = _share(idle.pid, seconds)
        idle.kill()
    yield figure(
        "supervise.cpu", "% of a core", shares, floor=floor, seconds=seconds, demanded_max=1.0
    )


def _start(namespace: str, folder: Path) -> "subprocess.Popen[bytes]":
    command = "from spread_scanner.cli.main import main; main()"
    options = ["--symbols", "30", "--rate", "300", "--keep", str(folder / "run")]
    return subprocess.Popen(
        [
            *(sys.executable, "-c", command, "--namespace", namespace),
            *("up", "--sim", "--no-screen", *options),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _await_running(up: "subprocess.Popen[bytes]", namespace: str) -> None:
    deadline_s = time.monotonic() + START_S_MAX
    while time.monotonic() < deadline_s:
        if up.poll() is not None:
            raise RuntimeError(f"the system ended with {up.returncode}")
        with (
            contextlib.suppress(NoSegment, NotReady),
            Health.attach(namespace, timeout_s=0) as rows,
        ):
            beat = rows.beat(SUPERVISOR)
            if beat is not None and beat.state is ProcessState.RUNNING:
                time.sleep(2.0)  # the last of its starting
                return
        time.sleep(0.1)
    raise RuntimeError(f"not all processes run after {START_S_MAX:g} s")


def _share(pid: int, seconds: float) -> float:
    """CPU time of a process while `seconds` pass, in percent of a core."""
    begun_s, spent_ns = time.monotonic(), _spent_ns(pid)
    time.sleep(seconds)
    return (_spent_ns(pid) - spent_ns) / (time.monotonic() - begun_s) / 1e7


def _spent_ns(pid: int) -> int:
    """On the CPU so far: the first field of schedstat, of the process's only thread."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0])
