"""From the market to the sockets: who listens to which listing, what they are told, what is true.

Writes prebuilt frames into the connections' buffers, tells the truth of every quote that reached
somebody, and keeps the legs of dead sources (belief.py). Called by the loop, by faults and by
connections that subscribe; `flush` ends a tick with one write per connection.
"""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from spread_scanner.sim.belief import Belief, dead
from spread_scanner.sim.depth import PREFIX
from spread_scanner.sim.dialects import Subscription
from spread_scanner.sim.legs import NAN, Leg
from spread_scanner.sim.market import Told
from spread_scanner.sim.tick import Tick
from spread_scanner.sim.universe import Listing
from spread_scanner.sim.wire import encoder, one_sided

if TYPE_CHECKING:
    from spread_scanner.sim.exchange import Exchange8
    from spread_scanner.sim.server import Connection

NO_SNAPSHOT = ("binance-spot", "binance-futures", "mexc-spot")  # nothing comes before news


class Delivery:
    """Everything between a quote and its bytes. `messages`: quotes written, per connection."""

    def __init__(self, exchange: "Exchange8") -> None:
        self._exchange = exchange
        self._truth = exchange.truth
        self.belief = Belief(exchange.truth, self.tell)
        self.messages = 0
        self._dirty: list[Connection] = []
        self._fresh: dict[Connection, list[Subscription]] = {}
        self._unwatched: dict[str, dict[str, Any]] = {}

    # --- who listens

    def subscribed(self, connection: "Connection", subscription: Subscription) -> None:
        if subscription.form.startswith(PREFIX):
            self._exchange.depth.subscribed(connection, subscription)
            self._fresh.setdefault(connection, []).append(subscription)
            return
        leg = self._truth.legs[subscription.listing]
        if subscription.form not in leg.forms:
            leg.forms[subscription.form] = (
                encoder(subscription.listing, subscription.form),
                [],
            )
        leg.forms[subscription.form][1].append(connection)
        self._fresh.setdefault(connection, []).append(subscription)
        self._watched(subscription.listing)

    def unsubscribed(self, connection: "Connection", subscription: Subscription) -> None:
        if subscription.form.startswith(PREFIX):
            self._exchange.depth.unsubscribed(connection, subscription)
            return
        leg = self._truth.legs[subscription.listing]
        listeners = leg.forms[subscription.form][1]
        listeners.remove(connection)
        if not listeners:
            del leg.forms[subscription.form]
        if not leg.forms:
            self._unwatch(leg)
        elif not (connection.frozen or connection.deaf) and dead(leg):
            self.belief.left(leg)

    def closed(self, connection: "Connection") -> None:
        self._fresh.pop(connection, None)

    def struck(self, connections: Iterable["Connection"]) -> None:
        """These have been frozen or made deaf."""
        now_s = self._exchange.mono_s()
        for connection in connections:
            connection.rhythm.struck(now_s, answers=not connection.deaf)
            self.belief.died(self._legs(connection))

    def thawed(self, connections: Iterable["Connection"]) -> None:
        """These live again."""
        for connection in connections:
            self.belief.thawed(self._legs(connection))

    def _legs(self, connection: "Connection") -> list[Leg]:
        return [
            self._truth.legs[one.listing]
            for one in connection.subscriptions
            if not one.form.startswith(PREFIX)
        ]

    def welcome(self, connection: "Connection") -> None:
        """First quotes right after the acknowledgement, where the exchange sends them."""
        exchange = self._exchange
        for subscription in self._fresh.pop(connection, []):
            listing, form = subscription
            if form.startswith(PREFIX):
                exchange.depth.welcome(connection, subscription)
                continue
            leg = self._truth.legs[listing]
            if not listing.moves or listing.label in NO_SNAPSHOT:
                continue
            if listing.label in exchange.faults.bent or form not in leg.forms:
                continue
            now = self.standing(listing)
            if now is not None:
                self._hand_over(leg, now, connection)
        self.flush()

    def standing(self, listing: Listing) -> Tick | None:
        """The quote as the market has it now."""
        exchange = self._exchange
        if listing.driven:
            return exchange.playback.last.get(listing)
        return exchange.market.repeat(listing, exchange.clocks())[1] if listing.moves else None

    def tell(self, leg: Leg) -> None:
        """After a silence: the state of the market, if it is another one."""
        now = self.standing(leg.listing)
        if now is None or (leg.tick is not None and now.update_id == leg.tick.update_id):
            self._truth.reheard(leg)
        else:
            self.deliver(leg, now)

    # --- rows of the truth file about who listened

    def _unwatch(self, leg: Leg) -> None:
        """Nobody hears this listing any more: no interval of it stands until it quotes again."""
        self.belief.left(leg)
        if leg.tick is None:
            return
        wall, mono = self._exchange.stamp()
        row = self._unwatched.setdefault(
            leg.listing.label,
            {"fault": "unwatched", "source": leg.listing.label, "start_ns": wall,
             "start_mono_ns": mono, "symbols": []},
        )  # fmt: skip
        row["symbols"].append(leg.listing.symbol)

    def _watched(self, listing: Listing) -> None:
        row = self._unwatched.get(listing.label)
        if row is None or listing.symbol not in row["symbols"]:
            return
        row.setdefault("back", []).append(listing.symbol)
        if len(row["back"]) >= len(row["symbols"]):
            self._end_unwatched(listing.label)

    def _end_unwatched(self, label: str, *, over: bool = True) -> None:
        row = self._unwatched.pop(label)
        row.pop("back", None)
        wall, mono = self._exchange.stamp() if over else (None, None)
        self._truth.write({**row, "end_ns": wall, "end_mono_ns": mono})

    def end(self) -> None:
        """The end of the run: what nobody watches is written with end null."""
        for label in list(self._unwatched):
            self._end_unwatched(label, over=False)

    # --- quotes

    def emit(self, told: Iterable[Told]) -> None:
        """Hand quotes to whoever listens; faults may lose, hold or bend them on the way."""
        legs, bent = self._truth.legs, self._exchange.faults.bent
        number = self._exchange.tick_number
        for listing, tick in told:
            listing.tick_last = number
            leg = legs[listing]
            if not leg.forms:
                continue
            if bent and listing.label in bent:
                bent[listing.label].route(leg, tick)
            else:
                self.deliver(leg, tick)

    def deliver(self, leg: Leg, tick: Tick) -> None:
        """Write a quote to all who listen; the truth hears of it if anybody did."""
        reached = 0
        both = tick[1] and tick[3]
        for form, (encode, connections) in leg.forms.items():
            frame = encode(tick) if both else one_sided(leg.listing, form, tick)
            for connection in connections:
                if connection.frozen or connection.deaf:
                    continue
                out = connection.out
                if not out:
                    self._dirty.append(connection)
                out.append(frame)
                reached += 1
        if reached:
            self.messages += reached
            last = leg.tick
            same = last is not None and last[1] is tick[1] and last[3] is tick[3]
            if same and leg.heard and leg.sure:
                self._truth.resized(leg, tick)  # the same prices: no pair can have changed
            else:
                self._told(leg, tick)

    def _told(self, leg: Leg, tick: Tick) -> None:
        """The number that a decimal text means is exact here: float() rounds as any parser must."""
        px_mul = leg.listing.px_mul
        bid = float(tick[1]) / px_mul if tick[1] else NAN
        ask = float(tick[3]) / px_mul if tick[3] else NAN
        self._truth.sent(leg, tick, bid, ask)

    def _hand_over(self, leg: Leg, tick: Tick, connection: "Connection") -> None:
        """A quote for one connection only."""
        for encode, connections in leg.forms.values():
            if connection in connections and not (connection.frozen or connection.deaf):
                self._put(connection, encode(tick))
                self.messages += 1
                self._told(leg, tick)

    def say_frames(self, leg: Leg, frame_of: Callable[[Listing, str], bytes]) -> None:
        """A frame that is no quote, to all who listen; the truth does not change by it."""
        for form, (_, connections) in leg.forms.items():
            frame = frame_of(leg.listing, form)
            for connection in connections:
                if not (connection.frozen or connection.deaf):
                    self.write_raw(connection, frame)
                    self.messages += 1

    def write_raw(self, connection: "Connection", data: bytes) -> None:
        """Bytes that are no quote, in order with the market's."""
        self._put(connection, data)
        connection.asides += 1

    def _put(self, connection: "Connection", data: bytes) -> None:
        if not connection.out:
            self._dirty.append(connection)
        connection.out.append(data)

    def flush(self) -> None:
        """One write per connection; what was told since the last call is dated now."""
        if self._truth.waiting:
            self._truth.stamp(*self._exchange.stamp())
        if self._dirty:
            now = self._exchange.mono_s()
            for connection in self._dirty:
                connection.flush(now)
            self._dirty.clear()
