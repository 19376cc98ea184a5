"""A pretended exchange: its sources and their sessions. Seeded, without sockets.

It speaks the simulator's dialects and keeps its own books: who dialled when, who was told to stay
away until when (host.py), which session carries what (session.py). The faults of a day (faults.py)
turn its switches; the invariants read its books.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

import orjson
from host import Dial, Host
from loop import VirtualLoop
from market import Row, Said
from session import Session
from wire import Wire

from spread_scanner.clock import NS_PER_MS, NS_PER_S, VirtualClock
from spread_scanner.schema.enums import SOURCE_BY_LABEL
from spread_scanner.schema.enums import Exchange as Name
from spread_scanner.sim.dialects import RULES, Dialect, Rules
from spread_scanner.sim.notices import BINANCE_STREAM, HALTED, TRADED, contract_info, okx_kind
from spread_scanner.sim.universe import Listing

LATENCY_NS = 20 * NS_PER_MS
SWEEP_NS = 5 * NS_PER_S
Log = Callable[..., None]


@dataclass
class Switches:
    """What a fault has turned on. Times are ends, in monotonic ns; 0: off."""

    refuse: str = ""  # how dials fail: refused, dns, hole, 503, redirect, or a ban's status
    retry_after_s: int = 0
    flaky: float = 0.0  # share of the dials that fail
    cut_after_quote: bool = False
    cut_successors: bool = False
    swallow: int = 0  # requests that get lost
    hollow: int = 0  # requests that are acknowledged and never served
    nameless: int = 0  # requests that meet an error that names nobody
    behind_ns: int = 0  # how long the exchange's own gateway holds quotes back
    held_ns: int = 0  # as that, until the last that it held back has arrived
    slower_ns: int = 0
    clock_ns: int = 0  # how far its clock is off
    drift_ppm: float = 0.0
    unwelcome: set[str] = field(default_factory=set)  # symbols that are refused
    mute: set[str] = field(default_factory=set)  # symbols that are silent until asked for again


class Exchange:
    """One source."""

    def __init__(
        self,
        label: str,
        host: Host,
        rows: list[Row],
        make_dialect: Callable[["Exchange"], Dialect],
        loop: VirtualLoop,
        clock: VirtualClock,
        random: Random,
        log: Log,
    ) -> None:
        self.label = label
        self.host = host
        self.rows = {row.name: row for row in rows}
        self.rules: Rules = RULES[label]
        self.loop = loop
        self.clock = clock
        self.random = random
        self.log = log
        self.switch = Switches()
        self.dialect = make_dialect(self)
        self.sessions: list[Session] = []
        self.held: deque[tuple[int, Row, Said]] = deque()  # by its gateway, and until when
        self.graves: list[Session] = []  # half open: the feed may still believe in them
        self.left_ns: dict[str, int] = {}  # when a session ceased to carry a symbol
        self.unmuted_ns: dict[str, int] = {}  # when a stream that stood still went on
        self.turned_ns: dict[str, int] = {}  # when the feed itself unsubscribed it
        self.beside_until_ns = 0  # another process takes turns until then
        self.slow_until_ns = 0  # that its path is slow may be believed until then
        self.dials: list[Dial] = []
        self.numbers = 0
        self.faster = 1.0
        self.frames = 0  # data frames that the feed took notice of
        self.counted: dict[str, int] = {}
        self.on_arrival: Callable[[Session, Row, Said], None] = lambda *_: None
        self.disturbed: Callable[..., None] = lambda *_: None
        self.epoch_ns = clock.mono_ns()

    # --- time and prices

    def start(self) -> None:
        for row in self.rows.values():
            self.loop.call_ns(row.pause_ns(1.0), self._tick, row)
        self.loop.call_ns(SWEEP_NS, self._sweep)

    def now_ms(self) -> int:
        """The exchange's clock."""
        now_ns = self.clock.mono_ns()
        drift_ns = int((now_ns - self.epoch_ns) * self.switch.drift_ppm * 1e-6)
        return (self.clock.wall_ns() + self.switch.clock_ns + drift_ns) // NS_PER_MS

    def count(self, label: str, by: int = 1) -> None:
        self.counted[label] = self.counted.get(label, 0) + by

    def _tick(self, row: Row) -> None:
        self.loop.call_ns(row.pause_ns(self.faster), self._tick, row)
        if row.listing.status == "trading" and not row.halted:
            self.say(row)

    def say(self, row: Row, *, repeat: bool = False, odd: bool = False, bad: bool = False) -> Said:
        """State a quote now, to everybody who has it subscribed."""
        said = row.move(self.clock.mono_ns(), self.now_ms(), repeat=repeat, odd=odd, bad=bad)
        behind_ns = self.switch.behind_ns
        if behind_ns:
            self.held.append((self.clock.mono_ns() + behind_ns, row, said))
            self.loop.call_ns(behind_ns, self._release)
        else:
            self._send(row, said)
        return said

    def fall_behind(self, behind_ns: int) -> None:
        """The gateway holds quotes back for so long from now on."""
        self.switch.behind_ns = self.switch.held_ns = behind_ns

    def catch_up(self) -> None:
        """The gateway sends all that it holds back, in order."""
        self.switch.behind_ns = 0
        while self.held:
            self._send(*self.held.popleft()[1:])
        slowest_ns = max((one.wire.slower_ns for one in self.sessions), default=0)
        self.loop.call_ns(slowest_ns + 3 * LATENCY_NS, self._caught_up)

    def _caught_up(self) -> None:
        self.switch.held_ns = self.switch.behind_ns

    def _release(self) -> None:
        while self.held and self.held[0][0] <= self.clock.mono_ns():
            self._send(*self.held.popleft()[1:])

    def _send(self, row: Row, said: Said) -> None:
        row.published = said
        for session in self.sessions:
            session.quote(row, said)

    def _sweep(self) -> None:
        self.loop.call_ns(SWEEP_NS, self._sweep)
        for session in list(self.sessions):
            session.sweep()

    @property
    def behind_ns(self) -> int:
        """When the oldest was said that has not arrived; 0: all has."""
        return min((row.since_ns for row in self.rows.values() if row.since_ns), default=0)

    def announce(self, listing: Listing, *, halted: bool) -> bool:
        """Say that a listing is not traded, or is again, where the exchange does; who heard it."""
        exchange = SOURCE_BY_LABEL[self.label].exchange
        words = HALTED if halted else TRADED
        if self.label == "binance-futures":
            event = contract_info(listing, words[exchange], self.now_ms())
            topic, text = BINANCE_STREAM, orjson.dumps({"stream": BINANCE_STREAM, "data": event})
        elif exchange is Name.OKX:
            kind = okx_kind(self.label)
            row = {"instType": kind, "instId": listing.exchange_symbol, "state": words[exchange]}
            push = {"arg": {"channel": "instruments", "instType": kind}, "data": [row]}
            topic, text = f"instruments:{kind}", orjson.dumps(push)
        else:
            return False
        hearers = [
            one for one in self.sessions
            if one.notices and topic in one.talk.topics and one.wire.listened_to
        ]  # fmt: skip
        for one in hearers:
            one.say(text.decode())
        return any(not one.wire.dead for one in hearers)

    # --- connections

    def admit(self, dial: Dial) -> Session:
        """A handshake has been accepted."""
        self.numbers += 1
        wire = Wire(self.loop, self.numbers, LATENCY_NS, self.disturbed)
        wire.slower_ns = self.switch.slower_ns
        session = Session(self, wire, dial, self.numbers)
        wire.far = session
        self.sessions.append(session)
        return session

    def told(self, row: Row) -> list[Session]:
        """The sessions that would bring this symbol's next quote to somebody who listens."""
        return [
            one for one in self.sessions
            if one.carries(row) and not one.wire.dead and one.wire.listened_to
        ]  # fmt: skip
