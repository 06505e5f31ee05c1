"""Start-up: importing percolaw, `percolaw --help`, and that a second process compiles nothing.

python benchmarks/bench_start.py
"""

import subprocess
import sys
import time

from _timing import header


def wall(arguments: list[str]) -> float:
    """Least wall seconds of three runs of a fresh interpreter."""
    times = []
    for _ in range(3):
        started = time.perf_counter()
        subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - started)
    return min(times)


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


if __name__ == "__main__":
    main()
