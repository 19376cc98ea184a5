"""The dashboard's login: a cookie that is made of the token and is not the token.

No script can read it and no other site's page can have it sent. It gives nothing away that could be
sent as a token, lives through a restart of the gateway, and ends when the token changes. It lets
read; to control anything takes the control token itself.
"""

import hashlib
import hmac
from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie

COOKIE = "spread-scanner"
COOKIE_S = 30 * 86_400


def cookie_of(token: bytes) -> str:
    """What a browser holds instead of a token."""
    return hmac.new(token, COOKIE.encode(), hashlib.sha256).hexdigest()


def holds(headers: Mapping[bytes, bytes], token: bytes) -> bool:
    """Whether a request has the cookie of a token."""
    try:
        found = SimpleCookie(headers.get(b"cookie", b"").decode("latin-1")).get(COOKIE)
    except CookieError:
        return False
    return found is not None and hmac.compare_digest(
        found.value.encode(), cookie_of(token).encode()
    )


def set_cookie(value: str, *, secure: bool) -> bytes:
    """The header's value; an empty cookie ends at once."""
    lasting_s = COOKIE_S if value else 0
    kept = f"{COOKIE}={value}; Path=/; Max-Age={lasting_s}; HttpOnly; SameSite=Strict"
    return f"{kept}; Secure".encode() if secure else kept.encode()
