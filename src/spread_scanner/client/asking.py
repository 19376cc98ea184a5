"""What both clients share: the calls, where the gateway is, what is made of its answers.

No sockets here. A server that is away, slow or refuses is no error, and neither is a question that
nobody can put: the answer is None and `reason` says why, so that a bot takes its slower source. The
answers are the gateway's JSON as it is: docs/gateway.md names the calls, docs/schema.json the
fields.
"""

import math
import os
import ssl
from collections.abc import Mapping, Sequence
from decimal import Decimal
from numbers import Real
from typing import Any, NamedTuple, SupportsFloat, cast
from urllib.parse import quote, urlencode, urlsplit

import httpx
import msgspec
import orjson

from spread_scanner.errors import ConfigError
from spread_scanner.schema.urls import fault_of_base
from spread_scanner.web import trust
from spread_scanner.web.bodies import PACKED

# As bots name them that ask a cache of pool prices.
URL_VARIABLE = "RUST_CACHE_URL"
SWITCH_VARIABLE = "USE_RUST_CACHE"
URL = "http://127.0.0.1:3001"
TIMEOUT_S, TIMEOUT_S_MAX = 0.1, 3_600.0
THRESHOLD_PCT = 0.3
STREAM = "/v1/stream"
SILENT_S = 5.0  # the gateway beats each second: who hears nothing for so long has lost it
AGAIN_S_MIN, AGAIN_S_MAX = 0.1, 5.0  # between two tries to be told again
FRAME_BYTES_MAX = 64 << 20  # a snapshot of everything
SLOW_S = {  # calls that look twice, wait for books or read the log, and how long at the least
    "/v1/connections": 5.0,
    "/v1/books": 5.0,
    "/v1/candles": 35.0,
    "/v1/history": 35.0,
    "/v1/report": 35.0,
}
PATIENCE = 100  # of a connection's time-out to be had: names and TLS take longer than an answer
PLACES = ("after_seq", "ring", "after_id", "database")  # of a wish: how far it was told
JSON = "application/json"
ODD = "another shape than a gateway's: does something else listen there?"
JsonObject = dict[str, Any]


class Unsayable(ValueError):
    """What no JSON holds."""


class GatewayCall(NamedTuple):
    """One call: what is sent. Whatever can be written is, as text by nature, for the gateway to say
    what is allowed there."""

    path: str
    params: Mapping[str, Any] = {}
    body: JsonObject | None = None

    @property
    def method(self) -> str:
        return "GET" if self.body is None else "POST"

    @property
    def posted(self) -> JsonObject:
        """How httpx is to post it. Raises Unsayable."""
        if self.body is None:
            return {}
        return {"content": json_of(self.body), "headers": {"content-type": JSON}}

    @property
    def url(self) -> str:
        """The path, with the parameters that somebody gave behind those that it has itself. It is
        the gateway's: what looks like an address is no other server, who would be told the token.
        """
        said = {name: _written(value) for name, value in self.params.items()}
        query = urlencode({name: text for name, text in said.items() if text}, errors=_ODD_LETTERS)
        path = "/" + str(self.path).lstrip("/")
        return f"{path}{'&' if '?' in path else '?'}{query}" if query else path


_ODD_LETTERS = "replace"  # halves of a surrogate, which no URL has: nothing is named so


def _written(value: object) -> str:
    """As it stands in a query; empty: it is not said."""
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def json_of(said: JsonObject) -> bytes:
    """As it is sent. A number is one, of whatever kind; one that JSON has not is null, of which the
    gateway says what is allowed. Raises Unsayable."""
    try:
        return orjson.dumps(said, default=_as_float, option=orjson.OPT_SERIALIZE_NUMPY)
    except TypeError as error:
        raise Unsayable(str(error)) from None


def _as_float(value: object) -> float:
    """Raises TypeError, as orjson wants it, for what is no number."""
    if isinstance(value, Real | Decimal):
        return float(value)
    raise TypeError


def prices(source: str) -> GatewayCall:
    return GatewayCall("/prices", {"source": source})


def pair_prices(pair: str, source: str) -> GatewayCall:
    # Nothing is no pair: without one the path would be that of all prices, as with dots alone.
    named = str(pair).strip("/")
    named = named if named.strip(".") else f" {named}"
    return GatewayCall(f"/prices/{quote(named, safe='', errors=_ODD_LETTERS)}", {"source": source})


def scan_arbitrage(threshold_pct: float) -> GatewayCall:
    return GatewayCall("/scan-arbitrage", body={"threshold_pct": threshold_pct})


