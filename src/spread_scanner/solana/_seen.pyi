from spread_scanner.solana.pool import Pool

# What is shown: token 1 per token 0 in whole tokens, reserves in smallest units, and liquidity.
PoolFigures = tuple[float, tuple[int, int], int | None]

class SeenPool:
    key: str
    fee_rate: float | None
    decimals: tuple[int, int]
    units: tuple[int, int]
    mints: tuple[str, str]
    def __init__(self, key: str) -> None: ...
    def see(self, accounts: dict[str, tuple[str, bytes]]) -> PoolFigures: ...
    @property
    def pool(self) -> Pool: ...
