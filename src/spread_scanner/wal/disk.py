"""Every call that a disk can fail, in one place: so that a test can let each of them fail.

All raise OSError. `pwrite` may write less than it was asked to.
"""

import os
from pathlib import Path


class LogDisk:
    """The machine's own."""

    def open(self, path: Path) -> int:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def allocate(self, file: int, length: int) -> None:
        os.posix_fallocate(file, 0, length)

    def truncate(self, file: int) -> None:
        os.ftruncate(file, 0)

    def pwrite(self, file: int, data: bytes | memoryview, offset: int) -> int:
        return os.pwrite(file, data, offset)

    def fdatasync(self, file: int) -> None:
        os.fdatasync(file)

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

    def put(self, file: int, data: bytes | memoryview, offset: int) -> None:
        """All of it, however often that has to be asked for."""
        done = self.pwrite(file, data, offset)
        while done < len(data):
            done += self.pwrite(file, data[done:], offset + done)
