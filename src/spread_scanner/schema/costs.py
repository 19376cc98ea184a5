"""What a trade would earn: the one definition of a spread and of all that is taken off it.

Buy spot at its ask and sell the perpetual at its bid; later sell the spot at its bid and buy the
perpetual back at its ask. All spreads are in basis points of the spot ask that is paid, for scalars
and arrays alike; NaN, not known, stays NaN. The engine's loop has the same lines in C
(native/costs.h); test_costs_twins holds the two to the last bit.

    net = entry + close - fees - carry

`entry` is what entering earns (gross). `close` is what leaving is assumed to earn, which is what it
usually does. `fees` are those of the four fills. `carry` is the funding that a hold is expected to
cross: we sell the perpetual, so that we pay where the rate is negative.
"""

import math
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from spread_scanner.schema.funding import FundingAhead

BPS = 1e4
LAMPORTS = 1e9  # of a SOL
# Of a lot, or of a least: what is all there but for the last bits of a product counts as all. 0.3
# has no binary number, so that three lots of it come out as less than 0.9.
SIZE_SLACK = 1e-9

FloatOrArray = TypeVar("FloatOrArray", float, npt.NDArray[np.float64])
Array = npt.NDArray[np.float64]
Numbers = float | Array
Truth = bool | npt.NDArray[np.bool_]


def entry_bps(spot_ask_px: FloatOrArray, fut_bid_px: FloatOrArray) -> FloatOrArray:
    """What entering earns before costs: the gross spread."""
    return (fut_bid_px - spot_ask_px) / spot_ask_px * BPS


def exit_bps(
    spot_bid_px: FloatOrArray, spot_ask_px: FloatOrArray, fut_ask_px: FloatOrArray
) -> FloatOrArray:
    """What leaving now would earn; usually negative."""
    return (spot_bid_px - fut_ask_px) / spot_ask_px * BPS


def parity_bps(entry: FloatOrArray, exit_now: FloatOrArray) -> FloatOrArray:
    """What leaving earns when the two mids meet at the present widths: half of both, negative."""
    return (entry + exit_now) / 2


def mid_basis_bps(entry: FloatOrArray, exit_now: FloatOrArray) -> FloatOrArray:
    """How far the perpetual's mid stands above the spot's."""
    return (entry - exit_now) / 2


def mid_px(bid_px: FloatOrArray, ask_px: FloatOrArray) -> FloatOrArray:
    """What a leg stands at."""
    return (bid_px + ask_px) / 2


def stray_bps(px: FloatOrArray, median_px: FloatOrArray) -> FloatOrArray:
    """How far a leg stands above what the others of its coin do."""
    return (px - median_px) / median_px * BPS


def close_bps(
    usual: Numbers,
    parity_usual: Numbers,
    parity: Numbers,
    *,
    trusted: Truth,
    at_parity: Truth = False,
    credited: Numbers = math.nan,
) -> Array:
    """What leaving is assumed to earn.

    Trusted: what it usually earns, and never more than the usual widths at parity; at_parity the
    usual widths alone, for those who wait for the mids to meet; `credited`, where it is known, in
    place of both, for those who count on the usual basis. Not trusted: the present widths.
    """
    lower = np.where(np.less(usual, parity_usual), usual, parity_usual)
    assumed = np.where(at_parity, parity_usual, lower)
    assumed = np.where(np.isnan(credited) | np.asarray(at_parity), assumed, credited)
    unknown = np.where(np.less(parity, 0.0), parity, np.where(np.isnan(parity), parity, 0.0))
    return np.where(trusted, assumed, unknown)


def full_weight(half_life_s: float) -> float:
    """Of what is usual, the weight of a pair that has been fresh for ever: one look a second."""
    return float(1.0 / (1.0 - 2.0 ** (-1.0 / half_life_s)))


def trusted_after_s(half_life_s: float, trust: float) -> float:
    """How long a pair that is always fresh takes from nothing to a weight that is trusted; inf: its
    weight never comes to so much."""
    share = trust / full_weight(half_life_s)
    return -half_life_s * math.log2(1.0 - share) if share < 1.0 else math.inf


def fees_bps(spot_fee_bps: FloatOrArray, fut_fee_bps: FloatOrArray) -> FloatOrArray:
    """The taker fees of two entries and two exits."""
    return 2 * (spot_fee_bps + fut_fee_bps)


def network_fee_bps(lamports: int, sol_px: float, size_quote: float) -> float:
    """What a network's fee for one fill is of a size in the quote coin; a SOL is 1e9 lamports."""
    return lamports / LAMPORTS * sol_px / size_quote * BPS


def carry_bps(rate: float | None, pay_max: float, crossings: int, *, credit: bool) -> float:
    """What crossing so many settlements costs with the perpetual at the spot's ask.

    `rate` is a share per interval, positive: received. None, not known: `pay_max` is charged for
    each crossing. What would be received counts only with `credit`, as a negative cost.
    """
    if crossings == 0:
        return 0.0
    paid = pay_max if rate is None else -rate
    return (paid if credit else max(0.0, paid)) * crossings * BPS


