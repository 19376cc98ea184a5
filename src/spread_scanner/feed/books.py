"""The order books that a source follows: which, on which connections, and what is shown of them.

Used by the feed. Books have lines of their own beside those of quotes, on the same loop: what
dials, asks and judges silence is the same code over a share of its own, with the depth channel's
adapter.
What is wanted is looked at each time (wanted.py), brought to the lines, and given a slot in the
segment `<ns>.books`, whose only writer this is. Nothing is dialled until somebody wants a book.

What their connections count stands in their rows and not in the feed's, whose counters are of
quotes; gaps, asking anew and the rest have counters of their own.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from logging import INFO, WARNING
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from spread_scanner import clock
from spread_scanner.clock import NS_PER_S
from spread_scanner.config import Settings
from spread_scanner.errors import BadQuote
from spread_scanner.exchanges._match import Decoder
from spread_scanner.exchanges.adapter import BookChange, Delta, RawQuote
from spread_scanner.exchanges.depth import DepthAdapter, dated, depth_decoder_of
from spread_scanner.exchanges.registry import depth_adapter_of
from spread_scanner.feed import freshness
from spread_scanner.feed._board import STALL_NS, BestLag, Board
from spread_scanner.feed._books import AS_BEFORE, BookBoard
from spread_scanner.feed._listener import Listener
from spread_scanner.feed.connection import Connection
from spread_scanner.feed.counting import COUNTER
from spread_scanner.feed.followed import BookOutcome, SourceBook
from spread_scanner.feed.line import Line
from spread_scanner.feed.listings import Instruments
from spread_scanner.feed.placing import Placing
from spread_scanner.feed.seeds import Seeds
from spread_scanner.feed.share import Share
from spread_scanner.feed.wanted import WantedBooks
from spread_scanner.runtime.gate import Gates
from spread_scanner.runtime.life import End
from spread_scanner.schema.books import BookFlag
from spread_scanner.schema.counters import FEED_COUNTERS, FEED_HISTOGRAMS
from spread_scanner.schema.enums import UNUSABLE as UNUSABLE_FLAGS
from spread_scanner.schema.enums import Carries, Source
from spread_scanner.schema.records import TS_ABSENT
from spread_scanner.shm._memory import Memory
from spread_scanner.shm._rows import SIZES, Row
from spread_scanner.shm.books import BooksWriter
from spread_scanner.shm.wants import Wants
from spread_scanner.symbology.tables import InstrumentRow

UNUSABLE = int(UNUSABLE_FLAGS)  # enums are slow to reckon with
DISAGREES_NS = 3 * NS_PER_S  # a top that differs for so long is no race of two channels
COUNTER_OF = {
    BookOutcome.TAKEN: "book_changes",  # also by the native tier
    BookOutcome.OLD: "book_old",
    BookOutcome.GAP: "book_gaps",
    BookOutcome.CHECKSUM: "book_checksums",
}


class Shelf(NamedTuple):
    """What books need of shared memory: the source's slots, and what is wanted."""

    writer: BooksWriter
    wants: Wants


