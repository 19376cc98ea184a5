"""spread-recorder: writes down what every feed published and what the engine said, into the log.

Reads the tapes, which it claims, the signal ring, by looking on, the store's rows, the switches and
the files of tables and of what is usual; writes data_dir/wal. It drains each 20 ms and has the disk
take it each 50 ms; what is not there is a Gap. Ends at once with code 0 unless it is enabled, so
that its unit may always be enabled. Killed at any time it leaves a log whose end the next life
finds: what a tape still holds is taken up where the log ends.

Its priority is a low one: a feed that is flooded goes first, and what the recorder has no time for
waits on the tapes.
"""

import contextlib
import threading

from spread_scanner.recorder.recording import Recording
from spread_scanner.runtime.process import NO_MORE, NOT_ENABLED, Process, run
from spread_scanner.schema.names import RECORDER
from spread_scanner.wal.priority import give_way

DRAIN_S = 0.02


def main() -> int:
    """Run until asked to stop; returns the exit code."""
    return run(RECORDER, _body)


def _body(process: Process) -> None:
    if not process.settings.config.spread_recorder.wanted:
        process.unwanted(NOT_ENABLED)
        return
    give_way()
    woken = threading.Event()
    process.watch(woken.set)
    with contextlib.closing(Recording(process)) as recording:
        while not process.stopping:
            orders = process.poll()
            if orders is not None:
                if orders.reload:
                    process.reload(orders, recording.prepared)
                recording.pause(orders.paused)
                process.applied(orders)
            if not process.settings.config.spread_recorder.wanted:
                process.unwanted(NOT_ENABLED, NO_MORE)
                return
            recording.turn()
            woken.wait(DRAIN_S)
            woken.clear()
