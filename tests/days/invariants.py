"""What has to hold at every moment of a day. docs/developing.md states each in words.

Incremental: a quote is judged as it arrives, a symbol that is behind each 50 ms, lines each 250 ms,
dials and signals as they come. The full check of everything comes each virtual minute. Whatever is
compared comes from the exchange's own books (market.py, exchange.py) and from the segments that
every process reads; never from the feed's own opinion.
"""

from collections import defaultdict, deque
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from exchange import Exchange
from fault import Fault
from faults import KINDS
from host import BAN_SLACK_NS, BESIDE, Dial
from loop import NEVER_NS
from market import Row, Said
from session import Session

from spread_scanner.clock import NS_PER_MS, NS_PER_S
from spread_scanner.schema.enums import SOURCE_BY_LABEL, UNUSABLE, SignalKind

LOOK_NS = 50 * NS_PER_MS
LOST_NS = 400 * NS_PER_MS  # a connection that ended: marked as soon as that is heard
DEAD_NS = 2_350 * NS_PER_MS  # silent for 1 s, pinged, silent for another; one check and a bit
BUSY_NS = 1_350 * NS_PER_MS  # over 50 messages/s there is no need to ask
SILENT_INTERVALS = 50.0
SILENT_NS_MIN = 30 * NS_PER_S
SLOWDOWN_MAX = 10.0
SUSPEND_NS = 300 * NS_PER_MS  # from waking to the next heartbeat
TURNED_NS = 15 * NS_PER_S  # unsubscribed, answered, asked for again at a quarter of the pace
RESET_NS = 3_500 * NS_PER_MS  # ids that began anew are believed within this
LAG_NS_MAX = 2 * NS_PER_S
LAG_SLACK_NS = 600 * NS_PER_MS
DIALS_PER_MINUTE_MAX = 12  # of one line: what a back-off from 0.25 s leaves possible
RECENT_NS = 600 * NS_PER_S  # what was tried longer ago is no reason to wait
BACKOFF_NS_MIN = 250 * NS_PER_MS  # doubled with each try
PROMPT_NS = 700 * NS_PER_MS  # the first pause and a look; and turns, at the exchange's rate
BACKOFF_NS_MAX = 30 * NS_PER_S
CONNECT_NS_MAX = 10 * NS_PER_S
FOUND_MAX = 20


class Violation(NamedTuple):
    """`rule` is the invariant's number."""

    rule: int
    at_s: float
    source: str
    text: str

    def __str__(self) -> str:
        return f"({self.rule}) at {self.at_s:.3f} s, {self.source}: {self.text}"


class World(Protocol):
    """What the invariants look at."""

    exchanges: dict[str, Exchange]
    store: Any

    def now_ns(self) -> int: ...

    def lines(self, label: str) -> "list[LineView]": ...

    def all_carried(self, label: str) -> bool: ...

    def look_again(self, in_ns: int) -> None: ...

    def counters(self, label: str) -> dict[str, int]: ...


class LineView(NamedTuple):
    """One of a feed's lines: its number in a day, and whether it has a connection."""

    number: int
    carried: int  # the number of its connection; 0: it has none
    data: bool


@dataclass
class LineBook:
    """What is known of one line."""

    away_ns: int = 0  # since when it has no connection; 0: it has one
    seen_ns: int = 0  # when it was last seen with one
    dials: deque[int] = field(default_factory=deque)  # of the last minute
    recent: deque[int] = field(default_factory=deque)  # of the last ten


