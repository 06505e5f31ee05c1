"""Losses by rank: the identity for 1-NN over all training sets, smooth domains, chance."""

import itertools
import math
from fractions import Fraction

import hypercubic_cases
import numpy as np
import pytest
from rank_cases import distances, of_labels, smooth_domain_loss, torus_distances
from scipy.special import gammaln
from statistical import assert_close, assert_far

from percolaw.analysis.agreement import (
    RankLoss,
    jackknife_error,
    label_loss,
    nearest_neighbor_curve,
    rank_weights,
)
from percolaw.datasets.sources import Cube, InfiniteCluster
from percolaw.learners.neighbors import NearestNeighbors
from percolaw.scaling.losses import scaling_curve


def over_all_subsets(distance, pair, m):
    """Mean of a pair's loss between each point and the nearest of m others, over all sets of m."""
    n, total, count = len(distance), 0.0, 0
    for i in range(n):
        for chosen in itertools.combinations([k for k in range(n) if k != i], m):
            near = distance[i, list(chosen)]
            total += pair[i, list(chosen)][near == near.min()].mean()
            count += 1
    return total / count


@pytest.mark.parametrize("ties", [False, True])
def test_the_curve_is_the_mean_over_all_training_sets(ties):
    rng = np.random.default_rng(3)
    n = 8
    x = rng.integers(0, 3, (n, 2)) if ties else rng.random((n, 2))
    distance, sizes = distances(x), np.arange(1, n)
    for labels in rng.integers(0, 3, (2, n)):
        by_rank = of_labels(distance, labels)
        exact = [over_all_subsets(distance, np.not_equal.outer(labels, labels), m) for m in sizes]
        loss = nearest_neighbor_curve(by_rank, sizes).loss
        np.testing.assert_allclose(loss, exact, rtol=1e-12)
        assert by_rank.chance == pytest.approx(exact[0])
        # A table whose ranks begin one too far out is seen.
        shifted = RankLoss(np.roll(by_rank.total, 1, axis=1), by_rank.n_tests)
        assert np.abs(nearest_neighbor_curve(shifted, sizes).loss - exact).max() > 0.01


