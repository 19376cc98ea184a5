"""What the exchange announces beside quotes, heard on a connection of its own.

Used by the feed. The connection takes its turn at the pace of all dials and comes back with growing
pauses; while it is away nothing is known of halts, and quotes go on as they come. It carries a few
messages a day, and no quote waits for it. It has a row among the source's connections. It is
pinged as often as one of quotes that flow, and given up as soon when a ping is not answered: a halt
that nobody hears of is a quote that is believed.

What its dial is refused with concerns the quotes only where it is of the address (418, 429), and
not again when quotes' dials have opened since: all else may be the answer of this path alone, and
would keep quotes away for nothing. Were it the address's, their own dials would hear it. It is
asked again slowly.
"""

import asyncio
import contextlib
import traceback
from collections.abc import Callable, Sequence
from logging import INFO
from typing import NamedTuple

from picows import WSFrame, WSTransport

from spread_scanner import clock
from spread_scanner.clock import NS_PER_MS, NS_PER_S
from spread_scanner.errors import BadMessage
from spread_scanner.exchanges.notices import Announcement, NoticeRow, Stream, Unread
from spread_scanner.feed._board import STALL_NS
from spread_scanner.feed.counting import Counts
from spread_scanner.feed.share import Share, Target
from spread_scanner.feed.subscription import REPEATS_MAX
from spread_scanner.runtime import ws
from spread_scanner.runtime.backoff import Backoff
from spread_scanner.runtime.gate import Gate
from spread_scanner.runtime.life import End
from spread_scanner.runtime.messages import MessageListener
from spread_scanner.runtime.patience import pauses_of, spread
from spread_scanner.runtime.pulse import PING_EVERY_S
from spread_scanner.runtime.refusals import pause_of
from spread_scanner.runtime.ws import DialFailed
from spread_scanner.schema.enums import Carries
from spread_scanner.shm.connections import ConnectionRow

OF_ADDRESS = (418, 429)  # what is answered so is of whoever asks, whatever for


class NoticeFault(BadMessage):
    """What was announced met a fault of ours."""


OnAnnouncements = Callable[[list[Announcement]], None]


class Place(NamedTuple):
    """Where they are heard, and by which way."""

    url: str
    requests: tuple[str, ...]
    by: Target


