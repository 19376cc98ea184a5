"""The settings that a running process would read now: the files, and its own environment on top.

Used by `reload`, before anybody is told: who gives the order may have other variables than those
who obey (`--namespace` is one), and another folder (a checkout's). Reads the health segment, /proc
and the files; writes nothing. Where an environment or the folder cannot be read, it is taken for
the caller's: the process itself refuses then.
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from spread_scanner import config
from spread_scanner.config import Settings
from spread_scanner.config.reading import VARIABLE_PREFIX
from spread_scanner.errors import SegmentError
from spread_scanner.shm import Health


def settings_by(settings: Settings, names: Iterable[str]) -> dict[str, Settings]:
    """By process, of those that live; `settings` are the caller's. Raises ConfigError, as a process
    would refuse its own.
    """
    read: dict[tuple[tuple[str, str], ...], Settings] = {}
    found = {}
    folder, pids = _running(settings.config.system.namespace, names)
    if folder is None or not os.access(folder, os.R_OK | os.X_OK):
        folder = settings.folder
    if folder == settings.folder:
        read[_ours(os.environ)] = settings
    for name, pid in pids.items():
        variables = _variables(pid)
        if variables not in read:
            read[variables] = config.load(folder, dict(variables))
        found[name] = read[variables]
    return found


def _running(namespace: str, names: Iterable[str]) -> tuple[Path | None, dict[str, int]]:
    """Where the system's settings are, and who of them has which number."""
    try:
        with Health.attach(namespace, timeout_s=0) as health:
            beats = {name: health.beat(name) for name in names}
            folder = health.folder
    except SegmentError:
        return None, {}
    return folder, {name: beat.pid for name, beat in beats.items() if beat is not None}


def _variables(pid: int) -> tuple[tuple[str, str], ...]:
    """Those of ours that a process began with; its own it knows better than the kernel."""
    if pid == os.getpid():
        return _ours(os.environ)
    try:
        said = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:  # another user's, or it has ended
        return _ours(os.environ)
    pairs = (os.fsdecode(one).partition("=") for one in said.split(b"\0"))
    return _ours({name: value for name, _, value in pairs})


def _ours(environ: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(one for one in environ.items() if one[0].startswith(VARIABLE_PREFIX)))
