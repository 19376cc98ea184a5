"""Whether what a page promises is held: a table from its words to tests by name."""

import ast
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

TESTS = Path(__file__).parents[1]


@cache
def named_in(file: str) -> set[str]:
    """The functions of a file of tests."""
    path = TESTS / file
    if not path.exists():
        return set()
    tree = ast.parse(path.read_text())
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in ast.walk(tree) if isinstance(node, kinds)}


def all_held(promised: Iterable[str], held: Mapping[str, Iterable[tuple[str, str]]]) -> None:
    """Each promise has its row, each row its promise, and its tests are there."""
    found = set(promised)
    assert sorted(found - set(held)) == [], "promised, and no test named"
    assert sorted(set(held) - found) == [], "no longer promised"
    gone = [
        f"{heading}: {file}::{test}"
        for heading, tests in held.items()
        for file, test in tests
        if test not in named_in(file)
    ]
    assert gone == []
