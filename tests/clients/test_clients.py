"""Independent clients read the simulator, and see what the product's price store holds.

ccxt (with ccxt.pro), python-binance and pybit, unmodified but for URLs, each source in a process of
its own, from a venv of their own (`make clients`). The market stands still while they read by REST;
then every listing is quoted anew, and the last word of every stream is the simulator's, as is the
last word of the real feeds that run beside them.
"""

import contextlib
import json
import os
import queue
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from whole_system import FEEDS, WholeSystem, whole_system

from bed import until
from spread_scanner import clock
from spread_scanner.clock import NS_PER_MS
from spread_scanner.schema.enums import EXCHANGE_SOURCES, SOURCE_BY_LABEL
from spread_scanner.sim.answers import MINUTE_MS, rate
from spread_scanner.sim.universe import Universe

HERE = Path(__file__).parent
PYTHON = HERE.parents[1] / ".venv-clients" / "bin" / "python"
SEED, SYMBOLS = 1, 8
DEADLINE_S = 150.0
CLOCK_S = 120.0  # a client's idea of the exchange's time, at most so far from ours
BY_BOOKS = {("ccxt", "mexc-futures")}  # its books' tops; quotes are sent of what a feed wants alone
NO_SIZES = {("ccxt", "mexc-futures")}  # the contract tickers have none
CLIENTS = [
    *(("ccxt", source.label) for source in EXCHANGE_SOURCES),
    *(("binance", source.label) for source in EXCHANGE_SOURCES[:2]),
    *(("pybit", source.label) for source in EXCHANGE_SOURCES[2:4]),
]

pytestmark = [pytest.mark.clients, pytest.mark.timeout(300)]
Quotes = dict[str, list[float | None]]


