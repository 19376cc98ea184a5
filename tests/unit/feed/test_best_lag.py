"""The source's best lag over hours of a clock that moves when told to: what is LAGGING, what not.

The settings are those that ship: a lag of 2 s above the best, which may rise by 100 ppm.
"""

import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from feed_bed import Bench

from spread_scanner import config
from spread_scanner.clock import NS_PER_S, VirtualClock
from spread_scanner.config import Feed
from spread_scanner.feed import levels
from spread_scanner.feed._board import Board
from spread_scanner.feed._listener import Listener
from spread_scanner.schema.enums import EXCHANGE_SOURCES, QuoteFlag
from spread_scanner.schema.records import TS_ABSENT

SHIPPED = Path(__file__).parents[3] / "config"
SYMBOLS = 20
EVERY_MS = 500
USUAL_S = 0.02
LEARNED_S = 40.0  # three windows of 10 s, and what is left of the one that began before
KNOWN_S = 60.0  # a source that has been heard for so long has learned


class Exchange:
    """Symbols that quote in turn, by a clock that is off and over a path that takes its time."""

    def __init__(self, bench: Bench, machine: VirtualClock) -> None:
        self.bench = bench
        self.machine = machine
        self.off_s = 0.0  # how far its clock is ahead of ours
        self.lag_s = USUAL_S
        self.listener = bench.listener()
        self.update_id = 0
        self.symbols = SYMBOLS
        self.start_ns = machine.mono_ns()

    @property
    def passed_s(self) -> float:
        return (self.machine.mono_ns() - self.start_ns) / NS_PER_S

    def lags(self, listener: Listener | None = None, lag_s: float | None = None) -> bool:
        """The next quote: whether it is LAGGING."""
        self.machine.advance_ms(EVERY_MS)
        self.update_id += 1
        symbol_id = self.update_id % self.symbols
        lag_ns = int((self.lag_s if lag_s is None else lag_s) * NS_PER_S)
        ts_event = self.bench.store.clock.now_ns() - lag_ns + int(self.off_s * NS_PER_S)
        to = listener or self.listener
        assert to.quote(symbol_id, 1.0, 1.0, 2.0, 1.0, ts_event, self.update_id) == "stored"
        return bool(self.bench.read(symbol_id).flags & QuoteFlag.LAGGING)

    def away(self, seconds: float) -> None:
        """No connection is there for so long."""
        self.bench.writer.mark_stale(np.arange(SYMBOLS, dtype=np.uint16))
        self.bench.board.best.lost()
        self.machine.advance_ms(seconds * 1_000)

    def fall_behind(self, seconds: float) -> None:
        """It says nothing for so long, and then what it had to say: no time goes back."""
        self.machine.advance_ms(seconds * 1_000)
        self.lag_s = seconds

    def restart(self, away_s: float) -> None:
        """The feed is started again after so long, and remembers nothing but what is stored."""
        self.machine.advance_ms(away_s * 1_000)
        bench = self.bench
        bench.board = Board(bench.writer, bench.row, bench.store.clock.anchor_ns, 2_000_000_000)
        levels.recall_lag(bench.board, range(SYMBOLS))
        self.listener = bench.listener()

    def lagging_within(self, seconds: float) -> int:
        """How many quotes of the next seconds are LAGGING."""
        end_s = self.passed_s + seconds
        found = 0
        while self.passed_s < end_s:
            found += self.lags()
        return found


@pytest.fixture
def exchange(namespace: str, virtual_clock: VirtualClock) -> Iterator[Exchange]:
    virtual_clock.advance_ms(1_000)  # a time of zero is none
    bench = Bench(namespace)
    yield Exchange(bench, virtual_clock)
    bench.close()


