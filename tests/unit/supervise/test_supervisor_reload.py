"""A supervisor that reloads: who is enabled now is started, who is not is not started again."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from spread_scanner import clock
from spread_scanner.config import Settings
from spread_scanner.orders import discovering
from spread_scanner.runtime import logs
from spread_scanner.schema.names import ALERTS, ANALYST, EXIT_DONE
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
    alerts = msgspec.structs.replace(settings.config.spread_alerts, webhook_url=url)
    return msgspec.structs.replace(
        settings, config=msgspec.structs.replace(settings.config, spread_alerts=alerts)
    )


def analysing(settings: Settings, on: bool) -> Settings:
    analyst = msgspec.structs.replace(settings.config.spread_analyst, enabled=on)
    return msgspec.structs.replace(
        settings, config=msgspec.structs.replace(settings.config, spread_analyst=analyst)
    )


def asking(settings: Settings, **every_s: float) -> Settings:
    """How often discovery is sent, looks or asks for funding."""
    section = msgspec.structs.replace(settings.config.pair_discovery, **every_s)
    return msgspec.structs.replace(
        settings, config=msgspec.structs.replace(settings.config, pair_discovery=section)
    )


def that_is_up(settings: Settings) -> Supervisor:
    supervisor = Supervisor(settings, {}, logs.set_up("spread-ctl"))
    supervisor._is_up = True
    return supervisor


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (lambda settings, on: enabled(settings, "okx-spot", on), OKX),
        (lambda settings, on: alerting(settings, "http://127.0.0.1:1/" if on else ""), ALERTS),
        (lambda settings, on: analysing(settings, on), ANALYST),
    ],
    ids=["a source", "alerts", "the analyst"],
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


def test_a_reload_while_everything_starts_is_obeyed_once_it_is_up(
    bed: Any, started: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who is enabled meanwhile is started then; who is not ends, and is no failure to start."""
    off, on = enabled(bed.settings, "okx-spot", False), enabled(bed.settings, "okx-spot", True)
    monkeypatch.setattr(clock, "sleep", lambda _: None)
    supervisor = Supervisor(off, {}, logs.set_up("spread-ctl"))
    supervisor._prepared(on)()
    supervisor._is_up = True
    supervisor.tick()
    assert OKX in started

    starting = Supervisor(on, {}, logs.set_up("spread-ctl"))
    starting._prepared(off)()
    monkeypatch.setattr(Child, "pid", 1)
    monkeypatch.setattr(Child, "ended", lambda child: 0)  # as who finds itself disabled
    starting.children[OKX].starts = 99
    starting._await_running([OKX])


class Looks:
    """Children that look for new listings, as they are started and end by our word."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun: list[list[str]] = []
        self.code: int | None = None
        monkeypatch.setattr(Child, "start", lambda child, **_: self.begun.append(child._arguments))
        monkeypatch.setattr(Child, "ended", lambda child: self.code)


def test_funding_is_asked_for_every_so_often_and_a_source_that_is_away_is_no_failure(
    bed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks, now_s = Looks(monkeypatch), 1_000.0
    monkeypatch.setattr(clock, "awake_s", lambda: now_s)
    supervisor = that_is_up(asking(bed.settings, look_every_s=0.0, funding_every_s=60.0))
    supervisor._send_errands()
    now_s += 60.0
    supervisor._send_errands()
    assert looks.begun == [["--funding"]]
    looks.code = 3
    supervisor._send_errands()
    assert all(errand.under_way is None for errand in supervisor._errands)
    now_s += 60.0
    supervisor._send_errands()
    assert looks.begun == [["--funding"], ["--funding"]]


def test_all_pairs_are_found_anew_every_so_often(bed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """As cron or a timer does it on a server."""
    looks, now_s = Looks(monkeypatch), 1_000.0
    monkeypatch.setattr(clock, "awake_s", lambda: now_s)
    supervisor = that_is_up(asking(bed.settings, look_every_s=0.0, funding_every_s=0.0))
    every_s = bed.settings.config.pair_discovery.discover_every_s
    supervisor._send_errands()
    now_s += every_s - 1
    supervisor._send_errands()
    assert looks.begun == [], "discovery has just run"
    now_s += 1
    supervisor._send_errands()
    assert looks.begun == [["discover"]]


def test_a_full_discovery_and_a_quick_look_wait_for_each_other(
    bed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both write tables, which one at a time may; as shipped both are due every six hours."""
    looks, now_s = Looks(monkeypatch), 1_000.0
    monkeypatch.setattr(clock, "awake_s", lambda: now_s)
    supervisor = that_is_up(
        asking(bed.settings, discover_every_s=100.0, look_every_s=90.0, funding_every_s=0.0)
    )

    def turns(seconds: float, code: int | None) -> list[list[str]]:
        nonlocal now_s
        now_s, looks.code = now_s + seconds, code
        before = len(looks.begun)
        supervisor._send_errands()
        supervisor._send_errands()
        return looks.begun[before:]

    quick, full = ["discover", "--quick"], ["discover"]
    assert turns(0.0, None) == []
    assert turns(90.0, None) == [quick]
    assert turns(20.0, None) == [], "a quick look goes on"
    assert turns(1.0, 0) == [full]
    looks.code = None
    assert turns(80.0, None) == [], "a full discovery goes on"
    assert turns(1.0, 0)[:1] == [quick]


