"""How each exchange talks back: subscriptions, acknowledgements, errors, pings, limits.

A dialect gets the text that a client sent and says what to answer and which listings (in which
form) the connection carries from now on. No sockets and no clocks: the server passes the time in.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import orjson

from spread_scanner.schema.enums import EXCHANGE_SOURCES, Exchange, Market
from spread_scanner.sim.depth import form, mexc_depth_topic
from spread_scanner.sim.notices import BYBIT_PATH, BYBIT_TOPIC, MEXC_TOPIC, OKX_STATUS
from spread_scanner.sim.rules import RULES as RULES
from spread_scanner.sim.rules import Rules as Rules
from spread_scanner.sim.universe import Listing, Universe
from spread_scanner.sim.wire import forms, mexc_topic

MS_PER_HOUR = 3_600_000
BINANCE_DEPTH = ("depth20@100ms", "depth@100ms", "depth")
MEXC_DEPTH = ("limit.depth@20", "aggre.depth@100ms")
OKX_KINDS = ("SPOT", "MARGIN", "SWAP", "FUTURES", "OPTION", "EVENTS")


class Subscription(NamedTuple):
    listing: Listing
    form: str


@dataclass
class Talk:
    """One connection as its dialect sees it. `carry` and `leave` are the server's."""

    connection_id: str
    combined: bool
    carry: Callable[[Subscription], None]
    leave: Callable[[Subscription], None]
    topics: dict[str, Subscription | None] = field(default_factory=dict)
    asked_ms: deque[int] = field(default_factory=deque)  # when, for a limit by the hour
    path: str = ""  # the URL's, without the source: what is served depends on it

    @property
    def routed(self) -> bool:
        """False: one of Binance's bases that acknowledge quotes and never deliver them."""
        return self.path.partition("/")[0] not in ("market", "private")


class Dialect(Protocol):
    def hear(self, talk: Talk, text: str, now_ms: int) -> list[str]:
        """The answers to one text; raises `HangUp` when the exchange would cut."""
        ...


class HangUp(Exception):
    """The exchange ends the connection, with a websocket close code."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


def dialects(universe: Universe, refused: set[tuple[str, str]]) -> dict[str, Dialect]:
    """One per source. `refused` holds (source, exchange symbol) that a fault made unwelcome."""
    kinds: dict[Exchange, Callable[[Names, Rules], Dialect]] = {
        Exchange.BINANCE: Binance,
        Exchange.BYBIT: Bybit,
        Exchange.OKX: Okx,
    }
    found: dict[str, Dialect] = {}
    for source in EXCHANGE_SOURCES:
        names = Names(universe, source.label, refused)
        if source.exchange == Exchange.MEXC:
            spot = source.market == Market.SPOT
            found[source.label] = MexcSpot(names) if spot else MexcFutures(names)
        else:
            found[source.label] = kinds[source.exchange](names, RULES[source.label])
    return found


class Names:
    """The listings of a source that may be subscribed, by the exchange's spelling."""

    def __init__(self, universe: Universe, label: str, refused: set[tuple[str, str]]) -> None:
        self._by_name = universe.by_name[label]
        self._label = label
        self._refused = refused

    def find(self, name: str) -> Listing | None:
        listing = self._by_name.get(name)
        if listing is None or (self._label, name) in self._refused:
            return None
        return listing if listing.status in ("trading", "halted") else None


def _text(payload: Any) -> str:
    return orjson.dumps(payload).decode()


