import numpy as np
import numpy.typing as npt

from spread_scanner.shm._memory import Memory

class LatchTable:
    memory: Memory
    dtype: np.dtype
    contended: int
    def __init__(
        self, memory: Memory, sequences_at: int, cells_at: int, count: int, dtype: np.dtype
    ) -> None: ...
    def shut(self) -> None: ...
    def write(self, numbers: npt.NDArray[np.int64], records: np.ndarray) -> None: ...
    def read(self, numbers: npt.NDArray[np.int64]) -> tuple[np.ndarray, npt.NDArray[np.bool_]]: ...
