"""A system's data folder as the questions' and the recorder's benchmarks need it: settings, tables
that name 250 symbols of eight sources, and a log of random walks.
"""

import os
from pathlib import Path

import msgspec
import numpy as np

from spread_scanner import config
from spread_scanner.clock import NS_PER_MS, NS_PER_S
from spread_scanner.config import Settings
from spread_scanner.replay.importing import import_logs
from spread_scanner.schema.enums import EXCHANGE_SOURCES
from spread_scanner.schema.log import DOCUMENT_DTYPE, TICK_DTYPE, RecordKind
from spread_scanner.schema.names import WAL_FOLDER
from spread_scanner.symbology.publish import publish
from spread_scanner.symbology.tables import InstrumentRow, SymbolRow, Tables
from spread_scanner.wal.writer import LogWriter, Origin, WrittenThen

SYMBOLS = 250
RATE = 20_000
DRAIN = 400  # ticks of 20 ms
HOUR_NS = 3_600 * NS_PER_S
BEGUN_NS = 1_700_000_000 * NS_PER_S // HOUR_NS * HOUR_NS


def settled(folder: Path) -> Settings:
    """Settings of a system of its own, which records, with tables in force."""
    namespace = f"bench-log-{os.getpid()}"
    (folder / "config").mkdir()
    (folder / "config" / "config.toml").write_text(
        f'[system]\nnamespace = "{namespace}"\nmax_symbols = {SYMBOLS}\n'
        "heartbeat_ms_max = 60_000\n[spread-recorder]\nenabled = true\nbudget_gb = 20\n"
    )
    (folder / "config" / "exchanges.toml").write_text(
        "".join(
            f'[{source.label}]\nrest_url = "https://rest.test"\nws_url = "wss://ws.test"\n'
            "taker_fee_bps = 5.0\n"
            for source in EXCHANGE_SOURCES
        )
    )
    settings = config.load(folder / "config", {})
    publish(settings.generated_dir, tables(), {})
    return settings


def tables() -> Tables:
    """C0-USDT to C249-USDT, on each source."""
    names = tuple(SymbolRow(one, f"C{one}-USDT", f"C{one}", "USDT") for one in range(SYMBOLS))
    nothing = (1.0, 1.0, None, None, None, None, False, False)
    listed = tuple(
        InstrumentRow(source.source_id, one, f"C{one}", *nothing)
        for source in EXCHANGE_SOURCES
        for one in range(SYMBOLS)
    )
    return Tables(1, 0, names, listed, (), (), ())


def walked(count: int, begun_ns: int = BEGUN_NS) -> np.ndarray:
    """Ticks of 20,000 a second over all listings, by time; some symbols quote more than others."""
    chance = np.random.default_rng(3)
    ticks = np.zeros(count, TICK_DTYPE)
    ticks["source_id"] = chance.integers(0, len(EXCHANGE_SOURCES), count)
    ticks["symbol_id"] = np.minimum(chance.zipf(1.3, count) - 1, SYMBOLS - 1)
    for source in EXCHANGE_SOURCES:
        mine = ticks["source_id"] == source.source_id
        ticks["number"][mine] = np.arange(np.count_nonzero(mine))
    quote = ticks["quote"]
    at_ns = begun_ns + np.sort(chance.integers(0, count * NS_PER_S // RATE, count))
    quote["ts_recv"], quote["ts_event"] = at_ns, at_ns // NS_PER_MS * NS_PER_MS - 5 * NS_PER_MS
    steps = np.cumsum(chance.integers(-1, 2, count) * (chance.random(count) < 0.45))
    mid = 10.0 * (1 + ticks["symbol_id"]) + steps % 100 / 100
    quote["bid_px"], quote["ask_px"] = np.round(mid - 0.01, 2), np.round(mid + 0.01, 2)
    quote["bid_sz"], quote["ask_sz"] = chance.integers(1, 5_000, (2, count)) / 100
    quote["update_id"], quote["epoch"] = np.arange(count), 1
    return ticks


def write_log(settings: Settings, ticks: np.ndarray) -> None:
    """As it would have been recorded when the ticks came: in drains, long ago."""
    writer = LogWriter(settings.data_dir / WAL_FOLDER)
    anchor_ns = BEGUN_NS - NS_PER_S
    writer.copy_on(Origin("bench", 1, anchor_ns), WrittenThen(BEGUN_NS, NS_PER_S))
    head = np.zeros((), DOCUMENT_DTYPE)
    writer.append_document(RecordKind.TABLES, head, msgspec.json.encode(tables()))
    for at in range(0, len(ticks), DRAIN):
        part = ticks[at : at + DRAIN]
        writer.copy_then(int(part["quote"]["ts_recv"][-1]) - anchor_ns)
        writer.append(RecordKind.TICK, part)
        writer.commit()
        if not writer.room:
            writer.copied()
    # Hours later: what is before is over.
    writer.copy_on(Origin("bench", 1, anchor_ns), WrittenThen(BEGUN_NS + 2 * HOUR_NS, 2 * HOUR_NS))
    writer.append_document(RecordKind.TABLES, head, msgspec.json.encode(tables()))
    writer.close()


DATA_VARIABLE = "SPREAD_DATA"
RECORDINGS = (
    "hftbacktest_spot_btcusdt_20240809.txt.gz",
    "hftbacktest_spot_ethusdt_20240809.txt.gz",
)


def import_recorded(settings: Settings, folder: Path) -> Path:
    """Five recorded minutes of Binance spot as a log, in a data folder of their own: 79,815 ticks.
    KeyError: there are no recordings. Raises as `import_logs` does."""
    data = Path(os.environ[DATA_VARIABLE]) / "exchanges" / "binance_spot"
    symbols = tuple(
        SymbolRow(n, f"{one}-USDT", one, "USDT") for n, one in enumerate(("BTC", "ETH"))
    )
    nothing = (1.0, 1.0, None, None, None, None, False, False)
    listed = tuple(InstrumentRow(0, row.symbol_id, f"{row.base}USDT", *nothing) for row in symbols)
    system = msgspec.structs.replace(
        settings.config.system, data_dir=str(folder), generated_dir=str(folder / "generated")
    )
    config = msgspec.structs.replace(settings.config, system=system)
    theirs = msgspec.structs.replace(settings, config=config)
    publish(theirs.generated_dir, Tables(1, 0, symbols, listed, (), (), ()), {})
    log = folder / WAL_FOLDER
    import_logs([f"{EXCHANGE_SOURCES[0].label}={data / name}" for name in RECORDINGS], log, theirs)
    return log