class Binance:
    """Acknowledges everything, the unknown included; errors are about the form only."""

    def __init__(self, names: Names, rules: Rules) -> None:
        self._names = names
        self._topics_max = rules.topics_max or 1024

    def hear(self, talk: Talk, text: str, now_ms: int) -> list[str]:
        try:
            request = orjson.loads(text)
        except orjson.JSONDecodeError:
            return [_text({"code": 3, "msg": "Invalid JSON: expected value at line 1 column 1"})]
        if not isinstance(request, dict) or "method" not in request:
            return [_text({"code": 2, "msg": "Invalid request: missing field `method`"})]
        method, params, number = request["method"], request.get("params"), request.get("id")
        if not isinstance(number, int | str) or isinstance(number, bool):
            message = "Invalid request: request ID must be an unsigned integer"
            return [_text({"code": 2, "msg": message})]
        if method == "LIST_SUBSCRIPTIONS":
            return [_text({"result": list(talk.topics), "id": number})]
        if method not in ("SUBSCRIBE", "UNSUBSCRIBE"):
            known = "`SUBSCRIBE`, `UNSUBSCRIBE`, `LIST_SUBSCRIPTIONS`"
            message = f"Invalid request: unknown variant `{method}`, expected one of {known}"
            return [_text({"code": 2, "msg": message, "id": number})]
        if not isinstance(params, list) or not all(isinstance(name, str) for name in params):
            return [
                _text({"code": 2, "msg": "Invalid request: params must be strings", "id": number})
            ]
        for stream in params:
            (self.enter if method == "SUBSCRIBE" else self._exit)(talk, stream)
        return [_text({"result": None, "id": number})]

    def enter(self, talk: Talk, stream: str) -> None:
        """Also used for the streams of the URL."""
        if stream in talk.topics:
            return
        if len(talk.topics) >= self._topics_max:
            raise HangUp(1008, "Too many streams")
        name, at, channel = stream.partition("@")
        served = at and channel in ("bookTicker", *BINANCE_DEPTH) and talk.routed
        listing = self._names.find(name.upper()) if served else None
        if listing is not None and name != listing.exchange_symbol.lower():
            listing = None  # stream names are lower case
        subscription = None
        if listing is not None:
            spelling = forms(listing)[0 if talk.combined else 1]
            if channel != "bookTicker":
                spelling = form(channel)
            subscription = Subscription(listing, spelling)
            talk.carry(subscription)
        talk.topics[stream] = subscription

    def _exit(self, talk: Talk, stream: str) -> None:
        subscription = talk.topics.pop(stream, None)
        if subscription is not None:
            talk.leave(subscription)


class Bybit:
    """One bad topic rejects the whole request."""

    def __init__(self, names: Names, rules: Rules) -> None:
        self._names = names
        self._args_max = rules.args_per_request_max
        self._chars_max = rules.args_chars_max or 21_000

    def hear(self, talk: Talk, text: str, now_ms: int) -> list[str]:
        try:
            request = orjson.loads(text)
            operation = request["op"]
        except (orjson.JSONDecodeError, KeyError, TypeError):
            return [self._answer(talk, False, "error:invalid request", "", "")]
        number = str(request.get("req_id", ""))
        if operation == "ping":
            return [self._answer(talk, True, "pong", number, "ping")]
        args = request.get("args")
        if operation not in ("subscribe", "unsubscribe") or not isinstance(args, list):
            return [self._answer(talk, False, f"error:unknown op {operation}", number, operation)]
        if operation == "unsubscribe":
            for topic in args:
                subscription = talk.topics.pop(topic, None)
                if subscription is not None:
                    talk.leave(subscription)
            return [self._answer(talk, True, "", number, operation)]
        fault = self._fault(talk, args)
        if not fault:
            for topic in args:
                if topic == BYBIT_TOPIC:
                    talk.topics[topic] = None
                channel, _, name = topic.rpartition(".")
                listing = self._names.find(name)
                if listing is not None:
                    spelling = "" if channel == "orderbook.1" else form(channel)
                    talk.topics[topic] = Subscription(listing, spelling)
                    talk.carry(Subscription(listing, spelling))
        return [self._answer(talk, not fault, fault, number, operation)]

    def _fault(self, talk: Talk, args: list[Any]) -> str:
        if self._args_max is not None and len(args) > self._args_max:
            return f"error:args size >{self._args_max}"
        chars = sum(len(topic) for topic in [*talk.topics, *args] if isinstance(topic, str))
        if chars > self._chars_max:
            return "error:args length exceeds the limit"
        for topic in args:
            if not self._served(talk, topic):
                return f"error:handler not found,topic:{topic}"
            if topic in talk.topics:
                return f"error:already subscribed,topic:{topic}"
        return ""

    def _served(self, talk: Talk, topic: Any) -> bool:
        """Quotes and announcements have paths of their own."""
        if not isinstance(topic, str):
            return False
        if talk.path == BYBIT_PATH:
            return topic == BYBIT_TOPIC
        channel, _, name = topic.rpartition(".")
        known = channel in ("orderbook.1", "orderbook.50", "orderbook.200")
        return known and self._names.find(name) is not None

    def _answer(self, talk: Talk, success: bool, message: str, number: str, op: str) -> str:
        return _text(
            {
                "success": success,
                "ret_msg": message,
                "conn_id": talk.connection_id,
                **({"req_id": number} if number else {}),
                "op": op,
            }
        )


