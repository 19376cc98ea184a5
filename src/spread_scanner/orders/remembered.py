"""What stands switched, in a file: data_dir/switches.NAMESPACE.

Writer:  whoever gives orders, after the control segment has them and before the command answers.
Readers: shm-init, which fills a new control segment before it is READY.

The control segment decides while it stands; the file brings its switches over whatever takes it
away. No file: nothing was ever switched, all is allowed. A file that is damaged, unreadable or
of a newer format is no licence to signal: who starts from it starts halted, and says why. The file
is replaced in one rename, with itself and its folder synced; a lock on the folder orders those who
write it and those who make the segment.
"""

import contextlib
import fcntl
import os
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from spread_scanner import clock
from spread_scanner.config import Settings
from spread_scanner.errors import SpreadError
from spread_scanner.schema.enums import SwitchKind
from spread_scanner.shm.switches import Switch
from spread_scanner.symbology.replacing import replace, sync_folder

FORMAT = 1
LOCK_TIMEOUT_S = 5.0
_HEAD = "spread-scanner switches"


class NotRemembered(SpreadError):
    """The file could not be written: what is in force will be forgotten with the segment."""


class _Row(msgspec.Struct):
    kind: str
    name: str
    since_wall_ns: int
    user: str
    pid: int
    command: str


class Remembered(NamedTuple):
    """What the file says."""

    standing: list[Switch]
    damaged: str = ""  # why it cannot be believed; empty: it can


def path_of(settings: Settings) -> Path:
    return settings.data_dir / f"switches.{settings.config.system.namespace}"


def read(settings: Settings) -> Remembered:
    """What stood switched when the file was written. Never raises for what is in it."""
    path = path_of(settings)
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return Remembered([])
    except OSError as error:
        return Remembered([], f"{path} cannot be read: {error.strerror}")
    try:
        return Remembered(_parsed(raw))
    except (ValueError, KeyError) as error:  # msgspec's errors are ValueErrors
        return Remembered([], f"{path} is damaged: {error}")


def write(settings: Settings, standing: Sequence[Switch]) -> None:
    """Replace the file, whole and synced, or raise NotRemembered and leave what was there. A
    damaged one is kept beside it."""
    path = path_of(settings)
    try:
        if read(settings).damaged:
            _keep_aside(path)
        replace(path, _text(standing))
        sync_folder(path.parent)
    except OSError as error:
        raise NotRemembered(f"{path} cannot be written: {error.strerror}") from None


@contextlib.contextmanager
def alone(settings: Settings) -> Iterator[None]:
    """Nobody else writes the file or makes the control segment meanwhile. Raises NotRemembered
    where the folder cannot be locked."""
    folder = path_of(settings).parent
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise NotRemembered(f"{folder} cannot be used: {error.strerror}") from None
    try:
        _lock(held, folder)
        yield
    finally:
        os.close(held)  # and with it the lock


def _lock(held: int, folder: Path) -> None:
    deadline_s = clock.awake_s() + LOCK_TIMEOUT_S
    while True:
        try:
            return fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if clock.awake_s() > deadline_s:
                raise NotRemembered(f"another process holds the lock of {folder}") from None
            clock.sleep(0.005)
        except OSError as error:
            raise NotRemembered(f"{folder} cannot be locked: {error.strerror}") from None


def _text(standing: Sequence[Switch]) -> bytes:
    """A line with format and checksum, then the switches, for people to read as well."""
    rows = [_Row(**{**one._asdict(), "kind": one.kind.name.lower()}) for one in standing]
    body = msgspec.json.format(msgspec.json.encode(rows)) + b"\n"
    return f"{_HEAD} {FORMAT} {zlib.crc32(body):08x}\n".encode() + body


def _parsed(raw: bytes) -> list[Switch]:
    head, newline, body = raw.partition(b"\n")
    words = head.decode("ascii", "replace").removeprefix(_HEAD).split()
    if not newline or not head.startswith(_HEAD.encode()) or len(words) != 2:
        raise ValueError("it does not begin as such a file does")
    if words[0] != str(FORMAT):
        raise ValueError(f"its format is {words[0]}, this version knows {FORMAT}")
    if words[1] != f"{zlib.crc32(body):08x}":
        raise ValueError("its checksum is wrong")
    rows = msgspec.json.decode(body, type=list[_Row])
    return [
        Switch(**{**msgspec.structs.asdict(row), "kind": SwitchKind[row.kind.upper()]})
        for row in rows
    ]


def _keep_aside(path: Path) -> None:
    """A second name for it, not another: at no moment is there no file."""
    aside = path.with_name(f"{path.name}.damaged")
    aside.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # something else that cannot be linked: it is replaced
        aside.hardlink_to(path)
