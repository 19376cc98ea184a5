"""shm-init: makes the segments that all processes share, or keeps those that stand.

Writer:  this process, once; it ends when the segments are READY.     Readers: everyone.

Segments of one namespace are one system: either all of them fit the settings and are kept, or all
are made anew and the old ones are marked RETIRED, so that whoever still maps them leaves. The
turns to dial alone are kept in any case: the exchanges go on counting.

What the operator had switched (kill, pauses) is in a new control segment before it is READY: from
the old one where it can be read, an older version's too (orders/carried.py), else from the file
(orders/remembered.py). Where that is damaged the system starts halted: new segments must not start
signals that somebody stopped.

What feeds quoted last is in a new store, stale, where the log of the market tells it
(restoring.py). Nothing that is wrong with a log keeps the segments from being made.
"""

import contextlib
import os
from collections.abc import Callable
from typing import NamedTuple

from spread_scanner import clock, config
from spread_scanner.errors import SegmentError, TableError
from spread_scanner.orders import carried, remembered
from spread_scanner.orders.remembered import NotRemembered
from spread_scanner.schema.enums import ProcessState, SwitchKind
from spread_scanner.schema.names import SHM_INIT, SIGNALS, WAL_FOLDER
from spread_scanner.shm import Control, Health, PriceStore, SignalRing, segment
from spread_scanner.shm.analysis import Analysis
from spread_scanner.shm.books import BookStore
from spread_scanner.shm.connections import Connections
from spread_scanner.shm.dials import Dials
from spread_scanner.shm.evaluations import Evaluations
from spread_scanner.shm.faults import BadInput, NoSegment
from spread_scanner.shm.funding import FundingTable
from spread_scanner.shm.layout import Kind, StoreLayout
from spread_scanner.shm.pools import PoolTable
from spread_scanner.shm.price_store import KeptQuotes
from spread_scanner.shm.segment import Holder
from spread_scanner.shm.switches import Switch
from spread_scanner.shm.wants import Wants
from spread_scanner.shminit.restoring import Restored, restored
from spread_scanner.symbology import tables


class Made(NamedTuple):
    """What shm-init did: whether the standing segments were kept, else why they were not."""

    kept: bool
    reason: str
    segments: list[str]
    standing: list[Switch]  # what is switched
    troubles: list[str]  # with the file of switches; the segments stand all the same
    restored: Restored  # what the log gave to a new store


def ensure(settings: config.Settings, *, force: bool = False) -> Made:
    """Keep the segments if they all fit the settings, else make all of them anew."""
    namespace = settings.config.system.namespace
    with contextlib.ExitStack() as stack:
        troubles = _locked(stack, settings)
        found = Restored([], None, [])
        reason = "asked for with --force" if force else misfit(settings)
        if reason is not None:
            standing, damaged = _switched(settings)
            troubles += damaged
            found = _restored(settings)
            _make(settings, standing, found)
        with Control.attach(namespace) as control:
            standing = control.standing
        troubles += _remember(settings, standing)
    Dials.open(namespace).close()  # kept whatever became of the rest: an exchange goes on counting
    with Health.attach(namespace) as health, health.claim(SHM_INIT) as row:
        row.folder(settings.folder)
        # What is wrong comes first: the row may have no room for all.
        said = [*troubles, *found.troubles, f"made: {reason}" if reason is not None else "kept"]
        row.beat(ProcessState.STOPPED, "; ".join(said))
    return Made(reason is None, reason or "", segment.names(namespace), standing, troubles, found)


def _locked(stack: contextlib.ExitStack, settings: config.Settings) -> list[str]:
    """Keep operators from the file of switches meanwhile; what stands in the way of it."""
    try:
        stack.enter_context(remembered.alone(settings))
    except NotRemembered as error:
        return [str(error)]
    return []


