"""What a process puts out: bytes for programs, lines without trailing blanks for pipes, and where
what cannot be put out goes.

Used by commands and logs. `put` raises what the stream raises: `spread-ctl` makes that one line and
a code.
"""

import io
import os
import re
import sys
from typing import IO, cast

_BLANKS = re.compile(r"[ \t]+(?=\n)")


def put(data: bytes) -> None:
    """Print on stdout now, after what was printed as text before. As bytes: no locale can refuse or
    change them."""
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def trimmed() -> IO[str]:
    """Stdout for tables in a pipe: a cell's padding at a line's end is nothing to anybody."""
    return cast("IO[str]", _Trimmed())


class _Trimmed(io.TextIOBase):
    @property
    def encoding(self) -> str:  # type: ignore[override]  # a library asks what it may draw with
        return sys.stdout.encoding

    def write(self, text: str) -> int:
        return sys.stdout.write(_BLANKS.sub("", text))

    def flush(self) -> None:
        sys.stdout.flush()


def lead_nowhere(number: int) -> None:
    """Have a file descriptor lead to /dev/null: what is still buffered must not fail again."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, number)
    os.close(nowhere)
