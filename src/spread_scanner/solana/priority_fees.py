"""What a transaction should offer for priority, from what others have paid of late. Pure.

A node tells, by slot, the least price at which a transaction that wrote any of some accounts got in
(getRecentPrioritizationFees: at most 150 slots, in no order, mostly 0 where nobody competes). From
that: a percentile of those that are not 0, by age (half the weight after `half_life_slots`), times
a factor that grows with the share of slots in which anybody paid, within floor and cap. It is a
model and not a promise: nobody can tell from here what gets in.

Prices are micro-lamports a compute unit. What a provider works out by itself (Helius, Triton) is
asked for and read by the functions below, and may stand in for the percentile.

feed-solana asks, and leaves each pool's price in its cell; spread-paths and the costs of directions
from pools offer by them (`offered`).
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import Meta, Struct

from spread_scanner.clock import NS_PER_S
from spread_scanner.config.pools import FeeSettings
from spread_scanner.errors import BadMessage
from spread_scanner.schema.costs import LAMPORTS
from spread_scanner.schema.pools import HeardPrice
from spread_scanner.solana import keys
from spread_scanner.solana.network_fees import SIGNATURE_LAMPORTS, priority_lamports

ACCOUNTS_MAX = 128  # of one request
UNITS_MAX = 1_400_000  # of a transaction
# What a swap took at the most in recorded transactions, rounded up; Whirlpool's is CLMM's, whose
# maths it shares. Beside these, a transaction's own two instructions of the compute budget, and
# accounts that are opened on the way.
SWAP_UNITS = {
    keys.RAYDIUM_V4: 35_000,
    keys.RAYDIUM_CPMM: 50_000,
    keys.RAYDIUM_CLMM: 110_000,
    keys.ORCA_WHIRLPOOL: 110_000,
    keys.METEORA_DLMM: 70_000,
    keys.PHOENIX: 35_000,
}
OTHER_UNITS = 90_000  # of a program that is not read
BASE_UNITS = 25_000
MARGIN_PERCENT = 115


class RecentFee(NamedTuple):
    """The least that got in in a slot; 0: nobody had to pay."""

    slot: int
    price: int


class FeeOffer(Struct, frozen=True):
    """What to offer. `lamports` is all of it: signatures, priority and the bundle's tip."""

    price: int  # micro-lamports a compute unit
    units: int
    priority_lamports: int
    tip_lamports: int
    lamports: int
    heard: bool  # of all that is written; False: the floor may stand for what is dearer

    def in_quote(self, sol_price: float) -> float:
        """All of it in the coin that SOL's price is in."""
        return self.lamports * sol_price / LAMPORTS


class PriorityFee(FeeOffer, frozen=True):
    """What to offer, and what that rests on."""

    congestion: float  # share of the weight in which anybody paid
    slots: int  # none: the floor, or what a provider said


