"""What an operator does in a day: lines are cut otherwise, a feed is paused, a reload is refused.

All but the pause is to be noticed by nobody: a symbol moves to another line by being carried twice
for a moment, so that no quote is marked by it; settings that cannot be read change nothing.
"""

from collections.abc import Callable

from exchange import Exchange
from fault import CUT_S, NOW, Fault, Kind, Stage

USUAL = (2, 1)  # symbols a connection, of six in a day of one source; connections a symbol
# Settings that nobody can take: no TOML, a setting that there is none of, a value of another kind.
WRONG = ("[system\n", "[system]\nnonsense = 1\n", '[feed-{label}]\nredundant = "many"\n')
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


def bad_reload(stage: Stage, exchange: Exchange, fault: Fault) -> None:
    wrong = WRONG[int(fault.pick * len(WRONG))]
    stage.order_wrongly(exchange, wrong.format(label=exchange.label))


KINDS: dict[str, Kind] = {
    "reshape": Kind(reshape, (60.0, 400.0), 0.0),
    "bad reload": Kind(bad_reload, NOW, 0.0),
    "pause": Kind(pause, (5.0, 120.0), CUT_S, 0.5),
}
