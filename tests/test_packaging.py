"""The wheel and the sdist: whole, installed without network, working from a place that is read-only."""

import os
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

import percolaw as pl

ROOT = Path(__file__).parents[1]
BUILD = "import sys, hatchling.build as b; b.build_wheel(sys.argv[1]); b.build_sdist(sys.argv[1])"


def call(arguments, cwd, **variables):
    """Run a program away from the repository, with nothing of it on the path."""
    env = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "NUMBA_CACHE_DIR")}
    done = subprocess.run(
        [str(a) for a in arguments],
        cwd=cwd,
        env={**env, "COLUMNS": "200", **variables},
        capture_output=True,
        text=True,
        timeout=1200,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    pytest.importorskip("hatchling")
    out = tmp_path_factory.mktemp("dist")
    call([sys.executable, "-c", BUILD, out], ROOT)
    (wheel,), (sdist,) = out.glob("*.whl"), out.glob("*.tar.gz")
    return wheel, sdist


@pytest.fixture(scope="module")
def installed(built, tmp_path_factory):
    """A new environment with the wheel in it; dependencies are those of this one."""
    pytest.importorskip("pip")
    home = tmp_path_factory.mktemp("environment")
    venv.create(home, symlinks=True)
    python = home / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-index"]
    call([*pip, "--no-deps", built[0]], home)
    (packages,) = home.glob("lib/python*/site-packages")
    here = [p for p in sys.path if p.endswith("site-packages")]
    (packages / "dependencies.pth").write_text("\n".join(here))
    return home


def files_of(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_wheel_is_the_package_and_nothing_else(built):
    files = {n: b for n, b in files_of(built[0]).items() if ".dist-info/" not in n}
    source = ROOT / "src"
    expected = {
        str(f.relative_to(source)): f.read_bytes()
        for f in source.rglob("*")
        if f.is_file() and "__pycache__" not in f.parts
    }
    assert files == expected
    assert "percolaw/py.typed" in files


def test_sdist_makes_the_same_wheel(built, tmp_path):
    with tarfile.open(built[1]) as archive:
        archive.extractall(tmp_path, filter="data")
    (unpacked,) = tmp_path.iterdir()
    call([sys.executable, "-c", BUILD, tmp_path / "again"], unpacked)
    (again,) = (tmp_path / "again").glob("*.whl")
    assert files_of(again) == files_of(built[0])


def test_installed_wheel_has_its_command_and_types(installed, tmp_path):
    assert call([installed / "bin" / "percolaw", "--version"], tmp_path).strip() == pl.__version__
    where = "import percolaw; print(percolaw.__file__)"
    assert Path(call([installed / "bin" / "python", "-c", where], tmp_path)).is_relative_to(
        installed
    )


@pytest.mark.slow
def test_smoke_reproduction_of_an_installation_that_cannot_be_written(installed, tmp_path):
    """Machine code then goes to the user's cache, and is found there again."""
    if not shutil.which("unshare") or subprocess.run(["unshare", "-m", "true"]).returncode:
        pytest.skip("read-only mounts need the right to unshare")
    locked = f"mount --bind -o ro {installed} {installed} && exec {installed}/bin/percolaw "
    command = locked + "reproduce brill2024 --preset smoke --out runs"
    said = call(["unshare", "-m", "sh", "-c", command], tmp_path, XDG_CACHE_HOME=str(tmp_path))
    assert "agree" in said
    assert list((tmp_path / "runs").rglob("record.json"))
    compiled = set((tmp_path / "percolaw" / "percolaw-kernels").rglob("*.nbc"))
    assert compiled
    again = locked + "run cluster-drawings --preset smoke --out again"
    call(["unshare", "-m", "sh", "-c", again], tmp_path, XDG_CACHE_HOME=str(tmp_path))
    assert set((tmp_path / "percolaw" / "percolaw-kernels").rglob("*.nbc")) == compiled
    assert not list(installed.rglob("*.nbc"))
