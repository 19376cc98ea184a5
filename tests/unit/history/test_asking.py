"""Questions about the past: the same answers from Parquet and from the log, and as plain numpy
gives them."""

import contextlib
import re
import sys
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from history_bed import HOUR_NS, START_NS, SYMBOLS, settings_for, write_hours
from pyarrow import parquet

from spread_scanner import history
from spread_scanner.clock import VirtualClock, use
from spread_scanner.config import Settings
from spread_scanner.errors import Unusable
from spread_scanner.history import asking, compact, kept, reaching, views
from spread_scanner.history.gathered import AskedFor
from spread_scanner.history.kept import HistoryKind, KeptFile
from spread_scanner.history.listings import Listings
from spread_scanner.schema import costs
from spread_scanner.schema.books import BOOK_UNUSABLE
from spread_scanner.schema.log import RecordKind, TakenFor
from spread_scanner.schema.records import TS_ABSENT
from spread_scanner.wal import reader

DOCS = Path(__file__).parents[3] / "docs" / "history.md"
TIMES = (
    "SELECT epoch_ns(coalesce(ts_mark, ts_recv)) AS ns FROM '{}' WHERE symbol = 'BTC-USDT' "
    "ORDER BY ns"
)
QUESTIONS = re.findall(r"```sql\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture(scope="module", params=["log", "parquet"])
def past(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Settings, Any]]:
    """Settings whose data_dir has three hours of the past, and a connection to it: all from the
    log, or all but the last from Parquet."""
    folder = tmp_path_factory.mktemp("past")
    with use(VirtualClock()) as clock:
        write_hours(folder / "wal", clock, hours=3, ticks=2_000)
    if request.param == "parquet":
        compact.compact(folder / "wal", folder / "history")
    settings = settings_for(folder)
    connection = history.connect(settings)
    yield settings, connection
    connection.close()


def rows(past: tuple[Settings, Any], question: str) -> list[tuple[Any, ...]]:
    found: list[tuple[Any, ...]] = asking.ask(past[1], question).fetchall()
    return found


def logged(past: tuple[Settings, Any]) -> np.ndarray:
    """All ticks as they are in the log."""
    pieces = reader.pieces(past[0].data_dir / "wal")
    return np.concatenate([one.array() for one in pieces if one.kind is RecordKind.TICK])


def test_the_questions_have_answers(past: tuple[Settings, Any]) -> None:
    assert len(QUESTIONS) == 11
    for question in QUESTIONS:
        assert len(asking.ask(past[1], question).to_arrow_table()), question


def test_ticks_are_those_of_the_log(past: tuple[Settings, Any]) -> None:
    ticks = logged(past)
    assert rows(past, "SELECT count(*), sum(bid_sz) FROM ticks") == [
        (len(ticks), pytest.approx(ticks["quote"]["bid_sz"].sum()))
    ]
    one = ticks[(ticks["source_id"] == 5) & (ticks["symbol_id"] == 1)]["quote"]
    found = rows(
        past,
        "SELECT epoch_ns(ts), bid_px, epoch_ns(ts_event) FROM ticks WHERE symbol = 'ETH-USDT' "
        "AND source = 'okx-futures' ORDER BY ts, arrival",
    )
    wanted = zip(one["ts_recv"], one["bid_px"], one["ts_event"], strict=True)
    assert found == [tuple(value.item() for value in row) for row in wanted]


def test_books_are_those_of_the_log(past: tuple[Settings, Any]) -> None:
    pieces = reader.pieces(past[0].data_dir / "wal")
    books = [one.array() for one in pieces if one.kind is RecordKind.BOOK_SNAPSHOT]
    taken = np.concatenate(books)
    taken = taken[taken["book"]["source_id"] == 5]
    found = rows(
        past,
        "SELECT epoch_ns(ts), symbol, why, epoch_ns(ts_recv), epoch_ns(ts_event), usable, "
        "bid_px, bid_sz, ask_px, ask_sz, ask_kept FROM books WHERE source = 'okx-futures' "
        "ORDER BY ts, symbol",
    )
    wanted = []
    for one in taken:
        book = one["book"]
        sides = [book[side][: book[f"{side[:3]}_count"]] for side in ("bids", "asks")]
        event = int(book["ts_event"])
        wanted.append(
            (
                int(one["ts"]),
                SYMBOLS[book["symbol_id"]],
                TakenFor(one["why"]).name.lower(),
                int(book["ts_recv"]),
                None if event == TS_ABSENT else event,
                not book["flags"] & BOOK_UNUSABLE,
                *(side[:, at].tolist() for side in sides for at in range(2)),
                int(book["ask_kept"]),
            )
        )
    assert len(found) == 36
    assert found == wanted


