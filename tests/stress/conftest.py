"""What the stress tests share: how long to run, and native harnesses compiled on the spot."""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import bed

ROOT = Path(__file__).parents[2]
HEADERS = ROOT / "src" / "spread_scanner" / "shm" / "native"
SCHEMA_HEADERS = ROOT / "src" / "spread_scanner" / "schema" / "native"
NATIVE = Path(__file__).parent / "native"
LONG = os.environ.get("SPREAD_STRESS") == "long"
RUN_S = 1800 if LONG else 100


@pytest.fixture(scope="session")
def scale() -> Callable[[int, int], int]:
    """Picks an amount: the short form, or the long one under SPREAD_STRESS=long."""
    return lambda short, long: long if LONG else short


@pytest.fixture
def seed() -> int:
    """What chance starts from, shown when the test fails."""
    return bed.seed()


@pytest.fixture(scope="session")
def compile_c(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Compiles a harness of native/ over the core's headers, each form once."""
    folder = tmp_path_factory.mktemp("native")

    def compile_it(
        source: str, *flags: str, compiler: str = "gcc", headers: Path = HEADERS
    ) -> Path:
        if shutil.which(compiler) is None:
            pytest.skip(f"{compiler} is not installed")
        form = hashlib.sha256(repr((source, flags, compiler, headers)).encode()).hexdigest()[:16]
        made = folder / f"{Path(source).stem}-{form}"
        if not made.exists():
            command = [compiler, "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-g", *flags]
            command += [f"-I{folder}" for folder in (headers, SCHEMA_HEADERS, NATIVE)]
            command += [str(NATIVE / source), "-pthread"]
            subprocess.run([*command, "-o", str(made)], check=True)
        return made

    return compile_it


@pytest.fixture(scope="session")
def run_native() -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """Runs a harness to its end."""

    def run(*command: object, **settings: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            list(map(str, command)),
            capture_output=True,
            text=True,
            timeout=RUN_S,
            env={**os.environ, **settings},
            check=False,
        )

    return run


@pytest.fixture
def mutated_headers(tmp_path: Path) -> Callable[[str, str, str], Path]:
    """A copy of the core's headers with one text replaced; the text must be there."""

    def mutate(header: str, old: str, new: str) -> Path:
        folder = tmp_path / "headers"
        shutil.copytree(HEADERS, folder)
        text = (folder / header).read_text()
        assert text.count(old) == 1, f"{header} no longer holds {old!r} once"
        (folder / header).write_text(text.replace(old, new))
        return folder

    return mutate
