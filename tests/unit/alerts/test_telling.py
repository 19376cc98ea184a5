"""Who is told by the settings in force: what hangs holds up nobody else, and a reload that moves
one target leaves what the others know. Against real sockets."""

import contextlib
import errno
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import msgspec
import pytest
from alerts_bed import Target

from bed import DEADLINE_S, until
from spread_scanner.alerts import state, telling
from spread_scanner.alerts.telling import Telling
from spread_scanner.config import Settings
from spread_scanner.runtime import logs
from spread_scanner.runtime.process import Process
from spread_scanner.schema.names import ALERTS
from spread_scanner.shm import Control, Health, PriceStore
from spread_scanner.shm.evaluations import Evaluations
from spread_scanner.view.conditions.condition import Condition
from spread_scanner.view.status import Segments

NEVER_S = 3_600.0  # the time-out of a client that gives up no sooner than the test


class Deaf:
    """Takes a connection and never answers, until it is cut."""

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._server.getsockname()[1]}/"
        self._taken: list[socket.socket] = []

    def asked(self) -> bytes:
        """The first words of who has come."""
        self._server.settimeout(DEADLINE_S)
        taken, _ = self._server.accept()
        self._taken.append(taken)
        return taken.recv(3)

    def cut(self) -> None:
        for one in [*self._taken, self._server]:
            one.close()


@pytest.fixture
def deaf() -> Iterator[Deaf]:
    made = Deaf()
    yield made
    made.cut()


def told_by(settings: Settings, **section: Any) -> Settings:
    alerts = msgspec.structs.replace(settings.config.spread_alerts, **section)
    config = msgspec.structs.replace(settings.config, spread_alerts=alerts)
    return msgspec.structs.replace(settings, config=config)


@contextlib.contextmanager
def telling_of(settings: Settings) -> Iterator[Telling]:
    namespace = settings.config.system.namespace
    with contextlib.ExitStack() as stack:
        enter = stack.enter_context
        health, control = enter(Health.attach(namespace)), enter(Control.attach(namespace))
        row, slot = enter(health.claim(ALERTS)), enter(control.claim(ALERTS))
        process = Process(ALERTS, settings, logs.set_up(ALERTS, "error"), row, slot)
        kept, store = enter(Evaluations.attach(namespace)), enter(PriceStore.attach(namespace))
        yield enter(contextlib.closing(Telling(process, Segments(health, control, store, kept))))


def event(number: int) -> Condition:
    return Condition(f"opportunity:{number}", f"X {number}", passing=True)


def sent(telling: Telling, target: Target, count: int) -> None:
    """Serve until the target has so many, and nobody is being served with one."""

    def done() -> bool:
        telling.flush()
        waits = any(outbox.waiting for outbox in telling.outboxes)
        return len(target.received) >= count and not waits

    until(done, lambda: target.received)
    assert len(target.received) == count


def test_a_heartbeat_that_hangs_delays_no_alert(up_bed: Any, target: Target, deaf: Deaf) -> None:
    settings = told_by(up_bed.settings, webhook_url=target.url, heartbeat_url=deaf.url)
    with telling_of(settings) as telling, httpx.Client(timeout=NEVER_S) as client:
        telling.heartbeat._client = client
        telling.beat()
        assert deaf.asked() == b"GET"
        for number in range(3):
            telling.tell([event(number)])
            telling.beat()  # it is due, and hangs
            sent(telling, target, number + 1)
        assert not telling._busy[telling.heartbeat].done()
        deaf.cut()


def test_a_target_that_hangs_is_said(
    up_bed: Any, deaf: Deaf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that gives a byte of its answer now and then stays within the bound of each wait."""
    with telling_of(told_by(up_bed.settings, webhook_url=deaf.url)) as told:
        (outbox,) = told.outboxes
        sender: Any = outbox.sender
        sender._client.timeout = NEVER_S
        told.tell([event(1)])
        told.flush()
        assert deaf.asked() == b"POS"
        told.flush()
        assert not outbox.failing, "it has begun just now"
        monkeypatch.setattr(telling, "HANGS_S", 0.0)
        told.flush()
        assert outbox.failing
        assert outbox.last_error.startswith("has not come to an end")
        deaf.cut()


def test_a_target_that_hangs_holds_up_no_end(
    up_bed: Any, deaf: Deaf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A resolver that is away, or a server that gives a byte now and then, has no time-out."""
    monkeypatch.setattr(telling, "GOODBYE_S", 0.01)
    before = {*threading.enumerate()}  # those of tests before it may be about to end
    with telling_of(told_by(up_bed.settings, webhook_url=deaf.url)) as told:
        sender: Any = told.outboxes[0].sender
        sender._client.timeout = NEVER_S
        told.tell([event(1)])
        told.flush()
        assert deaf.asked() == b"POS"
    (serving,) = (one for one in {*threading.enumerate()} - before if one.name == "target")
    assert serving.daemon  # so that the process's end does not wait for it either
    deaf.cut()
    serving.join()


def test_a_reload_that_moves_one_target_leaves_what_the_other_knows(
    up_bed: Any, target: Target, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("1:T")
    settings = told_by(
        up_bed.settings,
        webhook_url=f"{target.url}/first",
        telegram_api=target.url,
        telegram_token_file=str(tmp_path / "token"),
        telegram_chat_id="7",
    )
    down = Condition("down:spread-engine", "spread-engine is down", stands_s=0.0)
    with telling_of(settings) as telling:
        telling.tell([down])
        sent(telling, target, 2)
        telling.prepared(told_by(settings, webhook_url=f"{target.url}/second"))()
        telling.tell([down])
        sent(telling, target, 3)
        assert [path for path, _ in target.received].count("/bot1:T/sendMessage") == 1
        assert target.received[-1][0] == "/second"


def test_what_a_full_disk_did_not_take_is_kept_when_there_is_room(
    up_bed: Any, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing has changed meanwhile but the disk; its being full is logged once."""
    write, full = state.write, True

    def written(*what: Any) -> None:
        if full:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(*what)

    monkeypatch.setattr(state, "write", written)
    settings = told_by(up_bed.settings, webhook_url=target.url)
    with telling_of(settings) as told:
        said: list[str] = []
        log: Any = SimpleNamespace(warning=lambda _, reason: said.append(reason))
        told._process.log = log
        told.tell([Condition("disk", "full", stands_s=0.0)])
        sent(told, target, 1)
        told.save()
        told.save()
        assert said == ["No space left on device"]
        assert state.read(settings).raised == []
        full = False
        told.save()
        assert [story.key for story in state.read(settings).raised] == ["disk"]
