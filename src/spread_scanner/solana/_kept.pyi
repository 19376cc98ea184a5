from collections.abc import Callable

Ratio = tuple[int, int]
Accounts = dict[str, tuple[str, bytes]]

class KeptBytes:
    def __init__(self, *spans: tuple[int, int | None]) -> None: ...
    def same(self, before: bytes, now: bytes) -> bool: ...

class SwappedTicks:
    def __init__(self, key: str, at: int, span: Callable[[int], tuple[int, int]]) -> None: ...
    def __call__(self, accounts: Accounts) -> tuple[Ratio, tuple[int, int], int] | None: ...

class SwappedBin:
    def __init__(
        self,
        key: str,
        active_at: int,
        owner: str,
        array: tuple[int, bytes, int, int, int],
        ratio_at: Callable[[int], Ratio],
        array_key: Callable[[int], str],
    ) -> None: ...
    def __call__(self, accounts: Accounts) -> tuple[Ratio, tuple[int, int], None] | None: ...

def as_before(
    before: Accounts, now: Accounts, fixed: tuple[str, ...], kept: dict[str, KeptBytes]
) -> bool: ...
