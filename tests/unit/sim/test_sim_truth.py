"""The truth follows the market: a dead source is believed for a while and unknown after it."""

import asyncio
import itertools
from pathlib import Path
from typing import cast

import orjson
import pytest
from test_sim_market import Listener, listened

from spread_scanner import clock
from spread_scanner.clock import NS_PER_S, VirtualClock
from spread_scanner.sim.belief import RULES, WRITES_MIN, Rhythm
from spread_scanner.sim.dialects import Subscription
from spread_scanner.sim.exchange import Exchange8
from spread_scanner.sim.legs import Pair
from spread_scanner.sim.options import Options
from spread_scanner.sim.server import Connection
from spread_scanner.sim.wire import forms

BELIEVE_S = RULES.unanswered_ns / NS_PER_S
NEVER_S = 1_000.0


class World:
    """Two quoted legs that stand far over the threshold, and a clock that moves when told to."""

    def __init__(self, moved: VirtualClock, truth_path: Path | None = None) -> None:
        self.clock = moved
        options = Options(seed=2, symbols=10, rate=0, threshold_bps=-1_000, truth_path=truth_path)
        self.exchange = Exchange8(options)
        self.listeners = listened(self.exchange)
        self.exchange.connections = cast(set[Connection], set(self.listeners.values()))
        self.exchange.refresh()
        self.exchange.tick()
        self.pair = next(p for p in self.exchange.truth.pairs if p.symbol == "BTC-USDT")
        self.says(0.03)

    def says(self, every_s: float, quotes: int = 1) -> None:
        """How often the source whose leg dies has brought quotes until now, and how many."""
        rhythm = self.listener().rhythm = Rhythm()
        now_s = self.exchange.mono_s()
        rhythm.opened(now_s - WRITES_MIN * every_s)
        for write in range(WRITES_MIN):
            rhythm.wrote(quotes, now_s - (WRITES_MIN - 1 - write) * every_s)

    @property
    def label(self) -> str:
        return self.pair.spot.listing.label

    def listener(self) -> Listener:
        return self.listeners[self.label]

    def wait(self, seconds: float) -> None:
        self.clock.advance_ms(seconds * 1_000)
        self.exchange.tick()

    def do(self, **action: object) -> None:
        self.exchange.faults.do({"source": self.label, **action})


def stands(pair: Pair) -> bool:
    return pair.row is not None


@pytest.mark.parametrize(
    ("fault", "every_s", "quotes", "bound_s"),
    [
        ("freeze", 0.01, 1, 1.0),
        ("freeze", 0.09, 6, 1.0),
        ("freeze", 0.09, 4, 4.5),
        ("freeze", 0.03, 1, BELIEVE_S),
        ("freeze", 0.13, 1, 6.5),
        ("half-open", 0.01, 1, 1.0),
        ("half-open", 0.03, 1, BELIEVE_S),
        ("half-open", 0.13, 1, BELIEVE_S),
    ],
)
def test_the_leg_of_a_dead_source_is_unknown_once_no_feed_believes_it(
    virtual_clock: VirtualClock, fault: str, every_s: float, quotes: int, bound_s: float
) -> None:
    world = World(virtual_clock)
    world.says(every_s, quotes)
    assert stands(world.pair)
    world.do(do=fault)
    world.wait(bound_s - 0.05)
    assert stands(world.pair)
    world.wait(0.06)
    assert not stands(world.pair)
    world.exchange.refresh()  # the market moves on, and the living leg is quoted
    world.wait(0.1)
    assert not stands(world.pair)


def test_whose_pace_nobody_knows_is_dead_only_once_it_answers_no_ping(
    virtual_clock: VirtualClock,
) -> None:
    world = World(virtual_clock)
    world.listener().rhythm = Rhythm()
    world.do(do="freeze")
    world.wait(NEVER_S)
    assert stands(world.pair)
    world.do(do="half-open")
    world.wait(BELIEVE_S - 0.05)
    assert stands(world.pair)
    world.wait(0.06)
    assert not stands(world.pair)


def test_who_was_frozen_is_believed_no_longer_for_being_frozen_again(
    virtual_clock: VirtualClock,
) -> None:
    world = World(virtual_clock)
    for _ in range(2):
        world.do(do="freeze")
        world.wait(BELIEVE_S / 2)
    assert not stands(world.pair)


