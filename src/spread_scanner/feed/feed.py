"""One source's feed: its lines, its heartbeat, its orders, and what is marked stale when.

Writes the source's cells of the price store, its health row and its connections' rows. Runs on one
event loop; everything that happens happens there, so that a heartbeat means that quotes are read.
"""

import asyncio
import contextlib
import ssl
from collections.abc import Callable, Iterable
from logging import INFO, WARNING

from spread_scanner import clock
from spread_scanner.clock import NS_PER_MS, NS_PER_S
from spread_scanner.config import Settings
from spread_scanner.exchanges._match import Decoder
from spread_scanner.exchanges.adapter import Adapter
from spread_scanner.exchanges.notices import Announcement, stream_of
from spread_scanner.exchanges.registry import adapter_of
from spread_scanner.feed import announced, levels, shards
from spread_scanner.feed._board import STALL_NS, BestLag, Board
from spread_scanner.feed.books import Shelf, SourceBooks
from spread_scanner.feed.connection import Connection
from spread_scanner.feed.counting import COUNTER
from spread_scanner.feed.freshness import silence_rule
from spread_scanner.feed.halts import Halts, Judgement
from spread_scanner.feed.line import Line
from spread_scanner.feed.listings import (
    Instruments,
    changed_ids,
    decoder_of,
    instruments_of,
)
from spread_scanner.feed.marks import Marks
from spread_scanner.feed.missed import Missed
from spread_scanner.feed.moving import Moving
from spread_scanner.feed.notices import Notices
from spread_scanner.feed.outlook import FeedState, Outlook
from spread_scanner.feed.placing import Placing
from spread_scanner.feed.sharing import put_in_force, share_of
from spread_scanner.feed.tempo import Tempo
from spread_scanner.runtime import ws
from spread_scanner.runtime.gate import Ban, Gates
from spread_scanner.runtime.life import End
from spread_scanner.runtime.process import Process
from spread_scanner.schema.enums import ProcessState, Source
from spread_scanner.shm.connections import ConnectionRows
from spread_scanner.shm.control import Orders
from spread_scanner.shm.faults import Retired
from spread_scanner.shm.price_store import PriceStore, Writer
from spread_scanner.symbology import tables
from spread_scanner.web import trust

CHECK_S = 0.1
LOOK_NS = 250 * NS_PER_MS  # between two looks at every line, and at what is to be asked again
COUNT_NS = NS_PER_S  # between two counts of the good symbols
POLL_S_MAX = 0.1  # a stop is obeyed within a second, however rare the heartbeat
GOODBYES_S_MAX = 0.7


