"""Jupiter's quotes: asked for by a bot whose cache is away or has no route.

No call raises because Jupiter is away, slow, limits or has no route: the answer is None then, and
`reason` says why, as the gateway's clients do. It is asked no faster than `requests_per_s`, all
calls of one client together, whatever the way there takes: a turn counts from when it was answered.
Where it says "too many" nobody asks until what it asked for is over. Both of its interfaces: v1 by
/swap/v1/quote, v2 by /swap/v2/order, which gives a quote while nobody is named who would sign.
Nothing is built, signed or sent here.
"""

import asyncio
import os
from collections import deque
from numbers import Integral
from typing import Any, Literal, NamedTuple, Self

import httpx
import msgspec
from msgspec import Struct

from spread_scanner import clock
from spread_scanner.client.asking import address_of, number_of, secret_of, timeout_of, tls_of
from spread_scanner.clock import NS_PER_S
from spread_scanner.errors import ConfigError
from spread_scanner.web.bodies import PACKED, UNASKED, read_body

URL_VARIABLE, KEY_VARIABLE = "JUPITER_URL", "JUPITER_API_KEY"
URL = "https://api.jup.ag"
TIMEOUT_S = 5.0
REQUESTS_PER_S = 1.0  # what a key that costs nothing may
ANSWER_BYTES_MAX = 1 << 20  # a route of ten pools is some 5 KB
SLIPPAGE_BPS = 50
_PATHS = {"v1": "/swap/v1/quote", "v2": "/swap/v2/order"}
_REST_S_MIN, _REST_S_MAX = 1.0, 60.0
_ALL_BPS = 10_000
_SAID_MAX = 100  # letters of a code that are repeated
# Of which nobody reads more.
_SAID_BY_STATUS = (
    httpx.codes.TOO_MANY_REQUESTS,
    httpx.codes.UNAUTHORIZED,
    httpx.codes.FORBIDDEN,
)


class JupiterHop(Struct, frozen=True):
    """One pool of a route, in smallest units; `share_bps` of what comes to it goes this way."""

    pool: str
    label: str
    mint_in: str
    mint_out: str
    amount_in: int
    amount_out: int
    share_bps: int


class JupiterQuote(Struct, frozen=True):
    """What so much would give, by the slot that Jupiter knew; `least_out` is with the slippage that
    was asked for. Hops are in their order."""

    mint_in: str
    mint_out: str
    amount_in: int
    amount_out: int
    least_out: int
    slot: int | None
    hops: tuple[JupiterHop, ...]

    @property
    def route(self) -> tuple[str, ...]:
        """Its ordered pools."""
        return tuple(hop.pool for hop in self.hops)


class _Info(Struct):
    ammKey: str  # noqa: N815
    inputMint: str  # noqa: N815
    outputMint: str  # noqa: N815
    inAmount: str  # noqa: N815
    outAmount: str  # noqa: N815
    label: str = ""


class _Step(Struct):
    """`percent` by v1, `bps` by v2."""

    swapInfo: _Info  # noqa: N815
    percent: float | None = None
    bps: int | None = None


class _Answer(Struct):
    inputMint: str  # noqa: N815
    outputMint: str  # noqa: N815
    inAmount: str  # noqa: N815
    outAmount: str  # noqa: N815
    otherAmountThreshold: str  # noqa: N815
    routePlan: list[_Step]  # noqa: N815
    contextSlot: int | None = None  # noqa: N815


def read_quote(body: bytes) -> JupiterQuote:
    """An answer of either interface. Raises ValueError for another shape, and for amounts that are
    none."""
    found = msgspec.json.decode(body, type=_Answer)
    if not found.routePlan:
        raise ValueError("a quote without a route")
    return JupiterQuote(
        mint_in=found.inputMint,
        mint_out=found.outputMint,
        amount_in=_amount(found.inAmount),
        amount_out=_amount(found.outAmount),
        least_out=_amount(found.otherAmountThreshold),
        slot=found.contextSlot,
        hops=tuple(_hop(step) for step in found.routePlan),
    )


