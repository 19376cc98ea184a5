"""Which pairs the engine has blocked because they were implausible for so long, and until when.

Writer:  this module, between two runs of the loop, which bars a pair by itself
(native/implausible.h).     Reader: the loop; keeping.py, into the file of symbology/blocked.py.

A block holds until tables come whose run had begun to ask after it, and had asked both exchanges: a
quick look's do not, nor those of a run that could not reach one of them, nor does a restart. If the
pair is absurd still it is blocked anew.
"""

from collections.abc import Mapping
from typing import NamedTuple, Self

import numpy as np

from spread_scanner import clock
from spread_scanner.engine.plan import Plan
from spread_scanner.schema.enums import DIRECTIONS
from spread_scanner.symbology.blocked import KeptBlock
from spread_scanner.symbology.tables import Tables
from spread_scanner.symbology.usual import keyed_pairs


class JudgedSet(NamedTuple):
    """Which set's verdicts the tables are, since when that run had asked, and what it had not."""

    generation: int
    asked_wall_ns: int
    unasked: frozenset[str]  # pairs with a leg that was taken from the set before

    @classmethod
    def of(cls, tables: Tables) -> Self:
        unasked = frozenset(
            key
            for key, pair in keyed_pairs(tables)
            if pair.spot.last_known or pair.futures.last_known
        )
        return cls(tables.judgement, tables.asked_by_wall_ns, unasked)

    def lifts(self, key: str, block: KeptBlock) -> bool:
        """Whether the pair was judged after it had been blocked."""
        if self.generation == block.judgement or key in self.unasked:
            return False
        return block.wall_ns < self.asked_wall_ns


class Blocks:
    """Those that hold now, by what a pair really is. Used by the loop's thread."""

    def __init__(self, kept: dict[str, KeptBlock]) -> None:
        self.now = kept  # never changed: replaced, when it is another
        self._judgement = 0

    def judge(self, judgement: JudgedSet, plan: Plan, place_of: Mapping[str, int]) -> None:
        """Tables are put in force: lift what they have judged, bar the others; `place_of` says
        which of the plan's pairs a key is."""
        self._judgement = judgement.generation
        held = {key: block for key, block in self.now.items() if not judgement.lifts(key, block)}
        held |= _dated_anew(held, clock.wall_ns())
        if held != self.now:
            self.now = held
        for key in self.now.keys() & place_of.keys():
            plan.pairs["barred"][place_of[key]] = 1

    def note(self, plan: Plan) -> list[KeptBlock]:
        """Those that the loop has barred since it was last asked."""
        new = {}
        for place in np.flatnonzero(plan.pairs["barred"]).tolist():
            key, pair = plan.keys[place], plan.pairs[place]
            if key and key not in self.now:
                new[key] = KeptBlock(
                    DIRECTIONS[int(pair["direction_id"])].label,
                    plan.names[int(pair["symbol_id"])],
                    float(pair["barred_gross_bps"]),
                    clock.wall_ns(),
                    self._judgement,
                )
        if new:
            self.now = self.now | new
        return list(new.values())


def _dated_anew(blocks: Mapping[str, KeptBlock], now_ns: int) -> dict[str, KeptBlock]:
    """Those of a clock that has been set back since, as of now: no judgement would be later than
    they are until the clock is there again."""
    ahead = {key: block for key, block in blocks.items() if block.wall_ns > now_ns}
    return {key: block._replace(wall_ns=now_ns) for key, block in ahead.items()}
