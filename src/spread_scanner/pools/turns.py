"""Whose turn it is, of all providers, to be asked a question that one of them is asked now and
then. Pure; time is told.

Each comes by itself whenever it might ask, at its own pace: one that is answered at once, as who
refuses is, would be there first each time.
"""

from spread_scanner.clock import NS_PER_S

AWAY_NS = 2 * NS_PER_S  # who has not come for so long keeps nobody waiting


class Turns:
    """A question each so often, by whoever asked it longest ago of those that come."""

    def __init__(self, every_ns: int) -> None:
        self._every_ns, self._due_ns = every_ns, 0
        self._came_ns: dict[str, int] = {}
        self._asked_ns: dict[str, int] = {}

    def come(self, provider: str, now_ns: int) -> bool:
        """Whether it is its turn now."""
        self._came_ns[provider] = now_ns
        if now_ns < self._due_ns:
            return False
        return self._asked(provider) <= min(map(self._asked, self.there(now_ns)))

    def there(self, now_ns: int) -> set[str]:
        """Those that come."""
        return {name for name, at_ns in self._came_ns.items() if now_ns - at_ns < AWAY_NS}

    def take(self, provider: str, now_ns: int) -> None:
        """It asks now."""
        self._asked_ns[provider], self._due_ns = now_ns, now_ns + self._every_ns

    def _asked(self, provider: str) -> int:
        return self._asked_ns.get(provider, -1)
