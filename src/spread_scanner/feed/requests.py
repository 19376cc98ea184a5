"""The requests of one subscription: those that wait to be sent, and those that are under way.

Used by Subscription, which decides what is asked and what an answer means. Pure; times are
monotonic ns.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import NamedTuple

from spread_scanner.exchanges.adapter import Ack, Adapter, Refused
from spread_scanner.feed import shards

LATE_MAX = 64  # requests beyond their deadline whose answers are still understood
NO_ID = ("", "0")  # what stands for an id where an exchange gives none


class RequestBatch(NamedTuple):
    """What is to be asked in one request."""

    exchange_symbols: list[str]
    subscribes: bool
    due_ns: int = 0
    tries: int = 0  # in vain, so far
    again: bool = False  # it repeats what was asked before: charged to the quarter for that
    alone: bool = False  # with nothing else under way, so that a nameless answer is to it
    # An unsubscribing is charged along with the subscribing that follows: for that nothing may be
    # waited for, as nothing is sent meanwhile of what is still believed.
    paid: bool = False

    @property
    def charged(self) -> bool:
        """To the quarter for asking again."""
        return self.again and not (self.subscribes and self.paid)


class Request(NamedTuple):
    """One request under way. `exchange_symbols` are those that are not answered yet."""

    request_id: int
    exchange_symbols: tuple[str, ...]
    subscribes: bool
    sent_ns: int
    deadline_ns: int
    tries: int
    again: bool
    alone: bool
    paid: bool

    def once_more(self, exchange_symbols: list[str], due_ns: int) -> RequestBatch:
        """The same for these of its symbols, at that time."""
        return RequestBatch(
            exchange_symbols,
            self.subscribes,
            due_ns,
            self.tries,
            self.again,
            self.alone,
            self.paid,
        )


class Queue:
    """What is to be asked, in order."""

    def __init__(self, adapter: Adapter) -> None:
        self._adapter = adapter
        self.batches: list[RequestBatch] = []

    def add(self, batch: RequestBatch, *, first: bool = False) -> None:
        """Cut to the exchange's requests."""
        adapter = self._adapter
        cut = shards.requests(batch.exchange_symbols, adapter.limits, adapter.topic_bytes)
        batches = [batch._replace(exchange_symbols=symbols) for symbols in cut]
        self.batches = [*batches, *self.batches] if first else [*self.batches, *batches]

    def join_first(self, batch: RequestBatch) -> None:
        """Before all others, along with what waits there alike: some exchanges answer symbol by
        symbol to what was one request.
        """
        alike = [
            one
            for one in self.batches
            if one._replace(exchange_symbols=batch.exchange_symbols) == batch
        ]
        self.batches = [one for one in self.batches if all(one is not other for other in alike)]
        symbols = [symbol for one in (*alike, batch) for symbol in one.exchange_symbols]
        self.add(batch._replace(exchange_symbols=symbols), first=True)

    def hurry(self) -> None:
        """Nothing waits for its time any longer."""
        self.batches = [batch._replace(due_ns=0, tries=0) for batch in self.batches]

    def prune(self, subscribe: Callable[[str], bool], unsubscribe: Callable[[str], bool]) -> None:
        """Leave only what is still to be asked, by these two."""
        for batch in self.batches:
            still = subscribe if batch.subscribes else unsubscribe
            batch.exchange_symbols[:] = filter(still, batch.exchange_symbols)
        self.batches = [batch for batch in self.batches if batch.exchange_symbols]

    def take(self, batch: RequestBatch, exchange_symbols: Collection[str]) -> None:
        """These symbols of a batch are asked now."""
        taken = set(exchange_symbols)
        batch.exchange_symbols[:] = [s for s in batch.exchange_symbols if s not in taken]
        self.batches = [one for one in self.batches if one.exchange_symbols]

    def ready(self, underway: "Underway") -> Iterator[tuple[RequestBatch, list[str]]]:
        """What does not wait for answers: each batch with those of its symbols; first what is new.

        What is under way comes back into the queue by itself if that was in vain.
        """
        out = underway.symbols()
        for batch in sorted(self.batches, key=lambda batch: batch.charged):
            symbols = [symbol for symbol in batch.exchange_symbols if symbol not in out]
            if symbols and not (batch.alone and underway.asked):
                yield batch, symbols


class Underway:
    """What has been asked and not answered, and what was not answered in time."""

    def __init__(self) -> None:
        self.asked: dict[int, Request] = {}
        self.late: dict[int, Request] = {}

    def add(self, request: Request) -> None:
        self.asked[request.request_id] = request

    def symbols(self) -> set[str]:
        return {symbol for one in self.asked.values() for symbol in one.exchange_symbols}

    @property
    def alone(self) -> bool:
        """One is out that must be the only one."""
        return any(request.alone for request in self.asked.values())

    def retune(self, answer_ns: int) -> None:
        """Answers may take so long now."""
        for number, one in self.asked.items():
            self.asked[number] = one._replace(deadline_ns=one.sent_ns + answer_ns)

    def expire(self, now_ns: int | None = None) -> list[Request]:
        """Wait no longer for those beyond their deadline (None: for all), and return them; their
        answers are still understood.
        """
        over = [one for one in self.asked.values() if now_ns is None or now_ns >= one.deadline_ns]
        for request in over:
            del self.asked[request.request_id]
            self.late[request.request_id] = request
        while len(self.late) > LATE_MAX:
            del self.late[next(iter(self.late))]
        return over

    def of(self, event: Ack | Refused) -> Request | None:
        """The request that an answer is to: by its id, else by a symbol. An acknowledgement that
        has neither is to the oldest of its kind; a refusal, to the only one that is out alone.
        """
        if event.request_id.isdecimal():
            number = int(event.request_id)
            if number in self.asked or number in self.late:
                return self.asked.get(number) or self.late[number]
        subscribes = event.subscribes if isinstance(event, Ack) else None
        out = [one for one in self.asked.values() if subscribes in (None, one.subscribes)]
        late = [one for one in self.late.values() if subscribes in (None, one.subscribes)]
        if event.exchange_symbols:
            named = set(event.exchange_symbols)
            both = [*out, *late]
            return next((one for one in both if named.intersection(one.exchange_symbols)), None)
        if event.request_id not in NO_ID or not out:
            return None
        if isinstance(event, Ack):
            return out[0]
        return out[0] if len(out) == 1 and out[0].alone else None

    def take_back(self, request: Request, exchange_symbols: Iterable[str] | None = None) -> None:
        """These symbols of a request (none named: all) are answered; the others are still out."""
        answered = set(exchange_symbols or request.exchange_symbols)
        left = tuple(symbol for symbol in request.exchange_symbols if symbol not in answered)
        for requests in (self.asked, self.late):
            if request.request_id in requests:
                if left:
                    requests[request.request_id] = request._replace(exchange_symbols=left)
                else:
                    del requests[request.request_id]

    def answer_no_more(self, exchange_symbols: Collection[str]) -> None:
        """An answer to what was asked says nothing about these any more. A request that has none
        left stays until it is answered: else the answer would be taken for another's.
        """
        gone = set(exchange_symbols)
        for requests in (self.asked, self.late):
            for number, request in list(requests.items()):
                if request.subscribes and gone.intersection(request.exchange_symbols):
                    left = tuple(s for s in request.exchange_symbols if s not in gone)
                    requests[number] = request._replace(exchange_symbols=left)
