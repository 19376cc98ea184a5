"""spread-engine: the process around the loop.

It takes the tables, runs the native loop in short turns, and between turns beats its heart and
obeys orders. A kill or a pause is in force natively before it is acknowledged here. New tables that
cannot be read are logged and the old ones stay; segments that were replaced end the process.
"""

from spread_scanner.clock import NS_PER_MS
from spread_scanner.engine.core import Engine
from spread_scanner.errors import TableError
from spread_scanner.runtime import scheduling
from spread_scanner.runtime.process import Process, run
from spread_scanner.schema.counters import ENGINE_COUNTERS
from spread_scanner.schema.enums import ProcessState
from spread_scanner.shm.control import Orders
from spread_scanner.symbology import tables

NAME = "spread-engine"
TURN_NS = 5 * NS_PER_MS
_RELOADS = next(row.counter_id for row in ENGINE_COUNTERS if row.label == "reloads")


def main() -> int:
    return run(NAME, live)


def live(process: Process) -> None:
    """Until told to stop."""
    settings = process.settings.config.spread_engine
    if settings.idle != "spin":
        scheduling.short_slices(settings.slice_us)
    with Engine(process.settings.config.system.namespace, process.row, process.slot) as engine:
        pairs = engine.load(process.settings, tables.load(process.settings.generated_dir))
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
        _reload(process, engine)
    # Orders that came after the last turn are not in force natively before the next one.
    engine.loop.run(0)
    process.applied(orders)


def _reload(process: Process, engine: Engine) -> None:
    settings = process.reload_settings()
    try:
        pairs = engine.load(settings, tables.load(settings.generated_dir))
    except TableError as error:
        process.log.error("tables not taken, the old ones stay", error=str(error))
        return
    process.row.add(_RELOADS)
    process.log.info("tables taken", pairs=pairs)
