"""Segments: named shared memory with a header, made whole or not at all, and one-writer claims.

Made by:      `create` (shm-init, tests).       Attached by: everyone else.

A segment is never re-initialised in place. `create` makes a new one under the same name; the old
one, if any, is marked RETIRED and unlinked, so that whoever still maps it can tell and leave.
The state word is stored last: a process that sees READY may trust the rest. Space is taken with
posix_fallocate, so a full /dev/shm is an error here and never a SIGBUS later.

Claims are OFD locks on single bytes far beyond the contents. The kernel frees them when the
process ends, however it ends. Rejected: PIDs (reused, and meaningless across namespaces), and
multiprocessing.shared_memory, whose tracker unlinks segments of unrelated processes.
"""

import contextlib
import errno
import fcntl
import math
import mmap
import os
import re
import secrets
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import posix_ipc

from spread_scanner import clock
from spread_scanner.clock import SessionClock
from spread_scanner.shm._memory import Memory, Words
from spread_scanner.shm.faults import (
    AlreadyClaimed,
    BadNamespace,
    ForeignSegment,
    NoSegment,
    NoSharedMemory,
    NoSpace,
    NotReady,
    Retired,
    WrongSegment,
)
from spread_scanner.shm.layout import (
    ABI_VERSION,
    BYTE_ORDER,
    CHECKED_BYTES,
    HEADER_BYTES,
    HEADER_DTYPE,
    LAYOUT_HASH,
    MAGIC,
    Kind,
    State,
)

SizeRule = Callable[[list[int]], int]  # what the params say the length must be

SHM_FOLDER = Path("/dev/shm")
MODE = 0o600
ATTACH_TIMEOUT_S = 2.0
POLL_S = 0.001
_NAMESPACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_LOCK = struct.Struct("hhqqi4x")  # struct flock

# Lock bytes, beyond any contents.
CREATOR_BYTE = 1 << 40
HELD_BYTE = CREATOR_BYTE + 1  # a shared lock of everyone who maps the segment
CLAIM_BYTES = HELD_BYTE + 1


def segment_name(namespace: str, part: str) -> str:
    """ "/<namespace>.<part>", or BadNamespace: 1 to 64 letters, digits, '_' or '-', no slash.

    A namespace has no dot either: "a" would take the segments of "a.b" for its own.
    """
    for what, text, rule in (("namespace", namespace, _NAMESPACE), ("segment", part, _PART)):
        if not isinstance(text, str) or not rule.fullmatch(text):
            raise BadNamespace(
                f"bad {what}: 1 to 64 letters, digits, '_' or '-', the first a letter or digit",
                **{what: text},
            )
    return f"/{namespace}.{part}"


class Segment:
    """A mapped segment. Keep it for as long as anything points into it; `close` lets go."""

    def __init__(self, name: str, fd: int, mapped: mmap.mmap, *, writable: bool) -> None:
        self.name = name
        self.writable = writable
        self._fd = fd
        self._mapped = mapped
        _lock(fd, HELD_BYTE, fcntl.F_RDLCK)
        self.memory = Memory(mapped, writable=writable)
        self.words = Words(self.memory)
        self.header = np.frombuffer(mapped, HEADER_DTYPE, count=1)[0]

    @property
    def params(self) -> list[int]:
        return [int(value) for value in self.header["params"]]

    @property
    def instance_id(self) -> int:
        return int(self.header["instance_id"])

    @property
    def anchor_ns(self) -> int:
        return int(self.header["anchor_ns"])

    @property
    def clock(self) -> SessionClock:
        """By which whatever is stamped into it has an age, also after the wall clock was set."""
        return SessionClock(self.anchor_ns)

    @property
    def retired(self) -> bool:
        """True once a newer instance has taken the name: let go and attach again."""
        return self.words.load(0) != State.READY

    def array(self, dtype: np.dtype, offset: int, shape: Sequence[int]) -> np.ndarray:
        """A view of the bytes as numpy sees them; read-only where the mapping is.

        A view outlives `close`: a claimed place is written through `record`, which does not.
        """
        count = math.prod(shape)
        return np.frombuffer(self._mapped, dtype, count=count, offset=offset).reshape(shape)

    def record(self, dtype: np.dtype, offset: int) -> "Record":
        """One record, as the claimant of its place reads and writes it."""
        return Record(self, self.array(dtype, offset, (1,))[0])

    def bytes_at(self, offset: int, length: int) -> bytes:
        return self._mapped[offset : offset + length]

    def put_bytes(self, offset: int, data: bytes) -> None:
        self.refuse_when_closed()
        self._mapped[offset : offset + len(data)] = data

    def claim(self, number: int, what: str) -> None:
        """Take a one-writer place for as long as this segment stays open, else AlreadyClaimed."""
        self.refuse_when_closed()
        if not _lock(self._fd, CLAIM_BYTES + number, fcntl.F_WRLCK):
            raise AlreadyClaimed(f"{what} is claimed by another live process", segment=self.name)

    def unclaim(self, number: int) -> None:
        _lock(self._fd, CLAIM_BYTES + number, fcntl.F_UNLCK)

    def claimed(self, number: int) -> bool:
        """Whether any process, or another object of this one, holds a place."""
        return _locked(self._fd, CLAIM_BYTES + number, 1)

    def refuse_when_closed(self) -> None:
        """ValueError once `close` was called: whatever was claimed may be another's by now."""
        if self._fd < 0:
            raise ValueError(f"{self.name} is closed: its place may be another's by now")

    def close(self) -> None:
        """Free the claims and let go. The bytes stay mapped while views of them exist, but nothing
        is written through this object any more."""
        if self._fd >= 0:
            self.words.shut()
            _let_go(self._fd)
            self._fd = -1


