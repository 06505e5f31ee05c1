"""Boxes with a linear function: the clusters they hold, on Z^d and on the Bethe lattice; their curves."""

import dataclasses
import math

import numpy as np
import pytest
from lattice_cases import SMALL, WHOLE, bethe_moments
from statistical import assert_close, assert_far, mean_and_error

from percolaw.clusters.hypercubic.box import HypercubicLattice, percolate
from percolaw.experiments import labelled
from percolaw.experiments.base import canonical_json
from percolaw.experiments.lattices import box_curves, boxes
from percolaw.experiments.lattices.boxes import BETHE, Boxes
from percolaw.laws import hypercubic as literature
from percolaw.laws.bethe import BetheLattice
from percolaw.rng import Streams


@pytest.mark.parametrize(("dimension", "ratio"), [(2, 1.0), (3, 0.95), (2, 1.3), (4, 1.1)])
def test_boxes_hold_a_linear_function_on_clusters_largest_first(dimension, ratio):
    p = ratio * SMALL.threshold(dimension)
    data, row, coordinates = boxes.draw(SMALL, dimension, p, 3)
    sizes = data.tree.sizes
    assert np.all(np.diff(sizes) <= 0)
    assert sizes[-1] >= SMALL.min_size
    assert sizes.size > 1 or ratio == 1.3
    assert sizes.size <= SMALL.n_draws
    np.testing.assert_allclose(data.share, sizes / sizes.sum())
    start = data.tree.start
    # The same box again, for the coordinates.
    streams = Streams(3).child(dimension)
    lattice = HypercubicLattice(dimension, SMALL.length(dimension))
    assert abs(lattice.n_sites / SMALL.n_sites - 1) < 0.15
    found = percolate(lattice, p, streams)
    met = found.clusters_of_random_sites(SMALL.n_draws, streams)
    part = found.graph(met[found.size[met] >= SMALL.min_size])
    np.testing.assert_array_equal(part.graph.start, start)
    np.testing.assert_array_equal(coordinates, part.coordinates)
    slopes = []
    for k in range(sizes.size):
        own = slice(start[k], start[k + 1])
        value, x = data.value[own], coordinates[own].copy()
        assert abs(value.mean()) < 1e-9
        assert value.var() == pytest.approx(1.0)
        x -= x.mean(axis=0)
        slope = np.linalg.lstsq(x, value, rcond=None)[0]
        np.testing.assert_allclose(x @ slope, value, atol=1e-8)
        slopes.append(slope * math.sqrt(data.variance[k]))
    # One function for all clusters, of slope 1; the same one at another p.
    np.testing.assert_allclose(slopes, np.tile(slopes[0], (sizes.size, 1)), atol=1e-8)
    assert np.linalg.norm(slopes[0]) == pytest.approx(1.0)
    direction = Streams(3).child(dimension).generator("target").standard_normal(dimension)
    np.testing.assert_allclose(slopes[0], direction / np.linalg.norm(direction), atol=1e-8)
    assert row["kept_share"] == pytest.approx(
        found.size[found.size >= SMALL.min_size].sum() / found.n_open
    ), "of random sites"
    # What is said of the box: of one without a surface, opened in the same order.
    torus = dataclasses.replace(lattice, periodic=True)
    closed = percolate(torus, p, streams)
    assert row["n_sites"] == lattice.n_sites
    assert row["largest_share"] == closed.size.max() / lattice.n_sites
    assert row["loops_per_site"] == closed.n_loops / lattice.n_sites
    assert row["loops_per_site"] > found.n_loops / lattice.n_sites, "a surface has fewer bonds"
    seen = closed.size[np.unique(closed.cluster, return_inverse=True)[1]]  # of every site
    expected = [(seen >= s).mean() for s in boxes.SURVIVAL_SIZES]
    np.testing.assert_allclose(row["survival"], expected, atol=1e-12)
    if ratio > 1.0:
        seen = seen[seen < seen.max()]
    assert row["cutoff"] == pytest.approx(np.mean(seen.astype(float) ** 2) / seen.mean())


