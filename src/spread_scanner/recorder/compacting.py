"""Has hours of the log that are over become Parquet, and closed segments packed, by a child, one at
a time: what that needs is large or takes long, and is never done here.

A child that fails is told of, and tried again later; one that is ended in the midst leaves nothing
that counts.
"""

import importlib.util
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from spread_scanner import clock
from spread_scanner.clock import NS_PER_S
from spread_scanner.history import kept, units
from spread_scanner.wal import packing, reader

AGAIN_NS = 600 * NS_PER_S
PACK_NS = 60 * NS_PER_S  # so often it is looked for segments to pack
NEEDED = ("pyarrow",)
MISSING = "no history is kept: it needs spread-scanner[history], which is not installed"
END_S = 5.0
CHILD = (sys.executable, "-m", "spread_scanner.history.compact")
PACKER = (sys.executable, "-m", "spread_scanner.wal.packing")


class ChildWork:
    """A process for one kind of work, one at a time. `trouble`: what the last one could not do."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._process: subprocess.Popen[str] | None = None
        self._again_ns = 0
        self.trouble = ""
        self.done = self.failed = 0

    @property
    def running(self) -> bool:
        """Whether one is at work, as far as was heard."""
        return self._process is not None

    @property
    def may_start(self) -> bool:
        """Whether none is at work, nor failed lately."""
        return not self.running and clock.mono_ns() >= self._again_ns

    def start(self, command: Sequence[str]) -> None:
        """Raises OSError."""
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def hear(self) -> None:
        """What became of it."""
        child = self._process
        if child is None or child.poll() is None:
            return
        _, said = child.communicate()
        self._process = None
        if child.returncode == 0:
            self.done += 1
            self.trouble = ""
            return
        self.failed += 1
        self._again_ns = clock.mono_ns() + AGAIN_NS
        reason = said.strip().rpartition("\n")[2] or f"exit code {child.returncode}"
        self.trouble = f"the last {self._what} failed: {reason}"

    def end(self) -> None:
        """Kill it."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate(timeout=END_S)
            self._process = None


class Compacting:
    """Both kinds of work of one log, and what became of them."""

    def __init__(self, log: Path, history: Path) -> None:
        self._log, self._history = log, history
        self.compaction, self.packing = ChildWork("compaction"), ChildWork("packing")
        self._pack_ns = 0
        self._asked: set[int] = set()  # segments that a child was done with: once in a life
        self._asking: list[int] = []  # those of the last child
        self.possible = all(importlib.util.find_spec(name) is not None for name in NEEDED)
        if not self.possible:
            self.compaction.trouble = MISSING

    @property
    def running(self) -> bool:
        """Whether a child is at work."""
        return self.compaction.running or self.packing.running

    def look(self, *, history: bool, pack: bool) -> None:
        """Hear of the child; start one when there is something to do. `history`: hours are to
        become Parquet, and segments are packed when they are in it. Raises OSError, SpreadError."""
        self.compaction.hear()
        done = self.packing.done
        self.packing.hear()
        if self.packing.done > done:
            self._asked.update(self._asking)
        wanted = history and self.possible
        if self.running:
            return
        if wanted and self.compaction.may_start and units.due(self._log, kept.read(self._history)):
            self.compaction.start([*CHILD, str(self._log), str(self._history)])
        elif pack and (numbers := self._to_pack(in_history=wanted)):
            self._asking = numbers
            self.packing.start([*PACKER, str(self._log), *map(str, numbers)])

    def _to_pack(self, *, in_history: bool) -> list[int]:
        """Segments for which a child is worth while. One that a child was done with is not asked
        for again: it will not come out better. What a child that failed has left is."""
        if not self.packing.may_start or clock.mono_ns() < self._pack_ns:
            return []
        self._pack_ns = clock.mono_ns() + PACK_NS
        links = packing.due(reader.linked(self._log))
        if in_history:
            known = frozenset(kept.read(self._history).segments)
            links = [link for link in links if units.key_of(link) in known]
        numbers = [link.number for link in links if link.number not in self._asked]
        return numbers if len(numbers) >= packing.TOGETHER else []

    def close(self) -> None:
        """End the child."""
        self.compaction.end()
        self.packing.end()
