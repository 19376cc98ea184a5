"""Whether somebody is there on a connection, and how late: pings, their answers, and silence.

Used by whoever has a connection (feed/connection.py, pools/trusted.py), who sends, and passes in
what was heard. Pure: no sockets, no clocks; all times are monotonic ns. The other side answers in
order, so an answer says that all that was sent before it has arrived.
"""

import struct
from collections import deque
from typing import NamedTuple

from spread_scanner.schema.silence import SilenceRules, believed_ns

# How often a ping is sent into a connection that flows, where the exchange asks for none: it shows
# that a path has become slow where quotes carry no time, and costs a twentieth of the least
# allowance (Binance spot, 5 messages a second).
PING_EVERY_S = 5.0
EXCUSED_MAX = 16  # pings whose answer is understood though nobody waits for it any more
_STAMP = struct.Struct("<q")


class Seen(NamedTuple):
    """What the listener has seen until now."""

    frame_ns: int  # the last frame of any kind
    data_ns: int  # the last quote; 0: none
    mean_read_ns: float  # mean interval of the reads that brought quotes; 0: too few to tell
    mean_read_quotes: float  # how many they brought
    bad_in_row: int


class Pulse:
    """The pings of one connection, and what they say."""

    def __init__(self) -> None:
        self.answers = False  # this connection has answered a ping
        self.round_trip_ns = 0  # of the last answer
        self.arrived_ns = 0  # all that the other side had sent until then has arrived
        self._sent: deque[int] = deque()
        self._excused: deque[int] = deque(maxlen=EXCUSED_MAX)  # data came instead of an answer
        self._doubted = False
        self.behind = False  # not all that was under way has arrived: what comes may be old
        self._unread_ns = 0  # what was sent until then may be unread; 0: all of it is read
        self.late = False  # what `lags` said last

    @property
    def unanswered_ns(self) -> int:
        """When the oldest ping was sent that is still to be answered; 0: there is none."""
        return self._sent[0] if self._sent else 0

    @property
    def calm(self) -> bool:
        """Nobody is waited for, and nothing is doubted."""
        return not (self._sent or self._doubted or self.late)

    def sent(self, now_ns: int) -> bytes:
        """A ping goes out; returns the payload for a ping frame."""
        self._sent.append(now_ns)
        return _STAMP.pack(now_ns)

    def answered(self, now_ns: int, payload: bytes | None = None) -> None:
        """An answer: of a ping frame with its payload, of a text without one, the oldest's.

        A payload that is none of ours is a pong that nobody asked for. One that comes after data
        did is an answer all the same: else a path that is longer than the time between two looks
        would never have answered.
        """
        stamp_ns = self.unanswered_ns or (self._excused[-1] if self._excused else 0)
        if payload is not None:
            stamp_ns = _STAMP.unpack(payload)[0] if len(payload) == _STAMP.size else 0
        if stamp_ns not in self._sent and stamp_ns not in self._excused:
            return
        self._excused.clear()
        while self._sent and self._sent[0] <= stamp_ns:
            self._sent.popleft()
        self.round_trip_ns = now_ns - stamp_ns
        self.arrived_ns = stamp_ns
        self.answers = True

    def wants_ping(self, now_ns: int, seen: Seen, rules: SilenceRules) -> bool:
        """Nothing was heard for long, and nobody was asked since."""
        if now_ns - seen.frame_ns <= rules.idle_ns_max:
            if not self.answers and seen.frame_ns > self.unanswered_ns:
                # Answered by data: that no pong comes proves nothing.
                self._excused.extend(self._sent)
                self._sent.clear()
            return False
        return not self._asked_since(seen.frame_ns)

    def waits_since(self, seen: Seen) -> int:
        """When the oldest ping was sent that should have been answered by now; 0: there is none.

        A connection that never answered one, and brings data, is not waited for.
        """
        return self.unanswered_ns if self.answers else self._asked_since(seen.frame_ns)

    def _asked_since(self, mono_ns: int) -> int:
        return next((sent_ns for sent_ns in self._sent if sent_ns > mono_ns), 0)

    def lags(self, now_ns: int, rules: SilenceRules) -> bool:
        """The path is slow: the last answer came late, or the next one is."""
        waits_ns = now_ns - self.unanswered_ns if self.answers and self.unanswered_ns else 0
        self.late = max(self.round_trip_ns, waits_ns) > rules.lag_ns_max
        return self.late

    def silent(self, now_ns: int, seen: Seen, rules: SilenceRules, slowdown: float) -> bool:
        """Its quotes cannot be stood behind. What was said once is taken back only when all that
        was under way has arrived: an answer to a ping says so.
        """
        arrived = not self._sent or not self.answers
        if self._unread(seen, rules) or self._silent(now_ns, seen, rules, slowdown):
            self._doubted = True
        elif arrived:
            self._doubted = False
        self.behind = self.deaf(now_ns, seen, rules) or (self.behind and not arrived)
        return self._doubted

    def deaf(self, now_ns: int, seen: Seen, rules: SilenceRules) -> bool:
        """What the other side says does not arrive, as far as is known: its silence says nothing of
        how often it has something to say. As of the last `silent`.
        """
        return self._unread_ns != 0 or self._unanswered(now_ns, seen, rules)

    def doubt(self, now_ns: int) -> None:
        """Time has passed in which nobody looked: silent until a ping sent from now on is answered.

        Of who has never answered one it is taken for read when data come that long after it.
        """
        self._doubted = self.behind = True
        self._unread_ns = now_ns

    def _unread(self, seen: Seen, rules: SilenceRules) -> bool:
        waited_ns = seen.frame_ns - self._unread_ns
        if self.arrived_ns >= self._unread_ns or (
            not self.answers and waited_ns > rules.pong_ns_max
        ):
            self._unread_ns = 0
        return self._unread_ns != 0

    def _unanswered(self, now_ns: int, seen: Seen, rules: SilenceRules) -> bool:
        asked_ns = self._asked_since(seen.frame_ns)
        return asked_ns != 0 and now_ns - asked_ns > rules.pong_ns_max

    def _silent(self, now_ns: int, seen: Seen, rules: SilenceRules, slowdown: float) -> bool:
        if self._unanswered(now_ns, seen, rules):
            return True
        if seen.data_ns == 0:
            return False
        bound_ns = believed_ns(seen.mean_read_ns, seen.mean_read_quotes, rules, slowdown)
        return now_ns - seen.data_ns > bound_ns
