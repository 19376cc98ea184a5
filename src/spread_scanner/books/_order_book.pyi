from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

Levels = npt.NDArray[np.float64]

FLAGS: Mapping[str, int]
SIZES: Mapping[str, int]

class FollowedBook:
    bids: Levels
    asks: Levels
    flags: int
    refused: int
    def __init__(self) -> None: ...
    def clear(self) -> None: ...
    def snapshot(self, bids: Levels, asks: Levels, *, levels: int = 0) -> None: ...
    def delta(self, bids: Levels, asks: Levels) -> None: ...
    def record(
        self,
        *,
        symbol_id: int,
        source_id: int,
        update_id: int,
        ts_recv: int,
        ts_event: int = ...,
        epoch: int = 0,
        flags: int = 0,
        top_since_ns: int = 0,
        levels: int = 20,
    ) -> np.ndarray: ...
