"""What is judged, told once and told on: on a clock that is turned by hand."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import httpx
import pytest
from web_answers import streamed

from spread_scanner import clock, config
from spread_scanner.alerts import state
from spread_scanner.alerts.desk import Desk, Story
from spread_scanner.alerts.ledger import ENTRIES_MAX, EVENTS_MAX, Entry
from spread_scanner.alerts.outbox import Outbox
from spread_scanner.alerts.targets import TELEGRAM_CHARS, Message, Telegram, Webhook, senders
from spread_scanner.clock import VirtualClock
from spread_scanner.config import Alerts, Settings
from spread_scanner.errors import ConfigError
from spread_scanner.view.conditions.condition import Condition

DOWN = Condition("down:spread-tracker", "spread-tracker is down")
Answer = Callable[[dict[str, Any]], httpx.Response]


def took(_: dict[str, Any]) -> httpx.Response:
    return httpx.Response(200)


class Bed:
    """Alerts without a process: what holds each second, and what a target took of it."""

    def __init__(self, clock: VirtualClock, settings: Alerts | None = None) -> None:
        self.clock = clock
        self.settings = settings or Alerts()
        self.answer: Answer = took
        self.got: list[dict[str, Any]] = []
        client = httpx.Client(transport=httpx.MockTransport(self._asked))
        self.sender = Webhook("http://target.test/", client)
        self.desk = Desk()
        self.outbox = Outbox(self.sender, self.settings)

    def _asked(self, request: httpx.Request) -> httpx.Response:
        body = httpx.Response(200, content=request.content).json()
        response = self.answer(body)
        if response.is_success:
            self.got += body.get("parts", [body])
        return streamed(response)

    def second(self, conditions: Iterable[Condition] = ()) -> None:
        events = self.desk.update(conditions)
        self.outbox.take(self.desk.raised, events)
        self.outbox.flush()
        self.clock.advance_ms(1_000)

    def run(self, seconds: int, *conditions: Condition) -> None:
        for _ in range(seconds):
            self.second(conditions)

    def told(self, key: str = DOWN.key) -> list[str]:
        return [body["event"] for body in self.got if body["key"] == key]


@pytest.fixture
def bed(virtual_clock: VirtualClock) -> Bed:
    return Bed(virtual_clock)


def settings_in(folder: Path) -> Settings:
    environ = {"SPREAD_SYSTEM__DATA_DIR": str(folder)}
    return config.load(Path(__file__).parents[3] / "config", environ)


def event(number: int) -> Condition:
    return Condition(f"opportunity:{number}", f"X {number}", passing=True)


def test_what_stands_is_told_once_reminded_of_and_ended(bed: Bed) -> None:
    bed.run(2, DOWN)
    assert bed.told() == []
    bed.run(298, DOWN)
    assert bed.told() == ["raised"]
    bed.run(10, DOWN)
    assert bed.told() == ["raised", "still"]
    assert bed.got[-1]["text"].startswith("still, for 5 min: ")
    bed.run(60)
    assert bed.told() == ["raised", "still", "cleared"]


def test_who_wants_no_reminders_is_told_once(virtual_clock: VirtualClock) -> None:
    bed = Bed(virtual_clock, Alerts(repeat_s_min=0.0, repeat_patient_s_min=0.0))
    bed.run(60, DOWN, Condition("clock", "it was set", patient=True))
    bed.run(20)
    assert bed.told() == bed.told("clock") == ["raised", "cleared"]


def test_a_step_of_the_wall_clock_repeats_nothing(bed: Bed) -> None:
    bed.run(10, DOWN)
    bed.clock.step_wall_ms(3_600_000)
    bed.run(10, DOWN)
    assert bed.told() == ["raised"]


@pytest.mark.parametrize("step_s", [5 * 3_600, -5 * 3_600])
def test_a_step_of_the_wall_clock_makes_nothing_older(
    bed: Bed, tmp_path: Path, step_s: int
) -> None:
    """Nor does a restart of the alerts after it."""
    bed.run(200, DOWN)
    bed.clock.step_wall_ms(step_s * 1_000)
    bed.run(120, DOWN)
    assert bed.got[-1]["text"].startswith("still, for 5 min: ")
    settings, who = settings_in(tmp_path), {"webhook": "http://target.test/"}
    state.write(settings, bed.desk.raised.values(), {"webhook": bed.outbox.entries()}, who)
    known = state.read(settings)
    bed.desk = Desk(known.raised)
    bed.outbox = Outbox(bed.sender, bed.settings, known.of_target("webhook", who["webhook"]))
    bed.run(305, DOWN)
    assert bed.got[-1]["text"].startswith("still, for 10 min: ")


def test_after_a_boot_what_stood_has_stood_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The monotonic clock has begun anew; what has gone by is what the wall clock says."""
    settings, began_s = settings_in(tmp_path), 1_700_000_000
    with clock.use(VirtualClock(began_s * 10**9, 5_000 * 10**9)) as before:
        story = Story("down", "x", before.mono_ns() - 60 * 10**9)
        state.write(settings, [story], {}, {})
    monkeypatch.setattr(clock, "BOOT_ID", tmp_path / "another")
    with clock.use(VirtualClock((began_s + 600) * 10**9, 20 * 10**9)) as after:
        (known,) = state.read(settings).raised
        assert after.mono_ns() - known.began_mono_ns == 660 * 10**9


