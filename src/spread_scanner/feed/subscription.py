"""What one connection has asked of the exchange, and what it got: a state machine without sockets
or clocks.

Used by Connection, which sends what `next_request` gives and passes answers and quotes in. Every
request has a deadline and is repeated, with growing pauses. An acknowledgement is not taken for
proof of data: the first quote is. A refused symbol is named and asked for again slowly, whoever was
refused along with it at once. What there is no room for is handed back (`overflow`). An error that
names nobody blames nobody. Times are monotonic ns.
"""

import random
from collections.abc import Callable, Iterable
from typing import NamedTuple

from spread_scanner.exchanges.adapter import Ack, Adapter, RefusalKind, Refused
from spread_scanner.feed.budget import Budget
from spread_scanner.feed.requests import NO_ID, Queue, Request, RequestBatch, Underway
from spread_scanner.runtime.patience import Pauses, spread

# Halving a refused request until the culprit stands alone takes twice the logarithm; beyond this
# it is not a symbol that is refused.
HALVINGS_MAX = 64
REPEATS_MAX = 5  # repeats of an unanswered request before it is repeated slowly only
USUAL = Pauses()


class Refusal(NamedTuple):
    """A symbol that the exchange refuses: how often in a row, and when it is asked for again."""

    times: int
    due_ns: int
    at_ns: int


