"""What of ours a day runs, in one process and on one loop: segments, feeds and the engine.

The feeds are whole: made as `feed.main` makes them, with the settings as shipped but for what
stands in SETTINGS below. The engine's native core is stepped after whatever happened. No process is
started and no thread: `watch`, by which a process hears of orders at once, is left out, and orders
are found with the next heartbeat.
"""

import contextlib
import shutil
from collections.abc import Callable, MutableMapping
from pathlib import Path
from random import Random
from typing import Any, NamedTuple, Self

import structlog

from spread_scanner import clock, config
from spread_scanner.engine.core import Engine
from spread_scanner.feed.books import Shelf
from spread_scanner.feed.feed import Feed
from spread_scanner.runtime.gate import Gates
from spread_scanner.runtime.life import End
from spread_scanner.runtime.process import Process
from spread_scanner.schema.enums import SOURCE_BY_LABEL
from spread_scanner.shm import Control, Health, PriceStore, SignalRing
from spread_scanner.shm.books import BookStore
from spread_scanner.shm.connections import Connections
from spread_scanner.shm.price_store import Writer
from spread_scanner.shm.wants import Wants
from spread_scanner.shminit import making
from spread_scanner.symbology import publish, tables
from spread_scanner.symbology.tables import Tables

SHIPPED = Path(__file__).parents[2] / "config"
# What a day has otherwise than it ships, and why.
SETTINGS = """
[system]
namespace = "{namespace}"
max_symbols = 64     # a few symbols: the arrays that are walked ten times a second stay short
ring_slots = 1024
[spread-engine]
evaluations_kept = 64
signal_basis_unknown = true  # no day waits five minutes for its first signal
[spread-tracker]
sample_ms = 1000     # what is looked at: the invariants look at the same cells each 50 ms
life_s_max = 120.0
"""
Log = Callable[..., None]


class Still(Process):
    """A process without the thread that waits for orders."""

    def watch(self, wake: Callable[[], None]) -> None:
        """Orders are found with the next heartbeat."""


class Cut(NamedTuple):
    """How a feed's lines carry its symbols: so many a connection, each by so many; where its books
    come from, if it follows any; and the proxy that it dials through."""

    per_connection: int
    copies: int
    depth_channel: str = ""
    proxy: str = ""


def settings_of(
    folder: Path, namespace: str, cuts: dict[str, Cut], of_books: str = ""
) -> config.Settings:
    """The shipped settings, with so few symbols a connection that a feed has some lines."""
    made = folder / "config"
    shutil.copytree(SHIPPED, made)
    (made / "pools.toml").unlink()  # nobody reads any, and each reload would
    write(made, namespace, cuts, of_books)
    (folder / "data").mkdir()
    return config.load(made, environ={})


def write(made: Path, namespace: str, cuts: dict[str, Cut], of_books: str) -> None:
    feeds = "".join(f"[feed-{label}]\nredundant = {cut.copies}\n" for label, cut in cuts.items())
    (made / "config.toml").write_text(SETTINGS.format(namespace=namespace) + feeds + of_books)
    exchanges = (SHIPPED / "exchanges.toml").read_text()
    for label, cut in cuts.items():
        exchanges = exchanges.replace(
            f"[{label}]\n",
            f"[{label}]\ntopics_per_connection_max = {cut.per_connection}\n"
            f'depth_channel = "{cut.depth_channel}"\nproxy = "{cut.proxy}"\n',
        )
    (made / "exchanges.toml").write_text(exchanges)


