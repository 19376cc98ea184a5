"""A server's life under a real systemd: an older version, its upgrade, a reboot, the way back.

One machine and one story: each step begins where the one before has left it. The older version is a
real one, built from its commit: of before switches were kept in a file (ABI 4) and before the
database's last migration. Its database is a real old one, too.
"""

import gzip
import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from installed import (
    DATA,
    SETUP,
    STAYING,
    VENV,
    await_running,
    document,
    put_package,
    start_exchanges,
    status,
    switched,
)
from machine import ROOT, Machine, booted, wait_until, why_not

from bed import free_port
from spread_scanner.schema.opportunities import VERSION

OLDER = "9b87f957df1d4f791fd84e7c22938a52efa7e9d9"
OLD_DATABASE = ROOT / "tests/unit/tracker/old/version-2.db.gz"
STOOD = ["halt", "source okx-spot"]  # what the operator has switched


def no_older() -> str:
    """Why the older version cannot be made; empty when it can."""
    found = subprocess.run(
        ["git", "-C", str(ROOT), "cat-file", "-e", f"{OLDER}^{{commit}}"], check=False
    )
    return "" if found.returncode == 0 else f"has no commit {OLDER}"


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(why_not()), reason=f"a real systemd {why_not()}"),
    pytest.mark.skipif(bool(no_older()), reason=f"this checkout {no_older()}"),
]


