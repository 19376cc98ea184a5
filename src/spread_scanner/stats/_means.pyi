from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

SIZES: Mapping[str, int]

class PairMeans:
    records: np.ndarray
    def __init__(
        self, records: np.ndarray, half_lives_s: Sequence[float], known: Sequence[float]
    ) -> None: ...
    def forget(self, which: Any) -> None: ...
    def take_over(self, old: PairMeans, mine: Any, theirs: Any) -> None: ...
    def step(
        self, steps: int, ts_ns: int, usable: npt.NDArray[np.bool_], basis: npt.NDArray[np.float64]
    ) -> None: ...
