"""Orders reach live processes, dead ones are named at once, and nobody waits for them."""

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from spread_scanner.config.processes import staying
from spread_scanner.orders import orders
from spread_scanner.orders.orders import UnknownTarget
from spread_scanner.shm import Control
from spread_scanner.shm.control import Orders

Run = Callable[..., tuple[int, str, str]]


@contextmanager
def living(namespace: str, process: str, *, answers: bool = True) -> Iterator[list[Orders]]:
    """A process that holds its slot and, unless told otherwise, obeys."""
    seen: list[Orders] = []
    ended = threading.Event()
    with Control.attach(namespace) as control, control.claim(process) as slot:
        slot.ack(slot.generation())

        def live() -> None:
            while not ended.is_set():
                if slot.changed() and answers:
                    seen.append(slot.orders())
                    slot.ack(seen[-1].generation)
                time.sleep(0.001)

        thread = threading.Thread(target=live)
        thread.start()
        try:
            yield seen
        finally:
            ended.set()
            thread.join()


def test_a_kill_is_answered_by_the_living_and_the_dead_are_named(up_bed: Any) -> None:
    with living(up_bed.namespace, "spread-engine") as seen:
        outcome = orders.kill(up_bed.settings, killed=True)

    assert outcome.ok
    assert list(outcome.answered_us) == ["spread-engine"]
    assert outcome.answered_us["spread-engine"] is not None
    assert "spread-tracker" in outcome.dead
    assert outcome.silent == []
    assert seen[-1].killed


def test_a_process_that_lives_but_does_not_answer_is_silent_and_fails_the_order(
    up_bed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orders, "ANSWER_TIMEOUT_S", 0.05)
    with living(up_bed.namespace, "spread-engine", answers=False):
        outcome = orders.kill(up_bed.settings, killed=True)
    assert outcome.silent == ["spread-engine"]
    assert not outcome.ok


def test_with_nobody_alive_an_order_does_not_wait(
    up_bed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orders, "ANSWER_TIMEOUT_S", 3_600.0)
    outcome = orders.kill(up_bed.settings, killed=True)
    assert outcome.ok
    assert len(outcome.dead) == 10


@pytest.mark.parametrize(
    ("target", "reads"),
    [
        ("spread-engine", lambda c: c.paused("spread-engine")),
        ("all", lambda c: c.paused("spread-engine") and c.paused("feed-okx-spot")),
        ("okx-spot", lambda c: c.paused_sources == [4]),
        ("binance-okx", lambda c: c.paused_directions == [1]),
        ("BBB-USDT", lambda c: c.paused_symbols == ["BBB-USDT"]),
        ("bbb-usdt", lambda c: c.paused_symbols == ["BBB-USDT"]),
        ("bbb/usdt", lambda c: c.paused_symbols == ["BBB-USDT"]),
    ],
)
def test_a_pause_names_anything_and_resume_takes_it_back(
    up_bed: Any, target: str, reads: Callable[[Control], bool]
) -> None:
    with Control.attach(up_bed.namespace) as control:
        orders.pause(up_bed.settings, target, paused=True)
        assert reads(control)
        orders.pause(up_bed.settings, target, paused=False)
        assert not reads(control)


def test_a_pause_of_nothing_known_changes_nothing(up_bed: Any) -> None:
    with Control.attach(up_bed.namespace) as control:
        with pytest.raises(UnknownTarget, match="nonsense"):
            orders.pause(up_bed.settings, "nonsense", paused=True)
        assert control.paused_symbols == []


@pytest.mark.parametrize("paused", [True, False])
def test_without_tables_what_may_be_paused_is_said_all_the_same(up_bed: Any, paused: bool) -> None:
    shutil.rmtree(up_bed.settings.generated_dir)
    with pytest.raises(UnknownTarget, match="a symbol") as caught:
        orders.pause(up_bed.settings, "BTC-USDT", paused=paused)
    assert "not known: " in str(caught.value)


def test_reload_and_stop_reach_the_process(up_bed: Any) -> None:
    with living(up_bed.namespace, "spread-engine") as seen:
        orders.reload(up_bed.settings)
        orders.stop(up_bed.settings)
    assert any(one.reload for one in seen)
    assert any(one.stop for one in seen)


def test_a_process_that_settings_want_no_more_is_told_to_stop_as_all_are(up_bed: Any) -> None:
    assert "spread-gateway" not in staying(up_bed.settings)
    with living(up_bed.namespace, "spread-gateway") as seen:
        outcome = orders.stop(up_bed.settings)
    assert list(outcome.answered_us) == ["spread-gateway"]
    assert any(one.stop for one in seen)


def test_where_a_supervisor_lives_only_it_is_told_to_stop(up_bed: Any) -> None:
    with (
        living(up_bed.namespace, "spread-ctl") as supervisor,
        living(up_bed.namespace, "spread-engine") as engine,
    ):
        outcome = orders.stop(up_bed.settings)
    assert "supervisor" in outcome.did
    assert any(one.stop for one in supervisor)
    assert not any(one.stop for one in engine)


def test_the_commands_say_what_they_did(up_bed: Any, spread_ctl: Run) -> None:
    with living(up_bed.namespace, "spread-engine"):
        code, out, _ = spread_ctl("kill")
        assert code == 0
        assert "Halted: no signal leaves the engine" in out
        assert "spread-engine" in out
        assert "not running" in out
        code, out, _ = spread_ctl("pause", "AAA-USDT")
        assert code == 0
        assert "Paused symbol AAA-USDT" in out
        code, out, _ = spread_ctl("reload", "--json")
        assert code == 0
        assert '"ok":true' in out
    with Control.attach(up_bed.namespace) as control:
        assert control.killed
    assert spread_ctl("kill", "--off")[0] == 0
    with Control.attach(up_bed.namespace) as control:
        assert not control.killed


def test_down_with_nobody_up_removes_what_was_left(up_bed: Any, spread_ctl: Run) -> None:
    code, out, _ = spread_ctl("down")
    assert code == 0
    assert "has ended" in out
    assert spread_ctl("status")[0] == 4
