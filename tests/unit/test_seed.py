"""What chance starts from in the tests themselves."""

import subprocess
from pathlib import Path

import pytest

import bed

WHO = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
FOLDERS = ("src", "tests/days")


def commit(root: Path, **said: str) -> str:
    """The seed by the commit of a checkout, of which files begin with `said`."""
    for folder, text in said.items():
        file = root / folder.replace("_", "/") / "file"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    for asked in (["init", "--quiet"], ["add", "."], [*WHO, "commit", "--quiet", "-m", "text"]):
        subprocess.run(["git", *asked], cwd=root, check=True)
    return bed.seed_of_commit(root, FOLDERS, "known")


def test_a_seed_by_the_commit_is_another_after_each_change_of_what_it_is_made_from(
    tmp_path: Path,
) -> None:
    one = commit(tmp_path, src="one", tests_days="one", docs="one")
    seeds = [
        commit(tmp_path, src="two"),
        commit(tmp_path, tests_days="two"),
        commit(tmp_path, src="one"),
    ]

    assert len({one, "known", *seeds}) == 5
    assert commit(tmp_path, docs="two") == seeds[-1], "what is lived is no other"
    assert commit(tmp_path, tests_days="one") == one


def test_without_a_commit_and_without_git_a_seed_is_the_known_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert bed.seed_of_commit(tmp_path, FOLDERS, "known") == "known"

    monkeypatch.setenv("PATH", str(tmp_path))
    assert bed.seed_of_commit(tmp_path, FOLDERS, "known") == "known"
