"""``percolaw generate``: datasets on disk."""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from percolaw import checks
from percolaw.cli.measuring import say_if_kernels_are_new
from percolaw.cli.numbers import count
from percolaw.progress import progress
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
    )
    generate.add_argument(
        "kind",
        choices=list(_KIND_FLAGS),
        metavar="KIND",
        help="cluster, distribution, hierarchy, manifold or lattice",
    )
    generate.add_argument("--n", type=count, required=True, help="points, e.g. 2000000 or 2e6")
    generate.add_argument("--dim", type=count, default=64, help="dimension (default: 64)")
    generate.add_argument("--out", required=True, help="file or folder; the suffix is the format")
    generate.add_argument("--seed", type=count, default=0, help="seed (default: 0)")
    labels = generate.add_argument_group("labels")
    labels.add_argument(
        "--labels",
        default=None,
        help="cluster: linear, none; distribution: walk, linear, none; hierarchy: standardized (each "
        "cluster), hierarchical (normalised by the number of latents), raw (sums) (default: the first)",
    )
    labels.add_argument(
        "--target",
        default=None,
        metavar="WORDS",
        help="a function of the points as labels: 'Matérn 0.5', 'ReLU 8 x 16', 'Fourier', ...",
    )
    labels.add_argument(
        "--noise",
        type=float,
        default=0.0,
        help="standard deviation of noise in the labels, in units of theirs (default: 0)",
    )
    generate.add_argument("--overwrite", action="store_true", help="replace what is there")
    generate.add_argument("--quiet", action="store_true", help="no progress")
    _add_kinds(generate)
    generate.set_defaults(handler=run_generate, given=())


_KIND_FLAGS = {
    "cluster": ("size", "z", "steps", "memory"),
    "distribution": ("ensemble", "clusters", "standardize", "centres", "spacing"),
    "hierarchy": ("ensemble", "steps", "spacing", "published"),
    "manifold": ("manifold", "intrinsic_dim"),
    "lattice": ("lattice_dim", "probability", "percolation", "sites"),
}


class _Given(argparse.Action):
    """Stores a flag, and that it was given, its default or not."""

    def __call__(
        self, parser: Any, namespace: Any, values: Any, option_string: str | None = None
    ) -> None:
        setattr(namespace, self.dest, values)
        namespace.given = (*namespace.given, self.dest)


def _add_kinds(generate: argparse.ArgumentParser) -> None:
    """Add the flags that one kind of data has."""
    cluster, distribution, hierarchy, manifold, lattice = (
        generate.add_argument_group(f"of a {kind}") for kind in _KIND_FLAGS
    )
    for group in (cluster, distribution, hierarchy, manifold, lattice):
        group.register("action", None, _Given)  # what `add_argument` makes where no action is named
    hierarchy.description = "--ensemble, --labels, --steps and --spacing (of yule) too"
    cluster.add_argument(
        "--size", type=float, default=float("inf"), help="sites (default: infinite)"
    )
    cluster.add_argument(
        "--z", type=float, default=float("inf"), help="coordination number (default: infinite)"
    )
    cluster.add_argument(
        "--steps",
        default="gaussian",
        help="gaussian, sphere, lattice; hierarchy: gaussian, latents",
    )
    distribution.add_argument(
        "--ensemble",
        default=None,
        help="site, cluster, yule; hierarchy: one, yule (default: the first)",
    )
    distribution.add_argument(
        "--clusters",
        type=count,
        default=316,
        help="clusters of site and cluster (default: 316)",
    )
    distribution.add_argument(
        "--standardize", default="cluster", help="labels by cluster, or over all"
    )
    distribution.add_argument(
        "--centres", default="random", help="random, grid, rotated (default: random)"
    )
    distribution.add_argument(
        "--spacing",
        type=float,
        default=2.0,
        help="distance of clusters in extents of the largest; hierarchy: of those of yule (default: 2)",
    )
    hierarchy.add_argument(
        "--published",
        action="store_true",
        help="write NAME.npz and NAME_gt_features.npz as the published 2026 generator does",
    )
    cluster.add_argument(
        "--memory",
        type=float,
        default=2.0,
        help="GiB of one block when streaming (default: 2)",
    )
    _add_shapes(manifold, lattice)


def _add_shapes(manifold: Any, lattice: Any) -> None:
    """Add the flags of manifolds and of boxes of a lattice."""
    manifold.add_argument(
        "--manifold",
        default="cube",
        help="cube, ball, sphere, torus, swiss-roll, graph",
    )
    manifold.add_argument("--intrinsic-dim", type=count, default=2, help="dimension")
    lattice.add_argument("--lattice-dim", type=count, default=3, help="dimension")
    lattice.add_argument(
        "--probability", type=float, default=None, help="p (default: the threshold)"
    )
    lattice.add_argument("--percolation", default="bond", help="bond, site")
    lattice.add_argument(
        "--sites",
        type=count,
        default=None,
        help="sites of the box (default: 20 a point)",
    )


#: What labels a kind of data can have, beside those of ``--target``; the first is the default.
_LABELS = {
    "cluster": ("linear", "none"),
    "distribution": ("walk", "linear", "none"),
    "hierarchy": ("standardized", "hierarchical", "raw"),
    "manifold": ("linear",),
    "lattice": ("linear",),
}


