"""What an operator does in a day: lines are cut otherwise, a feed is paused, a reload is refused,
all dials go another way.

Lines that are cut otherwise are to be noticed by nobody: a symbol moves to another line by being
carried twice for a moment, so that no quote is marked by it; settings that cannot be read change
nothing.
"""

from collections.abc import Callable

import proxies
from exchange import Exchange
from fault import CUT_S, NOW, Fault, Kind, Stage, cut_some

from spread_scanner.clock import NS_PER_S

USUAL = (2, 1)  # symbols a connection, of six in a day of one source; connections a symbol
# Settings that nobody can take: no TOML, a setting that there is none of, a value of another kind.
WRONG = ("[system\n", "[system]\nnonsense = 1\n", '[feed-{label}]\nredundant = "many"\n')
CUT_AFTER_NS = 3 * NS_PER_S  # connections through a proxy, or to it, are on their way
OTHERS = ((3, 1), (1, 1), (2, 2), (6, 2))


def reshape(stage: Stage, exchange: Exchange, fault: Fault) -> Callable[[], None]:
    """Fewer or more lines by other settings, or each symbol carried twice; and back again."""
    stage.reshape(exchange, *OTHERS[int(fault.pick * len(OTHERS))])

    def over() -> None:
        stage.reshape(exchange, *USUAL)

    return over


def proxy(stage: Stage, exchange: Exchange, fault: Fault) -> Callable[[], None]:
    """Dials through a proxy of HTTP or SOCKS, and back again: one that does as it is asked, one
    that does not for a while, or one of which the exchange thinks that it dials too often. That is
    nothing to us.
    """
    switch = exchange.switch
    stage.reroute(exchange, proxies.URLS[int(fault.pick * 10) % 2])
    kind, half_ns = int(fault.pick * 5), int(fault.for_s / 2 * NS_PER_S)
    if kind < len(proxies.WAYS):
        switch.proxy = proxies.WAYS[kind]
    elif kind == len(proxies.WAYS):
        switch.refuse, switch.retry_after_s = "429", 30 + int(90 * fault.size)

    def well() -> None:
        switch.proxy = ""

    def over() -> None:
        well()
        if kind == len(proxies.WAYS):
            switch.refuse, switch.retry_after_s = "", 0
        stage.reroute(exchange, "")

    exchange.loop.call_ns(CUT_AFTER_NS, cut_some, exchange, fault)
    exchange.loop.call_ns(half_ns, well)
    return over


def pause(stage: Stage, exchange: Exchange, fault: Fault) -> Callable[[], None]:
    stage.pause(exchange, paused=True)

    def over() -> None:
        stage.pause(exchange, paused=False)

    return over


def bad_reload(stage: Stage, exchange: Exchange, fault: Fault) -> None:
    wrong = WRONG[int(fault.pick * len(WRONG))]
    stage.order_wrongly(exchange, wrong.format(label=exchange.label))


KINDS: dict[str, Kind] = {
    "reshape": Kind(reshape, (60.0, 400.0), 0.0),
    "bad reload": Kind(bad_reload, NOW, 0.0),
    "proxy": Kind(proxy, (20.0, 200.0), CUT_S),
    "pause": Kind(pause, (5.0, 120.0), CUT_S, 0.5),
}
