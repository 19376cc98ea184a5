"""The standard streams of a command, so that no state of them ends it with a traceback.

Closed ones lead to /dev/null: an opened file must never become somebody's stdout. What the terminal
cannot show is substituted, and one that does not know its size has the usual one. When the reader
of stdout has gone (`| head -1`) the command ends with the code that a shell shows for SIGPIPE; when
stdout cannot take more (a full disk), with one line and exit code 1. On stderr what cannot be
written is lost.
"""

import io
import os
import sys
from typing import Any, TextIO

from spread_scanner.errors import SpreadError
from spread_scanner.runtime import output

EXIT_READER_GONE = 141  # 128 + SIGPIPE


class ReaderGone(SpreadError):
    """Nobody reads our output any more, and nothing need be said about it."""


class CannotPrint(SpreadError):
    """The output cannot be written where it should go."""


class _Stdout(io.FileIO):
    """Gives a write that fails its name."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data) or 0
        except BrokenPipeError:
            output.lead_nowhere(self.fileno())
            raise ReaderGone("nobody reads the output") from None
        except OSError as error:
            output.lead_nowhere(self.fileno())
            raise CannotPrint(f"the output cannot be written: {error.strerror}") from None


class _Stderr(io.FileIO):
    """Loses what cannot be written."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data) or 0
        except OSError:
            return memoryview(data).nbytes


def prepare() -> None:
    """Once, before anything is printed."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free: this one
    for name in ("COLUMNS", "LINES"):  # 0, as a serial line has it: not known, and not no room
        if not os.environ.get(name, "").strip("0"):
            os.environ.pop(name, None)
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 (for good)
    sys.stdout = _opened(_Stdout(1, "w", closefd=False), sys.stdout, "replace")
    sys.stderr = _opened(_Stderr(2, "w", closefd=False), sys.stderr, "backslashreplace")


def _opened(raw: io.FileIO, before: TextIO | None, errors: str) -> io.TextIOWrapper:
    """As Python has opened it, over `raw`. A terminal and stderr are written line by line."""
    by_line = raw.fileno() == 2 or raw.isatty()
    encoding = before.encoding if before is not None else None
    return io.TextIOWrapper(io.BufferedWriter(raw), encoding, errors, line_buffering=by_line)


def flush() -> None:
    """What is still buffered. Raises ReaderGone or CannotPrint."""
    sys.stdout.flush()
