"""What the feed learns of how often a symbol quotes, and what it must not take for a lesson."""

import random
from collections.abc import Iterator

import pytest
from feed_bed import Bench, push
from picows import WSMsgType

import bed
from spread_scanner.clock import NS_PER_MS, NS_PER_S, VirtualClock
from spread_scanner.config import Feed, SourceSettings
from spread_scanner.exchanges.registry import adapter_of
from spread_scanner.feed._board import STALL_NS
from spread_scanner.feed._listener import Listener
from spread_scanner.feed.freshness import out_of_line, overdue_rule, silence_rule
from spread_scanner.feed.listings import decoder_of
from spread_scanner.schema.records import TS_ABSENT
from spread_scanner.sim.belief import Rhythm
from spread_scanner.symbology.tables import InstrumentRow

SETTINGS = SourceSettings(rest_url="https://rest.test", ws_url="wss://ws.test")
WALL_MS = 1_790_000_000_000
ENOUGH = 16  # intervals that make a rate
MOST_S = 50.0  # of one a second: after so long its silence is out of line


@pytest.fixture
def bench(namespace: str, virtual_clock: VirtualClock) -> Iterator[Bench]:
    """A board takes the clock that is installed when it is made."""
    made = Bench(namespace)
    yield made
    made.close()


def put(listener: Listener, update_id: int) -> None:
    listener.quote(0, 100.0, 1.0, 101.0, 2.0, TS_ABSENT, update_id)


class Rates:
    """A symbol that quotes each second, until it does not; `tier` says by which way."""

    def __init__(self, bench: Bench, time: VirtualClock, tier: str) -> None:
        adapter = adapter_of(bench.source, SETTINGS)
        row = InstrumentRow(1, 0, "BTCUSDT", 1.0, 1.0, None, None, None, None, False, False)
        self.bench, self.time, self.tier = bench, time, tier
        self.listener = bench.listener(decoder=decoder_of(adapter, {"BTCUSDT": row}))
        self.listener.on_ws_connected(None)  # type: ignore[arg-type]
        self.number = 0

    def quote(self, after_s: float, *, news: bool = True) -> None:
        self.time.advance_ms(after_s * 1_000)
        self.number += news
        if self.tier == "slow":
            put(self.listener, self.number)
        else:
            push(self.listener, WSMsgType.TEXT, ticker(self.number))

    def learn(self) -> None:
        for _ in range(200):
            self.quote(1.0)

    @property
    def means_s(self) -> tuple[float, float, float]:
        board = self.bench.board
        found = (board.mean_ns[0], board.news_mean_ns[0], self.listener.mean_read_ns)
        return tuple(float(mean_ns) / NS_PER_S for mean_ns in found)  # type: ignore[return-value]


def ticker(number: int) -> bytes:
    return (
        b'{"e":"bookTicker","u":%d,"s":"BTCUSDT","ps":"BTCUSDT","b":"1.0","B":"1","a":"1.1",'
        b'"A":"1","T":%d,"E":%d,"st":1}' % (number, WALL_MS, WALL_MS)
    )


@pytest.fixture(params=["native", "slow"])
def rates(virtual_clock: VirtualClock, bench: Bench, request: pytest.FixtureRequest) -> Rates:
    virtual_clock.advance_ms(10_000)  # a time of zero is none
    made = Rates(bench, virtual_clock, request.param)
    made.learn()
    assert made.means_s == pytest.approx((1.0, 1.0, 1.0))
    assert bench.counters["native"] == (200 if request.param == "native" else 0)
    return made


def test_a_silence_that_was_heard_is_an_interval_like_any_other(rates: Rates) -> None:
    rates.quote(17.0)
    assert rates.means_s == pytest.approx((2.0, 2.0, 2.0))


