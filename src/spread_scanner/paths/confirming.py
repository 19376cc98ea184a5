"""What a cycle pays, to the last unit: its pools' own integers at the size that pays most. Pure.

What a cycle gives for an amount is concave in it: each swap's price only worsens. Where all hops
are constant products, and nothing is taken but of what goes in, the size that pays most has a
closed form; any other is looked for between two sizes that pay less than one in their middle. What
rounding takes at each hop makes neither of the two wrong by more than so many units.

Pools whose fee changes with the chain's clock are quoted somewhat before and after the second that
it is taken to be, and what they pay less counts.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from spread_scanner.schema.pools import CLOCK_OFF_S
from spread_scanner.solana.constant_product import ConstantProductPool
from spread_scanner.solana.pool import U64_MAX, Pool, quote_of
from spread_scanner.solana.raydium_cpmm import CpmmPool
from spread_scanner.solana.refusal import PoolReason, PoolRefusal
from spread_scanner.solana.tokens import BPS_ALL, epoch_of

SIZE_PARTS = 1_000  # the size is found to one of so many; what it pays to far less than that
GUESSES_MAX = 64  # of a first size that can be quoted at all


class CycleLeg(NamedTuple):
    """A swap of a cycle: which pool, and which of its tokens goes in."""

    key: str
    pool: Pool
    mint_in: str

    @property
    def down(self) -> bool:
        return self.mint_in == self.pool.mints[0]


class ConfirmedCycle(NamedTuple):
    """A cycle at its best size: what goes in, and what has come out of each swap."""

    legs: tuple[CycleLeg, ...]
    amounts: tuple[int, ...]

    @property
    def profit(self) -> int:
        """In smallest units of its first token; below nothing where it loses."""
        return self.amounts[-1] - self.amounts[0]

    def depth_used(self) -> float:
        """The largest share that a swap takes out of what a pool has."""
        return max(
            amount / max(leg.pool.depth()[leg.down], 1)
            for leg, amount in zip(self.legs, self.amounts[1:], strict=True)
        )


def legs_of(keys: Sequence[str], pools: Mapping[str, Pool], mint: str) -> tuple[CycleLeg, ...]:
    """A route that begins and ends with a mint. Raises PoolRefusal where it does not."""
    legs, at = [], mint
    for key in keys:
        if key not in pools:
            raise PoolRefusal(PoolReason.MISSING, wanted="a pool that is traded", key=key)
        pool = pools[key]
        if at not in pool.mints:
            raise PoolRefusal(PoolReason.WRONG_MINT, key=key, mint=at, allowed=pool.mints)
        legs.append(CycleLeg(key, pool, at))
        at = pool.mints[at == pool.mints[0]]
    if at != mint or len(set(keys)) != len(keys):
        raise PoolRefusal(PoolReason.WRONG_MINT, mint=at, wanted=mint, pools=tuple(keys))
    return tuple(legs)


def amounts_of(legs: Sequence[CycleLeg], amount: int, unix_ts: int, slot: int) -> tuple[int, ...]:
    """So much, and what has come out of each swap. Raises PoolRefusal."""
    amounts = [amount]
    for leg in legs:
        quoted = quote_of(leg.pool, leg.mint_in, amounts[-1], True, unix_ts, slot)
        if quoted.amount_in != amounts[-1] or not quoted.amount_out:
            raise PoolRefusal(PoolReason.TOO_SMALL, key=leg.key, amount_in=amounts[-1])
        amounts.append(quoted.amount_out)
    return tuple(amounts)


def confirmed(legs: Sequence[CycleLeg], unix_ts: int, slot: int) -> ConfirmedCycle:
    """The cycle at the size that pays most, whether that is more than nothing or not. Raises
    PoolRefusal where it can be quoted at no size."""
    legs = tuple(legs)
    guess = estimated_size(legs, slot)
    if all(map(_is_product, legs)) and guess >= 1:
        sizes = (size for size in (int(guess), int(guess) + 1) if size <= U64_MAX)
        best = max((amounts_of(legs, size, unix_ts, slot) for size in sizes), key=_pays)
        return ConfirmedCycle(legs, best)
    size = _searched(lambda amount: _pays(amounts_of(legs, amount, unix_ts, slot)), guess)
    return at_size(legs, size, unix_ts, slot)


def at_size(legs: Sequence[CycleLeg], amount: int, unix_ts: int, slot: int) -> ConfirmedCycle:
    """The cycle at a size, at the worse of the seconds that the chain may have."""
    legs = tuple(legs)
    off_s = 0 if all(map(_is_product, legs)) else CLOCK_OFF_S
    seconds = {unix_ts - off_s, unix_ts + off_s}
    return ConfirmedCycle(
        legs, min((amounts_of(legs, amount, second, slot) for second in seconds), key=_pays)
    )


def estimated_size(legs: Sequence[CycleLeg], slot: int) -> float:
    """The size that pays most were all pools constant products of what they show; 0: none pays."""
    most, per_unit = _as_product(legs, slot)
    return (math.sqrt(most) - 1) / per_unit if most > 1 and per_unit > 0 else 0.0


def estimated_profit(legs: Sequence[CycleLeg], slot: int) -> float:
    """What that size would pay, in units of the first token."""
    most, per_unit = _as_product(legs, slot)
    return (math.sqrt(most) - 1) ** 2 / per_unit if most > 1 and per_unit > 0 else 0.0


def _as_product(legs: Sequence[CycleLeg], slot: int) -> tuple[float, float]:
    """(a, c): the cycle gives a x / (1 + c x) for x, as products one behind the other do."""
    epoch = epoch_of(slot)
    most, per_unit = 1.0, 0.0
    for leg in legs:
        kept = 1 - (leg.pool.fee_rate() or 0.0)
        for mint in leg.pool.token_mints():
            kept *= 1 - mint.fee(epoch).bps / BPS_ALL
        numerator, denominator = leg.pool.price_ratio(0, slot)
        if not numerator or not denominator:
            return 0.0, 0.0
        ratio = numerator / denominator if leg.down else denominator / numerator
        into = max(leg.pool.depth()[leg.down], 1) / ratio
        per_unit += kept * most / into
        most *= kept * ratio
    return most, per_unit


def _pays(amounts: Sequence[int]) -> int:
    return amounts[-1] - amounts[0]


def _is_product(leg: CycleLeg) -> bool:
    """Whether it is a constant product of which nothing is taken but of what goes in."""
    pool = leg.pool
    free = not any(mint.older.bps or mint.newer.bps for mint in pool.token_mints())
    creator = isinstance(pool, CpmmPool) and pool.state.creator_fee_enabled
    return isinstance(pool, ConstantProductPool) and free and not creator


def _searched(pays: Callable[[int], int], guess: float) -> int:
    """The size that pays most, between two that pay less. Raises PoolRefusal where none can be
    quoted."""

    def worth(size: int) -> float:
        if not 0 < size <= U64_MAX:
            return -math.inf
        try:
            return pays(size)
        except PoolRefusal:
            return -math.inf

    middle = _quotable(pays, min(max(int(guess), 1), U64_MAX))
    best = worth(middle)
    low, high = middle // 2, 2 * middle
    while (found := worth(low)) > best:
        high, middle, best, low = middle, low, found, low // 2
    while (found := worth(high)) > best:
        low, middle, best, high = middle, high, found, 2 * high
    while high - low > max(2, middle // SIZE_PARTS):
        up = high - middle > middle - low
        step = max((high - middle if up else middle - low) * 382 // 1_000, 1)
        probe = middle + step if up else middle - step
        found = worth(probe)
        if found > best:
            low, middle, high = (middle, probe, high) if up else (low, probe, middle)
            best = found
        elif up:
            high = probe
        else:
            low = probe
    return middle


def _quotable(pays: Callable[[int], int], size: int) -> int:
    """A size that can be quoted, the nearest to this by doubling and halving."""
    reason: PoolReason | None = None
    guesses = 0
    while True:
        try:
            pays(size)
            return size
        except PoolRefusal as refusal:
            guesses += 1
            turned = reason not in (None, refusal.reason)
            reason = refusal.reason
            before, size = size, size * 2 if reason is PoolReason.TOO_SMALL else size // 2
            if turned or not 0 < size <= U64_MAX or size == before or guesses == GUESSES_MAX:
                raise
