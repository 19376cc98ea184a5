"""Chaos: every process is killed, stopped and restarted at random while the simulator misbehaves.

Kill -9, SIGSTOP and SIGCONT, clean restarts, in any order and at any time, also while a process
starts; shm-init and pair-discovery run again in between. Afterwards everything is let go on, and
must have come right:

- no signal was made from a stale leg: not from a quote of a feed's earlier life, of a connection
  that is gone, or of a feed that has been silent for longer than heartbeat_ms_max
- the store holds what the simulator sent last
- every true interval was found, none invented, but for the excuses below
- the tracker's database tells of exactly the signals that went through the ring
- counts add up; no segment, process, open file or mapping is left over
- whom nobody struck has lived once

An excuse is a stretch of time of one process: it was struck, or starved (its heartbeat has a gap:
the machine was busy), or the simulator sent what a feed must refuse (`MISLEADING`: the truth takes
the last quote that was written, a feed the one with the newest id). Of a true interval every
stretch without excuses of its two feeds and the engine must be found; a signal without a true
interval is excused by its two feeds only. Staleness is never excused.

SPREAD_CHAOS=long goes on for minutes; SPREAD_CHAOS_SEED repeats a choice of blows.
"""

import heapq
import itertools
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from whole_system import (
    ENGINE,
    FEEDS,
    MS,
    RECOVERED_NS,
    SLOW_RATE,
    STAYING,
    Fact,
    Pulse,
    WholeSystem,
    check_database,
    check_signals,
    clear_parts,
    leg_processes,
    leg_was_down,
    whole_system,
)

from bed import until
from spread_scanner import clock
from spread_scanner.schema.enums import (
    EXCHANGE_SOURCES,
    SOURCE_BY_LABEL,
    UNUSABLE,
    SignalKind,
    Verdict,
)
from spread_scanner.schema.records import signals_apart
from spread_scanner.shm import segment
from spread_scanner.supervise import score
from spread_scanner.supervise.children import Child
from spread_scanner.supervise.lateness import Lateness
from spread_scanner.supervise.seen import DownTime, SeenSignal, seen_of
from spread_scanner.supervise.truth import Interval, read_truth
from spread_scanner.view import connections

LONG = os.environ.get("SPREAD_CHAOS") == "long"
CHAOS_S = 300.0 if LONG else 10.0
CALM_S = 5.0 if LONG else 2.5  # afterwards, so that something is found that nothing excuses
SEED = int(os.environ.get("SPREAD_CHAOS_SEED", str(random.randrange(10**6)) if LONG else "8"))
BLOW_EVERY_S = 0.35

HEARTBEAT_MS_MAX = 500
STALE_MS_MAX = 20_000
SKEW_MS_MAX = 20_000
LASTING_MS = 400.0
TOLERANCE_MS = 1_000.0
SLACK_NS = 500 * MS  # between the engine's look at the clock and its signal lies a busy machine
# Shorter than shipped, so that a few minutes see faults begin and end; the days (tests/days) live
# the shipped ones.
SETTINGS = f"""
stale_ms_max = {STALE_MS_MAX}
skew_ms_max = {SKEW_MS_MAX}

[feed]
frozen_ms_min = 1500
backoff_s_min = 0.1
backoff_s_max = 1.0
silent_ms_min = 20000

[spread-tracker]
converge_ms = 400
stale_hold_ms = 1000
report_every_s = 0.0

[system]
heartbeat_ms_max = {HEARTBEAT_MS_MAX}
"""
RATE = 1_200.0
SIMULATOR = ("--symbols=12", f"--rate={RATE}", "--plant-every-s=0.2", "--time-scale=0.5")

FAULTS: tuple[Fact, ...] = (
    {"do": "drop", "p": 0.3, "for_s": 1.0},
    {"do": "duplicate", "p": 0.5, "for_s": 1.0},
    {"do": "gap", "count": 20},
    {"do": "close"},
    {"do": "close", "abort": True},
    {"do": "cut"},
    {"do": "refuse", "for_s": 1.0},
    {"do": "freeze", "for_s": 2.5},
    {"do": "half-open", "for_s": 2.5},
    {"do": "poison", "kind": "text", "count": 5},
    {"do": "poison", "kind": "binary", "count": 5},
    {"do": "poison", "kind": "utf8", "count": 30},
    {"do": "poison", "kind": "empty", "count": 2},
    {"do": "reorder", "p": 0.5, "depth": 3, "for_s": 1.0},
    {"do": "slow", "p": 0.3, "delay_ms": 300, "for_s": 1.0},
    {"do": "skew", "skew_ms": -4000, "for_s": 0.5},
    {"do": "reset"},
)
# What is sent in these is not what is to be believed; right again so long after the end of the
# fault, when everything has been quoted anew. A reset without time stamps is believed after 3 s.
MISLEADING = {"reorder": 0.3, "slow": 0.8, "skew": 0.3, "reset": 3.5}


