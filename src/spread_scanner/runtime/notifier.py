"""systemd's notification socket: what a process says of itself to the service manager.

Written to by Process, from the process's own loop; read by systemd. Silent where nobody listens.
Nothing here may hold the loop up: what cannot be sent at once is sent at a later heartbeat.
"""

import os
import socket

from spread_scanner import clock

NS_PER_US = 1_000


class Notifier:
    """READY and STOPPING once, WATCHDOG as often as half its time-out asks for, sd_notify(3).

    `beat_every_ns` is how often `alive` is called: it speaks at the last of these calls before half
    the time-out is over, which the clock measures that systemd does, without a suspend.
    """

    def __init__(self, beat_every_ns: int) -> None:
        address = os.environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._socket: socket.socket | None = None
        if address:
            kind = socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
            self._socket = socket.socket(socket.AF_UNIX, kind)
        self._unsaid: list[bytes] = []
        timeout_ns = _watchdog_us() * NS_PER_US
        self._watched = timeout_ns > 0
        self._half_ns = timeout_ns // 2
        self.beat_every_ns = beat_every_ns
        self._due_ns = clock.awake_ns()

    def ready(self) -> None:
        """The process has come up."""
        self._say(b"READY=1")

    def extend_start(self, seconds: float) -> None:
        """The start is given this long from now: EXTEND_TIMEOUT_USEC, sd_notify(3)."""
        self._send(b"EXTEND_TIMEOUT_USEC=%d" % int(seconds * 1e6))

    def stopping(self) -> None:
        """The process is about to end."""
        self._say(b"STOPPING=1")

    def alive(self) -> None:
        """Call with each heartbeat."""
        now_ns = clock.awake_ns()
        self._say()
        if self._watched and now_ns >= self._due_ns and self._send(b"WATCHDOG=1"):
            self._due_ns = now_ns + max(self._half_ns - self.beat_every_ns, 0)

    def close(self) -> None:
        """Say no more."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _say(self, *more: bytes) -> None:
        """What must not be lost, in its order."""
        self._unsaid.extend(more)
        while self._unsaid and self._send(self._unsaid[0]):
            del self._unsaid[0]

    def _send(self, text: bytes) -> bool:
        """False when the socket is full. Nobody there: nothing can be said, now or later."""
        if self._socket is None:
            return True
        try:
            self._socket.sendto(text, self._address)
        except BlockingIOError:
            return False
        except OSError:
            pass
        return True


def _watchdog_us() -> int:
    """The time-out that systemd set for this process, 0 for none: sd_watchdog_enabled(3)."""
    try:
        if int(os.environ.get("WATCHDOG_PID", os.getpid())) != os.getpid():
            return 0  # inherited from a process that is watched, as the supervisor's children do
        return max(int(os.environ.get("WATCHDOG_USEC", "0")), 0)
    except ValueError:
        return 0
