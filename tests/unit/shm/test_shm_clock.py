"""The one clock: what the machine's own says, how a virtual one moves, and who asks it."""

import time

import pytest

from spread_scanner import clock
from spread_scanner.clock import NS_PER_S, SuspendWatch, VirtualClock
from spread_scanner.shm import SignalRing


def test_the_machines_times_never_go_back() -> None:
    for read in (clock.mono_ns, clock.awake_ns):
        times = [read() for _ in range(100)]
        assert times == sorted(times)
    assert clock.wall_ns() > 1_600_000_000 * NS_PER_S
    assert clock.installed().mono_address() == 0


def test_monotonic_time_is_the_kernels_that_counts_a_suspend(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On a machine that never slept the two are the same, so the kernel is asked by name."""
    monkeypatch.setattr(time, "clock_gettime_ns", lambda which: which)
    assert (clock.mono_ns(), clock.awake_ns()) == (time.CLOCK_BOOTTIME, time.CLOCK_MONOTONIC)


def test_a_virtual_clock_moves_when_told_and_only_as_told() -> None:
    machine = VirtualClock(wall_ns=50 * NS_PER_S, mono_ns=7)
    with clock.use(machine):
        assert (clock.wall_ns(), clock.mono_ns(), clock.awake_ns()) == (50 * NS_PER_S, 7, 7)
        clock.sleep(1.5)
        assert (clock.mono_ns(), clock.awake_ns()) == (7 + 3 * NS_PER_S // 2,) * 2
        machine.step_wall_ms(-10_000)
        machine.suspend_ms(60_000)
        machine.advance_ms(500)
    assert machine.mono_ns() == 7 + 62 * NS_PER_S
    assert machine.awake_ns() == 7 + 2 * NS_PER_S
    assert machine.wall_ns() == (50 + 62 - 10) * NS_PER_S


def test_the_clock_before_is_back_after_a_use_however_it_ends() -> None:
    before = clock.installed()
    with pytest.raises(ZeroDivisionError), clock.use(VirtualClock()), clock.use(VirtualClock()):
        raise ZeroDivisionError
    assert clock.installed() is before


@pytest.mark.parametrize(("asleep_ms", "told_ms"), [(0, 0), (900, 0), (1_001, 1_001), (9e6, 9e6)])
def test_a_suspend_is_what_the_two_monotonic_times_are_apart(
    asleep_ms: float, told_ms: float, virtual_clock: VirtualClock
) -> None:
    virtual_clock.suspend_ms(5_000)  # one from before anybody looked
    watch = SuspendWatch()
    assert watch.slept_ns() == 0
    virtual_clock.advance_ms(86_400_000)
    virtual_clock.step_wall_ms(3_600_000)
    assert watch.slept_ns() == 0, "neither a stop nor a step of the wall clock is one"
    virtual_clock.suspend_ms(asleep_ms)
    assert watch.slept_ns() == told_ms * 1e6
    assert watch.slept_ns() == 0, "it is told once"


def test_who_is_stopped_between_two_readings_takes_it_for_no_suspend() -> None:
    class Stopping(VirtualClock):
        """Stops its reader once, for a minute, after each kind of reading in turn."""

        stops_at = -1
        readings = 0

        def awake_ns(self) -> int:
            now_ns = super().awake_ns()
            self.read()
            return now_ns

        def mono_ns(self) -> int:
            now_ns = super().mono_ns()
            self.read()
            return now_ns

        def read(self) -> None:
            self.readings += 1
            if self.readings == self.stops_at:
                self.advance_ms(60_000)

    for stops_at in range(1, 7):
        with clock.use(Stopping()) as machine:
            watch = SuspendWatch()
            machine.readings, machine.stops_at = 0, stops_at
            assert [watch.slept_ns() for _ in range(3)] == [0, 0, 0], stops_at


def test_compiled_code_asks_the_clock_that_was_installed(
    namespace: str, virtual_clock: VirtualClock
) -> None:
    with (
        SignalRing.create(namespace, "signals", slots=4) as ring,
        ring.consumer() as consumer,
    ):
        for _ in range(3):
            assert consumer.wait_peek(0, 1)[1] == virtual_clock.mono_ns()
            virtual_clock.advance_ms(1_234.5)