def carried_bps(
    carry: FloatOrArray, spot_ask_px: FloatOrArray, fut_bid_px: FloatOrArray
) -> FloatOrArray:
    """Carry at the price at which the perpetual is really sold."""
    return carry * (fut_bid_px / spot_ask_px)


def carry_at_ask_bps(
    carried: FloatOrArray, spot_ask_px: FloatOrArray, fut_bid_px: FloatOrArray
) -> FloatOrArray:
    """What carried_bps was made of: with the perpetual at the spot's ask, for other prices."""
    return carried * (spot_ask_px / fut_bid_px)


def net_bps(
    entry: FloatOrArray, close: FloatOrArray, fees: FloatOrArray, carried: FloatOrArray
) -> FloatOrArray:
    """What is left of entering and leaving."""
    return entry + close - fees - carried


def over_money(
    paid: FloatOrArray, got: FloatOrArray, moved: FloatOrArray, allowed_bps: float, carry: float
) -> FloatOrArray:
    """What is over a threshold, in money times ten thousand: what a size pays for the spot and gets
    for the perpetual, what it moves on the way out, and close less fees less the threshold."""
    return (got - paid + moved) * BPS + allowed_bps * paid - carry * got


def funding_paid(rate: float, fut_px: float) -> float:
    """Money paid per base unit at one settlement that was crossed; negative: received."""
    return -rate * fut_px


def realised_bps(
    spot_ask_px: FloatOrArray,
    fut_bid_px: FloatOrArray,
    spot_bid_px: FloatOrArray,
    fut_ask_px: FloatOrArray,
    spot_fee_bps: Numbers,
    fut_fee_bps: Numbers,
    funding: Numbers = 0.0,
) -> FloatOrArray:
    """What one base unit, entered at the first two prices and left at the last two, has earned.

    Each fee on its own notional. `funding` is the money that was paid per base unit (funding_paid).
    """
    spot_fees = (spot_ask_px + spot_bid_px) * (spot_fee_bps / BPS)
    fut_fees = (fut_bid_px + fut_ask_px) * (fut_fee_bps / BPS)
    earned = (fut_bid_px - spot_ask_px) + (spot_bid_px - fut_ask_px)
    return (earned - spot_fees - fut_fees - funding) / spot_ask_px * BPS  # type: ignore[return-value]


def funding_in(unfunded_bps: float, realised: float, spot_ask_px: float) -> float:
    """The money per base unit that a result has paid, by what it is without funding."""
    return (unfunded_bps - realised) / BPS * spot_ask_px


def earned_quote(result_bps: FloatOrArray, size_quote: FloatOrArray) -> FloatOrArray:
    """What a result is on a trade of so much, in the quote coin."""
    return result_bps * size_quote / BPS


def paid_px(px: FloatOrArray, fee_bps: float) -> FloatOrArray:
    """What one base unit costs with its fee."""
    return px * (1 + fee_bps / BPS)


def got_px(px: FloatOrArray, fee_bps: float) -> FloatOrArray:
    """What is left of what one base unit brings after its fee."""
    return px * (1 - fee_bps / BPS)


def size_base(buy_sz: Numbers, sell_sz: Numbers, lot: Numbers) -> Array:
    """The smaller of two sizes in base units, in whole lots; a lot of 0: not rounded."""
    smaller = np.minimum(buy_sz, sell_sz)
    with np.errstate(divide="ignore", invalid="ignore"):
        lots = np.floor(smaller / lot + SIZE_SLACK)
        rounded: Array = np.where(np.greater(lot, 0.0), lots * lot, smaller)
    return rounded


def size_quote(size: FloatOrArray, px: FloatOrArray) -> FloatOrArray:
    """A size in base units in the quote coin."""
    return size * px


def reaches(amount: Numbers, least: Numbers) -> Truth:
    """Whether a size, or what it is worth, is as much as is asked for."""
    enough: Truth = np.greater_equal(amount * (1.0 + SIZE_SLACK), least)
    return enough


def leg_suffices(
    size: Numbers, bid_px: Numbers, ask_px: Numbers, qty_min: Numbers, notional_min: Numbers
) -> Truth:
    """Whether a size can be entered and left on one leg: its minima at the lower of the prices."""
    lower = np.minimum(bid_px, ask_px)
    return reaches(size, qty_min) & reaches(size * lower, notional_min)


class Carry(NamedTuple):
    """What holding costs as it is expected now."""

    carry_bps: float
    rate_known: bool


def expected_carry(ahead: FundingAhead, *, credit: bool) -> Carry:
    """Of a position that is held over these settlements (schema.funding.carry_inputs)."""
    cost = carry_bps(ahead.rate, ahead.pay_max, ahead.crossings, credit=credit)
    return Carry(cost, ahead.rate is not None)
