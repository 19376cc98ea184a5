"""Lists that lose much at once: the source counts as away until it is believed."""

from pathlib import Path
from typing import Any

import pytest
from saved_world import COINS, INSTRUMENTS, TICKERS, World, run

from spread_scanner import clock
from spread_scanner.clock import NS_PER_S
from spread_scanner.config import Settings
from spread_scanner.discovery.checking import check
from spread_scanner.discovery.doubts import Doubts
from spread_scanner.discovery.report import OK, Findings
from spread_scanner.discovery.validate import Heard, Validation
from spread_scanner.schema.enums import SOURCE_BY_LABEL
from spread_scanner.symbology.known import Doubt

ALL = len(COINS) * 12
DEAD: dict[str, dict[str, Any]] = {
    "binance-spot": {"status": "BREAK"},
    "binance-futures": {"status": "SETTLING"},
    "bybit-spot": {"status": "Closed"},
    "bybit-futures": {"status": "Closed"},
    "okx-spot": {"state": "suspend"},
    "okx-futures": {"state": "suspend"},
    "mexc-spot": {"status": "2"},
    "mexc-futures": {"state": 4},
}


class Days:
    """Runs one after the other on one folder of settings, with a wall clock of their own."""

    def __init__(self, folder: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder, self._settings = folder, settings
        self.now_ns = 1_700_000_000 * NS_PER_S
        monkeypatch.setattr(clock, "wall_ns", lambda: self.now_ns)
        self.last: Findings | None = None

    def run(self, world: World, *, after_s: float = 0.0, accept: bool = False) -> Findings:
        self.now_ns += int(after_s * NS_PER_S)
        folder = world.write(self._folder)
        last = self.last
        tables, known = (last.tables, last.known) if last is not None else (None, None)
        self.last = run(folder, self._settings, tables, known, accept=accept)
        return self.last


@pytest.fixture
def days(tmp_path: Path, build: Any, monkeypatch: pytest.MonkeyPatch) -> Days:
    made = Days(tmp_path / "saved", build.settings(), monkeypatch)
    assert pairs(made.run(World())) == ALL
    return made


def pairs(findings: Findings) -> int:
    return sum(len(row.symbol_ids) for row in findings.tables.directions)


def listings(findings: Findings, label: str) -> int:
    return len(findings.tables.of_source(SOURCE_BY_LABEL[label].source_id))


def unlisted(label: str, *left: str) -> World:
    world = World()
    world.keep(label, INSTRUMENTS, *left)
    return world


def unquoted(label: str, *left: str) -> World:
    world = World()
    world.keep(label, TICKERS, *left)
    return world


def halted(label: str, *left: str) -> World:
    world = World()
    for coin in COINS:
        if coin not in left:
            world.find(label, INSTRUMENTS, coin).update(DEAD[label])
    return world


WAYS = {"unlisted": unlisted, "unquoted": unquoted, "halted": halted}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("label", DEAD)
def test_a_source_that_loses_much_at_once_counts_as_away(days: Days, label: str, way: str) -> None:
    """Listed, quoted or trading no more: 2 of 6 are 33 %."""
    found = days.run(WAYS[way](label, "BTC", "ETH", "SOL", "ADA"), after_s=6 * 3_600)
    assert pairs(found) == ALL
    assert listings(found, label) == len(COINS)
    assert found.partial
    assert "2 of 6 listings are gone at once" in found.states[label]
    assert any(label in warning and "gone at once" in warning for warning in found.warnings)
    assert {found.states[other] for other in DEAD if other != label} == {OK}


@pytest.mark.parametrize("way", WAYS)
def test_one_listing_of_six_is_news(days: Days, way: str) -> None:
    found = days.run(WAYS[way]("okx-spot", "BTC", "ETH", "SOL", "ADA", "DOT"))
    assert found.states["okx-spot"] == OK
    assert listings(found, "okx-spot") == len(COINS) - 1
    assert pairs(found) == ALL - 3


@pytest.mark.parametrize("way", WAYS)
def test_two_runs_an_hour_apart_that_agree_are_believed(days: Days, way: str) -> None:
    left = WAYS[way]("okx-spot", "BTC", "ETH")
    assert days.run(left).partial
    assert days.run(left, after_s=1_800).partial, "half an hour is not enough"
    found = days.run(left, after_s=1_801)
    assert not found.partial
    assert listings(found, "okx-spot") == 2
    assert any("okx-spot" in row and "60 min ago: believed" in row for row in found.warnings)
    again = days.run(left, after_s=60)
    assert not again.partial
    assert not any("gone at once" in row for row in again.warnings)


def test_two_runs_that_differ_do_not_agree(days: Days) -> None:
    days.run(unlisted("okx-spot", "BTC"))
    assert days.run(unlisted("okx-spot", "ETH", "SOL", "ADA"), after_s=7_200).partial
    assert days.run(unlisted("okx-spot", "ETH", "SOL", "ADA"), after_s=1_800).partial
    assert not days.run(unlisted("okx-spot", "ETH", "SOL", "ADA"), after_s=1_800).partial


def test_a_run_in_between_that_is_whole_again_ends_the_doubt(days: Days) -> None:
    days.run(unlisted("okx-spot", "BTC"))
    assert not days.run(World(), after_s=1_800).partial
    found = days.run(unlisted("okx-spot", "BTC"), after_s=1_800)
    assert found.partial
    assert found.known.of("okx-spot").doubt == Doubt(days.now_ns, ("BTC-USDT",))


def test_a_source_that_was_away_in_between_is_still_in_doubt(days: Days) -> None:
    days.run(unlisted("okx-spot", "BTC"))
    away = World()
    away.rows["okx-spot", INSTRUMENTS] = []
    assert "empty" in days.run(away, after_s=1_800).states["okx-spot"]
    assert not days.run(unlisted("okx-spot", "BTC"), after_s=1_800).partial


def test_a_clock_that_was_set_back_proves_nothing(days: Days) -> None:
    days.run(unlisted("okx-spot", "BTC"))
    assert days.run(unlisted("okx-spot", "BTC"), after_s=-86_400).partial
    assert days.run(unlisted("okx-spot", "BTC"), after_s=1_800).partial
    assert not days.run(unlisted("okx-spot", "BTC"), after_s=1_800).partial


def test_a_person_can_accept_what_is_seen_now(days: Days) -> None:
    found = days.run(unlisted("okx-spot", "BTC"), accept=True)
    assert not found.partial
    assert listings(found, "okx-spot") == 1
    assert any("accepted" in row for row in found.warnings)


def test_one_that_has_lost_everything_is_believed_by_a_person_alone(days: Days) -> None:
    """Under maintenance Binance has listed one test symbol: 123456, 123 for 456."""
    world = World({"123": 1.0})
    test = world.find("binance-spot", INSTRUMENTS, "123") | {"quoteAsset": "456"}
    bare = World()
    bare.rows["binance-spot", INSTRUMENTS] = [test]
    bare.rows["binance-spot", TICKERS] = world.rows["binance-spot", TICKERS]
    for _ in range(3):
        found = days.run(bare, after_s=7_200)
        assert found.partial
        assert pairs(found) == ALL
        assert "not believed without spread-ctl discover --accept" in found.states["binance-spot"]
    found = days.run(bare, accept=True)
    assert not found.partial
    assert listings(found, "binance-spot") == 0


def test_all_sources_at_once_are_kept_as_they_were(days: Days) -> None:
    world = World({"BTC": 60_000.0})
    found = days.run(world)
    assert pairs(found) == ALL
    assert sum("gone at once" in state for state in found.states.values()) == len(DEAD)


@pytest.mark.parametrize("answer", [{"success": True, "data": None}, {"success": True, "data": []}])
def test_an_empty_quote_list_is_no_list(days: Days, answer: Any, tmp_path: Path) -> None:
    """As exchanges answer under maintenance: code 0, and nothing in it."""
    world = World()
    world.rows["mexc-futures", TICKERS] = answer["data"]
    world.rows["okx-spot", TICKERS] = answer["data"]
    found = days.run(world)
    assert found.partial
    assert pairs(found) == ALL
    for label in ("okx-spot", "mexc-futures"):
        assert "the quote list is empty" in found.states[label]


def test_what_the_settings_take_away_is_no_loss(days: Days, build: Any) -> None:
    days._settings = build.settings(
        directions='[symbols]\ndeny = ["BTC-USDT", "ETH-USDT", "SOL-USDT"]\n'
    )
    found = days.run(World())
    assert not found.partial
    assert pairs(found) == 36
    assert any("3 of the 6 listings of the last tables" in row for row in found.warnings)


def test_what_is_lost_for_another_reason_is_said_with_the_reason(days: Days) -> None:
    """All rows are there, trade and are quoted, but are suddenly something else."""
    world = World()
    for coin in ("BTC", "ETH", "SOL"):
        world.find("okx-spot", INSTRUMENTS, coin)["quoteCcy"] = "USDX"
        world.find("bybit-spot", TICKERS, coin).update(bid1Price="7", ask1Price="7")
    found = days.run(world)
    assert pairs(found) < ALL
    warnings = "\n".join(found.warnings)
    assert "okx-spot: 3 of the 6 listings" in warnings
    assert "3 quote asset USDX is not taken" in warnings
    assert "bybit-spot: 3 of the 6 listings" in warnings
    assert "3 quarantined" in warnings


def test_a_websocket_that_refuses_most_of_a_source_is_not_believed(build: Any) -> None:
    """Refused or silent: as with lists, the last known listings stand."""
    legs = [build.leg("okx-spot", coin, 1.0) for coin in COINS]
    refused = Heard(refusal="60018 no such channel")
    had = {"okx-spot": [leg.exchange_symbol for leg in legs]}
    for count, kept in ((1, 5), (2, 6)):
        heard = {leg.key: refused for leg in legs[:count]}
        doubts = Doubts(had, {}, 1, 20.0, 3_600.0)
        checked = check(legs, Validation(heard, [], {}), build.settings(), doubts)
        assert len(checked.legs) == kept
        assert len(checked.left_out) == len(COINS) - kept
        assert ("okx-spot" in checked.doubted) == (count == 2)
        assert (doubts.standing("okx-spot") is not None) == (count == 2)
    assert "60018" in checked.doubted["okx-spot"]
