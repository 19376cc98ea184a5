"""AsyncSpreadClient: the calls of SpreadClient, awaited, for `timeout_s` in all."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any, Self

import httpx
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from spread_scanner.client import asking
from spread_scanner.client.asking import (
    FRAME_BYTES_MAX,
    SILENT_S,
    THRESHOLD_PCT,
    Following,
    GatewayAnswers,
    GatewayCall,
    JsonObject,
    Unsayable,
)
from spread_scanner.web.bodies import UNASKED, read_body


class AsyncSpreadClient(GatewayAnswers):
    """Asks one gateway. No call raises because it is away: the answer is None then."""

    def _begin(self) -> None:
        self._web = httpx.AsyncClient(**self._connected)
        self._waits: dict[asyncio.Timeout, asyncio.AbstractEventLoop] = {}  # of streams

    async def is_available(self) -> bool:
        """Whether there are prices that can be stood behind."""
        health = await self.health()
        return health is not None and health.get("status") == "ok"

    async def health(self) -> JsonObject | None:
        """How many prices of which pairs, and what is amiss."""
        return self._record(await self.get("/health"))

    async def prices(self, source: str = "") -> list[JsonObject] | None:
        """Every price of the spot sources and of pools, or of the one source named. A pool has a
        price, and neither bid nor ask."""
        return self._rows(await self._ask(asking.prices(source)))

    async def pair_prices(self, pair: str, source: str = "") -> list[JsonObject] | None:
        """The same of one pair: BTC/USDT or BTC-USDT."""
        return self._rows(await self._ask(asking.pair_prices(pair, source)))

    async def scan_arbitrage(self, threshold_pct: float = THRESHOLD_PCT) -> list[JsonObject] | None:
        """Where spot can be bought in one place and sold in another, after both fees."""
        found = self._record(await self._ask(asking.scan_arbitrage(threshold_pct)))
        return None if found is None else self._rows(found.get("opportunities", found))

    async def spreads(
        self, symbol: str = "", direction: str = "", *, usable: bool = False, count: int = 100
    ) -> list[JsonObject] | None:
        """Spreads as they stand, the highest net first."""
        return self._rows(await self._ask(asking.spreads(symbol, direction, usable, count)))

    async def opportunities(
        self, symbol: str = "", *, before_id: int | None = None, count: int = 100
    ) -> list[JsonObject] | None:
        """What the tracker stored, newest first; the next page begins before the last one's id."""
        return self._rows(await self._ask(asking.opportunities(symbol, before_id, count)))

    async def get(self, path: str, *, timeout_s: float | None = None, **params: Any) -> Any:
        """Any other call of docs/gateway.md: get("/v1/why/BTC-USDT", count=1). One that takes its
        time (asking.SLOW_S) is waited for unless `timeout_s` says otherwise."""
        return await self._ask(GatewayCall(path, params), timeout_s)

    async def stream(
        self,
        *kinds: str,
        pairs: Sequence[str] = (),
        sources: Sequence[str] = (),
        **more: Any,
    ) -> AsyncIterator[JsonObject]:
        """Frames of /v1/stream, for ever. When it is lost, a frame of type `away` says why, and
        again at each try that fails; when it is back, the wish is said anew: a snapshot comes, and
        the events since the last ones. It ends when `enabled` is switched off.
        """
        following = Following(kinds, pairs, sources, more)
        pause_s = 0.0
        while self.enabled:
            try:
                async for frame in self._told(following):
                    pause_s = asking.pause_left_s(pause_s, frame)
                    yield frame
                    if not self.enabled:
                        return
            except (OSError, WebSocketException, ValueError) as error:
                if self.enabled:
                    yield asking.away(error)
            pause_s = asking.next_pause_s(pause_s)
            with contextlib.suppress(TimeoutError):
                async with self._while_enabled(pause_s):
                    await asyncio.Event().wait()

    async def _told(self, following: Following) -> AsyncIterator[JsonObject]:
        wish, streamed = following.wish, self._streamed
        async with self._while_enabled(None):  # which is for so long as it says itself
            web = await connect(**streamed)
        async with web:
            await web.send(wish)
            while True:
                try:
                    async with self._while_enabled(SILENT_S):
                        text = await web.recv()
                except TimeoutError:
                    raise asking.unheard() from None
                yield following.frame(text)

    @contextlib.asynccontextmanager
    async def _while_enabled(self, seconds: float | None) -> AsyncIterator[None]:
        """Raises TimeoutError after so long, or as soon as `enabled` is switched off."""
        async with asyncio.timeout(seconds) as wait:
            self._waits[wait] = asyncio.get_running_loop()
            try:
                if not self.enabled:
                    wait.reschedule(0)
                yield
            finally:
                del self._waits[wait]

    def _switched_off(self) -> None:
        for wait, loop in [*self._waits.items()]:
            loop.call_soon_threadsafe(self._end, wait)

    def _end(self, wait: asyncio.Timeout) -> None:
        """In its loop."""
        if wait in self._waits:
            wait.reschedule(0)

    async def _ask(self, question: GatewayCall, timeout_s: float | None = None) -> Any:
        if not self.enabled:
            self._off()
            return None
        try:
            patience_s = asking.patience_s(question.url, self._timeout_s, timeout_s)
            async with (
                asyncio.timeout(patience_s),
                self._web.stream(
                    question.method,
                    question.url,
                    timeout=patience_s,
                    **question.posted,
                ) as answer,
            ):
                body = await read_body(answer, FRAME_BYTES_MAX)
        except (*UNASKED, Unsayable, TimeoutError) as error:
            self._lost(error)
            return None
        return self._read(answer, body)

    async def close(self) -> None:
        """Give the connection back."""
        await self._web.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