def test_changes_of_books_are_those_of_the_log(past: tuple[Settings, Any]) -> None:
    pieces = reader.pieces(past[0].data_dir / "wal")
    changes = np.concatenate([o.array() for o in pieces if o.kind is RecordKind.BOOK_DELTA])
    changes = changes[(changes["source_id"] == 5) & (changes["symbol_id"] == 1)]
    found = rows(
        past,
        "SELECT epoch_ns(ts), side, px, sz, update_id FROM book_changes WHERE symbol = 'ETH-USDT' "
        "AND source = 'okx-futures' ORDER BY ts",
    )
    wanted = [
        (int(one["ts_recv"]), ("bid", "ask")[one["side"]],
         float(one["px"]), float(one["sz"]), int(one["update_id"]))
        for one in changes
    ]  # fmt: skip
    assert len(found) == 30
    assert found == wanted


def test_a_spread_is_that_of_the_one_definition(past: tuple[Settings, Any]) -> None:
    ticks = logged(past)
    ticks = ticks[(ticks["symbol_id"] == 0)]
    ticks = ticks[np.argsort(ticks["quote"]["ts_recv"], kind="stable")]
    spot = fut = None
    wanted = []
    for tick in ticks:
        if tick["source_id"] == 0:
            spot = tick["quote"]
        else:
            fut = tick["quote"]
        if spot is not None and fut is not None:
            gross = costs.entry_bps(spot["ask_px"], fut["bid_px"])
            wanted.append((tick["quote"]["ts_recv"], gross, spot, fut))
    table = history.spread("BTC-USDT", "binance-okx", settings=past[0])
    assert table["gross_bps"].to_pylist() == [row[1] for row in wanted]
    _, gross, spot, fut = wanted[-1]
    leaving = costs.exit_bps(spot["bid_px"], spot["ask_px"], fut["ask_px"])
    parity = costs.parity_bps(gross, leaving)
    close = float(costs.close_bps(np.nan, np.nan, parity, trusted=False))
    exchanges = past[0].exchanges
    fees = costs.fees_bps(
        exchanges["binance-spot"].fee_bps("BTC-USDT"), exchanges["okx-futures"].fee_bps("BTC-USDT")
    )
    assert table["net_bps"].to_pylist()[-1:] == [costs.net_bps(gross, close, fees, 0.0)]
    since = "2023-11-15 00:00:00"
    later = history.spread("BTC-USDT", "binance-okx", since, settings=past[0])
    assert 0 < len(later) < len(table)
    assert later["net_bps"].to_pylist() == table["net_bps"].to_pylist()[-len(later) :]


def test_times_of_questions_count_to_the_ns(past: tuple[Settings, Any]) -> None:
    """As those of rows do."""
    whole = history.spread("BTC-USDT", "binance-okx", settings=past[0])
    ts = whole["ts"].to_numpy()
    row_ns = ts[np.flatnonzero(ts.astype(int) % 1_000)[5]]
    behind = str(row_ns + np.timedelta64(1, "ns"))
    later = history.spread("BTC-USDT", "binance-okx", behind, settings=past[0])
    assert later.equals(whole.slice(int((ts <= row_ns).sum())))
    legs = ("binance-spot", "okx-futures")
    narrowed = history.connect(past[0], symbol="BTC-USDT", sources=legs, last=9, until=behind)
    with contextlib.closing(narrowed) as connection:
        ((newest,),) = connection.sql("SELECT max(epoch_ns(ts)) FROM ticks").fetchall()
    assert newest == row_ns.astype(int)


