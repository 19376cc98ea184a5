"""The tables in force: how old they are, how much is in them, and what is kept out and why.

`TablesInForce` is for who looks again and again: it reads a set once.
"""

from pathlib import Path

import msgspec

from spread_scanner import clock
from spread_scanner.clock import NS_PER_S
from spread_scanner.errors import TableError
from spread_scanner.schema.enums import DIRECTIONS, EXCHANGE_SOURCES, SOURCES
from spread_scanner.symbology import publish, tables
from spread_scanner.view.evaluations import Quarantined
from spread_scanner.view.reading import Reading


class TablesView(Reading, frozen=True):
    """What pair-discovery has published last."""

    generation: int
    age_s: float
    judged_age_s: float  # since a full run judged all listings and prices
    folder: str
    symbols: int
    pairs: int
    instruments: dict[str, int]  # by source
    directions: dict[str, int]  # pairs by direction
    quarantined: list[Quarantined]
    sources: dict[str, str]  # of the run that made them: ok, disabled, or how it was away
    warnings: list[str]  # what a person should look at
    added: list[str]  # pairs that the set before did not have


def read(folder: Path) -> TablesView:
    """Of a generated folder. Raises TableError where there are none, or they are damaged."""
    return _view(folder, *_whole(folder))


def _whole(folder: Path) -> tuple[tables.Tables, tables.Metadata]:
    """Both of one set, should another be published meanwhile."""
    chosen = tables.set_in_force(folder)
    return tables.load_set(chosen), tables.metadata_of(chosen)


def _view(folder: Path, loaded: tables.Tables, metadata: tables.Metadata) -> TablesView:
    by_direction = {
        DIRECTIONS[row.direction_id].label: len(row.symbol_ids) for row in loaded.directions
    }
    return TablesView(
        generation=loaded.generation,
        age_s=(clock.wall_ns() - loaded.created_wall_ns) / NS_PER_S,
        judged_age_s=(clock.wall_ns() - loaded.judgement_wall_ns) / NS_PER_S,
        folder=str(folder),
        symbols=len(loaded.symbols),
        pairs=sum(by_direction.values()),
        instruments={
            source.label: listed
            for source in SOURCES
            if (listed := len(loaded.of_source(source.source_id))) or source in EXCHANGE_SOURCES
        },
        directions=by_direction,
        quarantined=[
            Quarantined(DIRECTIONS[row.direction_id].label, row.symbol, row.reason)
            for row in loaded.quarantine
        ],
        sources=dict(metadata.sources),
        warnings=list(metadata.warnings),
        added=list(metadata.added),
    )


class TablesInForce:
    """Of one generated folder, read when they change. Tables that are not whole change nothing.
    One looks; what was found may be asked for by other threads meanwhile."""

    def __init__(self, folder: Path, loaded: tables.Tables | None = None) -> None:
        """`loaded`: what whoever asks has of it already."""
        self._folder = folder
        self.loaded = loaded
        # With the time at which it was read: together, so that nobody finds one of another set.
        self._found: tuple[TablesView, int] | None = None

    @property
    def view(self) -> TablesView | None:
        """As they were when they were read; None: none were whole yet."""
        return self._found[0] if self._found is not None else None

    @property
    def judged_age_s(self) -> float:
        """How long ago a full run judged those in force, which `view` must have."""
        assert self._found is not None
        view, read_ns = self._found
        return view.judged_age_s + _passed_s(read_ns)

    def now(self) -> TablesView:
        """Those that were whole last, as old as they are now. Raises TableError where none were."""
        if self._found is None:
            return read(self._folder)
        view, read_ns = self._found
        passed_s = _passed_s(read_ns)
        return msgspec.structs.replace(
            view, age_s=view.age_s + passed_s, judged_age_s=view.judged_age_s + passed_s
        )

    def look(self) -> bool:
        """Take a new set, if there is one; whether there was."""
        known = self.loaded.generation if self.loaded is not None else 0
        if publish.generation_in_force(self._folder) == known:
            return False
        try:
            self.loaded, metadata = _whole(self._folder)
        except TableError:
            return False
        self._found = _view(self._folder, self.loaded, metadata), clock.mono_ns()
        return True


def _passed_s(since_ns: int) -> float:
    return (clock.mono_ns() - since_ns) / NS_PER_S