def test_a_silence_that_was_asked_about_counts_from_the_asking(rates: Rates) -> None:
    rates.time.advance_ms(400_000)
    rates.bench.board.deafen([0], rates.time.mono_ns())
    rates.listener.deafen(rates.time.mono_ns())
    rates.quote(17.0)
    assert rates.means_s == pytest.approx((2.0, 2.0, 2.0))
    rates.quote(18.0)
    assert rates.means_s == pytest.approx((3.0, 3.0, 3.0)), "only the one that it spans is cut"


def test_an_answer_to_the_asking_makes_nobody_seem_faster(rates: Rates) -> None:
    """OKX and Bybit send what stands as soon as it is asked for, by itself that is no rate."""
    for _ in range(100):
        rates.time.advance_ms(900_000)
        rates.bench.board.deafen([0], rates.time.mono_ns())
        rates.listener.deafen(rates.time.mono_ns())
        rates.quote(0.02)
    assert rates.means_s == pytest.approx((1.0, 1.0, 1.0))


def test_what_was_heard_once_has_no_rate_by_an_answer(
    virtual_clock: VirtualClock, bench: Bench
) -> None:
    virtual_clock.advance_ms(10_000)  # a time of zero is none
    listener = bench.listener()
    put(listener, 1)
    virtual_clock.advance_ms(1_800_000)
    bench.board.deafen([0], virtual_clock.mono_ns())
    virtual_clock.advance_ms(20)
    put(listener, 2)
    for number in range(ENOUGH):
        assert bench.board.mean_ns[0] == bench.board.news_mean_ns[0] == 0.0
        virtual_clock.advance_ms(3_000)
        put(listener, 3 + number)
    assert bench.board.mean_ns[0] == bench.board.news_mean_ns[0] == 3.0 * NS_PER_S


def test_a_coin_that_quotes_seldom_and_at_random_is_never_overdue(
    virtual_clock: VirtualClock, bench: Bench
) -> None:
    """Of two pauses the second is fifty times the first now and then: that is no rate yet."""
    seed = bed.seed()
    rng = random.Random(seed)
    listener, board, rule = bench.listener(), bench.board, overdue_rule(Feed())
    for _ in range(300):
        board.forget([0])
        for number in range(ENOUGH + 4):
            virtual_clock.advance_ms(rng.expovariate(1.0 / 5_000) + 1e-3)
            heard = (board.news_ns, board.news_mean_ns)
            assert not out_of_line(virtual_clock.mono_ns(), *heard, rule, 1.0)[0], number
            put(listener, number + 1)
    assert board.news_mean_ns[0] > NS_PER_S


def test_the_first_intervals_are_a_rate_by_their_mean_and_the_next_ones_move_it(
    virtual_clock: VirtualClock, bench: Bench
) -> None:
    listener = bench.listener()
    for number in range(ENOUGH):
        virtual_clock.advance_ms(2_000 + 100 * number)
        put(listener, number + 1)
        assert bench.board.mean_ns[0] == 0.0
    virtual_clock.advance_ms(2_000 + 100 * ENOUGH)
    put(listener, ENOUGH + 1)
    # The first quote ends no interval: those after it are from 2.1 to 3.6 s.
    assert bench.board.mean_ns[0] / NS_PER_S == pytest.approx(2.85, rel=1e-6)
    virtual_clock.advance_ms(2_850 + 1_600)
    put(listener, ENOUGH + 2)
    assert bench.board.mean_ns[0] / NS_PER_S == pytest.approx(2.95, rel=1e-6)


def test_a_pause_counts_for_no_more_than_the_silence_that_was_out_of_line(rates: Rates) -> None:
    """Nor what is left of one that was asked about; a connection's ends before it is so long."""
    expected = 1.0 + (MOST_S - 1.0) / 16
    rates.quote(700.0)
    assert rates.means_s[:2] == pytest.approx((expected, expected))
    rates.learn()
    rates.time.advance_ms(100_000)
    rates.bench.board.deafen([0], rates.time.mono_ns())
    rates.quote(700.0)
    assert rates.means_s[:2] == pytest.approx((expected, expected), rel=1e-4)


