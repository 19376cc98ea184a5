"""Hours of the log that are over become Parquet, value by value, once; a compaction that is killed
leaves nothing that counts."""

import os
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from history_bed import HOUR_NS, START_NS, quotes, rows_of_log, tables_document, write_hours
from log_bed import ticks

from bed import seed
from spread_scanner.clock import VirtualClock
from spread_scanner.config.settings import Recorder
from spread_scanner.errors import Unusable
from spread_scanner.history import columns, compact, kept, retention, units
from spread_scanner.history.gathered import AskedFor, Gathered, NamedPiece
from spread_scanner.history.kept import HistoryKind
from spread_scanner.history.newest import Newest
from spread_scanner.schema.enums import QuoteFlag
from spread_scanner.schema.log import DOCUMENT_DTYPE, GapOf, RecordKind
from spread_scanner.schema.records import TS_ABSENT
from spread_scanner.symbology import replacing
from spread_scanner.wal import frames, reader
from spread_scanner.wal.writer import LogWriter, Origin


def put(table: pa.Table, path: Path) -> None:
    with compact._writer(path, table.schema) as writer:
        writer.write_table(table)


@pytest.mark.parametrize("most", [1, 7, 100, 400])
def test_some_rows_at_a_time_are_the_same_rows(
    tmp_path: Path, virtual_clock: VirtualClock, most: int
) -> None:
    """So what a compaction holds at once does not grow with its hour; marks are told from quotes
    by the row before, also over a border."""
    write_hours(tmp_path, virtual_clock, hours=2, ticks=400)
    gathered = Gathered(reader.chain(tmp_path), {})
    for source_id in gathered.source_ids(gathered.ticks):
        parts = list(gathered.parts_of(source_id, most))
        assert max(map(len, parts)) == min(most, 400)
        assert np.concatenate(parts).tobytes() == gathered.ticks_of(source_id).tobytes()


@pytest.mark.parametrize("most", [1, 2, 3, 7])
def test_marks_in_a_row_end_with_the_next_quote_wherever_a_part_ends(
    tmp_path: Path, virtual_clock: VirtualClock, most: int
) -> None:
    """Written down at once, behind that quote."""
    made = quotes(virtual_clock.mono_ns() + START_NS, 40, 0, np.random.default_rng(seed()))
    made["symbol_id"] = 0
    for at in range(1, 40):
        if at % 5 in (2, 3):
            made["quote"][at] = made["quote"][at - 1]
            made["quote"]["flags"][at] = QuoteFlag.STALE
    log = LogWriter(tmp_path, Origin("t", 1, START_NS))
    virtual_clock.advance_ms(2_000)
    log.append(RecordKind.TICK, made)
    log.close()
    gathered = Gathered(reader.chain(tmp_path), {})
    whole = gathered.ticks_of(0)
    assert np.concatenate(list(gathered.parts_of(0, most))).tobytes() == whole.tobytes()


