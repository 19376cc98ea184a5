"""A simulated week of trades, and some hours of one: what is promised of net, usual and the report.

Coins that come back, one whose premium stands, one with wide books, one whose legs jump, with
absurd messages between; funding settles, a coin is listed, tables change, the engine is restarted
(weekly_market.py). The engine and the tracker live it as they are shipped, on a clock that is
turned by hand (weekly_life.py); what came out is compared with a second opinion made from the
recorded quotes alone (weekly_oracle.py). SPREAD_WEEK_SEED lives one again.
"""

import contextlib
import sqlite3
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from weekly_life import Life
from weekly_market import AWAY_S, KINDS, NUMBER, Market, Plan
from weekly_oracle import Seen, Trade, Usual, Way, trades
from weekly_tables import LOTS
from weekly_time import PatientClock

import bed
from spread_scanner import clock
from spread_scanner.clock import NS_PER_S
from spread_scanner.schema.enums import DIRECTION_BY_LABEL, SignalKind
from spread_scanner.tracker import report
from spread_scanner.tracker.database import read_only
from spread_scanner.tracker.earnings import Realised

MIDNIGHT_NS = 1_699_920_000 * NS_PER_S
DAY_S = 86_400.0
WAYS = [
    Way(
        direction,
        (DIRECTION_BY_LABEL[direction].direction_id, number),
        kind.symbol,
        number,
        spot,
        fee,
        5.5,
        max(LOTS.get(number, (0.0,))),
    )
    for direction, spot, fee in (("binance-bybit", 0, 10.0), ("mexc-bybit", 1, 5.0))
    for number, kind in enumerate(KINDS)
]
CAP_QUOTE = 10_000.0


class Lived(NamedTuple):
    """A life and both opinions of it."""

    life: Life
    market: Market
    start_ns: int
    rows: list[sqlite3.Row]  # of the tracker's database
    made: report.Report
    usual: dict[Way, Usual]
    premium_stands: float  # share of the time in which STAND's gross was far over its fees
    expected: dict[Way, list[Trade]]

    def of(self, symbol: str) -> list[Trade]:
        return [
            one for way, found in self.expected.items() if way.symbol == symbol for one in found
        ]

    def usual_at(self, ts_ns: int, way: Way) -> float:
        """What leaving usually earned by the generation that was in force then."""
        befell = self.life.record.befell
        number = sum(one.ts_ns <= ts_ns for one in befell) - 1
        usual, places = self.life.adopted[number]
        return float(usual.exit_bps[places[way.ids]])

    def at(self, seconds: float) -> int:
        return self.start_ns + round(seconds * NS_PER_S)


def lived(
    folder: Path,
    namespace: str,
    monkeypatch: pytest.MonkeyPatch,
    seconds: float,
    plan: Plan,
    *,
    starts_s: float = 0.0,
    pace: float = 1.0,
    calm_step_s: float = 1.0,
) -> Lived:
    seed = bed.seed("SPREAD_WEEK_SEED")
    market = Market(np.random.default_rng(seed), seconds, starts_s, plan, pace)
    start_ns = MIDNIGHT_NS + round(starts_s * NS_PER_S)
    with clock.use(PatientClock(start_ns, 1_000 * NS_PER_S)) as moved:
        life = Life(moved, folder, namespace, market, plan, monkeypatch, calm_step_s)
        life.live()
    with contextlib.closing(read_only(life.database)) as connection:
        made = report.make(connection, 0, 2**62)
        connection.row_factory = sqlite3.Row
        rows = connection.execute("SELECT * FROM opportunities ORDER BY opened_ns, id").fetchall()
    usual, expected, stands = {}, {}, 0.0
    for way in WAYS:  # one after the other: each has some hundred megabytes of a week
        seen = Seen(life.record, way)
        usual[way], expected[way] = seen.usual, trades(life.record, seen)
        if way.symbol == "STAND-USDT":
            stands = float(np.mean(seen.gross > 60.0))
    return Lived(life, market, start_ns, rows, made, usual, stands, expected)


