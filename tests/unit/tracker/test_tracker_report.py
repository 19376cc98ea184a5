"""The report's numbers against a plain recomputation of each, one opportunity at a time."""

import contextlib
import itertools
import random
import re
import sqlite3
import statistics
from html import unescape
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tracker_bed import STREAM
from typer.testing import CliRunner

from spread_scanner.clock import NS_PER_MS, NS_PER_S
from spread_scanner.errors import SpreadError
from spread_scanner.schema.enums import DIRECTION_BY_LABEL, DIRECTIONS
from spread_scanner.schema.figures import share
from spread_scanner.schema.opportunities import SIMULATED
from spread_scanner.schema.records import SIGNAL_LEG_LOST
from spread_scanner.tracker import plots, report, report_page, report_text
from spread_scanner.tracker.book import PROBES_MS
from spread_scanner.tracker.database import Database, read_only
from spread_scanner.tracker.journal import Batch
from spread_scanner.tracker.lifetimes import Lifetime, half_life, survival
from spread_scanner.tracker.opportunity import COLUMNS, ProbeRow, Reason
from spread_scanner.tracker.report_cli import app, parse_since

BASE_NS = 1_700_000_000 * NS_PER_S
CHAR_WIDE = 5.5  # of a plot's text
TEXT_OF_PLOT = re.compile(r'<text x="([\d.]+)" y=".*?" text-anchor="(\w+)">(.*?)<')
TEXT = {"symbol", "direction", "legs", "reason"}


def random_rows(chance: random.Random, count: int) -> list[dict[str, Any]]:
    rows = []
    for number in range(1, count + 1):
        row: dict[str, Any] = {name: ("" if name in TEXT else 0) for name in COLUMNS}
        opened_ns = BASE_NS + chance.randrange(3_600) * NS_PER_S
        life_ns = chance.randrange(1, 200) * 50 * NS_PER_MS
        reason = chance.choice([*Reason, Reason.CONVERGED, Reason.CONVERGED, None])
        exited = chance.random() < 0.7
        row.update(
            id=number,
            symbol=f"C{chance.randrange(5)}-USDT",
            direction=chance.choice(DIRECTIONS[:3]).label,
            opened_ns=opened_ns,
            last_seen_ns=opened_ns + life_ns,
            ended_ns=opened_ns + life_ns if reason else None,
            closed_ns=opened_ns + life_ns + NS_PER_S if reason else None,
            reason=reason.value if reason else None,
            first_exit_ns=opened_ns + chance.randrange(1, 50) * NS_PER_MS if exited else None,
            flags=chance.choice([0, 0, 1, SIGNAL_LEG_LOST]),
            enter_bps=10.0,
            carry_bps=1.0,
            entry_gross_bps=chance.uniform(30, 60),
            entry_net_bps=chance.uniform(10, 20),
            peak_net_bps=chance.uniform(20, 30),
            entry_size_quote=chance.uniform(10, 1000),
            signals=chance.randrange(1, 5),
            samples=chance.randrange(100),
            late=chance.randrange(5),
            missed=chance.randrange(5),
            lost=chance.randrange(5),
            gaps=chance.randrange(2),
            gap_ms=chance.uniform(0, 100),
            depth_nets=None,
            settlements=chance.randrange(2),
            **worth(chance, reason),
        )
        rows.append(row)
    return rows


def worth(chance: random.Random, reason: str | None) -> dict[str, Any]:
    """Prices of an entry and of the last usable look, and what leaving there would realise."""
    fate = chance.random()
    if fate < 0.1:  # written by an older version: nothing of it is known
        names = (
            "mark_bps",
            "realised_bps",
            "mark_size_quote",
            "mark_spot_bid_px",
            "mark_fut_ask_px",
        )
        return dict.fromkeys((*names, "spot_fee_bps", "fut_fee_bps", "funding_paid"))
    found: dict[str, Any] = {
        "entry_spot_ask_px": 100.0,
        "entry_fut_bid_px": chance.uniform(100.2, 100.6),
        "mark_spot_bid_px": chance.uniform(98, 102),
        "spot_fee_bps": 7.5,
        "fut_fee_bps": 5.0,
        "funding_paid": chance.choice([0.0, 0.02]),
        "mark_size_quote": chance.uniform(10, 1000),
    }
    found["mark_fut_ask_px"] = found["mark_spot_bid_px"] + chance.uniform(-0.1, 0.4)
    found["mark_bps"] = plain_realised(found, found["entry_spot_ask_px"], found["entry_fut_bid_px"])
    found["paid_at_mark"] = found["funding_paid"]
    if fate < 0.2:  # a rate that was crossed was not known
        found["mark_bps"] = found["funding_paid"] = found["paid_at_mark"] = None
    elif fate < 0.5:  # crossed after the last look at which leaving could be read off
        found["funding_paid"] = chance.choice([None, found["funding_paid"] + 0.05])
    found["realised_bps"] = found["mark_bps"] if reason == "converged" else None
    return found