class Expiry(NamedTuple):
    """Quotes of a feed that were received before `received_ns` make no signal from `from_ns` to
    `until_ns`. Monotonic ns.
    """

    process: str
    received_ns: int
    from_ns: int
    until_ns: int
    why: str


class Struck:
    """A process that was struck and has not come back yet."""

    def __init__(self, name: str, why: str, epoch: int | None) -> None:
        self.name = name
        self.why = why
        self.began_ns = clock.mono_ns()
        self.epoch = epoch  # of the source that it feeds, before
        self.back_ns: int | None = None  # its next life has claimed the source
        self.begun = False  # its next life has begun


class Chaos:
    """Strikes at random, by an agenda, and notes what it did to whom and when."""

    def __init__(self, system: WholeSystem, rng: random.Random) -> None:
        self.system = system
        self.struck: list[tuple[str, DownTime]] = []
        self.expiries: list[Expiry] = []
        self.lives = Counter(dict.fromkeys(STAYING, 1))
        self.blows: Counter[str] = Counter()
        self.signals: list[np.ndarray] = []
        self.kept: list[np.ndarray] = []
        self.engine_kills_ns: list[int] = []
        self.misled: list[tuple[str, str, int]] = []
        self._rng = rng
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._struck: dict[str, Struck] = {}
        self._passing: list[Child] = []
        self._pulse = Pulse(system)

    # --- time

    def run(self, seconds: float, *, strike: bool) -> None:
        end_s = time.monotonic() + seconds
        next_blow_s = 0.0
        while time.monotonic() < end_s:
            if strike and time.monotonic() >= next_blow_s:
                next_blow_s = time.monotonic() + self._rng.uniform(0.2, 1.8) * BLOW_EVERY_S
                self._blow()
            self.turn()
            time.sleep(0.01)

    def turn(self) -> None:
        """Do what is due, and look at everybody."""
        while self._agenda and self._agenda[0][0] <= time.monotonic():
            heapq.heappop(self._agenda)[2]()
        self.signals.append(self.system.tail.take())
        self.kept.append(self.system.evaluations.recent(limit=512))
        for name in STAYING:
            child = self.system.children[name]
            if name not in self._struck:
                assert child.ended() is None, (name, child.last_exit, self.system.said(child))
        self._pulse.look(but=self._struck)
        for name in list(self._struck):
            self._look_after(self._struck[name])
        for passing in [child for child in self._passing if child.ended() is not None]:
            self._passing.remove(passing)
            assert passing.last_exit == 0, (passing.name, self.system.said(passing))

    def _at(self, pause_s: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._agenda, (time.monotonic() + pause_s, next(self._numbers), action))

    def mend(self) -> None:
        """No more blows: wait until everybody is back and the simulator behaves."""

        def mended() -> bool:
            self.turn()
            return not (self._agenda or self._struck or self._passing)

        until(mended, lambda: (list(self._struck), self.system.states()))
        until(lambda: not self.system.sim_state()["faults"], self.system.sim_state)
        self.run(MISLEADING["reset"] if self.misled else 0.0, strike=False)
        self.refresh()
        missing: list[str] = []

        def equal() -> bool:
            self.turn()
            missing[:] = self.system.differences()
            return not missing

        self.system.do(do="rate", rate=SLOW_RATE)
        until(equal, lambda: missing)
        self.system.do(do="rate", rate=RATE)

    def refresh(self) -> None:
        """All quoted anew; whoever was misled long enough ago is right again."""
        self.system.do(do="refresh")
        now_ns = clock.mono_ns()
        for process, what, began_ns in list(self.misled):
            if now_ns - began_ns > (MISLEADING[what] + 1.0) * 1e9 or not self._agenda:
                self.misled.remove((process, what, began_ns))
                down = DownTime(process, began_ns, now_ns + RECOVERED_NS)
                self.struck.append((what, down))

    # --- blows

    def _blow(self) -> None:
        rng = self._rng
        if rng.random() < 0.35:
            self._fault()
            return
        if rng.random() < 0.06:
            self._pass()
            return
        weights = [1.0] * len(FEEDS) + [2.5, 2.5]
        name = rng.choices(STAYING, weights)[0]
        struck = self._struck.get(name)
        if struck is not None:
            # Once more, while it starts.
            if struck.why == "killed" and struck.begun:
                self._kill_again(name)
            return
        strike = rng.choices((self._kill, self._stop, self._restart), (5, 4, 2))[0]
        strike(name)

    def _note(self, name: str, why: str) -> Struck:
        self.blows[f"{why}"] += 1
        print(f"{clock.mono_ns()} {why} {name}")
        self._struck[name] = Struck(name, why, self._epoch(name))
        return self._struck[name]

    def _kill(self, name: str) -> None:
        self._note(name, "killed")
        self.system.children[name].signal(signal.SIGKILL)
        self._died(name)

    def _kill_again(self, name: str) -> None:
        self.blows["killed while starting"] += 1
        print(f"{clock.mono_ns()} killed again {name}")
        self.system.children[name].signal(signal.SIGKILL)
        self._died(name)

    def _died(self, name: str) -> None:
        child = self.system.children[name]
        until(lambda: child.ended() is not None, lambda: f"{name} dies")
        self._struck[name].begun = False
        if name == ENGINE:
            self.engine_kills_ns.append(clock.mono_ns())
        self._at(self._rng.choice((0.0, 0.0, 0.3, 1.2)), lambda: self._begin(name))

    def _begin(self, name: str) -> None:
        self.lives[name] += 1
        self._struck[name].begun = True
        self.system.children[name].start()

    def _stop(self, name: str) -> None:
        struck = self._note(name, "stopped")
        self.system.children[name].signal(signal.SIGSTOP)
        held_s = self._rng.choice((0.05, 0.4, 1.5, 2.5))

        def let_go() -> None:
            if name in FEEDS:
                self.expiries.append(
                    Expiry(
                        name,
                        struck.began_ns,
                        struck.began_ns + HEARTBEAT_MS_MAX * MS + SLACK_NS,
                        clock.mono_ns(),
                        "its feed was stopped",
                    )
                )
            struck.back_ns = clock.mono_ns()
            self.system.children[name].signal(signal.SIGCONT)

        self._at(held_s, let_go)

    def _restart(self, name: str) -> None:
        self._note(name, "restarted")
        child = self.system.children[name]
        child.signal(signal.SIGTERM)

        def ended() -> None:
            if child.ended() is None:
                self._at(0.02, ended)
                return
            assert child.last_exit == 0, (name, child.last_exit, self.system.said(child))
            self._begin(name)

        self._at(0.0, ended)

    def _pass(self) -> None:
        """shm-init keeps what stands; pair-discovery writes the tables once more."""
        if self._passing:
            return
        name, arguments = self._rng.choice(
            (("shm-init", ()), ("pair-discovery", ("--no-validate",)))
        )
        self.blows[name] += 1
        self._passing.append(self.system.child(name, *arguments))
        self._passing[-1].start()

    def _fault(self) -> None:
        source = self._rng.choice(FEEDS).removeprefix("feed-")
        fault = {**self._rng.choice(FAULTS), "source": source}
        self.blows[f"fault {fault['do']}"] += 1
        print(f"{clock.mono_ns()} {fault}")
        if fault["do"] in MISLEADING:
            self.misled.append((f"feed-{source}", fault["do"], clock.mono_ns()))
            pause_s = float(fault.get("for_s", 0.0)) + MISLEADING[fault["do"]] + 1.0
            self._at(pause_s, self.refresh)
        if fault["do"] in ("close", "cut") and self._rng.random() < 0.6:
            self.blows["fault away"] += 1
            self.system.do(do="refuse", source=source, for_s=2.0)
        self.system.do(**fault)

    # --- who is back, and who is starved

    def _look_after(self, struck: Struck) -> None:
        name, system = struck.name, self.system
        if struck.why == "stopped":
            if struck.back_ns is None or system.beat_ns(name) <= struck.back_ns:
                return
        else:
            if struck.back_ns is None and self._epoch(name) != struck.epoch:
                struck.back_ns = clock.mono_ns()
            if not struck.begun or not system.runs(name):
                return
            if name in FEEDS and struck.back_ns is None:
                return
        del self._struck[name]
        self.struck.append(
            (struck.why, DownTime(name, struck.began_ns, clock.mono_ns() + RECOVERED_NS))
        )
        if struck.why != "stopped" and name in FEEDS and struck.back_ns is not None:
            from_ns = min(struck.back_ns, struck.began_ns + HEARTBEAT_MS_MAX * MS) + SLACK_NS
            self.expiries.append(
                Expiry(name, struck.began_ns, from_ns, 2**63, f"its feed was {struck.why}")
            )

    def _epoch(self, name: str) -> int | None:
        """Of the source that a process feeds; None when it feeds none."""
        return self.system.store.epoch(FEEDS.index(name)) if name in FEEDS else None

    def all_signals(self) -> np.ndarray:
        return np.concatenate(self.signals)

    def excuses(self) -> list[DownTime]:
        return [down for _, down in self.struck] + self._pulse.gaps


