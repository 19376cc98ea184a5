"""Eight sources in one process: the loop that moves the market, and what it is made of.

Time is a count of logical ticks. What happens in a tick depends on the seed, the script and the
number of the tick alone; who listens decides only which bytes are written (delivery.py). The truth
is told for every quote that went to at least one connection, in the order and at the time of the
writes. Only while somebody learns what is usual does the market rest around each whole second, by
the clock, and goes twice as fast in between: whoever looks then sees one spread, however late.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Mapping
from typing import Any

import orjson

from spread_scanner import clock
from spread_scanner.clock import NS_PER_MS, NS_PER_S
from spread_scanner.schema.enums import DIRECTIONS, EXCHANGE_SOURCES, Exchange
from spread_scanner.schema.names import EXCHANGE_SIM
from spread_scanner.sim import pool_truth
from spread_scanner.sim.chain import ChainMarket
from spread_scanner.sim.characters import give
from spread_scanner.sim.control import Control
from spread_scanner.sim.delivery import Delivery
from spread_scanner.sim.depth import EMIT_S, Depth
from spread_scanner.sim.dialects import dialects
from spread_scanner.sim.engine_lag import EngineLag
from spread_scanner.sim.faults import Faults
from spread_scanner.sim.limits import Limits, Refusal
from spread_scanner.sim.market import Market
from spread_scanner.sim.notices import Notices
from spread_scanner.sim.options import Options
from spread_scanner.sim.planting import Planter
from spread_scanner.sim.pool_truth import PoolListing, PoolTruth
from spread_scanner.sim.recording import Playback
from spread_scanner.sim.rest import Rest
from spread_scanner.sim.rpc_server import SolanaSide
from spread_scanner.sim.rules import RULES
from spread_scanner.sim.server import SWEEP_S, Connection
from spread_scanner.sim.tick import Tick
from spread_scanner.sim.truth import Truth
from spread_scanner.sim.universe import Universe
from spread_scanner.sim.wire import without_body

LOOK_S = 0.5  # how often repeats are looked for
REPEAT_S = {Exchange.BYBIT: 3.0, Exchange.OKX: 60.0}  # an unchanged quote is said once more
BODYLESS_S = 10.0  # so often one MEXC spot frame comes without a body
RESTED_PACE = 2  # of a market that stands still for half of each second (looks.py)
PROVIDERS = 3  # of Solana; the second one is a slot behind
LAG_S_MAX = 1.0  # further behind than this the schedule is moved, not caught up


class Exchange8:
    """The pretend exchange. `start`, then `run`, then `stop`."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.universe = Universe(options.seed, options.symbols, stable=options.pools > 0)
        self.characters = give(self.universe, options.characters)
        self.playback = Playback(self.universe, options.recordings, options.speed)
        self.market = Market(self.universe)
        self.solana: SolanaSide | None = None
        pools: list[PoolListing] = []
        if options.pools:
            self.solana = SolanaSide(
                options.seed,
                options.pools,
                providers=PROVIDERS,
                fault_every_s=options.pool_faults_s,
                market=ChainMarket(self._worths, lambda: clock.wall_ns() // NS_PER_S),
            )
            pools = pool_truth.listings(self.universe, self.solana.chain)
        self.truth = Truth(
            (*self.universe.listings, *pools),
            (*self.universe.pairs(), *pool_truth.pairs(self.universe, pools)),
            {way.label: options.threshold(way.label) for way in DIRECTIONS},
            options.truth_path,
        )
        self.pools = None if self.solana is None else PoolTruth(self.solana, self.truth, pools)
        self.refused: set[tuple[str, str]] = set()
        self.dialects = dialects(self.universe, self.refused)
        self.limits = Limits(options.time_scale)
        self.depth = Depth(self)
        self.faults = Faults(self)
        self.delivery = Delivery(self)
        self.notices = Notices(self)
        self.control = Control(self, Rest(self.universe, self.limits))
        self.engine_lag = EngineLag(self.universe, options.rate)
        self.planter = Planter(self.market, self.truth, options.planting)
        self.counts: Counter[str] = Counter()
        self.time_scale = options.time_scale
        self.connections: set[Connection] = set()
        self.tick_number = 0
        self.moved_number = 0  # of ticks in which the market did not rest
        self.rate = options.rate
        self.tick_ns = int(options.tick_ms * NS_PER_MS)
        self.stopping = asyncio.Event()
        self.port = 0
        self._numbers = 0
        self._server: asyncio.Server | None = None
        self._repeated = [
            (listing, REPEAT_S[listing.source.exchange])
            for listing in self.universe.listings
            if listing.source.exchange in REPEAT_S and listing.moves
        ]

    def _worths(self) -> dict[str, float]:
        """What each coin costs in USDT now."""
        return {coin.name: coin.price for coin in reversed(self.universe.coins) if coin.listings}

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

    def clocks(self) -> list[int]:
        """The clocks of all sources, by source_id."""
        return [self.now_ms(source.label) for source in EXCHANGE_SOURCES]

    def elapsed_s(self) -> float:
        """Logical time since the start."""
        return self.tick_number * self.tick_ns / NS_PER_S

    # --- what connections ask for

    def ws_label(self, path: str) -> str:
        label = path.split("/", 2)[1] if path.count("/") >= 2 else ""
        return label if label in RULES else ""

    def admit(self, label: str, address: str) -> Refusal | None:
        """Why a websocket is refused, or None. Every attempt counts for its address."""
        if not label:
            return Refusal(404, "no such source\n")
        refusal = self.faults.refusal(label, "socket")
        if refusal is None:
            refusal = self.limits.dial(label, address, self.mono_s())
        if refusal is not None:
            self.counts["connects_refused"] += 1
        return refusal

    def opened(self, connection: Connection) -> int:
        self._numbers += 1
        self.counts["connects"] += 1
        self.faults.adopt(connection)
        return self._numbers

    def closed(self, connection: Connection) -> None:
        self.counts["disconnects"] += 1
        self.delivery.closed(connection)

    def slow_reader(self, connection: Connection) -> None:
        self.counts["slow_readers"] += 1
        self.fault_row("slow_reader", connection.label, self.stamp(), self.stamp())

    def life_s(self, label: str) -> float | None:
        if RULES[label].life_s is None:
            return None
        return self.options.life_s if self.options.life_s is not None else RULES[label].life_s

    # --- the truth file's rows of faults

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

    def tick(self) -> None:
        """One logical tick: faults due, planted legs, the walk, reminders, then the writes."""
        number = self.tick_number
        options = self.options
        elapsed = self.elapsed_s()
        self.truth.advance(clock.mono_ns())
        self.faults.advance(elapsed)
        self.delivery.belief.advance(self.mono_s())
        now_ms = self.clocks()
        tick_s = self.tick_ns / NS_PER_S
        if not self.truth.rests:
            self._move(elapsed, tick_s, now_ms)
        if self.playback.left:
            if options.play == "auto" and self._all_driven_heard():
                self.playback.begin(elapsed)
            self.delivery.emit(self.playback.due(elapsed, now_ms))
        if number % max(1, int(LOOK_S / tick_s)) == 0:
            self.engine_lag.advance(LOOK_S, self.rate)
            self._repeat(number, tick_s, now_ms)
        turn, left = divmod(number, max(1, int(BODYLESS_S / tick_s)))
        if turn and not left:
            self._say_nothing(turn)
        if number % max(1, int(EMIT_S / tick_s)) == 0:
            self.depth.advance()
        if self.pools is not None:
            self.pools.rate()
        self.tick_number += 1
        self.delivery.flush()

    def _move(self, elapsed: float, tick_s: float, now_ms: list[int]) -> None:
        """The planted legs, then the walk."""
        self.delivery.emit(self.planter.advance(elapsed, now_ms))
        pace = self.rate * tick_s * (RESTED_PACE if self.truth.learning else 1)
        due = int((self.moved_number + 1) * pace) - int(self.moved_number * pace)
        self.moved_number += 1
        if due:
            self.delivery.emit(self.market.step(due, now_ms))

    def refresh(self) -> None:
        """Every listing is quoted anew: after this, who listens has the last word on all."""
        now_ms = self.clocks()
        moving = [row for row in self.universe.listings if row.moves and not row.driven]
        self.delivery.emit([self.market.force(listing, now_ms) for listing in moving])

    def quote(self, action: Mapping[str, Any]) -> None:
        """One quote by hand; an empty price and size mean that the side is empty."""
        names = ("bid_px", "bid_sz", "ask_px", "ask_sz")
        for listing in self.universe.by_source[action["source"]]:
            if action["symbol"] in (listing.symbol, listing.exchange_symbol):
                listing.update_id += 1
                bid_px, bid_sz, ask_px, ask_sz = (str(action[name]) for name in names)
                now_ms, number = self.now_ms(listing.label), listing.update_id
                tick = Tick(number, bid_px, bid_sz, ask_px, ask_sz, now_ms, number)
                self.delivery.emit([(listing, tick)])
                return
        raise ValueError(f"{action['source']} does not list {action['symbol']}")

    def _all_driven_heard(self) -> bool:
        return all(self.truth.legs[listing].forms for listing in self.playback.driven)

    def _repeat(self, number: int, tick_s: float, now_ms: list[int]) -> None:
        """Bybit and OKX say again what has not changed for a while, with the same number."""
        for listing, after_s in self._repeated:
            if number - listing.tick_last < after_s / tick_s or not listing.moves:
                continue
            known = self.truth.legs[listing].tick
            if not listing.driven:
                self.delivery.emit([self.market.repeat(listing, now_ms)])
            elif known is not None:
                self.delivery.emit([(listing, known)])
            else:
                listing.tick_last = number

    def _say_nothing(self, turn: int) -> None:
        """MEXC spot's frames consist of a channel and a time alone now and then."""
        rows = self.universe.by_source["mexc-spot"]
        listing = rows[turn % len(rows)]
        now_ms = self.now_ms(listing.label)
        self.delivery.say_frames(
            self.truth.legs[listing], lambda row, form: without_body(row, form, now_ms)
        )

    # --- life

    async def start(self, host: str = "127.0.0.1") -> int:
        """Listen; returns the port."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: Connection(self), host, self.options.port, backlog=512
        )
        self.port = int(self._server.sockets[0].getsockname()[1])
        if self.solana is not None:
            await self.solana.start()
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
                    self._stood(now - due_ns)
                self.tick()
                await asyncio.sleep(0)
            seconds_now = self.mono_s()
            if seconds_now - swept >= SWEEP_S * min(1.0, self.time_scale):
                swept = seconds_now
                self._sweep(seconds_now)

    def _stood(self, for_ns: int) -> None:
        """Until now this process was given no CPU, or had too much to do: nobody heard anything."""
        wall_ns, mono_ns = self.stamp()
        self.truth.write(
            {
                "fault": "stood",
                "process": EXCHANGE_SIM,
                **{"start_ns": wall_ns - for_ns, "end_ns": wall_ns},
                **{"start_mono_ns": mono_ns - for_ns, "end_mono_ns": mono_ns},
            }
        )

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
        if self.solana is not None and self.pools is not None:
            await self.solana.stop()
            self.pools.close()
        self.delivery.end()
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
