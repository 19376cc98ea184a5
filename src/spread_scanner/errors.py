"""The root of every error this project raises, and what the receiver should do about each.

Two classes of fault, never mixed. A fault of the world (bad bytes, a lost connection, a full disk,
a wrong setting) is a SpreadError: typed, counted, carrying its evidence, and survived where a
process can go on. A fault of ours is any other exception: it ends the process, and start is
recovery.
"""

import re
from enum import Enum

EVIDENCE_BYTES_MAX = 200
MASK = "***"
# An @ may be of the password; so may quotes, which people leave as they are.
_CREDENTIALS = re.compile(r"(?<=://)[^/?#\s]+(?=@)")
# In a line of JSON a quote of the password stands behind a backslash; a bare one ends the text.
_CREDENTIALS_IN_JSON = re.compile(r'(?<=://)(?:\\.|[^/?#\s"\\])+(?=@)')


def without_credentials(text: str, *, as_json: bool = False) -> str:
    """The text with user and password of each URL masked; `as_json`: it is a line of that."""
    return (_CREDENTIALS_IN_JSON if as_json else _CREDENTIALS).sub(MASK, text)


class Category(Enum):
    """What the receiver of an error is expected to do."""

    FATAL = "fatal"  # this process cannot go on: say why and end
    ERROR = "error"  # this action failed, the process goes on
    WARN = "warn"  # worth counting, nothing failed


class SpreadError(Exception):
    """Root of the tree. `evidence` holds what a person needs to see the cause; as text it shows no
    user and no password of a URL.
    """

    category = Category.ERROR

    def __init__(self, message: str, **evidence: object) -> None:
        super().__init__(message)
        self.message = message
        self.evidence = evidence

    def __str__(self) -> str:
        if not self.evidence:
            return without_credentials(self.message)
        details = ", ".join(f"{key}={_shown(value)}" for key, value in self.evidence.items())
        return without_credentials(f"{self.message} ({details})")


def _shown(value: object) -> str:
    if isinstance(value, bytes | bytearray | memoryview):
        return repr(bytes(value[:EVIDENCE_BYTES_MAX]))
    return repr(value) if isinstance(value, str) else str(value)


class ConfigError(SpreadError):
    """A setting that cannot be used: names the file, the key and what is allowed."""

    category = Category.FATAL


class NoSettings(ConfigError):
    """Where the settings are looked for there are none."""


class Unusable(SpreadError):
    """What somebody asked for names nothing that is there, or cannot be read: ask otherwise."""


class SegmentError(SpreadError):
    """A shared-memory segment that cannot be made or attached."""

    category = Category.FATAL


class BadMessage(SpreadError):
    """Bytes from an exchange that are not what its documentation promises."""

    category = Category.WARN


class BadQuote(BadMessage):
    """A message in good form with a price or size that cannot be (zero, negative, not finite)."""


class ExchangeError(SpreadError):
    """An exchange refused or failed a request."""


class TableError(SpreadError):
    """The generated symbol and direction tables are missing, torn or of another generation."""

    category = Category.FATAL
