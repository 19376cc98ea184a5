"""The made-up markets: naming traps, determinism, noise below the thresholds, and the truth."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from spread_scanner.schema.enums import EXCHANGE_DIRECTIONS, EXCHANGE_SOURCES
from spread_scanner.sim.belief import Rhythm
from spread_scanner.sim.characters import KINDS
from spread_scanner.sim.dialects import Subscription
from spread_scanner.sim.exchange import Exchange8
from spread_scanner.sim.options import Options
from spread_scanner.sim.planting import Planting
from spread_scanner.sim.server import Connection
from spread_scanner.sim.tick import Tick
from spread_scanner.sim.truth import MARGIN_BPS
from spread_scanner.sim.universe import CLASH_FACTOR, Universe
from spread_scanner.sim.wire import forms

EPOCH_NS = 1_700_000_000 * 10**9
CLOCKS_MS = [EPOCH_NS // 10**6] * 8


class Listener:
    """Takes the place of a connection: keeps what it is given."""

    def __init__(self, label: str) -> None:
        self.label = label
        self.frozen = self.deaf = False
        self.rhythm = Rhythm()
        self.asides = 0
        self.talk, self.number = "talks", 1
        self.subscriptions: set[Subscription] = set()
        self.out: list[bytes] = []
        self.heard: list[bytes] = []

    def flush(self, mono_s: float) -> None:
        self.heard += self.out
        self.out, self.asides = [], 0


def listened(exchange: Exchange8) -> dict[str, Listener]:
    """Subscribe one listener per source to everything."""
    listeners = {source.label: Listener(source.label) for source in EXCHANGE_SOURCES}
    for listing in exchange.universe.listings:
        connection = cast(Connection, listeners[listing.label])
        subscription = Subscription(listing, forms(listing)[0])
        connection.subscriptions.add(subscription)
        exchange.delivery.subscribed(connection, subscription)
    return listeners


def test_every_source_lists_as_many_symbols_as_asked_and_the_traps() -> None:
    universe = Universe(seed=4, symbols=300)

    for label, rows in universe.by_source.items():
        usdt = [
            r for r in rows if r.quote == "USDT" and r.trading and r.kind in ("spot", "perpetual")
        ]
        assert 300 <= len(usdt) <= 301, label  # MEXC futures carries MAGATRUMP besides
        assert any(row.status == "halted" for row in rows)
        assert any(row.quote == "USDC" for row in rows)
        assert 1 <= sum(row.quiet for row in rows) <= 40
        assert len({row.exchange_symbol for row in rows}) == len(rows)
    names = universe.by_name
    assert names["binance-futures"]["1000PEPEUSDT"].px_mul == 1000
    assert names["bybit-futures"]["SHIB1000USDT"].symbol == "SHIB-USDT"
    assert names["okx-futures"]["BTC-USDT-SWAP"].contract_size == 0.01
    assert names["mexc-futures"]["BTC_USDT"].contract_size == 0.0001
    assert names["mexc-futures"]["TRUMPOFFICIAL_USDT"].base_name == "TRUMP"
    assert names["mexc-futures"]["TRUMP_USDT"].base_name == "MAGATRUMP"
    assert "币安人生USDT" in names["binance-spot"]
    assert names["okx-futures"]["BTC-USD-SWAP"].kind == "inverse"
    assert names["binance-futures"]["BTCUSDT_261225"].kind == "dated"


def test_two_coins_of_one_ticker_never_make_a_pair() -> None:
    universe = Universe(seed=4, symbols=60)
    prices = {row.coin.price_start for rows in universe.by_source.values() for row in rows
              if row.base == "AI"}  # fmt: skip

    assert max(prices) / min(prices) == pytest.approx(CLASH_FACTOR)
    for direction, spot, futures in universe.pairs():
        assert spot.coin is futures.coin
        assert spot.source.exchange != futures.source.exchange
        assert spot.label == direction.spot.label
        assert futures.label == direction.futures.label


def test_prices_per_base_unit_agree_across_sources() -> None:
    exchange = Exchange8(Options(seed=8, symbols=80))
    exchange.market.step(5_000, CLOCKS_MS)

    for _, spot, futures in exchange.universe.pairs():
        mids = [
            (row.bid_ticks + row.ask_ticks) / 2 / row.px_pow / row.px_mul for row in (spot, futures)
        ]
        assert abs(mids[0] / mids[1] - 1) < 40e-4, spot.symbol
        for row in (spot, futures):
            assert 0 < row.bid_ticks < row.ask_ticks
            assert row.bid_lots > 0
            assert row.ask_lots > 0


def run(seed: int, ticks: int, join_at: int = 0, **options: Any) -> dict[str, Listener]:
    exchange = Exchange8(Options(seed=seed, symbols=25, rate=5_000, epoch_ns=EPOCH_NS, **options))
    for _ in range(join_at):
        exchange.tick()
    listeners = listened(exchange)
    for _ in range(ticks - join_at):
        exchange.tick()
    return listeners


def test_same_seed_and_script_make_the_same_bytes_whoever_listens_when() -> None:
    script = (
        {"at_s": 0.1, "do": "drop", "source": "okx-spot", "for_s": 0.3, "p": 0.5},
        {"at_s": 0.2, "do": "duplicate", "source": "mexc-futures", "for_s": 0.2, "p": 0.3},
        {"at_s": 0.3, "do": "skew", "source": "bybit-spot", "for_s": 0.1, "skew_ms": -700},
        {"at_s": 0.4, "do": "delist", "source": "binance-spot", "symbol": "ETH-USDT"},
    )
    planting = Planting(every_s=0.1)
    one = run(3, 600, script=script, planting=planting)
    two = run(3, 600, script=script, planting=planting)
    late = run(3, 600, join_at=150, script=script, planting=planting)
    other = run(4, 600, script=script, planting=planting)

    for label in one:
        assert len(one[label].heard) > 100
        assert one[label].heard == two[label].heard
        assert one[label].heard[-len(late[label].heard) :] == late[label].heard
        assert one[label].heard != other[label].heard


def test_noise_alone_opens_no_interval() -> None:
    for seed in (1, 2):
        exchange = Exchange8(Options(seed=seed, symbols=100, rate=50_000))
        listened(exchange)
        for _ in range(1_500):
            exchange.tick()
        assert exchange.market.events_made == 150_000
        assert exchange.truth.intervals == 0, f"seed {seed}"


def mean_basis_bps(exchange: Exchange8, coin: str, steps: int) -> dict[str, list[float]]:
    """Of each perpetual of a coin, how far its mid stood from the coin's price, step by step."""
    found: dict[str, list[float]] = {}
    rows = [row for row in exchange.universe.listings if row.coin.name == coin and row.moves]
    for _ in range(steps):
        exchange.market.step(100, CLOCKS_MS)
        for row in rows:
            mid = (row.bid_ticks + row.ask_ticks) / 2 / row.scale
            found.setdefault(row.label, []).append((mid / row.coin.price - 1) * 1e4)
    return found