class Notices:
    """One feed's; `heard` is called on the loop, with what one frame announced, and `given` each
    time that it is heard anew: what was said before then nobody heard.
    """

    def __init__(
        self, share: Share, heard: OnAnnouncements, given: Callable[[], None] = lambda: None
    ) -> None:
        self._share = share
        self._heard = heard
        self._on_given = given
        self._given = False
        self._stream: Stream | None = None
        self._task: asyncio.Task[None] | None = None
        self._row: ConnectionRow | None = None
        self._counts = Counts(share.row)
        self._place: Place | None = None
        self._open = False
        self._backoff = self._new_backoff()
        self._refusals = 0  # of its dials, in a row
        self._told_ns = 0  # when a refusal was told to all who dial there; 0: none was
        self._ask_ns: int | None = None  # when it is to be asked for; None: it is given
        self._asked = 0  # times in a row without an answer
        self._denied = 0  # times in a row with a refusal

    def listen_to(self, stream: Stream | None) -> None:
        """Listen there from now on, by the settings in force; None: to nothing. What stands there
        already stays; what waits for its dial waits no longer.
        """
        share = self._share
        place = Place(stream.url, stream.requests, share.target) if stream is not None else None
        self._backoff.retune(share.settings.backoff_s_min, share.settings.backoff_s_max)
        if place == self._place and (self._open or place is None):
            if self._ask_ns is not None:
                self._ask_ns = clock.mono_ns()
            return
        if place != self._place:
            self.stop()
        self._stream, self._place = stream, place
        if stream is not None:
            self._dial(stream)

    def _dial(self, stream: Stream) -> None:
        if self._task is not None:
            self._task.cancel()
        if self._row is None:
            self._row = self._share.rows.take(Carries.NOTICES)
            self._counts = Counts(self._share.row, self._row)
        self._refusals = 0
        self._task = asyncio.get_running_loop().create_task(self._listen(stream))
        self._share.tasks.add(self._task)
        self._task.add_done_callback(self._over)

    def _new_backoff(self) -> Backoff:
        settings = self._share.settings
        return Backoff(settings.backoff_s_min, settings.backoff_s_max, self._share.random.random)

    def redial(self) -> None:
        """The machine slept: what was open is dead."""
        stream = self._stream
        self.stop()
        self.listen_to(stream)

    def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
        self._task = self._stream = self._place = None
        self._open = False
        self._backoff = self._new_backoff()
        self._told_ns = 0
        self._counts.let_go()
        if self._row is not None:
            self._share.rows.give_back(self._row)
            self._row = None

    def _over(self, task: asyncio.Task[None]) -> None:
        self._share.tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._share.fail(error)

    async def _listen(self, stream: Stream) -> None:
        while True:
            pause_s = 0.0
            # What is answered concerns this one, whatever a reload brings.
            gate = self._share.connects
            try:
                stood_ns = await self._once(stream, gate)
            except DialFailed as error:
                pause_s = self._failed(error, gate)
            else:
                self._refusals = 0
                self._told_ns = 0  # the next refusal of the address is news again
                if stood_ns >= self._share.settings.stood_s * NS_PER_S:
                    self._backoff.stood()
            await asyncio.sleep(max(pause_s, self._backoff.next_s()))

    def _failed(self, error: DialFailed, gate: Gate) -> float:
        """How many seconds the path is to be left alone after a dial that did not open."""
        share = self._share
        self._counts.add("notice_failures")
        if self._row is not None:
            self._row.ended(error.reason)
        asked = pause_of(error.status, error.wait_s) if error.status is not None else None
        odd = asked.note if asked is not None else ""
        share.outages.take(
            "no notices", odd or error.reason, clock.mono_ns(), level=INFO, error=str(error)
        )
        if error.status is None:
            return 0.0
        if error.status in OF_ADDRESS and not share.opened_ns > self._told_ns > 0:
            self._told_ns = clock.mono_ns()
            share.refused(error, gate)
        pause_ns = pauses_of(share.settings).again_ns(self._refusals)
        self._refusals += 1
        pause_s = spread(pause_ns, share.random.random()) / NS_PER_S
        return max(pause_s, asked.seconds) if asked is not None else pause_s

    async def _once(self, stream: Stream, gate: Gate) -> int:
        """One connection, from its dial to its end; how many ns it stood. Raises DialFailed."""
        share = self._share
        await gate.turn()
        listener = _Listener(lambda frame: self._take(stream, frame))
        await ws.dial(
            stream.url,
            lambda: listener,
            timeout_s=share.settings.connect_timeout_s,
            proxy=share.target.proxy,
            tls=share.tls,
        )
        opened_ns = clock.mono_ns()
        self._open = True
        if self._row is not None:
            self._row.opened(0, opened_ns)
        try:
            await self._attend(stream, listener)
        finally:
            self._open = False
            listener.cut()
        if self._row is not None:
            self._row.dialling()
            self._row.ended((End.LOST if listener.closed.is_set() else End.UNHEARD).value)
        return clock.mono_ns() - opened_ns

    async def _attend(self, stream: Stream, listener: "_Listener") -> None:
        """Until it ends, or a ping is unanswered for too long: ask until it is given, and ping."""
        self._ask_ns, self._asked, self._denied = clock.mono_ns(), 0, 0
        self._given = False
        every_ns = round(min(stream.ping_s, PING_EVERY_S) * NS_PER_S)
        ping_ns = clock.mono_ns() + every_ns
        while not listener.closed.is_set():
            now_ns = clock.mono_ns()
            over_ns = listener.waits_ns + self._share.settings.unanswered_ms_max * NS_PER_MS
            if listener.waits_ns and now_ns > over_ns:
                return
            if now_ns >= ping_ns:
                listener.ping(stream.ping, now_ns)
                ping_ns = now_ns + every_ns
            if self._ask_ns is not None and now_ns >= self._ask_ns:
                self._ask(stream, listener, now_ns)
            due_ns = ping_ns if self._ask_ns is None else min(ping_ns, self._ask_ns)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout((due_ns - now_ns) / NS_PER_S):
                    await listener.closed.wait()
            if clock.mono_ns() - due_ns > STALL_NS:
                listener.doubt()

    def _ask(self, stream: Stream, listener: "_Listener", now_ns: int) -> None:
        """What is not answered is asked for again, each time a little later."""
        for text in stream.requests:
            listener.send(text.encode())
        answer_ns = pauses_of(self._share.settings).answer_ns << min(self._asked, REPEATS_MAX)
        self._asked += 1
        self._ask_ns = now_ns + answer_ns if stream.answer is not None else None
        if stream.answer is None:
            self._hears()

    def _hears(self) -> None:
        """From now on what is announced is heard on this connection."""
        if not self._given:
            self._given = True
            self._on_given()

    def _answered(self, refusal: str) -> None:
        """It is given, or is to be asked for slowly from now on."""
        if not refusal:
            # One of several requests that is given says nothing of one that was refused.
            if self._asked:
                self._ask_ns = None
                self._hears()
            return
        share = self._share
        self._counts.add("refusals")
        if self._row is not None:
            self._row.ended(f"refused: {refusal}")
        share.log.warning("notices refused", message=refusal[:200])
        pause_ns = pauses_of(share.settings).again_ns(self._denied)
        self._denied += 1
        self._asked = 0
        self._ask_ns = clock.mono_ns() + spread(pause_ns, share.random.random())

    def _take(self, stream: Stream, frame: bytes) -> None:
        """One whole frame."""
        try:
            self._read(stream, frame)
        except Exception as error:
            note_fault(self._share, self._counts, error, frame)

    def _read(self, stream: Stream, frame: bytes) -> None:
        self._counts.add("control")
        if self._row is not None:
            self._row.heard(clock.mono_ns(), 0)
        answer = stream.answer(frame) if stream.answer is not None else None
        if answer is not None:
            self._answered(answer)
        rows: Sequence[NoticeRow]
        try:
            rows = stream.parse(frame)
        except BadMessage as error:
            rows = [Unread(error)]
        announced: list[Announcement] = []
        for row in rows:
            if isinstance(row, Unread):
                self._counts.add("skip_bad_message")
                self._share.evidence.take(row.error, frame)
            else:
                announced.append(row)
        if announced:
            self._heard(announced)


