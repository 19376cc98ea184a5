"""What is held of each account that is heard, and whether it can be stood behind; HeldAccounts of
_units.pyx holds it so.

An account is covered by a provider that has told what stood after its subscription did: whatever is
written later is told. The first by slot wins, from whichever provider. What a provider tells for an
earlier slot than its own last word on an account is a fork taken back; from anybody else, and where
a seed stands, it is old. Two that differ for one slot are believed neither until a seed has come.
Where whoever told what is held is lost, it is believed on the word of another that has said the
same last; where nobody has, it may be of a fork that is taken back, which nobody would tell: then
it is stale until a seed.
"""

from enum import Enum

Account = tuple[str, bytes]  # who owns it, and its bytes


class AccountTaking(Enum):
    """What became of something that was told."""

    TAKEN = "newer than what was held"
    REPEATED = "held already"
    OLD = "older than what is held"
    ROLLED_BACK = "older, from the provider that had told the newer: a fork is taken back"
    CONFLICT = "other bytes for the same slot: neither is believed"
    UNHEARD = "of no account that is wanted, or no connection that stands"
