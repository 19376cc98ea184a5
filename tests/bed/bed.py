"""What tests stand on, whatever room they are of: waiting for a condition.

Time is the machine's here: what is waited for is another process, or another thread.
"""

import time
from collections.abc import Callable

DEADLINE_S = 60.0  # a busy machine may need it, a good run does not


def until(
    condition: Callable[[], object],
    what: str | Callable[[], object] = "",
    *,
    timeout_s: float = DEADLINE_S,
    look_s: float = 0.005,
) -> None:
    """Wait for a condition, not for a time; `what` is what was awaited, or tells what was there."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            said = what() if callable(what) else what
            raise AssertionError(f"not within {timeout_s} s: {said or 'the condition'}")
        time.sleep(look_s)
