from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

HOPS_MAX: int

def best_cycles(
    starts: npt.NDArray[np.int32],
    heads: npt.NDArray[np.int32],
    gains: npt.NDArray[np.float64],
    hops_max: int,
    gain_min: float,
    limit: int,
    through: Iterable[tuple[int, int]] | None = None,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int32]]: ...
