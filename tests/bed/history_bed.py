"""What tests of the history stand on: a log of some hours, of two sources, with tables, signals and
gaps in it."""

from pathlib import Path

import msgspec
import numpy as np

from spread_scanner import config
from spread_scanner.clock import NS_PER_S, VirtualClock
from spread_scanner.config import Settings
from spread_scanner.history.gathered import Gathered
from spread_scanner.schema.books import LEVELS_SHOWN, BookFlag
from spread_scanner.schema.enums import SignalKind
from spread_scanner.schema.log import (
    BOOK_DELTA_DTYPE,
    BOOK_SNAPSHOT_DTYPE,
    DOCUMENT_DTYPE,
    GAP_DTYPE,
    TICK_DTYPE,
    GapOf,
    RecordKind,
    TakenFor,
)
from spread_scanner.schema.records import FOLLOW_UP_DTYPE, SIGNAL_DTYPE, TS_ABSENT
from spread_scanner.symbology.tables import SymbolRow, Tables
from spread_scanner.wal import reader
from spread_scanner.wal.writer import LogWriter, Origin

HOUR_NS = 3_600 * NS_PER_S
START_NS = 1_700_000_000 * NS_PER_S  # 2023-11-14 22:13:20, as the virtual clock begins
SYMBOLS = ("BTC-USDT", "ETH-USDT", "CCC-USDT", "DDD-USDT", "EEE-USDT")
SOURCE_IDS = (0, 5)  # binance-spot, okx-futures


def quotes(since_ns: int, count: int, source_id: int, chance: np.random.Generator) -> np.ndarray:
    """Ticks of one source, over five symbols, a few milliseconds apart; of each ten, two of one
    symbol were read at once."""
    made = np.zeros(count, TICK_DTYPE)
    made["number"], made["source_id"] = np.arange(count), source_id
    made["symbol_id"] = chance.integers(0, len(SYMBOLS), count)
    quote, at_once = made["quote"], np.arange(1, count, 10)
    made["symbol_id"][at_once] = made["symbol_id"][at_once - 1]
    quote["ts_recv"] = since_ns + np.cumsum(chance.integers(1_000, 9_000_000, count))
    quote["ts_recv"][at_once] = quote["ts_recv"][at_once - 1]
    quote["ts_event"] = quote["ts_recv"] // 1_000_000 * 1_000_000 - 5_000_000
    mid = 100.0 * (1 + made["symbol_id"]) + np.round(np.cumsum(chance.normal(0, 0.02, count)), 2)
    quote["bid_px"], quote["ask_px"] = mid - 0.01, mid + 0.01
    quote["bid_sz"], quote["ask_sz"] = chance.integers(1, 50, (2, count)) / 10
    quote["update_id"], quote["epoch"] = np.arange(count) + 1, 1
    return made


def books(since_ns: int, count: int, source_id: int, chance: np.random.Generator) -> np.ndarray:
    """Snapshots of one source's books of the first two symbols, in turn, half a second apart; sides
    of any length, one of them empty, the last one stale."""
    made = np.zeros(count, BOOK_SNAPSHOT_DTYPE)
    made["ts"] = since_ns + np.arange(count) * 500_000_000
    made["why"] = np.where(np.arange(count) % 5, TakenFor.SECOND, TakenFor.MOVED)
    book = made["book"]
    book["source_id"], book["symbol_id"] = source_id, np.arange(count) % 2
    book["ts_recv"] = book["top_since_ns"] = made["ts"] - 1_234_567
    book["ts_event"] = np.where(np.arange(count) % 3, made["ts"] - 5_000_000, TS_ABSENT)
    for side, sign in (("bid", -1), ("ask", 1)):
        counts = chance.integers(1, LEVELS_SHOWN + 1, count)
        counts[1] *= side == "ask"
        book[f"{side}_count"], book[f"{side}_kept"] = counts, counts + 7
        there = np.arange(LEVELS_SHOWN) < counts[:, None]
        px = 100.0 + sign * 0.01 * np.arange(1, LEVELS_SHOWN + 1)
        sz = chance.integers(1, 90, (count, LEVELS_SHOWN)) / 10
        book[f"{side}s"][:, :, 0] = np.where(there, px, np.nan)
        book[f"{side}s"][:, :, 1] = np.where(there, sz, np.nan)
    book["flags"][1], book["flags"][-1] = BookFlag.BID_EMPTY, BookFlag.STALE
    return made