def check_usual(it: Lived) -> None:
    """Each generation of what is usual is what the looks amount to, one a second."""
    for way in WAYS:
        _, _, weights, means = it.usual[way]
        found = it.life.adopted
        for (usual, places), weight, mean in zip(found, weights, means, strict=True):
            place = places.get(way.ids)
            if place is not None:
                assert usual.weight[place] == pytest.approx(weight, rel=1e-9), way
                assert usual.exit_bps[place] == pytest.approx(mean, rel=1e-7, nan_ok=True), way


def check_opportunities(it: Lived) -> None:
    """Each that had to be, and no other, with the numbers it had to have."""
    for way, expected in it.expected.items():
        rows = [r for r in it.rows if (r["direction"], r["symbol"]) == (way.direction, way.symbol)]
        told = [(r["opened_ns"], r["reason"] or "open", r["signals"], r["samples"]) for r in rows]
        assert told == [(t.opened_ns, t.outcome, t.signals, t.samples) for t in expected], way
        for row, trade in zip(rows, expected, strict=True):
            assert row["entry_net_bps"] == pytest.approx(trade.net_bps, abs=1e-6)
            assert row["close_bps"] == pytest.approx(trade.close_bps, abs=1e-6)
            assert row["entry_size_quote"] == pytest.approx(trade.size_quote)
            assert row["mark_bps"] == pytest.approx(trade.mark_bps, abs=1e-6)
            assert row["mark_size_quote"] == pytest.approx(trade.mark_size_quote)
            assert trade.outcome != "converged" or row["ended_ns"] == trade.ended_ns
            assert row["settlements"] == trade.settled
            assert row["funding_paid"] == pytest.approx(trade.funding, abs=1e-12)


def check_promises(it: Lived) -> None:
    """What comes back realises net; what stands is no signal; what is wide ends, too."""
    for symbol in ("REV-USDT", "WIDE-USDT", "MULT-USDT", "NEW-USDT"):
        rows = [row for row in it.rows if row["symbol"] == symbol]
        net = np.mean([row["entry_net_bps"] for row in rows])
        left = np.mean([row["mark_bps"] for row in rows])
        print(f"{symbol}: {len(rows)} trades, net {net:.2f}, realised {left:.2f}")
        assert symbol != "REV-USDT" or abs(left - net) < 5.0  # of the others there are few
        assert all(row["reason"] == "converged" for row in rows)
    signals = np.concatenate(it.life.signals)
    assert not np.any(signals["symbol_id"] == NUMBER["STAND-USDT"])
    assert it.premium_stands > 0.99


def check_absurd(it: Lived) -> None:
    """Nobody is silenced by one absurd message, nor is what is usual moved by it."""
    assert it.market.absurd
    assert not it.life.blocked
    opened: dict[int, list[int]] = {number: [] for number in range(len(KINDS))}
    for signals in it.life.signals:
        for one in signals[signals["kind"] == SignalKind.ENTER]:
            opened[int(one["symbol_id"])].append(int(one["ts_engine"]))
    for one in it.market.absurd:
        then_ns = it.at(one.start_s + 30.0)  # a dislocation
        assert any(0 <= ts_ns - then_ns < NS_PER_S for ts_ns in opened[one.number]), one
        for way in WAYS:
            if way.number == one.number:
                before = it.usual_at(then_ns - 91 * NS_PER_S, way)
                assert abs(it.usual_at(then_ns, way) - before) < 1.0, one


def check_unmoved(it: Lived) -> None:
    """Closed at the assumed close, with the spot where it was: net, but for fees on the basis."""
    rows = [row for row in it.rows if row["symbol"] == "CALM-USDT"]
    assert any(row["reason"] == "converged" for row in rows)
    for row in rows:
        ask, bid = row["entry_spot_ask_px"], row["mark_spot_bid_px"]
        if row["reason"] is None and row["funding_paid"] > 0:
            continue  # a settlement took more than what may be missing of the net
        assert (row["entry_spot_bid_px"], row["reason"]) == (bid, "converged")
        futures = row["entry_fut_bid_px"] + row["mark_fut_ask_px"]
        basis = abs(futures - 2 * ask) / ask, abs(bid - ask) / ask
        bound = row["fut_fee_bps"] * basis[0] + row["spot_fee_bps"] * basis[1]
        left = row["mark_bps"] + row["funding_paid"] / ask * 1e4  # should it settle meanwhile
        if row["direction"] == "binance-bybit":  # whose close the market came back to
            assert abs(left - row["entry_net_bps"]) <= bound + 1e-9
            assert bound < 0.2


