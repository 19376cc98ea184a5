"""The tables in force: how old they are, how much is in them, and what is kept out and why."""

from spread_scanner import clock
from spread_scanner.clock import NS_PER_S
from spread_scanner.config import Settings
from spread_scanner.schema.enums import DIRECTIONS, SOURCES
from spread_scanner.symbology import tables
from spread_scanner.view.evaluations import Quarantined
from spread_scanner.view.reading import Reading


class TablesView(Reading, frozen=True):
    """What pair-discovery has published last."""

    generation: int
    age_s: float
    folder: str
    symbols: int
    pairs: int
    instruments: dict[str, int]  # by source
    directions: dict[str, int]  # pairs by direction
    quarantined: list[Quarantined]


def read(settings: Settings) -> TablesView:
    """Raises TableError where there are none, or where they are damaged."""
    loaded = tables.load(settings.generated_dir)
    by_direction = {
        DIRECTIONS[row.direction_id].label: len(row.symbol_ids) for row in loaded.directions
    }
    return TablesView(
        generation=loaded.generation,
        age_s=(clock.wall_ns() - loaded.created_wall_ns) / NS_PER_S,
        folder=str(settings.generated_dir),
        symbols=len(loaded.symbols),
        pairs=sum(by_direction.values()),
        instruments={source.label: len(loaded.of_source(source.source_id)) for source in SOURCES},
        directions=by_direction,
        quarantined=[
            Quarantined(DIRECTIONS[row.direction_id].label, row.symbol, row.reason)
            for row in loaded.quarantine
        ],
    )
