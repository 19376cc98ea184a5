"""Alerts: deduplicated, rate-limited, delivered over HTTP, patient with targets that fail."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from alerts_bed import Target
from database_bed import store

from spread_scanner.alerts.conditions import OpportunityNews, of_disk, of_processes
from spread_scanner.alerts.policy import (
    WAITING_MAX,
    Condition,
    Desk,
    Message,
    Outbox,
    Telegram,
    senders,
)
from spread_scanner.clock import VirtualClock
from spread_scanner.config import Alerts
from spread_scanner.errors import ConfigError
from spread_scanner.schema.enums import ProcessState
from spread_scanner.shm.health import ProcessHealth

DOWN = Condition("down:feed-okx-spot", "feed-okx-spot is down")


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=5) as made:
        yield made


def test_a_lasting_condition_is_told_once_and_its_end_once(virtual_clock: VirtualClock) -> None:
    desk = Desk(Alerts(repeat_s_min=300))
    assert [message.event for message in desk.update([DOWN])] == ["raised"]
    virtual_clock.advance_ms(1_000)
    assert desk.update([DOWN]) == []
    cleared = desk.update([])
    assert [(message.event, message.key) for message in cleared] == [("cleared", DOWN.key)]
    assert desk.update([]) == []


def test_a_condition_that_lasts_is_repeated_after_the_pause(virtual_clock: VirtualClock) -> None:
    desk = Desk(Alerts(repeat_s_min=300))
    desk.update([DOWN])
    virtual_clock.advance_ms(299_000)
    assert desk.update([DOWN]) == []
    virtual_clock.advance_ms(1_000)
    assert [message.event for message in desk.update([DOWN])] == ["raised"]


def test_a_wall_clock_step_repeats_nothing(virtual_clock: VirtualClock) -> None:
    desk = Desk(Alerts(repeat_s_min=300))
    desk.update([DOWN])
    virtual_clock.step_wall_ms(3_600_000)
    assert desk.update([DOWN]) == []


def test_more_than_the_limit_is_held_back_and_summed_up(virtual_clock: VirtualClock) -> None:
    desk = Desk(Alerts(per_minute_max=3))
    events = [Condition(f"opportunity:{n}", f"number {n}", passing=True) for n in range(8)]
    assert [message.text for message in desk.update(events)] == ["number 0", "number 1", "number 2"]
    assert desk.update([]) == []
    virtual_clock.advance_ms(60_000)
    assert [message.text for message in desk.update([])] == ["5 more alerts were held back"]


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


def test_a_failing_target_keeps_the_order_and_is_tried_again(
    target: Target, client: httpx.Client, virtual_clock: VirtualClock
) -> None:
    (sender,) = senders(Alerts(webhook_url=target.url), client)
    outbox = Outbox(sender)
    target.status = 503
    outbox.put([Message("raised", str(n), "", 0) for n in range(3)])
    outbox.flush()
    outbox.flush()  # still pausing: not tried
    assert (outbox.sent, outbox.failures) == (0, 1)
    assert "503" in outbox.last_error
    target.status = 200
    virtual_clock.advance_ms(1_000)
    outbox.flush()
    assert [body["key"] for _, body in target.received] == ["0", "1", "2"]


def test_what_is_said_of_a_failing_target_holds_no_token(virtual_clock: VirtualClock) -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        return httpx.Response(401, request=request)

    client = httpx.Client(transport=httpx.MockTransport(refuse))
    outbox = Outbox(Telegram("https://api.example", "123:SECRET", "7", client))
    outbox.put([Message("event", "key", "text", 0)])
    outbox.flush()
    client.close()
    assert outbox.failing
    assert outbox.last_error == "HTTP 401 Unauthorized"


def test_a_target_that_is_well_again_is_no_longer_failing(virtual_clock: VirtualClock) -> None:
    answers = [500, 200]
    client = httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(answers.pop(0))))
    outbox = Outbox(Telegram("https://api.example", "1:T", "7", client))
    outbox.put([Message("event", "key", "text", 0)])
    outbox.flush()
    assert outbox.failing
    virtual_clock.advance_ms(60_000)
    outbox.flush()
    client.close()
    assert not outbox.failing
    assert outbox.sent == 1


def test_an_unreachable_target_costs_no_more_than_a_bounded_number_of_messages(
    client: httpx.Client, virtual_clock: VirtualClock
) -> None:
    (sender,) = senders(Alerts(webhook_url="http://127.0.0.1:1/"), client)
    outbox = Outbox(sender)
    outbox.put([Message("event", str(n), "", 0) for n in range(WAITING_MAX + 5)])
    outbox.flush()
    assert (outbox.failures, outbox.dropped) == (1, 5)


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