def check_funding(it: Lived) -> None:
    """Settlements that were crossed are in what was realised."""
    crossed = [row for row in it.rows if row["symbol"] == "FUND-USDT" and row["settlements"]]
    within = [s for s in it.market.settlements_s if 700 < s < it.market.seconds - 200]
    assert len(crossed) == 2 * len(within) > 0
    for row in crossed:
        money = row["entry_fut_bid_px"] - row["mark_fut_ask_px"]
        money += row["mark_spot_bid_px"] - row["entry_spot_ask_px"]
        spot = row["entry_spot_ask_px"] + row["mark_spot_bid_px"]
        futures = row["entry_fut_bid_px"] + row["mark_fut_ask_px"]
        money -= (spot * row["spot_fee_bps"] + futures * row["fut_fee_bps"]) / 1e4
        without = money / row["entry_spot_ask_px"] * 1e4
        assert row["mark_bps"] != pytest.approx(without, abs=1e-6)
        paid = row["funding_paid"] / row["entry_spot_ask_px"] * 1e4
        assert row["mark_bps"] == pytest.approx(without - paid)


def check_kept(it: Lived) -> None:
    """Nothing of the week was pruned: as many samples, probes and settlements as were taken."""
    with contextlib.closing(read_only(it.life.database)) as connection:

        def count(what: str) -> int:
            return int(connection.execute(f"SELECT count(*) FROM {what}").fetchone()[0])

        assert count("samples") == sum(row["samples"] for row in it.rows)
        assert count("probes") == 4 * len(it.rows)
        assert count("settlements") == sum(row["settlements"] for row in it.rows)
        assert len(it.rows) == sum(map(len, it.expected.values()))


def check_system(it: Lived, plan: Plan) -> None:
    """A listing, another generation, a restart: who has to learn learns, who knows goes on."""

    def entered(symbol: str, since_s: float, until_s: float) -> int:
        number = NUMBER[symbol]
        found = np.concatenate(it.life.signals)
        found = found[(found["symbol_id"] == number) & (found["kind"] == SignalKind.ENTER)]
        times = found["ts_engine"]
        return int(np.sum((times >= it.at(since_s)) & (times < it.at(until_s))))

    end_s = it.market.seconds
    assert entered("NEW-USDT", 0, plan.listed_s + 291) == 0
    assert entered("NEW-USDT", plan.listed_s + 291, end_s) > 0
    assert entered("MULT-USDT", 0, plan.changed_s) > 0
    assert entered("MULT-USDT", plan.changed_s, plan.changed_s + 291) == 0
    assert entered("MULT-USDT", plan.changed_s + 291, end_s) > 0
    retired = [row["symbol"] for row in it.rows if row["reason"] == "retired"]
    assert retired == ["GONE-USDT"] * 2
    assert entered("GONE-USDT", plan.changed_s, end_s) == 0
    assert entered("REV-USDT", plan.restarted_s, plan.restarted_s + AWAY_S + 12) > 0
    ((before, after),) = it.life.restarts
    assert after.keys == before.keys
    aged = before.weight * 2.0 ** (-(after.wall_ns - before.wall_ns) / NS_PER_S / 3_600)
    assert after.weight == pytest.approx(aged)
    assert after.exit_bps == pytest.approx(before.exit_bps)


