"""The thread that parks on the gateway's dirty bits: its end holds up no loop."""

import asyncio
from typing import Any

import pytest

from bed import until
from spread_scanner.gateway.watching import FRAME_S, LATE_S_MAX, Watching, next_turn


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


def test_what_is_written_each_frame_is_flushed_each_frame_however_late_each_flush_is() -> None:
    late_s = 0.9 * LATE_S_MAX
    turn_s = first_s = 100.0
    for number in range(1, 1_001):
        turn_s = next_turn(turn_s, turn_s + FRAME_S + late_s)
        assert turn_s == pytest.approx(first_s + number * FRAME_S)


@pytest.mark.parametrize("quiet_s", [FRAME_S + 1.1 * LATE_S_MAX, 5 * FRAME_S, 60.0])
def test_after_quiet_a_turn_begins_when_it_is_taken_and_none_is_made_up_for(quiet_s: float) -> None:
    assert next_turn(100.0, 100.0 + quiet_s) == 100.0 + quiet_s


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
