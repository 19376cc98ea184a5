"""What tests stand on, whatever room they are of: waiting for a condition, chance, and a port.

Time is the machine's here: what is waited for is another process, or another thread.
"""

import contextlib
import os
import secrets
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

HANDED_OUT = Path("/proc/sys/net/ipv4/ip_local_port_range")
PORT_MIN = 20_000
DEADLINE_S = 60.0  # a busy machine may need it, a good run does not
KNOWN_SEED = 20_261_126


def seed(variable: str = "SPREAD_SEED") -> int:
    """What chance starts from, printed: the variable's if it is set, a known one in what gates a
    change, so that red means the change, and a new one under SPREAD_EXPLORE (`make nightly`).
    """
    given = os.environ.get(variable)
    new = secrets.randbits(31) if "SPREAD_EXPLORE" in os.environ else KNOWN_SEED
    number = int(given) if given else new
    print(f"{variable}={number}")
    return number


def seed_of_tree(folder: Path, otherwise: str) -> str:
    """A seed by what git has of a checkout: of one commit always the same, of the next another
    one. `otherwise` where git is not there, or knows of no commit.
    """
    asked = ["git", "-C", str(folder), "rev-parse", "--short=7", "HEAD^{tree}"]
    try:
        return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return otherwise


def until(
    condition: Callable[[], object],
    what: str | Callable[[], object] = "",
    *,
    timeout_s: float = DEADLINE_S,
    look_s: float = 0.005,
) -> None:
    """Wait for a condition, not for a time; `what` is what was awaited, or tells what was there."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            said = what() if callable(what) else what
            raise AssertionError(f"not within {timeout_s} s: {said or 'the condition'}")
        time.sleep(look_s)


def free_port() -> int:
    """A port for a process that listens later, or again. None of those that the kernel hands out:
    whoever dials or asks for any port meanwhile would have it.
    """
    first, last = map(int, HANDED_OUT.read_text().split())
    ours = [port for port in range(PORT_MIN, 1 << 16) if not first <= port <= last]
    while True:
        port = secrets.choice(ours)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