@pytest.mark.parametrize(("dimension", "ratio"), [(2, 0.9), (2, 1.1), (3, 1.0), (5, 1.2)])
def test_whole_boxes_keep_exactly_the_clusters_that_are_large_enough(dimension, ratio):
    p = ratio * WHOLE.threshold(dimension)
    data, row, coordinates = boxes.draw(WHOLE, dimension, p, 3)
    lattice = HypercubicLattice(dimension, WHOLE.length(dimension))
    found = percolate(lattice, p, Streams(3).child(dimension))
    large = found.size[found.size >= WHOLE.min_size]
    assert data.tree.sizes.tolist() == np.sort(large)[::-1].tolist()
    assert row["kept_share"] == pytest.approx(large.sum() / lattice.n_sites)
    # Sites and clusters are those of the box, none twice.
    inside = found.size[found.cluster] >= WHOLE.min_size
    every = lattice.coordinates(np.flatnonzero(inside))
    place = lattice.length ** np.arange(dimension)
    number = coordinates @ place
    assert np.sort(number).tolist() == np.sort(every @ place).tolist()
    owner = data.tree.cluster_of(np.arange(data.tree.n_sites))
    of_site = found.cluster[np.flatnonzero(inside)][np.argsort(every @ place)]
    pairs = np.unique(np.stack([owner[np.argsort(number)], of_site]), axis=1)
    assert pairs.shape[1] == large.size, "one cluster of the box for one of the data"
    # The same function as on the clusters that random sites meet; those are fewer.
    some = boxes.draw(dataclasses.replace(WHOLE, n_draws=20), dimension, p, 3)[0]
    assert some.tree.n_clusters < data.tree.n_clusters
    first = slice(0, data.tree.sizes[0])
    if some.tree.sizes[0] == data.tree.sizes[0]:
        np.testing.assert_array_equal(some.value[first], data.value[first])
    # One site more for the smallest, and some are lost.
    least = int(large.min()) + 1
    fewer = boxes.draw(dataclasses.replace(WHOLE, min_size=least), dimension, p, 3)[0]
    assert fewer.tree.n_clusters == np.sum(large >= least) < data.tree.n_clusters


@pytest.mark.parametrize("ratio", [pytest.param(0.8, marks=pytest.mark.slow), 1.0, 1.2])
def test_whole_bethe_boxes_have_the_number_of_clusters_of_so_many_sites(ratio, monkeypatch):
    """Sites less bonds: a finite cluster of s sites is one for s - 1 open bonds."""
    monkeypatch.setattr(boxes, "SURVIVAL_SIZES", 2 ** np.arange(2))  # their exact law takes long
    b = Boxes(n_sites=1000, n_draws=0, min_size=2)
    p, count = ratio * 0.2, 60
    lattice = BetheLattice(6, p)
    trees = [boxes.draw(b, BETHE, p, seed)[0].tree for seed in range(count)]
    giant = round(lattice.percolation_probability * b.n_sites)
    finite = []
    for tree in trees:
        sizes = tree.sizes.tolist()
        assert sizes == sorted(sizes, reverse=True)
        if ratio > 1.0:
            sizes.remove(giant)
        finite.append(np.array(sizes))
    # An end of a bond leads nowhere with probability q = (1 - p + p q)^5, both ends with q^2.
    q = 1.0 if ratio <= 1.0 else 0.5
    for _ in range(1000):
        q = (1 - p + p * q) ** 5
    alive = (1 - p + p * q) ** 6
    single, pair = (1 - p) ** 6, 3 * p * (1 - p) ** 10
    per_site = alive - 3 * p * q**2 - single
    number = np.array([s.size for s in finite])
    mean = b.n_sites * per_site
    error = math.sqrt(mean / count)
    assert_close(number.mean(), mean, error)
    # Controls: clusters counted by site; the single sites among them; the giant one.
    by_site = b.n_sites * (alive - single)
    for wrong in (by_site, mean + b.n_sites * single):
        assert_far(number.mean(), wrong, error)
    # A Poisson number: its variance is its mean, neither 0 nor by site.
    ratio_of = number.var(ddof=1) / number.mean()
    assert_close(ratio_of, 1.0, math.sqrt(2 / count))
    assert_far(ratio_of, 0.0, math.sqrt(2 / count))
    # Sizes by cluster, not by site: pairs.
    every = np.concatenate(finite)
    share = np.mean(every == 2)
    error = math.sqrt(share * (1 - share) / every.size)
    assert_close(share, pair / per_site, error)
    assert_far(share, 2 * pair / (alive - single), error)
    # All clusters together hold what they hold of the lattice (at p_c those larger than it do not fit).
    if ratio != 1.0:
        mass, error = mean_and_error([s.sum() for s in finite])
        assert_close(mass, by_site, error)
        assert_far(mass, 0.9 * by_site, error)