def _let_go(fd: int) -> None:
    """Free all locks of an open segment, then close it.

    Closing alone does not free them: mmap keeps a duplicate of the descriptor, and with it the
    locks, until the last view is gone.
    """
    try:
        _lock(fd, CREATOR_BYTE, fcntl.F_UNLCK, length=0)
    finally:
        os.close(fd)


@contextlib.contextmanager
def closed_on_failure(held: Segment) -> Iterator[None]:
    """Let go of a segment, and of what was claimed of it, if its use cannot begin."""
    try:
        yield
    except BaseException:
        held.close()
        raise


class Record:
    """One record of a segment; writing it is refused once its place was given back."""

    __slots__ = ("_given_back", "_held", "_view")

    def __init__(self, held: Segment, view: Any) -> None:
        self._held = held
        self._view = view
        self._given_back = False

    def __getitem__(self, name: str) -> Any:
        return self._view[name]

    def __setitem__(self, name: str, value: object) -> None:
        self._held.refuse_when_closed()
        if self._given_back:
            raise ValueError("the record was given back: it may be another's by now")
        self._view[name] = value

    def give_back(self) -> None:
        """Refuse all further writes, though the segment stays open."""
        self._given_back = True


class Holder:
    """What stands on one mapped segment: it can tell that the segment was replaced, and lets go."""

    _held: Segment

    @property
    def retired(self) -> bool:
        """True once a newer instance has taken the name: close, and attach again."""
        return self._held.retired

    def shut(self) -> None:
        """Refuse all further writes. Native ends have their own and stand first among the bases."""

    def close(self) -> None:
        """Give back the place, if one is claimed, and let go of the segment. What is written
        afterwards is refused: it would be written beside the place's next owner."""
        self.shut()
        self._held.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _lock(fd: int, at: int, kind: int, length: int = 1) -> bool:
    """Set an OFD lock (length 0: to the end); False when another holds it."""
    try:
        fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _LOCK.pack(kind, os.SEEK_SET, at, length, 0))
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return False
        raise
    return True


def _locked(fd: int, at: int, length: int) -> bool:
    """Whether somebody else holds a lock in a range; length 0 means to the end."""
    asked = _LOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, at, length, 0)
    answer = fcntl.fcntl(fd, fcntl.F_OFD_GETLK, asked)
    return bool(_LOCK.unpack(answer)[0] != fcntl.F_UNLCK)


def _open(name: str, *, writable: bool) -> int:
    # Not posix_ipc.SharedMemory: it opens read-write only in some versions and sizes on creation;
    # on Linux a POSIX segment is a file of /dev/shm, which also gives its inode.
    flags = os.O_RDWR if writable else os.O_RDONLY
    try:
        return os.open(SHM_FOLDER / name[1:], flags | os.O_CLOEXEC | os.O_NOFOLLOW)
    except PermissionError:
        raise ForeignSegment("the segment belongs to another user", segment=name) from None


