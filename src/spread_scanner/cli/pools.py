"""The table of `spread-ctl pools`, as wide as the terminal."""

from spread_scanner.schema.figures import plain
from spread_scanner.view.pools import PoolView

WIDE_COLUMNS = 150
KEY_LETTERS = 8  # of a pool's key, where there is no room for all of it
NOTE_LETTERS = 60
_EVIDENCE = " ("  # begins what was found in the way, which is told below the table


def columns_and_rows(found: list[PoolView], width: int) -> tuple[list[str], list[list[object]]]:
    """For a table that fits a width."""
    wide = width >= WIDE_COLUMNS
    columns = ["pool", "program", "symbol", "price>", "fee %>", "told s>", "note"]
    if wide:
        columns.insert(5, "slot>")
    return columns, [_row(one, wide=wide) for one in found]


def _row(one: PoolView, *, wide: bool) -> list[object]:
    row: list[object] = [
        one.pool if wide else one.pool[:KEY_LETTERS],
        one.program,
        one.symbol,
        None if one.price is None else plain(one.price),
        None if one.fee is None else plain(100 * one.fee, 4),
        None if one.told_age_s is None else f"{one.told_age_s:z.1f}",
        one.why.partition(_EVIDENCE)[0][:NOTE_LETTERS],
    ]
    if wide:
        row.insert(5, one.slot)
    return row


def refusals(found: list[PoolView]) -> list[str]:
    """Of each that is refused, all that is known of why: no table has room for keys of accounts."""
    return [f"{one.pool[:KEY_LETTERS]}: {one.why}" for one in found if _EVIDENCE in one.why]
