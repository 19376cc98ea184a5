"""New tables and settings without a stop: planned by a thread beside the loop, brought up to date
by the loop itself a few pairs each cycle, swapped in between two of its cycles.

Planning twelve thousand pairs takes a third of a second of Python. Meanwhile the loop stays in
native code, where it needs no interpreter, beats for the process itself and heeds the operator's
switches; only what has to be said back waits. What the pairs that stay go through changes with each
quote: the loop copies it itself (native/reload.h). Rejected: planning in the loop's thread (0.26
s), and turns of the usual length meanwhile: at the end of each the thread would wait for the
interpreter, which a long call of the planning one holds for milliseconds.

What the log is told of it the planning thread tells: whoever reads the log may be busy. It collects
cycles, too, once all is over: a collection walks what twelve thousand pairs are made of, for
milliseconds, and is made by whoever happens to allocate next.

On failure: what is wrong with settings or tables refuses the reload, and the old ones stay.
"""

import gc
import sys
import threading
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue

from spread_scanner import clock
from spread_scanner.clock import NS_PER_MS, NS_PER_S
from spread_scanner.config import Settings
from spread_scanner.engine.core import Engine, ReadyWork
from spread_scanner.runtime.process import Process, Tried
from spread_scanner.shm.control import Orders
from spread_scanner.symbology import tables

TURN_NS = 5 * NS_PER_MS
LONG_TURN_NS = 5 * NS_PER_S  # systemd's watchdog allows fifteen, and is told each seven
DROP_TURN_NS = 250 * NS_PER_MS  # at the most: what is given back ends it
NATIVE_S = 0.01  # until the loop has its turn, in which it needs no interpreter
BRING_NS = 2 * NS_PER_S  # a loop that has not brought it in by then never comes to it
SWITCH_INTERVAL_S = 0.0005  # should the loop's thread need the interpreter, it has it within this


def keep_for_good() -> None:
    """What is loaded by now stays: no collection need walk it again."""
    gc.collect()
    gc.freeze()


def _nothing() -> None:
    """There is nothing to say."""


class Reloads:
    """The engine's orders: obeyed at once, a reload when planned. Used by the loop's thread."""

    def __init__(self, process: Process, engine: Engine, taken: Callable[[int], None]) -> None:
        """`taken` is told how many pairs are in force after each reload."""
        self._process = process
        self._engine = engine
        self._taken = taken
        self._work: SimpleQueue[Callable[[], object]] = SimpleQueue()
        self._planning: Orders | None = None  # the orders whose reload is being planned
        self._waiting: Orders | None = None  # the newest that came meanwhile
        self._tried: Tried | None = None
        self._ready: ReadyWork | None = None  # what was tried is to put in force; None: it failed
        self._said: Callable[[], None] = _nothing  # of what was put in force, to the log
        self._dropping = False  # what was in force before is given back
        self._bring_by_ns = 0  # monotonic; 0: nobody has begun
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        # Here already: to start a thread is to wait for it, and so for the interpreter.
        threading.Thread(target=self._plan_all, name="planning", daemon=True).start()

    @property
    def under_way(self) -> bool:
        """Whether a reload is planned, or brought in."""
        return self._planning is not None

    @property
    def turn_ns(self) -> int:
        """How long the loop may run now."""
        planning = self._planning is not None and self._tried is None
        if planning:
            return LONG_TURN_NS
        return DROP_TURN_NS if self._dropping else TURN_NS

    def obey(self, orders: Orders) -> None:
        """Acknowledge orders, or plan their reload; those that come meanwhile are acknowledged
        after it: an acknowledgement covers all orders before it."""
        if self._planning is not None:
            reload = orders.reload or (self._waiting is not None and self._waiting.reload)
            self._waiting = orders._replace(reload=reload)
        elif orders.reload:
            self._plan(orders)
        else:
            self._acknowledge(orders)

    def poll(self) -> None:
        """Have what has been planned brought in, and then put in force; what is left after a while
        at once."""
        if self._planning is None or self._tried is None:
            return
        if self._ready is not None and not (self._engine.bring(self._ready) or self._is_late()):
            return
        orders, tried = self._planning, self._tried
        self._planning = self._tried = self._ready = None
        self._bring_by_ns = 0
        self._engine.loop.beat(self._process.row.heartbeat_at, 0)
        self._process.conclude(orders, tried)
        self._acknowledge(orders)
        # With it goes what was in force before. To give back as much memory is one long call, too.
        self._dropping = True
        said, self._said = self._said, _nothing
        self._work.put(partial(self._drop, said, [tried]))
        del tried
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            self.obey(waiting)

    def _is_late(self) -> bool:
        """Each look at what is usual has all brought anew: a loop that gets to the end of one once
        a second, or less often, would never be done."""
        now_ns = clock.mono_ns()
        self._bring_by_ns = self._bring_by_ns or now_ns + BRING_NS
        return now_ns >= self._bring_by_ns

    def _plan(self, orders: Orders) -> None:
        self._engine.loop.run(0)  # heeds the order, which would end the long run
        self._planning = orders
        system = self._process.settings.config.system
        self._engine.loop.beat(self._process.row.heartbeat_at, system.heartbeat_ms * NS_PER_MS)
        self._work.put(self._try)

    def _plan_all(self) -> None:
        while True:
            self._work.get()()

    def _try(self) -> None:
        gc.disable()
        self._tried = self._process.tried(self._prepare)
        self._engine.ask()

    def _prepare(self, settings: Settings) -> Callable[[], None]:
        ready = self._engine.prepare(settings, tables.load(settings.generated_dir))
        self._ready = ready
        return partial(self._take, ready)

    def _take(self, ready: ReadyWork) -> None:
        pairs = self._engine.take(ready)
        self._taken(pairs)
        self._said = partial(self._process.log.info, "tables taken", pairs=pairs)

    def _drop(self, said: Callable[[], None], last: list[Tried]) -> None:
        """Of the one that is the last to be held."""
        clock.sleep(NATIVE_S)
        said()
        last.clear()
        keep_for_good()
        gc.enable()
        self._dropping = False
        self._engine.ask()

    def _acknowledge(self, orders: Orders) -> None:
        # Orders that came after the last turn are not in force natively before the next one.
        self._engine.loop.run(0)
        self._process.applied(orders)
