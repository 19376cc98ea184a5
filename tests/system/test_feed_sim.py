"""Discovery and feeds as processes against the simulator: the store holds what was sent.

SPREAD_STRESS=long runs ten seeds instead of two.
"""

import contextlib
import itertools
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from whole_system import told_apart

from bed import until
from spread_scanner import clock
from spread_scanner.schema.enums import EXCHANGE_SOURCES, SOURCE_BY_LABEL, ProcessState, QuoteFlag
from spread_scanner.shm import Control, Health, PriceStore, SignalRing, segment
from spread_scanner.shm.books import BookStore
from spread_scanner.shm.connections import Connections
from spread_scanner.shm.wants import Wants
from spread_scanner.symbology import tables
from spread_scanner.symbology.publish import publish
from spread_scanner.symbology.tables import InstrumentRow, Tables

ROOT = Path(__file__).parents[2]
LABELS = [source.label for source in EXCHANGE_SOURCES]
SEEDS = range(1, 11 if os.environ.get("SPREAD_STRESS") == "long" else 2)
DEADLINE_S = 60.0
# Minutes as shipped, seconds here; the days (tests/days) live the shipped ones. How long a silent
# connection is kept is as shipped: a simulator that a busy machine holds up says nothing either.
FEED_SETTINGS = """
[feed]
backoff_s_min = 0.1
backoff_s_max = 1.0
silent_ms_min = 20000
"""
# For who lives through faults: a frozen connection is given up while its fault lasts.
HASTY_SETTINGS = FEED_SETTINGS + "frozen_ms_min = 1000\n"
# So that what the store holds can be looked at after everybody fell silent, however slow the
# machine is: as above it would be a second and a half until nobody stands behind it any more.
PATIENT_SETTINGS = """
[feed]
frozen_ms_min = 60000
idle_ms_max = 60000
silent_ms_min = 60000
"""
_numbers = itertools.count()

Fact = dict[str, Any]


