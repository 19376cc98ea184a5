"""Which account a subscription of one connection means. Pure; time is told.

Numbers belong to the connection and come with the acknowledgement, which some providers send after
the first notification: what is told under a number that is not known yet is kept for a moment.
"""

from typing import NamedTuple

from spread_scanner.pools.rpc import AccountTold, Subscribed

EARLY_NS_MAX = 2_000_000_000
EARLY_MAX = 256  # an array of ticks has 10 KB


class ToldOf(NamedTuple):
    """What was told, and of which account."""

    key: str
    told: AccountTold


class _Early(NamedTuple):
    told: AccountTold
    at_ns: int


class Subscriptions:
    """The accounts that one connection is asked for."""

    def __init__(self) -> None:
        self._asked: dict[int, str] = {}  # by request
        self._keys: dict[int, str] = {}  # by subscription
        self._early: dict[int, list[_Early]] = {}
        self._early_count = 0
        self._given_up: set[int] = set()
        self.dropped = 0  # told of no account that is known, or for too long

    def ask(self, request_id: int, key: str) -> None:
        self._asked[request_id] = key

    def refused(self, request_id: int) -> str | None:
        """The account whose subscription was refused; None where none was asked by this number."""
        return self._asked.pop(request_id, None)

    def acknowledged(self, answer: Subscribed, now_ns: int) -> list[ToldOf]:
        """What had been told before its number was known, in its order."""
        early = self._early.pop(answer.subscription, [])
        self._early_count -= len(early)
        key = self._asked.pop(answer.request_id, None)
        if key is None:
            self.dropped += len(early)
            return []
        self._keys[answer.subscription] = key
        self._given_up.discard(answer.subscription)
        kept = [one for one in early if now_ns - one.at_ns <= EARLY_NS_MAX]
        self.dropped += len(early) - len(kept)
        return [ToldOf(key, one.told) for one in kept]

    def told(self, told: AccountTold, now_ns: int) -> ToldOf | None:
        """None where its number is not known: it is kept, while there is room."""
        key = self._keys.get(told.subscription)
        if key is not None:
            return ToldOf(key, told)
        if self._early_count >= EARLY_MAX:
            self._purge(now_ns)
        if self._early_count < EARLY_MAX and told.subscription not in self._given_up:
            self._early.setdefault(told.subscription, []).append(_Early(told, now_ns))
            self._early_count += 1
        else:
            self.dropped += 1
        return None

    def _purge(self, now_ns: int) -> None:
        """Those that were told for too long, whose number never came."""
        for number, early in list(self._early.items()):
            kept = [one for one in early if now_ns - one.at_ns <= EARLY_NS_MAX]
            gone = len(early) - len(kept)
            self._early_count -= gone
            self.dropped += gone
            self._early[number] = kept
            if not kept:
                del self._early[number]

    def give_up(self, key: str) -> int | None:
        """The number to unsubscribe by; None where there is none."""
        number = next((at for at, name in self._keys.items() if name == key), None)
        if number is not None:
            del self._keys[number]
            self._given_up.add(number)
        return number

    @property
    def unanswered(self) -> int:
        return len(self._asked)

    @property
    def asked(self) -> set[str]:
        """The accounts whose subscriptions are not answered yet."""
        return set(self._asked.values())

    @property
    def keys(self) -> set[str]:
        """The accounts whose subscriptions stand."""
        return set(self._keys.values())
