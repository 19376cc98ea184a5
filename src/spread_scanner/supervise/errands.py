"""Children that the supervisor sends out every so often, and that end by themselves.

One life at a time; the first is due one pause after the system is up, as discovery has just run. A
child that failed is said, and sent again when it is due. Some are sent at once when asked for. The
pause is asked for at each turn, as a reload may change it; 0 is never.
"""

from collections.abc import Callable

from spread_scanner import clock
from spread_scanner.runtime.logs import Log
from spread_scanner.schema.names import EXIT_DONE, EXIT_PARTIAL
from spread_scanner.supervise.children import Child

FINE = (EXIT_DONE, EXIT_PARTIAL)  # partly: who was away is in its own log


class Errand:
    """`turn` is called at each tick."""

    def __init__(
        self,
        name: str,
        every_s: Callable[[], float],
        child: Callable[[], Child],
        log: Log,
        *,
        publishes: bool = False,
        asked: Callable[[], bool] = lambda: False,
    ) -> None:
        """`publishes`: it writes tables, which one at a time may. `asked`: whether somebody wants
        it now; it is asked when it may start, and counts as a wish that is fulfilled."""
        self._asked = asked
        self.publishes = publishes
        self._name = name
        self._every_s = every_s
        self._child = child
        self._log = log
        self._due_s = 0.0
        self.under_way: Child | None = None

    def turn(self, *, may_start: bool) -> None:
        """Note an end, or start the next life when it is due."""
        every_s = self._every_s()
        if self.under_way is not None:
            code = self.under_way.ended()
            if code is None:
                return
            if code not in FINE:
                path = self.under_way.log_path
                self._log.warning(f"{self._name} failed", exit_code=code, log=path)
            self.under_way = None
        elif may_start and self._asked():
            self._due_s = clock.awake_s() + every_s
            self._start()
        elif every_s and may_start:
            now_s = clock.awake_s()
            if not self._due_s or self._due_s > now_s + every_s:
                self._due_s = now_s + every_s
            elif now_s >= self._due_s:
                self._due_s = now_s + every_s
                self._start()

    def _start(self) -> None:
        self.under_way = self._child()
        self.under_way.start()
