"""Message faults: what happens to single quotes on their way to the sockets.

A window is one fault in force. `Bent` holds those of one source and is asked for every quote of it;
which message is hit follows from the message alone, so that it is the same in every run.
"""

import zlib
from typing import Any

from spread_scanner.sim.delivery import Delivery
from spread_scanner.sim.legs import Leg
from spread_scanner.sim.tick import Tick
from spread_scanner.sim.universe import Listing
from spread_scanner.sim.wire import without_body

Action = dict[str, Any]
MESSAGE_FAULTS = ("drop", "duplicate", "reorder", "slow", "gap", "one-sided", "bodyless")


class Window:
    """One fault in force: which source, until when, with which settings."""

    __slots__ = ("action", "end_s", "label", "row", "what")

    def __init__(self, what: str, label: str, action: Action, end_s: float | None) -> None:
        self.what = what
        self.label = label
        self.action = action
        self.end_s = end_s
        self.row: tuple[int, int] = (0, 0)

    def touches(self, listing: Listing) -> bool:
        wanted = self.action.get("symbol")
        return wanted is None or wanted in (listing.symbol, listing.exchange_symbol)

    def used_up(self, key: str, now_s: float) -> None:
        """One less of so many; with the last one the fault is over."""
        self.action[key] -= 1
        if self.action[key] <= 0:
            self.end_s = now_s


def chance(leg: Leg, tick: Tick) -> float:
    """Between 0 and 1, from the message alone: the same one is hit in every run."""
    return zlib.crc32(f"{leg.listing.exchange_symbol}:{tick.update_id}".encode()) / 2**32


class Bent:
    """The message faults of one source, applied to each quote in turn."""

    def __init__(self, delivery: Delivery) -> None:
        self._delivery = delivery
        self.windows: list[Window] = []
        self.waiting: list[tuple[float, Leg, Tick]] = []
        self._held: list[tuple[Leg, Tick]] = []
        self.now_s = 0.0

    def route(self, leg: Leg, tick: Tick) -> None:
        copies = 1
        for window in self.windows:
            chosen = chance(leg, tick) < float(window.action.get("p", 1.0))
            if not window.touches(leg.listing) or not chosen:
                continue
            if window.what == "duplicate":
                copies += 1
            elif window.what == "one-sided":
                side = str(window.action.get("side", "ask"))
                tick = tick._replace(**{f"{side}_px": "", f"{side}_sz": ""})  # type: ignore[arg-type]
            else:
                self._hold_back(window, leg, tick)
                return
        for _ in range(copies):
            self._delivery.deliver(leg, tick)

    def _hold_back(self, window: Window, leg: Leg, tick: Tick) -> None:
        """The quote does not go out now, or never."""
        if window.what == "gap":
            window.used_up("left", self.now_s)
        elif window.what == "slow":
            due_s = self.now_s + float(window.action.get("delay_ms", 500)) / 1000
            self.waiting.append((due_s, leg, tick))
        elif window.what == "bodyless":
            self._delivery.say_frames(leg, lambda row, form: without_body(row, form, tick.ts_ms))
        elif window.what == "reorder":
            self._held.append((leg, tick))
            if len(self._held) >= int(window.action.get("depth", 3)):
                self.release()

    def release(self) -> None:
        """Held messages go out, the last first."""
        for leg, tick in reversed(self._held):
            self._delivery.deliver(leg, tick)
        self._held.clear()

    def advance(self, now_s: float) -> None:
        self.now_s = now_s
        while self.waiting and self.waiting[0][0] <= now_s:
            _, leg, tick = self.waiting.pop(0)
            self._delivery.deliver(leg, tick)

    @property
    def idle(self) -> bool:
        return not self.windows and not self.waiting and not self._held