def note_fault(share: Share, counts: Counts, error: Exception, said: bytes) -> None:
    """What was announced could not be acted upon, by a fault of ours: the next may be, and quotes
    go on. picows would say it its own way and end the connection.
    """
    counts.add("notice_faults")
    at = traceback.extract_tb(error.__traceback__)[-1]
    share.evidence.take(
        NoticeFault(f"{type(error).__name__} at {at.name}:{at.lineno}: {error}"), said
    )


class _Listener(MessageListener):
    """What is announced; every frame is a sign of life."""

    def __init__(self, take: Callable[[bytes], None]) -> None:
        super().__init__(take)
        self.closed = asyncio.Event()
        self.waits_ns = 0  # since when a ping is unanswered; 0: none is

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        super().on_ws_disconnected(transport)
        self.closed.set()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        self.waits_ns = 0
        super().on_ws_frame(transport, frame)

    def doubt(self) -> None:
        """We were stopped: the answer may be there, and is still to be read."""
        self.waits_ns = clock.mono_ns() if self.waits_ns else 0

    def ping(self, text: str | None, now_ns: int) -> None:
        self.waits_ns = self.waits_ns or now_ns
        if text is not None:
            self.send(text.encode())
        elif self.transport is not None:
            self.transport.send_ping(b"")

    def cut(self) -> None:
        if self.transport is not None:
            self.transport.disconnect(False)
