"""Faults of connections, paths and hosts: what is cut, refused, slow, dead or banned."""

from collections.abc import Callable

import names
from exchange import Exchange
from fault import CUT_S, NOW, PATH_NS, Fault, Kind, Stage, cut_some, one_of
from loop import NEVER_NS
from session import Session

from spread_scanner.clock import NS_PER_S


def reset(stage: Stage, exchange: Exchange, fault: Fault) -> None:
    cut_some(exchange, fault)


def goodbye(stage: Stage, exchange: Exchange, fault: Fault) -> None:
    if (session := one_of(exchange, fault.pick)) is not None:
        session.goodbye(1001, "going away")


def half_open(stage: Stage, exchange: Exchange, fault: Fault) -> None:
    chosen: list[Session | None] = [one_of(exchange, fault.pick)]
    if fault.size > 0.8:
        chosen = list(exchange.sessions)
    for session in chosen:
        if session is not None:
            session.wire.dead = True
            exchange.graves.append(session)
    stage.tempt(exchange, 2.6 + 4 * fault.pick)


def busy(stage: Stage, exchange: Exchange, fault: Fault) -> Callable[[], None]:
    """Many messages; now and then a connection dies in the midst of it."""
    total = sum(row.rate_per_s for row in exchange.rows.values() if row.wanted) or 1.0
    over = exchange.hurry((100 + 300 * fault.size) / total)
    if fault.pick < 0.7:
        exchange.loop.call_ns(
            int(fault.for_s * 0.6 * NS_PER_S),
            half_open, stage, exchange, fault._replace(pick=fault.pick / 0.7),
        )  # fmt: skip
    return over


def slow(stage: Stage, exchange: Exchange, fault: Fault) -> Callable[[], None]:
    slower_ns = exchange.switch.slower_ns = int((0.3 + 8 * fault.size) * NS_PER_S)
    _slow_all(exchange)
    exchange.slow_until_ns = NEVER_NS

    def over() -> None:
        exchange.switch.slower_ns = 0
        # Whatever came between: a suspend has it end later.
        exchange.slow_until_ns = exchange.clock.mono_ns() + slower_ns + PATH_NS
        _slow_all(exchange)

    return over


def _slow_all(exchange: Exchange) -> None:
    for session in exchange.sessions:
        session.wire.slower_ns = exchange.switch.slower_ns


def announced(stage: Stage, exchange: Exchange, fault: Fault) -> None:
    if (session := one_of(exchange, fault.pick)) is not None:
        session.announce(fault.for_s)


def draining(stage: Stage, exchange: Exchange, fault: Fault) -> Callable[[], None]:
    """The server announces its end and cuts every successor at once."""
    exchange.switch.cut_successors = True
    for session in list(exchange.sessions):
        session.announce(fault.for_s)

    def over() -> None:
        exchange.switch.cut_successors = False

    return over


def refuse(stage: Stage, exchange: Exchange, fault: Fault) -> Callable[[], None]:
    kinds = ("refused", "dns", "hole", "503", "redirect")
    exchange.switch.refuse = kinds[int(fault.pick * len(kinds))]
    cut_some(exchange, fault)
    return _welcoming(exchange)


def ban(stage: Stage, exchange: Exchange, fault: Fault) -> Callable[[], None]:
    exchange.switch.refuse = ("418", "429", "403")[int(fault.pick * 3)]
    exchange.switch.retry_after_s = 30 + int(90 * fault.size)
    cut_some(exchange, fault)
    return _welcoming(exchange)


def region(stage: Stage, exchange: Exchange, fault: Fault) -> Callable[[], None]:
    """Not served from here, until a date."""
    exchange.switch.refuse = "451"
    exchange.switch.retry_after_s = 30 + int(90 * fault.size)
    exchange.switch.dated = True
    cut_some(exchange, fault)
    return _welcoming(exchange)


def maintenance(stage: Stage, exchange: Exchange, fault: Fault) -> Callable[[], None]:
    """Nobody has said that it would come."""
    exchange.switch.refuse = "503"
    for session in list(exchange.sessions):
        session.goodbye(1012, "service restart")
    return _welcoming(exchange)


