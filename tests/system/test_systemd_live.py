"""The units under a real systemd: installed by setup.sh, started, hurt, healed, stopped, removed.

The exchanges are the simulator's. Skipped where there is no root or no systemd (machine.why_not).
"""

import json
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from machine import Machine, booted, wait_until, why_not

from spread_scanner.schema.names import ALERTS, ONE_SHOT, PROCESSES

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(why_not()), reason=f"a real systemd {why_not()}"),
]

SETUP = ["bash", "/opt/repository/deploy/setup.sh", "--no-package"]
PYTHON = f"python{sys.version_info[0]}.{sys.version_info[1]}"
VENV = "/opt/spread-scanner/venv"
STAYING = [name for name in PROCESSES if name not in (*ONE_SHOT, ALERTS)]  # nobody is to be told

# Puts the package where setup.sh would put it, but without a network.
MAKE_VENV = f"""
set -eu
echo /opt/python/lib > /etc/ld.so.conf.d/python.conf
ldconfig
/opt/python/bin/{PYTHON} -m venv --without-pip {VENV}
printf '/opt/repository/src\\n/opt/packages\\n' > {VENV}/lib/{PYTHON}/site-packages/ours.pth
for program in /opt/repository/bins/*; do
    (echo "#!{VENV}/bin/python"; tail -n +2 "$program") |
        install -m 755 /dev/stdin {VENV}/bin/$(basename "$program")
done
printf '#!{VENV}/bin/python\\nfrom spread_scanner.cli.main import main\\nmain()\\n' |
    install -m 755 /dev/stdin {VENV}/bin/spread-ctl
"""

