"""Eight sources in one process: the loop that moves the market and hands its quotes to sockets.

Time is a count of logical ticks. What happens in a tick depends on the seed, the script and the
number of the tick alone; who listens decides only which bytes are written. The truth is told for
every quote that went to at least one connection, in the order and at the time of the writes.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

import orjson

from spread_scanner import clock
from spread_scanner.clock import NS_PER_MS, NS_PER_S
from spread_scanner.schema.enums import DIRECTIONS, SOURCE_BY_LABEL, SOURCES, Exchange
from spread_scanner.schema.enums import Market as MarketKind
from spread_scanner.sim.dialects import RULES, Subscription, dialects
from spread_scanner.sim.faults import Faults
from spread_scanner.sim.market import Market, Told
from spread_scanner.sim.planting import Planter, Planting
from spread_scanner.sim.recording import Playback
from spread_scanner.sim.rest import Answer, Rest
from spread_scanner.sim.server import SWEEP_S, Connection
from spread_scanner.sim.tick import Tick
from spread_scanner.sim.truth import NAN, Leg, Truth
from spread_scanner.sim.universe import Listing, Universe
from spread_scanner.sim.wire import encoder, one_sided

REMIND_S = 3.0  # Bybit repeats an unchanged quote
LAG_S_MAX = 1.0  # further behind than this the schedule is moved, not caught up


@dataclass(frozen=True)
class Options:
    """Everything that the command line sets."""

    seed: int = 1
    symbols: int = 300
    rate: float = 5_000.0
    tick_ms: float = 2.0
    port: int = 0
    epoch_ns: int | None = None
    thresholds: Mapping[str, float] = field(default_factory=dict)
    threshold_bps: float = 40.0
    life_s: float | None = None
    time_scale: float = 1.0
    planting: Planting = field(default_factory=Planting)
    script: tuple[dict[str, Any], ...] = ()
    truth_path: Path | None = None
    sent_path: Path | None = None
    recordings: tuple[str, ...] = ()
    speed: float = 1.0
    play: str = "auto"  # "request": begin with the action "play", else when all are subscribed

    def threshold(self, label: str) -> float:
        return self.thresholds.get(label, self.threshold_bps)


class Exchange8:
    """The pretend exchange. `start`, then `run`, then `stop`."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.universe = Universe(options.seed, options.symbols)
        self.playback = Playback(self.universe, options.recordings, options.speed)
        self.market = Market(self.universe)
        thresholds = {d.label: options.threshold(d.label) for d in DIRECTIONS}
        self.truth = Truth(self.universe, thresholds, options.truth_path)
        self.refused: set[tuple[str, str]] = set()
        self.dialects = dialects(self.universe, self.refused)
        self.rest_answers = Rest(self.universe)
        self.faults = Faults(self)
        self.planter = Planter(self.market, self.truth, options.planting)
        self.counts: Counter[str] = Counter()
        self.time_scale = options.time_scale
        self.connections: set[Connection] = set()
        self.tick_number = 0
        self.messages = 0
        self.rate = options.rate
        self.tick_ns = int(options.tick_ms * NS_PER_MS)
        self.stopping = asyncio.Event()
        self.port = 0
        self._dirty: list[Connection] = []
        self._fresh: dict[Connection, list[Subscription]] = {}
        self._connects: dict[str, list[float]] = {}
        self._numbers = 0
        self._server: asyncio.Server | None = None
        self._unwatched: dict[str, dict[str, Any]] = {}
        self._bybit = [
            listing
            for listing in self.universe.listings
            if listing.source.exchange == Exchange.BYBIT and listing.moves
        ]

    # --- time

    def mono_s(self) -> float:
        return clock.mono_ns() / NS_PER_S

    def now_ms(self, label: str) -> int:
        """The exchange's clock: the tick's if the epoch is fixed, else the wall's; plus skew."""
        if self.options.epoch_ns is not None:
            now_ns = self.options.epoch_ns + self.tick_number * self.tick_ns
        else:
            now_ns = clock.wall_ns()
        return now_ns // NS_PER_MS + self.faults.skew_ms(label)

    def _clocks(self) -> list[int]:
        """The clocks of all sources, by source_id."""
        return [self.now_ms(source.label) for source in SOURCES]

    def elapsed_s(self) -> float:
        """Logical time since the start."""
        return self.tick_number * self.tick_ns / NS_PER_S

    # --- what connections ask for

    def ws_label(self, path: str) -> str:
        label = path.split("/", 2)[1] if path.count("/") >= 2 else ""
        return label if label in RULES else ""

    def admit(self, label: str) -> tuple[HTTPStatus, str] | None:
        """Why a websocket is refused, or None."""
        if not label:
            return HTTPStatus.NOT_FOUND, "no such source\n"
        if self.faults.refuses(label):
            return HTTPStatus.SERVICE_UNAVAILABLE, "unavailable\n"
        rules, now = RULES[label], self.mono_s()
        recent = [t for t in self._connects.get(label, []) if now - t < rules.connects_window_s]
        self._connects[label] = recent
        if rules.connects_max is not None and len(recent) >= rules.connects_max:
            self.counts["connects_refused"] += 1
            return HTTPStatus.TOO_MANY_REQUESTS, "too many connections\n"
        recent.append(now)
        return None

    def opened(self, connection: Connection) -> int:
        self._numbers += 1
        self.counts["connects"] += 1
        self.faults.adopt(connection)
        return self._numbers

    def closed(self, connection: Connection) -> None:
        self.counts["disconnects"] += 1
        self._fresh.pop(connection, None)

    def slow_reader(self, connection: Connection) -> None:
        self.counts["slow_readers"] += 1
        self.fault_row("slow_reader", connection.label, self.stamp(), self.stamp())

    def life_s(self, label: str) -> float | None:
        if RULES[label].life_s is None:
            return None
        return self.options.life_s if self.options.life_s is not None else RULES[label].life_s

    def subscribed(self, connection: Connection, subscription: Subscription) -> None:
        leg = self.truth.legs[subscription.listing]
        if subscription.form not in leg.forms:
            leg.forms[subscription.form] = (
                encoder(subscription.listing, subscription.form),
                [],
            )
        leg.forms[subscription.form][1].append(connection)
        self._fresh.setdefault(connection, []).append(subscription)
        self._watched(subscription.listing)

    def unsubscribed(self, connection: Connection, subscription: Subscription) -> None:
        leg = self.truth.legs[subscription.listing]
        listeners = leg.forms[subscription.form][1]
        listeners.remove(connection)
        if not listeners:
            del leg.forms[subscription.form]
        if not leg.forms:
            self._unwatch(leg)

    def welcome(self, connection: Connection) -> None:
        """First quotes right after the acknowledgement, where the exchange sends them."""
        now_ms = self._clocks()
        for listing, form in self._fresh.pop(connection, []):
            if not listing.moves or listing.source.exchange == Exchange.BINANCE:
                continue
            if listing.label == "mexc-spot":
                continue
            leg = self.truth.legs[listing]
            if listing.label in self.faults.bent or form not in leg.forms:
                continue
            if not listing.driven:
                self._hand_over(leg, self.market.repeat(listing, now_ms)[1], connection)
            elif listing in self.playback.last:
                self._hand_over(leg, self.playback.last[listing], connection)
        self._flush()

    def _unwatch(self, leg: Leg) -> None:
        """Nobody hears this listing any more: no interval of it stands until it quotes again."""
        self.truth.unheard(leg)
        if leg.tick is None:
            return
        wall, mono = self.stamp()
        row = self._unwatched.setdefault(
            leg.listing.label,
            {"fault": "unwatched", "source": leg.listing.label, "start_ns": wall,
             "start_mono_ns": mono, "symbols": []},
        )  # fmt: skip
        row["symbols"].append(leg.listing.symbol)

    def _watched(self, listing: Listing) -> None:
        row = self._unwatched.get(listing.label)
        if row is None or listing.symbol not in row["symbols"]:
            return
        row.setdefault("back", []).append(listing.symbol)
        if len(row["back"]) >= len(row["symbols"]):
            self._end_unwatched(listing.label)

    def _end_unwatched(self, label: str, *, over: bool = True) -> None:
        row = self._unwatched.pop(label)
        row.pop("back", None)
        wall, mono = self.stamp() if over else (None, None)
        self.truth.write({**row, "end_ns": wall, "end_mono_ns": mono})

    # --- REST and control

    def rest(self, method: str, path: str, query: dict[str, str], body: bytes) -> Answer | None:
        if path.startswith("/control"):
            return self._control(method, path, body)
        parts = path.split("/", 2)
        label = parts[1] if len(parts) == 3 else ""
        if label not in RULES:
            return Answer(404, [("content-type", "text/plain")], b"no such source\n")
        self.counts["rest_requests"] += 1
        rest_path = "/" + parts[2]
        answer = self.rest_answers.handle(
            label, rest_path, query, self.now_ms(label), self.mono_s()
        )
        return self.faults.spoil(label, rest_path, answer)

    def _control(self, method: str, path: str, body: bytes) -> Answer:
        headers = [("content-type", "application/json")]
        if method == "GET" and path == "/control/state":
            return Answer(200, headers, orjson.dumps(self.state()))
        if method == "GET" and path == "/control/sent":
            return Answer(200, headers, orjson.dumps(self.truth.sent_rows()))
        if method != "POST" or path != "/control":
            return Answer(404, headers, b'{"error":"POST /control or GET /control/state"}')
        try:
            request = orjson.loads(body)
            wanted = request if isinstance(request, list) else [request]
            for action in wanted:
                self.faults.do(action)
        except (ValueError, KeyError, TypeError) as error:
            return Answer(400, headers, orjson.dumps({"error": str(error)}))
        self._flush()
        return Answer(200, headers, orjson.dumps({"done": len(wanted)}))

    def state(self) -> dict[str, Any]:
        """Counters for tests and for the curious."""
        websockets = [c for c in self.connections if c.talk is not None]
        return {
            **self.counts,
            "messages": self.messages,
            "tick": self.tick_number,
            "events": self.market.events_made,
            "intervals": self.truth.intervals,
            "intervals_open": self.truth.open,
            "planted": self.planter.planted,
            "connections": dict(Counter(c.label for c in websockets)),
            "subscriptions": dict(
                Counter(s.listing.label for c in websockets for s in c.subscriptions)
            ),
            "faults": self.faults.active(),
            "playback_left": self.playback.left,
        }

    def stamp(self) -> tuple[int, int]:
        return clock.wall_ns(), clock.mono_ns()

    def fault_row(
        self,
        what: str,
        label: str,
        start: tuple[int, int],
        end: tuple[int, int] | None,
        **more: Any,
    ) -> None:
        """A time in which what a source sent is not what its subscribers heard, or not all."""
        self.truth.write(
            {
                "fault": what,
                "source": label,
                "start_ns": start[0],
                "end_ns": end[0] if end else None,
                "start_mono_ns": start[1],
                "end_mono_ns": end[1] if end else None,
                **more,
            }
        )

    # --- the market's loop

    def emit(self, told: Iterable[Told]) -> None:
        """Hand quotes to whoever listens; faults may lose, hold or bend them on the way."""
        legs, number, bent = self.truth.legs, self.tick_number, self.faults.bent
        for listing, tick in told:
            listing.tick_last = number
            leg = legs[listing]
            if not leg.forms:
                continue
            if bent and listing.label in bent:
                bent[listing.label].route(leg, tick)
            else:
                self.deliver(leg, tick)

    def deliver(self, leg: Leg, tick: Tick) -> None:
        """Write a quote to all who listen; the truth hears of it if anybody did."""
        reached = 0
        both = tick[1] and tick[3]
        for form, (encode, connections) in leg.forms.items():
            frame = encode(tick) if both else one_sided(leg.listing, form, tick)
            for connection in connections:
                if connection.frozen or connection.deaf:
                    continue
                out = connection.out
                if not out:
                    self._dirty.append(connection)
                out.append(frame)
                reached += 1
        if reached:
            self.messages += reached
            last = leg.tick
            if leg.heard and last is not None and last[1] is tick[1] and last[3] is tick[3]:
                leg.tick = tick  # the same prices: no pair can have changed
                leg.count += 1
            else:
                self._told(leg, tick)

    def _told(self, leg: Leg, tick: Tick) -> None:
        """The number that a decimal text means is exact here: float() rounds as any parser must."""
        px_mul = leg.listing.px_mul
        bid = float(tick[1]) / px_mul if tick[1] else NAN
        ask = float(tick[3]) / px_mul if tick[3] else NAN
        self.truth.sent(leg, tick, bid, ask)

    def _hand_over(self, leg: Leg, tick: Tick, connection: Connection) -> None:
        """A quote for one connection only."""
        for encode, connections in leg.forms.values():
            if connection in connections and not (connection.frozen or connection.deaf):
                if not connection.out:
                    self._dirty.append(connection)
                connection.out.append(encode(tick))
                self.messages += 1
                self._told(leg, tick)

    def write_raw(self, connection: Connection, data: bytes) -> None:
        """Bytes of a fault, in order with the market's."""
        if not connection.out:
            self._dirty.append(connection)
        connection.out.append(data)

    def _flush(self) -> None:
        if self.truth.waiting:
            self.truth.stamp(*self.stamp())
        if self._dirty:
            now = self.mono_s()
            for connection in self._dirty:
                connection.flush(now)
            self._dirty.clear()

    def tick(self) -> None:
        """One logical tick: faults due, planted legs, the walk, reminders, then the writes."""
        number = self.tick_number
        options = self.options
        elapsed = self.elapsed_s()
        self.faults.advance(elapsed)
        now_ms = self._clocks()
        self.emit(self.planter.advance(elapsed, now_ms))
        tick_s = self.tick_ns / NS_PER_S
        due = int((number + 1) * self.rate * tick_s) - int(number * self.rate * tick_s)
        if due:
            self.emit(self.market.step(due, now_ms))
        if self.playback.left:
            if options.play == "auto" and self._all_driven_heard():
                self.playback.begin(elapsed)
            self.emit(self.playback.due(elapsed, now_ms))
        if number % max(1, int(0.5 / tick_s)) == 0:
            self._remind(number, REMIND_S / tick_s, now_ms)
        self.tick_number += 1
        self._flush()

    def refresh(self) -> None:
        """Every listing is quoted anew: after this, who listens has the last word on all."""
        now_ms = self._clocks()
        moving = [row for row in self.universe.listings if row.moves and not row.driven]
        self.emit([self.market.force(listing, now_ms) for listing in moving])

    def quote(self, action: Mapping[str, Any]) -> None:
        """One quote by hand; an empty price and size mean that the side is empty."""
        names = ("bid_px", "bid_sz", "ask_px", "ask_sz")
        for listing in self.universe.by_source[action["source"]]:
            if action["symbol"] in (listing.symbol, listing.exchange_symbol):
                listing.update_id += 1
                bid_px, bid_sz, ask_px, ask_sz = (str(action[name]) for name in names)
                now_ms = self.now_ms(listing.label)
                number = listing.update_id
                self.emit([(listing, Tick(number, bid_px, bid_sz, ask_px, ask_sz, now_ms, number))])
                return
        raise ValueError(f"{action['source']} does not list {action['symbol']}")

    def _all_driven_heard(self) -> bool:
        return all(self.truth.legs[listing].forms for listing in self.playback.driven)

    def _remind(self, number: int, ticks: float, now_ms: list[int]) -> None:
        late = [
            listing
            for listing in self._bybit
            if number - listing.tick_last >= ticks and listing.moves
        ]
        for listing in late:
            known = self.truth.legs[listing].tick
            if not listing.driven:
                self.emit([self.market.repeat(listing, now_ms)])
            elif known is not None:
                self.emit([(listing, known)])
            else:
                listing.tick_last = number

    # --- life

    async def start(self, host: str = "127.0.0.1") -> int:
        """Listen; returns the port."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: Connection(self), host, self.options.port, backlog=512
        )
        self.port = int(self._server.sockets[0].getsockname()[1])
        return self.port

    async def run(self, seconds: float | None = None) -> None:
        """Tick until told to stop, or for so many seconds."""
        started = clock.mono_ns()
        first = self.tick_number
        swept = 0.0
        end_ns = started + int(seconds * NS_PER_S) if seconds is not None else None
        while not self.stopping.is_set():
            now = clock.mono_ns()
            if end_ns is not None and now >= end_ns:
                return
            due_ns = started + (self.tick_number - first) * self.tick_ns
            if due_ns > now:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout((due_ns - now) / NS_PER_S):
                        await self.stopping.wait()
            else:
                if now - due_ns > LAG_S_MAX * NS_PER_S:
                    self.counts["lagged_ns"] += now - due_ns
                    started += now - due_ns
                self.tick()
                await asyncio.sleep(0)
            seconds_now = self.mono_s()
            if seconds_now - swept >= SWEEP_S * min(1.0, self.time_scale):
                swept = seconds_now
                self._sweep(seconds_now)

    def _sweep(self, now_s: float) -> None:
        self.truth.flush()
        for connection in list(self.connections):
            connection.sweep(now_s)

    def write_sent(self) -> None:
        """What was last sent, as one JSON list, in one rename."""
        path = self.options.sent_path
        if path is None:
            return
        made = path.with_name(path.name + ".part")
        made.write_bytes(orjson.dumps(self.truth.sent_rows(), option=orjson.OPT_APPEND_NEWLINE))
        made.replace(path)

    async def stop(self) -> None:
        """Close what is open, write what is owed."""
        self.stopping.set()
        for label in list(self._unwatched):
            self._end_unwatched(label, over=False)
        self.faults.close()
        self.truth.close()
        self.write_sent()
        if self._server is not None:
            self._server.close()
        for connection in list(self.connections):
            connection.hang_up(1001, "going away")
            connection.transport.close()
        await asyncio.sleep(0.05)
        for connection in list(self.connections):
            connection.transport.abort()
        if self._server is not None:
            await self._server.wait_closed()


def sources_of(exchange: Exchange8) -> dict[str, dict[str, str]]:
    """Where each source is reached, for the ready line and the config."""
    base = f"127.0.0.1:{exchange.port}"
    return {
        label: {
            "rest_url": f"http://{base}/{label}",
            "ws_url": f"ws://{base}/{label}{ws_path(label)}",
        }
        for label in RULES
    }


def ws_path(label: str) -> str:
    """The exchange's own websocket path."""
    source = SOURCE_BY_LABEL[label]
    if source.exchange == Exchange.BINANCE:
        return "/stream" if source.market == MarketKind.SPOT else "/public/stream"
    if source.exchange == Exchange.BYBIT:
        return "/v5/public/spot" if source.market == MarketKind.SPOT else "/v5/public/linear"
    if source.exchange == Exchange.OKX:
        return "/ws/v5/public"
    return "/ws" if source.market == MarketKind.SPOT else "/edge"
