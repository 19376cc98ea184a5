"""Faults of books: what of a depth channel is lost, said twice or wrongly, refused, silent or cut.

None of them may be noticed by quotes, so that no time is given to those to be well again; how long
the book of a symbol may take is `WELL_S`.
"""

from collections.abc import Callable
from typing import Protocol, cast

from depth_book import DepthRow
from depth_exchange import Depth, DepthSession
from exchange import Exchange
from fault import NOW, Fault, Kind, Stage

from spread_scanner.clock import NS_PER_S
from spread_scanner.schema.enums import SOURCE_BY_LABEL
from spread_scanner.schema.enums import Exchange as Name

WELL_S = 15.0  # after a message was lost or wrong, or a connection for books was cut
ASKED_S = 240.0  # after a request was answered and not served
MUTE_S = 900.0  # after a stream stood still that has no rate yet


class DepthStage(Protocol):
    """What of a day these turn."""

    def depth_of(self, exchange: Exchange) -> Depth: ...


def _depth(stage: Stage, exchange: Exchange) -> Depth:
    return cast(DepthStage, stage).depth_of(exchange)


def _row(depth: Depth, pick: float) -> DepthRow | None:
    """One that is followed, if any is."""
    rows = [one for one in depth.rows.values() if any(s.carries_book(one) for s in depth.live())]
    return rows[int(pick * len(rows))] if rows else None


def _session(depth: Depth, pick: float) -> DepthSession | None:
    live = depth.live()
    return live[int(pick * len(live))] if live else None


def _hit(stage: Stage, exchange: Exchange, fault: Fault, *kinds: str, count: int = 1) -> None:
    """The next messages of one book are hit by that."""
    depth = _depth(stage, exchange)
    row = _row(depth, fault.pick)
    if row is not None:
        row.due.update(dict.fromkeys(kinds, count))
        _excuse(exchange, row, 0.0, WELL_S + 30.0 / row.row.rate_per_s)
        exchange.log("depth", exchange.label, fault.kind, row.row.name)


def _excuse(exchange: Exchange, row: DepthRow, for_s: float, within_s: float) -> None:
    end_ns = exchange.clock.mono_ns() + int((for_s + within_s) * NS_PER_S)
    row.faulted_ns = max(row.faulted_ns, end_ns)


def lost(stage: Stage, exchange: Exchange, fault: Fault) -> None:
    _hit(stage, exchange, fault, "gap", count=1 + int(3 * fault.size))


def twice(stage: Stage, exchange: Exchange, fault: Fault) -> None:
    _hit(stage, exchange, fault, "twice")


def again(stage: Stage, exchange: Exchange, fault: Fault) -> None:
    _hit(stage, exchange, fault, "again")


def unknown(stage: Stage, exchange: Exchange, fault: Fault) -> None:
    _hit(stage, exchange, fault, "zero")


def crossed(stage: Stage, exchange: Exchange, fault: Fault) -> None:
    _hit(stage, exchange, fault, "crossed")


def anew(stage: Stage, exchange: Exchange, fault: Fault) -> None:
    _hit(stage, exchange, fault, "anew")


def wrong_sum(stage: Stage, exchange: Exchange, fault: Fault) -> Callable[[], None] | None:
    """Where there are checksums: right ones for a while, and then one of a message that has lost a
    level."""
    depth = _depth(stage, exchange)
    row = _row(depth, fault.pick)
    if row is None or SOURCE_BY_LABEL[exchange.label].exchange is not Name.OKX:
        return None
    row.summed = True
    row.due["sum"] = 1
    _excuse(exchange, row, fault.for_s, WELL_S)
    turn_ns = int(fault.for_s / 2 * NS_PER_S)
    exchange.loop.call_ns(turn_ns, row.due.update, {"wrong sum": 1})

    def over() -> None:
        row.summed = False
        row.due.pop("wrong sum", None)

    return over


def mute(stage: Stage, exchange: Exchange, fault: Fault) -> None:
    """A book's stream stands still until it is asked for again."""
    row = _row(_depth(stage, exchange), fault.pick)
    if row is not None:
        row.mute = True
        _excuse(exchange, row, 0.0, MUTE_S)
        exchange.log("depth", exchange.label, "mute", row.row.name)


def unwelcome(stage: Stage, exchange: Exchange, fault: Fault) -> Callable[[], None] | None:
    """An exchange refuses the book of a symbol of which it quotes the top, for long."""
    depth = _depth(stage, exchange)
    row = _row(depth, fault.pick)
    if row is None:
        return None
    depth.unwelcome.add(row.row.name)
    for session in depth.live():
        if session.carries_book(row):
            session.reset()
    for other in depth.rows.values():  # they come on the same connection
        _excuse(exchange, other, 0.0, WELL_S)
    _excuse(exchange, row, fault.for_s, 960.0)

    def over() -> None:
        depth.unwelcome.discard(row.row.name)

    return over


def _all(depth: Depth, exchange: Exchange, for_s: float = 0.0) -> None:
    for row in depth.rows.values():
        _excuse(exchange, row, for_s, WELL_S)


def cut(stage: Stage, exchange: Exchange, fault: Fault) -> None:
    depth = _depth(stage, exchange)
    session = _session(depth, fault.pick)
    if session is not None:
        _all(depth, exchange)
        if fault.size > 0.5:
            session.reset()
        else:
            session.goodbye(1001, "going away")


def dead(stage: Stage, exchange: Exchange, fault: Fault) -> None:
    depth = _depth(stage, exchange)
    session = _session(depth, fault.pick)
    if session is not None:
        _all(depth, exchange)
        session.wire.dead = True


def seeds(stage: Stage, exchange: Exchange, fault: Fault) -> Callable[[], None]:
    """Snapshots by REST do not come, or are older than what they are for, while one is needed."""
    depth = _depth(stage, exchange)
    depth.rest = "away" if fault.size < 0.5 else "old"
    _all(depth, exchange, fault.for_s + 60.0)
    _hit(stage, exchange, fault, "gap")

    def over() -> None:
        depth.rest = "well"

    return over


KINDS: dict[str, Kind] = {
    "book lost": Kind(lost, NOW, 0.0, 2.0, beside=True),
    "book twice": Kind(twice, NOW, 0.0, beside=True),
    "book again": Kind(again, NOW, 0.0, beside=True),
    "book unknown": Kind(unknown, NOW, 0.0, 0.5, beside=True),
    "book crossed": Kind(crossed, NOW, 0.0, 0.5, beside=True),
    "book anew": Kind(anew, NOW, 0.0, 0.5, beside=True),
    "book sum": Kind(wrong_sum, (20.0, 60.0), 0.0, beside=True),
    "book mute": Kind(mute, NOW, 0.0, 0.5, beside=True),
    "book refused": Kind(unwelcome, (30.0, 400.0), 0.0, 0.5, beside=True),
    "books cut": Kind(cut, NOW, 0.0, 1.5, beside=True),
    "books dead": Kind(dead, NOW, 0.0, 1.5, beside=True),
    "books by REST": Kind(seeds, (5.0, 60.0), 0.0, 0.5, beside=True),
}
