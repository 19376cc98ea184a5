"""Funding into shared memory, whatever the exchanges answer: a wrong row costs itself at most."""

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from saved_world import COINS, FUNDING, INTERVALS, TICKERS, World, run

from spread_scanner import clock
from spread_scanner.clock import NS_PER_MS
from spread_scanner.config import Settings
from spread_scanner.discovery import funding
from spread_scanner.discovery.asking import Options
from spread_scanner.discovery.report import FundingSummary
from spread_scanner.errors import TableError
from spread_scanner.schema.enums import SOURCE_BY_LABEL
from spread_scanner.schema.funding import FundingFlag, FundingNow, listing_of, unknown
from spread_scanner.shm.faults import AlreadyClaimed, NoSegment
from spread_scanner.shm.funding import FundingTable
from spread_scanner.symbology import publish
from spread_scanner.symbology.tables import Tables

DUE_MS = 1_787_875_200_000
LABELS = ("binance-futures", "bybit-futures", "okx-futures", "mexc-futures")
# Where a source has a coin's rate, and what it calls rate, cap, floor, interval and settlement.
RATE = {
    "binance-futures": (FUNDING, "lastFundingRate"),
    "bybit-futures": (TICKERS, "fundingRate"),
    "okx-futures": (FUNDING, "fundingRate"),
    "mexc-futures": (FUNDING, "fundingRate"),
}
TERMS: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "binance-futures": [
        (FUNDING, {"nextFundingTime": DUE_MS}),
        (INTERVALS, {"adjustedFundingRateCap": "0.02", "adjustedFundingRateFloor": "-0.01"}),
    ],
    "bybit-futures": [(TICKERS, {"nextFundingTime": str(DUE_MS), "fundingCap": "0.005"})],
    "okx-futures": [(FUNDING, {"maxFundingRate": "0.00375", "minFundingRate": "-0.0075"})],
    "mexc-futures": [
        (FUNDING, {"nextSettleTime": DUE_MS, "maxFundingRate": 0.0018, "minFundingRate": -1e-3})
    ],
}
EXPECTED = {  # cap, floor, hours
    "binance-futures": (0.02, -0.01, 4.0),
    "bybit-futures": (0.005, -0.005, 8.0),
    "okx-futures": (0.00375, -0.0075, 8.0),
    "mexc-futures": (0.0018, -0.001, 8.0),
}


