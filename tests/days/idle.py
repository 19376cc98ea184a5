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

from loop import NEVER_NS, VirtualLoop

from spread_scanner.clock import NS_PER_MS, NS_PER_S
from spread_scanner.feed import feed as shipped
from spread_scanner.feed.connection import Connection
from spread_scanner.feed.feed import Feed
from spread_scanner.feed.freshness import OVERDUE_NS_MIN, SLOWDOWN_MAX
from spread_scanner.feed.outlook import Seen
from spread_scanner.feed.pulse import BUSY_READS_MIN
from spread_scanner.feed.watch import WATCH_NS
from spread_scanner.schema.enums import ProcessState

BEAT_NS_MAX = 900 * NS_PER_MS  # a beat at least so often: readers of heartbeats allow a second
OFTEN_NS = 20 * NS_PER_MS  # who is disturbed so often makes each check
Span = tuple[int, int]
ALWAYS: Span = (-1, NEVER_NS)
WELL = Seen(ProcessState.RUNNING, "")


class Idle:
    """One feed's. `disturbed` comes before anything happens to the feed, `settle` after it."""

    def __init__(self, loop: VirtualLoop, feed: Feed) -> None:
        self._loop = loop
        self._feed = feed
        self._checks = loop.regular(feed._check)
        self._beats = loop.regular(feed._beat)
        self._checks.before = self._due
        self._beats.before = self._touch
        self.touched = True  # there is something to settle
        self._settled_ns = 0
        self._slightly: list[tuple[object, int]] = []  # transports, and the ids quoted there
        self._moved = True
        self._looked = False  # looks were left out, and what they would have found is to be noted
        self._until_ns: dict[object, tuple[Connection, int]] = {}  # by transport
        self._symbols: dict[int, tuple[Span, ...]] = {}
        self.left_out = 0  # checks

    def disturbed(self, transport: object = None, symbol_id: int = -1) -> None:
        """Something is about to happen: first what was left out until now. With a transport it is a
        pong or, with an id, a usual quote: it moves nothing but their clocks.
        """
        self.touched = True
        if transport is None:
            self._moved = True
        elif not self._moved:
            self._slightly.append((transport, symbol_id))
        checks, now_ns = self._checks, self._loop.awake_ns()
        if checks.next_ns >= now_ns or checks.next_ns == checks.at_ns:
            return
        apart_ns = self._loop.mono_ns() - now_ns
        while checks.next_ns < now_ns:
            self._left_out(checks.next_ns + apart_ns)
            checks.next_ns += checks.step_ns
            self.left_out += 1
        if now_ns - self._settled_ns < OFTEN_NS:
            checks.put_off(checks.next_ns)

    def _due(self) -> None:
        """A check is about to be made."""
        moved = self._moved
        self.disturbed()
        self._moved = moved
        if self._looked:
            self._looked = False
            self._note_paces()

    def _touch(self) -> None:
        self.touched = True

    def waken(self) -> None:
        """An order has come, or the machine is about to sleep: nothing more is left out."""
        self.disturbed()
        self._checks.put_off(self._checks.next_ns)
        beats, now_ns = self._beats, self._loop.awake_ns()
        while beats.next_ns < now_ns:
            beats.next_ns += beats.step_ns
        beats.put_off(beats.next_ns)

    def settle(self) -> None:
        """Everything due at this time has run: how long may the next checks be left out?"""
        checks, beats = self._checks, self._beats
        self.touched = False
        if beats.ran:
            beats.ran = False
            if beats.next_ns != NEVER_NS:
                more = (BEAT_NS_MAX - beats.step_ns) // beats.step_ns
                beats.put_off(beats.next_ns + more * beats.step_ns)
        if checks.next_ns == NEVER_NS or not (checks.ran or checks.at_ns != checks.next_ns):
            return
        now_ns = self._settled_ns = self._loop.awake_ns()
        apart_ns = self._loop.mono_ns() - now_ns
        if checks.ran:
            checks.ran = False
            if self._feed._looked_ns == now_ns + apart_ns:
                self._moved = True
            else:  # pings may have gone out
                self._slightly = [(transport, -1) for transport in self._until_ns]
        until_ns = self._nothing_until(now_ns + apart_ns) - apart_ns
        steps = max(0, -(-(until_ns - checks.next_ns) // checks.step_ns))
        checks.put_off(checks.next_ns + steps * checks.step_ns)

    # --- what would have been noted

    def _left_out(self, at_ns: int) -> None:
        """A check at this time that finds nothing, and a look if it is time for one."""
        feed = self._feed
        feed._checked_ns = at_ns
        if at_ns - feed._looked_ns < shipped.LOOK_NS:
            return
        self._looked = True
        feed._looked_ns = at_ns
        there_ns = feed._outlook._there_ns
        for line in feed._lines():
            there_ns[line] = at_ns
            for connection in line.connections:
                number = connection.number
                feed._tempo._paces[number].update(connection.listener.data_messages, at_ns)
                if at_ns - connection._watched_ns >= WATCH_NS:
                    connection._watched_ns = at_ns
        if at_ns - feed._placing._asked_ns >= WATCH_NS:
            feed._placing._asked_ns = at_ns

    def _note_paces(self) -> None:
        feed, tempo = self._feed, self._feed._tempo
        tempo._slowdowns = {number: pace.slowdown() for number, pace in tempo._paces.items()}
        for line in feed._lines():
            slowdown = tempo.slowdown(but=line.connections)
            feed._slow.update((one.number, slowdown) for one in line.connections)

    # --- until when nothing can be found

    def _nothing_until(self, now_ns: int) -> int:
        """Monotonic ns; a time that is over: the next check may find something."""
        feed = self._feed
        if self._moved:
            self._moved = not self._take_stock(now_ns)
        for transport, symbol_id in self._slightly:
            if transport in self._until_ns:  # else that of announcements
                there = self._until_ns[transport][0]
                self._until_ns[transport] = (there, self._nothing_of(there, now_ns))
            if symbol_id >= 0:
                self._symbols[symbol_id] = self._spans(symbol_id)
        self._slightly.clear()
        until_ns = min((one[1] for one in self._until_ns.values()), default=now_ns)
        looked_ns = feed._looked_ns
        if not self._moved:
            for spans in self._symbols.values():
                for first_ns, last_ns in spans:
                    if first_ns >= looked_ns:
                        until_ns = min(until_ns, first_ns)
                    elif last_ns >= looked_ns:
                        return min(until_ns, looked_ns + shipped.LOOK_NS)
            return until_ns
        return min(until_ns, looked_ns + shipped.LOOK_NS)

    def _take_stock(self, now_ns: int) -> bool:
        """Look at everything anew. Whether looks find nothing but what time brings."""
        feed = self._feed
        lines = list(feed._lines())
        self._slightly.clear()
        self._until_ns = {}
        for line in lines:
            there = line.current
            if there is None or line.successor is not None or line._dialling:
                self._until_ns = {}
                return False
            transport = there.listener.transport
            key = transport.underlying_transport if transport is not None else None
            self._until_ns[key] = (there, self._nothing_of(there, now_ns))
        self._symbols = {
            row.symbol_id: self._spans(row.symbol_id) for row in feed._share.instruments.values()
        }
        return not (
            feed._shown != WELL
            or feed._marks._silent.any()
            or feed._moving._leaving
            or feed._moving.retired
            or feed._share.connects.ban() is not None
            or any(line.refusal for line in lines)
            or any(self._looks(there) for there, _ in self._until_ns.values())
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

    def _nothing_of(self, there: Connection, now_ns: int) -> int:
        """Until when a connection is as it is, has neither to go nor to be followed."""
        pulse, rules, listener = there.pulse, there._silence, there.listener
        slow = pulse._doubted or pulse.late or pulse.round_trip_ns > rules.lag_ns_max
        if there.silent or slow or listener.path_lags or there.ended is not None:
            return now_ns
        sent, frame_ns, data_ns = pulse._sent, listener.frame_ns, listener.data_ns
        mean_ns = listener.mean_read_ns
        life, limits = there.life, there.life.rules
        until_ns = NEVER_NS
        if limits.life_ns is not None:
            until_ns = min(until_ns, life.opened_ns + limits.life_ns)
        if sent:
            if not pulse.answers:
                return now_ns
            until_ns = min(until_ns, sent[0] + min(rules.pong_ns_max, rules.lag_ns_max))
        if not sent or sent[-1] <= frame_ns:
            until_ns = min(until_ns, frame_ns + rules.idle_ns_max)
        if mean_ns:
            frozen_ns = max(
                life.rules.frozen_ns_min, int(mean_ns * life.rules.frozen_intervals_max)
            )
            own_ns = max(rules.idle_ns_max + rules.pong_ns_max, int(mean_ns * rules.intervals_max))
            until_ns = min(until_ns, data_ns + min(frozen_ns, own_ns))
            if mean_ns * BUSY_READS_MIN <= rules.idle_ns_max and pulse._busy(there._seen(), rules):
                until_ns = min(until_ns, data_ns + rules.idle_ns_max)
        return until_ns

    def _spans(self, symbol_id: int) -> tuple[Span, ...]:
        """When a symbol's silence may be out of line, by the least and by the greatest slowdown.
        Before the first it is not, after the last it is.
        """
        board, settings = self._feed._share.board, self._feed._share.settings
        heard_ns, mean_ns = board.heard_ns.item(symbol_id), board.mean_ns.item(symbol_id)
        news_ns, news_mean_ns = board.news_ns.item(symbol_id), board.news_mean_ns.item(symbol_id)
        if not heard_ns:
            return (ALWAYS,)
        if not mean_ns:
            quiet_ns = int(settings.first_quote_quiet_s_max * NS_PER_S)
            return ((heard_ns + quiet_ns, NEVER_NS),)
        silent_ns, overdue_ns = settings.silent_ms_min * NS_PER_MS, OVERDUE_NS_MIN
        times = settings.silent_intervals_max
        found = [_span(heard_ns, silent_ns, mean_ns * times)]
        if news_ns and news_mean_ns:
            found.append(_span(news_ns, silent_ns, news_mean_ns * times))
            found.append(_span(news_ns, overdue_ns, news_mean_ns * times))
        return tuple(found)


def _span(since_ns: int, least_ns: int, own_ns: float) -> Span:
    return (
        since_ns + max(least_ns, int(own_ns)),
        since_ns + max(least_ns, int(own_ns * SLOWDOWN_MAX)) + 1,
    )
