"""Processes as the status shows them."""

from typing import Any

import pytest

from spread_scanner.clock import VirtualClock
from spread_scanner.schema.counters import FEED_COUNTERS
from spread_scanner.schema.enums import ProcessState
from spread_scanner.view.processes import StatusLooks, stage_buckets, stage_latencies


def test_a_process_is_absent_then_alive_then_dead(up_bed: Any) -> None:
    with up_bed.health() as health:
        status = StatusLooks(up_bed.settings, health)

        def state() -> tuple[str, bool]:
            status.look()
            view = next(view for view in status.views() if view.process == "spread-engine")
            return view.state, view.healthy

        assert state() == ("absent", False)
        with health.claim("spread-engine") as row:
            row.beat(ProcessState.RUNNING)
            assert state() == ("running", True)
        assert state() == ("dead", False)
        with health.claim("spread-engine") as row:
            row.beat(ProcessState.STOPPED)
        assert state() == ("stopped", False)


def test_what_is_starting_may_be_starting_for_a_while(
    up_bed: Any, virtual_clock: VirtualClock
) -> None:
    ready_ms_max = up_bed.settings.config.system.ready_s_max * 1_000
    with (
        up_bed.health() as health,
        health.claim("shm-init") as maker,
        health.claim("spread-engine") as row,
    ):
        maker.beat(ProcessState.STOPPED)
        row.beat(ProcessState.STARTING)
        status = StatusLooks(up_bed.settings, health)

        def states() -> dict[str, tuple[str, bool]]:
            status.look()
            views = {view.process: view for view in status.views()}
            names = ("shm-init", "spread-engine", "spread-tracker")
            return {name: (views[name].state, views[name].starting) for name in names}

        assert states() == {
            "shm-init": ("done", False),
            "spread-engine": ("starting", True),
            "spread-tracker": ("waiting", True),
        }
        virtual_clock.advance_ms(ready_ms_max + 1_000)
        assert states() == {
            "shm-init": ("done", False),
            "spread-engine": ("starting", False),
            "spread-tracker": ("absent", False),
        }


def test_an_old_heartbeat_is_unwell_though_alive(up_bed: Any) -> None:
    with up_bed.health() as health, health.claim("spread-engine") as row:
        row.beat(ProcessState.RUNNING)
        limit_ns = up_bed.settings.config.system.heartbeat_ms_max * 1_000_000
        row._head["heartbeat_mono_ns"] -= 2 * limit_ns
        view = next(
            view
            for view in StatusLooks(up_bed.settings, health).views()
            if view.process == "spread-engine"
        )
        assert view.alive
        assert not view.healthy


def test_a_feed_that_is_gone_or_silent_has_no_good_symbols(up_bed: Any) -> None:
    ids = {counter.label: counter.counter_id for counter in FEED_COUNTERS}
    with up_bed.health() as health:
        status = StatusLooks(up_bed.settings, health)

        def good() -> tuple[int | None, int | None]:
            status.look()
            view = next(view for view in status.views() if view.process == "feed-okx-spot")
            return view.good_symbols, view.symbols

        with health.claim("feed-okx-spot") as row:
            row.set(ids["symbols"], 12)
            row.set(ids["good_symbols"], 11)
            row.beat(ProcessState.RUNNING)
            assert good() == (11, 12)
            limit_ns = up_bed.settings.config.system.heartbeat_ms_max * 1_000_000
            row._head["heartbeat_mono_ns"] -= 2 * limit_ns
            assert good() == (0, 12)
            row.beat(ProcessState.RUNNING)
        assert good() == (0, 12), "killed: its last word stands in its row"


def test_rates_are_differences_over_the_time_between_two_looks(
    up_bed: Any, virtual_clock: VirtualClock
) -> None:
    with up_bed.health() as health, health.claim("feed-okx-spot") as row:
        row.add(0, 1_000)  # messages
        status = StatusLooks(up_bed.settings, health)
        row.add(0, 50)
        virtual_clock.advance_ms(500)
        status.look()
        view = next(view for view in status.views() if view.process == "feed-okx-spot")
        assert view.rates_per_s["messages"] == pytest.approx(100.0)
        assert status.total("messages") == 1_050


def test_stage_latencies_add_up_feeds_and_leave_out_what_was_before(up_bed: Any) -> None:
    with (
        up_bed.health() as health,
        health.claim("feed-okx-spot") as one,
        health.claim("feed-mexc-spot") as other,
    ):
        one.observe(1, 5_000_000)
        before = stage_buckets(health)
        one.observe(1, 1_000)
        other.observe(1, 1_000)
        found = stage_latencies(stage_buckets(health), before)["recv_to_cell"]
        assert found["count"] == 2
        assert found["max"] == pytest.approx(1.0, rel=0.05)
        more = {label: counted + 1 for label, counted in before.items()}
        assert stage_latencies(before, more)["recv_to_cell"]["count"] == 1  # begun anew
