"""What has to hold of books at every moment of a day. docs/developing.md states each in words.

As of quotes (invariants.py): asked as messages arrive, and each 250 ms. What is compared comes from
the exchange's own books (depth_book.py, depth_exchange.py) and from the segment that all processes
read.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from depth_book import DepthRow, SaidBook
from depth_exchange import Depth
from invariants import (
    DEAD_NS,
    LAG_NS_MAX,
    LAG_SLACK_NS,
    LOST_NS,
    SILENT_INTERVALS,
    SILENT_NS_MIN,
    SLOWDOWN_MAX,
    SUSPEND_NS,
    TURNED_NS,
    Invariants,
)

from spread_scanner.clock import NS_PER_MS, NS_PER_S
from spread_scanner.schema.books import BOOK_UNUSABLE, LEVELS_LEAST, LEVELS_SHOWN, BookFlag
from spread_scanner.schema.enums import SOURCE_BY_LABEL

UNUSABLE = int(BOOK_UNUSABLE)
LOST = int(BookFlag.RESYNCING)
DEPLETED = int(BookFlag.DEPLETED)
LOOK_NS = 250 * NS_PER_MS
COMES_NS = 5 * NS_PER_S  # from being wanted to being usable, while all is well
LINGERS_NS = 2 * NS_PER_S  # a look, the request and its way, after the linger is over
CALM_NS = 15 * NS_PER_S  # after a fault is over, and all quotes are well again
SEEDS_PER_MINUTE = 12
DEPTH_DEAD_NS = DEAD_NS + LOOK_NS  # books are judged each quarter of a second


class DepthInvariants:
    """Of one source. `near` says by symbol id whose pairs the engine calls near; `watched` are
    those of the settings, `linger_ns` how long one is followed that nobody wants any more."""

    def __init__(
        self, depth: Depth, quotes: Invariants, books: Any, books_max: int, linger_ns: int,
        near: Callable[[], np.ndarray], watched: frozenset[str],
    ) -> None:  # fmt: skip
        self.depth = depth
        self._quotes = quotes
        self._books = books
        self._books_max = books_max
        self._linger_ns = linger_ns
        self._whose_near = near
        self._near = near()
        self._watched = watched
        self._label = depth.exchange.label
        self._source_id = SOURCE_BY_LABEL[self._label].source_id
        self._urgent_ns: dict[str, int] = {}  # since when it has to be followed
        self._over_ns = 0  # since when more are subscribed than are to be followed
        self._stood: set[str] = set()  # whose book was usable as a message arrived last
        self.usable = 0  # looks that found a book usable
        self.compared = 0
        self.coming_ns: list[int] = []  # how long each took from being wanted to being usable
        depth.on_arrival = self.arrived

    def _broken(self, rule: int, text: str) -> None:
        self._quotes.broken(rule, self._label, text)

    def _now_ns(self) -> int:
        return self.depth.exchange.clock.mono_ns()

    def _read(self, row: DepthRow) -> Any:
        reading = self._books.read(self._source_id, row.row.symbol_id)
        return None if reading is None or reading.flags & UNUSABLE else reading

    # --- as messages arrive

    def arrived(self, row: DepthRow, said: SaidBook, made_ns: int) -> None:
        """The feed has been told a state by a message that was made then."""
        self._alone()
        reading = self._read(row)
        if reading is None:
            return
        shown = self._shows(row, reading)
        if shown is None:
            return
        late_ns = self._now_ns() - made_ns
        dated = not (self._label == "binance-spot" and row.channel.whole)
        skewed = self._now_ns() < self._quotes.skewed_until_ns[self._label]
        if dated and not skewed and shown is said and late_ns > LAG_NS_MAX + LAG_SLACK_NS:
            self._broken(12, f"{row.row.name}: a book {late_ns / NS_PER_S:.1f} s old is usable")

    def _shows(self, row: DepthRow, reading: Any) -> SaidBook | None:
        """The state that a usable book is, level by level."""
        place = row.shown(int(reading.record["update_id"]))
        if place < 0:
            self._broken(12, f"{row.row.name}: nobody said {reading.record['update_id']}")
            return None
        said = row.said[place]
        self.compared += 1
        if said.crossed:
            self._broken(12, f"{row.row.name}: a crossed book is usable")
        for side, ours, theirs in zip(
            ("bids", "asks"), (reading.bids, reading.asks), said.levels(row.row), strict=True
        ):
            least = min(len(theirs), LEVELS_LEAST)
            if not least <= len(ours) <= LEVELS_SHOWN:
                self._broken(12, f"{row.row.name}: {len(ours)} {side} of {len(theirs)}")
            elif not np.array_equal(ours, theirs[: len(ours)]):
                apart = np.flatnonzero((ours != theirs[: len(ours)]).any(axis=1))[0]
                self._broken(
                    12,
                    f"{row.row.name}: {side} level {apart} is {ours[apart]}, "
                    f"said was {theirs[apart]} at {said.update_id}",
                )
        return said

    # --- each quarter of a second

    def look(self) -> None:
        """All books of the source."""
        self.depth.exchange.loop.call_ns(LOOK_NS, self.look)
        calm, self._near = self._calm(), self._whose_near()
        for row in self.depth.rows.values():
            self._want(row)
            reading = self._read(row)
            if reading is not None:
                self.usable += 1
                shown = self._shows(row, reading)
                if shown is not None:
                    self._in_time(row, shown)
            if calm:
                self._well(row, usable=reading is not None)
            else:
                self._urgent_ns.pop(row.row.name, None)
        if calm:
            self._within_limits()

    def _calm(self) -> bool:
        """Whether nothing has gone wrong lately that books have to do with."""
        now_ns = self._now_ns()
        return self._quotes_calm() and all(
            row.faulted_ns < now_ns for row in self.depth.rows.values()
        )

    def _quotes_calm(self) -> bool:
        """The same of what quotes have to do with, too."""
        now_ns = self._now_ns()
        woke_ns = self._quotes.dialling.woke_ns
        return now_ns - CALM_NS > self._quotes.calm_ns[self._label] and not (
            woke_ns and now_ns - woke_ns < 2 * CALM_NS
        )

    def _alone(self) -> None:
        """What is lost of one book is nothing to the others."""
        stood, now_ns, calm = self._stood, self._now_ns(), self._quotes_calm()
        self._stood = set()
        for name, row in self.depth.rows.items():
            reading = self._books.read(self._source_id, row.row.symbol_id)
            flags = UNUSABLE if reading is None else int(reading.flags)
            if not flags & UNUSABLE:
                self._stood.add(name)
            lost = reading is not None and flags & LOST and not flags & DEPLETED
            if lost and name in stood and calm and row.faulted_ns < now_ns:
                self._broken(13, f"{name}: its book is begun anew, and nothing of it was lost")

    def _want(self, row: DepthRow) -> None:
        """Note that somebody wants it now."""
        now_ns = self._now_ns()
        asked = row.asked_until_ns > now_ns or row.row.name in self._watched
        if row.row.wanted and (asked or self._near[row.row.symbol_id]):
            row.wanted_ns = now_ns

    def _in_time(self, row: DepthRow, shown: SaidBook) -> None:
        """Something newer that was said has not arrived: for how long that may be."""
        now_ns = self._now_ns()
        woke_ns = self._quotes.dialling.woke_ns
        if woke_ns and now_ns - woke_ns < SUSPEND_NS + LOOK_NS:
            return
        late_ns, bound_ns = self._late(row, shown)
        if late_ns > bound_ns:
            self._broken(
                12,
                f"{row.row.name}: {late_ns / NS_PER_S:.2f} s behind and usable, at most "
                f"{bound_ns / NS_PER_S:.2f} s",
            )

    def _late(self, row: DepthRow, shown: SaidBook) -> tuple[int, int]:
        depth, name, now_ns = self.depth, row.row.name, self._now_ns()
        newer = [one for one in row.said if one.said_ns > shown.said_ns]
        if not newer:
            return 0, 1
        sent = next((one for one in newer if one.sent), None)
        late_ns = now_ns - newer[0].said_ns
        carrying = [one for one in depth.live() if one.carries_book(row)]
        if carrying and sent is not None and not row.mute:
            slower_ns = max(one.wire.slowest_ns for one in carrying)
            slower_ns += depth.exchange.switch.held_ns
            return now_ns - sent.said_ns, max(LOST_NS, slower_ns + LAG_NS_MAX + LAG_SLACK_NS)
        if carrying:
            return late_ns, self._silence_ns(row)
        dead = [
            one
            for one in depth.sessions
            if one.carries_book(row) and one.wire.dead and one.wire.listened_to
        ]
        if not dead and now_ns - depth.turned_ns.get(name, 0) < TURNED_NS:
            return late_ns, self._silence_ns(row)
        if dead:
            return now_ns - max(one.wire.arrived_ns for one in dead), DEPTH_DEAD_NS
        return min(late_ns, now_ns - depth.left_ns.get(name, 0)), LOST_NS + LOOK_NS

    def _silence_ns(self, row: DepthRow) -> int:
        own_ns = SILENT_INTERVALS * NS_PER_S / row.row.rate_per_s
        return int(max(SILENT_NS_MIN, own_ns * SLOWDOWN_MAX) + 5 * NS_PER_S)

    # --- while all is well

    def _well(self, row: DepthRow, *, usable: bool) -> None:
        """Who is wanted comes, and who is not goes."""
        now_ns, name = self._now_ns(), row.row.name
        subscribed = [one for one in self.depth.live() if name in one.rows]
        if subscribed and now_ns - row.wanted_ns > self._linger_ns + LINGERS_NS:
            self._broken(14, f"{name}: its book is subscribed and nobody wants it")
            row.wanted_ns = now_ns
        if not self._must(row):
            self._urgent_ns.pop(name, None)
            return
        since_ns = self._urgent_ns.setdefault(name, now_ns)
        if usable:
            if since_ns >= 0:
                self.coming_ns.append(now_ns - since_ns)
            self._urgent_ns[name] = -1
        elif now_ns - abs(since_ns) > self._comes_ns(row):
            self._broken(13, f"{name}: its book is wanted and does not come")
            self._urgent_ns[name] = now_ns

    def _must(self, row: DepthRow) -> bool:
        """Whether it is among the most urgent, by whatever order they are taken."""
        now_ns = self._now_ns()
        asked = [one for one in self.depth.rows.values() if one.asked_until_ns > now_ns]
        near = [one for one in self.depth.rows.values() if self._near[one.row.symbol_id]]
        room = len({one.row.name for one in [*asked, *near]}) <= self._books_max
        traded = row.row.listing.status == "trading" and not row.row.halted
        heard = row.row.last is not None and row.row.wanted and traded
        return heard and room and row.asked_until_ns > now_ns

    def _comes_ns(self, row: DepthRow) -> int:
        """A channel that gives nothing to begin with says something when it changes."""
        return COMES_NS + int(20 * NS_PER_S / row.row.rate_per_s)

    def _within_limits(self) -> None:
        now_ns = self._now_ns()
        names = {name for one in self.depth.live() for name in one.rows}
        if len(names) <= self._books_max:
            self._over_ns = 0
        elif not self._over_ns:
            self._over_ns = now_ns
        elif now_ns - self._over_ns > LINGERS_NS:
            self._broken(14, f"{len(names)} books are subscribed, {self._books_max} allowed")
            self._over_ns = 0
        for name, times in self.depth.seeds.items():
            recent = [at_ns for at_ns in times if now_ns - at_ns < 60 * NS_PER_S]
            self.depth.seeds[name] = recent
            if len(recent) > SEEDS_PER_MINUTE:
                self._broken(14, f"{name}: {len(recent)} snapshots by REST in a minute")
                recent.clear()
        self._slots()

    def _slots(self) -> None:
        """No slot is two symbols', and none of this source's is handed out beyond its own."""
        places = self._books._places[self._source_id]
        taken = places[places > 0]
        if len(set(taken.tolist())) != len(taken) or len(taken) > self._books_max:
            self._broken(15, f"slots {sorted(taken.tolist())}")
