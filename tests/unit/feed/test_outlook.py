"""What a feed says of itself: how much is away, since when, and why."""

from dataclasses import dataclass

from spread_scanner.clock import NS_PER_S
from spread_scanner.feed.outlook import FeedState, Outlook
from spread_scanner.runtime.gate import Ban
from spread_scanner.schema.enums import ProcessState

RUNNING, DEGRADED = ProcessState.RUNNING, ProcessState.DEGRADED
LATER_NS = 11 * NS_PER_S


@dataclass(eq=False)
class Row:
    carried: bool = True
    away: str = ""
    barren: bool = False
    refusal: str = ""


def after(lines: list[Row], ban: Ban | None = None) -> FeedState:
    outlook = Outlook()
    outlook.look(lines, ban, 0)
    return outlook.look(lines, ban, LATER_NS)


def test_all_there_is_no_word() -> None:
    assert after([Row(), Row()]) == (RUNNING, "")
    assert after([]) == (RUNNING, "")


def test_nobody_there_is_degraded_with_the_reason() -> None:
    lines = [Row(False), Row(False, "451 not served in this region")]

    assert after(lines) == (
        DEGRADED,
        "no connection to the exchange: 451 not served in this region",
    )


def test_connections_that_are_taken_and_bring_nothing_are_none() -> None:
    lines = [Row(True, "no quote at all", True), Row(False, "no quote at all", True)]

    assert after(lines) == (DEGRADED, "nothing comes from the exchange: no quote at all")
    assert after([*lines, Row(), Row(), Row()]) == (
        RUNNING,
        "2 of 5 connections away: no quote at all",
    )


def test_a_moment_away_is_no_word() -> None:
    outlook, line = Outlook(), Row(False, "lost")
    assert outlook.look([line], None, 0).message == ""
    line.carried = True
    assert outlook.look([line], None, 9 * NS_PER_S).message == ""
    line.carried = False
    assert outlook.look([line], None, 18 * NS_PER_S).state is RUNNING
    assert outlook.look([line], None, 30 * NS_PER_S).state is DEGRADED


def test_a_few_away_are_told_and_half_are_degraded() -> None:
    few = [Row(), Row(), Row(False, "connection refused")]
    assert after(few) == (RUNNING, "1 of 3 connections away: connection refused")
    half = [Row(), Row(False, "DNS: no such name")]
    assert after(half) == (DEGRADED, "1 of 2 connections away: DNS: no such name")


def test_a_ban_is_told_with_its_time_even_while_all_are_there() -> None:
    ban = Ban(418, 90.0)
    assert after([Row()], ban) == (RUNNING, "418 banned, nobody dials for 90 s more")
    assert after([Row(False, "lost")], ban) == (
        DEGRADED,
        "no connection to the exchange: 418 banned, nobody dials for 90 s more",
    )


def test_a_ban_of_the_rest_interface_is_told_where_there_is_no_graver_word() -> None:
    lines, ban, of_rest = [Row()], Ban(418, 90.0), Ban(429, 9.0)
    outlook = Outlook()
    assert outlook.look(lines, None, 0, of_rest) == (
        RUNNING,
        "by REST: 429 too many requests, nobody dials for 9 s more",
    )
    assert outlook.look(lines, ban, 0, of_rest).message.startswith("418 banned")


def test_everything_refused_is_degraded_at_once_with_the_exchanges_words() -> None:
    outlook = Outlook()
    blocked = Row(refusal="Blocked: [BTCUSDT,ETHUSDT]!")
    assert outlook.look([blocked], None, 0) == (
        DEGRADED,
        "every subscription is refused: Blocked: [...]!",
    )
    assert outlook.look([blocked, Row()], None, 0) == (RUNNING, "")


def test_who_is_away_does_not_hide_that_all_others_are_refused() -> None:
    blocked, away = Row(refusal="Blocked!"), Row(False, "connection refused")

    assert after([blocked, blocked, away]) == (
        DEGRADED,
        "every subscription is refused: Blocked!; 1 of 3 connections away: connection refused",
    )
    assert after([blocked, Row(), away]) == (RUNNING, "1 of 3 connections away: connection refused")


def test_who_was_refused_everything_and_is_away_does_not_serve_meanwhile() -> None:
    outlook, line = Outlook(), Row(refusal="Blocked!")
    outlook.look([line], None, 0)
    line.carried, line.away, line.refusal = False, "connection refused", ""

    assert outlook.look([line], None, LATER_NS).message == (
        "no connection to the exchange: connection refused"
    )
