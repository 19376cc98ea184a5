from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from picows import WSFrame, WSListener, WSTransport

from spread_scanner.exchanges._match import Decoder
from spread_scanner.feed._board import BestLag as BestLag
from spread_scanner.feed._board import Board
from spread_scanner.feed._books import BookBoard
from spread_scanner.shm._rows import Row

FLAGS: dict[str, int]
FRAGMENTS_BYTES_MAX: int

class Handler(Protocol):
    def unusual(self, frame: bytes) -> None: ...
    def broken(self, reason: str, frame: bytes) -> None: ...
    def ponged(self, payload: bytes, mono_ns: int) -> None: ...
    def gone(self) -> None: ...

class Listener(WSListener):
    board: Board
    row: Row | None
    number: int
    quoted: npt.NDArray[np.uint8]
    left: npt.NDArray[np.uint8]
    handler: Any
    transport: WSTransport | None
    opened_ns: int
    frame_ns: int
    data_ns: int
    mean_read_ns: float
    mean_read_quotes: float
    path_lags: bool
    behind: bool
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
        books: BookBoard | None = None,
    ) -> None: ...
    def use(self, decoder: Decoder) -> None: ...
    def send(self, text: str) -> None: ...
    def deafen(self, mono_ns: int) -> None: ...
    def ping(self, payload: bytes) -> None: ...
    def hang_up(self) -> None: ...
    def cut(self) -> None: ...
    def on_ws_connected(self, transport: WSTransport) -> None: ...
    def on_ws_disconnected(self, transport: WSTransport) -> None: ...
    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None: ...
    read_ns: int
    def heard(self, symbol_id: int) -> None: ...
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
        ts_sent: int = ...,
    ) -> str: ...
