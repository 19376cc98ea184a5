"""Files of pages: read and packed once, answered from memory."""

import gzip
import mimetypes
import zlib
from functools import cache
from pathlib import Path
from typing import NamedTuple

_KINDS = {".js": "text/javascript", ".mjs": "text/javascript"}


class PageFile(NamedTuple):
    """One file as it is sent."""

    body: bytes
    packed: bytes  # the same, as gzip has it
    kind: bytes
    tag: bytes
    policy: bytes  # what its page may load and run


@cache
def read(path: Path, policy: str) -> PageFile:
    kind = _KINDS.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "text/plain"
    body = path.read_bytes()
    return PageFile(
        body,
        gzip.compress(body, mtime=0),
        f"{kind}; charset=utf-8".encode(),
        b'"%x"' % zlib.crc32(body),
        policy.encode(),
    )
