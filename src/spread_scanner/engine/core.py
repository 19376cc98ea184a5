"""The engine: the segments it holds, the plan in force, and the native loop between them.

Writer:  of the signal ring's write end, the kept evaluations and its health row.
Readers: the tracker pops the signals; spread-ctl why reads the evaluations.

A start is a recovery: the bitmap is claimed again with everything dirty, no pair is in, so what
stands is entered again; sequence numbers go on where the ring stands. A pair that leaves the tables
at a reload is forgotten without a signal: the tracker closes what it holds of it.
"""

import contextlib
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, Self

import numpy as np

from spread_scanner import clock
from spread_scanner.config import Engine as EngineSettings
from spread_scanner.config import Settings
from spread_scanner.engine import basis, plan
from spread_scanner.engine._loop import Loop, Work
from spread_scanner.engine.analysed import Analysed
from spread_scanner.engine.blocks import Blocks, JudgedSet
from spread_scanner.engine.carrying import Carrying
from spread_scanner.engine.crediting import Crediting
from spread_scanner.engine.held import Held, books_to_read, near_writer
from spread_scanner.schema.names import SIGNALS
from spread_scanner.shm.control import ControlSlot
from spread_scanner.shm.evaluations import Evaluations
from spread_scanner.shm.faults import Retired
from spread_scanner.shm.funding import FundingTable
from spread_scanner.shm.health import HealthRow
from spread_scanner.shm.layout import (
    PAUSED_DIRECTIONS_AT,
    PAUSED_SOURCES_AT,
    STANDING_AT,
    SWITCHES_AT,
    SWITCHES_DTYPE,
)
from spread_scanner.shm.price_store import PriceStore
from spread_scanner.shm.ring import SignalRing
from spread_scanner.shm.switches import symbol_keys
from spread_scanner.symbology import coins
from spread_scanner.symbology.blocked import KeptBlock
from spread_scanner.symbology.tables import Tables
from spread_scanner.symbology.usual import Usual, UsualCause, UsualOrigin

READER = "engine"


class SwitchesAt(NamedTuple):
    """Where the native loop finds the operator's words in the control segment."""

    generation: int
    kill: int
    paused: int
    sources: int
    directions: int
    standing: int


class ReadyWork(NamedTuple):
    """Checked and computed, to be put in force at once; then `work` and `before` are what was in
    force, to be given up where time does not matter."""

    plan: plan.Plan
    work: Work
    places: np.ndarray | None
    asked: np.ndarray  # pairs by which it is told whether the analyst speaks
    near: bool  # somebody is to be told how near pairs are
    books: bool  # there are order books
    before: plan.Plan | None
    settings: EngineSettings
    digest: int  # of all settings
    judgement: JudgedSet
    place_of: dict[str, int]  # of the plan's pairs, by what each really is
    left: tuple[Usual, ...]  # what is known of pairs that are not in the plan
    names: dict[str, tuple[int, str]]  # direction and symbol of both, by what they really are


