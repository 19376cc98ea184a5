"""Pools of a constant product as they are traded, by what they hold in whole tokens."""

from pool_accounts import amm_v4, balance, key

from spread_scanner.config.pools import MintSettings
from spread_scanner.pools.effective import TradedPool, traded
from spread_scanner.pools.units import WholeBecause, WholePool
from spread_scanner.solana.tokens import USDC, USDT, WSOL

BONK = "DezXAZ8z7PnrnRJjz3wXBoRgixCa6xjnB7YaB1pPB263"
MINTS = {
    WSOL: MintSettings("SOL"),
    USDC: MintSettings("USDC"),
    USDT: MintSettings("USDT"),
    BONK: MintSettings("BONK", 2.0),
}
DECIMALS = {WSOL: 9, USDC: 6, USDT: 6, BONK: 5}


def v4(
    name: str,
    held: tuple[int, int],
    mints: tuple[str, str] = (WSOL, USDC),
    fee: tuple[int, int] = (25, 10_000),
) -> TradedPool | None:
    """A pool of the constant product with so many whole tokens."""
    vaults = key(f"{name} 0"), key(f"{name} 1")
    units = [10 ** DECIMALS[mint] for mint in mints]
    decimals = DECIMALS[mints[0]], DECIMALS[mints[1]]
    accounts = {
        key(name): amm_v4(vaults=vaults, mints=mints, decimals=decimals, fee=fee),
        vaults[0]: balance(mints[0], held[0] * units[0]),
        vaults[1]: balance(mints[1], held[1] * units[1]),
    }
    return traded(WholePool(key(name), 7, accounts, WholeBecause.TOGETHER), MINTS)


def sol(name: str, held: tuple[int, int], mints: tuple[str, str] = (WSOL, USDC)) -> TradedPool:
    found = v4(name, held, mints)
    assert found is not None
    return found
