"""What tests of the gateway as a process stand on, and a client of its push without a socket."""

import contextlib
import json
import os
import ssl
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

import bed as waits
from spread_scanner.gateway._outlet import Outlet
from spread_scanner.gateway.broadcast import Broadcast
from spread_scanner.gateway.channels import Client
from spread_scanner.schema.enums import ProcessState
from spread_scanner.schema.names import GATEWAY
from spread_scanner.shm import PriceStore

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


class Quoting:
    """Writes quotes as a feed would, for as long as it lives."""

    def __init__(self, bed: Any) -> None:
        self._held = contextlib.ExitStack()
        self._store = self._held.enter_context(PriceStore.attach(bed.namespace))
        self._writers: dict[int, Any] = {}
        self._number = 0

    def quote(self, source_id: int, symbol_id: int, bid: float) -> None:
        if source_id not in self._writers:
            writer = self._held.enter_context(self._store.writer(source_id))
            self._writers[source_id] = writer
        self._number += 1
        now_ns = self._store.clock.now_ns()
        writer = self._writers[source_id]
        writer.write(symbol_id, bid, 10.0, bid + 1, 10.0, now_ns, now_ns, self._number)
        self.beat()

    def beat(self) -> None:
        for writer in self._writers.values():
            writer.heartbeat(self._store.clock.now_ns() - self._store.clock.anchor_ns)

    def close(self) -> None:
        self._held.close()


def secret(bed: Any, name: str, text: str = "a-token-of-some-length") -> str:
    file = Path(bed.folder / name)
    file.write_text(text)
    file.chmod(0o600)
    return text


def certified(folder: Path, name: str = "") -> ssl.SSLContext:
    """A new key and certificate; who trusts that one alone."""
    key, certificate = folder / f"{name}key.pem", folder / f"{name}certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1",
         "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    return ssl.create_default_context(cafile=str(certificate))


class Heard(Outlet):
    """A way out that ends here."""

    def __init__(self, heard: Callable[[bytes, bool], None]) -> None:
        self._heard = heard

    def take(self, frame: bytes, packed: bool) -> None:
        self._heard(frame, packed)


class Told:
    """A client that keeps what it is told."""

    def __init__(self, stream: Broadcast) -> None:
        self.frames: list[Any] = []
        self.let_go: list[str] = []
        self._stream = stream
        self._held_bytes = 0  # of what it was told, none is read where it is stuck
        self.client = Client(Heard(self._heard), self._gone, lambda: self._held_bytes)
        stream.join(self.client)

    def _heard(self, frame: bytes, packed: bool) -> None:
        self._held_bytes += len(frame)
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
