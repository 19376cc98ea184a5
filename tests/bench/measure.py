"""How the benchmarks measure: medians over batches, floors in C, processes that verify.

A figure is a dict as design section 7 gives it. Every run verifies what it received: a benchmark
that lost, reordered or invented anything raises.
"""

import contextlib
import multiprocessing as mp
import shutil
import subprocess
import tempfile
import time
import timeit
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

NATIVE = Path(__file__).parent / "native"
HEADERS = Path(__file__).parents[2] / "src" / "spread_scanner"

Figure = dict[str, Any]
FORK = mp.get_context("fork")


def figure(
    name: str,
    unit: str,
    samples: Sequence[float],
    *,
    floor: float | None = None,
    peers: dict[str, float] | None = None,
    **params: object,
) -> Figure:
    """One line of output; `value` is the median of the samples."""
    p50, p99 = np.percentile(np.asarray(samples, float), [50, 99])
    return {
        "name": name,
        "unit": unit,
        "value": round(float(p50), 3),
        "p50": round(float(p50), 3),
        "p99": round(float(p99), 3),
        "floor": None if floor is None else round(floor, 3),
        "peers": {peer: round(value, 3) for peer, value in (peers or {}).items()},
        "params": params,
    }


def per_call_ns(
    statement: str,
    names: dict[str, object],
    *,
    batches: int,
    calls: int,
    timer: Callable[[], int] = time.perf_counter_ns,
) -> list[float]:
    """Nanoseconds per execution of a statement, one sample a batch, with the loop's own cost. Of
    CPU time with `time.thread_time_ns`, in which others on the machine have no part."""
    timed = timeit.Timer(statement, globals=names, timer=timer)
    return [timed.timeit(calls) / calls for _ in range(batches)]


def median_ns(
    statement: str,
    names: dict[str, object],
    *,
    batches: int,
    calls: int,
    timer: Callable[[], int] = time.perf_counter_ns,
) -> float:
    return float(
        np.median(per_call_ns(statement, names, batches=batches, calls=calls, timer=timer))
    )


@contextlib.contextmanager
def compiled(source: str) -> Iterator[Path]:
    """A C program of tests/bench/native."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise RuntimeError(f"{source} needs a C compiler")
    includes = sorted({f"-I{path.parent}" for path in HEADERS.rglob("*.h")})
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / Path(source).stem
        command = [compiler, "-std=gnu11", "-O3", *includes, str(NATIVE / source)]
        subprocess.run([*command, "-o", str(program), "-lm"], check=True)
        yield program


def run_floor(source: str, *args: object) -> dict[str, float]:
    """Compile a C program of tests/bench/native and read the JSON object it prints."""
    with compiled(source) as program:
        printed = subprocess.run(
            [program, *map(str, args)], check=True, capture_output=True, text=True
        ).stdout
    return msgspec.json.decode(printed, type=dict[str, float])


class Child:
    """A forked process that ends with the `with` block; its failure is ours."""

    def __init__(self, target: Callable[..., None], *args: object) -> None:
        self._process = FORK.Process(target=target, args=args, daemon=True)

    def __enter__(self) -> "Child":
        self._process.start()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is not None:
            self._process.kill()
        self._process.join(60)
        if kind is None and self._process.exitcode != 0:
            raise RuntimeError(f"the other process ended with {self._process.exitcode}")
