"""A feed's pings that are sure to be answered, lived only when somebody looks.

A connection that is well and says nothing is pinged each second and answered within two latencies:
nine of ten things that happen in a day are that, and change nothing but the clocks of both ends.
While it is foreseen that this goes on, nothing of it stands in the loop's heap; before anything
else happens to the connection, what was due since is done by the feed's own code and the
exchange's, with the clock set back to when each step would have been, and what is under way then is
handed to the loop. Of several rounds, ping and answer, that are over by then only the last is done:
it leaves the same clocks as all of them, and the counts of both ends lack the same. As soon as
anything of the wire or the feed changes, nothing is foreseen any more.
"""

from collections.abc import Iterable

from loop import NEVER_NS, Regular, VirtualLoop
from wire import NearEnd, Sent, Wire

from spread_scanner.clock import NS_PER_S
from spread_scanner.feed.connection import Connection
from spread_scanner.feed.feed import Feed
from spread_scanner.runtime.life import ping_every_s


class _One:
    """A connection. `ping_s` is when it would next be pinged whatever comes, of the loop's time."""

    def __init__(self, there: Connection, wire: Wire, ping_s: float, check_ns: int) -> None:
        self.there = there
        self.wire = wire
        self.ping_s = ping_s
        self.check_ns = check_ns  # the first check that is left to it
        self.next_ns = 0  # nothing is due before then

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
        steps = max(0, -(-(idle_ns - self.check_ns) // checks.step_ns))
        return self.check_ns + steps * checks.step_ns

    def last_ns(self, checks: Regular, asked_ns: int, before_ns: int) -> int:
        """When it is pinged last before then, if it is at `asked_ns` and answered each time."""
        idle_ns = 2 * self.wire.latency_ns + self.there._silence.idle_ns_max + 1
        round_ns = -(-idle_ns // checks.step_ns) * checks.step_ns
        return asked_ns + max(0, (before_ns - 1 - asked_ns) // round_ns) * round_ns


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
            self._ones[transport] = _One(
                there, transport.wire, there._ping.when(), self._checks.next_ns
            )
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

    def foreseen(self, transport: object) -> bool:
        """Whether it is left out."""
        return transport in self._ones

    def pass_over(self, transport: object) -> None:
        """A usual quote is about to arrive here, and the clocks of the near end are its then. What
        the last round before it leaves of itself, if that is over, is noted; else it is lived.
        """
        one, now_ns = self._ones.get(transport), self._loop.awake_ns()
        if one is None or now_ns <= one.next_ns or one.there.ended is not None:
            return
        checks = self._checks
        ahead_ns = self._loop.mono_ns() - now_ns
        asked_ns = one.asked_ns(checks, ahead_ns)
        over_ns = now_ns - 2 * one.wire.latency_ns
        if asked_ns >= over_ns or one.ping_ns <= now_ns:
            self.live(transport)
            return
        last_ns = one.last_ns(checks, asked_ns, now_ns)
        if last_ns >= over_ns:
            self.live(transport)
            return
        pulse, session = one.there.pulse, one.wire.far
        pulse.round_trip_ns = 2 * one.wire.latency_ns
        pulse.arrived_ns = last_ns + ahead_ns
        if session is not None:
            session.heard_ns = last_ns + one.wire.latency_ns + ahead_ns

    def live(self, transport: object = None) -> None:
        """All that was due before now; of one connection, or of all."""
        now_ns = self._loop.awake_ns()
        if self.living or now_ns <= self._next_ns:
            return
        if transport is None:
            ones = list(self._ones.values())
        else:
            one = self._ones.get(transport)
            ones = [one] if one is not None and now_ns > one.next_ns else []
        if not ones:
            return
        self.living = True
        try:
            for one in ones:
                while self._step(one, now_ns):
                    pass
        finally:
            self.living = False
            self._loop.go_back_to(now_ns)
        if transport is None:
            self._next_ns = min((one.next_ns for one in self._ones.values()), default=NEVER_NS)

    def _step(self, one: _One, now_ns: int) -> bool:
        """The next thing that is due of it, if one is."""
        if one.there.ended is not None:
            return False
        checks = self._checks
        ahead_ns = self._loop.mono_ns() - self._loop.awake_ns()
        asked_ns, ping_ns = one.asked_ns(checks, ahead_ns), one.ping_ns
        at_ns = min(asked_ns, ping_ns)
        one.next_ns = 0 if asked_ns == NEVER_NS else at_ns
        if at_ns >= now_ns:
            return False
        regular = ping_ns <= asked_ns
        if not regular:
            # The last that is over: one that is under way may be the first without an answer.
            over_ns = now_ns - 2 * one.wire.latency_ns
            at_ns = one.last_ns(checks, asked_ns, min(ping_ns, over_ns))
        self._loop.go_back_to(at_ns)
        kept: list[Sent] = []
        one.wire.kept = kept
        one.there.probe()
        if regular:
            one.ping_s = self._loop.time() + ping_every_s(one.there.adapter.ping)
        self._deliver(kept, now_ns, ahead_ns)
        one.wire.kept = None
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
