from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from spread_scanner.shm._memory import Memory

FLAGS: Mapping[str, int]
SIZES: Mapping[str, int]
READ_TRIES_MAX: int

class Quote:
    bid_px: float
    bid_sz: float
    ask_px: float
    ask_sz: float
    ts_event: int
    ts_recv: int
    update_id: int
    flags: int
    epoch: int
    def __iter__(self) -> Iterator[Any]: ...

class StoreView:
    memory: Memory
    dirty_memory: Memory | None
    tape_memory: Memory | None
    contended: int
    num_sources: int
    max_symbols: int
    def __init__(self, memory: Memory, layout: Any) -> None: ...
    def map_dirty(self, memory: Memory, layout: Any) -> None: ...
    def map_tape(self, memory: Memory, layout: Any) -> None: ...
    def read(self, source_id: int, symbol_id: int) -> Quote | None: ...
    def read_many(self, source_id: int, ids: npt.NDArray[np.uint16]) -> np.ndarray: ...
    def snapshot(self) -> np.ndarray: ...
    def epoch(self, source_id: int) -> int: ...
    def heartbeat_mono_ns(self, source_id: int) -> int: ...
