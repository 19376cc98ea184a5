"""Switches: in force first, remembered before the answer, by name, until they are taken back."""

import json
import re
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from spread_scanner.cli.console import switched_lines
from spread_scanner.orders import carried, orders, remembered
from spread_scanner.orders.orders import NotInForce
from spread_scanner.orders.remembered import NotRemembered
from spread_scanner.schema.enums import SwitchKind
from spread_scanner.shm import Control, segment
from spread_scanner.shm.layout import HEADER_DTYPE, Kind
from spread_scanner.shm.switched import Switched
from spread_scanner.shminit import making
from spread_scanner.symbology import publish, tables

Run = Callable[..., tuple[int, str, str]]


def named(standing: Any) -> list[str]:
    return [one.what for one in standing]


def in_file(bed: Any) -> list[str]:
    found = remembered.read(bed.settings)
    assert not found.damaged
    return named(found.standing)


def test_every_switch_is_in_the_file_when_its_command_answers(up_bed: Any) -> None:
    orders.kill(up_bed.settings, killed=True)
    assert in_file(up_bed) == ["halt"]
    for target in ("spread-engine", "okx-spot", "binance-okx", "BBB-USDT"):
        orders.pause(up_bed.settings, target, paused=True)
    expected = [
        "halt",
        "process spread-engine",
        "source okx-spot",
        "direction binance-okx",
        "symbol BBB-USDT",
    ]
    assert in_file(up_bed) == expected
    orders.kill(up_bed.settings, killed=False)
    orders.pause(up_bed.settings, "okx-spot", paused=False)
    assert in_file(up_bed) == [expected[1], *expected[3:]]


