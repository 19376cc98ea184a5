"""The push: who wants what, and one frame for all who want the same.

Lives on the process's loop. A thread parks on the gateway's dirty bits while somebody wants to be
told as soon as a quote is written (Watching) and has the loop flush; ten times a second the loop
has what is due by the clock told. What a kind is, how it is told and what is kept for who is slow
stands in its channel (gateway/channels.py). One that reads nothing for ten seconds is closed with
1013; what the loop itself stood still is none of them. The order within a frame's wish: snapshot,
then updates of the same scan. A fault of ours in a channel is its clients', one while a wish is
heard is whoever's wish it is; they are let go: the loop, which answers everybody else, goes on.
"""

from collections.abc import Callable

from spread_scanner import clock
from spread_scanner.clock import NS_PER_S
from spread_scanner.errors import SegmentError, SpreadError
from spread_scanner.gateway.book_channel import BookStates
from spread_scanner.gateway.channels import DETAIL_MAX, Channel, Client, Dirty, frame_of
from spread_scanner.gateway.event_channels import OpportunityEvents, SignalEvents
from spread_scanner.gateway.hearing import understood
from spread_scanner.gateway.living import LiveSystem
from spread_scanner.gateway.price_channel import Prices
from spread_scanner.gateway.problems import of_error
from spread_scanner.gateway.spread_channel import Spreads
from spread_scanner.gateway.status_channel import Statuses
from spread_scanner.gateway.wishes import Misheard, PushWish, StreamBeat, StreamHello

KINDS = (Prices, Spreads, BookStates, OpportunityEvents, SignalEvents, Statuses)
HEARTBEAT_NS = NS_PER_S
FAULT = "a fault of ours: the log has it"
STUCK_NS = 10 * NS_PER_S  # without reading, and a client is let go
STOOD_NS_MIN = 2 * NS_PER_S  # between two ticks, of which the process has one each second at least


class Broadcast:
    """Everybody who is told, and what there is to tell."""

    def __init__(
        self,
        system: LiveSystem,
        attend: Callable[[], None] = lambda: None,
        failed: Callable[[str, Exception], None] | None = None,
    ) -> None:
        """`attend` is called when somebody is to be told sooner than before: the first has come, or
        the first that `watches`; before what stands is looked at. `failed` is told of faults of
        ours, and in which kind; without it they are raised."""
        self._system = system
        self._attend = attend
        self._failed = failed
        self._shown = system.shown
        self._channels: dict[str, Channel] = {kind.kind: kind(system) for kind in KINDS}
        self._of: dict[Client, list[Channel]] = {}
        self._beat_ns = self._ticked_ns = clock.mono_ns()

    @property
    def clients(self) -> int:
        return len(self._of)

    @property
    def stuck(self) -> int:
        """How many of them read nothing now."""
        return sum(1 for client in self._of if client.stuck_ns)

    @property
    def watches(self) -> bool:
        """Whether somebody is to be told as soon as a quote is written."""
        return any(channel.watches for channel in self._channels.values())

    def join(self, client: Client) -> None:
        """Somebody has come."""
        self._of[client] = []
        status = self._system.status
        client.tell(
            frame_of(StreamHello(status.version, status.namespace, HEARTBEAT_NS / NS_PER_S))
        )
        if self.clients == 1:
            self._attend()

    def leave(self, client: Client) -> None:
        """Somebody has gone."""
        left = self._of.pop(client, [])
        for channel in left:
            channel.leave(client)
        for channel in left:
            channel.tidy()

    def heard(self, client: Client, said: bytes) -> None:
        """A client's words: a wish, from now on, or what is no wish.

        Who reads nothing is heard when it reads again, and by its last words alone: answers to all
        of them would fill the memory."""
        if client.stuck_ns:
            client.unheard = said
            return
        try:
            self._wished(client, said)
        except SegmentError:  # replaced: the process is about to leave
            raise
        except Exception as fault:
            self._let_go("a wish", fault, [client])

    def _wished(self, client: Client, said: bytes) -> None:
        channels: list[Channel] = []
        try:
            wish = understood(said, PushWish)
            channels = [self._channels[kind] for kind in dict.fromkeys(wish.kinds)]
            joins = [channel.prepared(wish) for channel in channels]
        except SpreadError as error:
            for channel in channels:  # which had made ready for it
                channel.tidy()
            code = of_error(error, "").code  # as over HTTP
            client.tell(frame_of(Misheard(code, str(error)[:DETAIL_MAX])))
            return
        watched = self.watches
        before, self._of[client] = self._of.get(client, []), channels
        for channel in before:
            channel.leave(client)
        client.packed = wish.encoding == "msgpack"
        for join in joins:
            join(client)
        for channel in before:  # not sooner: what both wishes want stays
            channel.tidy()
        if self.watches and not watched:
            self._attend()
        for channel in channels:
            channel.snapshot(client)

    def flush(self, dirty: Dirty) -> bool:
        """Cells changed: tell whose turn it is. Whether somebody's turn comes soon, though no more
        of them change."""
        now_ns = clock.mono_ns()
        for channel in self._channels.values():
            self._safely(channel, lambda of: of.flush(dirty, now_ns))
        return any(channel.owes for channel in self._channels.values())

    def tick(self) -> None:
        """What is due by the clock, ten times a second: what went stale, beats, who is stuck."""
        now_ns = clock.mono_ns()
        between_ns, self._ticked_ns = now_ns - self._ticked_ns, now_ns
        if self._shown is not self._system.shown:
            self._shown = self._system.shown
            for channel in self._channels.values():
                self._safely(channel, lambda of: of.renew())
        for channel in self._channels.values():
            self._safely(channel, lambda of: of.tick(now_ns))
        if now_ns - self._beat_ns >= HEARTBEAT_NS:
            self._beat_ns = now_ns
            for client in self._of:
                if not client.stuck_ns:
                    client.tell(frame_of(StreamBeat(client.outlet.frames, clock.wall_ns())))
        for client in [one for one in self._of if one.stuck_ns]:
            if between_ns > STOOD_NS_MIN:  # nothing was sent meanwhile that could have been read
                client.stuck_ns += between_ns
            client.look(now_ns)
            if now_ns - client.stuck_ns > STUCK_NS:
                client.let_go("nothing was read for ten seconds")

    def resume(self, client: Client) -> None:
        """It reads again: what it missed, as it stands now."""
        client.stuck_ns = 0
        for channel in self._of.get(client, ()):
            self._safely(channel, lambda of: of.resume(client))
        said, client.unheard = client.unheard, b""
        if said and client in self._of:  # not let go meanwhile
            self.heard(client, said)

    def _safely(self, channel: Channel, act: Callable[[Channel], None]) -> None:
        """Whatever somebody wished ends nobody else's stream."""
        try:
            act(channel)
        except SegmentError:  # replaced: the process is about to leave
            raise
        except Exception as fault:
            whose = [one for one, wished in self._of.items() if channel in wished]
            self._let_go(channel.kind, fault, whose)

    def _let_go(self, what: str, fault: Exception, whose: list[Client]) -> None:
        """A fault of ours, in what: those whom it concerns are told of it and let go."""
        if self._failed is None:
            raise fault
        self._failed(what, fault)
        for client in whose:
            client.let_go(FAULT)

    def let_all_go(self, why: str) -> None:
        """Nobody is told any more."""
        for client in list(self._of):
            client.let_go(why)

    def close(self) -> None:
        """The gateway ends: everybody is let go."""
        self.let_all_go("the gateway ends")
        for channel in self._channels.values():
            channel.close()
