"""What people and programs are told of the analyst's findings, and that old ones are not told."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from analyst_bed import ENTRY, Lived

from spread_scanner.clock import VirtualClock
from spread_scanner.config import Settings
from spread_scanner.symbology import publish, tables
from spread_scanner.view.analysis import SymbolAnalysis, read
from spread_scanner.view.symbols import UnknownSymbol

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def lived(virtual_clock: VirtualClock, up_bed: Any) -> Iterator[Lived]:  # minutes by its clock
    with contextlib.ExitStack() as stack:
        yield Lived(up_bed, stack.enter_context, virtual_clock)


def enabled(settings: Settings) -> Settings:
    analyst = msgspec.structs.replace(settings.config.spread_analyst, enabled=True)
    config = msgspec.structs.replace(settings.config, spread_analyst=analyst)
    return msgspec.structs.replace(settings, config=config)


def test_findings_are_told_by_names_and_the_unknown_is_none(lived: Lived) -> None:
    lived.seconds(70)
    found = read(lived.bed.settings, "aaa-usdt")
    assert (found.state, found.minutes, found.minutes_wanted) == ("warming", 1, 240)
    (pair,) = found.pairs
    assert (pair.looked_minutes, pair.minutes) == (1, 1)
    assert pair.direction == "binance-bybit"
    assert pair.entry.now_bps == pytest.approx(ENTRY)
    assert pair.entry.quantiles_bps["median"] == pytest.approx(ENTRY)
    assert [one.known for one in pair.entry.weighted] == [True, False, False]
    assert pair.entry.weighted[0].z is None  # it has never moved
    assert pair.exit.reverts_s is None
    assert [cell.source for cell in found.cells] == ["binance-spot", "bybit-futures"]
    second, minute, _ = found.cells[1].bars
    assert (second.bars, second.closed.rsi) == (70, 0.0)
    assert minute.running.ema is None


def test_what_an_analyst_says_that_is_gone_is_not_told(lived: Lived) -> None:
    lived.seconds(3)
    assert read(lived.bed.settings, "AAA-USDT").pairs
    lived.clock.advance_ms(7_000)
    off, away = (read(one, "AAA-USDT") for one in (lived.bed.settings, enabled(lived.bed.settings)))
    assert off == SymbolAnalysis("AAA-USDT", "off", 0, 240, [], [])
    assert away.state == "away"
    with pytest.raises(UnknownSymbol):
        read(lived.bed.settings, "ZZZ-USDT")


def test_what_is_of_other_tables_is_not_told_as_if_it_were_of_these(lived: Lived) -> None:
    """An id may be another coin's by now: the analyst, which has refused them or has yet to take
    them, speaks of the one before."""
    lived.seconds(3)
    loaded = tables.load(lived.bed.settings.generated_dir)
    first, *others = loaded.symbols
    renamed = (msgspec.structs.replace(first, symbol="NEW-USDT"), *others)
    later = msgspec.structs.replace(loaded, generation=loaded.generation + 2, symbols=renamed)
    publish.publish(lived.bed.settings.generated_dir, later, {})
    found = read(enabled(lived.bed.settings), "NEW-USDT")
    assert (found.state, found.pairs, found.cells) == ("away", [], [])
    lived.sampling.prepared(lived.bed.settings)()
    lived.seconds(1)
    found = read(enabled(lived.bed.settings), "NEW-USDT")
    assert found.state == "warming"
    assert found.pairs


@pytest.mark.parametrize("width", [80, 160])
def test_a_person_is_told_in_tables_that_fit(
    lived: Lived, spread_ctl: Run, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    lived.seconds(70)
    code, out, _ = spread_ctl("analysis", "AAA-USDT")
    assert code == 0
    lines = out.splitlines()
    assert "AAA-USDT  warming: 1 of 240 minutes." in lines[0]
    assert max(map(len, lines)) <= width
    assert "reverts" in out
    assert ("usable" in out) == (width == 160)
    assert "99.0" in out  # entry, bps
    assert "5 min" in out
    lived.clock.advance_ms(60_000)
    code, out, _ = spread_ctl("analysis", "AAA-USDT")
    assert "not enabled: set enabled = true in [spread-analyst]" in " ".join(out.split())
