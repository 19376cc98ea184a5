"""What is told, and how it looks to those who get it."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from alerts_bed import Target
from database_bed import store

from spread_scanner.alerts.conditions import OpportunityNews, of_disk, of_processes
from spread_scanner.alerts.targets import Message, senders
from spread_scanner.config import Alerts
from spread_scanner.errors import ConfigError
from spread_scanner.schema.enums import ProcessState
from spread_scanner.shm.health import ProcessHealth


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=5) as made:
        yield made


def test_a_webhook_gets_the_message_as_json(target: Target, client: httpx.Client) -> None:
    (sender,) = senders(Alerts(webhook_url=target.url + "/hook"), client)
    sender.send(Message("raised", "k", "a text with ünïcode", 7))
    assert target.received == [
        ("/hook", {"event": "raised", "key": "k", "text": "a text with ünïcode", "wall_ns": 7})
    ]


def test_telegram_gets_a_chat_text_with_the_token_from_its_file(
    target: Target, client: httpx.Client, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text("123:secret\n")
    settings = Alerts(
        telegram_api=target.url, telegram_token_file=str(token), telegram_chat_id="42"
    )
    (sender,) = senders(settings, client)
    sender.send(Message("cleared", "k", "back again", 7))
    path, body = target.received[0]
    assert path == "/bot123:secret/sendMessage"
    assert (body["chat_id"], body["text"]) == ("42", "cleared: back again")


def test_a_token_file_that_is_missing_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="telegram_token_file"):
        senders(Alerts(telegram_token_file=str(tmp_path / "none")))


def row(process: str, **changes: object) -> ProcessHealth:
    values: dict[str, object] = {
        "process": process, "alive": True, "state": ProcessState.RUNNING, "heartbeat_age_ns": 0,
        "pid": 1, "started_wall_ns": 0, "starts": 1, "generation": 1, "longest_cycle_ns": 0,
        "message": "", "counters": {}, "latencies": {},
    }  # fmt: skip
    return ProcessHealth(**{**values, **changes})  # type: ignore[arg-type]


def test_processes_that_are_down_hung_or_degraded_are_named() -> None:
    rows = [
        row("feed-okx-spot", alive=False, state=ProcessState.RUNNING),
        row("feed-mexc-spot", alive=False, state=ProcessState.STOPPED),
        row("spread-engine", heartbeat_age_ns=10**10),
        row("spread-tracker", state=ProcessState.DEGRADED, message="disk full"),
        row("pair-discovery", alive=False),
        row("feed-okx-futures"),
    ]
    keys = [condition.key for condition in of_processes(rows, heartbeat_ms_max=1_000)]
    assert keys == ["down:feed-okx-spot", "hung:spread-engine", "degraded:spread-tracker"]


@pytest.mark.parametrize("name", ["plain", "a#b", "a?b", "a%20b", "ä b"])
def test_new_opportunities_over_the_limit_are_told_once(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    watcher = OpportunityNews(folder, net_bps_min=50.0)
    assert list(watcher.since()) == []  # no database yet
    store(folder, id=1, symbol="A-USDT", direction="okx-mexc", entry_net_bps=60.0)
    store(folder, id=2, symbol="B-USDT", direction="okx-mexc", entry_net_bps=40.0)
    assert [condition.key for condition in watcher.since()] == ["opportunity:1"]
    assert list(watcher.since()) == []


def test_a_missing_data_folder_is_not_a_full_disk(tmp_path: Path) -> None:
    assert list(of_disk(tmp_path / "none")) == []
