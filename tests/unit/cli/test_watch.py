"""The full-screen view: sorts, filters, pauses, and draws the selected pair."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import msgspec
import numpy as np
import pytest
from textual.coordinate import Coordinate
from textual.pilot import Pilot
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import DataTable, Sparkline, Static

from spread_scanner import config
from spread_scanner.cli import legends
from spread_scanner.cli.watch import (
    ANALYST_COLUMNS,
    NET_AT,
    TABLES_EVERY,
    WatchScreen,
    columns_for,
)
from spread_scanner.config import Settings
from spread_scanner.schema.analysis import (
    AGE_NS_MAX,
    CELL_ANALYSIS_DTYPE,
    PAIR_ANALYSIS_DTYPE,
    AnalysisFlag,
)
from spread_scanner.schema.enums import ReloadOutcome
from spread_scanner.shm import Control, PriceStore
from spread_scanner.shm.analysis import Analysis
from spread_scanner.symbology import tables

KNOWN = AnalysisFlag.USABLE | AnalysisFlag.KNOWN_0 | AnalysisFlag.KNOWN_1
Act = Callable[[WatchScreen, Pilot[None]], Awaitable[None]]


@pytest.fixture
def watching(up_bed: Any) -> Iterator[Callable[[Act], None]]:
    """Runs an act on a screen over two quoted pairs: AAA pays 100 bps gross, BBB 200."""
    loaded = tables.load(up_bed.settings.generated_dir)
    with (
        PriceStore.attach(up_bed.namespace) as store,
        store.writer(0) as spot,
        store.writer(3) as futures,
    ):

        def run(
            act: Act, size: tuple[int, int] = (140, 40), settings: Settings = up_bed.settings
        ) -> None:
            now_ns = store.clock.now_ns()
            for writer in (spot, futures):
                writer.heartbeat(now_ns - store.clock.anchor_ns + 3_600_000_000_000)
            for number, bid in ((0, 101.0), (1, 102.0)):
                spot.write(number, 99.0, 2.0, 100.0, 3.0, now_ns, now_ns, 1)
                futures.write(number, bid, 4.0, 103.0, 5.0, now_ns, now_ns, 1)

            async def drive() -> None:
                app = WatchScreen(settings, loaded, store)
                async with app.run_test(size=size) as pilot:
                    await pilot.pause()
                    await act(app, pilot)

            asyncio.run(drive())

        yield run


def symbols_shown(app: WatchScreen) -> list[str]:
    table: DataTable[Any] = app.query_one("#board", DataTable)
    return [str(table.get_cell_at(Coordinate(row, 0))) for row in range(table.row_count)]


def test_the_highest_net_spread_stands_first_and_keys_turn_the_order(
    watching: Callable[[Act], None],
) -> None:
    async def act(app: WatchScreen, pilot: Pilot[None]) -> None:
        assert symbols_shown(app) == ["BBB-USDT", "AAA-USDT"]
        await pilot.press("n")
        assert symbols_shown(app) == ["AAA-USDT", "BBB-USDT"]
        await pilot.press("s")
        assert symbols_shown(app) == ["AAA-USDT", "BBB-USDT"]
        await pilot.press("s")
        assert symbols_shown(app) == ["BBB-USDT", "AAA-USDT"]

    watching(act)


def test_the_filter_keeps_what_it_names_and_escape_takes_it_back(
    watching: Callable[[Act], None],
) -> None:
    async def act(app: WatchScreen, pilot: Pilot[None]) -> None:
        await pilot.press("slash")
        await pilot.pause()
        await pilot.press("a", "a", "slash", "u")
        await pilot.pause()
        assert symbols_shown(app) == ["AAA-USDT"]
        await pilot.press("enter")
        assert symbols_shown(app) == ["AAA-USDT"]
        await pilot.press("escape")
        await pilot.pause()
        assert len(symbols_shown(app)) == 2

    watching(act)


def test_no_key_goes_to_the_filter_before_it_is_asked_for(
    watching: Callable[[Act], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the screen comes up neither: what had the focus first took the first keys."""
    had: list[str | None] = []
    focus = Screen.set_focus

    def focused(self: Screen[None], widget: Widget | None, *more: Any, **named: Any) -> None:
        had.append(widget.id if widget is not None else None)
        focus(self, widget, *more, **named)

    monkeypatch.setattr(Screen, "set_focus", focused)

    async def act(_: WatchScreen, pilot: Pilot[None]) -> None:
        await pilot.pause()
        assert had
        assert set(had) == {"board"}

    watching(act)


