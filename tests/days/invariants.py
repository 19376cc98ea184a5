"""What has to hold at every moment of a day. docs/developing.md states each in words.

Incremental: a quote is judged as it arrives, a symbol that is behind each 50 ms, lines each 250 ms,
dials and signals as they come. The full check of everything comes each virtual minute. Whatever is
compared comes from the exchange's own books (market.py, exchange.py) and from the segments that
every process reads; never from the feed's own opinion.
"""

from collections import defaultdict
from math import isnan
from typing import Any, NamedTuple, Protocol

import books
import dialling
from exchange import Exchange
from fault import LEARNED_S, Fault
from faults import EVERY_KIND
from loop import NEVER_NS
from market import JUMP_RATIO, RATE_KNOWN, Row, Said
from session import Session

from spread_scanner.clock import NS_PER_MS, NS_PER_S
from spread_scanner.schema.enums import SOURCE_BY_LABEL, QuoteFlag, SignalKind
from spread_scanner.schema.enums import UNUSABLE as UNUSABLE_FLAGS
from spread_scanner.schema.records import TS_ABSENT

UNUSABLE = int(UNUSABLE_FLAGS)  # enums are slow to reckon with
LOOK_NS = 50 * NS_PER_MS
LINES_NS = 250 * NS_PER_MS
LOST_NS = 400 * NS_PER_MS  # a connection that ended: marked as soon as that is heard
DEAD_NS = 2_350 * NS_PER_MS  # silent for 1 s, pinged, silent for another; one check and a bit
BUSY_NS = 1_350 * NS_PER_MS  # over 50 messages/s there is no need to ask
SILENT_INTERVALS = 50.0
SILENT_NS_MIN = 30 * NS_PER_S
SLOW_NS_MIN = SILENT_NS_MIN - 10 * NS_PER_S
SLOWDOWN_MAX = 10.0
NEWS_INTERVALS = 120.0  # 50 of the mean that the feed has of them, and a look each minute
NEWS_PAUSES = 60.0  # the same of the mean that came, which is longer for a while after a pause
DIED_NS = 1_050 * NS_PER_MS  # a heartbeat is believed for a second
SUSPEND_NS = 300 * NS_PER_MS  # from waking to the next heartbeat
TURNED_NS = 15 * NS_PER_S  # unsubscribed, answered, asked for again at the pace, slowed or not
RESET_NS = 3_500 * NS_PER_MS  # ids that began anew are believed within this
LAG_NS_MAX = 2 * NS_PER_S
LAG_SLACK_NS = 600 * NS_PER_MS
RECENT_NS = 60 * NS_PER_S  # what was stored longer ago says nothing of lag
LAGS_MIN = 3  # of so many cells one that is dated wrongly is not the middle
TIMELY_MIN = 8  # of a life's first, for it to know what is late: seven may be dated wrongly
FOOLED_MIN = 300  # where something late came before them: more than four windows hold
ILL_DATED = int(QuoteFlag.LAGGING | QuoteFlag.SILENT | QuoteFlag.NO_TS_EVENT)
SAID_NS = 60 * NS_PER_S  # until a feed says that everything is refused
GIVEN_NS = 240 * NS_PER_S  # until it says that nothing comes of what is acknowledged
UNMOVED_CHECKS = 3
FOUND_MAX = 20


class Violation(NamedTuple):
    """`rule` is the invariant's number."""

    rule: int
    at_s: float
    source: str
    text: str

    def __str__(self) -> str:
        return f"({self.rule}) at {self.at_s:.3f} s, {self.source}: {self.text}"


class World(dialling.World, Protocol):
    """What the invariants look at."""

    store: Any
    dead: set[str]  # whose feed's process is no more

    def counters(self, label: str) -> dict[str, int]: ...

    def runs(self, label: str) -> bool: ...


