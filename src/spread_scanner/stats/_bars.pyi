from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from spread_scanner.stats.periods import Periods

SIZES: Mapping[str, int]

def indicators(closes: npt.NDArray[np.float64], periods: Periods) -> np.ndarray: ...

class BarIndicators:
    records: np.ndarray
    def __init__(self, records: np.ndarray, periods: Periods) -> None: ...
    def forget(self, which: Any) -> None: ...
    def take_over(self, old: BarIndicators, places: npt.NDArray[np.int64]) -> None: ...
    def step(self, tick: int, ts_ns: int, mids: npt.NDArray[np.float64]) -> None: ...