# --- the verdicts


def check_truth(
    truth: list[Interval], seen: list[SeenSignal], chaos: Chaos, window_ns: tuple[int, int]
) -> int:
    """Nothing missed, nothing invented; how much was found."""
    downs = chaos.excuses()
    owed = [
        part for interval in truth for part in clear_parts(interval, downs, window_ns, LASTING_MS)
    ]
    lasting = score.score(
        owed, seen, window_ns, lasting_ms=LASTING_MS, lateness=Lateness(TOLERANCE_MS / 4)
    )
    all_stood = score.score(truth, seen, window_ns, lateness=Lateness(TOLERANCE_MS))
    invented = [one for one in all_stood.invented if not leg_was_down(one, downs, TOLERANCE_MS)]
    print(
        f"{len(truth)} intervals stood, {lasting.found} stretches of them were owed and found; "
        f"{len(seen)} signals, {len(all_stood.invented) - len(invented)} of them excused; "
        f"excuses {dict(Counter(why for why, _ in chaos.struck))}, "
        f"{len(downs) - len(chaos.struck)} gaps in heartbeats"
    )
    assert not lasting.missed, (lasting.missed, downs)
    assert not invented, (invented, downs)
    return lasting.found


def unwatched(rows: list[Fact], chaos: Chaos) -> list[Expiry]:
    """Nobody was connected: what was received before is stale, as soon as the feed can tell."""
    found = []
    for row in rows:
        if row.get("fault") != "unwatched":
            continue
        process, began_ns = f"feed-{row['source']}", row["start_mono_ns"]
        blind = [
            down.end_ns or 2**63
            for down in chaos.excuses()
            if down.who in (process, ENGINE)
            and down.start_ns - SLACK_NS <= began_ns <= (down.end_ns or 2**63)
        ]
        from_ns = max([began_ns, *blind]) + SLACK_NS
        found.append(Expiry(process, began_ns, from_ns, 2**63, "nobody was connected"))
    return found


