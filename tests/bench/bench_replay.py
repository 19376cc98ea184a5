"""Group replay: how many ticks of a log are played to the engine in a second of CPU.

Eight sources of 250 symbols each in twelve directions, 20,000 quotes a second in drains of 20 ms as
the recorder writes them: prices that walk, and spreads that come and go. Beside it, over the same
log: what reading it takes alone, what merging it takes alone, and two merges that anybody would
write.
"""

import heapq
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from measure import Figure, figure

from spread_scanner import config
from spread_scanner.clock import NS_PER_MS, NS_PER_S
from spread_scanner.engine._lanes import Lanes
from spread_scanner.recorder.documents import settings_body
from spread_scanner.replay.playing import replay
from spread_scanner.schema.enums import EXCHANGE_DIRECTIONS, EXCHANGE_SOURCES
from spread_scanner.schema.log import DOCUMENT_DTYPE, SOURCE_STATE_DTYPE, TICK_DTYPE, RecordKind
from spread_scanner.symbology import usual
from spread_scanner.symbology.tables import DirectionRow, InstrumentRow, SymbolRow, Tables
from spread_scanner.symbology.usual import Usual, UsualCause, UsualOrigin
from spread_scanner.wal import reader
from spread_scanner.wal.salvage import examine
from spread_scanner.wal.writer import LogWriter, Origin

SYMBOLS = 250
RATE = 20_000
DRAIN_NS = 20 * NS_PER_MS
ANCHOR_NS = 1_700_000_000_000_000_000
BEGUN_NS = ANCHOR_NS + 3_600 * NS_PER_S
PLANTED_EACH = 2_000  # quotes: a spread that is signalled comes with one, and goes with the next


