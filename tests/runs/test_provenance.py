"""Where a result came from: percolaw's own repository, whatever the environment says."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import percolaw

pytestmark = pytest.mark.skipif(not shutil.which("git"), reason="needs git")
ASK = """
from percolaw.runs.provenance import provenance
found = provenance()
print(found["git_commit"], found["git_dirty"])
"""


def git(folder: Path, *words: str) -> str:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    command = ["git", "-C", str(folder), "-c", "user.email=a@b", "-c", "user.name=a", *words]
    return subprocess.run(
        command, env=environment, check=True, capture_output=True, text=True
    ).stdout.strip()


def repository(folder: Path, *files: str) -> str:
    """Make a repository that has these files; its commit."""
    folder.mkdir(exist_ok=True)
    git(folder, "init", "-q")
    if files:
        git(folder, "add", *files)
    git(folder, "commit", "-q", "--allow-empty", "-m", "x")
    return git(folder, "rev-parse", "HEAD")


def ask(source: Path, **variables: str) -> list[str]:
    environment = {**os.environ, "PYTHONPATH": str(source), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", ASK],
        env={**environment, **variables},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.fixture
def checkout(tmp_path):
    """A place that looks like a checkout: the package in src, no repository yet."""
    shutil.copytree(
        Path(percolaw.__file__).parent,
        tmp_path / "checkout" / "src" / "percolaw",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    return tmp_path / "checkout"


def test_variables_of_git_do_not_count(tmp_path, checkout):
    own = repository(checkout, "src")
    other = repository(tmp_path / "other")
    assert own != other
    place = str(tmp_path / "other" / ".git")
    for variables in (
        {},
        {"GIT_DIR": place},
        {"GIT_DIR": place, "GIT_WORK_TREE": str(tmp_path / "other")},
        {"GIT_INDEX_FILE": str(tmp_path / "other" / ".git" / "index")},
        {"GIT_OBJECT_DIRECTORY": place + "/objects", "GIT_NAMESPACE": "x"},
    ):
        assert ask(checkout / "src", **variables) == [own, "False"], variables
    (checkout / "src" / "percolaw" / "added.py").touch()
    assert ask(checkout / "src", GIT_DIR=place) == [own, "True"]


def test_repository_of_somebody_else_is_not_named(checkout):
    (checkout / "mine.txt").write_text("mine\n")
    repository(checkout, "mine.txt")
    assert ask(checkout / "src") == ["None", "None"]
