"""What the lattice experiments share: clusters met in a box below, at and above p_c, as data to learn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.experiments import fields, labelled
from percolaw.experiments.base import Row
from percolaw.experiments.fields import Bytes, Range
from percolaw.experiments.labelled import LabelledClusters
from percolaw.laws.bethe import BetheLattice
from percolaw.laws.hypercubic import critical_exponents, hypercubic_threshold
from percolaw.rng import Streams
from percolaw.scaling.curve import LearningCurve

FloatArray = labelled.FloatArray

#: What cells call the Bethe lattice, which has no dimension.
BETHE = 0
#: c of 1-NN on functions of the coordinates: squared differences grow as squared distances.
APPROXIMATION_ORDER = 2.0
#: Sizes at which P(S >= s) is kept.
SURVIVAL_SIZES = 2 ** np.arange(24)


@dataclass(frozen=True)
class Boxes:
    """Boxes of hypercubic lattices with free edges, and the clusters of random sites in them."""

    n_sites: Annotated[int, Range(1000, 10**9), Bytes(300.0)] = 1_000_000
    """Sites of a box, about: its length is the nearest integer to their d-th root."""
    n_draws: Annotated[int, Range(0)] = 2000
    """Random sites whose whole clusters are the data, each cluster once; 0 takes all of the box."""
    min_size: Annotated[int, Range(2)] = 30
    """Smallest cluster kept."""
    coordination_number: int = 6
    """z of the Bethe lattice."""

    def __post_init__(self) -> None:
        fields.check(self)
        checks.coordination_number(self.coordination_number)

    def length(self, dimension: int) -> int:
        """Return the length of a box."""
        return max(3, round(self.n_sites ** (1.0 / dimension)))

    def threshold(self, dimension: int) -> float:
        """Return p_c of bond percolation."""
        if dimension == BETHE:
            return BetheLattice(self.coordination_number).critical_probability
        return hypercubic_threshold(dimension, "bond")


def label(dimension: int) -> str:
    """Return how a lattice is called in claims and figures."""
    return "Bethe lattice" if dimension == BETHE else f"d = {dimension}"


def about(dimension: int, quantity: str, ratio: float = 1.0) -> dict[str, str]:
    """Return what a claim speaks of: the lattice at p = ratio p_c (all of the box at ratio 0).

    Parameters
    ----------
    dimension : int
        0 is the Bethe lattice.
    quantity : str
    ratio : float
        p / p_c; 0 means all of the box.

    Returns
    -------
    dict of str
        As `Claim.about`.
    """
    lattice = label(dimension) if dimension == BETHE else f"lattice {label(dimension)}"
    place = {0.0: "full box", 1.0: "p_c"}.get(ratio, f"{ratio:g} p_c")
    return {"source": f"{lattice}, {place}", "quantity": quantity}


def common_curve(rows: Sequence[Row], size: str, name: str) -> LearningCurve:
    """Return the losses of all rows on the sizes that all have; a loss of 0 is taken as 1e-12.

    Parameters
    ----------
    rows : sequence of Row
        One a seed; sizes of all begin alike.
    size, name : str
        Keys of sizes and losses.

    Returns
    -------
    LearningCurve
    """
    n = min(min(len(r[size]), len(r[name])) for r in rows)
    loss = np.array([r[name][:n] for r in rows], dtype=np.float64)
    return LearningCurve(np.array(rows[0][size][:n]), np.maximum(loss, 1e-12))


def check_dimensions(dimensions: tuple[int, ...]) -> None:
    """Refuse lattices that there are not.

    Raises
    ------
    ValueError
        For d = 1, and d outside 0 to 8.
    """
    for d in dimensions:
        checks.integer("dimensions (0 is the Bethe lattice)", d, minimum=0, maximum=8)
        if d == 1:
            raise ValueError("dimensions: a chain has no threshold below p = 1; take 2 to 8, or 0.")


def cluster_exponent(dimension: int, above: bool) -> float:
    """Return gamma = c/D up to p_c and c/d above it; 1/2 on the Bethe lattice (0 above: no dimension).

    Parameters
    ----------
    dimension : int
        0 is the Bethe lattice.
    above : bool
        Whether p is above p_c.

    Returns
    -------
    float
    """
    if dimension == BETHE:
        return 0.0 if above else 0.5
    known = critical_exponents(dimension)
    return APPROXIMATION_ORDER / (dimension if above else known.fractal_dimension)


def draw(
    boxes: Boxes, dimension: int, probability: float, seed: int
) -> tuple[LabelledClusters, Row, npt.NDArray[np.float64]]:
    """Return the clusters of random sites of a box, a linear function on each, and what the box is like.

    The function is the same for all p of a seed and a lattice, and so is the order in which bonds open;
    on the Bethe lattice it is the tree walk. Clusters come largest first; the mass left out is reported.
    Also returned are the sites' coordinates, (n_sites, dimension), none on the Bethe lattice.

    Parameters
    ----------
    boxes : Boxes
    dimension : int
        0 is the Bethe lattice.
    probability : float
        p of a bond.
    seed : int

    Returns
    -------
    data : LabelledClusters
    row : dict
        Numbers on the box: sites, share of the largest cluster, loops, sizes, share kept.
    coordinates : array of float64, shape (n_sites, dimension)
    """
    streams = Streams(seed).child(dimension)
    if dimension == BETHE:
        return *_draw_bethe(boxes, probability, streams), np.zeros((0, 0))
    from percolaw.clusters.hypercubic.box import HypercubicLattice, percolate
    from percolaw.kernels.tree import standardize

    lattice = HypercubicLattice(dimension, boxes.length(dimension))
    percolation = percolate(lattice, probability, streams)
    if boxes.n_draws:
        met = percolation.clusters_of_random_sites(boxes.n_draws, streams)
    else:
        met = np.argsort(-percolation.size, kind="stable")
    # Sizes are those of a box without a surface; functions of the coordinates need one.
    closed = percolate(
        HypercubicLattice(dimension, lattice.length, periodic=True), probability, streams
    )
    row: Row = {
        "n_sites": lattice.n_sites,
        "largest_share": closed.largest_share,
        "loops_per_site": closed.n_loops / lattice.n_sites,
        **_size_moments(closed.size, probability > boxes.threshold(dimension)),
        "kept_share": _share(percolation.size, boxes.min_size),
    }
    kept = met[percolation.size[met] >= boxes.min_size]
    if kept.size == 0:
        kept = met[:1]
    part = percolation.graph(kept)
    direction = streams.generator("target").standard_normal(dimension)
    coordinates = part.coordinates.astype(np.float64)
    value = np.asarray(coordinates @ (direction / np.linalg.norm(direction)))
    variance = standardize(part.graph.start, value)
    return LabelledClusters(part.graph, value, variance, streams), row, coordinates


def _draw_bethe(boxes: Boxes, probability: float, streams: Streams) -> tuple[LabelledClusters, Row]:
    from percolaw.clusters.growth import grow_stopped
    from percolaw.targets.tree_walk import TreeWalk
    from percolaw.tree import Tree

    lattice = BetheLattice(boxes.coordination_number, probability)
    infinite = lattice.percolation_probability
    parts = _finite_clusters(boxes, lattice, streams)
    if infinite > 0.0:
        giant = grow_stopped(lattice, max(2, round(infinite * boxes.n_sites)), streams)
        parts.insert(sum(1 for part in parts if part.size > giant.n_sites), giant.parent)
    elif not parts:
        parts = [np.array([-1])]
    start = np.concatenate([[0], np.cumsum([part.size for part in parts])]).astype(np.int64)
    parent = np.concatenate(
        [np.where(p >= 0, p + a, -1) for p, a in zip(parts, start, strict=False)]
    )
    tree = Tree(parent.astype(np.int32), start)
    value = TreeWalk().sample(tree, streams)
    row: Row = {
        "n_sites": boxes.n_sites,
        "largest_share": float(tree.sizes.max() / boxes.n_sites),
        "loops_per_site": 0.0,
        "cutoff": bethe_cutoff(lattice, boxes.n_sites),
        "s": [int(s) for s in SURVIVAL_SIZES],
        "survival": [float(lattice.survival(int(s)) + infinite) for s in SURVIVAL_SIZES],
        "kept_share": float(lattice.survival(boxes.min_size) + infinite),
    }
    return LabelledClusters(tree, value.value, value.variance, streams), row


def _finite_clusters(boxes: Boxes, lattice: BetheLattice, streams: Streams) -> list[Any]:
    """Parents of the finite clusters of at least `min_size` sites, largest first.

    By site, those of the draws that do not meet the infinite cluster; else all of `n_sites` sites.
    """
    from percolaw.clusters.ensembles import Ensemble, sample_clusters

    if lattice.clusters_per_site <= 0.0:
        return []
    ensemble: Ensemble = "site" if boxes.n_draws else "cluster"
    smallest = 1 if boxes.n_draws else boxes.min_size
    generator = streams.generator("sizes", 1)
    if boxes.n_draws:
        n = int(generator.binomial(boxes.n_draws, lattice.finite_probability))
    else:
        law = lattice.cluster_size_law()
        share = law.window_probability(smallest, boxes.n_sites) * lattice.clusters_per_site
        n = int(generator.poisson(boxes.n_sites * share))
    if not n:
        return []
    sampled = sample_clusters(ensemble, n, lattice, smallest, boxes.n_sites, streams)
    kept = int(np.sum(sampled.sizes >= boxes.min_size))
    if not kept and lattice.percolation_probability == 0.0:
        kept = 1
    return [sampled.cluster(k).parent for k in range(kept)]


def bethe_cutoff(lattice: BetheLattice, largest: int) -> float:
    """Return <S^2>/<S> over random sites of a Bethe lattice; from p_c on, over sizes up to `largest`.

    Below p_c a branch has the mean size m = 1/(1 - b) and the variance v = b (1 - p) m^2 / (1 - b),
    b = (z - 1) p; the site has Binomial(z, p) of them, so that Var S = z p v + z p (1 - p) m^2.

    Parameters
    ----------
    lattice : BetheLattice
    largest : int
        Largest size counted from p_c on; below it not used.

    Returns
    -------
    float
    """
    b, p = lattice.branching, lattice.p
    if b >= 1.0:
        s = np.arange(1.0, largest + 1.0)
        weight = lattice.site_size_law().probability(s)
        return float(np.sum(weight * s**2) / max(np.sum(weight * s), 1e-300))
    zp = b if lattice.is_poisson else lattice.coordination_number * p
    mean = 1.0 / (1.0 - b)
    variance = zp * b * (1.0 - p) * mean**3 + zp * (1.0 - p) * mean**2
    first = lattice.mean_site_cluster_size
    return (variance + first**2) / first


def _size_moments(size: Any, above: bool) -> Row:
    """P(S >= s) of a random site, and <S^2>/<S> over random sites (giant left out above p_c)."""
    s = np.sort(size.astype(np.float64))
    mass = np.concatenate([[0.0], np.cumsum(s)])
    below = mass[np.searchsorted(s, SURVIVAL_SIZES, side="left")]
    finite = s[:-1] if above and s.size > 1 else s
    return {
        "cutoff": float(np.sum(finite**3) / np.sum(finite**2)),
        "s": [int(v) for v in SURVIVAL_SIZES],
        "survival": (1.0 - below / mass[-1]).tolist(),
    }


def _share(sizes: Any, min_size: int) -> float:
    return float(sizes[sizes >= min_size].sum() / sizes.sum())
