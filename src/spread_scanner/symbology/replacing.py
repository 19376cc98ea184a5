"""A file put in place of the one before, whole or not at all: written beside it and renamed.

Users: whoever keeps a small file in data_dir over a restart: the engine (sealed.py), the switches,
the alerts, the feeds' halts; and the history for its list. A copy of a database and an export are
made beside their place, too, and take nobody's. What people are to read (publish.py,
known.py, the report) is written elsewhere, with the modes that they have set.
"""

import errno
import os
from pathlib import Path


def replace(path: Path, body: bytes, *, synced: bool = True) -> None:
    """Readable by its user alone, as is a folder that is missing. `synced`: after a loss of power
    it is whole, or the one before. Raises OSError, also where only a part could be written; the one
    before stays then."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    made = path.with_name(f"{path.name}.new")
    file = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(file, "wb") as out:  # not os.write, which may take a part and say so to nobody
        out.write(body)
        out.flush()
        if synced:
            os.fsync(file)
    made.rename(path)


def give_name(made: Path, path: Path) -> None:
    """Name a file that is whole for good. Raises FileExistsError where one of that
    name came meanwhile, OSError."""
    try:
        os.link(made, path)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EOPNOTSUPP):
            raise
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from None
        made.rename(path)  # FAT, as sticks have it, knows one name of a file
    else:
        made.unlink()
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a loss of power. Raises OSError."""
    held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(held)
    finally:
        os.close(held)
