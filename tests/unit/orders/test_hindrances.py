"""Who lives and does not do what he was told is named with what keeps him; who goes on in time is
waited for."""

import os
import re
import signal
import subprocess
import threading
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from bed import until
from spread_scanner.cli import steer
from spread_scanner.orders import orders
from spread_scanner.schema.enums import ProcessState
from spread_scanner.schema.names import ENGINE, TRACKER
from spread_scanner.shm import Control

Run = Callable[..., tuple[int, str, str]]
StartPython = Callable[..., "subprocess.Popen[str]"]
# A process that obeys every order, once a millisecond.
OBEYS = f"""
import sys, time
from spread_scanner.schema.enums import ProcessState
from spread_scanner.shm import Control, Health
namespace = sys.argv[1]
with Health.attach(namespace) as health, Control.attach(namespace) as control:
    with health.claim({ENGINE!r}) as row, control.claim({ENGINE!r}) as slot:
        slot.ack(slot.generation())
        row.beat(ProcessState.RUNNING)
        print("ready", flush=True)
        while not slot.orders().stop:
            slot.ack(slot.generation())
            time.sleep(0.001)
"""


@pytest.fixture
def engine(up_bed: Any, start_python: StartPython) -> "subprocess.Popen[str]":
    child = start_python(OBEYS, up_bed.namespace)
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    return child


def test_who_is_stopped_by_a_signal_is_named_with_the_way_on(
    up_bed: Any, engine: "subprocess.Popen[str]", spread_ctl: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An order, a reload, and the end; what is switched is in force all the same."""
    monkeypatch.setattr(orders, "ANSWER_TIMEOUT_S", 0.05)
    monkeypatch.setattr(steer, "DOWN_TIMEOUT_S", 0.05)
    engine.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, engine.pid, os.WSTOPPED | os.WNOWAIT)
    way_on = f"pid {engine.pid}, stopped by a signal: kill -CONT {engine.pid} lets it go on"
    for command in (["pause", "AAA-USDT"], ["halt"], ["reload"]):
        code, out, _ = spread_ctl(*command)
        assert (code, f"did not answer within 0.05 s ({way_on})" in out) == (1, True), out
        code, out, _ = spread_ctl(*command, "--json")
        assert (code, orjson.loads(out)["hindrances"]) == (1, {ENGINE: way_on})
    code, out, _ = spread_ctl("down")
    assert (code, f"Still running after 0.05 s: {ENGINE} ({way_on})." in out) == (1, True), out
    code, out, _ = spread_ctl("down", "--json")
    assert (code, orjson.loads(out)["hindrances"]) == (1, {ENGINE: way_on})

    monkeypatch.setattr(steer, "DOWN_TIMEOUT_S", 60.0)
    engine.send_signal(signal.SIGCONT)
    code, out, err = spread_ctl("down")
    assert (code, "has ended" in out) == (0, True), (out, err)


def test_who_goes_on_in_time_has_answered(
    up_bed: Any, engine: "subprocess.Popen[str]", monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine that gives it no turn for longer than anybody looks at once."""
    waited = Control.await_acks

    def goes_on(*arguments: Any, **options: Any) -> Any:
        assert waited(*arguments, timeout_s=0.01)[1] != []
        engine.send_signal(signal.SIGCONT)
        return waited(*arguments, **options)

    monkeypatch.setattr(Control, "await_acks", goes_on)
    engine.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, engine.pid, os.WSTOPPED | os.WNOWAIT)
    outcome = orders.pause(up_bed.settings, "AAA-USDT", paused=True)
    assert outcome.ok
    assert list(outcome.answered_us) == [ENGINE]
    assert outcome.hindrances == {}


@pytest.mark.parametrize("state", [ProcessState.STARTING, ProcessState.RUNNING])
def test_who_is_about_to_come_is_said_to(
    up_bed: Any, monkeypatch: pytest.MonkeyPatch, state: ProcessState
) -> None:
    monkeypatch.setattr(orders, "ANSWER_TIMEOUT_S", 0.0)
    with (
        up_bed.health() as health,
        health.claim(TRACKER) as row,
        Control.attach(up_bed.namespace) as control,
        control.claim(TRACKER),
    ):
        row.beat(state)
        said = orders.kill(up_bed.settings, killed=True).hindrances[TRACKER]
    assert said.startswith(f"pid {os.getpid()}, ")
    assert ("starting" in said) == (state is ProcessState.STARTING)
    beat = re.search(r"last heartbeat [0-9]+\.[0-9] s ago", said)
    assert bool(beat) == (state is ProcessState.RUNNING)


def test_a_halt_waits_for_nobody_who_is_slow_to_answer_another(
    up_bed: Any, engine: "subprocess.Popen[str]"
) -> None:
    """In force at once, though two others still wait for their answers."""
    engine.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, engine.pid, os.WSTOPPED | os.WNOWAIT)
    waiting = [
        threading.Thread(target=orders.pause, args=(up_bed.settings, name), kwargs={"paused": True})
        for name in ("okx-spot", "AAA-USDT")
    ]
    waiting.append(threading.Thread(target=orders.reload, args=(up_bed.settings,)))
    for thread in waiting:
        thread.start()
    halting = threading.Thread(target=orders.kill, args=(up_bed.settings,), kwargs={"killed": True})
    halting.start()
    with Control.attach(up_bed.namespace) as control:
        until(lambda: control.killed, "the halt is in force")
        assert any(thread.is_alive() for thread in waiting), "they had answers"
    engine.send_signal(signal.SIGCONT)
    for thread in (*waiting, halting):
        thread.join()
    assert {one.name for one in orders.standing(up_bed.settings)} == {"", "okx-spot", "AAA-USDT"}