class SourceBooks:
    """One feed's; `look` at each look at the clock, `feel` as often as quotes' connections."""

    def __init__(
        self, share: Share, source: Source, shelf: Shelf, settings: Settings, gates: Gates
    ) -> None:
        self._quotes = share
        self._source = source
        self._writer = shelf.writer
        self._board = BookBoard(
            shelf.writer.table,
            shelf.writer.tape,
            share.row,
            source_id=source.source_id,
            epoch=share.board.writer.epoch,
            symbols=len(share.board.mid),
            odd=self._odd,
            quotes=share.board,
        )
        self._wanted = WantedBooks(source, shelf.wants, settings)
        self._adapter: DepthAdapter | None = None
        self._share = share
        self._followed: dict[int, SourceBook] = {}
        self._lines: list[Line] = []
        self._gates = gates
        self._placing = Placing(share, self._new_lines)
        self._seeds = Seeds(share, gates, self._seeded)
        self._silent: set[int] = set()  # whose streams stand still, by the last look

    # --- what it works with

    def use(self, settings: Settings, names: dict[int, str]) -> None:
        """Settings and tables, at the start and at each reload; `names` are those of symbols."""
        self._wanted.reload(
            settings,
            {names[row.symbol_id]: row.symbol_id for row in self._quotes.instruments.values()},
        )
        adapter = depth_adapter_of(self._source, settings.exchanges[self._source.label])
        target = self._quotes.target._replace(channel=adapter.channel)
        if self._adapter is None or target != self._share.target:
            self.stop()
            self._share = self._own_share(adapter)
            self._share.target = target
            self._placing = Placing(self._share, self._new_lines)
            self._seeds = Seeds(self._share, self._gates, self._seeded)
        self._adapter = self._share.adapter = adapter
        share, quotes = self._share, self._quotes
        share.settings, share.tls, share.connects = quotes.settings, quotes.tls, quotes.connects
        share.board.silence = freshness.silence_rule(share.settings)
        self.take_tables(quotes.instruments)
        for line in self._lines:
            line.retune()
            line.ask_at_once()

    def _own_share(self, adapter: DepthAdapter) -> Share:
        """What books' connections share: a board that is not the quotes', over the same cells, of
        which they write none, and counters that nobody else reads.
        """
        quotes = self._quotes
        counters, buckets = len(FEED_COUNTERS), len(FEED_HISTOGRAMS) * SIZES["histogram_buckets"]
        memory = Memory(bytearray(8 * (counters + buckets)), writable=True)
        row = Row(memory, 0, counters, 8 * counters, len(FEED_HISTOGRAMS))
        board = Board(
            quotes.board.writer,
            row,
            quotes.board.anchor_ns,
            quotes.board.lag_ns_max,
            clock_off_ns_max=quotes.board.clock_off_ns_max,
            best=BestLag(quotes.settings.lag_drift_ppm),
        )
        board.looked_ns = clock.mono_ns()
        share = replace(
            quotes,
            adapter=adapter,
            board=board,
            row=row,
            decoder=Decoder((), {}),
            carries=Carries.BOOKS,
            books=self._board,
            tier=lambda number: BooksTier(self, number),
            disowned=self._disowned,
            rest_on=lambda _: False,
        )
        share.outages = quotes.outages
        return share

    def take_tables(self, new: Instruments) -> None:
        """Listings that mean something else from now on are followed anew."""
        self._share.instruments = new
        for symbol_id, followed in list(self._followed.items()):
            row = new.get(followed.row.exchange_symbol)
            same = row is not None and (row.symbol_id, row.px_div, row.sz_mul) == (
                symbol_id, followed.row.px_div, followed.row.sz_mul,
            )  # fmt: skip
            if not same:
                self._let_go(symbol_id)
        if self._adapter is not None:
            scales = {name: (row.symbol_id, row.px_div, row.sz_mul) for name, row in new.items()}
            self._board.use(depth_decoder_of(self._adapter, scales))

    def stop(self) -> None:
        """Follow nothing; the next look begins anew."""
        self._seeds.stop()
        for line in self._lines:
            line.stop()
        self._lines = []
        for symbol_id in list(self._followed):
            self._let_go(symbol_id)
        self._show()

    def woke(self) -> None:
        """The machine slept: what was open is dead."""
        self._share.woke_ns = clock.mono_ns()
        self._writer.mark_all(BookFlag.STALE)
        for line in list(self._lines):
            line.redial()

    # --- the regular look at things

    def feel(self, now_ns: int) -> None:
        """The pulse of the connections."""
        board = self._share.board
        stalled = bool(self._lines) and now_ns - board.looked_ns > STALL_NS
        for line in self._lines:
            for connection in line.connections:
                if stalled:
                    connection.doubt()
                else:
                    connection.feel(now_ns, 1.0)
        board.looked_ns = now_ns

    def look(self, now_ns: int) -> None:
        """What is wanted, what is silent, and what is to be asked for anew."""
        adapter = self._adapter
        wanted = self._wanted.look(now_ns) if adapter is not None else []
        if adapter is None or not (wanted or self._followed or self._lines):
            return
        self._follow(adapter, wanted)
        for line in list(self._lines):
            line.check(now_ns, 1.0)
        self._silent = self._still(now_ns)
        self._placing.look([self._lines], self._silent, now_ns)
        self._judge(now_ns)
        self._ask_anew(adapter, now_ns)
        self._show(len(wanted))

    def _follow(self, adapter: DepthAdapter, wanted: list[int]) -> None:
        """Bring slots and lines to what is wanted; who is more urgent keeps his place."""
        rows = {row.symbol_id: row for row in self._share.instruments.values()}
        wanted = [one for one in wanted if one in rows][: self._writer.slots]
        for symbol_id in self._followed.keys() - set(wanted):
            self._let_go(symbol_id)
        for symbol_id in wanted:
            if symbol_id in self._followed:
                continue
            slot = self._writer.take(symbol_id)
            if slot >= 0:
                self._followed[symbol_id] = book = SourceBook(rows[symbol_id], adapter)
                self._board.keep(symbol_id, book, self._writer.first + slot)
        names = [one.row.exchange_symbol for one in self._followed.values()]
        if set(names) != {name for line in self._lines for name in line.symbols}:
            self._placing.bring(self._lines, names)

    def _let_go(self, symbol_id: int) -> None:
        del self._followed[symbol_id]
        self._board.drop(symbol_id)
        # Whoever wants it again does not wait for what stood still meanwhile.
        self._share.board.heard_ns[symbol_id] = 0
        self._writer.release(symbol_id)

    def _still(self, now_ns: int) -> set[int]:
        """The ids of those whose streams stand still: by their own rates, as of quotes, or by their
        quotes' where they have brought nothing yet; and those that were lost and of which nothing
        has come since, though their connection is heard.
        """
        share = self._share
        board, first_ns = share.board, int(share.settings.first_quote_s_max * NS_PER_S)
        rule = freshness.silence_rule(share.settings)
        late = freshness.out_of_line(now_ns, board.heard_ns, board.mean_ns, rule, 1.0)
        trusted_ns = np.zeros_like(board.heard_ns)
        for symbol_id, one in self._followed.items():
            trusted_ns[symbol_id] = one.trusted_ns
        mean_ns = self._quotes.board.mean_ns
        late |= freshness.out_of_line(now_ns, trusted_ns, mean_ns, rule, 1.0)
        return {
            symbol_id
            for symbol_id, one in self._followed.items()
            if late[symbol_id]
            or (one.lost_ns and not one.waits and now_ns - one.lost_ns > first_ns)
        }

    def _judge(self, now_ns: int) -> None:
        """Who is silent is stale, and a top that is not the quotes' is said."""
        heard, prompt = set(), set()
        for line in self._lines:
            if line.current is not None and not line.current.silent:
                heard.update(line.symbols)
                if not _behind(line.current.listener):
                    prompt.update(line.symbols)
        for followed in self._followed.values():
            name = followed.row.exchange_symbol
            still = followed.row.symbol_id in self._silent
            stale = name not in heard or followed.owner == 0 or still
            # Its time says how late a message was; without one, only that of its connection.
            late = followed.late and (followed.ts_event != TS_ABSENT or name not in prompt)
            if (stale, late) != (followed.stale, followed.late):
                followed.stale, followed.late = stale, late
                self._republish(followed)
            self._compare(followed, now_ns)

    def _compare(self, followed: SourceBook, now_ns: int) -> None:
        """The top beside that of the quotes: two channels that race differ for moments only."""
        quote = self._quotes.board.writer.own(followed.row.symbol_id)
        usable = quote is not None and not quote.flags & UNUSABLE and not followed.stale
        same = quote is None or not usable or followed.top[::2] == (quote.bid_px, quote.ask_px)
        if same:
            followed.disagrees_ns = 0
        elif not followed.disagrees_ns:
            followed.disagrees_ns = now_ns
        disagrees = not same and now_ns - followed.disagrees_ns >= DISAGREES_NS
        if disagrees != followed.disagrees:
            followed.disagrees = disagrees
            self._count("book_top_disagrees", int(disagrees))
            if disagrees:
                followed.lose(now_ns)
            self._republish(followed)

    def _ask_anew(self, adapter: DepthAdapter, now_ns: int) -> None:
        """Snapshots by REST, or subscribing again; those of one connection in one request. Who has
        waited longest comes first, as not all may be asked for again at once.
        """
        if adapter.snapshots_only:
            return
        again: dict[Connection, list[str]] = {}
        for connection, followed in sorted(self._due(adapter, now_ns), key=_due_ns):
            name = followed.row.exchange_symbol
            request = adapter.seed_request(name)
            if request is not None:
                repeats = followed.asked_on == connection.number
                if not followed.may_be_seeded(connection.number):
                    continue
                if repeats and not self._seeds.may_repeat(now_ns):
                    continue
                self._seeds.want(adapter, name)
                if repeats:
                    self._seeds.repeated(adapter, request, now_ns)
            else:
                again.setdefault(connection, []).append(name)
            followed.asked(now_ns, connection.number)
            self._count("book_resyncs")
        for connection, names in again.items():
            connection.ask_again(names)

    def _due(self, adapter: DepthAdapter, now_ns: int) -> Iterator[tuple[Connection, SourceBook]]:
        """Those that do not stand, are carried, and whose pause is over."""
        begins = adapter.keeps_window  # with a snapshot
        for line in self._lines:
            connection = line.current
            if connection is None or connection.silent:
                continue
            for followed in self._of(line):
                if not connection.watch.given(followed.row.exchange_symbol):
                    continue
                followed.given(now_ns, begins=begins)
                due_ns = followed.due_ns
                if not followed.stands and due_ns is not None and now_ns >= due_ns:
                    yield connection, followed

    def _of(self, line: Line) -> Iterable[SourceBook]:
        rows = (self._share.instruments.get(name) for name in line.symbols)
        found = (self._followed.get(row.symbol_id) for row in rows if row is not None)
        return [followed for followed in found if followed is not None]

    def _show(self, wanted: int = 0) -> None:
        standing = sum(one.stands and not one.stale for one in self._followed.values())
        self._quotes.row.set(COUNTER["books"], standing)
        self._quotes.row.set(COUNTER["books_wanted"], wanted)

    # --- lines

    @property
    def asks_by_rest(self) -> bool:
        """Whether there is no book of something, and that begins with a snapshot by REST."""
        adapter = self._adapter
        return adapter is not None and any(
            not one.stands and adapter.seed_request(one.row.exchange_symbol) is not None
            for one in self._followed.values()
        )

    @property
    def carried(self) -> bool:
        """Whether a connection carries each line of books."""
        return all(line.carried for line in self._lines)

    @property
    def connections(self) -> list[Connection]:
        """Those that are open."""
        return [one for line in self._lines for one in line.connections]

    def _new_lines(self, cut: list[list[str]]) -> list[Line]:
        return [Line(self._share, symbols, self._lost) for symbols in cut]

    def _lost(self, connection: Connection, why: End) -> None:
        """What a connection said last stands, stale, until another goes on from it."""
        left = [one for one in self._followed.values() if one.owner == connection.number]
        for followed in left:
            followed.left()
            self._republish(followed)
        self._share.outages.take(
            "connection of books ended",
            why.value,
            clock.mono_ns(),
            level=INFO if why in (End.SWAPPED, End.STOPPED) else WARNING,
            sums={"books": len(left)},
            connection=connection.number,
        )

    def _disowned(self, ids: npt.NDArray[np.uint16]) -> None:
        """What is refused from now on."""
        for symbol_id in ids.tolist():
            followed = self._followed.get(symbol_id)
            if followed is not None:
                followed.left()
                self._republish(followed)

    # --- what arrives

    def take(self, said: BookChange, listener: Listener, number: int) -> None:
        """A message of a connection."""
        row = self._share.instruments.get(said.exchange_symbol)
        followed = self._followed.get(row.symbol_id) if row is not None else None
        if row is None or followed is None:
            self._share.row.add(COUNTER["skip_unknown_symbol"])
            return
        listener.heard(row.symbol_id)
        said = self._dated(said, listener.read_ns)
        outcome = followed.take(said, number, clock.mono_ns())
        if outcome is BookOutcome.TAKEN:
            # A snapshot to begin with may bear the time of the last change, which may be long ago.
            ts_event = said.ts_event if self._tells_lag(said) else TS_ABSENT
            followed.late = self._board.late(ts_event, listener.read_ns, _behind(listener))
        self._taken(followed, outcome, listener.read_ns)

    def _dated(self, said: BookChange, recv_ns: int) -> BookChange:
        """With the time that is believed; one that cannot be is counted and said, as a quote's."""
        found, bad = dated(said, recv_ns + self._quotes.board.clock_off_ns_max)
        if bad:
            self._count("book_bad_times")
            error = BadQuote("a book's time that cannot be", symbol=said.exchange_symbol)
            times = f"{said.exchange_symbol}: {said.ts_event}, sent {said.ts_sent}"
            self._share.evidence.take(error, times.encode())
        return found

    def _tells_lag(self, said: BookChange) -> bool:
        return not said.snapshot or (self._adapter is not None and self._adapter.snapshots_only)

    def _seeded(self, exchange_symbol: str, seed: BookChange | None) -> None:
        row = self._share.instruments.get(exchange_symbol)
        followed = self._followed.get(row.symbol_id) if row is not None else None
        number = self._carrier(exchange_symbol)
        if followed is None or followed.stands or not number:
            return
        outcome = BookOutcome.GAP
        recv_ns = clock.mono_ns() + self._share.board.anchor_ns
        if seed is not None:
            seed = self._dated(seed, recv_ns)
            outcome = followed.seeded(seed, number, clock.mono_ns())
            followed.late = False
        if outcome is BookOutcome.GAP:
            self._count("book_seeds_failed")
        else:
            self._taken(followed, outcome, recv_ns)

    def _carrier(self, exchange_symbol: str) -> int:
        """The number of the connection that is given a symbol; 0: none is."""
        for line in self._lines:
            current = line.current
            if current is not None and current.watch.given(exchange_symbol):
                return current.number
        return 0

    def unread(self, row: InstrumentRow) -> int:
        """A message of a book could not be read, and so what stands is not the book."""
        followed = self._followed.get(row.symbol_id)
        if followed is None or not followed.stands:
            return 0
        followed.lose(clock.mono_ns())
        self._republish(followed)
        return 1

    def _taken(self, followed: SourceBook, outcome: BookOutcome, recv_ns: int) -> None:
        if outcome in COUNTER_OF:
            self._count(COUNTER_OF[outcome])
        if outcome is BookOutcome.TAKEN:
            followed.stale = False
            self._publish(followed, recv_ns)
        elif outcome in (BookOutcome.GAP, BookOutcome.CHECKSUM):
            self._republish(followed)

    def _republish(self, followed: SourceBook) -> None:
        """The same levels, with what is to be said of them now."""
        if followed.top:
            self._publish(followed, AS_BEFORE)
        else:
            self._writer.mark(followed.row.symbol_id, followed.flags)

    def _publish(self, followed: SourceBook, recv_ns: int) -> None:
        flags = self._board.publish(followed.row.symbol_id, recv_ns)
        if recv_ns != AS_BEFORE:
            self._look_at(followed, flags)

    def _odd(self, followed: SourceBook, flags: int) -> None:
        """The native tier took a message that left a book so."""
        try:
            self._look_at(followed, flags)
        except Exception as error:
            self._share.fail(error)

    def _look_at(self, followed: SourceBook, flags: int) -> None:
        crossed = bool(flags & BookFlag.CROSSED)
        self._count("book_crossed", int(crossed and not followed.crossed))
        followed.crossed = crossed
        if flags & BookFlag.DEPLETED:
            self._count("book_depleted")
            followed.lose(clock.mono_ns())
            self._republish(followed)

    def _count(self, label: str, count: int = 1) -> None:
        self._quotes.row.add(COUNTER[label], count)


def _due_ns(one: tuple[Connection, SourceBook]) -> int:
    return one[1].due_ns or 0


def _behind(listener: Listener) -> bool:
    """Whether what a connection brings may be old."""
    return listener.behind or listener.path_lags


class BooksTier:
    """Where one connection's messages go."""

    def __init__(self, books: SourceBooks, number: int) -> None:
        self._books = books
        self._number = number

    def quote(self, raw: RawQuote) -> None:
        """None comes on these channels."""

    def delta(self, delta: Delta) -> None:
        """Likewise."""

    def book(self, change: BookChange, listener: Listener) -> None:
        self._books.take(change, listener, self._number)

    def unread(self, row: InstrumentRow) -> int:
        return self._books.unread(row)

    def path(self, lags: bool, ids: npt.NDArray[np.uint16]) -> None:
        """Each message is asked how late it is."""
