"""After a suspend nobody has beaten: that is no news, and nobody is told of it."""

from typing import Any

from spread_scanner.alerts.main import WAKE_NS, Quiet
from spread_scanner.clock import NS_PER_MS, SuspendWatch, VirtualClock
from spread_scanner.view.conditions.condition import Condition

HUNG = Condition("hung:feed-okx-spot", "feed-okx-spot has not beaten for 3600.0 s")
OPENED = Condition("opportunity:7", "BTC-USDT: 30 bps net", passing=True)


class Sleeper:
    """As much of a process as notices a suspend."""

    def __init__(self) -> None:
        self.on_wake: Any = None
        self._suspends = SuspendWatch()

    def feel_suspend(self) -> None:
        if self._suspends.slept_ns():
            self.on_wake()


def test_what_a_suspend_made_is_not_judged_and_what_passes_is_told_afterwards(
    virtual_clock: VirtualClock,
) -> None:
    quiet = Quiet(Sleeper())  # type: ignore[arg-type]
    assert quiet.filter([HUNG, OPENED]) == [HUNG, OPENED]
    virtual_clock.suspend_ms(3_600_000)
    assert quiet.filter([HUNG]) is None, "found out with the very look that would misfire"
    virtual_clock.advance_ms(WAKE_NS / NS_PER_MS - 1)
    assert quiet.filter([HUNG, OPENED]) is None
    virtual_clock.advance_ms(1)
    assert quiet.filter([HUNG]) == [HUNG, OPENED], "who has not come back by now is news"
    assert quiet.filter([]) == []
