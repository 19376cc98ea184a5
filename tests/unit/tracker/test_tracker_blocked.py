"""What is halted or paused, as the tracker sees it: a pair of which no signal can come."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tracking import Tracking, tracking_of

from bed import until
from spread_scanner import config
from spread_scanner.clock import NS_PER_MS
from spread_scanner.schema.enums import DIRECTIONS, EXCHANGE_SOURCES, SwitchKind
from spread_scanner.schema.names import DATABASE_FILE, ENGINE, TRACKER
from spread_scanner.shm import Control
from spread_scanner.shm.operator import Operator
from spread_scanner.tracker.blocked import Blocked
from spread_scanner.tracker.database import read_only
from spread_scanner.tracker.pairs import Pair
from spread_scanner.view.opportunities import Opportunities

WAY = DIRECTIONS[0]
PAIR = Pair(
    direction_id=WAY.direction_id,
    direction=WAY.label,
    symbol_id=1,
    symbol="BBB-USDT",
    spot_source=WAY.spot.source_id,
    futures_source=WAY.futures.source_id,
    legs="",
)
OTHER = DIRECTIONS[5]
ELSEWHERE = PAIR._replace(
    direction_id=OTHER.direction_id,
    direction=OTHER.label,
    symbol="AAA-USDT",
    spot_source=OTHER.spot.source_id,
    futures_source=OTHER.futures.source_id,
)


def test_a_pause_of_the_tracker_is_no_time_that_was_tracked(up_bed: Any) -> None:
    """It ends a run, whose totals stay, and what comes after it is another one."""
    with tracking_of(up_bed) as tracking:
        tracker, clock = tracking.tracker, tracking.tracker.clock
        tracking.enter_signal()
        tracker.turn()

        def turns(condition: Callable[[], bool]) -> None:
            def turned() -> bool:
                tracker.turn()
                return condition()

            until(turned, "the tracker gets there")

        tracking.operator.pause(TRACKER)
        turns(lambda: tracker.process.orders.paused)
        tracker.turn()
        paused_ns = clock.now_ns()
        # A minute of it is over: the run is noted again.
        tracker._next_note_ns = tracker._next_full_ns = tracker._next_commit_ns = 0
        tracking.enter_signal()
        turns(lambda: tracker.writer.idle and clock.now_ns() - paused_ns > 50 * NS_PER_MS)
        tracking.operator.pause(TRACKER, paused=False)
        resumed_ns = clock.now_ns()
        turns(lambda: tracker.tally.totals.get("extended") == 1)
    path = up_bed.settings.data_dir / DATABASE_FILE
    with contextlib.closing(read_only(path)) as connection:
        query = "SELECT started_ns, written_ns, json_extract(totals, '$.signals') FROM runs"
        (began, ended, first), (again, _, second) = connection.execute(query)
    assert began < ended <= paused_ns
    assert resumed_ns <= again
    assert (first, second) == (1, 1)


@pytest.mark.parametrize(
    ("switch", "elsewhere_too"),
    [
        (lambda operator: operator.kill(), True),
        (lambda operator: operator.pause(ENGINE), True),
        (lambda operator: operator.switch(SwitchKind.SOURCE, WAY.spot.label), False),
        (lambda operator: operator.switch(SwitchKind.SOURCE, WAY.futures.label), False),
        (lambda operator: operator.switch(SwitchKind.DIRECTION, WAY.label), False),
        (lambda operator: operator.switch(SwitchKind.SYMBOL, "BBB-USDT"), False),
    ],
)
def test_whatever_silences_the_engine_blocks_the_pair(
    up_bed: Any, switch: Callable[[Operator], object], elsewhere_too: bool
) -> None:
    with (
        Control.attach(up_bed.namespace) as control,
        control.operator() as operator,
        control.claim(ENGINE),
    ):
        assert not Blocked.read(up_bed.settings).anything
        switch(operator)
        blocked = Blocked.read(up_bed.settings)
    assert blocked.anything
    assert blocked.has(PAIR)
    assert blocked.has(ELSEWHERE) == elsewhere_too


@pytest.mark.parametrize(
    ("file", "rule"),
    [
        ("directions.toml", f'[pair."{WAY.label}:BBB-USDT"]\nenabled = false\n'),
        ("directions.toml", '[symbol."BBB-USDT"]\nenabled = false\n'),
        ("directions.toml", f"[direction.{WAY.label}]\nenabled = false\n"),
        ("exchanges.toml", "enabled = false\n"),  # of the last source in the file
    ],
)
def test_what_the_settings_disable_blocks_the_pair(up_bed: Any, file: str, rule: str) -> None:
    assert OTHER.futures is EXCHANGE_SOURCES[-1]
    mine, other = (PAIR, ELSEWHERE) if file == "directions.toml" else (ELSEWHERE, PAIR)
    with (up_bed.folder / "config" / file).open("a") as out:
        out.write(rule)
    blocked = Blocked.read(config.load(up_bed.folder / "config", {}))
    assert blocked.anything
    assert blocked.has(mine)
    assert not blocked.has(other)


@pytest.fixture
def tracking(up_bed: Any) -> Iterator[Tracking]:
    with tracking_of(up_bed) as made:
        yield made


def test_a_halt_makes_the_tracker_look_sparsely_until_a_signal_comes(tracking: Tracking) -> None:
    tracking.enter_signal()
    until(lambda: tracking.sparse() == [False])
    tracking.operator.kill()
    until(lambda: tracking.sparse() == [True])
    tracking.operator.kill(killed=False)
    until(lambda: tracking.sparse() == [True] and not tracking.tracker._blocked.anything)
    tracking.enter_signal()
    until(lambda: tracking.sparse() == [False])


def test_a_pair_that_a_reload_disables_is_shown_and_ends_as_after_an_exit(
    up_bed: Any, tracking: Tracking
) -> None:
    seen = Opportunities(up_bed.settings.data_dir)
    tracking.enter_signal()
    until(lambda: tracking.sparse() == [False])
    rule = f'[pair."{WAY.label}:BBB-USDT"]\nenabled = false\n'
    (up_bed.folder / "config" / "directions.toml").write_text(rule)
    # Another life than the shipped one: over soon after the signal, and not for its legs, of which
    # nobody here has quotes.
    with (up_bed.folder / "config" / "config.toml").open("a") as out:
        out.write("[spread-tracker]\nlife_s_max = 1.0\nstale_hold_ms = 3600000\n")
    tracking.operator.reload(TRACKER)
    until(lambda: tracking.sparse() == [True] or not tracking.sparse())
    until(lambda: not tracking.sparse() and seen.last(1)[0].closed_ns is not None)
    closed = seen.last(1)[0]
    seen.close()
    assert (closed.symbol, closed.direction, closed.reason) == ("BBB-USDT", WAY.label, "expired")
