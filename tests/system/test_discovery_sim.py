"""pair-discovery as a process against the simulator: the quirks land where they belong.

The simulator's universe is the truth: what is one coin, under which multiplier, on which source.
"""

import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from spread_scanner.schema.enums import (
    DIRECTIONS,
    EXCHANGE_DIRECTIONS,
    EXCHANGE_SOURCES,
    SOURCE_BY_LABEL,
    SOURCES,
    Market,
    ProcessState,
)
from spread_scanner.schema.funding import NS_PER_HOUR, FundingFlag, listing_of, unknown
from spread_scanner.shm import Health, segment
from spread_scanner.shm.funding import FundingTable
from spread_scanner.sim.universe import Universe
from spread_scanner.symbology.tables import Tables, load

ROOT = Path(__file__).parents[2]
SEED, SYMBOLS = 11, 70
NOT_UP = f"absent-{os.getpid()}"
DEADLINE_S = 120.0
# Several runs of a process each; a busy machine takes its time.
pytestmark = pytest.mark.timeout(400)
QUICK = {
    "SPREAD_PAIR_DISCOVERY__VALIDATE_S": "2",
    "SPREAD_PAIR_DISCOVERY__REST_TIMEOUT_S": "2",
    "SPREAD_PAIR_DISCOVERY__REST_BACKOFF_S_MAX": "1.5",
}
IMPATIENT = {"SPREAD_PAIR_DISCOVERY__REST_ATTEMPTS_MAX": "1"}


class Sim(NamedTuple):
    """A running simulator."""

    config: Path
    control: str

    def do(self, **action: Any) -> None:
        assert httpx.post(self.control, json=action).status_code == 200


@contextmanager
def simulator(folder: Path) -> Iterator[Sim]:
    command = [sys.executable, str(ROOT / "bins" / "exchange-sim"), "--config-out", str(folder)]
    command += ["--seed", str(SEED), "--symbols", str(SYMBOLS), "--rate", "3000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield Sim(folder, json.loads(process.stdout.readline())["control"])
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(DEADLINE_S)


@pytest.fixture(scope="module", autouse=True)
def nothing_left() -> Iterator[None]:
    """Whoever dials keeps its turns in shared memory, also where no system is up."""
    yield
    for name in segment.names(NOT_UP):
        segment.remove(name)


@pytest.fixture(scope="module")
def shared_sim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sim]:
    """For tests that leave the market as it is."""
    with simulator(tmp_path_factory.mktemp("sim") / "config") as sim:
        yield sim


@pytest.fixture
def own_sim(tmp_path: Path) -> Iterator[Sim]:
    with simulator(tmp_path / "sim" / "config") as sim:
        yield sim


class Ran(NamedTuple):
    """One finished discovery."""

    code: int
    summary: dict[str, Any]
    log: str


class Place:
    """A config folder of its own with what discovery writes beside it."""

    def __init__(self, folder: Path, sim: Sim) -> None:
        shutil.copytree(sim.config, folder / "config")
        self.config = folder / "config"
        self.generated = folder / "generated"
        self.environ = {
            **os.environ,
            **QUICK,
            "SPREAD_CONFIG_DIR": str(self.config),
            "SPREAD_SYSTEM__NAMESPACE": NOT_UP,
        }

    def run(self, *arguments: str, **environ: str) -> Ran:
        done = subprocess.run(
            [sys.executable, str(ROOT / "bins" / "pair-discovery"), "--json", *arguments],
            env={**self.environ, **environ},
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            check=False,
        )
        return Ran(done.returncode, json.loads(done.stdout or "{}"), done.stderr)

    @property
    def tables(self) -> Tables:
        return load(self.generated)

    @property
    def report(self) -> str:
        return (self.generated / "validation_report.txt").read_text(encoding="utf-8")


@pytest.fixture
def place(tmp_path: Path, shared_sim: Sim) -> Place:
    return Place(tmp_path, shared_sim)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, shared_sim: Sim) -> tuple[Place, Ran]:
    """A place after one full run."""
    place = Place(tmp_path_factory.mktemp("finished"), shared_sim)
    ran = place.run()
    assert ran.code == 0, ran.log
    return place, ran


UNNAMED = FundingFlag.INTERVAL_ASSUMED | FundingFlag.NO_CAP | FundingFlag.NO_FLOOR


