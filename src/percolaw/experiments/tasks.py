"""What the learning experiments share: points of known dimension by name, and teachers by name."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.rng import Streams

FloatArray = npt.NDArray[np.float64]

#: The product manifold: a sphere times an interval.
PRODUCT = (("sphere", 2), ("cube", 1))
#: Sites of a finite cluster for each point taken of it.
SITES_PER_POINT = 100
#: Sites of the clusters of real lattices, at least.
LATTICE_SITES = 300_000
#: z of finite clusters.
COORDINATION_NUMBER = 200
#: Coordinates of a masked cube: 20, as in the program of Sharma and Kaplan (2022).
MASKED_DIM = 20
#: Waves of a Matérn field that is a function on all of space.
N_WAVES = 512


def dimension(name: str) -> float:
    """Return the dimension of points by their name; raises ValueError with the names there are.

    >>> dimension("cluster d = 16"), dimension("cube 3"), dimension("sphere 2 x cube 1")
    (4.0, 3.0, 3.0)
    >>> dimension("lattice d = 2, 1.3 p_c"), round(dimension("lattice d = 2, p_c"), 4)
    (2.0, 1.8958)
    """
    from percolaw.hypercubic import critical_exponents

    words = name.split()
    try:
        if name == "sphere 2 x cube 1":
            return 3.0
        if words[:-1] in (["cluster", "d", "="], ["finite", "cluster", "d", "="]):
            return float(min(4, checks.integer("d", int(words[-1]), minimum=1)))
        if name.startswith("lattice"):
            d, ratio = _lattice(name)
            return float(d) if ratio > 1.0 else critical_exponents(d).fractal_dimension
        if words[:-1] == ["cube"]:
            return float(checks.integer("cube", int(words[-1]), minimum=1))
        if words[:-1] == ["masked", "cube"]:
            return float(checks.integer("cube", int(words[-1]), minimum=1, maximum=MASKED_DIM))
    except ValueError:
        pass
    raise ValueError(
        f"unknown points {name!r}; there are 'cluster d = 16' (infinite), 'finite cluster d = 16', "
        f"'cube 4', 'masked cube 4' (in {MASKED_DIM} coordinates), 'lattice d = 3, p_c' (a ball of the "
        "incipient infinite cluster), 'lattice d = 3, 1.3 p_c' (the giant cluster of a box), each with "
        "numbers of your choice, and 'sphere 2 x cube 1'."
    )


def _lattice(name: str) -> tuple[int, float]:
    """Dimension and p/p_c of a real lattice's name; ValueError for others."""
    found = re.fullmatch(r"lattice d = ([2-8]), (?:(\d+(?:\.\d+)?) )?p_c", name)
    ratio = float(found[2] or 1.0) if found else 0.0
    if found is None or ratio < 1.0:
        raise ValueError(name)
    return int(found[1]), ratio


def _lattice_points(d: int, ratio: float, n: int, streams: Streams) -> FloatArray:
    """Coordinates of n sites of one cluster, drawn without replacement."""
    from percolaw.clusters.hypercubic.box import HypercubicLattice, percolate
    from percolaw.clusters.hypercubic.grown import grow_from_origin
    from percolaw.hypercubic import hypercubic_threshold

    sites, threshold = max(LATTICE_SITES, SITES_PER_POINT * n), hypercubic_threshold(d)
    if ratio > 1.0:
        box = HypercubicLattice(d, round(sites ** (1.0 / d)))
        found: Any = percolate(box, min(1.0, ratio * threshold), streams).graph().coordinates
    else:
        found = grow_from_origin(d, threshold, sites, rng=streams, min_size=sites).coordinates
    if found.shape[0] < n:
        raise ValueError(
            f"the largest cluster has {found.shape[0]} sites, fewer than the {n} points asked for. Take "
            "a p further above p_c."
        )
    chosen = streams.generator("evaluation").choice(found.shape[0], n, replace=False)
    return found[chosen].astype(np.float64)