class Engine:
    """Holds the claims; `load` gives it work, `loop.run` or `loop.step` does it."""

    def __init__(
        self,
        namespace: str,
        row: HealthRow,
        slot: ControlSlot,
        history: Usual | None = None,
        kept_blocks: dict[str, KeptBlock] | None = None,
    ) -> None:
        """`history`: what was usual before this start, if that is known; `kept_blocks`: which pairs
        were blocked then."""
        self._blocks = Blocks({} if kept_blocks is None else kept_blocks)
        self._blocks_seen = 0
        self._plan: plan.Plan | None = None
        self._settings: EngineSettings | None = None
        self._digest = 0
        # What is known of pairs that are not in the plan, and of those that are: by the session
        # clock, as somebody may set the other one.
        self._known: tuple[Usual, ...] = ()
        self._of_plan: tuple[Usual, ...] = ()
        self._names: dict[str, tuple[int, str]] = {}  # of them and of the plan's; none of a file's
        self._carrying: Carrying | None = None
        self._coming: ReadyWork | None = None
        self._credited: np.ndarray | None = None  # of the pairs in force, or of those that come
        self.adopted: Usual | None = None  # the generation in force
        self._usual_generation = 0 if history is None else history.generation
        self._row = row
        with contextlib.ExitStack() as stack:
            self._store = stack.enter_context(PriceStore.attach(namespace))
            if history is not None:
                self._known = (self._dated(history),)
            self._ring = stack.enter_context(SignalRing.attach(namespace, SIGNALS))
            self._evaluations = stack.enter_context(Evaluations.attach(namespace))
            self._funding = stack.enter_context(FundingTable.attach(namespace))
            self.bitmap = stack.enter_context(self._store.dirty(READER))
            self.loop = Loop(
                self.bitmap,
                stack.enter_context(self._ring.producer()),
                stack.enter_context(self._evaluations.writer()),
                row,
                slot.memory_segment.memory,
                switches_at(slot.paused_at),
                anchor_ns=self._store.clock.anchor_ns,
                position=self._ring.position,
                instance=self._store.instance_id & 0xFFFFFFFF,
            )
            self.analysed = Analysed(namespace, self._store, self.loop)
            self._crediting = Crediting(self.analysed)
            stack.callback(self.analysed.close)
            self._nearness = Held(partial(near_writer, namespace), self.loop.say_near)
            stack.callback(self._nearness.close)
            self._books = Held(partial(books_to_read, namespace), self.loop.follow)
            stack.callback(self._books.close)
            self._held = stack.pop_all()

    def load(self, settings: Settings, tables: Tables) -> int:
        """`prepare` and `take` in one; how many pairs."""
        return self.take(self.prepare(settings, tables))

    def prepare(self, settings: Settings, tables: Tables) -> ReadyWork:
        """What `take` will put in force; changes nothing, and the loop may run meanwhile in another
        thread. Raises TableError when the tables do not fit the store.
        """
        told = self._funding.snapshot()
        new = plan.plan(settings, tables, self._store.max_symbols, told)
        keys = symbol_keys(new.names, self._store.max_symbols)
        limits = plan.limits(settings)
        kin = coins.kin(coins.by_source(tables, self._store.num_sources, self._store.max_symbols))
        work = self.loop.prepare(new.pairs, limits, new.generation & 0xFFFFFFFF, keys, kin)
        before = self._plan
        places = None if before is None else plan.places(before, new)
        place_of = {key: place for place, key in enumerate(new.keys)}
        now_ns = self._store.clock.now_ns()
        for history in self._known:
            basis.take_up(new, history, now_ns)
        known = (*self._known, *self._of_plan)
        planned = basis.named(new)
        names = self._names | planned
        gone = place_of.keys() | basis.kept_out(known, planned, names, tables)
        left = basis.left_behind(known, gone, now_ns)
        judgement = JudgedSet.of(tables)
        of_engine = settings.config.spread_engine
        asked = Analysed.some(new.pairs)
        stays = place_of.keys() | {key for usual in left for key in usual.keys}
        names = {key: name for key, name in names.items() if key in stays}
        near = settings.config.books.wants_near
        return ReadyWork(
            new,
            work,
            places,
            asked,
            near,
            settings.config.books.books_max > 0,
            before,
            of_engine,
            settings.digest,
            judgement,
            place_of,
            left,
            names,
        )

    def bring(self, ready: ReadyWork) -> bool:
        """Have the loop bring up to date what `take` is to put in force, a few pairs each cycle;
        True: that is done. Nobody need wait for it: `take` does at once what is left."""
        if self._coming is not ready:
            self._coming = ready
            credits = ready.settings.credit_usual_basis
            pairs = len(ready.plan.pairs)
            self._credited = self._crediting.carried(ready.places, pairs) if credits else None
            self.loop.bring(ready.work, ready.places, self._credited)
        return self.loop.brought

    def take(self, ready: ReadyWork) -> int:
        """Put tables and settings in force between two runs of the loop, keeping what stays as it
        is; how many pairs. Nothing else may have been taken since they were prepared."""
        self.newly_blocked()
        number = self._next_generation()
        self.analysed.take(ready.asked, wanted=_asks_the_analyst(ready.settings))
        self._nearness.take(wanted=ready.near)
        self._books.take(wanted=ready.books)
        self.bring(ready)
        found = self.loop.swap(ready.work, number & 0xFFFFFFFF)
        self._coming, credited = None, self._credited
        self._crediting.take(ready.plan.pairs, ready.plan.generation & 0xFFFFFFFF, credited)
        cause = UsualCause.START if self._plan is None else UsualCause.RELOAD
        self._plan, self._settings, self._digest = ready.plan, ready.settings, ready.digest
        self._blocks.judge(ready.judgement, ready.plan, ready.place_of)
        self._carrying = None  # a round under way is of other pairs
        self._row.generation(ready.plan.generation)
        self._known, self._names = ready.left, ready.names  # the rest is in the pairs
        self.adopted = self._usual(number, found, credited, cause)
        self._of_plan = (self._dated(self.adopted),)
        return len(ready.plan.pairs)

    def adopt(self) -> Usual | None:
        """Put in force, between two runs of the loop, what leaving has usually earned up to now,
        as a generation of its own; None before there is work. No pair is evaluated for it."""
        if self._plan is None or self._settings is None:
            return None
        expected = None if self._carrying is None else self._carrying.found
        if expected is not None:
            self._carrying = None
        number = self._next_generation()
        credited = self._crediting.adopt()
        if credited is not None:
            self._coming = None  # it has what was credited before: it is brought anew
        found = self.loop.adopt(number & 0xFFFFFFFF, expected, credited, anew=False)
        self.adopted = self._usual(number, found, credited, UsualCause.MINUTE)
        self._of_plan = (self._dated(self.adopted),)
        return self.adopted

    def _usual(
        self,
        number: int,
        found: Sequence[np.ndarray],
        credited: np.ndarray | None,
        cause: UsualCause,
    ) -> Usual:
        """What is kept of what the loop has put in force now."""
        assert self._plan is not None
        assert self._settings is not None
        weight, exits, parities, carry, flags = found
        made, half_life_s = self._plan, self._settings.basis_half_life_s
        ts = self._store.clock.now_ns()
        origin = UsualOrigin(ts, made.generation, self._digest, cause)
        of_pairs = (weight, exits, parities, credited, carry, flags)
        return Usual(number, clock.wall_ns(), half_life_s, made.keys, *of_pairs, origin)

    def _dated(self, found: Usual) -> Usual:
        """By the session clock, what is dated by the wall clock as it stands now."""
        return found._replace(wall_ns=self._store.clock.stamp(found.wall_ns))

    def _next_generation(self) -> int:
        self._usual_generation += 1
        return self._usual_generation

    def look_ahead(self, adoption_in_ns: int = 0) -> bool:
        """Prepare the next adoption, which is so far away, by a little: read of a few pairs what
        leaving earned by the analyst, and work out for a few contracts what funding is expected to
        cost; True: all is known that the adoption puts in force."""
        credited = self._crediting.turn(adoption_in_ns)
        return self._expect() and credited

    def _expect(self) -> bool:
        if self._plan is None or self._settings is None:
            return False
        rates, contracts = self._plan.rates, self._plan.contracts
        if rates is None or contracts is None:
            return False
        if self._carrying is None:
            rates.told = self._funding.snapshot()
            self._carrying = Carrying(contracts, rates, self._settings, clock.wall_ns())
        return self._carrying.turn()

    @property
    def adopt_every_ns(self) -> int:
        """How long what was adopted holds."""
        return basis.every_ns(self._settings or EngineSettings())

    @property
    def blocks(self) -> dict[str, KeptBlock]:
        """What is blocked as implausible, by pair; another object when it is another."""
        return self._blocks.now

    def newly_blocked(self) -> list[KeptBlock]:
        """Take note, between two runs of the loop, of the pairs that it has barred since."""
        if self._plan is None or self.loop.blocks == self._blocks_seen:
            return []
        self._blocks_seen = self.loop.blocks
        return self._blocks.note(self._plan)

    @property
    def learning(self) -> tuple[int, int]:
        """Of how many pairs it is known what leaving usually earns, and of how many it can be: of
        those in quarantine it is not learned."""
        if self._plan is None:
            return 0, 0
        pairs = self._plan.pairs
        can = pairs["quarantined"] == 0  # a mask: the rows are megabytes, and the loop stands
        return int(np.count_nonzero(can & (pairs["trusted"] != 0))), int(np.count_nonzero(can))

    def wake(self) -> None:
        """Interrupt a park; safe from another thread."""
        self.bitmap.notify()

    def ask(self) -> None:
        """Have `loop.run` return; safe from another thread."""
        self.loop.ask()
        self.wake()

    def check(self) -> None:
        """Raise Retired when a segment has been replaced."""
        for held in (self._store, self._ring, self._evaluations, self._funding):
            if held.retired:
                raise Retired("the segments were replaced by a newer instance")

    def close(self) -> None:
        self._held.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _asks_the_analyst(settings: EngineSettings) -> bool:
    return settings.enter_z_min is not None or settings.credit_usual_basis


def switches_at(paused_at: int) -> SwitchesAt:
    """Of the process whose slot says there whether it is paused."""
    fields: Mapping[str, Any] = SWITCHES_DTYPE.fields or {}
    return SwitchesAt(
        generation=SWITCHES_AT + fields["generation"][1],
        kill=SWITCHES_AT + fields["kill"][1],
        paused=paused_at,
        sources=PAUSED_SOURCES_AT,
        directions=PAUSED_DIRECTIONS_AT,
        standing=STANDING_AT,
    )
