"""What tests of the gateway as a process stand on."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import bed as waits
from spread_scanner.schema.enums import ProcessState
from spread_scanner.schema.names import GATEWAY

ROOT = Path(__file__).parents[2]


class Started:
    """One life of the process."""

    def __init__(self, bed: Any) -> None:
        self._bed = bed
        environ = {**os.environ, "SPREAD_CONFIG_DIR": str(bed.folder / "config")}
        self.child = subprocess.Popen([sys.executable, ROOT / "bins" / GATEWAY], env=environ)

    def row(self) -> Any:
        with self._bed.health() as health:
            found = health.read(GATEWAY) if GATEWAY in health.names() else None
        return found if found is not None and found.pid == self.child.pid else None

    def address(self) -> str:
        def runs() -> bool:
            row = self.row()
            return row is not None and row.state is ProcessState.RUNNING

        waits.until(runs, timeout_s=60)
        return str(self.row().message)


def secret(bed: Any, name: str, text: str = "a-token-of-some-length") -> str:
    file = Path(bed.folder / name)
    file.write_text(text)
    file.chmod(0o600)
    return text
