"""The recorder over the segments of a small system: what was published is in the log, once and in
its order, and what is not is a Gap.
"""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from recorder_bed import Recorded

import bed as waits
from spread_scanner.books._order_book import FollowedBook
from spread_scanner.clock import NS_PER_MS, VirtualClock
from spread_scanner.history import compact, kept
from spread_scanner.recorder import compacting, draining, keeping
from spread_scanner.recorder.documents import settings_body
from spread_scanner.recorder.recording import COMMIT_NS
from spread_scanner.schema.enums import ProcessState, QuoteFlag, SwitchKind
from spread_scanner.schema.log import GapOf, RecordKind, layouts
from spread_scanner.schema.names import ENGINE, HISTORY_FOLDER, RECORDER
from spread_scanner.schema.records import SIGNAL_DTYPE
from spread_scanner.shm import Control, PriceStore, segment
from spread_scanner.shminit import making
from spread_scanner.symbology.tables import Tables
from spread_scanner.wal import frames, packing, reader, segments, snapshot
from spread_scanner.wal.disk import LogDisk
from spread_scanner.wal.times import LogTimes
from spread_scanner.wal.writer import SPARES_MAX


@pytest.fixture
def recorded(up_bed: Any, virtual_clock: VirtualClock) -> Iterator[Recorded]:
    with contextlib.ExitStack() as stack:
        yield Recorded(up_bed, virtual_clock, stack)


def test_every_quote_of_every_source_is_in_the_log(recorded: Recorded) -> None:
    for number in range(200):
        recorded.quote(number % 8, number % 5, number)
        if number % 7 == 0:
            recorded.turns()
    recorded.turns()
    for source_id in range(8):
        assert recorded.ticks(source_id) == list(range(25))
        assert recorded.gaps(source_id) == [(0, 0)], "where it began, nothing is known of before"
    (first, *_) = recorded.pieces(RecordKind.TICK)
    tick = first.array()[0]
    assert tuple(tick["quote"])[:4] == (1.0, 1.0, 2.0, 1.0)
    recorded.turns(60)
    assert recorded.counter("ticks") == 200
    assert recorded.counter("ticks_missed") == 0
    seen = recorded.health.read(RECORDER)
    assert seen is not None
    assert seen.state is ProcessState.RUNNING
    assert "on the disk" in seen.message


def test_what_a_full_tape_had_no_room_for_is_a_gap_with_bounds(
    up_bed: Any, virtual_clock: VirtualClock
) -> None:
    slots = up_bed.settings.config.system.tape_slots
    with contextlib.ExitStack() as stack:
        recorded = Recorded(up_bed, virtual_clock, stack)
        recorded.quote()
        recorded.turns()
        for _ in range(slots + 10):
            recorded.quote()
        recorded.turns()
        virtual_clock.advance_ms(5)
        recorded.quote()
        recorded.turns()
        assert recorded.gaps() == [(0, 0), (slots + 1, slots + 11)]
        assert recorded.ticks()[-1] == slots + 11
        gap = recorded.pieces(RecordKind.GAP)[-1].array()[-1]
        assert gap["ts_to"] - gap["ts_from"] == 25_000_000
        recorded.turns(60)
        assert recorded.counter("ticks_missed") == 10


def test_a_life_that_was_killed_is_gone_on_with_where_the_log_ends(recorded: Recorded) -> None:
    """As kill -9 leaves it: still asked for, some ticks in the log and not given back."""
    for _ in range(30):
        recorded.quote()
    recorded.turns()
    wanted = recorded.recording._tapes_open[0]._reader
    for _ in range(5):
        recorded.quote()
    kill(recorded)
    assert wanted is not None
    for _ in range(5):
        recorded.quote()
    recorded.begin()
    recorded.turns()
    assert recorded.ticks() == list(range(40))
    assert recorded.gaps() == [(0, 0)]


def test_a_life_that_ended_leaves_a_gap_of_unknown_length(recorded: Recorded) -> None:
    recorded.quote()
    recorded.recording.close()
    recorded.clock.advance_ms(1_000)
    recorded.quote()
    recorded.begin()
    recorded.quote()
    recorded.turns()
    assert recorded.ticks() == [0, 1]
    assert recorded.gaps() == [(0, 0), (1, 1)]
    gap = recorded.pieces(RecordKind.GAP)[-1].array()[0]
    assert gap["ts_to"] - gap["ts_from"] == 1_000_000_000


def test_pause_and_resume(recorded: Recorded) -> None:
    recorded.quote()
    recorded.recording.pause(True)
    recorded.quote()
    recorded.turns()
    recorded.recording.pause(False)
    recorded.quote()
    recorded.turns()
    assert recorded.ticks() == [0, 1]
    assert recorded.gaps() == [(0, 0), (1, 1)]


