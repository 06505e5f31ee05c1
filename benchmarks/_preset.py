"""Run a preset without the command line's libraries.

python benchmarks/_preset.py EXPERIMENT PRESET OUT WORKERS
An interrupted run keeps its units; the same command, or percolaw run with the same preset, goes on.
"""

import sys
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from multiprocessing import get_context

import percolaw as pl
from percolaw.experiments.base import preset
from percolaw.experiments.registry import experiment_class

if __name__ == "__main__":
    name, which, out, workers = sys.argv[1:]
    kind = experiment_class(name)
    experiment = preset(kind, which)
    print(f"{name}, preset {which}: {kind.presets[which].time}, {len(experiment.cells())} units")
    # Not the pool of the command line, which needs a package that machines with accelerators lack.
    with (
        ProcessPoolExecutor(int(workers), get_context("spawn"))
        if int(workers) > 1
        else nullcontext()
    ) as pool:
        result = pl.run(experiment, out=out, executor=pool, progress=True)
    for claim in result.claims:
        print(claim)
    print(result.folder)
