"""What an older version's segment has switched outlives an upgrade; old/ holds real segments.

Each was made by its own version's code: a halt, paused spread-engine, source 3, direction 7 and the
symbol of id 1 (ABI 5 and 6: by its name); spread-tracker was paused and resumed.
"""

import gzip
from pathlib import Path
from typing import Any

import pytest

from spread_scanner.orders import orders, remembered
from spread_scanner.schema.enums import SwitchKind
from spread_scanner.shm import Control, older, segment
from spread_scanner.shm.layout import HEADER_DTYPE
from spread_scanner.shm.switches import Switch
from spread_scanner.shminit import making

OLD = sorted((Path(__file__).parent / "old").glob("*.bin.gz"))
NAMED = [
    (SwitchKind.HALT, ""),
    (SwitchKind.PROCESS, "spread-engine"),
    (SwitchKind.SOURCE, "bybit-futures"),
    (SwitchKind.DIRECTION, "okx-bybit"),
]


@pytest.fixture(params=OLD, ids=lambda path: path.name.split(".")[0])
def old_bed(request: Any, bed: Any) -> Any:
    """A system that an older version has left: its tables, its control segment, no file."""
    bed.publish_tables()
    path(bed).write_bytes(gzip.decompress(request.param.read_bytes()))
    return bed


def path(bed: Any) -> Path:
    return segment.SHM_FOLDER / segment.segment_name(bed.namespace, "control")[1:]


def switched(bed: Any) -> list[tuple[SwitchKind, str]]:
    with Control.attach(bed.namespace) as control:
        assert control.killed is any(one.kind is SwitchKind.HALT for one in control.standing)
        return [(one.kind, one.name) for one in control.standing]


def symbol(bed: Any) -> tuple[SwitchKind, str]:
    (name,) = (
        name for name in ("AAA-USDT", "BBB-USDT") if orders.symbol_id_of(bed.settings, name) == 1
    )
    return SwitchKind.SYMBOL, name


def test_every_layout_of_before_the_file_has_its_segment() -> None:
    layouts = (2, 4, 5, 6)
    assert [path.name for path in OLD] == [f"control-abi-{number}.bin.gz" for number in layouts]


def test_an_upgrade_over_a_standing_segment_stays_halted(old_bed: Any) -> None:
    making.ensure(old_bed.settings)
    assert switched(old_bed) == sorted([*NAMED, symbol(old_bed)])
    assert len(remembered.read(old_bed.settings).standing) == 5


def test_an_upgrade_that_cleans_first_stays_halted(old_bed: Any, spread_ctl: Any) -> None:
    """As systemd does at a restart of the target: the new `clean` stops the old version."""
    assert spread_ctl("clean")[0] == 0
    assert not path(old_bed).exists()
    making.ensure(old_bed.settings)
    assert switched(old_bed) == sorted([*NAMED, symbol(old_bed)])
    (halt, *_) = (one for one in remembered.read(old_bed.settings).standing)
    assert halt.command == "under an older version"


def test_what_cannot_be_remembered_is_not_removed(old_bed: Any, spread_ctl: Any) -> None:
    old_bed.settings.data_dir.parent.mkdir(parents=True, exist_ok=True)
    old_bed.settings.data_dir.write_text("a file where the folder should be")
    code, _, error = spread_ctl("clean")
    assert code == 1
    assert "cannot be used" in error
    assert path(old_bed).exists()


def test_what_the_file_has_of_before_a_rollback_stays(old_bed: Any) -> None:
    """The older version did not know the file: that it had no halt is nobody's word."""
    remembered.write(old_bed.settings, [Switch(SwitchKind.HALT, "")])
    raw = bytearray(path(old_bed).read_bytes())
    raw[264:272] = bytes(8)
    path(old_bed).write_bytes(raw)
    making.ensure(old_bed.settings)
    assert switched(old_bed) == sorted([*NAMED, symbol(old_bed)])


def test_a_damaged_file_beside_it_is_a_halt_with_its_pauses(old_bed: Any) -> None:
    file = remembered.path_of(old_bed.settings)
    file.parent.mkdir(parents=True)
    file.write_bytes(b"nonsense")
    assert "damaged" in making.ensure(old_bed.settings).troubles[0]
    assert switched(old_bed) == sorted([*NAMED, symbol(old_bed)])


def test_what_is_no_whole_segment_of_an_older_version_says_nothing(old_bed: Any) -> None:
    raw = path(old_bed).read_bytes()
    fields = HEADER_DTYPE.fields
    assert fields is not None
    for name in ("state", "magic", "abi_version", "kind", "length", "checksum"):
        at = fields[name][1]
        path(old_bed).write_bytes(raw[:at] + bytes([raw[at] ^ 0x55]) + raw[at + 1 :])
        assert older.levels(old_bed.namespace) is None, name
    path(old_bed).write_bytes(raw[:1000])
    assert older.levels(old_bed.namespace) is None
    path(old_bed).unlink()
    assert older.levels(old_bed.namespace) is None


def test_clean_brings_the_file_to_what_is_in_force(up_bed: Any, spread_ctl: Any) -> None:
    """An operator that was killed after it had switched and before it wrote."""
    orders.kill(up_bed.settings, killed=True)
    remembered.write(up_bed.settings, [])
    assert spread_ctl("clean")[0] == 0
    making.ensure(up_bed.settings)
    assert switched(up_bed) == [(SwitchKind.HALT, "")]
