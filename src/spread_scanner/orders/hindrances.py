"""Why a process that lives does not do what it was told, as far as that can be seen; in words.

Reads: health rows, and of the kernel whether a signal has stopped a process. Nothing that cannot be
read is an error: then less is known.
"""

from collections.abc import Iterable
from pathlib import Path

from spread_scanner.clock import NS_PER_S
from spread_scanner.errors import SegmentError
from spread_scanner.schema.enums import ProcessState
from spread_scanner.shm import Health
from spread_scanner.shm.health import Beat

_STOPPED = ("T", "t")  # by a signal, by a debugger: proc(5)


def hindrances(namespace: str, names: Iterable[str]) -> dict[str, str]:
    """Of each of these its pid, and what it does instead."""
    try:
        with Health.attach(namespace, timeout_s=0) as health:
            beats = {name: health.beat(name) for name in names}
    except SegmentError:
        return {}
    return {name: _hindrance(beat) for name, beat in beats.items() if beat is not None}


def _hindrance(beat: Beat) -> str:
    if _state(beat.pid) in _STOPPED:
        return f"pid {beat.pid}, stopped by a signal: kill -CONT {beat.pid} lets it go on"
    if beat.state in (ProcessState.STARTING, ProcessState.STOPPING):
        return f"pid {beat.pid}, {beat.state.name.lower()}"
    return f"pid {beat.pid}, last heartbeat {beat.heartbeat_age_ns / NS_PER_S:z.1f} s ago"


def _state(pid: int) -> str:
    """One letter of proc(5); empty: there is no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return text.rpartition(") ")[2][:1]