def test_funding_of_all_four_lands_in_shared_memory(
    finished: tuple[Place, Ran], namespace: str
) -> None:
    place, ran = finished
    environ = {"SPREAD_SYSTEM__NAMESPACE": namespace}
    assert place.run("--funding", **environ).code == 4, "the system is not up"
    with FundingTable.create(namespace) as table:
        found = place.run("--funding", **environ)
        assert found.code == 0, found.log
        now_ns = time.time_ns()
        assert found.summary["generation"] == ran.summary["generation"]
        for source in EXCHANGE_SOURCES:
            if source.market is not Market.FUTURES:
                continue
            listed = place.tables.of_source(source.source_id)
            said = found.summary["sources"][source.label]
            assert (said["listed"], said["told"]) == (len(listed), len(listed))
            for one in listed:
                row = table.read(source.source_id, one.symbol_id)
                assert row is not None
                assert unknown(row, now_ns, listing_of(one.exchange_symbol)) == ""
                if source.label == "binance-futures" and row.flags:  # fundingInfo names not all
                    assert row.flags == UNNAMED
                else:
                    assert row.flags == 0
                    assert abs(row.rate) < row.cap == -row.floor
                assert 0 < row.next_wall_ns - row.asked_wall_ns <= row.interval_h * NS_PER_HOUR
                assert row.interval_h in (1.0, 4.0, 8.0)


@pytest.mark.slow
def test_funding_of_one_listing_after_the_other_lands_there_too(
    finished: tuple[Place, Ran], namespace: str
) -> None:
    """Slow: within the limits of the exchanges it takes half a minute."""
    place, _ = finished
    config = place.config / "exchanges.toml"
    text = asked = config.read_text(encoding="utf-8")
    for label in ("okx-futures", "mexc-futures"):
        asked = asked.replace(f"[{label}]\n", f"[{label}]\nfunding_bulk = false\n")
    with FundingTable.create(namespace) as table:
        config.write_text(asked, encoding="utf-8")
        found = place.run("--funding", SPREAD_SYSTEM__NAMESPACE=namespace)
        config.write_text(text, encoding="utf-8")
        assert found.code == 0, found.log
        for label in ("okx-futures", "mexc-futures"):
            listed = place.tables.of_source(SOURCE_BY_LABEL[label].source_id)
            said = found.summary["sources"][label]
            assert (said["told"], said["failure"]) == (len(listed), "")
            told = table.snapshot()[SOURCE_BY_LABEL[label].source_id]["asked_wall_ns"]
            assert len(set(told[told > 0].tolist())) == len(listed), "each at a time of its own"


Names = set[tuple[str, str, str]]


def pairs_in(tables: Tables) -> Names:
    """(direction, spot listing, futures listing)."""
    names = {(row.source_id, row.symbol_id): row.exchange_symbol for row in tables.instruments}
    return {
        (
            way.label,
            names[way.spot.source_id, symbol_id],
            names[way.futures.source_id, symbol_id],
        )
        for row in tables.directions
        for way in [DIRECTIONS[row.direction_id]]
        for symbol_id in row.symbol_ids
    }


def true_pairs() -> Names:
    universe = Universe(SEED, SYMBOLS)
    return {
        (way.label, spot.exchange_symbol, futures.exchange_symbol)
        for way, spot, futures in universe.pairs()
    }


def test_the_tables_hold_exactly_the_pairs_that_are_one_coin(finished: tuple[Place, Ran]) -> None:
    place, _ = finished
    assert pairs_in(place.tables) == true_pairs()
    scales = {
        (listing.source.source_id, listing.exchange_symbol): (listing.px_mul, listing.sz_mul)
        for listing in Universe(SEED, SYMBOLS).listings
    }
    for row in place.tables.instruments:
        px_mul, sz_mul = scales[row.source_id, row.exchange_symbol]
        assert row.px_div == px_mul
        assert row.sz_mul == pytest.approx(sz_mul, rel=1e-12)


