"""A feed's process: from its name to its life. The eight bins call `main`."""

import gc

from spread_scanner.feed.books import Shelf
from spread_scanner.feed.feed import Feed
from spread_scanner.runtime import dial_loop
from spread_scanner.runtime import process as life
from spread_scanner.runtime.gate import Gates
from spread_scanner.runtime.process import Process
from spread_scanner.schema.enums import SOURCE_BY_LABEL, ProcessState, Source
from spread_scanner.shm import PriceStore
from spread_scanner.shm.books import BookStore
from spread_scanner.shm.connections import ConnectionRows, Connections
from spread_scanner.shm.price_store import Writer
from spread_scanner.shm.wants import Wants


def main(source_label: str) -> int:
    """Run the feed of one source until it is told to stop; returns the exit code."""
    source = SOURCE_BY_LABEL[source_label]
    return life.run(source.process, lambda process: run(process, source))


def run(process: Process, source: Source) -> None:
    """The body of the process."""
    settings = process.settings
    if not settings.exchanges[source.label].enabled:
        process.state(ProcessState.STOPPED, "disabled in exchanges.toml")
        process.log.info("disabled, nothing to do")
        return
    namespace = settings.config.system.namespace
    store = PriceStore.attach(namespace)
    # What was loaded until here stays for ever: the collector need not walk it again and again.
    gc.freeze()
    with (
        store.writer(source.source_id) as writer,
        Connections.attach(namespace) as connections,
        connections.claim(source.source_id) as rows,
        Gates(namespace) as gates,
        BookStore.attach(namespace) as books,
        books.writer(source.source_id) as slots,
        Wants.attach(namespace) as wants,
    ):
        if gates.fault:
            process.log.warning("dials are paced for this process alone", error=gates.fault)
        shelf = Shelf(slots, wants)
        dial_loop.run(_live(process, source, store, writer, rows, gates, shelf))


async def _live(
    process: Process,
    source: Source,
    store: PriceStore,
    writer: Writer,
    rows: ConnectionRows,
    gates: Gates,
    shelf: Shelf,
) -> None:
    await Feed(process, source, store, writer, rows, gates, shelf).run()