class System:
    """The segments and whoever works on them; with settings `of_books` its feeds follow some."""

    def __init__(
        self, settings: config.Settings, first: Tables, labels: list[str], seed: str, log: Log,
        of_books: str = "",
    ) -> None:  # fmt: skip
        self.settings = settings
        self.labels = labels
        self.log = log
        self._seed = seed
        self._stack = contextlib.ExitStack()
        system = settings.config.system
        publish.publish(settings.generated_dir, first, {})
        making.ensure(settings)
        enter = self._stack.enter_context
        self.store = enter(PriceStore.attach(system.namespace))
        self.ring = enter(SignalRing.attach(system.namespace, "signals"))
        self.health = enter(Health.attach(system.namespace))
        self.control = enter(Control.attach(system.namespace))
        self.connections = enter(Connections.attach(system.namespace))
        self.books = enter(BookStore.attach(system.namespace))
        self.wants = enter(Wants.attach(system.namespace))
        self._of_books = of_books
        self.operator = enter(self.control.operator())
        self.consumer = enter(self.ring.consumer())
        self.engine_row = enter(self.health.claim("spread-engine"))
        self.engine = enter(
            Engine(system.namespace, self.engine_row, enter(self.control.claim("spread-engine")))
        )
        self.engine.load(settings, first)
        self.gates_beside = enter(Gates(system.namespace))  # another process's
        self._lives: dict[str, contextlib.ExitStack] = {}  # what a feed's process holds
        self._born = 0
        self.feeds = {label: self._feed(label) for label in labels}

    def _feed(self, label: str) -> Feed:
        source = SOURCE_BY_LABEL[label]
        self._lives[label] = life = self._stack.enter_context(contextlib.ExitStack())
        enter = life.enter_context
        log = structlog.wrap_logger(
            structlog.PrintLogger(),
            processors=[self._logged(label)],
            wrapper_class=structlog.make_filtering_bound_logger(20),
        )
        process = Still(
            source.process,
            self.settings,
            log,
            enter(self.health.claim(source.process)),
            enter(self.control.claim(source.process)),
        )
        process.slot.ack(process.orders.generation)
        feed = Feed(
            process,
            source,
            self.store,
            enter(self.store.writer(source.source_id)),
            enter(self.connections.claim(source.source_id)),
            enter(Gates(self.settings.config.system.namespace)),
            Shelf(enter(self.books.writer(source.source_id)), self.wants)
            if self._of_books
            else None,
        )
        self._born += 1
        life_of = "" if self._born <= len(self.labels) else f" {self._born}"
        feed._share.random = Random(f"feed {self._seed} {label}{life_of}")
        return feed

    def kill(self, label: str) -> None:
        """A feed's process is no more: what it would have done is not done, what it held is free,
        and what it wrote stays as it is."""
        feed = self.feeds[label]
        for line in feed._lines():
            connections = line.connections
            handles = [handle for one in connections for handle in (one._pump, one._ping)]
            for handle in (line._timer, *handles):
                if handle is not None:
                    handle.cancel()
            for one in connections:
                one.ended = End.STOPPED
        for task in feed._share.tasks:
            task.cancel()
        self._lives.pop(label).close()

    def revive(self, label: str) -> Feed:
        """It is started again, and reads the settings that lie there now."""
        self.settings = config.load(self.settings.folder, environ={})
        self.feeds[label] = feed = self._feed(label)
        return feed

    def _logged(self, label: str) -> Callable[[Any, str, MutableMapping[str, Any]], str]:
        def note(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> str:
            rest = " ".join(f"{key}={value}" for key, value in event.items() if key != "event")
            # Its name is drawn anew for each day that is lived.
            rest = rest.replace(str(self.settings.folder), "config")
            self.log("feed", label, event.get("event"), rest)
            raise structlog.DropEvent

        return note

    def cut(self, cuts: dict[str, Cut]) -> None:
        """Settings that the next reload finds."""
        write(self.settings.folder, self.settings.config.system.namespace, cuts, self._of_books)

    def misconfigure(self, text: str) -> None:
        """Settings that the next reload cannot take."""
        (self.settings.folder / "config.toml").write_text(text)

    def publish(self, new: Tables) -> None:
        """New tables, and everybody is told."""
        publish.publish(self.settings.generated_dir, new, {})
        for label in self.labels:
            self.operator.reload(SOURCE_BY_LABEL[label].process)
        self.engine.load(self.settings, tables.load(self.settings.generated_dir))

    def writer(self, source_id: int) -> Writer:
        """The cells of a source that no feed of this day writes."""
        return self._stack.enter_context(self.store.writer(source_id))

    def beat_engine(self) -> None:
        self.engine_row.beat()

    def step_engine(self) -> Any:
        """One cycle now; what it signalled, as records."""
        self.engine.loop.step(clock.mono_ns())
        return self.consumer.pop_many(1_000)

    def close(self) -> None:
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
