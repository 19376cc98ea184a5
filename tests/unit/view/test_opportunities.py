"""Opportunities as the tracker stored them."""

from pathlib import Path

import pytest
from database_bed import store

from spread_scanner.view.opportunities import Opportunities


@pytest.mark.parametrize("name", ["plain", "a#b", "a?b", "a%20b"])
def test_opportunities_are_empty_without_a_database_and_newest_first_with_one(
    tmp_path: Path, name: str
) -> None:
    (tmp_path / name).mkdir()
    rows = Opportunities(tmp_path / name)
    assert rows.last(5) == []
    for number in range(3):
        store(tmp_path / name, id=number, symbol="AAA-USDT")
    assert [row.id for row in rows.last(2)] == [2, 1]
    assert [row.id for row in rows.since(0)] == [1, 2]
    assert rows.last(2, symbol="BBB-USDT") == []
    assert rows.last(1)[0].closed_ns is None
    rows.close()
