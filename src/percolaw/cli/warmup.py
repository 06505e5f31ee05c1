"""``percolaw warmup``: compile the kernels before they are waited for."""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

from percolaw.cli.terminal import note
from percolaw.progress import progress

#: File in the folder of machine code that says that the warm-up came to its end.
DONE = "compiled"


def add(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "warmup",
        help="compile the kernels now (a minute or two), so that no run waits for it",
        description="Compile the kernels by measuring the smallest preset of every experiment without "
        "networks once, an analysis, latents and parities; results are thrown away. Machine code is "
        "kept until percolaw, Numba or Python change: in NUMBA_CACHE_DIR if it is set, else beside the "
        "package, else, if that is read-only, in the user's cache. Networks compile a kernel of their "
        "own at their first step, and so do types of data that are met first, within seconds.",
    )
    parser.add_argument("--quiet", action="store_true", help="no progress")
    parser.set_defaults(handler=run_warmup)


def run_warmup(options: argparse.Namespace) -> int:
    """Compile what is not compiled yet; say where it is kept; 1 if it cannot be kept."""
    from percolaw.kernels.compile import cache_folder

    folder = cache_folder()
    if folder is None:
        note(
            "no place to keep machine code can be written; kernels are compiled in every process. Name a "
            "folder in NUMBA_CACHE_DIR."
        )
        return 1
    if (folder / DONE).exists():
        print(f"kernels are compiled already: {folder}")
        return 0
    started = time.perf_counter()
    work = smallest_units()
    with progress("compiling", options.quiet) as update:
        update(0, len(work))
        measure_the_rest()
        for index, (experiment, cell) in enumerate(work):
            experiment.measure(cell)
            update(index + 1, len(work))
    (folder / DONE).touch()
    print(f"kernels are compiled, in {time.perf_counter() - started:.0f} s: {folder}")
    return 0


def smallest_units() -> list[tuple[Any, dict[str, Any]]]:
    """Return what can be measured here without networks or data: smallest presets, one seed each.

    Returns
    -------
    list of (experiment, cell)
    """
    from percolaw.experiments.base import missing_extra
    from percolaw.experiments.registry import EXPERIMENTS, experiment_class

    units = []
    for name in EXPERIMENTS:
        kind = experiment_class(name)
        extra, _ = getattr(kind, "extra", ("", ""))
        if extra == "torch" or missing_extra(kind) or hasattr(kind, "unavailable"):
            continue
        if "smoke" not in kind.presets:
            continue
        experiment = kind(**kind.presets["smoke"].config)
        different = {
            json.dumps({k: v for k, v in cell.items() if k != "seed"}, sort_keys=True): cell
            for cell in experiment.cells()
        }
        units += [(experiment, cell) for cell in different.values()]
    return units


def measure_the_rest() -> None:
    """Do what users do and no experiment without an extra: analyse data, ask for latents, learn parities.

    And search neighbours that float32 cannot tell apart, which none of the experiments has.
    """
    import numpy as np

    from percolaw.analysis.analyze import analyze
    from percolaw.datasets.latents import latents, make_hierarchy
    from percolaw.datasets.parity_tasks import parity_tasks
    from percolaw.interpret.ceiling import latent_posterior
    from percolaw.learners.subset_elimination import eliminate
    from percolaw.numerics.neighbors import nearest_neighbors

    for dtype in (np.float32, np.float64):
        nearest_neighbors(np.zeros((100, 2), dtype), np.ones((1, 2), dtype))
    points = np.random.default_rng(0).random((400, 2))
    analyze(points, points[:, 0] > 0.5, n_draws=20)
    make_hierarchy(200, dim=4, rng=0, ensemble="yule", steps="latents")
    data = make_hierarchy(200, dim=4, rng=0)
    known = latents(data)
    latent_posterior(known.merges, data.y[known.row])
    drawn = parity_tasks(4, 6, 2, 0.4).sample(200)
    first = drawn.task == 0
    eliminate(drawn.bits()[first], drawn.label[first], 2)
