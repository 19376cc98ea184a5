"""Whether a URL that somebody sets can be dialled at all: by whoever dials, in the strictest
reading.

A URL goes to several libraries (picows, httpx, python-socks), each with a reading of its own: what
one of them would stumble over while it runs is refused here for all. Nothing that is said repeats
a URL or a part of it: it may hold a password. Used by the rules of agreement and by clients. Pure.
"""

import ipaddress
import re
from urllib.parse import SplitResult, urlsplit

_LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
# A name whose last label is one is an address of IPv4.
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")
_HOST_CHARS_MAX = 253
_UNWRITTEN = re.compile(r'[\\<>"^`{|}]')  # no URL has them (RFC 3986), but for people's passwords
_PLACE = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\[\]:@]+))(?::([0-9]{0,5}))?")
_PORT_MAX = 65_535


def fault_of(url: str) -> str:
    """What a URL has to be and is not; empty: it can be dialled."""
    if re.search(r"[\s\x00-\x1f\x7f]", url):
        return "a URL without blanks"
    try:
        url.encode()
        parts = urlsplit(url)
    except ValueError:  # UnicodeError is one; what it says may quote a password
        return "a URL with a host, by name or address"
    behind_the_password = parts.netloc.rpartition("@")[2]
    if _UNWRITTEN.search(behind_the_password + parts.path + parts.query):
        return 'a URL without \\ < > " ^ ` { | }'
    place = _PLACE.fullmatch(behind_the_password)
    if place is None or not _is_host(place[1], place[2]):
        return "a URL with a host, by name or address"
    if place[3] and not 0 < int(place[3]) <= _PORT_MAX:
        return f"a URL with a host, and a port from 1 to {_PORT_MAX:,} if any"
    return "a URL without #" if "#" in url else ""


def fault_of_base(url: str) -> str:
    """As `fault_of`, of what paths are put behind."""
    return fault_of(url) or ("a URL without ?" if "?" in url else "")


def fault_of_proxy(url: str) -> str:
    """As `fault_of`, of a proxy: a host and a port, and nothing behind them."""
    said = fault_of(url)
    if said:
        return said
    parts = urlsplit(url)
    if parts.path.strip("/") or "?" in url:
        return "a URL with nothing behind host and port"
    return "a URL with a port" if _needs_port(parts) else ""


def _needs_port(parts: SplitResult) -> bool:
    """The websocket's way through SOCKS knows no usual port."""
    return parts.scheme.startswith("socks") and parts.port is None


def _is_host(in_brackets: str | None, name: str | None) -> bool:
    try:
        if in_brackets is not None:
            ipaddress.IPv6Address(in_brackets)
            return True
        spelled = str(name)
        if not spelled.isascii() or "xn--" in spelled.lower():
            # As httpx reads and writes it; the resolver is less strict. Imported here, as it is a
            # megabyte that usual names do not need.
            import idna

            spelled = idna.encode(spelled.lower()).decode()
            idna.decode(spelled)
        labels = spelled.removesuffix(".").split(".")
        if _NUMBER.fullmatch(labels[-1]):
            ipaddress.IPv4Address(spelled)
            return True
    except ValueError:  # idna's errors and the addresses' are
        return False
    return len(spelled) <= _HOST_CHARS_MAX and all(_LABEL.fullmatch(label) for label in labels)
