"""How unusual the spreads of many pairs are, for a table: what spread-analyst says of each.

Reads the analyst's records. What is not of now, or of other tables, is NaN, as it is to the engine.
"""

import numpy as np

from spread_scanner.schema.analysis import current, z_of
from spread_scanner.shm import PriceStore
from spread_scanner.shm.analysis import Analysis
from spread_scanner.view.attached import Attached

BASIS_DTYPE = np.dtype(
    [
        ("z", "<f8"),  # deviations that gross is off its mean now, as enter_z_min has it
        ("usable_share", "<f8"),  # of the time that it was looked at, four hours at most
        ("half_life_s", "<f8"),  # of the entry's reversion
    ]
)


class BasisReader:
    """Whether the analyst runs or not; `close` lets go."""

    def __init__(self, namespace: str, store: PriceStore) -> None:
        self._store = store
        self._analysis = Attached(lambda: Analysis.attach(namespace, timeout_s=0))

    def look(self, rows: np.ndarray, generation: int) -> np.ndarray:
        """(n,) BASIS_DTYPE of (n,) rows of a board (view.spreads) with those tables."""
        found = np.full(len(rows), np.nan, BASIS_DTYPE)
        held = self._analysis.look()
        if held is None or not len(rows):
            return found
        records = held.pairs(rows["direction_id"], rows["symbol_id"]).records
        now_ns = self._store.clock.now_ns()
        known = current(records, now_ns, generation)
        found["z"] = z_of(records, rows["gross_bps"], now_ns, generation)
        found["usable_share"][known] = records["usable_share"][known]
        found["half_life_s"][known] = records["entry"]["half_life_s"][known]
        return found

    def close(self) -> None:
        """Let go of the segment."""
        self._analysis.close()
