from collections.abc import Mapping
from typing import Any

import numpy as np

from spread_scanner.clock import Clock
from spread_scanner.engine._lanes import Lanes
from spread_scanner.engine.carrying import Expected
from spread_scanner.shm._bitmap import DirtyBitmap
from spread_scanner.shm._evaluations import EvaluationRows
from spread_scanner.shm._latches import LatchTable
from spread_scanner.shm._memory import Memory
from spread_scanner.shm._ring import RingProducer
from spread_scanner.shm._rows import Row
from spread_scanner.shm.books import BookStore
from spread_scanner.shm.wants import NearWriter
from spread_scanner.symbology.usual import Usual

SIZES: Mapping[str, int]
COUNTERS: int
BARRED: int

# By pair: weight, means of exit and parity, expected funding; flags.
Found = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]

class Work:
    pairs: np.ndarray

class Loop:
    clock: Clock
    pairs: np.ndarray
    rescan_left: int
    blocks: int
    analysed: LatchTable | None
    @property
    def usual_generation(self) -> int: ...
    counts: tuple[int, ...]
    def __init__(
        self,
        bitmap: DirtyBitmap,
        producer: RingProducer,
        kept: EvaluationRows,
        row: Row,
        control: Memory,
        switches_at: Any,
        *,
        anchor_ns: int,
        position: int,
        instance: int,
        clock: Clock | None = None,
    ) -> None: ...
    def prepare(
        self,
        pairs: np.ndarray,
        limits: Any,
        generation: int,
        keys: np.ndarray,
        kin: np.ndarray,
    ) -> Work: ...
    def bring(
        self, work: Work, was: np.ndarray | None = None, credited: np.ndarray | None = None
    ) -> None: ...
    @property
    def brought(self) -> bool: ...
    def swap(
        self,
        work: Work,
        generation: int,
        was: np.ndarray | None = None,
        credited: np.ndarray | None = None,
    ) -> Found: ...
    def adopt(
        self,
        generation: int,
        expected: Expected | None = None,
        credited: np.ndarray | None = None,
        *,
        told: Usual | None = None,
        anew: bool,
    ) -> Found: ...
    def analyse(self, pairs: LatchTable | None) -> None: ...
    def say_near(self, near: NearWriter | None) -> None: ...
    def follow(self, books: BookStore | None) -> None: ...
    def ask(self) -> None: ...
    def beat(self, at: int, every_ns: int) -> None: ...
    def run(self, budget_ns: int) -> None: ...
    def step(self, now_mono_ns: int) -> bool: ...
    def play(self, lanes: Lanes, until_ns: int) -> bool: ...
    def ask_rescan(self) -> None: ...
    def take_longest_ns(self) -> int: ...
    def take_outside_ns(self) -> int: ...