class Rig:
    """A simulator, segments, tables made by pair-discovery, and feeds as processes."""

    def __init__(self, folder: Path, stack: contextlib.ExitStack, *, seed: int, **options: object):
        self.folder = folder
        self.namespace = f"test-feed-{os.getpid()}-{next(_numbers)}"
        self.config = folder / "config"
        self.feed_settings = FEED_SETTINGS
        self.environ = {
            **os.environ,
            "SPREAD_CONFIG_DIR": str(self.config),
            "SPREAD_SYSTEM__NAMESPACE": self.namespace,
        }
        self.feeds: dict[str, subprocess.Popen[bytes]] = {}
        stack.callback(self._clean)
        self._start_sim(seed, options)
        self.store = stack.enter_context(
            PriceStore.create(self.namespace, num_sources=8, max_symbols=256)
        )
        self.health = stack.enter_context(Health.create(self.namespace))
        self.connections = stack.enter_context(Connections.create(self.namespace))
        self.control = stack.enter_context(Control.create(self.namespace))
        stack.enter_context(SignalRing.create(self.namespace, "signals", slots=256))
        sizes = {"num_sources": 8, "max_symbols": 256}
        self.books = stack.enter_context(BookStore.create(self.namespace, **sizes, slots=16))
        self.wants = stack.enter_context(Wants.create(self.namespace, **sizes))

    def _start_sim(self, seed: int, options: dict[str, object]) -> None:
        given = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
        self.sim = subprocess.Popen(
            [sys.executable, ROOT / "bins" / "exchange-sim", f"--seed={seed}",
             f"--config-out={self.config}", *given],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.sim.stdout is not None
        self.control_url = json.loads(self.sim.stdout.readline())["control"]
        with (self.config / "config.toml").open("a", encoding="utf-8") as file:
            file.write(self.feed_settings)

    def _clean(self) -> None:
        for feed in self.feeds.values():
            feed.kill()
            feed.wait()
        self.sim.kill()
        self.sim.wait()
        if self.sim.stdout is not None:
            self.sim.stdout.close()
        for name in segment.names(self.namespace):
            segment.remove(name)

    def discover(self) -> Tables:
        command = [sys.executable, str(ROOT / "bins" / "pair-discovery"), "--no-validate"]
        subprocess.run(command, env=self.environ, check=True, capture_output=True, timeout=60)
        return self.tables

    @property
    def tables(self) -> Tables:
        return tables.load(self.folder / "generated")

    def feed(self, label: str) -> subprocess.Popen[bytes]:
        with (self.folder / f"feed-{label}.log").open("ab") as log:
            self.feeds[label] = subprocess.Popen(
                [sys.executable, ROOT / "bins" / f"feed-{label}"], env=self.environ, stderr=log
            )
        return self.feeds[label]

    def log(self, label: str) -> str:
        return (self.folder / f"feed-{label}.log").read_text()

    def set_feed(self, settings: str) -> None:
        """The feeds' section, in place of what stands there."""
        path = self.config / "config.toml"
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace(self.feed_settings, settings), encoding="utf-8")
        self.feed_settings = settings

    def be_patient(self) -> None:
        """Every feed believes what it was told for a minute from now on."""
        self.set_feed(PATIENT_SETTINGS)
        with self.control.operator() as operator:
            wanted = {
                process: operator.reload(process) for process in map("feed-{}".format, self.feeds)
            }

            def taken() -> bool:
                acks = {process: self.control.ack(process) for process in wanted}
                return all(
                    ack is not None and ack.generation >= wanted[process]
                    for process, ack in acks.items()
                )

            until(taken, "patience")

    def do(self, **action: object) -> None:
        answer = httpx.post(self.control_url, json=action)
        assert answer.status_code == 200, answer.text

    def sim_state(self) -> Fact:
        return dict(httpx.get(self.control_url + "/state").json())

    def sent(self) -> dict[tuple[str, str], Fact]:
        rows = httpx.get(self.control_url + "/sent").json()
        return {(row["source"], row["exchange_symbol"]): row for row in rows}

    def counters(self, label: str) -> dict[str, int]:
        return self.health.read(f"feed-{label}").counters

    def adds_up(self, label: str) -> bool:
        """Whether the connections' rows come to what the process has counted; a pong may come
        between the two looks."""
        rows, total = self.connections.read(SOURCE_BY_LABEL[label].source_id), self.counters(label)
        return all(
            sum(row.counters[counter] for row in rows) == total[counter]
            for counter in COUNTED_BY_CONNECTION
        )

    def listings(self, label: str) -> list[InstrumentRow]:
        return self.tables.of_source(SOURCE_BY_LABEL[label].source_id)

    def differences(self, labels: list[str]) -> list[str]:
        """What in the store is not what the simulator sent last, or cannot be used."""
        sent = self.sent()
        return [
            difference
            for label in labels
            for row in self.listings(label)
            if (said := sent.get((label, row.exchange_symbol))) is not None
            if (difference := told_apart(self.store, row, said))
        ]

    def all_heard_since(self, labels: list[str], before: dict[tuple[str, str], Fact]) -> bool:
        """Whether the simulator has sent something new of everything that it sends at all."""
        now = self.sent()
        return all(
            now[key]["messages"] > row["messages"]
            for key, row in before.items()
            if key[0] in labels
        )


@pytest.fixture
def rig_of(tmp_path: Path) -> Iterator[Callable[..., Rig]]:
    with contextlib.ExitStack() as stack:

        def make(seed: int = 1, **options: object) -> Rig:
            print(f"seed {seed}")
            return Rig(tmp_path, stack, seed=seed, **options)

        yield make


COUNTED_BY_CONNECTION = (
    *("messages", "quotes", "native", "slow", "control", "connects", "disconnects", "frozen"),
    *("skip_duplicate", "skip_out_of_order", "skip_bad_message", "skip_bad_quote", "repeats"),
)


def faults_of(rng: random.Random, label: str, symbol: str) -> list[Fact]:
    """A few faults of one source, to be asked for at once."""
    kinds: list[Fact] = [
        {"do": "drop", "p": 0.3, "for_s": 1.0},
        {"do": "duplicate", "p": 0.5, "for_s": 1.0},
        {"do": "reorder", "p": 0.5, "depth": 3, "for_s": 1.0},
        {"do": "slow", "p": 0.3, "delay_ms": 300, "for_s": 1.0},
        {"do": "gap", "count": 20},
        {"do": "close"},
        {"do": "close", "abort": True},
        {"do": "cut"},
        {"do": "freeze", "for_s": 3.0},
        {"do": "half-open", "for_s": 3.0},
        {"do": "poison", "kind": "text", "count": 5},
        {"do": "poison", "kind": "binary", "count": 5},
        {"do": "poison", "kind": "utf8", "count": 30},
        {"do": "poison", "kind": "empty", "count": 2},
        {"do": "poison", "kind": "unknown", "count": 3},
        {"do": "skew", "skew_ms": -4000, "for_s": 0.5},
        {"do": "delist", "symbol": symbol},
        {"do": "reset"},
    ]
    return [{**kind, "source": label} for kind in rng.sample(kinds, 4)]


