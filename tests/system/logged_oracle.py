"""What the engine's oracle says of a real log, step by step: read and merged by numpy alone."""

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from engine_oracle import Oracle, Switches

from spread_scanner.replay.happenings import (
    LogEntry,
    LoggedArray,
    LoggedSettings,
    LoggedSwitches,
    StoreLife,
    happenings,
)
from spread_scanner.schema.enums import DIRECTION_BY_LABEL, EXCHANGE_SOURCES, SOURCE_BY_LABEL
from spread_scanner.schema.log import TICK_DTYPE, RecordKind
from spread_scanner.schema.records import QUOTE_DTYPE, SIGNAL_FUNDING_UNKNOWN
from spread_scanner.symbology import usual
from spread_scanner.symbology.tables import Tables
from spread_scanner.symbology.usual import BARRED, Usual, UsualCause


class _Happening(NamedTuple):
    at_ns: int
    tick: bool  # what else happened at that time comes first
    source_id: int
    place: int  # among the ticks, or among the rest


class LoggedOracle:
    """Of a log with one store. `signals` are those up to the first generation that a minute
    brought: the oracle evaluates all pairs for it, and the engine none."""

    def __init__(self, folder: Path) -> None:
        entries = list(happenings(folder))
        self._life = next(one for one in entries if isinstance(one, StoreLife))
        self._settings = {one.digest: one for one in entries if isinstance(one, LoggedSettings)}
        self._tables = {one.generation: one for one in entries if isinstance(one, Tables)}
        self._rest = [part for one in entries for part in self._parts(one) if _ts(part) is not None]
        self._ticks, self._at_ns = _merged(entries)
        symbols = 1 + max(row.symbol_id for one in self._tables.values() for row in one.symbols)
        self._quotes = np.zeros((len(EXCHANGE_SOURCES), symbols), QUOTE_DTYPE)
        self._quotes["flags"] = 1
        for name in ("bid_px", "bid_sz", "ask_px", "ask_sz"):
            self._quotes[name] = np.nan
        self._epochs, self._beats = np.zeros((2, len(EXCHANGE_SOURCES)), np.int64)
        self._switches = Switches()
        self._oracle: Oracle | None = None
        self.until_ns = 2**63 - 1
        self.steps = 0
        self.signals = np.concatenate(list(self._lived()))

    def _parts(self, one: LogEntry) -> Iterator[LogEntry]:
        """What was seen of sources, each since it beat."""
        if not isinstance(one, LoggedArray) or one.kind is not RecordKind.SOURCE_STATE:
            yield one
            return
        for row in one.records:
            made = row.copy()
            if row["heartbeat_mono_ns"]:
                beat_ns = int(row["heartbeat_mono_ns"]) + self._life.anchor_ns
                made["ts"] = min(beat_ns, int(row["ts"]))
            yield one._replace(records=np.array([made]))

    def _lived(self) -> Iterator[np.ndarray]:
        happened = [
            _Happening(int(at), True, int(source), place)
            for place, (at, source) in enumerate(
                zip(self._at_ns, self._ticks["source_id"], strict=True)
            )
        ]
        happened += [
            _Happening(_ts(one) or 0, False, 0, place) for place, one in enumerate(self._rest)
        ]
        for (at_ns, ticks, _), some in groupby(sorted(happened), key=lambda one: one[:3]):
            for one in some:
                if ticks:
                    tick = self._ticks[one.place]
                    self._epochs[one.source_id] = max(
                        self._epochs[one.source_id], tick["quote"]["epoch"]
                    )
                    self._quotes[one.source_id, tick["symbol_id"]] = tick["quote"]
                elif not self._hear(self._rest[one.place]):
                    self.until_ns = at_ns
                    return
            if self._oracle is not None:
                self.steps += 1
                mono_ns = at_ns - self._life.anchor_ns
                state = self._quotes, self._epochs, self._beats, self._switches
                yield self._oracle.step(mono_ns, *state)

    def _hear(self, one: LogEntry) -> bool:
        """False: nothing that follows can be compared."""
        if isinstance(one, LoggedArray):
            for row in one.records:
                self._beats[row["source_id"]] = row["heartbeat_mono_ns"]
                self._epochs[row["source_id"]] = max(
                    self._epochs[row["source_id"]], int(row["epoch"])
                )
        elif isinstance(one, LoggedSwitches):
            self._switches = self._standing(one)
        elif isinstance(one, Usual):
            if one.origin.cause is UsualCause.MINUTE and self._oracle is not None:
                return False
            self._adopt(one)
        return True

    def _standing(self, said: LoggedSwitches) -> Switches:
        names = {name: number for one in self._tables.values() for number, name in
                 one.symbol_names().items()}  # fmt: skip
        found = Switches()
        for one in said.standing:
            name = one["name"]
            if one["kind"] == "halt":
                found.killed = True
            elif one["kind"] == "process":
                found.process |= name == "spread-engine"
            elif one["kind"] == "source":
                found.sources.add(SOURCE_BY_LABEL[name].source_id)
            elif one["kind"] == "direction":
                found.directions.add(DIRECTION_BY_LABEL[name].direction_id)
            else:
                found.symbols.add(names[name])
        return found

    def _adopt(self, told: Usual) -> None:
        before, tables = self._oracle, self._tables[told.origin.tables]
        settings = self._settings[told.origin.settings].settings
        made = Oracle(
            settings,
            tables,
            anchor_ns=self._life.anchor_ns,
            instance=self._life.instance_id & 0xFFFFFFFF,
        )
        if before is not None and told.origin.cause is UsualCause.RELOAD:
            _carry(before, made)
        keys = usual.pair_keys(tables)
        places = {key: place for place, key in enumerate(told.keys) if key}
        ids = zip(made.direction.tolist(), made.symbol.tolist(), strict=True)
        of = np.array([places.get(keys[pair], -1) for pair in ids])
        assert (of >= 0).all()
        assert told.carry_bps is not None
        assert told.flags is not None
        made.carry, made.usual = told.carry_bps[of], told.exit_bps[of]
        made.funding_unknown = (told.flags[of] & SIGNAL_FUNDING_UNKNOWN) != 0
        made.barred = (told.flags[of] & BARRED) != 0
        close = np.minimum(told.exit_bps[of], told.parity_bps[of])
        close = np.where(made.at_parity, told.parity_bps[of], close)
        trusted = told.weight[of] >= settings.config.spread_engine.basis_trust_s
        made.close = np.where(trusted, close, np.nan)
        made.generation_usual = told.generation & 0xFFFFFFFF
        self._oracle = made


