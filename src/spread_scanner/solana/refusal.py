"""Why a pool is not read, priced or quoted: one error, with a reason that programs tell apart."""

from enum import Enum

from spread_scanner.errors import Category, SpreadError


class PoolReason(Enum):
    """What stands in the way; the value is the answer a person reads first."""

    ABSENT = "there is no such account"
    WRONG_OWNER = "the account belongs to another program"
    WRONG_LENGTH = "the account has another length"
    WRONG_KIND = "the account is of another kind"
    BAD_VALUE = "the account holds what cannot be"
    MISSING = "an account that is needed is not given"
    CLOSED = "the pool does not trade now"
    WRONG_MINT = "the pool does not trade this mint"
    BAD_AMOUNT = "no amount that can be swapped"
    TOO_SMALL = "the amount is rounded to nothing"
    TOO_MUCH = "the pool cannot fill the amount"


class PoolRefusal(SpreadError):
    """A pool that cannot be read or quoted. `reason` says which kind, the evidence where."""

    category = Category.WARN

    def __init__(self, reason: PoolReason, **evidence: object) -> None:
        super().__init__(reason.value, **evidence)
        self.reason = reason
