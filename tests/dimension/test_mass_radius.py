"""Mass and radius: brute force, trees and graphs with a known dimension, errors, bad distances."""

import functools
import math

import networkx as nx
import numpy as np
import pytest
from dimension_cases import all_distances, slope_of, small_cloud
from statistical import assert_close, assert_far, mean_and_error

from percolaw.clusters.conditioned import conditioned_clusters
from percolaw.dimension.mass_radius import fixed_mass_dimension, mass_radius
from percolaw.tree import Tree


def brute_mass_radius(distances, radius):
    log_r = [math.log(r) for r in radius]
    mass = [[sum(1 for x in row if x <= r) for r in radius] for row in distances]
    n = len(mass)

    def slope(rows):
        return slope_of(
            log_r, [math.log(math.fsum(c) / len(rows)) for c in zip(*rows, strict=True)]
        )

    left_out = [slope(mass[:i] + mass[i + 1 :]) for i in range(n)]
    centre = math.fsum(left_out) / n
    return slope(mass), math.sqrt((n - 1) / n * math.fsum((s - centre) ** 2 for s in left_out))


# ---- oracles: plain loops from the papers, sharing nothing with the package ----


def test_mass_radius_by_brute_force():
    distances = all_distances(small_cloud())[:9]
    found = mass_radius(iter(distances), 0.2, 1.1, n_radii=7)
    radius = [0.2 * 5.5 ** (i / 6) for i in range(7)]
    np.testing.assert_allclose(found.radius, radius, rtol=1e-12)
    # Radii of the package, so that a site on the edge cannot matter.
    dimension, error = brute_mass_radius(distances, found.radius.tolist())
    assert found.dimension == pytest.approx(dimension, rel=1e-9)
    assert found.standard_error == pytest.approx(error, rel=1e-9)
    assert found.mass[0] == pytest.approx(np.mean(np.array(distances) <= 0.2) * 80)
    one_by_one = [brute_mass_radius([row] * 2, found.radius.tolist())[0] for row in distances]
    assert abs(np.mean(one_by_one) - dimension) > 1e-3  # control: mean of slopes


def cayley_mass(n, radius):
    """Exact mean number of sites within r of a site of a uniform Cayley tree of n sites.

    (h + 1) (n - 1)(n - 2)...(n - h) / n^h of them are at distance h (Meir and Moon 1970).
    """
    h = np.arange(int(max(radius)) + 1)
    at = (h + 1) * np.concatenate([[1.0], np.cumprod(1 - h[1:] / n)])
    return np.cumsum(at)[np.floor(radius).astype(int)]


@functools.cache
def cayley_distances(n=40_000, n_trees=40):
    tree = conditioned_clusters(np.full(n_trees, n), rng=5)
    rng = np.random.default_rng(6)
    rows = []
    for k in range(n_trees):
        centre = int(rng.integers(n))
        distance, nearest = tree.cluster(k).nearest([centre])
        assert (nearest == centre).all()
        rows.append(distance)
    return rows


# ---- mass and radius ----


def test_mass_radius_of_a_critical_tree():
    rows = cayley_distances()
    found = mass_radius(rows, 10, 40)
    exact = cayley_mass(40_000, found.radius)
    each = np.array([[np.sum(row <= r) for r in found.radius] for row in rows])
    for j in range(0, found.radius.size, 3):
        mean, error = mean_and_error(each[:, j])
        assert found.mass[j] == pytest.approx(mean)
        assert_close(mean, exact[j], error)
    truth = slope_of(np.log(found.radius).tolist(), np.log(exact).tolist())
    assert abs(truth - 2) < 0.15  # what window and size take from 2
    assert_close(found.dimension, truth, found.standard_error)
    assert_close(found.dimension, 2.0, found.standard_error, bias=abs(truth - 2))
    assert_far(found.dimension, 1.0, found.standard_error)
    assert_far(found.dimension, 3.0, found.standard_error)
    assert 0.01 < found.standard_error < 0.15
    # In the embedding distances are square roots: exactly twice the dimension.
    root = mass_radius((np.sqrt(row) for row in rows), math.sqrt(10), math.sqrt(40))
    assert root.dimension == pytest.approx(2 * found.dimension, rel=0.02)


