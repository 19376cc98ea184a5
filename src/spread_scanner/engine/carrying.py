"""What funding is expected to cost, worked out anew between two generations of `usual`.

Writer: this module, between two runs of the loop, which puts it into the pairs' rows when the next
generation is adopted (native/usual.h).     Reader: the loop.

Four thousand contracts take Python some tens of milliseconds, which is more than the loop may be
left alone: it is a few of them a turn, and all are put in force at once, with the next generation.
Which contract a pair has is found out once, when the pairs are planned.
Rejected: a thread (each turn would wait for the interpreter).
"""

from typing import NamedTuple, Self

import numpy as np

from spread_scanner.config import Engine as EngineSettings
from spread_scanner.schema.records import SIGNAL_FUNDING_UNKNOWN
from spread_scanner.symbology.rates import FundingRates

CONTRACTS_PER_TURN = 8


class Contracts(NamedTuple):
    """Of all pairs, each contract once."""

    listed: list[tuple[int, int]]  # (source, symbol)
    of_pair: np.ndarray  # by pair, its place in `listed`
    other_flags: np.ndarray  # by pair, what signals say besides that funding is not known

    @classmethod
    def of(cls, pairs: np.ndarray) -> Self:
        _, firsts, of_pair = np.unique(pairs["fut_cell"], return_index=True, return_inverse=True)
        sources, symbols = pairs["fut_source"][firsts], pairs["symbol_id"][firsts]
        listed = list(zip(sources.tolist(), symbols.tolist(), strict=True))
        return cls(listed, of_pair, pairs["signal_flags"] & ~np.uint8(SIGNAL_FUNDING_UNKNOWN))


class Expected(NamedTuple):
    """By pair, what its row is to hold."""

    carry_bps: np.ndarray  # float64
    signal_flags: np.ndarray  # uint8


class Carrying:
    """One round over the contracts of all pairs, as of `now_wall_ns`."""

    def __init__(
        self, contracts: Contracts, rates: FundingRates, settings: EngineSettings, now_wall_ns: int
    ) -> None:
        self._contracts, self._rates, self._settings = contracts, rates, settings
        self._now_wall_ns = now_wall_ns
        self._carry = np.zeros(len(contracts.listed))
        self._known = np.zeros(len(contracts.listed), bool)
        self._done = 0
        self.found: Expected | None = None  # when the round is finished

    def turn(self, contracts: int = CONTRACTS_PER_TURN) -> bool:
        """Go on with a few; True: nothing is left but to put them in force."""
        hold_h, credit = self._settings.hold_h, self._settings.funding_credit
        listed = self._contracts.listed
        until = min(self._done + contracts, len(listed))
        for number in range(self._done, until):
            self._carry[number], self._known[number] = self._rates.carry(
                *listed[number], self._now_wall_ns, hold_h=hold_h, credit=credit
            )
        self._done = until
        if until == len(listed) and self.found is None:
            self.found = self._by_pair()
        return self.found is not None

    def all(self) -> Expected:
        """A whole round at once."""
        self.turn(len(self._contracts.listed))
        return self.found or self._by_pair()

    def _by_pair(self) -> Expected:
        _, of_pair, other_flags = self._contracts
        unknown = np.where(self._known, 0, SIGNAL_FUNDING_UNKNOWN).astype(np.uint8)
        return Expected(self._carry[of_pair], other_flags | unknown[of_pair])