def test_times_are_utc_whatever_the_machine_s_zone_is(
    past: tuple[Settings, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def since(moment: date | str) -> int:
        return len(history.spread("BTC-USDT", "binance-okx", moment, settings=past[0]))

    wanted = since("2023-11-15 00:00:00")
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert since(datetime(2023, 11, 15, tzinfo=UTC)) == wanted
        assert since("2023-11-15") == wanted
        assert since(date(2023, 11, 15)) == wanted
        assert since("2023-11-15T09:00:00+09:00") == wanted
        assert since("0001-01-01T00:00:00+14:00") > wanted
        assert since("9999-12-31T23:59:59-14:00") == 0
        with history.connect(past[0]) as connection:
            (found,) = connection.sql("SELECT CAST(now() AS TIMESTAMP)").fetchall()
        assert abs(found[0].replace(tzinfo=UTC) - datetime.now(UTC)) < timedelta(hours=1)
    finally:
        monkeypatch.undo()
        time.tzset()


def test_candles_are_those_of_the_ticks_and_holes_are_told(past: tuple[Settings, Any]) -> None:
    found = rows(
        past,
        "SELECT epoch_ns(ts), open, high, low, close, ticks, hole FROM candles WHERE period = '1s' "
        "AND symbol = 'ETH-USDT' AND source = 'binance-spot' ORDER BY ts",
    )
    ticks = logged(past)
    quotes = ticks[(ticks["source_id"] == 0) & (ticks["symbol_id"] == 1)]["quote"]
    second = quotes["ts_recv"] // 10**9 * 10**9
    mid = costs.mid_px(quotes["bid_px"], quotes["ask_px"])
    assert [row[0] for row in found] == np.unique(second).tolist()
    for ts, *candle, count, hole in found:
        of = mid[second == ts]
        assert candle == [of[0], of.max(), of.min(), of[-1]]
        assert count == len(of)
        assert hole == ((ts - START_NS // 10**9 * 10**9) % HOUR_NS == 0), "where it was begun"
    minutes = rows(past, "SELECT sum(ticks) FROM candles WHERE period = '1m'")
    assert minutes == [(len(ticks),)]
    holes = rows(past, "SELECT DISTINCT source FROM candles WHERE hole")
    assert holes == [("binance-spot",)]


def test_signals_gaps_and_opportunities(past: tuple[Settings, Any]) -> None:
    signals = rows(past, "SELECT seq, symbol, direction, kind, net_bps, usual_bps FROM signals")
    assert sorted(signals) == [
        (seq, "ETH-USDT", "binance-okx", "enter", 12.5, None) for seq in (1, 3, 5)
    ]
    followed = rows(
        past,
        "SELECT seq, of_seq, symbol, size_quote, rungs_size_quote[2], rungs_net_bps, "
        "rungs_too_thin FROM follow_ups",
    )
    nets, thin = (11.5, *[None] * 7), (False, True, *[None] * 6)
    assert sorted(followed) == [
        (seq + 1, seq, "ETH-USDT", 1_500.0, 1_000.0, nets, thin) for seq in (1, 3, 5)
    ]
    gaps = rows(past, "SELECT what, source, ts_from IS NULL FROM gaps")
    assert gaps == [("ticks", "binance-spot", True)] * 3
    assert rows(past, "SELECT count(*) FROM opportunities") == [(0,)]


def test_who_asks_for_one_symbol_gets_what_is_its_in_all(past: tuple[Settings, Any]) -> None:
    """Whatever is asked: the same rows of each view as of all, and those alone."""
    ours = ("binance-spot", "okx-futures")
    for symbol, sources in (("ETH-USDT", ours[:1]), ("ETH-USDT", ours), (None, ours[1:]), ("", ())):
        wanted = {"symbol": [symbol] if symbol is not None else [], "source": sources}
        with contextlib.closing(
            history.connect(past[0], symbol=symbol, sources=sources)
        ) as narrowed:
            for view in re.findall(r"CREATE VIEW (\w+)", "".join(views.VIEWS)):
                columns = past[1].sql(f"SELECT * FROM {view}").columns
                # Which order rows came in says a number that another question has others for.
                shown = "* EXCLUDE (arrival)" if "arrival" in columns else "*"
                of = columns if "symbol" in columns else []  # gaps are everybody's
                rules = [
                    f"{name} IN {(*names, names[0])}"
                    for name, names in wanted.items()
                    if names and name in of
                ]
                if view == "spreads" and sources and sources != ours:
                    rules.append("false")  # one leg has none
                question = (
                    f"SELECT {shown} FROM {view} WHERE {' AND '.join(rules) or 'true'} ORDER BY ALL"
                )
                expected = rows(past, question)
                found = asking.ask(narrowed, f"SELECT {shown} FROM {view} ORDER BY ALL").fetchall()
                assert list(map(repr, found)) == list(map(repr, expected)), (view, symbol, sources)
                assert found or symbol != "ETH-USDT" or "false" in rules or view == "opportunities"


@pytest.mark.parametrize("hours", [0, 3])
@pytest.mark.parametrize("count", [1, 7, 2_000])
def test_the_last_spreads_are_those_of_the_last_ticks(
    past: tuple[Settings, Any], count: int, hours: float
) -> None:
    """Of all before a time, too: what a row needs besides its own tick is the other leg's."""
    until_ns = START_NS + (HOUR_NS * 3 if hours else HOUR_NS + 2_000_000_000)
    until = datetime.fromtimestamp(until_ns // 1_000_000_000, UTC).isoformat()
    question = (
        "SELECT * EXCLUDE (arrival) FROM spreads WHERE direction = 'binance-okx' AND "
        f"symbol = 'CCC-USDT' AND ts < make_timestamp_ns({until_ns}) "
        f"ORDER BY ts DESC, arrival DESC LIMIT {count}"
    )
    legs = ("binance-spot", "okx-futures")
    with contextlib.closing(
        history.connect(past[0], symbol="CCC-USDT", sources=legs, last=count, until=until)
    ) as narrowed:
        found = asking.ask(narrowed, question).fetchall()
        (of_ticks,) = asking.ask(narrowed, "SELECT count(*) FROM ticks").fetchall()
    assert found == rows(past, question)
    assert found
    assert of_ticks[0] <= 2 * count


def test_the_last_ticks_are_those_before_a_time_to_the_tick(past: tuple[Settings, Any]) -> None:
    """What is as old as that is not from before."""
    source, symbol = "binance-spot", "BTC-USDT"
    of, newest = f"symbol = '{symbol}' AND source = '{source}'", "ts DESC, arrival DESC"
    question = f"SELECT * EXCLUDE (arrival) FROM ticks WHERE {of}"
    times = [ns for (ns,) in rows(past, f"SELECT epoch_ns(ts) FROM ({question}) ORDER BY ts")]
    for until_ns in (times[5], times[5] + 1, times[-1], times[-1] + 1):
        before = f"{question} AND ts < make_timestamp_ns({until_ns}) ORDER BY {newest}"
        expected = rows(past, f"{before} LIMIT 5")
        wanted = AskedFor(symbol, (source,), last=5, until_ns=until_ns)
        with contextlib.closing(asking._connected(past[0], wanted)) as narrowed:
            found = narrowed.sql(f"{question} ORDER BY {newest}").fetchall()
        assert list(map(repr, found)) == list(map(repr, expected))
        assert len(found) == 5


@pytest.mark.parametrize("past", ["parquet"], indirect=True)
def test_a_spread_since_then_opens_no_file_of_before_but_the_one_that_tells_what_stood(
    past: tuple[Settings, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[list[KeptFile]] = []
    reached = reaching.reached

    def noted(*given: Any) -> list[KeptFile]:
        opened.append(reached(*given))
        return opened[-1]

    monkeypatch.setattr(reaching, "reached", noted)
    whole = history.spread("BTC-USDT", "binance-okx", settings=past[0])
    since = datetime.fromtimestamp((START_NS + HOUR_NS) // 1_000_000_000 + 2, UTC)
    later = history.spread("BTC-USDT", "binance-okx", since.isoformat(), settings=past[0])
    assert later.num_rows
    assert later.equals(whole.slice(whole.num_rows - later.num_rows))
    assert (len(opened[0]), len(opened[1])) == (4, 2)
    in_the_log = datetime.fromtimestamp((START_NS + 2 * HOUR_NS) // 1_000_000_000 + 1, UTC)
    history.spread("BTC-USDT", "binance-okx", in_the_log.isoformat(), settings=past[0])
    assert len(opened[2]) == 2


@pytest.mark.parametrize("past", ["parquet"], indirect=True)
def test_files_are_opened_back_to_what_stood_before_and_no_further(
    past: tuple[Settings, Any],
) -> None:
    """To the tick, at both ends of each file: what is as old as the border is not from before."""
    folder, source = past[0].data_dir / "history", "okx-futures"
    files = [one for one in kept.read(folder).of(HistoryKind.TICKS) if one.source == source]
    times = [
        [ns for (ns,) in duckdb.execute(TIMES.format(folder / one.path)).fetchall()]
        for one in files
    ]
    assert len(files) > 1
    assert all(times)
    for border in {one[0] for one in times} | {one[-1] + 1 for one in times}:
        before = [sum(ns < border for ns in one) for one in times]
        for last in (None, 1, before[-1] + 1, sum(before) + 1):
            at, needed = len(files), last or 1
            while at and needed > 0:
                at -= 1
                needed -= before[at]
            bound = {"since_ns": border} if last is None else {"last": last, "until_ns": border}
            wanted = AskedFor("BTC-USDT", (source,), **bound)
            assert reaching.reached(folder, files, wanted) == files[at:], (border, bound)


def test_files_are_opened_as_far_as_they_reach_into_each_other(tmp_path: Path) -> None:
    """The last mark of one may stand behind the first quotes of the next."""
    files = []
    for at, (recv, marks) in enumerate([([1, 2], [3, 4]), ([5, 6], [7, 12]), ([10, 11], [13, 14])]):
        path = f"ticks/day=2023-11-15/source=okx-futures/{at:02}-{at:016}.parquet"
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        made = {
            "symbol": ["BTC-USDT"] * 4,
            "ts_recv": [*recv, *recv],
            "ts_mark": [None] * 2 + marks,
        }
        parquet.write_table(pa.table(made), tmp_path / path)
        files.append(KeptFile(path, HistoryKind.TICKS, 4, 1, 1))
    for border, first in ((16, 1), (12, 1), (11, 1), (10, 1), (5, 0)):
        wanted = AskedFor("BTC-USDT", ("okx-futures",), since_ns=border)
        assert reaching.reached(tmp_path, files, wanted) == files[first:], border


@pytest.mark.parametrize("past", ["parquet"], indirect=True)
@pytest.mark.parametrize("last", [None, 5])
def test_files_of_sources_that_nobody_asks_for_are_not_opened(
    past: tuple[Settings, Any], last: int | None
) -> None:
    folder = past[0].data_dir / "history"
    files = kept.read(folder).of(HistoryKind.TICKS)
    wanted = AskedFor("BTC-USDT", ("okx-futures",), last=last)
    assert {file.source for file in files} == {"binance-spot", "okx-futures"}
    assert {file.source for file in reaching.reached(folder, files, wanted)} == {"okx-futures"}


@pytest.mark.parametrize("past", ["parquet"], indirect=True)
def test_files_are_opened_in_the_order_that_all_have(past: tuple[Settings, Any]) -> None:
    """By it two legs' rows of one time, as marks of one block are, come in the same order."""
    folder = past[0].data_dir / "history"
    files = kept.read(folder).of(HistoryKind.TICKS)
    wanted = AskedFor("BTC-USDT", ("binance-spot", "okx-futures"), last=10_000)
    assert reaching.reached(folder, files, wanted) == files


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"last": 5}, "the last ticks of what"),
        ({"symbol": "BTC-USDT", "last": 0}, "1 or more"),
        ({"symbol": "BTC-USDT", "until": "2026-01-01"}, "for the last ticks alone"),
        ({"symbol": "BTC-USDT", "last": 5, "until": "soon"}, "cannot read the time"),
    ],
)
def test_what_bounds_nothing_is_refused(
    past: tuple[Settings, Any], given: dict[str, Any], said: str
) -> None:
    with pytest.raises(Unusable, match=said):
        history.connect(past[0], **given)


def test_a_symbol_may_be_written_as_everywhere(past: tuple[Settings, Any]) -> None:
    whole = history.spread("ETH-USDT", "binance-okx", settings=past[0])
    assert history.spread("eth/usdt", "binance-okx", settings=past[0]).equals(whole)
    with contextlib.closing(history.connect(past[0], symbol="eth/usdt")) as narrowed:
        found = asking.ask(narrowed, "SELECT DISTINCT symbol FROM ticks").fetchall()
    assert found == [("ETH-USDT",)]
    with Listings(past[0]) as listings:
        last = listings.last("eth/usdt", "okx-futures", 5)
        assert last.tobytes() == listings.last("ETH-USDT", "okx-futures", 5).tobytes()
    assert len(last) == 5


def test_a_source_that_nobody_has_is_refused(past: tuple[Settings, Any]) -> None:
    with pytest.raises(Unusable, match=r"no such source.*allowed.*okx-futures"):
        history.connect(past[0], sources=["okx"])


def test_files_of_before_have_no_column_that_came_later(tmp_path: Path) -> None:
    with use(VirtualClock()) as clock:
        write_hours(tmp_path / "wal", clock, hours=3, ticks=20)
    compact.compact(tmp_path / "wal", tmp_path / "history")
    (oldest, *later) = sorted((tmp_path / "history" / "follow_ups").rglob("*.parquet"))
    assert later
    parquet.write_table(parquet.read_table(oldest).drop_columns("rungs_too_thin"), oldest)
    with contextlib.closing(history.connect(settings_for(tmp_path))) as connection:
        asked = asking.ask(connection, "SELECT rungs_too_thin[2] FROM follow_ups ORDER BY seq")
        assert asked.fetchall() == [(None,), (True,), (True,)]


@pytest.mark.parametrize(
    "question",
    [
        "",
        "SELEC 1",
        "SELECT * FROM nothing",
        "SELECT nothing FROM ticks",
        "SELECT 1; SELECT 2",
        "DROP VIEW ticks",
        "CREATE TABLE a AS SELECT 1",
        "COPY (SELECT 1) TO '/tmp/somewhere.csv'",
        "SET threads = 1",
        "INSTALL httpfs",
        "SELECT CAST('a' AS INTEGER)",
    ],
)
def test_what_is_no_question_is_one_line(past: tuple[Settings, Any], question: str) -> None:
    with pytest.raises((Unusable, duckdb.Error)) as refused:
        asking.ask(past[1], question).fetchall()
    error = refused.value
    told = error if isinstance(error, Unusable) else asking.refused(error)
    assert isinstance(told, Unusable)
    assert "\n" not in str(told)


@pytest.mark.parametrize(
    "place", ["read_csv('/etc/passwd')", "'https://example.com/a.parquet'", "glob('/etc/*')"]
)
def test_no_other_file_and_no_network(past: tuple[Settings, Any], place: str) -> None:
    with pytest.raises(Exception, match="disabled by configuration"):
        asking.ask(past[1], f"SELECT * FROM {place}").fetchall()


def test_odd_names_are_refused(past: tuple[Settings, Any]) -> None:
    with pytest.raises(Unusable, match=r"no such direction.*binance-okx"):
        history.spread("BTC-USDT", "nope", settings=past[0])
    with pytest.raises(Unusable, match=r"no such form.*polars"):
        history.spread("BTC-USDT", "binance-okx", form="excel", settings=past[0])
    for since in ("yesterday", "", 5):
        with pytest.raises(Unusable, match=r"cannot read the time.*an ISO date or time"):
            history.spread("BTC-USDT", "binance-okx", since, settings=past[0])  # type: ignore[arg-type]


@pytest.mark.parametrize("form", ["polars", "pandas"])
def test_a_form_that_is_not_installed_is_named(
    past: tuple[Settings, Any], monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(asking.NoAnswer, match=f"{form} is not installed: pip install {form}"):
        history.spread("BTC-USDT", "binance-okx", form=form, settings=past[0])


def test_nothing_was_recorded_yet(tmp_path: Path) -> None:
    with history.connect(settings_for(tmp_path)) as connection:
        views = ("ticks", "books", "book_changes", "candles", "spreads", "signals", "follow_ups")
        for view in (*views, "gaps", "opportunities"):
            assert connection.sql(f"SELECT count(*) FROM {view}").fetchall() == [(0,)], view


def test_without_the_extra_the_answer_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(asking.NoAnswer, match=r"spread-scanner\[history\]"):
        history.connect(settings_for(tmp_path))


def test_the_recorder_loads_nothing_large(monkeypatch: pytest.MonkeyPatch) -> None:
    import subprocess

    code = "import sys, spread_scanner.recorder.main; print({'pyarrow','duckdb'} & {*sys.modules})"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "set()"
