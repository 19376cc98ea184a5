"""A market that chance makes, written into a log as a recorder would, and what the oracle says of
it step by step. Each thing happens in a millisecond of its own.
"""

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from engine_bed import settings, tables
from engine_oracle import Oracle, Switches

from spread_scanner import clock
from spread_scanner.clock import VirtualClock
from spread_scanner.config import Settings
from spread_scanner.recorder.documents import settings_body
from spread_scanner.recorder.draining import gap
from spread_scanner.schema.enums import DIRECTIONS, EXCHANGE_SOURCES, SOURCES, QuoteFlag
from spread_scanner.schema.log import (
    DOCUMENT_DTYPE,
    SOURCE_STATE_DTYPE,
    TICK_DTYPE,
    GapOf,
    RecordKind,
)
from spread_scanner.schema.records import QUOTE_DTYPE
from spread_scanner.symbology import usual
from spread_scanner.symbology.tables import FundingRow
from spread_scanner.symbology.usual import Usual, UsualCause, UsualOrigin
from spread_scanner.wal.writer import LogWriter, Origin

SYMBOLS = 2
ANCHOR_NS = 1_700_000_000_000_000_000
INSTANCE = 0x1234_5678_9ABC
TIMES: dict[str, Any] = {
    "system": {"heartbeat_ms": 10, "heartbeat_ms_max": 400},
    "stale_ms_max": 300,
    "skew_ms_max": 60,
}


def settings_of(enter_bps: float) -> Settings:
    thresholds = {"enter_bps": enter_bps, "exit_bps": enter_bps - 6, "resignal_step_bps": 6.0}
    return settings(thresholds | {"cooldown_ms": 20}, **TIMES)


