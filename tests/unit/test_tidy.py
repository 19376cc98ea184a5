"""Fails when the rules of the house are broken: who may import whom, how long a function may grow.

Reads the sources with `ast`, so it needs no third-party tool.
"""

import ast
import re
import subprocess
import tokenize
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
SRC = ROOT / "src" / "spread_scanner"
FUNCTION_LINES_MAX = 70

PORCH = {"errors", "clock", "config"}
FLOORS: tuple[
    set[str], ...
] = (  # A room imports the porch and the floors below. Neighbours never meet.
    {"schema"},
    {"shm", "symbology", "exchanges", "stats", "books", "wal", "solana", "web"},
    {"runtime", "view", "orders", "history", "client"},
    {
        "discovery",
        "feed",
        "engine",
        "tracker",
        "analyst",
        "alerts",
        "shminit",
        "recorder",
        "gateway",
        "pools",
        "paths",
    },
    {"supervise", "replay"},
    {"cli"},
)
GARDEN = {"sim": PORCH | FLOORS[0]}  # The simulator must not borrow the parsers that it tests.
PORCH_MAY = {"config": PORCH | FLOORS[0]}  # Settings name sources and directions.
NO_SOCKETS = {"exchanges", "symbology", "schema", "stats", "books", "solana", "pools", "paths"}
DIALS = {  # of a room without
    SRC / "pools" / name for name in ("asking.py", "calls.py", "line.py", "hearing.py", "main.py")
}
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
    """Lines that ask somebody else than the porch: module time, datetime's now, a loop's time(),
    structlog's stamps."""
    found: list[int] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            asks = any(alias.name == "time" for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            asks = node.module == "time"
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            whose = node.func.value
            asks = (
                node.func.attr == "TimeStamper"
                or (node.func.attr == "time" and not node.args and not node.keywords)
                or (
                    node.func.attr in DATE_CLOCKS
                    and ast.unparse(whose)
                    in {"datetime", "datetime.datetime", "date", "datetime.date"}
                )
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
    if room in NO_SOCKETS and path not in DIALS:
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


COSTS = SRC / "schema" / "costs.py"


def in_bps(tree: ast.Module) -> list[int]:
    """Lines that work out basis points, or money of them: something times or by ten thousand."""
    wanted = {"1e4", "10000", "10000.0", "10_000", "1e-4", "0.0001", "BPS", "costs.BPS"}
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.BinOp)
        and isinstance(node.op, ast.Mult | ast.Div)
        and wanted & {ast.unparse(node.left), ast.unparse(node.right)}
    ]


# By their own arithmetic: second opinions on what the engine says, and named as such.
JUDGES_SIZES = SRC / "supervise" / "sizes.py"
JUDGES_CARRIED = SRC / "supervise" / "carried.py"


def in_lots(tree: ast.Module) -> list[int]:
    """Lines that round a size to whole lots: something by a lot, in one piece with its rounding."""
    by_lot = re.compile(r"(?:/|%|,) *\(?[\w.]*(?:\b|_)lot(?:_\w+)?\b")
    rounds = re.compile(r"(^|\.)(floor|floor_divide|trunc|int|divmod)$")
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            whole = rounds.search(ast.unparse(node.func)) is not None
        elif isinstance(node, ast.BinOp):
            whole = isinstance(node.op, ast.FloorDiv | ast.Mod)
        else:
            continue
        if whole and by_lot.search(ast.unparse(node)):
            found.append(node.lineno)
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SRC)))
def test_nobody_else_works_out_what_a_trade_earns(path: Path) -> None:
    found = in_bps(ast.parse(path.read_text()))
    if path in (COSTS, JUDGES_CARRIED):
        assert found, "this is where it is worked out"
    elif path.relative_to(SRC).parts[0] not in GARDEN:  # the simulator's truth has its own
        assert not found, "schema/costs.py has what a spread is, and all that comes off it"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SRC)))
def test_nobody_else_rounds_to_lots(path: Path) -> None:
    found = in_lots(ast.parse(path.read_text()))
    if path in (COSTS, JUDGES_SIZES, JUDGES_CARRIED):
        assert found, "this is where it is done"
    elif path.relative_to(SRC).parts[0] not in GARDEN:
        assert not found, "schema/costs.py has what a size in whole lots is"


@pytest.mark.parametrize(
    "line",
    ["base = math.floor(top / rule.lot + 1e-9)", "n = int(sz / lot_base)", "n = top // pair.lot"],
)
def test_who_rounds_to_lots_elsewhere_is_found(line: str) -> None:
    assert in_lots(ast.parse(line))


