from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from picows import WSFrame, WSListener, WSTransport

from spread_scanner.clock import Clock
from spread_scanner.exchanges._match import Decoder
from spread_scanner.shm._rows import Row
from spread_scanner.shm._writer import StoreWriter

FLAGS: dict[str, int]
OUTCOMES: tuple[str, ...]
FRAGMENTS_BYTES_MAX: int

class BestLag:
    now_ns: int
    windows_passed: int
    drift: float
    def __init__(self, drift_ppm: float, *, kept: int = ..., windows: int = ...) -> None: ...
    def drifts(self, ppm: float) -> None: ...

class Handler(Protocol):
    def unusual(self, frame: bytes) -> None: ...
    def broken(self, reason: str, frame: bytes) -> None: ...
    def ponged(self, payload: bytes, mono_ns: int) -> None: ...
    def gone(self) -> None: ...

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
    ) -> None: ...
    def forget(self, ids: Sequence[int]) -> None: ...
    def unmark(self, ids: Iterable[int], flag: int, only: int = 0) -> int: ...
    def judged(self) -> int: ...

class Listener(WSListener):
    board: Board
    row: Row | None
    number: int
    quoted: npt.NDArray[np.uint8]
    handler: Any
    transport: WSTransport | None
    opened_ns: int
    frame_ns: int
    data_ns: int
    mean_read_ns: float
    mean_read_quotes: float
    path_lags: bool
    data_messages: int
    bad_in_row: int
    muted: bool
    def __init__(
        self,
        board: Board,
        decoder: Decoder,
        number: int,
        handler: Handler,
        *,
        binary: bool = False,
        row: Row | None = None,
    ) -> None: ...
    def use(self, decoder: Decoder) -> None: ...
    def send(self, text: str) -> None: ...
    def ping(self, payload: bytes) -> None: ...
    def hang_up(self) -> None: ...
    def cut(self) -> None: ...
    def on_ws_connected(self, transport: WSTransport) -> None: ...
    def on_ws_disconnected(self, transport: WSTransport) -> None: ...
    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None: ...
    def bad(self) -> int: ...
    def quote(
        self,
        symbol_id: int,
        bid_px: float,
        bid_sz: float,
        ask_px: float,
        ask_sz: float,
        ts_event: int,
        update_id: int,
        ts_engine: int = ...,
    ) -> str: ...