@pytest.mark.timeout(180)
@pytest.mark.parametrize("seed", SEEDS)
def test_after_all_faults_the_store_holds_what_was_sent_last(
    rig_of: Callable[..., Rig], seed: int
) -> None:
    rng = random.Random(seed)
    rig = rig_of(seed, symbols=12, rate=1000, time_scale=0.5)
    rig.set_feed(HASTY_SETTINGS)
    rig.discover()
    for label in LABELS:
        rig.feed(label)
    until(
        lambda: len(rig.sent()) >= sum(len(rig.listings(label)) for label in LABELS) * 0.8, "quotes"
    )
    delisted = set()
    for label in rng.sample(LABELS, len(LABELS)):
        for fault in faults_of(rng, label, rng.choice(rig.listings(label)).exchange_symbol):
            print(fault)
            rig.do(**fault)
            if fault["do"] == "delist":
                delisted.add((label, fault["symbol"]))
        time.sleep(0.2)
    until(
        lambda: (
            not rig.sim_state()["faults"]
            or all(fault.startswith("delist") for fault in rig.sim_state()["faults"])
        ),
        "the end of the faults",
    )
    time.sleep(3.5)  # a reset of timeless update ids is believed after three seconds
    before = {key: row for key, row in rig.sent().items() if key not in delisted}
    until(lambda: rig.all_heard_since(LABELS, before), "everything heard again")
    rig.be_patient()

    rig.do(do="freeze", source="all")

    last: list[str] = []

    def settled() -> bool:
        nonlocal last
        last = [
            line
            for line in rig.differences(LABELS)
            if not any(line.startswith(f"{label} {symbol}:") for label, symbol in delisted)
        ]
        return not last

    with contextlib.suppress(AssertionError):
        until(settled, "the store equals what was sent", timeout_s=10)
    logs = {label: rig.log(label)[-1500:] for label in {line.split()[0] for line in last}}
    assert not last, "\n".join([*last, *logs.values()])
    for label in LABELS:
        print(label, {k: v for k, v in rig.counters(label).items() if v})
        assert rig.feeds[label].poll() is None, rig.log(label)
        assert rig.health.read(f"feed-{label}").state is ProcessState.RUNNING
        connections = rig.connections.read(SOURCE_BY_LABEL[label].source_id)
        # Where a delisting is announced the feed leaves the symbol, unless a fault made it deaf.
        left = rig.counters(label)["halted"]
        assert left <= sum(label == source for source, _ in delisted)
        assert sum(row.symbols for row in connections) == len(rig.listings(label)) - left
        until(partial(rig.adds_up, label), f"{label}: rows add up to the process's counts")


def stale(rig: Rig, label: str) -> list[str]:
    """The listings of a source whose quotes are missing or stale."""
    quotes = [
        (row.exchange_symbol, rig.store.read(row.source_id, row.symbol_id))
        for row in rig.listings(label)
    ]
    return [name for name, quote in quotes if quote is None or quote.flags & QuoteFlag.STALE]


def all_quoted(rig: Rig, label: str) -> Callable[[], bool]:
    return lambda: not stale(rig, label)


def test_quotes_of_a_killed_feed_are_stale_until_its_next_life_writes_them(
    rig_of: Callable[..., Rig],
) -> None:
    label, source_id = "bybit-spot", SOURCE_BY_LABEL["bybit-spot"].source_id
    rig = rig_of(1, symbols=6, rate=400)
    rig.discover()
    rig.feed(label)
    until(all_quoted(rig, label), "quotes")
    first = rig.store.epoch(source_id)

    rig.feeds[label].kill()
    rig.feeds[label].wait()

    beat = rig.store.heartbeat_mono_ns(source_id)
    until(lambda: clock.mono_ns() - beat > 1_000_000_000, "an old heartbeat")
    assert rig.store.heartbeat_mono_ns(source_id) == beat
    rig.do(do="freeze", source=label, new=True)
    rig.feed(label)
    until(lambda: rig.store.epoch(source_id) > first, "the next life")
    until(lambda: rig.store.heartbeat_mono_ns(source_id) > beat, "a heartbeat")
    assert len(stale(rig, label)) == len(rig.listings(label))
    rig.do(do="end", source=label, what="freeze")
    until(all_quoted(rig, label), "quotes of the next life")


