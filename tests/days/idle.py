"""Leaving out a feed's regular looks that would find nothing: as it ships, in a tenth of the time.

A feed checks its connections ten times a second, 864,000 times a day, and beats as often. Nearly
all of these find nothing and change nothing but their own memory of when they were there. From the
feed's state it is worked out until when that is sure (prospects.py), as long as nothing arrives and
no other callback of the feed runs, and `Idle` has the loop go on to the first point of the check's
own grid at which something may be found. Before anything happens it writes down what the checks in
between would have: the same numbers, to the bit. In doubt every check is made.

That a day is the same with and without it is held by a test (test_idle.py): it is the tests' own,
and reads what it likes of the feed.
"""

from loop import NEVER_NS, VirtualLoop
from pings import Pings
from prospects import Prospects

from spread_scanner.clock import NS_PER_MS
from spread_scanner.feed import feed as shipped
from spread_scanner.feed._board import STALL_NS
from spread_scanner.feed.feed import Feed
from spread_scanner.feed.watch import WATCH_NS

# No silence means anything sooner after a quote: `idle_ms_max`, and a check.
ANEW_NS = 900 * NS_PER_MS
BEATS_LEFT_OUT = 600  # between two that the feed makes itself


class Idle:
    """One feed's. `disturbed` comes before anything happens to the feed.

    It is worked out anew when a check is due: soon after usual quotes, of what they touched, and
    after anything else with the next check.
    """

    def __init__(self, loop: VirtualLoop, feed: Feed, *, leaves_out: bool = True) -> None:
        self._loop = loop
        self._feed = feed
        self._checks = loop.regular(feed._check)
        self._beats = loop.regular(feed._beat)
        if leaves_out:
            self._checks.before, self._checks.after = self._due, self._checked
            self._beats.before, self._beats.after = self._beats_now, self._beaten
        self._looked = False  # looks were left out, and what they would have found is to be noted
        self._pings_only = False  # the check that is being made
        self._pings = Pings(loop, feed, self._checks)
        self._prospects = Prospects(feed, self._pings)
        self.left_out = 0  # checks

    def end(self) -> None:
        """The feed is gone: nothing of it is done any more, nor made up."""
        self._pings.living = True
        self._loop.forget(self._checks.call)
        self._loop.forget(self._beats.call)

    def disturbed(self, transport: object = None, symbol_id: int = -1) -> None:
        """Something is about to happen: first what was left out until now. With a transport it is a
        pong or, with an id, a usual quote: if nobody waits for it, it moves nothing but their
        clocks.
        """
        if self._pings.living:
            return
        checks, prospects = self._checks, self._prospects
        if transport is None or symbol_id in prospects.waited:
            self.catch_up()
            self._pings.leave_all_but()
            prospects.moved = True
            if checks.next_ns != checks.at_ns:
                checks.put_off(checks.next_ns)
        else:
            self._note_looks()
            if symbol_id >= 0:
                self._pings.pass_over(transport)
            else:
                self._pings.live(transport)
            prospects.brought(transport, symbol_id)

    def quoted(self) -> None:
        """A usual quote has been taken: it may have shortened what is usual. That is worked out
        before it means anything, of all that come until then.
        """
        checks = self._checks
        until_ns = self._loop.awake_ns() + ANEW_NS
        if until_ns < checks.at_ns and not (self._prospects.moved or self._pings.living):
            steps = max(0, (until_ns - checks.next_ns) // checks.step_ns)
            checks.put_off(checks.next_ns + steps * checks.step_ns)

    def catch_up(self) -> None:
        """With all that was left out."""
        checks = self._checks
        if checks.next_ns != checks.at_ns:
            self._catch_up()
        else:
            self._pings.live()

    def waken(self) -> None:
        """An order has come, or the machine is about to sleep: nothing more is left out."""
        self.disturbed()
        beats, now_ns = self._beats, self._loop.awake_ns()
        while beats.next_ns < now_ns:
            beats.next_ns += beats.step_ns
        beats.put_off(beats.next_ns)

    def beat(self) -> None:
        """Somebody is about to look at heartbeats: the last one before now is as it would be."""
        beats, now_ns = self._beats, self._loop.awake_ns()
        behind_ns = now_ns - beats.next_ns
        if beats.next_ns == beats.at_ns or behind_ns <= 0:
            return
        beats.next_ns += (behind_ns - 1) // beats.step_ns * beats.step_ns
        self._loop.go_back_to(beats.next_ns)
        self._feed._writer.heartbeat(self._loop.mono_ns())
        self._feed._process.row.beat()
        self._loop.go_back_to(now_ns)
        beats.next_ns += beats.step_ns

    # --- as the loop comes to them

    def _due(self) -> bool:
        """Whether a check is to be made now; if it is only for pings, without its look."""
        checks, now_ns = self._checks, self._loop.mono_ns()
        self._note_looks()
        until_ns = self._prospects.until_ns(now_ns)
        if now_ns < until_ns:
            self._put_off(until_ns)
            return False
        self._pings.live()
        self._pings_only = now_ns < self._prospects.look_ns
        if not self._pings_only:
            self._note_paces()
        elif (
            now_ns - self._feed._looked_ns >= shipped.LOOK_NS
            # The first check after a sleep doubts all and does not look.
            and now_ns - self._feed._share.board.looked_ns <= STALL_NS
        ):
            self._left_out_looks([now_ns])
        return checks.next_ns != NEVER_NS

    def _checked(self) -> None:
        """A check has been made."""
        if self._checks.next_ns == NEVER_NS:
            return
        now_ns = self._loop.mono_ns()
        if self._feed._looked_ns == now_ns and not self._pings_only:
            self._prospects.moved = True
        else:
            self._prospects.pinged(now_ns)
        self._put_off(self._prospects.until_ns(now_ns))

    def _put_off(self, until_ns: int) -> None:
        """The next check is the first at which something may be found."""
        checks = self._checks
        until_ns -= self._loop.mono_ns() - self._loop.awake_ns()
        steps = max(0, -(-(until_ns - checks.next_ns) // checks.step_ns))
        checks.put_off(checks.next_ns + steps * checks.step_ns)

    def _beats_now(self) -> bool:
        """A beat is made: after the check of the same time, which is over if it finds nothing."""
        checks = self._checks
        if checks.next_ns == self._loop.awake_ns() < checks.at_ns:
            self._note_looks(now_too=True)
        return True

    def _beaten(self) -> None:
        """It may have obeyed an order, after which the next check may find anything."""
        beats, checks = self._beats, self._checks
        self._prospects.moved = True
        if checks.next_ns != checks.at_ns:
            checks.put_off(checks.next_ns)
        if beats.next_ns != NEVER_NS:
            beats.put_off(beats.next_ns + BEATS_LEFT_OUT * beats.step_ns)

    # --- what would have been noted

    def _catch_up(self) -> None:
        """Note what the checks before now would have."""
        self._pings.live()
        self._note_looks()

    def _note_looks(self, *, now_too: bool = False) -> None:
        checks, now_ns = self._checks, self._loop.awake_ns()
        count = -(-(now_ns + now_too - checks.next_ns) // checks.step_ns)
        if count <= 0 or checks.next_ns == NEVER_NS:
            return
        feed, step_ns = self._feed, checks.step_ns
        next_ns = checks.next_ns + self._loop.mono_ns() - now_ns
        end_ns = next_ns + count * step_ns
        looks_ns: list[int] = []
        looked_ns = feed._looked_ns
        while True:
            steps = max(0, -(-(looked_ns + shipped.LOOK_NS - next_ns) // step_ns))
            next_ns += steps * step_ns
            if next_ns >= end_ns:
                break
            looked_ns = next_ns
            looks_ns.append(next_ns)
            next_ns += step_ns
        if looks_ns:
            self._left_out_looks(looks_ns)
        feed._share.board.looked_ns = end_ns - step_ns
        checks.next_ns += count * step_ns
        self.left_out += count

    def _left_out_looks(self, looks_ns: list[int]) -> None:
        """Looks at these times that find nothing."""
        feed, last_ns = self._feed, looks_ns[-1]
        self._looked = True
        feed._looked_ns = last_ns
        there_ns, paces = feed._outlook._there_ns, feed._tempo._paces
        for line in feed._lines():
            if line.current is None:
                feed._share.outages._away_ns = last_ns
            elif not line.barren:
                there_ns[line] = last_ns
            for connection in (line.current, line.successor):
                if connection is None:
                    continue
                messages = connection.listener.data_messages
                update = paces[connection.number].update
                for at_ns in looks_ns:
                    update(messages, at_ns)
                if last_ns - connection._watched_ns >= WATCH_NS:
                    connection._watched_ns = _watched(connection._watched_ns, looks_ns)
        feed._placing._asked_ns = _watched(feed._placing._asked_ns, looks_ns)

    def _note_paces(self) -> None:
        """What the looks found that were left out: a ping is sent whatever the pace is."""
        if not self._looked:
            return
        self._looked = False
        feed, tempo = self._feed, self._feed._tempo
        tempo._weigh()
        for line in feed._lines():
            slowdown = tempo.slowdown(but=line.connections)
            feed._slow.update((one.number, slowdown) for one in line.connections)


def _watched(last_ns: int, looks_ns: list[int]) -> int:
    """When it is last, if it is at one of these looks as soon as WATCH_NS have passed."""
    for at_ns in looks_ns:
        if at_ns - last_ns >= WATCH_NS:
            last_ns = at_ns
    return last_ns
