from collections.abc import Mapping

from spread_scanner.shm._memory import Memory

SIZES: Mapping[str, int]

class Row:
    memory: Memory
    counter_count: int
    histogram_count: int
    def __init__(
        self,
        memory: Memory,
        counters_at: int,
        counter_count: int,
        histograms_at: int,
        histogram_count: int,
    ) -> None: ...
    def add(self, counter_id: int, count: int = 1) -> None: ...
    def set(self, counter_id: int, value: int) -> None: ...
    def shut(self) -> None: ...
    def observe(self, histogram_id: int, value_ns: int) -> None: ...

def histogram_index(value_ns: int) -> int: ...
