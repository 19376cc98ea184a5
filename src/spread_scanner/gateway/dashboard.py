"""The dashboard's files: read once, answered from memory.

They stand in page/ as they are sent: plain modules of JavaScript, no build. They hold nothing that
is secret and are answered without a token; what they show is asked for like by any other program.
"""

import gzip
import mimetypes
import zlib
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).parent / "page"
PREFIX = "/page/"
LOGIN = f"{PREFIX}login"
LOGOUT = f"{PREFIX}logout"
_KINDS = {".js": "text/javascript", ".mjs": "text/javascript"}
# Nothing from elsewhere, nothing written into the page: what an exchange names a coin stays text.
# The tab's icon is drawn by the page itself.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class PageFile(NamedTuple):
    """One file as it is sent."""

    body: bytes
    packed: bytes  # the same, as gzip has it
    kind: bytes
    tag: bytes


def page_files() -> dict[str, PageFile]:
    """By path."""
    found = {
        PREFIX + path.relative_to(FOLDER).as_posix(): _read(path)
        for path in sorted(FOLDER.rglob("*"))
        if path.is_file()
    }
    return {"/": found[f"{PREFIX}index.html"], **found}


def _read(path: Path) -> PageFile:
    kind = _KINDS.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "text/plain"
    body = path.read_bytes()
    return PageFile(
        body,
        gzip.compress(body, mtime=0),
        f"{kind}; charset=utf-8".encode(),
        b'"%x"' % zlib.crc32(body),
    )
