"""spread-engine: the process around the loop.

It takes the tables, runs the native loop in short turns, and between turns beats its heart and
obeys orders. A kill or a pause is in force natively before it is acknowledged here. A reload of
what cannot be used is refused and all stays as it was; segments that were replaced end the process.
"""

from collections.abc import Callable

from spread_scanner.clock import NS_PER_MS
from spread_scanner.config import Settings
from spread_scanner.engine.core import Engine, Ready
from spread_scanner.runtime import scheduling
from spread_scanner.runtime.process import Process, run
from spread_scanner.schema.counters import ENGINE_COUNTERS
from spread_scanner.schema.enums import ProcessState
from spread_scanner.schema.names import ENGINE
from spread_scanner.shm.control import Orders
from spread_scanner.symbology import tables

TURN_NS = 5 * NS_PER_MS
_RELOADS = next(row.counter_id for row in ENGINE_COUNTERS if row.label == "reloads")


def main() -> int:
    return run(ENGINE, live)


def live(process: Process) -> None:
    """Until told to stop."""
    _ask_for_slices(process)
    with Engine(process.settings.config.system.namespace, process.row, process.slot) as engine:
        loaded = tables.load(process.settings.generated_dir)
        pairs = engine.take(engine.prepare(process.settings, loaded))
        process.log.info("tables taken", pairs=pairs)
        process.watch(engine.wake)
        orders = process.orders
        process.state(ProcessState.PAUSED if orders.paused else ProcessState.RUNNING)
        while not process.stopping:
            engine.loop.run(TURN_NS)
            engine.check()
            process.row.cycle(engine.loop.take_longest_ns())
            news = process.poll()
            if news is not None:
                _obey(process, engine, news)


def _obey(process: Process, engine: Engine, orders: Orders) -> None:
    if orders.reload:
        _reload(process, engine, orders)
    # Orders that came after the last turn are not in force natively before the next one.
    engine.loop.run(0)
    process.applied(orders)


def _reload(process: Process, engine: Engine, orders: Orders) -> None:
    def prepare(settings: Settings) -> Callable[[], None]:
        ready = engine.prepare(settings, tables.load(settings.generated_dir))
        return lambda: _take(process, engine, ready)

    process.reload(orders, prepare)


def _take(process: Process, engine: Engine, ready: Ready) -> None:
    """Put what was prepared in force."""
    pairs = engine.take(ready)
    _ask_for_slices(process)
    process.row.add(_RELOADS)
    process.log.info("tables taken", pairs=pairs)


def _ask_for_slices(process: Process) -> None:
    settings = process.settings.config.spread_engine
    scheduling.short_slices(0 if settings.idle == "spin" else settings.slice_us)
