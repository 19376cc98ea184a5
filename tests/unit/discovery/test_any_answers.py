"""Whatever the exchanges answer: a run never raises, and what shrinks is said.

Right answers of all eight sources are bent at some places: fields, rows, whole answers. The run
follows one on the right answers.
"""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from saved_world import World, run, settings_in

from spread_scanner.discovery.report import OK, Findings, summary, texts
from spread_scanner.schema.enums import EXCHANGE_SOURCES
from spread_scanner.symbology import publish, tables

PLACES = sorted(World().rows)
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from(
        ["", "0", "-1", "1e308", "1e-320", "1e999", "nan", "BTC", "USDT", "BTCUSDT", "TRADING"]
    ),
    st.sampled_from(
        ["1", 1, 0, "live", "Trading", "1000BTC", "\ud800", "\x00", "A" * 100, "ß", "A B"]
    ),
    st.lists(st.none(), max_size=2),
    st.dictionaries(st.sampled_from(["a", "symbol"]), st.none(), max_size=2),
)


@st.composite
def bent(draw: st.DrawFn) -> list[tuple[Any, ...]]:
    """What to do to the answers, in order."""
    place = draw(st.sampled_from(PLACES))
    number = st.integers(0, 5)
    one = st.one_of(
        st.tuples(st.just("field"), st.sampled_from(PLACES), number, st.integers(0, 9), ODD),
        st.tuples(st.just("everywhere"), st.just(place), st.integers(0, 9), ODD),
        st.tuples(st.just("drop"), st.sampled_from(PLACES), st.integers(0, 6)),
        st.tuples(st.just("twice"), st.sampled_from(PLACES), number, st.integers(0, 9), ODD),
        st.tuples(st.just("row"), st.sampled_from(PLACES), ODD),
        st.tuples(st.just("body"), st.sampled_from(PLACES), ODD.map(lambda odd: json.dumps(odd))),
        st.tuples(st.just("cut"), st.sampled_from(PLACES), st.integers(0, 400)),
        st.tuples(st.just("bytes"), st.sampled_from(PLACES), st.binary(max_size=30)),
    )
    return draw(st.lists(one, min_size=1, max_size=5))


def has_fields(row: object) -> bool:
    """Whether there is a field to bend: what an earlier step put in may be anything, {} as well."""
    return isinstance(row, dict) and bool(row)


def applied(steps: list[tuple[Any, ...]], folder: Path) -> None:
    """Write the answers, bent."""
    world = World()
    after: list[tuple[Path, bytes | int]] = []
    for kind, place, *how in steps:
        rows = world.rows[place]
        path = folder / f"{place[0]}.{place[1]}.json"
        if kind in ("field", "twice") and how[0] < len(rows) and has_fields(rows[how[0]]):
            row = dict(rows[how[0]])
            row[sorted(row)[how[1] % len(row)]] = how[2]
            rows.append(row) if kind == "twice" else rows.__setitem__(how[0], row)
        elif kind == "everywhere":
            for row in rows:
                if has_fields(row):
                    row[sorted(row)[how[0] % len(row)]] = how[1]
        elif kind == "drop":
            del rows[: how[0]]
        elif kind == "row":
            rows.append(how[0])
        elif kind == "body":
            after.append((path, how[0].encode()))
        elif kind in ("cut", "bytes"):
            after.append((path, how[0]))
    world.write(folder)
    for path, odd in after:
        path.write_bytes(odd if isinstance(odd, bytes) else path.read_bytes()[:odd])


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A run on the right answers, and its settings."""
    top = tmp_path_factory.mktemp("answers")
    configured = settings_in(top)
    return top, configured, run(World().write(top / "saved"), configured)


@settings(
    max_examples=80,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(steps=bent())
def test_any_answers(whole: Any, steps: list[tuple[Any, ...]]) -> None:
    top, configured, first = whole
    applied(steps, top / "saved")
    found = run(top / "saved", configured, first.tables, first.known)
    summary(found)
    said = texts(found)
    assert all(text.encode() for text in said.values())
    folder = top / "generated"
    generation = publish.next_generation(folder)
    made = msgspec.structs.replace(found.tables, generation=generation)
    publish.publish(folder, made, said, found.states, found.warnings)
    assert tables.load(folder).symbols == found.tables.symbols, "what is written can be read"
    for source in EXCHANGE_SOURCES:
        not_silent(first, found, source)


def not_silent(first: Findings, found: Findings, source: Any) -> None:
    """A source that lost more than a fifth of its listings is named."""
    had = {row.exchange_symbol for row in first.tables.of_source(source.source_id)}
    have = {row.exchange_symbol for row in found.tables.of_source(source.source_id)}
    if len(had - have) * 5 > len(had):
        state = found.states[source.label]
        assert state != OK or any(source.label in row for row in found.warnings), source.label
