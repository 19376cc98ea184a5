"""Death and stopping before every single store (native/faults.c), and the mutants it must catch."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

CompileC = Callable[..., Path]
RunNative = Callable[..., "subprocess.CompletedProcess[str]"]

# Scenario -> the number of stores it died or stopped at. A new store needs a new look at this.
STORES = """store_write 15
store_write 15
tape_push 13
tape_push 13
tape_nobody 2
latch_write 41
latch_write 41
bitmap_take 2
ring_push_1 3
ring_push_2 3
ring_push_3 3
ring_push_4 4
ring_push_5 4
ring_push_3 3
ring_pop 1
wake_notify 2
wake_dead_waiter 1
contended_read 64
"""


def test_c3_c4_b1_r3_w2_death_or_stop_at_every_store_harms_nobody(
    compile_c: CompileC, run_native: RunNative
) -> None:
    """C3 after death at every store readers get the old or the new quote, never a mix, at the
    first try; the successor goes on. C4 the same with the writer stopped there: no read gives up
    or waits, and a read that meets a publication in each of its 64 tries gives up and leaves its
    argument alone. B1 no mark is ever before its quote. R3 at most one batch is uncertain. W2 a
    waiter comes back within its time-out whatever became of the notifier."""
    done = run_native(compile_c("faults.c", "-O1", "-DSS_FAULTS"))
    assert (done.returncode, done.stdout) == (0, STORES), done.stderr


MUTANTS = {
    "c3_published_before_it_is_filled": (
        "seqlock.h",
        "    atomic_thread_fence(memory_order_release);\n",
        "    atomic_store_explicit(&sequence->value, seq + 1, memory_order_release);\n",
        "torn",
    ),
    "c3_written_in_place": ("seqlock.h", "((seq + 1) & 1)", "(seq & 1)", "torn"),
    "c4_reader_without_a_bound": (
        "seqlock.h",
        "tries < SS_READ_TRIES_MAX",
        "tries < 2 * SS_READ_TRIES_MAX",
        "tries",
    ),
    "b1_marked_before_it_is_published": (
        "store.h",
        "    ss_store_publish(store, source, symbol, quote);\n"
        "    for (uint32_t reader = 0; reader < store->num_readers; reader++)\n"
        "        ss_bitmap_mark(ss_store_words(store, reader, source), symbol);\n",
        "    for (uint32_t reader = 0; reader < store->num_readers; reader++)\n"
        "        ss_bitmap_mark(ss_store_words(store, reader, source), symbol);\n"
        "    ss_store_publish(store, source, symbol, quote);\n",
        "a mark before its quote",
    ),
    "tape_published_before_the_tick": (
        "tape.h",
        "    tick->number = write + dropped;\n",
        "    atomic_store_explicit(&ring->control->write_pos, write + 1, memory_order_release);\n"
        "    SS_BEFORE_STORE();\n"
        "    tick->number = write + dropped;\n",
        "tick",
    ),
    "tape_before_the_quote": (
        "store.h",
        "    ss_cell_write(&store->sequences[index], &store->cells[2 * index], quote);\n"
        "    if (store->tape.on) ss_tape_push(&store->tape, source, symbol, quote);\n",
        "    if (store->tape.on) ss_tape_push(&store->tape, source, symbol, quote);\n"
        "    ss_cell_write(&store->sequences[index], &store->cells[2 * index], quote);\n",
        "a tick before its quote",
    ),
    "tape_numbers_without_the_dropped": (
        "tape.h",
        "tick->number = write + dropped;",
        "tick->number = write + 0 * dropped;",
        "number",
    ),
    "r3_position_published_before_the_records": (
        "ring.h",
        "    if (fits > 0) {\n",
        "    if (fits > 0) {\n"
        "        atomic_store_explicit(&ring->control->write_pos, write + fits,\n"
        "                              memory_order_release);\n",
        "record",
    ),
    "w2_flag_not_lowered": (
        "wake.h",
        "    SS_BEFORE_STORE();\n"
        "    atomic_store_explicit(&wake->waiting, 0, memory_order_seq_cst);\n",
        "",
        "a flag nobody lowers",
    ),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_mutant_is_caught(
    name: str,
    compile_c: CompileC,
    run_native: RunNative,
    mutated_headers: Callable[[str, str, str], Path],
) -> None:
    header, old, new, says = MUTANTS[name]
    mutant = compile_c("faults.c", "-O1", "-DSS_FAULTS", headers=mutated_headers(header, old, new))
    done = run_native(mutant)
    assert done.returncode == 1
    assert says in done.stderr, done.stderr
