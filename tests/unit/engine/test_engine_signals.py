"""What makes a signal, what ends it, and what is counted when there is none."""

import math
from typing import Any

import engine_bed
import numpy as np
import pytest
from engine_bed import MAX_SYMBOLS, NAME, START_NS, Bed, Rules, settings, tables

from spread_scanner import clock
from spread_scanner.clock import VirtualClock
from spread_scanner.config import Settings, SourceSettings, ThresholdOverride
from spread_scanner.engine import _loop, plan
from spread_scanner.engine.core import Engine
from spread_scanner.errors import TableError
from spread_scanner.schema.counters import ENGINE_COUNTERS
from spread_scanner.schema.enums import (
    DIRECTIONS,
    EXCHANGE_SOURCES,
    SOURCES,
    QuoteFlag,
    SignalKind,
    SwitchKind,
    Verdict,
)
from spread_scanner.schema.records import (
    FOLLOW_UP_DTYPE,
    SIGNAL_AGED,
    SIGNAL_DTYPE,
    SIGNAL_FUNDING_UNKNOWN,
    SIGNAL_LEG_LOST,
    SIGNAL_MINIMUM_UNKNOWN,
)
from spread_scanner.shm.faults import AlreadyClaimed, Retired, RingCorrupt
from spread_scanner.shm.price_store import PriceStore
from spread_scanner.symbology.tables import FundingRow, QuarantineRow
from spread_scanner.view import evaluations

ENTER, RESIGNAL, EXIT, _ = map(int, SignalKind)


def test_native_numbers_are_those_of_the_schema() -> None:
    assert {
        "pair": plan.PAIR_DTYPE.itemsize,
        "signal": SIGNAL_DTYPE.itemsize,
        "follow_up": FOLLOW_UP_DTYPE.itemsize,
    } == _loop.SIZES
    assert [row.label for row in ENGINE_COUNTERS][: _loop.COUNTERS][-1] == "books_missed"
    assert plan.PAIR_DTYPE.itemsize == plan.PAIR_BYTES