def test_unusable_pairs_are_shown_on_request(watching: Callable[[Act], None]) -> None:
    async def act(app: WatchScreen, pilot: Pilot[None]) -> None:
        await pilot.press("u")
        assert symbols_shown(app) == ["BBB-USDT", "AAA-USDT", "CCC-USDT"]

    watching(act)


def test_a_pause_holds_the_screen_and_says_so(watching: Callable[[Act], None]) -> None:
    async def act(app: WatchScreen, pilot: Pilot[None]) -> None:
        await pilot.press("p")
        refreshes = app._refreshes
        app._tick()
        assert app._refreshes == refreshes
        assert "PAUSED" in str(app.query_one("#summary", Static).render())
        await pilot.press("space")
        app._tick()
        assert app._refreshes > refreshes  # its own timer may have been first

    watching(act)


def test_the_cursor_chooses_the_pair_that_is_drawn(watching: Callable[[Act], None]) -> None:
    async def act(app: WatchScreen, pilot: Pilot[None]) -> None:
        await pilot.press("down")
        await pilot.pause()
        app._tick()
        assert "AAA-USDT" in str(app.query_one("#chosen", Static).render())
        assert len(app.query_one("#spark", Sparkline).data or []) >= 2
        await pilot.press("n")  # the order turns: the chosen pair stays chosen
        assert "AAA-USDT" in str(app.query_one("#chosen", Static).render())

    watching(act)


def test_the_bar_stays_at_the_top_until_a_person_moves_it(
    watching: Callable[[Act], None],
) -> None:
    """It went with the pair that stood first at the start, and with it the view: down, away from
    what pays."""

    async def act(app: WatchScreen, pilot: Pilot[None]) -> None:
        table: DataTable[Any] = app.query_one("#board", DataTable)
        assert symbols_shown(app)[0] == "BBB-USDT"
        for _ in range(2):
            await pilot.press("n")  # another pair is the first, and then the one before
            assert table.cursor_row == 0
            assert bar_and_pane_agree(app)
        await pilot.press("down")  # to AAA
        await pilot.press("n")
        await pilot.press("n")
        assert table.cursor_row == 1
        await pilot.press("escape")
        app._draw()
        assert table.cursor_row == 0
        assert bar_and_pane_agree(app)

    watching(act)


def bar_and_pane_agree(app: WatchScreen) -> bool:
    table: DataTable[Any] = app.query_one("#board", DataTable)
    under_bar = str(table.get_cell_at(Coordinate(table.cursor_row, 0)))
    return under_bar in str(app.query_one("#chosen", Static).render())


@pytest.mark.parametrize("width", [80, 200])
def test_bar_and_pane_agree_and_every_column_has_its_room_and_meaning(
    watching: Callable[..., None], width: int
) -> None:
    async def act(app: WatchScreen, pilot: Pilot[None]) -> None:
        assert bar_and_pane_agree(app)
        await pilot.press("down")  # to AAA
        await pilot.pause()
        assert bar_and_pane_agree(app)
        await pilot.press("n")  # AAA is first now
        await pilot.pause()
        table: DataTable[Any] = app.query_one("#board", DataTable)
        assert table.cursor_row == 0
        assert bar_and_pane_agree(app)
        app._wanted = "BBB"  # AAA is nowhere on the screen any more
        app._draw()
        await pilot.pause()
        assert symbols_shown(app) == ["BBB-USDT"]
        assert bar_and_pane_agree(app)

        assert table.virtual_size.width <= width
        titles = [str(column.label) for column in table.columns.values()]
        assert {"symbol", "direction", "net bps", "size", "carries"} <= set(titles)
        assert ("exit bps" in titles) is (width > 80), "a wide one uses the width"
        assert "z" not in titles, "there is no analyst"
        for title in titles[2:]:
            assert title.split(" ")[0] in legends.SPREADS or not title
        legend = app.query_one("#legend", Static)
        assert not legend.display
        await pilot.press("question_mark")
        assert legend.display
        assert "four taker fees" in str(legend.render())

        app._wanted = "[/x]"  # no markup
        app._draw()
        assert "[/x]" in str(app.query_one("#summary", Static).render())

    watching(act, (width, 30))


