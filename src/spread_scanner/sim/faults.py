"""Faults on request: what goes wrong, where, for how long; from a script or the control path.

An action is one JSON object, `{"at_s": 3, "do": "freeze", "source": "okx-futures", "for_s": 2}`;
docs/simulator.md lists them all. Message faults bend quotes on their way (bent.py), conversation
faults what is answered (converse.py), connection faults act on sockets (freeze, half-open, close,
cut, poison, refuse, ban), the rest spoil REST answers, the exchange's clocks or single symbols.
Each leaves a row in the truth file.
"""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from spread_scanner.clock import NS_PER_MS
from spread_scanner.schema.enums import SOURCE_BY_LABEL
from spread_scanner.sim import converse
from spread_scanner.sim.actions import (
    GARBAGE,
    LASTING,
    MAINTENANCE_S,
    REFUSALS,
    check,
    spoiled,
)
from spread_scanner.sim.bent import MESSAGE_FAULTS, Action, Bent, Window
from spread_scanner.sim.dialects import Talk
from spread_scanner.sim.learning import Learning
from spread_scanner.sim.limits import Refusal
from spread_scanner.sim.notices import Work, announces_maintenance
from spread_scanner.sim.rest import Answer
from spread_scanner.sim.rules import RULES
from spread_scanner.sim.universe import Listing
from spread_scanner.sim.wire import text_frame