class Subscription:
    """`wanted` is what the connection shall carry. Of it `acknowledged` was accepted, or quotes;
    `refused` was refused. `unproven` holds since when what was asked for has not quoted, `begun_ns`
    when it was asked for first, but for what another connection had asked for in vain.
    """

    def __init__(
        self,
        adapter: Adapter,
        exchange_symbols: Iterable[str] = (),
        pauses: Pauses = USUAL,
        rand: Callable[[], float] = random.random,
    ) -> None:
        self._adapter = adapter
        self.pauses = pauses
        self._random = rand
        self._budget = Budget(adapter.limits, pauses.again_ns_min, rand)
        self._ids = 0
        self._queue = Queue(adapter)
        self._underway = Underway()
        self._sent: set[str] = set()  # what the exchange may be sending
        self._turning: set[str] = set()  # to be unsubscribed although wanted
        self._trying: set[str] = set()  # refused, and asked for again now
        self._halvings = 0
        self._rounds = 0  # of halving in vain
        self.wanted: dict[str, None] = {}
        self.acknowledged: set[str] = set()
        self.refused: dict[str, Refusal] = {}
        self.unproven: dict[str, int] = {}
        self.begun_ns: dict[str, int] = {}
        self.overflow: list[str] = []
        self.asked_again: tuple[str, ...] = ()  # what the last request asked for once more
        # How many the exchange gives this connection, as far as is known, and until when that is
        # believed: what was full may have room one day.
        self.capacity: int | None = None
        self._capacity_ns = 0
        self._fulls = 0
        self._unnamed = False  # its answers name neither request nor symbol
        self.useless = False  # the exchange refuses for reasons that no symbol explains
        self.words = ""  # of the last refusal, until something is accepted
        self.refused_ns = 0  # when that came
        self.join(exchange_symbols)

    # --- what is wanted

    def join(self, exchange_symbols: Iterable[str], *, again: bool = False) -> None:
        """Carry these too. `again`: they were asked for elsewhere, and did not quote."""
        new = [symbol for symbol in exchange_symbols if symbol not in self.wanted]
        self.wanted.update(dict.fromkeys(new))
        self._queue.add(RequestBatch(new, True, again=again))

    def leave(self, exchange_symbols: Iterable[str], *, again: bool = False) -> None:
        """Carry these no longer."""
        gone = [symbol for symbol in exchange_symbols if symbol in self.wanted]
        for symbol in gone:
            del self.wanted[symbol]
            self.refused.pop(symbol, None)
            self.unproven.pop(symbol, None)
            self.begun_ns.pop(symbol, None)
        for kept in (self.acknowledged, self._turning, self._trying):
            kept.difference_update(gone)
        self.overflow = [symbol for symbol in self.overflow if symbol in self.wanted]
        self._queue.add(
            RequestBatch([symbol for symbol in gone if symbol in self._sent], False, again=again)
        )

    def ask_again(self, exchange_symbols: Iterable[str]) -> None:
        """Unsubscribe these, which do not quote, and subscribe them anew."""
        turned = [
            symbol
            for symbol in exchange_symbols
            if symbol in self.wanted and symbol not in self.refused and symbol not in self._turning
        ]
        self._turning.update(turned)
        self.acknowledged.difference_update(turned)
        self._queue.add(RequestBatch(turned, False, again=True))

    def retune(self, pauses: Pauses, now_ns: int) -> None:
        """Other pauses, also for what waits or is under way already."""
        self.pauses = pauses
        self._budget.retune(pauses.again_ns_min, now_ns)
        self._underway.retune(pauses.answer_ns)
        if self.capacity is not None:
            longest_ns = pauses.again_ns(self._fulls - 1)
            self._capacity_ns = min(self._capacity_ns, now_ns + longest_ns)

    def ask_at_once(self, now_ns: int) -> None:
        """Nothing waits any longer, refused or unanswered, as if it had not been asked for:
        somebody named it anew. The exchange's pace and its pauses are kept.
        """
        for symbol in self.refused:
            self.refused[symbol] = Refusal(0, now_ns, now_ns)
        self._queue.hurry()
        self._rounds = 0

    def quoted(self, exchange_symbols: Iterable[str]) -> None:
        """These quote since they were asked for: that is proof, whatever was answered."""
        proven = [
            symbol
            for symbol in exchange_symbols
            if (symbol in self._sent or symbol in self.refused)
            and symbol in self.wanted
            and symbol not in self._turning
        ]
        for symbol in proven:
            self._sent.add(symbol)
            self._given(symbol)
            self.unproven.pop(symbol, None)
        self._underway.answer_no_more(proven)

    # --- what is asked

    def next_request(self, now_ns: int) -> str | None:
        """The text to send now, or None. It counts as sent."""
        self._expire(now_ns)
        if self._underway.alone:
            return None
        for batch, symbols in self._queue.ready(self._underway):
            if batch.due_ns <= now_ns and not self._wait_ns(batch, symbols, now_ns):
                self._queue.take(batch, symbols)
                return self._send(batch, symbols, now_ns)
        return None

    def wait_ns(self, now_ns: int) -> int | None:
        """How long until there may be a next request; None: that depends on answers, or joins."""
        if self._underway.alone:
            return None
        waits = (
            max(batch.due_ns - now_ns, self._wait_ns(batch, symbols, now_ns))
            for batch, symbols in self._queue.ready(self._underway)
        )
        return min(waits, default=None)

    def _wait_ns(self, batch: RequestBatch, symbols: list[str], now_ns: int) -> int:
        times = self._times(batch, symbols)
        return self._budget.wait_ns(now_ns, again=batch.charged, times=times)

    def _times(self, batch: RequestBatch, symbols: list[str]) -> int:
        """How many requests it is charged for: see RequestBatch.paid."""
        turns = not batch.subscribes and not self._turning.isdisjoint(symbols)
        return 2 if turns and not batch.paid else 1

    def spent(self, now_ns: int) -> bool:
        """Something is to be asked for the first time, and the hour's requests are used up."""
        return self._budget.hour_spent(now_ns) and any(
            not batch.again for batch in self._queue.batches
        )

    @property
    def asking(self) -> bool:
        """An answer may still come to what was asked."""
        return bool(self._underway.asked)

    def doubted(self, exchange_symbol: str) -> bool:
        """Whether its acknowledgement may have been another's: as long as one that names nobody is
        awaited, of those that do not quote the one that is not answered may be any.
        """
        return (
            self._unnamed
            and exchange_symbol in self.unproven
            and any(request.subscribes for request in self._underway.asked.values())
        )

    def idle(self, now_ns: int) -> bool:
        """Nothing that could be asked again now waits for its turn: more of it may be added. What
        is asked slowly, as it is never answered, holds up nobody.
        """
        return not any(batch.again and batch.due_ns <= now_ns for batch in self._queue.batches)

    @property
    def settled(self) -> bool:
        """Everything was sent and answered."""
        return not self._queue.batches and not self._underway.asked

    @property
    def resting(self) -> bool:
        """Time alone brings no request: all is answered, and nothing is to be tried again."""
        tried = self.refused or self._trying or self.capacity is not None or self._halvings
        return self.settled and not tried

    @property
    def refusal(self) -> str:
        """The exchange's words, if everything that is wanted here is refused; else empty."""
        refused = self.useless or len(self.refused) == len(self.wanted) > 0
        return self.words if refused and not self.acknowledged else ""

    def _to_subscribe(self, exchange_symbol: str) -> bool:
        return (
            exchange_symbol in self.wanted
            and exchange_symbol not in self.acknowledged
            and exchange_symbol not in self._turning
            and exchange_symbol not in self.overflow
            and (exchange_symbol not in self.refused or exchange_symbol in self._trying)
        )

    def _to_unsubscribe(self, exchange_symbol: str) -> bool:
        return exchange_symbol not in self.wanted or exchange_symbol in self._turning

    def _send(self, batch: RequestBatch, symbols: list[str], now_ns: int) -> str:
        self._ids += 1
        times = self._times(batch, symbols)
        request = Request(
            self._ids,
            tuple(symbols),
            batch.subscribes,
            now_ns,
            now_ns + self.pauses.answer_ns,
            batch.tries,
            batch.again,
            batch.alone,
            batch.paid or times > 1,
        )
        self._underway.add(request)
        self._budget.use(now_ns, again=batch.charged, times=times)
        self.asked_again = request.exchange_symbols if batch.again and batch.subscribes else ()
        if batch.subscribes:
            self._sent.update(symbols)
            self.unproven.update(dict.fromkeys(symbols, now_ns))
            if not batch.again:
                self.begun_ns.update(dict.fromkeys(symbols, now_ns))
            return self._adapter.subscribe(symbols, self._ids)
        self._sent.difference_update(symbols)
        self._underway.answer_no_more(symbols)
        return self._adapter.unsubscribe(symbols, self._ids)

    def _expire(self, now_ns: int) -> None:
        """What the time brings: unanswered requests, and refused symbols whose turn it is."""
        for request in self._underway.expire(now_ns):
            self._repeat(request, now_ns)
            if self._unnamed and request.subscribes:
                self.ask_again([one for one in self.unproven if one in self.acknowledged])
        due = [
            symbol
            for symbol, refusal in self.refused.items()
            if now_ns >= refusal.due_ns and symbol not in self._trying
        ]
        self._trying.update(due)
        self._queue.add(RequestBatch(due, True, now_ns, again=True))
        self._queue.prune(self._to_subscribe, self._to_unsubscribe)
        if self.capacity is not None and now_ns >= self._capacity_ns:
            self.capacity = None
        if self.settled:
            self._halvings = 0

    # --- what is answered

    def answered(self, event: Ack | Refused, now_ns: int) -> tuple[str, ...]:
        """Take an answer in; returns the symbols that are refused now and were not before."""
        if isinstance(event, Ack):
            self._accepted(event, now_ns)
            return ()
        self.words, self.refused_ns = event.message or event.code, now_ns
        request = self._underway.of(event)
        named = [symbol for symbol in event.exchange_symbols if symbol in self.wanted]
        if request is None:
            return self._refused_by_nobody(event, named, now_ns)
        if event.kind is RefusalKind.BUSY:
            self._underway.take_back(request, event.exchange_symbols)
            due_ns = self._budget.busy(now_ns, request.sent_ns)
            self._later(request, event.exchange_symbols, due_ns, now_ns)
            return ()
        if not request.subscribes:
            return self._unsubscribe_refused(request, event)
        if event.kind is RefusalKind.FULL:
            return self._full(request, now_ns)
        if event.kind is RefusalKind.UNKNOWN or not event.exchange_symbols:
            by_id = event.request_id == str(request.request_id)
            return self._halve(request, now_ns, by_id=by_id)
        if self._adapter.limits.whole_request_refused:
            self._underway.take_back(request)
            self._add_rest(request, event.exchange_symbols, now_ns)
        else:
            self._underway.take_back(request, event.exchange_symbols)
        return self._refuse(named, now_ns)

    def _accepted(self, event: Ack, now_ns: int) -> None:
        self._budget.calm()
        self._unnamed = event.request_id in NO_ID and not event.exchange_symbols
        request = self._underway.of(event)
        named = event.exchange_symbols or (request.exchange_symbols if request else ())
        if request is not None and not request.subscribes:
            self._underway.take_back(request, named)
            self._unsubscribed(request, named)
            return
        if event.subscribes is not False:
            for symbol in named:
                if symbol in self._sent and symbol in self.wanted and symbol not in self._turning:
                    self._given(symbol)
        if request is None:
            return
        if event.exchange_symbols and self._adapter.limits.whole_request_refused:
            # That some are there already undid the request for the others.
            self._underway.take_back(request)
            self._add_rest(request, event.exchange_symbols, now_ns)
        else:
            self._underway.take_back(request, named)

    def _given(self, exchange_symbol: str) -> None:
        self.acknowledged.add(exchange_symbol)
        self.refused.pop(exchange_symbol, None)
        self._trying.discard(exchange_symbol)
        self.words, self.useless, self._rounds = "", False, 0

    def _later(
        self, request: Request, exchange_symbols: Iterable[str], due_ns: int, now_ns: int
    ) -> None:
        """Ask the same again, these symbols of it (none named: all), at that time."""
        if request.subscribes:
            self._pay(request, now_ns)
        named = set(exchange_symbols or request.exchange_symbols)
        left = [symbol for symbol in request.exchange_symbols if symbol in named]
        self._queue.add(request.once_more(left, due_ns))

    def _repeat(self, request: Request, now_ns: int) -> None:
        """No answer came: the same again, soon at first and then slowly.

        Whoever waits for its turn is not kept by that pause: nothing is out any more. Nor does it
        go alone again: that shows whom an answer is to, and there was none.
        """
        tries = request.tries + 1
        answer_ns = self.pauses.answer_ns
        pause_ns = (answer_ns << min(request.tries, REPEATS_MAX)) - answer_ns
        left = list(request.exchange_symbols)
        if not request.subscribes:
            self._unsubscribed(request, left)
            if tries < REPEATS_MAX:
                gone = [symbol for symbol in left if symbol not in self.wanted]
                self._queue.add(RequestBatch(gone, False, now_ns + pause_ns, tries, True))
            return
        if tries >= REPEATS_MAX:
            pause_ns += self._again_ns(tries - REPEATS_MAX)
        paid = self._pay(request, now_ns)
        self._queue.add(RequestBatch(left, True, now_ns + pause_ns, tries, True, paid=paid))

    def _add_rest(self, request: Request, exchange_symbols: Iterable[str], now_ns: int) -> None:
        """Who was refused along with others is asked for again at once."""
        named = set(exchange_symbols)
        self._ask_first(request, [s for s in request.exchange_symbols if s not in named], now_ns)

    def _ask_first(self, request: Request, exchange_symbols: list[str], now_ns: int) -> None:
        """These of what was asked for, in a request of their own, before all others."""
        if exchange_symbols:
            paid = self._pay(request, now_ns)
            batch = RequestBatch(exchange_symbols, True, 0, 0, request.again, request.alone, paid)
            self._queue.add(batch, first=True)

    def _pay(self, request: Request, now_ns: int) -> bool:
        """Whether what a subscribing is repeated by is charged for already, as that was: what it
        was charged by is used up, so it is charged once more, and later ones wait for it.
        """
        if request.paid:
            self._budget.owe(now_ns)
        return request.paid

    def _unsubscribed(self, request: Request, exchange_symbols: Iterable[str]) -> None:
        """An unsubscribing is over. Who is wanted nevertheless is asked for now."""
        back = [symbol for symbol in exchange_symbols if symbol in self.wanted]
        self._turning.difference_update(back)
        self._queue.join_first(RequestBatch(back, True, again=request.again, paid=request.paid))

    def _unsubscribe_refused(self, request: Request, event: Refused) -> tuple[str, ...]:
        """What cannot be unsubscribed is not subscribed; those along with it may still be."""
        self._underway.take_back(request)
        named = set(event.exchange_symbols)
        over = [s for s in request.exchange_symbols if s in named or not named]
        self._unsubscribed(request, over)
        rest = [symbol for symbol in request.exchange_symbols if symbol not in over]
        self._queue.add(RequestBatch(rest, False, 0, request.tries, True), first=True)
        return ()

    def _refused_by_nobody(self, event: Refused, named: list[str], now_ns: int) -> tuple[str, ...]:
        """A refusal that belongs to no request: all that are out may be meant, and are repeated."""
        if event.kind is RefusalKind.SYMBOL:
            return self._refuse(named, now_ns)
        busy = event.kind is RefusalKind.BUSY
        out = list(self._underway.asked.values())
        meant = out or (list(self._underway.late.values()) if busy else [])
        if event.request_id not in NO_ID or not meant:
            return ()
        due_ns = self._budget.busy(now_ns, max(request.sent_ns for request in meant))
        alone = not busy
        for request in self._underway.expire():
            self._later(request._replace(alone=request.alone or alone), (), due_ns, now_ns)
        return ()

    def _full(self, request: Request, now_ns: int) -> tuple[str, ...]:
        """There is no room for all of a request: half may fit, until one is too much. Then the
        connection carries what it has, and hands back what still waits.
        """
        for symbol in request.exchange_symbols:
            self._sent.discard(symbol)
            self.unproven.pop(symbol, None)
            self.refused.pop(symbol, None)  # if it was: it would be given, elsewhere
            self._trying.discard(symbol)
        if len(request.exchange_symbols) > 1:
            self._split(request, now_ns)
            return ()
        self._underway.take_back(request)
        if not self.acknowledged:
            # It holds nothing, so it is not full: something else is meant.
            due_ns = self._budget.busy(now_ns, request.sent_ns)
            self._later(request, (), due_ns, now_ns)
            return ()
        if self.capacity is None:
            self._capacity_ns = now_ns + self._again_ns(self._fulls)
            self._fulls += 1
        self.capacity = len(self.acknowledged | self._turning)
        out = self._underway.symbols()
        kept = self.acknowledged | self._turning | self.refused.keys() | out
        self.overflow = [symbol for symbol in self.wanted if symbol not in kept]
        return ()

    def _split(self, request: Request, now_ns: int) -> None:
        self._underway.take_back(request)
        symbols = list(request.exchange_symbols)
        middle = len(symbols) // 2
        for half in (symbols[middle:], symbols[:middle]):
            self._ask_first(request, half, now_ns)

    def _halve(self, request: Request, now_ns: int, *, by_id: bool) -> tuple[str, ...]:
        """The exchange does not say which symbol it refuses: ask for each half on its own. Only a
        refusal that names its request (`by_id`) convicts the symbol that is left.
        """
        symbols = list(request.exchange_symbols)
        if len(symbols) == 1 and by_id:
            self._underway.take_back(request)
            return self._refuse(symbols, now_ns)
        self._halvings += 1
        if len(symbols) > 1 and self._halvings <= HALVINGS_MAX:
            self._split(request, now_ns)
            return ()
        # Neither a symbol is to blame nor is there an end to it: the same again, slowly.
        self._underway.take_back(request)
        self.useless = self._halvings > HALVINGS_MAX
        due_ns = now_ns + self._again_ns(self._rounds)
        self._rounds += 1
        self._halvings = 0
        self._queue.add(RequestBatch(symbols, True, due_ns, 0, True, request.alone))
        return ()

    def _again_ns(self, times: int) -> int:
        return spread(self.pauses.again_ns(times), self._random())

    def _refuse(self, exchange_symbols: Iterable[str], now_ns: int) -> tuple[str, ...]:
        new = []
        for symbol in exchange_symbols:
            if symbol not in self.wanted:
                continue
            before = self.refused.get(symbol)
            times = before.times + 1 if before is not None else 1
            due_ns = now_ns + self._again_ns(times - 1)
            self.refused[symbol] = Refusal(times, due_ns, now_ns)
            self.acknowledged.discard(symbol)
            self._trying.discard(symbol)
            self._sent.discard(symbol)
            self.unproven.pop(symbol, None)
            if before is None:
                new.append(symbol)
        return tuple(new)
