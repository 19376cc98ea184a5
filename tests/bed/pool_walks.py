"""What a swap through concentrated liquidity is held to: the simulator's walk, in fractions."""

from typing import Literal, TypedDict

import pytest

from spread_scanner.sim.swap_curves import Filling, exact_walk
from spread_scanner.solana import Accounts, Pool, PoolQuote, PoolReason, PoolRefusal, quote
from spread_scanner.solana.pool import U64_MAX
from spread_scanner.solana.tokens import USDC, WSOL

__all__ = ["Filling", "Now", "exact_walk", "gives_no_less_for_more", "is_walked"]


class Now(TypedDict):
    """When a quote is for."""

    unix_ts: int
    slot: int


def is_walked(
    accounts: Accounts,
    pool: str,
    expected: Filling,
    amount: int,
    *,
    down: bool,
    by_input: bool,
    when: Now,
    small: bool = False,
) -> PoolQuote | None:
    """A quote says what the exact walk does, or it is refused (None) where that cannot be; what is
    rounded to nothing can be where the program is one that takes `small` amounts.
    """
    exact: Literal["in", "out"] = "in" if by_input else "out"
    asked = (pool, accounts, WSOL if down else USDC, amount)
    something = expected.amount_in and expected.amount_out
    if not expected.whole or not (something or small):
        with pytest.raises(PoolRefusal):
            quote(*asked, exact=exact, **when)
        return None
    found = quote(*asked, exact=exact, **when)
    assert (found.amount_in, found.amount_out, found.fee) == expected[:3]
    return found


def gives_no_less_for_more(pool: Pool, amounts: tuple[int, int], down: bool, unix_ts: int) -> None:
    outs: list[int] = []
    for amount in sorted(amounts):
        try:
            outs.append(pool.swap(down, amount, True, unix_ts).amount_out)
        except PoolRefusal as refused:
            outs.append(0 if refused.reason is PoolReason.TOO_SMALL else U64_MAX + 1)
    assert outs[0] <= outs[1]
