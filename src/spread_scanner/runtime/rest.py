"""Asking an exchange by REST: paced, retried with patience, and every failure typed.

One client per source. A redirect is followed, but not away from TLS; an error names where it led.
A request that fails for a passing reason (rate limit, 5xx, time-out, cut
or garbled body) is tried again after a capped, jittered back-off; one that fails for good, or too
often, is an ExchangeError with the evidence. The gate (gate.py) holds the pace of the address, all
processes together, and its bans: asking before a ban is over prolongs it, so one that is too long
for our patience ends the request at once. Read by discovery.
"""

import asyncio
import ssl
from collections.abc import Callable
from types import TracebackType
from typing import NamedTuple, Protocol, Self, TypeVar

import httpx
import stamina
import stamina.instrumentation

from spread_scanner import clock
from spread_scanner.errors import BadMessage, ExchangeError
from spread_scanner.exchanges.adapter import RestRequest
from spread_scanner.runtime import logs
from spread_scanner.runtime.failures import failure_in_words
from spread_scanner.runtime.gate import Gate, Pace
from spread_scanner.runtime.refusals import retry_after_s
from spread_scanner.shm.dials import Dials
from spread_scanner.web.bodies import PACKED, read_body

T = TypeVar("T")

# Its own lines name a context block of ours; the line below says who, what and where.
stamina.instrumentation.set_on_retry_hooks([])

BODY_BYTES_MAX = 64 << 20
REDIRECTS_MAX = 3
BACKOFF_S_MIN = 0.25
# Statuses that pass: time-out, conflict of load, too early, too many, banned for a while. 403 is
# what firewalls answer to a burst.
PASSING = frozenset({403, 408, 418, 425, 429})


class RestSource(Protocol):
    """The part of an exchange's adapter that is needed here."""

    rest_weight_per_s: float

    def rest_base(self) -> str: ...


class Patience(NamedTuple):
    """How long one answer may take, how often it is asked for, how long the longest pause is."""

    timeout_s: float
    attempts_max: int
    backoff_s_max: float


class _Passing(ExchangeError):
    """A failure worth another try."""


class _Answer(NamedTuple):
    status: int
    headers: httpx.Headers
    body: bytes
    redirected_to: str  # the address that answered in the end; empty: the one that was asked


def http_client(proxy: str, tls: ssl.SSLContext | None, timeout_s: float) -> httpx.AsyncClient:
    """The one way to an exchange's REST: whoever tries whether it can be reached goes it, too.

    A proxy is a setting of the source, not of the shell. Without `tls` certifi is trusted.
    """
    return httpx.AsyncClient(
        http2=True,
        proxy=proxy or None,
        trust_env=False,
        timeout=timeout_s,
        verify=tls if tls is not None else True,
        headers={"accept": "application/json", "user-agent": "spread-scanner", **PACKED},
    )


