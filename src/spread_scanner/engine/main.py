"""spread-engine: the process around the loop.

It takes the tables, runs the native loop in short turns, and between turns beats its heart and
obeys orders. A kill or a pause is in force natively before it is acknowledged here. A reload is
planned beside the loop (reload.py), and of what cannot be used refused: all stays as it was.
Segments that were replaced end the process.
"""

from spread_scanner.engine.core import Engine
from spread_scanner.engine.reload import Reloads
from spread_scanner.runtime import scheduling
from spread_scanner.runtime.process import Process, run
from spread_scanner.schema.counters import ENGINE_COUNTERS
from spread_scanner.schema.enums import ProcessState
from spread_scanner.schema.names import ENGINE
from spread_scanner.symbology import tables

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
        reloads = Reloads(process, engine, lambda pairs: _taken(process, pairs))
        process.state(ProcessState.RUNNING)
        while not process.stopping:
            engine.loop.run(reloads.turn_ns)
            engine.check()
            process.row.cycle(engine.loop.take_longest_ns())
            news = process.poll()
            if news is not None:
                reloads.obey(news)
            reloads.poll()


def _taken(process: Process, pairs: int) -> None:
    """New tables and settings are in force."""
    _ask_for_slices(process)
    process.row.add(_RELOADS)
    process.log.info("tables taken", pairs=pairs)


def _ask_for_slices(process: Process) -> None:
    settings = process.settings.config.spread_engine
    scheduling.short_slices(0 if settings.idle == "spin" else settings.slice_us)