def test_the_allowance_is_what_ships_and_reaches_the_board_as_it_is(exchange: Exchange) -> None:
    settings = config.load(SHIPPED, environ={})
    for source in EXCHANGE_SOURCES:
        feed = settings.feed(source.label)
        assert (feed.lag_drift_ppm, feed.lag_ms_max) == (100.0, 2_000)
    assert exchange.bench.board.best.drift == pytest.approx(Feed().lag_drift_ppm / 1e6)
    assert exchange.bench.board.lag_ns_max == Feed().lag_ms_max * 1_000_000


def test_a_backlog_that_grows_by_9_s_an_hour_is_lagging_when_it_is_2_s(exchange: Exchange) -> None:
    """2,500 ppm for four hours, 36 s in the end: the best must not rise with it."""
    first_s = 0.0
    while exchange.passed_s < 4 * 3_600:
        exchange.lag_s = USUAL_S + 9.0 * exchange.passed_s / 3_600
        lags = exchange.lags()
        if lags and not first_s:
            first_s = exchange.lag_s
        assert lags is bool(first_s), f"after {exchange.passed_s:.0f} s, {exchange.lag_s:.2f} s"
    assert 2.0 < first_s < 2.2


@pytest.mark.parametrize("off_s", [-40.0, -3.0, 3.0, 30.0])
def test_a_clock_that_is_off_is_nobodys_lag(exchange: Exchange, off_s: float) -> None:
    exchange.off_s = off_s
    assert exchange.lagging_within(2 * 3_600) == 0
    assert exchange.lags(lag_s=3.0)


@pytest.mark.parametrize("ppm", [90.0, -90.0, -1_000.0])
def test_a_clock_that_drifts_within_the_allowance_is_nobodys_lag(
    exchange: Exchange, ppm: float
) -> None:
    """8 h at 90 ppm are 2.6 s, more than what is LAGGING. How fast it runs ahead has no bound."""
    found = 0
    while exchange.passed_s < 8 * 3_600:
        exchange.off_s = -ppm * exchange.passed_s / 1e6
        found += exchange.lags()
    assert found == 0
    assert exchange.lags(lag_s=2.2)


def test_a_clock_that_is_set_back_is_learned_anew_by_eight_symbols(exchange: Exchange) -> None:
    """Nothing in a path makes times go back. A symbol shows it that quotes again sooner than the
    clock was set back by, eight must within one window: here each quotes once in 10 s.
    """
    exchange.lagging_within(KNOWN_S)
    exchange.off_s -= 20.0
    found = [exchange.lags() for _ in range(200)]

    learned = found.index(False)
    assert 8 <= learned < 16  # a window may end in the midst of the eight
    assert found == [True] * learned + [False] * (200 - learned)
    assert exchange.lags(lag_s=3.0)


@pytest.mark.parametrize("symbols", [1, 2])
def test_a_clock_that_is_set_back_is_learned_anew_where_few_symbols_quote(
    exchange: Exchange, symbols: int
) -> None:
    """One time that goes back may be one symbol's mistake; fifteen late quotes in a row are not."""
    exchange.symbols = symbols
    exchange.lagging_within(KNOWN_S)
    exchange.off_s -= 20.0

    assert exchange.lagging_within(3_600) == 15
    assert exchange.lags(lag_s=3.0)


@pytest.mark.parametrize("off_s", [20.0, 1.8])
def test_a_clock_that_is_ahead_for_three_windows_and_comes_back_in_the_third(
    exchange: Exchange, off_s: float
) -> None:
    """Two symbols may be dated wrongly by themselves, and ahead of the best that was known. When
    that window is over the best has fallen to a clock that is no more: by more than is late, or by
    less.
    """
    exchange.symbols = 2
    exchange.lagging_within(KNOWN_S)
    windows = exchange.bench.board.best.windows_passed
    while exchange.bench.board.best.windows_passed == windows:
        exchange.lags()
    exchange.off_s = off_s
    exchange.lagging_within(25.0)
    exchange.off_s = 0.0

    assert exchange.lagging_within(3_600) < 15
    assert not exchange.lags(lag_s=1.0)
    assert exchange.lags(lag_s=3.0)