def _hop(step: _Step) -> JupiterHop:
    info = step.swapInfo
    share = 100 * step.percent if step.bps is None and step.percent is not None else step.bps
    if share is not None and not 0 <= share <= _ALL_BPS:
        raise ValueError(f"no share: {step.percent if step.bps is None else step.bps}")
    return JupiterHop(
        info.ammKey,
        info.label,
        info.inputMint,
        info.outputMint,
        _amount(info.inAmount),
        _amount(info.outAmount),
        _ALL_BPS if share is None else round(share),
    )


def _amount(said: str) -> int:
    if not (said.isascii() and said.isdigit() and len(said) <= 20):
        raise ValueError(f"no amount: {said[:20]!r}")
    return int(said)


class _Told(NamedTuple):
    """What was answered."""

    status: int
    retry_after: str
    body: bytes


class _Turn:
    """One request's. What it waits for is the answer to the one so many before it, which has come
    to Jupiter by then, however long it was on its way."""

    def __init__(self, earliest_ns: int) -> None:
        self.earliest_ns = earliest_ns  # it begins no sooner
        self.over = asyncio.Event()
        self.over_ns = 0  # when it was answered, or given up

    def end(self) -> None:
        self.over_ns = clock.mono_ns()
        self.over.set()


class JupiterClient:
    """Asks Jupiter, or who speaks as it does."""

    def __init__(
        self,
        url: str = "",
        *,
        key: str = "",
        version: Literal["v1", "v2"] = "v1",
        requests_per_s: float = REQUESTS_PER_S,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        """`url` and `key` are the environment's where they are not said. Raises ConfigError for
        what cannot be asked."""
        said = url or os.environ.get(URL_VARIABLE) or URL
        self.url = address_of("Jupiter", said, URL_VARIABLE, URL)
        if version not in _PATHS:
            raise ConfigError("no version of Jupiter", version=version, allowed=[*_PATHS])
        per_s = number_of(requests_per_s)
        if not 0 < per_s <= 10_000:
            raise ConfigError("no pace", requests_per_s=requests_per_s, allowed="0 to 10,000")
        own_key = secret_of("Jupiter", key or os.environ.get(KEY_VARIABLE, ""), KEY_VARIABLE)
        self.reason = ""  # why the last answer was None; empty: it was none
        self._path, self._timeout_s = _PATHS[version], timeout_of(timeout_s)
        self._burst = max(1, int(per_s))
        self._window_ns = int(self._burst / per_s * NS_PER_S)
        self._turns: deque[_Turn] = deque(maxlen=self._burst)
        self._rest_until_ns, self._refusals = 0, 0
        headers = PACKED | ({"x-api-key": own_key} if own_key else {})
        self._web = httpx.AsyncClient(
            base_url=self.url, headers=headers, verify=tls_of(self.url) or True, trust_env=False
        )

    async def quote(
        self,
        mint_in: str,
        mint_out: str,
        amount: int,
        *,
        slippage_bps: int = SLIPPAGE_BPS,
        **more: str | int | bool,
    ) -> JupiterQuote | None:
        """What so much of the one gives of the other. `more`: Jupiter's own parameters, as
        onlyDirectRoutes. Waits for its turn, as long as that comes within the time-out."""
        if not isinstance(amount, Integral) or amount < 1:
            self.reason = f"refused: an amount of {amount!r}, which is to be an int of at least 1"
            return None
        params = {"inputMint": mint_in, "outputMint": mint_out, "amount": amount}
        params |= {"slippageBps": slippage_bps, **more}
        before = self._turns[0] if len(self._turns) == self._burst else None
        turn = self._next_turn(before)
        if turn is None:
            return None
        try:
            async with asyncio.timeout(self._timeout_s):
                if not await self._begins(before):
                    return None
                answer = await self._told(_plain(params))
        except (*UNASKED, TimeoutError) as error:
            self.reason = f"{type(error).__name__}: {error}".rstrip(": ")
            return None
        finally:
            turn.end()
        found = None if answer is None else self._read(answer)
        if found is not None and not _answers(found, mint_in, mint_out, amount):
            self.reason = "another quote than was asked for"
            return None
        return found

    async def _told(self, params: dict[str, str]) -> _Told | None:
        """None: it is too long."""
        async with self._web.stream("GET", self._path, params=params) as answer:
            retry_after = answer.headers.get("retry-after", "")
            if answer.status_code in _SAID_BY_STATUS:
                return _Told(answer.status_code, retry_after, b"")
            body = await read_body(answer, ANSWER_BYTES_MAX)
            if body is None:
                self.reason = f"an answer of more than {ANSWER_BYTES_MAX:,} bytes"
                return None
            return _Told(answer.status_code, retry_after, body)

    def _next_turn(self, before: _Turn | None) -> _Turn | None:
        """Taken at once, so that nobody else takes the same; None: there is none within the
        time-out."""
        if self._rests():
            return None
        now_ns = earliest_ns = clock.mono_ns()
        if before is not None:
            earliest_ns = max(now_ns, (before.over_ns or before.earliest_ns) + self._window_ns)
        if earliest_ns - now_ns > self._timeout_s * NS_PER_S:
            self.reason = "limited: its turn comes after the time-out"
            return None
        turn = _Turn(earliest_ns)
        self._turns.append(turn)
        return turn

    async def _begins(self, before: _Turn | None) -> bool:
        """Waits for it; False: Jupiter has refused others meanwhile."""
        if before is not None:
            await before.over.wait()
            rest_ns = before.over_ns + self._window_ns - clock.mono_ns()
            await asyncio.sleep(max(rest_ns, 0) / NS_PER_S)
        return not self._rests()

    def _rests(self) -> bool:
        rest_s = (self._rest_until_ns - clock.mono_ns()) / NS_PER_S
        if rest_s > 0:
            self.reason = f"limited: it is asked again in {rest_s:.1f} s"
        return rest_s > 0

    def _read(self, answer: _Told) -> JupiterQuote | None:
        status = answer.status
        if status == httpx.codes.TOO_MANY_REQUESTS:
            self._rest(answer.retry_after)
            return None
        if status in _SAID_BY_STATUS:
            self.reason = f"key: it is refused (HTTP {status}): {KEY_VARIABLE}"
            return None
        if status != httpx.codes.OK:
            self.reason = _refused(status, answer.body)
            return None
        self._refusals = 0
        try:
            found = read_quote(answer.body)
        except (ValueError, RecursionError) as error:  # a DecodeError is a ValueError
            self.reason = f"another shape than Jupiter's: {error}"
            return None
        self.reason = ""
        return found

    def _rest(self, retry_after: str) -> None:
        """For as long as it says, or twice as long as the last time; requests that were under way
        together and are refused are one time."""
        now_ns = clock.mono_ns()
        self._refusals += now_ns >= self._rest_until_ns
        rest_s = min(_REST_S_MIN * 2.0 ** min(self._refusals - 1, 6), _REST_S_MAX)
        if retry_after.isascii() and retry_after.strip().isdigit():
            rest_s = min(max(rest_s, float(retry_after)), _REST_S_MAX)
        self._rest_until_ns = max(self._rest_until_ns, now_ns + int(rest_s * NS_PER_S))
        self.reason = f"limited: too many requests, it is asked again in {rest_s:.1f} s"

    async def close(self) -> None:
        await self._web.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def _answers(found: JupiterQuote, mint_in: str, mint_out: str, amount: int) -> bool:
    """Whether it is what was asked for; an amount that comes out is, by swapMode=ExactOut."""
    asked = (found.mint_in, found.mint_out) == (mint_in, mint_out)
    return asked and amount in (found.amount_in, found.amount_out)


def _plain(params: dict[str, Any]) -> dict[str, str]:
    return {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in params.items()
    }


def _refused(status: int, body: bytes) -> str:
    """In words: no route is usual, and said with 400 and a code."""
    try:
        told = msgspec.json.decode(body)
    except (ValueError, RecursionError):
        told = None
    code = told.get("errorCode") if isinstance(told, dict) else None
    if isinstance(code, str) and "ROUTE" in code:
        return f"no_route: {code[:_SAID_MAX]}"
    return f"refused: {code[:_SAID_MAX]}" if isinstance(code, str) else f"refused: HTTP {status}"
