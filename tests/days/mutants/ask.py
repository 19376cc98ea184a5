"""Mends of asking, undone: what is refused, lost or silent is never asked for again."""

import contextlib
from collections.abc import Iterator

from mutants.undo import put

from spread_scanner import clock
from spread_scanner.exchanges.adapter import Ack
from spread_scanner.feed.line import Line
from spread_scanner.feed.moving import Moving
from spread_scanner.feed.placing import Placing
from spread_scanner.feed.subscription import Subscription
from spread_scanner.feed.watch import Watch
from spread_scanner.runtime.patience import Pauses

NEVER_NS = 10**18


@contextlib.contextmanager
def refused_for_good() -> Iterator[None]:
    """Who was refused once is not asked for again."""
    with put(Pauses, "again_ns", lambda self, times: NEVER_NS):
        yield


@contextlib.contextmanager
def each_end_is_a_refusal() -> Iterator[None]:
    """A line of which the last answer was a refusal pauses for it anew however it ends."""
    again = Line._again

    def paused(self: Line, why: str) -> None:
        if self.refusal and self.current is None:
            self._wait_after(clock.mono_ns())
        again(self, why)

    with put(Line, "_again", paused):
        yield


@contextlib.contextmanager
def silent_for_good() -> Iterator[None]:
    """Who does not quote is not asked for again."""
    with put(Placing, "_ask_again", lambda *_: None):
        yield


@contextlib.contextmanager
def requests_without_deadline() -> Iterator[None]:
    """An answer is awaited for ever."""
    made = Pauses.__new__

    def patient(cls: type[Pauses], *values: int) -> Pauses:
        return made(cls, *values)._replace(answer_ns=NEVER_NS)

    with put(Pauses, "__new__", patient), silent_for_good():
        yield


@contextlib.contextmanager
def leaves_before_it_is_carried() -> Iterator[None]:
    """A symbol leaves its old line when it is to move, carried by another one or not."""
    with put(Moving, "_carried_beside", lambda *_: True):
        yield


@contextlib.contextmanager
def any_answer_is_its_own() -> Iterator[None]:
    """What names nobody is taken for an answer to the oldest request, whatever was lost."""
    accepted = Subscription._accepted

    def trusting(self: Subscription, event: Ack, now_ns: int) -> None:
        accepted(self, event, now_ns)
        self._unnamed = False

    with put(Subscription, "_accepted", trusting):
        yield


@contextlib.contextmanager
def an_answer_is_proof() -> Iterator[None]:
    """What was acknowledged is carried, though others have quoted it since and it has not."""
    with any_answer_is_its_own(), put(Watch, "_missed", lambda *_: False):
        yield
