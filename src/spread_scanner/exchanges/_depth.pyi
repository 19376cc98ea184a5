"""The native tier of books; see _depth.pyx."""

from collections.abc import Mapping, Sequence

from spread_scanner.schema.books import BookLevels

LEVELS_MAX: int

class DepthDecoder:
    window: int
    def __init__(
        self,
        templates: Sequence[str],
        symbols: Mapping[str, tuple[int, float, float]],
        *,
        window: int = 0,
        wrapped: tuple[int, str] | None = None,
    ) -> None: ...
    def match(self, frame: bytes) -> tuple[int, int, int, int, BookLevels, BookLevels] | None: ...
