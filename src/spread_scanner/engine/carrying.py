"""What funding is expected to cost, worked out anew between two generations of `usual`.

Writer: this module, between two runs of the loop.     Reader: the loop, from the pairs' rows.

Four thousand contracts take Python some tens of milliseconds, which is more than the loop may be
left alone: it is a few of them a turn, and all are put in force at once, with the next generation.
Rejected: a thread (each turn would wait for the interpreter).
"""

import numpy as np

from spread_scanner.config import Engine as EngineSettings
from spread_scanner.schema.records import SIGNAL_FUNDING_UNKNOWN
from spread_scanner.symbology.rates import FundingRates

CONTRACTS_PER_TURN = 8


class Carrying:
    """One round over the contracts of all pairs, as of `now_wall_ns`."""

    def __init__(
        self, pairs: np.ndarray, rates: FundingRates, settings: EngineSettings, now_wall_ns: int
    ) -> None:
        self._pairs, self._rates, self._settings = pairs, rates, settings
        self._now_wall_ns = now_wall_ns
        _, firsts, self._contract_of = np.unique(
            pairs["fut_cell"], return_index=True, return_inverse=True
        )
        sources, symbols = pairs["fut_source"][firsts], pairs["symbol_id"][firsts]
        self._contracts = list(zip(sources.tolist(), symbols.tolist(), strict=True))
        self._carry = np.zeros(len(firsts))
        self._known = np.zeros(len(firsts), bool)
        self._done = 0

    def turn(self, contracts: int = CONTRACTS_PER_TURN) -> bool:
        """Go on with a few; True: nothing is left but to put them in force."""
        hold_h, credit = self._settings.hold_h, self._settings.funding_credit
        until = min(self._done + contracts, len(self._contracts))
        for number in range(self._done, until):
            self._carry[number], self._known[number] = self._rates.carry(
                *self._contracts[number], self._now_wall_ns, hold_h=hold_h, credit=credit
            )
        self._done = until
        return until == len(self._contracts)

    def apply(self) -> None:
        """Put the finished round in force."""
        flags = self._pairs["signal_flags"] & ~np.uint8(SIGNAL_FUNDING_UNKNOWN)
        unknown = np.where(self._known, 0, SIGNAL_FUNDING_UNKNOWN).astype(np.uint8)
        self._pairs["carry_bps"] = self._carry[self._contract_of]
        self._pairs["signal_flags"] = flags | unknown[self._contract_of]

    def all(self) -> None:
        """A whole round at once."""
        self.turn(len(self._contracts))
        self.apply()