def spreads(symbol: str, direction: str, usable: bool, count: int) -> GatewayCall:
    params = {"symbol": symbol, "direction": direction, "usable": usable, "count": count}
    return GatewayCall("/v1/spreads", params)


def opportunities(symbol: str, before_id: int | None, count: int) -> GatewayCall:
    params = {"symbol": symbol, "before_id": before_id, "count": count}
    return GatewayCall("/v1/opportunities", params)


def patience_s(path: str, usual_s: float, said_s: float | None) -> float:
    """How long an answer is waited for: as is said for this call, or as usual, or for as long as
    the call takes by its nature."""
    if said_s is not None:
        return min(max(0.0, number_of(said_s)), TIMEOUT_S_MAX)
    slow_s = (least_s for slow, least_s in SLOW_S.items() if path.startswith(slow))
    return max(usual_s, *slow_s, 0.0)


class Following:
    """A wish for the stream, and how far it was told: what is said after each hello. What a frame
    `began` says is said when it comes back."""

    def __init__(
        self, kinds: Sequence[str], pairs: Sequence[str], sources: Sequence[str], more: JsonObject
    ) -> None:
        self._wish: JsonObject = {"kinds": kinds, "pairs": pairs, "sources": sources, **more}

    @property
    def wish(self) -> str:
        """Raises Unsayable."""
        return json_of({"op": "subscribe", **self._wish}).decode()

    def frame(self, text: str | bytes) -> JsonObject:
        """What the stream said; of events the last one is remembered, so that none is missed when
        it is lost. Raises ValueError for what is no frame of a gateway."""
        try:
            frame = msgspec.msgpack.decode(text) if isinstance(text, bytes) else orjson.loads(text)
        except RecursionError as error:
            raise ValueError(_told(error)) from None
        if not isinstance(frame, dict):
            raise ValueError("a frame is no object")
        try:
            self._remember(frame)
        except (KeyError, TypeError) as error:
            raise ValueError(f"a frame of another shape: {_told(error)}") from None
        return frame

    def _remember(self, frame: JsonObject) -> None:
        kind = frame.get("type")
        if kind == "began":
            self._wish |= {name: frame[name] for name in PLACES if name in frame}
        elif kind == "signal":
            self._wish["after_seq"] = frame["signal"]["seq"]
        elif kind == "opportunities":  # one that is closed comes again
            ids = [one["id"] for one in frame["opportunities"]]
            self._wish["after_id"] = max([self._wish.get("after_id") or 0, *ids])


def next_pause_s(pause_s: float) -> float:
    """The first is short, the next ones are twice as long each."""
    return min(max(2 * pause_s, AGAIN_S_MIN), AGAIN_S_MAX)


def pause_left_s(pause_s: float, frame: JsonObject) -> float:
    """None once more than its hello was told: who is let go as soon as it has wished asks less and
    less often, too."""
    return pause_s if frame.get("type") == "hello" else 0.0


def unheard() -> TimeoutError:
    """Of who has lost the gateway."""
    return TimeoutError(f"nothing was heard for {SILENT_S:.0f} s")


def away(error: Exception) -> JsonObject:
    """A frame of our own: the stream is lost, and tried again."""
    return {"type": "away", "reason": _told(error)}


