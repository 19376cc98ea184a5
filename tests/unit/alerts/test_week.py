"""A week of alerts on a clock that is turned by hand: conditions stand, come and go; both targets
fail in every way, limit and refuse, everything or some things; the process reloads, is restarted
and killed, its clock set, the machine put to sleep.

Looks are a second apart for a minute after whatever changes, and else up to 20 s. What must hold is
in `Told`: every lasting condition is told within a minute of the target taking it, reminders say
"still", nothing is told twice without an end, nothing is lost. Two days of it are lived where
SPREAD_WEEKS does not ask for whole ones, and how many; SPREAD_WEEK_SEED takes one again.
"""

import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from web_answers import streamed

import bed
from spread_scanner import clock, config
from spread_scanner.alerts import state
from spread_scanner.alerts.desk import AWAY_S_MAX, Desk
from spread_scanner.alerts.outbox import Outbox
from spread_scanner.alerts.targets import Webhook
from spread_scanner.clock import NS_PER_S, VirtualClock
from spread_scanner.config import Alerts, Settings
from spread_scanner.view.conditions.condition import STANDS_S, Condition

DAY_S = 86_400
WEEKS = int(os.environ.get("SPREAD_WEEKS", "0"))
PROMISED_S = 60
LOOK_S_MAX = 20
CHANGE_S = 600  # between two changes of anything, on average
SECTION = Alerts()
SECTIONS = [SECTION, Alerts(per_minute_max=30), Alerts(per_minute_max=2)]  # by a reload
KEYS = [f"down:{number}" for number in range(20)] + ["quarantine:A-USDT", "version"]
PATIENT = KEYS[20:]
TARGETS = ("webhook", "other")
WHO = {name: f"http://{name}.test/" for name in TARGETS}
FAILURES: list[int | type[httpx.TransportError]] = [500, 503, 408, 429, httpx.ReadTimeout]
FAILURES += [httpx.ConnectError, 400, 401, 403, 404, 413]


def seconds(ns: int) -> float:
    return ns / NS_PER_S


