"""The simulator's Solana in a thread of the test, and feed-solana as a process beside it."""

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from spread_scanner import config
from spread_scanner.schema.names import FEED_SOLANA
from spread_scanner.shm import Control, Health
from spread_scanner.shminit.making import ensure
from spread_scanner.sim.rpc_server import SolanaSide
from spread_scanner.view import pools
from spread_scanner.view.pools import PoolView

ROOT = Path(__file__).parents[2]
WAIT_S = 60.0


class SolanaThread:
    """A SolanaSide that lives in a loop of its own."""

    def __init__(self, seed: int, count: int, **options: Any) -> None:
        self.side = SolanaSide(seed, count, **options)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._wait(self.side.start())

    def _wait(self, what: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(what, self._loop).result(WAIT_S)

    def ask(self, what: Callable[[], Any]) -> Any:
        """What a call says, made in the loop."""

        async def call() -> Any:
            return what()

        return self._wait(call())

    def act(self, **said: Any) -> None:
        self.ask(lambda: self.side.act(said))

    def truth(self) -> dict[str, Any]:
        found: dict[str, Any] = self.ask(self.side.truth)
        return found

    def close(self) -> None:
        self._wait(self.side.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(WAIT_S)
        self._loop.close()


class FeedBed:
    """Settings, segments, and feed-solana as a process."""

    def __init__(self, folder: Path, namespace: str, pools_toml: str, num_sources: int = 8) -> None:
        self.folder, self.namespace = folder / "config", namespace
        self.folder.mkdir()
        for name in ("exchanges.toml", "directions.toml"):
            (self.folder / name).write_text((ROOT / "config" / name).read_text())
        (self.folder / "config.toml").write_text(
            f'[system]\nnamespace = "{namespace}"\nmax_symbols = 64\nnum_sources = {num_sources}\n'
        )
        self.write(pools_toml)
        self.settings = config.load(self.folder, {})
        ensure(self.settings)
        self.process: subprocess.Popen[bytes] | None = None
        self.log = folder / "feed-solana.log"

    def write(self, pools_toml: str) -> None:
        (self.folder / "pools.toml").write_text(pools_toml)

    def start(self) -> None:
        environ = {**os.environ, "SPREAD_CONFIG_DIR": str(self.folder)}
        environ.pop("SPREAD_SYSTEM__NAMESPACE", None)
        with self.log.open("ab") as log:
            command: list[str | Path] = [sys.executable, ROOT / "bins" / FEED_SOLANA]
            self.process = subprocess.Popen(command, env=environ, stderr=log)

    def pools(self) -> dict[str, PoolView]:
        return {one.pool: one for one in pools.of_all(self.settings)}

    def health(self) -> Any:
        with Health.attach(self.namespace) as health:
            return health.read(FEED_SOLANA) if FEED_SOLANA in health.names() else None

    def order(self, give: Callable[[Any], Any]) -> None:
        with Control.attach(self.namespace) as control, control.operator() as operator:
            give(operator)

    def wait(self, what: str, is_so: Callable[[], bool], within_s: float = WAIT_S) -> None:
        """Until it is so; says what did not come, and the end of the log."""
        until_s = time.monotonic() + within_s
        while not is_so():
            if self.process is not None and self.process.poll() is not None:
                raise AssertionError(f"{what}: it ended: {self.log.read_text()[-3_000:]}")
            if time.monotonic() > until_s:
                shown = [(one.pool[:6], one.program, one.why) for one in self.pools().values()]
                said = self.log.read_text()[-3_000:]
                raise AssertionError(f"{what}: {shown} {self.health()} {said}")
            time.sleep(0.02)

    def all_fresh(self) -> bool:
        found = self.pools()
        return bool(found) and all(one.fresh for one in found.values())

    def end(self) -> int:
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(WAIT_S)

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


@contextmanager
def solana(seed: int, count: int, **options: Any) -> Iterator[SolanaThread]:
    thread = SolanaThread(seed, count, **options)
    try:
        yield thread
    finally:
        thread.close()


@contextmanager
def feeding(
    folder: Path, namespace: str, pools_toml: str, num_sources: int = 8
) -> Iterator[FeedBed]:
    bed = FeedBed(folder, namespace, pools_toml, num_sources)
    try:
        yield bed
    finally:
        bed.close()