def test_some_coins_have_a_character_of_their_own() -> None:
    exchange = Exchange8(Options(seed=17, symbols=60, characters=0.6))
    by_kind = {kind: coin for coin, kind in exchange.characters.items()}
    assert set(by_kind) == set(KINDS)
    again = Exchange8(Options(seed=17, symbols=60, characters=0.6))
    assert again.characters == exchange.characters
    assert not Exchange8(Options(seed=17, symbols=60)).characters
    ordinary = {coin.name for coin in exchange.universe.coins[:8]}
    assert not ordinary & set(exchange.characters)
    for row in exchange.universe.listings:
        row.coin.weight = 1.0  # all move alike, so that a test needs few steps
    exchange.market._begin_anew()
    exchange.market._weigh()

    def largest(kind: str) -> list[float]:
        """The perpetual that strays most."""
        found = mean_basis_bps(exchange, by_kind[kind], 400)
        return max(found.values(), key=lambda one: max(map(abs, one)))

    premium = largest("premium")
    assert 9 < sum(premium) / len(premium) < 26
    assert min(premium) > 4
    reverting = largest("reverting")
    assert abs(sum(reverting) / len(reverting)) < 4
    assert max(reverting) > 8 > -8 > min(reverting)
    jumping = largest("jumping")
    assert max(jumping) > 45
    assert sorted(jumping)[len(jumping) // 2] < 15
    wide = [row for row in exchange.universe.listings if row.coin.name == by_kind["wide"]]
    for row in wide:
        if row.moves:
            assert (row.ask_ticks - row.bid_ticks) / row.bid_ticks * 1e4 > 5
    thin = [row for row in exchange.universe.listings if row.coin.name == by_kind["thin"]]
    worth = [
        row.bid_lots / row.sz_pow * row.contract_size * row.bid_ticks / row.px_pow
        for row in thin
        if row.moves
    ]
    assert max(worth) < 100.0


def test_update_ids_of_a_listing_only_rise() -> None:
    exchange = Exchange8(Options(seed=6, symbols=10))
    seen: dict[str, int] = {}
    for listing, tick in exchange.market.step(3_000, CLOCKS_MS):
        key = listing.label + listing.exchange_symbol
        assert tick.update_id > seen.get(key, 0)
        seen[key] = tick.update_id


def retold(exchange: Exchange8) -> list[tuple[str, Tick]]:
    """Everything that the truth is told, in order."""
    told: list[tuple[str, Tick]] = []
    deliver = exchange.delivery.deliver

    def listening(leg: Any, tick: Tick) -> None:
        told.append((f"{leg.listing.label}:{leg.listing.symbol}", tick))
        deliver(leg, tick)

    exchange.delivery.deliver = listening  # type: ignore[method-assign]
    return told


def intervals_of(
    told: list[tuple[str, Tick]],
    multipliers: dict[str, int],
    thresholds: dict[tuple[str, str], float],
) -> Iterator[tuple[str, str, int, float]]:
    """Brute force: after every quote, all twelve directions of its coin from scratch."""
    quotes: dict[str, tuple[float, float]] = {}
    open_: dict[tuple[str, str], tuple[int, float]] = {}
    for number, (key, tick) in enumerate(told):
        symbol = key.partition(":")[2]
        quotes[key] = (
            float(tick.bid_px) / multipliers[key],
            float(tick.ask_px) / multipliers[key],
        )
        for direction in EXCHANGE_DIRECTIONS:
            spot = quotes.get(f"{direction.spot.label}:{symbol}")
            futures = quotes.get(f"{direction.futures.label}:{symbol}")
            if spot is None or futures is None or "#" in symbol:
                continue
            spread = (futures[0] - spot[1]) / spot[1] * 1e4
            pair = (direction.label, symbol)
            if spread >= thresholds[pair]:
                start, peak = open_.get(pair, (number, -math.inf))
                open_[pair] = (start, max(peak, spread))
            elif pair in open_:
                yield *pair, *open_.pop(pair)
    for pair, standing in open_.items():
        yield *pair, *standing


def check_quotes(
    rows: list[dict[str, Any]], told: list[tuple[str, Tick]], exchange: Exchange8
) -> None:
    """What stands in the truth file was sent, in base units; of each interval, all of it."""
    sent = {(key, tick.update_id): tick for key, tick in told}
    units = {f"{row.label}:{row.symbol}": row for row in exchange.universe.listings}
    numbers: dict[str, list[int]] = {}
    for key, number in sent:
        numbers.setdefault(key, []).append(number)
    written = set()
    for row in rows:
        if "quote" in row:
            key = f"{row['source']}:{row['symbol']}"
            listing, tick = units[key], sent[key, row["quote"]]
            assert row["ask_px"] == float(tick.ask_px) / listing.px_mul
            assert row["bid_sz"] == float(tick.bid_sz) * listing.sz_mul
            written.add((key, row["quote"]))
    for row in rows:
        if row.get("band") == "near" and row["end_ns"] is not None:
            spot, _, futures = row["direction"].partition("-")
            for label, leg in ((f"{spot}-spot", "spot"), (f"{futures}-futures", "futures")):
                first, last = (row[f"{leg}_update_id_{end}"] for end in ("first", "last"))
                key = f"{label}:{row['symbol']}"
                inside = {(key, number) for number in numbers[key] if first <= number <= last}
                assert inside <= written


def test_truth_agrees_with_a_brute_force_over_everything_that_was_sent(tmp_path: Path) -> None:
    threshold = 4.0
    path = tmp_path / "truth.jsonl"
    exchange = Exchange8(
        Options(
            seed=9,
            symbols=20,
            rate=20_000,
            threshold_bps=threshold,
            truth_path=path,
            planting=Planting(
                every_s=0.02, over_bps_min=1, over_bps_max=30, hold_s_min=0.01, hold_s_max=0.2
            ),
        )
    )
    told = retold(exchange)
    listened(exchange)
    for _ in range(400):
        exchange.tick()
    exchange.truth.close()
    multipliers = {f"{row.label}:{row.symbol}": row.px_mul for row in exchange.universe.listings}
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    check_quotes(rows, told, exchange)
    rows = [row for row in rows if "band" in row]  # intervals, without their falls
    for band, margin in (("owed", MARGIN_BPS), ("near", -MARGIN_BPS)):
        thresholds = {
            (row["direction"], row["symbol"]): threshold
            - min(row["exit_bps"], row["parity_bps"])
            + margin
            for row in exchange.truth.usual_rows()
        }
        stood = intervals_of(told, multipliers, thresholds)
        expected = sorted((d, s, round(peak, 6)) for d, s, _, peak in stood)
        got = sorted(
            (row["direction"], row["symbol"], round(row["peak_bps"], 6))
            for row in rows
            if row["band"] == band
        )
        assert len(expected) > 50
        assert got == expected, band
    assert {row["planted"] for row in rows} == {True, False}
    assert all(row["end_ns"] is None or row["start_ns"] <= row["end_ns"] for row in rows)


def test_what_is_usual_is_what_the_market_does_on_average() -> None:
    """Within what chance leaves of so many looks, by how much ten parts of them differ."""
    exchange = Exchange8(Options(seed=7, symbols=16, characters=1.0))
    assert set(exchange.characters.values()) == set(KINDS)
    rows = [row for row in exchange.universe.listings if row.moves]
    for row in rows:
        row.coin.weight = 1.0  # all move alike, so that few looks tell
    exchange.market._begin_anew()
    place = {row: number for number, row in enumerate(rows)}
    pairs = [p for p in exchange.truth.pairs if {p.spot.listing, p.futures.listing} <= set(rows)]
    spot = np.array([place[pair.spot.listing] for pair in pairs])
    futures = np.array([place[pair.futures.listing] for pair in pairs])
    unit = np.array([row.px_pow * row.px_mul for row in rows], float)
    parts, looks = 10, 50
    seen = np.zeros((parts, 2, len(pairs)))
    for part in np.repeat(np.arange(parts), looks):
        exchange.market.step(800, CLOCKS_MS)
        bid = np.array([row.bid_ticks for row in rows]) / unit
        ask = np.array([row.ask_ticks for row in rows]) / unit
        leaving = (bid[spot] - ask[futures]) / ask[spot] * 1e4
        entering = (bid[futures] - ask[spot]) / ask[spot] * 1e4
        seen[part] += np.array([leaving, (leaving + entering) / 2]) / looks
    chance = seen.std(0, ddof=1) / parts**0.5
    told = np.array([(pair.usual.exit_bps, pair.usual.parity_bps) for pair in pairs]).T
    assert (abs(seen.mean(0) - told) < 6 * chance + 0.2).all()
    assert np.median(chance[0]) < 1.0


def test_an_interval_ends_when_nobody_listens_and_needs_a_new_quote_to_stand_again() -> None:
    exchange = Exchange8(Options(seed=2, symbols=10, rate=0, threshold_bps=-1_000))
    listeners = listened(exchange)
    exchange.refresh()
    exchange.tick()
    pair = next(p for p in exchange.truth.pairs if p.symbol == "BTC-USDT")
    connection = cast(Connection, listeners[pair.spot.listing.label])
    subscription = Subscription(pair.spot.listing, forms(pair.spot.listing)[0])

    assert pair.row is not None
    exchange.delivery.unsubscribed(connection, subscription)
    assert pair.row is None
    exchange.delivery.subscribed(connection, subscription)
    exchange.delivery.emit([exchange.market.repeat(pair.futures.listing, CLOCKS_MS)])
    assert pair.row is None
    exchange.delivery.emit([exchange.market.repeat(pair.spot.listing, CLOCKS_MS)])  # as before
    assert pair.row is not None


def test_a_frozen_listener_was_not_told() -> None:
    exchange = Exchange8(Options(seed=2, symbols=10, rate=0))
    listeners = listened(exchange)
    exchange.refresh()
    exchange.tick()
    before = {row["source"]: row["update_id"] for row in exchange.truth.sent_rows()}
    listeners["okx-spot"].frozen = True
    exchange.refresh()
    exchange.tick()
    after = {row["source"]: row["update_id"] for row in exchange.truth.sent_rows()}

    assert before["okx-spot"] == after["okx-spot"]
    assert all(after[label] > before[label] for label in before if label != "okx-spot")


def test_okx_says_after_a_minute_and_bybit_after_three_seconds_what_has_not_changed() -> None:
    """The same quote, its number and all, as long as nothing moves; nobody else repeats himself."""
    exchange = Exchange8(Options(seed=2, symbols=10, rate=0, tick_ms=500, epoch_ns=EPOCH_NS))
    listeners = listened(exchange)
    exchange.refresh()

    def told(label: str, seconds: int) -> list[dict[str, Any]]:
        """What one is told of one listing within so many seconds."""
        listeners[label].heard.clear()
        for _ in range(2 * seconds):
            exchange.tick()
        payloads = (frame[frame.index(b"{") :] for frame in listeners[label].heard)
        return [
            one for one in map(json.loads, payloads) if "BTC" in str(one) and "USDT" in str(one)
        ]

    (first,) = told("okx-spot", 1)
    assert told("okx-spot", 58) == []
    (again,) = told("okx-spot", 2)
    assert again["arg"] == first["arg"]
    for key in ("bids", "asks", "seqId"):
        assert again["data"][0][key] == first["data"][0][key]
    assert int(again["data"][0]["ts"]) >= int(first["data"][0]["ts"]) + 59_000
    assert len(told("okx-spot", 125)) == 2
    assert len(told("bybit-spot", 30)) == 10
    assert told("binance-futures", 125) == told("mexc-futures", 125) == []
