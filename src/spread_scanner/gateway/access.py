"""Who may ask: by the Host and Origin that a request names, by its token, and how often.

A browser sends its user's requests to any address that a page names, and a name may be pointed at
this machine by anybody: so that a request is answered only when its Host is an address, localhost
or a name of the settings, and one that changes something only when its Origin is the gateway's own.
"""

import hmac
import ipaddress
import math
from collections.abc import Mapping
from functools import lru_cache
from http import HTTPStatus

from spread_scanner import clock
from spread_scanner.clock import NS_PER_S
from spread_scanner.config.files import Tokens
from spread_scanner.config.settings import Gateway
from spread_scanner.gateway.cookies import cookie_of, holds
from spread_scanner.gateway.problems import NotAnswered
from spread_scanner.schema.figures import plain

ADDRESSES_MAX = 10_000  # of which is remembered how often they asked
REMEMBERED = 1_024  # hosts and addresses, as reading one costs more than an answer
STRANGERS = "strangers"  # for whom there is no room
ASK_FOR_IT = (("www-authenticate", "Bearer"),)


class Access:
    """The rules of one set of settings."""

    def __init__(self, settings: Gateway, tokens: Tokens) -> None:
        self._settings = settings
        self.tokens = tokens
        self._names = {"localhost", *(name.lower() for name in settings.hosts)}
        self._origins = set(map(_as_sent, settings.origins))
        self._pace = AddressPace(settings.rate_per_s, settings.rate_burst)

    def check(self, address: str, headers: Mapping[bytes, bytes], *, tokens: bool = True) -> None:
        """Raises NotAnswered when a request may not be answered at all; without `tokens` by all
        but its token."""
        self._check_host(headers.get(b"host", b"").decode("latin-1"))
        whose = whose_pace(address)
        if whose:
            wait_s = self._pace.wait_s(whose)
            if wait_s:
                after = (("retry-after", str(math.ceil(wait_s))),)
                said = f"over {plain(self._settings.rate_per_s)} requests a second"
                raise NotAnswered(HTTPStatus.TOO_MANY_REQUESTS, "too_many", said, after)
        if tokens:
            self._check_token(headers)

    def cookie_for(self, token: bytes) -> str:
        """What the dashboard holds from now on instead of the token that it was told; empty where
        nobody needs one. Raises NotAnswered when that is not the token."""
        if not self.tokens.to_read:
            return ""
        known = (self.tokens.to_read, self.tokens.to_control or self.tokens.to_read)
        if not any(hmac.compare_digest(token, one) for one in known):
            raise NotAnswered(HTTPStatus.UNAUTHORIZED, "no_token", "that is not the token")
        return cookie_of(self.tokens.to_read)

    @property
    def over_tls(self) -> bool:
        """Whether the gateway itself encrypts what it tells."""
        return bool(self._settings.tls_certificate)

    def check_control(self, headers: Mapping[bytes, bytes]) -> None:
        """Raises NotAnswered when a request may not change anything; who sends no token is told
        which one is wanted here."""
        if not self.tokens.to_control:
            self._check_token(headers)
            said = "control is off: spread-gateway.control_token_file names no token"
            raise NotAnswered(HTTPStatus.FORBIDDEN, "control_off", said)
        if b"origin" in headers and not self._own(headers):
            said = "a page of another origin controls nothing"
            raise NotAnswered(HTTPStatus.FORBIDDEN, "foreign_page", said)
        if not self._may_control(headers):
            said = "send the control token as Authorization: Bearer"
            raise NotAnswered(HTTPStatus.UNAUTHORIZED, "no_token", said, ASK_FOR_IT)

    def check_socket(self, address: str, headers: Mapping[bytes, bytes]) -> None:
        """Raises NotAnswered when nobody may be told over a socket; browsers hold no other page's
        script back from opening one, so that its Origin decides."""
        self.check(address, headers)
        self.check_page(headers)

    def check_page(self, headers: Mapping[bytes, bytes]) -> None:
        """Raises NotAnswered when the page of another site asks that is none of the settings'.
        Behind a proxy that has the certificate the dashboard's own origin is one of these: its
        scheme is not known here, and what a proxy says of it anybody else could say as well."""
        origin = headers.get(b"origin", b"")
        if origin and not self._own(headers) and origin.decode("latin-1") not in self._origins:
            said = "no page of spread-gateway.origins"
            raise NotAnswered(HTTPStatus.FORBIDDEN, "foreign_page", said)

    def reader_of(self, origin: str, *, short: bool) -> str:
        """Which page may read the answer: a value of Access-Control-Allow-Origin, or nothing."""
        if short and not self.tokens.to_read:
            return "*"
        return origin if origin in self._origins else ""

    def _check_host(self, host: str) -> None:
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() else host
        name = name.removeprefix("[").removesuffix("]").lower()
        if name not in self._names and not _is_address(name):
            said = f"no host of spread-gateway.hosts: {name!r}"
            raise NotAnswered(HTTPStatus.MISDIRECTED_REQUEST, "unknown_host", said)

    def _check_token(self, headers: Mapping[bytes, bytes]) -> None:
        if not self._may_read(headers):
            said = "send the token as Authorization: Bearer"
            raise NotAnswered(HTTPStatus.UNAUTHORIZED, "no_token", said, ASK_FOR_IT)

    def _may_read(self, headers: Mapping[bytes, bytes]) -> bool:
        token = self.tokens.to_read
        return (
            not token
            or _sends(headers, token)
            or holds(headers, token)
            or self._may_control(headers)
        )

    def _may_control(self, headers: Mapping[bytes, bytes]) -> bool:
        return bool(self.tokens.to_control) and _sends(headers, self.tokens.to_control)

    def _own(self, headers: Mapping[bytes, bytes]) -> bool:
        scheme = b"https://" if self.over_tls else b"http://"
        return headers[b"origin"] == scheme + headers.get(b"host", b"")


