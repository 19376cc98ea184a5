"""From a frame to the book that others see; see _books.pyx."""

from collections.abc import Callable
from typing import Any

from spread_scanner.books._order_book import FollowedBook
from spread_scanner.exchanges._depth import DepthDecoder
from spread_scanner.feed._board import Board
from spread_scanner.shm._latches import LatchTable
from spread_scanner.shm._level_tape import LevelTape
from spread_scanner.shm._rows import Row

AS_BEFORE: int

class KeptBook:
    book: FollowedBook
    stands: bool
    stale: bool
    late: bool
    beyond: bool
    window: int
    summed: bool
    disagrees: bool
    crossed: bool
    owner: int
    known_id: int
    ts_event: int
    recv_ns: int
    top_since_ns: int
    def __init__(self, *_: object) -> None: ...
    @property
    def top(self) -> tuple[float, ...]: ...
    @property
    def flags(self) -> int: ...

class BookBoard:
    table: LatchTable
    tape: LevelTape
    row: Row
    def __init__(
        self,
        table: LatchTable,
        tape: LevelTape,
        row: Row,
        *,
        source_id: int,
        epoch: int,
        symbols: int,
        odd: Callable[[Any, int], None],
        quotes: Board | None = None,
    ) -> None: ...
    def use(self, decoder: DepthDecoder | None) -> None: ...
    def keep(self, symbol_id: int, kept: KeptBook, place: int) -> None: ...
    def drop(self, symbol_id: int) -> None: ...
    def publish(self, symbol_id: int, recv_ns: int = ...) -> int: ...
    def message(self, frame: bytes, number: int, recv_ns: int, behind: bool = ...) -> bool: ...
    def late(self, ts_event: int, recv_ns: int, behind: bool) -> bool: ...
