"""What an exchange says of each of its symbols, and what of it reached the feed: a day's truth.

A row moves by itself, at its own rate, in a walk that stays near where it began. The exchange
writes it, the wires report what arrived, the invariants compare it with the price store. Nothing
here comes from the product's parsers: a tick's numbers are read from its own text.
"""

import math
from collections import deque
from dataclasses import dataclass, field
from random import Random
from typing import Any, NamedTuple

import shapes

from spread_scanner.clock import NS_PER_MS, NS_PER_S
from spread_scanner.schema.enums import Exchange as Name
from spread_scanner.sim.tick import Tick
from spread_scanner.sim.universe import Listing

JUMP_RATIO = 5.0  # a mid beyond so many times its predecessor has jumped
JUDGED_NS = 1_500 * NS_PER_MS  # until the feed has read tables that judge all prices anew
RATE_KNOWN = 20  # the feed has a rate of a symbol's news from 16 intervals on
RATE_OF = 16  # so many make it
PAUSE_S_MIN = 30.0  # a pause counts for no more than this, or so many of those that are usual
PAUSES_MAX = 50.0
WALK_TICKS_MAX = 60  # a walk turns back here: a few basis points
TICK_BPS = 0.05


class Said(NamedTuple):
    """One statement about a symbol: in base units, as the store has to show it."""

    number: int  # counts up for ever, whatever the update ids do
    said_ns: int  # when the exchange knew it
    tick: Tick
    engine_ms: int  # its engine's time, whoever is told and when
    bid_px: float
    bid_sz: float
    ask_px: float
    ask_sz: float
    odd: bool = False  # its time is not to be believed
    untimed: bool = False  # its time cannot be
    misdated: bool = False  # its engine's time cannot be, where it is sent at a good one
    enveloped: bool = False  # sent late, and dated anew but for the engine's time
    shape: str = ""  # how it is spelled, where that is not as usual: shapes.py
    repeat: bool = False

    @property
    def bad(self) -> bool:
        """Nobody can make a quote of it."""
        return self.shape in shapes.UNREADABLE

    @property
    def ill_timed(self) -> bool:
        """It bears a time that cannot be."""
        return self.untimed or self.misdated

    @property
    def mid(self) -> float:
        """NaN with a side empty."""
        return (self.bid_px + self.ask_px) / 2


