"""When somebody could not do his part: a process that died or hung, and what the operator switched
off meanwhile. Kept by the supervisor, for the score of a run: nobody owes a signal then.
"""

from collections.abc import Sequence

from spread_scanner import clock
from spread_scanner.schema.enums import SOURCE_BY_LABEL, SwitchKind
from spread_scanner.schema.names import ENGINE
from spread_scanner.shm.switches import Switch
from spread_scanner.supervise.seen import DownTime


class Outages:
    """All of one run, oldest first."""

    def __init__(self) -> None:
        self.all: list[DownTime] = []
        self._gone: dict[str, int] = {}  # processes that do not run: the place of their outage
        self._switched: dict[str, int] = {}  # whom the operator silences: likewise

    def gone(self, process: str, since_mono_ns: int) -> None:
        """It has died, or hangs since then."""
        if process not in self._gone:
            self._gone[process] = self._begin(process, since_mono_ns)

    def is_gone(self, process: str) -> bool:
        return process in self._gone

    def back(self, process: str) -> None:
        """It runs again."""
        self._end(self._gone.pop(process))

    def switched(self, standing: Sequence[Switch]) -> None:
        """All that is switched off now."""
        silent = {_whom(one): one for one in standing}
        for who in self._switched.keys() - silent.keys():
            self._end(self._switched.pop(who))
        for who in silent.keys() - self._switched.keys():
            self._switched[who] = self._begin(who, _since_mono_ns(silent[who]))

    def _begin(self, who: str, since_mono_ns: int) -> int:
        self.all.append(DownTime(who, since_mono_ns, None))
        return len(self.all) - 1

    def _end(self, place: int) -> None:
        self.all[place] = self.all[place]._replace(end_ns=clock.mono_ns())


def _whom(one: Switch) -> str:
    """A halt silences the engine, a source its feed."""
    if one.kind is SwitchKind.HALT:
        return ENGINE
    return SOURCE_BY_LABEL[one.name].process if one.kind is SwitchKind.SOURCE else one.name


def _since_mono_ns(one: Switch) -> int:
    now_ns = clock.mono_ns()
    if not one.since_wall_ns:
        return now_ns
    return now_ns - max(0, clock.wall_ns() - one.since_wall_ns)
