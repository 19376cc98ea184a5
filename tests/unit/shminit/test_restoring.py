"""A store that is made anew begins with what the log knows: by name, stale, and as old as it is."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from spread_scanner import clock
from spread_scanner.clock import NS_PER_S, VirtualClock
from spread_scanner.schema.enums import QuoteFlag
from spread_scanner.schema.log import DOCUMENT_DTYPE, TICK_DTYPE, RecordKind
from spread_scanner.schema.names import WAL_FOLDER
from spread_scanner.shm import PriceStore, segment
from spread_scanner.shm.price_store import Quote
from spread_scanner.shminit import making, restoring
from spread_scanner.symbology import publish
from spread_scanner.symbology.tables import Tables
from spread_scanner.wal import frames, reader, snapshot
from spread_scanner.wal.disk import LogDisk
from spread_scanner.wal.snapshot import Snapshot
from spread_scanner.wal.times import LogTimes
from spread_scanner.wal.writer import LogWriter, Origin

BOOT_S = 1_700_000_000
ANCHOR_NS = (BOOT_S - 5_000) * NS_PER_S  # of the log's store: 5,000 s after its boot


class Machine:
    """A log that was written at second 5,000 of one boot, and the clocks of whoever starts now."""

    def __init__(self, bed: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bed, self.path = bed, tmp_path / "boot_id"
        self.path.write_text("first\n")
        monkeypatch.setattr(clock, "BOOT_ID", self.path)
        self.folder: Path = bed.settings.data_dir / WAL_FOLDER
        self.tables: Tables = bed.publish_tables()
        self.now = VirtualClock(BOOT_S * NS_PER_S, 5_000 * NS_PER_S)

    def rebooted(self, up_s: int, after_s: int) -> VirtualClock:
        """Another boot, `after_s` by the wall clock behind the log's time."""
        self.path.write_text("second\n")
        return VirtualClock((BOOT_S + after_s) * NS_PER_S, up_s * NS_PER_S)

    def log(self, *ticks: np.ndarray, tables: bool = True, boot: str = "first") -> None:
        with clock.use(self.now):
            writer = LogWriter(self.folder, Origin("x", 7, ANCHOR_NS, boot), segment_bytes=1 << 20)
            if tables:
                head = np.zeros((), DOCUMENT_DTYPE)
                body = msgspec.json.encode(self.tables)
                writer.append_document(RecordKind.TABLES, head, body)
            for some in ticks:
                writer.append(RecordKind.TICK, some)
            writer.close()

    def snapshot(self, seq: int, *ticks: np.ndarray) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        times = LogTimes(ANCHOR_NS, BOOT_S * NS_PER_S, 5_000 * NS_PER_S, "first")
        body = msgspec.json.encode(self.tables)
        taken = Snapshot(seq, times, body, np.concatenate(ticks))
        snapshot.write(self.folder, taken, LogDisk())

    def made(self, now: VirtualClock | None = None) -> making.Made:
        with clock.use(now or self.now):
            return making.ensure(self.bed.settings, force=True)

    def quote(self, source_id: int, symbol_id: int) -> Quote | None:
        with PriceStore.attach(self.bed.namespace) as store:
            return store.read(source_id, symbol_id)

    def age_s(self, source_id: int, symbol_id: int, now: VirtualClock | None = None) -> float:
        with (
            clock.use(now or self.now),
            PriceStore.attach(self.bed.namespace) as store,
        ):
            found = store.read(source_id, symbol_id)
            assert found is not None
            return (store.clock.now_ns() - found.ts_recv) / NS_PER_S


