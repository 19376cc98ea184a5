"""What tests of every room share: namespaces and child processes that leave nothing behind."""

import contextlib
import itertools
import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest
import structlog

import bed
from spread_scanner import clock
from spread_scanner.shm import segment

TESTS = Path(__file__).parent
DEADLINE_S = 60.0
_numbers = itertools.count()

# An example that takes long, or many of them, tells of the machine and not of what is tested.
# What gates a change tries the same examples each time, so that red means the change;
# SPREAD_EXPLORE (`make nightly`) tries new ones.
hypothesis.settings.register_profile(
    "any machine",
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
    print_blob=True,
    derandomize="SPREAD_EXPLORE" not in os.environ,
)
hypothesis.settings.load_profile("any machine")

KNOWN_SEED = "fcb57de"
SLOW_FOLDERS = {"days", "clients"}


def pytest_configure(config: pytest.Config) -> None:
    """The days' seed, drawn before there are workers, so that all of them have the same: fresh at
    each run where many whole days are lived (SPREAD_DAYS). What gates a change lives days that
    nobody has lived before, and of one commit always the same.
    """
    if not os.environ.get("SPREAD_DAYS_SEED"):
        fresh = "SPREAD_DAYS" in os.environ
        of_commit = bed.seed_of_tree(TESTS, KNOWN_SEED)
        os.environ["SPREAD_DAYS_SEED"] = secrets.token_hex(3) if fresh else of_commit


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """By which seed what came out can be had again, however it came out."""
    reports = [one for told in terminalreporter.stats.values() for one in told]
    if any("days/test_" in getattr(one, "nodeid", "") for one in reports):
        seed = os.environ["SPREAD_DAYS_SEED"]
        terminalreporter.write_line(f"days: seed {seed}, again with SPREAD_DAYS_SEED={seed}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All of some folders is slow."""
    for item in items:
        folder = item.path.relative_to(TESTS).parts[0]
        if folder in SLOW_FOLDERS:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(autouse=True)
def _no_log_of_the_test_before() -> Iterator[None]:
    """A test that sets logging up sends it to a stream that is closed when it ends."""
    yield
    structlog.reset_defaults()


@pytest.fixture
def namespace() -> Iterator[str]:
    """A shared-memory namespace of this test alone; what stands in it afterwards is removed."""
    name = f"test-{os.getpid()}-{next(_numbers)}"
    yield name
    for left in segment.names(name):
        segment.remove(left)


@pytest.fixture
def virtual_clock() -> Iterator[clock.VirtualClock]:
    """Installed for the test: time moves when the test says so."""
    with clock.use(clock.VirtualClock()) as moved:
        yield moved


@pytest.fixture
def start_python() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts Python code in a process of its own, with its standard streams as pipes."""
    started: list[subprocess.Popen[str]] = []

    def start_child(code: str, *args: object) -> subprocess.Popen[str]:
        child = subprocess.Popen(
            [sys.executable, "-c", code, *map(str, args)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(child)
        return child

    yield start_child
    for child in started:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        child.communicate()


@pytest.fixture
def run_python(
    start_python: Callable[..., subprocess.Popen[str]],
) -> Callable[..., tuple[int, str]]:
    """Runs Python code in a process of its own to its end: (exit code, output)."""

    def run_child(code: str, *args: object) -> tuple[int, str]:
        child = start_python(code, *args)
        out, err = child.communicate(timeout=DEADLINE_S)
        return child.returncode, out + err

    return run_child


@pytest.fixture
def until() -> Callable[[Callable[[], object]], None]:
    """Waits for a condition, at most to a deadline."""
    return bed.until
