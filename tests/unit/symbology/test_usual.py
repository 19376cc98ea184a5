"""A history that is written down before anybody has looked."""

from pathlib import Path

from saved_world import World, run, settings_in

from spread_scanner.schema.costs import full_weight
from spread_scanner.schema.enums import SOURCES
from spread_scanner.symbology import usual
from spread_scanner.symbology.tables import InstrumentRow

WALL_NS = 1_700_000_000_000_000_000


def test_only_what_is_known_is_seeded_and_at_full_weight(tmp_path: Path) -> None:
    found = run(World().write(tmp_path / "saved"), settings_in(tmp_path)).tables

    def usually(spot: InstrumentRow, futures: InstrumentRow) -> tuple[float, float] | None:
        both = SOURCES[spot.source_id].label, SOURCES[futures.source_id].label
        known = both == ("okx-spot", "bybit-futures")
        return (-3.0 - spot.symbol_id, -2.0) if known else None

    path = tmp_path / "usual"
    count = usual.seed(path, found, WALL_NS, 60.0, usually)
    read = usual.read(path)
    assert read is not None
    keys = usual.pair_keys(found)
    places = {key: place for place, key in enumerate(read.keys)}
    mine = {symbol_id: places[key] for (_, symbol_id), key in keys.items() if key in places}
    assert count == len(read.keys) == len(mine) > 3
    assert len(keys) > count
    for symbol_id, place in mine.items():
        assert read.exit_bps[place] == -3.0 - symbol_id
        assert read.parity_bps[place] == -2.0
        assert read.weight[place] == full_weight(60.0)
    assert read.wall_ns == WALL_NS