def test_weights_of_ranks():
    for m in (1, 3, 11):
        exact = [Fraction(math.comb(11 - j, m - 1), math.comb(11, m)) for j in range(1, 13 - m)]
        np.testing.assert_allclose(rank_weights(12, m), [float(w) for w in exact], rtol=1e-14)
    n = 10**6
    for m in (1, 2, 1000, n // 2, n - 1):
        weight = rank_weights(n, m)
        j = np.arange(1.0, weight.size + 1)
        assert weight.sum() == pytest.approx(1.0, rel=1e-11)
        assert weight @ j == pytest.approx(n / (m + 1), rel=1e-11)
        second = 2 * n * (n + 1) / ((m + 1) * (m + 2))
        assert weight @ (j * (j + 1)) == pytest.approx(second, rel=1e-11)


@pytest.mark.parametrize("source", [Cube(2), InfiniteCluster(8)])
def test_measured_curves_of_points_are_those_predicted(source):
    x = source.sample(300, 1).X
    labels = np.sin(3 * x[:, 0] / x[:, 0].std()) + x[:, 1] / x[:, 1].std() > 0.0
    measured_is_predicted(x, labels, of_labels(distances(x), labels))


def test_measured_curves_of_critical_clusters_are_those_predicted():
    bonds = hypercubic_cases.lattice_bonds(3, 7, False)
    rng = np.random.default_rng(0)
    kept = bonds[rng.random(len(bonds)) < 0.2488]
    labels, _ = hypercubic_cases.components(343, kept, np.ones(343, dtype=bool))
    sites = np.stack(np.unravel_index(np.arange(343), (7, 7, 7)), axis=1).astype(float)
    measured_is_predicted(sites, labels, of_labels(distances(sites), labels))


def measured_is_predicted(x, labels, by_rank):
    sizes = np.array([5, 100])
    measured = scaling_curve(
        NearestNeighbors(1), x, labels, sizes, loss="0-1", n_test=100, n_repeats=30, rng=2
    ).loss
    predicted = nearest_neighbor_curve(by_rank, sizes).loss
    for mean, spread, exact in zip(
        measured.mean(0), measured.std(0, ddof=1), predicted, strict=True
    ):
        assert_close(mean, exact, spread / math.sqrt(30))


@pytest.mark.parametrize(("dim", "period"), [(1, 0.25), (2, 0.5)])
def test_smooth_domains(dim, period):
    """Stripes on a torus: a boundary cuts off 2 L r / pi of a ball's surface, L its length per area."""
    n, m, seeds = 300, np.array([40, 120]), 12
    length = 2 / period
    amplitude = length / 2 if dim == 1 else 2 * length / math.pi**1.5
    rng = np.random.default_rng(5)
    losses = []
    for _ in range(seeds):
        x = rng.random((n, dim))
        labels = (x[:, 0] % period) > period / 2
        losses.append(nearest_neighbor_curve(of_labels(torus_distances(x), labels), m).loss)
    for mean, spread, size in zip(np.mean(losses, 0), np.std(losses, 0, ddof=1), m, strict=True):
        oracle, wrong = (float(smooth_domain_loss(size, amplitude, d)) for d in (dim, dim + 1))
        # Of the order of 1/m: the nearest volume has mean 1/(m+1), and far balls meet two boundaries.
        assert_close(mean, oracle, spread / math.sqrt(seeds), bias=oracle / size)
        assert_far(mean, wrong, spread / math.sqrt(seeds))


def test_labels_in_random_order_agree_by_chance():
    rng = np.random.default_rng(1)
    labels = np.sort(rng.integers(0, 4, 300)) ** 2
    distance = distances(np.sort(rng.random(300))[:, None])
    ordered, shuffled = of_labels(distance, labels), of_labels(distance, rng.permutation(labels))
    for by_rank in (ordered, shuffled):
        assert by_rank.agreement.sum() == pytest.approx(0.0, abs=1e-9)
        share = np.unique(labels, return_counts=True)[1] / 300
        assert 1 - by_rank.chance == pytest.approx((300 * (share**2).sum() - 1) / 299)
        assert by_rank.most_shared == pytest.approx(1 - by_rank.chance)
    # Of 300 points and 10 ranks, each of variance about 1/3.
    error = math.sqrt(1 / 3 / 3000)
    assert_close(shuffled.agreement[:10].mean(), 0.0, error)
    assert_far(ordered.agreement[:10].mean(), 0.0, error)
    curve = nearest_neighbor_curve(shuffled, [10, 100]).loss
    np.testing.assert_allclose(curve, shuffled.chance, atol=5 * error)


def test_blocks_give_standard_errors():
    rng = np.random.default_rng(2)
    x, block = rng.random((240, 1)), rng.integers(0, 12, 240)
    labels = rng.integers(0, 2, 240)
    whole, blocks = of_labels(distances(x), labels), of_labels(distances(x), labels, block)
    np.testing.assert_allclose(whole.mean, blocks.mean)
    sizes = [1, 20, 200]
    one, many = nearest_neighbor_curve(whole, sizes), nearest_neighbor_curve(blocks, sizes)
    np.testing.assert_allclose(one.loss, many.loss)
    assert np.isnan(one.standard_error).all()
    assert (many.standard_error[2] > many.standard_error[0] / 2).all()
    left = blocks.without(3)
    assert left.n_tests.tolist() == [240 - np.sum(block == 3)]
    rest = of_labels(distances(x), labels, (block != 3).astype(int))
    np.testing.assert_allclose(left.total[0], rest.total[1])
    # Of a mean, blocks of unequal size give back its standard error.
    values = 3.0 + rng.standard_normal(5000)
    sizes = rng.integers(50, 200, 40)
    member = np.repeat(np.arange(40), sizes)
    values = values[: member.size]
    kept = [values[member != b].mean() for b in range(40)]
    error = jackknife_error(values.mean(), np.array(kept), np.bincount(member))
    assert error == pytest.approx(1 / math.sqrt(member.size), rel=5 / math.sqrt(80))


def test_exponents_of_curves():
    # Of disagreement Gamma(j + 1/2) / Gamma(j), close to sqrt(j), the mean over j is known exactly.
    n, m, half = 4000, np.array([20, 200, 3999]), 0.5

    def exact(m):
        return np.exp(gammaln(m + 1) - gammaln(m + 1 + half) + gammaln(1 + half)) * last

    last = np.exp(gammaln(n + half) - gammaln(n))
    scale = 2 * last
    j = np.arange(1, n)
    by_rank = label_loss(n * (1 - np.exp(gammaln(j + half) - gammaln(j)) / scale))
    curve = nearest_neighbor_curve(by_rank, m)
    np.testing.assert_allclose(curve.loss, exact(m) / scale, rtol=1e-10)
    low, high = np.floor(0.9 * m), np.minimum(np.ceil(1.1 * m), n - 1)
    slope = np.log(exact(low) / exact(high)) / np.log(high / low)
    np.testing.assert_allclose(curve.exponent, slope, rtol=1e-7)
    # It is smooth_domain_loss for n and m that are large.
    smooth = smooth_domain_loss(m[1], math.sqrt(n) / scale, 2.0)
    assert curve.loss[1] == pytest.approx(float(smooth), rel=1 / m[1])
    # Where neighbours always agree the loss is 0 and there is no exponent.
    steady = label_loss(np.where(np.arange(1, n) < 2000, n, 0.0))
    curve = nearest_neighbor_curve(steady, [1, 3999])
    assert curve.loss[1] == 0.0
    assert np.isnan(curve.exponent[1])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: label_loss([[3.0, 5.0]]), "at most n_tests"),
        (lambda: label_loss([-1.0, 2.0]), "below 0"),
        (lambda: label_loss([]), "at least one rank"),
        (lambda: label_loss([1.0, np.nan]), "non-finite"),
        (lambda: label_loss(np.ones((2, 3))), "2 blocks need n_tests"),
        (lambda: label_loss(np.ones((2, 3)), [2, 3]), "at most 4 in all"),
        (lambda: label_loss(np.ones((2, 3)), [4]), "each of 2 blocks"),
        (lambda: label_loss([3.0, 3.0]).agreement, "Pass a function that varies"),
        (lambda: nearest_neighbor_curve(label_loss([1.0, 2.0]), [3]), r"1\.\.2"),
        (lambda: nearest_neighbor_curve(label_loss([1.0, 2.0]), [0]), r"1\.\.2"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(ValueError, match=message):
        call()
