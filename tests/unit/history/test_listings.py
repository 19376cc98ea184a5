"""The last quotes of a listing, by name: what all of the log and the history say, from whichever
layer has it."""

import errno
import functools
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from history_bed import SOURCE_IDS, SYMBOLS, quotes, settings_for, tables_document, write_hours
from log_bed import SMALL

from bed import seed
from spread_scanner.clock import VirtualClock
from spread_scanner.errors import Unusable
from spread_scanner.history import compact
from spread_scanner.history.lately import LatelyLogged
from spread_scanner.history.listings import Listings
from spread_scanner.schema.enums import SOURCES
from spread_scanner.schema.log import DOCUMENT_DTYPE, LOGGED_TICK_DTYPE, RecordKind
from spread_scanner.schema.names import HISTORY_FOLDER, WAL_FOLDER
from spread_scanner.wal import _backs, reader
from spread_scanner.wal.disk import LogDisk
from spread_scanner.wal.reader import LogDamaged
from spread_scanner.wal.writer import LogWriter

BEFORE = {name: number for number, name in enumerate(SYMBOLS)}
MOVED = (*SYMBOLS[2:], *SYMBOLS[:2])  # every id means another coin


class Market:
    """A log of two sources, whose ids mean other coins now and then; and what was written."""

    def __init__(self, folder: Path, chance: np.random.Generator) -> None:
        self.folder, self.chance = folder, chance
        self.quotes = {one: quotes(0, 4_000, one, chance) for one in SOURCE_IDS}
        self.at = dict.fromkeys(SOURCE_IDS, 0)
        self.eras: list[tuple[int, tuple[str, ...]]] = [(0, SYMBOLS)]
        self.written: list[tuple[int, int, str, int]] = []  # seq, source, symbol, update id

    def turn(self, writer: LogWriter) -> None:
        if self.chance.random() < 0.15:
            names: tuple[str, ...] = MOVED if self.chance.random() < 0.5 else SYMBOLS
            self.eras.append((writer.appended_seq, names))
            head, body = np.zeros((), DOCUMENT_DTYPE), tables_document(names)
            writer.append_document(RecordKind.TABLES, head, body)
        source_id, count = int(self.chance.choice(SOURCE_IDS)), int(self.chance.integers(1, 60))
        ticks = self.quotes[source_id][self.at[source_id] :][:count]
        self.at[source_id] += count
        names = self.eras[-1][1]
        for seq, tick in enumerate(ticks, writer.appended_seq):
            symbol = names[int(tick["symbol_id"])]
            self.written.append((seq, source_id, symbol, int(tick["quote"]["update_id"])))
        writer.append(RecordKind.TICK, ticks)
        writer.commit()
        links = reader.chain(self.folder)
        if len(links) > 6:  # what is old leaves
            writer.reuse(links[0].path)
        if writer._making is not None:  # what is used again for it has left then
            writer._making.result()

    def check(self, lately: LatelyLogged | None = None) -> None:
        begins = reader.chain(self.folder)[0].first_seq
        before = [names for since, names in self.eras if since < max(begins, 1)][-1]
        before_ids = {name: number for number, name in enumerate(before)}
        lately = lately or LatelyLogged(self.folder, before_ids)
        for source_id in (*SOURCE_IDS, 3):
            for symbol in (*SYMBOLS, "ZZZ-USDT"):
                mine = [one for one in self.written if one[1:3] == (source_id, symbol)]
                ids = [update_id for *_, update_id in mine]
                there = sum(seq >= begins for seq, *_ in mine)
                for count in (1, 7, 10_000):
                    found = lately.last(source_id, symbol, count)["quote"]["update_id"].tolist()
                    assert found == ids[len(ids) - len(found) :]
                    # What has left while it was mapped is still known.
                    assert min(there, count) <= len(found) <= count


