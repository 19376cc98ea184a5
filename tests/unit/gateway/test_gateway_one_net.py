"""One net: whatever shows a pair (the signal, `why`, the screens, the gateway, what the tracker
follows and its report) has the number that docs/economics.md says, worked out here anew."""

import asyncio
import contextlib
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pytest
from gateway_bed import Told

from spread_scanner import clock, config
from spread_scanner.engine.core import Engine
from spread_scanner.gateway.broadcast import Broadcast
from spread_scanner.runtime import logs
from spread_scanner.runtime.process import Process
from spread_scanner.schema.analysis import PAIR_ANALYSIS_DTYPE, AnalysisFlag
from spread_scanner.schema.enums import EXCHANGE_DIRECTIONS, EXCHANGE_SOURCES, Direction
from spread_scanner.schema.names import ANALYST, ENGINE, SIGNALS, TRACKER
from spread_scanner.shm import Control, Health, PriceStore, SignalRing
from spread_scanner.shm.analysis import Analysis
from spread_scanner.shm.connections import Connections
from spread_scanner.shm.funding import FundingTable
from spread_scanner.shminit import making
from spread_scanner.symbology import publish, tables, usual
from spread_scanner.symbology.tables import DirectionRow, FundingRow, Tables
from spread_scanner.symbology.usual import Usual
from spread_scanner.tracker.main import Tracker

INTERVAL_H = 8
PAY_MAX = 0.05  # of a contract whose rate and cap nobody told
FOR_EVER = 1e280  # such a weight that a look changes no bit of it
PX = (3e-6, 64_321.0)  # by symbol: all pairs of so many fit into half of the bed's ring

PairName = tuple[str, str]  # symbol, direction
Nets = dict[PairName, float]


class Quoted(NamedTuple):
    """The top of one listing."""

    bid_px: float
    ask_px: float


class Leaving(NamedTuple):
    """What is known of leaving a pair; None: nothing, or it is not credited."""

    usual: float | None
    parity: float | None
    credited: float | None


