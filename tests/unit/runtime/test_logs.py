"""Logs: JSON without a terminal, text on one; nothing that is secret; libraries and faults too."""

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable

import pytest

RunPython = Callable[..., tuple[int, str]]

SAY = """
from spread_scanner.runtime import logs
log = logs.set_up("feed-x", form="{form}")
log.info("dialling again", in_s=1.5)
"""


def lines(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def test_without_a_terminal_each_event_is_one_json_object(run_python: RunPython) -> None:
    code, said = run_python(SAY.format(form="auto"))
    assert code == 0
    (event,) = lines(said)
    assert list(event) == ["timestamp", "level", "process", "event", "in_s"]
    assert (event["level"], event["process"], event["event"]) == (
        "info",
        "feed-x",
        "dialling again",
    )


def test_a_line_is_stamped_by_the_installed_clock(run_python: RunPython) -> None:
    code, said = run_python(
        "from spread_scanner import clock\n"
        "with clock.use(clock.VirtualClock(wall_ns=1_790_000_000_000_001_999)):\n"
        + SAY.format(form="json").replace("\n", "\n    ")
    )
    assert code == 0
    assert lines(said)[0]["timestamp"] == "2026-09-21T14:13:20.000001Z"


@pytest.mark.parametrize(("form", "human"), [("auto", True), ("json", False)])
def test_on_a_terminal_it_is_text_unless_json_is_asked_for(form: str, human: bool) -> None:
    ours, theirs = pty.openpty()
    try:
        subprocess.run(
            [sys.executable, "-c", SAY.format(form=form)], stderr=theirs, check=True, timeout=20
        )
        said = os.read(ours, 65_536).decode()
    finally:
        os.close(ours)
        os.close(theirs)
    assert "dialling again" in said
    assert said.startswith("{") is not human


def test_what_a_library_says_comes_in_the_same_form(run_python: RunPython) -> None:
    code, said = run_python(
        SAY.format(form="json") + "import logging\n"
        "logging.getLogger('asyncio').error('task %s was lost', 7)\n"
        "logging.getLogger('httpx').info('not worth a line')\n"
    )
    assert code == 0
    event = lines(said)[1]
    assert (event["process"], event["logger"], event["event"]) == (
        "feed-x",
        "asyncio",
        "task 7 was lost",
    )
    assert len(lines(said)) == 2


def test_a_traceback_is_a_part_of_one_line(run_python: RunPython) -> None:
    code, said = run_python(
        SAY.format(form="json") + "try:\n    1 / 0\nexcept Exception:\n    log.exception('fault')\n"
    )
    assert code == 0
    event = lines(said)[1]
    assert event["level"] == "error"
    assert "ZeroDivisionError" in str(event["exception"])


@pytest.mark.parametrize("form", ["json", "human"])
def test_no_line_shows_a_secret(run_python: RunPython, form: str) -> None:
    code, said = run_python(
        SAY.format(form=form)
        + "log.warning('dial failed', proxy='socks5://me:hunter2@proxy.example:1080')\n"
        "log.warning('dial failed', url='wss://me:pa@hunter2@exchange.example/ws?at=1@2')\n"
        "log.warning('dial failed', url='wss://me:pa\\'hunter2@exchange.example/ws')\n"
        "log.warning('dial failed', url='wss://me:pa\"hunter2@exchange.example', of='a@b')\n"
        "log.warning('dial failed', why='no http://me:\"\\\\\"hunter2@proxy.example')\n"
        "log.warning('not sent: https://api.example/bot123456:AAF-x_9z/sendMessage')\n"
        "try:\n    raise OSError('http://me:hunter2@proxy.example refused')\n"
        "except OSError:\n    log.exception('fault of http://me:hunter2@proxy.example')\n"
    )
    assert code == 0
    assert "hunter2" not in said
    assert "AAF-x_9z" not in said
    assert "proxy.example:1080" in said, "what is no secret stays"
    assert "exchange.example/ws?at=1@2" in said
    if form == "json":
        assert [line.get("of") for line in lines(said)].count("a@b") == 1


def test_a_value_that_json_does_not_know_is_logged_as_text(run_python: RunPython) -> None:
    code, said = run_python(
        SAY.format(form="json")
        + "from pathlib import Path\nlog.info('at', file=Path('x'), of={1})\n"
    )
    assert code == 0
    assert lines(said)[1]["file"] == "x"


FULL = """
import os, sys
from spread_scanner.runtime import logs
log = logs.set_up("feed-x", form="json")
for _ in range(300):
    log.info("a line that is lost", filling="x" * 100)
import logging
logging.getLogger("asyncio").error("one of a library")
sys.stdout.write("lives")
"""


def no_reader() -> int:
    """The writing end of a pipe whose other end is closed."""
    reading, writing = os.pipe()
    os.close(reading)
    return writing


@pytest.mark.parametrize("target", ["full", "closed", "no reader"])
def test_a_log_that_cannot_be_written_ends_no_process(target: str) -> None:
    child = f"exec {sys.executable} -c '{FULL}'"
    errors = os.open("/dev/full", os.O_WRONLY) if target == "full" else no_reader()
    try:
        done = subprocess.run(
            ["bash", "-c", f"{child} 2>&-" if target == "closed" else child],
            stdout=subprocess.PIPE,
            stderr=errors,
            timeout=60,
            check=False,
        )
    finally:
        os.close(errors)
    assert (done.returncode, done.stdout) == (0, b"lives")


def test_a_line_of_a_room_without_a_logger_of_its_own_says_who(run_python: RunPython) -> None:
    """As the retries of REST do: who, what, where, why."""
    code, said = run_python(
        SAY.format(form="json") + "import structlog\n"
        "structlog.get_logger().warning('REST request failed', url='https://x', why='503')\n"
    )
    assert code == 0
    event = lines(said)[1]
    assert (event["process"], event["url"], event["why"]) == ("feed-x", "https://x", "503")


@pytest.mark.parametrize(
    "room", ["engine", "feed", "tracker", "analyst", "recorder", "gateway", "pools", "paths"]
)
def test_a_process_does_not_load_what_draws_on_terminals(run_python: RunPython, room: str) -> None:
    """structlog would, wherever it is imported first: 4 MB, and a seventh of a start."""
    code, said = run_python(
        f"import sys, spread_scanner.{room}.main\n"
        "print({'rich', 'pygments'} & sys.modules.keys(), file=sys.stderr)"
    )
    assert (code, said) == (0, "set()\n")
