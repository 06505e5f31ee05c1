"""Compiled kernels on disk: made of the present sources, wherever they may be written."""

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

import percolaw
from percolaw.kernels import compile as compiling

PACKAGE = Path(percolaw.__file__).parent
#: Prints a random number, and how often kernels came from the cache and were compiled: in a kernel that
#: inlines those of `random.py` and is compiled in a second.
ASK = """
import numpy as np
from percolaw.kernels import random, walk
from percolaw.kernels.compile import cache_folder
centre = np.empty((1, 1))
walk.uniform_centres(np.zeros(1, np.int64), np.uint64(1), 1.0, centre)
kernels = [k for m in (random, walk) for k in vars(m).values() if hasattr(k, "signatures")]
print(centre[0, 0])
print(sum(sum(k.stats.cache_hits.values()) for k in kernels))
print(sum(sum(k.stats.cache_misses.values()) for k in kernels))
print(cache_folder())
"""


@pytest.fixture
def installation(tmp_path):
    """A copy of the package, as `pip` would place it."""
    shutil.copytree(
        PACKAGE, tmp_path / "site" / "percolaw", ignore=shutil.ignore_patterns("__pycache__")
    )
    return tmp_path / "site"


def ask(site: Path, *before: str, **variables: str) -> tuple[float, int, int, str]:
    """Random number, kernels from the cache, kernels compiled, place of the cache."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("NUMBA")}
    environment |= {"PYTHONPATH": str(site), "PYTHONDONTWRITEBYTECODE": "1", **variables}
    done = subprocess.run(
        [*before, sys.executable, "-c", ASK], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    drawn, hits, misses, place = done.stdout.splitlines()
    return float(drawn), int(hits), int(misses), place


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """An installation whose kernels are compiled, and what it answered."""
    site = tmp_path_factory.mktemp("compiled")
    shutil.copytree(PACKAGE, site / "percolaw", ignore=shutil.ignore_patterns("__pycache__"))
    return site, ask(site)


def edit(site: Path, number: int) -> None:
    """Another constant in the random numbers that other kernels inline."""
    file = site / "percolaw" / "kernels" / "random.py"
    text = file.read_text()
    assert "0xBF58476D1CE4E5B9" in text
    file.write_text(text.replace("0xBF58476D1CE4E5B9", f"0xBF58476D1CE4E5{number:02X}"))


def test_an_edit_of_random_numbers_reaches_every_kernel(compiled, tmp_path):
    site, (first, _, misses, place) = compiled
    assert misses > 0
    assert Path(place).is_relative_to(site)
    warm, hits, misses, _ = ask(site)
    assert (warm, misses) == (first, 0), "a warm cache was not used"
    assert hits > 0
    shutil.copy2(site / "percolaw" / "kernels" / "random.py", tmp_path)
    edit(site, 0xB7)
    changed = ask(site)
    shutil.copy2(tmp_path / "random.py", site / "percolaw" / "kernels")
    assert changed[1] == 0, "all is compiled anew"
    assert changed[0] != first


def test_where_nothing_can_be_written_kernels_have_no_place(tmp_path, monkeypatch):
    file = tmp_path / "file"
    file.touch()
    for places, place in (([file], None), ([file, tmp_path], tmp_path)):
        monkeypatch.setattr(compiling, "_places", lambda given=places: iter(given))
        compiling.cache_folder.cache_clear()
        folder = compiling.cache_folder()
        assert folder == (place and place / "percolaw-kernels" / compiling.sources_digest())
    compiling.cache_folder.cache_clear()


@pytest.mark.slow  # the same in real folders
@pytest.mark.skipif(not shutil.which("setpriv"), reason="needs setpriv, to have no rights as root")
def test_read_only_installation_without_a_home(installation, tmp_path):
    """As a user who may write neither to the package, nor at home, nor among temporary files."""
    rights = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]
    if os.getuid() == 0:
        rights += ["--reuid=65534", "--regid=65534", "--clear-groups"]
    if subprocess.run([*rights, "true"], capture_output=True).returncode:
        pytest.skip("setpriv may not be used here")
    for path in [tmp_path, *tmp_path.parents]:
        if not path.stat().st_mode & stat.S_IXOTH and path.stat().st_uid == os.getuid():
            path.chmod(path.stat().st_mode | stat.S_IXOTH | stat.S_IROTH)
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o555)
    for path in [*installation.rglob("*"), installation]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    nowhere = {"HOME": str(locked), "XDG_CACHE_HOME": str(locked), "TMPDIR": str(locked)}
    try:
        first = ask(installation, *rights, **nowhere)
        # Python itself falls back to /tmp; the kernels may have gone there, too.
        assert first[3] == "None" or not Path(first[3]).is_relative_to(tmp_path)
        cache = tmp_path / "cache"
        cache.mkdir()
        cache.chmod(0o777)
        there = ask(installation, *rights, **{**nowhere, "XDG_CACHE_HOME": str(cache)})
        assert there[0] == first[0]
        assert Path(there[3]).is_relative_to(cache)
        again = ask(installation, *rights, **{**nowhere, "XDG_CACHE_HOME": str(cache)})
        assert again[2] == 0
    finally:
        for path in [installation, *installation.rglob("*")]:
            path.chmod(0o755 if path.is_dir() else 0o644)


def test_the_place_that_numba_is_told_counts(compiled, tmp_path):
    site, (first, *_) = compiled
    found = ask(site, NUMBA_CACHE_DIR=str(tmp_path / "given"))
    assert found[0] == first
    assert Path(found[3]).is_relative_to(tmp_path / "given")
    assert list(Path(found[3]).iterdir())


@pytest.mark.slow
def test_damaged_kernels_are_made_anew(compiled):
    site, (first, *_, place) = compiled
    for file in Path(place).iterdir():
        file.write_bytes(b"damaged")
    assert ask(site)[0] == first


def test_folders_of_other_sources_do_not_pile_up(tmp_path, monkeypatch):
    monkeypatch.setattr(compiling, "_places", lambda: iter([tmp_path]))
    for number in range(9):
        monkeypatch.setattr(compiling, "sources_digest", lambda n=number: f"digest{n}")
        compiling.cache_folder.cache_clear()
        folder = compiling.cache_folder()
        os.utime(folder, (number, number))
        assert folder.exists()
    compiling.cache_folder.cache_clear()
    assert len(list((tmp_path / "percolaw-kernels").iterdir())) == compiling.KEPT


def test_a_foreign_temporary_folder_is_not_trusted(tmp_path, monkeypatch):
    monkeypatch.setattr(compiling.tempfile, "gettempdir", lambda: str(tmp_path))
    own = tmp_path / f"percolaw-{os.getuid()}"
    assert own in list(compiling._places())
    own.chmod(0o777)
    assert own not in list(compiling._places())
    own.rmdir()
    own.symlink_to(tmp_path)
    assert own not in list(compiling._places())


def test_every_kernel_uses_the_decorator():
    for file in sorted((PACKAGE / "kernels").glob("*.py")):
        if file.name != "compile.py":
            assert "njit" not in file.read_text(), file