def plain_realised(row: dict[str, Any], spot_ask: float, fut_bid: float) -> float | None:
    """Money of one base unit, summed fill by fill."""
    if row.get("paid_at_mark", row["funding_paid"]) is None:
        return None
    bought, sold = -spot_ask, row["mark_spot_bid_px"]
    shorted, covered = fut_bid, -row["mark_fut_ask_px"]
    fees = (spot_ask + sold) * row["spot_fee_bps"] + (shorted - covered) * row["fut_fee_bps"]
    paid = row.get("paid_at_mark", row["funding_paid"])
    money = bought + sold + shorted + covered - fees / 1e4 - paid
    return float(money / spot_ask * 1e4)


def random_probes(chance: random.Random, rows: list[dict[str, Any]]) -> list[ProbeRow]:
    probes = []
    for row in rows:
        for after_ms in PROBES_MS:
            fate = chance.random()
            if fate < 0.1:
                continue  # killed before it was taken
            late_ns = None if fate < 0.2 else 1_000
            net = None if fate < 0.3 else chance.uniform(-10, 20)
            px = (None, None) if net is None else (100.1, chance.uniform(100.2, 100.6))
            renewed = chance.choice([None, 0, 1, 2, 3, 3, 3, 3])
            look = (None, net, None, None, 0, *px, renewed)
            probes.append(ProbeRow(row["id"], after_ms, late_ns, *look))
    return probes


TOTALS = {"signals": 77, "refused_full": 3}


def store(
    path: Path,
    rows: list[dict[str, Any]],
    probes: list[ProbeRow],
    totals: dict[str, int] = TOTALS,
    ran_s: int = 1,
) -> None:
    whole = [tuple(row[name] for name in COLUMNS) for row in rows]
    with contextlib.closing(Database(path, STREAM, BASE_NS)) as database:
        database.write(Batch(whole, [], [], [], probes, 5, 6, totals), BASE_NS + ran_s * NS_PER_S)


def plain_half_life(lives: list[tuple[float, bool]]) -> float | None:
    """Kaplan and Meier by the definition: at each ending, the share of those still at risk."""
    alive = 1.0
    for moment in sorted({ms for ms, _ in lives}):
        at_risk = sum(ms >= moment for ms, _ in lives)
        endings = sum(ms == moment and ended for ms, ended in lives)
        alive *= 1 - endings / at_risk
        if endings and alive <= 0.5 + 1e-9:
            return moment
    return None