def test_a_quote_in_any_line_of_the_bitmap_is_taken(
    namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bitmap of 20 words a source: two whole lines, and a part of one."""
    monkeypatch.setattr(engine_bed, "MAX_SYMBOLS", 1_280)
    symbols = 1_280
    with Bed(namespace, settings(), tables(symbols)) as bed:
        while bed.engine.loop.step(bed.now_ns):
            pass  # everything is dirty at first
        for symbol in (0, 63, 64, 511, 512, 575, 1_023, 1_024, 1_279):
            bed.spread(15, symbol_id=symbol)
            assert bed.step(1)["symbol_id"].tolist() == [symbol]
        for symbol in (448, 960, 1_216):
            bed.spread(15, symbol_id=symbol)
        assert bed.step(1)["symbol_id"].tolist() == [448, 960, 1_216]


def test_a_spread_enters_signals_again_a_step_higher_and_exits(namespace: str) -> None:
    with Bed(namespace) as bed:  # enter 10, exit 5, step 5
        assert bed.kinds() == []
        for net, expected in [
            (9.9, []), (10.1, [ENTER]), (14.9, []), (15.2, [RESIGNAL]), (20.0, []),
            (20.3, [RESIGNAL]), (5.1, []), (4.9, [EXIT]), (9.0, []), (30, [ENTER]),
        ]:  # fmt: skip
            bed.spread(net)
            assert bed.kinds(1) == expected, net
        assert bed.count("signals") == 5
        assert (bed.count("signals_enter"), bed.count("signals_resignal")) == (2, 2)
        assert bed.count("signals_exit") == 1
        assert bed.health.read(NAME).counters["signals"] == 5
        assert bed.health.read(NAME).latencies["recv_to_signal"].total == 5


def test_both_legs_moving_at_once_are_no_spread(namespace: str) -> None:
    """Both cells are copied before anything is evaluated."""
    with Bed(namespace) as bed:
        bed.spread(0)
        bed.step()
        bed.quote(0, 200, 201)
        bed.quote(3, 201, 202)
        assert bed.kinds(1) == []


def test_over_threshold_is_the_sum_of_its_verdicts(namespace: str) -> None:
    given = settings({"cooldown_ms": 5, "size_quote_min": 500}, stale_ms_max=100)
    with Bed(namespace, given) as bed:
        random = np.random.default_rng(7)
        for _ in range(500):
            bed.spread(float(random.uniform(0, 25)), direction_id=int(random.integers(0, 12)))
            if random.random() < 0.2:
                bed.quote(0, 99, 100, ask_sz=float(random.integers(1, 9)))
            bed.step(float(random.integers(1, 40)))
        reasons = [row.label for row in ENGINE_COUNTERS if row.label.startswith("no_")]
        labels = [*reasons, "held", "signals_enter", "signals_resignal"]
        parts = {label: bed.count(label) for label in labels}
        assert bed.count("over_threshold") == sum(parts.values())
        assert all(parts[label] > 0 for label in ("no_size", "held", "no_cooldown")), parts


@pytest.mark.parametrize(
    ("label", "given", "quoted"),
    [
        ("no_fee", settings(fees={"bybit-futures": 4}), {}),
        ("no_size", settings({"size_quote_min": 1_001}), {}),
        ("no_skew", settings(skew_ms_max=10), {"age_ms": 11, "flags": int(QuoteFlag.OVERDUE)}),
        ("no_stale_leg", settings(stale_ms_max=10), {"age_ms": 11}),
        ("no_stale_leg", settings(), {"flags": 2}),
        ("no_paused", settings({"enabled": False}), {}),
    ],
)
def test_no_signal_has_its_reason(
    namespace: str, label: str, given: Settings, quoted: dict[str, float]
) -> None:
    with Bed(namespace, given) as bed:
        bed.spread(15)
        bed.quote(0, 99, 100, **quoted)  # type: ignore[arg-type]
        assert bed.kinds() == []
        assert bed.count(label) == bed.count("over_threshold") == 1


@pytest.mark.parametrize(
    ("flags", "age_ms"), [(0, 60_000), (int(QuoteFlag.OVERDUE), 9)], ids=["quiet", "not so far"]
)
def test_a_leg_that_is_only_quiet_or_only_a_little_behind_gives_its_signal(
    namespace: str, flags: int, age_ms: float
) -> None:
    with Bed(namespace, settings(skew_ms_max=10)) as bed:
        bed.spread(15)
        bed.quote(0, 99, 100, age_ms=age_ms, flags=flags)
        assert bed.kinds() == [SignalKind.ENTER]


def test_a_leg_whose_price_jumped_gives_no_signal(namespace: str) -> None:
    with Bed(namespace) as bed:
        bed.spread(15)
        bed.quote(0, 99, 100, flags=int(QuoteFlag.JUMPED))
        assert bed.kinds() == []
        assert bed.count("no_implausible") == bed.count("over_threshold") == 1
        (kept,) = bed.evaluations.recent(limit=5)
        assert kept["verdict"] == Verdict.IMPLAUSIBLE
        assert kept["spot_flags"] == int(QuoteFlag.JUMPED), "nothing else is wrong with it"
        shown = evaluations.evaluation_of(kept, bed.session_ns)
        assert "level" in shown.meaning
        bed.quote(0, 99, 100, flags=int(QuoteFlag.JUMPED | QuoteFlag.SILENT))
        assert bed.kinds() == []
        assert bed.count("no_stale_leg") == 1


def test_a_quarantined_pair_is_counted_and_never_signalled(namespace: str) -> None:
    symbols = tables(1, quarantine=(QuarantineRow(0, "C0-USDT", "other coin"),))
    with Bed(namespace, symbols=symbols) as bed:
        bed.spread(115)  # what it usually earns is not learned: 100 bps are its widths
        assert bed.kinds() == []
        assert bed.count("no_quarantined") == 1


def test_a_leg_that_dies_exits_without_a_new_quote(namespace: str) -> None:
    with Bed(namespace, settings(stale_ms_max=500)) as bed:
        bed.spread(15)
        assert bed.kinds() == [ENTER]
        bed.quote(3, 100.15, 101)
        assert bed.kinds(499) == []
        lost = bed.step(2)  # spot is 501 ms old, the perpetual 2 ms
        assert list(lost["kind"]) == [EXIT]
        assert lost["flags"][0] & SIGNAL_LEG_LOST
        assert bed.count("stale_exits") == 1


def test_after_a_suspend_a_feed_counts_once_it_has_beaten_anew(namespace: str) -> None:
    """With a heartbeat limit that the sleep does not exceed: else the age alone would say it."""
    given = settings(system={"heartbeat_ms_max": 60_000})
    with clock.use(VirtualClock(mono_ns=START_NS)) as machine, Bed(namespace, given) as bed:

        def kinds() -> list[int]:
            bed.engine.loop.run(0)
            return [int(kind) for kind in bed.consumer.pop_many(100)["kind"]]

        bed.spread(15)
        assert kinds() == [ENTER]
        machine.advance_ms(5_000)
        assert kinds() == [], "stopped for a while: no suspend"
        machine.suspend_ms(900)
        assert kinds() == [], "too short to be one"
        machine.suspend_ms(5_000)
        assert kinds() == [EXIT]
        bed.spread(20)
        assert kinds() == [], "a quote from a feed that has not noticed"
        bed.now_ns = machine.mono_ns()
        bed.beat()
        assert kinds() == [ENTER]


def test_a_silent_feed_loses_its_legs_and_gets_them_back(namespace: str) -> None:
    given = settings(system={"heartbeat_ms_max": 1_000})
    with Bed(namespace, given) as bed:
        bed.spread(15)
        assert bed.kinds() == [ENTER]
        bed.now_ns += 900_000_000
        bed.beat(0, 1, 2, 4, 5, 6, 7)
        lost = bed.step(101)
        assert [(row["kind"], row["flags"] & SIGNAL_LEG_LOST) for row in lost] == [
            (EXIT, SIGNAL_LEG_LOST)
        ]
        bed.beat(3)  # the same quote stands again, and no cell is dirty
        assert bed.kinds() == [ENTER]


def test_a_feed_that_was_replaced_makes_its_old_quotes_unusable(namespace: str) -> None:
    with Bed(namespace) as bed:
        bed.spread(15)
        assert bed.kinds() == [ENTER]
        bed.writers[3].close()
        bed.writers[3] = bed.store.writer(3)
        bed.beat(3)
        assert bed.kinds() == [EXIT]
        bed.quote(3, 100.15, 101)
        assert bed.kinds() == [ENTER]


def test_after_an_exit_the_pair_cools_down_and_then_enters_by_itself(namespace: str) -> None:
    with Bed(namespace, settings({"cooldown_ms": 50})) as bed:
        for net in (15, 0, 15):
            bed.spread(net)
            bed.step(1)
        assert bed.count("no_cooldown") == 1
        assert bed.kinds(48) == []
        assert bed.kinds(1) == [ENTER]


FUNDING = (FundingRow(3, 0, 0.0005, 8.0), FundingRow(5, 0, 0.0005, None))


@pytest.mark.parametrize(
    ("held", "carry_bps"),
    [
        ({}, 0.0),
        ({"hold_h": 7.0}, 0.0),  # what is received counts for nothing
        ({"hold_h": 7.0, "funding_credit": True}, -5.0 * 1.01),  # of what is sold: it is worth more
        ({"hold_h": 9.0, "funding_credit": True}, -10.0 * 1.01),
    ],
)
def test_funding_of_the_crossed_settlements_counts_if_it_is_paid_or_wanted(
    namespace: str, held: dict[str, Any], carry_bps: float
) -> None:
    with Bed(namespace, settings(**held), tables(1, funding=FUNDING)) as bed:
        bed.spread(100)
        (signal,) = bed.step()
        assert signal["carry_bps"] == pytest.approx(carry_bps)
        assert signal["net_bps"] == signal["gross_bps"] - signal["carry_bps"]
        assert not signal["flags"] & SIGNAL_FUNDING_UNKNOWN


def test_unknown_funding_is_said_and_charged_only_for_a_settlement_that_is_crossed(
    namespace: str,
) -> None:
    with Bed(namespace, symbols=tables(1, funding=FUNDING)) as bed:
        bed.spread(15, direction_id=1)
        (signal,) = bed.step()
        assert signal["carry_bps"] == 0.0
        assert signal["flags"] & SIGNAL_FUNDING_UNKNOWN
        bed.settings = settings(hold_h=0.5)
        bed.end()
        bed.start(tables(1, funding=FUNDING))
        bed.spread(400, direction_id=1)
        assert bed.kinds() == []  # up to 500 bps may be charged
        assert bed.count("no_fee") == 1


def test_fees_are_of_two_entries_and_two_exits(namespace: str) -> None:
    with Bed(namespace, settings(fees={"binance-spot": 10, "bybit-futures": 5.5})) as bed:
        bed.spread(50)
        assert list(bed.step()["fees_bps"]) == [31.0]


@pytest.mark.parametrize("what", ["kill", "process", "source", "direction", "symbol"])
def test_a_switch_stops_signals_at_once_and_lifting_it_enters_what_stands(
    namespace: str, what: str
) -> None:
    def turn(on: bool) -> None:
        if what == "kill":
            bed.operator.kill(killed=on)
        elif what == "process":
            bed.operator.pause(NAME, paused=on)
        else:
            names = {
                "source": SOURCES[3].label,
                "direction": DIRECTIONS[0].label,
                "symbol": "C0-USDT",
            }
            bed.operator.switch(SwitchKind[what.upper()], names[what], on=on)

    with Bed(namespace) as bed:
        bed.spread(15)
        assert bed.kinds() == [ENTER]
        bed.spread(40)
        turn(True)
        assert bed.kinds() == []
        bed.spread(0)
        assert bed.kinds() == []  # not even the exit
        bed.spread(20)
        assert bed.kinds() == []
        assert bed.count("no_killed" if what == "kill" else "no_paused") >= 1
        turn(False)
        assert bed.kinds() == [ENTER]


def test_a_pause_follows_the_coin_when_new_tables_give_it_another_id(namespace: str) -> None:
    """The operator said BTC, not "whatever has id 0 tomorrow"."""
    before = {0: "BTC-USDT", 1: "ETH-USDT"}
    with Bed(namespace, symbols=tables(2, names=before)) as bed:
        bed.operator.switch(SwitchKind.SYMBOL, "BTC-USDT")
        bed.spread(20, symbol_id=0)
        bed.spread(20, symbol_id=1)
        assert [int(row["symbol_id"]) for row in bed.step()] == [1]

        after = {0: "ETH-USDT", 1: "BTC-USDT", 2: "XRP-USDT"}
        bed.engine.load(bed.settings, tables(3, names=after, generation=2))
        bed.know()
        for symbol_id in range(3):
            bed.spread(25, symbol_id=symbol_id)
        assert sorted(int(row["symbol_id"]) for row in bed.step()) == [0, 2]

        bed.engine.load(bed.settings, tables(1, names={0: "XRP-USDT"}, generation=3))
        bed.engine.load(bed.settings, tables(1, names={0: "BTC-USDT"}, generation=4))
        bed.know()
        bed.spread(30)
        assert bed.kinds() == []  # it had left the tables, and is still meant

        bed.operator.switch(SwitchKind.SYMBOL, "BTC-USDT", on=False)
        assert bed.kinds() == [ENTER]


def test_a_full_ring_drops_counts_and_never_blocks(namespace: str) -> None:
    with Bed(namespace, symbols=tables(4), slots=2) as bed:
        for symbol_id in range(4):
            bed.spread(15, symbol_id=symbol_id)
        bed.engine.loop.step(bed.now_ns)
        assert bed.ring.counters()[:4] == (4, 0, 2, 2)
        assert bed.count("ring_full") == 2
        first = bed.consumer.pop_many(10)
        second = bed.step(5)  # tried again once there is room
        assert list(first["symbol_id"]) + list(second["symbol_id"]) == [0, 1, 2, 3]
        assert list(first["seq"]) + list(second["seq"]) == [0, 1, 2, 3]


def test_an_exit_that_met_a_full_ring_is_tried_again(namespace: str) -> None:
    with Bed(namespace, slots=1) as bed:
        bed.spread(15)
        bed.engine.loop.step(bed.now_ns)
        bed.spread(0)
        bed.engine.loop.step(bed.now_ns)
        assert bed.count("ring_full") == 1
        assert [int(kind) for kind in bed.consumer.pop_many(1)["kind"]] == [ENTER]
        assert bed.kinds(5) == [EXIT]


def test_positions_that_cannot_be_are_an_error_and_not_followed(namespace: str) -> None:
    with Bed(namespace, slots=2) as bed:
        held = bed.consumer._held
        held.words.store(bed.ring.layout.control_at + 128, 2**40)
        for number in range(3):
            bed.spread(15, direction_id=number)
        with pytest.raises(RingCorrupt):
            bed.step()
        assert bed.ring.position == 0


def test_a_bounded_cycle_leaves_the_rest_dirty_and_loses_nothing(namespace: str) -> None:
    with Bed(namespace, settings(dirty_per_cycle_max=3), tables(60)) as bed:
        while bed.engine.loop.rescan_left or bed.count("dirty") < 8 * 60:
            bed.step(1)
        for symbol_id in range(60):
            bed.spread(15, symbol_id=symbol_id)
        before, found = bed.count("dirty"), []
        for cycle in range(1, 41):
            found += [int(symbol) for symbol in bed.step()["symbol_id"]]
            assert bed.count("dirty") - before <= 3 * cycle
        assert sorted(found) == list(range(60))
        assert bed.count("bounded") > 30


def test_a_reload_keeps_who_is_in_and_forgets_who_left(namespace: str) -> None:
    with Bed(namespace, symbols=tables(3)) as bed:
        for symbol_id in range(3):
            bed.spread(15, symbol_id=symbol_id)
        assert bed.kinds() == [ENTER] * 3
        renamed = tables(2, generation=2, names={1: "OTHER-USDT"})
        assert bed.engine.load(bed.settings, renamed) == 24
        bed.know()
        signals = bed.step()
        assert [(int(row["symbol_id"]), int(row["kind"])) for row in signals] == [(1, ENTER)]
        assert set(signals["generation"]) == {2}
        bed.spread(0)
        assert bed.kinds() == [EXIT]  # it was still in
        assert bed.health.read(NAME).generation == 2


def test_a_reload_with_other_thresholds_is_in_force_at_once(namespace: str) -> None:
    with Bed(namespace) as bed:
        bed.spread(15)
        assert bed.kinds() == [ENTER]
        bed.engine.load(settings({"enter_bps": 30, "exit_bps": 20}), tables())
        assert bed.kinds() == [EXIT]
        special = {"pair": {"binance-bybit:C0-USDT": ThresholdOverride(enter_bps=1, exit_bps=1)}}
        bed.engine.load(settings({"enter_bps": 30, "exit_bps": 1}, directions=special), tables())
        assert bed.kinds() == [ENTER]


def test_a_quote_is_evaluated_against_the_old_pairs_while_new_ones_are_prepared(
    namespace: str,
) -> None:
    with Bed(namespace, symbols=tables(1)) as bed:
        ready = bed.engine.prepare(settings({"enter_bps": 30, "exit_bps": 20}), tables(2))
        bed.spread(15)
        assert bed.kinds() == [ENTER]
        bed.spread(35, symbol_id=1)  # in no pair yet
        assert bed.kinds() == []
        assert bed.engine.take(ready) == 24
        bed.know()
        assert sorted(bed.kinds()) == [ENTER, EXIT]  # what came in meanwhile was carried over


def test_only_a_quote_just_read_has_a_latency(namespace: str) -> None:
    """What lay there before the engine did, what time or a switch brings, is as old as it is."""
    with Bed(namespace, settings(stale_ms_max=500)) as bed:
        bed.spread(15)
        backlog = bed.step(250)
        bed.spread(0)
        left = bed.step(1)
        bed.spread(15)
        entered = bed.step(1)
        lost = bed.step(501)  # no quote came: both legs are stale
        bed.operator.kill()
        bed.spread(20)
        bed.step(1)
        bed.operator.kill(killed=False)
        again = bed.step(1)
        found = [
            (int(row["kind"]), bool(row["flags"] & SIGNAL_AGED))
            for signals in (backlog, left, entered, lost, again)
            for row in signals
        ]
        aged = [(ENTER, True), (EXIT, False), (ENTER, False), (EXIT, True), (ENTER, True)]
        assert found == aged
        latency = bed.health.read(NAME).latencies["recv_to_signal"]
        assert latency.total == 2
        assert latency.max_ns < 2_000_000


def test_a_spread_that_cannot_be_is_no_signal(namespace: str) -> None:
    with Bed(namespace, settings(implausible_bps=1_000)) as bed:
        bed.spread(15_000)
        assert bed.kinds() == []
        assert bed.count("no_implausible") == bed.count("over_threshold") > 0
        kept = bed.evaluations.recent(limit=1)[0]
        assert kept["verdict"] == Verdict.IMPLAUSIBLE
        bed.spread(1_001)
        assert bed.kinds(1) == []
        bed.spread(999)
        assert bed.kinds(1) == [ENTER]
        bed.spread(1_500)  # it was in: what it shows now is no spread of one coin
        signals = bed.step(1)
        assert [int(row["kind"]) for row in signals] == [EXIT]
        assert signals[0]["flags"] & SIGNAL_LEG_LOST
        bed.spread(500)
        assert bed.kinds(1) == [ENTER]


def test_funding_that_cannot_be_is_unknown(namespace: str) -> None:
    funding = tuple(FundingRow(3, n, rate, 8.0) for n, rate in enumerate((5.0, math.nan, 0.001)))
    held = settings(hold_h=1.0, funding_credit=True)
    with Bed(namespace, held, tables(3, funding=funding)) as bed:
        for symbol_id in range(3):
            bed.spread(5, symbol_id=symbol_id)
        signals = bed.step()
        assert [(int(row["symbol_id"]), round(float(row["net_bps"]))) for row in signals] == [
            (2, 15)
        ]
        for symbol_id in range(2):
            bed.spread(600, symbol_id=symbol_id)
        signals = bed.step(1)
        assert len(signals) == 2
        for row in signals:
            assert row["net_bps"] == pytest.approx(600 - 500 * 1.06)  # the most that is charged
            assert row["flags"] & SIGNAL_FUNDING_UNKNOWN


def test_tables_that_do_not_fit_the_store_leave_the_old_ones_in_force(namespace: str) -> None:
    with Bed(namespace) as bed:
        with pytest.raises(TableError, match="max_symbols"):
            bed.engine.load(bed.settings, tables(MAX_SYMBOLS + 1))
        bed.spread(15)
        assert bed.kinds() == [ENTER]


def test_pairs_of_a_disabled_source_are_left_out() -> None:
    given = settings()
    off = SourceSettings(rest_url="https://rest.test", ws_url="wss://ws.test", enabled=False)
    exchanges = given.exchanges | {"bybit-futures": off}
    given = Settings(given.folder, given.config, exchanges, given.directions)
    pairs = plan.plan(given, tables(2), MAX_SYMBOLS).pairs
    assert len(pairs) == 9 * 2
    assert 3 not in pairs["fut_source"]


def test_a_new_life_enters_what_stands_and_numbers_on(namespace: str) -> None:
    with Bed(namespace) as bed:
        bed.spread(15)
        assert list(bed.step()["seq"]) == [0]
        bed.end()
        bed.start(tables())
        signals = bed.step()
        assert [(int(row["seq"]), int(row["kind"])) for row in signals] == [(1, ENTER)]


def test_one_engine_at_a_time_and_segments_that_were_replaced_are_noticed(namespace: str) -> None:
    with Bed(namespace) as bed:
        with pytest.raises(AlreadyClaimed):
            Engine(namespace, bed.row, bed.slot)
        bed.engine.check()
        PriceStore.create(namespace, max_symbols=MAX_SYMBOLS).close()
        with pytest.raises(Retired):
            bed.engine.check()


def test_evaluations_say_why_and_repeats_are_one_row(namespace: str) -> None:
    given = settings({"size_quote_min": 2_000}, fees={"bybit-futures": 1})
    with Bed(namespace, given, tables(2), kept=64) as bed:
        for net in (11, 15, 16, 17):  # 11 is 9 net of fees
            bed.spread(net)
            bed.step(1)
        bed.spread(18, symbol_id=1)
        bed.step(1)
        rows = bed.evaluations.recent(0)
        assert [(row["verdict"], row["count"]) for row in rows] == [
            (Verdict.SIZE, 3),
            (Verdict.FEE, 1),
        ]
        assert rows["gross_bps"][0] == pytest.approx(17)
        assert rows["fees_bps"][0] == 2
        assert rows["size_quote"][0] == 1_000
        assert rows["size_quote_min"][0] == 2_000
        assert rows["ts_engine"][0] == bed.session_ns - 1_000_000
        assert len(bed.evaluations.recent()) == 3
        assert len(bed.evaluations.recent(limit=1)) == 1


@pytest.mark.parametrize(
    ("spot", "futures", "size"),
    [
        (Rules(), Rules(), 9.5),
        (Rules(lot_step=0.3), Rules(lot_step=0.5), 9.0),
        (Rules(lot_step=0.5), Rules(), 9.5),  # the other's step alone
        (Rules(lot_step=9.5), Rules(lot_step=0.1), 9.5),
        (Rules(lot_step=10.0), Rules(lot_step=0.1), None),  # more than the tops hold
        (Rules(lot_step=1.013), Rules(lot_step=1.019), None),  # no common lot of use
        (Rules(min_qty=9.5), Rules(min_qty=9.5), 9.5),
        (Rules(0.5, min_qty=9.6), Rules(), None),
        (Rules(), Rules(min_qty=9.6), None),
        (Rules(1.0), Rules(min_qty=9.2), None),  # in whole lots it is 9
        (Rules(min_notional=9.5 * 99), Rules(min_notional=9.5 * 100), 9.5),
        (Rules(min_notional=9.5 * 99.5), Rules(), None),  # leaving at the bid of 99
        (Rules(), Rules(min_notional=9.5 * 100.5), None),
    ],
)
def test_sizes_are_whole_lots_and_no_less_than_either_leg_takes(
    namespace: str, spot: Rules, futures: Rules, size: float | None
) -> None:
    told = {(DIRECTIONS[0].spot.source_id, 0): spot, (DIRECTIONS[0].futures.source_id, 0): futures}
    with Bed(namespace, settings(), tables(rules=told)) as bed:
        bed.quote(DIRECTIONS[0].spot.source_id, 99, 100, ask_sz=9.5)
        bed.quote(DIRECTIONS[0].futures.source_id, 100.2, 101.2)
        signals = bed.step()
        assert [float(one["size_base"]) for one in signals] == ([] if size is None else [size])
        assert all(one["size_quote"] == one["size_base"] * 100 for one in signals)
        assert bed.count("no_size") == (size is None)
        row = bed.evaluations.recent(limit=1)[0]
        assert row["verdict"] == (Verdict.SIGNAL if size else Verdict.SIZE)


@pytest.mark.parametrize(
    ("rules", "size_quote_min"),
    [(Rules(0.7, min_qty=2.1), 0), (Rules(0.7, min_notional=207.9), 0), (Rules(0.7), 210)],
)
def test_a_top_of_exactly_the_least_gives_its_signal(
    namespace: str, rules: Rules, size_quote_min: float
) -> None:
    """Three lots of 0.7 at 99 to 100; in binary they are less than 2.1."""
    told = {(DIRECTIONS[0].spot.source_id, 0): rules}
    given = settings({"size_quote_min": size_quote_min})
    with Bed(namespace, given, tables(rules=told)) as bed:
        bed.spread(12)
        bed.quote(DIRECTIONS[0].spot.source_id, 99, 100, ask_sz=2.1)
        (signal,) = bed.step()
        assert signal["size_base"] == pytest.approx(2.1)
        bed.quote(DIRECTIONS[0].spot.source_id, 99, 100, ask_sz=2.09)
        bed.spread(30)
        bed.quote(DIRECTIONS[0].spot.source_id, 99, 100, ask_sz=2.09)
        assert bed.kinds(1) == [], "a lot less is too little"
        assert bed.count("no_size") == 1


def test_a_signal_says_when_a_listing_tells_no_minimum(namespace: str) -> None:
    whole = Rules(0.1, 0.1, 5.0)
    flags = []
    for rules in (whole, whole._replace(min_qty=None), whole._replace(min_notional=None)):
        told = {(source.source_id, 0): whole for source in EXCHANGE_SOURCES}
        told[DIRECTIONS[0].futures.source_id, 0] = rules
        with Bed(namespace, settings(), tables(rules=told)) as bed:
            bed.spread(12)
            flags += [int(one["flags"]) & SIGNAL_MINIMUM_UNKNOWN for one in bed.step()]
    assert flags == [0, SIGNAL_MINIMUM_UNKNOWN, SIGNAL_MINIMUM_UNKNOWN]


def test_evaluations_overwrite_the_oldest(namespace: str) -> None:
    given = settings(fees={"bybit-futures": 10})
    with Bed(namespace, given, tables(40), kept=16) as bed:
        for symbol_id in range(40):
            bed.spread(15, symbol_id=symbol_id)
            bed.step(1)
        rows = bed.evaluations.recent()
        assert list(rows["symbol_id"]) == list(range(39, 23, -1))
        assert set(rows["verdict"]) == {Verdict.FEE}
