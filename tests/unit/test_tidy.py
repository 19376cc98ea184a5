"""Fails when the rules of the house are broken: who may import whom, how long a function may grow.

Reads the sources with `ast`, so it needs no third-party tool.
"""

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SRC = ROOT / "src" / "spread_scanner"
FUNCTION_LINES_MAX = 70

PORCH = {"errors", "clock", "config"}
FLOORS: tuple[
    set[str], ...
] = (  # A room imports the porch and the floors below. Neighbours never meet.
    {"schema"},
    {"shm", "symbology", "exchanges"},
    {"runtime"},
    {"discovery", "feed", "engine", "tracker", "ops"},
)
GARDEN = {"sim": PORCH | FLOORS[0]}  # The simulator must not borrow the parsers that it tests.
PORCH_MAY = {"config": PORCH | FLOORS[0]}  # Settings name sources and directions.
NO_SOCKETS = {"exchanges", "symbology", "schema"}
SOCKET_MODULES = {"socket", "asyncio", "httpx", "websockets", "picows", "uvloop"}
DATE_CLOCKS = {"now", "utcnow", "today"}
# In compiled code: Python's module and C's calls, comments included.
NATIVE_CLOCK = re.compile(
    r"\bimport time\b|\bfrom (time|libc\.time|posix\.time) |\btime\.\w+\("
    r"|\b(clock_gettime|gettimeofday|timespec_get|nanosleep|usleep|rdtscp?|loop\.time)\b"
    r"|\b(time|sleep)\((NULL|0|\d+)\)"
)
PORCH_CLOCKS = {SRC / "clock.py", SRC / "shm" / "native" / "clock.h"}
EXCHANGE_NAMES = re.compile(r"\b(binance|bybit|okx|mexc)\b", re.IGNORECASE)
MAY_NAME_EXCHANGES = {"exchanges", "schema", "sim", "config"}


def may_import(room: str) -> set[str]:
    if room in PORCH:
        return PORCH_MAY.get(room, PORCH)
    if room in GARDEN:
        return GARDEN[room]
    number = next((n for n, floor in enumerate(FLOORS) if room in floor), None)
    assert number is not None, f"{room!r} is on no floor: place it in FLOORS"
    return PORCH.union(*FLOORS[:number])


def modules_imported(tree: ast.Module) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: name the room, do not climb with dots"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return names


def rooms_imported(names: set[str]) -> set[str]:
    own = (name.split(".") for name in names if name.startswith("spread_scanner."))
    return {parts[1] for parts in own if parts[1] != "__version__"}


def clock_uses(tree: ast.Module) -> list[int]:
    """Lines that ask somebody else than the porch: module time, datetime's now, a loop's time()."""
    found: list[int] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            asks = any(alias.name == "time" for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            asks = node.module == "time"
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            whose = node.func.value
            asks = (node.func.attr == "time" and not node.args and not node.keywords) or (
                node.func.attr in DATE_CLOCKS
                and ast.unparse(whose) in {"datetime", "datetime.datetime", "date", "datetime.date"}
            )
        else:
            continue
        if asks:
            found.append(node.lineno)
    return found


def strings_of_code(tree: ast.Module) -> list[tuple[int, str]]:
    """String constants that are not docstrings, with their lines."""
    docs = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    return [
        (node.lineno, node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs
    ]


MODULES = [path for path in sorted(SRC.rglob("*.py")) if path != SRC / "__init__.py"]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SRC)))
def test_module_is_tidy(path: Path) -> None:
    room = path.relative_to(SRC).parts[0].removesuffix(".py")
    tree = ast.parse(path.read_text())
    names = modules_imported(tree)

    assert ast.get_docstring(tree), "a module opens with what it is, who writes it, who reads it"
    assert rooms_imported(names) <= may_import(room) | {room}
    if room in NO_SOCKETS:
        assert not {name.split(".")[0] for name in names} & SOCKET_MODULES
    if path not in PORCH_CLOCKS:
        assert not clock_uses(tree), "clock.py is the only place that asks for the time"
    if room not in MAY_NAME_EXCHANGES:
        named = [(n, text) for n, text in strings_of_code(tree) if EXCHANGE_NAMES.search(text)]
        assert not named, "exchanges are named in exchanges, schema, sim and config only"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            assert length <= FUNCTION_LINES_MAX, f"{node.name} has {length} lines"


@pytest.mark.parametrize(
    "line",
    [
        "import time",
        "from time import sleep",
        "now = datetime.now(UTC)",
        "deadline = asyncio.get_running_loop().time() + 1",
    ],
)
def test_who_asks_for_the_time_elsewhere_is_found(line: str) -> None:
    assert clock_uses(ast.parse(line)) == [1]


NATIVE = [
    path
    for suffix in ("*.pyx", "*.pxd", "*.h", "*.c")
    for path in sorted(SRC.rglob(suffix))
    if not path.with_suffix(".pyx").exists() or suffix in ("*.pyx", "*.pxd")
]  # what Cython wrote is left out


@pytest.mark.parametrize("path", NATIVE, ids=lambda path: str(path.relative_to(SRC)))
def test_compiled_code_asks_the_porch_for_the_time(path: Path) -> None:
    lines = enumerate(path.read_text().splitlines(), 1)
    asks = [f"{number}: {line}" for number, line in lines if NATIVE_CLOCK.search(line)]
    if path in PORCH_CLOCKS:
        assert asks, "this is where it is asked"
    else:
        assert not asks, "shm/native/clock.h is the only place that asks for the time"


def tracked_files() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.split("\n")
    return [ROOT / name for name in listed if name and (ROOT / name).is_file()]


def test_no_leftovers() -> None:
    leftovers = re.compile(r"\b(FIXME|XXX|HACK)\b")
    code = {".py", ".pyx", ".pxd", ".h", ".c", ".toml", ".md", ".service", ".sh"}
    for path in tracked_files():
        if path.suffix in code and path != Path(__file__):
            found = leftovers.search(path.read_text(encoding="utf-8"))
            assert not found, f"{path.relative_to(ROOT)}: {found}"


def test_bins_hold_no_logic() -> None:
    for path in sorted((ROOT / "bins").iterdir()):
        lines = path.read_text().splitlines()
        assert len(lines) < 10, f"{path.name} has {len(lines)} lines"
        assert lines[0] == "#!/usr/bin/env python3"


def test_no_room_without_a_concept() -> None:
    rooms = {path.name for path in SRC.rglob("*") if path.is_dir()}
    modules = {path.stem for path in SRC.rglob("*.py")}
    assert not (rooms | modules) & {"utils", "util", "common", "helpers", "misc"}


def test_no_native_function_outgrows_the_screen() -> None:
    """A C function of the native core fits a screen too: up to 70 lines."""
    for path in [*SRC.rglob("*.h"), *SRC.rglob("*.c")]:
        if path.with_suffix(".pyx").exists():
            continue  # written by Cython
        start = None
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if re.match(r"^[a-z].*\{$", line) and "(" in line:
                start = number
            elif line == "}" and start is not None:
                assert number - start <= FUNCTION_LINES_MAX, f"{path.name}:{start}"
                start = None
