"""Sources as they stand now."""

from typing import Any

from spread_scanner.clock import NS_PER_MS, VirtualClock
from spread_scanner.schema.enums import SOURCES, SwitchKind
from spread_scanner.schema.names import RECORDER
from spread_scanner.shm import Control, PriceStore
from spread_scanner.shm.tapes import Recorded, Tapes
from spread_scanner.view import sources


def test_a_source_counts_what_can_be_used_and_only_while_its_feed_beats(up_bed: Any) -> None:
    limit_ns = up_bed.settings.config.system.heartbeat_ms_max * 1_000_000
    with (
        Control.attach(up_bed.namespace) as control,
        control.operator() as operator,
        PriceStore.attach(up_bed.namespace) as store,
        store.writer(0) as writer,
    ):
        operator.switch(SwitchKind.SOURCE, SOURCES[3].label)
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


def test_how_far_the_log_is_is_told_of_a_recorder_that_lives_and_asks(
    up_bed: Any, virtual_clock: VirtualClock
) -> None:
    def logs() -> list[sources.SourceLog | None]:
        return [view.log for view in sources.read(up_bed.settings)[:3]]

    virtual_clock.advance_ms(1)
    since_ns = virtual_clock.mono_ns()
    virtual_clock.advance_ms(40)
    with (
        up_bed.health() as health,
        Tapes.attach(up_bed.namespace) as tapes,
        tapes.reader(1) as one,
        tapes.reader(2) as other,
    ):
        one.tell(Recorded(7, 5, since_ns))
        other.tell(Recorded(9, 9, 0))
        one.record()
        other.record()
        assert logs() == [None] * 3, "as one that was killed leaves it"
        with health.claim(RECORDER):
            assert logs() == [None, sources.SourceLog(7, 5, 40.0), sources.SourceLog(9, 9, 0.0)]
            virtual_clock.advance_ns(NS_PER_MS)  # it tells nothing: it may hang
            assert logs()[1] == sources.SourceLog(7, 5, 41.0)
            one.stop()
            assert logs() == [None, None, sources.SourceLog(9, 9, 0.0)], "paused"
        assert logs() == [None] * 3
