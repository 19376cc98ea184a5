"""Acts in a child of the test's own: what may kill it, or takes a right away for good."""

import os
import resource
import signal
from collections.abc import Callable

ROOM = 64  # bytes that the kernel takes of a file where the disk is full
RAISED = 3


def in_child(act: Callable[[], object], fault: type[BaseException]) -> int:
    """What a child that does this ends with: 0, RAISED where the fault was, or minus the signal."""
    pid = os.fork()
    if pid == 0:
        try:
            act()
            os._exit(0)
        except fault:
            os._exit(RAISED)
        except BaseException:
            os._exit(4)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def on_a_full_disk(act: Callable[[], object], fault: type[BaseException]) -> bool:
    """Act in a child whose files cannot grow beyond ROOM; whether that raised the fault."""

    def full() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (ROOM, ROOM))
        act()

    code = in_child(full, fault)
    assert code in (0, RAISED), code
    return code == RAISED
