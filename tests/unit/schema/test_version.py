"""Which commit a checkout is at, by git's files; git itself is the judge."""

import subprocess
from pathlib import Path

import pytest

from spread_scanner import __version__
from spread_scanner.schema.version import DIGITS, commit_of, version


def git(folder: Path, *arguments: str) -> str:
    who = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    command = ["git", "-C", str(folder), *who, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    git(tmp_path, "init", "--quiet", "--initial-branch=some/branch", "checkout")
    made = tmp_path / "checkout"
    git(made, "commit", "--quiet", "--allow-empty", "--message=first")
    return made


def head(folder: Path) -> str:
    return git(folder, "rev-parse", "HEAD")[:DIGITS]


def test_a_branch_a_packed_one_and_none(checkout: Path) -> None:
    assert commit_of(checkout / ".git") == head(checkout)
    git(checkout, "pack-refs", "--all")
    assert commit_of(checkout / ".git") == head(checkout)
    git(checkout, "checkout", "--quiet", "--detach")
    assert commit_of(checkout / ".git") == head(checkout)


def test_a_worktree_has_a_commit_of_its_own(checkout: Path) -> None:
    git(checkout, "worktree", "add", "--quiet", "-b", "other", "../other")
    other = checkout.parent / "other"
    git(other, "commit", "--quiet", "--allow-empty", "--message=second")
    assert commit_of(other / ".git") == head(other) != head(checkout)
    git(other, "pack-refs", "--all")
    assert commit_of(other / ".git") == head(other)


@pytest.mark.parametrize("text", [None, "", "gitdir: nowhere", "\\udcff"])
def test_what_is_no_checkout_has_none(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / ".git").write_bytes(text.encode("utf-8", "surrogateescape"))
    assert commit_of(tmp_path / ".git") == ""


def test_the_version_fits_a_health_row() -> None:
    assert version().startswith(__version__)
    assert len(version().encode()) <= 40
