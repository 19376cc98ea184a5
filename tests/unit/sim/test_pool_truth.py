"""Pools as legs of the truth: what their sources quote, as the product says of the same accounts;
who is heard, and when nobody can be held to a moment.
"""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from assembled_pools import assembled

from spread_scanner import clock
from spread_scanner.clock import VirtualClock
from spread_scanner.config.pools import MintSettings, PoolSettings
from spread_scanner.pools.effective import PoolSide, StableQuote, as_traded
from spread_scanner.pools.markets import ChainTime, PoolMarkets, levels
from spread_scanner.schema.enums import POOL_DIRECTIONS
from spread_scanner.sim import pool_truth
from spread_scanner.sim.chain import ChainMarket
from spread_scanner.sim.chain_pools import SimPool
from spread_scanner.sim.legs import Leg
from spread_scanner.sim.pool_ladders import LADDER_QUOTE, Asked, _levels, _Rung, asked
from spread_scanner.sim.pool_truth import (
    BELIEVED_NS,
    SETTLED_NS,
    SUBSCRIBED_NS,
    PoolListing,
    PoolTruth,
)
from spread_scanner.sim.rpc_provider import Listening
from spread_scanner.sim.rpc_server import SolanaSide
from spread_scanner.sim.truth import Truth
from spread_scanner.sim.universe import Universe

RATE = 0.9995, 1.0005
COUNT, MS = 15, 1_000_000
FADES_AFTER_S = 5  # of the simulated pools of Meteora


class Told:
    """A chain, its truth in a file, and one who hears provider a."""

    def __init__(self, path: Path, moved: VirtualClock) -> None:
        universe = Universe(1, 100, stable=True)
        worths = {coin.name: coin.price for coin in reversed(universe.coins)}
        self.unix_s = 1_795_000_000
        market = ChainMarket(lambda: worths, lambda: self.unix_s)
        self.side = SolanaSide(1, COUNT, providers=2, market=market)
        self.pools = pool_truth.listings(universe, self.side.chain)
        self.pairs = [*pool_truth.pairs(universe, self.pools)]
        thresholds = dict.fromkeys((way.label for way in POOL_DIRECTIONS), 40.0)
        listings = (*universe.listings, *self.pools)
        self.truth = Truth(listings, self.pairs, thresholds, path)
        self.kept = PoolTruth(self.side, self.truth, self.pools)
        stable = next(leg for leg in self.truth.legs.values() if leg.listing.symbol == "USDC-USDT")
        stable.heard, stable.bid, stable.ask = True, *RATE
        self._path, self._clock = path, moved
        self.hears()

    def hears(self) -> None:
        one = Listening(lambda _: None, lambda: None)
        one.slots.add(1)
        one.since_ns = self._clock.mono_ns()
        self.side.providers["a"].listeners.add(one)

    def loses_slots(self) -> None:
        """Of provider a only accounts are told, and b, which is a slot behind, tells slots."""
        (one,) = self.side.providers["a"].listeners
        behind = Listening(lambda _: None, lambda: None)
        behind.slots, one.slots = one.slots, set()
        one.accounts[1] = next(iter(self.side.chain.pools))
        self.side.providers["b"].listeners.add(behind)

    def swap(self, key: str, up: float) -> None:
        """The next slot begins with one that moves the price of a pool by so much."""
        pool = self.side.chain.pools[key]
        self.side.chain.ordered.append((key, *pool.towards(float(pool.price()) * up)))

    def slot(self) -> None:
        self._clock.advance_ms(400)
        self.side.chain.step()
        for provider in self.side.providers.values():
            provider.advance()
        self.side.told()

    def moved(self, ms: int) -> None:
        self._clock.advance_ms(ms)

    def leg(self, source: str, symbol: str) -> Leg:
        names = (source, symbol)
        return next(
            leg
            for leg in self.truth.legs.values()
            if (leg.listing.label, leg.listing.symbol) == names
        )

    def shaken(self) -> list[Any]:
        self.truth.flush()
        rows = map(orjson.loads, self._path.read_bytes().splitlines())
        return [row for row in rows if row.get("fault") == "shaken"]


@pytest.fixture
def told(tmp_path: Path, virtual_clock: VirtualClock) -> Iterator[Told]:
    made = Told(tmp_path / "truth.jsonl", virtual_clock)
    yield made
    made.truth.close()