if TYPE_CHECKING:
    from spread_scanner.sim.exchange import Exchange8
    from spread_scanner.sim.server import Connection


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
            "halt": self._halt,
            "maintenance": self._maintain,
            "engine-lag": self._begin_engine_lag,
        }
        self._ends: dict[str, Callable[[Window], None]] = {
            "freeze": self._thaw,
            "half-open": self._thaw,
            "skew": self._unskew,
            "refuse-symbol": self._welcome_symbol,
            "halt": self._resume,
            "maintenance": self._maintained,
            "engine-lag": self._end_engine_lag,
        }
        self._plain: dict[str, Callable[[Action], None]] = {
            "play": lambda _: exchange.playback.begin(exchange.elapsed_s()),
            "rate": lambda action: setattr(exchange, "rate", float(action["rate"])),
            "refresh": lambda _: exchange.refresh(),
            "quote": exchange.quote,
            "book": exchange.depth.fault,
            "end": self._end_now,
            "learn": lambda action: exchange.truth.learn(
                Learning(float(action["half_life_s"]), float(action["trust_s"]))
            ),
            "begin": lambda _: exchange.truth.begin(),
        }
        for action in self._script:
            check(action)

    # --- what the exchange asks

    def skew_ms(self, label: str) -> int:
        return self._skew.get(label, 0)

    def refusal(self, label: str, door: str) -> Refusal | None:
        """Whether a fault keeps everybody out; `door` is "socket" or "rest"."""
        for window in self._windows:
            shut = window.what == "ban" or (window.what == "refuse" and door == "socket")
            if shut and window.label == label:
                action = window.action
                status = int(action.get("status", REFUSALS[window.what]))
                wait_s = action.get("retry_after_s")
                if wait_s is None and window.what == "ban" and window.end_s is not None:
                    wait_s = window.end_s - self._exchange.elapsed_s()
                banned = window.what == "ban"
                return Refusal(status, "unavailable\n", wait_s, banned, bool(action.get("date")))
        return None

    def reply(self, label: str, talk: Talk, text: str, now_ms: int) -> list[str] | None:
        """What a fault answers to a client's text; None: the dialect answers."""
        now_s = self._exchange.elapsed_s()
        return converse.reply(self._windows, label, talk, text, now_ms, now_s)

    def mutes(self, label: str, listing: Listing) -> bool:
        return bool(self._windows) and converse.mutes(self._windows, label, listing)

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
                window.used_up("count", 0.0)
            self._exchange.counts["rest_spoiled"] += 1
            return spoiled(window.action, label, answer)
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
        if what == "maintenance":
            labels = [label for label in labels if announces_maintenance(label)]
        for label in labels:
            self._begin(Window(what, label, dict(action), end_s))

    def _begin(self, window: Window) -> None:
        window.row = self._exchange.stamp()
        self._exchange.counts[f"fault_{window.what}"] += 1
        if window.what in MESSAGE_FAULTS:
            window.action.setdefault("left", int(window.action.get("count", 10)))
            bent = self.bent.get(window.label)
            if bent is None:
                bent = self.bent[window.label] = Bent(self._exchange.delivery)
                bent.now_s = self._exchange.elapsed_s()
            bent.windows.append(window)
        act = self._acts.get(window.what)
        if act is not None:
            act(window)
        if window.end_s is not None or window.what in LASTING:
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
        if window.what in self._ends:
            self._ends[window.what](window)

    def _end_now(self, action: Action) -> None:
        """What is in force of a kind is over before its time."""
        for window in list(self._windows):
            if window.what == action["what"] and action["source"] in (window.label, "all"):
                self._end(window)

    def _unskew(self, window: Window) -> None:
        self._skew.pop(window.label, None)

    def _welcome_symbol(self, window: Window) -> None:
        self._exchange.refused.discard((window.label, str(window.action["symbol"])))

    def _thaw(self, window: Window) -> None:
        thawed = self._connections(window.label)
        for connection in thawed:
            connection.rhythm.thawed(self._exchange.mono_s(), was_deaf=connection.deaf)
            connection.frozen = connection.deaf = False
        self._exchange.delivery.thawed(thawed)

    def _connections(self, label: str) -> list["Connection"]:
        found = [
            connection
            for connection in self._exchange.connections
            if connection.talk is not None and connection.label == label
        ]
        # Quotes before announcements: a fault of so many connections means those that carry them.
        return sorted(found, key=lambda one: (not one.subscriptions, one.number))

    def _struck(self, window: Window) -> list["Connection"]:
        """The connections that a fault acts on: all of the source, or the first `connections`."""
        found = self._connections(window.label)
        return found[: int(window.action.get("connections", len(found)))]

    def _freeze(self, window: Window) -> None:
        for connection in self._struck(window):
            connection.frozen = True
        self._exchange.delivery.struck(self._struck(window))

    def _half_open(self, window: Window) -> None:
        for connection in self._struck(window):
            connection.deaf = True
        self._exchange.delivery.struck(self._struck(window))

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
                self._exchange.delivery.write_raw(connection, frame)

    def _begin_skew(self, window: Window) -> None:
        self._skew[window.label] = int(window.action["skew_ms"])

    def _named(self, window: Window) -> Iterable[Listing]:
        """The listings that an action means: one symbol, or all of the source."""
        rows = self._exchange.universe.by_source[window.label]
        return [listing for listing in rows if window.touches(listing)]

    def _delist(self, window: Window) -> None:
        """The symbol falls silent for ever and leaves the instrument list; some say so."""
        for listing in self._named(window):
            self._exchange.notices.delisted(listing)
            listing.status = "vanished" if window.label == "mexc-futures" else "delisted"
            self._exchange.market.retire(listing)

    def _halt(self, window: Window) -> None:
        """The book stands still; where an exchange repeats itself, it goes on doing so.

        Announced where the exchange would; `quiet` halts say nothing.
        """
        for listing in self._named(window):
            if not window.action.get("quiet"):
                self._exchange.notices.halted(listing)
            self._exchange.market.retire(listing)

    def _resume(self, window: Window) -> None:
        for listing in self._named(window):
            self._exchange.market.revive(listing)
            if not window.action.get("quiet"):
                self._exchange.notices.resumed(listing)

    def _work(self, window: Window, end_ms: int | None = None) -> Work:
        begin_ms = window.row[0] // NS_PER_MS
        if end_ms is None:
            end_ms = begin_ms + int(float(window.action.get("for_s", MAINTENANCE_S)) * 1000)
        title = str(window.action.get("title", f"Upgrade of {window.label}"))
        return Work(window.label, title, begin_ms, end_ms)

    def _maintain(self, window: Window) -> None:
        """Words only: what is served goes on, or another fault sees to that."""
        state = str(window.action.get("state", "ongoing"))
        self._exchange.notices.maintenance(self._work(window), state)

    def _maintained(self, window: Window) -> None:
        work = self._work(window, self._exchange.now_ms(window.label))
        self._exchange.notices.maintenance(work, "completed")

    def _begin_engine_lag(self, window: Window) -> None:
        source_id = SOURCE_BY_LABEL[window.label].source_id
        self._exchange.engine_lag.add(source_id, int(window.action["lag_ms"]))

    def _end_engine_lag(self, window: Window) -> None:
        self._exchange.engine_lag.add(SOURCE_BY_LABEL[window.label].source_id, 0)

    def _refuse_symbol(self, window: Window) -> None:
        self._exchange.refused.add((window.label, str(window.action["symbol"])))

    def _reset(self, window: Window) -> None:
        """Update ids start again at one, as after a restart of the exchange's service."""
        for listing in self._named(window):
            listing.update_id = 0


def _shown(window: Window) -> dict[str, Any]:
    """The settings of an action worth a place in the truth row."""
    hidden = ("do", "source", "at_s", "for_s", "left")
    return {key: value for key, value in window.action.items() if key not in hidden}