def test_it_is_in_force_before_it_is_remembered(
    up_bed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk may take seconds to answer; the engine must not wait for it."""
    seen: list[bool] = []

    def write(*_: object) -> None:
        with Control.attach(up_bed.namespace) as control:
            seen.append(control.killed)

    monkeypatch.setattr(remembered, "write", write)
    orders.kill(up_bed.settings, killed=True)
    assert seen == [True]


def test_what_cannot_be_remembered_is_in_force_and_fails(up_bed: Any, spread_ctl: Run) -> None:
    path = remembered.path_of(up_bed.settings)
    path.with_name(f"{path.name}.new").mkdir(parents=True)  # where the new one would be written
    code, out, _ = spread_ctl("kill")
    assert code == 1
    assert "In force, not remembered" in out
    with Control.attach(up_bed.namespace) as control:
        assert control.killed
    code, out, _ = spread_ctl("pause", "okx-spot", "--json")
    document = json.loads(out)
    assert (code, document["ok"]) == (1, False)
    assert "cannot be written" in document["not_remembered"]


def test_resume_all_says_what_stays_switched_and_by_whom(
    up_bed: Any, spread_ctl: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orders, "_user", lambda: "alice")
    for target in ("all", "okx-spot", "AAA-USDT"):
        assert spread_ctl("pause", target)[0] == 0
    code, out, _ = spread_ctl("resume", "all")
    assert code == 0
    assert re.search(r"Paused: source okx-spot, for \d+ s, by alice \(pid \d+", out)
    assert "Paused: symbol AAA-USDT" in out
    assert "process" not in "".join(line for line in out.splitlines() if "Paused:" in line)
    document = json.loads(spread_ctl("resume", "okx-spot", "--json")[1])
    assert [one["name"] for one in document["standing"]] == ["AAA-USDT"]


def test_status_shows_switches_by_name_age_and_author(
    up_bed: Any, spread_ctl: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orders, "_user", lambda: "alice")
    spread_ctl("kill")
    spread_ctl("pause", "BBB-USDT")
    _, out, _ = spread_ctl("status", "--interval", "0.05")
    assert "Halted: no signal leaves the engine, for" in out
    assert "Paused: symbol BBB-USDT, for" in out
    assert "by alice" in out
    switches = json.loads(spread_ctl("status", "--interval", "0.05", "--json")[1])["switches"]
    assert switches["killed"]
    assert switches["paused_symbols"] == ["BBB-USDT"]
    assert [one["kind"] for one in switches["standing"]] == ["halt", "symbol"]
    assert all(one["user"] == "alice" and one["age_s"] >= 0 for one in switches["standing"])


@pytest.mark.parametrize(
    ("known", "said"),
    [
        ({"age_s": None}, "; by whom and since when is not known."),
        ({}, ", for 2 min."),
        ({"user": "alice", "pid": 7}, ", for 2 min, by alice (pid 7)."),
        ({"pid": 7, "command": "x halt"}, ", for 2 min (pid 7, x halt)."),
        ({"command": carried.SAID}, ", for 2 min (under an older version)."),
    ],
)
def test_what_is_not_known_of_a_switch_is_left_out(known: dict[str, Any], said: str) -> None:
    one = {"age_s": 120.0, "user": "", "pid": 0, "command": "", **known}
    (line,) = switched_lines([Switched("source", "okx-spot", **one)])
    assert line == f"Paused: source okx-spot{said}"


def test_a_symbol_that_left_the_tables_can_be_resumed(up_bed: Any) -> None:
    orders.pause(up_bed.settings, "BBB-USDT", paused=True)
    old = tables.load(up_bed.settings.generated_dir)
    left = tuple(row for row in old.symbols if row.symbol != "BBB-USDT")
    new = msgspec.structs.replace(old, generation=2, symbols=left, instruments=(), directions=())
    publish.publish(up_bed.settings.generated_dir, new, {})
    assert orders.symbol_id_of(up_bed.settings, "BBB-USDT") is None
    assert orders.pause(up_bed.settings, "bbb-usdt", paused=False).ok
    assert in_file(up_bed) == []


def test_a_process_that_belongs_no_longer_is_resumed_with_all(up_bed: Any) -> None:
    """A feed paused and then disabled: the pause would wait for the day it comes back."""
    orders.pause(up_bed.settings, "feed-okx-spot", paused=True)
    exchanges = dict(up_bed.settings.exchanges)
    exchanges["okx-spot"] = msgspec.structs.replace(exchanges["okx-spot"], enabled=False)
    without = msgspec.structs.replace(up_bed.settings, exchanges=exchanges)
    orders.pause(without, "all", paused=False)
    assert in_file(up_bed) == []


def test_without_segments_a_switch_is_remembered_for_the_next_start(
    bed: Any, spread_ctl: Run
) -> None:
    bed.publish_tables()
    code, out, _ = spread_ctl("kill")
    assert code == 4
    assert "from the next start on" in out
    code, out, _ = spread_ctl("pause", "AAA-USDT", "--json")
    assert code == 4
    assert not json.loads(out)["ok"]
    making.ensure(bed.settings)
    with Control.attach(bed.namespace) as control:
        assert named(control.standing) == ["halt", "symbol AAA-USDT"]
    spread_ctl("down")
    spread_ctl("kill", "--off")
    making.ensure(bed.settings)
    with Control.attach(bed.namespace) as control:
        assert named(control.standing) == ["symbol AAA-USDT"]


def test_what_runs_by_another_layout_is_not_reached_but_the_next_start_is(up_bed: Any) -> None:
    """Between an upgrade and the restart: nobody may believe that this halted anything."""
    of_another_abi(up_bed.namespace)
    with pytest.raises(NotInForce, match="NOT in force now"):
        orders.kill(up_bed.settings, killed=True)
    assert in_file(up_bed) == ["halt"]


def of_another_abi(namespace: str) -> None:
    fields = HEADER_DTYPE.fields
    assert fields is not None
    held = segment.attach(segment.segment_name(namespace, "control"), Kind.CONTROL, writable=True)
    held.put_bytes(fields["abi_version"][1], b"\xff\xff")
    held.close()


def test_a_segment_made_while_an_operator_switches_has_the_switch(
    up_bed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """shm-init read the switches, then the operator wrote the segment that is being retired."""
    real = remembered.alone
    raced: list[bool] = []

    def alone(settings: Any) -> Any:
        if not raced:
            raced.append(True)
            with Control.attach(up_bed.namespace) as control:
                standing = [one for one in control.standing if one.kind is not SwitchKind.HALT]
            Control.create(up_bed.namespace, standing).close()
        return real(settings)

    monkeypatch.setattr(remembered, "alone", alone)
    assert orders.kill(up_bed.settings, killed=True).ok
    with Control.attach(up_bed.namespace) as control:
        assert control.killed
    assert in_file(up_bed) == ["halt"]


def test_while_the_file_is_damaged_only_a_word_on_the_halt_ends_it(bed: Any) -> None:
    bed.publish_tables()
    path = remembered.path_of(bed.settings)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"nonsense")
    for paused in (True, False):
        with pytest.raises(NotRemembered, match="the next start is halted"):
            orders.pause(bed.settings, "AAA-USDT", paused=paused)
    assert remembered.read(bed.settings).damaged
    orders.kill(bed.settings, killed=False)
    assert in_file(bed) == []