class Client:
    """One client process: what it said first, and what it sees when asked."""

    def __init__(self, name: str, label: str, bases: dict[str, str], errors: Path) -> None:
        self._errors = errors
        self._said: queue.SimpleQueue[str] = queue.SimpleQueue()
        with errors.open("w") as file:
            self.process = subprocess.Popen(
                [str(PYTHON), str(HERE / f"read_{name}.py"), label, json.dumps(bases)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=file, text=True,
            )  # fmt: skip
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def end(self) -> None:
        """The process and everything that was opened for it."""
        self.process.kill()
        self._listener.join()
        with contextlib.suppress(BrokenPipeError), self.process:
            pass

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._said.put(line)
        self._said.put("")

    def read(self) -> dict[str, Any]:
        """The next thing that it says."""
        try:
            line = self._said.get(timeout=DEADLINE_S)
        except queue.Empty:
            line = ""
        assert line, self._errors.read_text()[-2_000:]
        return dict(json.loads(line))

    def last(self) -> Quotes:
        """What its streams told it last."""
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # then `read` says why it has ended
            self.process.stdin.write("look\n")
            self.process.stdin.flush()
        return dict(self.read()["last"])


class Seen(NamedTuple):
    """Everything that the tests compare; quotes as they were spelled on the wire."""

    system: WholeSystem
    minutes_ms: range  # in which discovery and the clients asked by REST, by any exchange's clock
    rest_sent: dict[str, Quotes]  # by source
    sent: dict[str, Quotes]
    said: dict[tuple[str, str], dict[str, Any]]
    streamed: dict[tuple[str, str], Quotes]
    differences: list[str]  # between the price store and what was sent


def sent_by_source(system: WholeSystem) -> dict[str, Quotes]:
    found: dict[str, Quotes] = {source.label: {} for source in EXCHANGE_SOURCES}
    for (label, name), row in system.sent().items():
        found[label][name] = [float(row[k]) for k in ("bid_px", "bid_sz", "ask_px", "ask_sz")]
    return found


@pytest.fixture(scope="module")
def seen() -> Iterator[Seen]:
    if not PYTHON.exists():
        pytest.skip("the clients are not installed: make clients-venv")
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        begun_ms = clock.wall_ns() // NS_PER_MS
        arguments = (f"--symbols={SYMBOLS}", f"--seed={SEED}", "--rate=200")
        system = stack.enter_context(whole_system(folder, f"clients-{os.getpid()}", *arguments))
        system.start(FEEDS)
        until(lambda: all(sent_by_source(system).values()), lambda: "quotes")
        system.do(do="rate", rate=0)
        system.do(do="refresh")
        until(lambda: not system.differences(), system.differences)
        rest_sent = sent_by_source(system)
        base = system.control_url.removeprefix("http://").removesuffix("/control")
        bases = {source.label: f"{base}/{source.label}" for source in EXCHANGE_SOURCES}
        clients = {}
        for name, label in CLIENTS:
            client = Client(name, label, bases, folder / f"{name}-{label}.err")
            clients[name, label] = client
            stack.callback(client.end)
        said = {key: client.read() for key, client in clients.items()}
        read_ms = clock.wall_ns() // NS_PER_MS
        minutes_ms = range(begun_ms - MINUTE_MS, read_ms + MINUTE_MS, MINUTE_MS)
        _await_streams(system, clients, said)
        system.do(do="refresh")
        until(lambda: not system.differences(), system.differences)
        sent = sent_by_source(system)
        streamed = _await_last_word(clients, said, sent)
        yield Seen(system, minutes_ms, rest_sent, sent, said, streamed, system.differences())


def _await_streams(
    system: WholeSystem,
    clients: dict[tuple[str, str], Client],
    said: dict[tuple[str, str], dict[str, Any]],
) -> None:
    """Until every stream has said something of every symbol; Binance says nothing before news."""
    end_s = time.monotonic() + DEADLINE_S
    waiting = {key: set(said[key]["listed"]) for key in clients}
    while waiting:
        assert time.monotonic() < end_s, waiting
        system.do(do="refresh")
        time.sleep(0.5)
        for key in list(waiting):
            if waiting[key] <= set(clients[key].last()):
                del waiting[key]


def last_words(key: tuple[str, str], listed: list[str], sent: dict[str, Quotes]) -> Quotes:
    """What a client's streams were told last, as far as that is known."""
    of_source = sent[key[1]]
    return {name: of_source[name] for name in listed if key not in BY_BOOKS or name in of_source}


def _await_last_word(
    clients: dict[tuple[str, str], Client],
    said: dict[tuple[str, str], dict[str, Any]],
    sent: dict[str, Quotes],
) -> dict[tuple[str, str], Quotes]:
    """What the streams told last, once it is what was sent last, or at the deadline."""
    end_s = time.monotonic() + DEADLINE_S
    streamed: dict[tuple[str, str], Quotes] = {}
    for key, client in clients.items():
        wanted = last_words(key, said[key]["listed"], sent)
        streamed[key] = {}
        while streamed[key] != wanted:
            streamed[key] = {name: one for name, one in client.last().items() if name in wanted}
            if time.monotonic() > end_s:
                break
            time.sleep(0.1)
    return streamed


@pytest.mark.parametrize(("name", "label"), CLIENTS)
def test_lists_and_quotes_by_rest_are_the_price_stores(seen: Seen, name: str, label: str) -> None:
    said, sent = seen.said[name, label], seen.rest_sent[label]
    scanned = {
        row.exchange_symbol
        for row in seen.system.tables.instruments
        if row.source_id == SOURCE_BY_LABEL[label].source_id
    }
    sides = (0, 2) if (name, label) in NO_SIZES else (0, 1, 2, 3)

    assert len(scanned) >= 5
    assert scanned <= set(said["listed"])
    assert set(said["quotes"]) == set(said["listed"])
    assert scanned <= set(sent)  # what no feed wants has not been sent to anybody yet
    for symbol in set(sent) & set(said["quotes"]):
        quote = said["quotes"][symbol]
        assert [quote[n] for n in sides] == [sent[symbol][n] for n in sides], symbol
    for symbol, top in said["depth"].items():
        assert top == sent[symbol]
    assert abs(said["time_ms"] / 1000 - time.time()) < CLOCK_S + DEADLINE_S


@pytest.mark.parametrize(
    ("name", "label"), [client for client in CLIENTS if client[1].endswith("futures")]
)
def test_funding_is_what_discovery_found(seen: Seen, name: str, label: str) -> None:
    """As the exchange has it: it changes each minute, and one may pass between the two."""
    tables = seen.system.tables
    source_id = SOURCE_BY_LABEL[label].source_id
    names = {row.symbol_id: row.exchange_symbol for row in tables.instruments
             if row.source_id == source_id}  # fmt: skip
    found = {names[row.symbol_id]: row.rate for row in tables.funding if row.source_id == source_id}
    said = seen.said[name, label]["funding"]
    both = set(found) & set(said)

    assert len(both) >= 3
    listed = Universe(SEED, SYMBOLS).by_name[label]
    for symbol in both:
        rates = {float(rate(listed[symbol], at_ms)) for at_ms in seen.minutes_ms}
        assert {said[symbol], found[symbol]} <= rates, symbol


@pytest.mark.parametrize(("name", "label"), CLIENTS)
def test_the_last_words_of_the_streams_are_the_price_stores(
    seen: Seen, name: str, label: str
) -> None:
    expected = last_words((name, label), seen.said[name, label]["listed"], seen.sent)

    assert len(expected) >= 8
    assert seen.streamed[name, label] == expected
    assert not seen.differences