@pytest.mark.parametrize("p", [0.0, 0.01, 1.0])
def test_whole_bethe_boxes_without_finite_clusters(p):
    b = Boxes(n_sites=1000, n_draws=0, min_size=500)
    tree = boxes.draw(b, BETHE, p, 0)[0].tree
    assert tree.n_clusters == 1
    assert tree.n_sites >= (999 if p == 1.0 else 1)


def test_whole_bethe_boxes_weigh_the_giant_as_it_weighs(monkeypatch):
    """As learnability takes them: few draws would all be the giant, or none."""
    monkeypatch.setattr(boxes, "SURVIVAL_SIZES", 2 ** np.arange(2))
    p, b = 0.24, Boxes(n_sites=20_000, n_draws=0)
    lattice = BetheLattice(6, p)
    trees = [boxes.draw(b, BETHE, p, seed)[0].tree for seed in range(30)]
    for tree in trees:
        assert tree.sizes.min() >= b.min_size
        assert tree.sizes[0] == round(lattice.percolation_probability * b.n_sites)
    rest, error = mean_and_error([tree.n_sites - tree.sizes[0] for tree in trees])
    assert_close(rest, b.n_sites * lattice.site_size_law().window_probability(30, b.n_sites), error)


def test_the_statistics_of_boxes_have_no_surface():
    """At p_c in five dimensions half of a box lies on its surface."""
    b = Boxes(n_sites=8**5, n_draws=0)
    rows = [boxes.draw(b, 5, b.threshold(5), seed) for seed in range(3)]
    for data, row, _ in rows:
        assert data.tree.n_sites <= row["kept_share"] * row["n_sites"] + 0.5
        lattice = HypercubicLattice(5, 8)
        assert row["survival"][1] == pytest.approx(1 - (1 - b.threshold(5)) ** 10, abs=0.01)
        # Control: on free edges more sites are alone.
        found = percolate(lattice, b.threshold(5), 0)
        alone = np.sum(found.size == 1) / lattice.n_sites
        assert alone > 1 - row["survival"][1] + 0.03


