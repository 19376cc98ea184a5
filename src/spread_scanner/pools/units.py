"""When a pool is to be published: its accounts are one unit, of one slot; PoolUnits of _units.pyx
does so.

A swap writes several accounts in one slot, and each comes by itself: a price of one new vault and
one old one never was. So a pool waits for those that every swap writes; a later slot says that no
more of the earlier one will come, as all of a pool is heard on one connection of a provider; and
after SETTLE_NS it is taken as it stands, as not every transaction is a swap. Neither is so while
nobody who told the newest covers all that moves: subscriptions are being made. What was published
before is known to be old from then on: it is fresh for OUTDATED_NS_MAX more, and not at all where
the pool was not whole before, as nobody told meanwhile what was written.
"""

from enum import Enum

from msgspec import Struct

from spread_scanner.pools.held import Account
from spread_scanner.pools.pace import SILENT_NS_MAX

SETTLE_NS = 50_000_000
OUTDATED_NS_MAX = SILENT_NS_MAX  # so long what was published is good though something newer waits


class WholeBecause(Enum):
    """Why a pool is published now."""

    TOGETHER = "what a swap writes is of one slot"
    LATER_SLOT = "a later slot has begun"
    SETTLED = "nothing more of its slot has come in time"


class WholePool(Struct, frozen=True):
    """A pool as it stood at the end of a slot, to be quoted: what is not covered is left out."""

    pool: str
    slot: int
    accounts: dict[str, Account]
    because: WholeBecause
