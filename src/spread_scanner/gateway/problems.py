"""Refusals, as RFC 9457 has them: problem JSON, with a code of ours that a program can act on."""

from http import HTTPStatus

import msgspec

from spread_scanner.errors import ConfigError, SegmentError, SpreadError, TableError, Unusable
from spread_scanner.orders.orders import UnknownTarget
from spread_scanner.view.stored import DatabaseUnreadable
from spread_scanner.view.symbols import UnknownSymbol

MEDIA_TYPE = "application/problem+json"


class Problem(msgspec.Struct, frozen=True):
    """Why a request was not answered."""

    title: str
    status: int
    code: str  # one word: unknown_pair, not_up
    detail: str
    type: str = "about:blank"
    instance: str = ""  # the path


class NotAnswered(SpreadError):
    """A request that is not answered: its status, and headers that go with it."""

    def __init__(
        self, status: HTTPStatus, code: str, detail: str, headers: tuple[tuple[str, str], ...] = ()
    ) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail, self.headers = status, code, detail, headers


def stopping() -> NotAnswered:
    """What the gateway's end leaves unanswered."""
    return NotAnswered(HTTPStatus.SERVICE_UNAVAILABLE, "stopping", "spread-gateway ends")


def problem(status: int, code: str, detail: str, path: str) -> Problem:
    """A refusal as it is sent."""
    return Problem(HTTPStatus(status).phrase, status, code, detail, instance=path)


def fault(path: str) -> Problem:
    """One of ours, without a word of it."""
    said = "a fault of ours; the log of spread-gateway says where"
    return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "fault", said, path)


def of_error(error: SpreadError, path: str) -> Problem:
    """What a fault of the world is to whoever asked."""
    if isinstance(error, NotAnswered):
        return problem(error.status, error.code, error.detail, path)
    if isinstance(error, Unusable | UnknownSymbol | UnknownTarget):
        return problem(HTTPStatus.NOT_FOUND, _code(error), str(error), path)
    if isinstance(error, SegmentError | TableError):
        return problem(HTTPStatus.SERVICE_UNAVAILABLE, "not_up", str(error), path)
    if isinstance(error, DatabaseUnreadable):
        return problem(HTTPStatus.SERVICE_UNAVAILABLE, _code(error), str(error), path)
    if isinstance(error, ConfigError):
        return problem(HTTPStatus.SERVICE_UNAVAILABLE, "bad_settings", str(error), path)
    return problem(HTTPStatus.CONFLICT, _code(error), str(error), path)


def _code(error: SpreadError) -> str:
    """UnknownPair is unknown_pair."""
    name = type(error).__name__
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")
