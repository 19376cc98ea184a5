"""What documentation, docstrings and comments name is there: files, classes of a room or module,
and words that can only be names (Two_words, TwoWords). A name that was changed stays behind in
prose, where no compiler sees it: `make mentions` prints each with its file, and fails if there are
any.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
HISTORY = {"CHANGELOG.md", "BENCHMARKS.md"}  # speak of what was
# Names that others gave: the kernel, systemd, OpenSSL, exchanges, and what stands for a name.
FOREIGN = {
    "FUTEX_PRIVATE", "SPREAD_ENGINE", "SPREAD_SECTION__KEY", "SSL_CERT_DIR", "SeqLock",
    "cpu_dma_latency", "nohz_full", "post_only", "ru_maxrss", "sched_attr", "sd_notify",
    "sd_watchdog_enabled", "seqcount_latch_t", "stddef.h", "linux/sched/types.h",
    "exchanges/NAME.py",
}  # fmt: skip
FILE = re.compile(r"\b([A-Za-z_]\w*(?:/[\w.-]+)*\.(?:py|pyx|pxd|h|c|md))\b")
OF_MODULE = re.compile(r"\b([a-z_]+)\.([A-Z][a-z]\w+)\b")
NAME = re.compile(r"(?<![\w.$/-])(?:[A-Z][a-z]+(?:[A-Z][a-z]+)+|\w*[A-Za-z]_[A-Za-z]\w*)\b")
WORD = re.compile(r"[A-Za-z_]\w*")
C_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
DOCSTRING = re.compile(r'"""(.*?)"""', re.DOTALL)
COMMENT = re.compile(r"(?:^|\s)# (.*)")


@cache
def texts() -> dict[str, str]:
    """What is in git, by path, but for what the exchanges and others wrote."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout.split("\n")  # fmt: skip
    return {
        name: (ROOT / name).read_text(errors="replace")
        for name in listed
        if name and "payloads" not in name and not name.endswith((".gz", ".lock", ".json"))
        if (ROOT / name).is_file()
    }


def prose(name: str) -> Iterator[str]:
    """What a file says to people."""
    text = texts()[name]
    if name.endswith(".md"):
        yield text
    elif name.endswith((".h", ".c")):
        yield from C_COMMENT.findall(text)
    elif name.endswith(".py"):
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                yield ast.get_docstring(node) or ""
        yield from COMMENT.findall(text)
    elif name.endswith((".pyx", ".pxd", ".pyi")):
        yield from DOCSTRING.findall(text)
        yield from COMMENT.findall(text)


def code(name: str) -> str:
    """The rest of it."""
    text = texts()[name]
    if name.endswith(".md"):
        return ""
    if name.endswith((".h", ".c")):
        return C_COMMENT.sub(" ", text)
    if name.endswith((".py", ".pyx", ".pxd", ".pyi")):
        return COMMENT.sub(" ", DOCSTRING.sub(" ", text))
    return text


def said() -> Iterator[tuple[str, str]]:
    """(file, what it says) of everything that speaks of what is."""
    for name in texts():
        if name not in HISTORY and Path(ROOT / name) != Path(__file__):
            for text in prose(name):
                yield name, text


def files() -> Iterator[str]:
    """Files that are not there."""
    ends = {f"/{name}" for name in texts()}
    for name, text in said():
        for file in FILE.findall(text):
            if file not in FOREIGN and not any(end.endswith(f"/{file}") for end in ends):
                yield f"{name}: {file}"


def classes() -> Iterator[str]:
    """Classes that are not in the module or room that they are named with."""
    places: dict[str, set[str]] = {}
    for name in texts():
        path = Path(name)
        if path.suffix in (".py", ".pyx") and path.parts[0] == "src":
            words = set(WORD.findall(code(name)))
            for place in (path.stem, path.parent.name):
                places.setdefault(place, set()).update(words)
    for name, text in said():
        for module, member in OF_MODULE.findall(text):
            if module in places and member not in places[module]:
                yield f"{name}: {module}.{member}"


def words() -> Iterator[str]:
    """Words that can only be names, and are none."""
    known = {word for name in texts() for word in WORD.findall(code(name))}
    known |= {Path(name).stem for name in texts()} | FOREIGN
    for name, text in said():
        for word in NAME.findall(text):
            if word not in known and word.rstrip("s") not in known:
                yield f"{name}: {word}"


def main() -> int:
    """Print what is missing; the exit code."""
    missing = sorted({*files(), *classes(), *words()})
    sys.stdout.write("".join(f"{one}\n" for one in missing))
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
