"""What a web server answers: its body, read within a bound, and what is raised where none came. For
whoever asks one that is not ours: exchanges, providers of pools, Jupiter.

httpx unpacks each chunk whole, layer upon layer, before anybody can count: a kilobyte may come to
gigabytes. Here no more is unpacked than may be kept, of one layer.
"""

import zlib

import httpx

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
    unpacking = _unpacking(answer)
    body, came = bytearray(), 0
    async for chunk in answer.aiter_raw():
        came += len(chunk)
        if came > bytes_max:
            return None
        if unpacking is None:
            body += chunk
        elif not unpacking.eof:
            try:
                body += unpacking.decompress(chunk, bytes_max + 1 - len(body))
            except zlib.error as error:
                raise httpx.DecodingError(str(error)) from None
        if len(body) > bytes_max:
            return None
    return bytes(body)


def _unpacking(answer: httpx.Response) -> "zlib._Decompress | None":
    """None: it came as it is; what names no way to pack is left for whoever reads it."""
    said = answer.headers.get("content-encoding", "").lower().split(",")
    ways = [way for one in said if (way := one.strip()) in _KINDS]
    if not ways:
        return None
    if len(ways) > 1 or ways[0] not in _READ:
        raise httpx.DecodingError(f"packed by {', '.join(ways)[:60]}, not by gzip alone")
    return zlib.decompressobj(_ANY_HEAD)
