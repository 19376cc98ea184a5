"""What is worth a word and has no end: opportunities as they open, pairs that are new."""

from collections.abc import Iterator
from pathlib import Path

from spread_scanner.schema.figures import few
from spread_scanner.view import opportunities, stored
from spread_scanner.view.conditions.condition import Condition
from spread_scanner.view.tables import TablesInForce

NAMED_MAX = 5


class OpportunityNews:
    """New opportunities at or over a net spread, in the order in which they opened."""

    def __init__(self, data_dir: Path, net_bps_min: float) -> None:
        self._stored = opportunities.Opportunities(data_dir)
        self.net_bps_min = net_bps_min
        self._last_id: int | None = None  # until the database was read once
        self._file: stored.FileId | None = None  # whose id that is; None: there was none yet
        self._stored_all()

    def _stored_all(self) -> None:
        """What is stored when a database is first read did not open while anybody looked."""
        file, newest = self._stored.file(), self._stored.newest_id()
        if newest is not None:
            self._last_id, self._file = newest, file

    def since(self) -> Iterator[Condition]:
        """Those that opened since the last call."""
        file = self._stored.file()
        if self._last_id is None or (file is not None and self._file not in (None, file)):
            self._stored_all()  # another one took its place
            return
        self._file = file or self._file
        for row in self._stored.since(self._last_id):
            self._last_id = row.id
            if row.entry_net_bps >= self.net_bps_min:
                text = (
                    f"{row.symbol} {row.direction}: {row.entry_net_bps:z.1f} bps net, "
                    f"{row.entry_size_quote:z,.0f} at the top"
                )
                yield Condition(f"opportunity:{row.id}", text, passing=True)


class PairNews:
    """Pairs that a set of tables has and the one before had not; what was in force at the start is
    no news."""

    def __init__(self, in_force: TablesInForce) -> None:
        self._in_force = in_force
        in_force.look()
        self._generation = self._now()

    def _now(self) -> int:
        return self._in_force.view.generation if self._in_force.view is not None else 0

    def since(self) -> Iterator[Condition]:
        """Of the set in force, if it is another than at the last call."""
        view = self._in_force.view
        if view is None or view.generation == self._generation:
            return
        self._generation = view.generation
        if view.added:
            said = f"new pairs: {few(view.added, NAMED_MAX)}"
            yield Condition(f"added:{view.generation}", said, passing=True)