def check_staleness(signals: np.ndarray, expiries: list[Expiry], anchor_ns: int) -> None:
    entering, _ = signals_apart(signals[signals["kind"] != SignalKind.EXIT])
    directions = [leg_processes(int(number)) for number in entering["direction_id"]]
    for number, leg in enumerate(("spot", "fut")):
        process = np.array([legs[number] for legs in directions])
        received_ns = entering[f"{leg}_ts_recv"] - anchor_ns
        for expiry in expiries:
            bad = (process == expiry.process) & (received_ns < expiry.received_ns)
            bad &= (entering["mono_ns"] > expiry.from_ns) & (entering["mono_ns"] < expiry.until_ns)
            assert not bad.any(), (leg, expiry, entering[bad])


def check_evaluations(chaos: Chaos) -> None:
    """What the engine kept of the evaluations that gave a signal."""
    rows = np.unique(np.concatenate(chaos.kept))
    made = rows[rows["verdict"] == Verdict.SIGNAL]
    assert len(made) > 0
    for leg in ("spot", "fut"):
        assert not (made[f"{leg}_flags"] & int(UNUSABLE)).any(), made
        assert (made[f"{leg}_age_ns"] <= STALE_MS_MAX * MS).all(), made
    assert (made["skew_ns"] <= SKEW_MS_MAX * MS).all(), made