class Told:
    """What one target knows, and whether it was told as it should have been."""

    def __init__(self, name: str, seed: int) -> None:
        self.name = name
        self._seed = seed
        self.standing: dict[str, int] = {}  # since when it was said last
        self.taking_since: int | None = 0  # None: it fails, or wants to be left alone
        self.failure: int | type[httpx.TransportError] | None = None
        self.disliked: set[str] = set()  # it refuses whatever speaks of these, or fails at it
        self.dislikes_by = 400
        self.liked_since: dict[str, int] = {}  # those that it did not like before
        self.wait_s = 0
        self.left_alone_until = 0
        self.forgotten: set[str] = set()  # it was told, and a kill came before that was kept
        self.lately: set[str] = set()  # told by the last flush
        self.counts: dict[str, int] = {}
        self.meanwhile: Callable[[str], None] = lambda key: None  # while it takes an end

    def fails(self, failure: int | type[httpx.TransportError] | None, wait_s: int = 0) -> None:
        self.failure, self.wait_s = failure, wait_s

    def likes(self, key: str) -> None:
        """It takes from now on what it refused."""
        self.disliked.discard(key)
        self.liked_since[key] = clock.mono_ns()

    def broken(self, key: str, what: str) -> None:
        at_s = seconds(clock.mono_ns())
        raise AssertionError(f"{self.name}, {key} at {at_s:.0f} s: {what} (seed {self._seed})")

    def asked(self, request: httpx.Request) -> httpx.Response:
        failure = self.failure
        if isinstance(failure, type):
            raise failure("as a test wants it", request=request)
        if failure == 429:
            self.left_alone_until = clock.mono_ns() + self.wait_s * NS_PER_S
            return streamed(httpx.Response(429, headers={"Retry-After": str(self.wait_s)}))
        if failure is not None:
            return streamed(httpx.Response(failure))
        body: dict[str, Any] = httpx.Response(200, content=request.content).json()
        parts = body.get("parts", [body])
        if any(part["key"] in self.disliked for part in parts):
            return streamed(httpx.Response(self.dislikes_by))
        for part in parts:
            self._takes(part["event"], part["key"], part["text"])
        return httpx.Response(200)

    def _takes(self, event: str, key: str, text: str) -> None:
        self.counts[event] = self.counts.get(event, 0) + 1
        now_ns, said_ns = clock.mono_ns(), self.standing.get(key)
        self.lately.add(key)
        if key in self.forgotten:  # told once more, whatever it is
            self.forgotten.discard(key)
            self._takes_again(event, key)
            return
        if event == "raised":
            if said_ns is not None:
                self.broken(key, "told twice without an end")
            self.standing[key] = now_ns
        elif event == "still":
            repeat_s = SECTION.repeat_patient_s_min if key in PATIENT else SECTION.repeat_s_min
            if said_ns is None or seconds(now_ns - said_ns) < repeat_s:
                self.broken(key, "a reminder of nothing, or too soon")
            if not text.startswith("still, for "):
                self.broken(key, f"a reminder that does not say so: {text}")
            self.standing[key] = now_ns
        elif event == "cleared":
            if self.standing.pop(key, None) is None:
                self.broken(key, "an end without a beginning")
            self.meanwhile(key)
        elif event == "over" and said_ns is not None:
            self.broken(key, "over, though it stands")

    def _takes_again(self, event: str, key: str) -> None:
        if event in ("raised", "still"):
            self.standing[key] = clock.mono_ns()
        else:
            self.standing.pop(key, None)

    def judge(self, present: dict[str, int], gone: dict[str, int], lives_since: int) -> None:
        """`present` and `gone`: since when, of those that are and of those that were."""
        now_ns = clock.mono_ns()
        takes = self.failure is None and now_ns >= self.left_alone_until
        if not takes:
            self.taking_since = None
            return
        if self.taking_since is None:
            self.taking_since = now_ns
        promised_ns = (PROMISED_S + LOOK_S_MAX) * NS_PER_S
        for key, since_ns in present.items():
            since = max(self.taking_since, lives_since, self.liked_since.get(key, 0))
            stands_ns = since_ns + int(STANDS_S * NS_PER_S)
            known = key in self.standing or key in self.forgotten  # that it came back: a reminder
            late = now_ns - max(since, stands_ns) > promised_ns
            if late and not known and key not in self.disliked:
                self.broken(key, "lasts, and was not told")
        for key, said_ns in self.standing.items():
            if key in self.disliked:
                continue
            since = max(self.taking_since, lives_since, self.liked_since.get(key, 0))
            ended_ns = gone.get(key, 0) + int(AWAY_S_MAX * NS_PER_S)
            if key not in present and now_ns - max(since, ended_ns) > promised_ns:
                self.broken(key, "is over, and was not told so")
            repeat_s = SECTION.repeat_patient_s_min if key in PATIENT else SECTION.repeat_s_min
            due_ns = max(since, said_ns) + int(repeat_s * NS_PER_S)
            if now_ns - due_ns > promised_ns:
                self.broken(key, "nobody was reminded of it")