class Feed:
    """Made and run by `main.run`."""

    def __init__(
        self,
        process: Process,
        source: Source,
        store: PriceStore,
        writer: Writer,
        rows: ConnectionRows,
        gates: Gates,
        shelf: Shelf | None = None,
    ) -> None:
        """Without a shelf no books are followed."""
        settings = process.settings
        feed = settings.feed(source.label)
        self._process = process
        self._source = source
        self._writer = writer
        self._sizes = store.num_sources, store.max_symbols
        loaded = tables.load_for(settings.generated_dir, *self._sizes)
        self._halts = Halts(
            process,
            announced.path_of(settings, source),
            instruments_of(loaded, source),
            Judgement(loaded.judgement, loaded.asked_by_wall_ns),
        )
        board = Board(
            writer,
            process.row,
            store.clock.anchor_ns,
            feed.lag_ms_max * NS_PER_MS,
            clock_off_ns_max=feed.clock_off_ms_max * NS_PER_MS,
            best=BestLag(feed.lag_drift_ppm),
            silence=silence_rule(feed),
        )
        levels.recall(board, loaded, source, process.row.known_generation)
        levels.recall_lag(board, [row.symbol_id for row in loaded.of_source(source.source_id)])
        traded = self._halts.traded()
        self._share = share_of(process, source, board, rows, gates, traded, self.fail)
        self._gates = gates
        self._generation = loaded.generation
        self._judgement = Judgement(loaded.judgement, loaded.asked_by_wall_ns)
        self._copies: list[list[Line]] = []
        self._placing = Placing(self._share, self._new_lines)
        self._moving = Moving(self._share, self._new_lines)
        self._marks = Marks(self._share, self._lines)
        self._share.disowned = self._marks.disowned
        self._share.rest_on = self._marks.rest_on
        self._missed = Missed(self._share, gates, self._halts, self._announced)
        self._notices = Notices(self._share, self._announced, self._missed.look)
        self._books = SourceBooks(self._share, source, shelf, settings, gates) if shelf else None
        self._names = loaded.symbol_names()
        self._tempo = Tempo()
        self._over = asyncio.Event()
        self._failure: BaseException | None = None
        process.on_wake = self._woke
        self._outlook = Outlook()
        self._shown = FeedState(ProcessState.STARTING, "")
        board.looked_ns = clock.mono_ns()
        self._looked_ns = 0
        self._counted_ns = 0
        self._slow: dict[int, float] = {}  # by connection: how much slower the others are

    # --- life

    async def run(self) -> None:
        """Until told to stop. Raises what ended it, if that was no order."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._loop_exception)
        process = self._process
        process.row.generation(self._generation)
        self._note_symbols()
        self._beat()
        if not process.orders.paused:
            self._start()
        running = not process.orders.paused
        process.state(ProcessState.RUNNING if running else ProcessState.PAUSED, "")
        self._check()
        process.watch(lambda: _soon(loop, self._listen))
        await self._over.wait()
        await self._say_goodbye()
        if self._failure is not None:
            raise self._failure

    def fail(self, error: BaseException) -> None:
        """A fault of ours: end, with the first one as the reason."""
        if self._failure is None:
            self._failure = error
        self._over.set()

    def _loop_exception(self, loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        error = context.get("exception")
        if isinstance(error, OSError | ws.WSError):
            # A socket's own trouble, told again by the loop; the connection's end says the rest.
            self._process.log.warning("socket", error=str(error))
        else:
            reason = error if isinstance(error, BaseException) else None
            self.fail(reason or RuntimeError(str(context.get("message"))))

    async def _say_goodbye(self) -> None:
        """Close all connections; their cells are marked stale by it."""
        ended = [one.listener for line in self._lines() for one in line.connections]
        if self._books is not None:
            ended += [one.listener for one in self._books.connections]
        self._stop()
        for task in list(self._share.tasks):
            task.cancel()
        deadline_s = clock.awake_s() + GOODBYES_S_MAX
        while any(one.transport is not None for one in ended):
            if clock.awake_s() >= deadline_s:
                break
            await asyncio.sleep(0.01)
        for listener in ended:
            listener.cut()

    # --- the regular look at things

    def _beat(self) -> None:
        """Say that the feed lives, from the loop that reads the quotes; obey orders."""
        heartbeat_s = self._process.settings.config.system.heartbeat_ms / 1000
        asyncio.get_running_loop().call_later(min(heartbeat_s, POLL_S_MAX), self._beat)
        self._process.feel_suspend()
        self._writer.heartbeat(clock.mono_ns())
        self._listen()

    def _listen(self) -> None:
        """Obey orders: with each heartbeat, and as soon as one arrives."""
        process = self._process
        orders = process.poll()
        if process.stopping:
            self._over.set()
        elif orders is not None:
            self._obey(orders)
            process.applied(orders)

    def _check(self) -> None:
        """Frozen connections, silent symbols, levels for the health row."""
        asyncio.get_running_loop().call_later(CHECK_S, self._check)
        if self._writer.retired:
            self.fail(Retired("the price store was replaced by a newer instance"))
            return
        self._process.feel_suspend()
        now_ns = clock.mono_ns()
        connections = [one for line in self._lines() for one in line.connections]
        board = self._share.board
        if now_ns - board.looked_ns > STALL_NS:
            self._doubt_all(connections)
            changed = True
        else:
            changed = False
            for one in connections:
                changed |= one.feel(now_ns, self._slow.get(one.number, 1.0))
            if now_ns - self._looked_ns >= LOOK_NS:
                self._look(connections, now_ns)
                changed = False
            else:
                changed |= self._marks.due(now_ns, self._looked_ns, self._tempo.shared)
        board.looked_ns = now_ns
        if changed:
            self._marks.look(now_ns, self._tempo.shared)
        if self._books is not None:
            self._books.feel(now_ns)

    def _look(self, connections: list[Connection], now_ns: int) -> None:
        """The rest of it, less often: paces, verdicts, symbols, what is to be asked again."""
        self._looked_ns = now_ns
        self._tempo.update(connections, now_ns)
        lines = list(self._lines())
        self._slow = {}
        for line in lines:
            slowdown = self._tempo.slowdown(but=line.connections)
            self._slow.update((one.number, slowdown) for one in line.connections)
            line.check(now_ns, slowdown)
        unheard = self._marks.look(now_ns, self._tempo.shared)
        self._placing.look(self._copies, unheard, now_ns)
        self._move()
        self._halts.look()
        if self._books is not None and self._copies:
            self._books.look(now_ns)
        well = all(line.carried for line in lines)
        well &= self._books is None or self._books.carried
        self._share.outages.look(now_ns, well=well)
        self._show_state(now_ns)

    def _doubt_all(self, connections: list[Connection]) -> None:
        """This process was stopped: what arrived meanwhile is still to be read, and no verdict
        about silence holds. Everything is silent until an answer shows that it has been read.
        """
        for connection in connections:
            connection.doubt()

    def _show_state(self, now_ns: int) -> None:
        process = self._process
        lines = list(self._lines())
        ban = self._share.connects.ban()
        self._share.rows.banned(*((ban.until_ns, ban.status) if ban is not None else (0, 0)))
        process.row.set(COUNTER["connections"], sum(len(line.connections) for line in lines))
        process.row.set(COUNTER["refused_symbols"], len(self._refused()))
        if now_ns - self._counted_ns >= COUNT_NS:
            self._counted_ns = now_ns
            process.row.set(COUNTER["good_symbols"], self._marks.good())
        if process.orders.paused:
            found = FeedState(ProcessState.PAUSED, "")
        else:
            found = self._outlook.look(lines, ban, now_ns, self._ban_by_rest())
        if found != self._shown:
            self._shown = found
            process.state(found.state, found.message)

    def _ban_by_rest(self) -> Ban | None:
        """Where something has to be asked there: who is halted no more, or a book."""
        books = self._books
        if not self._missed.asks and (books is None or not books.asks_by_rest):
            return None
        return self._gates.by_rest(self._share.adapter, self._share.target.proxy).ban()

    def _refused(self) -> set[str]:
        """The symbols that are refused now."""
        return {
            symbol
            for line in self._lines()
            if line.current is not None
            for symbol in line.current.subscription.refused
        }

    def _woke(self) -> None:
        """The machine slept, and nothing from before counts: what stands in the store is old, and
        no socket is to be trusted. Until the next heartbeat nobody uses this source anyway.
        """
        self._share.woke_ns = clock.mono_ns()
        self._marks.all_stale()
        for line in list(self._lines()):
            line.redial()
        self._notices.redial()
        self._missed.ask_at_once()
        if self._books is not None:
            self._books.woke()

    # --- lines

    def _lines(self) -> Iterable[Line]:
        yield from (line for copy in self._copies for line in copy)
        yield from self._moving.retired

    def _new_lines(self, cut: list[list[str]]) -> list[Line]:
        return [Line(self._share, symbols, self._lost) for symbols in cut]

    def _start(self) -> None:
        names = list(self._share.instruments)
        adapter = self._share.adapter
        cut = shards.shards(names, adapter.limits, adapter.topic_bytes)
        self._copies = [self._new_lines(cut) for _ in range(self._share.settings.redundant)]
        for line in self._lines():
            line.start()
        self._hear()
        self._missed.look()
        self._follow_books(self._process.settings)

    def _follow_books(self, settings: Settings) -> None:
        if self._books is not None:
            self._books.use(settings, self._names)

    def _stop(self) -> None:
        """End all lines; what they carried is marked stale, connection by connection."""
        for line in list(self._lines()):
            line.stop()
        self._copies = []
        self._moving.stop()
        self._notices.stop()
        self._missed.stop()
        if self._books is not None:
            self._books.stop()
        self._share.outages.flush(clock.mono_ns())

    def _lost(self, connection: Connection, why: End) -> None:
        """A connection is gone: what nobody else stands behind is stale from now on."""
        planned = why is End.SWAPPED and not connection.silent
        symbols, marked = self._marks.lost(connection, planned=planned)
        self._share.board.best.ended()
        if not any(line.connections for line in self._lines()):
            self._share.board.best.lost()
        quotes = connection.listener.data_messages
        self._share.outages.take(
            "connection ended",
            why.value,
            clock.mono_ns(),
            level=INFO if why in (End.SWAPPED, End.STOPPED) else WARNING,
            sums={"symbols": symbols, "marked_stale": marked, "quotes": quotes},
            connection=connection.number,
        )

    def _move(self) -> None:
        self._process.row.set(COUNTER["moving"], self._moving.look(self._copies))

    # --- what the exchange announces

    def _hear(self) -> None:
        """Listen where the settings and the operator let us."""
        settings = self._process.settings.exchanges[self._source.label]
        if not settings.notices:
            self._halts.hear_no_more()
        wanted = settings.notices and self._copies
        stream = stream_of(self._source, settings.ws_url) if wanted else None
        self._notices.listen_to(stream)

    def _announced(self, heard: list[Announcement]) -> None:
        """A halted listing is as one that left the tables: stale at once, whatever it repeats."""
        if self._halts.take(heard):
            traded = self._halts.traded()
            board = self._share.board
            known = board.mid.copy()  # a halt judges no level, and comes before most renamings
            self._take_tables(traded, decoder_of(self._share.adapter, traded))
            board.mid[:] = known

    # --- orders

    def _obey(self, orders: Orders) -> None:
        if orders.reload:
            self._reload(orders)
        if orders.paused and self._copies:
            self._stop()
        elif not orders.paused and not self._copies:
            self._start()

    def _reload(self, orders: Orders) -> None:
        if self._process.reload(orders, self._prepared) and not self._over.is_set():
            self._process.row.add(COUNTER["reloads"])
            self._process.log.info(
                "tables taken", generation=self._generation, symbols=len(self._share.instruments)
            )

    def _prepared(self, settings: Settings) -> Callable[[], None]:
        """Read and check what a reload brings; raises whatever is wrong with it."""
        mine = settings.exchanges[self._source.label]
        if not mine.enabled:
            return self._leave
        loaded = tables.load_for(settings.generated_dir, *self._sizes)
        instruments = instruments_of(loaded, self._source)
        adapter = adapter_of(self._source, mine)
        decoder_of(adapter, instruments)
        tls = trust.of_source(settings, self._source.label)
        stamp = (loaded.generation, Judgement(loaded.judgement, loaded.asked_by_wall_ns))
        return lambda: self._take(settings, adapter, instruments, tls, stamp, loaded.symbol_names())

    def _leave(self) -> None:
        self._process.log.info("disabled, leaving")
        self._over.set()

    def _take(
        self,
        settings: Settings,
        adapter: Adapter,
        instruments: Instruments,
        tls: ssl.SSLContext,
        stamp: tuple[int, Judgement],
        names: dict[int, str],
    ) -> None:
        """Put new settings and tables in force; only the difference is asked for."""
        share = self._share
        before = (share.board.lag_ns_max, share.board.clock_off_ns_max)
        put_in_force(share, settings, self._source, adapter, tls, self._gates)
        for line in self._lines():
            line.retune()
        generation, judgement = stamp
        judged = judgement.generation != self._judgement.generation
        traded = self._halts.reload(instruments, judgement)
        self._take_tables(traded, decoder_of(adapter, traded))
        self._marks.rejudge(before, clock.mono_ns(), self._tempo.shared)
        self._placing.ask_everything(self._copies)
        self._missed.ask_at_once()
        if judged:
            levels.judged(share.board, traded.values(), judgement.asked_ns)
        if self._copies:
            self._moving.reshape(self._copies)
            self._move()
            self._hear()
        self._names = names
        self._follow_books(settings)
        self._generation, self._judgement = generation, judgement
        self._process.row.generation(generation)

    def _take_tables(self, instruments: Instruments, decoder: Decoder) -> None:
        """Order matters: what changes its meaning is stale before anything new is matched."""
        share = self._share
        self._marks.forget(changed_ids(share.instruments, instruments))
        share.instruments = instruments
        share.decoder = decoder
        for line in self._lines():
            for connection in line.connections:
                connection.listener.use(self._decoder_for(connection))
        names = list(instruments)
        for copy in self._copies:
            self._placing.bring(copy, names)
        self._moving.forget_what_left()
        if self._books is not None:
            self._books.take_tables(instruments)
        self._note_symbols()

    def _decoder_for(self, connection: Connection) -> Decoder:
        """The tables in force with the channel that a connection was opened for."""
        share = self._share
        if connection.target.channel == share.target.channel:
            return share.decoder
        return decoder_of(connection.adapter, share.instruments)

    def _note_symbols(self) -> None:
        self._process.row.set(COUNTER["symbols"], len(self._share.instruments))


def _soon(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    """Have the loop make a call, from another thread; nothing when the loop has ended."""
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(call)
