"""A start that takes long, as the database is copied, migrated or mended, is not cut off."""

import socket
from pathlib import Path
from typing import Any

import pytest
from tracking import tracking_of

from spread_scanner import clock
from spread_scanner.tracker import main, writer
from spread_scanner.tracker.database import Database


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """systemd's end of the notification socket."""
    address = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as made:
        made.bind(str(address))
        made.settimeout(30.0)
        monkeypatch.setenv("NOTIFY_SOCKET", str(address))
        yield made


def test_while_the_database_is_opened_systemd_is_asked_for_time(
    up_bed: Any, systemd: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its unit gives a start a minute; each question gives it a minute from then on."""
    said: list[bytes] = []

    def opened_late(*arguments: Any, **options: Any) -> Any:
        while b"EXTEND_TIMEOUT_USEC=60000000" not in said:
            said.append(systemd.recv(1_000))
        return Database(*arguments, **options)

    monkeypatch.setattr(writer, "Database", opened_late)
    with tracking_of(up_bed) as tracking:
        assert b"READY=1" not in said
        systemd.settimeout(0.0)
        while b"READY=1" not in said:
            said.append(systemd.recv(1_000))
        tracking.tracker._next_extension_ns = 0
        tracking.tracker.writer.lives_ns = clock.mono_ns() - main.OPENING_NS_MAX - 1
        tracking.tracker._ask_for_time()
        with pytest.raises(BlockingIOError):
            systemd.recv(1_000)  # it hangs: systemd may end it
