"""The C headers on their own: two threads under the sanitizers, and as another processor."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

CompileC = Callable[..., Path]
RunNative = Callable[..., "subprocess.CompletedProcess[str]"]
Mutate = Callable[[str, str, str], Path]
pytestmark = [pytest.mark.stress, pytest.mark.timeout(3600)]

THREAD = ("-O1", "-fsanitize=thread", "-Wno-tsan")  # the ring polls: it uses no fence
MEMORY = ("-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
ARM = ("-O2", "-static", "-march=armv8-a")


def fixed_addresses() -> list[str]:
    """ThreadSanitizer wants its own place in memory, which randomised addresses may take."""
    return ["setarch", "-R"] if shutil.which("setarch") else []


def skip_without(done: "subprocess.CompletedProcess[str]", what: str) -> None:
    if "unexpected memory mapping" in done.stderr or "Operation not permitted" in done.stderr:
        pytest.skip(f"{what} cannot run here: {done.stderr.splitlines()[0]}")


@pytest.fixture
def sanitized(compile_c: CompileC) -> CompileC:
    """Compiles with a sanitizer, or skips by name when its library is not installed."""

    def compile_it(source: str, *flags: str, **more: Path) -> Path:
        try:
            return compile_c(source, *flags, **more)
        except subprocess.CalledProcessError:
            if any(flag.startswith("-fsanitize") for flag in flags):
                empty = subprocess.run(
                    ["gcc", *flags, "-x", "c", "-", "-o", os.devnull],
                    input="int main(void) { return 0; }",
                    text=True,
                    capture_output=True,
                    check=False,
                )
                if empty.returncode:
                    pytest.skip(f"the library of {flags[1]} is not installed")
            raise

    return compile_it


def test_r1_ring_has_no_data_race(sanitized: CompileC, run_native: RunNative) -> None:
    done = run_native(*fixed_addresses(), sanitized("threads.c", *THREAD), "ring", 200_000)
    skip_without(done, "ThreadSanitizer")
    assert (done.returncode, done.stdout) == (0, "ring 200000 ok\n"), done.stderr


RACY = {
    "relaxed_publication": (
        "atomic_store_explicit(&ring->control->write_pos, write + fits, memory_order_release)",
        "atomic_store_explicit(&ring->control->write_pos, write + fits, memory_order_relaxed)",
    ),
    "relaxed_release_of_slots": (
        "atomic_store_explicit(&ring->control->read_pos, read + count, memory_order_release)",
        "atomic_store_explicit(&ring->control->read_pos, read + count, memory_order_relaxed)",
    ),
    "relaxed_look_of_the_consumer": (
        "atomic_load_explicit(&ring->control->write_pos, memory_order_acquire)",
        "atomic_load_explicit(&ring->control->write_pos, memory_order_relaxed)",
    ),
}


@pytest.mark.parametrize("name", RACY)
def test_r1_mutant_is_a_data_race(
    name: str, sanitized: CompileC, run_native: RunNative, mutated_headers: Mutate
) -> None:
    mutant = sanitized("threads.c", *THREAD, headers=mutated_headers("ring.h", *RACY[name]))
    done = run_native(*fixed_addresses(), mutant, "ring", 20_000)
    skip_without(done, "ThreadSanitizer")
    assert "WARNING: ThreadSanitizer: data race" in done.stderr


@pytest.mark.parametrize("what", ["ring", "store"])
def test_headers_are_clean_under_address_and_undefined_behaviour_sanitizers(
    what: str, sanitized: CompileC, run_native: RunNative
) -> None:
    done = run_native(sanitized("threads.c", *MEMORY), what, 100_000)
    assert (done.returncode, done.stdout) == (0, f"{what} 100000 ok\n"), done.stderr
    assert "ERROR" not in done.stderr
    assert "runtime error" not in done.stderr


@pytest.mark.timeout(100)
def test_sanitizers_do_see(sanitized: CompileC, mutated_headers: Mutate) -> None:
    """A ring whose first record goes right behind its slots, before the other thread can find
    anything wrong and end the process without a report. The report may never end where that thread
    fails meanwhile: its first words tell, and the rest is not waited for.
    """
    wrap = "(pos & (ring->capacity - 1)) * ring->record_bytes;"
    behind = "(pos * 0 + ring->capacity) * ring->record_bytes;"
    harness = sanitized("threads.c", *MEMORY, headers=mutated_headers("ring.h", wrap, behind))
    with subprocess.Popen([harness, "ring", "1000"], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        seen = any("ERROR: AddressSanitizer" in line for line in process.stderr)
        process.kill()
    assert seen


def test_fault_paths_are_clean_under_the_sanitizers(
    sanitized: CompileC, run_native: RunNative
) -> None:
    done = run_native(sanitized("faults.c", *MEMORY, "-DSS_FAULTS"))
    assert done.returncode == 0, done.stderr


# Two threads that hand over one by one cost a ring ten times what a store costs.
@pytest.mark.parametrize(("what", "short"), [("ring", 300_000), ("store", 2_000_000)])
def test_c1_c2_b1_r1_w1_at_full_speed(
    what: str,
    short: int,
    compile_c: CompileC,
    run_native: RunNative,
    scale: Callable[[int, int], int],
) -> None:
    """Two threads in C without a pause: as hard as it gets on this machine."""
    count = scale(short, 100_000_000)
    done = run_native(compile_c("threads.c", "-O3"), what, count)
    assert (done.returncode, done.stdout) == (0, f"{what} {count} ok\n"), done.stderr


@pytest.mark.parametrize("what", ["ring", "store"])
def test_c6_threads_run_as_aarch64(
    what: str, compile_c: CompileC, run_native: RunNative, scale: Callable[[int, int], int]
) -> None:
    if shutil.which("qemu-aarch64") is None:
        pytest.skip("qemu-aarch64 is not installed")
    count = scale(100_000, 5_000_000)
    harness = compile_c("threads.c", *ARM, compiler="aarch64-linux-gnu-gcc")
    done = run_native("qemu-aarch64", harness, what, count)
    assert (done.returncode, done.stdout) == (0, f"{what} {count} ok\n"), done.stderr


def test_c6_faults_run_as_aarch64(compile_c: CompileC, run_native: RunNative) -> None:
    if shutil.which("qemu-aarch64") is None:
        pytest.skip("qemu-aarch64 is not installed")
    harness = compile_c("faults.c", *ARM, "-DSS_FAULTS", compiler="aarch64-linux-gnu-gcc")
    done = run_native("qemu-aarch64", harness)
    assert done.returncode == 0, done.stderr