def misfit(settings: config.Settings) -> str | None:
    """Why the standing segments cannot be used as they are; None when they can. One that is not
    READY was left by a shm-init that was killed: it is not waited for."""
    system = settings.config.system
    namespace = system.namespace
    sizes = [system.num_sources, system.max_symbols, StoreLayout(1, 1).num_readers]
    try:
        with contextlib.ExitStack() as stack:
            store = _standing(stack, namespace, "store", Kind.STORE)
            dirty = _standing(stack, namespace, "dirty", Kind.DIRTY)
            tapes = _standing(stack, namespace, "tapes", Kind.TAPES)
            ring = stack.enter_context(SignalRing.attach(namespace, SIGNALS, timeout_s=0))
            rows = stack.enter_context(Evaluations.attach(namespace, timeout_s=0))
            connections = stack.enter_context(Connections.attach(namespace, timeout_s=0))
            analysis = stack.enter_context(Analysis.attach(namespace, timeout_s=0))
            funding = stack.enter_context(FundingTable.attach(namespace, timeout_s=0)).layout
            wants = stack.enter_context(Wants.attach(namespace, timeout_s=0)).layout
            books = stack.enter_context(BookStore.attach(namespace, timeout_s=0)).layout
            stack.enter_context(PoolTable.attach(namespace, timeout_s=0))
            stack.enter_context(Health.attach(namespace, timeout_s=0))
            stack.enter_context(Control.attach(namespace, timeout_s=0))
            found: list[tuple[str, object, object]] = [
                ("store", store.params[:3], sizes),
                ("dirty bitmaps", dirty.params[:4], [*sizes, store.instance_id]),
                (
                    "tapes",
                    tapes.params[:3],
                    [system.num_sources, system.tape_slots, store.instance_id],
                ),
                ("signal ring", ring.layout.slots, system.ring_slots),
                ("connections", connections.layout.num_sources, system.num_sources),
                (
                    "analysis",
                    [analysis.layout.num_sources, analysis.layout.max_symbols],
                    [system.num_sources, system.max_symbols],
                ),
                ("funding", [funding.num_sources, funding.max_symbols], sizes[:2]),
                ("wants", [wants.num_sources, wants.max_symbols], sizes[:2]),
                (
                    "books",
                    [books.num_sources, books.max_symbols, books.slots, books.tape_slots],
                    [*sizes[:2], settings.config.books.books_max, system.tape_slots],
                ),
                ("evaluations", rows.layout.slots, settings.config.spread_engine.evaluations_kept),
            ]
            differing = [what for what, is_now, wanted in found if is_now != wanted]
    except NoSegment as error:
        return f"there was no {error.evidence['segment']}"
    except SegmentError as error:
        return str(error)
    return f"other sizes: {', '.join(differing)}" if differing else None


def _standing(
    stack: contextlib.ExitStack, namespace: str, part: str, kind: Kind
) -> segment.Segment:
    held = segment.attach(segment.segment_name(namespace, part), kind, timeout_s=0)
    stack.callback(held.close)
    return held


def _restored(settings: config.Settings) -> Restored:
    """The last quotes that the log knows; none, and why, where its tables or it cannot be read."""
    system = settings.config.system
    folder = settings.data_dir / WAL_FOLDER
    if not folder.is_dir():
        return Restored([], None, [])
    try:
        loaded = tables.load_for(settings.generated_dir, system.num_sources, system.max_symbols)
    except TableError as error:
        return Restored([], None, [f"no quotes are restored from the log: {error}"])
    return restored(folder, loaded, system.num_sources)


def _make(settings: config.Settings, standing: list[Switch], found: Restored) -> None:
    """Control and health come last: who finds them finds the rest."""
    system = settings.config.system
    making: list[Callable[[], Holder]] = [
        lambda: _store(system, found),
        lambda: SignalRing.create(system.namespace, SIGNALS, slots=system.ring_slots),
        lambda: Evaluations.create(
            system.namespace, slots=settings.config.spread_engine.evaluations_kept
        ),
        lambda: Connections.create(system.namespace, num_sources=system.num_sources),
        lambda: Analysis.create(
            system.namespace, num_sources=system.num_sources, max_symbols=system.max_symbols
        ),
        lambda: FundingTable.create(
            system.namespace, num_sources=system.num_sources, max_symbols=system.max_symbols
        ),
        lambda: Wants.create(
            system.namespace, num_sources=system.num_sources, max_symbols=system.max_symbols
        ),
        lambda: BookStore.create(
            system.namespace,
            num_sources=system.num_sources,
            max_symbols=system.max_symbols,
            slots=settings.config.books.books_max,
            tape_slots=system.tape_slots,
        ),
        lambda: PoolTable.create(system.namespace),
        lambda: Health.create(system.namespace),
        lambda: Control.create(system.namespace, standing),
    ]
    for make in making:
        make().close()


def _store(system: config.System, found: Restored) -> PriceStore:
    """With what was found, unless it is nothing that a store takes."""

    def create(kept: list[KeptQuotes]) -> PriceStore:
        return PriceStore.create(
            system.namespace,
            num_sources=system.num_sources,
            max_symbols=system.max_symbols,
            tape_slots=system.tape_slots,
            kept=kept,
        )

    try:
        return create(found.quotes)
    except BadInput as error:
        found.troubles.append(f"no quotes are restored from the log: {error}")
        found.quotes.clear()
        return create([])


def _switched(settings: config.Settings) -> tuple[list[Switch], list[str]]:
    """What is to be switched in new segments, and what was wrong with the file that tells it."""
    try:
        with Control.attach(settings.config.system.namespace, timeout_s=0) as control:
            return control.standing, []
    except SegmentError:
        found = carried.with_older(settings, remembered.read(settings))
    if not found.damaged:
        return found.standing, []
    why = f"started halted: {found.damaged}"
    halt = Switch(SwitchKind.HALT, "", clock.wall_ns(), SHM_INIT, os.getpid(), why)
    others = [one for one in found.standing if one.kind is not SwitchKind.HALT]
    return [halt, *others], [why]


def _remember(settings: config.Settings, standing: list[Switch]) -> list[str]:
    """Bring the file to what is in force, where it says something else: another data folder, an
    operator that was killed before it wrote, a damaged one (of which a copy is kept)."""
    found = remembered.read(settings)
    if not found.damaged and found.standing == standing:
        return []
    try:
        remembered.write(settings, standing)
    except NotRemembered as error:
        return [f"what is switched will not outlive the segments: {error}"]
    return []
