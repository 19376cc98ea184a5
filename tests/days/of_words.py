"""Faults of what is asked and what is said: requests, quotes, times, ids, listings."""

from collections.abc import Callable

from exchange import Exchange
from fault import (
    ASK_S,
    CUT_S,
    NOW,
    REFUSED_S,
    TELLING,
    Fault,
    Kind,
    Stage,
    cut_carriers,
    cut_some,
    row_of,
)

from spread_scanner.clock import NS_PER_S


def unwelcome(stage: Stage, exchange: Exchange, fault: Fault) -> Callable[[], None] | None:
    row = row_of(exchange, fault.pick)
    if row is None:
        return None
    exchange.switch.unwelcome.add(row.name)
    cut_carriers(exchange, row)

    def over() -> None:
        exchange.switch.unwelcome.discard(row.name)

    return over


def nameless(stage: Stage, exchange: Exchange, fault: Fault) -> None:
    exchange.switch.nameless = 1 + int(3 * fault.size)
    cut_some(exchange, fault)


def lost_request(stage: Stage, exchange: Exchange, fault: Fault) -> None:
    exchange.switch.swallow = 1 + int(2 * fault.size)
    cut_some(exchange, fault)


def hollow(stage: Stage, exchange: Exchange, fault: Fault) -> None:
    exchange.switch.hollow = 1
    cut_some(exchange, fault)


def silent(stage: Stage, exchange: Exchange, fault: Fault) -> None:
    row = row_of(exchange, fault.pick)
    if row is not None and any(one.carries(row) for one in exchange.sessions):
        exchange.switch.mute.add(row.name)
        exchange.log("mute", exchange.label, row.name)


def outlier(stage: Stage, exchange: Exchange, fault: Fault) -> None:
    """One message dated ahead of its time."""
    row = row_of(exchange, fault.pick)
    if row is not None and row.listing.status == "trading":
        exchange.switch.clock_ns += int(3 * NS_PER_S * (1 + 100 * fault.size))
        exchange.say(row, odd=True)
        exchange.switch.clock_ns -= int(3 * NS_PER_S * (1 + 100 * fault.size))


def skew(stage: Stage, exchange: Exchange, fault: Fault) -> Callable[[], None]:
    """The exchange's clock steps, and back again, and there is some traffic then.

    One that comes back differs from a backlog only by symbols that quote more often than it steps.
    """
    telling_s = max(0.0, fault.for_s - 10)
    exchange.loop.call_ns(int(telling_s * NS_PER_S), _hurry, exchange, TELLING)
    exchange.loop.call_ns(int((fault.for_s + 20) * NS_PER_S), _hurry, exchange, 1.0)
    step_ns = int((fault.pick - 0.5) * 16 * NS_PER_S)
    exchange.switch.clock_ns += step_ns

    def over() -> None:
        exchange.switch.clock_ns -= step_ns

    return over


def _hurry(exchange: Exchange, times: float) -> None:
    exchange.faster = times


def behind(stage: Stage, exchange: Exchange, fault: Fault) -> Callable[[], None]:
    """The exchange's gateway falls behind its engine; a new connection gets old news too."""
    exchange.fall_behind(int((3 + 20 * fault.size) * NS_PER_S))
    exchange.loop.call_ns(
        int(fault.for_s / 2 * NS_PER_S), cut_some, exchange, fault._replace(size=0.0)
    )
    return exchange.catch_up


def restart_ids(stage: Stage, exchange: Exchange, fault: Fault) -> None:
    for row in exchange.rows.values():
        row.restart_ids()


def halt(stage: Stage, exchange: Exchange, fault: Fault) -> Callable[[], None] | None:
    """A symbol stands still; where the exchange repeats itself, it does."""
    row = row_of(exchange, fault.pick)
    if row is None:
        return None
    row.halted = True
    heard = exchange.announce(row.listing, halted=True)
    exchange.log("halted", exchange.label, row.name, heard)
    every_s = {"bybit": 3.0, "okx": 60.0}.get(exchange.host.name)

    def again() -> None:
        if row.halted and every_s is not None:
            if row.last is not None and row.listing.status == "trading":
                exchange.say(row, repeat=True)
            exchange.loop.call_ns(int(every_s * NS_PER_S), again)

    again()

    def over() -> None:
        row.halted = False
        if not exchange.announce(row.listing, halted=False) and heard:
            # Who heard of the halt and not of its end goes by the next tables.
            exchange.loop.call_ns(20 * NS_PER_S, stage.reload, exchange)

    return over


def relist(stage: Stage, exchange: Exchange, fault: Fault) -> Callable[[], None] | None:
    """Some symbols leave the tables and come back later, when others have taken their places."""
    rows = stage.listed(exchange)
    if len(rows) < 3:
        return None
    start = int(fault.pick * len(rows))
    gone = [rows[(start + n) % len(rows)] for n in range(1 + int(fault.size * 2))]
    for row in gone:
        row.wanted = False
        exchange.log("delisted", exchange.label, row.name)
    stage.reload(exchange)

    def over() -> None:
        for row in gone:
            row.wanted = True
        stage.reload(exchange)

    return over


def unreadable(stage: Stage, exchange: Exchange, fault: Fault) -> None:
    row = row_of(exchange, fault.pick)
    if row is not None and row.listing.status == "trading":
        exchange.say(row, bad=True)


KINDS: dict[str, Kind] = {
    "unwelcome": Kind(unwelcome, (30.0, 400.0), REFUSED_S),
    "nameless": Kind(nameless, NOW, ASK_S),
    "lost request": Kind(lost_request, NOW, ASK_S),
    "hollow": Kind(hollow, NOW, ASK_S + 120.0),
    "silent": Kind(silent, NOW, 900.0),
    "outlier": Kind(outlier, NOW, 0.0),
    "skew": Kind(skew, (5.0, 120.0), CUT_S, 0.5),
    "behind": Kind(behind, (20.0, 120.0), CUT_S),
    "new ids": Kind(restart_ids, NOW, 10.0),
    "halt": Kind(halt, (60.0, 600.0), CUT_S),
    "relist": Kind(relist, (20.0, 200.0), CUT_S, 2.0),
    "unreadable": Kind(unreadable, NOW, 30.0),
}
