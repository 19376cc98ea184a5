"""The hourly report where no timer writes it, as a process of its own: numbers over many rows must
not delay a sample. Under systemd it is a unit of its own (spread-report.timer).

Runs `spread-tracker report` on a read-only connection, on any CPU, with low priority, into
data_dir/reports; one at a time, killed when it takes longer than its interval.
"""

import contextlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Protocol

from spread_scanner import clock
from spread_scanner.config import Settings
from spread_scanner.schema.names import REPORTS_FOLDER

PERIOD = "24h"  # each report looks back this far
POLL_S = 0.5
NICENESS = 10


class ReportTally(Protocol):
    """Where outcomes are counted."""

    def add(self, label: str, count: int = 1) -> None: ...

    def level(self, label: str, value: int) -> None: ...


class Reporter:
    """Call `poll` from the loop; it costs one comparison while there is nothing to do."""

    def __init__(self, settings: Settings, database: Path, tally: ReportTally) -> None:
        self.settings = settings
        self._database = database
        self._tally = tally
        self._child: subprocess.Popen[bytes] | None = None
        self._began_s = clock.mono_s()
        self._next_look_s = 0.0
        self._others = "NOTIFY_SOCKET" in os.environ  # a service's report is a service, too
        if self._others:
            self._tally.level("report_failing", 0)

    def poll(self) -> None:
        """Start a report when it is time; take note of one that has ended."""
        now_s = clock.mono_s()
        every_s = self.settings.config.spread_tracker.report_every_s
        if now_s < self._next_look_s or self._others:
            return
        self._next_look_s = now_s + POLL_S
        if self._child is not None:
            self._look_after(self._child, overdue=now_s - self._began_s > max(60.0, every_s))
        elif every_s > 0 and now_s - self._began_s >= every_s:
            self._began_s = now_s
            self._start()

    def _look_after(self, child: "subprocess.Popen[bytes]", *, overdue: bool) -> None:
        if overdue:
            child.kill()
            child.wait()
        code = child.poll()
        if code is not None:
            self._child = None
            self._ended(failed=code != 0)

    def _start(self) -> None:
        command = [
            *(sys.executable, "-m", "spread_scanner.tracker.report_cli", "report"),
            *("--since", PERIOD, "--database", str(self._database)),
            *("--folder", str(self._database.parent / REPORTS_FOLDER)),
        ]
        try:
            child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, close_fds=True
            )
        except OSError:
            self._ended(failed=True)
            return
        with contextlib.suppress(OSError):  # it may have ended already
            os.setpriority(os.PRIO_PROCESS, child.pid, NICENESS)
            os.sched_setaffinity(child.pid, range(os.cpu_count() or 1))
        self._child = child

    def _ended(self, *, failed: bool) -> None:
        self._tally.add("report_failures" if failed else "reports")
        self._tally.level("report_failing", int(failed))

    def close(self) -> None:
        """End a report that is still being written."""
        if self._child is not None:
            self._child.kill()
            self._child.wait()
            self._child = None