def test_a_symbol_that_is_dated_back_by_itself_sets_no_clock(exchange: Exchange) -> None:
    exchange.symbols = 2
    exchange.lagging_within(KNOWN_S)
    found = [(exchange.lags(), exchange.lags(lag_s=20.0)) for _ in range(600)]
    assert found == [(False, True)] * 600


def in_a_backlog(exchange: Exchange, symbols: int, late: int) -> None:
    """So many quotes of a known exchange have come late by now."""
    exchange.symbols = symbols
    exchange.lagging_within(KNOWN_S)
    exchange.fall_behind(20.0)
    assert all(exchange.lags() for _ in range(late))


@pytest.mark.parametrize("late", [2, 7, 40])
@pytest.mark.parametrize("symbols", [1, 2])
def test_a_quote_that_is_in_time_in_the_midst_of_a_backlog_sets_no_clock(
    exchange: Exchange, symbols: int, late: int
) -> None:
    """The one behind it goes back, from a usual time, and all are late after it, as before it."""
    in_a_backlog(exchange, symbols, late=late)
    assert not exchange.lags(lag_s=USUAL_S)
    assert all(exchange.lags() for _ in range(600))


@pytest.mark.parametrize("symbols", [1, 2])
def test_what_was_late_on_a_connection_that_is_gone_hides_no_clock_that_is_set_back(
    exchange: Exchange, symbols: int
) -> None:
    """Its path was slow; the next one's is not."""
    in_a_backlog(exchange, symbols, late=40)
    exchange.bench.board.best.ended()
    exchange.lag_s = USUAL_S
    assert not any(exchange.lags() for _ in range(2))
    exchange.off_s -= 20.0

    assert exchange.lagging_within(3_600) == 15


@pytest.mark.parametrize("symbols", [1, 2])
def test_a_clock_that_is_set_back_when_a_backlog_is_over_is_learned_anew(
    exchange: Exchange, symbols: int
) -> None:
    in_a_backlog(exchange, symbols, late=40)
    exchange.lag_s = USUAL_S
    assert not any(exchange.lags() for _ in range(8))
    exchange.off_s -= 20.0

    assert exchange.lagging_within(3_600) == 15


def test_quotes_whose_time_is_none_set_no_clock(exchange: Exchange) -> None:
    """What comes after one is of no earlier time, however many symbols have some."""
    exchange.lagging_within(KNOWN_S)
    exchange.lag_s = 5.0
    assert all(exchange.lags() for _ in range(SYMBOLS))
    for symbol_id in range(SYMBOLS):
        exchange.update_id += 1
        exchange.listener.quote(symbol_id, 1.0, 1.0, 2.0, 1.0, TS_ABSENT, exchange.update_id)
    assert all(exchange.lags() for _ in range(600))


def test_one_quote_from_the_future_sets_no_clock_where_one_symbol_quotes(
    exchange: Exchange,
) -> None:
    """The quote behind it goes back, from a time that was none; what is late then is late."""
    exchange.symbols = 1
    exchange.lagging_within(KNOWN_S)
    exchange.lags(lag_s=-20.0)
    exchange.lag_s = 5.0
    assert all(exchange.lags() for _ in range(600))


def test_a_clock_that_is_set_ahead_is_learned_anew_within_four_windows(exchange: Exchange) -> None:
    """On time is on time at once; what is late by the new clock is told when it is learned."""
    exchange.lagging_within(KNOWN_S)
    exchange.off_s += 10.0

    assert exchange.lagging_within(LEARNED_S + 1) == 0
    assert exchange.lags(lag_s=3.0)
    assert not exchange.lags()