def set_unheard(stage: Stage, exchange: Exchange, fault: Fault) -> Callable[[], None]:
    """The exchange sets its clock back while it is away, for good."""
    exchange.switch.clock_ns -= int((3 + 20 * fault.size) * NS_PER_S)
    stage.unheard(exchange)
    return maintenance(stage, exchange, fault)


def _welcoming(exchange: Exchange) -> Callable[[], None]:
    def over() -> None:
        exchange.switch.refuse = ""
        exchange.switch.retry_after_s = 0
        exchange.switch.dated = False

    return over


def flaky(stage: Stage, exchange: Exchange, fault: Fault) -> Callable[[], None]:
    """Most dials fail, while connections that stood well are cut one by one."""
    exchange.switch.flaky = 0.75
    cut_some(exchange, fault)
    for number in range(1, 4):
        again = fault._replace(pick=(fault.pick + number * 0.37) % 1, size=0.0)
        exchange.loop.call_ns(int(fault.for_s * number / 4 * NS_PER_S), cut_some, exchange, again)

    def over() -> None:
        exchange.switch.flaky = 0.0

    return over


def cut_early(stage: Stage, exchange: Exchange, fault: Fault) -> Callable[[], None]:
    exchange.switch.cut_after_quote = True
    cut_some(exchange, fault)

    def over() -> None:
        exchange.switch.cut_after_quote = False

    return over


def suspend(stage: Stage, exchange: Exchange, fault: Fault) -> None:
    stage.suspend(2.0 + 600 * fault.size**3)


def killed(stage: Stage, exchange: Exchange, fault: Fault) -> Callable[[], None] | None:
    """The feed's process, by `kill -9`; it is started again after a while. Not while its exchange
    is behind: of a backlog that hides all that came in time the next one knows nothing.
    """
    if exchange.switch.held_ns:
        return None
    stage.kill(exchange)
    stage.tempt(exchange, 0.6 + 1.2 * fault.pick)

    def over() -> None:
        stage.revive(exchange)

    return over


def sibling(stage: Stage, exchange: Exchange, fault: Fault) -> None:
    """Another process behind the same address dials there too, while lines are cut."""
    stage.dial_beside(exchange, fault.for_s)
    cut_some(exchange, fault)


def other_addresses(stage: Stage, exchange: Exchange, fault: Fault) -> Callable[[], None]:
    """The exchange's name resolves to other addresses, of which not all answer."""
    exchange.switch.way = names.OTHERS[int(fault.pick * len(names.OTHERS))]
    exchange.log("resolves to", exchange.label, exchange.switch.way)
    cut_some(exchange, fault)
    half_ns = int(fault.for_s / 2 * NS_PER_S)
    exchange.loop.call_ns(half_ns, cut_some, exchange, fault._replace(size=0.9))

    def over() -> None:
        exchange.switch.way = names.USUAL

    return over


# Comes where it is asked for: by chance it is a skew that ends in a maintenance.
GIVEN = {"set unheard": Kind(set_unheard, (60.0, 600.0), CUT_S)}
KINDS: dict[str, Kind] = {
    "reset": Kind(reset, NOW, CUT_S, 2.0),
    "goodbye": Kind(goodbye, NOW, CUT_S),
    "half open": Kind(half_open, NOW, CUT_S, 3.0),
    "busy": Kind(busy, (10.0, 20.0), CUT_S, 2.0),  # a day of them has 200,000 messages at most
    "slow": Kind(slow, (10.0, 60.0), CUT_S),
    "announced": Kind(announced, (10.0, 60.0), CUT_S),
    "draining": Kind(draining, (40.0, 90.0), CUT_S),
    "refuse": Kind(refuse, (5.0, 180.0), CUT_S),
    "ban": Kind(ban, (5.0, 60.0), 150.0 + CUT_S),
    "region": Kind(region, (5.0, 60.0), 150.0 + CUT_S, 0.5),
    "maintenance": Kind(maintenance, (60.0, 600.0), CUT_S),
    "flaky": Kind(flaky, (60.0, 180.0), CUT_S, 1.5),
    "cut early": Kind(cut_early, (40.0, 120.0), CUT_S),
    "suspend": Kind(suspend, NOW, 120.0),
    "killed": Kind(killed, (0.5, 20.0), CUT_S),
    "addresses": Kind(other_addresses, (40.0, 180.0), CUT_S),
    "sibling": Kind(sibling, (5.0, 30.0), CUT_S),
}