@pytest.mark.parametrize(
    "line",
    [
        "gross = (bid - ask) / ask * 1e4",
        "net = BPS * rate",
        "earned = sum(worth) / BPS",
        "fee = px * 1e-4",
    ],
)
def test_who_works_it_out_elsewhere_is_found(line: str) -> None:
    assert in_bps(ast.parse(line)) == [1]


@pytest.mark.parametrize(
    "line",
    [
        "import time",
        "from time import sleep",
        "now = datetime.now(UTC)",
        "deadline = asyncio.get_running_loop().time() + 1",
        "stamp = structlog.processors.TimeStamper(fmt='iso')",
    ],
)
def test_who_asks_for_the_time_elsewhere_is_found(line: str) -> None:
    assert clock_uses(ast.parse(line)) == [1]


def tracked_files() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.split("\n")
    return [ROOT / name for name in listed if name and (ROOT / name).is_file()]


# What Cython wrote is ignored by git, also when its source is gone.
NATIVE = [
    path
    for path in sorted(tracked_files())
    if SRC in path.parents and path.suffix in {".pyx", ".pxd", ".h", ".c"}
]


@pytest.mark.parametrize("path", NATIVE, ids=lambda path: str(path.relative_to(SRC)))
def test_compiled_code_asks_the_porch_for_the_time(path: Path) -> None:
    lines = enumerate(path.read_text().splitlines(), 1)
    asks = [f"{number}: {line}" for number, line in lines if NATIVE_CLOCK.search(line)]
    if path in PORCH_CLOCKS:
        assert asks, "this is where it is asked"
    else:
        assert not asks, "shm/native/clock.h is the only place that asks for the time"


# The feeds mark quotes by these flags, the store hands them on; whether a quote can be stood behind
# now is for schema/freshness.py to say.
MAY_KNOW_FLAGS = {"schema", "feed", "shm", "sim", "config"}
LIMIT_NAMES = ("stale_ms_max", "stale_ns_max", "skew_ms_max", "skew_ns_max", "heartbeat_ns_max")


def judges_freshness(tree: ast.Module) -> list[int]:
    """Lines that weigh a quote by themselves: by what its flags mean, or an age by a limit."""
    found: list[int] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.alias | ast.Name) and "UNUSABLE" in ast.unparse(node):
            found.append(node.lineno)
        elif isinstance(node, ast.Compare):
            text = ast.unparse(node)
            if any(name in text for name in (*LIMIT_NAMES, "implausible_bps", "QuoteFlag.STALE")):
                found.append(node.lineno)
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SRC)))
def test_nobody_else_judges_freshness(path: Path) -> None:
    found = judges_freshness(ast.parse(path.read_text()))
    if path == SRC / "schema" / "freshness.py":
        assert found, "this is where it is judged"
    elif path.relative_to(SRC).parts[0] not in MAY_KNOW_FLAGS:
        assert not found, "schema/freshness.py says whether a quote can be stood behind"


@pytest.mark.parametrize(
    "line",
    [
        "good = now_ns - quote.ts_recv <= limits.stale_ns_max",
        "good = quotes['flags'] & int(UNUSABLE) == 0",
        "from spread_scanner.schema.enums import UNUSABLE",
        "good = gross < engine.implausible_bps",
    ],
)
def test_who_judges_freshness_elsewhere_is_found(line: str) -> None:
    assert judges_freshness(ast.parse(line))


def test_native_code_judges_freshness_in_one_place() -> None:
    wanted = re.compile(r"SS_FLAGS_UNUSABLE|<= *\w*stale_ns_max|> *\w*skew_ns_max")
    for path in NATIVE:
        if path.parent != SRC / "schema" / "native" and path.parent != SRC / "shm":
            assert not wanted.search(blanked(path.read_text())), path


def test_native_code_works_out_basis_points_in_one_place() -> None:
    """What reads and packs decimals has powers of ten of its own."""
    of_numbers = {SRC / "exchanges" / "native" / "number.h", SRC / "wal/native/quote_codec.h"}
    allowed = {SRC / "schema" / "native" / "costs.h", *of_numbers}
    for path in NATIVE:
        found = re.findall(r"\b(?:1e4|SS_BPS|10000(?:\.0)?)\b", blanked(path.read_text()))
        assert not found or path in allowed, path


def test_the_table_of_rooms_is_the_floors() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    rows = re.findall(r"^\| (porch|garden|\d) \| (`[a-z` ]+`) \|", text, re.MULTILINE)
    told = [(floor, room) for floor, rooms in rows for room in re.findall(r"`(\w+)`", rooms)]
    floors = [(str(number), room) for number, floor in enumerate(FLOORS) for room in floor]
    outside = [("porch", room) for room in PORCH] + [("garden", room) for room in GARDEN]
    assert sorted(told) == sorted(floors + outside)


