"""Leaving out a feed's regular looks that would find nothing: as it ships, in a tenth of the time.

A feed checks its connections ten times a second, 864,000 times a day, and beats as often. Nearly
all of these find nothing and change nothing but their own memory of when they were there. `Idle`
works out from the feed's state until when that is sure, as long as nothing arrives and no other
callback of the feed runs, and has the loop go on to the first point of the check's own grid at
which something may be found. Before anything happens it writes down what the checks in between
would have: the same numbers, to the bit. In doubt every check is made.

That a day is the same with and without it is held by a test (test_idle.py): it is the tests' own,
and reads what it likes of the feed.
"""

from typing import NamedTuple

from loop import NEVER_NS, VirtualLoop

from spread_scanner.clock import NS_PER_MS, NS_PER_S
from spread_scanner.feed import feed as shipped
from spread_scanner.feed._board import STALL_NS
from spread_scanner.feed.connection import Connection
from spread_scanner.feed.feed import Feed
from spread_scanner.feed.freshness import OVERDUE_NS_MIN, SLOWDOWN_MAX
from spread_scanner.feed.outlook import FeedState
from spread_scanner.feed.pulse import BUSY_READS_MIN
from spread_scanner.feed.watch import WATCH_NS
from spread_scanner.schema.enums import ProcessState

BEAT_NS_MAX = 900 * NS_PER_MS  # a beat at least so often: readers of heartbeats allow a second
Span = tuple[int, int]
ALWAYS: Span = (-1, NEVER_NS)
WELL = FeedState(ProcessState.RUNNING, "")


class Until(NamedTuple):
    """Of a connection: until when it need not be pinged, and until when a look finds nothing."""

    there: Connection
    ping_ns: int
    look_ns: int


class Means(NamedTuple):
    """What a symbol's silence is judged by."""

    heard_ns: int
    mean_ns: float
    news_ns: int
    news_mean_ns: float


