"""Quick looks: what is newly listed is added, whole and checked, and nothing else changes."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest
from rich.console import Console
from saved_world import COINS, FUNDING, INSTRUMENTS, ROWS, TICKERS, World, run, settings_in
from typer.testing import CliRunner

from spread_scanner import clock
from spread_scanner.clock import NS_PER_S
from spread_scanner.config import Settings
from spread_scanner.discovery import main, quick
from spread_scanner.discovery.asking import Options
from spread_scanner.discovery.report import DiscoverySummary, Findings, summary, texts
from spread_scanner.discovery.run import Before
from spread_scanner.discovery.show import Bars
from spread_scanner.errors import ExchangeError, TableError
from spread_scanner.symbology import publish, tables
from spread_scanner.symbology.known import QuickLooks
from spread_scanner.view.conditions.found import NO_ROOM

SPOT, FUTURES = "bybit-spot", "okx-futures"


class Looking:
    """One full run, then looks at what the world has become."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.folder, self.settings, self.world = folder, settings, World()
        self.last = run(self.world.write(folder), settings)
        self.looks = QuickLooks()

    def add(self, label: str, coin: str, mid: float | None) -> None:
        """List a coin; without a price it is not quoted yet."""
        for kind, make in ROWS[label].items():
            if kind != TICKERS or mid is not None:
                self.world.rows[label, kind].append(make(coin, mid))

    def look(self) -> quick.QuickLook:
        self.world.write(self.folder)
        options = Options(offline=self.folder, quick=True)
        last = self.last
        said = (*last.before_warnings, *last.warnings)
        generation = last.tables.generation + 1
        before = Before(last.tables, last.known, generation, last.states, "FULL", said)
        with Bars(Console(stderr=True)) as bars:
            found = asyncio.run(quick.look(self.settings, options, before, self.looks, bars))
        self.looks = found.looks
        if found.findings is not None:
            self.last = found.findings
        return found


@pytest.fixture
def looking(tmp_path: Path, build: Any) -> Looking:
    return Looking(tmp_path / "saved", build.settings())


def ways(findings: Findings) -> dict[str, set[int]]:
    names = findings.tables.symbol_names()
    found: dict[str, set[int]] = {}
    for row in findings.tables.directions:
        for id_ in row.symbol_ids:
            found.setdefault(names[id_], set()).add(row.direction_id)
    return found


def test_nothing_new_asks_for_lists_alone(looking: Looking) -> None:
    for label in ROWS:
        (looking.folder / f"{label}.{TICKERS}.json").unlink()
        del looking.world.rows[label, TICKERS]
    found = looking.look()
    assert (found.findings, found.new) == (None, [])


def test_a_coin_listed_on_two_exchanges_is_added_and_nothing_else_changes(looking: Looking) -> None:
    before = looking.last.tables
    looking.add(SPOT, "NEW", 2.0)
    looking.add(FUTURES, "NEW", 2.001)
    found = looking.look()
    assert found.new == ["bybit-spot:NEWUSDT", "okx-futures:NEW-USDT-SWAP"]
    findings = found.findings
    assert findings is not None
    assert findings.added == ["NEW-USDT (bybit-okx)"]
    made = findings.tables
    assert made.symbols[: len(before.symbols)] == before.symbols, "ids stay"
    assert set(before.instruments) < set(made.instruments)
    assert set(before.funding) < set(made.funding)
    assert len(made.funding) == len(before.funding) + 1
    assert len(made.instruments) == len(before.instruments) + 2
    old = {symbol: ids for symbol, ids in ways(findings).items() if symbol != "NEW-USDT"}
    assert sum(len(ids) for ids in old.values()) == 12 * len(COINS)
    assert looking.look().findings is None, "once"


def test_a_second_perpetual_of_a_coin_of_the_tables_is_added(looking: Looking) -> None:
    world = looking.world
    for kind in (INSTRUMENTS, TICKERS, FUNDING):
        world.rows[FUTURES, kind] = [
            row for row in world.rows[FUTURES, kind] if "BTC" not in str(row.values())
        ]
    looking.last = run(world.write(looking.folder), looking.settings)
    assert len(ways(looking.last)["BTC-USDT"]) == 9
    looking.add(FUTURES, "BTC", 60_000.0)
    findings = looking.look().findings
    assert findings is not None
    assert len(ways(findings)["BTC-USDT"]) == 12
    assert findings.added == ["BTC-USDT (binance-okx, bybit-okx, mexc-okx)"]


def test_a_listing_that_begins_to_trade_is_new(looking: Looking) -> None:
    looking.add(SPOT, "NEW", 2.0)
    looking.add(FUTURES, "NEW", 2.0)
    looking.world.find(SPOT, INSTRUMENTS, "NEW")["status"] = "PreLaunch"
    looking.last = run(looking.world.write(looking.folder), looking.settings)
    assert looking.look().findings is None
    looking.world.find(SPOT, INSTRUMENTS, "NEW")["status"] = "Trading"
    findings = looking.look().findings
    assert findings is not None
    assert "NEW-USDT" in ways(findings)


