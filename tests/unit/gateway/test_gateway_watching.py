"""The thread that parks on the gateway's dirty bits: its end holds up no loop."""

import asyncio
from typing import Any

import pytest

from bed import until
from spread_scanner.gateway.watching import Watching


class Bits:
    """Dirty when its reader is about to close."""

    def __init__(self) -> None:
        self.parked = False
        self.closing: Any = None

    def wait(self, _timeout_ms: float) -> bool:
        self.parked = True
        until(lambda: self.closing is not None and self.closing.is_set())
        return True


def test_a_quote_that_comes_at_the_end_is_flushed_by_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The loop waits for the thread then, and would be waited for by it."""

    async def act() -> list[object]:
        asked: list[object] = []
        bits = Bits()
        watching = Watching(bits, lambda: False)  # type: ignore[arg-type]
        monkeypatch.setattr(watching._loop, "call_soon_threadsafe", asked.append)
        watching.want(wanted=True)
        until(lambda: bits.parked)
        bits.closing = watching._flushed  # `close` sets it, and then waits for the thread
        watching.close()
        return asked

    assert asyncio.run(act()) == []


def test_what_is_to_be_told_soon_is_flushed_though_nothing_more_is_dirty() -> None:
    class Once:
        """Dirty once."""

        def __init__(self) -> None:
            self.waits = iter([True])

        def wait(self, _timeout_ms: float) -> bool:
            return next(self.waits, False)

    async def act() -> int:
        flushed: list[None] = []
        enough = asyncio.Event()

        def flush() -> bool:
            flushed.append(None)
            if len(flushed) == 3:
                enough.set()
            return len(flushed) < 3

        watching = Watching(Once(), flush)  # type: ignore[arg-type]
        watching.want(wanted=True)
        async with asyncio.timeout(60):
            await enough.wait()
        watching.close()
        return len(flushed)

    assert asyncio.run(act()) == 3
