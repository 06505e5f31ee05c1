"""``percolaw generate``: datasets on disk."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from percolaw import checks
from percolaw.cli.numbers import count
from percolaw.runs.progress import progress
from percolaw.text import printable

if TYPE_CHECKING:
    from percolaw.datasets.dataset import Dataset


def add(commands: Any) -> None:
    """Add the command to the parser."""
    generate = commands.add_parser(
        "generate",
        help="write a dataset to .npz, .npy, .zarr or .parquet",
        description="Write a dataset. Clusters in .zarr are streamed in bounded memory; the same "
        "command continues an interrupted one.",
        allow_abbrev=False,
    )
    generate.add_argument(
        "kind",
        choices=["cluster", "distribution", "manifold", "lattice"],
        metavar="KIND",
        help="cluster, distribution, manifold or lattice",
    )
    generate.add_argument("--n", type=count, required=True, help="points, e.g. 2000000 or 2e6")
    generate.add_argument("--dim", type=count, default=64, help="dimension (default: 64)")
    generate.add_argument("--out", required=True, help="file or folder; the suffix is the format")
    generate.add_argument("--seed", type=count, default=0, help="seed (default: 0)")
    generate.add_argument(
        "--size", type=float, default=float("inf"), help="cluster: sites (default: infinite)"
    )
    generate.add_argument(
        "--z",
        type=float,
        default=float("inf"),
        help="cluster: coordination number (default: infinite)",
    )
    generate.add_argument("--steps", default="gaussian", help="cluster: gaussian, sphere, lattice")
    generate.add_argument("--ensemble", default="site", help="distribution: site, cluster, yule")
    generate.add_argument("--clusters", type=count, default=316, help="distribution: clusters")
    generate.add_argument("--labels", default="walk", help="distribution: walk, linear, none")
    generate.add_argument(
        "--standardize", default="cluster", help="distribution: labels by cluster, or over all"
    )
    generate.add_argument(
        "--centres", default="random", help="distribution: random, grid, rotated (default: random)"
    )
    generate.add_argument(
        "--spacing",
        type=float,
        default=2.0,
        help="distribution: distance of clusters in extents of the largest (default: 2)",
    )
    generate.add_argument(
        "--manifold", default="cube", help="manifold: cube, ball, sphere, torus, swiss-roll, graph"
    )
    generate.add_argument("--intrinsic-dim", type=count, default=2, help="manifold: dimension")
    generate.add_argument("--lattice-dim", type=count, default=3, help="lattice: dimension")
    generate.add_argument(
        "--probability", type=float, default=None, help="lattice: p (default: the threshold)"
    )
    generate.add_argument("--percolation", default="bond", help="lattice: bond, site")
    generate.add_argument(
        "--sites", type=count, default=None, help="lattice: sites of the box (default: 20 a point)"
    )
    generate.add_argument(
        "--memory", type=float, default=2.0, help="GiB of one block when streaming (default: 2)"
    )
    generate.add_argument("--overwrite", action="store_true", help="replace what is there")
    generate.add_argument("--quiet", action="store_true", help="no progress")
    generate.set_defaults(handler=run_generate)


_KIND_FLAGS = {
    "cluster": ("size", "z", "steps", "memory"),
    "distribution": ("ensemble", "clusters", "labels", "standardize", "centres", "spacing"),
    "manifold": ("manifold", "intrinsic_dim"),
    "lattice": ("lattice_dim", "probability", "percolation", "sites"),
}


def _refuse_foreign_flags(options: argparse.Namespace) -> None:
    """Refuse flags that the kind of dataset would ignore."""
    parser = argparse.ArgumentParser()
    add(parser.add_subparsers())
    default = vars(parser.parse_args(["generate", options.kind, "--n", "1", "--out", "-"]))
    for kind, names in _KIND_FLAGS.items():
        for name in names:
            if kind != options.kind and getattr(options, name) != default[name]:
                flag = "--" + name.replace("_", "-")
                raise ValueError(f"{flag} belongs to `generate {kind}`, not to {options.kind}.")


def run_generate(options: argparse.Namespace, rest: list[str]) -> int:
    """Write a dataset, after refusing what will not fit.

    Parameters
    ----------
    options : argparse.Namespace
        Of the command.
    rest : list of str
        Not used.

    Returns
    -------
    int
        Exit code 0.

    Raises
    ------
    ValueError
        For flags out of range, of another kind of data, or that need a finite cluster.
    """
    from percolaw.datasets.formats import load, make_and_save, stream_cluster
    from percolaw.datasets.formats.target import suffix_of

    n, dim = options.n, options.dim
    checks.integer("--n", n, minimum=1)
    checks.integer("--dim", dim, minimum=1)
    if not 0.0 < options.memory < float("inf"):
        raise ValueError(f"--memory must be a positive number of GiB; got {options.memory:g}.")
    _refuse_foreign_flags(options)
    if options.kind == "cluster":
        from percolaw.embedding.walk import STEPS

        checks.choice("--steps", options.steps, STEPS)
        if options.size == float("inf") and (
            options.z != float("inf") or options.steps != "gaussian"
        ):
            raise ValueError(
                "--z and --steps other than gaussian need a finite cluster: add --size, e.g. 1e7."
            )
    started = time.perf_counter()
    plain = options.z == float("inf") and options.steps == "gaussian"
    target = Path(options.out)
    if options.kind == "cluster" and suffix_of(target) == ".zarr" and plain:
        with progress(target.name, options.quiet) as update:
            stream_cluster(
                target,
                n,
                dim,
                options.seed,
                size=options.size,
                memory=options.memory * 2**30,
                overwrite=options.overwrite,
                progress=update,
            )
    else:
        n_bytes = 4.0 * n * dim + 24.0 * n
        make_and_save(lambda: _made(options), target, n_bytes, overwrite=options.overwrite)
    if not options.quiet:
        print(f"{load(target)} in {printable(target)}; {time.perf_counter() - started:.1f} s")
    return 0


def _made(options: argparse.Namespace) -> Dataset:
    """The dataset that was asked for, in memory."""
    from percolaw.datasets.hypercubic import make_lattice
    from percolaw.datasets.make import make_cluster, make_distribution
    from percolaw.datasets.manifolds import make_manifold

    n, dim, seed = options.n, options.dim, options.seed
    if options.kind == "cluster":
        return make_cluster(
            n,
            dim,
            seed,
            size=options.size,
            coordination_number=options.z,
            steps=options.steps,
        )
    if options.kind == "distribution":
        return make_distribution(
            n,
            dim,
            seed,
            ensemble=options.ensemble,
            n_clusters=options.clusters,
            labels=options.labels,
            standardize=options.standardize,
            centres=options.centres,
            spacing=options.spacing,
        )
    if options.kind == "lattice":
        return make_lattice(
            n,
            options.lattice_dim,
            options.probability,
            dim,
            seed,
            kind=options.percolation,
            n_sites=options.sites,
        )
    return make_manifold(options.manifold, n, options.intrinsic_dim, dim, seed)
