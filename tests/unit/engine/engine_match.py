"""An engine and its oracle side by side: whatever happens, they say the same after each step."""

from typing import Any

import numpy as np
from engine_bed import NAME, Bed
from engine_oracle import Oracle, Switches, assert_same, sorted_without_seq

from spread_scanner.schema.enums import DIRECTIONS, SOURCES, QuoteFlag, SwitchKind


def _name_of(kind: SwitchKind, number: int) -> str:
    if kind is SwitchKind.SYMBOL:
        return f"C{number}-USDT"
    return SOURCES[number].label if kind is SwitchKind.SOURCE else DIRECTIONS[number].label


class Match:
    """Drives an engine and an oracle through the same events and compares after each step."""

    def __init__(self, bed: Bed, symbols: Any) -> None:
        self.bed = bed
        self.learned = not bed.known
        self.switches = Switches()
        self.seq = 0
        self.symbols = len(symbols.symbols)
        self.oracle = Oracle(
            bed.settings,
            symbols,
            anchor_ns=bed.store.clock.anchor_ns,
            instance=bed.store.instance_id & 0xFFFFFFFF,
        )
        if self.learned:
            self.oracle.know_nothing()

    def adopt(self) -> None:
        self.bed.engine.adopt()
        self.oracle.adopt()
        self.bed.engine.loop.ask_rescan()  # the oracle looks at every pair, without news too

    def step(self, ms: int) -> np.ndarray:
        found = self.bed.step(ms)
        np.testing.assert_array_equal(found["seq"], np.arange(self.seq, self.seq + len(found)))
        self.seq += len(found)
        sources = range(len(self.bed.writers))
        expected = self.oracle.step(
            self.bed.now_ns,
            self.bed.quotes(self.symbols),
            np.array([self.bed.store.epoch(source) for source in sources]),
            np.array([self.bed.store.heartbeat_mono_ns(source) for source in sources]),
            self.switches,
        )
        assert_same(sorted_without_seq(found), expected, learned=self.learned)
        return found

    def quote(self, source: int, symbol: int, at: int, width: int, size: int, extra: Any) -> None:
        flag, age_ms = extra
        bid_px, ask_px = 100 + at / 16, 100 + (at + width) / 16
        if flag & QuoteFlag.BID_EMPTY:
            bid_px = float("nan")
        self.bed.quote(
            source, bid_px, ask_px, symbol_id=symbol, bid_sz=size, ask_sz=size,
            flags=flag, age_ms=age_ms,
        )  # fmt: skip

    def beat(self, source: int) -> None:
        self.bed.beat(source)

    def takeover(self, source: int) -> None:
        self.bed.writers[source].close()
        self.bed.writers[source] = self.bed.store.writer(source)
        self.bed.writers[source].heartbeat(self.bed.now_ns)

    def stale(self, source: int) -> None:
        self.bed.writers[source].mark_stale()

    def switch(self, what: str, number: int, on: bool) -> None:
        operator = self.bed.operator
        if what == "kill":
            operator.kill(killed=on)
            self.switches.killed = on
        elif what == "process":
            operator.pause(NAME, paused=on)
            self.switches.process = on
        else:
            kind = SwitchKind[what.upper()]
            operator.switch(kind, _name_of(kind, number), on=on)
            members = getattr(self.switches, f"{what}s")
            (members.add if on else members.discard)(number)
