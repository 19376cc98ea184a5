"""What time it is on the chain, of several providers' words on its clock. Pure; time is told.

A provider may be wrong by minutes and believable still, so that none is taken at its word where
others say otherwise: what most of them say counts, and their middle of it. What was believed stands
for itself while nobody repeats it, half a minute long, so that one provider alone that leaps is
doubted for so long, and believed then. Where as many say one thing as another, this machine's own
clock decides, and what was believed where it lies between them: else each word would turn it, and
all quotes with it. Where nobody says anything, the last word goes on as this machine's clock does.
"""

from typing import NamedTuple

from spread_scanner.clock import NS_PER_S
from spread_scanner.schema.pools import CLOCK_OFF_S

WORD_NS = 30 * NS_PER_S  # so long a word counts
_APART_MS = CLOCK_OFF_S * 1_000


class _Word(NamedTuple):
    clock_ms: int
    at_ns: int


class ChainTimes:
    """The last words of all providers, and what they come to."""

    def __init__(self) -> None:
        self.clock_ms = 0  # as PoolWriter.clock takes it; 0: nobody has told it
        self._shared_ns = 0  # when a provider last said what is believed
        self._words: dict[str, _Word] = {}

    def told(self, provider: str, clock_ms: int, own_ms: int, now_ns: int) -> bool:
        """A provider's word, and this machine's own clock, both as of when its monotonic one was at
        0. False: it is not what is believed."""
        self._words[provider] = _Word(clock_ms, now_ns)
        said = [one.clock_ms for one in self._words.values() if now_ns - one.at_ns <= WORD_NS]
        if self._stands(said, now_ns):
            said.append(self.clock_ms)
        best = max(said, key=lambda one: (len(_near(one, said)), -self._off(one, own_ms)))
        near = _near(best, said)
        self.clock_ms = near[len(near) // 2]
        shared = [one.at_ns for one in self._words.values() if _same(one.clock_ms, self.clock_ms)]
        self._shared_ns = max([self._shared_ns, *shared])
        return not self.off_ms(provider)

    def _off(self, one: int, own_ms: int) -> int:
        """How far it is off this machine's own clock; what was believed, by so much less as two
        times may be apart and the same."""
        held_ms = _APART_MS if self.clock_ms != 0 and _same(one, self.clock_ms) else 0
        return abs(one - own_ms) - held_ms

    def _stands(self, said: list[int], now_ns: int) -> bool:
        """Whether what was believed counts for itself."""
        lately = self.clock_ms != 0 and now_ns - self._shared_ns <= WORD_NS
        return lately and not _near(self.clock_ms, said)

    def off_ms(self, provider: str) -> int:
        """How far its last word is off what is believed; 0: it shares that, or has said nothing."""
        word = self._words.get(provider)
        if word is None or _same(word.clock_ms, self.clock_ms):
            return 0
        return word.clock_ms - self.clock_ms


def _near(one: int, said: list[int]) -> list[int]:
    """What is said that is no other time than this, ascending."""
    return sorted(other for other in said if _same(one, other))


def _same(one: int, other: int) -> bool:
    return abs(one - other) <= _APART_MS