class Okx:
    """One acknowledgement or error per argument; `ping` is bare text."""

    def __init__(self, names: Names, rules: Rules) -> None:
        self._names = names
        self._bytes_max = rules.request_bytes_max or 65_536
        self._operations_max = rules.operations_per_hour_max or 480

    def hear(self, talk: Talk, text: str, now_ms: int) -> list[str]:
        if text == "ping":
            return ["pong"]
        try:
            request = orjson.loads(text)
            operation, args = request["op"], request["args"]
        except (orjson.JSONDecodeError, KeyError, TypeError):
            return [self._error(talk, "60012", f"Invalid request: {text[:80]}", "")]
        number = str(request.get("id", ""))
        known = operation in ("subscribe", "unsubscribe") and isinstance(args, list)
        if not known or len(text.encode()) > self._bytes_max:
            return [self._error(talk, "60012", "Invalid request: too long or unknown", number)]
        while talk.asked_ms and now_ms - talk.asked_ms[0] >= MS_PER_HOUR:
            talk.asked_ms.popleft()
        talk.asked_ms.append(now_ms)
        if len(talk.asked_ms) > self._operations_max:
            return [self._error(talk, "60014", "Requests too frequent", number)]
        return [self._one(talk, operation, arg, number) for arg in args]

    def _one(self, talk: Talk, operation: str, arg: Any, number: str) -> str:
        channel = arg.get("channel", "") if isinstance(arg, dict) else ""
        name = arg.get("instId", "") if isinstance(arg, dict) else ""
        listing = self._names.find(name) if channel in ("bbo-tbt", "books") else None
        topic = name if channel == "bbo-tbt" else f"{channel}:{name}"
        spelling = "" if channel == "bbo-tbt" else form(channel)
        announced = self._announced(arg)
        if announced and operation == "subscribe":
            talk.topics[announced] = None
        elif announced:
            talk.topics.pop(announced, None)
        elif listing is None:
            wanted = f"channel:{channel},instId:{name}"
            message = f"Wrong URL or {wanted} doesn't exist. Please use the correct URL, channel."
            return self._error(talk, "60018", message, number)
        elif operation == "subscribe" and topic not in talk.topics:
            talk.topics[topic] = Subscription(listing, spelling)
            talk.carry(Subscription(listing, spelling))
        elif operation == "unsubscribe" and topic in talk.topics:
            del talk.topics[topic]
            talk.leave(Subscription(listing, spelling))
        opening = {"id": number} if number else {}
        return _text({**opening, "event": operation, "arg": arg, "connId": talk.connection_id})

    def _announced(self, arg: Any) -> str:
        """The name of a channel that is not about quotes; empty: there is no such."""
        if not isinstance(arg, dict):
            return ""
        if arg.get("channel") == OKX_STATUS:
            return OKX_STATUS
        if arg.get("channel") == "instruments" and arg.get("instType") in OKX_KINDS:
            return f"instruments:{arg['instType']}"
        return ""

    def _error(self, talk: Talk, code: str, message: str, number: str) -> str:
        opening = {"id": number} if number else {}
        return _text(
            {
                **opening,
                "event": "error",
                "code": code,
                "msg": message,
                "connId": talk.connection_id,
            }
        )