def book_changes(since_ns: int, count: int, source_id: int, first: int) -> np.ndarray:
    """Levels of one source's books of the first two symbols."""
    made = np.zeros(count, BOOK_DELTA_DTYPE)
    made["number"], made["source_id"] = first + np.arange(count), source_id
    made["symbol_id"], made["side"] = np.arange(count) % 2, np.arange(count) // 2 % 2
    made["ts_recv"] = since_ns + np.arange(count) * 1_000_001
    made["px"], made["sz"] = 100.0 + np.arange(count) / 100, np.arange(count) % 4
    made["update_id"] = np.arange(count) // 3
    return made


def tables_document(symbols: tuple[str, ...] = SYMBOLS) -> bytes:
    """As the recorder writes tables down."""
    rows = tuple(SymbolRow(n, name, *name.split("-")) for n, name in enumerate(symbols))
    return msgspec.json.encode(Tables(1, 0, rows, (), (), (), ()))


def write_hours(
    log: Path, clock: VirtualClock, *, hours: int, ticks: int, step_wall_ms: int = 0
) -> None:
    """A log that was written on this clock, so many ticks an hour, half of each source; each hour
    in segments of its own."""
    chance = np.random.default_rng(7)
    for hour in range(hours):
        writer = LogWriter(log, Origin("test", 1, START_NS), segment_bytes=256 << 10)
        now_ns = clock.mono_ns() + START_NS
        if hour == 0:
            writer.append_document(
                RecordKind.TABLES, np.zeros((), DOCUMENT_DTYPE), tables_document()
            )
        for source_id in SOURCE_IDS:
            made = quotes(now_ns, ticks // 2, source_id, chance)
            made["number"] += hour * (ticks // 2)
            writer.append(RecordKind.TICK, made)
            writer.append(RecordKind.BOOK_SNAPSHOT, books(now_ns, 12, source_id, chance))
            changes = book_changes(now_ns, 20, source_id, 20 * hour)
            writer.append(RecordKind.BOOK_DELTA, changes)
        writer.append(RecordKind.GAP, _gap(now_ns))
        writer.append(RecordKind.SIGNAL, _signal(now_ns, 2 * hour + 1))
        writer.append(RecordKind.SIGNAL, _follow_up(now_ns, 2 * hour + 2))
        writer.close()
        clock.advance_ns(HOUR_NS)
        clock.step_wall_ms(step_wall_ms)


def _gap(now_ns: int) -> np.ndarray:
    gap = np.zeros(1, GAP_DTYPE)
    gap["what"], gap["source_id"], gap["ts_from"] = GapOf.TICKS, SOURCE_IDS[0], TS_ABSENT
    gap["ts_to"] = now_ns + 500_000_000
    return gap


def _signal(now_ns: int, seq: int) -> np.ndarray:
    signal = np.zeros(1, SIGNAL_DTYPE)
    signal["seq"], signal["kind"], signal["symbol_id"], signal["direction_id"] = seq, 1, 1, 1
    signal["ts_engine"], signal["net_bps"], signal["usual_bps"] = now_ns, 12.5, np.nan
    return signal


def _follow_up(now_ns: int, seq: int) -> np.ndarray:
    made = np.zeros(1, FOLLOW_UP_DTYPE)
    made["seq"], made["kind"], made["symbol_id"], made["direction_id"] = seq, SignalKind.BOOK, 1, 1
    made["of_seq"], made["ts_engine"], made["size_quote"] = seq - 1, now_ns + 5_000, 1_500.0
    made["rungs"] = np.nan
    made["rungs"]["size_quote"][0, :2], made["rungs"]["net_bps"][0, 0] = [100.0, 1_000.0], 11.5
    made["thin"] = 0b10
    return made.view(SIGNAL_DTYPE)


def rows_of_log(log: Path, ticks: np.ndarray) -> np.ndarray:
    """What is gathered of one source's ticks."""
    writer = LogWriter(log, Origin("test", 1, START_NS), segment_bytes=1 << 20)
    writer.append_document(RecordKind.TABLES, np.zeros((), DOCUMENT_DTYPE), tables_document())
    writer.append(RecordKind.TICK, ticks)
    writer.close()
    return Gathered(reader.chain(log), {}).ticks_of(int(ticks["source_id"][0]))


def settings_for(data_dir: Path) -> Settings:
    """Those shipped, with their data there."""
    system = {"DATA_DIR": data_dir, "GENERATED_DIR": data_dir / "generated"}
    environ = {f"SPREAD_SYSTEM__{key}": str(folder) for key, folder in system.items()}
    return config.load(Path(__file__).parents[2] / "config", environ)