def test_no_leftovers() -> None:
    leftovers = re.compile(r"\b(FIXME|XXX|HACK)\b")
    code = {".py", ".pyx", ".pxd", ".h", ".c", ".toml", ".md", ".service", ".sh"}
    for path in tracked_files():
        if path.suffix in code and path != Path(__file__):
            found = leftovers.search(path.read_text(encoding="utf-8"))
            assert not found, f"{path.relative_to(ROOT)}: {found}"


def test_a_test_that_is_named_in_the_source_is_there() -> None:
    there = {path.stem for path in (ROOT / "tests").rglob("test_*.py")}
    written = [path for kind in ("py", "pyx", "pxd", "h") for path in SRC.rglob(f"*.{kind}")]
    named = {
        (path.name, name)
        for path in written
        for name in re.findall(r"\btest_[a-z_]+\b", path.read_text(encoding="utf-8"))
    }
    assert named, "nothing is looked at"
    assert not {(where, name) for where, name in named if name not in there}


def test_bins_hold_no_logic() -> None:
    for path in sorted((ROOT / "bins").iterdir()):
        lines = path.read_text().splitlines()
        assert len(lines) < 10, f"{path.name} has {len(lines)} lines"
        assert lines[0] == "#!/usr/bin/env python3"


def test_no_two_files_of_tests_have_one_name() -> None:
    """pytest imports them by it, and stops at the second."""
    names = Counter(path.name for path in (ROOT / "tests").rglob("test_*.py"))
    assert [name for name, count in names.items() if count > 1] == []


def test_no_room_without_a_concept() -> None:
    rooms = {path.name for path in SRC.rglob("*") if path.is_dir()}
    modules = {path.stem for path in SRC.rglob("*.py")}
    assert not (rooms | modules) & {"utils", "util", "common", "helpers", "misc"}


class Function(NamedTuple):
    """A function of compiled code: its name, the first line of its head, how many lines in all."""

    name: str
    line: int
    lines: int


C_TEXT = re.compile(
    r"/\*.*?\*/|//[^\n]*"  # comments
    r"""|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])+'"""  # strings and characters
    r"|^[ \t]*\#(?:[^\n]*\\\n)*[^\n]*",  # directives
    re.DOTALL | re.MULTILINE,
)
PYX_HEAD = re.compile(r"( *)(?:async def|def|cdef|cpdef) (?!class |extern )[^=]*?(\w+)\(")
PYX_IMPORT = re.compile(r"^(?:from ([\w.]+) c?import|c?import ([\w.]+))", re.MULTILINE)


def blanked(text: str) -> str:
    """C without comments, strings and directives; every character stays in its place."""
    return C_TEXT.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text)


def c_functions(text: str) -> list[Function]:
    """Whatever stands before a brace at depth zero and ends as a list of parameters is a head."""
    code = blanked(text)
    found, depth, begun, head = [], 0, 0, ""
    for at, char in enumerate(code):
        if char == "{":
            head = code[begun:at] if depth == 0 else head
            depth += 1
        elif char == "}":
            depth -= 1
            assert depth >= 0, "braces that do not match"
        if depth == 0 and char in ";}":
            if char == "}" and head.rstrip().endswith(")") and "=" not in head:
                name = re.findall(r"(\w+)\s*\(", head)[0]
                first = begun + len(head) - len(head.lstrip())
                lines = code.count("\n", first, at) + 1
                found.append(Function(name, code.count("\n", 0, first) + 1, lines))
            begun = at + 1
    assert depth == 0, "braces that do not match"
    return found


def _opened(line: str) -> int:
    """How many parentheses more than are closed."""
    code = line.split("#")[0]
    return code.count("(") - code.count(")")


def pyx_functions(text: str) -> list[Function]:
    """Heads of one line and of several, of functions and of methods."""
    lines = text.splitlines()
    found = []
    for number, line in enumerate(lines):
        head = PYX_HEAD.match(line)
        if not head:
            continue
        last, open_ones = number, _opened(line)
        while open_ones > 0:  # the head goes on
            last += 1
            open_ones += _opened(lines[last])
        if not lines[last].split("#")[0].rstrip().endswith(":"):
            continue  # a declaration
        end = last
        for at in range(last + 1, len(lines)):
            indent = len(lines[at]) - len(lines[at].lstrip())
            if lines[at].strip() and indent <= len(head[1]):
                break
            end = at if lines[at].strip() else end
        found.append(Function(head[2], number + 1, end - number + 1))
    return found


