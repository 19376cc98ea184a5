"""What is told, and how it looks to those who get it."""

import gzip
import itertools
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import httpx
import pytest
from alerts_bed import Target
from database_bed import store

from spread_scanner.alerts.news import OpportunityNews
from spread_scanner.alerts.targets import Message, NotNow, Unreached, ping, post, senders
from spread_scanner.config import Alerts
from spread_scanner.errors import ConfigError
from spread_scanner.schema.names import DATABASE_FILE


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
        telegram_api=f"{target.url}/", telegram_token_file=str(token), telegram_chat_id="42"
    )
    (sender,) = senders(settings, client)
    sender.send(Message("cleared", "k", "back again", 7))
    path, body = target.received[0]
    assert path == "/bot123:secret/sendMessage"
    assert (body["chat_id"], body["text"]) == ("42", "cleared: back again")


def moved(request: httpx.Request) -> httpx.Response:
    """A server that has moved, twice, to where all is well; what is beyond "unsafe" is not TLS."""
    if request.url.path == "/hook":
        to = {"unsafe.test": "http://next.test/SECRET"}
        location = to.get(request.url.host, "https://next.test/SECRET")
        return httpx.Response(307, headers={"Location": location})
    if request.url.path == "/SECRET":
        return httpx.Response(302, headers={"Location": "/last"})
    if request.url.path == "/circle":
        return httpx.Response(301, headers={"Location": "/circle"})
    return httpx.Response(200)


def test_a_heartbeat_follows_where_it_is_sent_and_a_message_does_not() -> None:
    """What is told goes to whom the settings name; a redirect is said, but for what it may hold."""
    with httpx.Client(transport=httpx.MockTransport(moved)) as client:
        ping(client, "GET", "https://host.test/hook")
        ping(client, "HEAD", "https://host.test/hook")
        for method, url in (("GET", "https://unsafe.test/hook"), ("GET", "https://h.test/circle")):
            with pytest.raises(Unreached, match="leads on to http"):
                ping(client, method, url)
        with pytest.raises(Unreached, match="leads on to https://next") as caught:
            post(client, "https://host.test/hook", {})
    assert "SECRET" not in str(caught.value)


TELEGRAMS = b'{"ok":false,"parameters":{"retry_after":90}}'
ENDLESS = itertools.repeat(b" " * 65_536)


@pytest.mark.parametrize(
    ("packed", "body", "asked_s"),
    [
        ("", [TELEGRAMS], 90.0),
        ("gzip", [gzip.compress(TELEGRAMS, mtime=0)], 90.0),
        ("", [b'{"parameters":{"retry_after":"90"}}'], 90.0),
        ("", ENDLESS, None),
        ("", [TELEGRAMS[:-2], b" " * 65_536, b"}}"], None),
        ("gzip", [gzip.compress(bytes(32 << 20), mtime=0)], None),
        ("br", [TELEGRAMS], None),
        ("", [b"[" * 60_000], None),
        ("", [b'{"parameters":{"retry_after":1' + b"0" * 400 + b"}}"], None),
        ("", [b"\xff"], None),
    ],
)
def test_of_what_a_target_answers_no_more_is_read_than_a_refusal_has(
    target: Target,
    client: httpx.Client,
    packed: str,
    body: Iterable[bytes],
    asked_s: float | None,
) -> None:
    """Whatever it is, it is what its status says."""
    target.status, target.body = 429, body
    target.headers = {"Content-Encoding": packed} if packed else {}
    with pytest.raises(NotNow, match="HTTP 429") as caught:
        post(client, target.url, {})
    assert caught.value.retry_after_s == asked_s
    if body is ENDLESS:
        assert target.hung_up.wait(20)


@pytest.mark.parametrize("ask", [post, lambda client, url, _: ping(client, "GET", url)])
def test_of_an_answer_that_took_it_nothing_is_read(
    target: Target, client: httpx.Client, ask: Callable[[httpx.Client, str, object], None]
) -> None:
    target.body = ENDLESS
    ask(client, target.url, {})
    assert target.hung_up.wait(20)


def test_a_token_file_that_is_missing_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="telegram_token_file"):
        senders(Alerts(telegram_token_file=str(tmp_path / "none")))


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


def test_a_damaged_database_ends_nobody_and_the_next_one_is_told_of(tmp_path: Path) -> None:
    """Who is to tell that the tracker is down must not go with it."""
    path = tmp_path / DATABASE_FILE
    path.write_bytes(b"no database " * 1_000)
    watcher = OpportunityNews(tmp_path, net_bps_min=50.0)
    assert list(watcher.since()) == []
    path.rename(tmp_path / "aside.db")
    store(tmp_path, id=1, symbol="A-USDT", direction="okx-mexc", entry_net_bps=60.0)
    assert list(watcher.since()) == []  # read for the first time
    store(tmp_path, id=2, symbol="A-USDT", direction="okx-mexc", entry_net_bps=60.0)
    assert [condition.key for condition in watcher.since()] == ["opportunity:2"]


def test_a_database_that_took_the_place_of_another_is_told_of_from_its_own_ids(
    tmp_path: Path,
) -> None:
    watcher = OpportunityNews(tmp_path, net_bps_min=50.0)
    for number in range(1, 6):
        store(tmp_path, id=number, symbol="A-USDT", direction="okx-mexc", entry_net_bps=60.0)
    assert len(list(watcher.since())) == 5
    (tmp_path / DATABASE_FILE).rename(tmp_path / "aside.db")
    store(tmp_path, id=1, symbol="B-USDT", direction="okx-mexc", entry_net_bps=60.0)
    assert list(watcher.since()) == []  # a copy of before may hold what was told long ago
    store(tmp_path, id=2, symbol="B-USDT", direction="okx-mexc", entry_net_bps=60.0)
    assert [condition.key for condition in watcher.since()] == ["opportunity:2"]