def signals(first: int, count: int) -> np.ndarray:
    made = np.zeros(count, SIGNAL_DTYPE)
    made["seq"] = np.arange(first, first + count)
    return made


def test_signals_are_looked_on_at_and_a_hole_is_a_gap(recorded: Recorded) -> None:
    recorded.ring.push_many(signals(1, 5))
    recorded.turns()
    recorded.ring.push_many(signals(6, 5))
    recorded.turns()
    recorded.ring.push_many(signals(14, 2))
    recorded.turns()
    seqs = [
        int(one["seq"]) for piece in recorded.pieces(RecordKind.SIGNAL) for one in piece.array()
    ]
    assert seqs == [*range(1, 11), 14, 15]
    found = [gap for piece in recorded.pieces(RecordKind.GAP) for gap in piece.array()]
    of_signals = [gap for gap in found if gap["what"] == GapOf.SIGNALS]
    assert [(gap["first"], gap["next"]) for gap in of_signals] == [(11, 14)]
    recorded.recording.close()
    recorded.begin()
    recorded.turns()
    assert len([1 for piece in recorded.pieces(RecordKind.SIGNAL) for _ in piece.array()]) == 12


def kill(recorded: Recorded) -> None:
    """As kill -9 leaves it: still asked for."""
    recorded.recording.log.sync()
    for tape in recorded.recording._tapes_open:
        tape._reader._asks = False  # whoever is killed takes nothing back
        tape._reader.close()
    recorded.recording._tapes_open = []
    recorded.recording._stack.close()


def test_lives_that_are_killed_within_a_minute_keep_to_the_budget(recorded: Recorded) -> None:
    settings = msgspec.structs.replace(recorded.bed.settings.config.spread_recorder, budget_gb=0.01)
    recorded.process.settings = msgspec.structs.replace(
        recorded.bed.settings,
        config=msgspec.structs.replace(recorded.bed.settings.config, spread_recorder=settings),
    )
    for _ in range(8):
        recorded.recording._documents.tables = b""  # who is killed writes no last snapshot
        kill(recorded)
        recorded.begin()
        recorded.quote()
        recorded.turns()
        writing = recorded.recording._snapshots._writing
        if writing is not None:
            writing.result()
    assert len(reader.chain(recorded.folder)) < 8


@pytest.mark.parametrize("end", ["ended", "killed"])
def test_what_was_quiet_for_long_is_neither_missing_nor_there_twice(
    recorded: Recorded, end: str
) -> None:
    """What a life goes on with is older than the newest segments of the log."""
    for _ in range(3):
        recorded.quote()
    of_before = signals(1, 5)
    of_before["ts_engine"] = recorded.store.clock.now_ns()
    recorded.ring.push_many(of_before)
    recorded.turns()
    for _ in range(draining.TAIL_SEGMENTS + 1):
        recorded.clock.advance_ms(1_000)
        if end == "ended":
            recorded.recording.close()
        else:
            kill(recorded)
        recorded.begin()
        recorded.turns(60)
    if end == "killed":
        kill(recorded)
    recorded.quote()
    of_now = signals(6, 2)
    of_now["ts_engine"] = recorded.store.clock.now_ns()
    recorded.ring.push_many(of_now)
    if end == "killed":
        recorded.begin()
    recorded.turns()
    assert recorded.ticks() == [0, 1, 2, 3]
    assert all(first == following for first, following in recorded.gaps()), "none is missing"
    seqs = [one for piece in recorded.pieces(RecordKind.SIGNAL) for one in piece.array()["seq"]]
    assert seqs == [*range(1, 8)]


def documents(recorded: Recorded, kind: RecordKind) -> list[Any]:
    return [msgspec.json.decode(piece.document()[1]) for piece in recorded.pieces(kind)]


def test_settings_tables_and_switches_are_written_whole_and_when_they_change(
    recorded: Recorded,
) -> None:
    recorded.turns(60)
    recorded.operator.kill()
    recorded.turns(60)
    (settings,) = documents(recorded, RecordKind.SETTINGS)
    assert settings["spread-engine"] == msgspec.to_builtins(
        recorded.bed.settings.config.spread_engine
    )
    assert "spread-alerts" not in settings
    (piece,) = recorded.pieces(RecordKind.TABLES)
    head, body = piece.document()
    tables = msgspec.json.decode(body, type=Tables)
    assert "AAA-USDT" in tables.symbol_names().values()
    assert head["generation"] == tables.generation
    assert piece_heads(recorded, RecordKind.SETTINGS) == [recorded.bed.settings.digest]
    before, after = documents(recorded, RecordKind.CONTROL)
    assert before == []
    assert [one["kind"] for one in after] == [SwitchKind.HALT.name.lower()]


