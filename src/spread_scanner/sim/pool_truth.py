"""Pools as legs of the truth: what each of their sources quotes, by the chain's own fractions.

A source quotes what the reference size costs and brings in the best of its pools: in USDT what
those in USDT ask, and what those in USDC do by the rate of Binance's USDC-USDT. The truth follows
what providers told: the latest slot that anybody was told of. What each single pool asked of late,
at each rate of late, is told as well, since a reader's quote names its slot alone: whoever judges
sizes finds the one that it was. That goes for accounts of a later slot, too, which a provider tells
while its subscription to slots was lost.

Providers that are cut, silent or behind change nothing while another one tells all in time. Where
none does, and for SETTLED_NS after the chain went back or an account was another one, a reader may
be behind or have nothing to stand behind: a row says from when to when, for nobody owes a signal
then. What nobody has told for BELIEVED_NS is unknown. A book says how long ago its rate had become
another one: who was given no CPU may know of no other. Where fees fade there is one by the second
before, too: the chain tells whole seconds, once a slot.
"""

import math
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from spread_scanner import clock
from spread_scanner.clock import NS_PER_S
from spread_scanner.schema.enums import POOL_DIRECTIONS, SOURCE_BY_LABEL, Direction, Source
from spread_scanner.schema.names import FEED_SOLANA
from spread_scanner.schema.pools import PROGRAM_SOURCES
from spread_scanner.sim.chain import Chain
from spread_scanner.sim.chain_pools import SimPool
from spread_scanner.sim.pool_ladders import (
    LADDER_QUOTE,
    Asked,
    Ladder,
    asked,
    book,
    by_rate,
    variants,
)
from spread_scanner.sim.reckoning import BPS, WIDTH_TICKS
from spread_scanner.sim.rows import book_row
from spread_scanner.sim.rpc_server import SolanaSide
from spread_scanner.sim.tick import Tick
from spread_scanner.sim.truth import Truth
from spread_scanner.sim.universe import Listing, Universe

REFERENCE_QUOTE = 1_000  # as shipped, in whole coins of the quote
# Of the network, and about the floor for priority, as nothing was heard before a run; of a SOL.
FEE_LAMPORTS, LAMPORTS = 5_300, 10**9
STABLE = "binance-spot", "USDC-USDT"
RUNGS_KEPT = 1_000
KEPT = 3  # rates, and states of a pool, that a reader's quote may be of
RATES_NS = 2 * NS_PER_S  # so long a rate that was is kept for readers' books
BELIEVED_NS = 2 * NS_PER_S
SETTLED_NS = 3 * NS_PER_S  # until seeds have come again
SUBSCRIBED_NS = 2 * NS_PER_S  # a connection that stands for so long has everything
FADES = "meteora-dlmm"  # whose fees do so by the chain's clock


class _Rate(NamedTuple):
    """What a USDC brought and cost in USDT, from when on; monotonic ns."""

    bid_ask: tuple[float, float]
    since_ns: int


class PoolListing(Listing):
    """What one source quotes of one coin in USDT; nothing of it moves by itself."""

    def __init__(self, source: Source, universe: Universe, name: str, pools: list[SimPool]) -> None:
        coin = next(one for one in universe.coins if one.name == name)
        super().__init__(source, coin, name, "USDT", 1)
        self.exchange_symbol = self.symbol
        self.pools = {pool.key: pool.coins[1].name == "USDC" for pool in pools}  # by the rate
        # As `usual_of` has it, by how the chain begins.
        found = [
            one
            for one in (asked(pool, REFERENCE_QUOTE) for pool in pools)
            if not math.isnan(one.ask_px)
        ]
        bid, ask = max(one.bid_px for one in found), min(one.ask_px for one in found)
        wide_bps = max(ask / bid - 1.0, 0.0) * BPS
        self.width_least = int(wide_bps / BPS * coin.price_start * self.scale - WIDTH_TICKS)

    @property
    def moves(self) -> bool:
        return False


def network_fee_bps(sol_px: float) -> float:
    """What is paid for a swap, of the reference size."""
    return FEE_LAMPORTS / LAMPORTS * sol_px / REFERENCE_QUOTE * BPS


def listings(universe: Universe, chain: Chain) -> list[PoolListing]:
    """Of each source and coin that has pools."""
    found: dict[tuple[str, str], list[SimPool]] = {}
    for pool in chain.pools.values():
        key = PROGRAM_SOURCES[pool.kind].label, pool.coins[0].name
        found.setdefault(key, []).append(pool)
    return [
        PoolListing(SOURCE_BY_LABEL[label], universe, name, pools)
        for (label, name), pools in sorted(found.items())
    ]


def pairs(
    universe: Universe, pools: Iterable[PoolListing]
) -> Iterator[tuple[Direction, Listing, Listing]]:
    """Each with the perpetuals of its coin."""
    perpetuals = {
        (listing.label, listing.symbol): listing
        for listing in universe.listings
        if listing.trading and listing.kind == "perpetual"
    }
    for listing in pools:
        for way in POOL_DIRECTIONS:
            futures = perpetuals.get((way.futures.label, listing.symbol))
            if way.spot == listing.source and futures is not None:
                yield way, listing, futures