def create(
    name: str,
    kind: Kind,
    length: int,
    params: Sequence[int],
    *,
    creator: str = "",
    fill: Callable[[Segment], None] | None = None,
    anchor_ns: int | None = None,
    timeout_s: float = ATTACH_TIMEOUT_S,
) -> Segment:
    """Make a new segment under a name, retire an old one, and return it READY and writable.

    `fill` prepares the body before the segment becomes READY. Raises NoSpace, or NotReady when
    another process is creating the same name and does not finish in time.
    """
    deadline = clock.awake_s() + timeout_s
    while True:
        _retire(name, deadline)
        try:
            fd = posix_ipc.SharedMemory(name, posix_ipc.O_CREX, mode=MODE).fd
        except posix_ipc.ExistentialError:
            if not SHM_FOLDER.is_dir():
                raise NoSharedMemory(
                    "there is no /dev/shm: mount -t tmpfs tmpfs /dev/shm", segment=name
                ) from None
            continue  # another creator was faster: retire its segment in turn
        except (posix_ipc.PermissionsError, OSError) as error:
            raise NoSharedMemory(f"/dev/shm cannot be written: {error}", segment=name) from None
        # Whoever finds an unfinished segment whose creator lock is free takes it for abandoned.
        if _lock(fd, CREATOR_BYTE, fcntl.F_WRLCK) and _is_current(name, fd):
            break
        os.close(fd)
    try:
        return _build(name, fd, kind, length, params, creator, fill, anchor_ns)
    except BaseException:
        with contextlib.suppress(posix_ipc.ExistentialError):
            posix_ipc.unlink_shared_memory(name)
        _let_go(fd)
        raise


def _build(
    name: str,
    fd: int,
    kind: Kind,
    length: int,
    params: Sequence[int],
    creator: str,
    fill: Callable[[Segment], None] | None,
    anchor_ns: int | None,
) -> Segment:
    os.fchmod(fd, MODE)  # shm_open's mode passes through the umask, this does not
    _allocate(name, fd, length)
    mapped = mmap.mmap(fd, length, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
    segment = Segment(name, fd, mapped, writable=True)
    _write_header(segment, kind, length, params, creator, anchor_ns)
    if fill is not None:
        fill(segment)
    segment.words.store(0, State.READY)
    _lock(fd, CREATOR_BYTE, fcntl.F_UNLCK)
    return segment


def _allocate(name: str, fd: int, length: int) -> None:
    try:
        os.posix_fallocate(fd, 0, length)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.ENOMEM):
            raise
        space = os.statvfs(SHM_FOLDER)
        raise NoSpace(
            "/dev/shm is too full for the segment",
            segment=name,
            needed_bytes=length,
            free_bytes=space.f_bavail * space.f_frsize,
        ) from None


def _write_header(
    segment: Segment,
    kind: Kind,
    length: int,
    params: Sequence[int],
    creator: str,
    anchor_ns: int | None,
) -> None:
    header = segment.header
    header["magic"] = MAGIC
    header["abi_version"] = ABI_VERSION
    header["kind"] = kind
    header["layout_hash"] = LAYOUT_HASH
    header["length"] = length
    header["instance_id"] = secrets.randbits(63) | 1
    header["anchor_ns"] = clock.wall_ns() - clock.mono_ns() if anchor_ns is None else anchor_ns
    header["created_wall_ns"] = clock.wall_ns()
    header["page_size"] = mmap.PAGESIZE
    header["byte_order"] = BYTE_ORDER
    header["creator_pid"] = os.getpid()
    header["creator"] = creator.encode()[:28]
    header["params"] = [*params, *[0] * (8 - len(params))]
    header["checksum"] = zlib.crc32(header.tobytes()[CHECKED_BYTES])


def _is_current(name: str, fd: int) -> bool:
    """Whether the name still leads to this open segment."""
    try:
        return os.stat(SHM_FOLDER / name[1:]).st_ino == os.fstat(fd).st_ino
    except FileNotFoundError:
        return False


def _retire(name: str, deadline: float) -> None:
    """Mark the segment of this name RETIRED and unlink it, if there is one."""
    while True:
        try:
            fd = _open(name, writable=True)
        except FileNotFoundError:
            return
        try:
            if _lock(fd, CREATOR_BYTE, fcntl.F_WRLCK):
                if _is_current(name, fd):
                    _mark_retired(fd)
                    posix_ipc.unlink_shared_memory(name)
                return
        finally:
            os.close(fd)
        if clock.awake_s() > deadline:
            raise NotReady(
                "another process is creating this segment and does not finish", segment=name
            )
        clock.sleep(POLL_S)