class Market:
    """One store's life. `happen` has one thing happen, `oracles` are the signals of all steps."""

    def __init__(self, folder: Path, time: VirtualClock, seed: int) -> None:
        self.folder, self.time = folder, time
        self.chance = np.random.default_rng(seed)
        self.log = LogWriter(folder, Origin("test", INSTANCE, ANCHOR_NS), segment_bytes=1 << 20)
        self.tables = tables(SYMBOLS, funding=(FundingRow(3, 0, -0.0001, 8.0),))
        self.keys = usual.pair_keys(self.tables)
        self.quotes = np.zeros((len(EXCHANGE_SOURCES), SYMBOLS), QUOTE_DTYPE)
        self.quotes["flags"] = 1
        for name in ("bid_px", "bid_sz", "ask_px", "ask_sz"):
            self.quotes[name] = np.nan
        self.epochs = np.ones(len(EXCHANGE_SOURCES), np.int64)
        self.beats = np.zeros(len(EXCHANGE_SOURCES), np.int64)
        self.numbers = [0] * len(EXCHANGE_SOURCES)
        self.tape: list[list[Any]] = [[] for _ in EXCHANGE_SOURCES]
        self.switches, self.standing = Switches(), dict[tuple[str, str], Any]()
        self.update_id = self.generation = self.commands = 0
        self.oracles: list[np.ndarray] = []
        self.made: Usual
        self.oracle: Oracle
        self.given: Settings
        self.tick()
        for one in (settings_of(6.0), settings_of(-3.0)):
            self.document(RecordKind.SETTINGS, one.digest, settings_body(one))
        self.document(RecordKind.TABLES, 1, msgspec.json.encode(self.tables))
        self.adopt(UsualCause.START)
        for source_id in range(len(EXCHANGE_SOURCES)):
            self.tick()
            self.beat(source_id)

    @property
    def mono_ns(self) -> int:
        return clock.mono_ns()

    @property
    def ts(self) -> int:
        return self.mono_ns + ANCHOR_NS

    def tick(self, ms: int = 1) -> None:
        self.time.advance_ms(ms)

    def document(self, kind: RecordKind, generation: int, body: bytes) -> None:
        head = np.zeros((), DOCUMENT_DTYPE)
        head["generation"], head["ts"] = generation, self.ts
        self.log.append_document(kind, head, body)

    def step(self) -> None:
        found = self.oracle.step(self.mono_ns, self.quotes, self.epochs, self.beats, self.switches)
        if len(found):
            self.oracles.append(found)

    def happen(self) -> None:
        self.tick(int(self.chance.integers(1, 12)))
        kind = self.chance.choice(
            ["quote", "mark", "beat", "takeover", "switch", "minute", "reload", "start", "drain"],
            p=[0.7, 0.03, 0.1, 0.015, 0.03, 0.01, 0.01, 0.005, 0.1],
        )
        source_id = int(self.chance.integers(0, 4))  # two exchanges: both ways between them
        if kind == "quote":
            self.quote(source_id)
        elif kind == "mark":
            self.mark(source_id)
        elif kind == "beat":
            self.beat(source_id)
        elif kind == "takeover":
            self.drain()
            self.epochs[source_id] += 1
            self.beat(source_id)
        elif kind == "switch":
            self.switch()
        elif kind == "drain":
            self.drain()
        else:
            self.adopt(UsualCause[str(kind).upper()])

    def quote(self, source_id: int) -> None:
        """One read of a socket: all that it brings was received at one time."""
        for symbol_id in range(int(self.chance.integers(1, SYMBOLS + 1))):
            bid = 100 + int(self.chance.integers(-3, 5)) / 16
            ask = bid + int(self.chance.integers(0, 2)) / 16
            size, self.update_id = int(self.chance.integers(1, 50)), self.update_id + 1
            overdue = int(QuoteFlag.OVERDUE) * int(self.chance.integers(0, 2))
            epoch = self.epochs[source_id]
            quote = (bid, size, ask, size, self.ts - 5, self.ts, self.update_id, overdue, epoch)
            self.publish(source_id, symbol_id, quote)
        self.step()

    def publish(self, source_id: int, symbol_id: int, quote: Any) -> None:
        self.quotes[source_id, symbol_id] = quote
        tick = np.zeros((), TICK_DTYPE)
        tick["number"], tick["source_id"], tick["symbol_id"] = (
            self.numbers[source_id],
            source_id,
            symbol_id,
        )
        tick["quote"] = quote
        self.numbers[source_id] += 1
        self.tape[source_id].append(tick)

    def mark(self, source_id: int) -> None:
        """Written at once: when a mark was made no tick says."""
        marked = False
        for symbol_id in range(SYMBOLS):
            quote = self.quotes[source_id, symbol_id]
            if quote["ts_recv"] and not quote["flags"] & QuoteFlag.STALE:
                changed = quote.copy()
                changed["flags"] |= int(QuoteFlag.STALE)
                self.publish(source_id, symbol_id, changed)
                marked = True
        if marked:
            self.drain()
            self.step()

    def drain(self) -> None:
        for source_id, waiting in enumerate(self.tape):
            if waiting:
                self.log.append(RecordKind.TICK, np.array(waiting, TICK_DTYPE))
            self.tape[source_id] = []
        self.log.write()

    def lose(self, source_id: int) -> None:
        """A full tape: what waits on it is a Gap."""
        lost, self.tape[source_id] = self.tape[source_id], []
        first = self.numbers[source_id] - len(lost)
        record = gap(GapOf.TICKS, first, self.numbers[source_id], self.ts, self.ts, source_id)
        self.log.append(RecordKind.GAP, record)

    def beat(self, source_id: int) -> None:
        self.drain()
        self.beats[source_id] = self.mono_ns
        state = np.zeros(1, SOURCE_STATE_DTYPE)
        state["ts"], state["source_id"] = self.ts, source_id
        state["heartbeat_mono_ns"], state["epoch"] = self.mono_ns, self.epochs[source_id]
        self.log.append(RecordKind.SOURCE_STATE, state)
        self.step()

    def switch(self) -> None:
        kind = str(self.chance.choice(["halt", "process", "source", "direction", "symbol"]))
        number = int(self.chance.choice([0, 3])) if kind == "direction" else 1
        name = {
            "halt": "",
            "process": "spread-engine",
            "source": SOURCES[number].label,
            "direction": DIRECTIONS[number].label,
            "symbol": f"C{number}-USDT",
        }[kind]
        on = bool(self.chance.random() < 0.3)
        if on:
            self.standing[kind, name] = {"kind": kind, "name": name}
        else:
            self.standing.pop((kind, name), None)
        if kind == "halt":
            self.switches.killed = on
        elif kind == "process":
            self.switches.process = on
        else:
            members = getattr(self.switches, f"{kind}s")
            (members.add if on else members.discard)(number)
        self.commands += 1
        body = msgspec.json.encode(list(self.standing.values()))
        self.document(RecordKind.CONTROL, self.commands, body)
        self.step()

    def adopt(self, cause: UsualCause) -> None:
        """A minute's has the numbers of the one before: the engine evaluates nothing for it."""
        self.generation += 1
        if cause is not UsualCause.MINUTE:
            given = settings_of(float(self.chance.choice([6.0, -3.0])))
            self._adopt_anew(given, cause)
        self.oracle.generation_usual = self.generation
        self.made = self.made._replace(
            generation=self.generation,
            origin=UsualOrigin(self.ts, self.tables.generation, self.given.digest, cause),
        )
        path = self.folder.parent / "usual"
        usual.write(path, self.made)
        self.document(RecordKind.USUAL, self.generation, path.read_bytes())
        self.step()

    def _adopt_anew(self, given: Settings, cause: UsualCause) -> None:
        before = getattr(self, "oracle", None)
        self.given = given
        self.oracle = oracle = Oracle(
            given, self.tables, anchor_ns=ANCHOR_NS, instance=INSTANCE & 0xFFFFFFFF
        )
        if before is not None and cause is UsualCause.RELOAD:
            for name in ("is_in", "last", "exited", "absurd_from", "stepped_ns"):
                setattr(oracle, name, getattr(before, name))
        count, chance = len(oracle.direction), self.chance
        weight = chance.choice([0.0, 290.0, 291.0, 400.0], count)
        exits = np.where(weight > 0, chance.choice([-2.0, -1.1, 0.3], count), np.nan)
        parities = np.where(weight > 0, chance.choice([-3.0, -1.0], count), np.nan)
        oracle.carry = chance.choice([0.0, 1.7], count)
        oracle.funding_unknown = chance.random(count) < 0.5
        oracle.usual = exits
        oracle.close = np.where(weight >= 291.0, np.minimum(exits, parities), np.nan)
        ids = zip(oracle.direction.tolist(), oracle.symbol.tolist(), strict=True)
        keys = tuple(self.keys[pair] for pair in ids)
        minimum_unknown = 16 * oracle.minimum_unknown
        flags = (oracle.funding_unknown | minimum_unknown).astype(np.uint8)
        self.made = Usual(0, 0, 3_600.0, keys, weight, exits, parities, None, oracle.carry, flags)

    def close(self) -> None:
        self.drain()
        self.log.close()
