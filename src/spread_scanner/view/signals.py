"""Looks on at the signal ring without taking part in it.

The ring has one reader, the tracker; a second one would steal its records. But a record stays in
its slot until the producer comes round again, so an onlooker that comes often enough sees all.
"""

from typing import Self

import numpy as np

from spread_scanner.schema.enums import DIRECTIONS, SignalKind
from spread_scanner.schema.names import SIGNALS
from spread_scanner.schema.records import FOLLOW_UP_BOUNDED, FOLLOW_UP_DTYPE, decimal
from spread_scanner.shm import SignalRing
from spread_scanner.view.depth import SizeNet
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
        """What was pushed since the last call, oldest first: SIGNAL_DTYPE records, and among them
        what followed on signals (schema.records.signals_apart)."""
        first, records = self._ring.past(self._next)
        self.missed += first - self._next
        self._next = first + len(records)
        return records

    @property
    def position(self) -> int:
        """How many were ever pushed."""
        return self._ring.position

    def past(self, since: int, most: int) -> tuple[int, np.ndarray]:
        """Those from that position on that still stand, so many at most, and the position of the
        first of them."""
        return self._ring.past(since, most)

    @property
    def instance(self) -> str:
        """Which ring this is, of all that ever had its name: positions and numbers are its own."""
        return f"{self._ring.instance_id:x}"

    def place_after(self, seq: int) -> int:
        """The position behind the signal of that number, also where it stands no more."""
        low, records = self._ring.past(0, 1)
        if len(records) and seq < records["seq"][0]:
            return low - (int(records["seq"][0]) - seq - 1)
        high = self._ring.position
        while low < high:  # one by one: all of a ring are some megabytes
            middle = (low + high) // 2
            first, records = self._ring.past(middle, 1)
            if first > middle or records["seq"][0] <= seq:
                low = max(first, middle + 1)
            else:
                high = middle
        return low

    def seq_before(self, position: int) -> int:
        """The number of the signal before that position; -1: there is none."""
        first, records = self._ring.past(max(position - 1, 0), 1)
        return int(records["seq"][0]) - (first - position) - 1 if len(records) else position - 1

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


class SignalView(Reading, frozen=True, tag_field="record", tag="signal"):
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


class FollowUpView(Reading, frozen=True, tag_field="record", tag="book"):
    """What both order books carried once they were there, after a signal."""

    seq: int
    kind: str  # "book"
    symbol: str
    direction: str
    ts_engine_ns: int
    of_seq: int  # the signal that it follows
    enter_bps: float  # the threshold that the size is for
    close_bps: float | None
    net_bps: float | None  # at the tops of the books
    # The largest size with net over the threshold, in whole lots; 0: less than a listing's least.
    size_base: float | None
    size_quote: float | None
    bounded: bool  # the levels that are known ended before the spread did
    sizes: list[SizeNet]
    spot_age_ms: float  # of the books
    fut_age_ms: float
    notes: list[str]


def views_of(records: np.ndarray, names: NamesThen) -> list[SignalView | FollowUpView]:
    """Records of the ring by names instead of numbers, those of their own tables."""
    return [
        _follow_up(record.reshape(1).view(FOLLOW_UP_DTYPE)[0], names)
        if record["kind"] == SignalKind.BOOK
        else _signal(record, names)
        for record in records
    ]


def _symbol(record: np.void, names: NamesThen) -> str:
    symbol_id = int(record["symbol_id"])
    return names.of(int(record["generation"])).get(symbol_id, f"#{symbol_id}")


def _follow_up(record: np.void, names: NamesThen) -> FollowUpView:
    asked = record["rungs"][~np.isnan(record["rungs"]["size_quote"])]
    thin = int(record["thin"])
    return FollowUpView(
        seq=int(record["seq"]),
        kind=SignalKind.BOOK.name.lower(),
        symbol=_symbol(record, names),
        direction=DIRECTIONS[int(record["direction_id"])].label,
        ts_engine_ns=int(record["ts_engine"]),
        of_seq=int(record["of_seq"]),
        enter_bps=float(record["enter_bps"]),
        close_bps=known(record["close_bps"]),
        net_bps=known(record["net_bps"]),
        size_base=known(record["size_base"]),
        size_quote=known(record["size_quote"]),
        bounded=bool(record["flags"] & FOLLOW_UP_BOUNDED),
        sizes=[
            SizeNet(
                decimal(one["size_quote"]),
                known(decimal(one["buy_px"])),
                known(decimal(one["sell_px"])),
                known(decimal(one["net_bps"])),
                bool(thin >> place & 1),
            )
            for place, one in enumerate(asked)
        ],
        spot_age_ms=(int(record["ts_engine"]) - int(record["spot_ts_recv"])) / 1e6,
        fut_age_ms=(int(record["ts_engine"]) - int(record["fut_ts_recv"])) / 1e6,
        notes=notes_of(int(record["flags"])),
    )


def _signal(record: np.void, names: NamesThen) -> SignalView:
    return SignalView(
        seq=int(record["seq"]),
        kind=SignalKind(int(record["kind"])).name.lower(),
        symbol=_symbol(record, names),
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