class Asked:
    """Tables of six coins everywhere, a funding segment, and saved answers to bend."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.settings = settings
        self.folder = folder
        self.world = World()
        for label, all_terms in TERMS.items():
            for kind, terms in all_terms:
                for row in self.world.rows[label, kind]:
                    row.update(terms)
        self.tables: Tables = run(self.world.write(folder), settings).tables
        publish.publish(settings.generated_dir, self.tables, {})
        self.table = FundingTable.create(settings.config.system.namespace, max_symbols=64)

    def refresh(self, **options: Any) -> FundingSummary:
        self.world.write(self.folder)
        return funding.refresh(self.settings, Options(offline=self.folder, **options))

    def bend(self, label: str, coin: str, value: Any) -> None:
        kind, field = RATE[label]
        self.world.find(label, kind, coin)[field] = value

    def row(self, label: str, coin: str) -> FundingNow | None:
        ids = {row.symbol: row.symbol_id for row in self.tables.symbols}
        return self.table.read(SOURCE_BY_LABEL[label].source_id, ids[f"{coin}-USDT"])

    def known(self, label: str) -> set[str]:
        """The coins whose rate may be used."""
        now_ns = clock.wall_ns()
        return {coin for coin in COINS if not unknown(self.row(label, coin), now_ns)}


@pytest.fixture
def asked(tmp_path: Path, build: Any, namespace: str) -> Iterator[Asked]:
    settings = build.settings(f'[system]\nnamespace = "{namespace}"\nmax_symbols = 64\n')
    made = Asked(tmp_path / "saved", settings)
    with made.table:
        yield made


def test_all_four_tell_rate_bounds_interval_and_settlement(asked: Asked) -> None:
    before_ns = clock.wall_ns()
    asked.bend("okx-futures", "ETH", "-0.0003")
    said = asked.refresh()
    assert said["asked"]
    for label in LABELS:
        nothing_odd = {"listed": len(COINS), "told": len(COINS), "unknown": {}, "failure": ""}
        assert said["sources"][label] == nothing_odd
        row = asked.row(label, "BTC")
        assert row is not None
        assert row.rate == 1e-4
        assert (row.cap, row.floor, row.interval_h) == EXPECTED[label]
        assert row.next_wall_ns == DUE_MS * NS_PER_MS
        assert before_ns <= row.asked_wall_ns <= clock.wall_ns()
        assert (row.flags, row.generation) == (0, asked.tables.generation)
        assert asked.known(label) == set(COINS)
    eth = asked.row("okx-futures", "ETH")
    assert eth is not None
    assert (eth.rate, eth.listing) == (-0.0003, listing_of("ETH-USDT-SWAP"))


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize(
    ("value", "told"),
    [
        (None, False),
        ("", False),
        ("n/a", False),
        ({}, False),
        ([], False),
        ("1e999", False),
        ("nan", False),
        (0.9, True),
        ("-0.9", True),
        (5e300, True),
    ],
)
def test_a_wrong_rate_costs_its_own_contract(
    asked: Asked, label: str, value: Any, told: bool
) -> None:
    """One that is no number leaves what was told before; one that cannot be is told and unknown."""
    asked.refresh()
    asked.bend(label, "ETH", value)
    said = asked.refresh()["sources"]
    others = set(COINS) - {"ETH"}
    assert asked.known(label) == (others if told else set(COINS))
    assert said[label]["told"] == len(COINS) - (not told)
    assert set(said[label]["unknown"]) == ({"ETH-USDT"} if told else set())
    for other in LABELS:
        assert said[other]["failure"] == ""
        assert asked.known(other) >= others


Break = Callable[[Asked, str], None]


def cut(asked: Asked, label: str) -> None:
    path = asked.folder / f"{label}.{RATE[label][0]}.json"
    path.write_bytes(path.read_bytes()[:-9])


def refuse(asked: Asked, label: str) -> None:
    """Each in its own words of status 200, or of an error page."""
    words = {
        "binance-futures": {"code": -1003, "msg": "Way too many requests; IP banned until 1."},
        "bybit-futures": {"retCode": 10006, "retMsg": "Too many visits!", "result": {}},
        "okx-futures": {"code": "50011", "msg": "Too Many Requests", "data": []},
        "mexc-futures": {"code": 510, "msg": "Requests are too frequent"},
    }
    path = asked.folder / f"{label}.{RATE[label][0]}.json"
    path.write_text(json.dumps(words[label]))


def page(asked: Asked, label: str) -> None:
    path = asked.folder / f"{label}.{RATE[label][0]}.json"
    path.write_text("<html>403 Forbidden</html>")


def away(asked: Asked, label: str) -> None:
    (asked.folder / f"{label}.{RATE[label][0]}.json").unlink()


def empty(asked: Asked, label: str) -> None:
    asked.world.rows[label, RATE[label][0]] = []
    asked.world.write(asked.folder)


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("fail", [cut, refuse, page, away, empty])
def test_a_source_that_fails_keeps_what_it_told_and_costs_the_others_nothing(
    asked: Asked, label: str, fail: Break
) -> None:
    asked.refresh()
    first = asked.row(label, "BTC")
    fail(asked, label)
    said = funding.refresh(asked.settings, Options(offline=asked.folder))["sources"]
    assert said[label]["failure"] != ""
    assert said[label]["told"] == 0
    assert asked.row(label, "BTC") == first
    for other in set(LABELS) - {label}:
        assert (said[other]["failure"], said[other]["told"]) == ("", len(COINS))
        newer = asked.row(other, "BTC")
        assert newer is not None
        assert first is not None
        assert newer.asked_wall_ns > first.asked_wall_ns


def test_a_partial_list_leaves_the_rest_as_it_was(asked: Asked) -> None:
    asked.refresh()
    before = asked.row("mexc-futures", "ADA")
    asked.world.keep("mexc-futures", FUNDING, "BTC", "ETH")
    asked.world.rows["mexc-futures", FUNDING].append({"symbol": 7, "fundingRate": []})
    assert asked.refresh()["sources"]["mexc-futures"]["told"] == 2
    assert asked.row("mexc-futures", "ADA") == before
    assert asked.row("mexc-futures", "BTC") != before


def test_terms_that_are_missing_are_those_told_before_of_the_same_listing(asked: Asked) -> None:
    asked.refresh()
    path = asked.folder / f"binance-futures.{INTERVALS}.json"
    asked.world.write(asked.folder)
    path.unlink()
    funding.refresh(asked.settings, Options(offline=asked.folder))
    row = asked.row("binance-futures", "BTC")
    assert row is not None
    assert (row.cap, row.floor, row.interval_h) == EXPECTED["binance-futures"]
    fresh = FundingTable.create(asked.settings.config.system.namespace, max_symbols=64)
    with fresh:  # nothing was told there before
        funding.refresh(asked.settings, Options(offline=asked.folder))
        rows = fresh.snapshot()[SOURCE_BY_LABEL["binance-futures"].source_id]
        told = rows[rows["asked_wall_ns"] > 0]
        assert len(told) == len(COINS)
        missing = FundingFlag.NO_INTERVAL | FundingFlag.NO_CAP | FundingFlag.NO_FLOOR
        assert set(told["flags"]) == {int(missing)}
        assert all(map(math.isnan, told["interval_h"]))


def test_an_interval_that_is_not_named_is_the_usual_one_and_flagged(asked: Asked) -> None:
    asked.world.keep("binance-futures", INTERVALS, "BTC")
    asked.refresh()
    row = asked.row("binance-futures", "ETH")
    assert row is not None
    assert row.interval_h == 8.0
    assert row.flags & FundingFlag.INTERVAL_ASSUMED


def test_a_full_run_writes_what_it_was_told(asked: Asked) -> None:
    findings = run(asked.folder, asked.settings)
    funding.keep(asked.settings, findings.tables, findings.listed)
    assert all(asked.known(label) == set(COINS) for label in LABELS)
    with asked.table.writer():  # somebody else writes just now: what it tells is as new
        funding.keep(asked.settings, findings.tables, findings.listed)


def test_due_asks_once_in_a_while(asked: Asked, virtual_clock: clock.VirtualClock) -> None:
    assert asked.refresh(due=True)["asked"]
    assert not asked.refresh(due=True)["asked"]
    virtual_clock.advance_ms(295_000)
    assert asked.refresh(due=True)["asked"]


def test_what_stands_in_the_way_is_named(asked: Asked, tmp_path: Path) -> None:
    with asked.table.writer(), pytest.raises(AlreadyClaimed):
        asked.refresh()
    (asked.settings.generated_dir / "current").unlink()
    with pytest.raises(TableError, match="run spread-ctl discover"):
        asked.refresh()


def test_without_a_system_there_is_nowhere_to_write(build: Any, namespace: str) -> None:
    settings = build.settings(f'[system]\nnamespace = "{namespace}"\n')
    with pytest.raises(NoSegment):
        funding.refresh(settings, Options())
    funding.keep(settings, Tables(1, 1, (), (), (), (), ()), [])  # a full run goes on
