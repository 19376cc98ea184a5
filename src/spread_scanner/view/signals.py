"""Looks on at the signal ring without taking part in it.

The ring has one reader, the tracker; a second one would steal its records. But a record stays in
its slot until the producer comes round again, so an onlooker that comes often enough sees all.
"""

from typing import Self

import numpy as np

from spread_scanner.schema.enums import DIRECTIONS, SignalKind
from spread_scanner.schema.names import SIGNALS
from spread_scanner.shm import SignalRing
from spread_scanner.view.notes import notes_of
from spread_scanner.view.reading import Reading, known
from spread_scanner.view.symbols import NamesThen


class SignalTail:
    """New signals since the last look. `missed` counts those that were overwritten before."""

    def __init__(self, ring: SignalRing, since: int) -> None:
        self._ring = ring
        self._next = since
        self.missed = 0

    @classmethod
    def attach(cls, namespace: str, *, last: int | None = None) -> Self:
        """From the beginning, or with `last` from that many signals ago."""
        ring = SignalRing.attach(namespace, SIGNALS)
        since = 0 if last is None else max(ring.position - last, 0)
        return cls(ring, since)

    @property
    def dtype(self) -> np.dtype:
        return self._ring.record_dtype

    def take(self) -> np.ndarray:
        """What was pushed since the last call, oldest first: SIGNAL_DTYPE records."""
        first, records = self._ring.past(self._next)
        self.missed += first - self._next
        self._next = first + len(records)
        return records

    @property
    def dropped(self) -> int:
        """Signals that the full ring refused."""
        return self._ring.counters().dropped

    @property
    def in_ring(self) -> int:
        """Signals that the tracker has not taken yet."""
        return self._ring.counters().in_ring

    @property
    def retired(self) -> bool:
        return self._ring.retired

    def close(self) -> None:
        self._ring.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class SignalView(Reading, frozen=True):
    """One signal of the engine, as it stands in the ring."""

    seq: int
    kind: str
    symbol: str
    direction: str
    ts_engine_ns: int
    gross_bps: float
    fees_bps: float
    carry_bps: float
    close_bps: float | None  # what leaving is assumed to earn
    usual_bps: float | None  # what it usually earns; null: not known
    parity_bps: float | None  # what it earns when the mids meet at the present widths
    net_bps: float
    exit_bps: float | None
    size_base: float
    size_quote: float
    spot_ask_px: float
    fut_bid_px: float
    spot_age_ms: float
    fut_age_ms: float
    notes: list[str]  # what it says besides: "minimum_unknown" and the like (view/notes.py)


def signal_of(record: np.void, names: NamesThen) -> SignalView:
    """A record of SIGNAL_DTYPE by names instead of numbers, those of its own tables."""
    symbol_id = int(record["symbol_id"])
    symbols = names.of(int(record["generation"]))
    return SignalView(
        seq=int(record["seq"]),
        kind=SignalKind(int(record["kind"])).name.lower(),
        symbol=symbols.get(symbol_id, f"#{symbol_id}"),
        direction=DIRECTIONS[int(record["direction_id"])].label,
        ts_engine_ns=int(record["ts_engine"]),
        gross_bps=float(record["gross_bps"]),
        fees_bps=float(record["fees_bps"]),
        carry_bps=float(record["carry_bps"]),
        close_bps=known(record["close_bps"]),
        usual_bps=known(record["usual_bps"]),
        parity_bps=known(record["parity_bps"]),
        net_bps=float(record["net_bps"]),
        exit_bps=known(record["exit_bps"]),
        size_base=float(record["size_base"]),
        size_quote=float(record["size_quote"]),
        spot_ask_px=float(record["spot_ask_px"]),
        fut_bid_px=float(record["fut_bid_px"]),
        spot_age_ms=(int(record["ts_engine"]) - int(record["spot_ts_recv"])) / 1e6,
        fut_age_ms=(int(record["ts_engine"]) - int(record["fut_ts_recv"])) / 1e6,
        notes=notes_of(int(record["flags"])),
    )