@pytest.mark.parametrize("off_s", [0.0, -40.0])
@pytest.mark.parametrize("lag_s", [-3.0, -30.0])
def test_seven_outliers_a_window_condemn_nobody_and_excuse_nobody(
    exchange: Exchange, lag_s: float, off_s: float
) -> None:
    """Dated in the future, or too good to be true by another clock; seven in each 10 s for 2 h."""
    rng = random.Random(f"{lag_s} {off_s}")
    exchange.off_s = off_s
    exchange.lagging_within(KNOWN_S)
    found = 0
    while exchange.passed_s < 2 * 3_600:
        bad = set(rng.sample(range(20), 7))
        found += sum(exchange.lags(lag_s=lag_s if n in bad else USUAL_S) for n in range(20))
    assert found == 0
    assert exchange.lags(lag_s=3.0)


@pytest.mark.parametrize("place", [3, 4, 14, 15, 16, 20, 21, 40])
def test_an_outlier_condemns_nobody_while_little_is_known(exchange: Exchange, place: int) -> None:
    exchange.off_s = -40.0
    found = [exchange.lags(lag_s=-39.0 if number == place else USUAL_S) for number in range(1, 200)]
    assert found.count(True) == 0


def test_one_late_quote_is_lagging_and_no_other_for_it(exchange: Exchange) -> None:
    exchange.lagging_within(KNOWN_S)
    assert exchange.lags(lag_s=2.1)
    assert exchange.lagging_within(3_600) == 0


@pytest.mark.parametrize("known_s", [KNOWN_S, 3_600.0])
def test_a_new_connection_does_not_begin_with_its_backlog_as_the_best(
    exchange: Exchange, known_s: float
) -> None:
    """All connections were lost, and the first that is back brings what is 5 s old, for minutes."""
    exchange.lagging_within(known_s)
    exchange.bench.writer.mark_stale(np.arange(SYMBOLS, dtype=np.uint16))
    late, well = exchange.bench.listener(2), exchange.bench.listener(3)

    assert all(exchange.lags(late, lag_s=5.0) for _ in range(1_200))
    assert not any(exchange.lags(well) for _ in range(20))


@pytest.mark.parametrize("late", [30, 1_200])
@pytest.mark.parametrize("known_s", [5.0, 8.0, 12.0])
def test_a_backlog_is_nobodys_best_while_little_is_known(
    exchange: Exchange, known_s: float, late: int
) -> None:
    """A line that came back within the first seconds brings what is 5 s old, for 15 s or for ten
    minutes, which is most of what is known by then."""
    assert exchange.lagging_within(known_s) == 0
    again, well = exchange.bench.listener(2), exchange.bench.listener(3)

    assert all(exchange.lags(again, lag_s=5.0) for _ in range(late))
    assert not any(exchange.lags(well) for _ in range(200))
    assert exchange.lags(well, lag_s=3.0)


def test_what_came_in_time_between_two_backlogs_is_the_best(exchange: Exchange) -> None:
    """Of the first nobody can tell; the second is late by what came between them."""
    exchange.lag_s = 5.0
    exchange.lagging_within(12.0)
    exchange.lag_s = USUAL_S
    assert exchange.lagging_within(10.0) == 0
    exchange.lag_s = 5.0
    assert all(exchange.lags() for _ in range(1_200))


def test_a_clock_that_no_time_shows_to_be_set_back_early_is_learned_after_a_while(
    exchange: Exchange,
) -> None:
    """By less than the pause of each symbol: like a backlog, but that it does not end."""
    assert exchange.lagging_within(12.0) == 0
    exchange.off_s -= 5.0
    found = [exchange.lags() for _ in range(2_400)]

    learned = found.index(False)
    assert 900 < learned * EVERY_MS / 1_000 < 1_000
    assert found == [True] * learned + [False] * (2_400 - learned)
    assert exchange.lags(lag_s=3.0)


