"""Listening to the websockets: which listings are quoted there, and at what price.

Subscribes to every listing of every source within the exchanges' limits, waits, and tells apart:
quoted, silent, refused, and not reached at all. An acknowledgement counts for nothing; the first
quote is the proof. Where one bad symbol makes an exchange refuse a whole request, the request is
sent again without it, or in halves until it is found.

Mid prices are sampled on a common grid over the window, so that two sources are compared at the
same instants.
"""

import asyncio
import math
import ssl
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from random import Random
from typing import NamedTuple

from spread_scanner import clock
from spread_scanner.discovery.frames import Frames
from spread_scanner.errors import BadMessage
from spread_scanner.exchanges.adapter import (
    Ack,
    Adapter,
    Delta,
    Event,
    Limits,
    RawQuote,
    RefusalKind,
    Refused,
)
from spread_scanner.runtime import ws
from spread_scanner.runtime.gate import Gate, Pace
from spread_scanner.shm.dials import Dials

GRID_POINTS = 120
GRID_S_MIN = 0.05
SETUP_S_SPARE = 15.0  # for dialling, on top of what the exchanges' own pace takes
RECHECK_S = 1.5  # after a refusal: time for the rest of the request to be acknowledged or quoted
BUSY_DOUBLINGS_MAX = 4
CONNECT_TIMEOUT_S = 10.0
BACKOFF_S_MIN, BACKOFF_S_MAX = 0.5, 8.0
DIALS_WAITED_FOR = 3  # after so many failures in a row the others no longer wait for it
REQUEST_BYTES_SPARE = 256  # of a request, around its topics

ListingKey = tuple[int, str]


class Hearing(Enum):
    """What the websocket says of one listing."""

    QUOTED = "quoted"
    SILENT = "silent"
    REFUSED = "refused"
    UNREACHED = "unreached"


@dataclass
class Heard:
    """One listing while we listen. Prices in the exchange's units."""

    bid_px: float = math.nan
    ask_px: float = math.nan
    quotes: int = 0
    refusal: str = ""
    reached: bool = False  # its connection was open and had asked for it
    mids: list[float] = field(default_factory=list)

    @property
    def state(self) -> Hearing:
        if self.quotes:
            return Hearing.QUOTED
        if self.refusal:
            return Hearing.REFUSED
        return Hearing.SILENT if self.reached else Hearing.UNREACHED


class Validation(NamedTuple):
    """What was heard in the window, by (source id, exchange symbol)."""

    heard: Mapping[ListingKey, Heard]
    notes: list[str]
    unreached: Mapping[str, str]  # source label to why no connection of it could be opened


class Wanted(NamedTuple):
    """One source and the listings to ask for. Without a gate it dials at its own pace."""

    adapter: Adapter
    proxy: str
    exchange_symbols: Sequence[str]
    gate: Gate | None = None
    tls: ssl.SSLContext | None = None


Progress = Callable[[str, int, int], None]  # source label, listings heard, listings asked for


async def validate(wanted: Sequence[Wanted], seconds: float, progress: Progress) -> Validation:
    """Subscribe to everything, then listen for so long."""
    listeners = [_Source(one) for one in wanted if one.exchange_symbols]
    tasks = [asyncio.create_task(one.run()) for one in listeners]
    tasks_by_end = asyncio.gather(*tasks)
    try:
        ready = asyncio.gather(*(one.settled() for one in listeners))
        setup_s = max([one.setup_s for one in listeners], default=0.0) + SETUP_S_SPARE
        await _until(ready, tasks_by_end, setup_s, lambda: _tell(listeners, progress))
        await _sample(listeners, tasks_by_end, seconds, progress)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(tasks_by_end, *tasks, return_exceptions=True)
    heard = {one.key(name): row for one in listeners for name, row in one.heard.items()}
    return Validation(
        heard,
        [note for one in listeners for note in one.notes()],
        {one.label: one.failure for one in listeners if not one.opened},
    )


async def _until(
    ready: "asyncio.Future[list[None]]",
    running: "asyncio.Future[list[None]]",
    seconds: float,
    tell: Callable[[], None],
) -> None:
    """Wait for the subscriptions, but not for ever; a fault of ours in a listener comes out."""
    deadline = clock.awake_s() + seconds
    while not ready.done() and clock.awake_s() < deadline:
        await asyncio.wait({ready, running}, timeout=0.2, return_when=asyncio.FIRST_COMPLETED)
        tell()
        if running.done():
            running.result()
            break
    ready.cancel()
    await asyncio.gather(ready, return_exceptions=True)


async def _sample(
    listeners: Sequence["_Source"],
    running: "asyncio.Future[list[None]]",
    seconds: float,
    progress: Progress,
) -> None:
    grid_s = max(seconds / GRID_POINTS, GRID_S_MIN)
    start = clock.awake_s()
    points = max(round(seconds / grid_s), 1)
    for point in range(1, points + 1):
        await asyncio.wait({running}, timeout=max(start + point * grid_s - clock.awake_s(), 0.0))
        if running.done():
            running.result()
        for one in listeners:
            one.sample()
        _tell(listeners, progress)


