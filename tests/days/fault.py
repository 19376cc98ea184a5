"""What a fault is, and what all kinds of them share."""

from collections.abc import Callable
from typing import NamedTuple, Protocol

from exchange import Exchange
from market import Row
from session import Session

from spread_scanner.clock import NS_PER_S

# 90 windows of 15 quotes, at the usual rate and with a few that come late.
LEARNED_S = 1_500.0
CUT_S = 60.0  # back-off, turn, dial, subscription and a first quote
ASK_S = 240.0  # the deadline of a request, its repetition, another connection
REFUSED_S = 960.0  # refused symbols are asked for again after 1, 5 and 15 minutes
PATH_NS = 6 * NS_PER_S  # a path is known to be well by the next ping that is answered in time
TELLING = 15.0  # times the usual rate: some twenty messages a second
NOW = (0.0, 0.0)


class Fault(NamedTuple):
    """`pick` chooses among what there is when it begins; `size` scales what a kind scales."""

    at_s: float
    kind: str
    for_s: float
    pick: float
    size: float

    def __str__(self) -> str:
        return (
            f"{self.at_s:10.3f} s  {self.kind:14} for {self.for_s:7.1f} s  "
            f"pick {self.pick:.3f}  size {self.size:.3f}"
        )


class Stage(Protocol):
    """What a fault may turn besides the exchange: the operator's and the machine's part."""

    def reload(self, exchange: Exchange) -> None: ...

    def suspend(self, seconds: float) -> None: ...

    def kill(self, exchange: Exchange) -> None: ...

    def revive(self, exchange: Exchange) -> None: ...

    def unheard(self, exchange: Exchange) -> None: ...

    def tempt(self, exchange: Exchange, after_s: float) -> None: ...

    def listed(self, exchange: Exchange) -> list[Row]: ...

    def dial_beside(self, exchange: Exchange, for_s: float) -> None: ...

    def reshape(self, exchange: Exchange, per_connection: int, copies: int) -> None: ...

    def reroute(self, exchange: Exchange, via: str) -> None: ...

    def order_wrongly(self, exchange: Exchange, settings: str) -> None: ...

    def pause(self, exchange: Exchange, *, paused: bool) -> None: ...


class Kind(NamedTuple):
    """`begin` may return how to end it, which is called after `for_s`. `beside`: it hinders nothing
    else, which goes on meanwhile.
    """

    begin: Callable[[Stage, Exchange, Fault], "Callable[[], None] | None"]
    for_s: tuple[float, float]
    within_s: float
    weight: float = 1.0
    beside: bool = False


def one_of(exchange: Exchange, pick: float) -> Session | None:
    live = [one for one in exchange.sessions if one.opened_ns and not one.wire.dead]
    live.sort(key=lambda one: one.notices)  # what is announced comes last
    return live[int(pick * len(live))] if live else None


def row_of(exchange: Exchange, pick: float) -> Row | None:
    rows = [row for row in exchange.rows.values() if row.wanted and not row.halted]
    return rows[int(pick * len(rows))] if rows else None


def cut_some(exchange: Exchange, fault: Fault) -> None:
    """One connection, or now and then all."""
    if fault.size > 0.8:
        for session in list(exchange.sessions):
            session.reset()
    elif (one := one_of(exchange, fault.pick)) is not None:
        one.reset()


def cut_carriers(exchange: Exchange, row: Row) -> None:
    for session in list(exchange.sessions):
        if session.subscribed(row.name):
            session.reset()
