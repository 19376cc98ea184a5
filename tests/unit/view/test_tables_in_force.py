"""The tables in force, for one who looks again and again and for those who ask meanwhile."""

from pathlib import Path

import pytest

from spread_scanner import clock
from spread_scanner.symbology import publish
from spread_scanner.symbology.tables import Tables
from spread_scanner.view.tables import TablesInForce, TablesView


def published(folder: Path, generation: int) -> None:
    publish.publish(folder, Tables(generation, clock.wall_ns(), (), (), (), (), ()), {}, {}, [], [])


def test_they_are_as_old_as_they_are_whoever_asks_while_others_are_taken(
    tmp_path: Path, virtual_clock: clock.VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread asks at the moment at which the new ones have been read and are put in force."""
    in_force = TablesInForce(tmp_path)
    published(tmp_path, 1)
    in_force.look()
    virtual_clock.advance_ns(3_600 * clock.NS_PER_S)
    asked: list[TablesView] = []
    mono_ns = clock.mono_ns

    def asked_meanwhile() -> int:
        with monkeypatch.context() as once:
            once.setattr(clock, "mono_ns", mono_ns)
            asked.append(in_force.now())
        return mono_ns()

    published(tmp_path, 2)
    monkeypatch.setattr(clock, "mono_ns", asked_meanwhile)
    assert in_force.look()
    monkeypatch.undo()
    asked.append(in_force.now())

    ages = {(one.generation, one.age_s, one.judged_age_s) for one in asked}
    assert ages == {(1, 3_600.0, 3_600.0), (2, 0.0, 0.0)}
