"""What one connection is asked for, and which account a subscription means. Pure; time is told.

Numbers belong to the connection and come with the acknowledgement, which some providers send after
the first notification: what is told under a number that is not known yet is kept for a moment.

As with exchanges, every request has a deadline and is repeated, each time after twice as long, and
what is refused is asked for again slowly (runtime/patience.py). An answer that comes to the first
of two requests after all makes the second one's subscription one too many: it is given up.
"""

import random
from collections.abc import Callable, Iterable
from typing import NamedTuple

from spread_scanner.pools.rpc import AccountTold, Subscribed
from spread_scanner.runtime.patience import Pauses, SymbolPatience

EARLY_NS_MAX = 2_000_000_000
EARLY_MAX = 256  # an array of ticks has 10 KB
REPEATS_MAX = 5  # doublings of the time that an answer may take
LATE_MAX = 8  # requests for one account whose answer is still known as such when it comes
GIVEN_UP_MAX = 1_024  # numbers under which something may be told for a while still
SLOTS = "slots"  # in the place of an account's key: the subscription to slots


class ToldOf(NamedTuple):
    """What was told, and of which account."""

    key: str
    told: AccountTold


class _Early(NamedTuple):
    told: AccountTold
    at_ns: int


class _Waiting(NamedTuple):
    times: int  # that it was asked for
    until_ns: int  # when it is asked for again


class Subscriptions:
    """The accounts that one connection is asked for, and slots."""

    def __init__(
        self, pauses: Pauses | None = None, chance: Callable[[], float] = random.random
    ) -> None:
        self.pauses = pauses or Pauses()
        self._patience = SymbolPatience[str](chance)
        self._refused: set[str] = set()
        self._waiting: dict[str, _Waiting] = {}  # asked for, without an answer
        self._asked: dict[int, str] = {}  # by request
        self._spare: list[int] = []  # of what is wanted no longer, or stands under another one
        self._keys: dict[int, str] = {}  # by subscription
        self._early: dict[int, list[_Early]] = {}
        self._early_count = 0
        self._given_up: dict[int, None] = {}  # the latest last
        self.dropped = 0  # told of no account that is known, or for too long

    def ask(self, request_id: int, key: str, now_ns: int) -> None:
        before = self._waiting.get(key)
        times = 0 if before is None else before.times
        until_ns = now_ns + (self.pauses.answer_ns << min(times, REPEATS_MAX))
        self._waiting[key] = _Waiting(times + 1, until_ns)
        late = [number for number, name in self._asked.items() if name == key]
        if len(late) >= LATE_MAX:  # who never answers is asked for as long as the connection stands
            del self._asked[late[0]]
        self._asked[request_id] = key

    def ask_at_once(self) -> None:
        """A person has named all anew: what was refused, or not answered in its time, is asked for
        as if it had not been.
        """
        self._patience.forget()
        self._waiting = {key: one for key, one in self._waiting.items() if one.times == 1}

    def next(self, wanted: Iterable[str], now_ns: int) -> str | None:
        """The first of these that is to be asked for now: it does not stand, and no answer is
        waited for, nor the end of a refusal's pause."""
        stand = set(self._keys.values())
        for key in wanted:
            waits = self._waiting.get(key)
            if key in stand or (waits is not None and now_ns < waits.until_ns):
                continue
            if key in self._refused and now_ns < self._patience.due_ns(key, self.pauses):
                continue
            return key
        return None

    def refused(self, request_id: int, now_ns: int, *, passing: bool) -> str | None:
        """The account whose subscription was refused; None where none was asked by this number.
        `passing`: it may be asked for again as soon as anything may."""
        key = self._asked.pop(request_id, None)
        if key is not None and key not in self._keys.values():
            self._waiting.pop(key, None)
            if not passing:
                self._refused.add(key)
                self._patience.asked(key, now_ns, self.pauses)
        return key

    def acknowledged(self, answer: Subscribed, now_ns: int) -> list[ToldOf]:
        """What had been told before its number was known, in its order."""
        early = self._early.pop(answer.subscription, [])
        self._early_count -= len(early)
        key = self._asked.pop(answer.request_id, None)
        if key is not None and key in self._keys.values():
            self._give_up(answer.subscription)
            key = None
        if key is None:
            self.dropped += len(early)
            return []
        self._waiting.pop(key, None)
        self._refused.discard(key)
        self._keys[answer.subscription] = key
        self._given_up.pop(answer.subscription, None)
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

    def give_up(self, key: str) -> None:
        """It is wanted no longer."""
        number = next((at for at, name in self._keys.items() if name == key), None)
        if number is not None:
            del self._keys[number]
            self._give_up(number)

    def _give_up(self, number: int) -> None:
        self._spare.append(number)
        self._given_up[number] = None
        if len(self._given_up) > GIVEN_UP_MAX:
            del self._given_up[next(iter(self._given_up))]

    def spare(self) -> int | None:
        """A number to unsubscribe by; None where there is none."""
        return self._spare.pop() if self._spare else None

    @property
    def keys(self) -> set[str]:
        """The accounts whose subscriptions stand."""
        return {*self._keys.values()} - {SLOTS}
