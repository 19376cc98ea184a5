"""spread-paths: finds cycles over Solana's pools that end with more than they began with.

Reads "<namespace>.pools" and parks on its eventcount; writes data/cycles.db. Ends at once with code
0 unless it is enabled and pools are read, so that its unit may always be enabled. Nothing is sent
anywhere: what is found is told, and whoever trades stands elsewhere. While it is paused pools are
read and nothing is searched. Start is recovery: what an earlier life left standing is closed.
"""

import contextlib

from spread_scanner import clock
from spread_scanner.config import Settings, files
from spread_scanner.runtime.process import NO_MORE, NOT_ENABLED, Process, run
from spread_scanner.schema.names import CYCLES_FILE, PATHS
from spread_scanner.shm.pools import PoolTable


def main() -> int:
    """Run until asked to stop; returns the exit code."""
    return run(PATHS, _body)


def _body(process: Process) -> None:
    if not _wanted(process.settings):
        process.unwanted(NOT_ENABLED)
        return
    files.check_paths_extra(process.settings)
    from spread_scanner.paths.hunting import PathHunt  # which needs the extra
    from spread_scanner.paths.keeping import KeptCycles

    with contextlib.ExitStack() as stack:
        table = stack.enter_context(PoolTable.attach(process.settings.config.system.namespace))
        waiter = stack.enter_context(table.waiter())
        process.watch(waiter.wake)
        kept = KeptCycles(process.settings.data_dir / CYCLES_FILE, clock.wall_ns())
        stack.callback(kept.close)
        hunt = PathHunt(process, table, kept)
        stack.callback(hunt.close)
        while not process.stopping:
            changes = table.changes
            orders = process.poll()
            if orders is not None:
                if orders.reload and process.reload(orders, hunt.prepared):
                    hunt.reloaded()
                process.applied(orders)
            if not _wanted(process.settings):
                process.unwanted(NOT_ENABLED, NO_MORE)
                return
            hunt.turn()
            waiter.wait_beyond(changes, hunt.rest_ms())


def _wanted(settings: Settings) -> bool:
    return settings.config.spread_paths.wanted and settings.pools.runs
