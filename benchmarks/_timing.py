"""What the benchmarks share: warm timing, peak memory, one line a result."""

import os
import platform
import resource
import statistics
import sys
import time

import numba
import numpy


def header(threads: str = ", one thread") -> None:
    """Print machine and versions."""
    print(
        f"# {os.path.basename(sys.argv[0])}: python {platform.python_version()}, numpy "
        f"{numpy.__version__}, numba {numba.__version__}, {os.cpu_count()} cores{threads}"
    )
    if not __debug__:
        print("# assertions are switched off (python -O): nothing below is checked")


def cpu_seconds(work, repeats: int = 3):
    """Median CPU seconds of `work()` over repeats, and its last result. Compile before."""
    times = []
    for _ in range(repeats):
        started = time.process_time()
        result = work()
        times.append(time.process_time() - started)
    return statistics.median(times), result


def peak_gib() -> float:
    """Peak resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def report(name: str, seconds: float, limit: float, reference: float, unit: str) -> None:
    """Print a result, its bar, and its ratio to a reference measured in the same run."""
    print(f"{name:<46} {seconds:8.3f} s  (bar {limit:g} s)  {seconds / reference:7.2f} x {unit}")
    assert seconds < limit, f"{name}: {seconds:.3f} s is over the bar of {limit} s"
