"""SIGTERM at any moment of a process's life: it ends as asked, and is never said to have failed.

One interpreter lives all the lives, each in a child of its own.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from spread_scanner.schema.enums import EXCHANGE_SOURCES
from spread_scanner.shm import Control, Health

NAME = "spread-tracker"
# What is woken is closed with the body, as everybody's.
LIVES = f"""
import json, os, signal, sys
from spread_scanner.runtime import process as life
from spread_scanner.shm import Health

def signal_now():
    os.kill(os.getpid(), signal.SIGTERM)

def signalled_after(owner, name):
    whole = getattr(owner, name)
    def then(*given, **named):
        found = whole(*given, **named)
        signal_now()
        return found
    setattr(owner, name, then)

class Park:
    closed = False
    def wake(self):
        assert not self.closed, "woken when closed"

def body(process):
    park = Park()
    if moment == "before it parks":
        signal_now()
    process.watch(park.wake)
    process.state(life.ProcessState.RUNNING, "begun")
    if moment == "in its loop":
        signal_now()
    if moment == "when it leaves unwanted":
        process.unwanted("begun")
        park.closed = True
        signal_now()
        return
    while not process.stopping:
        process.poll()
    park.closed = True
    signal_now()

def live():
    if moment == "with its row":
        signalled_after(Health, "claim")
    elif moment == "being made":
        signalled_after(life, "Process")
    elif moment == "at its start":
        signalled_after(life.scheduling, "pin")
    elif moment == "asked already":
        signalled_after(life.Process, "poll")
    os._exit(life.run("{NAME}", body))

for moment in sys.argv[1:]:
    child = os.fork()
    if not child:
        live()
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    with Health.attach(os.environ["SPREAD_SYSTEM__NAMESPACE"]) as health:
        row = health.read("{NAME}")
        print(json.dumps([moment, code, row.state.name, row.message.rstrip(chr(0))]), flush=True)
        with health.claim("{NAME}") as again:
            again.beat(life.ProcessState.STARTING, "")
"""
BEFORE = ("with its row", "being made", "at its start")
LATER = ("before it parks", "in its loop", "asked already", "when it leaves unwanted")


@pytest.fixture
def environ(tmp_path: Path, namespace: str) -> dict[str, str]:
    (tmp_path / "exchanges.toml").write_text(
        "".join(
            f'[{source.label}]\nrest_url = "http://127.0.0.1:9"\nws_url = "ws://127.0.0.1:9"\n'
            for source in EXCHANGE_SOURCES
        )
    )
    where = {"SPREAD_CONFIG_DIR": str(tmp_path), "SPREAD_SYSTEM__NAMESPACE": namespace}
    return {**os.environ, **where}


def test_it_ends_cleanly_whenever_it_is_asked(environ: dict[str, str]) -> None:
    namespace = environ["SPREAD_SYSTEM__NAMESPACE"]
    with Health.create(namespace), Control.create(namespace):
        done = subprocess.run(
            [sys.executable, "-c", LIVES, *BEFORE, *LATER],
            env=environ,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    ended = {moment: how for moment, *how in map(json.loads, done.stdout.splitlines())}
    assert ended == {
        **{moment: [0, "STOPPED", ""] for moment in BEFORE},
        **{moment: [0, "STOPPED", "begun"] for moment in LATER},
    }, done.stderr
    assert {json.loads(line)["level"] for line in done.stderr.splitlines()} == {"info"}
