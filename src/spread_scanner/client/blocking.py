"""SpreadClient: each call waits for its answer, for `timeout_s` at most."""

from collections.abc import Iterator, Sequence
from typing import Any, Self

import httpx
from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect

from spread_scanner import clock
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
from spread_scanner.web.bodies import UNASKED, read_body_by
from spread_scanner.web.timely import answered_by, bound

LOOK_S = 0.1  # a stream that waits looks so often whether `enabled` still is: nothing wakes it


class SpreadClient(GatewayAnswers):
    """Asks one gateway. No call raises because it is away: the answer is None then."""

    def _begin(self) -> None:
        self._web = bound(httpx.Client(**self._connected))

    def is_available(self) -> bool:
        """Whether there are prices that can be stood behind."""
        health = self.health()
        return health is not None and health.get("status") == "ok"

    def health(self) -> JsonObject | None:
        """How many prices of which pairs, and what is amiss."""
        return self._record(self.get("/health"))

    def prices(self, source: str = "") -> list[JsonObject] | None:
        """Every price of the spot sources and of pools, or of the one source named. A pool has a
        price, and neither bid nor ask."""
        return self._rows(self._ask(asking.prices(source)))

    def pair_prices(self, pair: str, source: str = "") -> list[JsonObject] | None:
        """The same of one pair: BTC/USDT or BTC-USDT."""
        return self._rows(self._ask(asking.pair_prices(pair, source)))

    def scan_arbitrage(self, threshold_pct: float = THRESHOLD_PCT) -> list[JsonObject] | None:
        """Where spot can be bought in one place and sold in another, after both fees."""
        found = self._record(self._ask(asking.scan_arbitrage(threshold_pct)))
        return None if found is None else self._rows(found.get("opportunities", found))

    def spreads(
        self, symbol: str = "", direction: str = "", *, usable: bool = False, count: int = 100
    ) -> list[JsonObject] | None:
        """Spreads as they stand, the highest net first."""
        return self._rows(self._ask(asking.spreads(symbol, direction, usable, count)))

    def opportunities(
        self, symbol: str = "", *, before_id: int | None = None, count: int = 100
    ) -> list[JsonObject] | None:
        """What the tracker stored, newest first; the next page begins before the last one's id."""
        return self._rows(self._ask(asking.opportunities(symbol, before_id, count)))

    def get(self, path: str, *, timeout_s: float | None = None, **params: Any) -> Any:
        """Any other call of docs/gateway.md: get("/v1/why/BTC-USDT", count=1). One that takes its
        time (asking.SLOW_S) is waited for unless `timeout_s` says otherwise."""
        return self._ask(GatewayCall(path, params), timeout_s)

    def stream(
        self,
        *kinds: str,
        pairs: Sequence[str] = (),
        sources: Sequence[str] = (),
        **more: Any,
    ) -> Iterator[JsonObject]:
        """Frames of /v1/stream, for ever. When it is lost, a frame of type `away` says why, and
        again at each try that fails; when it is back, the wish is said anew: a snapshot comes, and
        the events since the last ones. It ends when `enabled` is switched off, by whatever thread;
        a dial that is under way ends first.
        """
        following = Following(kinds, pairs, sources, more)
        pause_s = 0.0
        while self.enabled:
            try:
                for frame in self._told(following):
                    pause_s = asking.pause_left_s(pause_s, frame)
                    yield frame
                    if not self.enabled:
                        return
            except (OSError, WebSocketException, ValueError) as error:
                if self.enabled:
                    yield asking.away(error)
            pause_s = asking.next_pause_s(pause_s)
            self._rest(pause_s)

    def _told(self, following: Following) -> Iterator[JsonObject]:
        wish = following.wish
        with connect(**self._streamed) as web:
            web.send(wish)
            while (text := self._heard(web)) is not None:
                yield following.frame(text)

    def _heard(self, web: ClientConnection) -> str | bytes | None:
        """What comes next; None: it was switched off. Raises TimeoutError."""
        until_s = clock.awake_s() + SILENT_S
        while self.enabled:
            try:
                return web.recv(timeout=LOOK_S)
            except TimeoutError:
                if clock.awake_s() > until_s:
                    raise asking.unheard() from None
        return None

    def _rest(self, pause_s: float) -> None:
        """Between two tries."""
        until_s = clock.awake_s() + pause_s
        while self.enabled and (left_s := until_s - clock.awake_s()) > 0:
            clock.sleep(min(left_s, LOOK_S))

    def _ask(self, question: GatewayCall, timeout_s: float | None = None) -> Any:
        if not self.enabled:
            self._off()
            return None
        patience_s = asking.patience_s(question.url, self._timeout_s, timeout_s)
        until_s = clock.awake_s() + patience_s
        try:
            with (
                answered_by(until_s),
                self._web.stream(
                    question.method,
                    question.url,
                    timeout=patience_s,
                    **question.posted,
                ) as answer,
            ):
                body = read_body_by(answer, FRAME_BYTES_MAX, until_s)
        except (*UNASKED, Unsayable) as error:
            self._lost(error)
            return None
        return self._read(answer, body)

    def close(self) -> None:
        """Give the connection back."""
        self._web.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
