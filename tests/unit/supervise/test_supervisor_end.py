"""The end of a supervisor: what it leaves in shared memory, and what not."""

from typing import Any

import pytest

from spread_scanner import clock
from spread_scanner.runtime import logs
from spread_scanner.shm import Control, Health, dials, segment
from spread_scanner.shm.dials import Dials
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
