"""Small files under a checksum: whole (replacing.py) or not there.

Users: usual.py, blocked.py. What is damaged raises the user's own error, which names the file.
"""

import zlib
from pathlib import Path

from spread_scanner.errors import SpreadError
from spread_scanner.symbology.replacing import replace

_CHECKSUM_BYTES = 4


def write(path: Path, body: bytes) -> None:
    """Put a body in place of the one before. Raises OSError; that one stays then."""
    replace(path, closed(body))


def closed(body: bytes) -> bytes:
    """A whole file's bytes."""
    return zlib.crc32(body).to_bytes(_CHECKSUM_BYTES, "little") + body


def read(path: Path, fault: type[SpreadError]) -> bytes | None:
    """The body that was written last; None where there is nothing. Raises `fault`."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise fault(f"cannot be read: {error.strerror}", file=str(path)) from None
    try:
        return opened(raw, fault)
    except SpreadError as error:
        error.evidence["file"] = str(path)
        raise


def opened(raw: bytes, fault: type[SpreadError]) -> bytes:
    """The body of a whole file's bytes. Raises `fault`."""
    body = raw[_CHECKSUM_BYTES:]
    if zlib.crc32(body).to_bytes(_CHECKSUM_BYTES, "little") != raw[:_CHECKSUM_BYTES]:
        raise fault("damaged: its checksum is another")
    return body
