"""The native tier of books; see _levels.pyx."""

from msgspec import Raw

from spread_scanner.schema.books import BookLevels

LEVELS_MAX: int

def read_levels(raw: bytes | Raw) -> BookLevels | None: ...
