"""The only place that asks the operating system for the time, and the only one that sleeps.

Everything asks one installed clock through the functions below; `use` puts another one in its
place. No clock is handed around. Compiled code asks it too, by its address (`installed`); the C
side's own calls stand in shm/native/clock.h. tests/unit/test_tidy.py holds both.

`wall_ns` is for people and for exchanges' time stamps; it may step, and nothing that decides
anything may depend on it. `mono_ns` never steps and counts the time that a machine is suspended:
all stamps, ages, heartbeats and the feed's deadlines are its. `awake_ns` stands still in a suspend
as event loops and futexes do: it measures the patience with processes of the same machine, which
do not get on either while it sleeps. What is stamped into shared memory as `ts_recv` is none of
these: see `SessionClock`.
"""

import contextlib
import ctypes
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol, TypeVar

NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

_SUSPEND_NS_MIN = NS_PER_S  # further apart since the last look: the machine slept
_LOOK_NS_MAX = NS_PER_MS  # two clocks are read at one time if their readings are so close
_LOOKS_MAX = 50


class Clock(Protocol):
    """Replaceable time: the machine's, or a `VirtualClock`."""

    def wall_ns(self) -> int:
        """Nanoseconds since 1970 UTC; may step."""

    def mono_ns(self) -> int:
        """Nanoseconds since some start, a suspend's included; never steps, the same for all
        processes of a machine."""

    def awake_ns(self) -> int:
        """Nanoseconds since some start, a suspend's left out; never steps."""

    def sleep(self, seconds: float) -> None:
        """Return after so long."""

    def mono_address(self) -> int:
        """Where compiled code reads two int64, `mono_ns` and `awake_ns`; 0: it asks the system."""


class SystemClock:
    """The machine's own clocks. CLOCK_MONOTONIC is the one that omits a suspend."""

    def wall_ns(self) -> int:
        return time.time_ns()

    def mono_ns(self) -> int:
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME)

    def awake_ns(self) -> int:
        return time.clock_gettime_ns(time.CLOCK_MONOTONIC)

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def mono_address(self) -> int:
        return 0


class VirtualClock:
    """A clock that only moves when told to; the three times move apart on request.

    Its monotonic times stand in one place for its whole life, so that compiled code can read them.
    """

    def __init__(self, wall_ns: int = 1_700_000_000 * NS_PER_S, mono_ns: int = 0) -> None:
        self._wall_ns = wall_ns
        self._mono_ns = self._awake_ns = mono_ns
        self._mono_awake = (ctypes.c_int64 * 2)(mono_ns, mono_ns)

    def wall_ns(self) -> int:
        return self._wall_ns

    def mono_ns(self) -> int:
        return self._mono_ns

    def awake_ns(self) -> int:
        return self._awake_ns

    def sleep(self, seconds: float) -> None:
        """Who sleeps tells the clock to move."""
        self.advance_ns(int(seconds * NS_PER_S))

    def mono_address(self) -> int:
        return ctypes.addressof(self._mono_awake)

    def advance_ns(self, ns: int) -> None:
        """All times move on, as time does."""
        self._wall_ns += ns
        self._mono_ns += ns
        self._awake_ns += ns
        self._mono_awake[0] = self._mono_ns
        self._mono_awake[1] = self._awake_ns

    def advance_ms(self, ms: float) -> None:
        """All times move on, as time does."""
        self.advance_ns(int(ms * NS_PER_MS))

    def step_wall_ms(self, ms: float) -> None:
        """The wall clock is set, as by an operator or NTP; no other time notices."""
        self._wall_ns += int(ms * NS_PER_MS)

    def suspend_ms(self, ms: float) -> None:
        """The machine sleeps: `awake_ns` is held back, the others move on."""
        self._wall_ns += int(ms * NS_PER_MS)
        self._mono_ns += int(ms * NS_PER_MS)
        self._mono_awake[0] = self._mono_ns


AnyClock = TypeVar("AnyClock", bound=Clock)

