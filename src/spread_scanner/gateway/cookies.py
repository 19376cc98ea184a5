"""The dashboard's login: a cookie that is made of the token and is not the token.

No script can read it and no other site's page can have it sent. It gives nothing away that could be
sent as a token, lives through a restart of the gateway, and ends when the token changes. It lets
read; to control anything takes the control token itself.
"""

import hashlib
import hmac
from collections.abc import Mapping

COOKIE = "spread-scanner"
COOKIE_S = 30 * 86_400


def cookie_of(token: bytes) -> str:
    """What a browser holds instead of a token."""
    return hmac.new(token, COOKIE.encode(), hashlib.sha256).hexdigest()


def name_of(headers: Mapping[bytes, bytes]) -> bytes:
    """Browsers send a host's cookies to each of its ports: the name says whose it is."""
    port = headers.get(b"host", b"").rpartition(b":")[2]
    return COOKIE.encode() + (b"-" + port if port.isdigit() else b"")


def holds(headers: Mapping[bytes, bytes], token: bytes) -> bool:
    """Whether a request has the cookie of a token, whatever others it has."""
    name, value = name_of(headers), cookie_of(token).encode()
    pairs = (one.strip().partition(b"=") for one in headers.get(b"cookie", b"").split(b";"))
    return any(one == name and hmac.compare_digest(held, value) for one, _, held in pairs)


def set_cookie(headers: Mapping[bytes, bytes], value: str, *, secure: bool) -> bytes:
    """The header's value; an empty cookie ends at once."""
    lasting_s = COOKIE_S if value else 0
    about = f"={value}; Path=/; Max-Age={lasting_s}; HttpOnly; SameSite=Strict"
    return name_of(headers) + about.encode() + (b"; Secure" if secure else b"")
