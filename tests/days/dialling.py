"""(3), (4), (5): how often an address dials, how long a line waits, what a ban forbids.

Dials are judged as they come, waiting lines each 250 ms. See invariants.py.
"""

from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from exchange import Exchange
from host import BAN_SLACK_NS, BESIDE, Dial
from names import USUAL

from spread_scanner.clock import NS_PER_MS, NS_PER_S

# Of one line and its successor, which has a back-off of its own: one from 0.25 s leaves 8 possible.
DIALS_PER_MINUTE_MAX = 16
RECENT_NS = 600 * NS_PER_S  # what was tried longer ago is no reason to wait
BACKOFF_NS_MIN = 250 * NS_PER_MS  # doubled with each try
PROMPT_NS = 700 * NS_PER_MS  # the first pause and a look; and turns, at the exchange's rate
BACKOFF_NS_MAX = 30 * NS_PER_S
CONNECT_NS_MAX = 10 * NS_PER_S
RACE_NS = 300 * NS_PER_MS  # until the second address of a name is tried: a dead one costs no more


class LineView(NamedTuple):
    """One of a feed's lines: its number in a day, and whether it has a connection."""

    number: int
    carried: int  # the number of its connection; 0: it has none
    data: bool


class World(Protocol):
    """What is looked at."""

    exchanges: dict[str, Exchange]

    def now_ns(self) -> int: ...

    def lines(self, label: str) -> list[LineView]: ...

    def all_carried(self, label: str) -> bool: ...


@dataclass
class LineBook:
    """What is known of one line."""

    away_ns: int = 0  # since when it has no connection; 0: it has one
    seen_ns: int = 0  # when it was last seen with one
    dials: deque[int] = field(default_factory=deque)  # of the last minute
    recent: deque[int] = field(default_factory=deque)  # of the last ten
    dial: Dial | None = None  # the last that got as far as the exchange


class Dialling:
    """Keeps a book of each line. `refused_until_ns`: lines without a welcome symbol have no reason
    to dial."""

    def __init__(self, world: World, broken: Callable[[int, str, str], None]) -> None:
        self.world = world
        self.broken = broken
        self.woke_ns = 0
        self.refused_until_ns: dict[str, int] = defaultdict(int)
        self.cut_ns: dict[str, int] = defaultdict(int)  # a feed's lines may be new since then
        self._books: dict[tuple[str, int], LineBook] = defaultdict(LineBook)
        self._carried_ns: dict[str, int] = defaultdict(int)  # when all lines were

    def woke(self) -> None:
        """The machine slept: what was paused has paused enough, back-offs begin anew."""
        self.woke_ns = self.world.now_ns()
        for book in self._books.values():
            book.dials.clear()

    def dialled(self, exchange: Exchange, dial: Dial, in_window: int) -> None:
        host, now_ns = exchange.hosts[dial.via], dial.at_ns
        if in_window > host.limit:
            self.broken(
                3, exchange.label, f"{in_window} dials in {host.window_s:g} s, {host.limit} allowed"
            )
        # What was on its way to a proxy, or to one of several addresses, when the ban was heard of
        # could not know of it.
        if host.ban_told_ns and host.ban_told_ns < dial.set_out_ns < host.ban_until_ns:
            left_s = (host.ban_until_ns - now_ns) / NS_PER_S
            self.broken(5, exchange.label, f"dialled {left_s:.1f} s before the end of a ban")
        if dial.line != BESIDE:
            self._books[exchange.label, dial.line].dial = dial
            self.attempted(exchange, dial.line)

    def attempted(self, exchange: Exchange, line: int) -> None:
        """A line tries to connect, be it that the name cannot be resolved."""
        now_ns = self.world.now_ns()
        book = self._books[exchange.label, line]
        book.recent.append(now_ns)
        book.dials.append(now_ns)
        while book.dials[0] <= now_ns - 60 * NS_PER_S:
            book.dials.popleft()
        if len(book.dials) > DIALS_PER_MINUTE_MAX:
            self.broken(
                4, exchange.label, f"line {line} dialled {len(book.dials)} times in a minute"
            )

    def look_at_lines(self) -> None:
        now_ns = self.world.now_ns()
        for label, exchange in self.world.exchanges.items():
            if self.world.all_carried(label):
                self._carried_ns[label] = now_ns
                continue
            banned_ns = exchange.host.ban_until_ns + BAN_SLACK_NS
            for line in self.world.lines(label):
                book = self._books[label, line.number]
                book.seen_ns = max(book.seen_ns, self._carried_ns[label])
                if book.away_ns <= self._carried_ns[label]:
                    book.away_ns = 0
                if line.carried:
                    book.seen_ns = now_ns
                    book.away_ns = 0
                    continue
                if not book.away_ns:
                    book.away_ns = book.seen_ns or now_ns
                turns = 1 + self._dialling(exchange)
                new_ns = max(self.woke_ns, self.cut_ns[label])
                free_ns = max(banned_ns, new_ns, exchange.beside_until_ns)
                turns_ns = turns * exchange.host.every_ns
                if exchange.switch.way != USUAL:
                    turns_ns += RACE_NS
                self._not_forgotten(label, line.number, turns_ns, free_ns)

    def _dialling(self, exchange: Exchange) -> int:
        """How many may want a turn at one host: all lines there, and what hears announcements."""
        there = [
            label for label, one in self.world.exchanges.items() if one.host is exchange.host
        ]  # fmt: skip
        return sum(1 + len(self.world.lines(label)) for label in there)

    def _not_forgotten(self, label: str, number: int, turns_ns: int, free_ns: int) -> None:
        """A line waits no longer than its own tries explain, and for the turns of its lines."""
        now_ns = self.world.now_ns()
        book = self._books[label, number]
        while book.recent and book.recent[0] <= now_ns - RECENT_NS:
            book.recent.popleft()
        pause_ns = min(BACKOFF_NS_MAX, BACKOFF_NS_MIN << len(book.recent))
        last_ns = book.recent[-1] if book.recent else 0
        bound_ns = PROMPT_NS + turns_ns + pause_ns
        if last_ns >= book.away_ns > 0:  # one that is new dials at once
            bound_ns += CONNECT_NS_MAX
        elif book.dial is not None and not book.dial.outcome:  # its successor's is under way
            bound_ns += max(0, book.dial.at_ns + CONNECT_NS_MAX - book.away_ns)
        waited_ns = now_ns - max(last_ns, book.away_ns, free_ns)
        if waited_ns > bound_ns and now_ns >= self.refused_until_ns[label]:
            self.broken(
                4, label,
                f"line {number} waits {waited_ns / NS_PER_S:.2f} s for its dial, after "
                f"{len(book.recent)} in ten minutes at most {bound_ns / NS_PER_S:.2f} s",
            )  # fmt: skip
            book.away_ns = now_ns
