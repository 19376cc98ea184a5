"""A swap through concentrated liquidity in exact fractions: a second opinion on the programs'
integers.

Written from the formulas alone: prices are fractions, and each amount is rounded where the programs
round.
"""

from collections.abc import Sequence
from fractions import Fraction
from math import ceil, floor
from typing import Literal, NamedTuple, TypedDict

import pytest

from spread_scanner.solana import Accounts, Pool, PoolQuote, PoolReason, PoolRefusal, quote
from spread_scanner.solana.pool import U64_MAX
from spread_scanner.solana.tokens import USDC, WSOL

ONE = 2**64


class Now(TypedDict):
    """When a quote is for."""

    unix_ts: int
    slot: int


class Filling(NamedTuple):
    """What went in with its fee, what came out, and whether all of the amount was used."""

    amount_in: int
    amount_out: int
    fee: int
    whole: bool


def exact_walk(
    sqrt_price: int,
    ticks: Sequence[tuple[int, int]],
    liquidity: int,
    amount: int,
    fee: Fraction,
    *,
    down: bool,
    by_input: bool,
) -> Filling:
    """Through ticks in the order in which the price meets them: (square root of the price, net)."""
    price, left = Fraction(sqrt_price, ONE), amount
    paid = received = fees = 0
    for at, net in ticks:
        target = Fraction(at, ONE)
        if left == 0:
            break
        reached, went_in, came_out, kept = _part(
            price, target, liquidity, left, fee, down, by_input
        )
        paid, received, fees = paid + went_in + kept, received + came_out, fees + kept
        left -= went_in + kept if by_input else came_out
        price = reached
        if price == target:
            liquidity += -net if down else net
    return Filling(paid, received, fees, left == 0)


def _part(
    price: Fraction,
    target: Fraction,
    liquidity: int,
    left: int,
    fee: Fraction,
    down: bool,
    by_input: bool,
) -> tuple[Fraction, int, int, int]:
    usable = floor(left * (1 - fee)) if by_input else left
    whole = _moved(price, target, liquidity, down == by_input)
    if usable >= (ceil(whole) if by_input else floor(whole)):
        reached = target
    else:
        reached = _reached(price, liquidity, usable, down, by_input)
    went_in = ceil(_moved(price, reached, liquidity, down))
    came_out = floor(_moved(price, reached, liquidity, not down))
    if by_input and reached != target:
        return reached, went_in, came_out, left - went_in
    kept = ceil(went_in * fee / (1 - fee))
    return reached, went_in, came_out if by_input else min(came_out, left), kept


def _moved(price: Fraction, other: Fraction, liquidity: int, of_token0: bool) -> Fraction:
    if of_token0:
        return abs(liquidity * (1 / price - 1 / other))
    return abs(liquidity * (price - other))


def _reached(price: Fraction, liquidity: int, usable: int, down: bool, by_input: bool) -> Fraction:
    """Rounded so that the pool never gives too much: up for token 0, down for token 1."""
    signed = usable if by_input else -usable
    if down == by_input:
        return Fraction(ceil(liquidity * price / (liquidity + signed * price) * ONE), ONE)
    return Fraction(floor((price + Fraction(signed, liquidity)) * ONE), ONE)


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