def test_what_does_not_pair_is_not_asked_about(looking: Looking) -> None:
    looking.add(SPOT, "NEW", 2.0)
    looking.add("bybit-futures", "NEW", 2.0)  # the same exchange is no partner
    for label in ROWS:
        del looking.world.rows[label, TICKERS]
        (looking.folder / f"{label}.{TICKERS}.json").unlink()
    found = looking.look()
    assert found.findings is None
    assert len(found.new) == 2


@pytest.mark.parametrize("price", [None, 4.0])
def test_what_is_not_quoted_or_costs_something_else_is_tried_for_an_hour(
    looking: Looking, monkeypatch: pytest.MonkeyPatch, price: float | None
) -> None:
    """An opening is seen by the next look; what never fits is left to the next full run."""
    now_ns = clock.wall_ns()
    monkeypatch.setattr(clock, "wall_ns", lambda: now_ns)
    looking.add(SPOT, "NEW", 2.0)
    looking.add(FUTURES, "NEW", price)
    assert looking.look().findings is None
    now_ns += 1_800 * NS_PER_S
    assert len(looking.look().new) == 2
    now_ns += 1_801 * NS_PER_S
    assert looking.look().new == [], "an hour is over"
    now_ns -= 1_700 * NS_PER_S
    looking.world.rows[FUTURES, TICKERS] = World().rows[FUTURES, TICKERS]
    looking.world.rows[FUTURES, TICKERS].append(ROWS[FUTURES][TICKERS]("NEW", 2.0))
    assert looking.look().findings is not None


def test_a_look_never_shrinks_the_tables_and_judges_nobody(looking: Looking) -> None:
    before = looking.last
    looking.world.keep("okx-spot", INSTRUMENTS, "BTC")
    looking.world.rows["mexc-spot", INSTRUMENTS] = []
    looking.add(SPOT, "NEW", 2.0)
    looking.add(FUTURES, "NEW", 2.0)
    findings = looking.look().findings
    assert findings is not None
    assert set(before.tables.instruments) < set(findings.tables.instruments)
    assert findings.states == before.states
    assert findings.tables.judgement == before.tables.generation
    assert findings.tables.generation > before.tables.generation
    looking.add(SPOT, "NEWER", 2.0)
    looking.add(FUTURES, "NEWER", 2.0)
    more = looking.look().findings
    assert more is not None
    assert more.tables.judgement == before.tables.generation, "of look after look"
    assert findings.known.of("okx-spot") == before.known.of("okx-spot")


def test_a_source_that_was_never_reached_is_not_new_as_a_whole(looking: Looking) -> None:
    world = World()
    world.rows["okx-spot", INSTRUMENTS] = []
    looking.last = run(world.write(looking.folder), looking.settings)
    assert looking.look().new == []


def test_no_room_displaces_nobody_and_is_said(looking: Looking, build: Any) -> None:
    many = {f"C{number:02}": 1.0 + number for number in range(64)}
    looking.world = World(many)
    looking.settings = build.settings("[system]\nmax_symbols = 64\n")
    looking.last = run(looking.world.write(looking.folder), looking.settings)
    assert looking.last.warnings == []
    for label in ROWS:
        looking.add(label, "NEW", 2.0)
    assert looking.look().findings is None
    full = run(looking.world.write(looking.folder), looking.settings)
    assert any("max_symbols = 256" in row for row in full.warnings)


def test_what_the_last_full_run_warned_about_stands_after_a_look(
    looking: Looking, build: Any, tmp_path: Path
) -> None:
    """Else the alert for want of room would end, which is not so, and come again in hours."""
    many = {f"C{number:02}": 1.0 + number for number in range(65)}
    looking.world = World(many)
    rows = looking.world.rows[FUTURES, INSTRUMENTS]
    kept = [row for row in rows if "C07" in str(row)]
    rows[:] = [row for row in rows if row not in kept]
    for label in ROWS.keys() - {SPOT, FUTURES}:  # of two sources alone: the last in order
        listed = looking.world.rows[label, INSTRUMENTS]
        listed[:] = [row for row in listed if "C64" not in str(row)]
    looking.settings = build.settings("[system]\nmax_symbols = 64\n")
    looking.last = run(looking.world.write(looking.folder), looking.settings)
    (no_room,) = looking.last.warnings
    assert no_room.startswith(NO_ROOM)
    rows += kept
    found = looking.look().findings
    assert found is not None
    main._publish(tmp_path / "made", found)
    assert main._before(tmp_path / "made").warnings == (no_room,)
    assert found.warnings == [], "it is no news"


