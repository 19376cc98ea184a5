"""New pairs are told once, symbols without room for as long as they have none."""

from pathlib import Path

import msgspec
import pytest

from spread_scanner import config
from spread_scanner.alerts.news import PairNews
from spread_scanner.symbology import publish
from spread_scanner.symbology.tables import Tables
from spread_scanner.view.conditions.found import of_tables
from spread_scanner.view.tables import TablesInForce

NEVER_H = 1e9  # old tables are another test's
SHIPPED = config.load(Path(__file__).parents[3] / "config", {})
NO_ROOM = "no room for 3 symbols (the first: X-USDT): set [system] max_symbols = 256"


def published(folder: Path, generation: int, warnings: list[str], added: list[str]) -> None:
    empty = Tables(generation, 0, (), (), (), (), ())
    publish.publish(folder, empty, {}, {}, warnings, added)


class Found:
    """What is said of one folder's tables: what lasts, and what is new."""

    def __init__(self, folder: Path) -> None:
        self.in_force = TablesInForce(folder)
        self.news = PairNews(self.in_force)
        alerts = msgspec.structs.replace(SHIPPED.config.spread_alerts, tables_age_h_max=NEVER_H)
        made = msgspec.structs.replace(SHIPPED.config, spread_alerts=alerts)
        self.settings = msgspec.structs.replace(SHIPPED, config=made)


def told(found: Found) -> list[tuple[str, str, bool]]:
    found.in_force.look()
    view = found.in_force.view
    lasting = [] if view is None else of_tables(view, found.in_force.judged_age_s, found.settings)
    return [(row.key, row.text, row.passing) for row in (*found.news.since(), *lasting)]


@pytest.mark.parametrize("first", [0, 1])
def test_what_is_new_in_a_set_is_told_once(tmp_path: Path, first: int) -> None:
    if first:
        published(tmp_path, first, [], ["OLD-USDT (okx-mexc)"])
    found = Found(tmp_path)
    assert told(found) == [], "what was in force at the start is no news"
    published(tmp_path, first + 1, [], ["NEW-USDT (okx-mexc)"])
    key = f"added:{first + 1}"
    assert told(found) == [(key, "new pairs: NEW-USDT (okx-mexc)", True)]
    assert told(found) == []
    published(tmp_path, first + 2, [], [])
    assert told(found) == []
    published(tmp_path, first + 3, [], [f"C{number}-USDT" for number in range(7)])
    ((_, text, _),) = told(found)
    assert text.endswith("C4-USDT and 2 more")


def test_symbols_without_room_are_told_while_there_is_none(tmp_path: Path) -> None:
    published(tmp_path, 1, ["a slip of the pen", NO_ROOM], [])
    found = Found(tmp_path)
    assert told(found) == told(found) == [("room", NO_ROOM, False)]
    published(tmp_path, 2, [], [])
    assert told(found) == []


def test_tables_that_are_not_whole_change_nothing(tmp_path: Path) -> None:
    published(tmp_path, 1, [NO_ROOM], [])
    found = Found(tmp_path)
    published(tmp_path, 2, [], ["NEW-USDT"])
    metadata = tmp_path / "current" / "metadata.json"
    whole = metadata.read_bytes()
    metadata.write_bytes(whole[:20])
    assert told(found) == [("room", NO_ROOM, False)]
    metadata.write_bytes(whole)
    assert told(found) == [("added:2", "new pairs: NEW-USDT", True)]
