"""Faults on request: what goes wrong, where, for how long; from a script or the control path.

An action is one JSON object, `{"at_s": 3, "do": "freeze", "source": "okx-futures", "for_s": 2}`;
docs/simulator.md lists them all. Message faults bend quotes on their way (drop, duplicate, reorder,
slow, gap, skew), connection faults act on sockets (freeze, half-open, close, cut, poison, refuse),
the rest spoil REST answers or single symbols. Each leaves a row in the truth file.
"""

import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from spread_scanner.sim.dialects import RULES
from spread_scanner.sim.rest import Answer, too_many
from spread_scanner.sim.tick import Tick
from spread_scanner.sim.truth import Leg
from spread_scanner.sim.wire import binary_frame, text_frame

if TYPE_CHECKING:
    from spread_scanner.sim.exchange import Exchange8
    from spread_scanner.sim.server import Connection

Action = dict[str, Any]

GARBAGE = {
    "text": text_frame(b'{"u":12,"s":"BTCUSDT","b":oops'),
    "binary": binary_frame(b"\x0a\xff\xff\xff\xff\x7f\x00\x80\x80"),
    "utf8": text_frame(b'{"stream":"\xff\xfe\xc3\x28"}'),
    "empty": text_frame(b""),
    "unknown": text_frame(b'{"channel":"push.nothing","data":{"e":"nobodyKnows","v":[1,null,{}]}}'),
}


class Window:
    """One fault in force: which source, until when, with which settings."""

    __slots__ = ("action", "end_s", "label", "row", "what")

    def __init__(self, what: str, label: str, action: Action, end_s: float | None) -> None:
        self.what = what
        self.label = label
        self.action = action
        self.end_s = end_s
        self.row: tuple[int, int] = (0, 0)

    def touches(self, leg: Leg) -> bool:
        wanted = self.action.get("symbol")
        return wanted is None or wanted in (leg.listing.symbol, leg.listing.exchange_symbol)


def chance(leg: Leg, tick: Tick) -> float:
    """Between 0 and 1, from the message alone: the same one is hit in every run."""
    return zlib.crc32(f"{leg.listing.exchange_symbol}:{tick.update_id}".encode()) / 2**32


class Bent:
    """The message faults of one source, applied to each quote in turn."""

    def __init__(self, deliver: Callable[[Leg, Tick], None]) -> None:
        self._deliver = deliver
        self.windows: list[Window] = []
        self.waiting: list[tuple[float, Leg, Tick]] = []
        self._held: list[tuple[Leg, Tick]] = []
        self.now_s = 0.0

    def route(self, leg: Leg, tick: Tick) -> None:
        copies = 1
        for window in self.windows:
            if not window.touches(leg) or chance(leg, tick) >= float(window.action.get("p", 1.0)):
                continue
            if window.what == "drop":
                return
            if window.what == "gap":
                window.action["left"] -= 1
                if window.action["left"] <= 0:
                    window.end_s = self.now_s
                return
            if window.what == "slow":
                due = self.now_s + float(window.action.get("delay_ms", 500)) / 1000
                self.waiting.append((due, leg, tick))
                return
            if window.what == "duplicate":
                copies += 1
            elif window.what == "reorder":
                self._held.append((leg, tick))
                if len(self._held) >= int(window.action.get("depth", 3)):
                    self.release()
                return
        for _ in range(copies):
            self._deliver(leg, tick)

    def release(self) -> None:
        """Held messages go out, the last first."""
        for leg, tick in reversed(self._held):
            self._deliver(leg, tick)
        self._held.clear()

    def advance(self, now_s: float) -> None:
        self.now_s = now_s
        while self.waiting and self.waiting[0][0] <= now_s:
            _, leg, tick = self.waiting.pop(0)
            self._deliver(leg, tick)

    @property
    def idle(self) -> bool:
        return not self.windows and not self.waiting and not self._held


MESSAGE_FAULTS = ("drop", "duplicate", "reorder", "slow", "gap")


