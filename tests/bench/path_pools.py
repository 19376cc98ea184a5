"""Pools to find cycles over: constant products from numbers, and their own second opinion.

The oracle knows nothing of the product: it goes through every simple cycle of pools by itself, and
quotes in integers by the programs' formulas as they are documented.
"""

import math
import random
from collections.abc import Iterator
from typing import NamedTuple

from spread_scanner.solana import keys
from spread_scanner.solana.raydium_cpmm import CpmmConfig, CpmmPool, CpmmState
from spread_scanner.solana.raydium_v4 import AmmInfo, AmmPool
from spread_scanner.solana.tokens import TokenBalance, TokenMint

MILLION = 1_000_000
WORTH_LOG = 0.5  # a unit of one token is worth no more than e of another


class Product(NamedTuple):
    """One pool: its tokens, what it holds of them, and its fee in millionths."""

    key: str
    mints: tuple[str, str]
    reserves: tuple[int, int]
    fee: int
    kind: str  # "v4" or "cpmm"

    def out(self, mint_in: str, amount: int) -> int:
        """What so much gives; 0: nothing."""
        side = self.mints.index(mint_in)
        fee = -(-amount * self.fee // MILLION)
        net = amount - fee
        into, out_of = self.reserves[side], self.reserves[1 - side]
        return out_of * net // (into + net)

    def pool(self) -> AmmPool | CpmmPool:
        """As the product has it."""
        vaults = tuple(
            TokenBalance(mint, "", amount, False)
            for mint, amount in zip(self.mints, self.reserves, strict=True)
        )
        if self.kind == "v4":
            info = AmmInfo(
                status=6,
                decimals=(6, 6),
                swap_fee=(self.fee, MILLION),
                need_take_pnl=(0, 0),
                open_time_s=0,
                vaults=("", ""),
                mints=self.mints,
                lp_mint="",
                open_orders="",
                market="",
            )
            return AmmPool(info, vaults[0], vaults[1])
        state = CpmmState(
            amm_config="",
            vaults=("", ""),
            lp_mint="",
            mints=self.mints,
            token_programs=(keys.TOKEN, keys.TOKEN),
            observation="",
            status=0,
            decimals=(6, 6),
            lp_supply=0,
            owed=(0, 0),
            open_time_s=0,
            creator_fee_on=0,
            creator_fee_enabled=False,
        )
        mint = TokenMint(6, 0)
        config = CpmmConfig(0, self.fee, 0, 0, 0)
        return CpmmPool(state, config, (vaults[0], vaults[1]), (mint, mint))


def random_products(seed: int, count: int, tokens: int, noise: float) -> list[Product]:
    """So many pools among so many tokens, each token worth something, each pool off by some."""
    rng = random.Random(f"{seed} products")
    worth = [math.exp(rng.uniform(-WORTH_LOG, WORTH_LOG)) for _ in range(tokens)]
    found = []
    for number in range(count):
        hub = rng.random() < 0.5
        one, other = (0, rng.randrange(1, tokens)) if hub else rng.sample(range(tokens), 2)
        value = 10 ** rng.uniform(8, 11)
        ratio = math.exp(rng.gauss(0, noise))
        reserves = int(value / worth[one] * ratio), int(value / worth[other])
        fee = rng.choice([100, 500, 2_500, 10_000])
        kind = rng.choice(["v4", "cpmm"])
        found.append(Product(f"pool{number}", (f"mint{one}", f"mint{other}"), reserves, fee, kind))
    return found


def every_cycle(pools: list[Product], hops_max: int) -> Iterator[tuple[str, tuple[Product, ...]]]:
    """Each simple cycle of distinct tokens and pools once: where it begins, and its pools."""
    mints = sorted({mint for pool in pools for mint in pool.mints})

    def onward(
        first: str, at: str, route: tuple[Product, ...], seen: frozenset[str]
    ) -> Iterator[tuple[str, tuple[Product, ...]]]:
        for pool in pools:
            if at not in pool.mints or pool in route:
                continue
            other = pool.mints[1 - pool.mints.index(at)]
            if other == first and route:
                yield first, (*route, pool)
            elif other > first and other not in seen and len(route) + 1 < hops_max:
                yield from onward(first, other, (*route, pool), seen | {other})

    for first in mints:
        yield from onward(first, first, (), frozenset({first}))


def paid(route: tuple[Product, ...], mint: str, amount: int) -> int:
    """What is left over when so much has gone round."""
    at, held = mint, amount
    for pool in route:
        held = pool.out(at, held)
        at = pool.mints[1 - pool.mints.index(at)]
        if not held:
            return -amount
    return held - amount


def best_paid(route: tuple[Product, ...], mint: str) -> tuple[int, int]:
    """(what is left over, of how much) at the best of many sizes, by a search of its own: a grid of
    sizes, then finer ones around the best of them."""
    sizes = [2**power for power in range(50)]
    for _ in range(12):
        best = max(range(len(sizes)), key=lambda at: paid(route, mint, sizes[at]))
        low, high = sizes[max(best - 1, 0)], sizes[min(best + 1, len(sizes) - 1)]
        if high - low <= 24:
            sizes = [*range(low, high + 1)]
        else:
            sizes = [low + (high - low) * part // 24 for part in range(25)]
    return max((paid(route, mint, size), size) for size in sizes)
