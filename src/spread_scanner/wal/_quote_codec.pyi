from collections.abc import Mapping

import numpy as np

SIZES: Mapping[str, int]
SOURCES: int
PADDING: int

class QuoteState:
    def __init__(self) -> None: ...
    def put(self, ticks: np.ndarray) -> bytes: ...
    def get(self, padded: bytes, count: int) -> np.ndarray | None: ...
