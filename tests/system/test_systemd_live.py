"""The units under a real systemd: installed by setup.sh, started, hurt, healed, stopped, removed.

The exchanges are the simulator's. Skipped where there is no root or no systemd (machine.why_not).
"""

import json
from collections.abc import Iterator

import pytest
from alerts_bed import Target
from installed import (
    SETUP,
    STAYING,
    await_running,
    await_well,
    put_package,
    start_exchanges,
    status,
)
from machine import Machine, booted, wait_until, why_not

from spread_scanner.schema.names import ALERTS, PROCESSES

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(why_not()), reason=f"a real systemd {why_not()}"),
]


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine with the system installed and the simulator running, but not started."""
    with booted(tmp_path_factory.mktemp("machine")) as one:
        put_package(one)
        one.run(*SETUP)
        start_exchanges(one)
        yield one


@pytest.fixture(scope="module")
def system(machine: Machine) -> Machine:
    """The same, with everything running."""
    machine.run("systemctl", "start", "spread-scanner.target")
    await_running(machine)
    return machine


@pytest.fixture
def target() -> Iterator[Target]:
    made = Target()
    yield made
    made.close()


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
    await_well(system)
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
    restarted = restarts(system, unit)
    system.run("kill", "-STOP", main_pid(system, unit))
    wait_until(lambda: restarts(system, unit) > restarted, lambda: system.journal(unit)[-9:])
    assert any("Watchdog timeout" in line for line in system.journal(unit))
    # As shipped again: a busy machine may hold anybody up for two seconds.
    system.run("rm", drop_in)
    system.run("systemctl", "daemon-reload")
    system.run("systemctl", "restart", unit)
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


def test_a_wish_for_discovery_of_an_earlier_life_is_done_by_the_start(system: Machine) -> None:
    """And one that is left while it runs, by systemd."""
    wanted = "/var/lib/spread-scanner/discover.wanted"

    def begun() -> str:
        return system.show("spread-discovery", "ExecMainStartTimestampMonotonic").popitem()[1]

    def wish() -> None:
        system.run("runuser", "-u", "spread", "--", "touch", wanted)

    before = begun()
    system.run("systemctl", "stop", "spread-scanner.target")
    wish()
    system.run("systemctl", "start", "spread-scanner.target", timeout_s=120)
    await_running(system)
    system.run("test", "!", "-e", wanted)
    assert (begun(), system.run("systemctl", "list-jobs", "--no-legend")) == (before, "")
    wish()
    wait_until(lambda: begun() != before, lambda: system.journal("spread-discovery")[-9:])
    wait_until(
        lambda: system.show("spread-discovery", "ActiveState")["ActiveState"] == "inactive",
        lambda: system.journal("spread-discovery")[-9:],
    )
    system.run("test", "!", "-e", wanted)


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


def test_a_quick_look_adds_nothing_where_nothing_is_new(system: Machine) -> None:
    """As spread-look.timer runs it, and as a person does."""
    assert system.run("systemctl", "is-active", "spread-look.timer", check=False) == "active\n"
    before = status(system)["spread-engine"]["generation"]
    system.run("systemctl", "start", "spread-look.service")
    assert system.show("spread-look", "Result")["Result"] == "success"
    looked = system.json("spread-ctl", "discover", "--quick", "--json")
    assert (looked["ok"], looked["exit_code"], looked["published"]) == (True, 0, False)
    assert status(system)["spread-engine"]["generation"] == before


def test_the_report_is_written_by_a_unit_with_bounded_memory(system: Machine) -> None:
    assert system.run("systemctl", "is-active", "spread-report.timer", check=False) == "active\n"
    system.run("systemctl", "start", "spread-report.service")
    asked = ("Result", "MemoryMax")
    assert system.show("spread-report", *asked) == {
        "Result": "success",
        "MemoryMax": str(512 << 20),
    }
    assert ".html" in system.run("ls", "/var/lib/spread-scanner/data/reports")


def test_a_unit_that_fails_for_good_and_the_end_of_alerts_are_told(
    system: Machine, target: Target
) -> None:
    """The target is outside: the machine shares our network."""

    def told(key: str) -> bool:
        return any(body["key"] == key for _, body in target.received)

    settings = system.run("cat", "/etc/spread-scanner/config.toml").partition(f"[{ALERTS}]")[0]
    alerts = f'[{ALERTS}]\nwebhook_url = "{target.url}/alerts"\n'
    system.write("/etc/spread-scanner/config.toml", settings + alerts)
    system.run("systemctl", "restart", ALERTS)
    system.run("kill", "-KILL", main_pid(system, ALERTS))
    wait_until(lambda: told(f"unit:{ALERTS}"), lambda: system.journal(ALERTS)[-9:])

    def active() -> bool:
        return system.run("systemctl", "is-active", ALERTS, check=False).strip() == "active"

    # Its end tells it; who is stopped before that end is over stays failed, as it was killed.
    wait_until(active, lambda: system.journal(ALERTS)[-9:])
    system.run("systemctl", "stop", ALERTS)
    assert system.show(ALERTS, "ActiveState", "Result") == {
        "ActiveState": "inactive",
        "Result": "success",
    }
    unit = "feed-mexc-futures"
    drop_in = f"/etc/systemd/system/{unit}.service.d/90-test.conf"
    system.write(drop_in, "[Service]\nEnvironment=SPREAD_SYSTEM__HEARTBEAT_MS=never\n")
    system.run("systemctl", "daemon-reload")
    system.run("systemctl", "restart", unit, check=False)
    wait_until(
        lambda: told(f"unit:{unit}"), lambda: system.journal(f"spread-failed@{unit}.service")
    )
    assert system.show(unit, "ActiveState", "ExecMainStatus") == {
        "ActiveState": "failed",
        "ExecMainStatus": "2",
    }
    system.run("rm", drop_in)
    system.run("systemctl", "daemon-reload")
    system.run("systemctl", "restart", unit)
    await_running(system)
    assert [body["key"] for _, body in target.received].count(f"unit:{unit}") == 1


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


@pytest.mark.parametrize("unit", ["pair-discovery", "spread-discovery", "spread-funding"])
def test_a_one_shot_that_is_stopped_in_the_midst_has_not_failed(system: Machine, unit: str) -> None:
    system.run("systemctl", "start", "--no-block", unit)
    wait_until(
        lambda: system.show(unit, "ActiveState")["ActiveState"] == "activating",
        lambda: system.journal(unit)[-9:],
    )
    system.run("systemctl", "stop", unit)
    assert system.show(unit, "ActiveState", "Result") == {
        "ActiveState": "inactive",
        "Result": "success",
    }


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
