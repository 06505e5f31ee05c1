"""Results do not depend on how many threads, workers or which executor measured them."""

import ast
import ctypes
import os
import shutil
import subprocess
import sys
import sysconfig
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from percolaw.experiments.base import missing_extra
from percolaw.experiments.registry import EXPERIMENTS, experiment_class
from percolaw.runs import threads
from percolaw.runs.threads import THREAD_VARIABLES, one_thread

SCRIPT = """
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
import percolaw
from percolaw.experiments.registry import experiment_class
if __name__ == "__main__":
    name, kind, out = sys.argv[1:]
    cls = experiment_class(name)
    with {"threads": ThreadPoolExecutor, "processes": ProcessPoolExecutor}[kind](2) as executor:
        percolaw.run(cls(**cls.presets["smoke"].config), out=out, executor=executor)
"""
EVERY = (*THREAD_VARIABLES, "NUMBA_NUM_THREADS")
ONE = dict.fromkeys(EVERY, "1")
MANY = dict.fromkeys(EVERY, "3")
#: Who measures, and how many threads its libraries begin with; as many as there are cores if not said.
WAYS = (("--workers 1", MANY), ("--workers 2", {}), ("threads", MANY), ("processes", MANY))


def environment(variables: dict[str, str]) -> dict[str, str]:
    """This environment with these numbers of threads and no others."""
    return {**{k: v for k, v in os.environ.items() if k not in EVERY}, **variables}


def fresh(tmp_path: Path, name: str, way: str, **variables: str) -> tuple[bytes, str]:
    """rows.jsonl and record of a smoke preset, from a process that reads only its environment."""
    out = tmp_path / f"{way}{len(list(tmp_path.iterdir()))}"
    if way.startswith("--"):
        flags = [*way.split(), "--no-figures", "--quiet", "--out", str(out)]
        smoke = ["run", name, "--preset", "smoke"]
        words = ["-m", "percolaw", *(own_data(tmp_path) if name == "analyze" else smoke), *flags]
    else:
        script = tmp_path / "script.py"
        script.write_text(SCRIPT)
        words = [str(script), name, way, str(out)]
    done = subprocess.run(
        [sys.executable, *words],
        env=environment(variables),
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    (folder,) = out.iterdir()
    record = (folder / "record.json").read_text()
    return (folder / "rows.jsonl").read_bytes(), record[record.index('"claims"') :].split(
        '"provenance"'
    )[0].split('"unit_seconds"')[0]


def own_data(folder: Path) -> list[str]:
    """The words that analyse a file of points with classes."""
    points = np.random.default_rng(0).random((500, 3))
    np.save(folder / "x.npy", points)
    np.save(folder / "y.npy", np.floor(2.0 * points[:, 0]).astype(int))
    files = [str(folder / "x.npy"), "--labels", str(folder / "y.npy")]
    return ["analyze", *files, "--draws", "20"]


@pytest.mark.skipif(os.cpu_count() == 1, reason="one core")
@pytest.mark.parametrize(
    "variables", [pytest.param(ONE, marks=pytest.mark.slow), MANY], ids=["one", "many"]
)
def test_numbers_of_threads_reach_the_processes(variables):
    code = (
        "import numba, numpy, scipy.linalg, threadpoolctl as t; "
        "print({i['num_threads'] for i in t.threadpool_info() if i['user_api'] == 'blas'} "
        "| {numba.get_num_threads()})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(variables), capture_output=True, text=True
    )
    found = ast.literal_eval(done.stdout)
    assert found == {1} if variables is ONE else min(found) > 1, (
        found
    )  # OpenBLAS stops at the cores


@pytest.mark.parametrize(
    "name", ["kernel-tuning", pytest.param("kernel-scaling", marks=pytest.mark.slow)]
)
def test_rows_are_equal_for_one_and_many_threads(tmp_path, name):
    """One worker measures in the command's own process, whose libraries have a thread per core."""
    many = fresh(tmp_path, name, "--workers 1", **MANY)
    assert many == fresh(tmp_path, name, "--workers 1", **ONE)


@pytest.mark.slow
@pytest.mark.parametrize("name", list(EXPERIMENTS))
def test_rows_are_equal_wherever_they_are_measured(tmp_path, name):
    cls = experiment_class(name)
    if missing_extra(cls) or ("smoke" not in cls.presets and name != "analyze"):
        pytest.skip(missing_extra(cls) or "no smoke preset")
    expected = fresh(tmp_path, name, "--workers 1", **ONE)
    for way, variables in WAYS:
        if way.startswith("--") or name != "analyze":
            assert fresh(tmp_path, name, way, **variables) == expected, (way, variables)


@pytest.mark.slow
@pytest.mark.parametrize(
    "variables",
    [
        {"PYTHONHASHSEED": "7"},
        {"PYTHONOPTIMIZE": "2"},
        {"NUMBA_NUM_THREADS": "1"},
        {"LC_ALL": "C"},
        {"OMP_NUM_THREADS": "3", "MKL_NUM_THREADS": "2"},
    ],
    ids=lambda variables: next(iter(variables)),
)
@pytest.mark.parametrize("name", ["kernel-tuning", "dof-scan", "single-cluster"])
def test_environment_changes_nothing(tmp_path, name, variables):
    assert fresh(tmp_path, name, "--workers 1", **variables) == fresh(tmp_path, name, "--workers 1")


def blas_threads() -> list[int]:
    return [info["num_threads"] for info in threadpool_info() if info["user_api"] == "blas"]


def test_threads_of_the_process_are_given_back_whatever_overlaps():
    """In a fresh process, whose libraries begin with three threads each."""
    code = "import sys; sys.path.insert(0, sys.argv[1]); import test_thread_counts as t; t.overlapping()"
    done = subprocess.run(
        [sys.executable, "-c", code, str(Path(__file__).parent)],
        env={**os.environ, "OPENBLAS_NUM_THREADS": "3"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def overlapping() -> None:
    """Enter and leave the limit from many threads; the numbers before and after must be equal."""
    with one_thread():
        pass
    before, variables = blas_threads(), dict(os.environ)
    assert len(before) >= 2
    assert min(before) > 1, before
    seen = []
    first, second = threading.Event(), threading.Event()

    def early() -> None:
        with one_thread():
            first.set()
            second.wait(5)
        seen.append(blas_threads())

    def late() -> None:
        first.wait(5)
        with one_thread():
            second.set()
            time.sleep(0.1)
            seen.append(blas_threads())

    with ThreadPoolExecutor(2) as pool:
        for task in [pool.submit(early), pool.submit(late)]:
            task.result()
    assert all(set(numbers) == {1} for numbers in seen), seen
    assert blas_threads() == before
    assert dict(os.environ) == variables


def test_torch_gets_its_threads_back():
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with one_thread("torch"):
            assert torch.get_num_threads() == 1
            with ThreadPoolExecutor(1) as pool:
                assert pool.submit(torch.get_num_threads).result() == 1
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_libraries_are_looked_up_again_when_one_came_without_a_module(tmp_path):
    before, loads = threads._libraries(), threads._loads()
    if not loads:
        pytest.skip("this system's loader does not count")
    assert threads._libraries() is before
    folder = Path(sysconfig.get_config_var("DESTSHARED"))
    small = min(folder.glob("*.so"), key=lambda file: file.stat().st_size)
    loaded = ctypes.CDLL(str(shutil.copy(small, tmp_path / "another.so")))
    assert threads._loads() != loads
    assert threads._libraries() is not before
    assert loaded is not None