def check_group(group: report.Group, rows: list[dict[str, Any]], probes: list[ProbeRow]) -> None:
    lives = [
        (
            ((row["ended_ns"] or row["last_seen_ns"]) - row["opened_ns"]) / NS_PER_MS,
            row["reason"] == "converged",
        )
        for row in rows
    ]
    signal_lives = [
        (life[0], False)
        if row["first_exit_ns"] is None
        else (
            (row["first_exit_ns"] - row["opened_ns"]) / NS_PER_MS,
            row["flags"] & SIGNAL_LEG_LOST == 0,
        )
        for row, life in zip(rows, lives, strict=True)
    ]
    converged = [ms for ms, ended in lives if ended]
    assert group.opportunities == len(rows)
    assert group.left_open == sum(row["closed_ns"] is None for row in rows)
    assert sum(group.closed.values()) + group.left_open == len(rows)
    assert group.closed["converged"] == len(converged)
    assert group.life_ms_median == (statistics.median(converged) if converged else None)
    assert group.half_life_ms == plain_half_life(lives)
    assert group.signal_half_life_ms == plain_half_life(signal_lives)
    for name, field in (
        ("entry_gross_bps", group.entry_gross_bps_median),
        ("entry_net_bps", group.entry_net_bps_median),
        ("peak_net_bps", group.peak_net_bps_median),
        ("entry_size_quote", group.size_quote_median),
    ):
        assert field == pytest.approx(statistics.median(row[name] for row in rows))
    ids = {row["id"] for row in rows}
    for standing in group.standing:
        mine = [p for p in probes if p.opportunity_id in ids and p.after_ms == standing.after_ms]
        seen = [p for p in mine if p.late_ns is not None]
        taken = [p for p in seen if p.net_bps is None or p.renewed == 3]
        good = [p for p in taken if p.net_bps is not None and p.net_bps >= 0]
        better = [p for p in taken if p.net_bps is not None and p.net_bps >= 10.0]
        assert (standing.taken, standing.missing) == (len(taken), len(rows) - len(seen))
        assert standing.not_renewed == len(seen) - len(taken)
        assert (standing.not_negative, standing.over_enter) == (len(good), len(better))
        assert standing.share_not_negative == (len(good) / len(taken) if taken else None)
        assert standing.share_over_enter == (len(better) / len(taken) if taken else None)


def check_results(group: report.Group, rows: list[dict[str, Any]], probes: list[ProbeRow]) -> None:
    for outcome, found in group.outcomes.items():
        part = [row for row in rows if outcome in ("all", row["reason"] or "open")]
        results = [row["mark_bps"] for row in part if row["mark_bps"] is not None]
        assert (found.opportunities, found.known) == (len(part), len(results))
        if results:
            assert found.median_bps == pytest.approx(statistics.median(results))
            assert found.mean_bps == pytest.approx(statistics.mean(results))
            assert found.share_positive == sum(result > 0 for result in results) / len(results)
            below = sum(result <= (found.p25_bps or 0) + 1e-9 for result in results)
            assert below >= len(results) / 4
    counted = sum(found.opportunities for name, found in group.outcomes.items() if name != "all")
    assert counted == len(rows)
    for left in group.left_after:
        by_id = {
            p.opportunity_id: p
            for p in probes
            if (p.after_ms, p.renewed) == (left.after_ms, 3)
            and p.late_ns is not None
            and p.net_bps is not None
        }
        mine = [row for row in rows if row["id"] in by_id and row["mark_bps"] is not None]
        then = []
        for row in mine:
            probe = by_id[row["id"]]
            result = plain_realised(row, probe.spot_ask_px or 0, probe.fut_bid_px or 0)
            assert result is not None
            then.append(result)
        assert left.counted == len(then)
        if then:
            assert left.median_bps == pytest.approx(statistics.median(then))
            lost = statistics.mean(row["mark_bps"] for row in mine) - statistics.mean(then)
            assert left.cost_bps_mean == pytest.approx(lost)


def plain_events(rows: list[dict[str, Any]]) -> list[set[int]]:
    """Groups of ids: whatever touches, directly or by others."""
    groups = [{row["id"]} for row in rows]
    by_id = {row["id"]: row for row in rows}

    def touch(one: dict[str, Any], other: dict[str, Any]) -> bool:
        ends = [row["ended_ns"] or row["last_seen_ns"] for row in (one, other)]
        legs = [DIRECTION_BY_LABEL[row["direction"]] for row in (one, other)]
        shared = legs[0].spot == legs[1].spot or legs[0].futures == legs[1].futures
        apart = ends[0] < other["opened_ns"] or ends[1] < one["opened_ns"]
        return one["symbol"] == other["symbol"] and shared and not apart

    merged = True
    while merged:
        merged = False
        for one, other in itertools.combinations(groups, 2):
            if any(touch(by_id[a], by_id[b]) for a in one for b in other):
                groups.remove(other)
                one |= other
                merged = True
                break
    return groups


