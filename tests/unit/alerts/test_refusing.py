"""A target that takes some things and not others, in any mix: what it takes it is told within a
minute, and no more messages than it is to have.

Which are not taken is drawn (SPREAD_MIX_SEED lives a mix again); the clock is turned by hand.
"""

import random
from collections.abc import Callable

import pytest

import bed
from spread_scanner.alerts.desk import Story
from spread_scanner.alerts.outbox import Outbox
from spread_scanner.alerts.targets import Message, NeverTaken, NotNow, Unreached
from spread_scanner.clock import VirtualClock
from spread_scanner.config import Alerts

Judge = Callable[[Message], None]


class Picky:
    """A target that judges each message, and notes when it took what."""

    name = "picky"

    def __init__(self, clock: VirtualClock, judge: Judge, chars_max: int = 1 << 20) -> None:
        self.clock, self.judge, self.chars_max = clock, judge, chars_max
        self.took_s: list[float] = []  # a message each
        self.told_s: dict[str, float] = {}
        self.asked = 0

    def send(self, message: Message) -> None:
        self.asked += 1
        self.judge(message)
        now_s = self.clock.mono_ns() / 1e9
        self.took_s.append(now_s)
        for part in message.parts or (message,):
            assert part.key not in self.told_s, f"{part.key} is told twice"
            self.told_s[part.key] = now_s

    def most_in_a_minute(self) -> int:
        return max(
            (sum(at <= one < at + 60 for one in self.took_s) for at in self.took_s), default=0
        )


def refusing(bad: set[str], error: type[NeverTaken | Unreached] = NeverTaken) -> Judge:
    def judge(message: Message) -> None:
        if bad & {part.key for part in message.parts or (message,)}:
            raise error("HTTP 400")

    return judge


def stories(count: int, chars: int = 60) -> dict[str, Story]:
    return {f"k{number}": Story(f"k{number}", "x" * chars, 1) for number in range(count)}


def run(outbox: Outbox, raised: dict[str, Story], clock: VirtualClock, seconds: int) -> None:
    for _ in range(seconds):
        outbox.take(raised)
        outbox.flush()
        clock.advance_ms(1_000)


@pytest.mark.parametrize("per_minute_max", [1, 10])
@pytest.mark.parametrize(
    ("good", "bad"), [(28, 2), (30, 0), (29, 1), (1, 29), (15, 15), (60, 30), (3, 1)]
)
def test_what_is_taken_is_told_within_a_minute_whatever_else_is_refused(
    virtual_clock: VirtualClock, good: int, bad: int, per_minute_max: int
) -> None:
    drawn = random.Random(bed.seed("SPREAD_MIX_SEED"))
    raised = stories(good + bad)
    refused = set(drawn.sample(sorted(raised), bad))
    target = Picky(virtual_clock, refusing(refused))
    run(Outbox(target, Alerts(per_minute_max=per_minute_max)), raised, virtual_clock, 60)
    assert set(target.told_s) == set(raised) - refused


@pytest.mark.parametrize("per_minute_max", [1, 3, 10])
def test_no_minute_has_more_messages_than_it_may(
    virtual_clock: VirtualClock, per_minute_max: int
) -> None:
    """They come one by one, in heaps, all the time."""
    drawn = random.Random(bed.seed("SPREAD_MIX_SEED"))
    target = Picky(virtual_clock, refusing(set()))
    outbox = Outbox(target, Alerts(per_minute_max=per_minute_max))
    raised, since_s = dict[str, Story](), dict[str, float]()
    for _ in range(240):
        for story in stories(drawn.choice([0, 0, 0, 1, 1, 12])).values():
            key = f"{story.key} {len(raised)}"
            raised[key] = Story(key, "x", 1, patient=True)
            since_s[key] = virtual_clock.mono_ns() / 1e9
        run(outbox, raised, virtual_clock, 1)
    assert target.most_in_a_minute() <= per_minute_max
    late = [at - since_s[key] for key, at in target.told_s.items() if at - since_s[key] > 60]
    assert not late


def test_two_that_are_refused_cost_the_budget_next_to_nothing(virtual_clock: VirtualClock) -> None:
    """Nor does it matter how often they are offered later on."""
    raised = stories(30)
    target = Picky(virtual_clock, refusing({"k3", "k22"}))
    outbox = Outbox(target, Alerts(repeat_s_min=86_400))
    run(outbox, raised, virtual_clock, 240)
    assert target.most_in_a_minute() <= 10
    new = {f"new{number}": Story(f"new{number}", "x", 1) for number in range(5)}
    run(outbox, {**raised, **new}, virtual_clock, 2)
    assert set(new) <= set(target.told_s)


def test_all_that_is_refused_is_told_within_a_minute_of_being_taken(
    virtual_clock: VirtualClock,
) -> None:
    raised = stories(30)
    bad = set(raised)
    target = Picky(virtual_clock, refusing(bad))
    outbox = Outbox(target, Alerts())
    run(outbox, raised, virtual_clock, 120)
    assert not target.told_s
    for key in sorted(bad)[:25]:
        bad.remove(key)
    run(outbox, raised, virtual_clock, 60)
    assert set(target.told_s) == set(raised) - bad
    assert target.asked < 1_000  # in three minutes