def test_the_quirks_land_where_they_belong(finished: tuple[Place, Ran]) -> None:
    place, ran = finished
    symbols = (place.generated / "symbols.txt").read_text(encoding="utf-8")
    rows = {row.split("\t")[1]: row.split("\t")[2] for row in symbols.splitlines()[1:]}
    assert "binance-futures:1000PEPEUSDT (x1000)" in rows["PEPE-USDT"]
    assert "binance-spot:PEPEUSDT," in rows["PEPE-USDT"]
    assert "bybit-futures:SHIB1000USDT (x1000)" in rows["SHIB-USDT"]
    assert "bybit-futures:10000SATSUSDT (x10000)" in rows["SATS-USDT"]
    assert "binance-spot:1MBABYDOGEUSDT (x1000000)" in rows["BABYDOGE-USDT"]
    assert "mexc-futures:TRUMPOFFICIAL_USDT" in rows["TRUMP-USDT"]
    assert "MAGATRUMP-USDT" not in rows
    assert {"1INCH-USDT", "0G-USDT", "4-USDT", "2Z-USDT", "币安人生-USDT"} <= set(rows)
    assert "okx" not in rows["AI-USDT"]
    clashes = {row["direction"] for row in ran.summary["quarantined"]}
    assert clashes == {way.label for way in EXCHANGE_DIRECTIONS if "okx" in way.label}
    assert {row["symbol"] for row in ran.summary["quarantined"]} == {"AI-USDT"}
    assert "binance-spot HALTEDUSDT: not trading: BREAK" in place.report
    assert "binance-futures BTCUSDT_261225: contract type current-quarter" in place.report
    assert "okx-futures BTC-USD-SWAP: contract type inverse-perpetual" in place.report
    assert "bybit-futures BTCPERP: quote asset USDC is not taken" in place.report


def test_every_instrument_is_in_the_tables_or_explained(finished: tuple[Place, Ran]) -> None:
    place, ran = finished
    for label, row in ran.summary["sources"].items():
        assert row["listed"] == row["taken"] + row["left_out"] > SYMBOLS, label
    for listing in Universe(SEED, SYMBOLS).by_source["okx-spot"]:
        taken = any(
            row.exchange_symbol == listing.exchange_symbol for row in place.tables.of_source(4)
        )
        assert taken != (f"okx-spot {listing.exchange_symbol}: " in place.report)


@pytest.mark.slow
def test_quiet_listings_are_kept_and_named_or_dropped_on_request(
    finished: tuple[Place, Ran], place: Place
) -> None:
    truly_quiet = {
        (row.source.source_id, row.exchange_symbol)
        for row in Universe(SEED, SYMBOLS).listings
        if row.quiet
    }
    assert truly_quiet, "the seed makes no quiet listing: choose another"
    paired = {(way.spot.source_id, spot) for way, spot, _ in named_pairs()} | {
        (way.futures.source_id, futures) for way, _, futures in named_pairs()
    }
    assert place.run().code == 0
    marked = {(row.source_id, row.exchange_symbol) for row in place.tables.instruments if row.quiet}
    assert marked >= truly_quiet & paired
    ran = place.run(SPREAD_PAIR_DISCOVERY__KEEP_QUIET="false")
    assert ran.code == 0
    kept = {(row.source_id, row.exchange_symbol) for row in place.tables.instruments}
    assert not kept & truly_quiet
    assert "quiet: quoted by REST, silent on the websocket" in place.report


def named_pairs() -> list[tuple[Any, str, str]]:
    by_label = {way.label: way for way in EXCHANGE_DIRECTIONS}
    return [(by_label[label], spot, futures) for label, spot, futures in true_pairs()]


@pytest.mark.slow
def test_refused_listings_are_dropped_and_the_rest_of_their_batch_goes_on(own_sim: Sim) -> None:
    place = Place(own_sim.config.parent.parent, own_sim)
    refused = {
        "bybit-spot": "ETHUSDT",
        "bybit-futures": "SOLUSDT",
        "okx-futures": "ETH-USDT-SWAP",
        "mexc-spot": "XRPUSDT",
        "mexc-futures": "DOGE_USDT",
    }
    for label, symbol in refused.items():
        own_sim.do(do="refuse-symbol", source=label, symbol=symbol)
    ran = place.run()
    assert ran.code == 0, ran.log
    kept = {(SOURCES[row.source_id].label, row.exchange_symbol) for row in place.tables.instruments}
    assert not kept & set(refused.items())
    for label, symbol in refused.items():
        assert f"{label} {symbol}: refused by the websocket: " in place.report
    lost = {row for row in true_pairs() if touches(row, refused)}
    assert pairs_in(place.tables) == true_pairs() - lost
    quiet = sum(row.quiet for row in place.tables.instruments)
    assert quiet < SYMBOLS / 2, "refusals must not silence their neighbours"
    assert place.run(SPREAD_PAIR_DISCOVERY__KEEP_REFUSED="true").code == 0
    assert pairs_in(place.tables) == true_pairs()


