"""What somebody else wrote and stands in this tree is named, with its licence, in NOTICE, and goes
into the wheel with ours. There is none so far: then there is no NOTICE either."""

import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OTHERS = re.compile(
    rb"copyright (?:\(c\)|\xc2\xa9|\d{4})|\xc2\xa9 ?\d{4}|SPDX-License-Identifier|licensed under"
    rb"|all rights reserved|@license",
    re.IGNORECASE,
)
FOLDERS = re.compile(r"(?:^|/)(?:vendor|vendored|third[_-]party|external|node_modules)/")
OURS = {"LICENSE", "NOTICE", str(Path(__file__).relative_to(ROOT))}


def of_others(root: Path, names: list[str]) -> Iterator[str]:
    """The files that bear a licence of their own, or lie where such files lie."""
    for name in names:
        if name in OURS or not (root / name).is_file():
            continue
        if FOLDERS.search(name) or OTHERS.search((root / name).read_bytes()[:8_192]):
            yield name


def tracked() -> list[str]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True)
    return listed.stdout.decode().splitlines()


def test_what_others_wrote_is_in_the_notice_and_the_wheel() -> None:
    found = [*of_others(ROOT, tracked())]
    notice = ROOT / "NOTICE"
    said = notice.read_text(encoding="utf-8") if notice.exists() else ""
    assert [name for name in found if name not in said] == []
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["license"] == "Apache-2.0"
    assert {"LICENSE", *(["NOTICE"] if said else [])} <= {*project["license-files"]}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("src/a/number.h", "/* Copyright (c) 2021 Somebody */"),
        ("src/a/number.h", "// SPDX-License-Identifier: MIT"),
        ("src/a/page.js", "/*! @license somebody's */"),
        ("src/a/vendor/page.js", "let a = 1"),
    ],
)
def test_what_others_wrote_is_found(tmp_path: Path, name: str, text: str) -> None:
    (path := tmp_path / name).parent.mkdir(parents=True)
    path.write_text(text)
    (tmp_path / "src" / "ours.py").write_text('"""Ours."""')
    assert [*of_others(tmp_path, [name, "src/ours.py"])] == [name]