def of_product(told: Told, listing: PoolListing) -> tuple[PoolMarkets, ChainTime]:
    """What the product makes of a listing's pools as they stand."""
    chain = told.side.chain
    mints = {
        coin.mint: MintSettings(coin.name) for pool in chain.pools.values() for coin in pool.coins
    }
    markets = PoolMarkets(1_000.0)
    for key in listing.pools:
        one = as_traded(key, chain.slot, assembled(chain, chain.pools[key]), mints)
        assert one is not None
        markets.put(one)
    return markets, ChainTime(chain.unix_s(chain.slot), chain.slot)


def test_what_is_told_has_the_time_at_which_it_was_and_not_when_it_was_worked_out(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    stamped: list[int] = []

    def slowly(pool: SimPool, size_quote: int) -> Asked:
        told.moved(100)
        return asked(pool, size_quote)

    monkeypatch.setattr(pool_truth, "asked", slowly)
    monkeypatch.setattr(Truth, "waiting", True)
    monkeypatch.setattr(told.truth, "stamp", lambda wall_ns, mono_ns: stamped.append(mono_ns))
    due_ns = clock.mono_ns() + 400 * MS
    told.slot()
    assert stamped == [due_ns]
    assert clock.mono_ns() > due_ns


def test_each_source_quotes_what_the_product_says_of_its_pools(told: Told) -> None:
    for _ in range(5):
        told.slot()
        for listing in told.pools:
            markets, now = of_product(told, listing)
            sides = markets.best(listing.symbol, StableQuote(*RATE, fresh=True), now)
            leg = told.leg(listing.label, listing.symbol)
            assert sides.bid is not None
            assert sides.ask is not None
            assert leg.ask == pytest.approx(sides.ask.px, rel=1e-12)
            assert leg.bid == pytest.approx(min(sides.bid.px, sides.ask.px), rel=1e-12)
            assert leg.top(buys=True) == pytest.approx(sides.ask.size, rel=1e-12)


def test_each_source_shows_the_book_that_the_product_makes_of_its_pools(told: Told) -> None:
    """Among those of a slot ago, and without one of them."""
    for _ in range(SUBSCRIBED_NS // (400 * MS) + 3):
        told.slot()
    assert len(told.pools) > 5
    for listing in told.pools:
        markets, now = of_product(told, listing)
        rate, sizes = StableQuote(*RATE, fresh=True), PoolSettings().ladder_quote
        rungs = [markets.best(listing.symbol, rate, now, size) for size in sizes]
        rows = [*told.leg(listing.label, listing.symbol).books[-1]()]
        assert {row["book"] for row in rows} == {told.side.chain.slot}
        bids = levels([rung.bid for rung in rungs], bids=True)
        asks = levels([rung.ask for rung in rungs], bids=False)
        assert bids
        assert asks
        assert any(alike(row["bids"], bids) and alike(row["asks"], asks) for row in rows)


def test_accounts_that_are_told_without_their_slot_are_asked_as_well(told: Told) -> None:
    told.slot()
    told.loses_slots()
    told.swap(next(iter(told.pools[0].pools)), 1.001)
    told.slot()
    for listing in told.pools:
        markets, now = of_product(told, listing)
        ask = markets.best(listing.symbol, StableQuote(*RATE, fresh=True), now).ask
        assert ask is not None
        past = {float(tick.ask_px) for tick in told.leg(listing.label, listing.symbol).past}
        assert any(px == pytest.approx(ask.px, rel=1e-12) for px in past)


def test_a_book_of_who_takes_the_second_for_the_one_before_is_told(told: Told) -> None:
    """Where fees fade with it, and a rate that is new."""
    for _ in range(SUBSCRIBED_NS // (400 * MS) + 3):
        told.slot()
    listing = next(one for one in told.pools if one.label == "meteora" and all(one.pools.values()))
    told.side.chain.swaps_per_slot = 0
    for key in listing.pools:
        told.swap(key, 1.02)
    told.slot()
    told.unix_s += FADES_AFTER_S
    told.slot()
    stable = told.leg("binance-spot", "USDC-USDT")
    stable.bid, stable.ask = RATE[0] + 1e-4, RATE[1] + 1e-4
    told.slot()
    rate, sizes = StableQuote(stable.bid, stable.ask, fresh=True), PoolSettings().ladder_quote
    made = []
    for late_s in (0, 1):
        markets, now = of_product(told, listing)
        now = now._replace(unix_ts=now.unix_ts - late_s)
        rungs = [markets.best(listing.symbol, rate, now, size) for size in sizes]
        made.append(levels([rung.ask for rung in rungs], bids=False))
    assert not alike(*made), "the fee fades in this second"
    rows = [*told.leg(listing.label, listing.symbol).books[-1]()]
    assert [any(alike(row["asks"], asks) for row in rows) for asks in made] == [True, True]


def test_a_book_by_a_rate_of_before_says_how_long_that_was_another(told: Told) -> None:
    """However often it has changed meanwhile: who was given no CPU knows of none since."""
    for _ in range(SUBSCRIBED_NS // (400 * MS) + 3):
        told.slot()
    stable = told.leg("binance-spot", "USDC-USDT")
    listing = next(one for one in told.pools if any(one.pools.values()))
    for more in range(1, 11):
        stable.bid, stable.ask = RATE[0] + more * 1e-4, RATE[1] + more * 1e-4
        told.kept.rate()
        told.moved(100)
    told.slot()
    markets, now = of_product(told, listing)
    rows = [*told.leg(listing.label, listing.symbol).books[-1]()]
    for more, age_ms in ((10, 0), (9, 500), (7, 700), (0, 1_400)):
        rate = StableQuote(RATE[0] + more * 1e-4, RATE[1] + more * 1e-4, fresh=True)
        rungs = [
            markets.best(listing.symbol, rate, now, size) for size in PoolSettings().ladder_quote
        ]
        asks = levels([rung.ask for rung in rungs], bids=False)
        ages_ms = {row["rate_age_ns"] // MS for row in rows if alike(row["asks"], asks)}
        assert ages_ms == {age_ms}, more


def alike(told: list[tuple[float, float]], made: list[tuple[float, float]]) -> bool:
    return len(told) == len(made) and bool(np.allclose(told, made, rtol=1e-9, atol=0.0))


def test_while_all_is_shaken_no_book_is_told(told: Told) -> None:
    for _ in range(SUBSCRIBED_NS // (400 * MS) + 3):
        told.slot()
    leg = told.leg("orca", "SOL-USDT")
    made, count = leg.books[-1], len(leg.books)
    assert [*made()]
    told.side.act({"do": "fork", "slots": 2})
    assert [*made()] == [], "what was told before may never have been"
    told.slot()
    assert len(leg.books) == count


@pytest.mark.parametrize("bids", [True, False])
def test_levels_are_drawn_as_the_product_makes_them(bids: bool) -> None:
    rng = random.Random(7)
    for _ in range(200):
        rungs = []
        for size_quote in LADDER_QUOTE:
            worse = 1 + rng.uniform(-0.02, 0.05) * size_quote / 1_000
            px = 100 / worse if bids else 100 * worse
            rungs.append(PoolSide(px, size_quote / px, "", 0) if rng.random() < 0.97 else None)
        own = _levels(
            [None if rung is None else _Rung(rung.px, rung.size) for rung in rungs], bids=bids
        )
        assert alike([(float(px), float(sz)) for px, sz in own], levels(rungs, bids=bids))


def test_every_source_has_a_coin_with_all_four_perpetuals(told: Told) -> None:
    found = {way.label for way, _, futures in told.pairs if futures.symbol == "SOL-USDT"}
    assert found == {
        way.label for way in POOL_DIRECTIONS if way.spot.label in ("raydium", "orca", "meteora")
    }


def test_what_nobody_tells_is_believed_for_a_while_and_then_unknown(told: Told) -> None:
    told.slot()
    leg = told.leg("orca", "SOL-USDT")
    assert leg.heard
    told.side.providers["a"].silent = True
    for _ in range(BELIEVED_NS // (400 * MS)):
        told.slot()
        assert leg.heard
    told.slot()
    assert not leg.heard
    told.side.providers["a"].silent = False
    told.slot()
    assert leg.heard


def test_it_is_said_when_providers_are_not_to_be_relied_on(told: Told) -> None:
    for _ in range(SUBSCRIBED_NS // (400 * MS) + 1):
        told.slot()
    [begun] = told.shaken()
    assert begun["process"] == "feed-solana"
    told.side.act({"do": "fork", "slots": 2})
    for _ in range(SETTLED_NS // (400 * MS) + 1):
        assert len(told.shaken()) == 1, "it goes on"
        told.slot()
    assert len(told.shaken()) == 2
    told.side.providers["a"].listeners.clear()
    told.slot()
    told.kept.close()
    assert [row["end_mono_ns"] is None for row in told.shaken()] == [False, False, True]