def piece_heads(recorded: Recorded, kind: RecordKind) -> list[int]:
    return [int(piece.document()[0]["generation"]) for piece in recorded.pieces(kind)]


def test_each_switch_is_written_with_its_number_and_when_it_was_switched(
    recorded: Recorded,
) -> None:
    recorded.turns()
    first = recorded.operator.generation()
    recorded.clock.advance_ms(7)
    switched_ns = recorded.store.clock.now_ns()
    recorded.operator.kill()
    recorded.turns()
    recorded.operator.kill(killed=False)
    recorded.turns()
    assert piece_heads(recorded, RecordKind.CONTROL) == [first, first + 1, first + 2]
    (_, halted, _) = recorded.pieces(RecordKind.CONTROL)
    assert halted.document()[0]["ts"] == switched_ns


def test_whether_the_engine_lives_and_what_its_ring_dropped_is_written(
    recorded: Recorded,
) -> None:
    recorded.turns(10)
    control = Control.attach(recorded.bed.namespace)
    slot = control.claim(ENGINE)
    recorded.turns(10)
    slots = recorded.ring.push_many(signals(1, 2 * recorded.bed.settings.config.system.ring_slots))
    recorded.turns(10)
    slot.close()
    recorded.turns(10)
    control.close()
    assert documents(recorded, RecordKind.ENGINE) == [
        {"alive": False, "dropped": 0},
        {"alive": True, "dropped": 0},
        {"alive": True, "dropped": slots},
        {"alive": False, "dropped": slots},
    ]


def test_what_stands_is_in_each_segment_as_those_before_it_may_leave(
    recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorded.recording.log, "_segment_bytes", 64 << 10)
    for number in range(1_000):
        recorded.quote(number % 8, number % 5, number)
        if number % 100 == 0:
            recorded.turns()
    recorded.turns(2)
    kinds = {RecordKind.SETTINGS, RecordKind.TABLES, RecordKind.CONTROL}
    recorded.recording.log.sync()
    held: dict[int, set[RecordKind]] = {}
    for link, piece in reader.pieces_with_links(recorded.folder):
        held.setdefault(link.number, set()).add(piece.kind)
    assert len(held) > 1
    assert all(kinds <= found for found in held.values())


def test_no_password_of_a_proxy_goes_into_the_log(up_bed: Any) -> None:
    source = msgspec.structs.replace(
        up_bed.settings.exchanges["okx-spot"], proxy="socks5://me:secret@10.0.0.1:1080"
    )
    exchanges = {**up_bed.settings.exchanges, "okx-spot": source}
    body = settings_body(msgspec.structs.replace(up_bed.settings, exchanges=exchanges))
    assert b"secret" not in body


def test_the_states_of_sources_are_written_when_they_change(recorded: Recorded) -> None:
    recorded.turns(10)
    first = sum(piece.records for piece in recorded.pieces(RecordKind.SOURCE_STATE))
    assert first == 8
    recorded.writers[3].heartbeat(recorded.clock.mono_ns())
    recorded.turns(10)
    found = [one for piece in recorded.pieces(RecordKind.SOURCE_STATE) for one in piece.array()]
    assert len(found) == 9
    assert found[-1]["source_id"] == 3
    assert found[-1]["heartbeat_mono_ns"] > 0


