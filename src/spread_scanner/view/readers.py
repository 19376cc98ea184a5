"""Who holds a read transaction on the tracker's database: what a checkpoint has to wait for.

While one is held, SQLite cannot give the write-ahead log back, and it grows with all that is
written. A reader in WAL mode holds a shared lock on one of five bytes of the `-shm` file, one for
each read mark (sqlite.org/walformat.html, 2.3.1: the locks begin at byte 120, write, checkpoint and
recover first); the kernel says which process stands in the way of locking such a byte (F_GETLK,
fcntl(2)). It names one process a byte; when that one has gone, the next. Our own process is never
named.

The file stays open for good: to close it would drop the locks that this process's own connections
hold on it, as POSIX has it. Rejected: /proc/locks, which a hardened service does not see.

On failure (no database, not ours to read): nobody is named.
"""

import fcntl
import os
import struct
from pathlib import Path

from spread_scanner import clock
from spread_scanner.view.reading import Reading

READ_MARKS = range(123, 128)  # bytes of the -shm file
_FLOCK = struct.Struct("hhqqi0q")  # type, whence, start, length, pid: struct flock of 64 bits
_WORDS = 2  # of a command line: more of it may be a secret

_files: dict[tuple[int, int], int] = {}  # by device and inode: never closed while it has a name


class LongReader(Reading, frozen=True):
    """One that holds a transaction since at least so long."""

    pid: int
    command: str  # empty: not to be seen from here
    held_s: float

    @property
    def who(self) -> str:
        """For people."""
        return f"pid {self.pid} {self.command}".strip()


class Readers:
    """Looks again and again: one that is seen each time holds, one seen once merely reads."""

    def __init__(self, database: Path) -> None:
        self._path = database.with_name(database.name + "-shm")
        self._since_s: dict[tuple[int, int], float] = {}  # by byte and process

    def look(self) -> list[LongReader]:
        """Those seen at each look since, longest first; at the first look nobody."""
        now_s = clock.mono_s()
        seen = _holders(self._path)
        self._since_s = {one: self._since_s.get(one, now_s) for one in seen}
        held_s: dict[int, float] = {}
        for (_, pid), since_s in self._since_s.items():
            held_s[pid] = max(now_s - since_s, held_s.get(pid, 0.0))
        longest = sorted(held_s.items(), key=lambda one: -one[1])
        return [LongReader(pid, _command(pid), age_s) for pid, age_s in longest if age_s > 0]


def _holders(path: Path) -> list[tuple[int, int]]:
    """(byte, process) of every read mark that another process holds."""
    try:
        file = _opened(path)
        held = []
        for byte in READ_MARKS:
            asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, byte, 1, 0)
            kind, _, _, _, pid = _FLOCK.unpack(fcntl.fcntl(file, fcntl.F_GETLK, asked))
            if kind != fcntl.F_UNLCK and pid > 0:
                held.append((byte, pid))
    except OSError:
        return []
    return held


def _opened(path: Path) -> int:
    """The file as it stands there now. Raises OSError."""
    for key, file in list(_files.items()):
        if os.fstat(file).st_nlink == 0:  # nobody can come to it any more
            os.close(_files.pop(key))
    stands = path.stat()
    key = (stands.st_dev, stands.st_ino)
    if key not in _files:
        _files[key] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    return _files[key]


def _command(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return ""
    names = [os.path.basename(word.decode(errors="replace")) for word in words[:_WORDS]]
    return " ".join(name for name in names if name)
