"""Machine code follows the sources of all kernels, and its cache is no condition for anything."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

import percolaw
from percolaw.kernels import compilation

PACKAGE = Path(percolaw.__file__).parent
#: A kernel of one file that inlines another file's.
ASK = (
    "import numpy as np; from percolaw.kernels import walk; from percolaw.rng import Streams;"
    "print(walk.deal_rows(np.arange(40) % 2, np.array([0, 20, 40]), Streams(0).key('split')).tolist())"
)


@pytest.fixture
def site(tmp_path):
    """A copy of the package without any machine code."""
    folder = tmp_path / "site"
    shutil.copytree(
        PACKAGE, folder / "percolaw", ignore=shutil.ignore_patterns("__pycache__", "*.nb?")
    )
    return folder


def asked(folder, question=ASK, **environment):
    """What a fresh process prints that uses the copy."""
    names = ("NUMBA_CACHE_DIR", "PERCOLAW_WARNED_OF_CACHE")
    clean = {k: v for k, v in os.environ.items() if k not in names}
    done = subprocess.run(
        [sys.executable, "-c", question],
        env={**clean, "PYTHONPATH": str(folder), **environment},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip(), done.stderr


def machine_code(folder):
    return {p.name: p.stat().st_mtime_ns for p in folder.rglob("*.nb[ic]")}


def test_a_warm_cache_is_used_and_an_edited_constant_is_not_missed(site):
    first, _ = asked(site)
    written = machine_code(site)
    assert written
    again, _ = asked(site)
    assert again == first
    assert machine_code(site) == written, "nothing was compiled again"

    random = site / "percolaw" / "kernels" / "random.py"
    text = random.read_text()
    assert "0xBF58476D1CE4E5B9" in text
    stamp = random.stat()
    random.write_text(text.replace("0xBF58476D1CE4E5B9", "0xBF58476D1CE4E5B7"))
    os.utime(random, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))  # same size, same time
    warm, _ = asked(site, PYTHONDONTWRITEBYTECODE="1")
    for file in site.rglob("*.nb[ic]"):
        file.unlink()
    cold, _ = asked(site, PYTHONDONTWRITEBYTECODE="1")
    assert warm == cold != first


def test_code_of_old_sources_is_removed_after_a_day(site):
    asked(site)
    before = machine_code(site)
    folder = site / "percolaw" / "kernels" / "__pycache__"
    for file in folder.glob("*.nb[ic]"):
        os.utime(file, (time.time() - 2 * compilation.KEPT,) * 2)
    growth = site / "percolaw" / "kernels" / "growth.py"
    growth.write_text(growth.read_text() + "\nUNUSED = 1\n")
    asked(site)
    after = machine_code(site)
    assert not set(after) & set(before)
    assert len(after) == len(before)


@pytest.mark.parametrize("place", ["home", "given", "nowhere"])
def test_an_installation_that_cannot_be_written(site, tmp_path, place):
    """As root everything can be written: folders that are files stand for what cannot."""
    for folder in {f.parent for f in (site / "percolaw").rglob("*.py")}:
        (folder / "__pycache__").write_text("")  # no folder can be made here
    home = tmp_path / "home"
    home.mkdir()
    given = {"HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1"}
    if place == "given":
        given["NUMBA_CACHE_DIR"] = str(tmp_path / "cache")
    if place == "nowhere":
        (home / ".cache").write_text("")
    given["XDG_CACHE_HOME"] = str(home / ".cache")
    found, said = asked(site, **given)
    assert found == asked(PACKAGE.parent)[0]
    kept = {"home": home, "given": tmp_path / "cache"}.get(place)
    if kept is not None:
        assert machine_code(kept)
        assert "RuntimeWarning" not in said
    else:
        assert said.count("Set NUMBA_CACHE_DIR") == 1


def test_kernels_work_without_compiling(site):
    """NUMBA_DISABLE_JIT leaves plain Python functions."""
    plain, _ = asked(site, NUMBA_DISABLE_JIT="1", PYTHONWARNINGS="ignore")
    assert plain == asked(PACKAGE.parent)[0]


def test_every_kernel_is_made_by_the_decorator():
    for file in (PACKAGE / "kernels").glob("*.py"):
        if file.name != "compilation.py":
            assert "njit" not in file.read_text(), f"{file.name}: use percolaw.kernels.compilation"
    assert compilation.sources_digest() == compilation._DIGEST
