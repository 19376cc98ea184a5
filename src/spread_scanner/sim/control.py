"""Everything that is asked over HTTP: REST of all sources, and the control path of tests.

GET  /<source>/...      what the exchange would answer, after its limits, bans and faults
POST /control           one action or a list of them, as docs/simulator.md has them
GET  /control/state     counters; /control/sent: the last quote of every listing
GET  /control/books     what listeners of depth channels were told last
GET  /control/usual     what leaving each pair earns on average
"""

from collections import Counter
from typing import TYPE_CHECKING, Any

import orjson

from spread_scanner import clock
from spread_scanner.sim.limits import Query
from spread_scanner.sim.rest import Answer, Rest, refused
from spread_scanner.sim.rules import RULES

if TYPE_CHECKING:
    from spread_scanner.sim.exchange import Exchange8

HEADERS = [("content-type", "application/json")]


class Control:
    """The connections' way to REST answers and to the faults."""

    def __init__(self, exchange: "Exchange8", rest: Rest) -> None:
        self._exchange = exchange
        self._rest = rest

    def answer(
        self, method: str, path: str, query: Query, body: bytes, address: str
    ) -> Answer | None:
        """One request from an address; None: a fault, it is never answered."""
        if path.startswith("/control"):
            return self._control(method, path, body)
        parts = path.split("/", 2)
        label = parts[1] if len(parts) == 3 else ""
        if label not in RULES:
            return Answer(404, [("content-type", "text/plain")], b"no such source\n")
        exchange = self._exchange
        exchange.counts["rest_requests"] += 1
        rest_path = "/" + parts[2]
        banned = exchange.faults.refusal(label, "rest")
        if banned is not None:
            return refused(label, banned, clock.wall_ns() / clock.NS_PER_S)
        now_ms, mono_s = exchange.now_ms(label), exchange.mono_s()
        answer = self._rest.handle(label, rest_path, query, now_ms, mono_s, address)
        answer = answer._replace(body=exchange.depth.asked(label, rest_path, query, answer.body))
        return exchange.faults.spoil(label, rest_path, answer)

    def _control(self, method: str, path: str, body: bytes) -> Answer:
        exchange = self._exchange
        if method == "GET" and path == "/control/state":
            return Answer(200, HEADERS, orjson.dumps(self.state()))
        if method == "GET" and path == "/control/sent":
            return Answer(200, HEADERS, orjson.dumps(exchange.truth.sent_rows()))
        if method == "GET" and path == "/control/books":
            return Answer(200, HEADERS, orjson.dumps(exchange.depth.books()))
        if method == "GET" and path == "/control/usual":
            return Answer(200, HEADERS, orjson.dumps(exchange.truth.usual_rows()))
        if method != "POST" or path != "/control":
            return Answer(404, HEADERS, b'{"error":"POST /control or GET /control/state"}')
        try:
            request = orjson.loads(body)
            wanted = request if isinstance(request, list) else [request]
            for action in wanted:
                exchange.faults.do(action)
        except (ValueError, KeyError, TypeError) as error:
            return Answer(400, HEADERS, orjson.dumps({"error": str(error)}))
        exchange.delivery.flush()
        return Answer(200, HEADERS, orjson.dumps({"done": len(wanted)}))

    def state(self) -> dict[str, Any]:
        """Counters for tests and for the curious."""
        exchange = self._exchange
        websockets = [c for c in exchange.connections if c.talk is not None]
        return {
            **exchange.counts,
            "messages": exchange.delivery.messages,
            "book_messages": exchange.depth.messages,
            "tick": exchange.tick_number,
            "events": exchange.market.events_made,
            "intervals": exchange.truth.intervals,
            "intervals_open": exchange.truth.open,
            "planted": exchange.planter.planted,
            "connections": dict(Counter(c.label for c in websockets)),
            "subscriptions": dict(
                Counter(s.listing.label for c in websockets for s in c.subscriptions)
            ),
            "faults": exchange.faults.active(),
            "book_faults_due": exchange.depth.due,
            "bans": exchange.limits.bans(exchange.mono_s()),
            "playback_left": exchange.playback.left,
        }