def _carry(before: Oracle, made: Oracle) -> None:
    """What is the same pair goes on."""
    stood = {
        pair: place for place, pair in enumerate(zip(before.direction, before.symbol, strict=True))
    }
    for place, pair in enumerate(zip(made.direction, made.symbol, strict=True)):
        if pair in stood:
            for name in ("is_in", "last", "exited", "absurd_from"):
                getattr(made, name)[place] = getattr(before, name)[stood[pair]]
    made.stepped_ns = before.stepped_ns


def _ts(one: LogEntry) -> int | None:
    if isinstance(one, Usual):
        return one.origin.ts
    if isinstance(one, LoggedSwitches):
        return one.ts
    if isinstance(one, LoggedArray) and one.kind is RecordKind.SOURCE_STATE:
        return int(one.records["ts"][-1])
    return None


def _merged(entries: list[Any]) -> tuple[np.ndarray, np.ndarray]:
    """All ticks in their order by source, and when each was published: a mark when it was written,
    or when its source's next quote came."""
    arrays = [
        one for one in entries if isinstance(one, LoggedArray) and one.kind is RecordKind.TICK
    ]
    ticks = np.concatenate([np.zeros(0, TICK_DTYPE), *(one.records for one in arrays)])
    written = np.repeat([one.written_ns for one in arrays], [len(one.records) for one in arrays])
    order = np.lexsort((ticks["number"], ticks["source_id"]))
    ticks, written = ticks[order], written[order]
    at_ns = ticks["quote"]["ts_recv"].copy()
    last: dict[tuple[int, int], tuple[int, int]] = {}
    for place, tick in enumerate(ticks):
        cell = int(tick["source_id"]), int(tick["symbol_id"])
        said = int(tick["quote"]["ts_recv"]), int(tick["quote"]["update_id"])
        if last.get(cell) == said:
            at_ns[place] = written[place]
        last[cell] = said
    for source_id in range(len(EXCHANGE_SOURCES)):
        rows = np.flatnonzero(ticks["source_id"] == source_id)
        at_ns[rows] = np.minimum.accumulate(at_ns[rows][::-1])[::-1]
    return ticks, at_ns