class Week:
    """One life of the system, and what happens to it."""

    def __init__(self, moved: VirtualClock, settings: Settings, seed: int) -> None:
        print("seed", seed)
        self.clock = moved
        self._settings = settings
        self._random = random.Random(seed)
        self.told = [Told(name, seed) for name in TARGETS]
        self._senders = []
        for one in self.told:
            client = httpx.Client(transport=httpx.MockTransport(one.asked))
            sender = Webhook(f"http://{one.name}.test/", client)
            sender.name = one.name
            one.meanwhile = self._came_back
            self._senders.append(sender)
        self._present: dict[str, int] = {}
        self._gone: dict[str, int] = {}
        self._events = 0
        self._section = SECTION
        self._begin()
        self._keep()

    def _begin(self) -> None:
        known = state.read(self._settings)
        assert not known.damaged
        self._desk = Desk(known.raised)
        self._outboxes = [
            Outbox(sender, self._section, known.of_target(sender.name, WHO[sender.name]))
            for sender in self._senders
        ]
        self._lives_since = self.clock.mono_ns()
        self._kept: object = None

    def run(self, seconds_: int) -> None:
        until_ns = self.clock.mono_ns() + seconds_ * NS_PER_S
        change_ns = self.clock.mono_ns()
        while (now_ns := self.clock.mono_ns()) < until_ns:
            if now_ns >= change_ns:
                self._change()
                busy_ns = now_ns + (PROMISED_S + 10) * NS_PER_S
                change_ns = now_ns + int(self._random.expovariate(1 / CHANGE_S) * NS_PER_S)
            self._look()
            quiet = now_ns > busy_ns
            step_s = self._random.randint(1, LOOK_S_MAX) if quiet else 1
            self.clock.advance_ms(1_000 * step_s)

    def end_well(self) -> None:
        """All is well, and everybody takes everything: nothing may be left standing."""
        for key in [*self._present]:
            self._toggle(key)
        for one in self.told:
            one.fails(None)
            for key in sorted(one.disliked):
                one.likes(key)
            one.meanwhile = lambda key: None
        alone_until_ns = max(one.left_alone_until for one in self.told)  # is waited out
        while self.clock.mono_ns() < alone_until_ns:
            self._look()
            self.clock.advance_ms(1_000)
        for _ in range(0, int(AWAY_S_MAX) + 300, 2):
            self._look()
            self.clock.advance_ms(2_000)
        for one in self.told:
            assert not one.standing, one.standing
        assert not self._desk.raised

    def _look(self, *, keep: bool = True) -> None:
        lasting = [Condition(key, key, patient=key in PATIENT) for key in self._present]
        events = self._desk.update([*lasting, *self._news()])
        for outbox in self._outboxes:
            outbox.take(self._desk.raised, events)
        self._keep()
        for outbox, one in zip(self._outboxes, self.told, strict=True):
            one.lately.clear()
            outbox.flush()
            one.judge(self._present, self._gone, self._lives_since)
        if keep:
            self._keep()

    def _keep(self) -> None:
        """When Telling.save does."""
        raised = [(key, story.times) for key, story in self._desk.raised.items()]
        now = (raised, [(outbox, outbox.changes) for outbox in self._outboxes])
        if now != self._kept:
            self._kept = now
            told = {outbox.name: outbox.entries() for outbox in self._outboxes}
            state.write(self._settings, self._desk.raised.values(), told, WHO)

    def _came_back(self, key: str) -> None:
        """While a target is told of an end, the thread that looks sees that it is none."""
        if key in self._present or self._random.random() > 0.2:
            return
        self._toggle(key)
        for _ in range(6):
            self._desk.update(Condition(one, one, patient=one in PATIENT) for one in self._present)
            for outbox in self._outboxes:
                outbox.take(self._desk.raised)
            self.clock.advance_ms(1_000)

    def _news(self) -> list[Condition]:
        if self._random.random() > 0.05:
            return []
        self._events += 1
        return [Condition(f"opportunity:{self._events}", "X 60 bps", passing=True)]

    def _change(self) -> None:
        kinds = [self._toggle_some, self._flap, self._mood, self._restart, self._set, self._sleep]
        kinds += [self._kill, self._reload, self._readdress, self._taste]
        self._random.choices(kinds, [40, 10, 30, 8, 4, 2, 8, 6, 2, 20])[0]()

    def _toggle(self, key: str) -> None:
        if key in self._present:
            del self._present[key]
            self._gone[key] = self.clock.mono_ns()
        else:
            self._present[key] = self.clock.mono_ns()

    def _toggle_some(self) -> None:
        for key in self._random.sample(KEYS, self._random.choice([1, 1, 1, 2, 5, len(KEYS)])):
            self._toggle(key)

    def _flap(self) -> None:
        key, every_s = self._random.choice(KEYS), self._random.choice([1, 2, 7, 30])
        for _ in range(self._random.randint(2, 12)):
            self._toggle(key)
            for _ in range(every_s):
                self._look()
                self.clock.advance_ms(1_000)

    def _mood(self) -> None:
        one = self._random.choice(self.told)
        failure = None if one.failure else self._random.choice(FAILURES)
        one.fails(failure, self._random.choice([0, 1, 30, 3_000]))

    def _taste(self) -> None:
        """One target refuses some things, whatever it does with all else, or likes some again."""
        one = self._random.choice(self.told)
        if one.disliked and self._random.random() < 0.5:
            count = self._random.choice([1, len(one.disliked)])
            for key in self._random.sample(sorted(one.disliked), count):
                one.likes(key)
        else:
            one.dislikes_by = self._random.choice([400, 500, 503])
            one.disliked.update(self._random.sample(KEYS, self._random.choice([1, 1, 2, 8])))

    def _restart(self) -> None:
        """Whatever is sent is kept with the same look; what it takes to come back differs."""
        for one in self.told:
            one.left_alone_until = 0  # a new life knows nothing of it, and may ask
        self.clock.advance_ms(1_000 * self._random.choice([1, 5, 60, 1_800]))
        self._begin()

    def _kill(self) -> None:
        """After what was told, and before that was kept: then, and only then, it is told again."""
        if self._random.random() < 0.5:
            self._toggle(self._random.choice(KEYS))
            for _ in range(self._random.randint(3, 6)):  # it is raised in one of them
                self.clock.advance_ms(1_000)
                self._look(keep=False)
            for one in self.told:
                one.forgotten |= one.lately
        self._restart()

    def _reload(self) -> None:
        """Other limits; the targets stay who they are."""
        self._section = self._random.choice(SECTIONS)
        for outbox in self._outboxes:
            outbox.settings(outbox.sender, self._section)

    def _readdress(self) -> None:
        """One target is another one now, who has been told nothing."""
        number = self._random.randrange(len(self.told))
        self._outboxes[number] = Outbox(self._senders[number], self._section)
        one = self.told[number]
        one.standing.clear()
        one.forgotten.clear()
        one.left_alone_until = 0
        self._lives_since = self.clock.mono_ns()

    def _set(self) -> None:
        self.clock.step_wall_ms(self._random.choice([-3_600_000, -500, 500, 86_400_000]))

    def _sleep(self) -> None:
        self.clock.suspend_ms(self._random.choice([5_000, 3_600_000, 10 * 3_600_000]))
        self._lives_since = self.clock.mono_ns()


def lived(moved: VirtualClock, folder: Path, seconds_: int) -> Week:
    environ = {"SPREAD_SYSTEM__DATA_DIR": str(folder)}
    settings = config.load(Path(__file__).parents[3] / "config", environ)
    seed = bed.seed("SPREAD_WEEK_SEED")
    week = Week(moved, settings, seed)
    week.run(seconds_)
    week.end_well()
    return week


def test_hours_of_faults_lose_nothing_and_tell_nothing_twice(
    virtual_clock: VirtualClock, tmp_path: Path
) -> None:
    lived(virtual_clock, tmp_path, 2 * 3_600)


@pytest.mark.slow
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("number", range(WEEKS or 1))
def test_days_of_faults_lose_nothing_and_tell_nothing_twice(
    virtual_clock: VirtualClock, tmp_path: Path, number: int
) -> None:
    week = lived(virtual_clock, tmp_path, (7 if WEEKS else 2) * DAY_S)
    for one in week.told:
        print(one.name, one.counts)
        assert {"raised", "still", "cleared", "over", "event", "summary"} <= set(one.counts)
