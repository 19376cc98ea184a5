"""What many connections live through together is said in few lines, and none of it is lost."""

from logging import INFO, WARNING
from typing import Any

import pytest

from spread_scanner.clock import NS_PER_S
from spread_scanner.feed.outage_log import CALM_NS, EVERY_NS, KINDS_MAX, NEVER_NS, OutageLog

Said = dict[str, Any]
LINES = 74


class Bed:
    def __init__(self) -> None:
        self.said: list[Said] = []
        self.outages = OutageLog(self._note)

    def _note(self, level: int, event: str, **what: object) -> None:
        self.said.append({"level": level, "event": event, **what})

    def look(self, at_s: float, *, well: bool) -> None:
        self.outages.look(int(at_s * NS_PER_S), well=well)

    def lose(self, number: int, at_s: float) -> None:
        self.outages.take(
            "connection ended",
            "lost",
            int(at_s * NS_PER_S),
            sums={"symbols": 30},
            connection=number,
        )

    def fail(self, at_s: float, why: str = "refused") -> None:
        self.outages.take("dial failed", why, int(at_s * NS_PER_S), error=f"{why}: wss://x")

    @property
    def events(self) -> list[str]:
        return [line["event"] for line in self.said]


@pytest.fixture
def bed() -> Bed:
    return Bed()


def test_an_exchange_that_goes_away_for_an_hour_is_two_lines_a_minute(bed: Bed) -> None:
    for number in range(LINES):
        bed.lose(number, 10.0)
    assert bed.said == [
        {"level": WARNING, "event": "connection ended", "why": "lost", "connection": 0,
         "symbols": 30},
    ]  # fmt: skip

    dials = 0
    for second in range(11, 3_611):
        if second % 30 == 0:  # the longest pause
            for _ in range(LINES):
                bed.fail(second)
                dials += 1
        bed.look(second, well=False)
    bed.look(3_700, well=True)

    ended = [line for line in bed.said if line["event"] == "connection ended"]
    failed = [line for line in bed.said if line["event"] == "dial failed"]
    assert failed[0] == {
        "level": WARNING, "event": "dial failed", "why": "refused", "error": "refused: wss://x"
    }  # fmt: skip
    assert ended[1:] == [
        {"level": WARNING, "event": "connection ended", "why": "lost", "more": LINES - 1,
         "symbols": 30 * (LINES - 1)},
    ]  # fmt: skip
    assert 1 + sum(line["more"] for line in failed[1:]) == dials
    assert len(failed) <= 3_600 * NS_PER_S / EVERY_NS + 2
    assert bed.said[-1] == {
        "level": INFO, "event": "all connections stand again", "warnings": LINES + dials,
        "lasted_s": 3_600.0,
    }  # fmt: skip
    assert bed.events.count("all connections stand again") == 1


def test_one_that_comes_back_at_once_is_said_whole_and_so_is_the_next(bed: Bed) -> None:
    bed.lose(1, 10.0)
    bed.look(10.0 + CALM_NS / NS_PER_S - 1, well=True)
    assert bed.events == ["connection ended"]
    bed.look(10.0 + CALM_NS / NS_PER_S, well=True)
    bed.look(1_000.0, well=True)
    assert bed.events == ["connection ended", "all connections stand again"]

    bed.lose(2, 2_000.0)
    assert bed.said[-1]["connection"] == 2


def test_who_waits_long_for_its_dial_is_away_until_it_is_back(bed: Bed) -> None:
    bed.lose(1, 10.0)
    bed.look(100.0, well=False)
    bed.look(101.0, well=True)
    assert bed.events == ["connection ended"]
    bed.look(130.0, well=True)
    assert bed.said[-1] == {
        "level": INFO, "event": "all connections stand again", "warnings": 1, "lasted_s": 90.0,
    }  # fmt: skip


def test_one_that_is_lost_again_and_again_is_one_outage(bed: Bed) -> None:
    for second in range(0, 600, 5):
        bed.lose(1, second)
        bed.look(second + 1, well=True)
    assert "all connections stand again" not in bed.events
    assert len(bed.said) <= 600 * NS_PER_S / EVERY_NS + 1
    bed.look(700.0, well=True)
    assert 1 + sum(line["more"] for line in bed.said[1:-1]) == 120


def test_what_comes_rarely_is_said_whole_each_time(bed: Bed) -> None:
    for minute in range(0, 60, 15):
        bed.fail(minute * 60.0)
        bed.look(minute * 60.0 + 1, well=False)
    assert [line.get("error") for line in bed.said] == ["refused: wss://x"] * 4


def test_no_flood_of_reasons_makes_more_lines(bed: Bed) -> None:
    for number in range(1_000):
        bed.fail(1.0, why=f"port {number}")
    assert len(bed.said) == KINDS_MAX + 1
    bed.outages.flush(2 * NS_PER_S)
    assert bed.said[-1]["more"] == 1_000 - KINDS_MAX - 1


def test_an_outage_of_days_still_says_what_is_new_in_words(bed: Bed) -> None:
    for number in range(3 * KINDS_MAX):
        bed.fail(number * 600.0, why=f"port {number}")
        bed.look(number * 600.0 + 1, well=False)
    assert [line["why"] for line in bed.said] == [f"port {n}" for n in range(3 * KINDS_MAX)]


def test_what_is_planned_has_no_end_to_tell(bed: Bed) -> None:
    for _ in range(3):
        bed.outages.take("connection ended", "stopped", 0, level=INFO)
    bed.look(100.0, well=True)
    assert [line.get("more") for line in bed.said] == [None, 2]


def test_it_is_known_when_the_next_line_is_due(bed: Bed) -> None:
    assert bed.outages.due_ns(well=True) == NEVER_NS
    bed.lose(1, 10.0)
    assert bed.outages.due_ns(well=False) == NEVER_NS
    assert bed.outages.due_ns(well=True) == 10 * NS_PER_S + CALM_NS
    bed.lose(2, 11.0)
    assert bed.outages.due_ns(well=False) == 10 * NS_PER_S + EVERY_NS
    bed.outages.flush(12 * NS_PER_S)
    assert bed.outages.due_ns(well=True) == NEVER_NS
