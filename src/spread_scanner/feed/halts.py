"""Which listings of a source are halted, by what the exchange announced since they were judged.

Used by the feed. A listing that is halted or delisted between two discoveries is treated as one
that has left the tables, until the exchange says that it is traded again or new tables judge it: a
quick look's do not.
"""

from collections.abc import Iterable

from spread_scanner.exchanges.notices import Announcement, Halted, Maintenance, Resumed
from spread_scanner.feed.counting import COUNTER
from spread_scanner.runtime.process import Process
from spread_scanner.symbology.tables import InstrumentRow

Instruments = dict[str, InstrumentRow]


class Halts:
    """One source's; counts in the feed's row and says in its log what is announced."""

    def __init__(self, process: Process, instruments: Instruments) -> None:
        self._process = process
        self._listed = instruments
        self._halted: dict[str, str] = {}
        self._maintenance: set[str] = set()
        self._show()  # the row's gauges outlive the process, what they count does not

    def traded(self) -> Instruments:
        """The listings of the tables but for those that are halted."""
        return {name: row for name, row in self._listed.items() if name not in self._halted}

    def reload(self, instruments: Instruments, *, judged: bool) -> Instruments:
        """Tables were read again: what is traded. `judged`: all listings were looked at anew, which
        alone lifts what was halted.
        """
        self._listed = instruments
        if judged:
            self._halted.clear()
        self._show()
        return self.traded()

    def take(self, announced: Iterable[Announcement]) -> bool:
        """Take note; whether other listings are traded now."""
        before = set(self._halted)
        for one in announced:
            if isinstance(one, Maintenance):
                self._maintain(one)
            elif isinstance(one, Resumed):
                if self._halted.pop(one.exchange_symbol, None) is not None:
                    self._process.log.warning("traded again", symbol=one.exchange_symbol)
            elif one.exchange_symbol in self._listed:
                self._halt(one)
        self._show()
        return before != set(self._halted)

    def _halt(self, halted: Halted) -> None:
        if self._halted.get(halted.exchange_symbol) != halted.state:
            self._process.log.warning("halted", symbol=halted.exchange_symbol, state=halted.state)
        if halted.exchange_symbol not in self._halted:
            self._process.row.add(COUNTER["halts"])
        self._halted[halted.exchange_symbol] = halted.state

    def _maintain(self, notice: Maintenance) -> None:
        key = notice.key or notice.title
        if notice.over:
            self._maintenance.discard(key)
        else:
            self._maintenance.add(key)
        self._process.log.warning(
            "maintenance",
            title=notice.title,
            state=notice.state,
            begin_ns=notice.begin_ns,
            end_ns=notice.end_ns,
        )

    def _show(self) -> None:
        row = self._process.row
        row.set(COUNTER["halted"], len(self._halted.keys() & self._listed.keys()))
        row.set(COUNTER["maintenance"], int(bool(self._maintenance)))
