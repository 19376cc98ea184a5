"""deploy/: setup.sh below a folder, and what cron runs. The real thing is test_systemd_live.py."""

import fcntl
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from spread_scanner.schema.enums import EXCHANGE_SOURCES
from spread_scanner.symbology.publish import publish
from spread_scanner.symbology.tables import Tables, load

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
SCRIPTS = sorted(path for path in DEPLOY.iterdir() if path.is_file())


def setup(root: Path, *options: str, code: int = 0) -> str:
    done = subprocess.run(
        ["bash", str(DEPLOY / "setup.sh"), "--root", str(root), *options],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def tree(root: Path) -> dict[str, tuple[int, int, bytes]]:
    """Every file with mode, change time and contents."""
    return {
        str(path.relative_to(root)): (
            path.stat().st_mode,
            path.stat().st_mtime_ns,
            path.read_bytes() if path.is_file() else b"",
        )
        for path in sorted(root.rglob("*"))
    }


def test_a_first_run_lays_out_everything(tmp_path: Path) -> None:
    setup(tmp_path)
    for name in (
        "etc/spread-scanner/config.toml",
        "etc/spread-scanner/exchanges.toml",
        "etc/spread-scanner/directions.toml",
        "etc/spread-scanner/pools.toml",
        "etc/cron.d/spread-scanner",
        "etc/sysctl.d/60-spread-scanner.conf",
        "etc/systemd/system/spread-scanner.target",
        "etc/systemd/system/feed-okx-spot.service.d/50-hardening.conf",
        "etc/systemd/system/feed-.service.d/10-feed.conf",
        "etc/systemd/system/spread-report.service.d/60-report.conf",
        "usr/local/bin/spread-ctl",
        "opt/spread-scanner/spread-discover",
        "var/lib/spread-scanner/data",
    ):
        assert (tmp_path / name).exists(), name
    settings = (tmp_path / "etc/spread-scanner/config.toml").read_text()
    assert 'generated_dir = "/var/lib/spread-scanner/generated"' in settings
    for name, mode in (("telegram-token", 0o600), ("exchanges.toml", 0o640), ("pools.toml", 0o640)):
        found = (tmp_path / "etc/spread-scanner" / name).stat().st_mode & 0o777
        assert found == mode, f"{name} may hold a secret"


def test_a_second_run_changes_nothing_and_says_so(tmp_path: Path) -> None:
    setup(tmp_path)
    before = tree(tmp_path)
    assert setup(tmp_path) == "everything stands as it should; nothing changed\n"
    assert tree(tmp_path) == before


def test_a_dry_run_changes_nothing(tmp_path: Path) -> None:
    assert "would run: install" in setup(tmp_path, "--dry-run")
    assert tree(tmp_path) == {}
    setup(tmp_path)
    before = tree(tmp_path)
    assert "would run: rm -rf" in setup(tmp_path, "--dry-run", "--uninstall", "--purge")
    assert tree(tmp_path) == before


def test_settings_are_never_overwritten_but_our_files_are_renewed(tmp_path: Path) -> None:
    setup(tmp_path)
    mine = tmp_path / "etc/spread-scanner/directions.toml"
    unit = tmp_path / "etc/systemd/system/spread-engine.service"
    wanted = unit.read_bytes()
    mine.write_text("# mine\n")
    unit.write_text("# an older version\n")
    said = setup(tmp_path)
    assert mine.read_text() == "# mine\n"
    assert unit.read_bytes() == wanted
    assert "install" in said
    assert "directions.toml" not in said.partition("Next:")[0]


def test_uninstalling_keeps_settings_and_data_unless_told(tmp_path: Path) -> None:
    setup(tmp_path)
    (tmp_path / "var/lib/spread-scanner/data/tracker.db").write_text("kept")
    setup(tmp_path, "--uninstall")
    left = {path for path in tree(tmp_path) if (tmp_path / path).is_file()}
    assert left == {
        "etc/spread-scanner/config.toml",
        "etc/spread-scanner/exchanges.toml",
        "etc/spread-scanner/directions.toml",
        "etc/spread-scanner/pools.toml",
        "etc/spread-scanner/telegram-token",
        "var/lib/spread-scanner/data/tracker.db",
    }
    setup(tmp_path, "--uninstall", "--purge")
    assert not [path for path in tree(tmp_path) if (tmp_path / path).is_file()]


def test_pinning_gives_the_engine_a_cpu_of_its_own(tmp_path: Path) -> None:
    units = tmp_path / "etc/systemd/system"
    setup(tmp_path, "--pin", "2-4,6")
    engine = (units / "spread-engine.service.d/70-cpus.conf").read_text()
    assert engine == "[Service]\nCPUAffinity=2\n"
    for service in {path.name for path in units.glob("*.service")} - {
        "spread-engine.service",
        "shm-init.service",
    }:
        other = (units / f"{service}.d/70-cpus.conf").read_text()
        assert other == "[Service]\nCPUAffinity=3 4 6\n", service
    assert not (units / "shm-init.service.d/70-cpus.conf").exists()
    (units / "spread-analyst.service.d/70-cpus.conf").unlink()  # an older version has not known it
    setup(tmp_path)
    assert (units / "spread-analyst.service.d/70-cpus.conf").read_text() == other
    assert "nothing changed" in setup(tmp_path)
    setup(tmp_path, "--pin", "none")
    assert not list(units.rglob("70-cpus.conf"))


@pytest.mark.parametrize(
    ("pin", "why"),
    [
        ("two", "--pin wants CPUs such as 2-5 or 1,3,5, not 'two'"),
        ("-2", "not '-2'"),
        ("2,", "not ''"),
        ("5-2", "--pin 5-2: 2 is below 5"),
        ("3", "--pin wants two CPUs or more"),
        ("3,3", "--pin wants two CPUs or more"),
    ],
)
def test_pinning_that_cannot_be_is_refused_before_anything_is_changed(
    tmp_path: Path, pin: str, why: str
) -> None:
    assert why in setup(tmp_path, "--pin", pin, code=2)
    assert tree(tmp_path) == {}


def test_pinning_to_cpus_that_are_not_there_is_refused() -> None:
    """Below a folder another machine's may be meant; here it is this one's."""
    done = subprocess.run(
        ["bash", str(DEPLOY / "setup.sh"), "--dry-run", "--pin", "0,4095"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "--pin: no such CPU: 4095; this machine has 0" in done.stderr
    assert "would" not in done.stdout


def test_units_that_a_version_no_longer_has_are_removed(tmp_path: Path) -> None:
    units = tmp_path / "etc/systemd/system"
    setup(tmp_path)
    before = tree(tmp_path)
    former = units / "spread-archivist.service"
    wanted = units / "spread-scanner.target.wants/spread-archivist.service"
    mine = units / "spread-backup.service"
    for path, text in (
        (former, "[Unit]\nDescription=spread-scanner: archivist\n"),
        (wanted, ""),
        (units / "spread-archivist.service.d/50-hardening.conf", "[Service]\n"),
        (mine, "[Unit]\nDescription=copies what spread-scanner has found\n"),
    ):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert f"remove {former}" in setup(tmp_path)
    assert not former.exists()
    assert not wanted.exists()
    assert not former.with_name("spread-archivist.service.d").exists()
    assert mine.exists(), "not ours"
    mine.unlink()
    wanted.parent.rmdir()
    assert set(tree(tmp_path)) == set(before)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--instal"], "setup.sh: unknown option --instal"),
        (["--purge"], "setup.sh: --purge goes with --uninstall"),
        (["--wheel", "/nope.whl"], "setup.sh: no such wheel: /nope.whl"),
        (["--pin"], "setup.sh: --pin needs CPUs"),
        (["--wheel", ""], "setup.sh: --wheel needs a file"),
        (["--python"], "setup.sh: --python needs a program"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_changed(
    tmp_path: Path, options: list[str], why: str
) -> None:
    assert setup(tmp_path, *options, code=2).startswith(why)
    assert tree(tmp_path) == {}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may")
def test_without_root_it_says_so() -> None:
    done = subprocess.run(
        ["bash", str(DEPLOY / "setup.sh")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "run it as root" in done.stderr


def test_a_python_below_a_home_folder_is_refused(tmp_path: Path) -> None:
    """The services run with ProtectHome: such an interpreter is not there for them."""
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\ncase "$2" in *base_prefix*) echo /root/python ;; esac\n')
    python.chmod(0o755)
    command = f'here={ROOT} python={python}; fail() {{ echo "$1"; exit 1; }}; '
    function = re.search(r"^check_python\(\) \{.*?^\}", setup_text(), re.DOTALL | re.MULTILINE)
    assert function is not None
    done = subprocess.run(
        ["bash", "-c", f"{command}\n{function.group()}\ncheck_python"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "lives in /root/python" in done.stdout


@pytest.mark.parametrize("named", [True, False])
def test_a_wheel_brings_the_versions_of_what_it_needs(tmp_path: Path, named: bool) -> None:
    """So that one that was kept is installed with what it was tested with, not with what this
    checkout needs; a wheel of before they were in it gets this checkout's, and it is said."""
    wheel, lock = tmp_path / "kept.whl", tmp_path / "lock"
    with zipfile.ZipFile(wheel, "w") as file:
        file.writestr("spread_scanner-0.1.0.dist-info/RECORD", "")
        if named:
            file.writestr("spread_scanner/requirements.lock", "msgspec==0.20\n")
    variables = f"here={ROOT} python={sys.executable} wheel={wheel}"
    function = re.search(r"^fingerprint\(\) \{.*?^\}", setup_text(), re.DOTALL | re.MULTILINE)
    assert function is not None
    done = subprocess.run(
        ["bash", "-c", f"{variables}\n{function.group()}\nfingerprint {lock}"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    ours = (ROOT / "requirements.lock").read_text()
    assert lock.read_text() == ("msgspec==0.20\n" if named else ours)
    assert ("names no versions" in done.stderr) is not named
    assert len(done.stdout.split()) == 2, "Python's version and a digest"


@pytest.mark.parametrize(
    ("asked", "there", "extra"),
    [
        ("history=1 solana=0", [], "[history]"),
        ("history=0 solana=0", ["duckdb"], "[history]"),
        ("history=0 solana=1", [], "[solana]"),
        ("history=0 solana=0", ["solders"], "[solana]"),
        ("history=1 solana=0", ["solders"], "[history,solana]"),
        ("history=0 solana=0", [], ""),
    ],
)
def test_what_was_asked_for_beside_the_package_comes_with_it(
    tmp_path: Path, asked: str, there: list[str], extra: str
) -> None:
    """Once asked for, an upgrade brings it along; a second run installs nothing."""
    wheel, python = tmp_path / "kept.whl", tmp_path / "venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\n')
    python.chmod(0o755)
    wheel.touch()
    for package in there:
        (tmp_path / "venv/lib/python3.12/site-packages" / package).mkdir(parents=True)
    stubs = (
        'check_python() { :; }; fingerprint() { echo "version digest"; }; say() { :; }\n'
        'run() { "$@"; }; put_text() { printf "%s\\n" "$1" > "$2"; }; fail() { exit 9; }\n'
    )
    variables = f"opt={tmp_path} wheel={wheel} dry=0 {asked}\n"
    function = re.search(r"^install_package\(\) \{.*?^\}", setup_text(), re.DOTALL | re.MULTILINE)
    assert function is not None
    for _ in range(2):
        command = f"set -eu\n{variables}{stubs}{function.group()}\ninstall_package"
        subprocess.run(["bash", "-c", command], timeout=60, check=True)
    first, second = (tmp_path / "asked").read_text().splitlines()
    assert first.endswith(f"{wheel}{extra}")
    assert second.endswith(f"--force-reinstall --no-deps {wheel}")


def test_the_build_puts_the_versions_into_the_wheel() -> None:
    """What setup.sh looks for is what setup.py writes; the build itself takes minutes."""
    assert '(folder.parent / "requirements.lock").write_bytes' in (ROOT / "setup.py").read_text()
    assert "spread_scanner/requirements.lock" in setup_text()


def setup_text() -> str:
    return (DEPLOY / "setup.sh").read_text()


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_is_sound(script: Path) -> None:
    assert os.access(script, os.X_OK)
    shell = script.read_text().splitlines()[0].rpartition("/")[2].rpartition(" ")[2]
    subprocess.run([shell, "-n", str(script)], check=True, timeout=20)
    if shutil.which("shellcheck"):
        done = subprocess.run(
            ["shellcheck", str(script)], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stdout


def test_the_cron_file_is_one_that_cron_reads() -> None:
    (file,) = (DEPLOY / "cron.d").iterdir()
    text = file.read_text()
    assert text.endswith("\n"), "cron ignores a last line without its end"
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    jobs = [line for line in lines if not re.match(r"[A-Z_]+=", line)]
    full, quick, funding = (job.split(maxsplit=6) for job in jobs)
    minute, *when, user, command = full
    assert (when, user) == (["*/6", "*", "*", "*"], "spread")
    assert 0 <= int(minute) < 60
    assert command == "/opt/spread-scanner/while-up /opt/spread-scanner/spread-discover"
    assert quick == ["*/5", "*", "*", "*", "*", "spread", f"{command} --quick --due"]
    *when, user, command = funding
    assert (when, user) == (["2-59/5", "*", "*", "*", "*"], "spread")
    asks = "/opt/spread-scanner/venv/bin/pair-discovery --funding --due"
    assert command == f"/opt/spread-scanner/while-up {asks} >/dev/null 2>&1"
    # cron reads no file whose name has a dot, or that others may write.
    assert "." not in file.name
    assert not file.stat().st_mode & 0o022


@pytest.mark.parametrize("target", ["stopped", "running"])
@pytest.mark.parametrize("cron", [True, False])
def test_the_report_is_a_units_with_cron_or_without(
    tmp_path: Path, cron: bool, target: str
) -> None:
    """Cron's would have no bound to its memory. The machine is one of ours, which notes what is
    asked of it, and has one timer already; what runs has the others at once."""
    asked, systemctl = tmp_path / "asked", tmp_path / "systemctl"
    systemctl.write_text(
        f'#!/bin/sh\necho "$@" >> {asked}\n'
        f'case "$*" in *is-active*) exit {int(target == "stopped")} ;;\n'
        "*is-enabled*look.timer*) ;; *is-enabled*) exit 1 ;; esac\n"
    )
    systemctl.chmod(0o755)
    text = setup_text()
    enable = re.search(r"^enable\(\) \{.*?^\}", text, re.DOTALL | re.MULTILINE)
    block = re.search(r"^if live; then\n    \[ .*?^fi", text, re.DOTALL | re.MULTILINE)
    assert enable is not None
    assert block is not None
    stubs = f'set -eu; live() {{ :; }}; has_cron() {{ {str(cron).lower()}; }}; run() {{ "$@"; }}'
    subprocess.run(
        ["bash", "-c", f"changed=0 dry=0\n{stubs}\n{enable.group()}\n{block.group()}"],
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        timeout=20,
        check=True,
    )
    enabled = [line for line in asked.read_text().splitlines() if line.startswith("enable")]
    now = "enable --quiet --now" if target == "running" else "enable --quiet"
    timers = ["report"] if cron else ["discovery", "funding", "report"]
    assert enabled == [
        "enable --quiet spread-scanner.target",
        *(f"{now} spread-{name}.timer" for name in timers),
    ]


def test_cron_does_nothing_while_the_target_is_stopped_as_the_timers_do(tmp_path: Path) -> None:
    """systemctl is one of ours, which says what it is told to."""
    script = DEPLOY / "while-up"
    systemctl, done = tmp_path / "systemctl", tmp_path / "done"
    environ = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "SPREAD_SYSTEMD": str(tmp_path)}
    for state, runs in ((3, False), (0, True)):
        systemctl.write_text(f"#!/bin/sh\nexit {state}\n")
        systemctl.chmod(0o755)
        subprocess.run([script, "touch", done], env=environ, check=True, timeout=20)
        assert done.exists() is runs
    systemctl.write_text("#!/bin/sh\nexit 3\n")
    done.unlink()
    environ["SPREAD_SYSTEMD"] = str(tmp_path / "none")  # another first process: nothing to ask
    subprocess.run([script, "touch", done], env=environ, check=True, timeout=20)
    assert done.exists()


def test_a_timer_makes_up_for_nothing_that_cron_would_miss() -> None:
    for timer in (ROOT / "systemd").glob("*.timer"):
        text = timer.read_text()
        assert "PartOf=spread-scanner.target" in text, f"{timer.name} outlives the target"
        assert "Persistent=yes" not in text


MAKEFILE_NEEDS = ("pyproject.toml", "setup.py", "requirements.lock")


@pytest.mark.skipif(os.geteuid() != 0, reason="root leaves files to others")
def test_a_wheel_that_root_makes_is_the_owners(tmp_path: Path) -> None:
    """The build is one of ours, which writes where a real one does; it takes minutes."""
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    shutil.copy(ROOT / "Makefile", checkout)
    for name in MAKEFILE_NEEDS:
        (checkout / name).touch()
    python = checkout / ".venv/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\nmkdir -p dist build && touch dist/made.whl build/made\n")
    python.chmod(0o755)
    (checkout / ".venv/.installed").touch()
    for folder in (checkout, *checkout.rglob("*")):
        os.chown(folder, 65534, 65534)
    for parent in list(checkout.parents)[:3]:  # pytest's own folders, which only root may enter
        parent.chmod(0o755)
    done = subprocess.run(
        ["make", "wheel", "BINS=", "NATIVE="],
        cwd=checkout,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "dist/made.whl" in done.stdout
    owners = {str(path): path.stat().st_uid for path in checkout.rglob("*")}
    assert set(owners.values()) == {65534}, owners


class Discover:
    """deploy/spread-discover with a spread-ctl of our own behind it."""

    def __init__(self, folder: Path) -> None:
        self.lock = folder / "lock"
        self.calls = folder / "calls"
        self._folder = folder

    def command(self, ctl: str, *options: str) -> subprocess.Popen[str]:
        program = self._folder / "spread-ctl"
        program.write_text(f'#!/bin/sh\necho "$@" >> "{self.calls}"\n{ctl}\n')
        program.chmod(0o755)
        environ = {
            "PATH": os.environ["PATH"],
            "SPREAD_BIN": str(self._folder),
            "SPREAD_LOCK": str(self.lock),
            "SPREAD_LOCK_WAIT_S": "0",  # who is held up by another run is refused at once
            "INVOCATION_ID": "test",  # as under systemd: no line of ours in the real log
        }
        return subprocess.Popen(
            [str(DEPLOY / "spread-discover"), *options],
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, ctl: str, *options: str) -> tuple[int, str]:
        child = self.command(ctl, *options)
        said = child.communicate(timeout=30)[0]
        return child.returncode, said


@pytest.fixture
def discover(tmp_path: Path) -> Discover:
    return Discover(tmp_path)


def test_a_good_run_says_nothing_so_that_cron_sends_no_mail(discover: Discover) -> None:
    assert discover.run("echo published; exit 0") == (0, "")
    assert discover.calls.read_text() == "discover\n"


def test_a_quick_look_gives_way_to_a_run_and_is_silent(discover: Discover) -> None:
    assert discover.run("echo nothing new; exit 0", "--quick", "--due") == (0, "")
    assert discover.calls.read_text() == "discover --quick --due\n"
    with discover.lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert discover.run("exit 1", "--quick", "--due") == (0, "")
    assert discover.calls.read_text() == "discover --quick --due\n", "nobody was asked"
    code, said = discover.run("echo no source could be reached >&2; exit 1", "--quick")
    assert (code, said) == (1, "no source could be reached\n")


def test_a_failed_run_is_reported_with_its_reason(discover: Discover) -> None:
    code, said = discover.run("echo no source could be reached >&2; exit 1")
    assert code == 1
    assert "failed; the old tables stay in force (exit code 1)" in said
    assert "no source could be reached" in said


def test_a_run_that_reaches_nobody_keeps_the_old_tables(tmp_path: Path, namespace: str) -> None:
    folder = tmp_path / "config"
    folder.mkdir()
    (folder / "exchanges.toml").write_text(
        "".join(
            f'[{source.label}]\nrest_url = "http://127.0.0.1:9"\nws_url = "ws://127.0.0.1:9"\n'
            for source in EXCHANGE_SOURCES
        )
    )
    publish(tmp_path / "generated", Tables(7, 0, (), (), (), (), ()), {})
    environ = {
        "PATH": os.environ["PATH"],
        "SPREAD_BIN": str(Path(sys.executable).parent),
        "SPREAD_LOCK": str(tmp_path / "lock"),
        "SPREAD_CONFIG_DIR": str(folder),
        "SPREAD_SYSTEM__NAMESPACE": namespace,
        "SPREAD_PAIR_DISCOVERY__REST_ATTEMPTS_MAX": "1",
        "INVOCATION_ID": "test",
    }
    done = subprocess.run(
        [str(DEPLOY / "spread-discover")],
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "the old tables stay in force" in done.stdout
    assert "no source could be reached" in done.stdout
    assert load(tmp_path / "generated").generation == 7


def test_a_partial_run_is_reported_as_such(discover: Discover) -> None:
    code, said = discover.run("exit 3")
    assert code == 3
    assert "an exchange could not be reached" in said
    assert "enabled = false in exchanges.toml leaves it out for good" in said


def test_a_second_run_is_refused_while_the_first_goes_on(discover: Discover) -> None:
    with discover.lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        code, said = discover.run("exit 0")
    assert code == 75
    assert "the previous run has not ended" in said
    assert not discover.calls.exists(), "nothing was asked of anyone"
    assert discover.run("exit 0")[0] == 0


def test_what_discovery_leaves_running_does_not_hold_the_lock(discover: Discover) -> None:
    """A child that outlives its run must not lock out all later ones."""
    code, _ = discover.run("sleep 30 >/dev/null 2>&1 & echo $! > " + str(discover.lock) + ".pid")
    assert code == 0
    left = int(Path(f"{discover.lock}.pid").read_text())
    try:
        assert discover.run("exit 0")[0] == 0
    finally:
        os.kill(left, 9)
