"""Exchanges, markets, sources, directions: what there is, by number.

A source is one (exchange, market). Those with order books of their own come first, both markets of
each: 0 to 7; then, spot alone, those whose market is pools of Solana: 8 to 11. A direction is "buy
spot there, sell the perpetual here" on two different exchanges: 0 to 11, and 12 to 27 from pools.
The numbers are stored in shared memory and in files: append, never renumber. A price store with
fewer rows than there are sources has no place for the last ones, nor for their directions.
"""

from enum import IntEnum, IntFlag
from typing import NamedTuple


class Exchange(IntEnum):
    BINANCE = 0
    BYBIT = 1
    OKX = 2
    MEXC = 3
    RAYDIUM = 4  # from here on by pools of Solana
    ORCA = 5
    METEORA = 6
    PHOENIX = 7

    @property
    def label(self) -> str:
        return self._name_.lower()  # `name` is a descriptor, and slow

    @property
    def by_pools(self) -> bool:
        return self >= Exchange.RAYDIUM


class Market(IntEnum):
    SPOT = 0
    FUTURES = 1  # linear perpetual

    @property
    def label(self) -> str:
        return self._name_.lower()  # `name` is a descriptor, and slow


class Source(NamedTuple):
    """One market of one exchange. `source_id` is its row in the price store."""

    source_id: int
    exchange: Exchange
    market: Market

    @property
    def label(self) -> str:
        """For example "binance-spot"; of pools, which have no other market, "raydium"."""
        if self.exchange.by_pools:
            return self.exchange.label
        return f"{self.exchange.label}-{self.market.label}"

    @property
    def process(self) -> str:
        """Who writes it: a feed of its own, or the one that hears all pools."""
        return "feed-solana" if self.exchange.by_pools else f"feed-{self.label}"


class Direction(NamedTuple):
    """Buy on `spot`, sell on `futures`, of two different exchanges."""

    direction_id: int
    spot: Source
    futures: Source

    @property
    def label(self) -> str:
        """Spot exchange, then futures exchange: "binance-bybit"."""
        return f"{self.spot.exchange.label}-{self.futures.exchange.label}"


_MARKETS = [
    *((one, market) for one in Exchange if not one.by_pools for market in Market),
    *((one, Market.SPOT) for one in Exchange if one.by_pools),
]
SOURCES: tuple[Source, ...] = tuple(
    Source(number, *exchange_market) for number, exchange_market in enumerate(_MARKETS)
)
EXCHANGE_SOURCES = tuple(source for source in SOURCES if not source.exchange.by_pools)
POOL_SOURCES = tuple(source for source in SOURCES if source.exchange.by_pools)
SOURCE_BY_LABEL = {source.label: source for source in SOURCES}

_LEGS = [
    (spot, futures)
    for spots in (EXCHANGE_SOURCES, POOL_SOURCES)
    for spot in spots
    for futures in EXCHANGE_SOURCES
    if (spot.market, futures.market) == (Market.SPOT, Market.FUTURES)
    if spot.exchange != futures.exchange
]
DIRECTIONS: tuple[Direction, ...] = tuple(
    Direction(number, *legs) for number, legs in enumerate(_LEGS)
)
EXCHANGE_DIRECTIONS = tuple(way for way in DIRECTIONS if not way.spot.exchange.by_pools)
POOL_DIRECTIONS = tuple(way for way in DIRECTIONS if way.spot.exchange.by_pools)
DIRECTION_BY_LABEL = {direction.label: direction for direction in DIRECTIONS}


def directions_within(num_sources: int) -> tuple[Direction, ...]:
    """Those whose both sources are among the first so many: the first of all, by number."""
    return tuple(
        way
        for way in DIRECTIONS
        if max(way.spot.source_id, way.futures.source_id) < max(num_sources, len(EXCHANGE_SOURCES))
    )


DIRTY_READERS: tuple[str, ...] = ("engine", "gateway")


class QuoteFlag(IntFlag):
    """Why a quote cannot be stood behind, or what is unusual about it."""

    NONE = 0
    STALE = 1  # its connection is down or was replaced; set by the feed
    SILENT = 2  # its silence is out of line with its own rate and its siblings'; set by the feed
    LAGGING = 4  # the exchange's clock lags by more than the limit; set by the feed
    CROSSED = 8  # bid above ask: kept as it came, used by nobody
    NO_TS_EVENT = 16  # the exchange gave no time: ts_event is TS_ABSENT
    BID_EMPTY = 32  # no bid on the book: bid_px is NaN
    ASK_EMPTY = 64  # no ask on the book: ask_px is NaN
    JUMPED = 128  # its mid left its predecessor's by more than five times; set by the feed
    OVERDUE = (
        256  # without news for more than 50 of its own mean intervals: usable, but its skew counts
    )
    CONTENDED = 1 << 31  # set by a reader that gave up: this is its last good copy


UNUSABLE = (
    QuoteFlag.STALE
    | QuoteFlag.SILENT
    | QuoteFlag.LAGGING
    | QuoteFlag.CROSSED
    | QuoteFlag.BID_EMPTY
    | QuoteFlag.ASK_EMPTY
    | QuoteFlag.JUMPED
)


class SignalKind(IntEnum):
    ENTER = 1  # net spread rose to the enter threshold
    RESIGNAL = 2  # still over, and higher by the re-signal step
    EXIT = 3  # net spread fell below the exit threshold, or could no longer be stood behind
    BOOK = 4  # what both order books carry, after an enter or a re-signal: FOLLOW_UP_DTYPE


class Verdict(IntEnum):
    """What the engine decided about one evaluation that was at or over the enter threshold."""

    SIGNAL = 0
    STALE_LEG = 1
    SKEW = 2
    SIZE = 3
    COOLDOWN = 4
    PAUSED = 5
    QUARANTINED = 6
    FEE = 7  # gross stood over the threshold, net did not
    KILLED = 8
    RING_FULL = 9
    HELD = 10  # already signalled and not yet higher by the re-signal step
    IMPLAUSIBLE = 11  # so far apart, a leg so far from all others or JUMPED: not one coin at once
    NO_BASIS = 12  # what leaving usually earns is not known yet, or not any more
    BLOCKED = (
        13  # it was implausible for so long that the engine blocked it until it is judged anew
    )
    NO_Z = 14  # gross is not enter_z_min deviations above its mean, or that is not known


class ProcessState(IntEnum):
    ABSENT = 0
    STARTING = 1
    RUNNING = 2
    PAUSED = 3
    DEGRADED = 4  # runs, but part of its work fails (disk full, exchange away); see its counters
    STOPPING = 5
    STOPPED = 6
    FAILED = 7


class ReloadOutcome(IntEnum):
    """What a process says of the settings and tables that it has."""

    STARTED = 0  # it has them since its start
    APPLIED = 1  # since the last reload
    REFUSED = 2  # the last reload was refused: it goes on with what it had before


class Carries(IntEnum):
    """What a connection is kept for."""

    QUOTES = 0
    NOTICES = 1  # what the exchange announces: halts, delistings, maintenance
    BOOKS = 2
    ACCOUNTS = 3  # of pools, from a provider


class SwitchKind(IntEnum):
    """What a person can switch so that less is signalled."""

    HALT = 1  # no signal at all
    PROCESS = 2
    SOURCE = 3
    DIRECTION = 4
    SYMBOL = 5


class ConnectionState(IntEnum):
    FREE = 0  # a row that stands for nothing
    DIALLING = 1
    OPEN = 2
