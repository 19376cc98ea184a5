"""What many connections live through together is said in lines that are few.

Used by Feed, Line, Connection and Notices. An exchange that goes away ends seventy connections at
once, and each of them is dialled again and again until it is back. Of each kind the first line says
all of it, at once; then comes a line at most each minute, with a count, and when all connections
have stood for a while, the counts that are left and a line that it is over. Pure; times are
monotonic ns.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from logging import INFO, WARNING

from spread_scanner.clock import NS_PER_S

EVERY_NS = 60 * NS_PER_S
CALM_NS = 30 * NS_PER_S  # nothing has happened for so long: a connection has stood, as `stood_s`
KINDS_MAX = 32  # beyond these, kinds of an event share one place: a reason may hold what came
OTHERS = "other reasons, too"
NEVER_NS = 1 << 62


@dataclass
class _Kind:
    level: int
    said_ns: int
    more: int = 0  # since then
    sums: dict[str, int] = field(default_factory=dict)


class OutageLog:
    """One feed's. `log(level, event, **what)` writes a line."""

    def __init__(self, log: Callable[..., object]) -> None:
        self._log = log
        self._kinds: dict[tuple[str, str], _Kind] = {}
        self._began_ns = 0
        self._last_ns = 0
        self._away_ns = 0  # when somebody was last found away
        self._warned = 0  # how often something happened that is not as it should be

    def take(
        self,
        event: str,
        why: str,
        now_ns: int,
        *,
        level: int = WARNING,
        sums: Mapping[str, int] | None = None,
        **first: object,
    ) -> None:
        """Something happened once. `sums` are added up while it is only counted; `first` stands
        where it is said by itself.
        """
        if not self._kinds:
            self._began_ns, self._warned = now_ns, 0
        if (event, why) not in self._kinds and not self._room(now_ns):
            why = OTHERS
        self._last_ns = now_ns
        self._warned += level >= WARNING
        kind = self._kinds.get((event, why))
        if kind is None or (not kind.more and now_ns - kind.said_ns >= EVERY_NS):
            self._kinds[event, why] = _Kind(level, now_ns)
            self._log(level, event, **_reason(why), **first, **(sums or {}))
            return
        kind.more += 1
        for name, count in (sums or {}).items():
            kind.sums[name] = kind.sums.get(name, 0) + count

    def _room(self, now_ns: int) -> bool:
        """Whether there is a place for one more kind. An outage that lasts for days is to say in
        words what is new in it: kinds that have said all, a while ago, give theirs.
        """
        if len(self._kinds) >= KINDS_MAX:
            self._kinds = {
                key: kind
                for key, kind in self._kinds.items()
                if kind.more or now_ns - kind.said_ns < EVERY_NS
            }
        return len(self._kinds) < KINDS_MAX

    def due_ns(self, *, well: bool) -> int:
        """When the next line is due, if nothing more happens."""
        soon = [kind.said_ns + EVERY_NS for kind in self._kinds.values() if kind.more]
        if well and self._kinds:
            soon.append(self._ill_ns + CALM_NS)
        return min(soon, default=NEVER_NS)

    def look(self, now_ns: int, *, well: bool) -> None:
        """Say what is due. `well`: nobody is away now."""
        if not well:
            self._away_ns = now_ns
        if now_ns < self.due_ns(well=well):
            return
        if not well or now_ns - self._ill_ns < CALM_NS:
            self._count(now_ns, EVERY_NS)
            return
        warned, lasted_ns = self._warned, self._ill_ns - self._began_ns
        self.flush(now_ns)
        if warned:
            lasted_s = round(lasted_ns / NS_PER_S, 1)
            self._log(INFO, "all connections stand again", warnings=warned, lasted_s=lasted_s)

    @property
    def _ill_ns(self) -> int:
        """Until when not all was well: who waits for a dial is away, though nothing happens."""
        return max(self._last_ns, self._away_ns)

    def flush(self, now_ns: int) -> None:
        """Say what was only counted until now, and begin anew."""
        self._count(now_ns, 0)
        self._kinds = {}

    def _count(self, now_ns: int, every_ns: int) -> None:
        for (event, why), kind in self._kinds.items():
            if kind.more and now_ns - kind.said_ns >= every_ns:
                self._log(kind.level, event, **_reason(why), more=kind.more, **kind.sums)
                kind.said_ns, kind.more, kind.sums = now_ns, 0, {}


def _reason(why: str) -> dict[str, str]:
    return {"why": why} if why else {}