def test_new_tables_are_taken_without_dropping_the_socket(rig_of: Callable[..., Rig]) -> None:
    label, source = "okx-futures", SOURCE_BY_LABEL["okx-futures"]
    rig = rig_of(2, symbols=8, rate=800)
    full = rig.discover()
    rig.feed(label)
    until(all_quoted(rig, label), "quotes")
    connects = rig.sim_state()["connects"]
    gone = {row.exchange_symbol for row in rig.listings(label)[:2]}
    left = [row for row in full.of_source(source.source_id) if row.exchange_symbol in gone]

    def put(generation: int, instruments: tuple[InstrumentRow, ...]) -> None:
        made = msgspec.structs.replace(full, generation=generation, instruments=instruments)
        publish(rig.folder / "generated", made, {})
        with rig.control.operator() as operator:
            wanted = operator.reload(source.process)
        until(lambda: rig.health.read(source.process).generation == generation, "the reload")
        assert wanted

    kept = tuple(row for row in full.instruments if row not in left)
    put(full.generation + 1, kept)

    subscriptions = len(full.of_source(source.source_id)) - 2
    until(lambda: rig.sim_state()["subscriptions"][label] == subscriptions, "unsubscribed")
    for row in left:
        quote = rig.store.read(row.source_id, row.symbol_id)
        assert quote is not None
        assert quote.flags & QuoteFlag.STALE
    assert not stale(rig, label)

    put(full.generation + 2, full.instruments)

    until(all_quoted(rig, label), "the two are back")
    assert rig.sim_state()["connects"] == connects
    assert rig.counters(label)["reloads"] == 2
    assert rig.counters(label)["stale_marks"] == 2


@pytest.mark.slow
def test_an_announced_cut_costs_no_quote(rig_of: Callable[..., Rig]) -> None:
    label = "binance-spot"
    rig = rig_of(3, symbols=8, rate=2000, life_s=6.0)
    rig.discover()
    rig.feed(label)
    until(all_quoted(rig, label), "quotes")

    def swapped_without_a_stale_quote() -> bool:
        assert not stale(rig, label)
        return rig.counters(label)["swaps"] >= 2

    until(swapped_without_a_stale_quote, "two planned replacements")
    assert rig.counters(label)["disconnects"] == 0
    assert rig.counters(label)["stale_marks"] == 0


@pytest.mark.parametrize(
    "label", ["bybit-spot", "bybit-futures", "okx-spot", "mexc-spot", "mexc-futures"]
)
def test_one_refused_symbol_does_not_cost_the_others(
    rig_of: Callable[..., Rig], label: str
) -> None:
    rig = rig_of(4, symbols=8, rate=1000)
    rig.discover()
    names = [row.exchange_symbol for row in rig.listings(label)]
    rig.do(do="refuse-symbol", source=label, symbol=names[3])

    rig.feed(label)

    until(lambda: stale(rig, label) == [names[3]], "all but the refused one")
    until(lambda: rig.counters(label)["refused_symbols"] == 1, "the refusal is counted")
    assert rig.counters(label)["disconnects"] == 0


def test_of_two_redundant_connections_one_may_go(rig_of: Callable[..., Rig]) -> None:
    label = "okx-spot"
    rig = rig_of(5, symbols=8, rate=1000)
    with (rig.config / "config.toml").open("a", encoding="utf-8") as file:
        file.write("redundant = 2\n")
    rig.discover()
    rig.feed(label)
    until(all_quoted(rig, label), "quotes")
    until(lambda: rig.counters(label)["skip_duplicate"] > 100, "both deliver")

    rig.do(do="close", source=label, connections=1, abort=True)

    until(lambda: rig.counters(label)["disconnects"] == 1, "the loss")
    until(lambda: rig.counters(label)["connects"] == 3, "the replacement")
    assert rig.counters(label)["stale_marks"] == 0
    assert not stale(rig, label)