def test_jackknife_error_matches_the_scatter():
    rows = cayley_distances()
    groups = [mass_radius(rows[i::10], 10, 40) for i in range(10)]
    scatter = np.std([g.dimension for g in groups], ddof=1)
    assert 0.5 < np.mean([g.standard_error for g in groups]) / scatter < 2


@pytest.mark.parametrize(
    ("graph", "centres", "volume", "dimension"),
    [
        (nx.path_graph(400), [150, 200, 250], lambda r: 2 * r + 1, 1),
        (
            nx.grid_2d_graph(90, 90),
            [(45, 45), (44, 47), (46, 43)],
            lambda r: 2 * r**2 + 2 * r + 1,
            2,
        ),
    ],
    ids=["path", "grid"],
)
def test_mass_radius_of_graphs(graph, centres, volume, dimension):
    rows = [
        list(nx.single_source_shortest_path_length(graph, centre).values()) for centre in centres
    ]
    found = mass_radius(rows, 5, 40)
    expected = [volume(math.floor(r)) for r in found.radius]
    np.testing.assert_array_equal(found.mass, expected)
    logs = [math.log(v) for v in expected]
    assert found.dimension == pytest.approx(slope_of(np.log(found.radius).tolist(), logs))
    assert abs(found.dimension - dimension) < 0.1
    assert found.standard_error < 1e-9  # all centres are alike


def test_dimension_at_fixed_mass():
    # On a sphere the chord r holds the share r^2/4 of the points; on a circle r = 2 sin(pi share/2).
    points = np.random.default_rng(0).standard_normal((6000, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    assert fixed_mass_dimension(points, points[:300]) == pytest.approx(2.0, rel=0.02)
    moved = fixed_mass_dimension(1e3 + 7.0 * points, 1e3 + 7.0 * points[:300])
    assert moved == pytest.approx(fixed_mass_dimension(points, points[:300]), rel=1e-6)
    angle = 2.0 * np.pi * np.random.default_rng(1).random(6000)
    points = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    share = np.geomspace(0.01, 0.2, 8)
    exact = np.polyfit(np.log(2.0 * np.sin(0.5 * np.pi * share)), np.log(share), 1)[0]
    assert fixed_mass_dimension(points, points[:300]) == pytest.approx(exact, rel=0.02)


def test_mass_radius_of_a_path_as_a_tree():
    tree = Tree.from_parent(np.arange(-1, 999))
    found = mass_radius((tree.nearest([c])[0] for c in range(300, 700, 50)), 5, 100)
    assert abs(found.dimension - 1) < 0.1
    assert found.standard_error < 1e-9


# ---- bad input ----


@pytest.mark.parametrize(
    ("distances", "low", "high", "message"),
    [
        ([[0, 1, 2]], 1, 4, "at least 2 centres; got 1"),
        ([], 1, 4, "at least 2 centres; got 0"),
        ([[0, 1, 2], [0, -1, 2]], 1, 4, "not negative"),
        ([[0, 1, 2], [0, math.nan, 2]], 1, 4, "not negative"),
        ([np.zeros((2, 3))] * 2, 1, 4, r"1-D array.*got \(2, 3\)"),
        ([3.0, 4.0], 1, 4, r"1-D array.*got \(\)"),
        ([[5, 6], [7, 8]], 1, 4, "no site lies within 1 of a centre; raise `low`"),
        ([[0, 1], [0, 1]], 4, 1, r"high must be .*\[8, inf\]; got 1"),
        ([[0, 1], [0, 1]], 0, 4, "low must be"),
        ([[0, 1], [0, 1]], math.nan, 4, "low must be finite"),
    ],
)
def test_bad_distances(distances, low, high, message):
    with pytest.raises(ValueError, match=message):
        mass_radius(distances, low, high)


def test_sites_of_other_clusters_do_not_count():
    rows = [[0, 1, 1, 2, math.inf, math.inf]] * 2
    assert mass_radius(rows, 1, 4).mass[-1] == 4