def test_a_quick_look_is_taken_every_so_often_one_at_a_time(
    bed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks, now_s = Looks(monkeypatch), 1_000.0
    monkeypatch.setattr(clock, "awake_s", lambda: now_s)
    settings = asking(bed.settings, funding_every_s=0.0)
    every_s = settings.config.pair_discovery.look_every_s
    supervisor = Supervisor(settings, {}, logs.set_up("spread-ctl"))
    supervisor._send_errands()
    now_s += 2 * every_s
    supervisor._send_errands()
    assert looks.begun == [], "the system is not up yet"
    supervisor._is_up = True
    supervisor._send_errands()
    assert looks.begun == [], "discovery has just run"
    now_s += every_s
    supervisor._send_errands()
    assert looks.begun == [["discover", "--quick"]]
    now_s += every_s
    supervisor._send_errands()
    assert len(looks.begun) == 1, "the first goes on"
    looks.code = 1
    supervisor._send_errands()  # it ended badly: said, and the next is on its way
    supervisor._send_errands()
    assert len(looks.begun) == 2
    looks.code = 0
    supervisor._send_errands()
    supervisor.settings = asking(settings, look_every_s=0.0)
    now_s += 10 * every_s
    supervisor._send_errands()
    assert len(looks.begun) == 2, "switched off"


def test_discovery_is_sent_when_it_is_asked_for(
    up_bed: Any, started: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even where it is never due by itself; once for several wishes, and not while one goes on."""
    never = asking(up_bed.settings, discover_every_s=0, look_every_s=0, funding_every_s=0)
    supervisor = that_is_up(never)
    never.data_dir.mkdir(parents=True, exist_ok=True)
    supervisor._send_errands()
    assert started == []
    ends: list[int | None] = [None]
    monkeypatch.setattr(Child, "ended", lambda _: ends[-1])
    for _ in range(2):
        assert discovering.wish(never).file
    for _ in range(3):
        supervisor._send_errands()
    assert started == ["spread-ctl"]
    discovering.wish(never)
    supervisor._send_errands()
    assert started == ["spread-ctl"]
    ends.append(0)
    supervisor._send_errands()
    supervisor._send_errands()
    assert started == ["spread-ctl"] * 2
    assert not (never.data_dir / discovering.WISH_FILE).exists()


def test_what_was_wished_before_the_start_is_done_by_the_discovery_of_the_start(
    up_bed: Any, started: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is wished while that one runs is not: it may have asked already."""
    never = asking(up_bed.settings, discover_every_s=0, look_every_s=0, funding_every_s=0)
    never.data_dir.mkdir(parents=True, exist_ok=True)
    supervisor = that_is_up(never)
    discovering.wish(never)
    monkeypatch.setattr(Supervisor, "_once", lambda *_: EXIT_DONE)
    supervisor._find_pairs()
    supervisor._send_errands()
    assert started == []
    monkeypatch.setattr(Supervisor, "_once", lambda *_: bool(discovering.wish(never)) and EXIT_DONE)
    supervisor._find_pairs()
    supervisor._send_errands()
    assert started == ["spread-ctl"]
