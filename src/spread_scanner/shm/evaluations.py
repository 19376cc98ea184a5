"""The engine's last evaluations over a threshold: why a spread gave a signal, or gave none.

Writer:  spread-engine, which claims it.     Readers: spread-ctl why; they map it read-only.

A ring of EVALUATION_DTYPE rows that overwrites its oldest. Repeats of one verdict for one pair are
one row whose `count` grows and whose numbers are the latest. Rows that are being written while
somebody reads are left out (native/evaluations.h). `spot_flags` and `fut_flags` are the quotes'
own, with STALE added when a leg could not be stood behind for its age, its epoch or its feed's
silence.

Segment: "<namespace>.why".
"""

from typing import Self

import numpy as np

from spread_scanner.errors import SegmentError
from spread_scanner.shm import segment
from spread_scanner.shm._evaluations import EvaluationRows
from spread_scanner.shm.faults import WrongSegment
from spread_scanner.shm.layout import EVALUATIONS_SLOTS_MAX, EvaluationsLayout, Kind
from spread_scanner.shm.segment import Holder, Segment

_WRITER = 0
_PART = "why"


class EvaluationsWriter(EvaluationRows, Holder):
    """The right to write; made by Evaluations.writer. `close` gives the place back."""

    def __init__(self, held: Segment, layout: EvaluationsLayout) -> None:
        super().__init__(held.memory, layout)
        self._held = held


class Evaluations(Holder):
    """The rows, for reading; made by `create` or `attach`."""

    def __init__(self, namespace: str, held: Segment) -> None:
        self.namespace = namespace
        self.layout = EvaluationsLayout(held.params[0])
        self._held = held
        self._rows = EvaluationRows(held.memory, self.layout)

    @classmethod
    def create(cls, namespace: str, *, slots: int = 8_192) -> Self:
        """Make new, empty rows; those that stand under the namespace are retired."""
        if not 1 <= slots <= EVALUATIONS_SLOTS_MAX or slots & (slots - 1):
            raise SegmentError(
                "slots must be a power of two",
                slots=slots,
                allowed=f"1 to {EVALUATIONS_SLOTS_MAX}",
            )
        name = segment.segment_name(namespace, _PART)
        layout = EvaluationsLayout(slots)
        return cls(
            namespace, segment.create(name, Kind.EVALUATIONS, layout.evaluations_bytes, [slots])
        )

    @classmethod
    def attach(cls, namespace: str, *, timeout_s: float = segment.ATTACH_TIMEOUT_S) -> Self:
        """Map the rows of a namespace read-only."""
        return cls(namespace, _attach(namespace, writable=False, timeout_s=timeout_s))

    def writer(self) -> EvaluationsWriter:
        """Claim the right to write: AlreadyClaimed when a live process has it."""
        held = _attach(self.namespace, writable=True, timeout_s=segment.ATTACH_TIMEOUT_S)
        with segment.closed_on_failure(held):
            held.claim(_WRITER, "the evaluations")
            return EvaluationsWriter(held, self.layout)

    def recent(
        self,
        symbol_id: int | None = None,
        *,
        verdict: int | None = None,
        limit: int | None = None,
    ) -> np.ndarray:
        """Rows of one symbol, or of all, with one verdict or with any, newest first: (n,)
        EVALUATION_DTYPE. To order all of them takes milliseconds: who looks often says which."""
        rows = self._rows.copy()
        if verdict is not None:
            rows = rows[rows["verdict"] == verdict]
        if symbol_id is not None:
            rows = rows[rows["symbol_id"] == symbol_id]
        newest_first = np.argsort(-rows["ts_engine"], kind="stable")
        return rows[newest_first[:limit]]


def _attach(namespace: str, *, writable: bool, timeout_s: float) -> Segment:
    return segment.attach(
        segment.segment_name(namespace, _PART),
        Kind.EVALUATIONS,
        writable=writable,
        timeout_s=timeout_s,
        expect_bytes=_evaluations_bytes,
    )


def _evaluations_bytes(params: list[int]) -> int:
    slots = params[0]
    if not 1 <= slots <= EVALUATIONS_SLOTS_MAX or slots & (slots - 1):
        raise WrongSegment("the number of rows is out of range", slots=slots)
    return EvaluationsLayout(slots).evaluations_bytes