def test_states_of_sources_take_no_memory_while_the_log_has_no_room(
    recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They change ten times a second, and a disk may refuse for a day."""
    recorded.turns(10)
    with monkeypatch.context() as patch:
        patch.setattr("spread_scanner.wal.writer.UNSYNCED_BYTES_MAX", 0)
        appended = recorded.recording.log.appended_seq
        for _ in range(5):
            recorded.writers[3].heartbeat(recorded.clock.mono_ns())
            recorded.turns(10)
        assert recorded.recording.log.appended_seq == appended
    recorded.turns(10)
    last = recorded.pieces(RecordKind.SOURCE_STATE)[-1].array()
    assert last["source_id"].tolist() == [3]
    assert last["heartbeat_mono_ns"][0] == recorded.store.heartbeat_mono_ns(3)


def both_snapshots_know(folder: Path) -> None:
    """What the newest does: no minute has gone by in which nothing new came."""
    snapshot.write(folder, snapshot.read(folder / snapshot.SNAPSHOT), LogDisk())


@pytest.mark.parametrize("why", ["age", "budget", "room"])
def test_the_oldest_segments_go_first(
    recorded: Recorded, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = recorded.bed.settings.config.spread_recorder
    for _ in range(5):
        recorded.quote()
        recorded.recording.close()
        recorded.clock.advance_ms(60_000)
        recorded.begin()
    recorded.quote()
    recorded.turns()
    log, folder = recorded.recording.log, recorded.folder
    log.sync()
    before = [link.number for link in reader.chain(folder)]
    now = LogTimes.now()
    kept = keeping.keep(folder, log, settings, now)
    assert (kept.dropped, kept.bytes) == (0, len(before) * (64 << 20))
    if why == "age":
        settings = msgspec.structs.replace(settings, raw_h=150 / 3_600)
    elif why == "budget":
        settings = msgspec.structs.replace(settings, budget_gb=0.21)
    else:
        settings = msgspec.structs.replace(settings, free_gb_min=1e6)
    kept = keeping.keep(folder, log, settings, now)
    assert kept.dropped == {"age": 2, "budget": 3, "room": len(before) - 3}[why]
    again = keeping.keep(folder, log, settings, now)
    assert again.dropped == 0, "each is counted once, though it is in the log until it is used"
    if why == "room":
        left = [link.number for link in reader.chain(folder)]
        assert left == before[-3:], "of the third the snapshot before the newest does not know all"
        recorded.process.settings = msgspec.structs.replace(
            recorded.bed.settings,
            config=msgspec.structs.replace(recorded.bed.settings.config, spread_recorder=settings),
        )
        recorded.turns(600)
        seen = recorded.health.read(RECORDER)
        assert seen is not None
        assert seen.state is ProcessState.DEGRADED
        assert "GB are free" in seen.message


@pytest.mark.parametrize("step_h", [-48, 48])
def test_who_sets_the_clock_makes_no_segment_older_or_younger(
    recorded: Recorded, step_h: int
) -> None:
    for _ in range(4):
        recorded.quote()
        recorded.recording.close()
        recorded.begin()
    both_snapshots_know(recorded.folder)
    settings = recorded.bed.settings.config.spread_recorder

    def dropped() -> int:
        return keeping.keep(
            recorded.folder, recorded.recording.log, settings, LogTimes.now()
        ).dropped

    recorded.clock.step_wall_ms(step_h * 3_600_000)
    assert dropped() == 0
    recorded.clock.advance_ms(settings.raw_h * 3_600_000 + 1)
    assert dropped() > 0


def test_a_segment_is_no_older_for_a_ruined_one_behind_it(recorded: Recorded) -> None:
    for _ in range(4):
        recorded.quote()
        recorded.recording.close()
        recorded.begin()
    folder, log = recorded.folder, recorded.recording.log
    both_snapshots_know(folder)
    ruined = reader.chain(folder)[1]
    with ruined.path.open("r+b") as file:
        for at in (0, ruined.path.stat().st_size - frames.COPY_BYTES):
            file.seek(at)
            file.write(bytes(frames.COPY_BYTES))
    assert not reader.chain(folder)[1].is_known
    settings = recorded.bed.settings.config.spread_recorder
    assert keeping.keep(folder, log, settings, LogTimes.now()).dropped == 0


def test_no_segment_goes_that_has_what_no_snapshot_knows(recorded: Recorded) -> None:
    """Rule D6: its last record is one that each whole snapshot knows, whatever is short; so that
    from either, should the other decay, the log leads on without a hole."""
    settings = msgspec.structs.replace(
        recorded.bed.settings.config.spread_recorder, free_gb_min=1e6
    )
    for _ in range(4):
        recorded.quote()
        recorded.recording.close()
        recorded.begin()
    recorded.quote()
    log, folder = recorded.recording.log, recorded.folder
    recorded.turns()
    log.sync()
    newest, before = (snapshot.read(folder / name) for name in ("snapshot", "snapshot.previous"))
    (folder / snapshot.SNAPSHOT).unlink()
    (folder / snapshot.PREVIOUS).unlink()

    def kept_since(seq: int | None) -> list[int]:
        if seq is not None:
            snapshot.write(folder, newest._replace(seq=seq), LogDisk())
        keeping.keep(folder, log, settings, LogTimes.now())
        return [link.number for link in reader.chain(folder)]

    links = reader.chain(folder)
    numbers, firsts = [one.number for one in links], [one.first_seq for one in links]
    assert before.seq <= newest.seq <= firsts[-1]
    assert kept_since(None) == numbers, "there is no snapshot"
    assert kept_since(firsts[1] - 1) == numbers
    assert kept_since(firsts[1]) == numbers, "the one before does not know it"
    assert kept_since(firsts[3] - 1) == numbers[1:]
    assert kept_since(firsts[3]) == numbers[2:]
    raw = bytearray((folder / snapshot.SNAPSHOT).read_bytes())
    raw[-1] ^= 1
    snapshot.write(folder, newest._replace(seq=firsts[-1]), LogDisk())
    (folder / snapshot.SNAPSHOT).write_bytes(raw)
    assert kept_since(None) == numbers[3:], "the newest is damaged: the one before counts"


def test_what_no_snapshot_lets_go_is_told_and_costs_the_history_nothing(
    recorded: Recorded,
) -> None:
    hours_later(recorded, 3)
    history = recorded.bed.settings.data_dir / HISTORY_FOLDER
    folder, log = recorded.folder, recorded.recording.log
    assert compact.compact(folder, history)
    files = kept.read(history).files
    settings = recorded.bed.settings.config.spread_recorder
    settings = msgspec.structs.replace(settings, budget_gb=0.2, free_gb_min=1e6)
    both_snapshots_know(folder)
    snapshots = [folder / snapshot.SNAPSHOT, folder / snapshot.PREVIOUS]
    whole = [path.read_bytes() for path in snapshots]
    for path in snapshots:
        path.unlink()

    def look() -> keeping.LogKept:
        now_ns = recorded.store.clock.now_ns()
        return keeping.keep(folder, log, settings, LogTimes.now(), history, now_ns)

    stays = look()
    assert (stays.dropped, stays.held) == (0, True)
    assert kept.read(history).files == files
    for path, raw in zip(snapshots, whole, strict=True):
        path.write_bytes(raw)
    gone = look()
    assert (gone.dropped > 0, gone.segments, gone.held) == (True, keeping.SEGMENTS_MIN, False)
    assert not kept.read(history).files, "the disk is as short as before"


def test_a_feed_that_falls_quiet_is_on_the_disk_within_the_interval(recorded: Recorded) -> None:
    """Rule D7: by the timer alone, without another record, a larger batch or an end."""
    recorded.turns(100)
    log = recorded.recording.log
    log.sync()
    recorded.quote()
    before, begun_ns = log.appended_seq, recorded.clock.mono_ns()
    recorded.turns()
    while log._syncing is None and log.durable_seq == before:
        recorded.turns()
    assert recorded.clock.mono_ns() - begun_ns <= COMMIT_NS + 20 * NS_PER_MS, "a turn each 20 ms"

    def is_safe() -> bool:
        recorded.turns()
        return log.durable_seq > before

    waits.until(is_safe, "what the timer began, the disk ends")


@pytest.mark.parametrize(
    ("looks", "said"),
    [
        ([(0, 9.0)], ""),
        ([(0, 3.0)], "3.0 GB are free on the disk: the oldest of the log goes"),
        ([(0, 9.0), (8, 9.0)], ""),
        ([(0, 8.0), (8, 9.0)], ""),  # becomes more
        ([(0, 9.0), (4, 6.0)], ""),  # too short a while to tell
        ([(0, 9.0), (8, 8.0)], "8.0 GB are free on the disk, the oldest of the log goes in 24 min"),
        ([(0, 9.0), (8, 8.5)], ""),  # in 56 minutes
        ([(0, 6.0), (8, 4.0)], "4.0 GB are free on the disk, enough for 16 min: the oldest of the"),
        ([(0, 99.0), (11, 9.0), (17, 9.0)], ""),  # what went before does not count
        ([(0, 9.0), (5, 5.0)], "5.0 GB are free on the disk, the oldest of the log goes in 0 min"),
    ],
)
def test_it_is_said_how_long_the_disk_has_room(looks: list[tuple[int, float]], said: str) -> None:
    room = keeping.DiskRoom()
    found = [room.trouble(at * keeping.MINUTE_NS, int(gb * 1e9), 5e9) for at, gb in looks]
    assert found[-1].startswith(said)
    assert bool(found[-1]) == bool(said)


def test_it_is_said_why_nothing_of_the_log_goes() -> None:
    room, held = keeping.DiskRoom(), "no snapshot could be written: [Errno 13] Permission denied"
    assert room.trouble(0, int(9e9), 5e9, held) == (
        f"9.0 GB are free on the disk: nothing of the log goes, as {held}"
    )
    assert room.trouble(8 * keeping.MINUTE_NS, int(6e9), 5e9, held) == (
        f"6.0 GB are free on the disk, enough for 16 min: nothing of the log goes, as {held}"
    )


def test_a_snapshot_is_written_each_minute_and_at_the_end(recorded: Recorded) -> None:
    recorded.quote(3, 2, 5)
    recorded.turns(60)
    path = recorded.folder / snapshot.SNAPSHOT
    assert not path.exists()
    recorded.clock.advance_ms(60_000)
    recorded.recording.log.sync()
    recorded.turns(60)
    waits.until(path.exists, "it is written by its own thread")
    found = snapshot.read(path)
    assert 0 < found.seq <= recorded.recording.log.durable_seq
    (quote,) = found.quotes
    assert (quote["source_id"], quote["symbol_id"], quote["quote"]["update_id"]) == (3, 2, 5)
    assert "AAA-USDT" in msgspec.json.decode(found.tables, type=Tables).symbol_names().values()
    assert found.times.anchor_ns == recorded.store.clock.anchor_ns
    recorded.quote(3, 1, 6)
    recorded.recording.close()
    assert len(snapshot.read(path).quotes) == 2
    recorded.begin()


def test_a_snapshot_that_cannot_be_written_is_said(
    recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise OSError(28, "No space left on device")

    recorded.turns()
    monkeypatch.setattr(snapshot, "write", refused)
    recorded.clock.advance_ms(60_000)

    def is_said(what: str) -> bool:
        recorded.turns(60)
        seen = recorded.health.read(RECORDER)
        return seen is not None and seen.state is ProcessState.DEGRADED and what in seen.message

    waits.until(lambda: is_said("no snapshot could be written"), "its own thread has failed")
    for _ in range(keeping.SEGMENTS_MIN):
        recorded.recording.close()
        recorded.begin()
        recorded.quote()
    settings = msgspec.structs.replace(recorded.bed.settings.config.spread_recorder, budget_gb=0.01)
    recorded.process.settings = msgspec.structs.replace(
        recorded.bed.settings,
        config=msgspec.structs.replace(recorded.bed.settings.config, spread_recorder=settings),
    )
    recorded.clock.advance_ms(60_000)
    said = "nothing of the log goes, as no snapshot could be written"
    waits.until(lambda: is_said(said), "the log is beyond its budget")


@pytest.mark.parametrize("how", ["ended", "killed"])
def test_what_was_recorded_is_in_the_next_store_until_it_is_live(
    recorded: Recorded, how: str
) -> None:
    """Segments are gone, the log is not."""
    recorded.quote(3, 2, 5)
    recorded.turns(10)
    if how == "ended":
        recorded.recording.close()
    else:
        recorded.recording.log.sync()
    recorded.clock.advance_ms(5_000)
    for name in segment.names(recorded.bed.namespace):
        segment.remove(name)
    made = making.ensure(recorded.bed.settings)
    assert made.restored.troubles == []
    with PriceStore.attach(recorded.bed.namespace) as store:
        found = store.read(3, 2)
        assert found is not None
        assert (found.bid_px, found.update_id, found.flags) == (
            1.0, 5, QuoteFlag.STALE,
        )  # fmt: skip
        assert 5.2 <= (store.clock.now_ns() - found.ts_recv) / 1e9 < 5.3
        with store.writer(3) as writer:
            writer.write(2, 3.0, 1.0, 4.0, 1.0, 0, store.clock.now_ns(), 6)
            found = store.read(3, 2)
            assert found is not None
            assert (found.bid_px, found.flags) == (3.0, 0)


def test_a_disk_that_refuses_is_said(recorded: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> int:
        raise OSError(28, "No space left on device")

    recorded.quote()
    monkeypatch.setattr(recorded.recording.log._disk, "pwrite", refused)
    recorded.turns(60)
    seen = recorded.health.read(RECORDER)
    assert seen is not None
    assert seen.state is ProcessState.DEGRADED
    assert "No space left" in seen.message
    monkeypatch.undo()
    recorded.turns(60)
    assert recorded.ticks() == [0]
    recorded.turns(60)
    seen = recorded.health.read(RECORDER)
    assert seen is not None
    assert seen.state is ProcessState.RUNNING


def hours_later(recorded: Recorded, lives: int) -> None:
    """As many lives, three hours apart, each with a segment of its own."""
    for _ in range(lives):
        recorded.quote()
        recorded.turns()
        recorded.recording.close()
        recorded.clock.advance_ns(3 * keeping.HOUR_NS)
        recorded.begin()
    recorded.quote()
    recorded.turns()


def test_behind_a_log_of_another_version_it_records_on(
    recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An upgrade whose signals lie otherwise: nothing is overwritten, and its room is counted."""
    lying = [*layouts()]
    lying[RecordKind.SIGNAL] = 7
    recorded.recording.close()
    with monkeypatch.context() as patch:
        patch.setattr(frames, "layouts", lambda: lying)
        recorded.begin()
        recorded.quote()
        recorded.turns(10)
        recorded.recording.close()
    before = reader.linked(recorded.folder)
    with pytest.raises(reader.NoLog):
        reader.chain(recorded.folder)
    recorded.begin()
    recorded.quote(update_id=7)
    recorded.turns(60)
    found = [one for piece in recorded.pieces(RecordKind.TICK) for one in piece.array()]
    assert [int(one["quote"]["update_id"]) for one in found] == [7]
    seen = recorded.health.read(RECORDER)
    assert seen is not None
    assert seen.state is ProcessState.RUNNING
    settings = recorded.bed.settings.config.spread_recorder
    log, now = recorded.recording.log, LogTimes.now()
    stays = keeping.keep(recorded.folder, log, settings, now)
    assert (stays.dropped, stays.bytes) == (0, (len(before) + 1) * (64 << 20))
    settings = msgspec.structs.replace(settings, budget_gb=0.01)
    both_snapshots_know(recorded.folder)
    assert keeping.keep(recorded.folder, log, settings, now).dropped == len(before) - 1


def test_segments_go_by_age_when_they_are_in_the_history(recorded: Recorded) -> None:
    hours_later(recorded, 3)
    history = recorded.bed.settings.data_dir / HISTORY_FOLDER
    folder, log = recorded.folder, recorded.recording.log
    settings = recorded.bed.settings.config.spread_recorder
    now = LogTimes.now()
    assert keeping.keep(folder, log, settings, now, history).dropped == 0
    assert compact.compact(folder, history)
    before = len(reader.chain(folder))
    now_ns = recorded.store.clock.now_ns()
    both_snapshots_know(folder)
    gone = keeping.keep(folder, log, settings, now, history, now_ns)
    assert gone.dropped == before - keeping.SEGMENTS_MIN
    assert (gone.lost, gone.history_bytes > 0) == (0, True)


def test_a_compaction_that_fails_is_told_of_and_tried_later(
    recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compacting, "CHILD", ("/bin/sh", "-c", "echo wrong >&2; exit 1"))
    hours_later(recorded, 2)
    both = recorded.recording._compacting
    child = both.compaction

    def ends(of: Callable[[], int]) -> bool:
        both.look(history=True, pack=False)
        return of() == 1

    waits.until(lambda: ends(lambda: child.failed), "it fails")
    assert child.trouble.endswith("wrong")
    both.look(history=True, pack=False)
    assert not both.running
    recorded.turns(60)
    seen = recorded.health.read(RECORDER)
    assert seen is not None
    assert seen.state is ProcessState.DEGRADED
    monkeypatch.setattr(compacting, "CHILD", ("/bin/true",))
    recorded.clock.advance_ns(compacting.AGAIN_NS)
    waits.until(lambda: ends(lambda: child.done), "it is done")
    assert child.trouble == ""


def test_segments_that_are_in_the_history_are_packed_and_their_files_used_again(
    recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "RAW_BYTES_MIN", 1)
    monkeypatch.setattr(packing, "TOGETHER", 2)
    hours_later(recorded, 3)
    history = recorded.bed.settings.data_dir / HISTORY_FOLDER
    both, folder = recorded.recording._compacting, recorded.folder
    before = [(one.seq, one.payload.tobytes()) for one in reader.pieces(folder)]
    assert both._to_pack(in_history=True) == [], "they are not in it"
    recorded.clock.advance_ns(compacting.PACK_NS)
    assert compact.compact(folder, history)
    known = {number for number, _ in kept.read(history).segments}

    def done() -> bool:
        both.look(history=True, pack=True)
        return both.packing.done == 1

    waits.until(done, "they are packed")
    assert set(segments.numbered(folder, segments.PACKED)) == known
    recorded.clock.advance_ns(compacting.PACK_NS)
    assert both._to_pack(in_history=True) == [], "once"
    log, settings = recorded.recording.log, recorded.bed.settings.config.spread_recorder
    settings = msgspec.structs.replace(settings, raw_h=100)
    stays = keeping.keep(folder, log, settings, LogTimes.now(), history)
    links = reader.chain(folder)
    assert (stays.dropped, stays.segments) == (0, len(links))
    assert len(segments.numbered(folder)) == len(links) - len(known) + SPARES_MAX
    after = [(one.seq, one.payload.tobytes()) for one in reader.pieces(folder)]
    assert after[: len(before)] == before
    settings = msgspec.structs.replace(settings, raw_h=0.1)
    both_snapshots_know(folder)
    gone = keeping.keep(folder, log, settings, LogTimes.now(), history)
    assert gone.dropped == len(links) - keeping.SEGMENTS_MIN
    assert set(segments.numbered(folder, segments.PACKED)) == {max(known)}


def test_a_packing_that_fails_is_said_and_tried_again_with_the_same_segments(
    recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "RAW_BYTES_MIN", 1)
    monkeypatch.setattr(packing, "TOGETHER", 2)
    working = compacting.PACKER
    monkeypatch.setattr(compacting, "PACKER", ("/bin/sh", "-c", "echo full >&2; exit 1"))
    hours_later(recorded, 3)
    both, folder = recorded.recording._compacting, recorded.folder

    def ends(of: Callable[[], int]) -> bool:
        both.look(history=False, pack=True)
        return of() == 1

    waits.until(lambda: ends(lambda: both.packing.failed), "it fails")
    recorded.recording._tell()
    seen = recorded.health.read(RECORDER)
    assert seen is not None
    assert (seen.state, "packing failed: full" in seen.message) == (ProcessState.DEGRADED, True)
    both.look(history=False, pack=True)
    assert not both.running, "at once"
    monkeypatch.setattr(compacting, "PACKER", working)
    recorded.clock.advance_ns(compacting.AGAIN_NS)
    waits.until(lambda: ends(lambda: both.packing.done), "they are packed")
    assert len(segments.numbered(folder, segments.PACKED)) >= packing.TOGETHER
    assert both.packing.trouble == ""


def test_a_book_that_is_held_is_written_each_second(recorded: Recorded) -> None:
    recorded.book(3, 100.0, 101.0)
    recorded.book(7, 5.0, 6.0)
    recorded.turns(200)  # 4 s
    found = recorded.books()
    assert {symbol_id for symbol_id, _, _ in found} == {3, 7}
    assert found.count((3, "SECOND", 100.0)) == found.count((7, "SECOND", 5.0))
    assert 4 <= found.count((3, "SECOND", 100.0)) <= 5
    recorded.shelf.release(3)
    recorded.turns(100)
    assert recorded.books()[len(found) :] == [(7, "SECOND", 5.0)] * 2, "it is held no more"
    recorded.recording._tell()
    assert recorded.counter("books") == len(found) + 2


def test_a_book_that_moved_is_written_at_once(recorded: Recorded) -> None:
    recorded.book(3, 100.0, 101.0)
    recorded.into_a_second()
    before = len(recorded.books())
    for bid_px in (104.9, 105.1, 100.0, 99.0):  # of 100: within, over; of 105.1: within, over
        recorded.book(3, bid_px, 106.0)
        recorded.turns(6)
    moved = [one for one in recorded.books()[before:] if one[1] == "MOVED"]
    assert moved == [(3, "MOVED", 105.1), (3, "MOVED", 99.0)]


def test_a_book_whose_side_vanished_has_moved(recorded: Recorded) -> None:
    recorded.book(3, 100.0, 101.0)
    recorded.into_a_second()
    before = len(recorded.books())
    recorded.shelf.take(3)
    empty = FollowedBook()
    empty.snapshot(np.array([[100.0, 1.0]]), np.empty((0, 2)))
    recorded.shelf.publish(
        empty.record(symbol_id=3, source_id=2, update_id=2, ts_recv=recorded.store.clock.now_ns())
    )
    recorded.turns(6)
    assert recorded.books()[before:] == [(3, "MOVED", 100.0)]


def test_levels_that_changed_are_in_the_log(recorded: Recorded) -> None:
    recorded.book(3, 100.0, 101.0)
    recorded.turns()
    recorded.book(3, 99.0, 101.0)
    recorded.turns()
    first = [(0, 3, "bid", 100.0, 1.0), (1, 3, "ask", 101.0, 2.0)]
    then = [(2, 3, "bid", 100.0, 0.0), (3, 3, "bid", 99.0, 1.0)]
    assert recorded.levels() == first + then
    recorded.recording.close()
    recorded.book(3, 98.0, 101.0)  # nobody asks
    before = recorded.counter("levels")
    recorded.begin()
    recorded.book(3, 97.0, 101.0)
    recorded.turns(60)
    assert recorded.levels() == [*first, *then, (4, 3, "bid", 98.0, 0.0), (5, 3, "bid", 97.0, 1.0)]
    gaps = [gap for piece in recorded.pieces(RecordKind.GAP) for gap in piece.array()]
    found = [
        (int(gap["first"]), int(gap["next"]))
        for gap in gaps
        if gap["what"] == GapOf.BOOK_DELTAS and gap["source_id"] == 2
    ]
    assert found == [(0, 0), (4, 4)]
    assert recorded.counter("levels") == before + 2