def check_report(it: Lived) -> None:
    """The report is what the recorded quotes amount to."""
    came = {(r["direction"], r["symbol"], r["opened_ns"]): place for place, r in enumerate(it.rows)}
    everything = [one for found in it.expected.values() for one in found]
    # Of two that open in one instant the first is the one whose signal came first.
    everything.sort(key=lambda one: came[one.way.direction, one.way.symbol, one.opened_ns])
    check_group(it.made.total, everything)
    for group in it.made.pairs:
        mine = [
            o
            for o in everything
            if (o.way.direction, o.way.symbol) == (group.direction, group.symbol)
        ]
        check_group(group, mine)
    assert sum(group.opportunities for group in it.made.pairs) == len(everything)
    tracked_s = it.made.quality.tracked_s
    assert abs(tracked_s - it.market.seconds) < 120
    first = first_of_events(everything)
    money = it.made.total.money
    assert (money.events, money.known) == (len(first), len(first))
    earned = sum(
        one.mark_bps / 1e4 * min(one.size_quote, one.mark_size_quote, CAP_QUOTE) for one in first
    )
    assert money.earned_quote == pytest.approx(earned)
    assert money.per_day_quote == pytest.approx(earned * DAY_S / tracked_s)
    assert it.made.quality.settlements == sum(one.settled for one in everything)


def check_group(group: report.Group, mine: list[Trade]) -> None:
    """Of the same trades."""
    assert group.opportunities == len(mine)
    for outcome, told in group.outcomes.items():
        left = np.array([one.mark_bps for one in mine if outcome in ("all", one.outcome)])
        assert told.known == len(left)
        want = [left.mean(), *np.quantile(left, [0.1, 0.25, 0.5, 0.75, 0.9]), np.mean(left > 0)]
        assert [told.mean_bps, *_quantiles(told), told.share_positive] == (
            pytest.approx(want, abs=1e-6)
        )
    assert group.entry_net_bps_median == pytest.approx(np.median([one.net_bps for one in mine]))
    for stood in group.standing:
        nets = [one.stood[stood.after_ms] for one in mine if stood.after_ms in one.stood]
        assert (stood.taken, stood.not_renewed) == (len(nets), 0)
        assert stood.missing == len(mine) - len(nets)
        assert stood.share_not_negative == pytest.approx(np.mean(np.array(nets) >= 0))
        assert stood.share_over_enter == pytest.approx(np.mean(np.array(nets) >= 10.0))
    for later in group.left_after:
        left = np.array([o.left_bps[later.after_ms] for o in mine if later.after_ms in o.left_bps])
        assert later.mean_bps == pytest.approx(left.mean(), abs=1e-6)
        assert later.share_positive == pytest.approx(np.mean(left > 0))


def _quantiles(told: Realised) -> list[float | None]:
    return [told.p10_bps, told.p25_bps, told.median_bps, told.p75_bps, told.p90_bps]


def first_of_events(everything: list[Trade]) -> list[Trade]:
    """Of all that overlap in one coin, which share the perpetual here, the first."""
    first: list[Trade] = []
    until: dict[int, int] = {}
    for one in everything:
        number = one.way.number
        if one.opened_ns > until.get(number, -1):
            first.append(one)
        ends_ns = 2**62 if one.outcome == "open" else one.ended_ns
        until[number] = max(until.get(number, -1), ends_ns)
    return first


def check(it: Lived, plan: Plan) -> None:
    check_promises(it)
    check_absurd(it)
    check_unmoved(it)
    check_funding(it)
    check_system(it, plan)
    check_usual(it)
    check_opportunities(it)
    check_kept(it)
    check_report(it)


@pytest.mark.timeout(600)  # a minute of a machine that does ten other things
def test_hours_of_trades_realise_what_was_promised(
    tmp_path: Path, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = Plan(listed_s=1_500, changed_s=2_600, restarted_s=3_700)
    it = lived(tmp_path, namespace, monkeypatch, 5_400, plan, starts_s=7.3 * 3_600, pace=10)
    check(it, plan)


@pytest.mark.slow
@pytest.mark.timeout(1_800)
def test_a_week_of_trades_realises_what_was_promised(
    tmp_path: Path, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = Plan(listed_s=2.3 * DAY_S, changed_s=3.4 * DAY_S, restarted_s=4.5 * DAY_S)
    check(lived(tmp_path, namespace, monkeypatch, 7 * DAY_S, plan, calm_step_s=5.0), plan)
