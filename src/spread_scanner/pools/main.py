"""feed-solana: hears pools of Solana from RPC providers, and writes what each is worth.

Writes "<namespace>.pools", and its rows of "<namespace>.connections"; reads pools.toml. One loop
has the providers' lines, the orders and the heartbeat. Ends at once with code 0 unless pools.toml
is enabled and names pools and providers, so that its unit may always be enabled. A reload that
changes pools.toml begins all lines anew, with everything stale meanwhile. While it is paused its
lines go on, and no pool is stood behind.
"""

from spread_scanner.config import files
from spread_scanner.runtime import dial_loop
from spread_scanner.runtime.gate import Gates
from spread_scanner.runtime.process import NOT_ENABLED, Process, run
from spread_scanner.schema.names import FEED_SOLANA
from spread_scanner.shm.connections import Connections
from spread_scanner.shm.pools import PoolTable


def main() -> int:
    """Run until asked to stop; returns the exit code."""
    return run(FEED_SOLANA, _body)


def _body(process: Process) -> None:
    settings = process.settings
    if not settings.pools.runs:
        process.unwanted(NOT_ENABLED)
        return
    files.check_extra(settings)
    from spread_scanner.pools.hearing import PoolHearing  # which needs the extra

    namespace = settings.config.system.namespace
    with (
        PoolTable.attach(namespace) as table,
        table.writer() as writer,
        Connections.attach(namespace) as connections,
        connections.claim_providers() as rows,
        Gates(namespace) as gates,
    ):
        if gates.fault:
            process.log.warning("dials are paced for this process alone", error=gates.fault)
        try:
            dial_loop.run(PoolHearing(process, writer, rows, gates).run())
        finally:
            writer.clear()
