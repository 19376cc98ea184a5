"""A machine for tests: a real systemd as the first process of its own namespaces.

The file system is this machine's, under an overlay that is thrown away; processes, mounts, control
groups, host name and /dev/shm are its own; the network is shared. Everything ends with the
`unshare` that holds it. Needs root and a kernel that lets root do this.
"""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bed import until

ROOT = Path(__file__).parents[2]
SYSTEMD = Path("/lib/systemd/systemd")
DEADLINE_S = 60.0
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
NEEDED = (
    *("unshare", "nsenter", "setpriv", "pivot_root", "mount", "runuser", "systemctl"),
    "systemd-run",
)

# Prepares the file system and the control group, then gives way to the second stage.
_FIRST = r"""
set -eu
root=$1 group=$2
mount --make-rprivate /
mkdir -p "$root/layers" "$root/sys"
mount -t tmpfs tmpfs "$root/layers"
mkdir "$root/layers/upper" "$root/layers/work" "$root/layers/root"
mount -t cgroup2 cgroup2 "$root/sys"
mkdir "$root/sys/$group"
echo $$ > "$root/sys/$group/cgroup.procs"
umount "$root/sys"
shift 2
while :; do
    code=0
    setpriv --pdeathsig KILL unshare --mount --cgroup --pid --fork --uts --ipc --kill-child \
        bash -c "$SECOND" second "$root" "$@" || code=$?
    [ "$code" = 129 ] || exit "$code" # SIGHUP is how the kernel says that it was to start again
done
"""

# Runs as the first process of the new namespaces and becomes systemd.
_SECOND = r"""
set -eu
root=$1/layers/root layers=$1/layers
shift
mount -t overlay overlay -o "lowerdir=/,upperdir=$layers/upper,workdir=$layers/work" "$root"
mount -t proc proc "$root/proc"
# What is set in /proc/sys would hold for the machine outside too.
mount --bind -o ro "$root/proc/sys" "$root/proc/sys"
mount -t sysfs sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount --rbind /dev "$root/dev"
for folder in run dev/shm tmp var/log; do mount -t tmpfs tmpfs "$root/$folder"; done
chmod 1777 "$root/tmp" "$root/dev/shm"
while [ $# -ge 2 ]; do # folders of the machine outside, read-only: SOURCE DESTINATION
    mkdir -p "$root$2"
    mount --bind -o ro "$1" "$root$2"
    shift 2
done
test -e "$layers/booted" || rm -rf "$root"/etc/systemd/system/*.wants
touch "$layers/booted"
for unit in systemd-udevd systemd-udev-trigger systemd-logind systemd-resolved systemd-networkd \
    systemd-timesyncd systemd-sysctl systemd-modules-load systemd-hwdb-update systemd-binfmt; do
    ln -sf /dev/null "$root/etc/systemd/system/$unit.service"
done
echo spread-test > "$root/etc/hostname"
cd "$root"
pivot_root . mnt # not chroot: in one the kernel refuses user namespaces, which PrivateUsers needs
umount --lazy mnt
# As a container manager would leave it: credentials reach a unit by propagation.
mount --make-rshared /
exec env -i container=lxc PATH="$PATH" /lib/systemd/systemd --unit=basic.target \
    --log-target=journal --show-status=0 systemd.unified_cgroup_hierarchy=1
"""

# Whether the kernel, and the container if this is one, let us do what the above does.
_TRY = r"""
set -e
mount -t tmpfs tmpfs /mnt
cd /mnt
mkdir upper work root groups
mount -t overlay overlay -o lowerdir=/,upperdir=upper,workdir=work root
mount -t proc proc root/proc
mount -t cgroup2 cgroup2 groups
mkdir "groups/spread-try-$1"
rmdir "groups/spread-try-$1"
"""