def test_what_an_older_version_has_written_begins_now_and_is_not_told_again(
    virtual_clock: VirtualClock, tmp_path: Path
) -> None:
    settings, who = settings_in(tmp_path), "http://target.test/"
    entry = Entry("down", "x", told=True)
    state.write(settings, [Story("down", "x")], {"webhook": [entry]}, {"webhook": who})
    document = json.loads(state.path_of(settings).read_bytes())
    for key in ("boot", "wall_ns", "mono_ns"):
        del document[key]
    for one in [*document["raised"], *document["told"]["webhook"]]:
        del one["began_mono_ns"]
        one["began_wall_ns"] = 1_600_000_000 * 10**9
    state.path_of(settings).write_text(json.dumps(document))
    virtual_clock.advance_ms(7_000)
    known = state.read(settings)
    assert not known.damaged
    assert [one.began_mono_ns for one in known.raised] == [virtual_clock.mono_ns()]
    assert [one.told for one in known.of_target("webhook", who)] == [True]


def test_opportunities_never_hide_that_something_is_down(bed: Bed) -> None:
    for second in range(340):
        now = [DOWN] if second >= 50 else []
        bed.second([*now, *([event(second)] if second % 4 == 0 else [])])
        if second == 56:
            assert bed.told() == ["raised"]
    assert bed.told() == ["raised"]
    assert any(body["event"] == "summary" for body in bed.got)