def analysed(settings: Settings) -> Settings:
    analyst = msgspec.structs.replace(settings.config.spread_analyst, enabled=True)
    config = msgspec.structs.replace(settings.config, spread_analyst=analyst)
    return msgspec.structs.replace(settings, config=config)


def say(namespace: str, ts_ns: int) -> None:
    """Of AAA, that 40 bps are usual with a deviation of 20, and that it reverts; of BBB nothing."""
    record = np.zeros(1, PAIR_ANALYSIS_DTYPE)
    record["ts"], record["generation"], record["flags"] = ts_ns, 1, KNOWN
    record["usable_share"] = 0.875
    record["entry"]["mean"], record["entry"]["deviation"] = 40.0, 20.0
    record["entry"]["half_life_s"] = 1_234.0
    with Analysis.attach(namespace) as analysis, analysis.writer() as writer:
        nothing = np.zeros(0, np.int64), np.zeros(0, CELL_ANALYSIS_DTYPE)
        writer.write(analysis.layout.pair_at([0], [0]), record, *nothing)


def test_the_pane_says_what_is_not_known_of_the_selected_pair(
    watching: Callable[..., None],
) -> None:
    """The listings of the bed tell no minima, and nobody was asked for funding."""

    async def act(app: WatchScreen, pilot: Pilot[None]) -> None:
        said = str(app.query_one("#chosen", Static).render())
        assert said.splitlines()[-1].strip() == "no minimum, no funding"
        assert "no minimum: " in str(app.query_one("#legend", Static).render())
        app._rows["flags"] = 0
        app._draw()
        assert "no " not in str(app.query_one("#chosen", Static).render())

    watching(act)


@pytest.mark.parametrize("width", [80, 119, 120, 148, 149, 300])
def test_what_the_analyst_says_has_columns_where_there_is_one_and_room(width: int) -> None:
    without = columns_for(width, analyst=False)
    found = columns_for(width, analyst=True)
    assert not without.keys() & ANALYST_COLUMNS.keys()
    assert sum(room + 2 for room in found.values()) <= width
    assert (ANALYST_COLUMNS.keys() <= found.keys()) is (width >= 149)
    assert ("exit bps" in without) is ("exit bps" in found) is (width >= 120)
    assert without.keys() <= found.keys()


@pytest.mark.parametrize("width", [80, 103, 104, 116, 117, 143, 144, 172, 173, 300])
@pytest.mark.parametrize("analyst", [False, True])
def test_what_books_carry_comes_before_wider_figures(width: int, analyst: bool) -> None:
    found = columns_for(width, analyst=analyst, depth=True)
    assert sum(room + 2 for room in found.values()) <= width
    assert "carries" in found
    assert (NET_AT in found) is (width >= 104)
    assert ("" in found) is (width >= 117), "why a pair makes no signal"
    assert ("exit bps" in found) is (width >= 144)
    assert (ANALYST_COLUMNS.keys() <= found.keys()) is (analyst and width >= 173)


def test_thresholds_are_those_that_were_reloaded(
    watching: Callable[..., None], up_bed: Any
) -> None:
    """It showed those of its start for as long as it ran."""

    async def act(app: WatchScreen, pilot: Pilot[None]) -> None:
        folder = up_bed.settings.folder
        text = "[defaults]\nenter_bps = 77.0\nexit_bps = 1.0\n"
        (folder / "directions.toml").write_text(text, encoding="utf-8")
        with Control.attach(up_bed.namespace) as control, control.claim("spread-engine") as slot:
            slot.answer(1, ReloadOutcome.APPLIED, config.load(folder).digest)
            app._refreshes = TABLES_EVERY - 1
            app._tick()
        table: DataTable[Any] = app.query_one("#board", DataTable)
        titles = [str(column.label) for column in table.columns.values()]
        cell = table.get_cell_at(Coordinate(0, titles.index("enter")))
        assert str(cell).strip() == "77.0"

    watching(act)


