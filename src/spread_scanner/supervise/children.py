"""Child processes of the supervisor: found, started, waited for, ended.

A child gets a process group of its own, so that Ctrl-C reaches the supervisor alone and children
end in order; and the kernel kills it when its supervisor dies, however that happens. What it says
goes to <data>/logs/<process>.log, in JSON (supervise/log_files.py).
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TextIO

import orjson

import spread_scanner
from spread_scanner import clock
from spread_scanner.clock import NS_PER_S
from spread_scanner.errors import SpreadError
from spread_scanner.supervise.log_files import CannotLog, opened

_PR_SET_PDEATHSIG = 1
WAITED = 1  # column of /proc/PID/schedstat, in ns
_libc = ctypes.CDLL(None, use_errno=True)  # loaded here: not between fork and exec

BACKOFF_S_MIN = 0.25
BACKOFF_S_MAX = 10.0
TIDYING_S = 0.2
BUSY_S_MAX = 7.0  # on top of a deadline, for who gets no CPU: with it a stop takes ten seconds
SAID_MAX = 200
SETTLED_S = 30.0  # a child that lived this long begins again with the shortest pause


class NoSuchBin(SpreadError):
    """A process's executable is not installed."""


def command_of(process: str) -> list[str]:
    """How to start a process: the repository's bins/, or those beside this interpreter."""
    prefix = Path(sys.executable).parent  # not resolved: a venv's python is a link to the system's
    for folder in (
        Path(spread_scanner.__file__).parents[2] / "bins",
        prefix,
        prefix.parent / "bins",
        prefix.parent.parent / "bins",
    ):
        if (folder / process).is_file():
            return [sys.executable, str(folder / process)]
    raise NoSuchBin("the executable of a process is not installed", process=process)


def in_short(line: str) -> str:
    """A line that a process logged, for who wants to know why it ended."""
    try:
        logged = orjson.loads(line)
        line = ": ".join(str(logged[key]) for key in ("event", "error") if key in logged)
    except (orjson.JSONDecodeError, TypeError):
        pass  # not one of our lines: the end of a traceback, as it is
    return line if len(line) <= SAID_MAX else line[:SAID_MAX] + "..."


