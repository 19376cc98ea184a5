"""A pretended exchange: its sources and their sessions. Seeded, without sockets.

It speaks the simulator's dialects and keeps its own books: who dialled when, who was told to stay
away until when (host.py), which session carries what (session.py). The faults of a day (faults.py)
turn its switches; the invariants read its books.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import NamedTuple

import names
import orjson
from host import Dial, Host
from loop import VirtualLoop
from market import Row, Said
from session import Session
from shapes import impossible_time
from usual import Usual
from wire import Wire

from spread_scanner.clock import NS_PER_MS, NS_PER_S, VirtualClock
from spread_scanner.errors import ExchangeError
from spread_scanner.schema.enums import SOURCE_BY_LABEL
from spread_scanner.schema.enums import Exchange as Name
from spread_scanner.sim.dialects import RULES, Dialect, Rules
from spread_scanner.sim.notices import (
    BINANCE_STREAM,
    BYBIT_TOPIC,
    HALTED,
    MEXC_TOPIC,
    OKX_STATUS,
    TRADED,
    WITH_MAINTENANCE,
    Work,
    bybit_status,
    contract_info,
    mexc_contract,
    okx_kind,
    okx_status,
)
from spread_scanner.sim.universe import Listing

LATENCY_NS = 20 * NS_PER_MS
SWEEP_NS = 5 * NS_PER_S
LEARNED_ANEW_NS = 45 * NS_PER_S  # three windows of a feed's, and what was on its way
Log = Callable[..., None]


@dataclass
class Switches:
    """What a fault has turned on. Times are ends, in monotonic ns; 0: off."""

    refuse: str = ""  # how dials fail: refused, dns, hole, 503, redirect, or a ban's status
    retry_after_s: int = 0
    dated: bool = False  # Retry-After is told as a date
    flaky: float = 0.0  # share of the dials that fail
    cut_after_quote: bool = False
    cut_successors: bool = False
    swallow: int = 0  # requests that get lost
    hollow: int = 0  # requests that are acknowledged and never served
    nameless: int = 0  # requests that meet an error that names nobody
    behind_ns: int = 0  # how long the exchange's own gateway holds quotes back
    held_ns: int = 0  # as that, until the last that it held back has arrived
    creep: float = 0.0  # how much that grows, per unit of time
    creeps_since_ns: int = 0
    enveloped: bool = False  # what was held back is dated as it is sent, but by the engine's time
    slower_ns: int = 0
    way: str = names.USUAL  # what its name resolves to
    proxy: str = ""  # how the proxy fails to do what it is asked: proxies.py
    clock_ns: int = 0  # how far its clock is off
    drift_ppm: float = 0.0  # how fast its clock goes wrong
    drifts_since_ns: int = 0
    unwelcome: set[str] = field(default_factory=set)  # symbols that are refused
    closed_ns: int = 0  # since when all of them are
    mute: set[str] = field(default_factory=set)  # symbols that are silent until asked for again

    def refused(self, name: str) -> bool:
        return bool(self.closed_ns) or name in self.unwelcome


class Told(NamedTuple):
    """What the feed has heard of a maintenance, and when."""

    state: str
    end_ms: int
    at_ns: int


class Exchange:
    """One source."""

    def __init__(
        self,
        label: str,
        hosts: dict[str, Host],
        rows: list[Row],
        make_dialect: Callable[["Exchange"], Dialect],
        loop: VirtualLoop,
        clock: VirtualClock,
        random: Random,
        log: Log,
    ) -> None:
        self.label = label
        self.hosts = hosts  # by the proxy that it is dialled through; "": none
        self.via = ""  # through which its feed is to dial now
        self.rows = {row.name: row for row in rows}
        self.rules: Rules = RULES[label]
        self.loop = loop
        self.clock = clock
        self.random = random
        self.log = log
        self.switch = Switches()
        self.usual = Usual()
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
        self.latest_work: tuple[str, Work, str] | None = None
        self.works: dict[str, Told] = {}  # what the feed has heard of each maintenance
        self.numbers = 0
        self._paces: list[float] = []
        self.frames = 0  # data frames that the feed took notice of
        self.counted: dict[str, int] = {}
        self.on_arrival: Callable[[Session, Row, Said], None] = lambda *_: None
        self.disturbed: Callable[..., None] = lambda *_: None
        self.misheard: Callable[[str], None] = lambda _: None  # a request, by which fault
        self.settle: Callable[[], None] = lambda: None  # what was left out of its feed is made up
        self.session: Callable[[Exchange, Wire, Dial, int], Session] = Session

    @property
    def host(self) -> Host:
        """As it is seen from where its feed is to dial now."""
        return self.hosts[self.via]

    # --- time and prices

    def start(self) -> None:
        self.tick_all()
        self.loop.call_ns(SWEEP_NS, self._sweep)

    def tick_all(self) -> None:
        """Each row moves by itself from now on."""
        for row in self.rows.values():
            self.loop.call_ns(row.pause_ns(1.0), self._tick, row)

    def now_ms(self) -> int:
        """The exchange's clock."""
        switch = self.switch
        off_ns = switch.clock_ns
        if switch.drift_ppm:
            off_ns += self._drifted_ns()
        return (self.clock.wall_ns() + off_ns) // NS_PER_MS

    def _drifted_ns(self) -> int:
        switch = self.switch
        return int((self.clock.mono_ns() - switch.drifts_since_ns) * switch.drift_ppm * 1e-6)

    def drift(self, ppm: float) -> None:
        """Its clock gains so much from now on, or loses; how far it is off until now it stays."""
        self.switch.clock_ns += self._drifted_ns()
        self.switch.drift_ppm = ppm
        self.switch.drifts_since_ns = self.clock.mono_ns()

    @property
    def faster(self) -> float:
        """How many times their usual rate its symbols have now."""
        return max(self._paces, default=1.0)

    def hurry(self, times: float) -> Callable[[], None]:
        """So many times the usual rate from now on, or more, until the answer is called."""
        self._paces.append(times)
        return lambda: self._paces.remove(times)

    def count(self, label: str, by: int = 1) -> None:
        self.counted[label] = self.counted.get(label, 0) + by

    def _tick(self, row: Row) -> None:
        self.loop.call_ns(row.pause_ns(self.faster), self._tick, row)
        if row.listing.status == "trading" and not row.halted:
            self.say(row)

    def say(
        self,
        row: Row,
        *,
        repeat: bool = False,
        odd: bool = False,
        untimed: bool = False,
        misdated: bool = False,
        shape: str = "",
    ) -> Said:
        """State a quote now, to everybody who has it subscribed."""
        now_ns, ms, switch = self.clock.mono_ns(), self.now_ms(), self.switch
        engine_ms = impossible_time(ms, self.random, engines=True) if misdated else None
        if untimed:
            ms = impossible_time(ms, self.random)
        said = row.move(
            now_ns, ms, repeat=repeat, odd=odd, untimed=untimed, engine_ms=engine_ms, shape=shape
        )
        if switch.creep:
            self.fall_behind(int((now_ns - switch.creeps_since_ns) * switch.creep))
        if switch.behind_ns:
            self.held.append((now_ns + switch.behind_ns, row, said))
            self.loop.call_ns(switch.behind_ns, self._release)
        else:
            self._send(row, said)
        return said

    def fall_behind(self, behind_ns: int) -> None:
        """The gateway holds quotes back for so long from now on."""
        behind_ns = max(self.switch.behind_ns, behind_ns)  # they keep their order
        self.switch.behind_ns = self.switch.held_ns = behind_ns

    def creep_behind(self, by: float) -> None:
        """The gateway falls behind by so much per unit of time from now on."""
        self.switch.creep = by
        self.switch.creeps_since_ns = self.clock.mono_ns()

    def catch_up(self) -> None:
        """The gateway sends all that it holds back, in order."""
        self.switch.behind_ns = 0
        self.switch.creep = 0.0
        while self.held:
            self._send(*self.held.popleft()[1:])
        slowest_ns = max((one.wire.slowest_ns for one in self.sessions), default=0)
        self.loop.call_ns(slowest_ns + 3 * LATENCY_NS, self._caught_up)

    def _caught_up(self) -> None:
        self.switch.held_ns = self.switch.behind_ns

    def clock_came_back(self, step_ns: int) -> None:
        """What is usual is learned anew from now on, with all that it holds back by then; of a
        clock that had been ahead by so much at once, of one that had been set back by and by.
        """
        switch, late_ns = self.switch, max(0, -step_ns)
        if switch.held_ns:
            late_ns += switch.held_ns + int(switch.creep * LEARNED_ANEW_NS)
        self.usual.came_back(late_ns, self.clock.mono_ns())

    def _release(self) -> None:
        while self.held and self.held[0][0] <= self.clock.mono_ns():
            self._send(*self.held.popleft()[1:])

    def _send(self, row: Row, said: Said) -> None:
        row.published = said
        if self.switch.enveloped and not said.ill_timed:  # that one has none that can be
            ms = self.now_ms()  # its clock may have come back: nothing is sent before it is made
            tick, made_ms = said.tick._replace(ts_ms=ms), min(said.engine_ms, ms)
            said = said._replace(tick=tick, engine_ms=made_ms, enveloped=True)
        for session in self.sessions:
            if session.carries(row):
                session.quote(row, said)

    def _sweep(self) -> None:
        self.loop.call_ns(SWEEP_NS, self._sweep)
        if any(session.quiet for session in self.sessions):
            self.settle()
        for session in list(self.sessions):
            session.sweep()

    @property
    def dated(self) -> bool:
        """Its quotes carry a time."""
        return self.label != "binance-spot"

    @property
    def refuses(self) -> bool:
        """It says so where it does not give what is asked for; Binance acknowledges everything."""
        return self.host.name != "binance"

    @property
    def behind_ns(self) -> int:
        """When the oldest was said that has not arrived; 0: all has."""
        oldest_ns = 0
        for row in self.rows.values():
            if row.since_ns and (not oldest_ns or row.since_ns < oldest_ns):
                oldest_ns = row.since_ns
        return oldest_ns

    def announce(self, listing: Listing, *, halted: bool) -> bool:
        """Say that a listing is not traded, or is again, where the exchange does; who heard it."""
        exchange = SOURCE_BY_LABEL[self.label].exchange
        words = HALTED if halted else TRADED
        if self.label == "binance-futures":
            event = contract_info(listing, words[exchange], self.now_ms())
            topic, text = BINANCE_STREAM, orjson.dumps({"stream": BINANCE_STREAM, "data": event})
        elif self.label == "mexc-futures":
            text = mexc_contract(listing, int(words[exchange]), self.now_ms()).encode()
            topic = MEXC_TOPIC
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

    async def ask_list(self) -> set[str]:
        """Which listings trade, as its REST has it."""
        await asyncio.sleep(10 * LATENCY_NS / NS_PER_S)
        if self.switch.refuse:
            raise ExchangeError("away", why=self.switch.refuse)
        rows = self.rows.values()
        return {row.name for row in rows if row.listing.status == "trading" and not row.halted}

    def tell_work(self, work: Work, state: str) -> None:
        """Say what becomes of a maintenance, where the exchange does, to whoever listens."""
        exchange = SOURCE_BY_LABEL[self.label].exchange
        if exchange not in WITH_MAINTENANCE:
            return
        status = bybit_status if exchange is Name.BYBIT else okx_status
        topic = BYBIT_TOPIC if exchange is Name.BYBIT else OKX_STATUS
        text = status(work, state, self.now_ms())
        if exchange is Name.OKX:
            self.latest_work = text, work, state
        for one in self.sessions:
            if one.notices and topic in one.talk.topics:
                one.say(text, taken=lambda: self._work_heard(work, state))

    def _work_heard(self, work: Work, state: str) -> None:
        self.works[work.title] = Told(state, work.end_ms, self.clock.mono_ns())

    def welcome(self, session: Session) -> None:
        """OKX says the latest to whoever subscribes to its status."""
        if self.latest_work and OKX_STATUS in session.talk.topics and not session.welcomed:
            session.welcomed = True
            text, work, state = self.latest_work
            session.say(text, taken=lambda: self._work_heard(work, state))

    # --- connections

    def admit(self, dial: Dial) -> Session:
        """A handshake has been accepted."""
        self.numbers += 1
        wire = Wire(self.loop, self.numbers, LATENCY_NS, self.disturbed)
        wire.slower_ns = self.switch.slower_ns
        session = self.session(self, wire, dial, self.numbers)
        wire.far = session
        self.sessions.append(session)
        return session

    def live(self) -> list[Session]:
        """The sessions that bring what they are given to somebody who listens."""
        return [one for one in self.sessions if one.wire.listened_to and not one.wire.dead]

    def told(self, row: Row) -> list[Session]:
        """The sessions that would bring this symbol's next quote to somebody who listens."""
        return [one for one in self.live() if one.carries(row)]