# The simulator's exchanges.toml and directions.toml; discovery listens for a moment only.
SETTINGS = """
set -eu
cp /run/sim/exchanges.toml /run/sim/directions.toml /etc/spread-scanner/
sed -i 's/^\\[pair-discovery\\]/&\\nvalidate_s = 0.5/' /etc/spread-scanner/config.toml
"""


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine with the system installed and the simulator running, but not started."""
    with booted(tmp_path_factory.mktemp("machine")) as one:
        one.run("bash", "-c", MAKE_VENV)
        one.run(*SETUP)
        one.run(
            *("systemd-run", "--quiet", "--unit=exchange-sim", f"{VENV}/bin/exchange-sim"),
            *("--symbols", "16", "--rate", "50", "--config-out", "/run/sim"),
        )
        wait_until(
            lambda: one.run("ls", "/run/sim/directions.toml", check=False),
            lambda: one.journal("exchange-sim"),
        )
        one.run("bash", "-c", SETTINGS)
        yield one


@pytest.fixture(scope="module")
def system(machine: Machine) -> Machine:
    """The same, with everything running."""
    machine.run("systemctl", "start", "spread-scanner.target")
    await_running(machine)
    return machine


def status(machine: Machine) -> dict[str, Any]:
    """What the operator sees, by process. The wrapper makes root the user of the services."""
    found = machine.json("spread-ctl", "status", "--json", "--interval", "0.1")
    return {row["process"]: row for row in found.get("processes", [])}


def await_running(machine: Machine, **other_than_pid: int) -> None:
    """Until every process is active in systemd, runs and beats by its own row."""
    unwell: dict[str, object] = {}

    def all_run() -> bool:
        rows = status(machine)
        unwell.clear()
        for name in STAYING:
            row = rows.get(name, {})
            runs = row.get("state") == "running" and row["healthy"]
            if not runs or row["pid"] == other_than_pid.get(name):
                unwell[name] = row
        return not unwell

    wait_until(
        all_run, lambda: {name: (unwell[name], machine.journal(name)[-5:]) for name in unwell}
    )
    states = machine.run("systemctl", "is-active", *STAYING, check=False).split()
    assert states == ["active"] * len(STAYING)


def main_pid(machine: Machine, unit: str) -> str:
    return str(machine.show(unit, "MainPID")["MainPID"])


def restarts(machine: Machine, unit: str) -> int:
    return int(machine.show(unit, "NRestarts")["NRestarts"])


def test_installing_again_changes_nothing(machine: Machine) -> None:
    look = ["find", "/etc", "/opt/spread-scanner", "/usr/local", "-printf", "%p %m %s %T@\n"]
    before = machine.run(*look)
    said = machine.run(*SETUP)
    assert said == "everything stands as it should; nothing changed\n"
    assert machine.run(*look) == before


def test_the_target_brings_up_all_twelve(system: Machine) -> None:
    for unit in ("shm-init", "pair-discovery"):
        assert system.show(unit, "Result", "ExecMainStatus") == {
            "Result": "success",
            "ExecMainStatus": "0",
        }
    assert main_pid(system, "spread-engine") != "0"
    document = system.json("spread-ctl", "status", "--json")
    assert document["ok"], document
    readers = system.run("stat", "--format=%U:%G %a", "/etc/spread-scanner/exchanges.toml")
    assert readers == "root:spread 640\n"
    owners = system.run(
        "stat", "--format=%U %a", "/dev/shm/spread.store", "/var/lib/spread-scanner"
    )
    assert owners == "spread 600\nspread 700\n"


def test_a_killed_feed_is_started_again(system: Machine) -> None:
    unit = "feed-okx-spot"
    starts, restarted = status(system)[unit]["starts"], restarts(system, unit)
    system.run("kill", "-KILL", main_pid(system, unit))
    wait_until(lambda: restarts(system, unit) == restarted + 1, lambda: system.journal(unit)[-9:])
    await_running(system)
    assert status(system)[unit]["starts"] == starts + 1


def test_a_feed_that_hangs_is_started_again_by_the_watchdog(system: Machine) -> None:
    unit = "feed-bybit-spot"
    drop_in = f"/etc/systemd/system/{unit}.service.d/90-test.conf"
    system.write(drop_in, "[Service]\nWatchdogSec=2\nTimeoutAbortSec=2\n")
    system.run("systemctl", "daemon-reload")
    system.run("systemctl", "restart", unit)
    await_running(system)
    assert system.show(unit, "WatchdogUSec")["WatchdogUSec"] == "2s"
    system.run("kill", "-STOP", main_pid(system, unit))
    wait_until(lambda: restarts(system, unit) == 1, lambda: system.journal(unit)[-9:])
    assert any("Watchdog timeout" in line for line in system.journal(unit))
    await_running(system)


def test_a_process_that_starts_paused_has_started(system: Machine) -> None:
    unit = "feed-mexc-spot"
    system.run("spread-ctl", "pause", unit)
    system.run("systemctl", "restart", unit)  # waits for "ready"; a timeout would be a failure
    assert status(system)[unit]["state"] == "paused"
    system.run("spread-ctl", "resume", unit)
    await_running(system)


def test_processes_without_their_segments_come_back_with_new_ones(system: Machine) -> None:
    before = {name: row["pid"] for name, row in status(system).items() if name in STAYING}
    system.run("find", "/dev/shm", "-name", "spread.*", "-delete")
    system.run("systemctl", "kill", "--signal=KILL", "spread-tracker")  # the first to miss them
    wait_until(
        lambda: "spread.control" in system.run("ls", "/dev/shm"),
        lambda: system.journal("spread-tracker")[-9:],
    )
    system.run("systemctl", "restart", *(name for name in STAYING if name != "spread-tracker"))
    await_running(system, **before)
    assert restarts(system, "spread-tracker") >= 1


def test_the_discovery_service_publishes_and_everyone_takes_the_tables(system: Machine) -> None:
    before = status(system)["spread-engine"]["generation"]
    system.run("systemctl", "start", "spread-discovery.service")
    rows = status(system)
    assert rows["spread-engine"]["generation"] == before + 1
    assert {rows[name]["generation"] for name in STAYING} == {before + 1}


def test_alerts_get_their_token_as_a_credential(system: Machine) -> None:
    system.write("/etc/spread-scanner/telegram-token", "123:SECRET\n")
    system.run("chmod", "600", "/etc/spread-scanner/telegram-token")
    token = "/run/credentials/spread-alerts.service/telegram-token"
    settings = system.run("cat", "/etc/spread-scanner/config.toml")
    alerts = (
        f'[{ALERTS}]\ntelegram_api = "http://127.0.0.1:9"\n'
        f'telegram_token_file = "{token}"\ntelegram_chat_id = "1"\n'
    )
    system.write("/etc/spread-scanner/config.toml", settings + alerts)
    system.run("systemctl", "restart", "spread-alerts")
    wait_until(
        lambda: status(system).get("spread-alerts", {}).get("state") in ("running", "degraded"),
        lambda: system.journal("spread-alerts"),
    )
    system.run("systemctl", "is-active", "spread-alerts")
    assert "SECRET" not in "".join(system.journal("spread-alerts"))


def test_every_process_logs_one_json_object_a_line(system: Machine) -> None:
    lines: dict[str, list[str]] = {name: [] for name in PROCESSES}
    aborted = set()  # by the watchdog: such a process says where it hung, as Python says it
    for text in system.run("journalctl", "--output=json", "--no-pager").splitlines():
        entry = json.loads(text)
        process, said = entry.get("SYSLOG_IDENTIFIER"), str(entry["MESSAGE"])
        if entry.get("_TRANSPORT") != "stdout" or process not in lines:
            continue
        if said.startswith("Fatal Python error: Aborted"):
            aborted.add(entry["_PID"])
        if entry["_PID"] not in aborted:
            lines[process].append(said)
    for process, messages in lines.items():
        assert messages, f"{process} said nothing"
        for line in messages:
            event = json.loads(line)
            assert list(event)[:4] == ["timestamp", "level", "process", "event"]
            assert event["process"] == process


def test_stopped_and_removed_it_leaves_nothing(system: Machine) -> None:
    system.run("systemctl", "stop", "spread-scanner.target")
    states = ["inactive"] * len(PROCESSES)
    wait_until(
        lambda: system.run("systemctl", "is-active", *PROCESSES, check=False).split() == states,
        lambda: system.run("systemctl", "list-units", "--all", "feed-*", "spread-*", "shm-init*"),
    )
    for process in STAYING:
        assert system.show(process, "Result")["Result"] == "success"
    assert system.run("ls", "/dev/shm") == ""
    system.run(*SETUP, "--uninstall", "--purge")
    left = system.run("find", "/etc", "/usr/local/bin", "/var/lib", "-name", "*spread*")
    assert left == ""
    assert "spread-scanner" not in system.run("ls", "/opt")
    assert system.run("getent", "passwd", "spread", check=False) == ""
