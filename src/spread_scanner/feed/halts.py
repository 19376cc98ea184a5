"""Which listings of a source are halted, by what the exchange announced since they were judged.

Used by the feed. A listing that is halted or delisted between two discoveries is treated as one
that has left the tables, until the exchange says that it is traded again or new tables judge it: a
quick look's do not, nor those of a run that had asked before the halt or could not reach the
exchange, nor does a restart of the feed (announced.py). What is halted before tables list it is
kept for those that do. Maintenance is over when the exchange says so, or at the end that it
announced; one without an end is not believed for ever, as the word that it is over may be missed.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from spread_scanner import clock
from spread_scanner.clock import NS_PER_S
from spread_scanner.exchanges.notices import Announcement, Halted, Maintenance, Resumed
from spread_scanner.feed import announced
from spread_scanner.feed.announced import Announced
from spread_scanner.feed.counting import COUNTER
from spread_scanner.feed.listings import Instruments
from spread_scanner.feed.share import NAMES_LOGGED_MAX
from spread_scanner.runtime.process import Process
from spread_scanner.schema.records import TS_ABSENT

MAINTENANCE_NS_MAX = 12 * 3_600 * NS_PER_S  # of one without an end; what is announced lasts hours
UNLISTED_MAX = 1_000  # halted and in no tables: exchanges list thousands that nobody here asks for


class Judgement(NamedTuple):
    """Which set's verdicts the tables are, and since when that run had asked (wall clock, ns)."""

    generation: int
    asked_ns: int


