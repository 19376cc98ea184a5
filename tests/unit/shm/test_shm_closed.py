"""One writer per datum: what was closed writes no more, though its bytes are still mapped."""

import os
import signal
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import pytest

from spread_scanner.schema.books import BOOK_DTYPE, BookFlag
from spread_scanner.schema.enums import (
    DIRECTIONS,
    SOURCES,
    ConnectionState,
    ProcessState,
    ReloadOutcome,
    SwitchKind,
)
from spread_scanner.schema.funding import FundingNow
from spread_scanner.schema.pools import POOL_DTYPE
from spread_scanner.schema.records import EVALUATION_DTYPE, SIGNAL_DTYPE
from spread_scanner.shm import Control, Health, PriceStore, SignalRing
from spread_scanner.shm.books import BookStore
from spread_scanner.shm.connections import Connections
from spread_scanner.shm.evaluations import Evaluations
from spread_scanner.shm.funding import FundingTable
from spread_scanner.shm.operator import Operator
from spread_scanner.shm.pools import PoolTable
from spread_scanner.shm.segment import Holder
from spread_scanner.shm.wants import Wants

ONE_SIGNAL = np.zeros(1, SIGNAL_DTYPE)
ONE_EVALUATION = np.zeros(1, EVALUATION_DTYPE)


class Place(NamedTuple):
    """A place that is claimed, and all that its claimant can do to it."""

    claimed: Holder
    acts: dict[str, Callable[[], object]]


def ring_place(ring: SignalRing, end: str) -> Place:
    if end == "write":
        producer = ring.producer()
        return Place(
            producer,
            {
                "try_push": lambda: producer.try_push(ONE_SIGNAL),
                "push_many": lambda: producer.push_many(ONE_SIGNAL),
            },
        )
    consumer = ring.consumer()
    return Place(
        consumer,
        {
            "pop_many": lambda: consumer.pop_many(1),
            "peek_many": lambda: consumer.peek_many(1),
            "release": lambda: consumer.release(1),
            "wait": lambda: consumer.wait(0),
            "wait_peek": lambda: consumer.wait_peek(0, 1),
        },
    )


def health_place(health: Health) -> Place:
    row = health.claim("spread-engine")
    return Place(
        row,
        {
            "beat": lambda: row.beat(ProcessState.RUNNING, "new"),
            "cycle": lambda: row.cycle(10**12),
            "generation": lambda: row.generation(99),
            "add": lambda: row.add(1),
            "set": lambda: row.set(1, 5),
            "observe": lambda: row.observe(0, 5),
        },
    )


def operator_place(control: Control) -> Place:
    operator = control.operator()
    return Place(
        operator,
        {
            "pause": lambda: operator.pause("spread-engine"),
            "switch a source": lambda: operator.switch(SwitchKind.SOURCE, SOURCES[1].label),
            "switch a direction": lambda: operator.switch(
                SwitchKind.DIRECTION, DIRECTIONS[1].label
            ),
            "switch a symbol": lambda: operator.switch(SwitchKind.SYMBOL, "AAA-USDT"),
            "kill": operator.kill,
            "stop": lambda: operator.stop("spread-engine"),
            "reload": lambda: operator.reload("spread-engine"),
        },
    )


def store_place(store: PriceStore, what: str) -> Place:
    if what == "bitmap":
        bitmap = store.dirty("engine")
        return Place(
            bitmap,
            {
                "take": lambda: bitmap.take(0),
                "take_all": bitmap.take_all,
                "mark_all": lambda: bitmap.mark_all(0),
                "wait": lambda: bitmap.wait(0),
            },
        )
    writer = store.writer(0)
    writer.write(1, 1.0, 1.0, 2.0, 1.0, 1, 1, 1)
    return Place(
        writer,
        {
            "write": lambda: writer.write(1, 1.0, 1.0, 2.0, 1.0, 1, 1, 2),
            "mark_stale": writer.mark_stale,
            "heartbeat": lambda: writer.heartbeat(5),
        },
    )


def connections_place(connections: Connections) -> Place:
    rows = connections.claim(0)
    row = rows.take()
    assert row is not None
    return Place(
        rows,
        {
            "dialling": row.dialling,
            "opened": lambda: row.opened(7, 5),
            "heard": lambda: row.heard(5, 5),
            "ended": lambda: row.ended("new"),
            "add": lambda: row.add(1),
            "give_back": lambda: rows.give_back(row),
        },
    )


def slot_place(control: Control) -> Place:
    slot = control.claim("spread-engine")
    return Place(
        slot,
        {
            "ack": lambda: slot.ack(5),
            "answer": lambda: slot.answer(5, ReloadOutcome.APPLIED, 1),
            "fix": lambda: slot.fix([1, 2]),
        },
    )


def evaluations_place(evaluations: Evaluations) -> Place:
    rows = evaluations.writer()
    return Place(rows, {"append": lambda: rows.append(ONE_EVALUATION)})


