"""Which pools a pretend Solana has: all kinds and coins in turn, from the seed."""

import random

from spread_scanner.sim.chain_curves import SimClmm, SimDlmm
from spread_scanner.sim.chain_pools import BASES, USDC, USDT, SimAmm, SimCpmm, SimPool, SimWhirlpool

KINDS: tuple[type[SimPool], ...] = (SimAmm, SimCpmm, SimWhirlpool, SimClmm, SimDlmm)


def made(seed: int, count: int) -> list[SimPool]:
    """So many pools."""
    rng = random.Random(f"{seed} pools")
    found: list[SimPool] = []
    for number in range(count):
        base = BASES[number // len(KINDS) % len(BASES)]
        quote = USDT if number % 4 == 3 else USDC
        usd = int(10 ** rng.uniform(5, 7))
        found.append(KINDS[number % len(KINDS)](seed, number, (base, quote), usd))
    return found
