"""The heartbeat to somebody outside, who tells when it stays away (a "dead man's snitch").

It says that spread-alerts lives and sees the system: it follows a look, so that one that hangs, is
paused or has ended is silent. What it has seen is told by the targets, and stops the heartbeat
only with heartbeat_when = "well": a condition that stands for days would hide the death of who
tells of it. Each try is one of a thread of its own, and holds up no target.
"""

import httpx

from spread_scanner import clock
from spread_scanner.alerts.targets import NeverTaken, Unreached, new_client, ping
from spread_scanner.clock import NS_PER_S
from spread_scanner.config import Alerts as AlertSettings

RETRY_S_MIN = 1.0
RETRY_S_MAX = 30.0


class Heartbeat:
    """`due` and `beat` for one address; none while the settings name none."""

    name = "heartbeat"

    def __init__(self, settings: AlertSettings, client: httpx.Client | None = None) -> None:
        self._settings = settings
        self._client = client or new_client()
        self._next_ns = 0
        self._pause_s = RETRY_S_MIN
        self.heartbeats = 0
        self.heartbeat_failures = 0
        self.failing = False
        self.last_error = ""
        self.said_failing = ""  # for whoever logs it

    def settings(self, settings: AlertSettings) -> None:
        """Go on with others; what failed is tried again at once."""
        self._settings = settings
        self._next_ns, self._pause_s, self.failing = 0, RETRY_S_MIN, False

    def due(self, *, well: bool) -> bool:
        """Whether to beat now, after a look that found all well or not."""
        wanted = self._settings.heartbeat_url and (well or self._settings.heartbeat_when == "alive")
        return bool(wanted) and clock.mono_ns() >= self._next_ns

    def beat(self) -> None:
        """Ask once; what fails is counted, said and tried again sooner than the next is due."""
        settings = self._settings
        after_s = settings.heartbeat_s
        try:
            ping(self._client, settings.heartbeat_method, settings.heartbeat_url)
        except (Unreached, NeverTaken) as error:
            self.heartbeat_failures += 1
            self.failing, self.last_error = True, error.message
            if isinstance(error, Unreached):
                asked_s = error.retry_after_s
                after_s = min(after_s, self._pause_s) if asked_s is None else asked_s
                self._pause_s = min(2 * self._pause_s, RETRY_S_MAX)
        else:
            self.heartbeats += 1
            self.failing, self._pause_s = False, RETRY_S_MIN
        self._next_ns = clock.mono_ns() + int(after_s * NS_PER_S)
