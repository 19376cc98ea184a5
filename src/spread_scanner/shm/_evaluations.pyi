from collections.abc import Mapping
from typing import Any

import numpy as np

from spread_scanner.shm._memory import Memory

SIZES: Mapping[str, int]

class EvaluationRows:
    memory: Memory
    head: int
    def __init__(self, memory: Memory, layout: Any) -> None: ...
    def shut(self) -> None: ...
    def append(self, rows: np.ndarray) -> None: ...
    def copy(self) -> np.ndarray: ...