class RestClient:
    """Use as an async context manager; requests of one client go out one after the other."""

    def __init__(
        self,
        source: RestSource,
        patience: Patience,
        proxy: str = "",
        *,
        gate: Gate | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Without a gate it is paced for itself; without `tls` certifi is trusted."""
        self._base = source.rest_base()
        self._weight_per_s = source.rest_weight_per_s
        self._patience = patience
        self._client = http_client(proxy, tls, patience.timeout_s)
        self._gate = gate or Gate(Dials.private(), "rest", Pace(1.0))
        self.retries = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._client.aclose()

    async def get(
        self,
        request: RestRequest,
        parse: Callable[[bytes], T],
        attempts_max: int | None = None,
    ) -> T:
        """The parsed answer. Raises ExchangeError when it cannot be had.

        `parse` belongs to the attempt: a body that was cut off inside is asked for again.
        """
        patience = self._patience
        try:
            async for attempt in stamina.retry_context(
                on=lambda error: self._worth_a_try(error, request),
                attempts=attempts_max or patience.attempts_max,
                timeout=None,
                wait_initial=min(BACKOFF_S_MIN, patience.backoff_s_max),
                wait_max=patience.backoff_s_max,
                wait_jitter=min(1.0, patience.backoff_s_max / 2),
            ):
                with attempt:
                    self.retries += attempt.num > 1
                    return await self._attempt(request, parse)
        except (BadMessage, ExchangeError) as error:
            raise _final(error, self._base + request.path) from error
        raise AssertionError("a retry loop ends by an answer or an error")

    def _worth_a_try(self, error: Exception, request: RestRequest) -> bool | float:
        if not isinstance(error, BadMessage | _Passing):
            return False
        ban = self._gate.ban() if isinstance(error, _Passing) else None
        if ban is not None and ban.left_s > self._patience.backoff_s_max:
            return False
        log = logs.get_logger()
        log.warning("REST request failed", url=self._base + request.path, why=str(error))
        return True if ban is None else ban.left_s

    async def _attempt(self, request: RestRequest, parse: Callable[[bytes], T]) -> T:
        cost_s = request.weight / self._weight_per_s
        ban = await self._gate.weight(cost_s, self._patience.backoff_s_max)
        if ban is not None:
            raise ExchangeError(f"not asked: {ban}", status=ban.status)
        begun_ns = clock.mono_ns()
        try:
            async with asyncio.timeout(self._patience.timeout_s):
                status, headers, body, redirected_to = await self._fetch(request)
        except TimeoutError:
            raise _Passing("no answer in time", timeout_s=self._patience.timeout_s) from None
        except (httpx.TransportError, httpx.DecodingError, UnicodeError) as error:
            # A UnicodeError: where a redirect leads has no name that can be read.
            raise _Passing(failure_in_words(error)) from None
        except httpx.InvalidURL as error:
            raise ExchangeError(f"{type(error).__name__}: {error}") from None
        moved = {"redirected_to": redirected_to} if redirected_to else {}
        if status == httpx.codes.OK:
            try:
                return parse(body)
            except BadMessage as error:  # a page for people where the exchange has sent us, perhaps
                error.evidence.update(moved)
                raise
            except ExchangeError as error:
                # Some say "too many requests" in an envelope of status 200, each in its own words.
                refused = _Passing(f"refused: {error.message}")
                refused.evidence.update(error.evidence)
                raise refused from None
        note = self._gate.refused(
            status, retry_after_s(headers.get("retry-after", ""), clock.wall_ns()), begun_ns
        )
        odd = {**moved, "note": note} if note else moved
        if status in PASSING or status >= 500:
            raise _Passing("refused for now", status=status, raw=body, **odd)
        raise ExchangeError("refused", status=status, raw=body, **odd)

    async def _fetch(self, request: RestRequest) -> _Answer:
        url = self._base + request.path
        asked = self._client.build_request("GET", url, params=request.params)
        for hop in range(REDIRECTS_MAX + 1):
            answer = await self._client.send(asked, stream=True)
            try:
                following = answer.next_request
                if following is None:
                    by = str(answer.url) if hop else ""
                    return _Answer(answer.status_code, answer.headers, await _body(answer), by)
            finally:
                await answer.aclose()
            if asked.url.scheme == "https" and following.url.scheme != "https":
                raise ExchangeError("redirected to where there is no TLS", target=following.url)
            asked = following
        raise ExchangeError("redirected too often", target=asked.url, redirects_max=REDIRECTS_MAX)


async def _body(answer: httpx.Response) -> bytes:
    """Of what refuses as much as can be read: that it does counts, whatever it says."""
    refuses = answer.status_code != httpx.codes.OK
    try:
        body = await read_body(answer, BODY_BYTES_MAX)
    except (httpx.TransportError, httpx.DecodingError):
        if not refuses:
            raise
        return b""
    if body is None and not refuses:
        raise ExchangeError("the answer is too long", bytes_max=BODY_BYTES_MAX)
    return body or b""


def _final(error: BadMessage | ExchangeError, url: str) -> ExchangeError:
    return ExchangeError(error.message, **{"url": url, **error.evidence})