@pytest.fixture(scope="session")
def older(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The older version: its checkout, and its wheel unpacked in `package`. Made once a session,
    by whichever of pytest's workers is the first."""
    folder = tmp_path_factory.mktemp("older")
    archive = subprocess.run(
        ["git", "-C", str(ROOT), "archive", OLDER], capture_output=True, check=True, timeout=60
    ).stdout
    subprocess.run(["tar", "-x", "-C", str(folder)], input=archive, check=True, timeout=60)
    setup = folder / "setup.py"
    setup.write_text(setup.read_text().replace('"-O3"', '"-O0"'))  # built in a third of the time
    build = [*("-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation")]
    subprocess.run(
        [sys.executable, *build, "--wheel-dir", "dist", "."], cwd=folder, check=True, timeout=600
    )
    (wheel,) = (folder / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(folder / "package")
    shutil.rmtree(folder / "build")
    folder.chmod(0o755)  # the services are another user
    return folder


@pytest.fixture
def machine(tmp_path: Path, older: Path) -> Iterator[Machine]:
    """A machine with the older version installed, an old database in place, nothing running."""
    database = tmp_path / "database"
    database.mkdir()
    (database / "tracker.db").write_bytes(gzip.decompress(OLD_DATABASE.read_bytes()))
    with booted(
        tmp_path / "machine", str(older), "/opt/older", str(database), "/opt/database"
    ) as one:
        put_older(one)
        one.run(
            *("install", "-o", "spread", "-g", "spread", "-m", "600"),
            *("/opt/database/tracker.db", f"{DATA}/tracker.db"),
        )
        yield one


def put_older(machine: Machine) -> None:
    put_package(machine, "/opt/older/package", "/opt/older/bins")
    machine.run("bash", "/opt/older/deploy/setup.sh", "--no-package")


def put_newer(machine: Machine) -> None:
    put_package(machine)
    machine.run(*SETUP)


def user_version(machine: Machine, file: str) -> int:
    """Of a database that its tracker may be writing."""
    return int(
        machine.run(
            *("runuser", "-u", "spread", "--", f"{VENV}/bin/python", "-c", USER_VERSION),
            f"{DATA}/{file}",
        )
    )


USER_VERSION = """
import sqlite3, sys
print(*sqlite3.connect(sys.argv[1]).execute("PRAGMA user_version").fetchone())
"""


def await_halted(machine: Machine) -> None:
    """Everything runs, and what stood stands: in force, and in the file."""
    await_running(machine)
    found = document(machine)["switches"]
    assert found["killed"], found
    assert [f"{one['kind']} {one['name']}".strip() for one in found["standing"]] == STOOD
    assert switched(machine) == STOOD


@pytest.mark.timeout(900)  # the older version is built within, and everything is started six times
def test_what_was_halted_and_found_outlives_upgrade_crash_reboot_and_the_way_back(
    machine: Machine,
) -> None:
    port = free_port()
    run_older_and_halt(machine, port)
    upgrade(machine)
    restart_and_crash(machine)
    reboot(machine, port)
    go_back(machine)
    remove(machine)


def run_older_and_halt(machine: Machine, port: int) -> None:
    start_exchanges(machine, port)
    machine.run("systemctl", "start", "spread-scanner.target")
    active = ["active"] * len(STAYING)
    wait_until(
        lambda: machine.run("systemctl", "is-active", *STAYING, check=False).split() == active,
        lambda: {name: machine.journal(name)[-3:] for name in STAYING},
    )
    machine.run("spread-ctl", "kill")
    machine.run("spread-ctl", "pause", "okx-spot")
    assert user_version(machine, "tracker.db") == 2
    assert "switches" not in machine.run("ls", DATA), "the older version has a file: not old enough"


def upgrade(machine: Machine) -> None:
    """As operating.md says: setup.sh, then a restart of the target."""
    machine.write(
        "/etc/systemd/system/spread-former.service",
        "[Unit]\nDescription=spread-scanner: of a version before\n"
        "PartOf=spread-scanner.target\n[Service]\nExecStart=sleep infinity\n"
        "[Install]\nWantedBy=spread-scanner.target\n",
    )
    machine.run("systemctl", "enable", "--now", "--quiet", "spread-former")
    put_newer(machine)
    assert machine.show("spread-former", "LoadState", "ActiveState") == {
        "LoadState": "not-found",
        "ActiveState": "inactive",
    }
    machine.run("systemctl", "restart", "spread-scanner.target", timeout_s=120)
    await_halted(machine)
    assert user_version(machine, "tracker.db") == VERSION
    assert user_version(machine, "tracker.before-2.db") == 2
    found = machine.json("spread-ctl", "opportunities", "--json")
    assert found, "what the older version had found is gone"


def restart_and_crash(machine: Machine) -> None:
    """The target stopped and started, and a shm-init that is killed while it makes segments."""
    machine.run("systemctl", "stop", "spread-scanner.target")
    wait_until(
        lambda: machine.run("ls", "/dev/shm") == "", lambda: machine.run("ls", "-l", "/dev/shm")
    )
    machine.run("systemctl", "start", "spread-scanner.target", timeout_s=120)
    await_halted(machine)
    before = {name: row["pid"] for name, row in status(machine).items() if name in STAYING}
    for killed in ("timeout --signal=KILL 0.5", ""):
        anew = f"SPREAD_CONFIG_DIR=/etc/spread-scanner {killed} {VENV}/bin/shm-init --force"
        machine.run("runuser", "-u", "spread", "--", "sh", "-c", anew, check=not killed)
    await_running(machine, **before)
    await_halted(machine)


def reboot(machine: Machine, port: int) -> None:
    machine.reboot()
    assert machine.run("ls", "/dev/shm") == ""
    start_exchanges(machine, port)
    # What a server boots to; the machine itself boots to less, which is all that most tests need.
    machine.run("systemctl", "start", "multi-user.target", timeout_s=120)
    await_halted(machine)


def go_back(machine: Machine) -> None:
    """The older version refuses the newer database; with the copy of before it goes on."""
    machine.run("systemctl", "stop", "spread-scanner.target")
    put_older(machine)
    machine.run("systemctl", "start", "spread-scanner.target", timeout_s=120)
    wait_until(
        lambda: any("newer version" in line for line in machine.journal("spread-tracker")),
        lambda: machine.journal("spread-tracker")[-5:],
    )
    assert user_version(machine, "tracker.db") == VERSION, "refused, and not touched"
    machine.run("systemctl", "stop", "spread-scanner.target")
    machine.run("sh", "-ec", GO_BACK)
    machine.run("systemctl", "start", "spread-scanner.target", timeout_s=120)
    wait_until(
        lambda: machine.run("systemctl", "is-active", "spread-tracker", check=False) == "active\n",
        lambda: machine.journal("spread-tracker")[-5:],
    )
    assert user_version(machine, "tracker.db") == 2


# The commands of operating.md.
GO_BACK = f"""
cd {DATA}
mkdir newer && mv tracker.db* newer/
mv tracker.before-2.db tracker.db
"""


def remove(machine: Machine) -> None:
    """The newest setup.sh removes whichever version is there."""
    machine.run("systemctl", "stop", "spread-scanner.target")
    machine.run(*SETUP, "--uninstall")
    kept = machine.run("ls", DATA).split()
    assert {"tracker.db", "newer", "switches.spread"} <= set(kept)
    assert "spread" not in machine.run("ls", "/etc/systemd/system")
    assert json.loads(machine.run("sh", "-c", f"tail -n +2 {DATA}/switches.spread"))