@pytest.mark.parametrize("ways", [True, False])
def test_the_log_says_what_was_written_last_of_each_listing(
    tmp_path: Path, ways: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    gathering = functools.partial(_backs.Gathering, ways=ways)  # older versions wrote none
    monkeypatch.setattr("spread_scanner.wal.writer.Gathering", gathering)
    market = Market(tmp_path, np.random.default_rng(seed()))
    lately: LatelyLogged | None = None
    for _ in range(2):
        writer = LogWriter(tmp_path, segment_bytes=SMALL)
        for turn in range(16):
            market.turn(writer)
            if turn % 7 == 0:
                lately = lately or LatelyLogged(tmp_path, BEFORE)
                market.check(lately)
        writer.close()
        market.check()


def test_records_written_again_after_a_sync_that_failed_are_found_once(tmp_path: Path) -> None:
    """They stand in the segment that was given up, too: the kernel still shows what it has lost."""

    class FailingOnce(LogDisk):
        fails = False

        def fdatasync(self, file: int) -> None:
            if self.fails:
                self.fails = False
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            super().fdatasync(file)

    disk = FailingOnce()
    writer = LogWriter(tmp_path, segment_bytes=4 * SMALL, disk=disk)
    made = quotes(0, 20, 0, np.random.default_rng(1))
    made["symbol_id"] = 0
    writer.append(RecordKind.TICK, made[:10])
    writer.sync()
    lately = LatelyLogged(tmp_path, BEFORE)
    writer.append(RecordKind.TICK, made[10:])
    writer.write()
    ids = made["quote"]["update_id"].tolist()
    assert lately.last(0, SYMBOLS[0], 100)["quote"]["update_id"].tolist() == ids
    disk.fails = True
    writer.sync()
    assert writer.segments_failed == 1
    assert writer.durable_seq == 20
    for reading in (lately, LatelyLogged(tmp_path, BEFORE)):
        assert reading.last(0, SYMBOLS[0], 100)["quote"]["update_id"].tolist() == ids
    writer.close()


def test_what_is_damaged_is_refused(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path, segment_bytes=SMALL)
    made = quotes(0, 1_000, 0, np.random.default_rng(1))
    for at in range(0, 1_000, 50):
        writer.append(RecordKind.TICK, made[at : at + 50])
        writer.commit()
    writer.close()
    link = reader.chain(tmp_path)[1]
    block = reader.walk(link, reader.mapped(link.path)).blocks[1]
    with link.path.open("r+b") as file:
        file.seek(block.offset + 40)
        file.write(b"\xff" * 8)
    lately = LatelyLogged(tmp_path, BEFORE)
    assert len(lately.last(0, SYMBOLS[0], 10)) == 10
    with pytest.raises(LogDamaged):
        lately.last(0, SYMBOLS[0], 1_000)


def test_log_and_history_together_have_each_once(
    tmp_path: Path, virtual_clock: VirtualClock
) -> None:
    log, history = tmp_path / WAL_FOLDER, tmp_path / HISTORY_FOLDER
    write_hours(log, virtual_clock, hours=4, ticks=400)
    settings = settings_for(tmp_path)
    label = SOURCES[SOURCE_IDS[1]].label
    with Listings(settings) as listings:
        whole = listings.last(SYMBOLS[1], label, 10_000)
    ticks = [piece.array() for piece in reader.pieces(log) if piece.kind is RecordKind.TICK]
    of_listing = [(one["source_id"] == SOURCE_IDS[1]) & (one["symbol_id"] == 1) for one in ticks]
    logged = [one["quote"][there] for one, there in zip(ticks, of_listing, strict=True)]
    assert whole.tobytes() == np.concatenate(logged).tobytes()
    compact.compact(log, history)
    links = reader.chain(log)
    for gone in (0, 2):
        for link in links[:gone]:
            link.path.unlink()
        with Listings(settings) as listings:
            for count in (1, 20, 200, 10_000):
                found = listings.last(SYMBOLS[1], label, count)
                assert found.tobytes() == whole[-count:].tobytes()
    shutil.rmtree(log)
    with Listings(settings) as listings:
        kept = listings.last(SYMBOLS[1], label, 10_000)
    assert kept.tobytes() == whole[: len(kept)].tobytes(), "the hour that is written is gone"


def test_the_last_one_is_what_the_store_shows(up_bed: Any) -> None:
    symbol, label = "BBB-USDT", SOURCES[0].label
    with Listings(up_bed.settings) as listings:
        assert len(listings.last(symbol, label)) == 0
        up_bed.quote(0, 1, 6.0, 7.0)
        (found,) = listings.last(symbol, label)
        assert (found["bid_px"], found["ask_px"]) == (6.0, 7.0)
        assert len(listings.last("NONE-USDT", label)) == 0
        assert len(listings.last(symbol, SOURCES[-1].label)) == 0  # the store has no row for it
        with pytest.raises(Unusable, match="no such source"):
            listings.last(symbol, "nowhere")
        with pytest.raises(Unusable, match="count"):
            listings.last(symbol, label, 0)


def test_a_tick_of_the_log_is_one_of_the_tape() -> None:
    assert _backs.SIZES["logged_tick"] == LOGGED_TICK_DTYPE.itemsize == 80
    assert LOGGED_TICK_DTYPE.fields is not None
    assert LOGGED_TICK_DTYPE.fields["back"][1] == 12