def test_each_piece_is_looked_through_for_the_sources_that_it_has(
    tmp_path: Path, virtual_clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So what a question takes does not grow with pieces times sources, of which a log of a quiet
    market has hundreds of thousands."""
    writer = LogWriter(tmp_path)
    for round_ in range(20):
        made = ticks(8 * round_, 8)
        for source_id in range(4):
            made["source_id"] = source_id if round_ else np.arange(8) % 4  # one has all of them
            writer.append(RecordKind.TICK, made[2 * source_id : 2 * source_id + 2])
            writer.commit()
    writer.close()
    gathered = Gathered(reader.chain(tmp_path), {})
    looked: list[object] = []
    unit = Gathered._unit

    def looked_at(self: Gathered, one: NamedPiece) -> int:
        looked.append(one)
        return unit(self, one)

    monkeypatch.setattr(Gathered, "_unit", looked_at)
    found = [gathered.ticks_of(source_id) for source_id in range(5)]
    assert [len(one) for one in found] == [40, 40, 40, 40, 0]
    of_pieces = [len(np.unique(one.piece.array()["source_id"])) for one in gathered.ticks]
    assert len(looked) == sum(of_pieces) < 4 * len(gathered.ticks)
    for source_id, rows in enumerate(found[:4]):
        assert [number // 2 % 4 for number in rows["number"][4:]] == [source_id] * 36


def test_hours_that_are_over_become_parquet_value_by_value(
    tmp_path: Path, virtual_clock: VirtualClock
) -> None:
    log, folder = tmp_path / "wal", tmp_path / "history"
    write_hours(log, virtual_clock, hours=3, ticks=500)
    made = compact.compact(log, folder)
    listed = kept.read(folder)
    assert list(listed.files) == made
    days = {file.path.split("/")[1] for file in made}
    assert days == {"day=2023-11-14"}
    paths = [folder / file.path for file in listed.of(HistoryKind.TICKS)]
    ticks = [pq.read_table(path, partitioning=None) for path in paths]
    assert sum(map(len, ticks)) == 1_000, "the hour that is written stays in the log"
    for path, table in zip(paths, ticks, strict=True):
        symbols = table["symbol"].to_pylist()
        assert symbols == sorted(symbols)
        about = msgspec.json.decode(pq.read_metadata(path).metadata[b"spread-scanner"])
        assert about["last_number"] - about["first_number"] == len(table) - 1
    segments = {units.key_of(link) for link in reader.chain(log)[:-1]}
    assert set(listed.segments) == segments


def test_a_second_compaction_of_an_hour_does_nothing(
    tmp_path: Path, virtual_clock: VirtualClock
) -> None:
    log, folder = tmp_path / "wal", tmp_path / "history"
    write_hours(log, virtual_clock, hours=3, ticks=50)
    assert compact.compact(log, folder)
    before = (folder / kept.KEPT_FILE).read_bytes()
    assert compact.compact(log, folder) == []
    assert (folder / kept.KEPT_FILE).read_bytes() == before


def test_what_a_killed_compaction_left_is_removed_and_made_anew(
    tmp_path: Path, virtual_clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed at each step of a part: nothing that it wrote is listed."""
    log, folder = tmp_path / "wal", tmp_path / "history"
    write_hours(log, virtual_clock, hours=2, ticks=50)
    whole = [file.path for file in compact.compact(log, tmp_path / "whole")]

    class Killed(BaseException):
        pass

    for at in range(len(whole) + 1):
        steps = iter(range(at))

        def stop(place: Path, steps: object = steps, real: object = replacing.sync_folder) -> None:
            real(place)  # type: ignore[operator]
            if next(steps, None) is None:  # type: ignore[call-overload]
                raise Killed

        with monkeypatch.context() as patch:
            patch.setattr(replacing, "sync_folder", stop)
            with pytest.raises(Killed):
                compact.compact(log, folder)
        if at < len(whole):
            assert kept.read(folder).files == ()
    (folder / HistoryKind.TICKS / "left.parquet.made").write_bytes(b"half")
    compact.compact(log, folder)
    assert [file.path for file in kept.read(folder).files] == whole
    there = {str(path.relative_to(folder)) for path in folder.rglob("*.parquet*")}
    assert there == set(whole)


def test_one_compaction_at_a_time(tmp_path: Path, virtual_clock: VirtualClock) -> None:
    write_hours(tmp_path / "wal", virtual_clock, hours=2, ticks=5)
    with kept.alone(tmp_path / "history"), pytest.raises(kept.HistoryTaken):
        compact.compact(tmp_path / "wal", tmp_path / "history")


def test_a_file_that_is_not_what_was_written_is_refused(
    tmp_path: Path, virtual_clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, folder = tmp_path / "wal", tmp_path / "history"
    write_hours(log, virtual_clock, hours=2, ticks=50)
    real = columns.of_ticks

    def wrong(rows: np.ndarray, symbols: list[str]) -> object:
        rows = rows.copy()
        rows["bid_sz"][7] += 1
        return real(rows, symbols)

    monkeypatch.setattr(columns, "of_ticks", wrong)
    with pytest.raises(compact.NotAsWritten, match="bid_sz"):
        compact.compact(log, folder)
    assert not (folder / kept.KEPT_FILE).exists()


def test_a_clock_that_is_set_moves_no_hour(tmp_path: Path, virtual_clock: VirtualClock) -> None:
    log, folder = tmp_path / "wal", tmp_path / "history"
    write_hours(log, virtual_clock, hours=3, ticks=50, step_wall_ms=-7_200_000)
    compact.compact(log, folder)
    found = [file.path.split("/")[-1][:2] for file in kept.read(folder).of(HistoryKind.TICKS)]
    assert sorted(found) == ["22"] * 2 + ["23"] * 2


def test_odd_values_come_back(tmp_path: Path) -> None:
    """Sides that are empty, no exchange time, times between milliseconds, marks."""
    chance = np.random.default_rng(seed())
    log = tmp_path / "wal"
    ticks = quotes(START_NS, 4_000, 0, chance)
    quote = ticks["quote"]
    quote["bid_px"][::7] = np.nan
    quote["flags"][::7] |= int(QuoteFlag.BID_EMPTY)
    quote["ts_event"][::5] = TS_ABSENT
    quote["ts_event"][1::5] += 123_457
    quote["ts_event"][2::5] = -1
    quote["update_id"][3] = 2**64 - 1
    rows = rows_of_log(log, ticks)
    table = columns.of_ticks(rows, ["A", "B", "C", "D", "E"])
    put(table, tmp_path / "one.parquet")
    back = pq.read_table(tmp_path / "one.parquet")
    assert columns.ticks_differ(back, rows, ["A", "B", "C", "D", "E"]) == ""
    for name in rows.dtype.names or ():
        if name not in ("number", "ts", "is_mark"):
            other = rows.copy()
            other[name][11] = 4 if name != "usable" else not other[name][11]
            assert columns.ticks_differ(back, other, ["A", "B", "C", "D", "E"]), name


def test_a_mark_is_told_from_a_quote(tmp_path: Path, virtual_clock: VirtualClock) -> None:
    virtual_clock.advance_ms(100)  # when it is written down
    ticks = quotes(START_NS, 3, 0, np.random.default_rng(1))
    ticks["symbol_id"] = 1
    ticks["quote"][2] = ticks["quote"][1]
    ticks["quote"]["flags"][2] = int(QuoteFlag.STALE)
    rows = rows_of_log(tmp_path / "wal", ticks)
    assert rows["is_mark"].tolist() == [False, False, True]
    assert rows["usable"].tolist() == [True, True, False]
    assert rows["ts"][2] > rows["ts"][1] == rows["ts_recv"][1]


def test_what_waited_for_the_recorder_is_no_mark(
    tmp_path: Path, virtual_clock: VirtualClock
) -> None:
    """Nobody took them from their tape for a while: they were read when they were read."""
    made = quotes(START_NS, 40, 0, np.random.default_rng(1))
    made["symbol_id"] = np.arange(40) % 2
    virtual_clock.advance_ms(20)
    log = tmp_path / "wal"
    writer = LogWriter(log, Origin("test", 1, START_NS), segment_bytes=1 << 20)
    writer.append_document(RecordKind.TABLES, np.zeros((), DOCUMENT_DTYPE), tables_document())
    writer.append(RecordKind.TICK, made[:2])
    writer.sync()
    virtual_clock.advance_ms(5_000)
    writer.append(RecordKind.TICK, made[2:])
    writer.close()
    gathered = Gathered(reader.chain(log), {})
    for at_once in (5, 250_000):
        rows = np.concatenate([*gathered.parts_of(0, at_once)])
        assert not rows["is_mark"].any()
        assert rows["ts"].tolist() == rows["ts_recv"].tolist()


@pytest.mark.parametrize("at_once", [1, 2, 100])
def test_a_mark_that_is_written_down_behind_the_next_quote_ends_there(
    tmp_path: Path, virtual_clock: VirtualClock, at_once: int
) -> None:
    virtual_clock.advance_ms(100)  # when all of them are written down
    made = quotes(START_NS, 4, 0, np.random.default_rng(1))
    made["symbol_id"] = [0, 0, 0, 1]
    made["quote"][1] = made["quote"][0]
    made["quote"]["flags"][1] = int(QuoteFlag.STALE)
    rows_of_log(tmp_path / "wal", made)
    gathered = Gathered(reader.chain(tmp_path / "wal"), {})
    rows = np.concatenate([*gathered.parts_of(0, at_once)])
    assert rows["is_mark"].tolist() == [False, True, False, False]
    assert rows["ts"].tolist() == made["quote"]["ts_recv"][[0, 2, 2, 3]].tolist()


def test_what_is_damaged_is_a_gap(tmp_path: Path, virtual_clock: VirtualClock) -> None:
    log, folder = tmp_path / "wal", tmp_path / "history"
    write_hours(log, virtual_clock, hours=2, ticks=500)
    with reader.chain(log)[0].path.open("r+b") as file:
        file.seek(frames.HEAD_BYTES + frames.BLOCK_HEAD_BYTES + 40_000)
        file.write(b"\xff" * 8)
    compact.compact(log, folder)
    gaps = pq.read_table(folder / kept.read(folder).of(HistoryKind.GAPS)[0].path)
    assert "records" in gaps["what"].to_pylist()


def test_what_left_the_log_before_it_was_kept_is_a_gap(
    tmp_path: Path, virtual_clock: VirtualClock
) -> None:
    """As when the budget was spent before the compaction came to it."""
    log, folder = tmp_path / "wal", tmp_path / "history"
    write_hours(log, virtual_clock, hours=2, ticks=50)
    assert compact.compact(log, folder)
    kept_until = kept.read(folder).end
    (last,) = units.left(log, kept.read(folder))
    assert kept_until == (last.first_seq, units.begun_ns(last, [last]))
    write_hours(log, virtual_clock, hours=2, ticks=50)
    *gone, lost, first, _ = reader.chain(log)
    for link in (*gone, lost):
        link.path.unlink()

    def missing(table: pa.Table) -> list[tuple[int, int]]:
        rows = [row for row in table.to_pylist() if row["what"] == "records"]
        assert all(row["ts_from"] < row["ts_to"] for row in rows)
        return [(row["first"], row["next"]) for row in rows]

    newest_ones = Newest(log, kept.read(folder)).stream(HistoryKind.GAPS)
    assert missing(pa.RecordBatchReader.from_stream(newest_ones).read_all()) == [
        (lost.first_seq, first.first_seq)
    ]
    compact.compact(log, folder)
    paths = [folder / file.path for file in kept.read(folder).of(HistoryKind.GAPS)]
    found = [missing(pq.read_table(path, partitioning=None)) for path in paths]
    assert found == [[], [(lost.first_seq, first.first_seq)]]
    for path in log.iterdir():
        path.unlink()
    write_hours(log, virtual_clock, hours=2, ticks=50)
    compact.compact(log, folder)
    paths = [folder / file.path for file in kept.read(folder).of(HistoryKind.GAPS)]
    assert sum(len(missing(pq.read_table(path, partitioning=None))) for path in paths) == 1, (
        "another log"
    )


def test_what_is_damaged_at_the_end_of_an_hour_is_a_gap_to_the_next_one(
    tmp_path: Path, virtual_clock: VirtualClock
) -> None:
    log, folder = tmp_path / "wal", tmp_path / "history"
    write_hours(log, virtual_clock, hours=3, ticks=500)
    first, following, *_ = reader.chain(log)
    last = [one for one in reader.walk(first, reader.mapped(first.path)).blocks if one.records][-1]
    with first.path.open("r+b") as file:
        file.seek(last.offset + frames.BLOCK_HEAD_BYTES)
        file.write(b"\xff" * 8)
    gaps = []
    for part in units.due(log, kept.KeptHistory()):
        rows = Gathered(part.links, {}, part.end).gap_rows()
        gaps.append(rows[rows["what"] == GapOf.RECORDS])
    assert [len(rows) for rows in gaps] == [1, 0]
    (gap,) = gaps[0]
    assert (gap["first"], gap["next"]) == (first.first_seq + last.first, following.first_seq)
    assert gap["ts_to"] == START_NS + int(following.head["created_mono_ns"])
    assert gap["ts_from"] < gap["ts_to"]
    compact.compact(log, folder)
    kinds = [
        pq.read_table(folder / file.path)["what"].to_pylist()
        for file in kept.read(folder).of(HistoryKind.GAPS)
    ]
    assert [one.count("records") for one in kinds] == [1, 0]


def ruin(path: Path, *, copy: bool) -> None:
    """A segment's head, and the copy of it."""
    with path.open("r+b") as file:
        file.write(bytes(8))
        if copy:
            file.seek(-frames.COPY_BYTES, os.SEEK_END)
            file.write(bytes(8))


@pytest.mark.parametrize("copy", [False, True])
@pytest.mark.parametrize("ruined", [[1], [3], [1, 2]])
def test_a_segment_whose_head_is_ruined_is_of_its_hour_or_of_that_of_the_nearest_one(
    tmp_path: Path, virtual_clock: VirtualClock, ruined: list[int], copy: bool
) -> None:
    """By a head of nothing but zeros it would be of 1970, and too old at once."""
    log, folder = tmp_path / "wal", tmp_path / "history"
    for _ in range(2):
        virtual_clock.advance_ms(100)
        write_hours(log, virtual_clock, hours=2, ticks=100)
    for number in ruined:
        ruin(reader.chain(log)[number - 1].path, copy=copy)
    assert sum(not link.whole for link in reader.chain(log)) == len(ruined)
    compact.compact(log, folder)
    files = kept.read(folder).of(HistoryKind.TICKS)
    assert {file.path.split("/")[1] for file in files} <= {"day=2023-11-14", "day=2023-11-15"}
    assert sum(file.rows for file in files) == 300, "all but what is written"
    for one in files:
        marks = pq.read_table(folder / one.path, partitioning=None)["ts_mark"].drop_null()
        assert all(mark.value > START_NS for mark in marks)


def test_a_log_of_which_no_head_is_whole_and_no_copy_stays_as_it_is(
    tmp_path: Path, virtual_clock: VirtualClock
) -> None:
    log, folder = tmp_path / "wal", tmp_path / "history"
    write_hours(log, virtual_clock, hours=3, ticks=10)
    for path in [link.path for link in reader.chain(log)]:
        ruin(path, copy=True)
    assert units.due(log, kept.KeptHistory()) == []
    assert compact.compact(log, folder) == []


def test_names_are_those_of_the_tables_at_each_place(
    tmp_path: Path, virtual_clock: VirtualClock
) -> None:
    log = tmp_path / "wal"
    write_hours(log, virtual_clock, hours=1, ticks=50)
    gathered = Gathered(reader.chain(log), {})
    assert {"BTC-USDT", "ETH-USDT"} <= set(gathered.named.names)
    assert gathered.named.symbols[1] == "ETH-USDT"
    assert HOUR_NS == units.HOUR_NS


def test_a_symbol_is_found_by_the_id_that_it_has_at_each_place(
    tmp_path: Path, virtual_clock: VirtualClock
) -> None:
    """Tables that come in the midst of a segment hand its id to another one; what no table names is
    called by its number."""
    writer = LogWriter(tmp_path)
    head = np.zeros((), DOCUMENT_DTYPE)
    for round_, names in enumerate(((), ("AAA-USDT", "BBB-USDT"), ("BBB-USDT", "AAA-USDT"))):
        if names:
            writer.append_document(RecordKind.TABLES, head, tables_document(names))
        made = ticks(10 * round_, 10)
        made["symbol_id"] = np.arange(10) % 2
        writer.append(RecordKind.TICK, made)
    writer.close()
    for name, numbers in (
        ("AAA-USDT", [*range(10, 20, 2), *range(21, 30, 2)]),
        ("#1", [*range(1, 10, 2)]),
        ("#01", []),
        ("#70000", []),
        ("CCC-USDT", []),
    ):
        gathered = Gathered(reader.chain(tmp_path), {}, wanted=AskedFor(name))
        rows = gathered.ticks_of(0)
        assert rows["number"].tolist() == numbers, name
        assert {gathered.named.names[code] for code in rows["symbol"]} <= {name}


def test_the_child_says_what_it_did_and_what_was_wrong(
    tmp_path: Path, virtual_clock: VirtualClock, capsys: pytest.CaptureFixture[str]
) -> None:
    log, folder = tmp_path / "wal", tmp_path / "history"
    write_hours(log, virtual_clock, hours=2, ticks=10)
    assert compact.main([str(log), str(folder)]) == 0
    assert capsys.readouterr().out == "10 ticks in 11 files\n"
    assert compact.main([str(tmp_path / "nowhere"), str(folder)]) == 1
    assert "there is no log" in capsys.readouterr().err
    assert compact.main([]) == 2


def test_the_oldest_goes_by_age_and_by_room(tmp_path: Path, virtual_clock: VirtualClock) -> None:
    log, folder = tmp_path / "wal", tmp_path / "history"
    write_hours(log, virtual_clock, hours=3, ticks=50)
    compact.compact(log, folder)
    ages = retention.ages_ns(Recorder())
    now_ns = START_NS + 3 * HOUR_NS
    assert retention.trim(folder, ages, now_ns, 0) == []
    gone = retention.trim(folder, ages, now_ns, 1)
    assert [file.kind for file in gone] == [HistoryKind.TICKS]
    assert not (folder / gone[0].path).exists()
    eight_days_ns = START_NS + 8 * retention.DAY_NS
    assert {file.kind for file in retention.trim(folder, ages, eight_days_ns, 0)} == {
        HistoryKind.TICKS,
        HistoryKind.BOOKS,
        HistoryKind.BOOK_CHANGES,
    }
    left = {file.kind for file in kept.read(folder).files}
    assert left == {
        HistoryKind.CANDLES_1S,
        HistoryKind.CANDLES_1M,
        HistoryKind.SIGNALS,
        HistoryKind.FOLLOW_UPS,
        HistoryKind.GAPS,
    }
    order = [file.kind for file in retention.trim(folder, ages, now_ns, 1e9)]
    assert order == sorted(order, key=list(HistoryKind).index)
    assert kept.read(folder).files == ()
    assert kept.read(folder).segments, "what was in it does not come back"
    assert compact.compact(log, folder) == []


def test_what_is_kept_is_refused_when_it_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / kept.KEPT_FILE).write_bytes(b"{")
    with pytest.raises(Unusable, match="cannot be read"):
        kept.read(tmp_path)
    (tmp_path / kept.KEPT_FILE).write_bytes(b'{"format": 9}')
    with pytest.raises(Unusable, match="another version"):
        kept.read(tmp_path)


def test_a_tick_takes_sixteen_bytes_at_most(tmp_path: Path) -> None:
    ticks = quotes(START_NS, 60_000, 0, np.random.default_rng(1))
    rows = rows_of_log(tmp_path / "wal", ticks)
    path = tmp_path / "one.parquet"
    put(columns.of_ticks(rows, ["A", "B", "C", "D", "E"]), path)
    assert path.stat().st_size / len(rows) <= 16
