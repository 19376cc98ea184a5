"""When something of a log was, by the clocks of whoever reads it: after a reboot, too.

A session clock is monotonic time and an anchor (clock.SessionClock), both of one store. In the same
run of the machine monotonic time goes on, so an age is exact. After another boot the wall clock
tells it, which may have been set; what is certain then is that it was before this boot.
"""

from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from spread_scanner import clock
from spread_scanner.clock import NS_PER_MS

Stamps = npt.NDArray[np.int64]


class LogTimes(NamedTuple):
    """One moment by three clocks, and the run of the machine that they are of."""

    anchor_ns: int = 0  # of the session clock
    wall_ns: int = 0
    mono_ns: int = 0
    boot: str = ""  # empty: not known, and the wall clock was the session clock then

    @classmethod
    def of(cls, head: np.ndarray) -> Self:
        """Of the head of a segment or of a snapshot."""
        boot = bytes(np.asarray(head["boot"])[()]).decode("ascii", "replace")
        anchor, wall, mono = (
            int(head[name]) for name in ("anchor_ns", "created_wall_ns", "created_mono_ns")
        )
        return cls(anchor, wall, mono, boot)

    @classmethod
    def now(cls) -> Self:
        """By this machine's clocks, of no session."""
        return cls(0, clock.wall_ns(), clock.mono_ns(), clock.boot_id())

    def like(self, other: "LogTimes") -> bool:
        """Whether stamps of both mean the same: one session, and nobody has set the wall clock."""
        apart = (self.wall_ns - self.mono_ns) - (other.wall_ns - other.mono_ns)
        same = (self.anchor_ns, self.boot) == (other.anchor_ns, other.boot)
        return same and abs(apart) < NS_PER_MS

    def age_ns(self, now: "LogTimes") -> int:
        """How long ago it was: whoever sets the wall clock makes nothing older or younger, but for
        what is of another boot, which is no younger than this one."""
        if self.boot and self.boot == now.boot:
            return now.mono_ns - self.mono_ns
        return max(now.wall_ns - self.wall_ns, now.mono_ns if self.boot else 0)

    def to_mono_ns(self, stamps: Stamps, now: "LogTimes") -> Stamps:
        """Stamps of that session as monotonic time of now: negative before this boot, never later
        than now."""
        mono = stamps - self.anchor_ns
        if self.boot and self.boot == now.boot:
            return np.minimum(mono, now.mono_ns)
        wall = mono - self.mono_ns + self.wall_ns if self.boot else stamps
        age = np.maximum(now.wall_ns - wall, now.mono_ns if self.boot else 0)
        return now.mono_ns - age