class Invariants:
    """Collects what is broken; a day ends at the first."""

    def __init__(self, world: World, start_ns: int) -> None:
        self.world = world
        self.start_ns = start_ns
        self.found: list[Violation] = []
        self.calm_ns: dict[str, int] = defaultdict(lambda: start_ns + 120 * NS_PER_S)
        self.woke_ns = 0
        self.skewed_until_ns: dict[str, int] = defaultdict(int)
        self.refused_until_ns: dict[str, int] = defaultdict(int)
        self._books: dict[tuple[str, int], LineBook] = defaultdict(LineBook)
        self._carried_ns: dict[str, int] = defaultdict(int)  # when all lines were
        self._marks: dict[str, int] = {}
        self.next_ns = 0  # when it is to be looked again
        self._next_lines_ns = 0
        self._next_late_ns = 0
        self.checks = 0

    def broken(self, rule: int, source: str, text: str) -> None:
        if len(self.found) < FOUND_MAX:
            at_s = (self.world.now_ns() - self.start_ns) / NS_PER_S
            self.found.append(Violation(rule, at_s, source, text))

    # --- what the day tells

    def fault(self, exchange: Exchange, fault: Fault) -> None:
        """A fault begins; until `within_s` after its end nothing has to be well."""
        kind = KINDS[fault.kind]
        now_ns = self.world.now_ns()
        end_ns = now_ns + int((fault.for_s + kind.within_s) * NS_PER_S)
        if fault.kind in ("unwelcome", "nameless"):
            self.refused_until_ns[exchange.label] = end_ns
        if fault.kind == "skew":
            self.skewed_until_ns[exchange.label] = end_ns
        if kind.within_s:
            self.calm_ns[exchange.label] = max(self.calm_ns[exchange.label], end_ns)

    def woke(self) -> None:
        """The machine slept: whatever is there is too old."""
        self.woke_ns = self.world.now_ns()
        for label in self.world.exchanges:
            well_ns = self.woke_ns + int(KINDS["suspend"].within_s * NS_PER_S)
            self.calm_ns[label] = max(self.calm_ns[label], well_ns)
        for book in self._books.values():
            book.dials.clear()  # what was paused has paused enough: back-offs begin anew

    # --- (3), (4), (5): dials

    def dialled(self, exchange: Exchange, dial: Dial, in_window: int) -> None:
        host, now_ns = exchange.host, dial.at_ns
        if in_window > host.limit:
            self.broken(
                3, exchange.label, f"{in_window} dials in {host.window_s:g} s, {host.limit} allowed"
            )
        if host.ban_told_ns and host.ban_told_ns < now_ns < host.ban_until_ns:
            left_s = (host.ban_until_ns - now_ns) / NS_PER_S
            self.broken(5, exchange.label, f"dialled {left_s:.1f} s before the end of a ban")
        if dial.line != BESIDE:
            self.attempted(exchange, dial.line)

    def attempted(self, exchange: Exchange, line: int) -> None:
        """A line tries to connect, be it that the name cannot be resolved."""
        now_ns = self.world.now_ns()
        book = self._books[exchange.label, line]
        book.recent.append(now_ns)
        book.dials.append(now_ns)
        while book.dials[0] <= now_ns - 60 * NS_PER_S:
            book.dials.popleft()
        if len(book.dials) > DIALS_PER_MINUTE_MAX:
            self.broken(
                4, exchange.label, f"line {line} dialled {len(book.dials)} times in a minute"
            )

    def look_at_lines(self) -> None:
        now_ns = self.world.now_ns()
        for label, exchange in self.world.exchanges.items():
            if self.world.all_carried(label):
                self._carried_ns[label] = now_ns
                continue
            banned_ns = exchange.host.ban_until_ns + BAN_SLACK_NS
            for line in self.world.lines(label):
                book = self._books[label, line.number]
                book.seen_ns = max(book.seen_ns, self._carried_ns[label])
                if book.away_ns <= self._carried_ns[label]:
                    book.away_ns = 0
                if line.carried:
                    book.seen_ns = now_ns
                    book.away_ns = 0
                    continue
                if not book.away_ns:
                    book.away_ns = book.seen_ns or now_ns
                turns = 1 + self._dialling(exchange)
                free_ns = max(banned_ns, self.woke_ns, exchange.beside_until_ns)
                self._not_forgotten(label, line.number, turns * exchange.host.every_ns, free_ns)

    def _dialling(self, exchange: Exchange) -> int:
        """How many may want a turn at one host: all lines there, and what hears announcements."""
        there = [
            label for label, one in self.world.exchanges.items() if one.host is exchange.host
        ]  # fmt: skip
        return sum(1 + len(self.world.lines(label)) for label in there)

    def _not_forgotten(self, label: str, number: int, turns_ns: int, free_ns: int) -> None:
        """A line waits no longer than its own tries explain, and for the turns of its lines."""
        now_ns = self.world.now_ns()
        book = self._books[label, number]
        while book.recent and book.recent[0] <= now_ns - RECENT_NS:
            book.recent.popleft()
        pause_ns = min(BACKOFF_NS_MAX, BACKOFF_NS_MIN << len(book.recent))
        last_ns = book.recent[-1] if book.recent else 0
        tried = last_ns > book.away_ns
        bound_ns = PROMPT_NS + turns_ns + pause_ns + (CONNECT_NS_MAX if tried else 0)
        waited_ns = now_ns - max(last_ns, book.away_ns, free_ns)
        if waited_ns > bound_ns and now_ns >= self.refused_until_ns[label]:
            self.broken(
                4, label,
                f"line {number} waits {waited_ns / NS_PER_S:.2f} s for its dial, after "
                f"{len(book.recent)} in ten minutes at most {bound_ns / NS_PER_S:.2f} s",
            )  # fmt: skip
            book.away_ns = now_ns

    # --- (1), (6): quotes

    def arrived(self, session: Session, row: Row, said: Said) -> None:
        """A statement reached the feed: from now on it is what the store shows."""
        now_ns = self.world.now_ns()
        before = row.heard
        row.arrived(said, now_ns)
        exchange = session.exchange
        if not row.wanted or (before is not None and before.number > said.number):
            return
        cell = self.world.store.read(SOURCE_BY_LABEL[exchange.label].source_id, row.symbol_id)
        usable = cell is not None and not cell.flags & UNUSABLE
        same = cell is not None and shows(cell, said)
        if said.bad:
            if usable:
                self.broken(1, exchange.label, f"{row.name}: unreadable news left a good quote")
            return
        if said.odd or said.repeat or now_ns - row.reset_ns < RESET_NS:
            return
        late_ns = now_ns - said.said_ns
        skewed = now_ns < self.skewed_until_ns[exchange.label]
        if late_ns > LAG_NS_MAX + LAG_SLACK_NS and has_time(exchange) and not skewed:
            if usable:
                self.broken(
                    1, exchange.label,
                    f"{row.name}: news {late_ns / NS_PER_S:.1f} s old stand as good",
                )  # fmt: skip
        elif not same:
            self.broken(1, exchange.label, f"{row.name}: the store shows {cell}, not {said}")
        elif not has_time(exchange) and now_ns < exchange.slow_until_ns:
            return
        elif not usable and late_ns < LAG_NS_MAX / 2 and not skewed and cell is not None:
            self.broken(6, exchange.label, f"{row.name}: fresh and flagged {cell.flags}")

    def look_at_late(self) -> None:
        """Every symbol of which there are news that did not arrive, and every dead connection.

        What is only on its way is no longer looked at before LOST_NS is over: whatever happens, no
        bound is less from then on, but that of a connection that died.
        """
        now_ns, in_ns = self.world.now_ns(), NEVER_NS
        for label, exchange in self.world.exchanges.items():
            if exchange.graves:
                exchange.graves = [one for one in exchange.graves if one.wire.listened_to]
            oldest_ns = exchange.behind_ns
            left_ns = oldest_ns + LOST_NS - now_ns if oldest_ns else NEVER_NS
            if exchange.graves or left_ns <= 0:
                left_ns = min(LOST_NS, self._look_at_rows(label, exchange))
            in_ns = min(in_ns, LOOK_NS if exchange.graves else left_ns)
        self._next_late_ns = 0
        if in_ns < NEVER_NS:
            in_ns = max(LOOK_NS, in_ns)
            self._next_late_ns = now_ns + in_ns
            self.world.look_again(in_ns)

    def _look_at_rows(self, label: str, exchange: Exchange) -> int:
        """Whether any is too late; returns how soon another one may be, in ns."""
        source_id, in_ns = SOURCE_BY_LABEL[label].source_id, NEVER_NS
        now_ns = self.world.now_ns()
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
            late_ns, bound_ns = self.late(exchange, row)
            if late_ns <= bound_ns:
                in_ns = min(in_ns, bound_ns - late_ns)
                continue
            in_ns = LOOK_NS
            cell = self.world.store.read(source_id, row.symbol_id)
            if cell is not None and not cell.flags & UNUSABLE:
                self.broken(
                    1, label,
                    f"{row.name}: {late_ns / NS_PER_S:.2f} s behind and usable, at most "
                    f"{bound_ns / NS_PER_S:.2f} s",
                )  # fmt: skip
        return in_ns

    def late(self, exchange: Exchange, row: Row) -> tuple[int, int]:
        """For how long the exchange has said something newer, or nothing could have arrived; and
        how long that may be."""
        now_ns = self.world.now_ns()
        late_ns = now_ns - row.since_ns if row.since_ns else 0
        slept = self.woke_ns and row.heard_ns < self.woke_ns
        if slept and now_ns - self.woke_ns < SUSPEND_NS:
            return 0, 1
        if row.reset_ns and now_ns - row.reset_ns < RESET_NS:
            return 0, 1
        live = [one for one in exchange.sessions if one.wire.listened_to and not one.wire.dead]
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
            slower_ns = max(one.wire.slower_ns for one in carrying) + exchange.switch.held_ns
            return late_ns, max(LOST_NS, slower_ns + LAG_NS_MAX + LAG_SLACK_NS)
        if any(one.subscribed(row.name) for one in live):
            return late_ns, self._silence_ns(exchange, row)
        dead = [one for one in exchange.graves if one.subscribed(row.name)]
        if not dead and live and now_ns - exchange.turned_ns.get(row.name, 0) < TURNED_NS:
            return late_ns, self._silence_ns(exchange, row)
        if dead:
            arrived_ns = max(one.wire.arrived_ns for one in dead)
            busy = any(one.busy for one in dead)
            return now_ns - arrived_ns, BUSY_NS if busy else DEAD_NS
        return min(late_ns, now_ns - exchange.left_ns.get(row.name, 0)), LOST_NS

    def _silence_ns(self, exchange: Exchange, row: Row) -> int:
        own_ns = SILENT_INTERVALS * NS_PER_S / row.rate_per_s
        return int(max(SILENT_NS_MIN, own_ns * SLOWDOWN_MAX) + 5 * NS_PER_S)

    # --- (7): signals

    def signalled(self, exchange: Exchange, row: Row, kind: int) -> None:
        """The engine says that this leg is good enough for a signal."""
        if kind == SignalKind.EXIT or row.heard is None:
            return
        late_ns, bound_ns = self.late(exchange, row)
        if late_ns > bound_ns:
            self.broken(
                7, exchange.label,
                f"{row.name}: a signal on a leg that is {late_ns / NS_PER_S:.2f} s behind",
            )  # fmt: skip

    # --- each time

    def look(self) -> None:
        """Each 50 ms, as far as anything happens then."""
        now_ns = self.world.now_ns()
        self.next_ns = now_ns + LOOK_NS
        if now_ns >= self._next_late_ns or any(
            exchange.graves for exchange in self.world.exchanges.values()
        ):
            self.look_at_late()
        if now_ns >= self._next_lines_ns:
            self._next_lines_ns = now_ns + 250 * NS_PER_MS
            self.look_at_lines()

    # --- (2), (6), (8): the full check

    def minute(self) -> None:
        self.checks += 1
        for label, exchange in self.world.exchanges.items():
            counters = self.world.counters(label)
            self._books_agree(exchange, counters)
            marks = counters["stale_marks"] + counters["silent_marks"]
            before = self._marks.get(label, marks)
            self._marks[label] = marks
            now_ns = self.world.now_ns()
            if now_ns - 60 * NS_PER_S <= self.calm_ns[label]:
                continue
            silent = [row for row in exchange.rows.values() if self._is_slow(row)]
            if marks != before and not silent:
                self.broken(6, label, f"{marks - before} marks without a cause")
            for row in exchange.rows.values():
                self._well(exchange, row)

    def _is_slow(self, row: Row) -> bool:
        """It was silent for so long by itself that it may be called so."""
        return row.halted or self.world.now_ns() - row.heard_ns > SILENT_NS_MIN - 10 * NS_PER_S

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
        source_id = SOURCE_BY_LABEL[exchange.label].source_id
        cell = self.world.store.read(source_id, row.symbol_id)
        if cell is None or cell.flags & UNUSABLE:
            flags = None if cell is None else cell.flags
            self.broken(2, exchange.label, f"{row.name} came, and is flagged {flags}")

    def _books_agree(self, exchange: Exchange, counters: dict[str, int]) -> None:
        taken = (
            counters["quotes"] + counters["repeats"]
            + counters["skip_duplicate"] + counters["skip_out_of_order"]
            + counters["skip_bad_quote"] + counters["skip_unknown_symbol"]
            + counters["skip_bad_message"]
        )  # fmt: skip
        said = exchange.counted.get
        for what, ours, theirs in (
            ("messages", counters["messages"], exchange.frames),
            ("connects", counters["connects"], said("connects", 0)),
            ("quotes", taken, said("quotes", 0)),
            ("requests over the rate", 0, said("too_fast", 0)),
        ):
            if ours != theirs:
                self.broken(8, exchange.label, f"{what}: {ours} counted, the exchange: {theirs}")
                exchange.frames, exchange.counted["connects"] = (
                    counters["messages"], counters["connects"],
                )  # fmt: skip
                exchange.counted["quotes"] = taken
                exchange.counted["too_fast"] = 0


def has_time(exchange: Exchange) -> bool:
    """Whether its quotes carry a time of the exchange."""
    return exchange.label != "binance-spot"


def shows(cell: Any, said: Said) -> bool:
    """Whether a cell holds what was said."""
    return (
        near(cell.bid_px, said.bid_px) and near(cell.ask_px, said.ask_px)
        and near(cell.bid_sz, said.bid_sz) and near(cell.ask_sz, said.ask_sz)
    )  # fmt: skip


def near(one: float, other: float) -> bool:
    return abs(one - other) <= 1e-12 * abs(other)
