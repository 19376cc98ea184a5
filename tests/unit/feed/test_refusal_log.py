"""Refusals are said in few lines, and all of them."""

from typing import Any

from spread_scanner.exchanges.adapter import RefusalKind, Refused
from spread_scanner.feed.refusal_log import WAIT_NS_MAX, RefusalLog


def bad(symbol: str) -> Refused:
    """As OKX says it: each by itself."""
    return Refused("1", (symbol,), "60018", f"instId:{symbol} doesn't exist", RefusalKind.SYMBOL)


BUSY = Refused("", (), "", "Requests are too frequent", RefusalKind.BUSY)


def test_a_burst_is_one_line_for_each_kind_with_its_count() -> None:
    lines: list[dict[str, Any]] = []
    log = RefusalLog(lambda event, **said: lines.append({"event": event, **said}))

    for number in range(300):
        log.take(bad(f"C{number}"), (f"C{number}",), 0)
        log.say(0, more=True)
    log.take(BUSY, (), 0)
    log.say(0, more=False)
    log.say(0, more=False)

    symbols, busy = lines
    assert (symbols["answers"], symbols["symbols"]) == (300, 300)
    assert symbols["first"] == [f"C{number}" for number in range(10)]
    assert symbols["message"] == "instId:C0 doesn't exist"
    assert (busy["kind"], busy["answers"], busy["symbols"]) == ("busy", 1, 0)


def test_what_was_refused_first_is_said_within_seconds_whatever_follows() -> None:
    lines: list[dict[str, Any]] = []
    log = RefusalLog(lambda event, **said: lines.append(said))

    for second in range(20):
        now_ns = second * 10**9
        log.take(BUSY, (), now_ns)
        log.say(now_ns, more=True)

    assert 20 * 10**9 // WAIT_NS_MAX - 1 <= len(lines) <= 4
    assert lines[0]["answers"] == WAIT_NS_MAX // 10**9 + 1
