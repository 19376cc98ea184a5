"""The log's processes run later than the others, and all the same where they may not."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from spread_scanner.history import compact
from spread_scanner.schema.names import EXIT_FAILED
from spread_scanner.wal import packing, priority

PROBE = """
import os
from spread_scanner.wal import priority
print(priority.give_way(), os.getpriority(os.PRIO_PROCESS, 0))
"""


def test_it_is_lower_by_so_much() -> None:
    done = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=True)
    lower = min(os.getpriority(os.PRIO_PROCESS, 0) + priority.NICE, 19)
    assert done.stdout.split() == ["True", str(lower)]


def test_where_it_is_refused_the_work_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(by: int) -> int:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "nice", refuse)
    assert not priority.give_way()
    missing = str(tmp_path / "none")
    assert packing.main([missing, "1"]) == EXIT_FAILED
    assert compact.main([missing, str(tmp_path)]) == EXIT_FAILED
    assert capsys.readouterr().err.count("there is no log") == 2
