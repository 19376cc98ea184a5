"""What a web server answers: its body, read within a bound, and what is raised where none came. For
whoever asks one that is not ours: exchanges, providers of pools, Jupiter, whom alerts are sent to.

httpx unpacks each chunk whole, layer upon layer, before anybody can count: a kilobyte may come to
gigabytes. Here no more is unpacked than may be kept, of one layer.
"""

import zlib

import httpx

from spread_scanner import clock

# What httpx raises where no answer came. A UnicodeError: a name that cannot be read or written, the
# URL's, or that to which a redirect leads, which httpx reads whether it is followed or not.
UNASKED = (httpx.HTTPError, httpx.InvalidURL, UnicodeError)
PACKED = {"accept-encoding": "gzip"}  # what is read here; a header for who asks
_KINDS = ("gzip", "deflate", "br", "zstd")
_READ = _KINDS[:2]
_ANY_HEAD = zlib.MAX_WBITS | 32  # gzip's or zlib's


async def read_body(answer: httpx.Response, bytes_max: int) -> bytes | None:
    """All of it; None: it is longer, packed or unpacked. Raises httpx.HTTPError, also for what is
    packed in another way, or more than once."""
    body = _Body(answer, bytes_max)
    async for chunk in answer.aiter_raw():
        if not body.takes(chunk):
            return None
    return bytes(body.kept)


def read_body_by(answer: httpx.Response, bytes_max: int, until_s: float) -> bytes | None:
    """The same for who waits for it, which ends with the chunk after that time (clock.awake_s);
    None: it was longer, or took longer."""
    body = _Body(answer, bytes_max)
    for chunk in answer.iter_raw():
        if not body.takes(chunk) or clock.awake_s() > until_s:
            return None
    return bytes(body.kept)


class _Body:
    """As much of one as has come."""

    def __init__(self, answer: httpx.Response, bytes_max: int) -> None:
        """Raises httpx.DecodingError."""
        self.kept = bytearray()
        self._came, self._bytes_max = 0, bytes_max
        self._unpacking = _unpacking(answer)

    def takes(self, chunk: bytes) -> bool:
        """Whether that is within the bound. Raises httpx.DecodingError."""
        self._came += len(chunk)
        if self._came > self._bytes_max:
            return False
        if self._unpacking is None:
            self.kept += chunk
        elif not self._unpacking.eof:
            room = self._bytes_max + 1 - len(self.kept)
            try:
                self.kept += self._unpacking.decompress(chunk, room)
            except zlib.error as error:
                raise httpx.DecodingError(str(error)) from None
        return len(self.kept) <= self._bytes_max


def _unpacking(answer: httpx.Response) -> "zlib._Decompress | None":
    """None: it came as it is; what names no way to pack is left for whoever reads it."""
    said = answer.headers.get("content-encoding", "").lower().split(",")
    ways = [way for one in said if (way := one.strip()) in _KINDS]
    if not ways:
        return None
    if len(ways) > 1 or ways[0] not in _READ:
        raise httpx.DecodingError(f"packed by {', '.join(ways)[:60]}, not by gzip alone")
    return zlib.decompressobj(_ANY_HEAD)