def check_money(made: report.Report, rows: list[dict[str, Any]]) -> None:
    found = plain_events(rows)
    assert made.total.money.events == len(found)
    by_id = {row["id"]: row for row in rows}
    earned, known = 0.0, 0
    for event in found:
        first = min((by_id[number] for number in event), key=lambda r: (r["opened_ns"], r["id"]))
        if first["mark_bps"] is None or first["mark_size_quote"] is None:
            continue
        size = min(first["entry_size_quote"], first["mark_size_quote"], made.size_cap_quote)
        earned += first["mark_bps"] / 1e4 * size
        known += 1
    assert made.total.money.known == known
    assert made.total.money.earned_quote == pytest.approx(earned)
    tracked_s = made.quality.tracked_s
    per_day = made.total.money.per_day_quote
    assert per_day == (pytest.approx(earned * 86_400 / tracked_s) if tracked_s >= 3_600 else None)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (0.0, "0 %"),
        (0.0004, "<1 %"),
        (0.005, "<1 %"),
        (0.006, "1 %"),
        (0.42, "42 %"),
        (0.994, "99 %"),
        (0.9996, ">99 %"),
        (1.0, "100 %"),
    ],
)
def test_all_and_none_are_said_of_all_and_none_alone(value: float | None, text: str) -> None:
    assert share(value) == text