def why_not() -> str:
    """Why there cannot be such a machine here; empty when there can."""
    if os.geteuid() != 0:
        return "needs root"
    if not SYSTEMD.exists():
        return "systemd is not installed"
    if missing := [name for name in NEEDED if shutil.which(name) is None]:
        return f"not installed: {', '.join(missing)}"
    tried = subprocess.run(
        [
            *("unshare", "--mount", "--cgroup", "--pid", "--fork", "--uts", "--ipc"),
            *("sh", "-c", _TRY, "try", str(os.getpid())),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    return f"cannot be had here: {tried.stderr.strip()}" if tried.returncode else ""


class Machine:
    """A running systemd. Made by `booted`."""

    def __init__(self, holder: "subprocess.Popen[str]") -> None:
        self._holder = holder
        self.pid = 0  # of its first process, as seen from outside
        self._await_up()

    def reboot(self) -> None:
        """As an operator does it. What is under /run, /tmp, /dev/shm and /var/log is gone then."""
        before = Path(f"/proc/{self.pid}")
        self.run("systemctl", "reboot", check=False)  # it is cut off, or not
        wait_until(lambda: not before.exists(), lambda: self.run("systemctl", "list-jobs"))
        self._await_up()

    def _await_up(self) -> None:
        self.pid = _first_process(self._holder)
        wait_until(lambda: _up(self), lambda: "systemd does not come up")

    def command(self, *arguments: str) -> list[str]:
        enter = ["nsenter", "--target", str(self.pid), "--all", "--root", "--wd"]
        return [*enter, "env", "-i", f"PATH={PATH}", "LANG=C.UTF-8", *arguments]

    def run(self, *arguments: str, check: bool = True, timeout_s: float = DEADLINE_S) -> str:
        """Run a command inside; what it printed."""
        done = subprocess.run(
            self.command(*arguments),
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        assert not check or done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
        return done.stdout

    def show(self, unit: str, *properties: str) -> dict[str, str]:
        """Properties of a unit, as systemctl shows them."""
        text = self.run("systemctl", "show", f"--property={','.join(properties)}", unit)
        return dict(line.partition("=")[::2] for line in text.splitlines())

    def journal(self, unit: str) -> list[str]:
        text = self.run("journalctl", "--unit", unit, "--output=cat", "--no-pager", check=False)
        return text.splitlines()

    def write(self, path: str, text: str) -> None:
        subprocess.run(
            self.command("install", "-D", "-m", "644", "/dev/stdin", path),
            input=text,
            text=True,
            check=True,
            timeout=DEADLINE_S,
        )

    def json(self, *arguments: str) -> Any:
        return json.loads(self.run(*arguments, check=False))


def wait_until(condition: Callable[[], object], what: Callable[[], object]) -> None:
    """Wait for a condition, at most to a deadline; `what` says what was there instead."""
    until(condition, what, timeout_s=DEADLINE_S, look_s=0.2)


@contextlib.contextmanager
def booted(folder: Path, *brought: str) -> Iterator[Machine]:
    """Boot, and end everything afterwards. `folder` stays empty outside the namespaces. `brought`
    are more folders of outside: what is read there, and where it is inside, in turn."""
    group = f"spread-test-{os.getpid()}"
    holder = subprocess.Popen(
        [
            *("unshare", "--mount", "bash", "-c", _FIRST, "first", str(folder), group),
            *_brought(),
            *brought,
        ],
        env={"PATH": PATH, "SECOND": _SECOND},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield Machine(holder)
    finally:
        holder.kill()
        said = holder.communicate()[0]
        _remove_group(group)
        if said:
            print(said)


def _brought() -> list[str]:
    """What the machine is given of ours: the repository, the interpreter and its packages.

    An interpreter under /root or /home would be out of sight for units with ProtectHome.
    """
    packages = sysconfig.get_paths()["purelib"]
    return [str(ROOT), "/opt/repository", sys.base_prefix, "/opt/python", packages, "/opt/packages"]


def _first_process(holder: "subprocess.Popen[str]") -> int:
    """The systemd below the unshare below the holder."""
    found: list[int] = []

    def there() -> bool:
        assert holder.poll() is None, holder.communicate()[0]
        found[:] = [pid for child in _children(holder.pid) for pid in _children(child)]
        return bool(found) and Path(f"/proc/{found[0]}/comm").read_text() == "systemd\n"

    wait_until(there, lambda: f"no systemd below {holder.pid}: {found}")
    return found[0]


def _children(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def _up(machine: Machine) -> bool:
    done = machine.run("systemctl", "is-active", "basic.target", check=False)
    return done.strip() == "active"


def _remove_group(group: str) -> None:
    """Take the control groups away that the machine's systemd made below ours."""
    subprocess.run(
        [
            *("unshare", "--mount", "bash", "-c"),
            'mount -t cgroup2 cgroup2 /mnt && for _ in $(seq 200); do test -d "/mnt/$1" || exit 0;'
            ' find "/mnt/$1" -depth -type d -exec rmdir {} + 2>/dev/null; sleep 0.02; done; exit 1',
            "remove",
            group,
        ],
        check=True,
        timeout=DEADLINE_S,
    )
