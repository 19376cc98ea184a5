"""One connection to the exchange: dialling, asking, pinging, and its end.

Used by Line. The rules are elsewhere and pure (runtime/life.py, runtime/pulse.py, subscription.py);
this drives them with a socket and the event loop. The listener stores the usual quotes without
coming by here, and passes on the rest.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from logging import INFO

import numpy as np
import numpy.typing as npt

from spread_scanner import clock
from spread_scanner.clock import NS_PER_S
from spread_scanner.errors import BadMessage, BadQuote
from spread_scanner.exchanges.adapter import (
    Ack,
    BookChange,
    Delta,
    Event,
    Notice,
    NoticeKind,
    RawQuote,
    Refused,
)
from spread_scanner.feed._listener import Listener
from spread_scanner.feed.counting import COUNTER_OF_END, Counts
from spread_scanner.feed.freshness import Ids
from spread_scanner.feed.refusal_log import RefusalLog
from spread_scanner.feed.share import Share
from spread_scanner.feed.subscription import Subscription
from spread_scanner.feed.typed import Tier, TypedTier
from spread_scanner.feed.watch import WATCH_NS, Watch
from spread_scanner.runtime import ws
from spread_scanner.runtime.life import End, Life, LifeRules, ping_every_s, rules_of
from spread_scanner.runtime.patience import pauses_of
from spread_scanner.runtime.pulse import Pulse, Seen
from spread_scanner.schema.silence import SilenceRules, silence_rules

GOLDEN = 0.618  # multiples of it are spread evenly over 0 to 1
GOODBYE_S = 0.5  # how long the other side may take to say goodbye
OF_ITS_EDGE = {End.NO_DATA, End.UNHEARD, End.FROZEN}  # another address may do better
ASK_SOON_S = 0.5  # what is to be asked later than this waits for a look at the clock


class Connection:
    """`on_end` is called exactly once, after the listener has been muted."""

    def __init__(
        self,
        share: Share,
        counts: Counts,
        rules: LifeRules,
        on_end: Callable[["Connection", End], None],
    ) -> None:
        self.share = share
        self.counts = counts
        self.number = share.number()
        self.adapter = share.adapter  # what it was opened with, whatever a reload brings
        self.target = share.target
        self.gate, self._tls = share.connects, share.tls
        self.ended: End | None = None
        self.listener = Listener(
            share.board,
            share.decoder,
            self.number,
            self,
            binary=share.adapter.binary,
            row=counts.own,
            books=share.books,
        )
        self.life = Life(rules, 0, must_quote=False)
        self.pulse = Pulse()
        self.silent = False  # what it carries cannot be stood behind now
        self.deaf = False  # what is said on it is not heard now: it teaches nothing of its pace
        self._silence_of = share.settings
        self._silence_rules = silence_rules(share.settings)
        chance = share.random.random
        self.subscription = Subscription(share.adapter, (), pauses_of(share.settings), chance)
        self.watch = Watch(share, self.listener, self.subscription)
        self._typed: Tier = (
            share.tier(self.number)
            if share.tier is not None
            else TypedTier(share, self.listener, counts)
        )
        self._refusals = RefusalLog(partial(share.log.warning, connection=self.number))
        self._on_end = on_end
        self._pump: asyncio.TimerHandle | None = None
        self._ping: asyncio.TimerHandle | None = None
        self._watched_ns = 0
        self.ready_ns = 0  # when its line found it ready to take over; 0: it is not

    # --- beginning and end

    async def open(self) -> None:
        """Dial, when a turn is free: to where it was made for, by the gate of that, whatever a
        reload brings meanwhile. Raises DialFailed.
        """
        share = self.share
        await self.gate.turn()
        await ws.dial(
            self.adapter.ws_url(),
            lambda: self.listener,
            timeout_s=share.settings.connect_timeout_s,
            proxy=self.target.proxy,
            tls=self._tls,
        )
        self.life.opened_ns = self.listener.opened_ns
        if self.ended is None:
            self._ping_later()

    def retune(self) -> None:
        """Take the settings that were reloaded, as far as they concern a connection that stands."""
        settings, adapter = self.share.settings, self.adapter
        spread = self.number * GOLDEN % 1.0
        self.life.rules = rules_of(settings, adapter.limits.lifetime_s, spread)
        self.subscription.retune(pauses_of(settings), clock.mono_ns())

    def end(self, why: End) -> None:
        """Give the connection up, now: nothing that it still brings is stored."""
        if self.ended is not None:
            return
        self.ended = why
        transport = self.listener.transport
        if why in OF_ITS_EDGE and transport is not None and not self.target.proxy:
            ws.useless(transport, self.adapter.ws_url())
        self.listener.hang_up()
        for handle in (self._pump, self._ping):
            if handle is not None:
                handle.cancel()
        asyncio.get_running_loop().call_later(GOODBYE_S, self.listener.cut)
        if why in COUNTER_OF_END:
            self.counts.add(COUNTER_OF_END[why])
        self._refusals.say(clock.mono_ns(), more=False)
        self._on_end(self, why)

    # --- asking

    def join(self, exchange_symbols: Iterable[str], *, again: bool = False) -> None:
        """Carry these too. `again`: another one did, and they did not quote."""
        symbols = list(exchange_symbols)
        self.listener.left[self.watch.ids_of(symbols)] = 0
        self.subscription.join(symbols, again=again)
        self.counts.add("subscribes", len(symbols))
        self._ask()

    def leave(self, exchange_symbols: Iterable[str], *, again: bool = False) -> None:
        symbols = list(exchange_symbols)
        self.subscription.leave(symbols, again=again)
        ids = self.watch.ids_of(symbols)
        self._given_no_more(ids)
        self.listener.left[ids] = 1
        self._ask()

    def ask_again(self, exchange_symbols: Iterable[str]) -> None:
        """Unsubscribe these and subscribe them anew. Their cells stay as they are."""
        self.subscription.ask_again(exchange_symbols)
        self._ask()

    def ask_at_once(self) -> None:
        """Ask for all that waits: a person has named it again."""
        self.subscription.ask_at_once(clock.mono_ns())
        self._ask()

    def forget(self, symbol_ids: Sequence[int]) -> None:
        """What was quoted under these ids says nothing of what they mean from now on."""
        self.listener.quoted[symbol_ids] = self.listener.left[symbol_ids] = 0

    def _given_no_more(self, ids: Ids) -> None:
        """It brings these no longer."""
        self.listener.quoted[ids] = 0
        self._let_go(ids)

    def _let_go(self, ids: Ids | slice = slice(None)) -> None:
        """Others quote these from now on, if anybody does, and in an order of their own."""
        self.share.board.let_go(self.number, ids)

    def _ask(self) -> None:
        if self._pump is None:
            self._ask_next()

    def _ask_next(self) -> None:
        """Send what may be sent now, and the next at the exchange's pace.

        One whose hour is used up calls for a successor: that one comes with its own.
        """
        self._pump = None
        if self.ended is not None:
            return
        now_ns = clock.mono_ns()
        text = self.subscription.next_request(now_ns)
        if text is not None:
            self.listener.send(text)
            self._asked_again(now_ns)
        self.life.spent = self.subscription.spent(now_ns)
        wait_ns = self.subscription.wait_ns(now_ns)
        if wait_ns is not None and wait_ns < ASK_SOON_S * NS_PER_S:
            self._pump = asyncio.get_running_loop().call_later(wait_ns / NS_PER_S, self._ask_next)

    def _asked_again(self, now_ns: int) -> None:
        """Whoever fell silent and is asked for again may have been silent by a fault: that silence
        is no interval of its quotes. What was asked for the first time has none yet.
        """
        symbols = self.subscription.asked_again
        if symbols:
            self.share.board.deafen(self.watch.ids_of(symbols), now_ns)
            self.listener.deafen(now_ns)

    def _ping_later(self) -> None:
        pause_s = ping_every_s(self.adapter.ping)
        self._ping = asyncio.get_running_loop().call_later(pause_s, self._ping_now)

    def _ping_now(self) -> None:
        self.probe()
        self._ping_later()

    def probe(self) -> None:
        """Ping, unless requests go out: a frame of ours is not sent beside them, as Binance counts
        both.
        """
        if self._pump is None or self.adapter.ping.text is not None:
            self.ping()

    def ping(self) -> None:
        """Ask whether somebody is there: by the exchange's own text where it has one, as it is sure
        to answer that; else by a ping frame with a stamp.
        """
        text = self.adapter.ping.text
        stamp = self.pulse.sent(clock.mono_ns())
        if text is not None:
            self.listener.send(text)
        else:
            self.listener.ping(stamp)

    def ponged(self, payload: bytes, mono_ns: int) -> None:
        """A pong frame."""
        try:
            self.pulse.answered(mono_ns, payload)
        except Exception as error:
            self.share.fail(error)

    # --- looking after it

    def check(self, now_ns: int, slowdown: float) -> None:
        """Look at the clock: has it to go, is a first quote overdue?"""
        if self.ended is not None:
            return
        if now_ns - self._watched_ns >= WATCH_NS:
            self._watched_ns = now_ns
            self.watch.look(now_ns)
            self.life.must_quote = self.watch.in_vain(now_ns, self.life.rules)
        self._refusals.say(now_ns, more=self.subscription.asking)
        self.feel(now_ns, slowdown)
        seen = self._seen()
        why = self.life.verdict(now_ns, seen, self.pulse.waits_since(seen), slowdown)
        if why is None and self.subscription.useless and not self.subscription.acknowledged:
            why = End.REFUSED
        if why is not None:
            self.end(why)
            return
        if not self.subscription.resting:
            self._ask()

    def feel(self, now_ns: int, slowdown: float) -> bool:
        """Its pulse: is it silent, is its path slow, does it want a ping?

        Returns whether `silent` changed.
        """
        listener, pulse = self.listener, self.pulse
        rules = self._silence
        if pulse.calm and now_ns - listener.data_ns <= rules.idle_ns_max and not self.silent:
            return False  # nearly always: it quotes, and nobody is waited for
        before = self.silent
        seen = self._seen()
        if pulse.wants_ping(now_ns, seen, rules):
            self.probe()
        self.silent = pulse.silent(now_ns, seen, rules, slowdown)
        listener.behind = pulse.behind
        self.deaf = pulse.deaf(now_ns, seen, rules)
        if self.deaf:
            listener.deafen(now_ns)
        self._path(pulse.lags(now_ns, rules))
        if self.silent and not before:
            self._let_go()
        return self.silent is not before

    @property
    def _silence(self) -> SilenceRules:
        """The rules of the settings in force, made once for each."""
        if self._silence_of is not self.share.settings:
            self._silence_of = self.share.settings
            self._silence_rules = silence_rules(self.share.settings)
        return self._silence_rules

    def _seen(self) -> Seen:
        listener = self.listener
        return Seen(
            listener.frame_ns,
            listener.data_ns,
            listener.mean_read_ns,
            listener.mean_read_quotes,
            listener.bad_in_row,
        )

    def doubt(self) -> None:
        """Nobody has looked for a while: silent until the other side has answered."""
        self.pulse.doubt(clock.mono_ns())
        self.ping()
        self.silent = self.deaf = self.listener.behind = True

    def _path(self, lags: bool) -> None:
        """Where quotes carry no time the pings tell that they are late."""
        if lags == self.listener.path_lags:
            return
        self.listener.path_lags = lags
        self.share.outages.take(
            "path lags" if lags else "path is well",
            "",
            clock.mono_ns(),
            level=INFO,
            connection=self.number,
        )
        self._typed.path(lags, self.watch.quoted_ids())

    # --- what it is good for

    def stands_behind(self, exchange_symbol: str) -> bool:
        """Whether the stored quote of a symbol is as good with this connection alone."""
        heard = self.ended is None and self.listener.data_ns != 0 and not self.silent
        return heard and self.watch.carries(exchange_symbol)

    @property
    def ready(self) -> bool:
        """Live and quoting: it may take over from its predecessor."""
        return self.ended is None and self.listener.data_ns != 0 and self.watch.all_answered()

    def heard_all(self, until_ns: int) -> bool:
        """Whether all that the exchange said here until then has arrived: a ping sent later was
        answered. One that answers no pings may have said what it had to say when it says more.
        """
        pulse = self.pulse
        return (pulse.arrived_ns if pulse.answers else self.listener.frame_ns) >= until_ns

    def covered(self, *, planned: bool) -> npt.NDArray[np.bool_]:
        """By symbol id: whether the stored quote stays good without the other connections.

        What was quoted here, and is still carried, is, as long as this connection is heard. What
        was acknowledged but not quoted here is too if the other one was well until the end, and has
        not quoted it since: then nothing has changed.
        """
        mask = np.zeros(len(self.listener.quoted), np.bool_)
        if not self.silent and self.ended is None:
            mask[self.watch.given_ids() if planned else self.watch.quoted_ids()] = True
        return mask

    # --- what the listener passes on

    def unusual(self, frame: bytes) -> None:
        """A message that is no usual quote."""
        try:
            for event in self.adapter.parse(frame):
                if type(event) is RawQuote:
                    self._typed.quote(event)
                elif type(event) is BookChange:
                    self._typed.book(event, self.listener)
                else:
                    self._take(event)
        except BadMessage as error:
            self._bad(error, frame)
        except Exception as error:
            self.share.fail(error)

    def broken(self, reason: str, frame: bytes) -> None:
        """A frame that is against the protocol."""
        try:
            self._bad(BadMessage(reason), frame)
        except Exception as error:
            self.share.fail(error)

    def gone(self) -> None:
        try:
            self.end(End.LOST)
        except Exception as error:
            self.share.fail(error)

    def _bad(self, error: BadMessage, frame: bytes) -> None:
        label = "skip_bad_quote" if isinstance(error, BadQuote) else "skip_bad_message"
        self.counts.add(label)
        self.share.evidence.take(error, frame)
        self._doubt(error, frame)
        if self.listener.bad() >= self.life.rules.bad_in_row_max:
            self.end(End.BAD_STREAK)

    def _doubt(self, error: BadMessage, frame: bytes) -> None:
        """A message that named a symbol and could not be read: what is stored of it has changed.

        All of it is stale, also where one side of the message was good. A side that is absent or
        null is read, and is EMPTY beside a good one; here nobody knows what the rest of a damaged
        message is worth, a good side beside an older one is a book that never was, and its update
        id would make the next change of one side build on it. The next whole quote mends it.
        """
        symbol = str(error.evidence.get("symbol") or self.adapter.symbol_of(frame))
        row = self.share.instruments.get(symbol)
        if row is not None:
            self.counts.add("unread_marks", self._typed.unread(row))

    def _take(self, event: Event) -> None:
        if isinstance(event, Delta):
            self._typed.delta(event)
        elif isinstance(event, Ack | Refused):
            self._answered(event)
        elif isinstance(event, Notice):
            self._noticed(event)

    def _answered(self, event: Ack | Refused) -> None:
        self.counts.add("control")
        refused = self.subscription.answered(event, clock.mono_ns())
        if refused:
            self._disown(refused)
        if isinstance(event, Refused):
            self.counts.add("refusals")
            self._refusals.take(event, refused or event.exchange_symbols, clock.mono_ns())
        self._ask()

    def _disown(self, exchange_symbols: Sequence[str]) -> None:
        """What was given until now, by this connection or the one before, is refused."""
        ids = self.watch.ids_of(exchange_symbols)
        self._given_no_more(ids)
        self.share.disowned(ids)

    def _noticed(self, notice: Notice) -> None:
        if notice.kind is NoticeKind.OTHER:
            self.counts.add("skip_other")
            return
        self.counts.add("control")
        if notice.kind is NoticeKind.SAID:
            text = notice.text[:200]
            self.share.outages.take("the exchange says", text, clock.mono_ns())
        if notice.kind is NoticeKind.PONG:
            self.pulse.answered(clock.mono_ns())
        if notice.kind is NoticeKind.SHUTDOWN:
            self.share.outages.take(
                "shutdown announced", "", clock.mono_ns(), level=INFO, connection=self.number
            )
            self.life.notice = True
