"""Scheduling wishes: taken where the kernel takes them, harmless elsewhere, named when wrong."""

import os
import subprocess
import sys

import pytest

from spread_scanner.errors import ConfigError
from spread_scanner.runtime import scheduling

PROBE = """
import os
from spread_scanner.runtime import scheduling
taken = scheduling.short_slices(100)
print(taken, os.sched_getscheduler(0) == os.SCHED_OTHER, os.getpriority(os.PRIO_PROCESS, 0))
"""


def test_a_short_slice_changes_neither_policy_nor_niceness() -> None:
    done = subprocess.run(
        ["nice", "-n", "5", sys.executable, "-c", PROBE],
        capture_output=True,
        text=True,
        check=True,
    )
    nicer = min(os.getpriority(os.PRIO_PROCESS, 0) + 5, 19)  # than the tests are run
    assert done.stdout.split()[1:] == ["True", str(nicer)]


KEPT_OFF = """
import os, threading
from spread_scanner.runtime import scheduling
given = os.sched_getaffinity(0)
first = min(given)
scheduling.pin([first], "spread-tracker")
found = []
def other():
    scheduling.keep_off([first])
    found.append(os.sched_getaffinity(0))
thread = threading.Thread(target=other)
thread.start()
thread.join()
print(os.sched_getaffinity(0) == {first}, found == [given - {first} or given])
os.sched_setaffinity(0, given)
scheduling.keep_off(sorted(given))
print(os.sched_getaffinity(0) == given)
"""


def test_a_thread_kept_off_leaves_the_pinned_one_where_it_is() -> None:
    done = subprocess.run(
        [sys.executable, "-c", KEPT_OFF], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["True", "True", "True"]


SLICE = """
import ctypes
from spread_scanner.runtime import scheduling
def slice_ns():
    found = scheduling._SchedAttr()
    number = {314: 315, 274: 275}[scheduling._SYSCALL]
    ctypes.CDLL(None).syscall(number, 0, ctypes.byref(found), ctypes.sizeof(found), 0)
    return found.runtime_ns
scheduling.short_slices(0)  # whoever starts the tests may have had a wish of their own
usual = slice_ns()
scheduling.short_slices(100)
wished = slice_ns()
scheduling.short_slices(0)
print(wished != usual, slice_ns() == usual)
"""


def test_no_wish_takes_an_earlier_wish_back() -> None:
    done = subprocess.run([sys.executable, "-c", SLICE], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "True"]


def test_a_cpu_that_is_not_there_is_named_with_those_that_are() -> None:
    before = os.sched_getaffinity(0)
    with pytest.raises(ConfigError, match=r"cpus=\[4000\].*there="):
        scheduling.pin([4000], "spread-engine")
    assert os.sched_getaffinity(0) == before
