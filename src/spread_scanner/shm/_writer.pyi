import numpy as np
import numpy.typing as npt

from spread_scanner.shm._store import Quote, StoreView

class StoreWriter:
    view: StoreView
    source_id: int
    epoch: int
    def __init__(self, view: StoreView, source_id: int, epoch: int) -> None: ...
    def write(
        self,
        symbol_id: int,
        bid_px: float,
        bid_sz: float,
        ask_px: float,
        ask_sz: float,
        ts_event: int,
        ts_recv: int,
        update_id: int,
        flags: int = 0,
    ) -> None: ...
    def write_many(self, ids: npt.NDArray[np.uint16], quotes: np.ndarray) -> None: ...
    def mark_stale(self, ids: npt.NDArray[np.uint16] | None = None, flag: int = 1) -> int: ...
    def own(self, symbol_id: int) -> Quote | None: ...
    def shut(self) -> None: ...
    def heartbeat(self, mono_ns: int) -> None: ...