def touches(row: tuple[str, str, str], listings: dict[str, str]) -> bool:
    way = next(way for way in EXCHANGE_DIRECTIONS if way.label == row[0])
    return listings.get(way.spot.label) == row[1] or listings.get(way.futures.label) == row[2]


def test_ids_stay_while_symbols_come_and_go(own_sim: Sim) -> None:
    place = Place(own_sim.config.parent.parent, own_sim)
    assert place.run("--no-validate").code == 0
    first = {row.symbol: row.symbol_id for row in place.tables.symbols}
    assert sorted(first.values()) == list(range(len(first)))
    assert place.run("--no-validate").code == 0
    assert place.tables.generation == 2
    assert {row.symbol: row.symbol_id for row in place.tables.symbols} == first
    for source in EXCHANGE_SOURCES:
        own_sim.do(do="delist", source=source.label, symbol="ETH-USDT")
    assert place.run("--no-validate").code == 0
    third = {row.symbol: row.symbol_id for row in place.tables.symbols}
    assert third == {name: id_ for name, id_ in first.items() if name != "ETH-USDT"}
    assert [row.symbol for row in place.tables.freed] == ["ETH-USDT"]


@pytest.mark.slow
def test_rest_faults_that_pass_are_survived(own_sim: Sim) -> None:
    place = Place(own_sim.config.parent.parent, own_sim)
    own_sim.do(do="rest", source="binance-spot", mode="429", count=2, retry_after_s=1)
    own_sim.do(do="rest", source="binance-futures", mode="503", count=2)
    own_sim.do(do="rest", source="bybit-spot", mode="truncated", count=2)
    own_sim.do(do="rest", source="bybit-futures", mode="timeout", count=1)
    own_sim.do(do="rest", source="okx-spot", mode="429", count=1)
    own_sim.do(do="rest", source="okx-futures", mode="503", status=500, count=1)
    own_sim.do(do="rest", source="mexc-spot", mode="truncated", count=1)
    own_sim.do(do="rest", source="mexc-futures", mode="429", count=1)
    # The shipped patience: a 429 without Retry-After stops the address for ten seconds.
    ran = place.run("--no-validate", SPREAD_PAIR_DISCOVERY__REST_BACKOFF_S_MAX="20")
    assert ran.code == 0, ran.log
    assert ran.log.count("REST request failed") >= 10
    assert pairs_in(place.tables) == true_pairs()


def test_a_source_that_is_away_is_left_out_loudly_or_keeps_its_last_known(own_sim: Sim) -> None:
    place = Place(own_sim.config.parent.parent, own_sim)
    away = {"do": "rest", "source": "bybit-spot", "mode": "503"}
    own_sim.do(**away, for_s=3_600)
    ran = place.run("--no-validate", **IMPATIENT)
    assert ran.code == 3
    assert "bybit-spot is away, left out" in ran.log
    without = {row for row in true_pairs() if not row[0].startswith("bybit-")}
    assert pairs_in(place.tables) == without
    shutil.rmtree(place.generated)
    with simulator(own_sim.config.parent / "healthy") as healthy:
        place.environ["SPREAD_CONFIG_DIR"] = str(healthy.config)
        ran = place.run("--no-validate")
        assert ran.code == 0, ran.log
        shutil.copytree(healthy.config.parent / "generated", place.generated, symlinks=True)
    place.environ["SPREAD_CONFIG_DIR"] = str(place.config)
    ran = place.run("--no-validate", **IMPATIENT)
    assert ran.code == 3
    assert "last known listings kept" in ran.log
    assert pairs_in(place.tables) == true_pairs()
    marked = {row.source_id for row in place.tables.instruments if row.last_known}
    assert marked == {2}
    assert all(row.last_known for row in place.tables.of_source(2))