@pytest.fixture
def machine(bed: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    yield Machine(bed, tmp_path, monkeypatch)
    for name in segment.names(bed.namespace):
        with contextlib.suppress(Exception):
            segment.remove(name)


def tick(source_id: int, symbol_id: int, bid: float, ago_s: float = 10.0) -> np.ndarray:
    """`ago_s` before second 5,000 of the log's boot."""
    made = np.zeros(1, TICK_DTYPE)
    made["source_id"], made["symbol_id"] = source_id, symbol_id
    quote = made["quote"]
    quote["bid_px"], quote["ask_px"], quote["bid_sz"], quote["ask_sz"] = bid, bid + 1, 2.0, 3.0
    quote["ts_recv"] = ANCHOR_NS + int((5_000 - ago_s) * NS_PER_S)
    quote["update_id"], quote["epoch"] = 77, 9
    return made


def test_the_last_of_each_cell_is_there_stale_and_as_old_as_it_is(machine: Machine) -> None:
    machine.log(tick(0, 1, 5.0, 60), tick(3, 2, 8.0, 30), tick(0, 1, 6.0, 20))
    machine.now.advance_ms(40_000)
    made = machine.made()
    assert (made.restored.total, made.restored.newest_age_s) == (2, 60.0)
    assert made.restored.troubles == []
    found = machine.quote(0, 1)
    assert found is not None
    assert tuple(found)[:4] == (6.0, 2.0, 7.0, 3.0)
    assert found.flags == QuoteFlag.STALE
    assert found.update_id == 77
    assert machine.age_s(0, 1) == 60
    assert machine.age_s(3, 2) == 70
    assert machine.quote(0, 2) is None


def test_a_live_quote_takes_the_place_of_a_restored_one(machine: Machine) -> None:
    machine.log(tick(0, 1, 5.0))
    machine.made()
    machine.bed.quote(0, 1, 6.0, 7.0)
    found = machine.quote(0, 1)
    assert found is not None
    assert (found.bid_px, found.flags, found.epoch) == (6.0, 0, 2)
    machine.bed.quote(0, 2, 1.0, 2.0)
    with PriceStore.attach(machine.bed.namespace) as store, store.writer(0):
        assert machine.quote(0, 1).flags & QuoteFlag.STALE  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("up_s", "after_s", "age_s"),
    [
        (100, 600, 610),  # as the wall clock says
        (100, -3_600, 100),  # it was set back: from before this boot, whatever it says
        (900, 600, 900),
    ],
)
def test_after_a_reboot_the_wall_clock_tells_the_age_and_the_boot_its_least(
    machine: Machine, up_s: int, after_s: int, age_s: int
) -> None:
    machine.log(tick(0, 1, 5.0))
    now = machine.rebooted(up_s, after_s)
    machine.made(now)
    assert machine.age_s(0, 1, now) == age_s


@pytest.mark.parametrize("step_ms", [3_600_000, -3_600_000])
def test_a_wall_clock_that_is_set_ages_nothing_in_one_boot(machine: Machine, step_ms: int) -> None:
    """Rule D9, of what a start knows."""
    machine.log(tick(0, 1, 5.0))
    machine.now.step_wall_ms(step_ms)
    machine.made()
    assert machine.age_s(0, 1) == 10


def test_a_log_that_names_no_boot_is_dated_by_its_session_clock(machine: Machine) -> None:
    machine.log(tick(0, 1, 5.0), boot="")
    now = machine.rebooted(3, 600)
    machine.made(now)
    assert machine.age_s(0, 1, now) == 610


def test_ids_of_other_tables_are_those_of_now_and_a_coin_that_is_gone_is_left_out(
    machine: Machine,
) -> None:
    machine.log(tick(0, 0, 1.0), tick(0, 1, 2.0), tick(3, 2, 3.0))
    before = machine.tables
    moved = {0: 5, 2: 1}  # AAA has another id, BBB is gone, CCC has its id

    def again(row: Any) -> Any:
        return msgspec.structs.replace(row, symbol_id=moved[row.symbol_id])

    after = msgspec.structs.replace(
        before,
        generation=2,
        symbols=tuple(again(row) for row in before.symbols if row.symbol_id in moved),
        instruments=tuple(again(row) for row in before.instruments if row.symbol_id in moved),
        directions=(),
        quarantine=(),
    )
    publish.publish(machine.bed.settings.generated_dir, after, {})
    made = machine.made()
    assert made.restored.total == 2
    assert [machine.quote(0, 5).bid_px, machine.quote(3, 1).bid_px] == [1.0, 3.0]  # type: ignore[union-attr]
    assert machine.quote(0, 1) is None


def test_a_listing_that_means_another_amount_is_another(machine: Machine) -> None:
    machine.log(tick(0, 0, 1.0), tick(3, 0, 1.0))
    rows = [
        msgspec.structs.replace(row, px_div=1_000.0) if row.source_id == 0 else row
        for row in machine.tables.instruments
    ]
    after = msgspec.structs.replace(machine.tables, generation=2, instruments=tuple(rows))
    publish.publish(machine.bed.settings.generated_dir, after, {})
    assert machine.made().restored.total == 1
    assert machine.quote(0, 0) is None


