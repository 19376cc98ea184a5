"""The documentation is true: its commands run, its generated pages are current, its links lead.

Fenced blocks `sh`, `console` (lines that begin with "$ ") and `python` are run, in the order in
which they stand, against one simulated system that is up. A block with the word `norun` is not: it
needs root, a server, a person or the real exchanges, and the prose beside it says so.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from machine import wait_until

from spread_scanner.cli.reference import pages
from spread_scanner.shm import segment

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
PAGES = sorted(path for path in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
FENCE = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\[[^\]]+\]\(([^)#\s]+)(#[^)\s]*)?\)")
OURSELVES = {"make test"}  # this very run
COMMAND_S_MAX = 100.0
KINDS = {"sh", "console", "python"}


class Block(NamedTuple):
    """A fenced block of a page."""

    page: str
    line: int
    kind: str
    runs: bool
    text: str

    @property
    def script(self) -> str:
        """What is handed to the shell or to Python."""
        if self.kind == "console":
            lines = [line[2:] for line in self.text.splitlines() if line.startswith("$ ")]
            return "\n".join(lines)
        return self.text


def blocks_of(path: Path) -> list[Block]:
    text = path.read_text(encoding="utf-8")
    return [
        Block(
            str(path.relative_to(ROOT)),
            text.count("\n", 0, found.start()) + 1,
            found.group(1),
            "norun" not in found.group(2).split(),
            found.group(3),
        )
        for found in FENCE.finditer(text)
    ]


BLOCKS = [block for path in PAGES for block in blocks_of(path)]
RUN = [block for block in BLOCKS if block.runs and block.kind in KINDS]
# `down` ends the system that the others need.
RUN.sort(key=lambda block: "spread-ctl down" in block.text)


class System(NamedTuple):
    """A simulated system that is up, and how a command meets it."""

    environ: dict[str, str]
    folder: Path


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    folder = tmp_path_factory.mktemp("docs")
    namespace = f"docs-{os.getpid()}"
    environ = {
        **{name: value for name, value in os.environ.items() if not name.startswith("SPREAD_")},
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "HOME": str(folder / "home"),
    }
    (folder / "home").mkdir()
    log = folder / "up.log"
    with log.open("w") as said:
        up = subprocess.Popen(
            [
                *("spread-ctl", "--namespace", namespace, "up", "--sim", "--no-screen"),
                *("--symbols", "30", "--rate", "300", "--keep", str(folder / "run")),
            ],
            env=environ,
            stdout=said,
            stderr=said,
        )
    inside = {
        **environ,
        "SPREAD_CONFIG_DIR": str(folder / "run" / "config"),
        "SPREAD_SYSTEM__NAMESPACE": namespace,
    }
    try:
        wait_until(lambda: up.poll() is not None or _is_up(inside), log.read_text)
        assert up.poll() is None, log.read_text()
        yield System(inside, folder)
    finally:
        up.terminate()
        up.wait(timeout=30)
        for name in segment.names(namespace):
            segment.remove(name)


def _is_up(environ: dict[str, str]) -> bool:
    done = subprocess.run(
        ["spread-ctl", "status", "--json"], env=environ, capture_output=True, check=False
    )
    return done.returncode == 0


def commands(block: Block) -> str:
    """The script, as from the checkout's own folder, without what would run these tests again."""
    lines = [line for line in block.script.splitlines() if line.strip() not in OURSELVES]
    return "\n".join(lines)


@pytest.mark.parametrize("block", RUN, ids=lambda block: f"{block.page}:{block.line}")
def test_a_block_runs(system: System, block: Block) -> None:
    script = commands(block)
    if not script.strip():
        return
    environ = dict(system.environ)
    if re.search(r"spread-ctl (up|demo)", script):  # a system of its own beside ours
        environ["SPREAD_SYSTEM__NAMESPACE"] += "-own"
        del environ["SPREAD_CONFIG_DIR"]
    program = (
        [sys.executable, "-c"] if block.kind == "python" else ["bash", "-euo", "pipefail", "-c"]
    )
    done = subprocess.run(
        [*program, script],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        timeout=COMMAND_S_MAX,
        check=False,
    )
    assert done.returncode == 0, f"{script}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    if block.kind == "python":
        assert done.stdout.strip()


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_link_leads_somewhere(path: Path) -> None:
    for target, anchor in LINK.findall(path.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", target):
            continue
        there = path.parent / target
        assert there.exists(), target
        if anchor:
            heads = re.findall(r"^#+ (.*)$", there.read_text(encoding="utf-8"), re.MULTILINE)
            known = {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}
            assert anchor[1:] in known, anchor


@pytest.mark.parametrize("name", sorted(pages()))
def test_a_generated_page_is_current(name: str) -> None:
    said = "run python -m spread_scanner.cli.reference"
    assert (ROOT / "docs" / name).read_text(encoding="utf-8") == pages()[name], said


def test_every_subcommand_is_named_in_the_documentation() -> None:
    from spread_scanner.cli.main import app

    text = "\n".join(path.read_text(encoding="utf-8") for path in PAGES)
    for command in app.registered_commands:
        assert command.name is not None
        assert re.search(rf"\b{command.name}\b", text), command.name


def test_every_fault_and_state_has_its_line_in_the_operating_guide() -> None:
    from spread_scanner.errors import SegmentError
    from spread_scanner.schema.enums import ProcessState

    text = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")
    for fault in SegmentError.__subclasses__():
        assert f"| {fault.__name__} |" in text, fault.__name__
    for state in ProcessState:
        assert f"| `{state.name.lower()}`" in text, state.name
