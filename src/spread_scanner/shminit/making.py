"""shm-init: makes the segments that all processes share, or keeps those that stand.

Writer:  this process, once; it ends when the segments are READY.     Readers: everyone.

Segments of one namespace are one system: either all of them fit the settings and are kept, or all
are made anew and the old ones are marked RETIRED, so that whoever still maps them leaves. The
turns to dial alone are kept in any case: the exchanges go on counting. What the operator had
switched (kill, pauses) is carried over: a new set of segments must not start trading
signals that somebody stopped.
"""

import contextlib
from collections.abc import Callable
from typing import NamedTuple

from spread_scanner import config
from spread_scanner.errors import SegmentError
from spread_scanner.schema.enums import (
    ProcessState,
)
from spread_scanner.schema.names import PROCESSES, SHM_INIT, SIGNALS
from spread_scanner.shm import Control, Health, PriceStore, SignalRing, segment
from spread_scanner.shm.connections import Connections
from spread_scanner.shm.dials import Dials
from spread_scanner.shm.evaluations import Evaluations
from spread_scanner.shm.faults import NoSegment
from spread_scanner.shm.layout import Kind, StoreLayout
from spread_scanner.shm.segment import Holder


class Made(NamedTuple):
    """What shm-init did: whether the standing segments were kept, else why they were not."""

    kept: bool
    reason: str
    segments: list[str]


class Switched(NamedTuple):
    """What the operator had switched on the old control segment."""

    killed: bool
    processes: list[str]
    sources: list[int]
    directions: list[int]
    symbols: list[int]


def ensure(settings: config.Settings, *, force: bool = False) -> Made:
    """Keep the segments if they all fit the settings, else make all of them anew."""
    namespace = settings.config.system.namespace
    reason = "asked for with --force" if force else misfit(settings)
    if reason is not None:
        switched = _switched(namespace)
        _make(settings)
        _switch_again(namespace, switched)
    Dials.open(namespace).close()  # kept whatever became of the rest: an exchange goes on counting
    with Health.attach(namespace) as health, health.claim(SHM_INIT) as row:
        row.folder(settings.folder)
        row.beat(ProcessState.STOPPED, f"made: {reason}" if reason is not None else "kept")
    return Made(reason is None, reason or "", segment.names(namespace))


def misfit(settings: config.Settings) -> str | None:
    """Why the standing segments cannot be used as they are; None when they can."""
    system = settings.config.system
    namespace = system.namespace
    sizes = [system.num_sources, system.max_symbols, StoreLayout(1, 1).num_readers]
    try:
        with contextlib.ExitStack() as stack:
            store = _standing(stack, namespace, "store", Kind.STORE)
            dirty = _standing(stack, namespace, "dirty", Kind.DIRTY)
            ring = stack.enter_context(SignalRing.attach(namespace, SIGNALS))
            rows = stack.enter_context(Evaluations.attach(namespace))
            connections = stack.enter_context(Connections.attach(namespace))
            stack.enter_context(Health.attach(namespace))
            stack.enter_context(Control.attach(namespace))
            found: list[tuple[str, object, object]] = [
                ("store", store.params[:3], sizes),
                ("dirty bitmaps", dirty.params[:4], [*sizes, store.instance_id]),
                ("signal ring", ring.layout.slots, system.ring_slots),
                ("connections", connections.layout.num_sources, system.num_sources),
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
    held = segment.attach(segment.segment_name(namespace, part), kind)
    stack.callback(held.close)
    return held


def _make(settings: config.Settings) -> None:
    """Control and health come last: who finds them finds the rest."""
    system = settings.config.system
    making: list[Callable[[], Holder]] = [
        lambda: PriceStore.create(
            system.namespace, num_sources=system.num_sources, max_symbols=system.max_symbols
        ),
        lambda: SignalRing.create(system.namespace, SIGNALS, slots=system.ring_slots),
        lambda: Evaluations.create(
            system.namespace, slots=settings.config.spread_engine.evaluations_kept
        ),
        lambda: Connections.create(system.namespace, num_sources=system.num_sources),
        lambda: Health.create(system.namespace),
        lambda: Control.create(system.namespace),
    ]
    for make in making:
        make().close()


def _switched(namespace: str) -> Switched:
    """What the operator had switched, or nothing where there is no readable control segment."""
    try:
        with Control.attach(namespace, timeout_s=0) as control:
            return Switched(
                control.killed,
                [process for process in PROCESSES if control.paused(process)],
                control.paused_sources,
                control.paused_directions,
                control.paused_symbols,
            )
    except SegmentError:
        return Switched(False, [], [], [], [])


def _switch_again(namespace: str, switched: Switched) -> None:
    with Control.attach(namespace) as control, control.operator() as operator:
        if switched.killed:
            operator.kill()
        for process in switched.processes:
            operator.pause(process)
        for source_id in switched.sources:
            operator.pause_source(source_id)
        for direction_id in switched.directions:
            operator.pause_direction(direction_id)
        for symbol_id in switched.symbols:
            operator.pause_symbol(symbol_id)
