"""Logs: one line per event that a person would act on; counters tell the rest.

JSON where a machine reads (under systemd, into a file), coloured text on a terminal. Everything
goes to stderr: stdout belongs to what a command prints. What a library logs takes the same way.
Secrets that may stand in a URL (a proxy's password, a bot's token) are masked in every line.
A line that cannot be written (the log's disk is full) is lost, and the process goes on.
"""

import atexit
import contextlib
import logging
import re
import sys
from collections.abc import MutableMapping
from datetime import UTC, datetime, timedelta
from typing import Any, TextIO, cast

import orjson
import structlog

from spread_scanner import clock
from spread_scanner.errors import MASK, without_credentials
from spread_scanner.runtime import output

Log = structlog.stdlib.BoundLogger  # others import it from here: see runtime/__init__.py

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FIRST = ("timestamp", "level", "process", "event")  # what a person looks for stands first

_BOT_TOKEN = re.compile(r"(?<=/bot)[0-9]+:[A-Za-z0-9_-]+")


def set_up(process: str, level: str = "info", form: str = "auto") -> Log:
    """Configure the logs of this process and return its logger, which names the process."""
    on_terminal = sys.stderr is not None and sys.stderr.isatty()
    human = form == "human" or (form == "auto" and on_terminal)

    def named(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> Any:
        event.setdefault("process", process)  # whoever logs without our logger is of us, too
        return event

    shared: list[Any] = [
        named,
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        _stamped,
    ]
    endings: list[Any]
    if human:
        plain = structlog.dev.plain_traceback
        endings = [structlog.dev.ConsoleRenderer(colors=on_terminal, exception_formatter=plain)]
    else:
        endings = [
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(serializer=_to_json),
        ]
    endings.append(_masked if human else _masked_json)
    structlog.configure(
        processors=[*shared, *endings],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(cast("TextIO", Lossy(sys.stderr))),
        cache_logger_on_first_use=True,
    )
    _take_in_libraries(shared, endings)
    return get_logger(process=process)


def get_logger(**bound: str) -> Log:
    """This process's, for whoever is handed none; `bound` stands in each of its lines."""
    logger: Log = structlog.get_logger(**bound)
    return logger


def _take_in_libraries(shared: list[Any], endings: list[Any]) -> None:
    """Libraries log through the standard module; their warnings come out in the same form."""

    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *endings],
    )
    handler = logging.StreamHandler(Lossy(sys.stderr))
    handler.setFormatter(formatter)
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)


class Lossy:
    """A stream of log lines whose writes never fail: a line is worth less than the process.

    A full disk, a reader that has gone, a closed terminal: what cannot be written is lost.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        if stream is not None:
            atexit.register(self._give_up)

    def write(self, text: str) -> int:
        """All of it, or nothing."""
        if self._stream is not None:
            with contextlib.suppress(OSError, ValueError):  # closed is a ValueError
                self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """What can be written now."""
        if self._stream is not None:
            with contextlib.suppress(OSError, ValueError):
                self._stream.flush()

    def _give_up(self) -> None:
        """At the end: what Python itself cannot flush then would make the exit code 120."""
        if self._stream is None or self._stream.closed:
            return
        try:
            self._stream.flush()
        except OSError:
            output.lead_nowhere(self._stream.fileno())


def without_secrets(text: str) -> str:
    """The text with credentials in URLs masked, and tokens of bots."""
    return _BOT_TOKEN.sub(MASK, without_credentials(text))


def _stamped(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> Any:
    now = EPOCH + timedelta(microseconds=clock.wall_ns() // 1_000)
    event["timestamp"] = now.isoformat(timespec="microseconds").replace("+00:00", "Z")
    return event


def _masked(_logger: Any, _method: str, line: str) -> str:
    """On the finished line: a secret may stand in a value, in the event or in a traceback."""
    return without_secrets(line)


def _masked_json(_logger: Any, _method: str, line: str) -> str:
    return _BOT_TOKEN.sub(MASK, without_credentials(line, as_json=True))


def _to_json(event: dict[str, Any], **_: Any) -> str:
    ordered = {key: event.pop(key) for key in FIRST if key in event} | event
    return orjson.dumps(ordered, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
