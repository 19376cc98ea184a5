"""Sources as they stand now."""

from typing import Any

from spread_scanner.shm import Control, PriceStore
from spread_scanner.view import sources


def test_a_source_counts_what_can_be_used_and_only_while_its_feed_beats(up_bed: Any) -> None:
    limit_ns = up_bed.settings.config.system.heartbeat_ms_max * 1_000_000
    with (
        Control.attach(up_bed.namespace) as control,
        control.operator() as operator,
        PriceStore.attach(up_bed.namespace) as store,
        store.writer(0) as writer,
    ):
        operator.pause_source(3)
        now_ns = store.clock.now_ns()
        writer.write(1, 99.0, 1.0, 100.0, 1.0, now_ns, now_ns, 1)
        writer.write(2, 99.0, 1.0, 98.0, 1.0, now_ns, now_ns, 1)  # crossed: nobody uses it
        writer.heartbeat(now_ns - store.clock.anchor_ns)
        first, *_, paused = sources.read(up_bed.settings)[:4]
        writer.heartbeat(now_ns - store.clock.anchor_ns - 3_600 * limit_ns)
        silent = sources.read(up_bed.settings)[0]
    assert (first.source, first.wanted, first.quoted, first.usable) == ("binance-spot", 3, 2, 1)
    assert (first.enabled, first.alive, first.state, first.paused) == (True, False, "absent", False)
    assert (silent.quoted, silent.usable) == (2, 0)
    assert (paused.paused, paused.quoted, paused.heartbeat_age_ms) == (True, 0, None)
