"""One word, one meaning: a public class or type that two rooms call the same is found here.

Read from the sources with `ast`. The garden is a world of its own and may mirror the exchanges.
"""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

SRC = Path(__file__).parents[2] / "src" / "spread_scanner"
GARDEN = SRC / "sim"
NATIVE_CLASS = re.compile(r"^(?:cdef )?class (\w+)", re.MULTILINE)
# A section of the settings is named as the process that reads it.
SECTIONS = {"Engine", "Feed", "Tracker"}
# A class of Python over the native one of its room.
OVER_NATIVE = {"DirtyBitmap"}


def named(path: Path) -> Iterator[str]:
    """What a module makes public under a name of its own: classes, and types given a name."""
    text = path.read_text()
    if path.suffix == ".pyx":
        yield from NATIVE_CLASS.findall(text)
        return
    for node in ast.parse(text).body:
        if isinstance(node, ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign):
            yield from (
                target.id
                for target in node.targets
                if isinstance(target, ast.Name)
                and not target.id.isupper()
                and target.id[0].isupper()
            )


def twice() -> dict[str, list[str]]:
    """Names that stand for more than one thing, with where."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for path in sorted([*SRC.rglob("*.py"), *SRC.rglob("*.pyx")]):
        if GARDEN not in path.parents:
            for name in named(path):
                if not name.startswith("_") and len(name) > 1:
                    found[name].append(str(path.relative_to(SRC)))
    return {name: places for name, places in found.items() if len(places) > 1}


def same_of_each_exchange(places: list[str]) -> bool:
    """The same message, as each exchange writes it."""
    return all(place.startswith("exchanges/") and "wire" not in place for place in places)


def test_no_name_means_two_things() -> None:
    found = {
        name: places
        for name, places in twice().items()
        if name not in SECTIONS | OVER_NATIVE and not same_of_each_exchange(places)
    }
    assert not found


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("class A: ...\nclass _B: ...", ["A", "_B"]),
        ("Pair = tuple[int, int]\nLIMIT = 3\nlog = print", ["Pair"]),
    ],
)
def test_classes_and_named_types_are_seen(tmp_path: Path, text: str, names: list[str]) -> None:
    path = tmp_path / "module.py"
    path.write_text(text)
    assert list(named(path)) == names
