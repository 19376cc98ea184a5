"""The commands that look after the databases, the tracker's or that of cycles: backup, vacuum; also
while they are written.

A failure (no room, no database, a file that is in the way) is one line and exit code 1.
"""

import contextlib
import fcntl
import os
import pwd
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import typer

from spread_scanner import clock, config
from spread_scanner.cli import answers
from spread_scanner.cli.console import EXIT_CODES, Json, people, print_json
from spread_scanner.errors import SpreadError
from spread_scanner.paths import keeping
from spread_scanner.schema.names import CYCLES_FILE, DATABASE_FILE, VACUUM_FILE
from spread_scanner.tracker import database
from spread_scanner.tracker.backup import backup as copy_of

LOOKED_AT_S = 2.0  # that somebody looks whether it is locked, at the most
VACUUM_BUSY_S = 30.0  # between two transactions of its writer there is room within this


class DataError(SpreadError):
    """The database cannot be copied or made smaller; the reason is the world's."""


def add_to(app: typer.Typer) -> None:
    """Register the commands of this module."""
    for name, command in (("backup", backup), ("vacuum", vacuum)):
        app.command(name, epilog=EXIT_CODES)(command)


OfCycles = Annotated[
    bool,
    typer.Option("--cycles", help="The cycles of spread-paths (cycles.db), not the tracker's."),
]


def _database(*, cycles: bool) -> tuple[Path, Callable[[Path], sqlite3.Connection]]:
    """Where it stands, and how it is read."""
    data_dir = config.load().data_dir
    if cycles:
        return data_dir / CYCLES_FILE, keeping.read_only
    return data_dir / DATABASE_FILE, database.read_only


def backup(
    file: Annotated[Path, typer.Argument(help="Where the copy goes; must not exist.")],
    cycles: OfCycles = False,
    as_json: Json = False,
) -> None:
    """Copy the tracker's database, or that of cycles, consistently, also while it is written."""
    path, read_only = _database(cycles=cycles)
    if os.path.lexists(file):  # never raises, as what nobody may look at is no file here
        raise _taken(file)
    try:
        with contextlib.closing(read_only(path)) as connection:
            size = copy_of(connection, file)
    except FileExistsError:
        raise _taken(file) from None
    except PermissionError as error:
        raise DataError(
            f"no copy was made: {error.strerror} in its folder",
            file=file,
            user=_user(),
            allowed=f"a folder that this user writes to, as {path.parent}",
        ) from None
    except (OSError, sqlite3.Error) as error:
        raise DataError(f"no copy was made: {error}", file=file) from None
    if as_json:
        print_json(answers.Copied(str(file), size))
    else:
        people().print(f"Copied {size / 1e6:z,.1f} MB to {file}.", markup=False)


def _taken(file: Path) -> DataError:
    return DataError("the file exists: a copy takes nobody's place", file=file)


def _user() -> str:
    """Whose rights count: `sudo spread-ctl` goes on as the services' user."""
    with contextlib.suppress(KeyError):
        return pwd.getpwuid(os.geteuid()).pw_name
    return str(os.geteuid())


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """While it is held, the write-ahead log may be as large as the database: nobody's fault. Raises
    DataError while another one vacuums, OSError."""
    path = folder / VACUUM_FILE
    deadline_s = clock.awake_s() + LOOKED_AT_S
    while (file := _locked(path)) is None:
        if clock.awake_s() >= deadline_s:
            raise DataError("another vacuum runs", file=path)
        clock.sleep(0.01)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(file)


def _locked(path: Path) -> int | None:
    """The file, locked by us; None while somebody else has, or looks whether anybody has. Who let
    go of it has removed it: one that does not lie there any more tells nobody anything. What was
    left by another user who was killed is locked as it is: that takes reading only; before it can
    be read nobody has locked it."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except PermissionError:
        if not os.path.lexists(path):
            raise  # it is the folder
        path.unlink(missing_ok=True)
        return None
    try:
        if os.fstat(file).st_uid == os.geteuid():
            os.fchmod(file, 0o644)  # whoever's umask: who looks is another user, perhaps
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(file), os.stat(path)):
            return file
    except (BlockingIOError, FileNotFoundError):
        pass
    except BaseException:
        os.close(file)
        raise
    os.close(file)
    return None


def vacuum(cycles: OfCycles = False, as_json: Json = False) -> None:
    """Give the room of deleted rows back to the disk. Its writer keeps its rows meanwhile."""
    path, read_only = _database(cycles=cycles)
    read_only(path).close()  # there, ours, and of this version
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
            database.have_temporary_files_in(connection, path.parent)
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except (OSError, sqlite3.Error) as error:
        raise DataError(f"not done: {error}", file=path) from None
    after = path.stat().st_size
    if as_json:
        print_json(answers.Vacuumed(before, after))
    else:
        people().print(f"{before / 1e6:z,.1f} MB before, {after / 1e6:z,.1f} MB now.")
