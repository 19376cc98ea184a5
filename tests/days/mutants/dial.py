"""Mends of dialling, undone: whose turn it is, who waits for how long, what proves a connection."""

import contextlib
from collections.abc import Iterable, Iterator

from mutants.undo import put

from spread_scanner import clock
from spread_scanner.clock import NS_PER_S
from spread_scanner.feed.connection import Connection
from spread_scanner.feed.line import Line
from spread_scanner.runtime import addresses, gate, ws
from spread_scanner.runtime.gate import Gate, Gates
from spread_scanner.shm.dials import Dials


@contextlib.contextmanager
def turns_reserved_ahead() -> Iterator[None]:
    """A line takes its turn when its pause begins, and everybody else queues behind it."""
    free_ns: dict[int, int] = {}
    dial_after = Line._dial_after

    def reserve(self: Line, pause_s: float) -> None:
        share, now_ns = self._share, clock.mono_ns()
        turn_ns = max(now_ns + int(pause_s * NS_PER_S), free_ns.get(id(share), 0))
        free_ns[id(share)] = turn_ns + int(NS_PER_S / share.adapter.limits.connects_per_s_max)
        dial_after(self, (turn_ns - now_ns) / NS_PER_S)

    with put(Line, "_dial_after", reserve):
        yield


@contextlib.contextmanager
def turns_of_its_own() -> Iterator[None]:
    """Each process paces its dials by itself, whoever else dials from the same address."""
    begin = Gates.__init__

    def alone(self: Gates, namespace: str) -> None:
        begin(self, namespace)
        self._dials = Dials.private()

    with put(Gates, "__init__", alone):
        yield


@contextlib.contextmanager
def dialled_by_the_tables_of_before() -> Iterator[None]:
    """A connection reads by the tables that were in force when its dial began to wait."""
    with put(Line, "_bring_up_to_date", lambda *_: None):
        yield


@contextlib.contextmanager
def one_word_for_all_addresses() -> Iterator[None]:
    """Turns and bans of a host are one whoever's address is dialled from, ours or a proxy's."""
    name = gate.gate_name

    def direct(exchange: str, url: str, proxy: str) -> str:
        return name(exchange, url, "")

    with put(gate, "gate_name", direct):
        yield


@contextlib.contextmanager
def a_proxy_that_denies_is_our_fault() -> Iterator[None]:
    """What a proxy answers is no way in which a dial may fail."""
    with put(ws, "ProxyError", ZeroDivisionError):
        yield


@contextlib.contextmanager
def successors_without_pause() -> Iterator[None]:
    """A successor that failed is dialled again at once, while the old connection lives."""
    again = Line._again

    def at_once(self: Line, why: str) -> None:
        again(self, why)
        self._successor_ns = 0

    with put(Line, "_again", at_once):
        yield


@contextlib.contextmanager
def one_quote_is_proof() -> Iterator[None]:
    """The back-off falls with the first quote."""

    def note(self: Line, connection: Connection) -> None:
        if connection.listener.data_ns:
            self._backoff.failures = 0

    with put(Line, "_note_stood", note):
        yield


@contextlib.contextmanager
def bans_are_not_heard() -> Iterator[None]:
    """What an exchange asks for in a refusal concerns nobody."""
    with put(Gate, "refused", lambda *_: ""):
        yield


@contextlib.contextmanager
def one_address_of_a_name() -> Iterator[None]:
    """The first address that a name has is the only one."""

    def first(found: Iterable[addresses.Info], *_: object) -> list[addresses.Info]:
        return list(found)[:1]

    with put(addresses, "in_turn", first):
        yield
