"""Somebody sets the wall clock: nothing becomes older or younger by it."""

from typing import Any

import numpy as np
import pytest

from spread_scanner import clock
from spread_scanner.clock import NS_PER_S, VirtualClock
from spread_scanner.orders import orders
from spread_scanner.schema.enums import ProcessState
from spread_scanner.schema.funding import FundingNow, listing_of
from spread_scanner.shm.funding import FundingTable
from spread_scanner.supervise.outages import Outages
from spread_scanner.symbology import usual
from spread_scanner.symbology.usual import Usual
from spread_scanner.view import funding
from spread_scanner.view.processes import StatusLooks
from spread_scanner.view.usual import UsualReader

BYBIT = 3
STEPS_MS = [-5 * 3_600_000, 300_000, 5 * 3_600_000]


@pytest.mark.parametrize("step_ms", STEPS_MS)
def test_what_starts_is_starting_as_long_as_it_may(
    up_bed: Any, virtual_clock: VirtualClock, step_ms: int
) -> None:
    ready_ms_max = up_bed.settings.config.system.ready_s_max * 1_000
    with up_bed.health() as health, health.claim("spread-engine") as row:
        row.beat(ProcessState.STARTING)
        looks = StatusLooks(up_bed.settings, health)

        def starting() -> bool:
            looks.look()
            return next(one for one in looks.views() if one.process == "spread-engine").starting

        virtual_clock.step_wall_ms(step_ms)
        assert starting()
        virtual_clock.advance_ms(ready_ms_max + 1_000)
        assert not starting()


@pytest.mark.parametrize("step_ms", STEPS_MS)
def test_a_switch_has_stood_as_long_as_it_has(
    up_bed: Any, virtual_clock: VirtualClock, step_ms: int
) -> None:
    """To people, and to the score of a run, whom it excuses."""
    virtual_clock.advance_ms(1_000)
    orders.kill(up_bed.settings, killed=True)
    virtual_clock.advance_ms(10_000)
    virtual_clock.step_wall_ms(step_ms)
    found = orders.pause(up_bed.settings, "okx-spot", paused=True)
    virtual_clock.advance_ms(2_000)
    ages = {one.name: one.age_s for one in found.standing}
    assert ages == {"": pytest.approx(10.0), "okx-spot": pytest.approx(0.0)}
    outages = Outages()
    outages.switched(orders.standing(up_bed.settings))
    assert {one.start_ns for one in outages.all} == {1_000_000_000, 11_000_000_000}


@pytest.mark.parametrize("step_ms", STEPS_MS)
def test_funding_is_as_old_as_it_is(up_bed: Any, virtual_clock: VirtualClock, step_ms: int) -> None:
    def told() -> Any:
        return next(one for one in funding.states(up_bed.settings) if one.source == "bybit-futures")

    asked_ns = clock.wall_ns()
    row = FundingNow(1e-4, 0.01, -0.01, 4.0, 0, asked_ns, 0, listing_of("AAAUSDT"), 1)
    with FundingTable.attach(up_bed.namespace) as table, table.writer() as writer:
        writer.write(BYBIT, 0, row)
        assert table.read(BYBIT, 0) == row
    virtual_clock.advance_ms(60_000)
    virtual_clock.step_wall_ms(step_ms)
    assert (told().age_s, told().late) == (pytest.approx(60.0), False)
    virtual_clock.advance_ms(4 * 3_600_000)
    assert told().late


@pytest.mark.parametrize("step_ms", STEPS_MS)
def test_what_is_kept_of_leaving_is_as_old_as_it_is(
    up_bed: Any, virtual_clock: VirtualClock, step_ms: int
) -> None:
    none = np.array([], np.float64)
    kept = Usual(1, clock.wall_ns(), 3_600.0, (), none, none, none, None)
    usual.write(usual.path_of(up_bed.settings), kept)
    reader = UsualReader(up_bed.settings)
    assert reader.age_s == 0.0
    virtual_clock.advance_ms(30_000)
    virtual_clock.step_wall_ms(step_ms)
    assert reader.age_s == pytest.approx(30.0)


@pytest.mark.parametrize("ahead_s", [3_000, 3_700])
def test_what_was_kept_by_a_clock_that_is_far_ahead_says_nothing(
    up_bed: Any, virtual_clock: VirtualClock, ahead_s: int
) -> None:
    """As the engine has it at its start: nobody knows how old it is."""
    one = np.ones(1)
    wall_ns = clock.wall_ns() + ahead_s * NS_PER_S
    usual.write(usual.path_of(up_bed.settings), Usual(1, wall_ns, 3_600.0, ("a b",), one, one, one))
    reader = UsualReader(up_bed.settings)
    assert reader.age_s == -ahead_s
    assert (reader.learned[1], bool(reader.look(("a b",))["usual_bps"] == 1)) == (
        (1, True) if ahead_s < 3_600 else (0, False)
    )
