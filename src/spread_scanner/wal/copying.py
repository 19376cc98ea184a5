"""A log written once more into another folder: each segment's records in a segment of its own, of
the store that they were of, under the times at which they were written.
"""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from spread_scanner.errors import Unusable
from spread_scanner.schema.log import DOCUMENTS
from spread_scanner.wal.frames import SEGMENT_BYTES
from spread_scanner.wal.reader import Link, Piece, nearest_whole
from spread_scanner.wal.times import LogTimes
from spread_scanner.wal.writer import LogWriter, Origin, WrittenThen


@contextlib.contextmanager
def new_log(to: Path, segment_bytes: int = SEGMENT_BYTES) -> Iterator[LogWriter]:
    """Whole and on the disk when it is left; on an error nothing of it stays. Raises Unusable
    (something is there), Unsafe, OSError."""
    was_there = to.exists()
    if was_there and any(to.iterdir()):
        raise Unusable("a log is copied into a folder that is empty", folder=str(to))
    try:
        with contextlib.closing(LogWriter(to, segment_bytes=segment_bytes)) as writer:
            yield writer
            writer.copied()
    except BaseException:
        with contextlib.suppress(OSError):
            for path in to.iterdir():
                path.unlink()
            if not was_there:
                to.rmdir()
        raise


class LogCopy:
    """Of these segments, into a log."""

    def __init__(self, writer: LogWriter, links: Sequence[Link]) -> None:
        self._writer, self._links = writer, links

    def begin(self, link: Link) -> None:
        """What follows stands in that segment. Raises Unsafe."""
        head = nearest_whole(self._links, link).head
        times = LogTimes.of(head)
        text = {name: bytes(head[name][()]).decode("utf-8", "replace") for name in _TEXTS}
        origin = Origin(
            text["namespace"], int(head["instance_id"]), times.anchor_ns, times.boot, text["host"]
        )
        self._begun_ns, self._was_ns = times.mono_ns, int(link.head["created_mono_ns"])
        self._writer.copy_on(origin, WrittenThen(times.wall_ns, times.mono_ns))

    def put(self, piece: Piece) -> None:
        """Records as they stand there. Raises Unsafe."""
        self._writer.copy_then(self._begun_ns + piece.at_ns - self._was_ns)
        if piece.kind in DOCUMENTS:
            self._writer.append_part(piece.kind, piece.payload.tobytes())
        else:
            self._writer.append(piece.kind, piece.array())
        self.written()

    def written(self) -> None:
        """What was appended stands under its time. Raises Unsafe."""
        self._writer.commit()
        if not self._writer.room:
            self._writer.copied()


_TEXTS = ("namespace", "host")
