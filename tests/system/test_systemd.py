"""The units are right: systemd's own verifier has no complaint, and each unit is well shut in.

Checked in a folder that stands for the root of a machine, laid out as deploy/setup.sh lays it out.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from spread_scanner import config
from spread_scanner.orders import discovering
from spread_scanner.schema.names import ONE_SHOT, PROCESSES

ROOT = Path(__file__).parents[2]
UNITS = ROOT / "systemd"
EXPOSURE_MAX = 2.5
VENDOR = Path("/usr/lib/systemd/system")
SERVICES = sorted(path.name for path in UNITS.glob("*.service"))

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None or not VENDOR.exists(),
    reason="systemd-analyze is not installed",
)


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("machine")
    (root / "etc").mkdir()
    for line, name in (
        ("root:x:0:0::/:/bin/sh\nspread:x:990:990::/:/bin/false\n", "passwd"),
        ("root:x:0:\nspread:x:990:\n", "group"),
    ):
        (root / "etc" / name).write_text(line)
    vendor = root / VENDOR.relative_to("/")
    shutil.copytree(VENDOR, vendor, symlinks=True, ignore_dangling_symlinks=True)
    command = ["bash", str(ROOT / "deploy" / "setup.sh"), "--units-only", "--root", str(root)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    binaries = root / "opt/spread-scanner/venv/bin"
    binaries.mkdir(parents=True)
    for name in (*PROCESSES, "spread-ctl"):
        (binaries / name).write_text("#!/bin/sh\n")
        os.chmod(binaries / name, 0o755)
    return root


def test_every_process_has_its_unit_and_the_target_wants_it() -> None:
    target = (UNITS / "spread-scanner.target").read_text()
    for process in PROCESSES:
        assert (UNITS / f"{process}.service").exists()
        assert f"{process}.service" in target


def test_every_process_that_fails_for_good_is_told_of() -> None:
    for process in PROCESSES:
        text = (UNITS / f"{process}.service").read_text()
        if process.startswith("feed-"):
            text = (UNITS / "feed-.service.d/10-feed.conf").read_text()
        assert "\nOnFailure=spread-failed@%N.service\n" in text, process


def test_a_report_that_fails_is_told_of() -> None:
    """What else timers start is a condition of its own when it has failed for long."""
    text = (UNITS / "spread-report.service").read_text()
    assert "\nOnFailure=spread-failed@%N.service\n" in text


def test_a_unit_says_nothing_that_the_drop_in_of_all_units_takes_back() -> None:
    """A drop-in wins over the unit, without a word."""

    def said(text: str) -> set[str]:
        service = text.partition("[Service]\n")[2].partition("\n[")[0]
        lists = {"Environment", "SystemCallFilter"}  # which add up
        return set(re.findall(r"^(\w+)=", service, re.MULTILINE)) - lists

    everywhere = said((UNITS / "hardening.conf").read_text())
    for unit in (*SERVICES, "feed-.service.d/10-feed.conf"):
        assert not said((UNITS / unit).read_text()) & everywhere, unit


def test_a_process_may_ask_the_scheduler_for_what_it_asks_it_for() -> None:
    """The filter takes away all that alters resources, and gives back what is needed of that."""
    said = re.findall("^SystemCallFilter=(.*)$", (UNITS / "hardening.conf").read_text(), re.M)
    assert said[1] == "~@privileged @resources"
    calls = {
        r"os\.nice\(": "setpriority",
        r"os\.setpriority\(": "setpriority",
        r"os\.sched_setaffinity\(": "sched_setaffinity",
        r"_SchedAttr\(": "sched_setattr",
    }
    sources = "".join(path.read_text() for path in (ROOT / "src").rglob("*.py"))
    asked = {call for text, call in calls.items() if re.search(text, sources)}
    assert asked == set(said[2].split())


def test_one_that_is_stopped_in_the_midst_of_its_work_has_not_failed() -> None:
    """systemd takes SIGTERM for a clean end of what stays, and for a failure of a one-shot."""
    texts = {name: (UNITS / name).read_text() for name in SERVICES}
    one_shots = [name for name, text in texts.items() if "\nType=oneshot\n" in text]
    assert {f"{name}.service" for name in ONE_SHOT} <= set(one_shots)
    for name in one_shots:
        found = re.findall("^SuccessExitStatus=(.*)$", texts[name], re.MULTILINE)
        assert "SIGTERM" in " ".join(found).split(), name


def test_who_asks_for_discovery_leaves_the_file_that_systemd_waits_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever data_dir is: the units cannot read the settings."""
    state = re.findall("^StateDirectory=(.*)$", (UNITS / "hardening.conf").read_text(), re.M)
    waited = re.findall("^PathExists=(.*)$", (UNITS / "spread-discovery.path").read_text(), re.M)
    (tmp_path / state[0]).mkdir()
    monkeypatch.setenv(discovering.STATE_VARIABLE, str(tmp_path / state[0]))
    settings = config.load(ROOT / "config", {"SPREAD_SYSTEM__DATA_DIR": str(tmp_path / "else")})
    left = Path(discovering.wish(settings).file)
    assert left.exists()
    assert waited == [str(Path("/var/lib") / left.relative_to(tmp_path))]
    assert f"rm -f {waited[0]}\n" in (UNITS / "spread-discovery.service").read_text()
    assert discovering.taken(settings)


def seconds(unit: str, key: str) -> float:
    """A time of a unit, all of which are in seconds; those of the feeds are in one drop-in."""
    found = re.findall(rf"^{key}=(\d+)s?$", (UNITS / unit).read_text(), re.MULTILINE)
    return max(map(float, found), default=0.0)


def test_a_restart_that_waits_for_discovery_fits_the_gap_that_is_resumed() -> None:
    """Of the target: everybody is stopped and what an end has to do is done, segments are made, and
    the tracker waits for discovery, for as long as its unit lets it ask."""
    staying = [f"{name}.service" for name in PROCESSES if name not in ONE_SHOT]
    units = [unit for unit in staying if not unit.startswith("feed-")]
    units.append("feed-.service.d/10-feed.conf")
    stop_s = max(seconds(unit, "TimeoutStopSec") for unit in units)
    discovery_s = seconds("pair-discovery.service", "TimeoutStartSec")
    assert min(discovery_s, stop_s) > 0, "the units say nothing"
    shipped = config.load(ROOT / "config", {}).config.spread_tracker.resume_gap_s_max
    making_s = 5.0
    assert 2 * stop_s + discovery_s + making_s <= shipped


@needs_systemd
def test_systemd_verifies_every_unit_without_a_word(machine: Path) -> None:
    kinds = {".service", ".target", ".timer", ".path"}
    units = sorted(path.name for path in UNITS.iterdir() if path.suffix in kinds)
    assert {"spread-report.timer", "spread-scanner.target", *SERVICES} <= set(units)
    done = subprocess.run(
        ["systemd-analyze", f"--root={machine}", "--man=no", "verify", *units],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    ours = [line for line in done.stderr.splitlines() if any(unit in line for unit in units)]
    assert not ours


@needs_systemd
@pytest.mark.parametrize("unit", SERVICES)
def test_a_unit_is_exposed_as_little_as_promised(machine: Path, unit: str) -> None:
    done = subprocess.run(
        [
            "systemd-analyze",
            f"--root={machine}",
            "--offline=yes",
            "--no-pager",
            f"--threshold={int(EXPOSURE_MAX * 10)}",
            "security",
            unit,
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-600:]
    assert "Overall exposure level" in done.stdout
