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
        watching = Watching(bits, lambda: None)  # type: ignore[arg-type]
        monkeypatch.setattr(watching._loop, "call_soon_threadsafe", asked.append)
        watching.want(wanted=True)
        until(lambda: bits.parked)
        bits.closing = watching._flushed  # `close` sets it, and then waits for the thread
        watching.close()
        return asked

    assert asyncio.run(act()) == []