def check_counts(system: WholeSystem, chaos: Chaos, signals: np.ndarray) -> None:
    counted = system.ring.counters()
    assert counted.pushed == counted.popped + counted.dropped + counted.in_ring
    assert (counted.dropped, counted.in_ring, counted.popped) == (0, 0, len(signals))
    assert system.tail.missed == 0
    engine = system.health.read(ENGINE)
    # An engine that is killed takes the counts of its last turn with it.
    last_turns = sum(
        int(
            ((signals["mono_ns"] > killed_ns - 1_000 * MS) & (signals["mono_ns"] < killed_ns)).sum()
        )
        for killed_ns in chaos.engine_kills_ns
    )
    uncounted = len(signals) - engine.counters["signals"]
    assert 0 <= uncounted <= last_turns, (engine.counters, len(signals))
    if not chaos.engine_kills_ns:
        kinds = Counter(int(kind) for kind in signals["kind"])
        for kind in SignalKind:
            assert engine.counters[f"signals_{kind.name.lower()}"] == kinds[int(kind)]
    for name in STAYING:
        starts = system.health.read(name).starts
        # A life that is struck in its first moments never takes its row.
        assert starts <= chaos.lives[name], (name, starts, chaos.lives)
        assert chaos.lives[name] > 1 or starts == 1, (name, starts)


ANNOUNCING = {source.label for source in EXCHANGE_SOURCES} - {"binance-spot", "mexc-spot"}


def all_are_open(namespace: str) -> bool:
    rows = connections.look(namespace, 0.0, None)
    announcing = {row.source for row in rows if row.carries == "notices"}
    return announcing == ANNOUNCING and all(row.state == "open" for row in rows)


def files_of_all(system: WholeSystem) -> dict[str, Counter[str]]:
    """What each process has open but for the connections that it tells of: which of its books are
    wanted, and so whether it has a connection for them, changes with the market."""
    found = {name: system.open_files(name) for name in STAYING}
    for row in connections.look(system.namespace, 0.0, None):
        found[SOURCE_BY_LABEL[row.source].process]["socket:"] -= row.state == "open"
    return found


@pytest.mark.slow
@pytest.mark.timeout(CHAOS_S + 300)
def test_after_chaos_every_invariant_holds(tmp_path: Path, namespace: str) -> None:
    print(f"seed {SEED}")
    rng = random.Random(SEED)
    with whole_system(tmp_path, namespace, f"--seed={SEED % 50}", *SIMULATOR) as system:
        system.settings(SETTINGS)
        system.start()
        system.agree(RATE)
        until(lambda: all_are_open(namespace), "also what announces halts is connected")
        segments = segment.names(namespace)
        files = files_of_all(system)
        chaos = Chaos(system, rng)
        chaos.turn()
        begin_ns = clock.mono_ns()
        chaos.run(CHAOS_S, strike=True)
        chaos.mend()
        chaos.run(CALM_S, strike=False)
        window_ns = (begin_ns, clock.mono_ns())

        now: dict[str, Counter[str]] = {}

        def no_leak() -> bool:
            now.update(files_of_all(system))
            return now == files

        until(no_leak, lambda: [(n, files[n], now[n]) for n in files if files[n] != now[n]])
        assert segment.names(namespace) == segments
        symbols = system.tables.symbol_names()
        system.end_all()
        chaos.signals.append(system.tail.take())
        rows = system.end_sim()

        signals = chaos.all_signals()
        anchor_ns = system.store.clock.anchor_ns
        print(f"blows {dict(chaos.blows)}, {len(signals)} signals")
        limits = (
            ("spot_age", STALE_MS_MAX * MS + SLACK_NS),
            ("fut_age", STALE_MS_MAX * MS + SLACK_NS),
            ("skew", SKEW_MS_MAX * MS),
        )
        check_signals(signals, limits, anchor_ns)
        check_staleness(signals, chaos.expiries + unwatched(rows, chaos), anchor_ns)
        check_evaluations(chaos)
        check_counts(system, chaos, signals)
        check_database(system, signals)
        truth = read_truth(system.truth_path).intervals
        assert check_truth(truth, seen_of(signals, symbols), chaos, window_ns) > 0
    assert segment.names(namespace) == []