def test_no_pause_counts_for_less_than_the_least_silence_that_is_out_of_line(rates: Rates) -> None:
    rates.bench.board.silence = (200 * NS_PER_S, 2.0)
    rates.quote(201.0)
    assert rates.means_s[:2] == pytest.approx((1.0 + 199.0 / 16,) * 2)


def test_a_pause_among_the_first_intervals_is_the_rate_of_none(
    virtual_clock: VirtualClock, bench: Bench
) -> None:
    listener = bench.listener()
    for number in range(ENOUGH + 1):
        virtual_clock.advance_ms(900_000 if number == 5 else 1_000)
        put(listener, number + 1)
    for mean_ns in (bench.board.mean_ns[0], bench.board.news_mean_ns[0]):
        assert mean_ns / NS_PER_S == pytest.approx((ENOUGH - 1 + MOST_S) / ENOUGH)


@pytest.mark.parametrize("pause_s", [60.0, 3_600.0])
def test_a_symbol_that_has_become_slow_is_out_of_line_a_few_times_and_no_more(
    rates: Rates, pause_s: float
) -> None:
    rng, rule, found = random.Random(bed.seed()), silence_rule(Feed()), []
    board, time = rates.bench.board, rates.time
    for number in range(300):
        time.advance_ms(rng.expovariate(1 / pause_s) * 1_000 + 1)
        late = out_of_line(time.mono_ns(), board.heard_ns, board.mean_ns, rule, 1.0)
        late |= out_of_line(time.mono_ns(), board.news_ns, board.news_mean_ns, rule, 1.0)
        found += [number] if late[0] else []
        rates.quote(0.0)
    assert len(found) <= 6
    assert max(found, default=0) < 20


def test_a_symbol_that_is_only_repeated_keeps_the_rate_of_its_news(rates: Rates) -> None:
    for _ in range(10):
        rates.quote(17.0, news=False)
    heard_s, news_s, _ = rates.means_s
    assert heard_s > 5.0
    assert news_s == pytest.approx(1.0)


@pytest.mark.parametrize("looks", [True, False])
def test_what_was_read_late_because_we_were_stopped_is_no_interval(
    rates: Rates, looks: bool
) -> None:
    """The first read comes before the feed's own look finds that nobody looked."""
    board, time = rates.bench.board, rates.time
    board.looked_ns = time.mono_ns()
    time.advance_ms(40_000)
    if looks:
        board.looked_ns = time.mono_ns() - STALL_NS + NS_PER_MS
    rates.quote(0.0)
    expected = (1.0 + 39.0 / 16) if looks else 1.0
    assert rates.means_s == pytest.approx((expected,) * 3)


def test_the_simulator_learns_the_pace_of_a_connection_as_the_feed_does(
    virtual_clock: VirtualClock, bench: Bench
) -> None:
    """Both judge by it how long the last word of one that fell silent counts."""
    rng = random.Random(bed.seed())
    listener, rhythm = bench.listener(), Rhythm()
    virtual_clock.advance_ms(10_000)  # a time of zero is none
    listener.on_ws_connected(None)  # type: ignore[arg-type]
    rhythm.opened(virtual_clock.mono_ns() / NS_PER_S)
    for number in range(200):
        if number and number % 60 == 0:
            virtual_clock.advance_ms(rng.expovariate(1 / 5_000))
            listener.deafen(virtual_clock.mono_ns())
            rhythm.thawed(virtual_clock.mono_ns() / NS_PER_S, was_deaf=True)
        virtual_clock.advance_ms(rng.expovariate(1 / 130) + 1e-3)
        put(listener, number + 1)
        rhythm.wrote(1, virtual_clock.mono_ns() / NS_PER_S)
        assert rhythm.mean_ns == pytest.approx(listener.mean_read_ns, rel=1e-6), number
        assert rhythm.mean_quotes == pytest.approx(listener.mean_read_quotes)
    assert rhythm.mean_ns > 0
