"""One order book while it is followed: what a message does to it, and when it is asked for anew.

Used by SourceBooks. Pure: no sockets, no clocks; times are monotonic ns. Levels are kept in base
units. The usual message of a book that stands does not come here: see _books.pyx.

A book belongs to the connection that brought its snapshot. What another one brings is taken where
it follows on, so that a successor can take over; that it does not follow on is no gap.
"""

from collections import deque
from enum import Enum

import numpy as np

from spread_scanner.clock import NS_PER_S
from spread_scanner.exchanges._spelled import SpelledLevels
from spread_scanner.exchanges.adapter import BookChange
from spread_scanner.exchanges.depth import DepthAdapter, Fit, fits
from spread_scanner.feed._books import KeptBook
from spread_scanner.schema.books import BookFlag, BookLevels
from spread_scanner.schema.records import TS_ABSENT
from spread_scanner.symbology.tables import InstrumentRow

WAITING_MAX = 1_024  # updates that wait for a snapshot: minutes of a channel
FIRST_NS = 2 * NS_PER_S  # a channel that begins with a snapshot has sent it by then
AGAIN_NS_MIN, AGAIN_NS_MAX = NS_PER_S, 60 * NS_PER_S
# A book that stood for so long is asked for at once again: it did not fail, the market left it. One
# of many levels is depleted each half a minute where prices run, and was gone as long as it stood
# while only a minute counted. What such requests may cost is bounded by a connection's budget, or
# by that of Seeds.
STOOD_NS = 10 * NS_PER_S


class BookOutcome(Enum):
    """What a message was to a book."""

    TAKEN = "taken"
    OLD = "old"
    WAITS = "waits"  # for the snapshot that it follows on
    GAP = "gap"
    CHECKSUM = "checksum"


