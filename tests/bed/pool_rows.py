"""Records of the pools' segment, as feed-solana would write them, and settings that name one."""

import numpy as np

from spread_scanner import clock
from spread_scanner.clock import NS_PER_S
from spread_scanner.schema.pools import POOL_DTYPE, PoolFlag

SOL, USDC = (
    "So11111111111111111111111111111111111111112",
    "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v",
)
POOL = "58oQChx4yWmvKdwLLZzBi4ChoCc2fqCUWBkwMihLYQo2"
POOLS_TOML = f"""
enabled = true
[providers.a]
http_url = "http://127.0.0.1:1"
ws_url = "ws://127.0.0.1:1"
[mints.{SOL}]
coin = "SOL"
[mints.{USDC}]
coin = "USDC"
[pools.{POOL}]
program = "raydium-v4"
mints = ["{SOL}", "{USDC}"]
"""


def pool_row(key: str, **values: object) -> np.ndarray:
    """A pool of SOL and USDC that is good for an hour from now, but for what is said."""
    made = np.zeros(1, POOL_DTYPE)
    now_ns = clock.mono_ns()
    said: dict[str, object] = {
        **{"key": key.encode(), "program": b"raydium-v4", "symbol": b"SOL-USDC"},
        **{"mint0": b"SOL", "mint1": b"USDC", "decimals0": 9, "decimals1": 6},
        **{"price": 150.5, "reserve0": 2e3, "reserve1": 3e5, "liquidity": np.nan, "fee": 0.0025},
        **{"slot": 350_000_000, "published": 3, "good_ns": 3_600 * NS_PER_S},
        **dict.fromkeys(("told_mono_ns", "written_mono_ns", "renewed_mono_ns"), now_ns),
        **values,
    }
    for name, value in said.items():
        made[name] = value
    return made


def refused_row(key: str, why: bytes) -> np.ndarray:
    """A pool that was never read, and why."""
    return pool_row(key, symbol=b"", flags=PoolFlag.REFUSED, why=why, slot=0)
