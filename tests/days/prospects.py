"""Until when a feed's checks find nothing, as long as nothing else happens to it.

Worked out from the feed's own state for idle.py: of each connection, when it is to be pinged and
when a look at it may find something; of each symbol, when its silence may be out of line; of those
who are away or do not quote, until when they are left alone. In doubt each look is made.
"""

from typing import NamedTuple

import numpy as np
from loop import NEVER_NS
from pings import Pings

from spread_scanner import clock
from spread_scanner.clock import NS_PER_MS, NS_PER_S
from spread_scanner.feed import feed as shipped
from spread_scanner.feed.connection import Connection
from spread_scanner.feed.feed import Feed
from spread_scanner.feed.freshness import OVERDUE_NS_MIN, SLOWDOWN_MAX
from spread_scanner.feed.line import Line
from spread_scanner.feed.outlook import AWAY_NS, Outlook, serves
from spread_scanner.feed.watch import WATCH_NS
from spread_scanner.runtime.gate import Ban
from spread_scanner.schema.silence import believed_ns


class Span(NamedTuple):
    """Before the first of these times a symbol's silence is not out of line, after the last it is.
    In between that goes by how much slower than usual the source is.
    """

    first_ns: int
    last_ns: int
    since_ns: int = 0
    own_ns: float = 0.0  # how long it may last at the usual pace; 0: no time makes it so

    def due_ns(self, slowdown: float) -> int:
        """When it gets out of line by that slowdown, to a nanosecond."""
        return (
            max(self.first_ns, self.since_ns + int(self.own_ns * slowdown)) if self.own_ns else -1
        )


ALWAYS = Span(-1, NEVER_NS)


class Until(NamedTuple):
    """Of a connection: until when it need not be pinged, and until when a look finds nothing."""

    there: Connection
    ping_ns: int
    look_ns: int


# What a symbol's silence is judged by: when it was heard, and its mean; the same of its news; and
# whether time alone brings nothing of it, as it is away, waited for, or called silent; or nothing
# of its news, as it is called silent for lack of those alone.
Means = tuple[int, float, int, float, bool, bool]