def _mark_retired(fd: int) -> None:
    if os.fstat(fd).st_size >= HEADER_BYTES:
        with mmap.mmap(fd, HEADER_BYTES, mmap.MAP_SHARED) as mapped:
            mapped[:8] = struct.pack("<Q", State.RETIRED)


def attach(
    name: str,
    kind: Kind,
    *,
    writable: bool = False,
    timeout_s: float = ATTACH_TIMEOUT_S,
    expect_bytes: SizeRule | None = None,
) -> Segment:
    """Map an existing segment after checking, in this order: it exists, is READY (waits for its
    creator until the deadline), magic, version, layout, checksum, kind, length. Each failure has
    its own error. Never unlinks and never changes anything.
    """
    deadline = clock.awake_s() + timeout_s
    try:
        fd = _open(name, writable=writable)
    except FileNotFoundError:
        raise NoSegment(
            "no such segment: start the system first (spread-ctl up, or the systemd target), or "
            "mind the namespace",
            segment=name,
        ) from None
    try:
        _await_ready(name, fd, deadline)
        length = os.fstat(fd).st_size
        prot = mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0)
        mapped = mmap.mmap(fd, length, mmap.MAP_SHARED, prot)
        segment = Segment(name, fd, mapped, writable=writable)
        _check_header(segment, kind, length, expect_bytes)
    except BaseException:
        _let_go(fd)
        raise
    return segment


def _await_ready(name: str, fd: int, deadline: float) -> None:
    while True:
        if os.fstat(fd).st_size >= HEADER_BYTES:
            state = int.from_bytes(os.pread(fd, 8, 0), "little")
            if state == State.READY:
                return
            if state == State.RETIRED:
                raise Retired("the segment was replaced by a newer instance", segment=name)
        if clock.awake_s() > deadline:
            abandoned = not _locked(fd, CREATOR_BYTE, 1)
            raise NotReady(
                "the segment's creator died while making it: start the system again"
                if abandoned
                else "the segment is still being made",
                segment=name,
            )
        clock.sleep(POLL_S)


def _check_header(segment: Segment, kind: Kind, length: int, expect_bytes: SizeRule | None) -> None:
    header = segment.header
    raw = header.tobytes()
    checks: list[tuple[str, object, object]] = [
        ("magic", int(header["magic"]), MAGIC),
        ("byte order", int(header["byte_order"]), BYTE_ORDER),
        ("ABI version", int(header["abi_version"]), ABI_VERSION),
        ("layout hash", int(header["layout_hash"]), LAYOUT_HASH),
        ("header checksum", int(header["checksum"]), zlib.crc32(raw[CHECKED_BYTES])),
        ("kind", int(header["kind"]), int(kind)),
        ("page size", int(header["page_size"]), mmap.PAGESIZE),
        ("length", int(header["length"]), length),
    ]
    for what, found, expected in checks:
        if found != expected:
            raise WrongSegment(
                f"the segment's {what} is not what this version expects; "
                "stop what uses it, then start the system again",
                segment=segment.name,
                found=found,
                expected=expected,
            )
    if expect_bytes is not None and expect_bytes(segment.params) != length:
        raise WrongSegment(
            "the segment's sizes contradict its length",
            segment=segment.name,
            params=segment.params,
            length=length,
        )


def names(namespace: str) -> list[str]:
    """The segments of a namespace that exist now."""
    prefix = segment_name(namespace, "x")[1:-1]
    return sorted("/" + path.name for path in SHM_FOLDER.glob(f"{prefix}*"))


def clean(namespace: str, but: str = "") -> tuple[list[str], list[str]]:
    """Remove the segments of a namespace that no live process holds, `but` one: (removed, kept).

    If any segment of the namespace is held by anyone, all of them are kept: they are one system.
    """
    held: list[str] = []
    free: list[str] = []
    for name in names(namespace):
        if name == but:
            continue
        try:
            fd = _open(name, writable=True)
        except FileNotFoundError:
            continue
        try:
            (held if _locked(fd, CREATOR_BYTE, 0) else free).append(name)
        finally:
            os.close(fd)
    if held:
        return [], sorted(held + free)
    for name in free:
        remove(name)
    return free, []


def remove(name: str) -> None:
    """Mark a segment RETIRED and unlink it; who still maps it can tell. Nothing if it is gone."""
    _retire(name, clock.awake_s() + ATTACH_TIMEOUT_S)
