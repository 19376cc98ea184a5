"""What an operator does in a day: lines are cut otherwise, a feed is paused.

The first is to be noticed by nobody: a symbol moves to another line by being carried twice for a
moment, so that no quote is marked by it.
"""

from collections.abc import Callable

from exchange import Exchange
from fault import CUT_S, Fault, Kind, Stage

USUAL = (2, 1)  # symbols a connection, of six in a day of one source; connections a symbol
OTHERS = ((3, 1), (1, 1), (2, 2), (6, 2))


def reshape(stage: Stage, exchange: Exchange, fault: Fault) -> Callable[[], None]:
    """Fewer or more lines by other settings, or each symbol carried twice; and back again."""
    stage.reshape(exchange, *OTHERS[int(fault.pick * len(OTHERS))])

    def over() -> None:
        stage.reshape(exchange, *USUAL)

    return over


def pause(stage: Stage, exchange: Exchange, fault: Fault) -> Callable[[], None]:
    stage.pause(exchange, paused=True)

    def over() -> None:
        stage.pause(exchange, paused=False)

    return over


KINDS: dict[str, Kind] = {
    "reshape": Kind(reshape, (60.0, 400.0), 0.0),
    "pause": Kind(pause, (5.0, 120.0), CUT_S, 0.5),
}
