"""What of a source's cells cannot be stood behind: marked, and unmarked, in one place.

Used by the feed: at each look, when a connection ends, when the exchange refuses what had quoted,
when tables change. Writes marks into the source's cells and counts them in its health row; what a
quote is flagged with as it arrives is the listener's (judge_time) and the board's (native/board.h).
"""

from collections.abc import Callable, Iterable

import numpy as np

from spread_scanner.feed import freshness
from spread_scanner.feed._listener import FLAGS
from spread_scanner.feed.connection import Connection
from spread_scanner.feed.counting import COUNTER
from spread_scanner.feed.freshness import Ids
from spread_scanner.feed.line import Line
from spread_scanner.feed.share import Share
from spread_scanner.schema.enums import UNUSABLE as UNUSABLE_FLAGS
from spread_scanner.schema.freshness import Mask
from spread_scanner.schema.records import TS_ABSENT

UNUSABLE = int(UNUSABLE_FLAGS)  # enums are slow to reckon with


class Marks:
    """One feed's. `lines` are all that it has now, also those that are on their way out."""

    def __init__(self, share: Share, lines: Callable[[], Iterable[Line]]) -> None:
        self._share = share
        self._lines = lines
        self._size = len(share.board.mid)
        self._none = np.zeros(self._size, np.bool_)
        self._none.setflags(write=False)
        self._silent = self._none  # marked so by the last look, or by listeners
        self._unheard = freshness.Lasting(self._size)
        self._without_news = freshness.Lasting(self._size)
        self._next_due = freshness.NextDue()

    def due(self, now_ns: int, looked_ns: int, slowdown: float) -> bool:
        """Whether a look would find a silence that was none yet at the one of `looked_ns`."""
        board, settings = self._share.board, self._share.settings
        silent, overdue = freshness.silence_rule(settings), freshness.overdue_rule(settings)
        news = board.news_ns, board.news_mean_ns
        spans = ((board.heard_ns, board.mean_ns, silent), (*news, silent), (*news, overdue))
        return self._next_due.passed(now_ns, looked_ns, spans, slowdown)

    def look(self, now_ns: int, slowdown: float) -> set[int]:
        """Mark what is silent now, take the mark from what no longer is; mark what is overdue.

        Returns the ids that are not heard though their connection is: asking again may help.
        """
        board, settings = self._share.board, self._share.settings
        rule = freshness.silence_rule(settings)
        heard, news = (board.heard_ns, board.mean_ns), (board.news_ns, board.news_mean_ns)
        unheard = self._unheard.look(now_ns, *heard, rule, slowdown)
        behind = self._only_on(lambda one: one.silent)
        silent = unheard | behind | self._without_news.look(now_ns, *news, rule, slowdown)
        found = silent.any()
        if found:
            marked = board.writer.mark_stale(freshness.ids_of(silent), FLAGS["SILENT"])
            self._share.row.add(COUNTER["silent_marks"], marked)
        # What is behind brings marked quotes, also of what another one stands behind.
        beside = self._carried(lambda one: one.listener.behind)
        if self._silent is not self._none or beside is not self._none:
            beside = beside | self._no_longer(silent, beside)
        self._silent = silent | beside if found or beside.any() else self._none
        deaf = self._only_on(lambda one: one.deaf)
        if deaf.any():
            board.deafen(freshness.ids_of(deaf), now_ns)
        self._mark_overdue(now_ns, slowdown)
        return set(freshness.ids_of(unheard & ~behind).tolist()) if found else set()

    def _no_longer(self, silent: Mask, beside: Mask) -> Mask:
        """Take the mark from what is not silent any more and has been quoted by whoever carries it
        now; returns what has not. Who carried it and was silent may have missed the news, and has
        left it to one that has heard none so far: that stays marked until one comes.
        """
        over = (self._silent | beside) & ~silent
        if not over.any():  # nearly always: who is silent stays so
            return over
        quoted = self._covered(planned=False)
        self._share.board.unmark(freshness.ids_of(over & quoted), FLAGS["SILENT"])
        return over & ~quoted & self._carried(lambda _: True)

    def _mark_overdue(self, now_ns: int, slowdown: float) -> Mask:
        """By id: whose news are; the next ones take the mark with them."""
        board, rule = self._share.board, freshness.overdue_rule(self._share.settings)
        overdue = freshness.out_of_line(now_ns, board.news_ns, board.news_mean_ns, rule, slowdown)
        if overdue.any():
            board.writer.mark_stale(freshness.ids_of(overdue), FLAGS["OVERDUE"])
        return overdue

    def rejudge(self, before: tuple[int, int], now_ns: int, slowdown: float) -> None:
        """Other limits are in force than when quotes were flagged: for those that stand, too.

        `before` are the lag and the distance of two clocks that were allowed until now, in ns. A
        quote that was flagged, or was not, for another reason than its time keeps that: what the
        path or a repeat tells is not seen here.
        """
        board = self._share.board
        self._next_due.forget()
        overdue = self._mark_overdue(now_ns, slowdown)
        board.unmark(freshness.ids_of(~overdue), FLAGS["OVERDUE"])
        limits = (board.lag_ns_max, board.clock_off_ns_max)
        late: list[int] = []
        well: list[int] = []
        for symbol_id in map(int, np.flatnonzero(board.heard_ns)):
            cell = board.writer.own(symbol_id)
            if cell is None or cell.ts_event == TS_ABSENT:
                continue
            lag_ns = cell.ts_recv - cell.ts_event
            was, now = (_lags(lag_ns, board.best.now_ns, *one) for one in (before, limits))
            if was is not now and bool(cell.flags & FLAGS["LAGGING"]) is was:
                (late if now else well).append(symbol_id)
        board.writer.mark_stale(np.array(late, np.uint16), FLAGS["LAGGING"])
        board.unmark(well, FLAGS["LAGGING"])

    def lost(self, connection: Connection, *, planned: bool) -> tuple[int, int]:
        """A connection is gone: what nobody else stands behind is stale from now on. Returns how
        many symbols it carried, and how many cells were marked.
        """
        board = self._share.board
        board.let_go(connection.number)
        ids = connection.watch.carried_ids()
        return len(ids), self.stale(ids[~self._covered(planned=planned, but=connection)[ids]])

    def disowned(self, ids: Ids) -> None:
        """A connection is given these no longer: nobody says any more when they change, unless
        another one is given them.
        """
        self.stale(ids[~self._covered(planned=False)[ids]])

    def rest_on(self, number: int) -> bool:
        """Whether quotes that are good now would be stale without that connection: no other one is
        given those symbols, be it that it was refused them or has no room for them.
        """
        own = (one for one in self._connections() if one.number == number)
        return any(self._good_only_on(one) for one in own)

    def _good_only_on(self, connection: Connection) -> bool:
        given = connection.covered(planned=True)
        alone = np.flatnonzero(given & ~self._covered(planned=True, but=connection))
        cells = (self._share.board.writer.own(int(one)) for one in alone)
        return any(cell is not None and not cell.flags & UNUSABLE for cell in cells)

    def stale(self, ids: Ids) -> int:
        """Mark these; returns how many were not."""
        board = self._share.board
        marked = board.writer.mark_stale(ids)
        # The time until they are heard again is no interval of theirs.
        board.heard_ns[ids] = 0
        board.news_ns[ids] = 0
        self._share.row.add(COUNTER["stale_marks"], marked)
        return marked

    def all_stale(self) -> None:
        """Mark whatever stands."""
        self.stale(np.arange(self._size, dtype=np.uint16))

    def forget(self, ids: list[int]) -> None:
        """These ids mean something else, or nothing, from now on."""
        self.stale(np.array(ids, np.uint16))
        self._share.board.forget(ids)
        for connection in self._connections():
            connection.forget(ids)

    def good(self) -> int:
        """How many symbols are quoted, wanted and heard now, by quotes that can be used."""
        writer = self._share.board.writer
        cells = (writer.own(int(one)) for one in np.flatnonzero(self._covered(planned=False)))
        return sum(cell is not None and not cell.flags & UNUSABLE for cell in cells)

    def _connections(self) -> list[Connection]:
        return [one for line in self._lines() for one in line.connections]

    def _covered(self, *, planned: bool, but: Connection | None = None) -> Mask:
        """By id: what some connection stands behind."""
        found = np.zeros(self._size, np.bool_)
        for one in self._connections():
            if one is not but:
                found |= one.covered(planned=planned)
        return found

    def _only_on(self, ill: Callable[[Connection], bool]) -> Mask:
        """By id: what only connections carry that are `ill`: silent, or deaf, which is silent, too.
        Quoted here or not: the stored quote may be of the connection before, and would not be heard
        to change either.
        """
        found = self._carried(ill)
        return found if found is self._none else found & ~self._covered(planned=False)

    def _carried(self, by: Callable[[Connection], bool]) -> Mask:
        """By id: what is carried by connections of this kind, whoever else carries it."""
        kind = [one for one in self._connections() if by(one)]
        if not kind:  # nearly always
            return self._none
        found = np.zeros(self._size, np.bool_)
        for connection in kind:
            found[connection.watch.carried_ids()] = True
        return found


def _lags(lag_ns: int, best_ns: int, lag_ns_max: int, clock_off_ns_max: int) -> bool:
    """As the listener judges a quote when it comes (judge_lag)."""
    return lag_ns - best_ns > lag_ns_max or lag_ns > clock_off_ns_max