@pytest.mark.parametrize("every_s", [1, 5, 20, 60])
def test_what_comes_and_goes_is_one_message_with_a_count(bed: Bed, every_s: int) -> None:
    for second in range(3_600):
        bed.second([DOWN] if second // every_s % 2 else [])
    bed.run(400)
    told = [what for what in bed.told() if what != "still"]
    assert len(told) <= 8, told
    assert told[-1] == "cleared"
    assert "times" in bed.got[-1]["text"]


def test_more_at_once_than_the_budget_go_into_one_that_names_each(bed: Bed) -> None:
    many = [Condition(f"down:{number}", f"{number} is down") for number in range(60)]
    bed.run(30, *many)
    assert sorted(body["key"] for body in bed.got) == sorted(one.key for one in many)


def test_what_is_refused_for_good_is_dropped_named_and_blocks_nobody(bed: Bed) -> None:
    bed.answer = lambda body: httpx.Response(400 if body["key"] == "bad" else 200)
    bed.run(5, Condition("bad", "it does not like this"))
    assert bed.outbox.failing
    assert "HTTP 400" in bed.outbox.last_error
    assert "bad" in bed.outbox.last_error
    bed.run(5, Condition("bad", "it does not like this"), DOWN)
    assert bed.told() == ["raised"]
    assert (bed.outbox.refused, bed.outbox.dropped, bed.outbox.failing) == (1, 1, False)


def test_what_is_refused_and_stands_is_offered_again_within_a_minute_for_ever(bed: Bed) -> None:
    """The target may take it one day, and must not be filled with what it does not."""
    offered: list[str] = []

    def answer(body: dict[str, Any]) -> httpx.Response:
        offered.append(body["key"])
        return httpx.Response(400 if body["key"] == "bad" else 200)

    bed.answer = answer
    for second in range(3_600):
        bad = Condition("bad", "it does not like this")
        bed.second([bad, *([event(second)] if second % 10 == 0 else [])])
    assert 60 <= offered.count("bad") <= 120
    assert bed.outbox.refused == 1
    bed.answer = took
    bed.run(60, bad)
    assert bed.told("bad") == ["raised"]


def test_what_goes_with_others_costs_them_nothing_when_it_is_refused(bed: Bed) -> None:
    """Both what stands and what is over by then: they go together, as the budget is spent."""
    bed.answer = lambda _: httpx.Response(503)
    many = [Condition(f"down:{number}", f"{number} is down") for number in range(30)]
    bed.run(60, *many)
    bed.run(60, *many[:15])

    def answer(body: dict[str, Any]) -> httpx.Response:
        keys = {part["key"] for part in body.get("parts", [body])}
        return httpx.Response(400 if keys & {"down:7", "down:20"} else 200)

    bed.answer = answer
    bed.run(130, *many[:15])  # at ten a minute
    wanted = {one.key: ["raised"] if one in many[:15] else ["over"] for one in many}
    wanted |= {"down:7": [], "down:20": []}
    assert {one.key: bed.told(one.key) for one in many} == wanted
    assert bed.outbox.dropped == 2
    bed.answer = took
    bed.run(60, *many[:15])
    assert bed.told("down:7") == ["raised"]


def test_a_target_that_refused_everything_and_takes_it_again_is_told_all_that_stands(
    bed: Bed,
) -> None:
    many = [Condition(f"down:{number}", f"{number} is down") for number in range(6)]
    bed.run(10, DOWN)
    bed.answer = lambda _: httpx.Response(401)
    bed.run(600, *many)  # and DOWN ends
    assert bed.told() == ["raised"]
    bed.answer = took
    bed.run(60, *many)
    assert bed.told() == ["raised", "cleared"]
    assert [bed.told(one.key) for one in many] == [["raised"]] * 6


def test_the_end_of_what_a_killed_life_may_have_told_is_not_dropped(bed: Bed) -> None:
    """It was told, and the process killed before that was kept; then the target refuses its end."""
    bed.run(3, DOWN)
    before = []

    def answer(_: dict[str, Any]) -> httpx.Response:
        before.extend(bed.outbox.entries())
        return httpx.Response(200)

    bed.answer = answer
    bed.run(1, DOWN)
    assert bed.told() == ["raised"]
    bed.outbox = Outbox(bed.sender, bed.settings, before)
    bed.desk = Desk()
    bed.answer = lambda _: httpx.Response(403)
    bed.run(40)
    assert bed.outbox.refused > 0
    bed.answer = took
    bed.run(60)
    assert bed.told() == ["raised", "over"]
    assert not bed.outbox.entries()


def test_one_that_makes_the_target_fail_blocks_nobody(bed: Bed) -> None:
    bed.answer = lambda body: httpx.Response(500 if body["key"] == "bad" else 200)
    bed.run(60, Condition("bad", "it chokes on this"), DOWN)
    assert bed.told() == ["raised"]


@pytest.mark.parametrize(
    "limited",
    [
        httpx.Response(429, headers={"Retry-After": "90"}),
        httpx.Response(429, json={"ok": False, "parameters": {"retry_after": 90}}),
    ],
)
def test_a_target_is_not_asked_before_it_wants_to_be(bed: Bed, limited: httpx.Response) -> None:
    asked: list[object] = []

    def answer(body: dict[str, Any]) -> httpx.Response:
        asked.append(body)
        return limited if len(asked) == 1 else httpx.Response(200)

    bed.answer = answer
    bed.run(90, DOWN)
    assert len(asked) == 1
    bed.run(10, DOWN)
    assert bed.told() == ["raised"]


@pytest.mark.parametrize(
    "limited",
    [
        httpx.Response(429, headers={"Retry-After": "0"}),
        httpx.Response(503, headers={"Retry-After": "Thu, 01 Jan 1970 00:00:00 GMT"}),
        httpx.Response(429, json={"ok": False, "parameters": {"retry_after": 0}}),
    ],
)
def test_a_target_that_asks_for_no_time_is_left_alone_for_longer_and_longer(
    bed: Bed, limited: httpx.Response
) -> None:
    asked: list[object] = []

    def answer(body: dict[str, Any]) -> httpx.Response:
        asked.append(body)
        return limited

    bed.answer = answer
    bed.run(70, DOWN)
    assert 2 <= len(asked) <= 8


def test_an_absurd_wish_of_a_target_is_cut_and_said(bed: Bed) -> None:
    bed.answer = lambda _: httpx.Response(429, headers={"Retry-After": "1e9"})
    bed.run(20, DOWN)
    assert "Retry-After of 1,000,000,000 s cut to 3,600 s" in bed.outbox.last_error


def test_what_began_and_ended_while_the_target_was_away_is_told_as_over(bed: Bed) -> None:
    bed.answer = lambda _: httpx.Response(503)
    bed.run(60, DOWN)
    bed.run(60)
    bed.answer = took
    bed.run(60)
    assert bed.told() == ["over"]


@pytest.mark.parametrize("count", [ENTRIES_MAX * 3 // 4, ENTRIES_MAX, ENTRIES_MAX + 1])
def test_what_is_over_waits_for_the_target_up_to_a_bound(bed: Bed, count: int) -> None:
    bed.outbox.take({f"k{number}": Story(f"k{number}", "t", 1) for number in range(count)})
    bed.outbox.take({})
    kept = min(count, ENTRIES_MAX)
    assert (len(bed.outbox.entries()), bed.outbox.dropped) == (kept, count - kept)


def test_events_that_wait_are_bounded_and_counted(bed: Bed) -> None:
    bed.answer = lambda _: httpx.Response(503)
    bed.second([event(number) for number in range(EVENTS_MAX + 5)])
    assert bed.outbox.dropped == 5


def test_a_restart_tells_nothing_twice_and_forgets_no_end(bed: Bed, tmp_path: Path) -> None:
    bed.run(10, DOWN)
    who = "http://target.test/"
    raised, settings = bed.desk.raised.values(), settings_in(tmp_path)
    state.write(settings, raised, {"webhook": bed.outbox.entries()}, {"webhook": who})
    assert "target.test" not in state.path_of(settings).read_text()

    known = state.read(settings)
    bed.desk = Desk(known.raised)
    bed.outbox = Outbox(bed.sender, bed.settings, known.of_target("webhook", who))
    bed.run(10, DOWN)
    assert bed.told() == ["raised"]
    bed.run(30)
    assert bed.told() == ["raised", "cleared"]
    assert "times" not in bed.got[-1]["text"], "it stood all the while: it came once"
    assert known.of_target("webhook", "http://another.test/") == []
    assert known.of_target("telegram", who) == []


@pytest.mark.parametrize("bytes_", [b"nonsense", b'{"x":' + b"[" * 100_000])
def test_a_damaged_state_is_said_and_is_as_none(tmp_path: Path, bytes_: bytes) -> None:
    settings = settings_in(tmp_path)
    state.write(settings, [], {}, {})
    state.path_of(settings).write_bytes(bytes_)
    known = state.read(settings)
    assert known.damaged
    assert known.raised == []


def test_a_text_that_is_too_long_for_telegram_is_cut(virtual_clock: VirtualClock) -> None:
    sizes: list[int] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sizes.append(len(httpx.Response(200, content=request.content).json()["text"]))
        return httpx.Response(200)

    client = httpx.Client(transport=httpx.MockTransport(answer))
    Telegram("https://api.test", "1:T", "7", client).send(Message("event", "k", "x" * 9_000, 0))
    assert TELEGRAM_CHARS < sizes[0] <= 4_096


def test_nothing_that_goes_with_others_is_cut_off(virtual_clock: VirtualClock) -> None:
    """What is cut off counts as told, and is not said before the next reminder, a day later."""
    texts: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        texts.append(httpx.Response(200, content=request.content).json()["text"])
        return httpx.Response(200)

    client = httpx.Client(transport=httpx.MockTransport(answer))
    outbox = Outbox(Telegram("https://api.test", "1:T", "7", client), Alerts())
    many = [f"COIN{number}-USDT is in quarantine: {'x' * 100}" for number in range(100)]
    outbox.take({text: Story(text, text, 1, patient=True) for text in many})
    for _ in range(60):
        outbox.flush()
        virtual_clock.advance_ms(1_000)
    assert max(len(text) for text in texts) <= TELEGRAM_CHARS
    assert [text for text in many if sum(text in said for said in texts) != 1] == []


@pytest.mark.parametrize(
    "token",
    ["123:abc\n456:def\n", "", "abc"],
)
def test_a_token_that_is_none_is_refused(tmp_path: Any, token: str) -> None:
    (tmp_path / "token").write_text(token)
    settings = Alerts(telegram_token_file=str(tmp_path / "token"), telegram_chat_id="7")
    with pytest.raises(ConfigError, match="token is none") as caught:
        senders(settings)
    assert "abc" not in str(caught.value)
    assert caught.value.evidence["key"] == "spread-alerts.telegram_token_file"


@pytest.mark.parametrize(
    "url", ["http://[::1", "ftp://example.test/", "example.test/hook", "http://"]
)
def test_a_url_that_cannot_be_asked_is_refused_at_load(url: str) -> None:
    environ = {"SPREAD_ALERTS__WEBHOOK_URL": url}
    with pytest.raises(ConfigError, match="webhook_url"):
        config.load(Path(__file__).parents[3] / "config", environ)