def _tell(listeners: Sequence["_Source"], progress: Progress) -> None:
    for one in listeners:
        progress(one.label, one.quoted, len(one.heard))


def batches(
    exchange_symbols: Sequence[str], limits: Limits, topic_bytes: Callable[[str], int]
) -> Iterator[list[str]]:
    """The symbols in requests that keep to the exchange's limits."""
    batch: list[str] = []
    room = limits.request_bytes_max - REQUEST_BYTES_SPARE
    used = 0
    for name in exchange_symbols:
        size = topic_bytes(name)
        if batch and (len(batch) >= limits.topics_per_request_max or used + size > room):
            yield batch
            batch, used = [], 0
        batch.append(name)
        used += size
    if batch:
        yield batch


class _Pace:
    """At most so many per second, for several tasks."""

    def __init__(self, per_s: float) -> None:
        self._gap_s = 1.0 / per_s
        self._free_s = 0.0

    async def turn(self) -> None:
        start = max(clock.awake_s(), self._free_s)
        self._free_s = start + self._gap_s
        await asyncio.sleep(max(start - clock.awake_s(), 0.0))


class _Source:
    """All connections of one source."""

    def __init__(self, wanted: Wanted) -> None:
        self.adapter = wanted.adapter
        self.label = wanted.adapter.source.label
        self.proxy = wanted.proxy
        self.heard = {name: Heard() for name in wanted.exchange_symbols}
        self.opened = False
        self.failure = ""
        pace = Pace(wanted.adapter.limits.connects_per_s_max)
        self.gate = wanted.gate or Gate(Dials.private(), self.label, pace)
        self.tls = wanted.tls
        self.quoted = 0
        self.bad_messages = 0
        self.bad_example = ""
        self.unnamed: set[str] = set()  # refusals that name no listing of ours
        limits = self.adapter.limits
        names = list(self.heard)
        step = limits.topics_per_connection_max
        self._shards = [_Shard(self, names[at : at + step]) for at in range(0, len(names), step)]
        most = max((len(shard.waiting) for shard in self._shards), default=0)
        self.setup_s = (
            2 * len(self._shards) / limits.connects_per_s_max + most / limits.requests_per_s_max
        )

    def key(self, name: str) -> ListingKey:
        return self.adapter.source.source_id, name

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for shard in self._shards:
                group.create_task(shard.run())

    async def settled(self) -> None:
        for shard in self._shards:
            await shard.settled.wait()

    def sample(self) -> None:
        for heard in self.heard.values():
            heard.mids.append((heard.bid_px + heard.ask_px) / 2)

    def notes(self) -> list[str]:
        found = [f"{self.label} websocket: {text}" for text in sorted(self.unnamed)]
        if self.bad_messages:
            found.append(
                f"{self.label} websocket: {self.bad_messages} messages could not be decoded, "
                f"the first: {self.bad_example}"
            )
        unasked = sum(row.state is Hearing.UNREACHED for row in self.heard.values())
        if self.opened and unasked:
            found.append(f"{self.label} websocket: {unasked} listings could not be asked for")
        if self.opened and self.failure:
            found.append(f"{self.label} websocket: a connection was lost: {self.failure}")
        return found


