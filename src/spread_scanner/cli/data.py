"""The commands that look after the tracker's database: backup, vacuum; also while it is written.

A failure (no room, no database, a file that is in the way) is one line and exit code 1.
"""

import contextlib
import fcntl
import os
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from spread_scanner import config
from spread_scanner.cli import answers
from spread_scanner.cli.console import EXIT_CODES, Json, people, print_json
from spread_scanner.errors import SpreadError
from spread_scanner.schema.names import DATABASE_FILE, VACUUM_FILE
from spread_scanner.tracker import database
from spread_scanner.tracker.backup import backup as copy_of

VACUUM_BUSY_S = 30.0  # between two transactions of the tracker there is room within this


class DataError(SpreadError):
    """The database cannot be copied or made smaller; the reason is the world's."""


def add_to(app: typer.Typer) -> None:
    """Register the commands of this module."""
    for name, command in (("backup", backup), ("vacuum", vacuum)):
        app.command(name, epilog=EXIT_CODES)(command)


def backup(
    file: Annotated[Path, typer.Argument(help="Where the copy goes; must not exist.")],
    as_json: Json = False,
) -> None:
    """Copy the tracker's database, consistently, also while the tracker writes it."""
    path = config.load().data_dir / DATABASE_FILE
    if os.path.lexists(file):  # never raises, as what nobody may look at is no file here
        raise DataError("the file exists: a copy takes nobody's place", file=file)
    try:
        with contextlib.closing(database.read_only(path)) as connection:
            size = copy_of(connection, file)
    except (OSError, sqlite3.Error) as error:
        raise DataError(f"no copy was made: {error}", file=file) from None
    if as_json:
        print_json(answers.Copied(str(file), size))
    else:
        people().print(f"Copied {size / 1e6:,.1f} MB to {file}.", markup=False)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """While it is held, the write-ahead log may be as large as the database: nobody's fault."""
    path = folder / VACUUM_FILE
    with open(path, "wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def vacuum(as_json: Json = False) -> None:
    """Give the room of deleted rows back to the disk. The tracker keeps its rows meanwhile."""
    path = config.load().data_dir / DATABASE_FILE
    database.read_only(path).close()  # there, ours, and of this version
    before = path.stat().st_size
    free = shutil.disk_usage(path.parent).free
    if free < 2 * before:
        raise DataError("there is too little room: twice its size is needed", file=path, free=free)
    try:
        with (
            _alone(path.parent),
            contextlib.closing(
                sqlite3.connect(path, timeout=VACUUM_BUSY_S, isolation_level=None)
            ) as connection,
        ):
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except (OSError, sqlite3.Error) as error:
        raise DataError(f"not done: {error}", file=path) from None
    after = path.stat().st_size
    if as_json:
        print_json(answers.Vacuumed(before, after))
    else:
        people().print(f"{before / 1e6:,.1f} MB before, {after / 1e6:,.1f} MB now.")
