"""Start-up: importing percolaw, `percolaw --help`, and that a second process compiles nothing.

Then the first reproduction of a new installation, without and after `percolaw warmup`.

python benchmarks/bench_start.py
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from _timing import header


def wall(arguments: list[str]) -> float:
    """Least wall seconds of three runs of a fresh interpreter."""
    times = []
    for _ in range(3):
        started = time.perf_counter()
        subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - started)
    return min(times)


def command(cache: Path, *arguments: str) -> float:
    """Wall seconds of a command that keeps its machine code in a folder."""
    started = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "percolaw", *arguments, "--quiet"],
        check=True,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "NUMBA_CACHE_DIR": str(cache)},
    )
    return time.perf_counter() - started


def first_reproduction(folder: Path) -> None:
    """A reproduction after a warm-up compiles nothing."""
    reproduce = ("reproduce", "brill2024", "--preset", "smoke", "--no-figures", "--out")
    cold = command(folder / "cold", *reproduce, str(folder / "a"))
    warmup = command(folder / "warm", "warmup")
    kernels = set((folder / "warm").rglob("*.nbc"))
    warm = command(folder / "warm", *reproduce, str(folder / "b"))
    assert kernels, "nothing was compiled beforehand"
    assert kernels == set((folder / "warm").rglob("*.nbc")), "something was compiled after all"
    print(
        f"{'first reproduction, smoke':<30} {cold:.0f} s; after percolaw warmup ({warmup:.0f} s, "
        f"{len(kernels)} pieces of machine code) {warm:.0f} s, nothing compiled"
    )
    assert warm < cold


def main() -> None:
    header()
    bare = wall(["-c", "pass"])
    for name, arguments, limit in (
        ("import percolaw", ["-c", "import percolaw"], 0.5),
        ("percolaw --help", ["-m", "percolaw", "--help"], 1.0),
    ):
        seconds = wall(arguments)
        print(f"{name:<30} {seconds:.2f} s (bar {limit} s), {seconds / bare:.1f} x bare python")
        assert seconds < limit
    script = (
        "from percolaw.clusters.conditioned import conditioned_clusters as c\n"
        "from percolaw.kernels import conditioned as k\n"
        "c(1000, 6).nearest([3])\n"
        "stats = k.conditioned_forest.stats\n"
        "assert stats.cache_hits and not stats.cache_misses, stats\n"
    )
    subprocess.run([sys.executable, "-c", script.rsplit("\n", 2)[0]], check=True)
    seconds = wall(["-c", script])
    print(f"{'draw a tree, cached kernels':<30} {seconds:.2f} s, nothing compiled")
    with tempfile.TemporaryDirectory() as name:
        first_reproduction(Path(name))


if __name__ == "__main__":
    main()
