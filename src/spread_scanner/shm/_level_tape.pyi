"""The write end of the tape of a source's order books; see _level_tape.pyx."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from spread_scanner.shm._memory import Memory

SIZES: Mapping[str, int]

class LevelTape:
    memory: Memory
    def __init__(self, memory: Memory, layout: Any) -> None: ...
    def tell(self, before: np.ndarray, now: np.ndarray) -> None: ...