def units_of(programs: Iterable[str]) -> int:
    """Compute units to ask for: a route by the programs of its hops, by their keys or as pools.toml
    has them, with a margin."""
    owners = (keys.POOL_PROGRAMS.get(program, program) for program in programs)
    units = BASE_UNITS + sum(SWAP_UNITS.get(owner, OTHER_UNITS) for owner in owners)
    return min(-(-units * MARGIN_PERCENT // 100), UNITS_MAX)


def estimate(
    recent: Sequence[RecentFee],
    units: int,
    settings: FeeSettings,
    *,
    signatures: int = 1,
    of_provider: int | None = None,
    tip: bool = False,
) -> PriorityFee:
    """What to offer for so many compute units. `of_provider`: a price that one works out by itself,
    in place of the percentile; within floor and cap, too. Raises ValueError for units that no
    transaction has."""
    share, usual = _weighed(recent, settings)
    wanted = usual * (1 + settings.congestion_gain * share) if of_provider is None else of_provider
    found = _offer(_within(wanted, settings), units, settings, signatures, tip=tip)
    heard = bool(recent) or of_provider is not None
    return PriorityFee(
        **{**msgspec.structs.asdict(found), "heard": heard}, congestion=share, slots=len(recent)
    )


def offered(
    heard: Iterable[HeardPrice | None], units: int, settings: FeeSettings, now_ns: int
) -> FeeOffer:
    """What to offer for a transaction that writes all of these pools: it competes for each of them,
    so that the dearest counts, and a bundle's tip where one is set. A pool of which nothing was
    heard, or nothing within `heard_s_max`, counts as the floor, and the offer is not `heard`.
    Raises ValueError as `estimate`."""
    pools = [*heard]
    prices = [one.price for one in pools if one is not None and believed(one, settings, now_ns)]
    price = _within(max(prices, default=0), settings)
    offer = _offer(price, units, settings, 1, tip=True)
    return msgspec.structs.replace(offer, heard=0 < len(pools) == len(prices))


def believed(heard: HeardPrice | None, settings: FeeSettings, now_ns: int) -> bool:
    """Whether anything was heard, not too long ago."""
    return heard is not None and now_ns - heard.mono_ns <= settings.heard_s_max * NS_PER_S


def _within(price: float, settings: FeeSettings) -> int:
    """Between floor and cap."""
    return min(max(round(price), settings.micro_lamports_min), settings.micro_lamports_max)


def _offer(
    price: int, units: int, settings: FeeSettings, signatures: int, *, tip: bool
) -> FeeOffer:
    if not 0 < units <= UNITS_MAX or signatures < 1:
        raise ValueError(f"1 to {UNITS_MAX} units and a signature, not {units} and {signatures}")
    priority = priority_lamports(price, units)
    tipped = settings.tip_lamports if tip else 0
    lamports = SIGNATURE_LAMPORTS * signatures + priority + tipped
    return FeeOffer(price, units, priority, tipped, lamports, heard=False)


def _weighed(recent: Sequence[RecentFee], settings: FeeSettings) -> tuple[float, float]:
    """The share of the weight in which anybody paid, and the percentile of what they did."""
    if not recent:
        return 0.0, 0.0
    last, per_slot = max(slot for slot, _ in recent), 0.5 ** (1 / settings.half_life_slots)
    paid = sorted((price, per_slot ** (last - slot)) for slot, price in recent if price > 0)
    if not paid:
        return 0.0, 0.0
    reached = [*accumulate(of for _, of in paid)]
    unpaid = sum(per_slot ** (last - slot) for slot, price in recent if price <= 0)
    weight = reached[-1]
    # Ascending: the first by which so much of the weight is reached.
    at = min(bisect_left(reached, weight * settings.percentile / 100), len(paid) - 1)
    return weight / (weight + unpaid), float(paid[at][0])


# --- what is asked, and how its results are read


_Told = Annotated[int, Meta(ge=0, le=2**63 - 1)]  # larger ones no number of Python's maths holds


class _Recent(Struct):
    slot: _Told
    prioritizationFee: _Told  # noqa: N815


def ask_recent(accounts: Sequence[str], percentile: float | None = None) -> tuple[str, list[Any]]:
    """Method and parameters. `percentile`: of Triton's nodes, which then tell that of each slot and
    not the least. Raises ValueError for more accounts than a request may name."""
    if not 0 < len(accounts) <= ACCOUNTS_MAX:
        raise ValueError(f"1 to {ACCOUNTS_MAX} accounts, not {len(accounts)}")
    params: list[Any] = [list(accounts)]
    if percentile is not None:
        params.append({"percentile": max(1, round(percentile * 100))})
    return "getRecentPrioritizationFees", params


def read_recent(result: bytes) -> list[RecentFee]:
    """Raises BadMessage."""
    found: list[_Recent] = _read(result, list[_Recent])
    return [RecentFee(one.slot, one.prioritizationFee) for one in found]


class _Helius(Struct):
    priorityFeeEstimate: float | None = None  # noqa: N815
    priorityFeeLevels: dict[str, float] | None = None  # noqa: N815


HELIUS_LEVELS = ("min", "low", "medium", "high", "veryHigh", "unsafeMax")


def ask_helius(accounts: Sequence[str]) -> tuple[str, list[Any]]:
    """Method and parameters of Helius' own estimate, of all its levels."""
    if not 0 < len(accounts) <= ACCOUNTS_MAX:
        raise ValueError(f"1 to {ACCOUNTS_MAX} accounts, not {len(accounts)}")
    options = {"includeAllPriorityFeeLevels": True}
    return "getPriorityFeeEstimate", [{"accountKeys": list(accounts), "options": options}]


def read_helius(result: bytes, level: str = "medium") -> int:
    """A level's price, in micro-lamports a unit. Raises BadMessage."""
    found: _Helius = _read(result, _Helius)
    levels = found.priorityFeeLevels
    price = found.priorityFeeEstimate if levels is None else levels.get(level)
    if price is None or not 0 <= price < 2**63:
        raise BadMessage("no fee of this level", level=level, allowed=HELIUS_LEVELS, raw=result)
    return round(price)


def _read(result: bytes, kind: Any) -> Any:
    try:
        return msgspec.json.decode(result, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadMessage(f"not what a fee call answers: {error}", raw=result) from None
