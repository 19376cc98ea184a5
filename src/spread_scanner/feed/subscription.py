"""What one connection has asked of the exchange, and what it got: a state machine without sockets.

Used by Connection, which sends what `next_request` gives, at the exchange's pace, and passes the
answers in. An acknowledgement is not taken for proof of data: the first quote is. A refused symbol
is dropped and named once; whoever was refused along with it is asked for again.
"""

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from spread_scanner.exchanges.adapter import Ack, Adapter, Refused
from spread_scanner.feed import shards

# Halving a refused request until the culprit stands alone takes twice the logarithm; beyond this
# it is not a symbol that is refused.
HALVINGS_MAX = 64


class Request(NamedTuple):
    """One request on its way."""

    request_id: int
    exchange_symbols: tuple[str, ...]
    subscribes: bool


class Subscription:
    """`wanted` is what the connection shall carry, `refused` what it may not."""

    def __init__(self, adapter: Adapter, exchange_symbols: Iterable[str]) -> None:
        self._adapter = adapter
        self._ids = 0
        self._waiting: deque[tuple[bool, list[str]]] = deque()
        self._asked: dict[int, Request] = {}
        self._halvings = 0
        self.wanted: dict[str, None] = {}
        self.acknowledged: set[str] = set()
        self.refused: set[str] = set()
        self.useless = False  # the exchange refuses for reasons that no symbol explains
        self.join(exchange_symbols)

    def join(self, exchange_symbols: Iterable[str]) -> None:
        """Carry these too."""
        new = [symbol for symbol in exchange_symbols if symbol not in self.wanted]
        self.wanted.update(dict.fromkeys(new))
        self._queue(True, new)

    def leave(self, exchange_symbols: Iterable[str]) -> None:
        """Carry these no longer."""
        gone = [symbol for symbol in exchange_symbols if symbol in self.wanted]
        for symbol in gone:
            del self.wanted[symbol]
        self.acknowledged.difference_update(gone)
        self._queue(False, [symbol for symbol in gone if symbol not in self.refused])
        self.refused.difference_update(gone)

    def _queue(self, subscribes: bool, exchange_symbols: list[str]) -> None:
        adapter = self._adapter
        for batch in shards.requests(exchange_symbols, adapter.limits, adapter.topic_bytes):
            self._waiting.append((subscribes, batch))

    def next_request(self) -> str | None:
        """The text to send next, or None: everything has been said."""
        while self._waiting:
            subscribes, batch = self._waiting.popleft()
            if subscribes:
                batch = [symbol for symbol in batch if symbol in self.wanted]
            if not batch:
                continue
            self._ids += 1
            self._asked[self._ids] = Request(self._ids, tuple(batch), subscribes)
            make = self._adapter.subscribe if subscribes else self._adapter.unsubscribe
            return make(batch, self._ids)
        return None

    @property
    def waiting(self) -> bool:
        """There is something to send."""
        return bool(self._waiting)

    @property
    def settled(self) -> bool:
        """Everything was sent and answered."""
        return not self._waiting and not self._asked

    def answered(self, event: Ack | Refused) -> tuple[str, ...]:
        """Take an answer in; returns the symbols that are refused now."""
        request = self._request_of(event)
        if isinstance(event, Ack):
            self._accepted(event, request)
            return ()
        named = [symbol for symbol in event.exchange_symbols if symbol in self.wanted]
        if request is None:
            return self._drop(named)
        if not request.subscribes:
            del self._asked[request.request_id]
            return ()
        if not named:
            return self._halve(request)
        if self._adapter.limits.whole_request_refused:
            rest = [symbol for symbol in request.exchange_symbols if symbol not in named]
            del self._asked[request.request_id]
            if rest:
                self._waiting.appendleft((True, rest))
        else:
            self._strike(request, named)
        return self._drop(named)

    def quoted(self, exchange_symbol: str) -> None:
        """A quote is proof, whatever was answered."""
        self.refused.discard(exchange_symbol)

    def _request_of(self, event: Ack | Refused) -> Request | None:
        """The request that an answer belongs to: by its id, else by a symbol, else the oldest."""
        if event.request_id.isdigit() and int(event.request_id) in self._asked:
            return self._asked[int(event.request_id)]
        for request in self._asked.values():
            if not event.exchange_symbols or set(event.exchange_symbols) & set(
                request.exchange_symbols
            ):
                return request
        return None

    def _accepted(self, event: Ack, request: Request | None) -> None:
        if request is None:
            return
        named = event.exchange_symbols or request.exchange_symbols
        if request.subscribes:
            self.acknowledged.update(symbol for symbol in named if symbol in self.wanted)
        self._strike(request, named)

    def _strike(self, request: Request, exchange_symbols: Iterable[str]) -> None:
        """These symbols of a request are answered; the others are still out."""
        answered = set(exchange_symbols)
        left = tuple(symbol for symbol in request.exchange_symbols if symbol not in answered)
        if left:
            self._asked[request.request_id] = request._replace(exchange_symbols=left)
        else:
            del self._asked[request.request_id]

    def _halve(self, request: Request) -> tuple[str, ...]:
        """The exchange does not say which symbol it refuses: ask for each half on its own."""
        del self._asked[request.request_id]
        symbols = list(request.exchange_symbols)
        if len(symbols) == 1:
            return self._drop(symbols)
        self._halvings += 1
        if self._halvings > HALVINGS_MAX:
            self.useless = True
            return ()
        middle = len(symbols) // 2
        self._waiting.appendleft((True, symbols[middle:]))
        self._waiting.appendleft((True, symbols[:middle]))
        return ()

    def _drop(self, exchange_symbols: Iterable[str]) -> tuple[str, ...]:
        new = tuple(symbol for symbol in exchange_symbols if symbol not in self.refused)
        self.refused.update(new)
        return new
