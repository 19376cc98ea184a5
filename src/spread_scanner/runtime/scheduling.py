"""What a process asks of the kernel's scheduler: which CPUs, and how soon it runs when woken.

A reader that is woken while all CPUs work waits until one of them is given up. A task that asks
for short slices has the earlier deadline and is let in at once (EEVDF, Linux 6.12 and newer); it
costs nobody anything, as such a task is also sent away sooner. A task that spins must not ask: it
would hold its CPU against whoever it has just woken. Older kernels ignore the wish. Rejected:
real-time priority and negative nice, which need privileges and can starve the machine.
"""

import ctypes
import os
import platform
from collections.abc import Sequence

from spread_scanner.errors import ConfigError

_GIVEN = os.sched_getaffinity(0)  # before any pinning: what the process may use at all
_SYSCALL = {"x86_64": 314, "aarch64": 274}.get(platform.machine())


class _SchedAttr(ctypes.Structure):
    """struct sched_attr of linux/sched/types.h, its first version."""

    _fields_ = (
        ("size", ctypes.c_uint32),
        ("policy", ctypes.c_uint32),
        ("flags", ctypes.c_uint64),
        ("nice", ctypes.c_int32),
        ("priority", ctypes.c_uint32),
        ("runtime_ns", ctypes.c_uint64),
        ("deadline_ns", ctypes.c_uint64),
        ("period_ns", ctypes.c_uint64),
    )


def short_slices(slice_us: int) -> bool:
    """Ask for slices of this length, for this thread and those it starts; False if refused.

    0 asks for the kernel's usual ones.
    """
    if _SYSCALL is None:
        return False
    nice = os.getpriority(os.PRIO_PROCESS, 0)
    wish = _SchedAttr(
        size=ctypes.sizeof(_SchedAttr), policy=os.SCHED_OTHER, nice=nice, runtime_ns=slice_us * 1000
    )
    result: int = ctypes.CDLL(None).syscall(_SYSCALL, 0, ctypes.byref(wish), 0)
    return result == 0


def pin(cpus: Sequence[int], process: str) -> None:
    """Run on these CPUs only; none given: on any. A CPU that is not there is a ConfigError."""
    if not cpus:
        return
    try:
        os.sched_setaffinity(0, cpus)
    except OSError as error:
        there = sorted(os.sched_getaffinity(0))
        raise ConfigError(
            f"cannot pin to these CPUs: {error.strerror}", process=process, cpus=cpus, there=there
        ) from None


def keep_off(cpus: Sequence[int]) -> None:
    """Run this thread on the CPUs that the process was given except these; on all if none is left.

    For a thread whose work may wait, beside one that is pinned because its work may not.
    """
    os.sched_setaffinity(0, _GIVEN - set(cpus) or _GIVEN)
