"""The end of a supervisor: what it leaves in shared memory, and what not."""

from typing import Any

import pytest

from spread_scanner import clock
from spread_scanner.orders import orders, remembered
from spread_scanner.runtime import logs
from spread_scanner.shm import Control, Health, dials, segment
from spread_scanner.shm.dials import Dials
from spread_scanner.shminit import making
from spread_scanner.supervise.supervisor import Supervisor


@pytest.mark.parametrize("is_up", [True, False], ids=["up", "not yet up"])
@pytest.mark.parametrize("ban_s", [0, 60])
def test_only_a_ban_in_force_outlives_it(bed: Any, is_up: bool, ban_s: int) -> None:
    """Who comes up again would dial into it, and prolong it."""
    namespace = bed.settings.config.system.namespace
    Health.create(namespace).close()
    Control.create(namespace).close()
    turns, now_ns = Dials.open(namespace), clock.mono_ns()
    turns.slot("okx ws.test direct").ban(now_ns, now_ns + ban_s * 10**9, 418)
    turns.close()
    supervisor = Supervisor(bed.settings, {}, logs.set_up("spread-ctl"))
    if is_up:
        supervisor._attach()

    supervisor.stop()

    left = segment.names(namespace)
    assert left == ([f"/{namespace}.dials"] if ban_s else [])
    assert bool(dials.rows(namespace, now_ns)) == bool(ban_s)


@pytest.mark.parametrize("how", ["supervisor", "supervisor not yet up", "down"])
def test_what_a_full_disk_kept_from_being_remembered_is_remembered_at_the_end(
    up_bed: Any, spread_ctl: Any, how: str
) -> None:
    """As `clean` does under systemd. While there is no room the segments stay: they alone know.

    A supervisor that is not yet up was told to end, or could not make segments, where a system that
    crashed had left some.
    """
    settings = up_bed.settings
    path = remembered.path_of(settings)
    full = path.with_name(f"{path.name}.new")  # where the new one would be written
    full.mkdir(parents=True)
    assert orders.kill(settings, killed=True).not_remembered

    def end() -> None:
        if how == "down":
            spread_ctl("down")
            return
        supervisor = Supervisor(settings, {}, logs.set_up("spread-ctl"))
        if how == "supervisor":
            supervisor._attach()
        supervisor.stop()

    end()
    with Control.attach(up_bed.namespace) as control:
        assert control.killed
    full.rmdir()
    end()
    assert not segment.names(up_bed.namespace)
    assert [one.what for one in making.ensure(settings).standing] == ["halt"]
