"""The logs of a system under `up`: they begin anew, keep their end, and give room back."""

import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from spread_scanner.config.processes import staying
from spread_scanner.runtime import logs
from spread_scanner.schema.names import ONE_SHOT, SUPERVISOR
from spread_scanner.supervise import log_files
from spread_scanner.supervise.supervisor import Supervisor

MAX = 4_096  # of the 32 MiB of the shipped one: the same, sooner


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_files, "LOG_BYTES_MAX", MAX)


def modes(folder: Path) -> set[str]:
    return {oct(path.stat().st_mode & 0o777) for path in folder.iterdir()}


def test_who_writes_goes_on_in_the_new_log_and_the_end_of_the_old_one_is_kept(
    tmp_path: Path,
) -> None:
    path, kept = tmp_path / "feed.log", tmp_path / "feed.log.1"
    path.write_text("of an older version, readable by all\n")
    path.chmod(0o644)
    kept.write_text("of the time before\n")
    with open(path, "ab", buffering=0, opener=log_files.open_log) as log:
        script = 'for i in $(seq 400); do echo "line $i of the first"; done; read go; echo second'
        with subprocess.Popen(["sh", "-c", script], stdin=subprocess.PIPE, stdout=log) as writer:
            while b"line 400 " not in path.read_bytes():
                assert writer.poll() is None
            whole = path.read_bytes()
            log_files.renew(path)
            assert kept.read_bytes() == whole[-MAX:]
            assert path.read_bytes() == b""
            writer.communicate(b"go\n", timeout=60)
    assert path.read_bytes() == b"second\n"
    log_files.renew(path)
    assert path.read_bytes() == b"second\n", "not too large: as it was"
    assert modes(tmp_path) == {"0o600"}


def test_the_supervisor_renews_the_log_of_everyone_it_starts_and_its_own(bed: Any) -> None:
    supervisor = Supervisor(bed.settings, {}, logs.set_up(SUPERVISOR))
    names = {*staying(bed.settings), *ONE_SHOT, SUPERVISOR}
    for name in names:
        path = supervisor.log_path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(MAX + 1))
    supervisor._renew_logs()
    found = {path.name: path.stat().st_size for path in path.parent.iterdir()}
    assert found == {f"{name}.log": 0 for name in names} | {f"{name}.log.1": MAX for name in names}


@pytest.mark.parametrize("before", [0, 700_000])
def test_on_a_full_disk_the_end_is_kept_and_the_room_given_back(
    tmp_path: Path, before: int
) -> None:
    """A real file system of 1 MiB, that the log and, perhaps, an older one have filled."""
    unshare = ["unshare", "--mount", "sh", "-c"]
    mount = f"mount -t tmpfs -o size=1m tmpfs '{tmp_path}'"
    if subprocess.run([*unshare, mount], check=False, capture_output=True).returncode:
        pytest.skip("unshare --mount is not allowed here")
    code = f"""
        import os, sys
        from pathlib import Path
        from spread_scanner.supervise import log_files
        log_files.LOG_BYTES_MAX = 300_000
        path, kept = Path(sys.argv[1], "feed.log"), Path(sys.argv[1], "feed.log.1")
        if {before}:
            kept.write_bytes(bytes({before}))
        with open(path, "ab", buffering=0, opener=log_files.open_log) as log:
            lines = 0
            try:
                while log.write(b"%08d of many lines" % lines):  # the last one in part
                    lines += 1
            except OSError as error:
                print(error.strerror)
            log_files.renew(path)
            log.write(b"again")
        end = b"%08d of many lines" % (lines - 2)
        print(path.read_bytes(), kept.stat().st_size, end in kept.read_bytes()[-50:])
        print(os.statvfs(path).f_bavail * 4096 > 500_000, oct(kept.stat().st_mode))
    """
    script = f'{mount} && exec "$0" -c "$1" "$2"'
    command = [*unshare, script, sys.executable, textwrap.dedent(code), str(tmp_path)]
    said = subprocess.check_output(command, text=True, timeout=60).splitlines()
    kept_bytes = 300_000 if before else log_files.TAIL_BYTES
    assert said == [
        "No space left on device",
        f"b'again' {kept_bytes} True",
        "True 0o100600",
    ]
