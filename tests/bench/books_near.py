"""Which pairs are near their threshold: what saying it costs the engine, and asking it a feed.

books.near     a cycle of the engine's that looks at pairs anyway, with each pair's distance said;
               "unsaid" beside it is the same cycle where no settings ask for it
books.wanted   a feed's look at which books it should have, ten times a second
"""

import contextlib
import time
from collections.abc import Iterator

import msgspec
import numpy as np
from bench_engine import SYMBOLS, Rig, settings
from measure import Figure, figure, per_call_ns

from spread_scanner.clock import NS_PER_S
from spread_scanner.config.settings import Books
from spread_scanner.feed.wanted import WantedBooks
from spread_scanner.schema.enums import EXCHANGE_DIRECTIONS, EXCHANGE_SOURCES, SOURCES
from spread_scanner.shm import segment
from spread_scanner.shm.wants import Wants

PAIRS = len(EXCHANGE_DIRECTIONS) * SYMBOLS
LOOK_PAIRS = 128  # of one cycle: native/usual.h
MARGIN_BPS = 100.0  # so that all of them are near


def figures(small: bool) -> Iterator[Figure]:
    namespace = f"bench-near-{time.perf_counter_ns()}"
    with contextlib.ExitStack() as stack:
        stack.callback(_remove, namespace)
        rig = Rig(namespace, near=False)  # who says it is told below
        stack.callback(rig.close)
        yield _said(rig, rig.wants, 4 if small else 200)
        yield _asked(rig, rig.wants, 2 if small else 40)


def _remove(namespace: str) -> None:
    for name in segment.names(namespace):
        segment.remove(name)


def _said(rig: Rig, wants: Wants, looks: int) -> Figure:
    """Looks of a second each, said and unsaid in turn; the cycles that looked at pairs."""
    cycles: dict[bool, list[float]] = {False: [], True: []}
    with wants.near_writer() as near:
        for look in range(looks):
            said = look % 2 == 0
            rig.engine.loop.say_near(near if said else None)
            cycles[said] += _look_ns(rig)
            if said:
                _verify(rig, wants)
        rig.engine.loop.say_near(None)
    return figure(
        "books.near", "ns", cycles[True], peers={"unsaid": float(np.median(cycles[False]))},
        pairs=PAIRS, cycles_a_look=len(cycles[True]) // (looks // 2),
    )  # fmt: skip


def _look_ns(rig: Rig) -> list[float]:
    """The cycles of one look: it is spread over as many as it needs, and the rest do nothing."""
    rig.now_ns += NS_PER_S
    for writer in rig.writers:
        writer.heartbeat(rig.now_ns)
    spent = []
    for _ in range(-(-PAIRS // LOOK_PAIRS)):
        start = time.perf_counter_ns()
        rig.engine.loop.step(rig.now_ns)
        spent.append(float(time.perf_counter_ns() - start))
    return spent


def _verify(rig: Rig, wants: Wants) -> None:
    """Every pair's distance was said in this second, and is under the threshold."""
    for source in EXCHANGE_SOURCES:
        over = wants.near_bps(source.source_id, rig.now_ns)[:SYMBOLS]
        if not np.all(np.isfinite(over) & (over < 0.0) & (over > -1_000.0)):
            raise RuntimeError(f"{source.label}: not all pairs were said: {over}")


def _asked(rig: Rig, wants: Wants, batches: int) -> Figure:
    """Every pair is near; a feed takes as many as it may."""
    books = Books(books_max=SYMBOLS, books_margin_bps=MARGIN_BPS)
    wished = settings()
    wished = msgspec.structs.replace(
        wished, config=msgspec.structs.replace(wished.config, books=books)
    )
    wanted = WantedBooks(SOURCES[0], wants, wished)
    wanted.reload(wished, {f"C{number}-USDT": number for number in range(SYMBOLS)})
    names: dict[str, object] = {"look": wanted.look, "now_ns": rig.now_ns}
    samples = per_call_ns("look(now_ns)", names, batches=batches, calls=20)
    if len(wanted.look(rig.now_ns)) != SYMBOLS:
        raise RuntimeError("not all that is near is wanted")
    return figure("books.wanted", "us", [one / 1e3 for one in samples], near=SYMBOLS)
