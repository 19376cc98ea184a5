"""Has hours of the log that are over become Parquet, by a child process: what that needs is large,
and is never loaded here.

A child that fails is told of, and tried again later; one that is ended in the midst leaves nothing
that counts.
"""

import importlib.util
import subprocess
import sys
from pathlib import Path

from spread_scanner import clock
from spread_scanner.clock import NS_PER_S
from spread_scanner.history import kept, units

AGAIN_NS = 600 * NS_PER_S
NEEDED = ("pyarrow",)
MISSING = "no history is kept: it needs spread-scanner[history], which is not installed"
END_S = 5.0
CHILD = (sys.executable, "-m", "spread_scanner.history.compact")


class Compacting:
    """The child, and what became of it. `trouble`: what the last one could not do."""

    def __init__(self, log: Path, history: Path) -> None:
        self._log, self._history = log, history
        self._child: subprocess.Popen[str] | None = None
        self._again_ns = 0
        self.possible = all(importlib.util.find_spec(name) is not None for name in NEEDED)
        self.trouble = "" if self.possible else MISSING
        self.done = self.failed = 0

    @property
    def running(self) -> bool:
        """Whether a child is at work."""
        return self._child is not None

    def look(self) -> None:
        """Hear of the child; start one when there is something to do. Raises OSError, NoLog."""
        if self._child is not None:
            self._hear(self._child)
        elif self._is_due():
            self._child = subprocess.Popen(
                [*CHILD, str(self._log), str(self._history)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )

    def _is_due(self) -> bool:
        if not self.possible or clock.mono_ns() < self._again_ns:
            return False
        return bool(units.due(self._log, kept.read(self._history)))

    def close(self) -> None:
        """End the child."""
        if self._child is not None:
            self._child.kill()
            self._child.communicate(timeout=END_S)
            self._child = None

    def _hear(self, child: "subprocess.Popen[str]") -> None:
        if child.poll() is None:
            return
        _, said = child.communicate()
        self._child = None
        if child.returncode == 0:
            self.done += 1
            self.trouble = ""
            return
        self.failed += 1
        self._again_ns = clock.mono_ns() + AGAIN_NS
        reason = said.strip().rpartition("\n")[2] or f"exit code {child.returncode}"
        self.trouble = f"the last compaction failed: {reason}"