@pytest.mark.slow
def test_a_websocket_that_is_away_is_told_apart_from_silence(own_sim: Sim) -> None:
    place = Place(own_sim.config.parent.parent, own_sim)
    own_sim.do(do="refuse", source="okx-futures", for_s=3_600)
    ran = place.run()
    assert ran.code == 3
    assert ran.summary["sources"]["okx-futures"]["state"].startswith("websocket away: ")
    assert ran.summary["sources"]["okx-futures"]["quiet"] == 0
    assert pairs_in(place.tables) == true_pairs()


def test_nothing_reachable_leaves_everything_as_it_was(tmp_path: Path) -> None:
    with simulator(tmp_path / "sim" / "config") as sim:
        place = Place(tmp_path, sim)
        assert place.run("--no-validate").code == 0
    before = {path: path.lstat().st_mtime_ns for path in place.generated.rglob("*")}
    ran = place.run("--no-validate", **IMPATIENT)
    assert ran.code == 1
    assert "no source could be reached" in ran.log
    assert {path: path.lstat().st_mtime_ns for path in place.generated.rglob("*")} == before


def test_a_result_without_any_pair_is_not_published(place: Place) -> None:
    assert place.run("--no-validate").code == 0
    ran = place.run("--no-validate", SPREAD_PAIR_DISCOVERY__QUOTES='["USTD"]')
    assert ran.code == 1
    assert "no pair is left" in ran.log
    assert place.tables.generation == 1


def test_more_symbols_than_places(place: Place) -> None:
    ran = place.run("--no-validate", SPREAD_SYSTEM__MAX_SYMBOLS="64")
    assert ran.code == 0
    ways: dict[str, int] = {}
    universe = Universe(SEED, SYMBOLS)
    for _, spot, _ in universe.pairs():
        ways[spot.symbol] = ways.get(spot.symbol, 0) + 1
    kept = {row.symbol for row in place.tables.symbols}
    over = set(ran.summary["over_the_limit"])
    assert len(kept) == 64
    assert len(over) == len(ways) - 64 > 0
    assert min(ways[name] for name in kept) >= max(ways[name] for name in over)
    assert all(f"{name}: {ways[name]} directions" in place.report for name in over)
    assert all(row.symbol_id < 64 for row in place.tables.symbols)


def test_saved_answers_give_the_same_tables_offline(place: Place, tmp_path: Path) -> None:
    saved = tmp_path / "saved"
    saved.mkdir()
    assert place.run("--no-validate", "--save", str(saved)).code == 0
    online = place.tables
    assert len(list(saved.iterdir())) >= 16
    ran = place.run("--offline", str(saved))
    assert ran.code == 0, ran.log
    assert ran.summary["validated"] == "none, offline"
    assert place.tables.instruments == online.instruments
    assert place.tables.directions == online.directions
    assert place.tables.funding == online.funding != ()


def test_bad_settings_and_bad_usage_are_exit_2(place: Place, tmp_path: Path) -> None:
    assert place.run(SPREAD_PAIR_DISCOVERY__VALIDATE_S="-1").code == 2
    assert place.run("--offline", str(tmp_path / "nowhere")).code == 2


def test_it_takes_its_row_in_health_where_there_are_segments(place: Place, namespace: str) -> None:
    with Health.create(namespace):
        ran = place.run("--no-validate", SPREAD_SYSTEM__NAMESPACE=namespace)
        assert ran.code == 0, ran.log
        with Health.attach(namespace) as health:
            row = health.read("pair-discovery")
    assert row.state is ProcessState.STOPPED
    assert row.generation == 1
    assert row.counters["symbols"] == len(place.tables.symbols)
    assert row.counters["quarantined"] == 6
    assert row.counters["instruments"] >= 8 * SYMBOLS


def test_a_terminal_gets_bars_and_a_table(place: Place) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, str(ROOT / "bins" / "pair-discovery")]
    environ = {**place.environ, "TERM": "xterm-256color", "COLUMNS": "120"}
    seen = b""
    with subprocess.Popen(command, env=environ, stderr=theirs, stdout=theirs) as process:
        os.close(theirs)
        while True:
            try:
                part = os.read(ours, 65_536)
            except OSError:  # the terminal's other end is closed
                break
            seen += part
        assert process.wait(DEADLINE_S) == 0
    os.close(ours)
    text = seen.decode(errors="replace")
    for expected in ("okx-spot lists", "okx-spot quotes", "━", "left out", "binance-okx"):
        assert expected in text