def test_one_at_which_the_target_fails_keeps_none_of_thirty_from_being_told(
    virtual_clock: VirtualClock,
) -> None:
    """It answers 500 to whatever speaks of it, as a target does that is down."""
    raised = stories(30)
    target = Picky(virtual_clock, refusing({"k17"}, Unreached))
    outbox = Outbox(target, Alerts())
    run(outbox, raised, virtual_clock, 60)
    assert set(target.told_s) == set(raised) - {"k17"}


@pytest.mark.parametrize("bad", [1, 2, 15, 29])
def test_those_at_which_the_target_fails_hold_up_nobody(
    virtual_clock: VirtualClock, bad: int
) -> None:
    """Whatever they are: two of them stay together in one half, and one that is good beside many
    is found among them."""
    drawn = random.Random(bed.seed("SPREAD_MIX_SEED"))
    raised = stories(30)
    choking = set(drawn.sample(sorted(raised), bad))
    target = Picky(virtual_clock, refusing(choking, Unreached))
    outbox = Outbox(target, Alerts())
    run(outbox, raised, virtual_clock, 60)
    assert set(target.told_s) == set(raised) - choking
    new = {"new": Story("new", "x", virtual_clock.mono_ns())}
    run(outbox, {**raised, **new}, virtual_clock, 2)
    assert "new" in target.told_s
    choking.clear()
    run(outbox, raised | new, virtual_clock, 60)
    assert set(target.told_s) == {*raised, "new"}


def test_a_target_that_fails_is_not_asked_without_end(virtual_clock: VirtualClock) -> None:
    """Thirty for which nobody knows whether it is they or the target: each twice a minute."""
    raised = stories(30)
    target = Picky(virtual_clock, refusing(set(raised), Unreached))
    run(Outbox(target, Alerts()), raised, virtual_clock, 600)
    assert target.asked < 10 * 62 + 40


class Limiter:
    """Takes one message in each `every_s`, and answers as it does to too many."""

    def __init__(self, clock: VirtualClock, error: type[Unreached], every_s: float) -> None:
        self.clock, self.error, self.every_ns = clock, error, int(every_s * 1e9)
        self.next_ns = 0

    def __call__(self, _: Message) -> None:
        if self.clock.mono_ns() < self.next_ns:
            raise self.error("too many")
        self.next_ns = self.clock.mono_ns() + self.every_ns


@pytest.mark.parametrize("every_s", [10.5, 40.5])
@pytest.mark.parametrize("error", [NotNow, Unreached])
def test_a_target_that_takes_one_now_and_then_is_told_all_that_waits_in_one(
    virtual_clock: VirtualClock, error: type[Unreached], every_s: float
) -> None:
    """One that says so (429) or only fails meanwhile (503)."""
    raised = stories(4)
    limiter = Limiter(virtual_clock, error, every_s)
    target = Picky(virtual_clock, limiter)
    run(Outbox(target, Alerts()), raised, virtual_clock, int(every_s) + 31)
    assert set(target.told_s) == set(raised)
    assert len(target.took_s) == 2


def test_a_target_that_was_down_is_told_in_few_messages(virtual_clock: VirtualClock) -> None:
    raised = stories(30)
    target = Picky(virtual_clock, refusing(set(raised), Unreached))
    outbox = Outbox(target, Alerts())
    run(outbox, raised, virtual_clock, 300)
    target.judge = refusing(set())
    run(outbox, raised, virtual_clock, 60)
    assert set(target.told_s) == set(raised)
    assert len(target.took_s) <= 5


def test_what_comes_while_a_target_takes_its_time_is_told_within_a_minute(
    virtual_clock: VirtualClock,
) -> None:
    """The budget was spent when the message was sent, not when it was taken at last."""
    raised = stories(1)

    def judge(message: Message) -> None:
        if message.key == "k0":
            raised["new"] = Story("new", "x", virtual_clock.mono_ns())
            virtual_clock.advance_ms(20_000)

    target = Picky(virtual_clock, judge)
    run(Outbox(target, Alerts(per_minute_max=2)), raised, virtual_clock, 62)
    assert target.told_s["new"] - raised["new"].began_mono_ns / 1e9 <= 60


def test_a_smaller_budget_holds_from_the_reload_on(virtual_clock: VirtualClock) -> None:
    target = Picky(virtual_clock, refusing(set()))
    outbox = Outbox(target, Alerts(per_minute_max=600))
    outbox.settings(target, Alerts(per_minute_max=2))
    run(outbox, stories(30), virtual_clock, 59)
    assert len(target.took_s) == 1


def test_what_was_overdrawn_is_as_little_as_the_smaller_budget_allows(
    virtual_clock: VirtualClock,
) -> None:
    """What thirty a minute have overdrawn would be ten minutes at two."""
    raised = stories(60)
    bad = {f"k{number}" for number in range(0, 60, 2)}
    target = Picky(virtual_clock, refusing(bad))
    outbox = Outbox(target, Alerts(per_minute_max=30))
    run(outbox, raised, virtual_clock, 20)
    outbox.settings(target, Alerts(per_minute_max=2))
    raised["new"] = Story("new", "x", virtual_clock.mono_ns())
    run(outbox, raised, virtual_clock, 61)
    assert "new" in target.told_s