class MexcSpot:
    """Text acknowledgements that always say code 0; at most thirty topics."""

    def __init__(self, names: Names) -> None:
        self._names = names
        self._topics_max = RULES["mexc-spot"].topics_max or 30

    def hear(self, talk: Talk, text: str, now_ms: int) -> list[str]:
        try:
            request = orjson.loads(text)
            method = request["method"]
        except (orjson.JSONDecodeError, KeyError, TypeError):
            return [_text({"id": 0, "code": 0, "msg": "invalid message"})]
        number = request.get("id", 0)
        if method in ("PING", "ping"):  # documented, and as ccxt spells it
            return [_text({"id": number, "code": 0, "msg": "PONG"})]
        params = request.get("params")
        if method not in ("SUBSCRIPTION", "UNSUBSCRIPTION") or not isinstance(params, list):
            return [_text({"id": number, "code": 0, "msg": "msg format invalid"})]
        if method == "UNSUBSCRIPTION":
            for topic in params:
                subscription = talk.topics.pop(topic, None)
                if subscription is not None:
                    talk.leave(subscription)
            return [_text({"id": number, "code": 0, "msg": ",".join(params)})]
        done: list[str] = []
        failed: list[str] = []
        for topic in params:
            (done if self._enter(talk, topic) else failed).append(topic)
        answers = []
        if failed:
            message = f"Not Subscribed successfully! [{','.join(failed)}].  Reason\uff1a Blocked! "
            answers.append(_text({"id": number, "code": 0, "msg": message}))
        if done:
            answers.append(_text({"id": number, "code": 0, "msg": ",".join(done)}))
        return answers

    def _enter(self, talk: Talk, topic: Any) -> bool:
        if not isinstance(topic, str) or len(talk.topics) >= self._topics_max:
            return False
        for name in topic.split("@")[2:]:
            listing = self._names.find(name)
            spelled = {mexc_topic(name, speed): speed for speed in ("10ms", "100ms")}
            spelled |= {mexc_depth_topic(name, kind): form(kind) for kind in MEXC_DEPTH}
            if listing is None or topic not in spelled:
                continue
            if topic not in talk.topics:
                talk.topics[topic] = Subscription(listing, spelled[topic])
                talk.carry(Subscription(listing, spelled[topic]))
            return True
        return False


class MexcFutures:
    """One symbol per request; the acknowledgement does not name it; the unknown gets silence."""

    def __init__(self, names: Names) -> None:
        self._names = names

    def hear(self, talk: Talk, text: str, now_ms: int) -> list[str]:
        try:
            request = orjson.loads(text)
            method = request["method"]
        except (orjson.JSONDecodeError, KeyError, TypeError):
            return [_text({"channel": "rs.error", "data": "Invalid request", "ts": now_ms})]
        if method == "ping":
            return [_text({"channel": "pong", "data": now_ms, "ts": now_ms})]
        if method.removeprefix("un") == "sub.contract":
            if method.startswith("un"):
                talk.topics.pop(MEXC_TOPIC, None)
            else:
                talk.topics[MEXC_TOPIC] = None
            return [_text({"channel": f"rs.{method}", "data": "success", "ts": now_ms})]
        if method.removeprefix("un") not in ("sub.depth.full", "sub.depth"):
            return []
        parameter = request.get("param")
        name = parameter.get("symbol", "") if isinstance(parameter, dict) else ""
        listing = self._names.find(name)
        if listing is None:
            message = f"Contract [{name}] not exists"
            return [_text({"channel": "rs.error", "data": message, "ts": now_ms})]
        limit = parameter.get("limit", 20)
        spelling = "full5" if limit == 5 else form("depth.full@20")
        if method.endswith("sub.depth"):
            spelling = form("depth")
        subscription, topic = Subscription(listing, spelling), f"{name} {spelling}"
        if method.startswith("unsub"):
            if talk.topics.pop(topic, None) is not None:
                talk.leave(subscription)
        elif topic not in talk.topics:
            talk.topics[topic] = subscription
            talk.carry(subscription)
        return [_text({"channel": f"rs.{method}", "data": "success", "ts": now_ms})]