def test_the_snapshot_stands_where_the_tail_says_nothing_newer(machine: Machine) -> None:
    machine.log(tick(0, 0, 1.0, 50), tick(0, 1, 1.0, 50))  # records 0 to 2, the tables first
    machine.snapshot(2, tick(0, 0, 2.0, 40), tick(0, 2, 2.0, 40))
    machine.log(tick(0, 2, 3.0, 30), tables=False)
    made = machine.made()
    assert made.restored.troubles == []
    found = [machine.quote(0, symbol_id).bid_px for symbol_id in range(3)]  # type: ignore[union-attr]
    assert found == [2.0, 1.0, 3.0]


def test_without_a_log_the_snapshot_alone_counts_and_one_of_another_log_hides_none(
    machine: Machine,
) -> None:
    machine.snapshot(1_000_000, tick(0, 0, 2.0, 40))
    assert machine.made().restored.total == 1
    machine.log(tick(0, 0, 3.0, 20))
    machine.made()
    assert machine.quote(0, 0).bid_px == 3.0  # type: ignore[union-attr]


@pytest.mark.parametrize("where", ["head", "tables", "quotes", "short", "empty"])
def test_a_snapshot_that_is_garbage_is_said_and_the_one_before_counts(
    machine: Machine, where: str
) -> None:
    machine.log()
    machine.snapshot(1, tick(0, 0, 1.0, 50))
    machine.snapshot(1, tick(0, 0, 2.0, 40))
    path = machine.folder / snapshot.SNAPSHOT
    raw = bytearray(path.read_bytes())
    at = {"head": 20, "tables": 200, "quotes": len(raw) - 9}.get(where)
    if at is not None:
        raw[at] ^= 4
    path.write_bytes(raw[:100] if where == "short" else b"" if where == "empty" else raw)
    made = machine.made()
    assert str(path) in made.restored.troubles[0]
    assert machine.quote(0, 0).bid_px == 1.0  # type: ignore[union-attr]


def test_a_torn_tail_costs_what_was_torn(machine: Machine) -> None:
    machine.log(tick(0, 0, 1.0), tables=True)
    (link,) = reader.chain(machine.folder)
    last = reader.walk(link, reader.mapped(link.path)).blocks[-1]
    with link.path.open("r+b") as file:
        file.seek(last.offset)
        file.write(b"\xff" * 64)
    made = machine.made()
    assert made.restored.total == 1
    assert made.restored.troubles == []


def test_damage_is_said_and_what_stands_before_it_counts(machine: Machine) -> None:
    machine.log(tick(0, 0, 1.0))
    machine.log(tick(0, 1, 1.0), tables=False)
    link = reader.chain(machine.folder)[1]
    with link.path.open("r+b") as file:
        file.seek(frames.HEAD_BYTES + 40)
        file.write(b"\xff" * 8)
    machine.log(tick(0, 2, 1.0), tables=False)
    made = machine.made()
    assert made.restored.total == 1
    assert "wal salvage" in made.restored.troubles[0]


def test_a_log_of_another_layout_starts_empty_and_is_said(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.log(tick(0, 0, 1.0))
    machine.snapshot(1, tick(0, 0, 1.0))
    monkeypatch.setattr(reader, "strange", lambda _: "its ticks lie otherwise")
    monkeypatch.setattr(snapshot, "layouts", lambda: [5] * 32)
    made = machine.made()
    assert made.restored.total == 0
    assert len(made.restored.troubles) == 2
    assert all("another version" in trouble for trouble in made.restored.troubles)


def test_what_no_store_takes_does_not_stop_it(machine: Machine) -> None:
    machine.log(tick(0, 0, -1.0))
    made = machine.made()
    assert made.restored.total == 0
    assert "above zero" in made.restored.troubles[0]


def test_no_tables_no_log_no_trouble(bed: Any) -> None:
    assert making.ensure(bed.settings).restored == restoring.Restored([], None, [])
    bed.settings.data_dir.joinpath(WAL_FOLDER).mkdir(parents=True)
    made = making.ensure(bed.settings, force=True)
    assert "no tables" in made.restored.troubles[0]
