"""Faithfulness against brute force, in many dimensions and in two."""

import math

import numpy as np
import pytest
from statistical import assert_close

from percolaw.clusters.conditioned import conditioned_clusters
from percolaw.embedding.faithfulness import faithfulness
from percolaw.embedding.walk import embed_tree


def slow_faithfulness(tree, points):
    """The numbers of the report over all sites and all pairs, from plain distance matrices."""
    n, d = points.shape
    x = points.astype(np.float64)
    square = ((x[:, None] - x[None]) ** 2).sum(axis=2)
    i, j = (a.ravel() for a in np.indices((n, n)))
    hops = tree.distance_between(i, j).reshape(n, n)
    neighbours = [set(np.flatnonzero(hops[s] == 1)) for s in range(n)]
    order = [[k for k in np.argsort(square[s], kind="stable") if k != s] for s in range(n)]
    kept = np.mean([order[s][0] in neighbours[s] for s in range(n)])
    right = sum(len(neighbours[s] & set(order[s][: len(neighbours[s])])) for s in range(n))
    pairs = np.triu_indices(n, 1)
    ratio = square[pairs] / hops[pairs]
    child = np.arange(1, n)
    steps = x[child] - x[tree.parent[child]]
    spectrum = np.linalg.eigvalsh(np.einsum("ni,nj->ij", steps, steps))
    q = np.geomspace(0.01, 0.2, 8)
    radius = np.array([np.log(np.quantile(np.sqrt(square[s]), q)) for s in range(n)]).mean(axis=0)
    return {
        "neighbor_fraction": kept,
        "rank_fraction": right / (2 * (n - 1)),
        "distance_ratio": ratio.mean(),
        "distortion": ratio.std(),
        "anisotropy": spectrum[-1] * d / spectrum.sum(),
        "mass_radius_dimension": np.polyfit(radius, np.log(q), 1)[0],
    }


@pytest.mark.parametrize("d", [2, 5, 60])
def test_faithfulness_equals_brute_force(d):
    tree = conditioned_clusters(150, rng=4)
    points = embed_tree(tree, d, 4)
    report = faithfulness(tree, points, n_centres=10**6, n_pairs=40_000)
    slow = slow_faithfulness(tree, points)
    assert (report.n_sites, report.dim) == (150, d)
    for name in ("neighbor_fraction", "rank_fraction", "anisotropy"):
        assert getattr(report, name) == pytest.approx(slow[name], rel=1e-9)
    # Quantiles are interpolated between squares there and between radii here.
    assert report.mass_radius_dimension == pytest.approx(slow["mass_radius_dimension"], rel=0.05)
    # Pairs are drawn at random from all.
    assert_close(report.distance_ratio, slow["distance_ratio"], slow["distortion"] / 200)
    assert report.distortion == pytest.approx(slow["distortion"], rel=0.1)
    few = faithfulness(tree, points, n_centres=50)
    assert 0 <= few.rank_fraction <= 1
    assert few != report


def test_faithful_in_many_dimensions_and_not_in_two():
    tree = conditioned_clusters(1500, rng=8)
    good = faithfulness(tree, embed_tree(tree, 200, 8))
    bad = faithfulness(tree, embed_tree(tree, 2, 8))
    assert good.trusted
    assert good.neighbor_fraction > 0.99
    assert not bad.trusted
    assert bad.neighbor_fraction < 0.7
    assert bad.rank_fraction < 0.5
    # One cluster's ratios are dependent through shared steps; the distortion is near sqrt(2/d).
    assert good.distance_ratio == pytest.approx(1.0, abs=0.1)
    assert good.distortion == pytest.approx(math.sqrt(2 / 200), rel=0.25)
    assert bad.distortion > 4 * good.distortion
    assert good.anisotropy < 2.5
    squeezed = embed_tree(tree, 5, 8) * np.array([4, 1, 1, 1, 1], np.float32)
    assert faithfulness(tree, squeezed).anisotropy > 3
    # Shuffled points keep nothing of the tree.
    shuffled = embed_tree(tree, 200, 8)[np.random.default_rng(0).permutation(1500)]
    assert faithfulness(tree, shuffled).neighbor_fraction < 0.05


def test_what_faithfulness_refuses():
    tree = conditioned_clusters([20, 20], rng=0)
    with pytest.raises(ValueError, match="need one cluster"):
        faithfulness(tree, embed_tree(tree, 3))
    one = conditioned_clusters(20, rng=0)
    with pytest.raises(ValueError, match=r"points of shape \(19, 3\)"):
        faithfulness(one, embed_tree(one, 3)[1:])
    small = conditioned_clusters(9, rng=0)
    with pytest.raises(ValueError, match="sites of the tree must be in"):
        faithfulness(small, embed_tree(small, 3))
