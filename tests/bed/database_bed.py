"""Opportunities as the tracker stores them, for tests that only read them; and another reader."""

import contextlib
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path

from spread_scanner.schema.names import DATABASE_FILE
from spread_scanner.schema.opportunities import APPLICATION_ID, MIGRATIONS, VERSION

EMPTY = {"INTEGER": 0, "REAL": 0.0, "TEXT": ""}


def store(folder: Path, **values: object) -> None:
    """Add an opportunity to the database of a data folder; what is not named is empty."""
    path = folder / DATABASE_FILE
    new = not path.exists()
    with contextlib.closing(sqlite3.connect(path)) as database:
        if new:
            for script in MIGRATIONS:
                database.executescript(script)
            database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            database.execute(f"PRAGMA user_version = {VERSION}")
        columns = database.execute("PRAGMA table_info(opportunities)").fetchall()
        empty = {name: EMPTY[kind] for _, name, kind, needed, _, _ in columns if needed}
        row = {**empty, **values}
        marks = ", ".join("?" * len(row))
        database.execute(
            f"INSERT INTO opportunities ({', '.join(row)}) VALUES ({marks})", [*row.values()]
        )
        database.commit()


def damage(path: Path, table: str) -> None:
    """Overwrite the first page of a table, as a disk that fails does."""
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (size,) = database.execute("PRAGMA page_size").fetchone()
        asked = "SELECT rootpage FROM sqlite_master WHERE name = ?"
        (page,) = database.execute(asked, (table,)).fetchone()
    data = bytearray(path.read_bytes())
    data[(page - 1) * size : page * size] = b"\xff" * size
    path.write_bytes(data)


READER = """
import sqlite3, sys
connection = sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True, isolation_level=None)
for word in sys.stdin:
    connection.execute(word)
    connection.execute("SELECT count(*) FROM opportunities").fetchall()
    print("done", flush=True)
"""


class OtherReader:
    """Another process with a connection that does what it is told."""

    def __init__(
        self, start_python: Callable[..., "subprocess.Popen[str]"], database: Path
    ) -> None:
        self.child = start_python(READER, database)
        self.pid = self.child.pid

    def obey(self, words: str) -> None:
        assert self.child.stdin
        assert self.child.stdout
        self.child.stdin.write(words + "\n")
        self.child.stdin.flush()
        assert self.child.stdout.readline() == "done\n", "the reader has ended"