def test_what_begins_on_a_dead_leg_is_owed_by_nobody(
    virtual_clock: VirtualClock, tmp_path: Path
) -> None:
    path = tmp_path / "truth.jsonl"
    world = World(virtual_clock, path)
    world.do(do="freeze")
    pair = world.pair
    listing = pair.futures.listing
    ask_px = str(listing.px(listing.ask_ticks))
    sides = {"bid_sz": "1", "ask_px": ask_px, "ask_sz": "1", "symbol": listing.symbol}
    for bid_px in ("1", str(listing.px(listing.bid_ticks))):  # away from the threshold and back
        world.exchange.quote({"source": listing.label, "bid_px": bid_px, **sides})
    world.wait(0.1)
    assert stands(pair)
    world.wait(BELIEVE_S)
    world.exchange.truth.close()
    rows = [orjson.loads(line) for line in path.read_bytes().splitlines()]
    mine = [
        (row["sure"], row["end_mono_ns"])
        for row in rows
        if row.get("direction") == pair.direction.label and row["symbol"] == pair.symbol
        if row.get("band") == "owed"
    ]
    end_ns = int((0.1 + BELIEVE_S) * NS_PER_S)
    assert mine == [(True, NS_PER_S // 10), (False, pytest.approx(end_ns, abs=1_000_000))]


def test_what_stands_on_another_level_is_an_interval_of_its_own(
    virtual_clock: VirtualClock, tmp_path: Path
) -> None:
    path = tmp_path / "truth.jsonl"
    world = World(virtual_clock, path)
    pair = world.pair
    listing = pair.futures.listing
    bid, ask = (listing.px(ticks) for ticks in (listing.bid_ticks, listing.ask_ticks))
    sides = {"bid_sz": "1", "ask_sz": "1", "symbol": listing.symbol, "source": listing.label}
    for times in (1.0, 4.9, 24.0, 23.0, 120.0, 4.8):  # of the first price; by its predecessor
        prices = {"bid_px": str(float(bid) * times), "ask_px": str(float(ask) * times)}
        world.exchange.quote({**sides, **prices})
        world.wait(0.1)
        if times == 120.0:  # what is not there is of no level
            world.exchange.quote({**sides, **prices, "bid_px": "", "bid_sz": ""})
            world.wait(0.1)
    world.exchange.truth.close()
    rows = [orjson.loads(line) for line in path.read_bytes().splitlines()]
    mine = [
        row["jumped"]
        for row in rows
        if row.get("direction") == pair.direction.label and row["symbol"] == pair.symbol
        if row.get("band") == "owed"
    ]
    assert mine == [False, True, False]
    assert not pair.futures.jumped


def test_when_a_pair_has_left_the_exit_threshold_for_good_is_written_once(
    virtual_clock: VirtualClock, tmp_path: Path
) -> None:
    path = tmp_path / "truth.jsonl"
    world = World(virtual_clock, path)
    pair = world.pair
    listing = pair.futures.listing
    sides = {"bid_sz": "1", "ask_sz": "1", "symbol": listing.symbol, "source": listing.label}

    def stand(beyond_bps: float) -> None:
        """The pair's gross, from its enter threshold, told anew."""
        bid = pair.spot.ask * (1 + (pair.threshold + beyond_bps) / 1e4) / listing.px_mul
        world.exchange.quote({"bid_px": f"{bid:.9f}", "ask_px": f"{2 * bid:.9f}", **sides})
        world.wait(0.1)

    def fell() -> list[int]:
        world.exchange.truth.flush()
        rows = [orjson.loads(line) for line in path.read_bytes().splitlines()]
        return [
            row["fell_mono_ns"]
            for row in rows
            if row.get("direction") == pair.direction.label and row["symbol"] == pair.symbol
            if "fell_mono_ns" in row
        ]

    stand(-4.0)  # no interval any more, and the engine need not say so
    for _ in range(11):
        stand(-7.0)  # now it must
        stand(-4.0)  # but not where it comes back before anybody has to have read it
    assert fell() == []
    begun_ns = clock.mono_ns()
    for _ in range(15):
        stand(-7.0)
    (fell_ns,) = fell()
    assert fell_ns == pytest.approx(begun_ns + 1e8, abs=1.1e8)
    stand(1.0)
    stand(-7.0)
    stand(1.0)  # stands again
    for _ in range(15):
        stand(2.0)
    assert fell() == [fell_ns]
    world.exchange.truth.close()


def test_a_thawed_source_says_where_the_market_stands_now(virtual_clock: VirtualClock) -> None:
    world = World(virtual_clock)
    world.do(do="freeze", for_s=0)  # over with the next tick
    stale = world.pair.spot.tick
    world.exchange.refresh()
    assert world.pair.spot.tick is stale
    heard = len(world.listener().heard)
    world.wait(BELIEVE_S)
    assert stands(world.pair)
    assert world.pair.spot.tick is not None
    assert world.pair.spot.tick.update_id == world.pair.spot.listing.update_id
    assert len(world.listener().heard) > heard


def test_a_thawed_source_whose_market_stood_still_says_nothing(virtual_clock: VirtualClock) -> None:
    world = World(virtual_clock)
    world.do(do="freeze", for_s=0)
    heard = len(world.listener().heard)
    world.wait(0.1)
    assert stands(world.pair)
    assert len(world.listener().heard) == heard
    assert not world.pair.spot.sure  # nobody owes what rests on it before the next quote


def test_a_leg_that_another_line_carries_is_not_dead(virtual_clock: VirtualClock) -> None:
    world = World(virtual_clock)
    leg = world.pair.spot
    second = Listener(world.label)
    form = forms(leg.listing)[0]
    world.exchange.delivery.subscribed(cast(Connection, second), Subscription(leg.listing, form))
    world.listener().frozen = True
    world.exchange.delivery.struck([cast(Connection, world.listener())])
    world.wait(10 * BELIEVE_S)
    assert stands(world.pair)
    world.exchange.delivery.unsubscribed(cast(Connection, second), Subscription(leg.listing, form))
    assert not stands(world.pair)  # only the dead one is left


def test_while_somebody_learns_the_market_rests_around_each_second_and_loses_nothing(
    virtual_clock: VirtualClock, tmp_path: Path
) -> None:
    """So that a look is known whenever within those 250 ms it was made."""
    path = tmp_path / "truth.jsonl"
    options = Options(seed=2, symbols=10, rate=2_000, tick_ms=10.0, truth_path=path)
    exchange = Exchange8(options)
    listened(exchange)
    exchange.refresh()

    def lived(seconds: int) -> list[int]:
        """Quotes by tick."""
        found = []
        for _ in range(seconds * 100):
            virtual_clock.advance_ms(options.tick_ms)
            before = exchange.market.events_made
            exchange.tick()
            found.append(exchange.market.events_made - before)
        return found

    assert min(lived(2)) > 0
    exchange.faults.do({"do": "learn", "half_life_s": 20.0, "trust_s": 10.0})
    learning_ns = virtual_clock.mono_ns()
    quotes = lived(4)
    assert sum(quotes) == 4 * options.rate
    assert sum(made == 0 for made in quotes) == 4 * 50
    exchange.truth.close()
    rows = [orjson.loads(line) for line in path.read_bytes().splitlines()]
    looks = [row for row in rows if row.get("look_mono_ns", 0) > learning_ns]
    assert len(looks) == 4
    assert all(low == high for row in looks for _, low, high, _ in row["pairs"])
    moved = {tuple(low for _, low, _, _ in row["pairs"]) for row in looks}
    assert len(moved) == len(looks)
    between = {row["before_mono_ns"]: row["pairs"] for row in rows if "before_mono_ns" in row}
    assert min(between) > learning_ns, "nobody judges by it before"
    for one, after in itertools.pairwise(looks):
        told = zip(one["pairs"], between[after["look_mono_ns"]], after["pairs"], strict=True)
        assert all(low <= min(was[1], then[1]) for was, (_, low, _), then in told)
        assert all(high >= max(was[1], then[1]) for was, (_, _, high), then in told)


def test_that_the_simulator_stood_still_is_told(
    tmp_path: Path, virtual_clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "truth.jsonl"
    exchange = Exchange8(Options(seed=1, symbols=5, truth_path=path))
    lasting_ms = iter([2, 1_500, 900])

    def tick() -> None:
        virtual_clock.advance_ms(next(lasting_ms, 4_000))
        exchange.tick_number += 1

    monkeypatch.setattr(exchange, "tick", tick)
    asyncio.run(exchange.run(4.0))
    exchange.truth.close()
    rows = [orjson.loads(line) for line in path.read_bytes().splitlines()]
    (stood,) = [row for row in rows if row.get("fault") == "stood"]
    assert stood["process"] == "exchange-sim"
    assert stood["end_mono_ns"] - stood["start_mono_ns"] == pytest.approx(1_500e6, abs=10e6)
