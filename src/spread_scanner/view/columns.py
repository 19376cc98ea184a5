"""All spreads at once, column by column: what a table of thousands is sorted and filtered by.

The numbers are those of a board (view/spreads.py), without a record of each pair: thousands of them
are read, written out and read again in milliseconds, so that a page may ask twice a second.
"""

import numpy as np
import numpy.typing as npt

from spread_scanner.schema.enums import DIRECTIONS
from spread_scanner.view.reading import Reading, known_each

Column = list[float | None]
_PLACES = 3  # of basis points, ages and sizes: finer is not shown, and costs its digits
_EXACT = ("spot_ask_px", "fut_bid_px", "learned")
_ROUNDED = (
    "gross_bps",
    "net_bps",
    "enter_bps",
    "exit_bps",
    "close_bps",
    "usual_bps",
    "size_quote",
    "spot_age_ms",
    "fut_age_ms",
    "fees_bps",
)


class SpreadColumns(Reading, frozen=True):
    """Every pair as it stands now, a place in each list; what the names mean says Spread. Null: not
    known."""

    ts_ns: int  # when, by the session clock
    version: int  # the store's, before this look: what is pushed with a later one is newer
    generation: int  # of the tables: another one, and the pairs are others
    symbol: list[str]
    direction: list[str]
    usable: list[bool]
    implausible: list[bool]
    gross_bps: Column
    net_bps: Column
    enter_bps: Column
    exit_bps: Column
    close_bps: Column
    usual_bps: Column
    learned: Column
    size_quote: Column
    spot_ask_px: Column
    fut_bid_px: Column
    spot_age_ms: Column
    fut_age_ms: Column
    fees_bps: Column
    carry_at_ask_bps: Column
    z: Column  # deviations that gross is off its mean, where spread-analyst runs


def columns_of(
    rows: np.ndarray,
    z: npt.NDArray[np.float64],
    symbols: dict[int, str],
    *,
    ts_ns: int,
    version: int,
    generation: int,
) -> SpreadColumns:
    """Of rows of a board, and their z."""
    exact = {name: known_each(rows[name]) for name in _EXACT}
    rounded = {name: known_each(np.round(rows[name], _PLACES)) for name in _ROUNDED}
    return SpreadColumns(
        ts_ns=ts_ns,
        version=version,
        generation=generation,
        symbol=[symbols.get(one, f"#{one}") for one in rows["symbol_id"].tolist()],
        direction=[DIRECTIONS[one].label for one in rows["direction_id"].tolist()],
        usable=rows["usable"].tolist(),
        implausible=rows["implausible"].tolist(),
        z=known_each(np.round(z, _PLACES)),
        carry_at_ask_bps=known_each(np.round(rows["carry_bps"], _PLACES)),
        **exact,
        **rounded,
    )
