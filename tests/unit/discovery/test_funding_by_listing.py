"""Funding of one listing after the other, where a source may not be asked for all in one call."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any, TypeVar
from urllib.parse import unquote

import pytest

from spread_scanner import clock
from spread_scanner.discovery import funding
from spread_scanner.discovery.funding import IN_A_ROW_MAX, SOURCE_S_MAX, Writing, ask_each
from spread_scanner.discovery.report import SourceFunding
from spread_scanner.errors import ExchangeError
from spread_scanner.exchanges.adapter import RestRequest
from spread_scanner.exchanges.registry import adapter_of
from spread_scanner.schema.enums import SOURCE_BY_LABEL
from spread_scanner.schema.funding import listing_of, unknown
from spread_scanner.shm.funding import FundingTable
from spread_scanner.sim.rest import Rest
from spread_scanner.sim.universe import Universe
from spread_scanner.symbology.tables import InstrumentRow, SymbolRow, Tables

T = TypeVar("T")
LABELS = ("okx-futures", "mexc-futures")
MAX_SYMBOLS = 256


class SimDesk:
    """The simulator's own answers and limits, asked at the pace that the adapter keeps."""

    def __init__(self, label: str, universe: Universe, per_s: float) -> None:
        self._label, self._per_s = label, per_s
        self._rest = Rest(universe)
        self._now_s = 1_000.0
        self.asked: list[RestRequest] = []
        self.refuse: Callable[[int], bool] = lambda number: False
        self.slow_s = 0.0

    async def get(
        self, kind: str, page: int, request: RestRequest, parse: Callable[[bytes], T]
    ) -> T:
        self.asked.append(request)
        self._now_s += request.weight / self._per_s
        if self.slow_s:
            await asyncio.sleep(self.slow_s)
        if self.refuse(len(self.asked)):
            raise ExchangeError("refused")
        now_ms = clock.wall_ns() // 1_000_000
        path = unquote(request.path)  # as the server has it
        answer = self._rest.handle(self._label, path, request.params, now_ms, self._now_s)
        assert answer.status == 200, answer
        return parse(answer.body)


class Place:
    """Tables of all that a source lists, a desk at it, and where its funding is written."""

    def __init__(self, label: str, namespace: str, build: Any) -> None:
        self.source = SOURCE_BY_LABEL[label]
        off = {label.replace("-", "_"): "funding_bulk = false\n"}
        self.adapter = adapter_of(self.source, build.settings(**off).exchanges[label])
        universe = Universe(seed=3, symbols=60)
        names = sorted(row.exchange_symbol for row in universe.by_source[label] if row.trading)
        symbols = tuple(SymbolRow(n, f"C{n}-USDT", f"C{n}", "USDT") for n in range(len(names)))
        rows = tuple(
            InstrumentRow(
                self.source.source_id, n, name, 1, 1, None, None, None, None, False, False
            )
            for n, name in enumerate(names)
        )
        self.names = names
        self.tables = Tables(7, 0, symbols, rows, (), (), ())
        self.table = FundingTable.create(namespace, max_symbols=MAX_SYMBOLS)
        self.desk = SimDesk(label, universe, self.adapter.rest_weight_per_s)

    def ask(self) -> SourceFunding:
        with self.table.writer() as writer:
            return asyncio.run(
                ask_each(self.adapter, self.desk, Writing(self.table, writer, self.tables))
            )

    def told(self) -> set[str]:
        """Listings whose rate may be used."""
        now_ns = clock.wall_ns()
        return {
            name
            for number, name in enumerate(self.names)
            if not unknown(self.table.read(self.source.source_id, number), now_ns, listing_of(name))
        }


@pytest.fixture(params=LABELS)
def place(request: pytest.FixtureRequest, namespace: str, build: Any) -> Iterator[Place]:
    made = Place(request.param, namespace, build)
    with made.table:
        yield made


def test_every_listing_is_asked_within_the_limits_of_the_exchange(place: Place) -> None:
    assert place.adapter.funding_request() is None
    said = place.ask()
    count = len(place.names)
    assert said == {"listed": count, "told": count, "unknown": {}, "failure": ""}
    assert count > 20, "more than any limit lets through at once"
    assert len(place.desk.asked) == count
    assert place.told() == set(place.names)


def test_what_was_told_longest_ago_is_asked_first(
    place: Place, virtual_clock: clock.VirtualClock
) -> None:
    place.ask()
    virtual_clock.advance_ms(300_000)
    place.desk.asked.clear()
    place.desk.refuse = lambda number: number > 5
    place.ask()
    first = place.desk.asked[:5]
    virtual_clock.advance_ms(300_000)
    place.desk.asked.clear()
    place.desk.refuse = lambda number: False
    place.ask()
    assert place.desk.asked[-5:] == first


def test_a_listing_that_fails_costs_itself(place: Place) -> None:
    place.desk.refuse = lambda number: number in (2, 3, 9)
    said = place.ask()
    assert said["told"] == len(place.names) - 3
    assert said["failure"] == ""
    assert len(place.told()) == said["told"]


def test_a_source_that_refuses_is_left_alone(place: Place) -> None:
    place.desk.refuse = lambda number: number > 4
    said = place.ask()
    assert len(place.desk.asked) == 4 + IN_A_ROW_MAX
    assert said["told"] == 4
    assert "refused" in said["failure"]


def test_what_time_does_not_suffice_for_is_left_for_the_next_time(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(funding, "SOURCE_S_MAX", SOURCE_S_MAX / 600)
    place.desk.slow_s = 0.04
    said = place.ask()
    assert said["told"] < len(place.names)
    monkeypatch.undo()
    place.desk.slow_s = 0.0
    before = list(map(str, place.desk.asked[: said["told"]]))
    place.desk.asked.clear()
    place.ask()
    rest = len(place.names) - said["told"]
    assert not {str(request) for request in place.desk.asked[:rest]} & set(before)
    assert place.told() == set(place.names)
