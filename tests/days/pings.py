"""A feed's pings that are sure to be answered, lived only when somebody looks.

A connection that is well and says nothing is pinged each second and answered within two latencies:
nine of ten things that happen in a day are that, and change nothing but the clocks of both ends.
While it is foreseen that this goes on, nothing of it stands in the loop's heap; before anything
else happens to the feed, what was due since is done by the feed's own code and the exchange's, with
the clock set back to when each step would have been, and what is under way then is handed to the
loop. As soon as anything of the wire or the feed changes, nothing is foreseen any more.
"""

from collections.abc import Iterable

from loop import NEVER_NS, Regular, VirtualLoop
from wire import NearEnd, Sent, Wire

from spread_scanner.clock import NS_PER_S
from spread_scanner.feed.connection import Connection
from spread_scanner.feed.feed import Feed
from spread_scanner.feed.life import ping_every_s


class _One:
    """A connection. `ping_s` is when it would next be pinged whatever comes, of the loop's time."""

    def __init__(self, there: Connection, wire: Wire, ping_s: float) -> None:
        self.there = there
        self.wire = wire
        self.ping_s = ping_s

    @property
    def ping_ns(self) -> int:
        return round(self.ping_s * NS_PER_S)

    def asked_ns(self, checks: Regular, ahead_ns: int) -> int:
        """When the next check pings it. `ahead_ns`: of the monotonic clock, of the loop's."""
        frame_ns = self.there.listener.frame_ns
        sent = self.there.pulse._sent
        if sent and sent[-1] > frame_ns:
            return NEVER_NS
        idle_ns = frame_ns + self.there._silence.idle_ns_max + 1 - ahead_ns
        steps = max(0, -(-(idle_ns - checks.next_ns) // checks.step_ns))
        return checks.next_ns + steps * checks.step_ns


class Pings:
    """One feed's; `checks` are its own."""

    def __init__(self, loop: VirtualLoop, feed: Feed, checks: Regular) -> None:
        self._loop = loop
        self._feed = feed
        self._checks = checks
        self._ones: dict[object, _One] = {}  # by transport
        self._next_ns = NEVER_NS  # nothing is due before then
        self.living = False

    def foresees(self, there: Connection, transport: object) -> bool:
        """Whether it goes on as it does; if so, it is left out from now on."""
        if not isinstance(transport, NearEnd) or not self._goes_on(there, transport.wire):
            self.leave(transport)
            return False
        if transport not in self._ones:
            assert there._ping is not None
            there._ping.cancel()
            self._ones[transport] = _One(there, transport.wire, there._ping.when())
        self._next_ns = 0
        return True

    def _goes_on(self, there: Connection, wire: Wire) -> bool:
        if there._ping is None or there._pump is not None or not there.pulse.answers:
            return False
        return wire.answers

    def leave(self, transport: object) -> None:
        """From now on what it does stands in the heap again."""
        one = self._ones.pop(transport, None)
        if one is not None and one.there.ended is None:
            one.there._ping = self._loop.call_at(one.ping_s, one.there._ping_now)

    def leave_all_but(self, transports: Iterable[object] = ()) -> None:
        for transport in self._ones.keys() - set(transports):
            self.leave(transport)

    def live(self) -> None:
        """All that was due before now."""
        now_ns = self._loop.awake_ns()
        if now_ns <= self._next_ns or self.living:
            return
        self.living = True
        try:
            while self._step(now_ns):
                pass
        finally:
            self.living = False
            self._loop.go_back_to(now_ns)

    def _step(self, now_ns: int) -> bool:
        """The first thing that is due, if it is."""
        ahead_ns = self._loop.mono_ns() - self._loop.awake_ns()
        first, at_ns, regular, waits = None, NEVER_NS, False, False
        for one in self._ones.values():
            if one.there.ended is not None:
                continue
            asked_ns, ping_ns = one.asked_ns(self._checks, ahead_ns), one.ping_ns
            waits |= asked_ns == NEVER_NS
            if min(asked_ns, ping_ns) < at_ns:
                first, at_ns, regular = one, min(asked_ns, ping_ns), ping_ns <= asked_ns
        self._next_ns = 0 if waits else at_ns
        if first is None or at_ns >= now_ns:
            return False
        self._loop.go_back_to(at_ns)
        kept: list[Sent] = []
        first.wire.kept = kept
        first.there.probe()
        if regular:
            first.ping_s = self._loop.time() + ping_every_s(first.there.adapter.ping)
        self._deliver(kept, now_ns, ahead_ns)
        first.wire.kept = None
        return True

    def _deliver(self, kept: list[Sent], now_ns: int, ahead_ns: int) -> None:
        """What was sent, and what is sent in answer."""
        checks, board = self._checks, self._feed._share.board
        for at_ns, call, args in kept:
            if at_ns >= now_ns:
                self._loop.call_at_ns(at_ns, call, *args)
                continue
            self._loop.go_back_to(at_ns)
            looks = (at_ns - 1 - checks.next_ns) // checks.step_ns
            if looks >= 0:
                board.looked_ns = max(
                    board.looked_ns, checks.next_ns + looks * checks.step_ns + ahead_ns
                )
            call(*args)
