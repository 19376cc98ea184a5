"""Whether a leg that was not quoted anew stands: what counts as told, and what does not."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tracker_bed import Bed, make_look, pair

from spread_scanner.clock import NS_PER_MS
from spread_scanner.config import load
from spread_scanner.feed.counting import COUNTER
from spread_scanner.schema.enums import Carries, SignalKind
from spread_scanner.shm.connections import ConnectionRows, Connections
from spread_scanner.shm.layout import CONNECTIONS_MAX
from spread_scanner.tracker.hearing import ConnectionEars, prompt_sources
from spread_scanner.tracker.opportunity import BOTH_RENEWED
from spread_scanner.tracker.sampler import Look

ROOT = Path(__file__).parents[3]
PAIR = pair(0)


@pytest.fixture
def rows(up_bed: Any) -> Iterator[tuple[Connections, ConnectionRows]]:
    with (
        Connections.attach(up_bed.namespace) as connections,
        connections.claim(PAIR.spot_source) as claimed,
    ):
        yield connections, claimed


def bring(row: Any) -> None:
    row.add(COUNTER["messages"])


def test_silence_is_told_when_every_connection_brought_something(rows: Any) -> None:
    connections, claimed = rows
    ears = ConnectionEars(connections, {PAIR.spot_source})
    first, second = claimed.take(), claimed.take()
    notices = claimed.take(Carries.NOTICES)
    assert ears.note(PAIR) == (None, None), "a connection is still on its way"
    for number, row in enumerate((first, second, notices)):
        row.opened(number + 1, 1)
    noted = ears.note(PAIR)
    assert noted is not None
    before, of_futures = noted
    assert of_futures is None, "its channel does not tell every change"
    assert before is not None
    assert len(before) == 2
    bring(first)
    assert not ears.told(PAIR.spot_source, before)
    bring(second)
    assert ears.told(PAIR.spot_source, before)
    assert not ears.told(PAIR.futures_source, before)
    third = claimed.take()
    third.opened(4, 1)  # what it carried before nobody knows
    assert not ears.told(PAIR.spot_source, before)
    claimed.give_back(third)
    assert ears.told(PAIR.spot_source, before)
    second.opened(9, 2)  # another connection by now: what it missed nobody knows
    assert not ears.told(PAIR.spot_source, before)


@pytest.mark.parametrize("of_books", [0, 4])
def test_beyond_the_rows_nobody_can_tell(rows: Any, of_books: int) -> None:
    """Whatever carries books or notices takes rows, too."""
    connections, claimed = rows
    ears = ConnectionEars(connections, {PAIR.spot_source})
    for number in range(CONNECTIONS_MAX):
        carries = Carries.BOOKS if number < of_books else Carries.QUOTES
        claimed.take(carries).opened(number + 1, 1)
    assert ears.note(PAIR) == (None, None)


def test_only_channels_that_tell_every_change_are_believed_in_their_silence() -> None:
    settings = load(ROOT / "config", {})
    quiet = set(range(8)) - prompt_sources(settings)
    assert quiet == {7}, "MEXC's perpetuals are sent three times a second"
    slow = load(ROOT / "config", {"SPREAD_EXCHANGES__MEXC_SPOT__CHANNEL": "100ms"})
    assert set(range(8)) - prompt_sources(slow) == {6, 7}


class TalkingEars:
    """Both legs' connections brought something."""

    def __init__(self, told: set[int]) -> None:
        self.told_of = told

    def note(self, pair: Any) -> Any:
        return ((1, 1),), ((1, 1),)

    def told(self, source_id: int, before: Any) -> bool:
        return bool(before) and source_id in self.told_of


def test_a_probe_says_which_legs_were_renewed(tmp_path: Path) -> None:
    """Legs of old quotes, of new ones, and of one that came with the signal beside the first after
    it."""
    at_once = 50 * NS_PER_MS  # as long ago as the signal
    ages = {0: (10**9, 10**9), 1: (1, 10**9), 2: (1, 1), 3: (at_once, at_once - 1)}

    class Aged(Bed):
        def look(self, symbol_id: int) -> Look:
            spot_age, fut_age = ages[symbol_id]
            return make_look()._replace(spot_age_ns=spot_age, fut_age_ns=fut_age)

    bed = Aged(tmp_path / "tracker.db")
    with contextlib.closing(bed.database):
        for number in range(4):
            bed.push(number, SignalKind.ENTER)
        bed.pop()
        bed.run(60)
        bed.commit()
        asked = "SELECT renewed FROM probes WHERE after_ms = 50 ORDER BY opportunity_id"
        assert bed.rows(asked) == [(0,), (1,), (BOTH_RENEWED,), (2,)]


def test_silent_legs_that_would_have_been_told_count_as_renewed(tmp_path: Path) -> None:
    class Old(Bed):
        def look(self, symbol_id: int) -> Look:
            return make_look()._replace(spot_age_ns=10**9, fut_age_ns=10**9)

    bed = Old(tmp_path / "tracker.db", symbols=1)
    bed.ears = TalkingEars({PAIR.spot_source})
    bed.open()
    with contextlib.closing(bed.database):
        bed.push(0, SignalKind.ENTER)
        bed.pop()
        bed.run(60)
        bed.ears.told_of.add(PAIR.futures_source)
        bed.run(60)
        bed.commit()
        found = bed.rows("SELECT renewed, spot_ask_px FROM probes ORDER BY after_ms LIMIT 2")
        assert found == [(1, 100.0), (BOTH_RENEWED, 100.0)]
