"""A supervisor that reloads: who is enabled now is started, who is not is not started again."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from spread_scanner.config import Settings
from spread_scanner.runtime import logs
from spread_scanner.schema.names import ALERTS
from spread_scanner.supervise.children import Child
from spread_scanner.supervise.supervisor import (
    Supervisor,
)

OKX = "feed-okx-spot"


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Who was started, in order; nobody really is."""
    names: list[str] = []
    monkeypatch.setattr(Child, "start", lambda child, **_: names.append(child.name))
    return names


def enabled(settings: Settings, label: str, on: bool) -> Settings:
    source = msgspec.structs.replace(settings.exchanges[label], enabled=on)
    return msgspec.structs.replace(settings, exchanges={**settings.exchanges, label: source})


def alerting(settings: Settings, url: str) -> Settings:
    alerts = msgspec.structs.replace(settings.config.alerts, webhook_url=url)
    return msgspec.structs.replace(
        settings, config=msgspec.structs.replace(settings.config, alerts=alerts)
    )


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (lambda settings, on: enabled(settings, "okx-spot", on), OKX),
        (lambda settings, on: alerting(settings, "http://127.0.0.1:1/" if on else ""), ALERTS),
    ],
    ids=["a source", "alerts"],
)
def test_what_is_enabled_starts_and_what_is_not_stays_away(
    bed: Any, started: list[str], change: Callable[[Settings, bool], Settings], name: str
) -> None:
    off, on = change(bed.settings, False), change(bed.settings, True)
    supervisor = Supervisor(off, {}, logs.set_up("spread-ctl"))
    assert name not in supervisor.children
    supervisor._is_up = True

    supervisor._prepared(on)()
    assert started == [name]
    assert any(name in step for step in supervisor._stages)

    supervisor._prepared(off)()
    assert supervisor._dismissed == {name}
    assert any(name in step for step in supervisor._stages)  # the end waits for it

    supervisor._prepared(on)()
    assert supervisor._dismissed == set()
    assert supervisor.settings is on
