"""Files of pages: read once, packed once, answered from memory."""

import gzip
import mimetypes
import zlib
from functools import cache, cached_property
from pathlib import Path

_KINDS = {".js": "text/javascript", ".mjs": "text/javascript"}


class PageFile:
    """One file as it is sent."""

    def __init__(self, body: bytes, kind: str, policy: str) -> None:
        self.body = body
        self.kind = f"{kind}; charset=utf-8".encode()
        self.tag = b'"%x"' % zlib.crc32(body)
        self.policy = policy.encode()  # what its page may load and run

    @cached_property
    def packed(self) -> bytes:
        """The same, as gzip has it; made when it is asked for first."""
        return gzip.compress(self.body, mtime=0)


@cache
def read(path: Path, policy: str) -> PageFile:
    kind = _KINDS.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "text/plain"
    return PageFile(path.read_bytes(), kind, policy)
