"""Every command prints under --json exactly the record that docs/schema.json promises."""

from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import orjson
import pytest
from cycles_bed import cycle_row, store_cycles
from database_bed import store
from log_bed import write_log
from pool_rows import pool_row
from solana_transactions import told

from spread_scanner.cli.main import app
from spread_scanner.cli.schema import BY_COMMAND, ON_FAILURE
from spread_scanner.schema.enums import Verdict
from spread_scanner.schema.names import WAL_FOLDER
from spread_scanner.schema.records import EVALUATION_DTYPE, SIGNAL_DTYPE
from spread_scanner.shm import SignalRing
from spread_scanner.shm.connections import Connections
from spread_scanner.shm.evaluations import Evaluations
from spread_scanner.shm.pools import PoolTable

Run = Callable[..., tuple[int, str, str]]
ARGUMENTS = {
    "status": ["--interval", "0.05"],
    "connections": ["--interval", "0.05"],
    "why": ["BBB-USDT"],
    "analysis": ["BBB-USDT"],
    "book": ["BBB-USDT", "--consolidated", "--wait", "0"],
    "doctor": ["--offline"],
    "wal": ["verify"],
    "history": ["SELECT 1 AS one, TIMESTAMP '2026-11-27' AS day"],
    "pause": ["okx-spot"],
    "resume": ["okx-spot"],
}
# They run other processes: tests/system/test_up_sim.py; wallet asks providers: test_chain.py.
ELSEWHERE = {"discover", "up", "demo", "wallet"}


def evaluation(**values: float) -> np.ndarray:
    row = np.zeros(1, EVALUATION_DTYPE)
    for name, value in values.items():
        row[name] = value
    return row


def known_only(printed: Any, read: Any) -> bool:
    """Whether the record has every field that was printed: one that is not known is passed over."""
    if isinstance(printed, dict):
        return printed.keys() <= read.keys() and all(
            known_only(value, read[key]) for key, value in printed.items()
        )
    if isinstance(printed, list):
        return all(known_only(one, other) for one, other in zip(printed, read, strict=True))
    return True


def test_every_command_has_a_record() -> None:
    assert set(BY_COMMAND) == {command.name for command in app.registered_commands}


@pytest.mark.parametrize("command", [name for name in BY_COMMAND if name not in ELSEWHERE])
def test_a_command_prints_its_record_and_nothing_else(
    up_bed: Any, spread_ctl: Run, command: str
) -> None:
    up_bed.quote(0, 1, 99.0, 100.0)
    up_bed.quote(3, 1, 101.0, 102.0)
    up_bed.settings.data_dir.mkdir(exist_ok=True)
    store(up_bed.settings.data_dir, id=1, symbol="AAA-USDT", direction="okx-mexc")
    store_cycles(up_bed.settings.data_dir, cycle_row(1))
    signals = np.zeros(2, SIGNAL_DTYPE)
    signals["kind"], signals["exit_bps"], signals["generation"] = 1, np.nan, 1
    with (
        Connections.attach(up_bed.namespace) as connections,
        connections.claim(0) as rows,
        SignalRing.attach(up_bed.namespace, "signals") as ring,
        ring.producer() as producer,
        Evaluations.attach(up_bed.namespace) as kept,
        kept.writer() as writer,
        PoolTable.attach(up_bed.namespace) as pools,
        pools.writer() as of_pools,
    ):
        of_pools.write(0, pool_row("AAA"))
        assert rows.take() is not None
        producer.push_many(signals)
        writer.append(
            evaluation(symbol_id=1, generation=1, verdict=Verdict.SIZE, size_quote=np.nan)
        )
        write_log(up_bed.settings.data_dir / WAL_FOLDER)
        frames = up_bed.settings.data_dir / "frames"
        frames.write_text(
            '{"stream":"x@bookTicker","data":{"u":1,"s":"X","b":"1","B":"2","a":"3","A":"4"}}'
        )
        transaction = up_bed.settings.data_dir / "transaction.json"
        transaction.write_bytes(orjson.dumps(told([])))
        files = {
            "tx": [str(transaction)],
            "backup": [str(up_bed.settings.data_dir / "copy.db")],
            "export": [str(up_bed.settings.data_dir / "past.parquet"), "SELECT 1 AS one"],
            "decode": [str(frames), "--source", "binance-spot"],
        }
        arguments = ARGUMENTS.get(command, files.get(command, []))
        code, out, _ = spread_ctl(command, *arguments, "--json")
    assert code in (0, 1), out
    read = msgspec.json.decode(out, type=BY_COMMAND[command])
    assert out.count("\n") == 1
    assert known_only(orjson.loads(out), msgspec.to_builtins(read))
    if isinstance(read, list):
        assert read, "an empty list shows nothing"


def test_a_failure_is_a_document_too(bed: Any, spread_ctl: Run) -> None:
    code, out, _ = spread_ctl("sources", "--json")
    assert code == 4
    assert msgspec.json.decode(out, type=ON_FAILURE).exit_code == 4
