"""A pretended exchange: its addresses' limits, its sources, its sessions. Seeded, without sockets.

It speaks the simulator's dialects and keeps its own books: who dialled when, who was told to stay
away until when, which session carries what. The faults of a day (faults.py) turn its switches; the
invariants read its books.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

import orjson
from loop import VirtualLoop
from market import Row, Said
from wire import CLOSE, PING, PONG, TEXT, Wire, accept_of, client_frames, refusal

from spread_scanner.clock import NS_PER_MS, NS_PER_S, VirtualClock
from spread_scanner.schema.enums import SOURCE_BY_LABEL
from spread_scanner.schema.enums import Exchange as Name
from spread_scanner.sim.dialects import RULES, Dialect, HangUp, Rules, Subscription, Talk
from spread_scanner.sim.notices import BINANCE_STREAM, HALTED, TRADED, contract_info, okx_kind
from spread_scanner.sim.universe import Listing
from spread_scanner.sim.wire import encoder, head, text_frame

LATENCY_NS = 20 * NS_PER_MS
SWEEP_NS = 5 * NS_PER_S
BUSY_QUOTES = 64
BAN_SLACK_NS = NS_PER_S  # a ban in whole seconds is over so much earlier for the books
Log = Callable[..., None]

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
    outcome: str = ""
    told_ns: int = 0  # when the feed heard of the outcome


class Host:
    """All sources of one exchange's host, seen from one outgoing address."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.limit, self.window_s = DIALS[name]
        self.every_ns = int(self.window_s * NS_PER_S / self.limit)
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
    def behind(self) -> bool:
        """Something was said that has not arrived."""
        return any(row.since_ns for row in self.rows.values())

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

    def admit(self, dial: Dial) -> "Session":
        """A handshake has been accepted."""
        self.numbers += 1
        wire = Wire(self.loop, self.numbers, LATENCY_NS, self.disturbed)
        wire.slower_ns = self.switch.slower_ns
        session = Session(self, wire, dial, self.numbers)
        wire.far = session
        self.sessions.append(session)
        return session

    def told(self, row: Row) -> list["Session"]:
        """The sessions that would bring this symbol's next quote to somebody who listens."""
        return [
            one for one in self.sessions
            if one.carries(row) and not one.wire.dead and one.wire.listened_to
        ]  # fmt: skip