def test_a_paused_feed_stands_behind_nothing(rig_of: Callable[..., Rig]) -> None:
    label, process = "mexc-futures", "feed-mexc-futures"
    rig = rig_of(6, symbols=6, rate=800)
    rig.discover()
    rig.feed(label)
    until(all_quoted(rig, label), "quotes")
    with rig.control.operator() as operator:
        operator.pause(process)
        until(lambda: rig.health.read(process).state is ProcessState.PAUSED, "paused")
        assert len(stale(rig, label)) == len(rig.listings(label))
        operator.pause(process, paused=False)
    until(all_quoted(rig, label), "quotes again")
    assert rig.health.read(process).state is ProcessState.RUNNING


def test_a_feed_ends_cleanly_when_told_or_when_its_segments_are_replaced(
    rig_of: Callable[..., Rig],
) -> None:
    label = "okx-spot"
    rig = rig_of(7, symbols=6, rate=800)
    rig.discover()
    stopped, orphan = rig.feed(label), rig.feed("okx-futures")
    until(all_quoted(rig, label), "quotes")
    until(all_quoted(rig, "okx-futures"), "quotes")

    stopped.terminate()

    assert stopped.wait(DEADLINE_S) == 0
    assert len(stale(rig, label)) == len(rig.listings(label))
    until(lambda: label not in rig.sim_state()["connections"], "the goodbye")

    PriceStore.create(rig.namespace, num_sources=8, max_symbols=256).close()

    assert orphan.wait(DEADLINE_S) == 4
    with (rig.config / "exchanges.toml").open(encoding="utf-8") as file:
        text = file.read().replace("[okx-spot]", "[okx-spot]\nenabled = false")
    (rig.config / "exchanges.toml").write_text(text, encoding="utf-8")
    assert rig.feed(label).wait(DEADLINE_S) == 0
    assert rig.health.read("feed-okx-spot").state is ProcessState.STOPPED


def test_a_symbol_that_falls_silent_is_marked_and_the_others_are_not(
    rig_of: Callable[..., Rig],
) -> None:
    label = "binance-futures"
    rig = rig_of(8, symbols=6, rate=1500)
    # As shipped it would take half a minute.
    rig.set_feed(FEED_SETTINGS.replace("silent_ms_min = 20000", "silent_ms_min = 1500"))
    rig.discover()
    rig.feed(label)
    until(all_quoted(rig, label), "quotes")
    rows = {row.exchange_symbol: row for row in rig.listings(label)}
    gone = rows.pop(next(iter(rows)))
    heard: set[int] = set()  # a symbol has a rate from 16 intervals on, and no silence before

    def has_rate() -> bool:
        quote = rig.store.read(gone.source_id, gone.symbol_id)
        heard.add(0 if quote is None else quote.ts_recv)
        return len(heard) > 20

    until(has_rate, lambda: f"{len(heard)} quotes heard")

    # Unannounced: what the exchange announces is left at once, and is no silence.
    rig.do(do="halt", source=label, symbol=gone.exchange_symbol, quiet=True)

    def flags(row: InstrumentRow) -> int:
        quote = rig.store.read(row.source_id, row.symbol_id)
        return 0 if quote is None else quote.flags

    def it_alone_is_silent() -> bool:
        """All are for a moment where the machine holds the simulator up."""
        others = list(rows.values())[:2]
        return bool(flags(gone) & QuoteFlag.SILENT) and not any(
            flags(row) & QuoteFlag.SILENT for row in others
        )

    until(it_alone_is_silent, "the silence is noticed")
    assert rig.counters(label)["silent_marks"] >= 1


@pytest.mark.slow
def test_a_feed_is_small_and_a_flood_of_messages_does_not_make_it_grow(
    rig_of: Callable[..., Rig],
) -> None:
    label = "bybit-futures"
    rig = rig_of(9, symbols=40, rate=20_000)
    rig.discover()
    feed = rig.feed(label)

    def rss_kb() -> int:
        lines = Path(f"/proc/{feed.pid}/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmRSS")).split()[1])

    until(lambda: rig.sim_state()["messages"] > 5_000, "messages")
    before = rss_kb()
    until(lambda: rig.sim_state()["messages"] > 25_000, "many messages")

    assert rss_kb() < 60 * 1024
    assert rss_kb() - before < 1024
