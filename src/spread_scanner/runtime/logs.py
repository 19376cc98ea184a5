"""Logs: one line per event that a person would act on; counters tell the rest.

JSON where a machine reads (under systemd, into a file), coloured text on a terminal. Everything
goes to stderr: stdout belongs to what a command prints.
"""

import logging
import sys
from typing import Any

import orjson
import structlog

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


def set_up(process: str, level: str = "info", form: str = "auto") -> structlog.stdlib.BoundLogger:
    """Configure the logs of this process and return its logger, which names the process."""
    human = form == "human" or (form == "auto" and sys.stderr.isatty())
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    renderer: Any
    if human:
        renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    else:
        renderer = structlog.processors.JSONRenderer(serializer=_to_json)
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    # Libraries log through the standard module; their warnings reach the same place.
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, force=True)
    logger: structlog.stdlib.BoundLogger = structlog.get_logger(process=process)
    return logger


def _to_json(event: dict[str, Any], **_: Any) -> str:
    return orjson.dumps(event, default=str).decode()