def test_the_report_of_the_last_full_run_stays_below(looking: Looking) -> None:
    looking.add(SPOT, "NEW", 2.0)
    looking.add(FUTURES, "NEW", 2.0)
    findings = looking.look().findings
    assert findings is not None
    assert summary(findings)["added"] == ["NEW-USDT (bybit-okx)"]
    assert msgspec.convert(summary(findings), DiscoverySummary) == summary(findings)
    report = texts(findings)["validation_report.txt"]
    assert report.index("NEW-USDT (bybit-okx)") < report.index("FULL")
    assert report.count("FULL") == 1


def test_without_tables_or_sources_a_look_is_an_error(looking: Looking, tmp_path: Path) -> None:
    options = Options(offline=tmp_path, quick=True)
    known = looking.last.known
    with Bars(Console(stderr=True)) as bars:
        for before, kind in (
            (Before(None, known, 1), TableError),
            (Before(looking.last.tables, known, 2), ExchangeError),
        ):
            with pytest.raises(kind):
                asyncio.run(quick.look(looking.settings, options, before, QuickLooks(), bars))


class Program:
    """pair-discovery in this process, on a folder of settings and saved answers."""

    def __init__(self, folder: Path, namespace: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.world = World()
        self.saved = folder / "saved"
        settings = settings_in(folder)
        self.generated = settings.generated_dir
        monkeypatch.setenv("SPREAD_CONFIG_DIR", str(settings.folder))
        monkeypatch.setenv("SPREAD_SYSTEM__NAMESPACE", namespace)

    def run(self, *options: str) -> tuple[int, dict[str, Any]]:
        self.world.write(self.saved)
        arguments = ["--offline", str(self.saved), "--json", *options]
        done = CliRunner().invoke(main.app, arguments)
        line = next((row for row in done.stdout.splitlines() if row.startswith("{")), "{}")
        return done.exit_code, orjson.loads(line)


@pytest.fixture
def program(tmp_path: Path, namespace: str, monkeypatch: pytest.MonkeyPatch) -> Program:
    return Program(tmp_path, namespace, monkeypatch)


def test_as_a_program(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    assert program.run("--quick")[0] == 1, "there are no tables yet"
    code, said = program.run()
    assert (code, said["pairs"]) == (0, 72)
    code, said = program.run("--quick")
    assert (code, said) == (0, {"generation": 1, "added": [], "new": []})
    for label in ROWS:
        for kind, make in ROWS[label].items():
            program.world.rows[label, kind].append(make("NEW", 2.0))
    code, said = program.run("--quick", "--due")
    assert (code, said["generation"], said["added"]) == (0, 1, []), "it is not due"
    monkeypatch.setenv("SPREAD_PAIR_DISCOVERY__LOOK_EVERY_S", "0")
    assert program.run("--quick", "--due")[1]["added"] == [], "it is switched off"
    code, said = program.run("--quick")
    assert (code, said["generation"], said["pairs"]) == (0, 2, 84)
    assert tables.load(program.generated).generation == 2
    assert tables.load_metadata(program.generated).added == (said["added"][0],)
    assert publish.generation_in_force(program.generated) == 2
    report = (program.generated / "validation_report.txt").read_text()
    assert "==== The last full run ====\n\nGeneration 1," in report
    assert program.run("--due")[0] == 2, "--due alone is a usage error"


def test_exit_codes_of_a_list_that_is_not_believed(program: Program) -> None:
    assert program.run()[0] == 0
    program.world.keep("okx-spot", INSTRUMENTS, "BTC")
    code, said = program.run()
    assert (code, said["pairs"]) == (3, 72)
    assert "5 of 6 listings are gone at once" in said["sources"]["okx-spot"]["state"]
    assert any("5 of 6" in row for row in tables.load_metadata(program.generated).warnings)
    code, said = program.run("--accept")
    assert (code, said["sources"]["okx-spot"]["taken"]) == (0, 1)


@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_names_beyond_ascii_are_the_same_json_in_every_locale(
    tmp_path: Path, namespace: str, locale: str
) -> None:
    world = World()
    for label in ROWS:
        for kind, make in ROWS[label].items():
            world.rows[label, kind].append(make("币安人生", 0.2))
    folder = settings_in(tmp_path).folder
    program = Path(__file__).parents[3] / "bins" / "pair-discovery"
    environ = {
        **os.environ,
        "LC_ALL": locale,
        "PYTHONCOERCECLOCALE": "0",
        "PYTHONUTF8": "0",
        "SPREAD_CONFIG_DIR": str(folder),
        "SPREAD_SYSTEM__NAMESPACE": namespace,
    }
    done = subprocess.run(
        [sys.executable, program, "--offline", world.write(tmp_path / "saved"), "--json"],
        env=environ,
        capture_output=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = orjson.loads(done.stdout)
    assert said["pairs"] == 84
    assert "币安人生-USDT" in tables.load(tmp_path / "generated").symbol_names().values()
