"""Every call that a disk can fail, in one place: so that a test can let each of them fail.

All raise OSError. `pwrite` may write less than it was asked to.
"""

import contextlib
import errno
import fcntl
import mmap
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

PAGE_BYTES = 4_096  # of the page cache; no sector of a disk is larger
ZEROS_BEHIND_MAX = 64 << 10  # what `put` writes of them
ZEROS_BYTES = 4 << 20
_ZEROS = memoryview(bytes(ZEROS_BEHIND_MAX))


class LogDisk:
    """The machine's own."""

    def open(self, path: Path) -> int:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def allocate(self, file: int, length: int) -> None:
        os.posix_fallocate(file, 0, length)

    def truncate(self, file: int) -> None:
        os.ftruncate(file, 0)

    def pwrite(self, file: int, parts: Sequence[memoryview], offset: int) -> int:
        return os.pwritev(file, parts, offset)

    # The very one: a SyncThread does it by itself.
    fdatasync: Callable[[int], None] = staticmethod(os.fdatasync)

    def rename(self, old: Path, new: Path) -> None:
        os.rename(old, new)

    def unlink(self, path: Path) -> None:
        os.unlink(path)

    def sync_folder(self, folder: Path) -> None:
        """So that the names in it are on the disk."""
        file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(file)
        finally:
            os.close(file)

    def close(self, file: int) -> None:
        os.close(file)

    def put(self, file: int, data: bytes | memoryview, offset: int, *, zeros: int = 0) -> None:
        """All of it, however often that has to be asked for, and so many zeros behind it:
        ZEROS_BEHIND_MAX at most."""
        done = self.pwrite(file, (memoryview(data), _ZEROS[:zeros]), offset)
        while done < len(data) + zeros:
            parts = memoryview(data)[done:], _ZEROS[max(0, done - len(data)) : zeros]
            done += self.pwrite(file, parts, offset + done)

    def put_zeros(self, file: int, length: int) -> None:
        """Nothing but zeros. Past the page cache, where the file system lets them: what is written
        over them later would not be cheaper for pages that are there, and these are dear."""
        zeros = _zeros(min(length, ZEROS_BYTES))
        whole = length % PAGE_BYTES == 0
        try:
            with _past_the_cache(file) if whole else contextlib.nullcontext():
                self._put_all(file, zeros, length)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            self._put_all(file, zeros, length)  # a file system that takes the flag, and no write

    def _put_all(self, file: int, zeros: memoryview, length: int) -> None:
        for offset in range(0, length, ZEROS_BYTES):
            self.put(file, zeros[: length - offset], offset)


def _zeros(length: int) -> memoryview:
    """On pages, as they have to lie who go past the page cache; on large ones if there are any,
    which do so in one piece. The memory is private: of such alone, never written to, the kernel
    has one large page of zeros for everybody, that nobody has to clear."""
    room = mmap.mmap(-1, max(length, 1), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with contextlib.suppress(OSError):
        room.madvise(mmap.MADV_HUGEPAGE)
    return memoryview(room)


@contextlib.contextmanager
def _past_the_cache(file: int) -> Iterator[None]:
    """What is written meanwhile, in whole pages, goes to the disk by itself."""
    flags = fcntl.fcntl(file, fcntl.F_GETFL)
    with contextlib.suppress(OSError):  # a file system that knows no such thing
        fcntl.fcntl(file, fcntl.F_SETFL, flags | os.O_DIRECT)
    try:
        yield
    finally:
        fcntl.fcntl(file, fcntl.F_SETFL, flags)
