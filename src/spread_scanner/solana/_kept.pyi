class KeptBytes:
    def __init__(self, *spans: tuple[int, int | None]) -> None: ...
    def same(self, before: bytes, now: bytes) -> bool: ...

def as_before(
    before: dict[str, tuple[str, bytes]],
    now: dict[str, tuple[str, bytes]],
    fixed: tuple[str, ...],
    kept: dict[str, KeptBytes],
) -> bool: ...
