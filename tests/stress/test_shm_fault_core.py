"""The Python API over the fault build of the core: contended reads, and death inside a write."""

import subprocess
import sys
import sysconfig
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from spread_scanner.shm import _latches, _level_tape, _store, _writer

ROOT = Path(__file__).parents[2]
ROOMS = ROOT / "src" / "spread_scanner"
SHM = ROOMS / "shm"
MODULES = ("_store", "_writer", "_latches")  # what looks, what stores, what does both
HERE = Path(__file__).parent
pytestmark = [pytest.mark.stress, pytest.mark.timeout(600)]  # a busy machine compiles slowly


@pytest.fixture(scope="session")
def fault_core(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of the extension modules, built from their sources with hooks in place."""
    folder = tmp_path_factory.mktemp("fault_core")
    for module in MODULES:
        build(module, folder)
    return folder


def build(module: str, folder: Path) -> None:
    pytest.importorskip("Cython")
    source = folder / f"{module}.c"
    cython = [sys.executable, "-m", "cython", "-3", "-I", str(ROOT / "src")]
    cython += ["-X", "boundscheck=False,wraparound=False,cdivision=True"]
    cython += ["--module-name", f"spread_scanner.shm.{module}"]
    subprocess.run([*cython, "-o", str(source), str(SHM / f"{module}.pyx")], check=True)
    made = folder / f"{module}{sysconfig.get_config_var('EXT_SUFFIX')}"
    includes = [sysconfig.get_path("include"), np.get_include()]
    includes += [str(room / "native") for room in (SHM, ROOMS / "schema")]
    command = ["gcc", "-shared", "-fPIC", "-O0", "-std=gnu11", "-DSS_FAULTS", "-w"]
    command += ["-DNPY_NO_DEPRECATED_API=NPY_2_0_API_VERSION"]
    command += ["-include", str(HERE / "native" / "fault_core.h")]
    command += [f"-I{folder}" for folder in includes]
    subprocess.run([*command, str(source), "-o", str(made)], check=True)


def over_faults(folder: Path, *args: str) -> str:
    command = [sys.executable, str(HERE / "shm_fault_core.py"), str(folder), *args]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_c4_a_contended_read_gives_the_last_good_quote_flagged_and_counted(
    fault_core: Path, namespace: str
) -> None:
    assert over_faults(fault_core, namespace, "contended") == "contended ok\n"


def test_c3_a_writer_that_dies_at_any_store_of_write_many_leaves_old_or_new(
    fault_core: Path, namespace: str
) -> None:
    """Four cells of nine stores, and three words of marks for each of two readers."""
    assert over_faults(fault_core, namespace, "deaths") == "write_many 42 stores\n"


def test_c3_a_writer_of_funding_that_dies_at_any_store_leaves_old_or_new(
    fault_core: Path, namespace: str
) -> None:
    """Eight words and the sequence."""
    assert over_faults(fault_core, namespace, "funding") == "funding 9 stores\n"


def test_c3_a_feed_that_dies_at_any_store_of_a_book_leaves_old_or_new(
    fault_core: Path, namespace: str
) -> None:
    """Two symbols in turn take the one slot, each with three records of 88 words and a sequence."""
    assert over_faults(fault_core, namespace, "books") == "books 534 stores\n"


@pytest.mark.slow
def test_c3_a_feed_that_dies_at_any_store_of_its_changes_leaves_the_first_of_them(
    tmp_path: Path, namespace: str
) -> None:
    """Each of four levels is three stores."""
    build("_level_tape", tmp_path)
    assert over_faults(tmp_path, namespace, "levels") == "levels 12 stores\n"


@pytest.mark.parametrize("module", [_store, _writer, _latches, _level_tape])
def test_the_product_is_built_without_hooks(module: ModuleType) -> None:
    symbols = subprocess.run(["nm", "-D", str(module.__file__)], capture_output=True, text=True)
    assert "PyInit__" in symbols.stdout
    assert "ss_fault" not in symbols.stdout