def figures(small: bool) -> Iterator[Figure]:
    count = 20_000 if small else 2_000_000
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "wal"
        _write(place, count)
        reads = _per_cpu_s(count, lambda: examine(place))
        merges = _per_cpu_s(count, lambda: _merged(place, count))
        few = min(count, 200_000)
        peers = {
            "lexsort": _per_cpu_s(few, lambda: _sorted(place, few)),
            "heapq": _per_cpu_s(few // 10, lambda: _heap(place, few // 10)),
        }
        played = [_played(place, count) for _ in range(1 if small else 7)]
        rates = [count / took for took, _ in played]
        yield figure(
            "replay.max",
            "ticks/s",
            rates,
            floor=merges,
            peers=peers,
            ticks=count,
            signals=played[0][1],
            reading=round(reads),
            best=round(max(rates)),
            pairs=len(EXCHANGE_DIRECTIONS) * SYMBOLS,
        )


def _settings() -> config.Settings:
    source = config.SourceSettings(
        rest_url="https://rest.test", ws_url="wss://ws.test", taker_fee_bps=0.0
    )
    thresholds = config.Thresholds(enter_bps=20.0, exit_bps=5.0)
    return config.Settings(
        Path("config"),
        config.Config(),
        {row.label: source for row in EXCHANGE_SOURCES},
        config.Directions(defaults=thresholds),
    )


def _tables() -> Tables:
    ids = tuple(range(SYMBOLS))
    symbols = tuple(SymbolRow(number, f"C{number}-USDT", f"C{number}", "USDT") for number in ids)
    rows = tuple(
        InstrumentRow(source.source_id, one, f"C{one}", 1, 1, None, None, None, None, False, False)
        for source in EXCHANGE_SOURCES
        for one in ids
    )
    directions = tuple(DirectionRow(row.direction_id, ids) for row in EXCHANGE_DIRECTIONS)
    return Tables(1, 0, symbols, rows, directions, (), ())


def _write(folder: Path, count: int) -> None:
    settings, tables = _settings(), _tables()
    log = LogWriter(folder, Origin("bench", 1, ANCHOR_NS))
    head = np.zeros((), DOCUMENT_DTYPE)
    head["ts"], head["generation"] = BEGUN_NS, settings.digest
    log.append_document(RecordKind.SETTINGS, head, settings_body(settings))
    log.append_document(RecordKind.TABLES, head, msgspec.json.encode(tables))
    keys = tuple(usual.pair_keys(tables).values())
    known, none = np.full(len(keys), 1e6), np.zeros(len(keys))
    origin = UsualOrigin(BEGUN_NS, tables.generation, settings.digest, UsualCause.START)
    flags = np.zeros(len(keys), np.uint8)
    made = Usual(1, 1, 3_600.0, keys, known, none, none, None, none, flags, origin)
    usual.write(folder.parent / "usual", made)
    log.append_document(RecordKind.USUAL, head, (folder.parent / "usual").read_bytes())
    ticks, at_ns = _ticks(count)
    edges = np.arange(BEGUN_NS, int(at_ns[-1]) + DRAIN_NS, DRAIN_NS)
    places = np.searchsorted(at_ns, edges).tolist()
    for number, (begin, end) in enumerate(zip(places, [*places[1:], count], strict=True)):
        part = ticks[begin:end]
        log.append(RecordKind.TICK, part[np.argsort(part["source_id"], kind="stable")])
        if number % 5 == 0:
            states = np.zeros(len(EXCHANGE_SOURCES), SOURCE_STATE_DTYPE)
            states["source_id"], states["epoch"] = np.arange(len(EXCHANGE_SOURCES)), 1
            states["ts"] = edges[number] + DRAIN_NS
            states["heartbeat_mono_ns"] = states["ts"] - ANCHOR_NS
            log.append(RecordKind.SOURCE_STATE, states)
        log.commit()
    log.close()


def _ticks(count: int) -> tuple[np.ndarray, np.ndarray]:
    """In the order of their times, each of which one source has."""
    chance = np.random.default_rng(1)
    ticks = np.zeros(count, TICK_DTYPE)
    ticks["source_id"] = chance.integers(0, len(EXCHANGE_SOURCES), count)
    ticks["symbol_id"] = chance.integers(0, SYMBOLS, count)
    for source_id in range(len(EXCHANGE_SOURCES)):
        mine = ticks["source_id"] == source_id
        ticks["number"][mine] = np.arange(np.count_nonzero(mine))
    at_ns = BEGUN_NS + np.sort(chance.integers(1, count * NS_PER_S // RATE + 2, count))
    mid = 100.0 + chance.normal(0, 0.01, count)
    mid[::PLANTED_EACH] += 1.0
    quote = ticks["quote"]
    quote["bid_px"], quote["ask_px"] = mid - 0.005, mid + 0.005
    quote["bid_sz"] = quote["ask_sz"] = 5.0
    quote["ts_recv"], quote["ts_event"] = at_ns, at_ns - NS_PER_MS
    quote["update_id"], quote["epoch"] = np.arange(count), 1
    return ticks, at_ns


def _played(folder: Path, count: int) -> tuple[float, int]:
    begun = time.process_time()
    found = replay(folder)
    took = time.process_time() - begun
    if found.counts.ticks != count or not len(found.signals):
        raise RuntimeError(f"not what was written: {found.counts}")
    return took, len(found.signals)


def _per_cpu_s(count: int, work: Callable[[], Any]) -> float:
    begun = time.process_time()
    work()
    return count / max(time.process_time() - begun, 1e-9)


def _merged(folder: Path, count: int) -> None:
    """Into lanes by source, no engine behind them."""
    lanes = Lanes(len(EXCHANGE_SOURCES), config.System().max_symbols)
    for piece in reader.pieces(folder):
        if piece.kind is RecordKind.TICK:
            lanes.hear(piece.array(), piece.at_ns + ANCHOR_NS, -(2**63))
    if lanes.ends[1] != count:
        raise RuntimeError(f"{lanes.ends} instead of {count}")


def _arrays(folder: Path, count: int) -> list[np.ndarray]:
    found, many = [], 0
    for piece in reader.pieces(folder):
        if piece.kind is RecordKind.TICK and many < count:
            found.append(piece.array())
            many += piece.records
    return found


def _sorted(folder: Path, count: int) -> None:
    ticks = np.concatenate([one.view(np.uint8) for one in _arrays(folder, count)])
    ticks = ticks.view(TICK_DTYPE)
    ticks[np.lexsort((ticks["number"], ticks["source_id"], ticks["quote"]["ts_recv"]))].copy()


def _heap(folder: Path, count: int) -> None:
    arrays = _arrays(folder, count)
    lanes = [
        (tick for ticks in arrays for tick in ticks[ticks["source_id"] == source_id])
        for source_id in range(len(EXCHANGE_SOURCES))
    ]
    for _ in heapq.merge(*lanes, key=lambda tick: tick["quote"]["ts_recv"]):
        pass
