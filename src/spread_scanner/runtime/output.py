"""What a process puts out: bytes for programs, and where what cannot be put out goes.

Used by commands and logs. `put` raises what the stream raises: `spread-ctl` makes that one line and
a code.
"""

import os
import sys


def put(data: bytes) -> None:
    """Print on stdout now, after what was printed as text before. As bytes: no locale can refuse or
    change them."""
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def lead_nowhere(number: int) -> None:
    """Have a file descriptor lead to /dev/null: what is still buffered must not fail again."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, number)
    os.close(nowhere)
