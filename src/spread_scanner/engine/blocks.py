"""Which pairs the engine has blocked because they were implausible for so long, and until when.

Writer:  this module, between two runs of the loop, which bars a pair by itself
(native/implausible.h); the file of symbology/blocked.py.     Reader: the loop.

A block holds until tables come whose run had begun to ask after it, and had asked both exchanges: a
quick look's do not, nor those of a run that could not reach one of them, nor does a restart. If the
pair is absurd still it is blocked anew. The file is written by a thread; a disk that refuses costs
a warning.
"""

import threading
from collections.abc import Mapping
from queue import SimpleQueue
from typing import NamedTuple, Self

import numpy as np
import structlog

from spread_scanner import clock
from spread_scanner.config import Settings
from spread_scanner.engine.plan import Plan
from spread_scanner.schema.enums import DIRECTIONS
from spread_scanner.symbology import blocked
from spread_scanner.symbology.blocked import BlockedError, KeptBlock
from spread_scanner.symbology.tables import Tables, listed_pairs
from spread_scanner.symbology.usual import pair_key


class JudgedSet(NamedTuple):
    """Which set's verdicts the tables are, since when that run had asked, and what it had not."""

    generation: int
    asked_wall_ns: int
    unasked: frozenset[str]  # pairs with a leg that was taken from the set before

    @classmethod
    def of(cls, tables: Tables) -> Self:
        unasked = frozenset(
            pair_key(pair.spot, pair.futures)
            for pair in listed_pairs(tables.instruments)
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

    def __init__(self, kept: Mapping[str, KeptBlock]) -> None:
        self.now = dict(kept)
        self._judgement = 0

    def judge(self, judgement: JudgedSet, plan: Plan) -> None:
        """Tables are put in force: lift what they have judged, bar the others."""
        self._judgement = judgement.generation
        self.now = {
            key: block for key, block in self.now.items() if not judgement.lifts(key, block)
        }
        if self.now:
            plan.pairs["barred"] = np.array([key in self.now for key in plan.keys], bool)

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
        self.now = self.now | new
        return list(new.values())


class BlocksKeeper:
    """Writes what is blocked in a thread of its own; the newest counts."""

    def __init__(self, settings: Settings, log: structlog.stdlib.BoundLogger) -> None:
        self._path = blocked.path_of(settings)
        self._log = log
        self._failed = False
        self._kept: dict[str, KeptBlock] | None = None  # what stands there; None: nobody knows
        self._waiting: SimpleQueue[dict[str, KeptBlock]] = SimpleQueue()
        threading.Thread(target=self._write_all, name="blocked", daemon=True).start()

    def recall(self) -> dict[str, KeptBlock]:
        """What was blocked before this start."""
        try:
            self._kept = blocked.read(self._path)
        except BlockedError as error:
            self._log.warning("which pairs were blocked is not known any more", error=str(error))
        return self._kept or {}

    def keep(self, blocks: dict[str, KeptBlock]) -> None:
        """Have it written, if it is another than what was kept last."""
        if blocks != self._kept:
            self._kept = blocks
            self._waiting.put(blocks)

    def _write_all(self) -> None:
        while True:
            self.write(self._waiting.get())

    def write(self, blocks: dict[str, KeptBlock]) -> None:
        """A failure is said once, until it works again."""
        try:
            blocked.write(self._path, blocks)
            self._failed = False
        except OSError as error:
            if not self._failed:
                self._log.warning("which pairs are blocked cannot be kept", error=str(error))
            self._failed = True
