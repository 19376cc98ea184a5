"""Which pair a signal means, by the sets of tables as they lie on the disk."""

from typing import Any

import msgspec
from tracking import tracking_of

from spread_scanner.symbology import publish, tables
from spread_scanner.symbology.tables import DirectionRow


def test_what_waited_in_the_ring_over_new_tables_goes_by_its_own_set(up_bed: Any) -> None:
    """Ids 0 and 1 have changed hands, 2 has left: who reads with the new tables alone would open
    another coin's, or none."""
    then = tables.load(up_bed.settings.generated_dir)
    moved = {0: 1, 1: 0}
    now = msgspec.structs.replace(
        then,
        generation=2,
        symbols=tuple(
            msgspec.structs.replace(row, symbol_id=moved[row.symbol_id])
            for row in then.symbols
            if row.symbol_id in moved
        ),
        instruments=tuple(
            msgspec.structs.replace(row, symbol_id=moved[row.symbol_id])
            for row in then.instruments
            if row.symbol_id in moved
        ),
        directions=(DirectionRow(0, (0, 1)),),
        quarantine=(),
    )
    publish.publish(up_bed.settings.generated_dir, now, {})
    with tracking_of(up_bed) as tracking:
        for generation in (1, 2, 3):  # of the third no set is kept
            tracking.enter_signal(generation=generation)
        tracking.tracker.turn()
        rows = [one.row for one in tracking.tracker.book.watched()]
        ids = [(row.symbol, row.symbol_id) for row in rows]
        assert ids == [("BBB-USDT", 0), ("AAA-USDT", 1)]
        assert tracking.tracker.tally.totals["refused_unknown"] == 1