class Session:
    """One connection, from the exchange's side."""

    def __init__(self, exchange: Exchange, wire: Wire, dial: Dial, number: int) -> None:
        self.exchange = exchange
        self.wire = wire
        self.dial = dial
        self.number = number
        self.opened_ns = 0  # of the handshake; 0: not yet
        self.heard_ns = exchange.clock.mono_ns()
        self.sent_ns = self.heard_ns
        self.pinged_ns = self.heard_ns
        self.unanswered_ns = 0
        self.quoted = 0
        self.over = False
        self.announced = False
        self._last_ns: deque[int] = deque(maxlen=BUSY_QUOTES)
        self.hollow: set[str] = set()
        self.subscribed_ns: dict[str, int] = {}
        self._encoders: dict[str, Callable[[Any], bytes]] = {}
        self._asked: deque[int] = deque()
        self.talk = Talk(f"c{number}", True, self._carry, self._leave)
        self.notices = dial.line == ANNOUNCED

    def carries(self, row: Row) -> bool:
        return row.name in self._encoders and row.name not in self.exchange.switch.mute

    @property
    def busy(self) -> bool:
        """Its last quotes, up to its death, came at over 80 a second."""
        last = self._last_ns
        return len(last) == BUSY_QUOTES and last[-1] - last[0] < BUSY_QUOTES * NS_PER_S // 80

    def subscribed(self, name: str) -> bool:
        return name in self._encoders or name in self.hollow

    # --- what it is asked

    def received(self, data: bytes) -> None:
        if self.over:
            return
        exchange = self.exchange
        self.heard_ns = exchange.clock.mono_ns()
        if self.opened_ns == 0:
            self._shake_hands(data)
            return
        for opcode, payload in client_frames(data):
            if opcode == PING:
                self.wire.to_near(head(0x80 | PONG, len(payload)) + payload, None, -1)
            elif opcode == PONG:
                self.unanswered_ns = 0
            elif opcode == CLOSE:
                self.wire.to_near(head(0x80 | CLOSE, len(payload)) + payload)
                self._drop()
            elif opcode == TEXT:
                self._hear(payload.decode())
            self._keep_rate()
            if self.over:
                return

    def _shake_hands(self, data: bytes) -> None:
        exchange = self.exchange
        switch = exchange.switch
        status = switch.refuse
        if (status and status[0].isdigit()) or status == "redirect":
            self._refuse(status)
            return
        self.opened_ns = exchange.clock.mono_ns()
        if self.notices:
            self.talk.path = data.split(b" ", 2)[1].decode().strip("/")
        self.wire.to_near(accept_of(data), lambda _: self._told("open"))
        exchange.log("open", exchange.label, self.number, self.dial.line)
        if switch.cut_successors and len(exchange.sessions) > 1:
            exchange.loop.call_ns(300 * NS_PER_MS, self.reset)

    def _told(self, outcome: str) -> None:
        self.dial.outcome = outcome
        self.dial.told_ns = self.exchange.clock.mono_ns()
        if outcome == "open" and not self.notices:
            self.exchange.count("connects")

    def _refuse(self, status: str) -> None:
        exchange = self.exchange
        if status == "redirect":
            answer = refusal("302 Found", "Location: https://[portal/")
        else:
            after = exchange.switch.retry_after_s
            headers = [f"Retry-After: {after}"] if after else []
            answer = refusal(f"{status} No", *headers)
            if status in ("418", "429", "403") and after:
                self._ban(after)
        exchange.log("refused", exchange.label, status)
        self.wire.to_near(answer, lambda _: self._told(status))
        self.wire.end(None)
        self._drop()

    def _ban(self, after_s: int) -> None:
        host, clock = self.exchange.host, self.exchange.clock
        told_ns = clock.mono_ns() + self.wire.latency_ns
        host.ban_until_ns = max(host.ban_until_ns, told_ns + after_s * NS_PER_S - BAN_SLACK_NS)
        if host.ban_told_ns < told_ns - NS_PER_S:
            host.ban_told_ns = told_ns

    def _hear(self, text: str) -> None:
        exchange = self.exchange
        switch = exchange.switch
        asks = "ubscri" in text.lower() or "sub.depth" in text
        if asks and not self.notices:
            exchange.log("asked", exchange.label, self.number, text)
            if switch.swallow:
                switch.swallow -= 1
                return
            if switch.nameless:
                switch.nameless -= 1
                self.say(nameless_error(exchange.label))
                return
        before = set(self._encoders)
        try:
            answers = exchange.dialect.hear(self.talk, text, exchange.now_ms())
        except HangUp as why:
            self.goodbye(why.code, why.reason)
            return
        new = set(self._encoders) - before
        if new and switch.hollow:
            switch.hollow -= 1
            self.hollow |= new
            for name in sorted(new):
                del self._encoders[name]
        for answer in answers:
            self.say(answer)
        for name in sorted(new - self.hollow):
            self._first(exchange.rows[name])

    def _keep_rate(self) -> None:
        limit = self.exchange.rules.messages_per_s_max
        if limit is None:
            return
        now_ns = self.exchange.clock.mono_ns()
        self._asked.append(now_ns)
        while self._asked[0] <= now_ns - NS_PER_S:
            self._asked.popleft()
        if len(self._asked) > limit:
            self.exchange.count("too_fast")
            self.goodbye(1008, "Too many requests")

    def _carry(self, subscription: Subscription) -> None:
        name = subscription.listing.exchange_symbol
        if name in self.exchange.rows:
            self.hollow.discard(name)
            if name in self.exchange.switch.mute:
                self.exchange.switch.mute.discard(name)
                self.exchange.unmuted_ns[name] = self.exchange.clock.mono_ns()
            self._encoders[name] = encoder(subscription.listing, subscription.form)
            self.subscribed_ns[name] = self.exchange.clock.mono_ns()

    def _leave(self, subscription: Subscription) -> None:
        name = subscription.listing.exchange_symbol
        self.hollow.discard(name)
        self._encoders.pop(name, None)
        self.subscribed_ns.pop(name, None)
        self.exchange.left_ns[name] = self.exchange.clock.mono_ns()
        self.exchange.turned_ns[name] = self.exchange.clock.mono_ns()

    def _first(self, row: Row) -> None:
        """Bybit, OKX and MEXC futures open with a snapshot; Binance and MEXC spot do not."""
        exchange = self.exchange.host.name
        if exchange == "binance" or self.exchange.label == "mexc-spot" or row.published is None:
            return
        ts_ms = row.published.tick.ts_ms if self.exchange.switch.behind_ns else None
        self.quote(row, row.again(ts_ms if ts_ms is not None else self.exchange.now_ms()))

    # --- what it says

    def say(self, text: str) -> None:
        self.sent_ns = self.exchange.clock.mono_ns()
        self.wire.to_near(text_frame(text.encode()), self._counted)

    def _counted(self, heard: bool) -> None:
        self.exchange.frames += heard and not self.notices

    def quote(self, row: Row, said: Said, frame: bytes | None = None) -> None:
        if self.over or not self.carries(row):
            return
        self.sent_ns = self.exchange.clock.mono_ns()
        bytes_of = self._encoders[row.name]
        self.quoted += 1
        if not self.wire.dead:
            self._last_ns.append(self.sent_ns)
        self.wire.to_near(
            frame if frame is not None else bytes_of(said.tick),
            lambda heard: self._arrived(row, said, heard),
            None if said.bad else row.symbol_id,
        )
        if self.exchange.switch.cut_after_quote and self.quoted == 1:
            self.exchange.loop.call_ns(30 * NS_PER_MS, self.reset)

    def _arrived(self, row: Row, said: Said, heard: bool) -> None:
        self.exchange.frames += heard
        if heard:
            self.exchange.count("quotes")
            self.exchange.on_arrival(self, row, said)

    # --- its end

    def sweep(self) -> None:
        """What a server does by its clock: pings, and cutting who breaks the rules."""
        exchange, rules = self.exchange, self.exchange.rules
        now_ns = exchange.clock.mono_ns()
        ping_s, pong_s = rules.server_ping_s, rules.pong_s
        if ping_s is not None and now_ns - self.pinged_ns >= ping_s * NS_PER_S:
            self.pinged_ns = now_ns
            self.unanswered_ns = self.unanswered_ns or now_ns
            stamp = str(now_ns).encode()
            self.wire.to_near(head(0x80 | PING, len(stamp)) + stamp)
        quiet_ns = now_ns - self.heard_ns
        waits = pong_s is not None and self.unanswered_ns
        why = ""
        if waits and pong_s is not None and now_ns - self.unanswered_ns > pong_s * NS_PER_S:
            why = "no pong"
        elif rules.client_silence_s is not None and quiet_ns > rules.client_silence_s * NS_PER_S:
            why = "client silent"
        elif rules.silence_s is not None and (
            min(quiet_ns, now_ns - self.sent_ns) > rules.silence_s * NS_PER_S
        ):
            why = "silent"
        elif rules.unsubscribed_s is not None and not (
            self._encoders or self.hollow or self.talk.topics
        ):
            if now_ns - self.opened_ns > rules.unsubscribed_s * NS_PER_S:
                why = "nothing subscribed"
        elif rules.life_s is not None and now_ns - self.opened_ns > rules.life_s * NS_PER_S:
            why = "too old"
        if why:
            exchange.log("dropped", exchange.label, self.number, why)
            exchange.count(f"cut: {why}", 0 if self.wire.dead else 1)
            self.goodbye(1001, why)

    def announce(self, after_s: float) -> None:
        """Say that this connection will be cut, where the exchange says so, and cut it."""
        self.announced = True
        if self.exchange.label == "binance-spot":
            event = {"e": "serverShutdown", "E": self.exchange.now_ms()}
            self.say(orjson.dumps({"stream": "!serverShutdown", "data": event}).decode())
        elif self.exchange.host.name == "okx":
            notice = {
                "event": "notice",
                "code": "64008",
                "msg": "The connection will soon be closed",
            }
            self.say(orjson.dumps(notice).decode())
        self.exchange.loop.call_ns(int(after_s * NS_PER_S), self.goodbye, 1001, "upgrade")

    def goodbye(self, code: int, reason: str) -> None:
        """A close frame, and the end of the connection."""
        if self.over:
            return
        payload = code.to_bytes(2, "big") + reason.encode()
        self.wire.to_near(head(0x80 | CLOSE, len(payload)) + payload)
        self.wire.end(None)
        self._drop()

    def reset(self) -> None:
        """The end without a word."""
        if not self.over:
            self.wire.end(ConnectionResetError(104, "Connection reset by peer"))
            self._drop()

    def hung_up(self) -> None:
        self._drop()

    def _drop(self) -> None:
        if not self.over:
            self.over = True
            now_ns = self.exchange.clock.mono_ns()
            self.exchange.left_ns.update(dict.fromkeys(sorted(self.subscribed_ns), now_ns))
            self.exchange.sessions.remove(self)


def nameless_error(label: str) -> str:
    """An error that says neither which request nor which symbol it means."""
    texts: dict[str, dict[str, object]] = {
        "binance": {"code": 2, "msg": "Too many requests"},
        "bybit": {"success": False, "ret_msg": "error:too many requests", "conn_id": "c",
                  "op": "subscribe"},
        "okx": {"event": "error", "code": "50011", "msg": "Requests too frequent.", "connId": "c"},
        "mexc-spot": {"id": 0, "code": 0, "msg": "msg too frequent"},
        "mexc-futures": {"channel": "rs.error", "data": "Requests are too frequent"},
    }  # fmt: skip
    key = label if label in texts else label.partition("-")[0]
    return orjson.dumps(texts[key]).decode()
