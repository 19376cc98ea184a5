"""The system as deploy/setup.sh installs it, on a machine of the tests (machine.py).

The package is put where setup.sh would put it, but without a network; the exchanges are the
simulator's, which runs from the repository whatever version is installed.
"""

import json
import sys
from typing import Any

from machine import Machine, wait_until

from spread_scanner.schema.names import (
    ALERTS,
    ANALYST,
    FEED_SOLANA,
    GATEWAY,
    ONE_SHOT,
    PATHS,
    PROCESSES,
    RECORDER,
)

SETUP = ["bash", "/opt/repository/deploy/setup.sh", "--no-package"]
PYTHON = f"python{sys.version_info[0]}.{sys.version_info[1]}"
VENV = "/opt/spread-scanner/venv"
# As shipped nobody is to be told, nobody asks, and nothing is written down.
OPTIONAL = (ALERTS, ANALYST, RECORDER, GATEWAY, FEED_SOLANA, PATHS)
STAYING = [name for name in PROCESSES if name not in (*ONE_SHOT, *OPTIONAL)]
DATA = "/var/lib/spread-scanner/data"

# $1: where the package lies, $2: its programs.
MAKE_VENV = f"""
set -eu
echo /opt/python/lib > /etc/ld.so.conf.d/python.conf
ldconfig
rm -rf {VENV}
/opt/python/bin/{PYTHON} -m venv --without-pip {VENV}
printf "$1\\n/opt/packages\\n" > {VENV}/lib/{PYTHON}/site-packages/ours.pth
for program in "$2"/*; do
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
grep -q '^validate_s = 0.5' /etc/spread-scanner/config.toml ||
    sed -i 's/^\\[pair-discovery\\]/&\\nvalidate_s = 0.5/' /etc/spread-scanner/config.toml
"""


def put_package(
    machine: Machine, where: str = "/opt/repository/src", programs: str = "/opt/repository/bins"
) -> None:
    machine.run("bash", "-c", MAKE_VENV, "put", where, programs)


def start_exchanges(machine: Machine, port: int = 0) -> None:
    """The simulator as a unit, and its settings in force. A machine that boots again has it no
    more; with the same port its settings are as they were."""
    machine.run(
        *("systemd-run", "--quiet", "--unit=exchange-sim"),
        *("--setenv=PYTHONPATH=/opt/repository/src:/opt/packages", f"/opt/python/bin/{PYTHON}"),
        *("/opt/repository/bins/exchange-sim", "--symbols", "16", "--rate", "50"),
        *("--port", str(port), "--config-out", "/run/sim"),
    )
    wait_until(
        lambda: machine.run("ls", "/run/sim/directions.toml", check=False),
        lambda: machine.journal("exchange-sim"),
    )
    machine.run("bash", "-c", SETTINGS)


def document(machine: Machine) -> dict[str, Any]:
    """What `status --json` says. The wrapper makes root the user of the services."""
    found: dict[str, Any] = machine.json("spread-ctl", "status", "--json", "--interval", "0.1")
    return found


def status(machine: Machine) -> dict[str, Any]:
    """What the operator sees, by process."""
    return {row["process"]: row for row in document(machine).get("processes", [])}


def await_well(machine: Machine) -> None:
    """Until `status` has nothing to say against it: on a busy machine a heartbeat may be late."""
    said: dict[str, Any] = {}

    def well() -> bool:
        said.update(document(machine))
        return bool(said.get("ok"))

    wait_until(well, lambda: {key: said.get(key) for key in ("starting", "unwell", "mixed")})


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


def switched(machine: Machine) -> list[str]:
    """What stands switched, as people say it, by the file that outlives everything."""
    text = machine.run("cat", f"{DATA}/switches.spread").partition("\n")[2]
    return [f"{row['kind']} {row['name']}".strip() for row in json.loads(text)]
