"""What compilers make of the headers: barriers of aarch64 and x86 in the right functions, in order.

Catches a compiler (or a flag) that deletes the reader's second look, or a changed memory order.
"""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

NATIVE = Path(__file__).parent / "native"
HEADERS = Path(__file__).parents[2] / "src" / "spread_scanner" / "shm" / "native"
SCHEMA_HEADERS = Path(__file__).parents[2] / "src" / "spread_scanner" / "schema" / "native"
CROSS = "aarch64-linux-gnu-gcc"
LEVELS = ["-O2", "-O3"]  # the product is built with -O3

# Function -> the instructions that must follow each other (others may stand between).
AARCH64 = {
    "cell_write": ["dmb ish$", "st[rp] ", "stlr"],
    "cell_read": ["ldar", "ld[rp] ", "dmb ishld", "ldr "],
    "bitmap_mark": ["ldset8_acq_rel|ldsetal|ldaxr"],
    "bitmap_take": ["ldr ", "cb|cmp", "swp8_acq_rel|swpal|ldaxr"],
    "ring_push": ["ldar", "memcpy", "stlr"],
    "ring_available": ["ldar"],
    "ring_release": ["stlr"],
    "wake_prepare": ["ldar", "stlr", "dmb ish$"],
    "wake_notify": ["dmb ish$", "ldr ", "stlr", "ldadd4_acq_rel|ldaddal|ldaxr", "syscall"],
    "store_put": ["dmb ish$", "stlr", "ldset8_acq_rel|ldsetal|ldaxr"],
}
X86 = {
    "bitmap_mark": ["lock or"],
    "bitmap_take": ["xchg"],
    "wake_prepare": [r"xchg|mfence", r"lock or|mfence|ret"],
    "wake_notify": ["lock or|mfence", r"mov.*4\(", "xchg|mfence", "lock add|lock xadd"],
    "store_put": [r"mov.*, \d*\(", "lock or"],
}


def functions(compiler: str, level: str, *, headers: Path = HEADERS) -> dict[str, str]:
    """Function name -> its assembly, one instruction a line, single spaces."""
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    command = [compiler, "-std=gnu11", level, "-S", "-o", "-"]
    command += [f"-I{folder}" for folder in (headers, SCHEMA_HEADERS)]
    assembly = subprocess.check_output([*command, str(NATIVE / "codegen.c")], text=True)
    found: dict[str, list[str]] = {}
    name = ""
    for line in assembly.splitlines():
        label = re.match(r"([a-z]\w*):", line)
        if label:
            name = label[1]
        found.setdefault(name, []).append(" ".join(line.split()))
    return {name: "\n".join(lines) for name, lines in found.items()}


def follows(body: str, wanted: list[str]) -> bool:
    """Whether some way through a function meets instructions that match, in this order. A way
    passes each line once: compilers lay a loop out with its head last, and what a second turn would
    meet is no order of the first.
    """
    lines = body.splitlines()
    labels = {line[:-1]: at for at, line in enumerate(lines) if re.fullmatch(r"\.L\w+:", line)}
    ways = [(0, 0, frozenset[int]())]
    while ways:
        at, met, before = ways.pop()
        passed = set(before)
        while at < len(lines) and at not in passed:
            passed.add(at)
            met += bool(re.search(wanted[met], lines[at]))
            if met == len(wanted):
                return True
            jump = re.match(r"(b|cb|tb|j)\S* (?:.*[ ,])?(\.L\w+)$", lines[at])
            if jump:
                ways.append((labels[jump[2]], met, frozenset(passed)))
            if re.match(r"(b|jmp) |ret\b", lines[at]):
                break
            at += 1
    return False


def native_machine() -> str:
    return subprocess.check_output(["gcc", "-dumpmachine"], text=True)


def missing_in(compiler: str, level: str, expected: dict[str, list[str]]) -> dict[str, str]:
    """The functions that do not hold what they must, with their assembly."""
    found = functions(compiler, level)
    return {name: found[name] for name, must in expected.items() if not follows(found[name], must)}


def looks_at_first_argument(body: str) -> int:
    """How many instructions read the word that the first argument points to."""
    copies = re.findall(r"movq %rdi, (%\w+)", body)
    names = "|".join(["%rdi", *copies])
    return len(re.findall(rf"(?:mov|cmp)\w* \((?:{names})\)", body))


@pytest.mark.parametrize("level", LEVELS)
def test_c6_aarch64_barriers_stand_in_order(level: str) -> None:
    assert not missing_in(CROSS, level, AARCH64)


@pytest.mark.parametrize("level", LEVELS)
def test_c6_x86_reader_looks_twice_and_full_fences_stand(level: str) -> None:
    if shutil.which("gcc") is None or "x86_64" not in native_machine():
        pytest.skip("gcc for x86-64 is not installed")
    assert not missing_in("gcc", level, X86)
    assert looks_at_first_argument(functions("gcc", level)["cell_read"]) >= 2


def test_c6_x86_mutant_without_a_second_look_is_seen(
    mutated_headers: Callable[[str, str, str], Path],
) -> None:
    if shutil.which("gcc") is None or "x86_64" not in native_machine():
        pytest.skip("gcc for x86-64 is not installed")
    second = "uint64_t after = atomic_load_explicit(&sequence->value, memory_order_relaxed);"
    headers = mutated_headers("seqlock.h", second, "uint64_t after = before;")
    found = functions("gcc", "-O2", headers=headers)
    assert looks_at_first_argument(found["cell_read"]) < 2


MUTANTS = {
    "no_writer_fence": (
        "cell_write",
        "seqlock.h",
        "    atomic_thread_fence(memory_order_release);\n",
        "",
    ),
    "no_reader_fence": (
        "cell_read",
        "seqlock.h",
        "        atomic_thread_fence(memory_order_acquire);\n",
        "",
    ),
    "relaxed_first_look": (
        "cell_read",
        "seqlock.h",
        "uint64_t before = atomic_load_explicit(&sequence->value, memory_order_acquire);",
        "uint64_t before = atomic_load_explicit(&sequence->value, memory_order_relaxed);",
    ),
    "relaxed_publication": (
        "cell_write",
        "seqlock.h",
        "seq + 1, memory_order_release",
        "seq + 1, memory_order_relaxed",
    ),
    "relaxed_slots_release": (
        "ring_release",
        "ring.h",
        "read + count, memory_order_release",
        "read + count, memory_order_relaxed",
    ),
    "no_waiter_fence": (
        "wake_prepare",
        "wake.h",
        "    atomic_store_explicit(&wake->waiting, 1, memory_order_seq_cst);\n"
        "    /* Full fence: the flag before the caller's second look for work. "
        "Partner: ss_wake_notify. */\n"
        "    atomic_thread_fence(memory_order_seq_cst);\n",
        "    atomic_store_explicit(&wake->waiting, 1, memory_order_seq_cst);\n",
    ),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_c6_mutant_is_seen_in_the_assembly(
    name: str, mutated_headers: Callable[[str, str, str], Path]
) -> None:
    function, *mutation = MUTANTS[name]
    found = functions(CROSS, "-O2", headers=mutated_headers(*mutation))
    assert not follows(found[function], AARCH64[function])
