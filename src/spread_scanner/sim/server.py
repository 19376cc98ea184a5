"""The sockets: one port, REST and websocket of all eight sources by path prefix.

    http://127.0.0.1:PORT/binance-spot/api/v3/exchangeInfo
    ws://127.0.0.1:PORT/binance-spot/stream

HTTP is read by h11, the websocket handshake and the clients' frames by the sans-I/O protocol of
websockets; market frames arrive prebuilt and go straight to the transport. A connection may serve
requests first and become a websocket later, as clients with a pool do. Each keeps its source's
rules (message rate, pings, idle times, lifetime) and ends as the exchange would.
"""

import asyncio
from typing import TYPE_CHECKING, cast
from urllib.parse import parse_qsl, unquote, urlsplit

import h11
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol

from spread_scanner import clock
from spread_scanner.sim.belief import Rhythm
from spread_scanner.sim.dialects import Binance, HangUp, Subscription, Talk
from spread_scanner.sim.http_requests import HttpRequests
from spread_scanner.sim.limits import CUT_STRIKES
from spread_scanner.sim.rest import Answer
from spread_scanner.sim.rules import RULES, Rules

if TYPE_CHECKING:
    from spread_scanner.sim.exchange import Exchange8

HEAD_BYTES_MAX = 65_536
BUFFERED_BYTES_MAX = 64 << 20  # a reader this far behind is cut off
SWEEP_S = 0.25  # how often a connection's timers are looked at
COUNTED = (Opcode.TEXT, Opcode.BINARY, Opcode.PING, Opcode.PONG)  # as a client's messages