def points(name: str, n: int, streams: Streams, n_sites: int = 0) -> FloatArray:
    """Return n points by their name, standardised (`standardized_inputs`).

    Of a finite cluster they are sites drawn without replacement: of `n_sites`, or `SITES_PER_POINT` for
    each point; so they are on real lattices, of at least `LATTICE_SITES` in all.
    """
    from percolaw.clusters.conditioned import conditioned_clusters
    from percolaw.datasets.make import make_cluster
    from percolaw.datasets.manifolds import make_manifold
    from percolaw.embedding.skeleton import embed_sites
    from percolaw.targets.teacher import standardized_inputs

    d = int(dimension(name)) if "cluster" not in name else int(name.split()[-1])
    x: npt.NDArray[Any]
    if name.startswith("lattice"):
        x = _lattice_points(*_lattice(name), n, streams)
    elif name.startswith("cluster"):
        x = make_cluster(n, d, streams, labels="none").X
    elif name.startswith("finite"):
        tree = conditioned_clusters(
            n_sites or SITES_PER_POINT * n, COORDINATION_NUMBER, rng=streams
        )
        sites = streams.generator("evaluation").choice(tree.n_sites, n, replace=False)
        x = embed_sites(tree, sites, d, streams)[0]
    elif name.startswith("masked"):
        cube = make_manifold("cube", n, d, rng=streams).X
        x = np.zeros((n, MASKED_DIM), dtype=cube.dtype)
        x[:, :d] = cube - 0.5
    elif name.startswith("cube"):
        x = make_manifold("cube", n, d, rng=streams).X
    else:
        x = make_manifold(PRODUCT, n, rng=streams).X
    return standardized_inputs(x)


def teachers(n_outputs: int = 1) -> dict[str, Any]:
    """Return the random functions of the write-up by name, with the outputs to draw of each."""
    from percolaw.targets.fourier import FourierTeacher
    from percolaw.targets.linear import LinearTeacher
    from percolaw.targets.relu import ReluTeacher, sharma_kaplan_teacher

    return {
        "linear": LinearTeacher(n_outputs),
        "ReLU 1 x 1000": ReluTeacher(1, 1000, n_outputs=n_outputs),
        "ReLU 8 x 16": ReluTeacher(8, 16, n_outputs=n_outputs),
        "ReLU 2 x 600, no biases": sharma_kaplan_teacher(n_outputs),
        "Fourier": FourierTeacher(n_outputs=n_outputs),
    }


def matern_name(nu: float) -> str:
    """Return the name of a Matérn teacher, from which nu can be read back exactly."""
    return f"Matérn {np.format_float_positional(nu, trim='-')}"


def matern_smoothness(teacher: str) -> float | None:
    """Return nu of a Matérn teacher's name, None of another's; raises ValueError for unknown names."""
    if teacher.startswith("Matérn"):
        try:
            return checks.real(
                "smoothness", float(teacher.split()[-1]), minimum=0.01, maximum=100.0
            )
        except ValueError:
            pass
    elif teacher in teachers():
        return None
    known = ", ".join(repr(name) for name in teachers())
    raise ValueError(f"unknown teacher {teacher!r}; there are {known} and 'Matérn 0.5' (any nu).")


def values(
    names: tuple[str, ...], x: FloatArray, streams: Streams, *, everywhere: bool = False
) -> FloatArray:
    """Return one function of every teacher at points: (n, n_teachers), of mean 0 and variance 1 there.

    Matérn fields are drawn on the points, exactly up to 8000 of them; with `everywhere` they are sums
    of `N_WAVES` waves, for numbers of points that no factorisation reaches.
    """
    from percolaw.targets.matern import MaternTeacher

    families, found = teachers(), []
    for name in names:
        own = streams.child(*name.encode())
        nu = matern_smoothness(name)
        if nu is None:
            y = families[name].sample(x.shape[1], own)(x)
        elif everywhere:
            y = MaternTeacher(nu, n_features=N_WAVES).sample(x.shape[1], own)(x)
        else:
            y = MaternTeacher(nu).on_points(x, own).value
        found.append((y - y.mean()) / y.std())
    return np.stack(found, axis=1)


def approximation_order(teacher: str) -> float | None:
    """Return c of a teacher learned by a kernel: 2 nu, 3 for ReLU networks, None if not a power.

    A ReLU network has kinks of codimension 1, and the field it tends to with its width has
    smoothness 3/2: c = 3 either way. Linear and Fourier teachers are smooth. A tangent kernel is as
    smooth as a Matérn kernel of nu = 1/2, and at the edge of the data such a student has c at most
    2 nu + D + 1 = D + 2, however smooth the teacher (docs/theory.md).
    """
    nu = matern_smoothness(teacher)
    if nu is not None:
        return 2.0 * nu
    return 3.0 if teacher.startswith("ReLU") else None