class SourceBook(KeptBook):
    """One book of one source; `owner` is the number of its connection, 0 while it has none, and
    `summed` that it is followed by its checksums, which the typed tier alone does."""

    def __init__(self, row: InstrumentRow, adapter: DepthAdapter) -> None:
        self.row = row
        self.disagrees_ns = 0  # since when its top is another than the quotes'; 0: it is not
        self.due_ns: int | None = (
            None  # when it is asked for anew; None: it stands, or must be given
        )
        self.window = adapter.levels_max if adapter.keeps_window else 0
        self._texts: SpelledLevels | None = None
        self._waiting: deque[BookChange] = deque(maxlen=WAITING_MAX)
        self._seed_id = self.known_id  # of the last snapshot by REST
        self._seeded_ns = 0  # when that came
        self._trusted = 0  # the connection that has had its snapshot on trust
        self._trusted_ns = 0  # when that came; 0: what stands is none of these
        self.lost_ns = 0  # since when what stands is not the book; 0: it is, or none has come yet
        self._times = 0  # asked for anew in a row
        self.asked_on = 0  # the connection for which it was asked for last
        self._stood_ns = 0

    @property
    def flags(self) -> BookFlag:
        """What is to be said of it beside what follows from its levels."""
        return BookFlag(super().flags)

    @property
    def _spelled(self) -> SpelledLevels | None:
        """Its texts, while all of them are known."""
        return self._texts

    @_spelled.setter
    def _spelled(self, texts: SpelledLevels | None) -> None:
        self._texts, self.summed = texts, texts is not None

    @property
    def waits(self) -> bool:
        """Updates wait for a snapshot."""
        return bool(self._waiting)

    @property
    def _told(self) -> bool:
        """Its connection has brought something since the last snapshot by REST."""
        return self.owner != 0 and self.known_id != self._seed_id

    def may_be_seeded(self, number: int) -> bool:
        """Whether a snapshot by REST can be held against what the connection of that number has
        brought, be it what the book was lost by: another message may not come for long. The first
        one is taken on trust, as whoever is quiet would have no book."""
        return self.waits or self._told or self._trusted != number

    @property
    def trusted_ns(self) -> int:
        """Since when nobody would have said what has changed of what stands; 0: it was told."""
        return 0 if self._told else self._trusted_ns

    def take(self, said: BookChange, number: int, now_ns: int) -> BookOutcome:
        """A message of the connection of that number."""
        theirs = self.owner not in (0, number)
        if said.snapshot:
            if theirs and self.stands and said.last_id <= self.known_id:
                return BookOutcome.OLD
            self.owner = number
            return self._begin(said, now_ns)
        if not self.stands:
            self._waiting.append(said)
            return BookOutcome.WAITS
        fit = Fit.GAP if self._begins_anew(said, now_ns) else fits(self.known_id, said)
        if fit is Fit.GAP and theirs:
            return BookOutcome.OLD
        if fit is Fit.GAP:
            self.lose(now_ns)
            self._waiting.append(said)
            return BookOutcome.GAP
        if fit is Fit.NEXT or said.last_id == self.known_id:
            self.owner = self.owner or number  # nothing was missed between the two
        if fit is Fit.OLD:
            return BookOutcome.OLD
        return self._go_on(said, now_ns)

    def _begins_anew(self, said: BookChange, now_ns: int) -> bool:
        """Whether an exchange began its ids anew without a word: an update that bears an older one
        was made later than what stands. What comes soon after a snapshot by REST may be older
        than that, and stamped when it was sent."""
        if not 0 < said.last_id < self.known_id or said.after_id == self.known_id:
            return False
        if now_ns - self._seeded_ns <= FIRST_NS:
            return False
        return self.ts_event == TS_ABSENT or said.ts_event > self.ts_event

    def seeded(self, seed: BookChange, number: int, now_ns: int) -> BookOutcome:
        """A snapshot by REST, and what came since it was made on the connection of that number,
        which carries it. GAP: it is older than what waits, or, if nothing does, than what stood."""
        if not self.waits and seed.last_id < self.known_id:
            return BookOutcome.GAP
        on_trust = not self.waits and not self._told
        self.owner = number
        waiting = list(self._waiting)
        self._waiting.clear()
        outcome = self._begin(seed, now_ns)
        self._seed_id, self._seeded_ns = seed.last_id, now_ns
        self._trusted, self._trusted_ns = (number, now_ns) if on_trust else (self._trusted, 0)
        for said in waiting:
            fit = fits(self.known_id, said)
            if fit is Fit.GAP:
                self.lose(now_ns)
                self._waiting.extend(waiting)
                return BookOutcome.GAP
            if fit is Fit.NEXT and (outcome := self._go_on(said, now_ns)) is not BookOutcome.TAKEN:
                return outcome
        return outcome

    def lose(self, now_ns: int) -> None:
        """What stands is not the book any more: it is asked for anew, each time that fails in a row
        after a longer pause."""
        if self.stands and now_ns - self._stood_ns >= STOOD_NS:
            self._times = 0
        if self.stands:
            self.lost_ns = now_ns
        self.stands, self._spelled = False, None
        if self.due_ns is None:
            self.due_ns = now_ns + self._pause_ns()

    def given(self, now_ns: int, *, begins: bool) -> None:
        """It is subscribed. A channel that begins with a snapshot is waited for, unless it began
        without; one that gives none has to be asked, also where a new connection goes on.
        """
        if self.stands and self.owner == 0 and not begins:
            self.lose(now_ns)
        if self.stands:
            return
        begins = begins and not (self.waits and self._times == 0)
        if self.due_ns is None or not begins:
            due_ns = now_ns + (FIRST_NS if begins else 0)
            self.due_ns = due_ns if self.due_ns is None or self._times == 0 else self.due_ns

    def asked(self, now_ns: int, number: int) -> None:
        """It is asked for anew now, for the connection of that number; again later, if that is in
        vain."""
        self._times, self.asked_on = self._times + 1, number
        self.due_ns = now_ns + self._pause_ns()

    def left(self) -> None:
        """Its connection is gone: what it said last may still be followed on."""
        self.owner, self.stale = 0, True

    def _pause_ns(self) -> int:
        if self._times == 0:
            return 0
        return min(AGAIN_NS_MAX, AGAIN_NS_MIN << min(self._times - 1, 10))

    def _begin(self, said: BookChange, now_ns: int) -> BookOutcome:
        # Where an exchange keeps its whole window filled it says what comes in as others leave. Of
        # fewer levels, as by REST, what lies between them and the window's end is never said.
        levels = 0 if 0 < self.window <= said.window else said.window
        self.book.snapshot(self._scaled(said.bids), self._scaled(said.asks), levels=levels)
        self.beyond = said.beyond
        self._spelled = None
        if not self.stands:
            self._stood_ns = now_ns
        self.stands, self.due_ns, self.lost_ns = True, None, 0
        self._waiting.clear()
        return self._known(said, now_ns)

    def _go_on(self, said: BookChange, now_ns: int) -> BookOutcome:
        self.book.delta(self._scaled(said.bids), self._scaled(said.asks))
        return self._known(said, now_ns)

    def _known(self, said: BookChange, now_ns: int) -> BookOutcome:
        self.known_id, self.ts_event = said.last_id, said.ts_event
        if said.checksum is None or said.texts is None:
            self._spelled = None  # what was not followed cannot be summed up
            return BookOutcome.TAKEN
        if said.snapshot:
            self._spelled = SpelledLevels()
        if self._spelled is not None:
            self._spelled.take(said)
            if self._spelled.checksum() != said.checksum:
                self.lose(now_ns)
                return BookOutcome.CHECKSUM
        return BookOutcome.TAKEN

    def _scaled(self, levels: BookLevels) -> BookLevels:
        """In base units, by the same two operations as quotes."""
        row = self.row
        if row.px_div == 1.0 and row.sz_mul == 1.0:
            return levels
        made = np.empty_like(levels)
        np.divide(levels[:, 0], row.px_div, out=made[:, 0])
        np.multiply(levels[:, 1], row.sz_mul, out=made[:, 1])
        return made
