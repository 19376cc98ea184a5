from spread_scanner.solana.pool import Filled

def price_at(bin_id: int, bin_step: int) -> int: ...

class BinWay:
    all_used: int | None
    def __init__(
        self,
        arrays: dict[int, bytes],
        active_id: int,
        layout: tuple[int, int],
        bin_step: int,
        *,
        has_orders: bool,
        down: bool,
        by_input: bool,
        fee_on_input: bool,
        fees: tuple[int, ...],
    ) -> None: ...
    def swap(self, amount: int) -> Filled | None: ...