@dataclass
class Row:
    """One listing. `wanted`: it stands in the tables that the feed was told of."""

    listing: Listing
    symbol_id: int
    rate_per_s: float
    random: Random
    name: str = ""
    wanted: bool = True
    halted: bool = False
    update_id: int = 0
    middle: int = 0
    at: int = 0
    last: Said | None = None
    published: Said | None = None  # the newest that its gateway has sent
    heard: Said | None = None  # the newest statement that the feed has got
    heard_ns: int = 0
    since_ns: int = 0  # since when there is something newer than `heard`; 0: there is not
    waiting: deque[Said] = field(default_factory=deque)  # said and not heard, oldest first
    reset_ns: int = 0  # when the first of update ids that began anew arrived
    times: float = 1.0  # its price is so many times what it was: redenominated, or another coin's
    units: int = 1  # it is quoted in so many of what it was at first
    level: float = 0.0  # the last mid that nobody doubts; 0: any will do
    judged_ns: int = 0  # when tables were published that judge it
    unknown: bool = False  # its feed died while it had jumped: any level is doubted until then
    late_on: int = 0  # the session that brought late news last, dated anew
    taught: int = RATE_KNOWN  # how often there was news for the feed's present life
    pause_s: float = 0.0  # between two news, as they come: a pause may have made it longer
    came_ns: int = 0  # the last news
    news_ns: int = 0  # the same, or the feed has asked to be told
    silent_ns: int = 0  # the longest that there were none, since somebody looked

    def __post_init__(self) -> None:
        listing = self.listing
        self.name = listing.exchange_symbol
        self.update_id = 1_000_000 + self.random.randrange(1_000_000)
        self.pause_s = 1.0 / self.rate_per_s
        self.middle = round(listing.coin.price_start * listing.px_mul * listing.px_pow)
        self.step = max(1, round(self.middle * TICK_BPS * 1e-4))
        self._lots = max(1, round(listing.lots_typical))
        self._px, self._sz = f"%.{listing.px_decimals}f", f"%.{listing.sz_decimals}f"

    def pause_ns(self, faster: float) -> int:
        """Until its next tick."""
        return max(1, int(self.random.expovariate(self.rate_per_s * faster) * NS_PER_S))

    def move(
        self,
        now_ns: int,
        exchange_ms: int,
        *,
        repeat: bool = False,
        odd: bool = False,
        untimed: bool = False,
        engine_ms: int | None = None,
        shape: str = "",
    ) -> Said:
        """The next statement, or the last one once more."""
        if repeat and self.last is not None:
            # By way of the gateway, behind all that it holds back.
            return self._again(self.last, exchange_ms)
        said = self._say(self._next(exchange_ms), now_ns)
        if engine_ms is not None:
            said = said._replace(engine_ms=engine_ms, misdated=True)
        if odd or untimed or shape:
            said = said._replace(odd=odd, untimed=untimed, shape=shape, **_sides(shape))
        self.last = said
        self.waiting.append(said)
        self.since_ns = self.since_ns or now_ns
        return said

    def again(self, exchange_ms: int) -> Said:
        """What was published last, once more."""
        assert self.published is not None
        return self._again(self.published, exchange_ms)

    def _again(self, said: Said, exchange_ms: int) -> Said:
        if said.bad:  # whatever tore it is over
            said = said._replace(shape="")
        untimed = said.untimed and exchange_ms == said.tick.ts_ms
        tick = said.tick._replace(ts_ms=exchange_ms)
        # Bybit's repeats have the old `cts`: it may be none, or ahead of a clock set back since.
        old = self.listing.source.exchange is Name.BYBIT
        misdated = not untimed and (old or said.misdated)
        misdated = misdated and shapes.misdated(said.engine_ms, exchange_ms)
        engine_ms = said.engine_ms if old or misdated else self._engine_ms(tick)
        return said._replace(
            tick=tick, engine_ms=engine_ms, repeat=True, untimed=untimed, misdated=misdated
        )

    def _engine_ms(self, tick: Tick) -> int:
        """Of what is made as it is sent."""
        return tick.ts_ms - self.listing.lags_ms[self.listing.source_id]

    def _next(self, exchange_ms: int) -> Tick:
        below, listing = self._below, self.listing
        self.at += below(5) - 2
        if abs(self.at) > WALK_TICKS_MAX:
            self.at -= 4 if self.at > 0 else -4
        self.update_id += 1 + below(16)
        bid = round((self.middle + self.at * self.step) * self.times)
        ask = bid + 1 + below(3)
        lots = self._lots
        px, sz = self._px, self._sz
        return Tick(
            self.update_id,
            px % (bid / listing.px_pow),
            sz % ((lots + below(lots + 1)) / listing.sz_pow),
            px % (ask / listing.px_pow),
            sz % ((lots + below(lots + 1)) / listing.sz_pow),
            exchange_ms,
            self.update_id,
        )

    def _below(self, count: int) -> int:
        """As `randrange`, which asks much about its arguments."""
        bits, draw = count.bit_length(), self.random.getrandbits
        drawn = draw(bits)
        while drawn >= count:
            drawn = draw(bits)
        return drawn

    def _say(self, tick: Tick, now_ns: int) -> Said:
        number = (self.last.number if self.last is not None else 0) + 1
        px, sz = self.listing.px_mul, self.listing.sz_mul
        return Said(
            number, now_ns, tick, self._engine_ms(tick),
            float(tick.bid_px) / px, float(tick.bid_sz) * sz,
            float(tick.ask_px) / px, float(tick.ask_sz) * sz,
        )  # fmt: skip

    def judged(self, now_ns: int) -> None:
        """Tables are published that judge its price: it counts from where it is."""
        self.level, self.judged_ns, self.unknown = 0.0, now_ns, False

    def leaps(self, said: Said, now_ns: int) -> bool | None:
        """A statement arrives: whether its price is of another level than the one before. None:
        that depends on when the feed has read new tables, or on what it took for news."""
        mid = said.mid
        if self.unknown or now_ns - max(self.judged_ns, self.reset_ns) < JUDGED_NS:
            return None
        if self.level and beyond(mid, self.level):
            return True
        if not math.isnan(mid):
            self.level = mid
        return False

    def redenominate(self, units: int) -> None:
        """It is quoted in so many units from now on; what they are worth stays."""
        listing, before = self.listing, self.units
        listing.px_mul = listing.px_mul * units // before
        listing.sz_mul = listing.sz_mul * units / before
        self.middle = self.middle * units // before
        self.step = self.step * units // before
        self.units = units

    def restart_ids(self) -> None:
        """The exchange begins its update ids anew, with the next news.

        A snapshot in between bears the old one: the feed can know of it from their arrival on.
        """
        self.update_id = 0

    def arrived(self, said: Said, now_ns: int) -> None:
        """A statement reached the feed on a connection that it listens to."""
        if self.heard is None or said.number >= self.heard.number:
            if self.heard is not None and said.tick.update_id < self.heard.tick.update_id:
                self.reset_ns = now_ns
            if self.heard is None or said.number > self.heard.number:
                self._pause(now_ns)
                silent_ns = now_ns - min(self.heard_ns, self.news_ns)
                self.silent_ns = max(self.silent_ns, silent_ns if self.taught else 0)
                self.news_ns = now_ns
                self.taught += 1
            self.heard, self.heard_ns = said, now_ns
        newest = self.heard.number
        while self.waiting and self.waiting[0].number <= newest:
            self.waiting.popleft()
        self.since_ns = self.waiting[0].said_ns if self.waiting else 0

    def _pause(self, now_ns: int) -> None:
        """The pause before these news, as a feed may take it that was told as often."""
        if self.taught and self.came_ns and self.came_ns != now_ns:
            longest_s = max(PAUSE_S_MIN, PAUSES_MAX * self.pause_s)
            paused_s = min((now_ns - self.came_ns) / NS_PER_S, longest_s)
            self.pause_s += (paused_s - self.pause_s) / min(self.taught, RATE_OF)
        self.came_ns = now_ns

    def forget(self) -> None:
        """It is delisted, or listed anew: nothing that was said counts."""
        self.last = self.published = self.heard = None
        self.waiting.clear()
        self.since_ns = self.heard_ns = 0


def beyond(mid: float, level: float) -> bool:
    """Whether a price is of another level."""
    return mid > JUMP_RATIO * level or mid * JUMP_RATIO < level


def _sides(shape: str) -> dict[str, Any]:
    """What of the sides an empty one leaves."""
    if shape in shapes.EMPTY_BID:
        return {"bid_px": math.nan, "bid_sz": math.nan}
    if shape in shapes.EMPTY_ASK:
        return {"ask_px": math.nan, "ask_sz": math.nan}
    return {}