class Halts:
    """One source's; counts in the feed's row and says in its log what is announced.

    `path` is where it is kept over a restart. Times are the wall clock's as it is now, as tables
    and announcements have them, and not the store's, which keeps the wall clock of its beginning.
    """

    def __init__(
        self,
        process: Process,
        path: Path,
        instruments: Instruments,
        judgement: Judgement,
    ) -> None:
        self._process = process
        self._path = path
        self._listed = instruments
        self._judgement = judgement
        self._halted: dict[str, str] = {}
        self._heard_ns: dict[str, int] = {}
        self._maintenance: dict[str, Maintenance] = {}
        self._unsaid: dict[str, list[str]] = {}  # halted since the last line of the log, by state
        self._kept = self._recall()
        self._maintenance_over()
        self._keep()

    def traded(self) -> Instruments:
        """The listings of the tables but for those that are halted."""
        return {name: row for name, row in self._listed.items() if name not in self._halted}

    def before(self, wall_ns: int) -> set[str]:
        """The listings of the tables whose halt was heard of before then."""
        return {
            name for name in self._halted if name in self._listed and self._heard(name) < wall_ns
        }

    def _heard(self, exchange_symbol: str) -> int:
        """When its halt was heard of; 0: by a clock that was ahead, and has been set back since."""
        heard_ns = self._heard_ns.get(exchange_symbol, 0)
        return heard_ns if heard_ns <= clock.wall_ns() else 0

    def reload(self, instruments: Instruments, judgement: Judgement) -> Instruments:
        """Tables were read again: what is traded. Another `judgement` means that listings were
        looked at anew, which alone lifts what was halted.
        """
        before = self._listed
        self._listed = instruments
        if judgement.generation != self._judgement.generation:
            self._judgement = judgement
            self._halted = {name: why for name, why in self._halted.items() if self._holds(name)}
        for name in self._halted.keys() & (instruments.keys() - before.keys()):
            self._note_halted(name)
        self._say_halted()
        self._keep()
        return self.traded()

    def _holds(self, exchange_symbol: str) -> bool:
        """Whether tables that are new to us knew nothing of its halt: it came after their run had
        begun to ask, or that run took the listing from the one before.
        """
        row = self._listed.get(exchange_symbol)
        last_known = row is not None and row.last_known
        return last_known or self._heard(exchange_symbol) >= self._judgement.asked_ns

    def hear_no_more(self) -> None:
        """Nobody will say that maintenance is over. A halt stays: new tables judge that."""
        self._maintenance.clear()
        self._keep()

    def look(self) -> None:
        """At the clock: maintenance comes to its end."""
        if self._maintenance and self._maintenance_over():
            self._keep()

    def take(self, announced: Iterable[Announcement]) -> bool:
        """Take note; whether other listings are traded now."""
        before = self._halted.keys() & self._listed.keys()
        resumed: list[str] = []
        for one in announced:
            if isinstance(one, Maintenance):
                self._maintain(one)
            elif isinstance(one, Resumed):
                halted = self._halted.pop(one.exchange_symbol, None) is not None
                if halted and one.exchange_symbol in self._listed:
                    resumed.append(one.exchange_symbol)
            else:
                self._halt(one)
        self._say_halted()
        if resumed:
            self._process.log.warning(
                "traded again", symbols=len(resumed), first=resumed[:NAMES_LOGGED_MAX]
            )
        self._forget_unlisted()
        self._maintenance_over()
        self._keep()
        return before != self._halted.keys() & self._listed.keys()

    def _halt(self, halted: Halted) -> None:
        name = halted.exchange_symbol
        state_before = self._halted.pop(name, None)  # what is said again is the newest
        self._halted[name] = halted.state
        self._heard_ns[name] = clock.wall_ns()
        if name in self._listed and state_before != halted.state:
            self._note_halted(name, again=state_before is not None)

    def _note_halted(self, name: str, *, again: bool = False) -> None:
        self._unsaid.setdefault(self._halted[name], []).append(name)
        if not again:
            self._process.row.add(COUNTER["halts"])

    def _say_halted(self) -> None:
        """One line for each state: an exchange halts hundreds of listings at once."""
        for state, names in self._unsaid.items():
            self._process.log.warning(
                "halted", state=state, symbols=len(names), first=names[:NAMES_LOGGED_MAX]
            )
        self._unsaid = {}

    def _forget_unlisted(self) -> None:
        """The oldest of those that no tables list, beyond a bound."""
        unlisted = [name for name in self._halted if name not in self._listed]
        for name in unlisted[: max(0, len(unlisted) - UNLISTED_MAX)]:
            del self._halted[name]

    def _maintain(self, notice: Maintenance) -> None:
        key = notice.key or notice.title
        if notice.over:
            self._maintenance.pop(key, None)
        else:
            self._maintenance[key] = _bounded(notice)
        self._process.log.warning(
            "maintenance",
            title=notice.title,
            state=notice.state,
            begin_ns=notice.begin_ns,
            end_ns=notice.end_ns,
        )

    def _maintenance_over(self) -> bool:
        """Whether some of it is at its announced end: none waits for a word that may not come."""
        now_ns = clock.wall_ns()
        over = [key for key, notice in self._maintenance.items() if notice.end_ns <= now_ns]
        for key in over:
            title = self._maintenance.pop(key).title
            self._process.log.warning("maintenance is over by its time", title=title)
        return bool(over)

    def _recall(self) -> Announced:
        """What the feed's life before had heard, as far as it holds; what is kept of it."""
        try:
            kept = announced.read(self._path)
        except (OSError, ValueError) as error:
            self._process.log.warning("halts are not known any more", error=str(error))
            return Announced()
        same = kept.judgement == self._judgement.generation
        self._heard_ns.update(kept.heard_ns)
        self._halted = {name: why for name, why in kept.halted.items() if same or self._holds(name)}
        self._maintenance = {key: _bounded(one) for key, one in kept.maintenance.items()}
        names = [name for name in self._halted if name in self._listed]
        if names:
            self._process.log.warning(
                "still halted", symbols=len(names), first=names[:NAMES_LOGGED_MAX]
            )
        return kept

    def _keep(self) -> None:
        """Show what holds now, and keep it for the feed's next life."""
        self._show()
        self._heard_ns = {name: self._heard_ns.get(name, 0) for name in self._halted}
        judgement = self._judgement.generation
        now = Announced(judgement, dict(self._halted), self._heard_ns, dict(self._maintenance))
        if now == self._kept:
            return
        self._kept = now
        try:
            announced.write(self._path, now)
        except OSError as error:
            self._process.log.warning("halts will not outlive this process", error=str(error))

    def _show(self) -> None:
        row = self._process.row
        row.set(COUNTER["halted"], len(self._halted.keys() & self._listed.keys()))
        row.set(COUNTER["maintenance"], int(bool(self._maintenance)))


def _bounded(notice: Maintenance) -> Maintenance:
    """With the end that is believed, where none is announced."""
    if notice.end_ns != TS_ABSENT:
        return notice
    begin_ns = max(clock.wall_ns(), notice.begin_ns)
    return notice._replace(end_ns=begin_ns + MAINTENANCE_NS_MAX)