class GatewayAnswers:
    """Where the gateway is, whether it is asked at all, why the last answer was none."""

    def __init__(
        self,
        url: str = "",
        *,
        enabled: bool | None = None,
        timeout_s: float = TIMEOUT_S,
        token: str = "",
    ) -> None:
        """`url` and `enabled` are the environment's where they are not said: RUST_CACHE_URL,
        USE_RUST_CACHE=false. Raises ConfigError for an address, a token or a time-out that is none,
        and by https where the machine's authorities cannot be read.
        """
        self._timeout_s = timeout_of(timeout_s)
        said = url or os.environ.get(URL_VARIABLE) or URL
        self.url = address_of("a gateway", said, URL_VARIABLE, URL)
        switch = os.environ.get(SWITCH_VARIABLE, "").lower()
        self._enabled = switch not in ("false", "0") if enabled is None else enabled
        self.reason = ""  # why the last answer was None; empty: it was none
        own_token = secret_of("a gateway", token, "token")
        self._tls = tls_of(self.url)
        self._headers = {"authorization": f"Bearer {own_token}"} if token else {}
        self._begin()

    @property
    def enabled(self) -> bool:
        """Whether the gateway is asked; a stream that is told when this is switched off ends."""
        return self._enabled

    @enabled.setter
    def enabled(self, said: bool) -> None:
        self._enabled = said
        if not said:
            self._switched_off()

    def _begin(self) -> None:
        """Have what asks."""
        raise NotImplementedError

    def _switched_off(self) -> None:
        """Have those who wait for frames look at `enabled`."""

    @property
    def _connected(self) -> JsonObject:
        """How httpx is to ask; a proxy of the environment is for the exchanges."""
        return {
            "base_url": self.url,
            "headers": PACKED | self._headers,
            "timeout": self._timeout_s,
            "verify": self._tls or True,
            "trust_env": False,
        }

    @property
    def _stream_url(self) -> str:
        return "ws" + self.url.removeprefix("http") + STREAM

    @property
    def _streamed(self) -> JsonObject:
        """How websockets is to connect to the stream."""
        return {
            "uri": self._stream_url,
            "additional_headers": self._headers,
            "open_timeout": PATIENCE * self._timeout_s,
            "max_size": FRAME_BYTES_MAX,
            "ssl": self._tls,
            "close_timeout": self._timeout_s,
            "proxy": None,
        }

    def _off(self) -> None:
        self.reason = f"switched off ({SWITCH_VARIABLE}, `enabled`)"

    def _lost(self, error: Exception) -> None:
        self.reason = _told(error)

    def _read(self, answer: httpx.Response, body: bytes | None) -> Any:
        """The record of an answer, or None, as where its body was not read to its end. Bad health
        is told with 503, and is a record, too."""
        if body is None:
            self._lost(TimeoutError("no whole answer in time, or one that is too long"))
            return None
        status, kind = answer.status_code, answer.headers.get("content-type", "")
        try:
            told = orjson.loads(body)
        except ValueError:
            kind = kind.partition(";")[0] or "something"
            self.reason = (
                f"no JSON but {kind} (HTTP {status}): a call of text, or is this no gateway?"
            )
            return None
        if kind.partition(";")[0] == JSON:
            self.reason = ""
            return told
        known = isinstance(told, dict) and {"code", "detail"} <= told.keys()
        self.reason = f"{told['code']}: {told['detail']}" if known else f"HTTP {status}"
        return None

    def _record(self, told: Any) -> JsonObject | None:
        if isinstance(told, dict):
            return told
        self._odd(told)
        return None

    def _rows(self, told: Any) -> list[JsonObject] | None:
        if isinstance(told, list):
            return told
        self._odd(told)
        return None

    def _odd(self, told: Any) -> None:
        if told is not None:
            self.reason = ODD


def address_of(whom: str, said: str, variable: str, usual: str) -> str:
    """A URL as it is asked, its slash behind left out. Raises ConfigError, which tells no user and
    no password; there are to be none, as libraries make a header of their own of them, in which the
    token or key would be sent."""
    if not isinstance(said, str):
        wrong = "a URL"
    elif not (wrong := fault_of_base(said)):
        parts = urlsplit(said)
        if parts.scheme not in ("http", "https"):
            wrong = "a URL of http or https"
        elif "@" in parts.netloc:
            wrong = "a URL without user and password"
    if wrong:
        shown, allowed = str(said).rpartition("@")[2], f"{wrong}: {usual}"
        raise ConfigError(f"no address of {whom}", url=shown, variable=variable, allowed=allowed)
    return str(httpx.URL(said)).rstrip("/")


def tls_of(url: str) -> ssl.SSLContext | None:
    """Whose word is taken for a server that is asked by https; None: none is needed, by http.
    Raises ConfigError."""
    return trust.context() if url.lower().startswith("https") else None


def timeout_of(said_s: float) -> float:
    """So many seconds. Raises ConfigError."""
    timeout_s = number_of(said_s)
    if not 0 < timeout_s <= TIMEOUT_S_MAX:
        allowed = f"0 to {TIMEOUT_S_MAX:,.0f}"
        raise ConfigError("no time-out", timeout_s=said_s, allowed=allowed)
    return timeout_s


def number_of(said: object) -> float:
    """Of any kind: Decimal, a Fraction, one of numpy; NaN where it is none."""
    try:
        return float(cast(SupportsFloat, said))
    except OverflowError:
        return math.inf
    except (TypeError, ValueError):
        return math.nan


def secret_of(whom: str, said: str, variable: str) -> str:
    """A token or key that a header can hold. Raises ConfigError, which does not tell it."""
    if not (isinstance(said, str) and said.isascii() and said.isprintable()):
        allowed = "letters, digits and signs of ASCII in one line"
        raise ConfigError(f"no key of {whom}", variable=variable, allowed=allowed)
    return said


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".rstrip(": ")
