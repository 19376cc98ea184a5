"""One exchange's host as our outgoing address sees it: how often it may be dialled, its bans.

Both are the exchange's own books: the invariants read them, the feeds never do.
"""

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import Any

from spread_scanner.clock import NS_PER_S

BAN_SLACK_NS = NS_PER_S  # a ban in whole seconds is over so much earlier for the books

# New connections per address: count and window. From the reference; MEXC says nothing.
DIALS: dict[str, tuple[int, float]] = {
    "binance": (300, 300.0),
    "bybit": (500, 300.0),
    "okx": (3, 1.0),
    "mexc": (100, 10.0),
}


# Both markets of these are reached by one name; those of the others by one each, and what one of
# them forbids is nothing to the other.
ONE_HOST = ("bybit", "okx")


def host_of(label: str) -> str:
    """By what a source's dials are counted and banned."""
    name = label.partition("-")[0]
    return name if name in ONE_HOST else label


ANNOUNCED = -2  # no line: the connection on which halts are announced
BESIDE = -3  # no line: another process behind the same address


@dataclass
class Dial:
    """One try to connect, as the exchange's address saw it begin."""

    at_ns: int
    source: str
    line: int  # which of the feed's lines it was for; -1: unknown; ANNOUNCED, BESIDE
    set_out_ns: int  # when the feed began it: earlier, where proxies or addresses took their time
    via: str = ""  # the proxy whose address it came from; "": our own
    outcome: str = ""
    told_ns: int = 0  # when the feed heard of the outcome
    task: "asyncio.Task[Any] | None" = None  # of the feed, which waits for it

    @property
    def given_up(self) -> bool:
        """Nobody waits for it any more: what is answered is not heard."""
        return self.task is not None and self.task.done()


class Host:
    """All sources of one exchange's host, seen from one outgoing address."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.limit, self.window_s = DIALS[name]
        # A turn. Who spaces them evenly leaves one of a window free: two that set out a window
        # apart may come in less.
        self.every_ns = int(self.window_s * NS_PER_S / (self.limit - 1))
        self.recent: deque[int] = deque()
        self.most = 0
        self.ban_until_ns = 0
        self.ban_told_ns = 0  # when the feed learned of it

    def dialled(self, now_ns: int) -> int:
        """Note a dial; returns how many there were in the window that ends with it."""
        edge_ns = now_ns - int(self.window_s * NS_PER_S)
        self.recent.append(now_ns)
        while self.recent[0] <= edge_ns:
            self.recent.popleft()
        self.most = max(self.most, len(self.recent))
        return len(self.recent)
