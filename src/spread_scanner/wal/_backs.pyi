from array import array
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

SIZES: Mapping[str, int]
SOURCES: int
SYMBOLS: int

class Gathering:
    room: npt.NDArray[np.uint8]
    kind: int
    count: int
    end: int
    def __init__(self, room: npt.NDArray[np.uint8], head_bytes: int, ways: bool = True) -> None: ...
    def hand_over(self, room: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]: ...
    def take(self, kind: int, records: np.ndarray, at: int, seq: int) -> int: ...

def follow(
    first: array[int],
    count: array[int],
    address: array[int],
    seq: int,
    since: int,
    source: int,
    symbol: int,
    most: int,
) -> tuple[np.ndarray, int]: ...
