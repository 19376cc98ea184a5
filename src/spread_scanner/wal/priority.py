"""How soon the log's processes run: later than whoever makes the market known.

A service's filter of system calls, or a container's, may refuse it: then they run as soon as the
others, which is no reason not to record.
"""

import os

NICE = 10  # more than whoever started it


def give_way() -> bool:
    """A lower priority for this thread and those that it starts; False: refused."""
    try:
        os.nice(NICE)
    except OSError:
        return False
    return True