class Idle:
    """One feed's. `disturbed` comes before anything happens to the feed.

    It is worked out anew when a check is due: whatever usual comes until then only puts off when
    something may be found, and after anything else the next check is due.
    """

    def __init__(self, loop: VirtualLoop, feed: Feed, *, leaves_out: bool = True) -> None:
        self._loop = loop
        self._feed = feed
        self._checks = loop.regular(feed._check)
        self._beats = loop.regular(feed._beat)
        if leaves_out:
            self._checks.before, self._checks.after = self._due, self._checked
            self._beats.after = self._beaten
        self._moved = True  # something happened that is not usual
        self._slightly: set[object] = set()  # transports that brought what is usual
        self._quoted: set[int] = set()  # ids
        self._looked = False  # looks were left out, and what they would have found is to be noted
        self._pings_only = False  # the check that is being made
        self._until_ns: dict[object, Until] = {}  # by transport
        self._symbols: dict[int, tuple[Means, tuple[Span, ...]]] = {}
        self._settings = feed._share.settings
        self._look_ns = 0  # until then no look finds anything
        self.left_out = 0  # checks

    def disturbed(self, transport: object = None, symbol_id: int = -1) -> None:
        """Something is about to happen: first what was left out until now. With a transport it is a
        pong or, with an id, a usual quote: it moves nothing but their clocks.
        """
        checks = self._checks
        if checks.next_ns < self._loop.awake_ns() and checks.next_ns != checks.at_ns:
            self._catch_up()
        if transport is None:
            self._moved = True
            if checks.next_ns != checks.at_ns:
                checks.put_off(checks.next_ns)
        elif not self._moved:
            self._slightly.add(transport)
            if symbol_id >= 0:
                self._quoted.add(symbol_id)

    def waken(self) -> None:
        """An order has come, or the machine is about to sleep: nothing more is left out."""
        self.disturbed()
        beats, now_ns = self._beats, self._loop.awake_ns()
        while beats.next_ns < now_ns:
            beats.next_ns += beats.step_ns
        beats.put_off(beats.next_ns)

    # --- as the loop comes to them

    def _due(self) -> bool:
        """Whether a check is to be made now; if it is only for pings, without its look."""
        checks, now_ns = self._checks, self._loop.mono_ns()
        self._catch_up()
        until_ns = self._nothing_until(now_ns)
        if now_ns < until_ns:
            self._put_off(until_ns)
            return False
        self._pings_only = now_ns < self._look_ns
        if not self._pings_only:
            self._note_paces()
        elif (
            now_ns - self._feed._looked_ns >= shipped.LOOK_NS
            # The first check after a sleep doubts all and does not look.
            and now_ns - self._feed._share.board.looked_ns <= STALL_NS
        ):
            self._left_out_look(now_ns)
        return checks.next_ns != NEVER_NS

    def _checked(self) -> None:
        """A check has been made."""
        if self._checks.next_ns == NEVER_NS:
            return
        now_ns = self._loop.mono_ns()
        if self._feed._looked_ns == now_ns and not self._pings_only:
            self._moved = True
        elif not self._moved:  # pings have gone out
            known = self._until_ns.items()
            self._slightly.update(one for one, until in known if until.ping_ns <= now_ns)
        self._put_off(self._nothing_until(now_ns))

    def _put_off(self, until_ns: int) -> None:
        """The next check is the first at which something may be found."""
        checks = self._checks
        until_ns -= self._loop.mono_ns() - self._loop.awake_ns()
        steps = max(0, -(-(until_ns - checks.next_ns) // checks.step_ns))
        checks.put_off(checks.next_ns + steps * checks.step_ns)

    def _beaten(self) -> None:
        beats = self._beats
        if beats.next_ns != NEVER_NS:
            more = (BEAT_NS_MAX - beats.step_ns) // beats.step_ns
            beats.put_off(beats.next_ns + more * beats.step_ns)

    # --- what would have been noted

    def _catch_up(self) -> None:
        """Note what the checks before now would have."""
        checks, now_ns = self._checks, self._loop.awake_ns()
        count = -(-(now_ns - checks.next_ns) // checks.step_ns)
        if count <= 0 or checks.next_ns == NEVER_NS:
            return
        feed, step_ns = self._feed, checks.step_ns
        next_ns = checks.next_ns + self._loop.mono_ns() - now_ns
        end_ns = next_ns + count * step_ns
        while True:
            steps = max(0, -(-(feed._looked_ns + shipped.LOOK_NS - next_ns) // step_ns))
            next_ns += steps * step_ns
            if next_ns >= end_ns:
                break
            self._left_out_look(next_ns)
            next_ns += step_ns
        feed._share.board.looked_ns = end_ns - step_ns
        checks.next_ns += count * step_ns
        self.left_out += count

    def _left_out_look(self, at_ns: int) -> None:
        """A look at this time that finds nothing."""
        feed = self._feed
        self._looked = True
        feed._looked_ns = at_ns
        there_ns, paces = feed._outlook._there_ns, feed._tempo._paces
        for line in feed._lines():
            there_ns[line] = at_ns
            for connection in line.connections:
                paces[connection.number].update(connection.listener.data_messages, at_ns)
                if at_ns - connection._watched_ns >= WATCH_NS:
                    connection._watched_ns = at_ns
        if at_ns - feed._placing._asked_ns >= WATCH_NS:
            feed._placing._asked_ns = at_ns

    def _note_paces(self) -> None:
        """What the looks found that were left out: a ping is sent whatever the pace is."""
        if not self._looked:
            return
        self._looked = False
        feed, tempo = self._feed, self._feed._tempo
        tempo._slowdowns = {number: pace.slowdown() for number, pace in tempo._paces.items()}
        for line in feed._lines():
            slowdown = tempo.slowdown(but=line.connections)
            feed._slow.update((one.number, slowdown) for one in line.connections)

    # --- until when nothing can be found

    def _nothing_until(self, now_ns: int) -> int:
        """Monotonic ns; a time that is over: the next check may find something."""
        if self._moved:
            self._moved = not self._take_stock(now_ns)
        else:
            for transport in self._slightly:
                if transport in self._until_ns:  # else that of announcements
                    there = self._until_ns[transport].there
                    self._until_ns[transport] = self._nothing_of(there, now_ns)
            for symbol_id in self._quoted:
                self._look_at(symbol_id)
        self._slightly.clear()
        self._quoted.clear()
        self._look_ns = self._no_look_until(now_ns)
        pings_ns = min((one.ping_ns for one in self._until_ns.values()), default=now_ns)
        return min(pings_ns, self._look_ns)

    def _no_look_until(self, now_ns: int) -> int:
        """As `_nothing_until`, but for pings that are to be sent."""
        until_ns = min((one.look_ns for one in self._until_ns.values()), default=now_ns)
        looked_ns = self._feed._looked_ns
        if self._moved:
            return min(until_ns, looked_ns + shipped.LOOK_NS)
        for _, spans in self._symbols.values():
            for first_ns, last_ns in spans:
                if first_ns >= looked_ns:
                    until_ns = min(until_ns, first_ns)
                elif last_ns >= looked_ns:
                    return min(until_ns, looked_ns + shipped.LOOK_NS)
        return until_ns

    def _take_stock(self, now_ns: int) -> bool:
        """Look at everything anew. Whether looks find nothing but what time brings."""
        feed = self._feed
        lines = list(feed._lines())
        self._until_ns = {}
        for line in lines:
            there = line.current
            if there is None or line.successor is not None or line._dialling:
                self._until_ns = {}
                return False
            transport = there.listener.transport
            key = transport.underlying_transport if transport is not None else None
            self._until_ns[key] = self._nothing_of(there, now_ns)
        ids = {row.symbol_id for row in feed._share.instruments.values()}
        if self._settings is not feed._share.settings or not ids >= self._symbols.keys():
            self._settings = feed._share.settings
            self._symbols = {}
        for symbol_id in ids:
            self._look_at(symbol_id)
        return not (
            feed._shown != WELL
            or feed._marks._silent.any()
            or feed._moving._leaving
            or feed._moving.retired
            or feed._share.connects.ban() is not None
            or any(line.refusal for line in lines)
            or any(self._looks(one.there) for one in self._until_ns.values())
        )

    def _looks(self, there: Connection) -> bool:
        """Whether each look at a connection may find something."""
        asked, life = there.subscription, there.life
        return bool(
            asked._queue.batches or asked._underway.asked or asked.refused or asked.unproven
            or asked._turning or asked._trying or asked.overflow or asked.useless
            or asked.capacity is not None
            or life.notice or life.spent or there.listener.data_ns == 0
            or there.target != self._feed._share.target
        )  # fmt: skip

    def _nothing_of(self, there: Connection, now_ns: int) -> Until:
        """Until when a connection is as it is, has neither to go nor to be followed, and need not
        be pinged.
        """
        pulse, rules, listener = there.pulse, there._silence, there.listener
        sent, frame_ns, data_ns = pulse._sent, listener.frame_ns, listener.data_ns
        slow = pulse._doubted or pulse.late or pulse.round_trip_ns > rules.lag_ns_max
        ill = there.silent or slow or listener.path_lags or there.ended is not None
        if ill or (sent and not pulse.answers):
            return Until(there, now_ns, now_ns)
        ping_ns = frame_ns + rules.idle_ns_max if not sent or sent[-1] <= frame_ns else NEVER_NS
        mean_ns, life, until_ns = listener.mean_read_ns, there.life, NEVER_NS
        if life.rules.life_ns is not None:
            until_ns = life.opened_ns + life.rules.life_ns
        if sent:
            until_ns = min(until_ns, sent[0] + min(rules.pong_ns_max, rules.lag_ns_max))
        if mean_ns:
            frozen_ns = max(
                life.rules.frozen_ns_min, int(mean_ns * life.rules.frozen_intervals_max)
            )
            own_ns = max(rules.idle_ns_max + rules.pong_ns_max, int(mean_ns * rules.intervals_max))
            until_ns = min(until_ns, data_ns + min(frozen_ns, own_ns))
            if mean_ns * BUSY_READS_MIN <= rules.idle_ns_max and pulse._busy(there._seen(), rules):
                until_ns = min(until_ns, data_ns + rules.idle_ns_max)
        return Until(there, ping_ns, until_ns)

    def _look_at(self, symbol_id: int) -> None:
        """Note from when on a symbol's silence may be out of line."""
        board = self._feed._share.board
        means = Means(
            board.heard_ns.item(symbol_id),
            board.mean_ns.item(symbol_id),
            board.news_ns.item(symbol_id),
            board.news_mean_ns.item(symbol_id),
        )
        known = self._symbols.get(symbol_id)
        if known is None or known[0] != means:
            self._symbols[symbol_id] = means, self._spans(means)

    def _spans(self, of: Means) -> tuple[Span, ...]:
        """When a symbol's silence may be out of line, by the least and by the greatest slowdown.
        Before the first it is not, after the last it is.
        """
        settings = self._settings
        if not of.heard_ns:
            return (ALWAYS,)
        if not of.mean_ns:
            quiet_ns = int(settings.first_quote_quiet_s_max * NS_PER_S)
            return ((of.heard_ns + quiet_ns, NEVER_NS),)
        silent_ns, times = settings.silent_ms_min * NS_PER_MS, settings.silent_intervals_max
        found = [_span(of.heard_ns, silent_ns, of.mean_ns * times)]
        if of.news_ns and of.news_mean_ns:
            own_ns = of.news_mean_ns * times
            found.append(_span(of.news_ns, silent_ns, own_ns))
            found.append(_span(of.news_ns, OVERDUE_NS_MIN, own_ns))
        return tuple(found)


def _span(since_ns: int, least_ns: int, own_ns: float) -> Span:
    return (
        since_ns + max(least_ns, int(own_ns)),
        since_ns + max(least_ns, int(own_ns * SLOWDOWN_MAX)) + 1,
    )
