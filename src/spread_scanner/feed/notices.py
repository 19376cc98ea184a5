"""What the exchange announces beside quotes, heard on a connection of its own.

Used by the feed. The connection takes its turn at the pace of all dials and comes back with growing
pauses; while it is away nothing is known of halts, and quotes go on as they come. It carries a few
messages a day, and no quote waits for it. It has a row among the source's connections.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence

from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport

from spread_scanner import clock
from spread_scanner.clock import NS_PER_S
from spread_scanner.errors import BadMessage
from spread_scanner.exchanges.notices import Announcement, Stream, Told, Unread
from spread_scanner.feed.counting import Counts
from spread_scanner.feed.life import End
from spread_scanner.feed.share import Share
from spread_scanner.runtime import ws
from spread_scanner.runtime.backoff import Backoff
from spread_scanner.runtime.gate import Gate
from spread_scanner.runtime.ws import DialFailed
from spread_scanner.schema.enums import Carries
from spread_scanner.shm.connections import ConnectionRow

UNHEARD_PINGS = 3
Heard = Callable[[list[Announcement]], None]


class Notices:
    """One feed's; `heard` is called on the loop, with what one frame announced."""

    def __init__(self, share: Share, heard: Heard) -> None:
        self._share = share
        self._heard = heard
        self._stream: Stream | None = None
        self._task: asyncio.Task[None] | None = None
        self._row: ConnectionRow | None = None
        self._counts = Counts(share.row)

    def listen_to(self, stream: Stream | None) -> None:
        """Listen there from now on; None: to nothing."""
        if _place(stream) == _place(self._stream):
            return
        self.stop()
        self._stream = stream
        if stream is not None:
            self._row = self._share.rows.take(Carries.NOTICES)
            self._counts = Counts(self._share.row, self._row)
            self._task = asyncio.get_running_loop().create_task(self._listen(stream))
            self._share.tasks.add(self._task)
            self._task.add_done_callback(self._over)

    def redial(self) -> None:
        """The machine slept: what was open is dead."""
        stream = self._stream
        self.stop()
        self.listen_to(stream)

    def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
        self._task = self._stream = None
        self._counts.let_go()
        if self._row is not None:
            self._share.rows.give_back(self._row)
            self._row = None

    def _over(self, task: asyncio.Task[None]) -> None:
        self._share.tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._share.fail(error)

    async def _listen(self, stream: Stream) -> None:
        settings = self._share.settings
        backoff = Backoff(settings.backoff_s_min, settings.backoff_s_max, self._share.random.random)
        while True:
            stood_ns = 0
            gate = (
                self._share.connects
            )  # what is answered concerns this one, whatever a reload brings
            try:
                stood_ns = await self._once(stream, gate)
            except DialFailed as error:
                self._counts.add("notice_failures")
                if self._row is not None:
                    self._row.ended(error.reason)
                self._share.log.info("no notices", error=str(error))
                self._share.refused(error, gate)
            if stood_ns >= settings.stood_s * NS_PER_S:
                backoff.stood()
            await asyncio.sleep(backoff.next_s())

    async def _once(self, stream: Stream, gate: Gate) -> int:
        """One connection, from its dial to its end; how many ns it stood. Raises DialFailed."""
        share = self._share
        await gate.turn()
        listener = _Listener(lambda frame: self._take(stream, frame))
        await ws.dial(
            stream.url,
            lambda: listener,
            timeout_s=share.settings.connect_timeout_s,
            proxy=share.proxy,
            tls=share.tls,
        )
        opened_ns = clock.mono_ns()
        if self._row is not None:
            self._row.opened(0, opened_ns)
        try:
            for text in stream.requests:
                listener.send(text)
            while listener.unheard < UNHEARD_PINGS:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(stream.ping_s):
                        await listener.closed.wait()
                        break
                listener.unheard += 1
                listener.ping(stream.ping)
        finally:
            listener.cut()
        if self._row is not None:
            self._row.dialling()
            self._row.ended((End.LOST if listener.closed.is_set() else End.UNHEARD).value)
        return clock.mono_ns() - opened_ns

    def _take(self, stream: Stream, frame: bytes) -> None:
        self._counts.add("control")
        if self._row is not None:
            self._row.heard(clock.mono_ns(), 0)
        rows: Sequence[Told]
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


class _Listener(WSListener):
    """Whole text frames go to `take`; everything is a sign of life."""

    def __init__(self, take: Callable[[bytes], None]) -> None:
        self.closed = asyncio.Event()
        self.unheard = 0  # pings since the last frame
        self._take = take
        self._transport: WSTransport | None = None

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self._transport = None
        self.closed.set()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        self.unheard = 0
        if frame.msg_type == WSMsgType.PING:
            transport.send_pong(frame.get_payload_as_bytes())
        elif frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(WSCloseCode.OK)
            transport.disconnect()
        elif frame.msg_type == WSMsgType.TEXT:
            self._take(frame.get_payload_as_bytes())

    def send(self, text: str) -> None:
        if self._transport is not None:
            self._transport.send(WSMsgType.TEXT, text.encode())

    def ping(self, text: str | None) -> None:
        if text is not None:
            self.send(text)
        elif self._transport is not None:
            self._transport.send_ping(b"")

    def cut(self) -> None:
        if self._transport is not None:
            self._transport.disconnect(False)


def _place(stream: Stream | None) -> tuple[object, ...]:
    return () if stream is None else (stream.url, stream.requests)