_installed: Clock = SystemClock()


def installed() -> Clock:
    """The clock that all functions here ask; who keeps its address keeps it alive."""
    return _installed


@contextlib.contextmanager
def use(clock: AnyClock) -> Iterator[AnyClock]:
    """Have everybody in this process ask this clock, until left. Not for two threads at a time.

    Compiled objects ask the clock that was installed when they were made.
    """
    global _installed
    before = _installed
    _installed = clock
    try:
        yield clock
    finally:
        _installed = before


def wall_ns() -> int:
    """Nanoseconds since 1970 UTC; may step."""
    return _installed.wall_ns()


def mono_ns() -> int:
    """Nanoseconds since some start, a suspend's included."""
    return _installed.mono_ns()


def mono_s() -> float:
    """`mono_ns` in seconds."""
    return _installed.mono_ns() / NS_PER_S


def awake_ns() -> int:
    """Nanoseconds since some start, a suspend's left out."""
    return _installed.awake_ns()


def awake_s() -> float:
    """`awake_ns` in seconds."""
    return _installed.awake_ns() / NS_PER_S


def sleep(seconds: float) -> None:
    """Return after so long, a suspend's time left out."""
    _installed.sleep(seconds)


def boot_id() -> str:
    """The kernel's name of this run of the machine, over which `mono_ns` goes on; empty where
    /proc does not say it."""
    try:
        return BOOT_ID.read_text().strip()
    except OSError:
        return ""


class SessionClock:
    """Wall time that cannot step: monotonic time plus an anchor fixed when the store was made.

    All processes attached to one store share the anchor (it stands in the segment header), so the
    age of a quote is exact across processes, and neither a clock step nor a suspend makes a fresh
    quote old or an old one fresh. As monotonic time counts a suspend, the session clock stays
    beside the wall clock over it. Rejected: plain wall time (a step of an hour makes every quote
    stale or eternal) and monotonic time alone (means nothing to a person or beside an exchange's
    stamp).
    """

    def __init__(self, anchor_ns: int) -> None:
        self.anchor_ns = anchor_ns

    def now_ns(self) -> int:
        return mono_ns() + self.anchor_ns

    def step_ns(self) -> int:
        """How far the wall clock has been stepped since the anchor was taken."""
        return wall_ns() - self.now_ns()

    def stamp(self, wall_at_ns: int) -> int:
        """What to store for a time by the wall clock as it stands now; 0 stays 0."""
        return wall_at_ns - self._set_ns() if wall_at_ns else 0

    def wall_of(self, stamp_ns: int) -> int:
        """The time of a stamp by the wall clock as it stands now: its age is right though that was
        set meanwhile; 0 stays 0."""
        return stamp_ns + self._set_ns() if stamp_ns else 0

    def _set_ns(self) -> int:
        """By how much somebody has set the wall clock; what NTP slews, and what lies between the
        two readings, is nothing of that."""
        step_ns = self.step_ns()
        return step_ns if abs(step_ns) >= NS_PER_S else 0


class SuspendWatch:
    """Notices that the machine was suspended: monotonic time counts it, the awake time does not.

    Looked at with each heartbeat by its one owner; every process has its own.
    """

    def __init__(self) -> None:
        self._apart_ns = _apart_ns()

    def slept_ns(self) -> int:
        """How long the machine slept since the last look; 0 for less than a second."""
        before_ns, self._apart_ns = self._apart_ns, _apart_ns()
        slept_ns = self._apart_ns - before_ns
        return slept_ns if slept_ns > _SUSPEND_NS_MIN else 0


def _apart_ns() -> int:
    """`mono_ns` less `awake_ns`, both read at one time: whoever is stopped between the two would
    take his own stop for a suspend."""
    for _ in range(_LOOKS_MAX):
        before_ns = awake_ns()
        now_ns = mono_ns()
        after_ns = awake_ns()
        if after_ns - before_ns <= _LOOK_NS_MAX:
            break
    return now_ns - after_ns