def _refuse_foreign_flags(options: argparse.Namespace) -> None:
    """Refuse flags that the kind of dataset would ignore."""
    given = {*options.given, *(("published",) if options.published else ())}
    for name in sorted(given):
        kinds = [kind for kind, names in _KIND_FLAGS.items() if name in names]
        if kinds and options.kind not in kinds:
            flag = "--" + name.replace("_", "-")
            raise ValueError(
                f"{flag} belongs to `generate {' and '.join(kinds)}`, not to {options.kind}."
            )
    if options.ensemble == "yule" and "clusters" in given:
        raise ValueError(
            "yule draws how many clusters there are, so --clusters has no influence: leave it out, or "
            "take --ensemble site or cluster."
        )
    one = options.kind == "hierarchy" and options.ensemble != "yule"
    if one and "spacing" in given:
        raise ValueError("--spacing is between clusters, and there is one: add --ensemble yule.")
    if options.published and options.target:
        raise ValueError(
            "--published writes labels that its latents make. Leave out --target, or --published."
        )


def run_generate(options: argparse.Namespace) -> int:
    """Write a dataset, after refusing what will not fit.

    Raises
    ------
    ValueError
        For flags out of range, of another kind of data, or that need a finite cluster.
    """
    from percolaw.datasets.formats import (
        load,
        make_and_save,
        make_and_save_published,
        stream_cluster,
    )
    from percolaw.datasets.formats.target import suffix_of

    n, dim = options.n, options.dim
    _check(options)
    started = time.perf_counter()
    if not options.quiet:
        say_if_kernels_are_new()
    plain = options.z == float("inf") and options.steps == "gaussian"
    plain = plain and not (options.labels or options.target or options.noise)
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
        if options.kind == "hierarchy":
            n_bytes = _say_size(options)
        write = make_and_save_published if options.published else make_and_save
        write(lambda: _labelled(options), target, n_bytes, overwrite=options.overwrite)
    if not options.quiet:
        print(f"{load(target)} in {printable(target)}; {time.perf_counter() - started:.1f} s")
    return 0


def _say_size(options: argparse.Namespace) -> float:
    """Say what memory a hierarchy takes and return its bytes on disk; refuse it if too large."""
    import numpy as np

    from percolaw.clusters.ensembles import yule_process
    from percolaw.datasets.latents import hierarchy_bytes

    n, dim = options.n, options.dim
    in_memory, on_disk = hierarchy_bytes(n, dim), 4.0 * n * dim + 48.0 * n
    if options.published:
        sizes = np.array([n])
        if options.ensemble == "yule":
            sizes = np.bincount(yule_process(n, rng=options.seed))
        entries = float(np.sum(sizes * np.sqrt(math.pi * sizes / 2)))  # in the mean
        in_memory, on_disk = (
            in_memory + 30.0 * entries + 8.0 * n * dim,
            8.0 * n * dim + 12.0 * entries,
        )
    what = f"{n} points in {dim} dimensions with their latents"
    remedy = "Ask for fewer points" + (", or leave out --published." if options.published else ".")
    checks.memory(in_memory, what, remedy)
    if not options.quiet:
        human = checks.human_bytes
        print(f"{what}: about {human(in_memory)} of memory, {human(on_disk)} of disk", flush=True)
    return on_disk


def _check(options: argparse.Namespace) -> None:
    """Refuse what cannot be made."""
    from percolaw.targets.families import parse_target

    checks.integer("--n", options.n, minimum=1)
    checks.integer("--dim", options.dim, minimum=1)
    checks.real("--noise", options.noise, minimum=0.0)
    if not 0.0 < options.memory < float("inf"):
        raise ValueError(f"--memory must be a positive number of GiB; got {options.memory:g}.")
    _refuse_foreign_flags(options)
    if options.target is not None:
        parse_target(options.target)
        if options.labels is not None:
            raise ValueError("--labels and --target both say what the labels are; give one.")
    elif options.labels is not None:
        checks.choice(f"--labels of a {options.kind}", options.labels, _LABELS[options.kind])
    if options.noise and options.labels == "none":
        raise ValueError("--noise is added to labels, and --labels none asks for none.")
    if options.kind == "hierarchy":
        checks.choice("--ensemble of a hierarchy", options.ensemble or "one", ("one", "yule"))
        checks.choice("--steps of a hierarchy", options.steps, ("gaussian", "latents"))
    if options.kind == "cluster":
        from percolaw.embedding.walk import STEPS

        checks.choice("--steps", options.steps, STEPS)
        if options.size == float("inf") and (
            options.z != float("inf") or options.steps != "gaussian"
        ):
            raise ValueError(
                "--z and --steps other than gaussian need a finite cluster: add --size, e.g. 1e7."
            )


def _labelled(options: argparse.Namespace) -> Dataset:
    """The dataset that was asked for, in memory: its points, a target of them, noise."""
    from percolaw.targets.families import parse_target

    data = _dataset(options)
    if options.target is not None:
        data = data.with_teacher(parse_target(options.target), options.seed)
    return data.with_noise(options.noise, options.seed) if options.noise else data


def _dataset(options: argparse.Namespace) -> Dataset:
    """The dataset that was asked for, in memory."""
    from percolaw.datasets.hypercubic import make_lattice
    from percolaw.datasets.latents import make_hierarchy
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
            labels=options.labels or "linear",
        )
    if options.kind == "distribution":
        return make_distribution(
            n,
            dim,
            seed,
            ensemble=options.ensemble or "site",
            n_clusters=options.clusters,
            labels=options.labels or "walk",
            standardize=options.standardize,
            centres=options.centres,
            spacing=options.spacing,
        )
    if options.kind == "hierarchy":
        labels = options.labels or "standardized"
        return make_hierarchy(
            n,
            dim,
            seed,
            ensemble=options.ensemble or "one",
            steps=options.steps,
            normalized=labels != "raw",
            standardized=labels == "standardized",
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
