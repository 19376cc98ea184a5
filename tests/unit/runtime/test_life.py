"""When a connection has to go, by the settings as shipped and a clock that moves when told to."""

import pytest

from spread_scanner.clock import NS_PER_S, VirtualClock
from spread_scanner.config import Feed
from spread_scanner.runtime.life import End, Life, rules_of
from spread_scanner.runtime.pulse import Seen

LIFETIME_S = 86_400.0
SETTINGS = Feed()
S = NS_PER_S


def life(must_quote: bool = True, jitter: float = 0.0) -> Life:
    return Life(rules_of(SETTINGS, LIFETIME_S, jitter), 0, must_quote=must_quote)


def seen(frame_s: float = 0, data_s: float = 0, mean_s: float = 0, bad: int = 0) -> Seen:
    return Seen(int(frame_s * S), int(data_s * S), mean_s * S, 1.0, bad)


def test_a_connection_that_flows_stays() -> None:
    assert life().verdict(100 * S, seen(99.9, 99.9, 0.01), 0, 1.0) is None


@pytest.mark.parametrize(
    ("now_s", "mean_s", "slowdown", "ends"),
    [
        (109.9, 0.01, 1.0, False),  # the floor
        (110.1, 0.01, 1.0, True),
        (114.9, 0.3, 1.0, False),  # fifty of its own intervals
        (115.1, 0.3, 1.0, True),
        (129.9, 0.3, 2.0, False),  # the siblings are slower too
        (130.1, 0.3, 2.0, True),
    ],
)
def test_silence_is_judged_by_its_own_rate_and_its_siblings(
    now_s: float, mean_s: float, slowdown: float, ends: bool
) -> None:
    found = life().verdict(int(now_s * S), seen(now_s, 100, mean_s), 0, slowdown)

    assert found is (End.FROZEN if ends else None)


def test_control_frames_do_not_excuse_missing_data_but_show_that_somebody_is_there() -> None:
    quiet = life(must_quote=False)

    assert quiet.verdict(510 * S, seen(500), 500 * S, 1.0) is None
    assert quiet.verdict(510 * S + 1, seen(500), 500 * S, 1.0) is End.UNHEARD
    assert quiet.verdict(900 * S, seen(500), 0, 1.0) is None
    assert life().verdict(200 * S, seen(199, 100, 0.01), 0, 1.0) is End.FROZEN


def test_a_connection_of_quiet_symbols_is_not_frozen_after_its_snapshots() -> None:
    assert life().verdict(200 * S, seen(199, 100, 0.0), 0, 1.0) is None
    assert life().verdict(200 * S, seen(120, 100, 0.0), 121 * S, 1.0) is End.UNHEARD


def test_without_any_quote_it_goes_unless_it_carries_only_quiet_symbols() -> None:
    clock = VirtualClock()
    clock.advance_ms(60_000)
    assert life().verdict(clock.mono_ns(), seen(60), 0, 1.0) is None
    clock.advance_ms(1)
    assert life().verdict(clock.mono_ns(), seen(60), 0, 1.0) is End.NO_DATA
    assert life(must_quote=False).verdict(clock.mono_ns(), seen(60), 0, 1.0) is None


def test_bad_messages_in_a_row_end_it() -> None:
    assert life().verdict(S, seen(1, 1, 0.1, bad=19), 0, 1.0) is None
    assert life().verdict(S, seen(1, 1, 0.1, bad=20), 0, 1.0) is End.BAD_STREAK


def test_a_successor_is_called_before_the_cut_or_when_it_is_announced() -> None:
    one = life()
    swap_s = 86_400 - 600
    assert not one.wants_successor(swap_s * S)
    assert one.wants_successor(swap_s * S + 1)
    assert life(jitter=1.0).wants_successor((swap_s - 299) * S)
    one.notice = True
    assert one.wants_successor(1)


def test_a_short_life_is_still_half_lived_and_an_endless_one_needs_no_successor() -> None:
    short = rules_of(SETTINGS, 60.0)
    endless = rules_of(SETTINGS, None)

    assert short.life_ns == 30 * S
    assert endless.life_ns is None


def test_the_wall_clock_plays_no_part() -> None:
    clock = VirtualClock()
    clock.advance_ms(5_000)
    clock.step_wall_ms(-86_400_000)
    assert life().verdict(clock.mono_ns(), seen(5, 5, 0.1), 0, 1.0) is None