class AddressPace:
    """So many a second of each address, with bursts (GCRA, as runtime/gate.py has it)."""

    def __init__(self, per_s: float, burst: int) -> None:
        # Whole ns: of a part of one nobody is refused, or for ever.
        self._each_ns = round(NS_PER_S / per_s)
        self._ahead_ns = self._each_ns * burst
        self._next_ns: dict[str, int] = {}
        self._tidied_ns = 0

    def wait_s(self, address: str) -> float:
        """0: it may; else after how long it may again. What is refused costs nothing."""
        now_ns = clock.mono_ns()
        if len(self._next_ns) >= ADDRESSES_MAX and address not in self._next_ns:
            address = self._room_for(address, now_ns)
        due_ns = max(self._next_ns.get(address, 0), now_ns) + self._each_ns
        if due_ns - now_ns > self._ahead_ns:
            return (due_ns - now_ns - self._ahead_ns) / NS_PER_S
        self._next_ns[address] = due_ns
        return 0.0

    def _room_for(self, address: str, now_ns: int) -> str:
        """A newcomer's name; where too many are remembered, newcomers share one."""
        if now_ns - self._tidied_ns >= NS_PER_S:
            self._tidied_ns = now_ns
            self._next_ns = {one: at for one, at in self._next_ns.items() if at > now_ns}
        return address if len(self._next_ns) < ADDRESSES_MAX else STRANGERS


def _as_sent(origin: str) -> str:
    """As browsers say it: in small letters, without the port that a scheme has by itself."""
    origin = origin.lower()
    usual = ":443" if origin.startswith("https:") else ":80"
    return origin.removesuffix(usual)


def _sends(headers: Mapping[bytes, bytes], token: bytes) -> bool:
    scheme, _, sent = headers.get(b"authorization", b"").partition(b" ")
    return scheme.lower() == b"bearer" and hmac.compare_digest(sent.strip(), token)


@lru_cache(REMEMBERED)
def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


@lru_cache(REMEMBERED)
def whose_pace(address: str) -> str:
    """Whose requests count together: an address of IPv4, the network of one of IPv6, of which one
    host has 2^64 addresses; nobody's: those of this machine."""
    try:
        known = ipaddress.ip_address(address)
    except ValueError:  # no address: a test's client, a socket of the file system
        return address or STRANGERS
    if isinstance(known, ipaddress.IPv6Address):
        if known.ipv4_mapped is None:
            network = ipaddress.ip_network((known, 64), strict=False)
            return "" if known.is_loopback else str(network)
        known = known.ipv4_mapped
    return "" if known.is_loopback else str(known)