class Child:
    """One child process over all its lives."""

    def __init__(
        self,
        name: str,
        environ: Mapping[str, str],
        log_path: Path,
        arguments: Sequence[str] = (),
    ) -> None:
        self.name = name
        self.log_path = log_path
        self.starts = 0
        self.last_exit: int | None = None
        self._environ = environ
        self._arguments = list(arguments)
        self._running: subprocess.Popen[bytes] | None = None
        self._started_s = 0.0
        self._backoff_s = BACKOFF_S_MIN
        self._due_s = 0.0
        self._waited_before_s = 0.0  # when it was asked to end

    @property
    def pid(self) -> int | None:
        return self._running.pid if self._running is not None else None

    @property
    def restarts(self) -> int:
        return max(self.starts - 1, 0)

    def start(self, *, keep_stdout: bool = False) -> None:
        """Begin a life. With `keep_stdout` its output is read by us instead of logged."""
        parent = os.getpid()
        with self._opened_log() as log:
            self._running = subprocess.Popen(
                [*command_of(self.name), *self._arguments],
                env=dict(self._environ),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if keep_stdout else log,
                stderr=log,
                process_group=0,
                preexec_fn=lambda: _die_with(parent),
            )
        self.starts += 1
        self._started_s = clock.awake_s()

    def _opened_log(self) -> TextIO:
        """Where there can be none, nothing is begun; what ran goes on without."""
        try:
            return opened(self.log_path)
        except CannotLog:
            if not self.starts:
                raise
            return open(os.devnull, "a", encoding="utf-8")

    def read_line(self, timeout_s: float, stopping: Callable[[], bool] = lambda: False) -> bytes:
        """The first line of a child started with `keep_stdout`; what there is of it when the child
        ends before, the time is over or `stopping`.
        """
        if self._running is None or self._running.stdout is None:
            return b""
        stream = self._running.stdout
        os.set_blocking(stream.fileno(), False)
        deadline = clock.awake_s() + timeout_s
        line = b""
        while clock.awake_s() < deadline and not line.endswith(b"\n") and not stopping():
            part = stream.read(65_536) or b""
            line += part
            if not part and self.ended() is not None:
                break
            if not part:
                clock.sleep(0.005)
        return line

    def ended(self) -> int | None:
        """The exit code of the current life once it is over (negative: by a signal)."""
        if self._running is None:
            return self.last_exit
        code = self._running.poll()
        if code is None:
            return None
        self.last_exit = code
        if self._running.stdout is not None:
            self._running.stdout.close()
        self._running = None
        lived_s = clock.awake_s() - self._started_s
        if lived_s >= SETTLED_S:
            self._backoff_s = BACKOFF_S_MIN
        self._due_s = clock.awake_s() + self._backoff_s
        self._backoff_s = min(2 * self._backoff_s, BACKOFF_S_MAX)
        return code

    @property
    def due(self) -> bool:
        """Whether the pause before the next life is over."""
        return self._running is None and clock.awake_s() >= self._due_s

    @property
    def lived_s(self) -> float:
        return clock.awake_s() - self._started_s

    def ask(self) -> None:
        """To end. A stopped process (SIGSTOP) cannot obey: let it go on."""
        self._waited_before_s = self.waited_s()
        self.signal(signal.SIGTERM)
        self.signal(signal.SIGCONT)

    @property
    def held_up_s(self) -> float:
        """How long it has waited for a CPU since it was asked to end."""
        return max(0.0, self.waited_s() - self._waited_before_s)

    def waited_s(self) -> float:
        """How long it has waited for a CPU although it could have gone on, as the kernel counts
        it; 0: it has gone, or this kernel does not count."""
        try:
            words = Path(f"/proc/{self.pid}/schedstat").read_bytes().split()
        except OSError:
            return 0.0
        return int(words[WAITED]) / NS_PER_S

    def signal(self, number: signal.Signals) -> None:
        if self._running is not None:
            with contextlib.suppress(ProcessLookupError):
                self._running.send_signal(number)


def some_have_ended() -> bool:
    """Whether any child of ours has, and was not told of it yet: one question for all of them."""
    try:
        return os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:  # there is none
        return False


def _die_with(parent: int) -> None:
    """Runs in the child before exec: be killed when the supervisor is gone."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the line above
        os._exit(1)


def end_all(children: Sequence[Child], deadline_s: float) -> list[str]:
    """Ask children to end and wait; who has not by the deadline is killed, and named."""
    ask_all(children)
    return kill_all(await_all(children, deadline_s))


def ask_all(children: Sequence[Child]) -> None:
    for child in children:
        child.ask()


def await_all(
    children: Sequence[Child],
    deadline_s: float,
    done: Callable[[Child], bool] | None = None,
    busy_s: float = BUSY_S_MAX,
) -> list[Child]:
    """Those that have not ended by the deadline, which is later, by no more than `busy_s`, for who
    waits for a CPU: that it is not done on a busy machine is no fault of its own.

    `done` tells a child that has finished its work: all that is left is its interpreter tidying
    up, which is cut short after a moment. On a busy machine a dozen of those take seconds.
    """
    done_since_s: dict[str, float] = {}
    while waiting := [child for child in children if child.starts and child.ended() is None]:
        now_s = clock.awake_s()
        over_s = now_s - deadline_s
        if over_s >= 0 and all(over_s >= min(one.held_up_s, busy_s) for one in waiting):
            break
        for child in waiting:
            if done is None or not done(child):
                continue
            if now_s - done_since_s.setdefault(child.name, now_s) > TIDYING_S:
                child.signal(signal.SIGKILL)
        clock.sleep(0.005)
    return waiting


def kill_all(children: Sequence[Child]) -> list[str]:
    """And wait for that; their names."""
    for child in children:
        child.signal(signal.SIGKILL)
    for child in children:
        while child.ended() is None:
            clock.sleep(0.001)
    return [child.name for child in children]
