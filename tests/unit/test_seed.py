"""What chance starts from in the tests themselves."""

import subprocess
from pathlib import Path

import pytest

import bed

WHO = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]


def commit(folder: Path, text: str) -> None:
    (folder / "file").write_text(text)
    for said in (["init", "--quiet"], ["add", "."], [*WHO, "commit", "--quiet", "-m", text]):
        subprocess.run(["git", *said], cwd=folder, check=True)


def test_a_seed_by_the_tree_is_another_after_each_change_and_the_same_of_the_same(
    tmp_path: Path,
) -> None:
    seeds = []
    for text in ("one", "two", "one"):
        commit(tmp_path, text)
        seeds.append(bed.seed_of_tree(tmp_path, "known"))
        assert bed.seed_of_tree(tmp_path, "known") == seeds[-1]

    assert seeds[0] != seeds[1]
    assert seeds[2] == seeds[0]
    assert "known" not in seeds


def test_without_a_commit_and_without_git_a_seed_by_the_tree_is_the_known_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert bed.seed_of_tree(tmp_path, "known") == "known"

    monkeypatch.setenv("PATH", str(tmp_path))
    assert bed.seed_of_tree(tmp_path, "known") == "known"
