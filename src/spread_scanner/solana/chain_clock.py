"""The chain's own clock: an account that each slot writes. Fees that change with time, and pools
that open at a time, go by it. Pure; wrong bytes are refused.

It is read beside a pool's accounts, so that both are of one slot, and never subscribed to. From the
documentation alone.
"""

from msgspec import Struct

from spread_scanner.solana.layout import checked, i64, u64

KEY = "SysvarC1ock11111111111111111111111111111111"
CLOCK_BYTES = 40


class ChainClock(Struct, frozen=True):
    """What time it was for the programs that ran in a slot."""

    slot: int
    unix_ts: int


def decode(data: bytes) -> ChainClock:
    checked(data, "Clock", length=CLOCK_BYTES)
    return ChainClock(u64(data, 0), i64(data, 32))
