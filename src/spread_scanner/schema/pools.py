"""What is known of one pool of Solana, as the pools' segment holds it; and what it is quoted by.

Written by feed-solana, read by whoever shows or quotes pools. Amounts are in whole tokens, in the
pool's own order of them; what is not known is NaN. Sizes and offsets are pinned by a test.
"""

from enum import IntFlag
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from spread_scanner.clock import NS_PER_MS
from spread_scanner.schema.enums import SOURCE_BY_LABEL, Source

POOLS_MAX = 256
# The chain's clock is no further off what it is taken for: words on it that are further apart are
# of different times, and what its second changes is quoted so much before and after.
CLOCK_OFF_S = 5
WHY_BYTES = 248
# Which source the pools of a program are.
PROGRAM_SOURCES: dict[str, Source] = {
    "raydium-v4": SOURCE_BY_LABEL["raydium"],
    "raydium-clmm": SOURCE_BY_LABEL["raydium"],
    "raydium-cpmm": SOURCE_BY_LABEL["raydium"],
    "orca-whirlpool": SOURCE_BY_LABEL["orca"],
    "meteora-dlmm": SOURCE_BY_LABEL["meteora"],
}


class PoolFlag(IntFlag):
    """What keeps a pool's price from being stood behind."""

    STALE = 1  # no provider that is in time covers it; or nothing has come yet
    REFUSED = 2  # it is not what the settings say, or cannot be priced: `why`
    PAUSED = 4  # by the operator


# One pool: 576 bytes. Times are monotonic ns.
POOL_DTYPE = np.dtype(
    [
        ("key", "S44"),  # empty: nothing is watched in this place
        ("program", "S20"),  # as pools.toml has it
        ("mint0", "S44"),
        ("mint1", "S44"),
        ("symbol", "S40"),  # empty: none of its coins is one that prices are in
        ("why", f"S{WHY_BYTES}"),
        ("price", "<f8"),  # token 1 per token 0
        ("reserve0", "<f8"),  # virtual ones where liquidity is concentrated
        ("reserve1", "<f8"),
        ("liquidity", "<f8"),  # at the price, in the program's own unit; of a constant product, NaN
        ("fee", "<f8"),  # a fraction, without what volatility adds
        ("slot", "<u8"),  # at whose end it stood so
        ("published", "<u8"),  # how often it was, in this life of its writer
        ("told_mono_ns", "<i8"),  # when the frame that made it was read
        ("written_mono_ns", "<i8"),
        ("renewed_mono_ns", "<i8"),  # when it was last found to be good still
        ("good_ns", "<i8"),  # it is stale so long after that, should nobody write any more
        ("decimals0", "<u4"),
        ("decimals1", "<u4"),
        ("flags", "<u4"),  # PoolFlag
        ("because", "<u4"),  # why it was published: pools.units.WholeBecause, in its order
        ("priority_price", "<u8"),  # to be offered for writing it, micro-lamports a compute unit
        ("priority_mono_ns", "<i8"),  # when that was heard last; 0: it never was
        ("priority_slots", "<u4"),  # that it rests on; 0: a provider's own word
        ("reserved", "V12"),
    ]
)


def fresh_pools(rows: np.ndarray, now_ns: int) -> npt.NDArray[np.bool_]:
    """Of (n,) POOL_DTYPE those that can be stood behind; of the others view.pools says why not."""
    found: npt.NDArray[np.bool_] = rows["flags"] & int(~PoolFlag(0)) == 0
    found &= now_ns - rows["renewed_mono_ns"] <= rows["good_ns"]
    return found


class HeardPrice(NamedTuple):
    """What is to be offered for priority by who writes a pool, by what others have paid of late."""

    price: int  # micro-lamports a compute unit
    slots: int
    mono_ns: int


def chain_unix_s(clock_ms: int, mono_ns: int) -> int | None:
    """The chain's second at this time, by what its clock was when the machine's monotonic one was
    at 0, ms; None: 0, which is that nobody has heard it."""
    return (clock_ms + mono_ns // NS_PER_MS) // 1_000 if clock_ms else None


def heard_price(row: Any) -> HeardPrice | None:
    """Of one POOL_DTYPE; None: nothing was ever heard."""
    mono_ns = int(row["priority_mono_ns"])
    if not mono_ns:
        return None
    return HeardPrice(int(row["priority_price"]), int(row["priority_slots"]), mono_ns)


PACKED_BYTES = 16_256

# What a pool is quoted by: 16 KiB. It belongs to the record of the same key that was published as
# often.
POOL_STATE_DTYPE = np.dtype(
    [
        ("key", "S44"),
        ("length", "<u4"),  # of what is packed; 0: there is no room for what it needs at least
        ("published", "<u8"),
        ("reserved", "V72"),
        ("packed", f"V{PACKED_BYTES}"),  # accounts, as solana.packed has them
    ]
)
