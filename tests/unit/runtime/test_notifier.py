"""What the service manager is told, how often, and that nobody waits for it."""

import contextlib
import itertools
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from spread_scanner.clock import NS_PER_MS, VirtualClock
from spread_scanner.runtime.notifier import Notifier

BEAT_NS = 100 * NS_PER_MS
WATCHDOG_US = 15_000_000  # as the units have it


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """systemd's end of the socket."""
    address = str(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    monkeypatch.setenv("WATCHDOG_USEC", str(WATCHDOG_US))
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(address)
        listening.setblocking(False)
        yield listening


@pytest.fixture
def made() -> Iterator[Callable[[], Notifier]]:
    with contextlib.ExitStack() as stack:

        def make() -> Notifier:
            notifier = Notifier(BEAT_NS)
            stack.callback(notifier.close)
            return notifier

        yield make


def heard(manager: socket.socket) -> list[str]:
    told = []
    while True:
        try:
            told.append(manager.recv(100).decode())
        except BlockingIOError:
            return told


def test_the_watchdog_is_fed_within_half_its_time_out_and_not_much_more_often(
    manager: socket.socket, made: Callable[[], Notifier], virtual_clock: VirtualClock
) -> None:
    notifier = made()
    fed_ns = []
    for _ in range(1_000):  # of heartbeats that come when they should
        notifier.alive()
        fed_ns += [virtual_clock.awake_ns()] * len(heard(manager))
        virtual_clock.advance_ns(BEAT_NS)
    apart_ns = [after - before for before, after in itertools.pairwise(fed_ns)]
    assert fed_ns[0] == 0
    assert max(apart_ns) <= WATCHDOG_US * 1_000 // 2
    assert min(apart_ns) >= WATCHDOG_US * 1_000 // 2 - 2 * BEAT_NS


def test_a_time_out_shorter_than_two_heartbeats_is_fed_with_each(
    manager: socket.socket,
    made: Callable[[], Notifier],
    virtual_clock: VirtualClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "150000")
    notifier = made()
    for _ in range(5):
        notifier.alive()
        virtual_clock.advance_ns(BEAT_NS)
    assert heard(manager) == ["WATCHDOG=1"] * 5


@pytest.mark.parametrize(
    "environ",
    [
        {"WATCHDOG_USEC": "0"},
        {"WATCHDOG_USEC": ""},
        {"WATCHDOG_USEC": "soon"},
        {"WATCHDOG_PID": str(os.getppid())},  # it is our parent that is watched
    ],
)
def test_who_is_not_watched_feeds_nobody(
    manager: socket.socket,
    made: Callable[[], Notifier],
    monkeypatch: pytest.MonkeyPatch,
    environ: dict[str, str],
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    notifier = made()
    notifier.ready()
    notifier.alive()
    assert heard(manager) == ["READY=1"]


def test_a_manager_that_does_not_read_holds_nobody_up_and_misses_nothing_that_matters(
    manager: socket.socket, made: Callable[[], Notifier], virtual_clock: VirtualClock
) -> None:
    notifier = made()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.setblocking(False)
        filled = 0
        with contextlib.suppress(BlockingIOError):
            for filled in itertools.count():  # noqa: B007
                other.sendto(b"X", manager.getsockname())
    notifier.alive()  # a socket that blocks would wait here for ever
    notifier.ready()
    notifier.alive()
    assert heard(manager) == ["X"] * filled
    notifier.alive()
    assert heard(manager) == ["READY=1", "WATCHDOG=1"]


def test_without_a_manager_nothing_is_said_and_nothing_fails(
    manager: socket.socket, made: Callable[[], Notifier], monkeypatch: pytest.MonkeyPatch
) -> None:
    os.unlink(manager.getsockname())
    made().ready()  # it has gone
    monkeypatch.delenv("NOTIFY_SOCKET")
    notifier = made()
    notifier.ready()
    notifier.alive()
    notifier.stopping()
