"""REST of all sources: which path is served where, what it costs, and how a refusal is worded.

The exchanges' own answers stand in rest_binance.py and its neighbours. A path that a source does
not serve gets that exchange's own kind of 404; who asks too often its own kind of 429 or 418.
"""

from collections.abc import Mapping

from spread_scanner.schema.enums import SOURCE_BY_LABEL, Exchange, Market
from spread_scanner.sim.answers import Answer, Route, bad, good
from spread_scanner.sim.limits import Limits, Query, Refusal
from spread_scanner.sim.rest_binance import BinanceRest
from spread_scanner.sim.rest_bybit import BybitRest
from spread_scanner.sim.rest_mexc import MexcFuturesRest, MexcSpotRest
from spread_scanner.sim.rest_okx import OkxRest
from spread_scanner.sim.universe import Universe

__all__ = ["Answer", "Rest", "refused", "too_many"]

WITH_SYMBOL = ("/api/v1/contract/funding_rate/", "/api/v1/contract/depth/")  # in the path itself


class Rest:
    """Answers one source's requests; `handle` is all that the server calls."""

    def __init__(self, universe: Universe, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._routes: dict[str, Mapping[str, Route]] = {}
        for kind in (BinanceRest, BybitRest, OkxRest, MexcSpotRest, MexcFuturesRest):
            self._routes.update(kind(universe).routes)

    def handle(
        self, label: str, path: str, query: Query, now_ms: int, mono_s: float, address: str = ""
    ) -> Answer:
        """One GET of an address to one source's base. `now_ms`: the exchange's clock."""
        banned = self._limits.banned(label, address, mono_s)
        if banned is not None:
            return refused(label, banned, now_ms / 1000)
        routes = self._routes[label]
        if path not in routes:
            path, query = _symbol_apart(path, query)
        wait_s = self._limits.ask(label, path, query, address, mono_s)
        if wait_s is not None:
            return too_many(label, max(1, round(wait_s)))
        route = routes.get(path)
        if route is None:
            return not_found(label)
        answer = route(label, query, now_ms)
        if label.startswith("binance"):
            used = str(self._limits.used(label, address))
            answer = answer._replace(headers=[*answer.headers, ("x-mbx-used-weight-1m", used)])
        return answer


def _symbol_apart(path: str, query: Query) -> tuple[str, Query]:
    """MEXC's contract paths may end in a symbol."""
    for start in WITH_SYMBOL:
        if path.startswith(start) and path != start:
            return start.rstrip("/"), {**query, "symbol": path.removeprefix(start)}
    return path, query


def not_found(label: str) -> Answer:
    """Each exchange's own words for a path that it does not serve."""
    exchange, market = SOURCE_BY_LABEL[label].exchange, SOURCE_BY_LABEL[label].market
    if exchange == Exchange.BYBIT:
        return bad(404, {"retCode": 10001, "retMsg": "Not Found"})
    if exchange == Exchange.OKX:
        return bad(404, {"code": "404", "data": [], "msg": "Invalid URL"})
    if exchange == Exchange.MEXC and market == Market.FUTURES:
        return bad(404, {"success": False, "code": 404, "message": "Not Found"})
    return bad(404, {"code": -1000, "msg": "Path not found"})


def refused(label: str, refusal: Refusal, wall_s: float) -> Answer:
    """A ban, in the exchange's form."""
    exchange = SOURCE_BY_LABEL[label].exchange
    if exchange == Exchange.BYBIT:
        body: dict[str, object] = {"retCode": 10006, "retMsg": "access too frequent"}
    elif exchange == Exchange.OKX:
        body = {"code": "50011", "data": [], "msg": "Too Many Requests"}
    else:
        body = {"code": -1003, "msg": "Way too much request weight used; IP banned."}
    answer = bad(refusal.status, body)
    return answer._replace(headers=[*answer.headers, *refusal.headers(wall_s)])


def too_many(label: str, retry_after_s: int) -> Answer:
    """Each exchange's own words for a rate limit."""
    exchange, market = SOURCE_BY_LABEL[label].exchange, SOURCE_BY_LABEL[label].market
    if exchange == Exchange.BYBIT:
        return bad(403, {"retCode": 10006, "retMsg": "access too frequent"})
    if exchange == Exchange.OKX:
        body: dict[str, object] = {"code": "50011", "data": [], "msg": "Too Many Requests"}
    elif exchange == Exchange.MEXC and market == Market.FUTURES:
        return good({"code": 510, "msg": "Requests are too frequent"})
    elif exchange == Exchange.MEXC:
        body = {"code": 429, "msg": "Too Many Requests"}
    else:
        body = {"code": -1003, "msg": "Too much request weight used; please use WebSocket."}
    answer = bad(429, body)
    return answer._replace(headers=[*answer.headers, ("retry-after", str(retry_after_s))])