class Faults:
    """All faults of the process; the exchange asks it at every turn."""

    def __init__(self, exchange: "Exchange8") -> None:
        self._exchange = exchange
        self._script = sorted(exchange.options.script, key=lambda action: float(action["at_s"]))
        self.bent: dict[str, Bent] = {}  # the message faults in force, by source: usually none
        self._windows: list[Window] = []
        self._skew: dict[str, int] = {}
        self._acts: dict[str, Callable[[Window], None]] = {
            "freeze": self._freeze,
            "half-open": self._half_open,
            "close": self._close,
            "cut": self._cut,
            "poison": self._poison,
            "skew": self._begin_skew,
            "delist": self._delist,
            "refuse-symbol": self._refuse_symbol,
            "reset": self._reset,
        }
        self._plain: dict[str, Callable[[Action], None]] = {
            "play": lambda _: exchange.playback.begin(exchange.elapsed_s()),
            "rate": lambda action: setattr(exchange, "rate", float(action["rate"])),
            "refresh": lambda _: exchange.refresh(),
            "quote": exchange.quote,
        }
        for action in self._script:
            check(action)

    # --- what the exchange asks

    def skew_ms(self, label: str) -> int:
        return self._skew.get(label, 0)

    def refuses(self, label: str) -> bool:
        return any(w.what == "refuse" and w.label == label for w in self._windows)

    def adopt(self, connection: "Connection") -> None:
        """A new connection meets the faults that are meant for new ones too."""
        for window in self._windows:
            if window.label == connection.label and window.action.get("new"):
                connection.frozen |= window.what == "freeze"
                connection.deaf |= window.what == "half-open"

    def spoil(self, label: str, path: str, answer: Answer) -> Answer | None:
        """What a REST fault makes of an answer; None: it never comes."""
        for window in self._windows:
            matches = window.label == label and str(window.action.get("path", "")) in path
            if window.what != "rest" or not matches:
                continue
            if "count" in window.action:
                window.action["count"] -= 1
                if window.action["count"] <= 0:
                    window.end_s = 0.0
            mode = window.action.get("mode", "429")
            self._exchange.counts["rest_spoiled"] += 1
            if mode == "429":
                spoiled = too_many(label, int(window.action.get("retry_after_s", 1)))
                return spoiled._replace(status=429) if spoiled.status == 200 else spoiled
            if mode == "timeout":
                return None
            if mode == "truncated":
                return answer._replace(body=answer.body[: len(answer.body) // 2])
            body = b"<html><body><h1>503 Service Temporarily Unavailable</h1></body></html>"
            return Answer(
                int(window.action.get("status", 503)), [("content-type", "text/html")], body
            )
        return answer

    def active(self) -> list[str]:
        return [f"{window.what}:{window.label}" for window in self._windows]

    # --- the passing of time

    def advance(self, elapsed_s: float) -> None:
        """Begin what the script says is due, end what is over."""
        while self._script and float(self._script[0]["at_s"]) <= elapsed_s:
            self.do(self._script.pop(0))
        for window in list(self._windows):
            if window.end_s is not None and window.end_s <= elapsed_s:
                self._end(window)
        for label, bent in list(self.bent.items()):
            bent.advance(elapsed_s)
            if bent.idle:
                del self.bent[label]

    def close(self) -> None:
        """The end of the run: what is still in force is written with end null."""
        for window in self._windows:
            self._exchange.fault_row(window.what, window.label, window.row, None, **_shown(window))
        self._windows.clear()

    # --- actions

    def do(self, action: Action) -> None:
        """One action, now. Raises ValueError on one that makes no sense."""
        check(action)
        action = dict(action)
        what = str(action["do"])
        if what == "plant":
            self._exchange.planter.ask(
                str(action["symbol"]),
                str(action["direction"]),
                float(action.get("over_bps", 30.0)),
                float(action.get("for_s", 1.0)),
                str(action.get("leg", "futures")),
            )
            return
        if what in self._plain:
            self._plain[what](action)
            return
        now_s = self._exchange.elapsed_s()
        end_s = now_s + float(action["for_s"]) if "for_s" in action else None
        labels = list(RULES) if action["source"] == "all" else [str(action["source"])]
        for label in labels:
            self._begin(Window(what, label, dict(action), end_s))

    def _begin(self, window: Window) -> None:
        window.row = self._exchange.stamp()
        self._exchange.counts[f"fault_{window.what}"] += 1
        if window.what in MESSAGE_FAULTS:
            window.action.setdefault("left", int(window.action.get("count", 10)))
            bent = self.bent.get(window.label)
            if bent is None:
                bent = self.bent[window.label] = Bent(self._exchange.deliver)
                bent.now_s = self._exchange.elapsed_s()
            bent.windows.append(window)
        act = self._acts.get(window.what)
        if act is not None:
            act(window)
        lasting = window.end_s is not None or window.what in (*MESSAGE_FAULTS, "refuse", "rest")
        if lasting or window.what in ("freeze", "half-open", "skew", "delist", "refuse-symbol"):
            self._windows.append(window)
        else:
            stamp = self._exchange.stamp()
            self._exchange.fault_row(window.what, window.label, window.row, stamp, **_shown(window))

    def _end(self, window: Window) -> None:
        self._windows.remove(window)
        stamp = self._exchange.stamp()
        self._exchange.fault_row(window.what, window.label, window.row, stamp, **_shown(window))
        bent = self.bent.get(window.label)
        if bent is not None and window in bent.windows:
            bent.windows.remove(window)
            bent.release()
        if window.what == "skew":
            self._skew.pop(window.label, None)
        elif window.what == "refuse-symbol":
            self._exchange.refused.discard((window.label, str(window.action["symbol"])))
        elif window.what in ("freeze", "half-open"):
            for connection in self._connections(window.label):
                connection.frozen = connection.deaf = False

    def _connections(self, label: str) -> list["Connection"]:
        found = [
            connection
            for connection in self._exchange.connections
            if connection.talk is not None and connection.label == label
        ]
        return sorted(found, key=lambda connection: connection.number)

    def _struck(self, window: Window) -> list["Connection"]:
        """The connections that a fault acts on: all of the source, or the first `connections`."""
        found = self._connections(window.label)
        return found[: int(window.action.get("connections", len(found)))]

    def _freeze(self, window: Window) -> None:
        for connection in self._struck(window):
            connection.frozen = True

    def _half_open(self, window: Window) -> None:
        for connection in self._struck(window):
            connection.deaf = True

    def _close(self, window: Window) -> None:
        for connection in self._struck(window):
            if window.action.get("abort"):
                connection.part()
                connection.transport.abort()
            else:
                connection.hang_up(int(window.action.get("code", 1001)), "going away")

    def _cut(self, window: Window) -> None:
        """Half a frame, then the end of the TCP connection without a close frame."""
        for connection in self._struck(window):
            half = text_frame(b'{"stream":"btcusdt@bookTicker","data":{"u":1' + b" " * 80)[:40]
            connection.transport.write(b"".join([*connection.out, half]))
            connection.part()
            connection.transport.close()

    def _poison(self, window: Window) -> None:
        frame = GARBAGE[str(window.action.get("kind", "text"))]
        for connection in self._struck(window):
            for _ in range(int(window.action.get("count", 1))):
                self._exchange.write_raw(connection, frame)

    def _begin_skew(self, window: Window) -> None:
        self._skew[window.label] = int(window.action["skew_ms"])

    def _delist(self, window: Window) -> None:
        """The symbol falls silent for ever and leaves the instrument list."""
        name = window.action["symbol"]
        for listing in self._exchange.universe.by_source[window.label]:
            if name in (listing.symbol, listing.exchange_symbol):
                listing.status = "vanished" if window.label == "mexc-futures" else "delisted"
                self._exchange.market.retire(listing)

    def _refuse_symbol(self, window: Window) -> None:
        self._exchange.refused.add((window.label, str(window.action["symbol"])))

    def _reset(self, window: Window) -> None:
        """Update ids start again at one, as after a restart of the exchange's service."""
        for listing in self._exchange.universe.by_source[window.label]:
            if window.action.get("symbol") in (None, listing.symbol, listing.exchange_symbol):
                listing.update_id = 0


KNOWN = {
    *MESSAGE_FAULTS, "freeze", "half-open", "close", "cut", "poison", "skew", "delist",
    "refuse-symbol", "reset", "refuse", "rest", "plant", "play", "rate", "refresh", "quote",
}  # fmt: skip
NEEDS = {
    "plant": ("symbol", "direction"),
    "skew": ("source", "skew_ms"),
    "delist": ("source", "symbol"),
    "refuse-symbol": ("source", "symbol"),
    "play": (),
    "refresh": (),
    "rate": ("rate",),
    "quote": ("source", "symbol", "bid_px", "bid_sz", "ask_px", "ask_sz"),
}


def check(action: Action) -> None:
    """Raises ValueError that says what is wrong with an action."""
    what = action.get("do")
    if what not in KNOWN:
        raise ValueError(f"unknown action {what!r}; known: {', '.join(sorted(KNOWN))}")
    for key in NEEDS.get(str(what), ("source",)):
        if key not in action:
            raise ValueError(f"action {what!r} needs {key!r}")
    if "source" in action and action["source"] not in (*RULES, "all"):
        raise ValueError(f"unknown source {action['source']!r}")
    if what == "poison" and action.get("kind", "text") not in GARBAGE:
        raise ValueError(f"unknown kind of poison; known: {', '.join(GARBAGE)}")


def _shown(window: Window) -> dict[str, Any]:
    """The settings of an action worth a place in the truth row."""
    hidden = ("do", "source", "at_s", "for_s", "left")
    return {key: value for key, value in window.action.items() if key not in hidden}
