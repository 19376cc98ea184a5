"""The native tier of checksums; see _spelled.pyx."""

from msgspec import Raw

from spread_scanner.exchanges.adapter import BookChange, Texts
from spread_scanner.schema.books import BookLevels

CHECKED_LEVELS: int

def read_spelled(raw: bytes | Raw) -> tuple[BookLevels, Texts] | None: ...

class SpelledLevels:
    def take(self, said: BookChange) -> None: ...
    def checksum(self) -> int: ...
