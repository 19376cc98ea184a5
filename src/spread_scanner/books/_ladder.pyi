from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

SIZES: Mapping[str, int]

def ladders(
    spot: np.ndarray, fut: np.ndarray, terms: np.ndarray, sizes_quote: npt.NDArray[np.float64]
) -> tuple[np.ndarray, npt.NDArray[np.float64], npt.NDArray[np.bool_]]: ...