class _Shard:
    """One connection: dials, asks, listens, and dials again when it is lost."""

    def __init__(self, source: _Source, names: Sequence[str]) -> None:
        self._source = source
        self._adapter = source.adapter
        self._names = names
        self._random = Random()
        self.settled = asyncio.Event()  # everything was asked for once, or cannot be for now
        self.waiting = deque(batches(names, self._adapter.limits, self._adapter.topic_bytes))
        self._asked: dict[str, list[str]] = {}  # request id to symbols
        self._acknowledged: set[str] = set()
        self._busy = 0  # how often the exchange has found us too busy
        self._more = asyncio.Event()

    async def run(self) -> None:
        backoff_s = BACKOFF_S_MIN
        failures = 0
        while True:
            try:
                await self._turn()
                await self._live()
                backoff_s, failures = BACKOFF_S_MIN, 0
            except ws.DialFailed as error:
                self._source.failure = error.reason
                if error.status is not None:
                    gate = self._source.gate
                    note = gate.refused(error.status, error.wait_s, error.begun_ns)
                    if note:
                        self._source.failure = f"{error.reason}, {note}"
                failures += 1
            if failures >= DIALS_WAITED_FOR:
                self.settled.set()
            await asyncio.sleep(backoff_s * self._random.uniform(0.5, 1.0))
            backoff_s = min(backoff_s * 2, BACKOFF_S_MAX)
            again = [name for name in self._names if not self._source.heard[name].refusal]
            self.waiting = deque(batches(again, self._adapter.limits, self._adapter.topic_bytes))

    async def _turn(self) -> None:
        """Wait for one; a ban is said, and the others do not wait for its end."""
        ban = self._source.gate.ban()
        if ban is not None:
            self._source.failure = str(ban)
            self.settled.set()
        await self._source.gate.turn()

    async def _live(self) -> None:
        frames = Frames()
        await ws.dial(
            self._adapter.ws_url(),
            lambda: frames,
            timeout_s=CONNECT_TIMEOUT_S,
            proxy=self._source.proxy,
            tls=self._source.tls,
        )
        self._source.opened = True
        self._asked.clear()
        self._acknowledged.clear()
        helpers = [
            asyncio.create_task(self._ask(frames)),
            asyncio.create_task(_ping(self, frames)),
        ]
        try:
            async for frame in frames:
                self._take(frame)
            self._source.failure = f"closed: {frames.goodbye}"
        finally:
            for name in self._names:  # prices of a lost connection are prices no more
                self._source.heard[name].bid_px = math.nan
            for helper in helpers:
                helper.cancel()
            frames.close()
            await asyncio.gather(*helpers, return_exceptions=True)

    async def _ask(self, frames: Frames) -> None:
        """Send what waits, at the exchange's pace."""
        pace = _Pace(self._adapter.limits.requests_per_s_max)
        request_id = 0
        while True:
            while self.waiting:
                await pace.turn()
                batch = self.waiting.popleft()
                request_id += 1
                self._asked[str(request_id)] = batch
                frames.send(self._adapter.subscribe(batch, request_id))
                for name in batch:
                    self._source.heard[name].reached = True
            self.settled.set()
            self._more.clear()
            await self._more.wait()

    def _take(self, frame: bytes) -> None:
        try:
            events = self._adapter.parse(frame)
        except BadMessage as error:
            if not self._source.bad_messages:
                self._source.bad_example = str(error)
            self._source.bad_messages += 1
            return
        for event in events:
            self._hear(event)

    def _hear(self, event: Event) -> None:
        if isinstance(event, RawQuote):
            heard = self._source.heard.get(event.exchange_symbol)
            if heard is not None:
                heard.bid_px, heard.ask_px = event.bid_px, event.ask_px
                self._count(heard)
        elif isinstance(event, Delta):
            heard = self._source.heard.get(event.exchange_symbol)
            if heard is not None:
                heard.bid_px = event.bid[0] if event.bid is not None else heard.bid_px
                heard.ask_px = event.ask[0] if event.ask is not None else heard.ask_px
                self._count(heard)
        elif isinstance(event, Ack):
            whole = () if event.exchange_symbols else self._asked.get(event.request_id, ())
            self._acknowledged.update(event.exchange_symbols or whole)
        elif isinstance(event, Refused):
            self._refused(event)

    def _count(self, heard: Heard) -> None:
        self._source.quoted += heard.quotes == 0
        heard.quotes += 1

    def _too_busy(self, event: Refused) -> None:
        """The exchange wants less, which is about no symbol: the same again, later. An answer that
        names no request may be to any that is out.
        """
        batch = self._asked.pop(event.request_id, None)
        missing = batch or [name for one in self._asked.values() for name in one]
        pause_s = RECHECK_S * 2.0 ** min(self._busy, BUSY_DOUBLINGS_MAX)
        self._busy += 1
        asyncio.get_running_loop().call_later(pause_s, self._ask_again, missing, False)

    def _refused(self, event: Refused) -> None:
        if event.kind is RefusalKind.BUSY:
            self._too_busy(event)
            return
        message = f"{event.code} {event.message}".strip()
        ours = [name for name in event.exchange_symbols if name in self._source.heard]
        for name in ours:
            self._source.heard[name].refusal = message
        batch = self._asked.pop(event.request_id, None)
        if batch is None:
            if not ours:
                self._source.unnamed.add(message)
        elif not ours and len(batch) == 1:
            self._source.heard[batch[0]].refusal = message
        elif rest := [name for name in batch if name not in ours]:
            loop = asyncio.get_running_loop()
            loop.call_later(RECHECK_S, self._ask_again, rest, not ours)

    def _ask_again(self, rest: list[str], halve: bool) -> None:
        """Those of a refused request that nobody has spoken of since."""
        missing = [
            name
            for name in rest
            if name not in self._acknowledged
            and not self._source.heard[name].quotes
            and not self._source.heard[name].refusal
        ]
        if not missing:
            return
        if halve:
            middle = (len(missing) + 1) // 2
            self.waiting += [part for part in (missing[:middle], missing[middle:]) if part]
        else:
            self.waiting += batches(missing, self._adapter.limits, self._adapter.topic_bytes)
        self._more.set()


async def _ping(shard: _Shard, frames: Frames) -> None:
    rule = shard._adapter.ping
    while rule.text is not None:
        await asyncio.sleep(rule.interval_s)
        frames.send(rule.text)
