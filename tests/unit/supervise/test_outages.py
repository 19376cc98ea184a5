"""Who could not do his part, and when: died, or switched off by the operator."""

from spread_scanner.clock import NS_PER_S, VirtualClock
from spread_scanner.schema.enums import SwitchKind
from spread_scanner.shm.switches import Switch
from spread_scanner.supervise.outages import Outages

HALT = Switch(SwitchKind.HALT, "")
SOURCE = Switch(SwitchKind.SOURCE, "okx-spot")
FEED = Switch(SwitchKind.PROCESS, "feed-bybit-spot")
WAY = Switch(SwitchKind.DIRECTION, "okx-mexc")
COIN = Switch(SwitchKind.SYMBOL, "BTC-USDT")


def test_what_is_switched_silences_whom_it_concerns_until_it_is_switched_back(
    virtual_clock: VirtualClock,
) -> None:
    outages, begun_ns = Outages(), virtual_clock.mono_ns()
    outages.switched([HALT, SOURCE, FEED, WAY, COIN])
    virtual_clock.advance_ms(5_000)
    outages.switched([FEED])
    ends = {one.who: one.end_ns for one in outages.all}
    ended_ns = begun_ns + 5 * NS_PER_S
    assert ends == {
        "spread-engine": ended_ns,
        "feed-okx-spot": ended_ns,
        "feed-bybit-spot": None,
        "okx-mexc": ended_ns,
        "BTC-USDT": ended_ns,
    }


def test_it_began_when_it_was_switched_and_not_when_that_was_seen(
    virtual_clock: VirtualClock,
) -> None:
    outages, begun_ns = Outages(), virtual_clock.mono_ns()
    halt = HALT._replace(since_wall_ns=virtual_clock.wall_ns())
    virtual_clock.advance_ms(700)
    outages.switched([halt])
    assert outages.all[0].start_ns == begun_ns


def test_a_process_that_is_killed_while_it_is_paused_is_away_until_both_are_over(
    virtual_clock: VirtualClock,
) -> None:
    outages = Outages()
    outages.switched([FEED])
    outages.gone(FEED.name, virtual_clock.mono_ns())
    outages.back(FEED.name)
    assert not outages.is_gone(FEED.name)
    assert [one.end_ns is None for one in outages.all] == [True, False]