@pytest.mark.parametrize("dimension", [2, BETHE])
def test_boxes_follow_the_seed(dimension):
    p = SMALL.threshold(dimension)
    first, again, other = (boxes.draw(SMALL, dimension, p, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first[0].value, again[0].value)
    np.testing.assert_array_equal(first[0].tree.start, again[0].tree.start)
    assert canonical_json(first[1]) == canonical_json(again[1])
    assert first[0].value.size != other[0].value.size


def test_a_higher_probability_opens_more_of_one_box():
    """Steps so small that two independent boxes would not keep the order."""
    ratios = 1.0 + 0.001 * np.arange(8)
    rows = [boxes.draw(SMALL, 2, 0.5 * r, 4)[1] for r in ratios]
    loops = np.diff([r["loops_per_site"] for r in rows])
    assert np.all(loops > 0)
    survival = np.diff([r["survival"] for r in rows], axis=0)
    assert survival.min() >= -1e-12
    assert survival.max() > 0
    assert np.all(np.diff([r["largest_share"] for r in rows]) >= 0)
    # Control: other seeds differ by more than the steps.
    others = [boxes.draw(SMALL, 2, 0.5, seed)[1]["loops_per_site"] for seed in range(5, 9)]
    assert np.ptp(others) > loops.max()


@pytest.mark.parametrize("ratio", [0.5, 0.8, 0.95, 0.99])
def test_cutoff_of_the_bethe_lattice_is_exact(ratio):
    b = Boxes(n_sites=1000, n_draws=3, min_size=2)
    p = ratio * b.threshold(BETHE)
    row = boxes.draw(b, BETHE, p, 0)[1]
    first, second = bethe_moments(6, p)
    assert first == pytest.approx(BetheLattice(6, p).mean_site_cluster_size)
    assert row["cutoff"] == pytest.approx(second / first, rel=1e-7)
    assert row["survival"][0] == pytest.approx(1.0, abs=1e-8)
    assert row["survival"][1] == pytest.approx(1 - (1 - p) ** 6, abs=1e-8), "alone: 6 closed bonds"


def test_from_the_threshold_on_the_cutoff_is_that_of_the_sizes_that_fit():
    for p in (0.2, 0.3):
        lattice = BetheLattice(6, p)
        s = np.arange(1, 5001)
        weight = np.exp(lattice.log_site_cluster_size(s))
        exact = (weight * s**2).sum() / (weight * s).sum()
        assert boxes.bethe_cutoff(lattice, 5000) == pytest.approx(exact, rel=1e-9)
        _, row, coordinates = boxes.draw(SMALL, BETHE, p, 0)
        assert coordinates.shape == (0, 0)
        assert row["cutoff"] == pytest.approx(boxes.bethe_cutoff(lattice, SMALL.n_sites))


@pytest.mark.parametrize("ratio", [1.1, 1.2, 1.5])
def test_bethe_boxes_above_the_threshold_hold_their_share_of_the_infinite_cluster(ratio):
    p = ratio * SMALL.threshold(BETHE)
    lattice = BetheLattice(6, p)
    data, row, _ = boxes.draw(SMALL, BETHE, p, 0)
    giant = round(lattice.percolation_probability * SMALL.n_sites)
    assert data.tree.sizes[0] == giant
    assert np.all(np.diff(data.tree.sizes) <= 0)
    assert row["largest_share"] == pytest.approx(giant / SMALL.n_sites)
    assert row["survival"][-1] == pytest.approx(lattice.percolation_probability, abs=1e-6)
    for k in range(data.tree.n_clusters):
        own = data.value[data.tree.start[k] : data.tree.start[k + 1]]
        assert abs(own.mean()) < 1e-9
        assert own.var() == pytest.approx(1.0)
    # The others are kept in the right number: those draws that do not meet it.
    many = dataclasses.replace(SMALL, n_draws=4000, min_size=2)
    tree = boxes.draw(many, BETHE, p, 0)[0].tree
    mean = 4000 * (lattice.finite_probability - lattice.site_size_law().window_probability(1, 1))
    assert_close(tree.n_clusters - 1, mean, math.sqrt(mean))


def test_bethe_boxes_just_above_the_threshold_are_largest_first():
    """The share of the infinite cluster can be smaller than a finite cluster."""
    for seed in range(10):
        data, *_ = boxes.draw(SMALL, BETHE, 1.01 * SMALL.threshold(BETHE), seed)
        assert np.all(np.diff(data.tree.sizes) <= 0)


def test_bethe_boxes_hold_no_cluster_below_the_smallest_kept():
    """There is the infinite one; a single site beside it has no variance."""
    data, *_ = boxes.draw(SMALL, BETHE, 3.0 * SMALL.threshold(BETHE), 0)[:2]
    assert data.tree.sizes[-1] >= SMALL.min_size
    assert data.variance.min() > 0


def test_bethe_boxes_with_all_bonds_open():
    """p = 1 is a ratio that `cells` allows: there are no finite clusters to draw."""
    assert boxes.draw(SMALL, BETHE, 1.0, 0)[0].tree.n_sites >= SMALL.n_sites - 1


def test_rates_of_clusters():
    data, *_ = boxes.draw(SMALL, 2, 0.5, 0)[:2]
    sizes, total = data.tree.sizes, 0.05 * data.tree.n_sites
    rate = box_curves.random_rates(data, total)
    assert rate @ sizes == pytest.approx(total)
    assert np.ptp(rate) == 0
    assert set(box_curves.random_rates(data, 10.0 * data.tree.n_sites)) == {labelled.RATE_CAP}
    for gamma, factor in ((0.5, 1.0), (0.95, 4.0)):
        rate = box_curves.placed_rates(data, total, gamma, factor)
        assert rate.max() < labelled.RATE_CAP
        assert rate @ sizes == pytest.approx(total)
        assert np.all(np.diff(rate * sizes) <= 1e-9)
        predicted = box_curves.predicted_loss(data, rate, gamma, factor)
        losses = np.maximum(rate * sizes / factor, 1.0) ** -gamma
        assert predicted == pytest.approx(float(losses @ sizes) / sizes.sum())
        at_random = box_curves.predicted_loss(
            data, box_curves.random_rates(data, total), gamma, factor
        )
        assert predicted < 0.99 * at_random
        few = box_curves.placed_rates(data, 3.0 * factor, gamma, factor) * sizes
        assert few.sum() == pytest.approx(3.0 * factor)
        assert few[-1] == 0.0, "the smallest get nothing"
        assert few[few > 0].min() >= factor * (1 - 1e-9)
    assert box_curves.placed_rates(data, 1e9, 0.5, 1.0).max() == labelled.RATE_CAP
    assert box_curves.predicted_loss(data, rate, 0.0, 1.0) == pytest.approx(1.0)


def test_single_curves_see_the_first_cluster_alone():
    data, *_ = boxes.draw(SMALL, 2, 0.5, 1)[:2]
    n = box_curves.grid(10.0, 0.3 * data.tree.sizes[0], 3)
    curve = box_curves.single_curve(data, n, 0, 500)
    assert np.all(np.diff(np.log(curve)) < 0.3)
    assert curve[-1] < 0.5 * curve[0]
    other = data.value.copy()
    other[data.tree.sizes[0] :] = 7.0
    changed = labelled.LabelledClusters(data.tree, other, data.variance, data.streams)
    np.testing.assert_array_equal(box_curves.single_curve(changed, n, 0, 500), curve)
    assert np.any(box_curves.single_curve(data, n, 100, 500) != curve)


def test_curves_in_space_are_brute_force():
    data, _, coordinates = boxes.draw(SMALL, 2, 0.5, 1)
    size = int(data.tree.sizes[0])
    n = np.array([1.0, 9.6, 40.0])
    curve = box_curves.euclidean_curve(data, coordinates[:size], n, 300)
    order = data.streams.generator("split").permutation(size)
    test = data.streams.generator("evaluation").integers(0, size, 300)
    for count, loss in zip((1, 10, 40), curve, strict=True):
        train = order[:count]
        square = ((coordinates[test, None] - coordinates[None, train]) ** 2).sum(axis=2)
        gap = (data.value[train][None] - data.value[test][:, None]) ** 2
        tied = square == square.min(axis=1, keepdims=True)
        low = np.where(tied, gap, np.inf).min(axis=1).mean()
        assert low - 1e-12 <= loss <= np.where(tied, gap, 0.0).max(axis=1).mean() + 1e-12
    # Blind to bonds: nearest in space is nearer than nearest along them.
    n = np.array([300.0])
    assert box_curves.euclidean_curve(data, coordinates[:size], n) < box_curves.single_curve(
        data, n, 0
    )


def test_grids_are_nested():
    whole = box_curves.grid(10.0, 1e6, 4)
    assert whole[0] == 10.0
    assert whole[-1] == pytest.approx(1e6)
    assert whole.size == 21
    for stop in (10.0, 17.0, 17.8, 1234.5, 99_999.0, 1e5):
        part = box_curves.grid(10.0, stop, 4)
        np.testing.assert_array_equal(part, whole[: part.size])
        assert part[-1] <= stop * (1 + 1e-9) < whole[part.size]
    assert box_curves.grid(10.0, 9.9, 4).size == 0


def test_lattices_have_names_and_exponents():
    assert boxes.label(BETHE) == "Bethe lattice"
    assert boxes.label(3) == "d = 3"
    assert boxes.cluster_exponent(2, False) == pytest.approx(96 / 91)
    assert boxes.cluster_exponent(2, True) == 1.0
    assert boxes.cluster_exponent(6, False) == boxes.cluster_exponent(BETHE, False) == 0.5
    assert boxes.cluster_exponent(BETHE, True) == 0.0
    assert SMALL.threshold(BETHE) == 0.2
    assert SMALL.threshold(3) == literature.hypercubic_threshold(3)
    for n_draws in (1, 0):
        few = Boxes(n_sites=1000, n_draws=n_draws, min_size=500)
        data, *_ = boxes.draw(few, 3, 0.01, 0)[:2]
        assert data.tree.n_clusters == 1, "where nothing is large enough the largest that was met"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"n_sites": 999}, r"n_sites must be in \[1000"),
        ({"n_draws": -1}, r"n_draws must be in \[0"),
        ({"min_size": 1}, r"min_size must be in \[2"),
        ({"coordination_number": 2}, "coordination_number"),
    ],
)
def test_bad_boxes_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        Boxes(**fields)
