"""What somebody would write ticks into instead of the log: peers of groups wal and recorder."""

import json
import sqlite3
from pathlib import Path

import numpy as np


def sqlite(path: Path, ticks: np.ndarray, batch: int) -> None:
    """A row a tick, so many a transaction."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("CREATE TABLE ticks (number INTEGER, symbol INTEGER, bid REAL, ask REAL)")
    for at in range(0, len(ticks), batch):
        part = ticks[at : at + batch]
        quote = part["quote"]
        columns = (part["number"], part["symbol_id"], quote["bid_px"], quote["ask_px"])
        connection.execute("BEGIN")
        rows = zip(*(column.tolist() for column in columns), strict=True)
        connection.executemany("INSERT INTO ticks VALUES (?, ?, ?, ?)", rows)
        connection.execute("COMMIT")
    connection.close()


def json_lines(path: Path, ticks: np.ndarray) -> None:
    """A line a tick."""
    with path.open("w") as file:
        for tick in ticks:
            number, symbol_id, source_id, _, quote = tick.tolist()
            file.write(json.dumps([number, symbol_id, source_id, *quote]) + "\n")
