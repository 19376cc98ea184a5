"""shm-init keeps what fits, makes anew what does not, and never forgets what was switched off."""

import contextlib
from typing import Any

import msgspec

from spread_scanner.schema.enums import ProcessState
from spread_scanner.shm import Control, PriceStore, SignalRing, segment
from spread_scanner.shm.dials import Dials
from spread_scanner.shminit import making
from spread_scanner.shminit.main import main


def resized(settings: Any, **sizes: int) -> Any:
    system = msgspec.structs.replace(settings.config.system, **sizes)
    return msgspec.structs.replace(
        settings, config=msgspec.structs.replace(settings.config, system=system)
    )


def test_all_segments_are_made_and_kept_the_second_time(bed: Any) -> None:
    first = making.ensure(bed.settings)
    with PriceStore.attach(bed.namespace) as store:
        second = making.ensure(bed.settings)

        assert not first.kept
        assert second.kept
        assert not store.retired
        assert len(second.segments) == 8


def test_other_sizes_make_new_segments_and_retire_the_old(bed: Any) -> None:
    making.ensure(bed.settings)
    with PriceStore.attach(bed.namespace) as old:
        made = making.ensure(resized(bed.settings, max_symbols=128))
        with PriceStore.attach(bed.namespace) as new:
            assert not made.kept
            assert "store" in made.reason
            assert old.retired
            assert new.max_symbols == 128


def test_a_ring_of_another_size_alone_replaces_everything(bed: Any) -> None:
    making.ensure(bed.settings)
    with PriceStore.attach(bed.namespace) as old:
        made = making.ensure(resized(bed.settings, ring_slots=128))

        assert made.reason == "other sizes: signal ring"
        assert old.retired


def test_a_missing_segment_replaces_everything(bed: Any) -> None:
    making.ensure(bed.settings)
    segment.remove(segment.segment_name(bed.namespace, "control"))
    with PriceStore.attach(bed.namespace) as old:
        assert not making.ensure(bed.settings).kept
        assert old.retired


def test_the_turns_to_dial_outlive_new_segments(bed: Any) -> None:
    """An exchange goes on counting: a restart, forced or not, must not forget what was dialled."""
    making.ensure(bed.settings)
    with contextlib.closing(Dials.open(bed.namespace)) as dials:
        assert dials.slot("okx ws.test direct").take(0, 10**9, 10**9, 0) == 0
        making.ensure(bed.settings, force=True)
        assert not dials.retired
        with contextlib.closing(Dials.open(bed.namespace)) as again:
            assert again.slot("okx ws.test direct").take(0, 10**9, 10**9, 0) == 10**9


def test_force_replaces_what_would_fit(bed: Any) -> None:
    making.ensure(bed.settings)
    with SignalRing.attach(bed.namespace, "signals") as old:
        assert not making.ensure(bed.settings, force=True).kept
        assert old.retired


def test_the_kill_switch_and_pauses_survive_new_segments(bed: Any) -> None:
    making.ensure(bed.settings)
    with Control.attach(bed.namespace) as control, control.operator() as operator:
        operator.kill()
        operator.pause("spread-engine")
        operator.pause_source(3)
        operator.pause_direction(7)
        operator.pause_symbol(11)

    making.ensure(bed.settings, force=True)

    with Control.attach(bed.namespace) as control:
        assert control.killed
        assert control.paused("spread-engine")
        assert not control.paused("spread-tracker")
        assert control.paused_sources == [3]
        assert control.paused_directions == [7]
        assert control.paused_symbols == [11]


def test_its_own_row_says_that_it_has_ended(bed: Any) -> None:
    assert main([]) == 0
    with bed.health() as health:
        row = health.read("shm-init")
        assert row.state is ProcessState.STOPPED
        assert not row.alive


def test_bad_settings_are_exit_code_2(bed: Any) -> None:
    (bed.settings.folder / "config.toml").write_text("[system]\nring_slots = 3\n")
    assert main([]) == 2
    assert segment.names(bed.namespace) == []


def test_no_room_is_exit_code_1_and_leaves_nothing(bed: Any, monkeypatch: Any) -> None:
    from spread_scanner.shm.faults import NoSpace

    def full(*_args: object, **_more: object) -> None:
        raise NoSpace("/dev/shm is too full for the segment")

    monkeypatch.setattr(PriceStore, "create", full)
    assert main([]) == 1
    assert segment.names(bed.namespace) == []
