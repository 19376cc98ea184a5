"""Mends of believing, undone: dead connections, symbols carried no longer, late and odd news."""

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from mutants.undo import put

from spread_scanner.clock import NS_PER_S
from spread_scanner.feed import feed
from spread_scanner.feed._listener import BestLag
from spread_scanner.feed.connection import Connection
from spread_scanner.feed.pulse import Pulse, Seen

BELIEVED_NS = 10 * NS_PER_S


@contextlib.contextmanager
def quoted_once_is_covered() -> Iterator[None]:
    """What a connection has ever quoted it is held to carry."""

    def covered(self: Connection, *, planned: bool) -> npt.NDArray[np.bool_]:
        found: npt.NDArray[np.bool_] = self.listener.quoted.astype(np.bool_)
        return found

    with put(Connection, "covered", covered), put(Connection, "forget", lambda *_: None):
        yield


@contextlib.contextmanager
def believed_for_ten_seconds() -> Iterator[None]:
    """A connection that is dead is believed until it is given up."""

    def silent(self: Pulse, now_ns: int, seen: Seen, *_: Any) -> bool:
        return now_ns - seen.frame_ns > BELIEVED_NS

    with put(Pulse, "_silent", silent):
        yield


@contextlib.contextmanager
def lag_from_what_is_usual_now() -> Iterator[None]:
    """The best lag follows whatever comes: a backlog is soon the new best."""
    begin = Connection.__init__

    def relative(self: Connection, share: Any, *rest: Any, **more: Any) -> None:
        begin(self, share, *rest, **more)
        share.board.best.drifts(1e6)

    with put(Connection, "__init__", relative):
        yield


@contextlib.contextmanager
def one_message_is_the_best() -> Iterator[None]:
    """The least lag ever seen is what lag counts from, whoever it was of."""

    def credulous(drift_ppm: float) -> BestLag:
        return BestLag(drift_ppm, kept=1, windows=1)

    with put(feed, "BestLag", credulous):
        yield


@contextlib.contextmanager
def unread_is_ignored() -> Iterator[None]:
    """A message that cannot be read says nothing of what stands."""
    with put(Connection, "_doubt", lambda *_: None):
        yield
