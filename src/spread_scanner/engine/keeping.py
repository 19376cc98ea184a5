"""What the engine keeps in files for its next start and for the screens: usual.py, blocked.py.

Writer:  a thread for each file, beside the loop; the newest value counts, those it overtook are
never written.     Readers: the engine at its start, the view.

A disk that is full or slow costs a warning, not a look: the file that stood there stays, and what
could not be written is tried again. One that is damaged is named and not used.
"""

import contextlib
import threading
from collections.abc import Callable
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

from spread_scanner.config import Settings
from spread_scanner.errors import SpreadError
from spread_scanner.runtime.logs import Log
from spread_scanner.symbology import blocked, usual
from spread_scanner.symbology.blocked import KeptBlock
from spread_scanner.symbology.usual import Usual

AGAIN_S = 10.0  # after a disk that refused
Value = TypeVar("Value")


class Keeper(Generic[Value]):
    """Keeps one value in a file. Its methods are for the loop's thread."""

    def __init__(
        self,
        path: Path,
        read: Callable[[Path], Value | None],
        write: Callable[[Path, Value], None],
        log: Log,
        *,
        lost: str,
        refused: str,
        again_s: float = AGAIN_S,
    ) -> None:
        """`lost`, `refused`: what is said when the file cannot be read, and when not written;
        then it is tried again after so long."""
        self._path, self._read, self._write = path, read, write
        self._log, self._lost, self._refused = log, lost, refused
        self._again_s = again_s
        self._failed = False
        self._kept: Value | None = None  # what was read or handed over last; None: nobody knows
        self._waiting: SimpleQueue[Value] = SimpleQueue()
        threading.Thread(target=self._write_on, name=path.name, daemon=True).start()

    def recall(self) -> Value | None:
        """What was kept before this start; None: nothing, or it is not known."""
        try:
            self._kept = self._read(self._path)
        except SpreadError as error:
            self._log.warning(self._lost, error=str(error))
        return self._kept

    def keep(self, value: Value) -> None:
        """Have it written, unless it is the very one that is kept already."""
        if value is not self._kept:
            self._kept = value
            self._waiting.put(value)

    def write(self, value: Value) -> bool:
        """Now; whether that worked. A failure is said once, until it works again."""
        try:
            self._write(self._path, value)
        except OSError as error:
            if not self._failed:
                self._log.warning(self._refused, error=str(error))
            self._failed = True
        else:
            self._failed = False
        return not self._failed

    def _write_on(self) -> None:
        while True:
            value = self._newest(self._waiting.get())
            while not self.write(value):
                with contextlib.suppress(Empty):
                    value = self._newest(self._waiting.get(timeout=self._again_s))

    def _newest(self, value: Value) -> Value:
        """What came meanwhile counts in its place."""
        with contextlib.suppress(Empty):
            while True:
                value = self._waiting.get_nowait()
        return value


def usual_keeper(settings: Settings, log: Log) -> Keeper[Usual]:
    """Of what leaving usually earns."""
    return Keeper(
        usual.path_of(settings),
        usual.read,
        usual.write,
        log,
        lost="what was usual is not known any more",
        refused="what is usual cannot be kept",
    )


def blocks_keeper(settings: Settings, log: Log) -> Keeper[dict[str, KeptBlock]]:
    """Of which pairs are blocked."""
    return Keeper(
        blocked.path_of(settings),
        blocked.read,
        blocked.write,
        log,
        lost="which pairs were blocked is not known any more",
        refused="which pairs are blocked cannot be kept",
    )
