"""Questions about the past, which a child answers: it loads what that takes, and ends.

The child is spread-ctl. So many run at once, each has its time and its memory, and all give way to
whoever has something to do now. The gateway's end is not held up by them: they are killed then.
"""

import contextlib
import os
import resource
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any

import msgspec

from spread_scanner.gateway.problems import NotAnswered, stopping
from spread_scanner.schema.figures import plain
from spread_scanner.schema.moments import moment_ns
from spread_scanner.schema.names import EXIT_DONE, EXIT_SETTINGS, SUPERVISOR

CHILDREN_MAX = 2
ANSWER_S = 30.0
MEMORY_BYTES_MAX = 4 << 30  # of addresses, not of what is used
NICENESS = 10
# What is shown of a view's rows, and what comes first.
_NEWEST_FIRST = {
    "candles": ("*", "ts DESC"),
    "spreads": ("* EXCLUDE (arrival)", "ts DESC, arrival DESC"),
}
_turns = threading.BoundedSemaphore(CHILDREN_MAX)
_running: set[subprocess.Popen[bytes]] = set()
_ending = threading.Event()


def end() -> None:
    """The gateway ends: nobody's answer is waited for any more."""
    _ending.set()
    for child in list(_running):
        child.kill()


def ask(*arguments: str) -> bytes:
    """What a command of spread-ctl says under --json. Raises NotAnswered."""
    if not _turns.acquire(blocking=False):
        said = f"{CHILDREN_MAX} questions about the past are being answered"
        again = (("retry-after", "1"),)
        raise NotAnswered(HTTPStatus.TOO_MANY_REQUESTS, "busy", said, again)
    try:
        return _answer(arguments)
    finally:
        _turns.release()


@contextlib.contextmanager
def _known(child: subprocess.Popen[bytes]) -> Iterator[None]:
    """While it runs `end` knows it; one that `end` came before ends here."""
    _running.add(child)
    try:
        if _ending.is_set():
            child.kill()
        yield
    finally:
        _running.discard(child)


def _command() -> list[str]:
    return [sys.executable, str(Path(sys.executable).with_name(SUPERVISOR))]


def _answer(arguments: tuple[str, ...]) -> bytes:
    with (
        subprocess.Popen(
            [*_command(), *arguments, "--json"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as child,
        _known(child),
    ):
        # It may have ended; and a service may be refused either, whose unit has its bounds.
        with contextlib.suppress(OSError):
            resource.prlimit(child.pid, resource.RLIMIT_AS, (MEMORY_BYTES_MAX, MEMORY_BYTES_MAX))
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, child.pid, NICENESS)
        try:
            said, _ = child.communicate(timeout=ANSWER_S)
        except subprocess.TimeoutExpired:
            child.kill()
            too_slow = f"no answer within {plain(ANSWER_S)} s: ask for less"
            raise NotAnswered(HTTPStatus.GATEWAY_TIMEOUT, "too_slow", too_slow) from None
    if child.returncode == EXIT_DONE:
        return said
    if _ending.is_set():
        raise stopping()
    wrong = child.returncode == EXIT_SETTINGS
    raise NotAnswered(
        HTTPStatus.BAD_REQUEST if wrong else HTTPStatus.CONFLICT,
        "bad_request" if wrong else "no_answer",
        _reason(said) or f"{SUPERVISOR} {arguments[0]} ended with {child.returncode}",
    )


def _reason(said: bytes) -> str:
    """What a command that failed says."""
    with contextlib.suppress(msgspec.DecodeError):
        failure: Any = msgspec.json.decode(said)
        if isinstance(failure, dict):
            return str(failure.get("error", ""))
    return ""


def rows_of(
    view: str,
    span: tuple[str | None, str | None],
    symbol: str,
    sources: Sequence[str],
    **wanted: str,
) -> tuple[str, ...]:
    """The question for rows of a symbol and its sources, the newest first; since and until when,
    where that is named. Raises NotAnswered for a period that is empty."""
    since, until = (None if said is None else moment_ns(said) for said in span)
    if since is not None and until is not None and since >= until:
        said = "the period is empty: since is to be before until"
        raise NotAnswered(HTTPStatus.BAD_REQUEST, "bad_request", said)
    rules = [f"{column} = '{_quoted(value)}'" for column, value in wanted.items()]
    for sign, moment in ((">=", since), ("<", until)):
        if moment is not None:
            rules.append(f"ts {sign} make_timestamp_ns({moment})")
    columns, order = _NEWEST_FIRST[view]
    sql = f"SELECT {columns} FROM {view} WHERE {' AND '.join(rules)} ORDER BY {order}"
    of = [f"--source={source}" for source in sources]
    return "history", sql, f"--symbol={symbol}", *of


def _quoted(text: str) -> str:
    return text.replace("'", "''")
