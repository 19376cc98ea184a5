"""The chain's own clock: an account that each slot writes. Fees that change with time, and pools
that open at a time, go by it. Pure; wrong bytes are refused.

It is read beside a pool's accounts, so that both are of one slot, and never subscribed to. From the
documentation alone.
"""

from msgspec import Struct

from spread_scanner.solana.layout import checked, i64, u64
from spread_scanner.solana.refusal import PoolReason, PoolRefusal

KEY = "SysvarC1ock11111111111111111111111111111111"
CLOCK_BYTES = 40
UNIX_S_MIN, UNIX_S_MAX = 1_577_836_800, 2**32 - 1  # 2020, before which there was no block, to 2106


class ChainClock(Struct, frozen=True):
    """What time it was for the programs that ran in a slot."""

    slot: int
    unix_ts: int


def decode(data: bytes) -> ChainClock:
    """Raises PoolRefusal, also on a time that no block can have."""
    checked(data, "Clock", length=CLOCK_BYTES)
    found = ChainClock(u64(data, 0), i64(data, 32))
    if not UNIX_S_MIN <= found.unix_ts <= UNIX_S_MAX:
        allowed = f"{UNIX_S_MIN} to {UNIX_S_MAX}"
        raise PoolRefusal(
            PoolReason.BAD_VALUE, wanted="Clock", unix_ts=found.unix_ts, allowed=allowed
        )
    return found
