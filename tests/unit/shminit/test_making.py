"""shm-init keeps what fits, makes anew what does not, and never forgets what was switched off."""

import contextlib
import os
import random
import signal
import sys
from types import FrameType
from typing import Any

import msgspec
import pytest

import bed
from spread_scanner.orders import orders, remembered
from spread_scanner.schema.enums import DIRECTIONS, SOURCES, ProcessState, SwitchKind
from spread_scanner.shm import Control, PriceStore, SignalRing, operator, segment, switches
from spread_scanner.shm.dials import Dials
from spread_scanner.shm.faults import NoSegment, NotReady, Retired
from spread_scanner.shm.funding import FundingTable
from spread_scanner.shm.layout import HEADER_DTYPE, Kind
from spread_scanner.shm.switches import Switch
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
        assert len(second.segments) == 14


def test_other_sizes_make_new_segments_and_retire_the_old(bed: Any) -> None:
    making.ensure(bed.settings)
    with PriceStore.attach(bed.namespace) as old:
        made = making.ensure(resized(bed.settings, max_symbols=128))
        with PriceStore.attach(bed.namespace) as new:
            assert not made.kept
            assert "store" in made.reason
            assert old.retired
            assert new.max_symbols == 128


def test_a_system_of_a_version_that_held_no_funding_is_made_anew(bed: Any) -> None:
    making.ensure(bed.settings)
    segment.remove(segment.segment_name(bed.namespace, "funding"))
    with PriceStore.attach(bed.namespace) as old:
        made = making.ensure(bed.settings)
        assert made.reason == f"there was no /{bed.namespace}.funding"
        assert old.retired
    assert making.ensure(bed.settings).kept


def test_funding_of_another_size_alone_replaces_everything(bed: Any) -> None:
    making.ensure(bed.settings)
    FundingTable.create(bed.namespace, num_sources=8, max_symbols=3).close()
    assert making.ensure(bed.settings).reason == "other sizes: funding"


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
    with Control.attach(bed.namespace) as control, control.operator() as commands:
        commands.kill()
        commands.pause("spread-engine")
        commands.switch(SwitchKind.SOURCE, SOURCES[3].label)
        commands.switch(SwitchKind.DIRECTION, DIRECTIONS[7].label)
        commands.switch(SwitchKind.SYMBOL, "AAA-USDT")

    making.ensure(bed.settings, force=True)

    with Control.attach(bed.namespace) as control:
        assert control.killed
        assert control.paused("spread-engine")
        assert not control.paused("spread-tracker")
        assert control.paused_sources == [3]
        assert control.paused_directions == [7]
        assert control.paused_symbols == ["AAA-USDT"]


def switch_everything(bed: Any) -> list[Switch]:
    orders.kill(bed.settings, killed=True)
    for target in ("spread-engine", "okx-spot", "binance-okx", "BBB-USDT"):
        orders.pause(bed.settings, target, paused=True)
    found = standing(bed)
    assert len(found) == 5
    return found


def standing(bed: Any) -> list[Switch]:
    with Control.attach(bed.namespace) as control:
        return control.standing


def test_what_was_switched_outlives_the_segments(up_bed: Any) -> None:
    """A restart of the target, down and up, a reboot: the segments go, a person's word does not."""
    switched = switch_everything(up_bed)
    assert segment.clean(up_bed.namespace) != ([], [])
    making.ensure(up_bed.settings)
    assert standing(up_bed) == switched
    with Control.attach(up_bed.namespace) as control:
        assert control.killed
        assert control.paused("spread-engine")
        assert (control.paused_sources, control.paused_directions) == ([4], [1])


def test_what_was_switched_outlives_another_layout(up_bed: Any) -> None:
    switched = switch_everything(up_bed)
    fields = HEADER_DTYPE.fields
    assert fields is not None
    held = segment.attach(
        segment.segment_name(up_bed.namespace, "control"), Kind.CONTROL, writable=True
    )
    held.put_bytes(fields["abi_version"][1], b"\xff\xff")
    held.close()
    made = making.ensure(up_bed.settings)
    assert "ABI version" in made.reason
    assert standing(up_bed) == switched


def test_that_it_starts_halted_has_room_in_the_row_beside_any_reason(
    bed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After an upgrade the reason is longer than the row."""
    path = remembered.path_of(bed.settings)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"nonsense")
    monkeypatch.setattr(making, "misfit", lambda _: "another version has made them: " * 5)
    making.ensure(bed.settings)
    with bed.health() as health:
        assert "started halted" in health.read("shm-init").message


def test_what_is_in_force_wins_over_the_file_and_is_written_to_it(up_bed: Any) -> None:
    """An operator that was killed between the two, or another data folder."""
    switched = switch_everything(up_bed)
    remembered.write(up_bed.settings, [])
    making.ensure(up_bed.settings, force=True)
    assert standing(up_bed) == switched
    assert remembered.read(up_bed.settings).standing == switched


def test_a_damaged_file_starts_halted_and_says_so(bed: Any) -> None:
    path = remembered.path_of(bed.settings)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"nonsense")
    made = making.ensure(bed.settings)
    assert "damaged" in made.troubles[0]
    [halt] = standing(bed)
    assert (halt.kind, halt.user) == (SwitchKind.HALT, "shm-init")
    assert str(path) in halt.command
    with bed.health() as health:
        assert "started halted" in health.read("shm-init").message
    segment.clean(bed.namespace)
    making.ensure(bed.settings)
    assert standing(bed) == [halt]  # until a person says otherwise
    orders.kill(bed.settings, killed=False)
    segment.clean(bed.namespace)
    making.ensure(bed.settings)
    assert standing(bed) == []
    assert path.with_name(f"{path.name}.damaged").read_bytes() == b"nonsense"


def test_without_a_data_folder_the_segments_are_made_all_the_same(bed: Any) -> None:
    bed.settings.data_dir.write_text("a file where the folder should be")
    made = making.ensure(bed.settings)
    assert not made.kept
    assert str(bed.settings.data_dir) in made.troubles[0]
    assert [one.kind for one in standing(bed)] == [SwitchKind.HALT]  # it could not be read


def killed_at(number: int, bed: Any) -> bool:
    """Make all segments anew in a child that is killed at its n-th step; whether it got so far. A
    step is a line of the code that stores: a segment's, an operator's, the file's."""
    files = {str(module.__file__) for module in (making, segment, operator, switches, remembered)}
    pid = os.fork()
    if pid == 0:
        left = [number]

        def trace(frame: FrameType, event: str, _: object) -> Any:
            if frame.f_code.co_filename not in files:
                return None
            left[0] -= event == "line"
            if left[0] <= 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return trace

        sys.settrace(trace)
        making.ensure(bed.settings, force=True)
        sys.settrace(None)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert code in (0, -signal.SIGKILL), code
    return code != 0


@pytest.mark.slow
def test_a_shm_init_killed_anywhere_lets_nobody_start_what_was_stopped(up_bed: Any) -> None:
    """Whoever attaches, at any moment, finds all switches or no segment; so does the next life."""
    switched = switch_everything(up_bed)
    seed = bed.seed()
    rand = random.Random(seed)
    number, deaths = 1, 0
    while killed_at(number, up_bed):
        deaths += 1
        with contextlib.suppress(NoSegment, NotReady, Retired):
            Control.attach(up_bed.namespace, timeout_s=0).close()
            assert standing(up_bed) == switched
        making.ensure(up_bed.settings)
        assert standing(up_bed) == switched
        number += rand.randint(1, 60)
    print("deaths", deaths, "of", number, "steps")
    assert deaths > 15


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