def pyx_strings(text: str) -> list[str]:
    """String constants that are not docstrings."""
    found, before = [], tokenize.NEWLINE
    for token in tokenize.generate_tokens(iter(text.splitlines(keepends=True)).__next__):
        kind = tokenize.tok_name[token.type]
        first = before in (tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)
        if kind in ("STRING", "FSTRING_MIDDLE") and not first:
            found.append(token.string)
        if kind not in ("NL", "COMMENT", "ENCODING"):
            before = token.type
    return found


HEADER_ROOMS = {path.name: path.relative_to(SRC).parts[0] for path in SRC.rglob("*.h")}
NATIVE_TESTS = [
    path
    for path in sorted(tracked_files())
    if ROOT / "tests" in path.parents and path.suffix in {".h", ".c"}
]


@pytest.mark.parametrize(
    "path", [*NATIVE, *NATIVE_TESTS], ids=lambda path: str(path.relative_to(ROOT))
)
def test_compiled_code_is_tidy(path: Path) -> None:
    """Functions that fit a screen, rooms that keep their floors, no exchange out of its place."""
    text = path.read_text()
    if path.suffix in {".h", ".c"}:
        functions = c_functions(text)
        heads = re.findall(r"^static inline [^;]*?[;{]", blanked(text), re.MULTILINE)
        inline = [head for head in heads if head.endswith("{")]
        assert len(functions) >= len(inline), "a head that was not counted"
        included = re.findall(r'#include "(.*)"', text)
        rooms = {HEADER_ROOMS[name] for name in included if name in HEADER_ROOMS}
        strings = re.findall(r'"[^"\n]*"', text)
    else:
        functions = pyx_functions(text)
        imported = {one or other for one, other in PYX_IMPORT.findall(text)}
        rooms = rooms_imported(imported)
        strings = pyx_strings(text)
    for function in functions:
        assert function.lines <= FUNCTION_LINES_MAX, f"{function.name}: {function.lines} lines"
    if path.is_relative_to(SRC):
        room = path.relative_to(SRC).parts[0]
        assert rooms <= may_import(room) | {room}
        if room not in MAY_NAME_EXCHANGES:
            assert not [found for found in strings if EXCHANGE_NAMES.search(found)]


LONG = "    x += 1;\n" * 80
C_HEADS = {
    "brace on the line": f"static inline int f(int a) {{\n{LONG}}}\n",
    "brace below": f"static inline int f(int a)\n{{\n{LONG}}}\n",
    "head of two lines": f"static inline int f(int a,\n    int b) {{\n{LONG}}}\n",
    "type above": f"static int\nf(int a)\n{{\n{LONG}}}\n",
    "braces in text": f'int f(int a) {{\n    puts("}}"); /* }} */\n{LONG}}}\n',
    "behind an attribute": f"int z;\nint f(int (*g)(int)) {{\n{LONG}}}\n",
}


@pytest.mark.parametrize("text", C_HEADS.values(), ids=C_HEADS)
def test_no_c_head_escapes_the_rule(text: str) -> None:
    (function,) = c_functions(text + "typedef struct s {\n    int a[2];\n} s;\n")
    assert function.name == "f"
    assert function.lines >= 82


@pytest.mark.parametrize(
    "head",
    [
        "def f(self):",
        "cdef int f(self) except -1:",
        "cpdef f(self,\n        int a=1):",
        "cdef inline void f(const char *a,  # note\n        int b) noexcept nogil:",
        "cdef (int, int) f(a):",
        "cpdef list f(\n    self, int a\n):",
    ],
)
def test_no_cython_head_escapes_the_rule(head: str) -> None:
    text = f"cdef int before\n{head}\n" + "    x = 1\n\n" * 80 + "cdef int g(int a)\n"
    (function,) = pyx_functions(text)
    assert function.name == "f"
    assert function.lines >= 160


def test_imports_and_names_in_cython_are_seen() -> None:
    text = (
        '"""binance."""\nfrom spread_scanner.feed.line cimport x\nimport spread_scanner.sim.x\n'
        "def f():\n    'okx'\n    return 'bybit', f'mexc {1}'\n"
    )
    imported = {one or other for one, other in PYX_IMPORT.findall(text)}
    assert rooms_imported(imported) == {"feed", "sim"}
    assert [found for found in pyx_strings(text) if EXCHANGE_NAMES.search(found)] == [
        "'bybit'",
        *(found for found in pyx_strings(text) if "mexc" in found),
    ]