@pytest.mark.parametrize(
    ("reference_quote", "told"),
    [
        (0.5, "0.5"),
        (0.12345, "0.123"),
        (1_500, "1,500"),
        (25_500, "25.5k"),
        (123_456, "123k"),
        (1e9, "1B"),
    ],
)
def test_net_is_of_the_size_that_the_settings_name(
    watching: Callable[..., None], up_bed: Any, reference_quote: float, told: str
) -> None:
    """Also of one that was reloaded: the column and the line below say which."""

    async def act(app: WatchScreen, pilot: Pilot[None]) -> None:
        table: DataTable[Any] = app.query_one("#board", DataTable)
        assert "net 1,000" in [str(column.label) for column in table.columns.values()]
        folder = up_bed.settings.folder
        text = f"reference_quote = {float(reference_quote)}\n"
        (folder / "pools.toml").write_text(text, encoding="utf-8")
        with Control.attach(up_bed.namespace) as control, control.claim("spread-engine") as slot:
            slot.answer(1, ReloadOutcome.APPLIED, config.load(folder).digest)
            app._refreshes = TABLES_EVERY - 1
            app._tick()
        assert app._depth.sizes_quote.tolist() == [reference_quote]
        titles = [str(column.label) for column in table.columns.values()]
        assert f"net {told}" in titles
        assert "net 1,000" not in titles
        carried = app._depth.look(app._rows)
        carried["rungs"]["net_bps"] = 12.5
        app._depth.look = lambda rows: carried[: len(rows)]  # type: ignore[method-assign]
        app._draw()
        assert f"at {told} 12.50" in str(app.query_one("#chosen", Static).render())
        cell = table.get_cell_at(Coordinate(0, titles.index(f"net {told}")))
        assert str(cell).strip() == "12.50"

    watching(act, (160, 30))


MILLIONS = 12_345_678.0


def test_what_books_carry_is_shown_and_no_digit_is_cut(watching: Callable[..., None]) -> None:
    """A size without its last digits would be another size."""

    async def act(app: WatchScreen, pilot: Pilot[None]) -> None:
        table: DataTable[Any] = app.query_one("#board", DataTable)
        titles = [str(column.label) for column in table.columns.values()]
        carried = app._depth.look(app._rows[:2])
        carried["size_quote"], carried["bounded"] = MILLIONS, True
        carried["rungs"]["net_bps"] = 12.5
        app._depth.look = lambda rows: carried[: len(rows)]  # type: ignore[method-assign]
        app._rows["size_quote"] = MILLIONS
        app._draw()
        row = [str(table.get_cell_at(Coordinate(0, at))) for at in range(len(titles))]
        told = dict(zip(titles, row, strict=True))
        assert told["size"].strip() == ("12,346k" if app.size.width == 80 else "12,345,678")
        assert told["carries"].strip() == ("12,346k+" if app.size.width == 80 else "12,345,678+")
        assert all(
            len(cell) <= column.width
            for cell, column in zip(row, table.columns.values(), strict=True)
        )
        assert "at 1,000 12.50" in str(app.query_one("#chosen", Static).render())

    for width in (80, 160):
        watching(act, (width, 30))


def test_what_the_analyst_says_is_shown_while_it_runs(
    watching: Callable[..., None], up_bed: Any
) -> None:
    async def act(app: WatchScreen, pilot: Pilot[None]) -> None:
        table: DataTable[Any] = app.query_one("#board", DataTable)
        titles = [str(column.label) for column in table.columns.values()]
        assert titles[8:] == ["z", "usable %", "reverts s", "carries", "net 1,000", ""]
        assert table.virtual_size.width <= 175
        assert "off its mean" in str(app.query_one("#legend", Static).render())
        for title in titles[2:]:
            assert title.split(" ")[0] in legends.SPREADS | legends.SPREADS_ANALYSED or not title
        now_ns = app._store.clock.now_ns()
        say(up_bed.namespace, now_ns)
        app._tick()
        assert cells(table, 1) == ["3.0", "88", "1,234"]  # (100 - 40) / 20
        assert cells(table, 0) == ["-", "-", "-"]
        say(up_bed.namespace, now_ns - 2 * AGE_NS_MAX)  # of an analyst that has ended
        app._tick()
        assert cells(table, 1) == ["-", "-", "-"]

    def cells(table: DataTable[Any], row: int) -> list[str]:
        return [str(table.get_cell_at(Coordinate(row, at))).strip() for at in (8, 9, 10)]

    watching(act, (175, 30), analysed(up_bed.settings))
