"""Logs: one line per event that a person would act on; counters tell the rest.

JSON where a machine reads (under systemd, into a file), coloured text on a terminal. Everything
goes to stderr: stdout belongs to what a command prints. What a library logs takes the same way.
Secrets that may stand in a URL (a proxy's password, a bot's token) are masked in every line.
"""

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import orjson
import structlog

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
MASK = "***"
FIRST = ("timestamp", "level", "process", "event")  # what a person looks for stands first

_CREDENTIALS = re.compile(r"(?<=://)[^/@\s'\"]+(?=@)")
_BOT_TOKEN = re.compile(r"(?<=/bot)[0-9]+:[A-Za-z0-9_-]+")


def set_up(process: str, level: str = "info", form: str = "auto") -> structlog.stdlib.BoundLogger:
    """Configure the logs of this process and return its logger, which names the process."""
    human = form == "human" or (form == "auto" and sys.stderr.isatty())
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    endings: list[Any]
    if human:
        endings = [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
    else:
        endings = [
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(serializer=_to_json),
        ]
    endings.append(_masked)
    structlog.configure(
        processors=[*shared, *endings],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    _take_in_libraries(process, shared, endings)
    logger: structlog.stdlib.BoundLogger = structlog.get_logger(process=process)
    return logger


def _take_in_libraries(process: str, shared: list[Any], endings: list[Any]) -> None:
    """Libraries log through the standard module; their warnings come out in the same form."""

    def named(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> Any:
        event["process"] = process
        return event

    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[named, structlog.stdlib.add_logger_name, *shared],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *endings],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)


def without_secrets(text: str) -> str:
    """The text with credentials in URLs masked."""
    return _BOT_TOKEN.sub(MASK, _CREDENTIALS.sub(MASK, text))


def _masked(_logger: Any, _method: str, line: str) -> str:
    """On the finished line: a secret may stand in a value, in the event or in a traceback."""
    return without_secrets(line)


def _to_json(event: dict[str, Any], **_: Any) -> str:
    ordered = {key: event.pop(key) for key in FIRST if key in event} | event
    return orjson.dumps(ordered, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