class Invariants:
    """Collects what is broken; a day ends at the first."""

    def __init__(self, world: World, start_ns: int) -> None:
        self.world = world
        self._exchanges = list(world.exchanges.values())
        self.start_ns = start_ns
        self.found: list[Violation] = []
        self.calm_ns: dict[str, int] = defaultdict(lambda: start_ns + 120 * NS_PER_S)
        self.dialling = dialling.Dialling(world, self.broken)
        self.skewed_until_ns: dict[str, int] = defaultdict(int)
        self._learned_ns: dict[str, int] = defaultdict(int)  # a clock set unheard is, by then
        self._marks: dict[str, int] = {}
        self._slow: dict[str, bool] = defaultdict(bool)
        self._died_ns: dict[str, int] = {}  # of whose feed is dead, when it died
        self._untaught: dict[str, int] = {}  # timely quotes until a feed knows lag; 0: it does
        self._unsaid: dict[str, int] = defaultdict(int)
        self._unmoved: dict[str, int] = defaultdict(int)  # calm checks in a row with moves to make
        self._fault_ns: dict[str, int] = defaultdict(int)  # when one began or ended last
        self._next_ns = 0  # when it is to be looked again, if anything happens then
        self._next_lines_ns = 0
        self._next_late_ns = 0  # until then time alone makes nobody late
        self._any_behind = False  # somebody is behind whose quote is not usable, nor may become so
        self.checks = 0

    def broken(self, rule: int, source: str, text: str) -> None:
        if sum(found.rule == rule for found in self.found) < FOUND_MAX:
            at_s = (self.world.now_ns() - self.start_ns) / NS_PER_S
            self.found.append(Violation(rule, at_s, source, text))

    # --- what the day tells

    def fault(self, exchange: Exchange, fault: Fault) -> None:
        """A fault begins; until `within_s` after its end nothing has to be well."""
        kind = EVERY_KIND[fault.kind]
        now_ns = self.world.now_ns()
        end_ns = now_ns + int((fault.for_s + kind.within_s) * NS_PER_S)
        self._fault_ns[exchange.label] = now_ns
        if fault.kind in ("unwelcome", "closed", "nameless"):
            until_ns = self.dialling.refused_until_ns
            until_ns[exchange.label] = max(until_ns[exchange.label], end_ns)
        if now_ns < self._learned_ns[exchange.label]:  # what is not heard teaches nothing
            self._learned(exchange, self._learned_ns[exchange.label] + end_ns - now_ns)
        if fault.kind == "skew":
            self.skewed_until_ns[exchange.label] = max(self.skewed_until_ns[exchange.label], end_ns)
        if kind.within_s:
            self.calm_ns[exchange.label] = max(self.calm_ns[exchange.label], end_ns)

    def fault_over(self, exchange: Exchange) -> None:
        """What it kept away or spoilt begins anew."""
        self._fault_ns[exchange.label] = self.world.now_ns()

    def misheard(self, exchange: Exchange, kind: str) -> None:
        """A request meets a fault that was ordered before, it may be long before."""
        self.fault(exchange, Fault(0.0, kind, 0.0, 0.0, 0.0))

    def unheard(self, exchange: Exchange) -> None:
        """Its clock was set back while no connection stood: until that is learned all is late."""
        self._learned(exchange, self.world.now_ns() + int(LEARNED_S * NS_PER_S))

    def _learned(self, exchange: Exchange, until_ns: int) -> None:
        for ends in (self._learned_ns, self.skewed_until_ns, self.calm_ns):
            ends[exchange.label] = max(ends[exchange.label], until_ns)

    def woke(self, slept_s: float) -> None:
        """The machine slept: whatever is there is too old. The day's faults slept with it, so what
        stands till their ends stands for longer."""
        self.dialling.woke()
        self._fault_ns.update(dict.fromkeys(self.world.exchanges, self.world.now_ns()))
        slept_ns = int(slept_s * NS_PER_S)
        fell_asleep_ns = self.world.now_ns() - slept_ns
        of_dials = self.dialling.refused_until_ns
        for ends in (self.calm_ns, self.skewed_until_ns, self._learned_ns, of_dials):
            ends.update({at: ns + slept_ns for at, ns in ends.items() if ns > fell_asleep_ns})
        for label in self.world.exchanges:
            well_ns = self.dialling.woke_ns + int(EVERY_KIND["suspend"].within_s * NS_PER_S)
            self.calm_ns[label] = max(self.calm_ns[label], well_ns)

    def died(self, exchange: Exchange) -> None:
        """Its feed's process is no more: nobody follows what is said until another one does."""
        self._died_ns[exchange.label] = self.world.now_ns()
        source_id = SOURCE_BY_LABEL[exchange.label].source_id
        for row in exchange.rows.values():
            cell = self.world.store.read(source_id, row.symbol_id)
            row.taught = 0
            row.unknown |= cell is not None and bool(cell.flags & QuoteFlag.JUMPED)

    def revived(self, exchange: Exchange) -> None:
        """Its feed is about to start again. What stands in its cells is all that it will know."""
        store, source_id = self.world.store, SOURCE_BY_LABEL[exchange.label].source_id
        since_ns = store.clock.now_ns() - RECENT_NS
        cells = (
            store.read(source_id, row.symbol_id) for row in exchange.rows.values() if row.wanted
        )
        telling = sum(
            cell is not None and cell.ts_recv >= since_ns and not cell.flags & ILL_DATED
            for cell in cells
        )
        self._untaught[exchange.label] = TIMELY_MIN if telling < LAGS_MIN else 0

    # --- (1), (6): quotes

    def arrived(self, session: Session, row: Row, said: Said) -> None:
        """A statement reached the feed: from now on it is what the store shows."""
        now_ns = self.world.now_ns()
        before = row.heard
        row.arrived(said, now_ns)
        if said.repeat and session.subscribed_ns.get(row.name, 0) > row.news_ns:
            row.news_ns = now_ns  # a snapshot: the feed has asked what is in force
        if not row.wanted or (before is not None and before.number > said.number):
            return
        exchange = session.exchange
        cell = self.world.store.read(SOURCE_BY_LABEL[exchange.label].source_id, row.symbol_id)
        if said.bad:
            if cell is not None and not cell.flags & UNUSABLE:
                self.broken(1, exchange.label, f"{row.name}: unreadable news left a good quote")
            return
        if self._of_another_level(exchange, row, said, cell):
            return
        if said.odd or said.repeat or now_ns - row.reset_ns < RESET_NS:
            return
        if self._id_is_taken(said, cell):
            return
        if cell is None:
            self.broken(1, exchange.label, f"{row.name}: nothing is stored of {said}")
        else:
            self._stored(session, row, said, cell)

    def _id_is_taken(self, said: Said, cell: Any) -> bool:
        """Whether what stands there bears the same id, of before ids began anew: by that nobody can
        tell the two apart, and copies of a statement bear one id.
        """
        if cell is None or cell.update_id != said.tick.update_id:
            return False
        return bool(cell.ts_recv < self.world.store.clock.now_ns())

    def _of_another_level(self, exchange: Exchange, row: Row, said: Said, cell: Any) -> bool:
        """Whether its price has jumped. Nobody may stand behind it then. What is said once more,
        and is no news to the feed, teaches no level.
        """
        if said.repeat and (cell is None or cell.ts_recv < self.world.store.clock.now_ns()):
            return False
        leaps = row.leaps(said, self.world.now_ns())
        if leaps is None and cell is not None and not cell.flags & QuoteFlag.JUMPED:
            row.level = 0.0 if isnan(said.mid) else said.mid
        if leaps and cell is not None and not cell.flags & UNUSABLE:
            self.broken(1, exchange.label, f"{row.name}: a price of another level stands as good")
        return leaps is not False

    def _stored(self, session: Session, row: Row, said: Said, cell: Any) -> None:
        """What the store shows of news that are to be stored: (1), and (6) where they are fresh."""
        exchange, now_ns = session.exchange, self.world.now_ns()
        usable, late_ns = not cell.flags & UNUSABLE, now_ns - said.said_ns
        skewed = now_ns < self.skewed_until_ns[exchange.label]
        dated = exchange.dated and not said.untimed
        taught = not dated or self._taught(exchange, late_ns)
        exchange.usual.heard(late_ns, now_ns)
        late_ns_max = LAG_NS_MAX + LAG_SLACK_NS + exchange.usual.late_ns
        sent_ns = said.tick.ts_ms * NS_PER_MS
        if late_ns > late_ns_max and dated and not skewed:
            if usable and taught and not self._first_told(session, row, said):
                self.broken(
                    1, exchange.label,
                    f"{row.name}: news {late_ns / NS_PER_S:.1f} s old stand as good",
                )  # fmt: skip
        elif not shows(cell, said):
            self.broken(1, exchange.label, f"{row.name}: the store shows {cell}, not {said}")
        elif said.untimed and not cell.flags & QuoteFlag.NO_TS_EVENT:
            self.broken(1, exchange.label, f"{row.name}: a time that cannot be is {cell.ts_event}")
        elif said.misdated and cell.ts_event not in (TS_ABSENT, sent_ns):
            self.broken(
                1, exchange.label, f"{row.name}: sent at {sent_ns}, and dated {cell.ts_event}"
            )
        elif isnan(said.mid):
            empty = QuoteFlag.BID_EMPTY if isnan(said.bid_px) else QuoteFlag.ASK_EMPTY
            if not cell.flags & empty:
                self.broken(1, exchange.label, f"{row.name}: an empty side, flags {cell.flags}")
        elif not usable and late_ns < LAG_NS_MAX / 2 and not skewed and self._told(exchange, said):
            self.broken(6, exchange.label, f"{row.name}: fresh and flagged {cell.flags}")

    def _told(self, exchange: Exchange, said: Said) -> bool:
        """Whether the feed can know that a quote is fresh: by its time, or by that of the path, if
        it was not asleep just now.
        """
        now_ns = self.world.now_ns()
        awake = now_ns - self.dialling.woke_ns >= SUSPEND_NS
        dated = exchange.dated and not said.untimed
        return dated or (awake and now_ns >= exchange.slow_until_ns)

    def _taught(self, exchange: Exchange, late_ns: int) -> bool:
        """Whether the feed can know that a quote is late.

        Clocks are off by an unknown constant. A life that began while its exchange was away, of
        which nothing recent stands, knows what is late by what it has heard in time: a backlog that
        comes before that looks like a clock that was set meanwhile, until windows have agreed.
        """
        left = self._untaught.get(exchange.label, 0)
        if left:
            left = FOOLED_MIN if late_ns > LAG_SLACK_NS else left - 1
            self._untaught[exchange.label] = left
        return left == 0

    def _first_told(self, session: Session, row: Row, said: Said) -> bool:
        """In a fresh envelope only the engine's time is old. That of what comes first is none of
        lag: a quiet coin's last change may be of yesterday."""
        first = row.late_on != session.number
        row.late_on = session.number
        return said.enveloped and first

    def look_at_late(self) -> None:
        """Every symbol of which there are news that did not arrive, and every dead connection.

        What is only on its way is no longer looked at before LOST_NS is over, nor is what is still
        to be said: whatever happens, no bound is less, but that of a connection that died.
        """
        now_ns, in_ns = self.world.now_ns(), LOST_NS
        self._any_behind = False
        for label, exchange in self.world.exchanges.items():
            if label in self.world.dead:
                continue  # whoever reads its cells looks at its heartbeat: (7)
            if exchange.graves:
                exchange.graves = [one for one in exchange.graves if one.wire.listened_to]
            oldest_ns = exchange.behind_ns
            left_ns = oldest_ns + LOST_NS - now_ns if oldest_ns else LOST_NS
            if exchange.graves or left_ns <= 0:
                left_ns = self._look_at_rows(label, exchange)
            in_ns = min(in_ns, left_ns)
        self._next_late_ns = now_ns + in_ns + LOOK_NS

    def _look_at_rows(self, label: str, exchange: Exchange) -> int:
        """Whether any is too late; returns how soon another one may be, in ns."""
        source_id, in_ns = SOURCE_BY_LABEL[label].source_id, NEVER_NS
        now_ns, live = self.world.now_ns(), exchange.live()
        for row in exchange.rows.values():
            if not row.wanted or row.heard is None:
                continue
            if not exchange.graves:
                if not row.since_ns:
                    continue
                left_ns = row.since_ns + LOST_NS - now_ns
                if left_ns > 0:
                    in_ns = min(in_ns, left_ns)
                    continue
            cell = self.world.store.read(source_id, row.symbol_id)
            if cell is None or cell.flags & UNUSABLE:
                # As long as nothing happens, it stays as it is.
                self._any_behind = True
                continue
            late_ns, bound_ns = self.late(exchange, row, live)
            if late_ns <= bound_ns:
                in_ns = min(in_ns, bound_ns - late_ns)
                continue
            self._any_behind = True
            self.broken(
                1, label,
                f"{row.name}: {late_ns / NS_PER_S:.2f} s behind and usable, at most "
                f"{bound_ns / NS_PER_S:.2f} s",
            )  # fmt: skip
        return in_ns

    def late(self, exchange: Exchange, row: Row, live: list[Session]) -> tuple[int, int]:
        """For how long the exchange has said something newer, or nothing could have arrived; and
        how long that may be."""
        now_ns = self.world.now_ns()
        if exchange.label in self.world.dead:
            return now_ns - self._died_ns[exchange.label], DIED_NS
        late_ns = now_ns - row.since_ns if row.since_ns else 0
        slept = self.dialling.woke_ns and row.heard_ns < self.dialling.woke_ns
        if slept and now_ns - self.dialling.woke_ns < SUSPEND_NS:
            return 0, 1
        if row.reset_ns and now_ns - row.reset_ns < RESET_NS:
            return 0, 1
        carrying = [one for one in live if one.carries(row)]
        unmuted_ns = exchange.unmuted_ns.get(row.name, 0)
        if carrying and 0 < row.since_ns < unmuted_ns:
            # Said while its stream stood still, and lost: without a snapshot, a feed that asks
            # again leaves the cell as it was. What came since must not be late.
            since = next((one.said_ns for one in row.waiting if one.said_ns >= unmuted_ns), 0)
            if not since:
                return late_ns, self._silence_ns(exchange, row)
            late_ns = now_ns - since
        if carrying:
            slower_ns = max(one.wire.slowest_ns for one in carrying) + exchange.switch.held_ns
            return late_ns, max(LOST_NS, slower_ns + LAG_NS_MAX + LAG_SLACK_NS)
        if any(one.subscribed(row.name) for one in live):
            return late_ns, self._silence_ns(exchange, row)
        dead = [one for one in exchange.graves if one.subscribed(row.name)]
        if not dead and live and now_ns - exchange.turned_ns.get(row.name, 0) < TURNED_NS:
            return late_ns, self._silence_ns(exchange, row)
        if dead:
            arrived_ns = max(one.wire.arrived_ns for one in dead)
            # Another one that is not busy may have nothing to say: it is believed as if alone.
            bound_ns = BUSY_NS if all(one.busy for one in dead) else DEAD_NS
            left_ns = now_ns - exchange.left_ns.get(row.name, 0)
            if now_ns - arrived_ns > bound_ns and left_ns <= LOST_NS:
                return left_ns, LOST_NS  # until then another one said all that changed
            return now_ns - arrived_ns, bound_ns
        return min(late_ns, now_ns - exchange.left_ns.get(row.name, 0)), LOST_NS

    def _silence_ns(self, exchange: Exchange, row: Row) -> int:
        own_ns = SILENT_INTERVALS * NS_PER_S / row.rate_per_s
        return int(max(SILENT_NS_MIN, own_ns * SLOWDOWN_MAX) + 5 * NS_PER_S)

    def _not_renewed(self, exchange: Exchange, row: Row) -> None:
        """(1): what brought no news for long is not good, however often it is repeated."""
        now_ns = self.world.now_ns()
        age_ns = now_ns - row.news_ns
        calm = now_ns - 60 * NS_PER_S > self.calm_ns[exchange.label]
        own_s = max(NEWS_INTERVALS / row.rate_per_s, NEWS_PAUSES * row.pause_s)
        own_ns = int(own_s * NS_PER_S) + 60 * NS_PER_S
        if age_ns <= (own_ns if calm else self._silence_ns(exchange, row)):
            return
        cell = self.world.store.read(SOURCE_BY_LABEL[exchange.label].source_id, row.symbol_id)
        if cell is not None and not cell.flags & UNUSABLE:
            self.broken(
                1, exchange.label,
                f"{row.name}: good without news for {age_ns / NS_PER_S:.0f} s",
            )  # fmt: skip

    # --- (7): signals

    def signalled(self, exchange: Exchange, row: Row, kind: int) -> None:
        """The engine says that this leg is good enough for a signal."""
        if kind == SignalKind.EXIT or row.heard is None:
            return
        level = row.level
        if level and not level / JUMP_RATIO <= row.heard.mid <= level * JUMP_RATIO:
            self.broken(7, exchange.label, f"{row.name}: a signal on a price of another level")
        late_ns, bound_ns = self.late(exchange, row, exchange.live())
        if late_ns > bound_ns:
            self.broken(
                7, exchange.label,
                f"{row.name}: a signal on a leg that is {late_ns / NS_PER_S:.2f} s behind",
            )  # fmt: skip

    # --- each time

    def still(self, passed_ns: int) -> None:
        """For so long nothing has happened, and something is about to: all is as it was, and what
        is late is as late as it gets."""
        now_ns = self.world.now_ns()
        if now_ns >= self._next_late_ns:
            self.look_at_late()
        if passed_ns > LINES_NS and now_ns >= self._next_lines_ns:
            self.dialling.look_at_lines()

    def look(self) -> None:
        """Something has happened: it is looked each 50 ms, and what comes sooner is seen before
        the first that comes after them."""
        now_ns = self.world.now_ns()
        if now_ns < self._next_ns:
            if self._next_late_ns > self._next_ns and self._restless():
                self._next_late_ns = self._next_ns
            return
        self._next_ns = now_ns + LOOK_NS
        if self._restless():
            self.look_at_late()
        if now_ns >= self._next_lines_ns:
            self._next_lines_ns = now_ns + LINES_NS
            self.dialling.look_at_lines()

    def _restless(self) -> bool:
        """Whether whatever happens may leave a quote usable that must not be."""
        if self._any_behind:
            return True
        for exchange in self._exchanges:  # noqa: SIM110 - asked after each event: any() costs more
            if exchange.graves:
                return True
        return False

    # --- (2), (6), (8): the full check

    def minute(self) -> None:
        self.checks += 1
        for label, exchange in self.world.exchanges.items():
            counters = self.world.counters(label)
            books.agree(exchange, counters, self.broken)
            books.announced(exchange, counters, self.broken)
            self._says_that_it_is_refused(exchange)
            marks = counters["stale_marks"] + counters["silent_marks"]
            before = self._marks.get(label, marks)
            self._marks[label] = marks
            now_ns, slow = self.world.now_ns(), self._any_slow(exchange)
            for row in exchange.rows.values():
                if row.wanted and row.heard is not None and row.taught >= RATE_KNOWN:
                    self._not_renewed(exchange, row)
            if now_ns - 60 * NS_PER_S <= self.calm_ns[label]:
                continue
            self._has_moved(label, counters["moving"], slow=slow)
            if marks != before and not slow:
                self.broken(6, label, f"{marks - before} marks without a cause")
            for row in exchange.rows.values():
                self._well(exchange, row)

    def _has_moved(self, label: str, moving: int, *, slow: bool) -> None:
        """(2). A symbol that says nothing cannot be stood behind by the line that it goes to."""
        self._unmoved[label] = self._unmoved[label] + 1 if moving and not slow else 0
        if self._unmoved[label] == UNMOVED_CHECKS:
            self.broken(2, label, f"{moving} symbols or connections are still to move")

    def _says_that_it_is_refused(self, exchange: Exchange) -> None:
        """(11). A dial that fails meanwhile is judged first, so that one look may find it well.
        What is acknowledged is waited for anew on each connection: of which there may be none
        before a fault that keeps all away is over.
        """
        label, since_ns, bound_ns = exchange.label, exchange.switch.closed_ns, SAID_NS
        if not exchange.refuses:
            since_ns, bound_ns = since_ns and max(since_ns, self._fault_ns[label]), GIVEN_NS
        closed = since_ns and self.world.now_ns() - since_ns > bound_ns
        self._unsaid[label] = self._unsaid[label] + 1 if closed and self.world.runs(label) else 0
        if self._unsaid[label] == 2:
            self.broken(11, label, "no symbol is given, and the feed says that all is well")

    def _is_slow(self, row: Row) -> bool:
        """It was silent for so long by itself that it may be called so."""
        last_ns = min(row.heard_ns, row.news_ns)
        return row.halted or self.world.now_ns() - last_ns > SLOW_NS_MIN

    def _any_slow(self, exchange: Exchange) -> bool:
        """Whether one is, or was since the check before the last: it may have come back since."""
        before, rows = self._slow[exchange.label], exchange.rows.values()
        now = any(self._is_slow(row) or row.silent_ns > SLOW_NS_MIN for row in rows)
        for row in rows:
            row.silent_ns = 0
        self._slow[exchange.label] = now
        return now or before

    def _well(self, exchange: Exchange, row: Row) -> None:
        if not row.wanted or row.halted or row.listing.status != "trading":
            return
        carrying = exchange.told(row)
        if not carrying:
            self.broken(2, exchange.label, f"{row.name} is not asked for")
            return
        subscribed_ns = min(one.subscribed_ns[row.name] for one in carrying)
        if row.heard is None or row.heard_ns < subscribed_ns or self._is_slow(row):
            return
        if row.unknown:
            return
        source_id = SOURCE_BY_LABEL[exchange.label].source_id
        cell = self.world.store.read(source_id, row.symbol_id)
        if cell is None or cell.flags & UNUSABLE:
            flags = None if cell is None else cell.flags
            self.broken(2, exchange.label, f"{row.name} came, and is flagged {flags}")


def shows(cell: Any, said: Said) -> bool:
    """Whether a cell holds what was said."""
    return (
        near(cell.bid_px, said.bid_px) and near(cell.ask_px, said.ask_px)
        and near(cell.bid_sz, said.bid_sz) and near(cell.ask_sz, said.ask_sz)
    )  # fmt: skip


def near(one: float, other: float) -> bool:
    """NaN is an empty side."""
    return abs(one - other) <= 1e-12 * abs(other) or (isnan(one) and isnan(other))