class PoolTruth:
    """Tells the truth what pools quote, whenever a provider has told something."""

    def __init__(self, side: SolanaSide, truth: Truth, pools: Sequence[PoolListing]) -> None:
        self._side, self._truth, self._pools = side, truth, pools
        self._stable = next(
            leg for leg in truth.legs.values() if (leg.listing.label, leg.listing.symbol) == STABLE
        )
        self._rates: deque[_Rate] = deque()  # the newest last
        self._known: dict[str, tuple[tuple[int, int], Asked]] = {}  # by pool: of what state
        self._of_late: dict[str, deque[Asked]] = {}  # by pool
        self._rungs: dict[tuple[str, int, int], Ladder] = {}  # by pool, state and second
        self._best_slot = 0  # that was told: on a fork, too, a reader's quotes have its number
        self._heard_ns, self._shaken_ns = 0, -SETTLED_NS
        self._shaken_since: tuple[int, int] | None = None  # wall and monotonic
        side.told, side.acted, side.shaken = self.look, self.acted, self.shake

    def rate(self) -> None:
        """Whatever a USDC is now; while it is another one, what pools ask in USDT is, too."""
        now = self._stable.bid, self._stable.ask
        if self._stable.heard and (not self._rates or self._rates[-1].bid_ask != now):
            self._rates.append(_Rate(now, clock.mono_ns()))
            while len(self._rates) > KEPT and self._rates[1].since_ns < clock.mono_ns() - RATES_NS:
                self._rates.popleft()
            self._tell_single()

    def _ages_ns(self, at_ns: int) -> dict[tuple[float, float], int]:
        """Of each rate of late, the newest first, how long it had been another one then."""
        ages: dict[tuple[float, float], int] = {}
        until_ns = at_ns
        for rate in reversed(self._rates):
            ages.setdefault(rate.bid_ask, max(0, at_ns - until_ns))
            until_ns = rate.since_ns
        return ages

    def acted(self, said: dict[str, Any]) -> None:
        """A fault, or an order."""
        times = {"start_ns": clock.wall_ns(), "start_mono_ns": clock.mono_ns()}
        self._truth.write({"fault": said["do"], "process": FEED_SOLANA, **times, "said": said})

    def shake(self) -> None:
        """What was told is not what is."""
        self._shaken_ns = clock.mono_ns()
        self._note(clock.mono_ns())

    def look(self) -> None:
        """A slot was told, or none was where one is due: at the time it is now, as it takes long to
        work out what all pools ask, on a busy machine seconds."""
        now_ns, wall_ns = clock.mono_ns(), clock.wall_ns()
        hearing = [one for one in self._side.providers.values() if one.hears is not None]
        self._note(now_ns)
        self._truth.advance(now_ns)
        if hearing:
            self._heard_ns = now_ns
            telling = [one.slot for one in self._side.providers.values() if one.tells]
            self._quote(max(provider.slot for provider in hearing), max(telling))
        elif now_ns - self._heard_ns > BELIEVED_NS:
            for listing in self._pools:
                if self._truth.legs[listing].heard:
                    self._truth.unheard(self._truth.legs[listing])
        if self._truth.waiting:
            self._truth.stamp(wall_ns, now_ns)

    def close(self) -> None:
        """What is shaken is so to the end."""
        if self._shaken_since is not None:
            self._write(None)

    # --- quotes

    def _quote(self, slot: int, told_slot: int) -> None:
        """As of a slot that somebody was told of; of `told_slot` there may be accounts alone."""
        self.rate()
        for key in self._side.chain.pools:
            self._known[key] = known = self._asked(key, slot)
            of_late = self._of_late.setdefault(key, deque(maxlen=KEPT))
            for _, found in (known, self._asked(key, max(slot, told_slot))):
                if found not in of_late:
                    of_late.append(found)
        self._best_slot = max(self._best_slot, slot)
        self._tell_single()
        for listing in self._pools:
            self._say(listing, self._best_slot)
            self._show(listing, slot)

    def _asked(self, key: str, slot: int) -> tuple[tuple[int, int], Asked]:
        """As of a slot; some fees fade with time."""
        since, pool = self._side.chain.stood(key, slot)
        state = since, self._side.chain.unix_s(slot)
        known = self._known.get(key)
        if known is not None and known[0] == state:
            return known
        pool.unix_s = state[1]
        return state, asked(pool, REFERENCE_QUOTE)

    def _say(self, listing: PoolListing, slot: int) -> None:
        """The best of its pools. Two that are further apart than their fees: the bid is shown at
        the ask."""
        leg = self._truth.legs[listing]
        rate = self._rates[-1].bid_ask if self._rates and self._stable.heard else None
        asks = [
            by_rate(self._known[key][1], rate) if through and rate else self._known[key][1]
            for key, through in listing.pools.items()
            if rate or not through
        ]
        bids = [(one.bid_px, one.bid_sz) for one in asks if one.bid_px > 0]
        offers = [(one.ask_px, one.ask_sz) for one in asks if one.ask_px > 0]
        if not bids or not offers:
            if leg.heard:
                self._truth.unheard(leg)
            return
        (bid, bid_sz), (ask, ask_sz) = max(bids), min(offers)
        bid = min(bid, ask)
        tick = Tick(slot, repr(bid), repr(bid_sz), repr(ask), repr(ask_sz), 0, slot)
        self._truth.sent(leg, tick, bid, ask)

    def _show(self, listing: PoolListing, slot: int) -> None:
        """Ladders are made once a slot, where somebody wants them. While all is shaken nobody knows
        which pools one is of."""
        if self._shaken_since is None:
            number, told_ns = self._best_slot, clock.mono_ns()
            ages_ns = self._ages_ns(told_ns)
            self._truth.may_have_shown(
                listing, lambda: self._books(listing, slot, number, ages_ns, told_ns)
            )

    def _books(
        self,
        listing: PoolListing,
        slot: int,
        number: int,
        ages_ns: Mapping[tuple[float, float], int],
        told_ns: int,
    ) -> list[dict[str, Any]]:
        """Every book that a reader may have made of the pools as they stood in a slot, by any rate
        of then and since."""
        if self._shaken_ns > told_ns or self._shaken_since is not None:
            return []
        since = {one.bid_ask: 0 for one in self._rates if one.since_ns >= told_ns}
        rates = sorted({**ages_ns, **since}.items(), key=lambda one: one[1])
        by: list[tuple[tuple[float, float] | None, int]] = [*rates] or [(None, 0)]
        states = (slot, 0), (slot - 1, 0), (slot, 1)
        told = [self._ladders(listing, at, late_s) for at, late_s in states]
        rows: dict[str, dict[str, Any]] = {}
        for rate, age_ns in by:
            for ladders in variants([_in_usdt(of_one, rate) for of_one in told]):
                bids, asks = book(ladders)
                row = {**book_row(listing, number, bids, asks), "rate_age_ns": age_ns}
                rows.setdefault(repr((bids, asks)), row)
        return [*rows.values()]

    def _ladders(self, listing: PoolListing, slot: int, late_s: int) -> list[tuple[Ladder, bool]]:
        """Of each of its pools as it stood, by a clock that is so late, and whether that is in
        USDC."""
        found = []
        for key, through in listing.pools.items():
            since, pool = self._side.chain.stood(key, slot)
            unix_s = self._side.chain.unix_s(slot) - (late_s if pool.kind == FADES else 0)
            state = key, since, unix_s
            if state not in self._rungs:
                if len(self._rungs) >= RUNGS_KEPT:
                    self._rungs.clear()
                pool.unix_s = state[2]
                self._rungs[state] = [asked(pool, size) for size in LADDER_QUOTE]
            found.append((self._rungs[state], through))
        return found

    def _tell_single(self) -> None:
        """What each pool asks, and asked of late."""
        at, rates = self._best_slot, [*self._ages_ns(clock.mono_ns())][:KEPT]
        for listing in self._pools:
            ticks = {
                (one.ask_px, one.ask_sz)
                for key, through in listing.pools.items()
                for now in self._of_late.get(key, ())
                if now.ask_px > 0
                for one in ([by_rate(now, rate) for rate in rates] if through else [now])
            }
            told = [Tick(at, repr(px), "", repr(px), repr(sz), 0, at) for px, sz in sorted(ticks)]
            self._truth.may_have_asked(self._truth.legs[listing], told)

    # --- when nobody can be held to a moment

    def _note(self, now_ns: int) -> None:
        shaken = bool(self._side.chain.bent) or now_ns - self._shaken_ns < SETTLED_NS
        shaken = shaken or not any(self._in_time(now_ns))
        if shaken and self._shaken_since is None:
            self._shaken_since = clock.wall_ns(), now_ns
        elif not shaken and self._shaken_since is not None:
            self._write(now_ns)

    def _in_time(self, now_ns: int) -> Iterator[bool]:
        """Of each provider, whether somebody hears everything of it, as soon as it is there."""
        for provider in self._side.providers.values():
            since_ns = provider.hears
            stands = since_ns is not None and now_ns - since_ns >= SUBSCRIBED_NS
            yield stands and provider.slot == self._side.chain.slot

    def _write(self, end_mono_ns: int | None) -> None:
        if self._shaken_since is None:
            return
        wall_ns, mono_ns = self._shaken_since
        self._shaken_since = None
        end_ns = None if end_mono_ns is None else clock.wall_ns()
        self._truth.write(
            {
                "fault": "shaken",
                "process": FEED_SOLANA,
                **{"start_ns": wall_ns, "end_ns": end_ns},
                **{"start_mono_ns": mono_ns, "end_mono_ns": end_mono_ns},
            }
        )


def _in_usdt(
    ladders: Sequence[tuple[Ladder, bool]], rate: tuple[float, float] | None
) -> list[Ladder]:
    """Those in USDC by the rate; without one, none of them."""
    found: list[Ladder] = []
    for ladder, through in ladders:
        if not through:
            found.append(ladder)
        elif rate is not None:
            found.append([by_rate(one, rate) for one in ladder])
    return found
