"""Which pools a pretend Solana has: all kinds and coins in turn, from the seed."""

import random
from collections.abc import Mapping, Sequence
from fractions import Fraction

from spread_scanner.sim.chain_curves import SimClmm, SimDlmm
from spread_scanner.sim.chain_pools import (
    BASES,
    OTHERS,
    USDC,
    USDT,
    Coin,
    SimAmm,
    SimCpmm,
    SimPool,
    SimWhirlpool,
)

KINDS: tuple[type[SimPool], ...] = (SimAmm, SimCpmm, SimWhirlpool, SimClmm, SimDlmm)


def made(seed: int, count: int, worths: Mapping[str, float] | None = None) -> list[SimPool]:
    """So many pools. `worths`: of the coins that are listed elsewhere, in USDT; the others have no
    pools then."""
    rng = random.Random(f"{seed} pools")
    bases: Sequence[Coin] = BASES
    if worths is not None:
        bases = [
            coin._replace(usd=Fraction(worths[coin.name]))
            for coin in (*BASES, *OTHERS)
            if coin.name in worths
        ]
    found: list[SimPool] = []
    for number in range(count):
        base = bases[number // len(KINDS) % len(bases)]
        quote = USDT if number % 4 == 3 else USDC
        usd = int(10 ** rng.uniform(5, 7))
        found.append(KINDS[number % len(KINDS)](seed, number, (base, quote), usd))
    return found