class Connection(asyncio.Protocol):
    """One TCP connection: undecided until its first request, then HTTP or websocket."""

    def __init__(self, exchange: "Exchange8") -> None:
        self._exchange = exchange
        self._head = bytearray()
        self._http: HttpRequests | None = None
        self._ws: ServerProtocol | None = None
        self.transport: asyncio.Transport = cast(asyncio.Transport, None)
        self.label = ""
        self.address = ""  # the client's
        self.number = 0
        self.talk: Talk | None = None
        self.subscriptions: set[Subscription] = set()
        self.out: list[bytes] = []
        self.frozen = False  # no data goes out; control frames are still answered
        self.deaf = False  # half-open: neither reads nor writes anything
        self.asides = 0  # of what is in `out`: no quotes
        self.rhythm = Rhythm()
        self._opened_s = self._heard_s = self._spoke_s = 0.0
        self._subscribed_s = self._pinged_s = 0.0
        self._ping_unanswered_s: float | None = None
        self._announced = False
        self._second = 0
        self._messages = 0

    # --- asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(high=BUFFERED_BYTES_MAX)
        self.address = str((transport.get_extra_info("peername") or [""])[0])
        self._exchange.connections.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        self._exchange.connections.discard(self)
        self.part()
        if self._ws is not None:
            self._exchange.closed(self)

    def pause_writing(self) -> None:
        self._exchange.slow_reader(self)
        self.part()
        self.transport.abort()

    def data_received(self, data: bytes) -> None:
        if self.deaf:
            return
        if self._ws is not None:
            self._ws.receive_data(data)
            self._ws_events()
        elif self._http is not None and not self._http.between:
            self._http.receive(data)
        else:  # a new request, perhaps an upgrade
            self._head += data
            self._decide()

    def eof_received(self) -> bool | None:
        if self.deaf:
            return True
        if self._ws is not None:
            self._ws.receive_eof()
        return None

    def _decide(self) -> None:
        end = self._head.find(b"\r\n\r\n")
        if end < 0:
            if len(self._head) > HEAD_BYTES_MAX:
                self.transport.abort()
            return
        first = bytes(self._head)
        self._head.clear()
        if b"upgrade: websocket" in first[:end].lower():
            self._ws = ServerProtocol(max_size=1 << 20)
            self._ws.receive_data(first)
            self._ws_events()
        else:
            self._http = self._http or HttpRequests(self.transport, self._respond)
            self._http.receive(first)

    # --- HTTP

    def _respond(self, request: h11.Request, body: bytes) -> Answer | None:
        url = urlsplit(request.target.decode("ascii", "replace"))
        query = dict(parse_qsl(url.query, keep_blank_values=True))
        method, path = request.method.decode(), unquote(url.path)
        return self._exchange.control.answer(method, path, query, body, self.address)

    # --- websocket

    def _ws_events(self) -> None:
        ws = self._ws
        if ws is None:
            return
        for event in ws.events_received():
            if isinstance(event, Request):
                self._shake(ws, event)
            elif not isinstance(event, Frame):
                continue
            elif event.opcode in COUNTED and self._talks_too_much():
                break
            elif event.opcode is Opcode.TEXT:
                self._hear(bytes(event.data))
            elif event.opcode is Opcode.PONG:
                self._ping_unanswered_s = None
        self._pass_on()
        if ws.close_expected() and not self.transport.is_closing():
            self.transport.close()

    def _pass_on(self) -> None:
        """What the protocol wants to say: handshake, pongs, closes."""
        if self._ws is None or self.transport.is_closing():
            return
        for data in self._ws.data_to_send():
            if data:
                self.transport.write(data)
            elif not self.transport.is_closing():
                self.transport.write_eof()

    def _shake(self, ws: ServerProtocol, request: Request) -> None:
        url = urlsplit(request.path)
        self.label = self._exchange.ws_label(url.path)
        refusal = self._exchange.admit(self.label, self.address)
        if refusal is not None:
            response = ws.reject(refusal.status, refusal.text)
            for name, value in refusal.headers(clock.wall_ns() / clock.NS_PER_S):
                response.headers[name] = value
            ws.send_response(response)
            return
        response = ws.accept(request)
        ws.send_response(response)
        if response.status_code != 101:
            return
        self._pass_on()
        now = self._exchange.mono_s()
        self._opened_s = self._heard_s = self._spoke_s = self._subscribed_s = self._pinged_s = now
        self.rhythm.opened(now)
        self.number = self._exchange.opened(self)
        combined = "/ws" not in url.path or not self.label.startswith("binance")
        self.talk = Talk(f"sim-{self.number:06d}", combined, self._carry, self._leave)
        self.talk.path = url.path.split("/", 2)[2]
        self._url_streams(url.path, url.query)

    def _url_streams(self, path: str, query: str) -> None:
        """Streams named in the URL, as Binance allows."""
        dialect = self._exchange.dialects[self.label]
        if not isinstance(dialect, Binance) or self.talk is None:
            return
        named = dict(parse_qsl(query)).get("streams", "").split("/")
        if "/ws/" in path:
            named = path.split("/ws/", 1)[1].split("/")
        for stream in filter(None, named):
            dialect.enter(self.talk, stream)

    def _talks_too_much(self) -> bool:
        """Count one message of the client, pings and pongs included; who says more is cut off."""
        now, most = self._exchange.mono_s(), RULES[self.label].messages_per_s_max
        if int(now) != self._second:
            self._second, self._messages = int(now), 0
        self._messages += 1
        if most is None or self._messages <= most:
            return False
        self._exchange.limits.strike(self.label, self.address, now, CUT_STRIKES)
        self.hang_up(1008, "Too many requests")
        return True

    def _hear(self, data: bytes) -> None:
        exchange = self._exchange
        self._heard_s = exchange.mono_s()
        if self.talk is None:
            return
        text = data.decode("utf-8", "replace")
        now_ms = exchange.now_ms(self.label)
        known = set(self.talk.topics)
        answers = exchange.faults.reply(self.label, self.talk, text, now_ms)
        try:
            if answers is None:
                answers = exchange.dialects[self.label].hear(self.talk, text, now_ms)
        except HangUp as cut:
            self.hang_up(cut.code, cut.reason)
            return
        for answer in answers:
            self.say(answer)
        exchange.delivery.welcome(self)
        exchange.notices.welcome(self, self.talk.topics.keys() - known)

    def say(self, text: str) -> None:
        """A text frame outside the market stream."""
        if self._ws is None or self.transport.is_closing() or self.deaf:
            return
        if self._ws.state is State.OPEN:
            self._ws.send_text(text.encode())
            self._pass_on()
            self._spoke_s = self._exchange.mono_s()

    def hang_up(self, code: int, reason: str) -> None:
        """A close frame, then the end."""
        if self._ws is None or self.transport.is_closing():
            return
        self._exchange.counts["hang_ups"] += 1
        self.part()
        if self._ws.state is State.OPEN and not self.deaf:
            self._ws.send_close(code, reason)
            self._pass_on()
        self.transport.close()

    def part(self) -> None:
        """From now on nothing is sent here: the next quotes go to others, or to nobody."""
        self._clear()
        for subscription in list(self.subscriptions):
            self._leave(subscription)

    def flush(self, mono_s: float) -> None:
        """Everything prepared in this tick goes out in one write."""
        if not self.transport.is_closing():
            self.transport.write(b"".join(self.out))
            self._spoke_s = mono_s
            if len(self.out) > self.asides:
                self.rhythm.wrote(len(self.out) - self.asides, mono_s)
        self._clear()

    def _clear(self) -> None:
        self.out.clear()
        self.asides = 0

    def _carry(self, subscription: Subscription) -> None:
        if self._exchange.faults.mutes(self.label, subscription.listing):
            return  # acknowledged, and that is all
        self.subscriptions.add(subscription)
        self._exchange.delivery.subscribed(self, subscription)

    def _leave(self, subscription: Subscription) -> None:
        if subscription in self.subscriptions:
            self.subscriptions.discard(subscription)
            self._exchange.delivery.unsubscribed(self, subscription)

    # --- timers

    def sweep(self, now_s: float) -> None:
        """Look at the clock: pings due, idle too long, life over."""
        if self.talk is None or self.deaf or self._ws is None or self.transport.is_closing():
            return
        rules, scale = RULES[self.label], self._exchange.time_scale
        if self.subscriptions:
            self._subscribed_s = now_s
        cut = self._overdue(rules, scale, now_s)
        if cut:
            self.hang_up(1008 if "pong" in cut else 1000, cut)
            return
        if (
            rules.server_ping_s is not None
            and now_s - self._pinged_s >= rules.server_ping_s * scale
        ):
            self._pinged_s = now_s
            if self._ping_unanswered_s is None:
                self._ping_unanswered_s = now_s
            self._ws.send_ping(str(self._exchange.now_ms(self.label)).encode())
            self._pass_on()
        self._announce_end(rules, now_s)

    def _overdue(self, rules: Rules, scale: float, now_s: float) -> str:
        """Why the exchange would end this connection now; empty: it would not."""
        unanswered = self._ping_unanswered_s
        spoken = max(self._heard_s, self._spoke_s)
        for since, limit, why in (
            (unanswered, rules.pong_s, "no pong"),
            (self._heard_s, rules.client_silence_s, "client silent"),
            (spoken, rules.silence_s, "no traffic"),
            (self._subscribed_s, rules.unsubscribed_s, "nothing subscribed"),
        ):
            if since is not None and limit is not None and now_s - since >= limit * scale:
                return why
        life_s = self._exchange.life_s(self.label)
        return "life over" if life_s is not None and now_s - self._opened_s >= life_s else ""

    def _announce_end(self, rules: Rules, now_s: float) -> None:
        life_s = self._exchange.life_s(self.label)
        if self._announced or life_s is None or rules.shutdown_notice_s is None:
            return
        notice_s = min(rules.shutdown_notice_s, life_s / 4)
        if now_s - self._opened_s >= life_s - notice_s and self.talk is not None:
            self._announced = True
            event = f'{{"e":"serverShutdown","E":{self._exchange.now_ms(self.label)}}}'
            wrapped = f'{{"stream":"!serverShutdown","data":{event}}}'
            self.say(wrapped if self.talk.combined else event)