class Prospects:
    """One feed's. `waited`: ids of those who do not quote; a usual quote of theirs moves things."""

    def __init__(self, feed: Feed, pings: Pings) -> None:
        self._feed = feed
        self._pings = pings
        self.moved = True  # something happened that is not usual: what is known is of before
        self.waited: set[int] = set()
        self.look_ns = 0  # until then no look finds anything
        self._restless = True  # each look may find something
        self._waits_ns = NEVER_NS  # until then who is away or does not quote is left alone
        self._carriers: list[Connection | None] = []
        self._carriers_ns = 0  # since when these are a feed's connections
        self._slightly: set[object] = set()  # transports that brought what is usual
        self._quoted: set[int] = set()  # ids
        self._untils: dict[object, Until] = {}  # by transport
        self._symbols: dict[int, tuple[Means, tuple[Span, ...]]] = {}
        self._settled: set[int] = set()  # ids
        self._repeated: set[int] = set()  # ids: heard, and without news for too long
        self._settings = feed._share.settings

    def brought(self, transport: object, symbol_id: int) -> None:
        """What is usual arrives: an answer to a ping or, with an id, a quote."""
        if not self.moved:
            self._slightly.add(transport)
            if symbol_id >= 0:
                self._quoted.add(symbol_id)

    def pinged(self, now_ns: int) -> None:
        """A check has sent what pings were due."""
        if not self.moved:
            known = self._untils.items()
            self._slightly.update(one for one, until in known if until.ping_ns <= now_ns)

    def _take_in(self, now_ns: int) -> None:
        """What is usual and has just come."""
        for transport in self._slightly:
            known = self._untils.get(transport)
            if known is None:  # that of announcements
                continue
            if self._pings.foreseen(transport) and known.there.listener.data_ns:
                found = Until(known.there, NEVER_NS, self._quiet_until(known.there))
            else:
                found = self._nothing_of(known.there, transport, now_ns)
            self._untils[transport] = found
        for symbol_id in self._quoted:
            self._look_at(symbol_id)
        self._slightly.clear()
        self._quoted.clear()

    def until_ns(self, now_ns: int) -> int:
        """Monotonic ns; a time that is over: the next check may find something."""
        if self.moved:
            self.moved = False
            self._slightly.clear()
            self._quoted.clear()
            self._take_stock(now_ns)
        else:
            self._take_in(now_ns)
        ping_ns = look_ns = NEVER_NS
        for one in self._untils.values():
            if one.ping_ns < ping_ns:
                ping_ns = one.ping_ns
            if one.look_ns < look_ns:
                look_ns = one.look_ns
        self.look_ns = look_ns = self._no_look_until(look_ns)
        return min(ping_ns, look_ns)

    def _no_look_until(self, until_ns: int) -> int:
        """As `until_ns`, but for pings that are to be sent; of connections it is `until_ns`."""
        looked_ns = self._feed._looked_ns
        if self._restless:
            return min(until_ns, looked_ns + shipped.LOOK_NS)
        until_ns = min(until_ns, self._waits_ns)
        for _, spans in self._symbols.values():
            for span in spans:
                if span.first_ns >= looked_ns:
                    if span.first_ns < until_ns:
                        until_ns = span.first_ns
                elif span.last_ns >= looked_ns:
                    due_ns = span.due_ns(self._feed._tempo.shared)
                    if due_ns >= looked_ns:  # else the last look has found it
                        until_ns = min(until_ns, due_ns)
                    until_ns = min(until_ns, looked_ns + shipped.LOOK_NS)
        return until_ns

    def _take_stock(self, now_ns: int) -> None:
        """Look at everything anew: what may be found when, but for what each look may find."""
        feed = self._feed
        lines = list(feed._lines())
        self._untils = {}
        for line in lines:
            for there in line.connections:
                transport = there.listener.transport
                key = transport.underlying_transport if transport is not None else there
                self._untils[key] = self._nothing_of(there, key, now_ns)
        self._pings.leave_all_but(self._untils)
        self._restless = self._is_restless(lines, now_ns)
        if self._restless:
            return
        ids = {row.symbol_id for row in feed._share.instruments.values()}
        if self._settings is not feed._share.settings or not ids >= self._symbols.keys():
            self._settings = feed._share.settings
            self._symbols = {}
        for symbol_id in ids:
            self._look_at(symbol_id)

    def _is_restless(self, lines: list[Line], now_ns: int) -> bool:
        """Whether each look may find something; else until when those who are away or do not quote
        bring nothing.
        """
        feed = self._feed
        self.waited.clear()
        self._settled.clear()
        self._repeated.clear()
        if (
            feed._moving._leaving
            or feed._moving.retired
            or feed._placing._no_room
            or any(
                line.carried and (line.successor is not None or line._dialling) for line in lines
            )
            or any(self._looks(one.there) for one in self._untils.values())
        ):
            return True
        ban = feed._share.connects.ban()
        self._waits_ns = min(
            _told_otherwise_ns(ban),
            self._away_until(lines, ban, now_ns),
            self._unheard_until(now_ns),
            self._refused_until(now_ns),
            self._over_ns(now_ns),
            feed._share.outages.due_ns(well=all(line.carried for line in lines)),
        )
        return self._waits_ns <= now_ns

    def _over_ns(self, now_ns: int) -> int:
        """When the next maintenance is over by its time."""
        works = self._feed._halts._maintenance.values()
        left_ns = min((work.end_ns for work in works), default=NEVER_NS) - clock.wall_ns()
        return now_ns + left_ns

    def _away_until(self, lines: list[Line], ban: Ban | None, now_ns: int) -> int:
        """When a line has been away for so long that it is to be said; now: looks may find more.

        Who is away waits for its dial, which moves everything when it comes. What its absence
        changes is shown and counted within a second.
        """
        feed = self._feed
        carriers = [line.current for line in lines]
        if carriers != self._carriers:
            self._carriers, self._carriers_ns = carriers, now_ns
        away = [line for line in lines if not serves(line)]
        there_ns = feed._outlook._there_ns
        if away and (feed._counted_ns < self._carriers_ns or not there_ns.keys() >= set(away)):
            return now_ns
        outlook = Outlook()
        outlook._there_ns = there_ns
        if feed._shown != outlook.look(lines, ban, now_ns, feed._ban_by_rest()):
            return now_ns
        instruments = feed._share.instruments
        names = {name for line in lines if line.carried for name in line.symbols}
        self._settled.update(
            row.symbol_id for name, row in instruments.items() if name not in names
        )
        soon = (there_ns[line] + AWAY_NS + 1 for line in away)
        return min((ns for ns in soon if ns > now_ns), default=NEVER_NS)

    def _refused_until(self, now_ns: int) -> int:
        """When a symbol that is refused is asked for again, or its refusal is counted; now: one has
        quoted, which is noted with the next look at who does.
        """
        feed, until_ns = self._feed, NEVER_NS
        instruments, board = feed._share.instruments, feed._share.board
        for one in self._untils.values():
            there = one.there
            for name, refusal in there.subscription.refused.items():
                until_ns = min(until_ns, refusal.due_ns)
                if feed._counted_ns <= refusal.at_ns:
                    until_ns = min(until_ns, feed._counted_ns + shipped.COUNT_NS)
                known = instruments.get(name)
                if known is None:
                    continue
                if there.watch._heard_since(known, refusal.at_ns):
                    until_ns = min(until_ns, there._watched_ns + WATCH_NS)
                self.waited.add(known.symbol_id)
                if not board.heard_ns.item(known.symbol_id):
                    self._settled.add(known.symbol_id)
        return until_ns

    def _unheard_until(self, now_ns: int) -> int:
        """When somebody who does not quote is to be asked for again; now: looks may find something.

        Who is called silent stays so until it is heard of, or until there are news of it.
        """
        silent = set(np.flatnonzero(self._feed._marks._silent).tolist())
        unproven = [one.there for one in self._untils.values() if one.there.subscription.unproven]
        if not silent and not unproven:
            return NEVER_NS
        if len(self._feed._copies) != 1:
            return now_ns
        return min(self._silent_until(silent, now_ns), self._unproven_until(unproven))

    def _silent_until(self, silent: set[int], now_ns: int) -> int:
        feed, wait_ns = self._feed, NEVER_NS
        marks, share = feed._marks, feed._share
        heard_ns, news_ns = share.board.heard_ns, share.board.news_ns
        for symbol_id in silent:
            unheard_ns = marks._unheard._since_ns.item(symbol_id)
            if not news_ns.item(symbol_id) == marks._without_news._since_ns.item(symbol_id) != 0:
                return now_ns
            if not unheard_ns:
                self._repeated.add(symbol_id)
            elif heard_ns.item(symbol_id) != unheard_ns:
                return now_ns
        self._settled |= silent - self._repeated
        self.waited |= silent
        for name, row in share.instruments.items():
            if row.symbol_id in silent and row.symbol_id not in self._repeated:
                for one in self._untils.values():
                    if name in one.there.subscription.wanted:
                        wait_ns = min(wait_ns, feed._placing.due_ns(0, one.there, name))
        return wait_ns

    def _unproven_until(self, unproven: list[Connection]) -> int:
        feed, wait_ns = self._feed, NEVER_NS
        share = feed._share
        settings = share.settings
        for there in unproven:
            for name, since_ns in there.subscription.unproven.items():
                known = share.instruments.get(name)
                if known is None:
                    continue
                if there.watch._heard_since(known, since_ns):
                    # It has quoted by now, which is noted with the next look at who does.
                    wait_ns = min(wait_ns, there._watched_ns + WATCH_NS)
                    continue
                late_s = (
                    settings.first_quote_quiet_s_max if known.quiet else settings.first_quote_s_max
                )
                due_ns = feed._placing.due_ns(0, there, name)
                wait_ns = min(wait_ns, max(since_ns + int(late_s * NS_PER_S), due_ns))
                self.waited.add(known.symbol_id)
                if not share.board.heard_ns.item(known.symbol_id):
                    self._settled.add(known.symbol_id)
        return wait_ns

    def _looks(self, there: Connection) -> bool:
        """Whether each look at a connection may find something."""
        asked, life = there.subscription, there.life
        return bool(
            asked._queue.batches or asked._underway.asked or asked._halvings
            or asked._turning or asked._trying or asked.overflow or asked.useless
            or asked.capacity is not None or there._refusals._bursts
            or life.notice or life.spent
            or there.number not in self._feed._tempo._paces
            or there.target != self._feed._share.target
        )  # fmt: skip

    def _nothing_of(self, there: Connection, transport: object, now_ns: int) -> Until:
        """Until when a connection is as it is, has neither to go nor to be followed, and need not
        be pinged.
        """
        pulse, rules, listener = there.pulse, there._silence, there.listener
        sent, frame_ns = pulse._sent, listener.frame_ns
        ill = (
            there.silent or there.deaf or listener.behind or listener.path_lags
            or pulse._doubted or pulse.late or pulse.round_trip_ns > rules.lag_ns_max
            or there.ended is not None
        )  # fmt: skip
        if ill or (sent and not pulse.answers):
            self._pings.leave(transport)
            return Until(there, now_ns, now_ns)
        foreseen = self._pings.foresees(there, transport)
        waits = foreseen or (sent and sent[-1] > frame_ns)
        ping_ns = NEVER_NS if waits else frame_ns + rules.idle_ns_max
        until_ns = self._quiet_until(there)
        if listener.data_ns == 0:
            until_ns = min(until_ns, self._without_data_until(there, now_ns))
        if sent and not foreseen:
            until_ns = min(until_ns, sent[0] + min(rules.pong_ns_max, rules.lag_ns_max))
        return Until(there, ping_ns, until_ns)

    def _without_data_until(self, there: Connection, now_ns: int) -> int:
        """When one that has brought no quote may be blamed for that; now: looks may find it."""
        opened_ns, first_ns = there.listener.opened_ns, there.life.rules.first_quote_ns_max
        for late_ns in (first_ns, 2 * first_ns, 2 * (first_ns + WATCH_NS)):
            due_ns = opened_ns + late_ns
            if now_ns < due_ns:
                return due_ns
            if now_ns < due_ns + WATCH_NS + shipped.LOOK_NS:
                return now_ns
        return NEVER_NS

    def _quiet_until(self, there: Connection) -> int:
        """Until when the silence of a connection, or its age, means nothing."""
        rules, listener, life = there._silence, there.listener, there.life.rules
        mean_ns, data_ns, until_ns = listener.mean_read_ns, listener.data_ns, NEVER_NS
        if life.life_ns is not None:
            until_ns = there.life.opened_ns + life.life_ns
        if mean_ns:
            frozen_ns = max(life.frozen_ns_min, int(mean_ns * life.frozen_intervals_max))
            own_ns = int(believed_ns(mean_ns, listener.mean_read_quotes, rules))
            until_ns = min(until_ns, data_ns + min(frozen_ns, own_ns))
        return until_ns

    def _look_at(self, symbol_id: int) -> None:
        """Note from when on a symbol's silence may be out of line."""
        board = self._feed._share.board
        means = (
            board.heard_ns.item(symbol_id),
            board.mean_ns.item(symbol_id),
            board.news_ns.item(symbol_id),
            board.news_mean_ns.item(symbol_id),
            symbol_id in self._settled,
            symbol_id in self._repeated,
        )
        known = self._symbols.get(symbol_id)
        if known is None or known[0] != means:
            self._symbols[symbol_id] = means, self._spans(means)

    def _spans(self, of: Means) -> tuple[Span, ...]:
        """When a symbol's silence may be out of line, by the least and by the greatest slowdown."""
        settings = self._settings
        heard_ns, mean_ns, news_ns, news_mean_ns, settled, repeated = of
        if settled:
            return ()
        if not heard_ns:
            return (ALWAYS,)
        if not mean_ns:
            seldom_s = min(settings.first_quote_quiet_s_max, settings.ask_again_s_max)
            return (Span(heard_ns + int(seldom_s * NS_PER_S), NEVER_NS),)
        silent_ns, times = settings.silent_ms_min * NS_PER_MS, settings.silent_intervals_max
        found = [_span(heard_ns, silent_ns, mean_ns * times)]
        if news_ns and news_mean_ns and not repeated:
            own_ns = news_mean_ns * times
            found.append(_span(news_ns, silent_ns, own_ns))
            found.append(_span(news_ns, OVERDUE_NS_MIN, own_ns))
        return tuple(found)


def _told_otherwise_ns(ban: Ban | None) -> int:
    """When the feed's row says another number of seconds than now, or that the ban is over."""
    if ban is None:
        return NEVER_NS
    left_ns = round(ban.left_s) * NS_PER_S - NS_PER_S // 2 + NS_PER_MS
    return ban.until_ns - max(0, left_ns)


def _span(since_ns: int, least_ns: int, own_ns: float) -> Span:
    return Span(
        since_ns + max(least_ns, int(own_ns)),
        since_ns + max(least_ns, int(own_ns * SLOWDOWN_MAX)) + 1,
        since_ns,
        own_ns,
    )
