"""Why nobody was reached, in a few words, the kind first: for a row of health, a log, the doctor.

Used by whoever dials or asks: ws.py, rest.py, what asks providers, doctor. Pure.
"""

import socket
import ssl
from collections.abc import Iterator

import httpx
from python_socks import ProxyError
from python_socks._errors import IncompleteReadError  # picows lets it through, and no other has it

from spread_scanner.schema.figures import plain


def failure_in_words(error: BaseException, timeout_s: float | None = None) -> str:
    """Of the error, or of what it came from: "DNS: ...", "connection refused", "timed out"."""
    known = (_in_words(one, timeout_s) for one in _origins(error))
    return next((words for words in known if words), "") or _text(error)


def _origins(error: BaseException | None) -> Iterator[BaseException]:
    """It, and what it came from, hidden by a library or not: httpcore hides what tells the kind."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _text(error: BaseException) -> str:
    return str(error) or type(error).__name__


def _in_words(error: BaseException, timeout_s: float | None) -> str:
    """Empty: of no kind that is known."""
    text = _text(error)
    match error:
        case socket.gaierror():
            return f"DNS: {error.strerror or text}"
        case ssl.SSLCertVerificationError():
            return f"TLS: {error.verify_message or text}"
        case ssl.SSLError():  # one that a library made itself has no reason
            return f"TLS: {getattr(error, 'reason', None) or text}"
        case TimeoutError() | httpx.TimeoutException():
            return "timed out" + (f" after {plain(timeout_s)} s" if timeout_s else "")
        case ConnectionRefusedError():
            return "connection refused"
        case ConnectionError():
            return f"connection lost: {text}"
        case ProxyError() | IncompleteReadError() | httpx.ProxyError():
            return f"proxy: {text}"
        case ValueError():  # UnicodeError is one: a label of a name that cannot be encoded
            return f"bad address: {text}"
    return ""