@pytest.mark.parametrize("seed", range(6))
def test_every_number_agrees_with_a_plain_recomputation(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    rows = random_rows(chance, chance.choice([1, 2, 17, 120]))
    probes = random_probes(chance, rows)
    ran_s = chance.choice([1, 4_000, 40_000])
    store(tmp_path / "tracker.db", rows, probes, ran_s=ran_s)
    since_ns = BASE_NS + chance.choice([0, 600]) * NS_PER_S
    until_ns = BASE_NS + 3_700 * NS_PER_S
    with contextlib.closing(read_only(tmp_path / "tracker.db")) as connection:
        made = report.make(connection, since_ns, until_ns, cap_quote=500.0)

    rows = [row for row in rows if since_ns <= row["opened_ns"] < until_ns]
    if rows:
        check_group(made.total, rows, probes)
        check_results(made.total, rows, probes)
    check_money(made, rows)
    check_spans(made, rows)
    assert {group.direction for group in made.directions} == {row["direction"] for row in rows}
    for group in made.directions:
        part = [row for row in rows if row["direction"] == group.direction]
        check_group(group, part, probes)
        check_results(group, part, probes)
    assert sum(group.opportunities for group in made.pairs) == len(rows)
    for group in made.pairs:
        key = (group.direction, group.symbol)
        check_group(group, [r for r in rows if (r["direction"], r["symbol"]) == key], probes)
    for name in ("samples", "late", "missed", "lost", "gaps"):
        assert getattr(made.quality, name) == sum(row[name] for row in rows)
    assert made.quality.funding_unknown == sum(row["flags"] & 1 for row in rows)
    unknown = [row for row in rows if row["reason"] and row["mark_bps"] is None]
    assert made.quality.result_unknown == len(unknown)
    assert made.quality.run_totals == (
        {"refused_full": 3, "signals": 77} if since_ns <= BASE_NS + ran_s * NS_PER_S else {}
    )


def check_spans(made: report.Report, rows: list[dict[str, Any]]) -> None:
    """By time, by hour and by size: each opportunity is in one span."""
    results = [row["mark_bps"] for row in rows if row["mark_bps"] is not None]
    assert sum(made.realised_bps.converged) + sum(made.realised_bps.others) == len(results)
    for slices in (made.over_time, made.by_hour):
        assert sum(one.opportunities for one in slices) == len(rows)
        assert sum(one.known for one in slices) == len(results)
    assert len(made.by_hour) == 24
    if results:
        [hour] = {row["opened_ns"] // (3_600 * NS_PER_S) % 24 for row in rows[:1]}
        mine = [r for r in rows if r["opened_ns"] // (3_600 * NS_PER_S) % 24 == hour]
        known = [row["mark_bps"] for row in mine if row["mark_bps"] is not None]
        assert made.by_hour[hour].known == len(known)
        if known:
            assert made.by_hour[hour].median_bps == pytest.approx(statistics.median(known))


def test_one_dislocation_is_one_event_however_many_directions_see_it(tmp_path: Path) -> None:
    """A jump of Bybit's perpetual: binance-, okx- and mexc-bybit open at once; another coin and a
    later one of the same do not belong to it."""
    chance = random.Random(7)
    rows = random_rows(chance, 5)
    seconds = (0, 1, 2, 1, 60)
    directions = ("binance-bybit", "okx-bybit", "mexc-bybit", "okx-bybit", "binance-bybit")
    for number, row in enumerate(rows):
        opened_ns = BASE_NS + seconds[number] * NS_PER_S
        end_ns = opened_ns + 5 * NS_PER_S
        row.update(symbol="B-USDT" if number == 3 else "A-USDT", direction=directions[number])
        row.update(opened_ns=opened_ns, last_seen_ns=end_ns, ended_ns=end_ns, reason="converged")
        row.update(mark_bps=10.0 * (number + 1), mark_size_quote=1_000.0, entry_size_quote=100.0)
    store(tmp_path / "tracker.db", rows, [])
    with contextlib.closing(read_only(tmp_path / "tracker.db")) as connection:
        made = report.make(connection, 0, BASE_NS * 2, cap_quote=50.0)
    assert (made.total.opportunities, made.total.money.events) == (5, 3)
    assert made.total.money.earned_quote == pytest.approx(50 * (10 + 40 + 50) / 1e4)


@pytest.mark.parametrize(("apart_ns", "events"), [(0, 1), (1, 2)])
def test_an_event_lasts_to_the_end_of_its_last_opportunity_and_no_longer(
    tmp_path: Path, apart_ns: int, events: int
) -> None:
    rows = random_rows(random.Random(7), 2)
    end_ns = BASE_NS + 5 * NS_PER_S
    spans = (BASE_NS, end_ns), (end_ns + apart_ns, end_ns + NS_PER_S)
    for row, (opened_ns, ended_ns) in zip(rows, spans, strict=True):
        row.update(symbol="A-USDT", direction="binance-bybit", reason="converged")
        row.update(opened_ns=opened_ns, last_seen_ns=ended_ns, ended_ns=ended_ns)
    store(tmp_path / "tracker.db", rows, [])
    with contextlib.closing(read_only(tmp_path / "tracker.db")) as connection:
        assert report.make(connection, 0, BASE_NS * 2).total.money.events == events


def test_only_of_the_period_it_is_said_how_long_was_tracked(tmp_path: Path) -> None:
    store(tmp_path / "tracker.db", [], [], ran_s=10_000)
    since_ns, until_ns = (BASE_NS + at_s * NS_PER_S for at_s in (2_500, 6_000))
    with contextlib.closing(read_only(tmp_path / "tracker.db")) as connection:
        assert report.make(connection, since_ns, until_ns).quality.tracked_s == 3_500
        assert report.make(connection, 0, BASE_NS * 2).quality.tracked_s == 10_000


@pytest.mark.parametrize(("net_bps", "stood"), [(10.0, 1), (9.999, 0)])
def test_what_stands_at_the_threshold_stands(tmp_path: Path, net_bps: float, stood: int) -> None:
    (row,) = random_rows(random.Random(7), 1)
    look = (None, net_bps, None, None, 0, 100.1, 100.4, 3)
    store(tmp_path / "tracker.db", [row], [ProbeRow(row["id"], PROBES_MS[0], 1_000, *look)])
    with contextlib.closing(read_only(tmp_path / "tracker.db")) as connection:
        standing = report.make(connection, 0, BASE_NS * 2).total.standing[0]
    assert (standing.taken, standing.over_enter) == (1, stood)


@pytest.mark.parametrize(("count", "events", "earned_bps"), [(2, 2, 10 + 20), (3, 1, 10)])
def test_what_shares_no_leg_is_one_event_only_by_one_that_shares_with_both(
    tmp_path: Path, count: int, events: int, earned_bps: float
) -> None:
    rows = random_rows(random.Random(7), count)
    directions = ("binance-bybit", "okx-mexc", "binance-mexc")
    for number, (row, direction) in enumerate(zip(rows, directions, strict=False)):
        opened_ns = BASE_NS + number * NS_PER_S
        end_ns = opened_ns + 5 * NS_PER_S
        row.update(symbol="A-USDT", direction=direction, opened_ns=opened_ns, reason="converged")
        row.update(last_seen_ns=end_ns, ended_ns=end_ns)
        row.update(mark_bps=10.0 * (number + 1), mark_size_quote=1_000.0, entry_size_quote=100.0)
    store(tmp_path / "tracker.db", rows, [])
    with contextlib.closing(read_only(tmp_path / "tracker.db")) as connection:
        made = report.make(connection, 0, BASE_NS * 2, cap_quote=50.0)
    assert made.total.money.events == events
    assert made.total.money.earned_quote == pytest.approx(50 * earned_bps / 1e4)


@given(lives=st.lists(st.tuples(st.integers(0, 20).map(float), st.booleans()), max_size=40))
def test_the_half_life_is_kaplan_and_meiers(lives: list[tuple[float, bool]]) -> None:
    made = [Lifetime(*life) for life in lives]
    curve = survival(made)

    assert half_life(made) == plain_half_life(lives)
    assert [share for _, share in curve] == sorted((s for _, s in curve), reverse=True)


def test_lives_that_were_not_seen_to_end_make_the_half_life_longer_not_shorter() -> None:
    ended = [Lifetime(float(ms), True) for ms in (100, 200, 300)]

    assert half_life(ended) == 200
    assert half_life([*ended, Lifetime(250.0, False), Lifetime(400.0, False)]) == 300
    assert half_life([Lifetime(100.0, True), *[Lifetime(50.0, False)] * 9]) == 100
    assert half_life([Lifetime(100.0, True), *[Lifetime(500.0, False)] * 9]) is None


def assert_all_within(text: str) -> None:
    for x, anchor, said in re.findall(TEXT_OF_PLOT, text):
        wide = CHAR_WIDE * len(unescape(said))
        left = float(x) - wide * {"start": 0.0, "middle": 0.5, "end": 1.0}[anchor]
        assert left >= 0, said
        assert left + wide <= plots.WIDTH, said


@pytest.mark.parametrize("ms", [9.0, 90.0, 900.0, 9_000.0, 90_000.0, 900_000.0, 9_000_000.0])
def test_no_word_of_a_plot_is_cut_off(ms: float) -> None:
    assert_all_within(
        plots.steps([(ms / 5, 0.5), (ms, 0.1)], x_label="after", x_text=report_text.duration)
    )


@pytest.mark.parametrize("count", [0, 1, 200])
def test_the_page_is_whole_and_needs_nothing_from_elsewhere(tmp_path: Path, count: int) -> None:
    chance = random.Random(3)
    rows = random_rows(chance, count)
    for row in rows:
        row["symbol"] = "<b>&-USDT"
    store(tmp_path / "tracker.db", rows, random_probes(chance, rows))
    with contextlib.closing(read_only(tmp_path / "tracker.db")) as connection:
        text = report_page.page(report.make(connection, 0, BASE_NS * 2))

    assert text.count("<svg") == 7
    assert not re.search(r"https?:|<script|<link|@import|url\(|\bsrc=", text)
    assert "<b>&-USDT" not in text
    assert ("&lt;b&gt;&amp;-USDT" in text) == (count > 0)
    assert not re.search(r"\bnan\b", text.lower())
    assert_all_within(text)


@pytest.mark.parametrize(("pretended", "told"), [(0, ""), (1, "Simulated: All runs of")])
def test_the_page_says_when_it_is_simulated(tmp_path: Path, pretended: int, told: str) -> None:
    rows = random_rows(random.Random(2), 3)
    totals = {"signals": 7, **({SIMULATED: 1} if pretended else {})}
    store(tmp_path / "tracker.db", rows, [], totals)
    with contextlib.closing(read_only(tmp_path / "tracker.db")) as connection:
        made = report.make(connection, 0, BASE_NS * 2)
    page = report_page.page(made)
    assert ("Simulated" in page) == bool(pretended)
    assert told in page


def test_the_command_prints_tables_json_and_pages(tmp_path: Path) -> None:
    path = tmp_path / "tracker.db"
    rows = random_rows(random.Random(1), 30)
    store(path, rows, [])
    run = CliRunner().invoke

    shown = run(app, ["report", "--database", str(path)])
    assert shown.exit_code == 0, shown.output
    assert "most frequent pairs" not in shown.output
    assert [line for line in shown.output.splitlines() if line != line.rstrip()] == []
    assert max(map(len, shown.output.splitlines())) <= 80
    more = run(app, ["report", "--database", str(path), "--pairs"])
    assert "most frequent pairs" in more.output
    for row in rows:
        assert row["direction"] in shown.output, "no key is shortened"
        assert f"{row['direction']} {row['symbol']}" in more.output
    assert "\u2026" not in shown.output + more.output, "nor is a figure"
    assert max(map(len, more.output.splitlines())) <= 80
    numbers = run(app, ["report", "--database", str(path), "--json"])
    assert msgspec.json.decode(numbers.output)["total"]["opportunities"] == 30
    page = run(app, ["report", "--database", str(path), "--html", str(tmp_path / "a" / "r.html")])
    assert page.exit_code == 0, page.output
    assert (tmp_path / "a" / "r.html").read_text().startswith("<!doctype html>")
    assert page.output == "", "cron mails whatever is said"
    kept = run(app, ["report", "--database", str(path), "--folder", str(tmp_path / "reports")])
    assert kept.exit_code == 0, kept.output
    names = sorted(file.name for file in (tmp_path / "reports").iterdir())
    assert [re.sub(r"\d{8}T\d{6}Z", "T", name) for name in names] == [
        "latest.html",
        "latest.json",
        "report-T.html",
        "report-T.json",
    ]


@pytest.mark.parametrize(
    ("coins", "said", "added"),
    [
        ([], "quote coins", ""),
        (["USDC"], "USDC", ""),
        (["USDT", "USDC"], "USDC or USDT", "USDC, USDT are added up as if they were one coin."),
    ],
)
def test_money_is_named_after_the_coins_that_it_is_in(
    tmp_path: Path, coins: list[str], said: str, added: str
) -> None:
    rows = random_rows(random.Random(3), len(coins))
    for row, coin in zip(rows, coins, strict=True):
        row["symbol"] = f"A-{coin}"
    store(tmp_path / "tracker.db", rows, [])
    with contextlib.closing(read_only(tmp_path / "tracker.db")) as connection:
        made = report.make(connection, 0, BASE_NS * 2)
    money, *more = report_text.money_sentences(made)
    assert f"at no more than 10,000 {said} each." in money
    assert [line for line in more if "added up" in line] == ([added] if added else [])
    assert f"{said} a day" in report_page.page(made)


def test_the_command_says_what_is_wrong(tmp_path: Path) -> None:
    run = CliRunner().invoke

    missing = run(app, ["report", "--database", str(tmp_path / "no.db")])
    assert missing.exit_code == 1
    assert "no such database" in missing.output
    bad = run(app, ["report", "--since", "yesterday", "--database", str(tmp_path / "no.db")])
    assert bad.exit_code == 2
    assert "cannot read the time" in bad.output


def test_the_start_of_the_period_is_a_span_or_a_moment() -> None:
    now_ns = 1_700_000_000 * NS_PER_S

    assert parse_since("all", now_ns) == 0
    assert parse_since("90s", now_ns) == now_ns - 90 * NS_PER_S
    assert parse_since("1.5h", now_ns) == now_ns - 5_400 * NS_PER_S
    assert parse_since("7d", now_ns) == now_ns - 7 * 86_400 * NS_PER_S
    assert parse_since("2023-11-14T22:13:20", 0) == now_ns
    assert parse_since("2023-11-14T23:13:20+01:00", 0) == now_ns
    with pytest.raises(SpreadError, match="cannot read"):
        parse_since("7 days", now_ns)


def test_a_report_while_the_tracker_writes_sees_one_moment(tmp_path: Path) -> None:
    path = tmp_path / "tracker.db"
    store(path, random_rows(random.Random(2), 10), [])
    writer = sqlite3.connect(path, isolation_level=None)
    with contextlib.closing(writer), contextlib.closing(read_only(path)) as connection:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("DELETE FROM opportunities")
        assert report.make(connection, 0, BASE_NS * 2).total.opportunities == 10
        writer.execute("COMMIT")
        assert report.make(connection, 0, BASE_NS * 2).total.opportunities == 0


@pytest.mark.parametrize(
    ("text", "since_s"),
    [
        ("0001-01-01", 0),
        ("9999-12-31", 1 << 33),
        ("9999-12-31T23:59:59-23:59", 1 << 33),
        ("99999999999d", 0),
        (f"{'9' * 400}d", 0),
    ],
)
def test_a_period_from_out_of_all_times_is_all_or_nothing(text: str, since_s: int) -> None:
    assert parse_since(text, 1_700_000_000 * NS_PER_S) == since_s * NS_PER_S
