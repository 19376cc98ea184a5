"""What tests of the gateway as a process stand on, and a client of its push without a socket."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec

import bed as waits
from spread_scanner.gateway.broadcast import Broadcast
from spread_scanner.gateway.channels import Client
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


class Told:
    """A client that keeps what it is told."""

    def __init__(self, stream: Broadcast) -> None:
        self.frames: list[Any] = []
        self.let_go: list[str] = []
        self._stream = stream
        self.client = Client(self._heard, self._gone)
        stream.join(self.client)

    def _heard(self, frame: bytes, packed: bool) -> None:
        self.frames.append(msgspec.msgpack.decode(frame) if packed else json.loads(frame))

    def _gone(self, why: str) -> None:
        self.let_go.append(why)
        self._stream.leave(self.client)

    def wish(self, *kinds: str, **more: Any) -> None:
        said = {"op": "subscribe", "kinds": kinds, **more}
        self._stream.heard(self.client, json.dumps(said).encode())

    def of(self, kind: str) -> list[Any]:
        return [frame for frame in self.frames if frame["type"] == kind]

    def prices(self) -> dict[str, float]:
        """What it believes, by pool, from all frames."""
        held: dict[str, float] = {}
        for frame in self.of("prices"):
            held = {} if frame["snapshot"] else held
            held |= {one["pool_id"]: one["bid_px"] for one in frame["prices"]}
            for pool in frame["gone"]:
                held.pop(pool, None)
        return held