def funding_place(table: FundingTable) -> Place:
    writer = table.writer()
    row = FundingNow(1e-4, 0.02, -0.02, 8.0, 1, 1, 0, 1, 1)
    return Place(writer, {"write": lambda: writer.write(0, 0, row)})


def books_place(books: BookStore) -> Place:
    writer = books.writer(0)
    writer.take(0)
    record = np.zeros(1, BOOK_DTYPE)
    return Place(
        writer,
        {
            "publish": lambda: writer.publish(record),
            "mark": lambda: writer.mark(0, BookFlag.RESYNCING),
            "release": lambda: writer.release(0),
        },
    )


def pools_place(table: PoolTable) -> Place:
    writer = table.writer()
    row = np.zeros(1, POOL_DTYPE)
    return Place(
        writer,
        {
            "write": lambda: writer.write(0, row),
            "write_state": lambda: writer.write_state(0, "", 1, b""),
            "slot": lambda: writer.slot(1),
            "clear": writer.clear,
        },
    )


def near_place(wants: Wants) -> Place:
    writer = wants.near_writer()
    return Place(writer, {"say": lambda: writer.say(0, 0, 1.0, 10**9)})


MAKERS: dict[str, Callable[[str], Place]] = {
    "write end": lambda ns: ring_place(SignalRing.create(ns, "signals", slots=8), "write"),
    "read end": lambda ns: ring_place(SignalRing.create(ns, "signals", slots=8), "read"),
    "health row": lambda ns: health_place(Health.create(ns)),
    "control slot": lambda ns: slot_place(Control.create(ns)),
    "operator": lambda ns: operator_place(Control.create(ns)),
    "connection rows": lambda ns: connections_place(Connections.create(ns)),
    "evaluations": lambda ns: evaluations_place(Evaluations.create(ns, slots=64)),
    "funding": lambda ns: funding_place(FundingTable.create(ns, num_sources=1, max_symbols=1)),
    "books": lambda ns: books_place(BookStore.create(ns, num_sources=1, max_symbols=1, slots=1)),
    "pools": lambda ns: pools_place(PoolTable.create(ns)),
    "near": lambda ns: near_place(Wants.create(ns, num_sources=8, max_symbols=1)),
    "dirty bitmap": lambda ns: store_place(PriceStore.create(ns), "bitmap"),
    "writer": lambda ns: store_place(PriceStore.create(ns), "writer"),
}


@pytest.mark.parametrize("kind", MAKERS)
def test_a_closed_place_refuses_every_write(namespace: str, kind: str) -> None:
    place = MAKERS[kind](namespace)
    place.claimed.close()
    held = place.claimed._held
    before = bytes(held._mapped)
    for name, act in place.acts.items():
        with pytest.raises(ValueError, match=r"closed|given back"):
            act()
        assert bytes(held._mapped) == before, f"{name} was refused and wrote all the same"


def test_a_row_that_was_given_back_is_its_next_owners(namespace: str) -> None:
    with Connections.create(namespace) as connections, connections.claim(0) as rows:
        first = rows.take()
        assert first is not None
        rows.give_back(first)
        second = rows.take()
        assert second is not None
        for act in (first.dialling, lambda: first.opened(7, 5), lambda: first.add(1)):
            with pytest.raises(ValueError, match=r"closed|given back"):
                act()
        second.opened(8, 5)
        assert connections.read(0)[0].state is ConnectionState.OPEN


@pytest.fixture
def control(namespace: str) -> Iterator[Control]:
    with Control.create(namespace) as made:
        yield made


def killed_before_issuing(control: Control, command: Callable[[Operator], object]) -> None:
    """Give a command in a process that is killed when it has stored it and would now issue it."""
    pid = os.fork()
    if pid == 0:
        operator = control.operator()
        operator._issue = lambda: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[method-assign,assignment,return-value]
        command(operator)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL


@pytest.mark.parametrize("edge", ["stop", "reload"])
def test_what_a_killed_operator_did_not_issue_is_never_said(control: Control, edge: str) -> None:
    slot = control.claim("feed-okx-spot")
    slot.ack(slot.orders().generation)
    killed_before_issuing(control, lambda operator: getattr(operator, edge)("feed-okx-spot"))
    with control.operator() as operator:
        operator.switch(SwitchKind.SYMBOL, "AAA-USDT")
        orders = slot.orders()
        assert (orders.stop, orders.reload) == (False, False)
        getattr(operator, edge)("feed-okx-spot")
        assert getattr(slot.orders(), edge)


def test_an_edge_that_was_issued_survives_the_next_operator(control: Control) -> None:
    slot = control.claim("feed-okx-spot")
    with control.operator() as operator:
        operator.stop("feed-okx-spot")
    with control.operator() as operator:
        operator.switch(SwitchKind.SYMBOL, "AAA-USDT")
    assert slot.orders().stop
