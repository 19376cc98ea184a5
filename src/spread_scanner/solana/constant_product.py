"""A constant product over two reserves: what Raydium's AMM V4 and CPMM have in common. Pure.

A reserve is what a vault holds less what is owed of it. Where one is empty there is no product, and
nothing is quoted.
"""

from collections.abc import Callable

from spread_scanner.solana._kept import KeptBytes
from spread_scanner.solana.pool import Accounts, Pool, PoolSight, SwapTold
from spread_scanner.solana.refusal import PoolReason, PoolRefusal
from spread_scanner.solana.tokens import BALANCE_KEPT, TokenBalance, TokenMint, amount_of


class ConstantProductPool(Pool):
    """Two vaults and what is owed of each."""

    def __init__(
        self,
        mints: tuple[str, str],
        token_mints: tuple[TokenMint, TokenMint],
        vaults: tuple[TokenBalance, TokenBalance],
        owed: tuple[int, int],
    ) -> None:
        super().__init__(mints, token_mints)
        self._reserves = vaults[0].amount - owed[0], vaults[1].amount - owed[1]
        if min(self._reserves) < 0:
            amounts = tuple(vault.amount for vault in vaults)
            raise PoolRefusal(PoolReason.BAD_VALUE, vaults=amounts, owed=owed)

    def reserves(self) -> tuple[int, int]:
        return self._reserves

    def price_ratio(self, unix_ts: int = 0, slot: int = 0) -> tuple[int, int]:
        return self._reserves[1], self._reserves[0]

    def _sight(
        self,
        key: str,
        kept: KeptBytes,
        vaults: tuple[str, str],
        owed: Callable[[bytes], tuple[int, int]],
        fixed: tuple[str, ...] = (),
    ) -> PoolSight:
        """`owed` reads the pool's own account, of which `kept` is what no swap writes."""
        one, other = vaults

        def told(accounts: Accounts) -> SwapTold | None:
            owed0, owed1 = owed(accounts[key][1])
            reserve0 = amount_of(accounts[one]) - owed0
            reserve1 = amount_of(accounts[other]) - owed1
            if reserve0 <= 0 or reserve1 <= 0:
                return None
            return (reserve1, reserve0), (reserve0, reserve1), None

        return PoolSight(fixed, {key: kept, one: BALANCE_KEPT, other: BALANCE_KEPT}, told)

    def _out_for(self, net: int, down: bool) -> int:
        """What an amount in gives, its fee off, rounded down."""
        reserve_in, reserve_out = self._sides(down)
        return reserve_out * net // (reserve_in + net)

    def _in_for(self, out: int, down: bool) -> int:
        """What an amount out takes, without a fee, rounded up."""
        reserve_in, reserve_out = self._sides(down)
        if out >= reserve_out:
            raise PoolRefusal(PoolReason.TOO_MUCH, amount_out=out, reserve=reserve_out)
        return -(-reserve_in * out // (reserve_out - out))

    def _sides(self, down: bool) -> tuple[int, int]:
        if not all(self._reserves):
            raise PoolRefusal(PoolReason.TOO_MUCH, reserves=self._reserves)
        reserve0, reserve1 = self._reserves
        return (reserve0, reserve1) if down else (reserve1, reserve0)
