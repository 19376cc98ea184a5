"""spread-analyst's segment beside an engine of engine_bed, and whoever writes it."""

import numpy as np
from engine_bed import MAX_SYMBOLS, Bed

from spread_scanner.schema.analysis import PAIR_ANALYSIS_DTYPE, AnalysisFlag
from spread_scanner.shm.analysis import Analysis, AnalysisWriter

KNOWN = int(AnalysisFlag.USABLE | AnalysisFlag.KNOWN_0 | AnalysisFlag.KNOWN_1)


class Analyst:
    """The segment and whoever writes it, on the bed's time."""

    def __init__(self, bed: Bed, max_symbols: int = MAX_SYMBOLS) -> None:
        self.bed = bed
        self.analysis = Analysis.create(bed.namespace, max_symbols=max_symbols)
        self.writer: AnalysisWriter = self.analysis.writer()

    def say(
        self,
        mean_bps: float,
        deviation_bps: float,
        *,
        direction_id: int = 0,
        symbol_id: int = 0,
        age_ns: int = 0,
        generation: int = 1,
        flags: int = KNOWN,
        exit_median_bps: float = np.nan,
        looked: int = 240,
        minutes: int = 240,
    ) -> np.ndarray:
        record = np.zeros(1, PAIR_ANALYSIS_DTYPE)
        record["ts"] = self.bed.session_ns - age_ns
        record["generation"], record["flags"] = generation, flags
        record["entry"]["mean"] = [-1e6, mean_bps, 1e6]  # the others' half-lives are not asked
        record["entry"]["deviation"] = [1e-6, deviation_bps, 1e-6]
        record["exit"]["median"] = exit_median_bps
        record["looked"], record["minutes"] = looked, minutes
        place = self.analysis.layout.pair_at([direction_id], [symbol_id])
        nothing = np.zeros(0, np.int64), np.zeros(0, self.writer._cells.dtype)
        self.writer.write(place, record, *nothing)
        return record

    def close(self) -> None:
        self.writer.close()
        self.analysis.close()
