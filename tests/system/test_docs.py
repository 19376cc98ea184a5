"""The documentation is true: its commands run, its generated pages are current, its links lead.

Fenced blocks `sh`, `console` (lines that begin with "$ "), `python` and `js` are run, in the order
in which they stand, against one simulated system that is up, whose gateway the environment names. A
block with the word `norun` is not: it needs root, a server, a person or the real exchanges, and the
prose beside it says so.
"""

import contextlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from simulated import GATEWAY, up_with_gateway

from spread_scanner.cli.reference import pages

ROOT = Path(__file__).parents[2]
PAGES = sorted(path for path in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
FENCE = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\[[^\]]+\]\(([^)#\s]+)(#[^)\s]*)?\)")
OURSELVES = {"make test"}  # this very run
COMMAND_S_MAX = 100.0
PROGRAMS = {
    "sh": ["bash", "-euo", "pipefail", "-c"],
    "console": ["bash", "-euo", "pipefail", "-c"],
    "python": [sys.executable, "-c"],
    "js": ["node", "--input-type=module", "-e"],
}
SAYS = {"python", "js"}  # what prints nothing has shown nothing
TYPESCRIPT = ROOT / "clients" / "typescript"  # whose package finds itself by its name


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
RUN = [block for block in BLOCKS if block.runs and block.kind in PROGRAMS]
DOWN = "spread-ctl down"
# It ends the system that the others need.
RUN.sort(key=lambda block: DOWN in block.text)


class UpAgain:
    """A simulated system that is up whenever it is asked for. It is last that it is ended, but a
    worker that has done so may be given blocks of another one."""

    def __init__(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        self._tmp_path_factory = tmp_path_factory
        self._up = contextlib.ExitStack()
        self._environ: dict[str, str] | None = None

    def environ(self) -> dict[str, str]:
        """Of a command on it."""
        if self._environ is None:
            folder, namespace = self._tmp_path_factory.mktemp("docs"), f"docs-{os.getpid()}"
            made = self._up.enter_context(up_with_gateway(folder, namespace))
            self._environ = {**made.environ, "RUST_CACHE_URL": made.address}
        return dict(self._environ)

    def close(self) -> None:
        """What is left of it goes, too."""
        self._up.close()
        self._environ = None


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UpAgain]:
    with contextlib.closing(UpAgain(tmp_path_factory)) as made:
        yield made


def commands(block: Block) -> str:
    """The script, as from the checkout's own folder, without what would run these tests again."""
    lines = [line for line in block.script.splitlines() if line.strip() not in OURSELVES]
    return "\n".join(lines)


@pytest.mark.parametrize("block", RUN, ids=lambda block: f"{block.page}:{block.line}")
def test_a_block_runs(system: UpAgain, block: Block) -> None:
    script = commands(block)
    if not script.strip():
        return
    environ = system.environ()
    if re.search(r"spread-ctl (up|demo)", script):  # a system of its own beside ours
        environ["SPREAD_SYSTEM__NAMESPACE"] += "-own"
        for name in ("SPREAD_CONFIG_DIR", *GATEWAY):
            del environ[name]
    if block.kind == "js" and not (shutil.which("node") and (TYPESCRIPT / "dist/.built").exists()):
        pytest.skip("needs node, npm and `make typescript`")
    done = subprocess.run(
        [*PROGRAMS[block.kind], script],
        cwd=TYPESCRIPT if block.kind == "js" else ROOT,
        env=environ,
        capture_output=True,
        text=True,
        timeout=COMMAND_S_MAX,
        check=False,
    )
    if DOWN in script:
        system.close()
    assert done.returncode == 0, f"{script}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    if block.kind in SAYS:
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


def test_every_page_is_linked_from_the_first() -> None:
    linked = {target for target, _ in LINK.findall((ROOT / "README.md").read_text())}
    written = {str(path.relative_to(ROOT)) for path in (ROOT / "docs").glob("*.md")}
    assert sorted(written - linked) == []


@pytest.mark.parametrize("name", sorted(pages()))
def test_a_generated_page_is_current(name: str) -> None:
    said = "run python -m spread_scanner.cli.reference"
    assert (ROOT / name).read_text(encoding="utf-8") == pages()[name], said


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