class World:
    """Settings, tables, quotes and what was learned, all by chance."""

    def __init__(self, seed: int, symbols: list[str]) -> None:
        self.rng = rng = np.random.default_rng(seed)
        self.symbols = symbols
        self.hold_h = (0, 8, 20)[seed % 3]
        self.credits_funding, self.credits_usual = bool(seed & 1), bool(seed & 2)
        pairs = [(symbol, way.label) for symbol in symbols for way in EXCHANGE_DIRECTIONS]
        self.fee_bps = {one.label: round(float(rng.uniform(0, 12)), 2) for one in EXCHANGE_SOURCES}
        self.at_parity = {pair for pair in pairs if rng.random() < 0.2}
        self.rates = {
            (one.source_id, number): float(rng.normal(0, 4e-4))
            for one in EXCHANGE_SOURCES
            for number in range(len(symbols))
            if rng.random() < 0.7
        }
        self.quotes = {
            (one.source_id, number): self._quoted(PX[number])
            for one in EXCHANGE_SOURCES
            for number in range(len(symbols))
        }
        self.leaving = {pair: self._left() for pair in pairs}

    def _quoted(self, px: float) -> Quoted:
        bid_px = px * (1 + float(self.rng.normal(0, 4e-3)))
        return Quoted(bid_px, bid_px * (1 + float(self.rng.uniform(0, 2e-3))))

    def _left(self) -> Leaving:
        if self.rng.random() < 0.3:
            return Leaving(None, None, None)
        credited = float(self.rng.normal(0, 40)) if self.rng.random() < 0.4 else None
        usual_bps, parity_bps = float(self.rng.normal(-20, 30)), -float(self.rng.uniform(0, 10))
        return Leaving(usual_bps, parity_bps, credited if self.credits_usual else None)

    def write_settings(self, folder: Path) -> None:
        with (folder / "config.toml").open("a") as file:
            file.write(
                f"[{ANALYST}]\nenabled = true\n[{ENGINE}]\nevaluations_kept = 64\n"
                f"signal_basis_unknown = true\nhold_h = {self.hold_h}\n"
                f"funding_credit = {str(self.credits_funding).lower()}\n"
                f"credit_usual_basis = {str(self.credits_usual).lower()}\n"
            )
        written = (folder / "config.toml").read_text()
        written = written.replace("[spread-engine]\nevaluations_kept = 64\n", "", 1)
        written = written.replace("[system]", "[system]\nheartbeat_ms_max = 60000", 1)
        (folder / "config.toml").write_text(written)
        (folder / "exchanges.toml").write_text(
            "".join(
                f'[{source}]\nrest_url = "http://127.0.0.1:1"\nws_url = "ws://127.0.0.1:1"\n'
                f"taker_fee_bps = {fee_bps}\n"
                for source, fee_bps in self.fee_bps.items()
            )
        )
        pairs = [
            f'[pair."{way}:{symbol}"]\nclose_at = "parity"\n' for symbol, way in self.at_parity
        ]
        head = "[defaults]\nenter_bps = -10000\nexit_bps = -10000\n"
        (folder / "directions.toml").write_text(head + "".join(pairs))

    def tables_of(self, made: Tables) -> Tables:
        """Every symbol in every direction."""
        ids = tuple(range(len(self.symbols)))
        return msgspec.structs.replace(
            made,
            generation=made.generation + 1,
            directions=tuple(DirectionRow(way.direction_id, ids) for way in EXCHANGE_DIRECTIONS),
            funding=tuple(FundingRow(*key, rate, INTERVAL_H) for key, rate in self.rates.items()),
            quarantine=(),
        )

    def history(self, made: Tables) -> Usual:
        """What the engine knows from before."""
        keys = usual.pair_keys(made)
        known = [
            (keys[way.direction_id, number], self.leaving[symbol, way.label])
            for way in EXCHANGE_DIRECTIONS
            for number, symbol in enumerate(self.symbols)
            if self.leaving[symbol, way.label].usual is not None
        ]
        exits, parities = np.array([one[:2] for _, one in known], float).T
        weight = np.full(len(known), FOR_EVER)
        named = tuple(key for key, _ in known)
        return Usual(1, clock.wall_ns(), 3_600.0, named, weight, exits, parities)

    def nets(self) -> Nets:
        """By docs/economics.md."""
        return {
            (symbol, way.label): self._net(way, number, symbol)
            for way in EXCHANGE_DIRECTIONS
            for number, symbol in enumerate(self.symbols)
        }

    def _net(self, way: Direction, number: int, symbol: str) -> float:
        spot = self.quotes[way.spot.source_id, number]
        fut = self.quotes[way.futures.source_id, number]
        gross = (fut.bid_px - spot.ask_px) / spot.ask_px * 1e4
        widths = (spot.ask_px - spot.bid_px + fut.ask_px - fut.bid_px) / spot.ask_px * 1e4
        fees = 2 * (self.fee_bps[way.spot.label] + self.fee_bps[way.futures.label])
        carry = self._carry(way.futures.source_id, number) * fut.bid_px / spot.ask_px
        return gross + self._close((symbol, way.label), -widths / 2) - fees - carry

    def _close(self, pair: PairName, parity: float) -> float:
        left = self.leaving[pair]
        if left.usual is None or left.parity is None:
            return min(parity, 0.0)
        if pair in self.at_parity:
            return left.parity
        return min(left.usual, left.parity) if left.credited is None else left.credited

    def _carry(self, source_id: int, number: int) -> float:
        paid = -self.rates.get((source_id, number), -PAY_MAX)
        crossings = math.ceil(self.hold_h / INTERVAL_H)
        return (paid if self.credits_funding else max(0.0, paid)) * crossings * 1e4


def live(bed: Any, world: World, stack: contextlib.ExitStack) -> None:
    """All feeds quote once, the engine looks, the tracker takes what it signals."""
    enter, namespace = stack.enter_context, bed.namespace
    store = enter(PriceStore.attach(namespace))
    feeds = [enter(store.writer(source.source_id)) for source in EXCHANGE_SOURCES]
    now_ns = store.clock.now_ns()
    for (source_id, symbol_id), one in world.quotes.items():
        feeds[source_id].write(symbol_id, one.bid_px, 9.0, one.ask_px, 8.0, now_ns, now_ns, 1)
    for feed in feeds:
        feed.heartbeat(clock.mono_ns())
    made = tables.load(bed.settings.generated_dir)
    say_medians(bed, world, made, now_ns)
    row = enter(enter(Health.attach(namespace)).claim(ENGINE))
    slot = enter(enter(Control.attach(namespace)).claim(ENGINE))
    engine = enter(Engine(namespace, row, slot, world.history(made)))
    engine.load(bed.settings, made)
    while not engine.look_ahead():
        pass
    adopted = engine.adopt()
    assert adopted is not None
    usual.write(usual.path_of(bed.settings), adopted)  # as keeping.py does
    engine.loop.step(clock.mono_ns())
    follow(bed, store, stack)


