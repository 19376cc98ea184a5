from collections.abc import Iterator

from spread_scanner.solana.concentrated import Start, TickAt
from spread_scanner.solana.pool import Filled

class TickWay:
    all_used: int | None
    def __init__(
        self,
        start: Start,
        onward: Iterator[TickAt],
        ticks_left: int,
        rate: int,
        *,
        down: bool,
        by_input: bool,
        fee_on_input: bool,
    ) -> None: ...
    @property
    def used(self) -> list[int]: ...
    def swap(self, amount: int) -> Filled | None: ...
