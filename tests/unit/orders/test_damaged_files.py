"""Whatever a file holds, a reload of a real feed, engine and tracker refuses it or takes it all.

In this process, on real segments; tests/system/test_reload_sim.py does it to a feed of its own.
"""

import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import uvloop

import bed
from spread_scanner import config
from spread_scanner.config import Settings
from spread_scanner.engine.core import Engine
from spread_scanner.feed.feed import Feed
from spread_scanner.runtime import logs
from spread_scanner.runtime.gate import Gates
from spread_scanner.runtime.process import Process
from spread_scanner.schema.enums import SOURCES, ReloadOutcome
from spread_scanner.shm import Control, Health, PriceStore, SignalRing
from spread_scanner.shm.connections import Connections
from spread_scanner.shm.control import Orders
from spread_scanner.shm.funding import FundingTable
from spread_scanner.shm.operator import Operator
from spread_scanner.symbology import tables
from spread_scanner.tracker.main import Tracker

Damage = Callable[[random.Random, bytes], bytes]
ROUNDS = 6
NUMBERS = (b"nan", b"inf", b"-inf", b"-1", b"1e999", b"9" * 400, b'"x"', b"[]", b"{}", b"true")


def number(rng: random.Random, text: bytes) -> bytes:
    """Another value for one key."""
    lines = text.split(b"\n")
    keys = [n for n, line in enumerate(lines) if b" = " in line]
    if not keys:
        return text
    chosen = rng.choice(keys)
    lines[chosen] = lines[chosen].partition(b" = ")[0] + b" = " + rng.choice(NUMBERS)
    return b"\n".join(lines)


DAMAGES: dict[str, Damage] = {
    "cut": lambda rng, text: text[: rng.randrange(len(text) + 1)],
    "garbage": lambda rng, text: rng.randbytes(rng.randrange(300)),
    "a byte": lambda rng, text: (
        text[: (at := rng.randrange(len(text) + 1))] + rng.randbytes(1) + text[at + 1 :]
    ),
    "bytes put in": lambda rng, text: (
        text[: (at := rng.randrange(len(text) + 1))] + rng.randbytes(9) + text[at:]
    ),
    "a value": number,
    "empty": lambda rng, text: b"",
    "deep": lambda rng, text: b"a = " + b"[" * 2_000,
}


class System:
    """A feed, an engine and a tracker that have started."""

    def __init__(self, bed: Any, stack: ExitStack) -> None:
        enter = stack.enter_context
        self.settings: Settings = bed.settings
        self._health = enter(Health.attach(bed.namespace))
        self._control = enter(Control.attach(bed.namespace))
        self._enter = enter
        store = enter(PriceStore.attach(bed.namespace))
        ring = enter(SignalRing.attach(bed.namespace, "signals"))
        source = SOURCES[0]
        self.feed_process = self.process(source.process)
        self.feed = Feed(
            self.feed_process,
            source,
            store,
            enter(store.writer(source.source_id)),
            enter(enter(Connections.attach(bed.namespace)).claim(source.source_id)),
            enter(Gates(bed.namespace)),
        )
        self.engine_process = self.process("spread-engine")
        self.engine = enter(
            Engine(bed.namespace, self.engine_process.row, self.engine_process.slot)
        )
        loaded = tables.load(self.settings.generated_dir)
        self.engine.load(self.settings, loaded)
        self.tracker_process = self.process("spread-tracker")
        more = enter(Connections.attach(bed.namespace)), enter(FundingTable.attach(bed.namespace))
        self.tracker = Tracker(self.tracker_process, store, ring, enter(ring.consumer()), *more)

    def process(self, name: str) -> Process:
        return Process(
            name,
            self.settings,
            logs.set_up(name, "error"),
            self._enter(self._health.claim(name)),
            self._enter(self._control.claim(name)),
        )

    def reload(self, operator: Operator) -> dict[str, bool]:
        """Whether each has taken it. Whatever is raised here would have ended the process."""
        taken = {}
        for process in (self.feed_process, self.engine_process, self.tracker_process):
            operator.reload(process.name)
            orders = process.slot.orders()
            assert orders.reload
            before = process.settings.digest
            self._obey(process, orders)
            answer = self._control.answer(process.name)
            assert answer is not None
            assert answer.generation == orders.generation
            assert answer.digest == process.settings.digest
            taken[process.name] = answer.outcome is ReloadOutcome.APPLIED
            assert taken[process.name] or (answer.text and process.settings.digest == before)
        return taken

    def _obey(self, process: Process, orders: Orders) -> None:
        if process is self.feed_process:
            self.feed._reload(orders)
        elif process is self.tracker_process:
            self.tracker._reload(orders)
        else:
            process.reload(orders, self._engine_prepared)

    def _engine_prepared(self, settings: Settings) -> Callable[[], None]:
        ready = self.engine.prepare(settings, tables.load(settings.generated_dir))
        return lambda: (self.engine.take(ready), None)[1]


@pytest.fixture
def system(up_bed: Any) -> Iterator[System]:
    with ExitStack() as stack:
        yield System(up_bed, stack)


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_whatever_stands_in_a_file_nobody_ends(up_bed: Any, system: System) -> None:
    seed = bed.seed()
    rng = random.Random(seed)
    folder: Path = up_bed.folder
    current = folder / "generated" / "current"
    files = [folder / "config" / "config.toml", folder / "config" / "exchanges.toml"]
    files += [current / name for name in ("metadata.json", "symbols.bin", "directions.bin")]

    async def act() -> None:
        with Control.attach(up_bed.namespace) as control, control.operator() as operator:
            for path in files:
                whole = path.read_bytes()
                for kind, damage in DAMAGES.items():
                    for _ in range(ROUNDS):
                        made = damage(rng, whole)
                        path.write_bytes(made)
                        taken = system.reload(operator)
                        if path.suffix == ".bin" and made != whole:
                            assert not any(taken.values()), (path.name, kind)
                path.write_bytes(whole)
                assert all(system.reload(operator).values()), path.name

    uvloop.run(act())
    assert config.load(folder / "config").digest == system.settings.digest
