"""The native tier of decoding; see _match.pyx."""

from collections.abc import Mapping, Sequence

REASONS: tuple[str, ...]

class Decoder:
    def __init__(
        self,
        templates: Sequence[str],
        symbols: Mapping[str, tuple[int, float, float]],
        *,
        protobuf: bool = False,
    ) -> None: ...
    def match(
        self, frame: bytes
    ) -> tuple[int, float, float, float, float, int, int, int, int] | None: ...
    def reason(self, frame: bytes) -> str: ...
