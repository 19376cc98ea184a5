"""Births, deaths and leftovers of segments: killed at every line of a creation, or any time."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
pytestmark = [pytest.mark.stress]


def lives(*args: object) -> str:
    command = [sys.executable, str(HERE / "shm_lives.py"), *map(str, args)]
    return subprocess.check_output(command, text=True, timeout=100).strip()


@pytest.mark.slow
@pytest.mark.parametrize("form", ["fresh", "over"])
def test_l1_killed_at_any_line_of_a_creation_the_next_succeeds_and_no_half_is_attached(
    namespace: str, form: str
) -> None:
    """ "fresh" makes the first store of a namespace, "over" replaces one that stands."""
    words = lives("create", namespace, form).split()
    found = dict(zip(words[::2], map(int, words[1::2]), strict=True))
    assert found["lines"] > 80
    assert found["refused"] > 60
    assert found["attached"] >= 2  # at the end, at least, it is there
    assert found["refused"] + found["attached"] == found["lines"] + 1


def test_l6_a_hundred_lives_killed_at_random_leave_nothing(namespace: str, seed: int) -> None:
    """/dev/shm (segments and semaphores) and open files are the same before and after."""
    before = {name for name in os.listdir("/dev/shm") if not name.startswith("test-")}
    assert lives("leaks", namespace, 100, seed) == "names True files 0 stuck 0 cleaned 6"
    after = {name for name in os.listdir("/dev/shm") if name.startswith(namespace)}
    assert after == set()
    assert not {name for name in os.listdir("/dev/shm") if name.startswith("sem.")} - before
