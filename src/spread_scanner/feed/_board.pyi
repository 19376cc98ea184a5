from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from spread_scanner.clock import Clock
from spread_scanner.shm._rows import Row
from spread_scanner.shm._writer import StoreWriter

OUTCOMES: tuple[str, ...]
STALL_NS: int

class BestLag:
    now_ns: int
    windows_passed: int
    drift: float
    def __init__(self, drift_ppm: float, *, kept: int = ..., windows: int = ...) -> None: ...
    def drifts(self, ppm: float) -> None: ...
    def recall(self, lag_ns: int, mono_ns: int) -> None: ...
    def ended(self) -> None: ...
    def lost(self) -> None: ...

class Board:
    writer: StoreWriter
    row: Row
    clock: Clock
    anchor_ns: int
    lag_ns_max: int
    clock_off_ns_max: int
    heard_ns: npt.NDArray[np.int64]
    mean_ns: npt.NDArray[np.float64]
    news_ns: npt.NDArray[np.int64]
    news_mean_ns: npt.NDArray[np.float64]
    mid: npt.NDArray[np.float64]
    best: BestLag
    wrote: npt.NDArray[np.uint32]
    looked_ns: int
    silence: tuple[int, float]
    def __init__(
        self,
        writer: StoreWriter,
        row: Row,
        anchor_ns: int,
        lag_ns_max: int,
        clock: Clock | None = None,
        *,
        clock_off_ns_max: int = ...,
        best: BestLag | None = ...,
        silence: tuple[int, float] = ...,
    ) -> None: ...
    def deafen(self, ids: Sequence[int] | npt.NDArray[np.uint16], mono_ns: int) -> None: ...
    def let_go(
        self, connection: int, ids: Sequence[int] | npt.NDArray[np.uint16] | slice = ...
    ) -> None: ...
    def forget(self, ids: Sequence[int]) -> None: ...
    def unmark(self, ids: Iterable[int], flag: int, only: int = 0) -> int: ...
    def judged(self, ids: Iterable[int]) -> int: ...
