"""What came that should not have: the first raw bytes of each kind, logged, but not each time.

Used by the feed's slow tier. The counters count everything; this keeps what a person needs to see
the cause, at a rate that no flood of bad bytes can push up.
"""

from collections.abc import Callable

from spread_scanner import clock
from spread_scanner.clock import NS_PER_S
from spread_scanner.errors import EVIDENCE_BYTES_MAX, BadMessage

EVERY_NS = 60 * NS_PER_S
KINDS_MAX = 64  # beyond these, kinds share one place: a message text may hold what came


class Evidence:
    """One per feed. `kept` holds the last bytes of each kind, `unlogged` what was not said."""

    def __init__(self, warn: Callable[..., object]) -> None:
        self._warn = warn
        self._logged_ns: dict[str, int] = {}
        self.kept: dict[str, bytes] = {}
        self.unlogged: dict[str, int] = {}

    def take(self, error: BadMessage, frame: bytes) -> None:
        """Keep the evidence; log it if none of its kind was logged in the last minute."""
        kind = f"{type(error).__name__}: {error.message.partition(':')[0]}"
        if kind not in self.kept and len(self.kept) >= KINDS_MAX:
            kind = "others"
        self.kept[kind] = frame[:EVIDENCE_BYTES_MAX]
        now_ns = clock.mono_ns()
        last_ns = self._logged_ns.get(kind)
        if last_ns is not None and now_ns - last_ns < EVERY_NS:
            self.unlogged[kind] = self.unlogged.get(kind, 0) + 1
            return
        self._logged_ns[kind] = now_ns
        self._warn(
            "bad message",
            kind=kind,
            reason=error.message,
            raw=repr(self.kept[kind]),
            bytes=len(frame),
            more_since=self.unlogged.pop(kind, 0),
        )
