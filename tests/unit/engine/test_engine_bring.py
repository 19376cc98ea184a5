"""Tables that come are brought in by the loop, a few pairs each cycle: what the pairs go through
meanwhile is all there when they are put in force."""

import gc
import queue
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import structlog
from engine_bed import MAX_SYMBOLS, NAME, Bed, only, settings, tables

from bed import until
from spread_scanner import clock, config
from spread_scanner.clock import NS_PER_S, VirtualClock
from spread_scanner.engine.core import ReadyWork
from spread_scanner.engine.reload import DROP_TURN_NS, TURN_NS, Reloads
from spread_scanner.runtime.process import Process
from spread_scanner.schema.enums import EXCHANGE_SOURCES, SOURCES, SignalKind
from spread_scanner.schema.records import SIGNAL_AGED
from spread_scanner.symbology.publish import publish

ENTER, RESIGNAL, EXIT, _ = map(int, SignalKind)
LIFE = ("weight", "exit_sum", "parity_sum", "last_net_bps", "exited_mono_ns", "implausible_ns",
        "kept_at", "kept_count", "in", "waiting", "kept_verdict")  # fmt: skip
DEADLINE_S = 60.0
CYCLES = -(-12 * MAX_SYMBOLS // 256)  # to bring all pairs
LOOK = -(-12 * MAX_SYMBOLS // 128)  # to look at all of them


@pytest.fixture
def bed(namespace: str) -> Bed:
    return Bed(namespace, symbols=tables(MAX_SYMBOLS))


def bring(bed: Bed, ready: ReadyWork) -> int:
    """In how many cycles; within a second, so that no look comes between."""
    cycles = 0
    while not bed.engine.bring(ready):
        bed.step()
        cycles += 1
        assert cycles < 1_000
    return cycles


def lives(bed: Bed) -> np.ndarray:
    pairs = bed.engine.loop.pairs
    return np.array([pairs[name].astype("f8") for name in LIFE])


def test_a_few_pairs_a_cycle_and_a_look_makes_it_begin_anew(bed: Bed) -> None:
    with bed:
        bed.step(1_000)
        for _ in range(LOOK):
            bed.step()  # the look
        assert bring(bed, bed.engine.prepare(bed.settings, tables(MAX_SYMBOLS))) == CYCLES
        ready = bed.engine.prepare(bed.settings, tables(MAX_SYMBOLS))
        assert not bed.engine.bring(ready)
        bed.step()
        bed.spread(-20, symbol_id=3)
        bed.step(1_000)
        assert bring(bed, ready) > CYCLES
        before = lives(bed)
        assert bed.engine.take(ready) == 12 * MAX_SYMBOLS
        np.testing.assert_array_equal(lives(bed), before)


def test_what_is_brought_waits_for_the_swap_and_a_look_then_counts(bed: Bed) -> None:
    """Nobody is obliged to swap at once."""
    with bed:
        bed.spread(-20, symbol_id=3)
        bed.step()
        ready = bed.engine.prepare(bed.settings, tables(MAX_SYMBOLS))
        bring(bed, ready)
        for _ in range(LOOK):
            bed.step(1_000)
        for _ in range(LOOK):
            bed.step()  # the last look is whole
        before = lives(bed)
        assert bed.engine.take(ready) == 12 * MAX_SYMBOLS
        np.testing.assert_array_equal(lives(bed), before)


def test_a_pair_goes_on_with_what_befell_it_after_it_was_brought(bed: Bed) -> None:
    with bed:
        bed.spread(15, symbol_id=1)
        assert bed.kinds() == [ENTER]
        ready = bed.engine.prepare(settings({"resignal_step_bps": 5}), tables(MAX_SYMBOLS))
        bring(bed, ready)
        bed.spread(25, symbol_id=0)
        bed.spread(0, symbol_id=1)
        bed.spread(40, symbol_id=2)
        assert sorted(bed.kinds()) == [ENTER, ENTER, EXIT]
        bed.spread(0, symbol_id=2)
        assert bed.kinds() == [EXIT]
        assert bed.engine.bring(ready), "what was noted is left to the swap"
        before = lives(bed)
        bed.engine.take(ready)
        np.testing.assert_array_equal(lives(bed), before)
        bed.step()
        bed.spread(29, symbol_id=0)
        assert bed.kinds() == []
        bed.spread(31, symbol_id=0)
        assert bed.kinds() == [RESIGNAL]
        bed.spread(0, symbol_id=0)
        assert bed.kinds() == [EXIT]


def test_what_a_switch_ended_has_ended(bed: Bed) -> None:
    with bed:
        bed.spread(15)
        assert bed.kinds() == [ENTER]
        ready = bed.engine.prepare(bed.settings, tables(MAX_SYMBOLS))
        bring(bed, ready)
        bed.operator.kill()
        bed.step()
        bed.operator.kill(killed=False)
        bed.engine.take(ready)
        assert bed.kinds() == [ENTER], "what still stands is entered anew"
        bed.spread(0)
        assert bed.kinds() == [EXIT]


def test_run_returns_when_all_is_brought_and_parks_for_nothing_before(bed: Bed) -> None:
    with bed:
        ready = bed.engine.prepare(bed.settings, tables(MAX_SYMBOLS))
        assert not bed.engine.bring(ready)
        began_ns = clock.mono_ns()
        while not bed.engine.bring(ready):
            bed.engine.loop.run(600_000_000_000)
            assert clock.mono_ns() - began_ns < 60_000_000_000
        assert bed.engine.take(ready) == 12 * MAX_SYMBOLS
        assert bed.health.read(NAME).generation == 1


def test_other_tables_may_come_in_place_of_those_that_were_coming(bed: Bed) -> None:
    with bed:
        bed.spread(15)
        assert bed.kinds() == [ENTER]
        given_up = bed.engine.prepare(bed.settings, tables(2, generation=2))
        assert not bed.engine.bring(given_up)
        bed.engine.load(bed.settings, tables(MAX_SYMBOLS, generation=3))
        bed.step()
        bed.spread(0)
        assert bed.kinds() == [EXIT]
        assert bed.health.read(NAME).generation == 3


def test_what_is_read_again_for_a_pair_that_is_back_is_no_news(namespace: str) -> None:
    with Bed(namespace, symbols=tables(2)) as bed:
        bed.spread(0)
        bed.step()
        bed.engine.load(bed.settings, only(1, tables(2, generation=2)))
        bed.step(1_000)
        bed.spread(50)
        bed.step(30_000)
        bed.engine.load(bed.settings, tables(2, generation=3))
        bed.know()
        (signal,) = bed.step(1)
        assert signal["flags"] & SIGNAL_AGED, "it has lain there for half a minute"
        bed.spread(0)
        (signal,) = bed.step(1)
        assert not signal["flags"] & SIGNAL_AGED


def test_nothing_is_made_of_what_was_read_before_a_pair_left(namespace: str) -> None:
    """A bounded take comes to its cells later than the rescan to the pair."""
    with Bed(namespace, settings(dirty_per_cycle_max=1), tables(2)) as bed:

        def steps(ms: float = 0) -> list[int]:
            return [kind for _ in range(24 + 16) for kind in bed.kinds(ms)]

        bed.spread(50)
        assert steps() == [ENTER]
        bed.engine.load(bed.settings, only(1, tables(2, generation=2)))
        bed.spread(-50)
        assert steps(1_000) == []
        bed.engine.load(bed.settings, tables(2, generation=3))
        bed.know()
        assert steps() == []
        bed.spread(50)
        assert steps() == [ENTER]


def test_settings_that_leave_no_pair_are_in_force_like_others(bed: Bed) -> None:
    alone = {
        source.label: {"enabled": source.exchange == SOURCES[0].exchange}
        for source in EXCHANGE_SOURCES
    }
    with bed:
        bed.spread(15)
        assert bed.kinds() == [ENTER]
        assert bed.engine.load(settings(sources=alone), tables(MAX_SYMBOLS)) == 0
        bed.step(1_000)
        bed.engine.adopt()
        bed.spread(25)
        assert bed.kinds(1_000) == []
        assert bed.engine.load(bed.settings, tables(MAX_SYMBOLS)) == 12 * MAX_SYMBOLS


@pytest.fixture
def published(namespace: str, tmp_path: Path) -> Iterator[Bed]:
    """A bed whose settings and tables are files, as a reload wants them."""
    folder = tmp_path / "config"
    folder.mkdir()
    urls = 'rest_url = "https://rest.test"\nws_url = "wss://ws.test"\n'
    (folder / "exchanges.toml").write_text(
        "".join(f"[{row.label}]\n{urls}" for row in EXCHANGE_SOURCES)
    )
    system = f'[system]\nnamespace = "{namespace}"\nmax_symbols = {MAX_SYMBOLS}\n'
    (folder / "config.toml").write_text(system)
    made = tables(MAX_SYMBOLS)
    publish(tmp_path / "generated", made, {})
    with Bed(namespace, config.load(folder, environ={}), made) as bed:
        yield bed


def planned(bed: Bed, taken: list[int], log: Any = None) -> Reloads:
    """A reload that is to be brought in and put in force."""
    log = log or structlog.get_logger()
    process = Process(NAME, bed.settings, log, bed.row, bed.slot)
    reloads = Reloads(process, bed.engine, taken.append)
    bed.operator.reload(NAME)
    orders = process.poll()
    assert orders is not None
    reloads.obey(orders)
    until(lambda: reloads.turn_ns == TURN_NS, "planned", timeout_s=DEADLINE_S)
    return reloads


def test_while_what_was_in_force_is_given_back_the_loop_stays_native(published: Bed) -> None:
    """To give it back is one long call of the other thread, which would keep the interpreter from a
    loop that asks for it each few milliseconds; its turn ends with it. That thread writes the log.
    """
    bed, may_go, gone = published, threading.Event(), queue.SimpleQueue[str]()

    class Log:
        def info(self, said: str, *, pairs: int) -> None:
            gone.put(f"{said} {pairs} {threading.current_thread().name}")

    def goes() -> None:
        gone.put(threading.current_thread().name)
        assert may_go.wait(DEADLINE_S)

    taken: list[int] = []
    reloads = planned(bed, taken, Log())
    weakref.finalize(bed.engine.loop.pairs, goes).atexit = False
    while not taken:
        bed.engine.loop.run(reloads.turn_ns)
        reloads.poll()
    assert gone.get(timeout=DEADLINE_S) == f"tables taken {taken[0]} planning"
    assert gone.get(timeout=DEADLINE_S) == "planning"
    assert reloads.turn_ns == DROP_TURN_NS > TURN_NS
    may_go.set()
    bed.engine.loop.run(int(10 * DEADLINE_S * NS_PER_S))  # returns: what is given back ends it
    assert reloads.turn_ns == TURN_NS


def test_no_cycles_are_collected_by_the_loop_while_tables_come(published: Bed) -> None:
    """A collection would be made by whoever allocates next, and walks all pairs."""
    bed, by, taken = published, set[str](), list[int]()

    def collects(phase: str, _: dict[str, int]) -> None:
        by.add(f"{threading.current_thread().name} {phase}")

    reloads = planned(bed, taken)
    gc.callbacks.append(collects)
    try:
        while not taken:
            bed.engine.loop.run(reloads.turn_ns)
            _ = [[number] for number in range(10_000)]  # far beyond what a collection waits for
            reloads.poll()
        until(lambda: reloads.turn_ns == TURN_NS, "given back", timeout_s=DEADLINE_S)
    finally:
        gc.callbacks.remove(collects)
    assert by == {"planning start", "planning stop"}
    assert gc.isenabled()


def test_a_loop_that_is_never_done_with_a_look_takes_the_tables_after_a_while(
    published: Bed,
) -> None:
    """As one that comes to a cycle once a second; the rest of the bringing is done at once."""
    bed = published
    taken: list[int] = []
    reloads = planned(bed, taken)
    with clock.use(VirtualClock(clock.wall_ns())) as time:
        for _ in range(2):
            bed.step(1_000)
            reloads.poll()
            assert taken == []
            time.advance_ms(1_000)
        bed.step(1_000)
        reloads.poll()
    assert taken == [12 * MAX_SYMBOLS]
    assert not reloads.under_way
    until(lambda: reloads.turn_ns == TURN_NS, "given back", timeout_s=DEADLINE_S)
