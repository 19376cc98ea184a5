"""Which build this is: its release, and the commit that it was made from.

In a checkout the commit is what git's own files say now; a wheel has it in a file beside this one,
which setup.py writes. Said by `--version`, in the log at start, in each health row and in `status`,
so that one can tell whether what runs is what is installed.
"""

import re
from functools import cache
from pathlib import Path

from spread_scanner import __version__

HERE = Path(__file__).parent
COMMIT_FILE = "commit.txt"
DIGITS = 12


@cache
def version() -> str:
    """For example "0.1.0+831a399d1a33"; without a commit where none is known. At most 40 bytes.

    Of what this process began as; `installed` is asked by who looks whether that has changed.
    """
    return installed()


def installed() -> str:
    """The same of what is on the disk now."""
    known = commit_of(HERE.parents[2] / ".git") or _written()
    release = _release()
    return f"{release}+{known}" if known else release


def commit_of(git: Path) -> str:
    """The commit of a checkout by its .git; empty where there is none.

    Read from files: root may build a checkout of somebody else, which git itself refuses.
    """
    try:
        if git.is_file():  # a worktree says where its folder is
            git = (git.parent / git.read_text().partition(":")[2].strip()).resolve()
        head = (git / "HEAD").read_text().strip()
        name = head.removeprefix("ref: ")
        if name == head:
            return head[:DIGITS]
        shared = git / "commondir"
        common = git / shared.read_text().strip() if shared.is_file() else git
        for folder in (git, common):
            if (folder / name).is_file():
                return (folder / name).read_text().strip()[:DIGITS]
        packed = (common / "packed-refs").read_text().splitlines()
        return next((line[:DIGITS] for line in packed if line.endswith(f" {name}")), "")
    except (OSError, ValueError):
        return ""


def _release() -> str:
    try:
        said = (HERE / "__init__.py").read_text(encoding="utf-8")
    except (OSError, ValueError):
        return __version__
    found = re.search(r'^__version__ = "([^"]+)"', said, re.MULTILINE)
    return found[1] if found else __version__


def _written() -> str:
    try:
        return (HERE / COMMIT_FILE).read_text(encoding="ascii").strip()[:DIGITS]
    except (OSError, ValueError):
        return ""
