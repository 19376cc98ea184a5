"""One connection from the exchange's side: handshake, what it is asked, what it says, its end."""

from collections import deque
from collections.abc import Callable
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

import orjson
from host import ANNOUNCED, BAN_SLACK_NS, Dial
from market import Row, Said
from shapes import shaped
from wire import CLOSE, PING, PONG, TEXT, Wire, accept_of, client_frames, refusal

from spread_scanner.clock import NS_PER_MS, NS_PER_S
from spread_scanner.sim.dialects import HangUp, Subscription, Talk
from spread_scanner.sim.wire import encoder, head, text_frame

if TYPE_CHECKING:
    from exchange import Exchange

BUSY_QUOTES, BUSY_LATEST = 128, 16
CLOCKS_APART_NS = 60 * NS_PER_S  # no clock of an exchange is ahead by more


class Session:
    """One connection, from the exchange's side."""

    def __init__(self, exchange: "Exchange", wire: Wire, dial: Dial, number: int) -> None:
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
        self.welcomed = False  # was told the latest maintenance
        self._last_ns: deque[int] = deque(maxlen=BUSY_QUOTES)
        self.hollow: set[str] = set()
        self.subscribed_ns: dict[str, int] = {}
        self._encoders: dict[str, Callable[[Any], bytes]] = {}
        self._forms: dict[str, str] = {}
        self._asked: deque[tuple[int, int]] = deque()
        self.talk = Talk(f"c{number}", True, self._carry, self._leave)
        self.notices = dial.line == ANNOUNCED

    @property
    def open(self) -> bool:
        return self.opened_ns != 0 and not self.over

    def carries(self, row: Row) -> bool:
        return row.name in self._encoders and row.name not in self.exchange.switch.mute

    @property
    def busy(self) -> bool:
        """Its last quotes, up to its death, came at over 80 a second, and so did the very last. The
        feed goes by a mean of sixteen intervals, in which a hundred outweigh one of seconds before.
        """
        last = self._last_ns
        return len(last) == BUSY_QUOTES and all(
            last[-1] - last[-count] < count * NS_PER_S // 80 for count in (BUSY_QUOTES, BUSY_LATEST)
        )

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

    def _forbidden(self, status: str, for_s: int, until_ns: int | None) -> None:
        """The feed has the answer: a ban that is still on its way is none that it can keep, nor is
        one that a dial was told of which was given up, as all dials go another way by now.
        """
        if for_s and not self.dial.given_up:
            self._ban(for_s, until_ns)
        self._told(status)

    def _told(self, outcome: str) -> None:
        self.dial.outcome = outcome
        self.dial.told_ns = self.exchange.clock.mono_ns()
        if outcome == "open" and not self.notices and not self.dial.given_up:
            self.exchange.count("connects")

    def _refuse(self, status: str) -> None:
        exchange = self.exchange
        for_s, until_ns = 0, None
        if status == "redirect":
            answer = refusal("302 Found", "Location: https://[portal/")
        else:
            for_s = exchange.switch.retry_after_s
            headers = []
            if for_s and exchange.switch.dated:
                date, until_ns = self._date(for_s)
                headers = [f"Retry-After: {date}"]
            elif for_s:
                headers = [f"Retry-After: {for_s}"]
            answer = refusal(f"{status} No", *headers)
            # What else is answered to what announces says nothing of the quotes' own path.
            if self.notices and status not in ("418", "429"):
                for_s = 0
        exchange.log("refused", exchange.label, status)
        self.wire.to_near(answer, lambda _: self._forbidden(status, for_s, until_ns))
        self.wire.end(None)
        self._drop()

    def _date(self, after_s: int) -> tuple[str, int]:
        """That many seconds from now: a date has none but whole ones; and that in monotonic ns."""
        clock = self.exchange.clock
        date_s = -(-clock.wall_ns() // NS_PER_S) + after_s
        until_ns = clock.mono_ns() + date_s * NS_PER_S - clock.wall_ns()
        return formatdate(date_s, usegmt=True), until_ns

    def _ban(self, after_s: int, until_ns: int | None) -> None:
        """So many seconds from now, or until then."""
        host, clock = self.exchange.hosts[self.dial.via], self.exchange.clock
        told_ns = clock.mono_ns()
        if until_ns is None:
            until_ns = told_ns + after_s * NS_PER_S
        host.ban_until_ns = max(host.ban_until_ns, until_ns - BAN_SLACK_NS)
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
                exchange.misheard("lost request")
                return
            if switch.nameless:
                switch.nameless -= 1
                exchange.misheard("nameless")
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
            exchange.misheard("hollow")
            self.hollow |= new
            for name in sorted(new):
                del self._encoders[name]
        for answer in answers:
            self.say(answer, None if asks else -1)
        if self.notices:
            exchange.welcome(self)
        for name in sorted(new - self.hollow):
            self._first(exchange.rows[name])

    def _keep_rate(self) -> None:
        limit = self.exchange.rules.messages_per_s_max
        if limit is None:
            return
        now_ns = self.exchange.clock.mono_ns()
        self._asked.append((now_ns, self.wire.sent_ns))
        while self._asked[0][0] <= now_ns - NS_PER_S:
            self._asked.popleft()
        if len(self._asked) > limit:
            # A path that is slow no more delivers at once what was sent within its delay.
            if self.wire.sent_ns - self._asked[0][1] < NS_PER_S:
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
            self._forms[name] = subscription.form
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

    def say(
        self, text: str, usual: int | None = None, taken: Callable[[], None] | None = None
    ) -> None:
        """`usual` as in Wire.to_near; `taken` is called once the feed has taken notice."""
        self.sent_ns = self.exchange.clock.mono_ns()
        frame = text_frame(text.encode())
        self.wire.to_near(frame, lambda heard: self._counted(taken, heard), usual)

    def _counted(self, taken: Callable[[], None] | None, heard: bool) -> None:
        self.exchange.frames += heard and not self.notices
        if heard and taken is not None:
            taken()

    def quote(self, row: Row, said: Said) -> None:
        if self.over or not self.carries(row):
            return
        self.sent_ns = self.exchange.clock.mono_ns()
        frame = self._encoded(row, said)
        self.quoted += 1
        if not self.wire.dead:
            self._last_ns.append(self.sent_ns)
        self.wire.to_near(
            frame,
            lambda heard: self._arrived(row, said, heard),
            None if said.shape or said.ill_timed else row.symbol_id,
        )
        if self.exchange.switch.cut_after_quote and self.quoted == 1:
            self.exchange.loop.call_ns(30 * NS_PER_MS, self.reset)

    def _encoded(self, row: Row, said: Said) -> bytes:
        """With its own engine's time: what an encoder remembers is when it first was asked."""
        listing = row.listing
        lags_ms, source_id = listing.lags_ms, listing.source_id
        usual_ms, listing.said_id = lags_ms[source_id], -1
        lags_ms[source_id] = said.tick.ts_ms - said.engine_ms
        if said.shape:
            frame = shaped(said.shape, listing, self._forms[row.name], said.tick)
        else:
            frame = self._encoders[row.name](said.tick)
        lags_ms[source_id] = usual_ms
        return frame

    def _arrived(self, row: Row, said: Said, heard: bool) -> None:
        self.exchange.frames += heard
        if heard:
            self.exchange.count("quotes")
            self.exchange.count("bad_times", row.wanted and self._badly_timed(said))
            self.exchange.on_arrival(self, row, said)

    def _badly_timed(self, said: Said) -> bool:
        """Whether it bears a time that the feed has to say it cannot believe, as it arrives."""
        exchange = self.exchange
        ahead_ns = said.tick.ts_ms * NS_PER_MS - exchange.clock.wall_ns()
        return exchange.dated and (said.ill_timed or ahead_ns > CLOCKS_APART_NS) and not said.bad

    # --- its end

    @property
    def quiet(self) -> bool:
        """It may soon be cut for its silence, by what is known until now of what was heard."""
        rules = self.exchange.rules
        limits = [one for one in (rules.client_silence_s, rules.silence_s) if one is not None]
        quiet_ns = self.exchange.clock.mono_ns() - self.heard_ns
        return bool(limits) and quiet_ns > min(limits) * NS_PER_S / 2

    def sweep(self) -> None:
        """What a server does by its clock: pings, and cutting who breaks the rules."""
        exchange, rules = self.exchange, self.exchange.rules
        now_ns = exchange.clock.mono_ns()
        if not self.open:
            return
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
        if self.open:  # else hands are not shaken, and nothing can be said there
            self._announce()
        self.exchange.loop.call_ns(int(after_s * NS_PER_S), self.goodbye, 1001, "upgrade")

    def _announce(self) -> None:
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

    def goodbye(self, code: int, reason: str) -> None:
        """A close frame, where hands have been shaken, and the end of the connection."""
        if self.over:
            return
        if self.open:
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
            ends_ns = self.exchange.clock.mono_ns()
            if self.wire.listened_to:  # the end comes behind all that a slow path has taken
                ends_ns += self.wire.slowest_ns
            self.exchange.left_ns.update(dict.fromkeys(sorted(self.subscribed_ns), ends_ns))
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