def say_medians(bed: Any, world: World, made: Tables, now_ns: int) -> None:
    """As spread-analyst has them."""
    with Analysis.attach(bed.namespace) as analysis, analysis.writer() as writer:
        for (symbol, label), left in world.leaving.items():
            record = np.zeros(1, PAIR_ANALYSIS_DTYPE)
            record["ts"], record["generation"] = now_ns, made.generation
            record["flags"] = int(AnalysisFlag.USABLE)
            record["exit"]["median"] = np.nan if left.credited is None else left.credited
            record["looked"] = record["minutes"] = 240
            way = next(one for one in EXCHANGE_DIRECTIONS if one.label == label)
            place = analysis.layout.pair_at([way.direction_id], [world.symbols.index(symbol)])
            nothing = np.zeros(0, np.int64), np.zeros(0, writer._cells.dtype)
            writer.write(place, record, *nothing)


def follow(bed: Any, store: PriceStore, stack: contextlib.ExitStack) -> None:
    """What the tracker writes down of it."""
    enter, namespace = stack.enter_context, bed.namespace
    ring = enter(SignalRing.attach(namespace, SIGNALS))
    row = enter(enter(Health.attach(namespace)).claim(TRACKER))
    slot = enter(enter(Control.attach(namespace)).claim(TRACKER))
    bed.settings.data_dir.mkdir(exist_ok=True)
    process = Process(TRACKER, bed.settings, logs.set_up(TRACKER, "error"), row, slot)
    more = enter(Connections.attach(namespace)), enter(FundingTable.attach(namespace))
    tracker = Tracker(process, store, ring, enter(ring.consumer()), *more)
    tracker.recover()
    tracker.turn()
    tracker.finish()


def nets_of(rows: Any, name: str = "net_bps") -> Nets:
    return {(one["symbol"], one["direction"]): one[name] for one in rows}


@pytest.fixture
def world(listed_bed: Any, request: pytest.FixtureRequest) -> Iterator[World]:
    made = tables.load(listed_bed.settings.generated_dir)
    chosen = World(request.param, [row.symbol for row in made.symbols[: len(PX)]])
    chosen.write_settings(listed_bed.folder / "config")
    listed_bed.settings = config.load()
    publish.publish(listed_bed.settings.generated_dir, chosen.tables_of(made), {})
    making.ensure(listed_bed.settings)
    with contextlib.ExitStack() as stack:
        live(listed_bed, chosen, stack)
        yield chosen


@pytest.fixture
def asking(world: World, gateway_of: Callable[..., Any]) -> Any:
    return gateway_of()


@pytest.mark.parametrize("world", range(4), indirect=True)
def test_whatever_shows_a_pair_has_one_net(
    world: World, asking: Any, stream: Broadcast, spread_ctl: Callable[..., Any]
) -> None:
    def told(*command: str) -> Any:
        code, out, err = spread_ctl(*command, "--json")
        assert code == 0, err
        return json.loads(out)

    def get(path: str) -> Any:
        return asyncio.run(asking.get(path)).json()

    pushed = Told(stream)
    pushed.wish("spreads")
    columns, report = get("/v1/spreads/columns"), told("report", "--pairs")
    whys = [told("why", symbol, "--last", "64") for symbol in world.symbols]
    right = world.nets()
    seen: dict[str, Nets] = {
        "signal": nets_of(told("signals", "--last", "64")),
        "watch": nets_of(told("watch")),
        "why, decided": {
            (why["symbol"], one["direction"]): one["net_bps"]
            for why in whys
            for one in why["evaluations"]
        },
        "why, now": nets_of(one for why in whys for one in why["now"]),
        "gateway, asked": nets_of(get("/v1/spreads")),
        "gateway, pushed": nets_of(pushed.of("spreads")[0]["spreads"]),
        "gateway, columns": {
            (symbol, way): net
            for symbol, way, net in zip(
                columns["symbol"], columns["direction"], columns["net_bps"], strict=True
            )
        },
        "opportunities": nets_of(get("/v1/opportunities?count=64"), "entry_net_bps"),
        "report": nets_of(report["pairs"], "entry_net_bps_median"),
    }
    for name, nets in seen.items():
        assert nets.keys() == right.keys(), name
        places = 6e-4 if name == "gateway, columns" else 1e-7
        wrong = {
            pair: (net, right[pair])
            for pair, net in nets.items()
            if not abs(net - right[pair]) <= places
        }
        assert wrong == {}, name