@pytest.mark.parametrize("off_s", [-40.0, 0.0, 30.0])
def test_a_feed_that_is_started_again_in_a_backlog_does_not_take_it_for_the_best(
    exchange: Exchange, off_s: float
) -> None:
    exchange.off_s = off_s
    assert exchange.lagging_within(KNOWN_S) == 0

    exchange.lag_s = 8.0
    exchange.restart(5.0)
    assert all(exchange.lags() for _ in range(300)), "as long as the backlog lasts"
    exchange.lag_s = USUAL_S
    assert exchange.lagging_within(KNOWN_S) == 0


@pytest.mark.parametrize("dead_s", [0.0, 100.0])
def test_a_clock_that_was_set_while_no_feed_was_there_is_learned(
    exchange: Exchange, dead_s: float
) -> None:
    """An exchange that was away for long may have set its clock, and what was late tells nothing:
    a feed that is started again learns what else would be LAGGING for good.
    """
    assert exchange.lagging_within(KNOWN_S) == 0
    exchange.off_s = -10.0
    if not dead_s:  # each symbol comes after as long a time, so that none of theirs goes back
        assert all(exchange.lags() for _ in range(SYMBOLS))
    exchange.restart(dead_s)
    assert exchange.lagging_within(KNOWN_S) == 0


@pytest.mark.parametrize("off_s", [-3.0, -30.0])
@pytest.mark.parametrize("restarts", [False, True])
def test_a_clock_that_was_set_back_unheard_is_learned_within_a_quarter_of_an_hour(
    exchange: Exchange, off_s: float, *, restarts: bool
) -> None:
    """Without a connection, or by a feed that was killed and is there again a moment later."""
    exchange.lagging_within(KNOWN_S)
    if restarts:
        exchange.restart(5.0)
    else:
        exchange.away(5.0)
    exchange.off_s = off_s
    found = [exchange.lags() for _ in range(2_400)]

    learned = found.index(False)
    assert 900 <= learned * EVERY_MS / 1_000 < 960
    assert found == [True] * learned + [False] * (2_400 - learned)
    assert exchange.lags(lag_s=3.0 - off_s)


def test_a_clock_that_is_set_back_unheard_is_learned_though_lines_are_lost_again(
    exchange: Exchange,
) -> None:
    exchange.lagging_within(KNOWN_S)
    exchange.away(5.0)
    exchange.off_s = -5.0
    for _ in range(40):
        exchange.lagging_within(50.0)
        exchange.away(5.0)
    assert exchange.lagging_within(KNOWN_S) == 0


@pytest.mark.parametrize("grows_s", [3.0, -3.0])
def test_a_backlog_after_an_absence_that_changes_is_nobodys_best(
    exchange: Exchange, grows_s: float
) -> None:
    """It is worked off, or grows, by 3 s in a quarter of an hour."""
    exchange.lagging_within(KNOWN_S)
    exchange.away(5.0)
    begin_s, exchange.lag_s = exchange.passed_s, 20.0
    while exchange.passed_s < begin_s + 2 * 3_600 and exchange.lag_s > 4.0:
        assert exchange.lags()
        exchange.lag_s = 20.0 + grows_s * (exchange.passed_s - begin_s) / 900.0


def test_a_backlog_that_began_before_an_absence_is_nobodys_best(exchange: Exchange) -> None:
    exchange.lagging_within(KNOWN_S)
    exchange.lag_s = 5.0
    exchange.lagging_within(20.0)
    exchange.away(5.0)
    assert all(exchange.lags() for _ in range(7_200))
    exchange.lag_s = USUAL_S
    assert exchange.lagging_within(KNOWN_S) == 0


def test_one_window_in_time_after_an_absence_tells_that_the_clock_was_not_set(
    exchange: Exchange,
) -> None:
    exchange.lagging_within(KNOWN_S)
    exchange.away(5.0)
    assert exchange.lagging_within(15.0) == 0
    exchange.lag_s = 5.0
    assert all(exchange.lags() for _ in range(7_200))
