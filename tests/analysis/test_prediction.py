"""Weights of clusters from samples, and the forms, each on losses made by it."""

import math

import numpy as np
import pytest
from learning_cases import LARGE, SHARE, SMALL, losses, predicted, sample, zipf
from rank_cases import smooth_domain_loss
from statistical import assert_close, assert_far

from percolaw.analysis.agreement import label_loss, nearest_neighbor_curve
from percolaw.analysis.prediction import (
    BY_RANK,
    FORMS,
    MISSING_MASS,
    NO_CHANGE,
    OFFSET,
    ONE_CLUSTER,
    PERCOLATION,
    UNSEEN_WEIGHTS,
    Evidence,
    cluster_weights,
    mean_losses,
    missing_mass,
)
from percolaw.scaling.curve import LearningCurve


def once(loss):
    return LearningCurve(SMALL, np.asarray(loss, dtype=float)[None])


def test_weights_of_a_power_law_of_clusters():
    """Good-Turing against the clusters themselves: the unseen share, and what larger samples leave."""
    share = zipf(10**5, 2.0)
    unseen, wrong, later, sizes = [], [], [], np.array([10.0, 1000.0, 8000.0])
    for seed in range(40):
        ids = sample(share, 1000, seed)
        weights = cluster_weights(ids)
        assert weights.mass.sum() == pytest.approx(1.0)
        size = np.bincount(ids, minlength=share.size)
        true = share[size == 0].sum()
        unseen.append(weights.mass[:UNSEEN_WEIGHTS].sum() - true)
        wrong.append(np.sum(size == 1) / np.sum(size > 0) - true)  # N_1 of K, not of n
        later.append(missing_mass(weights, sizes) / (np.exp(-np.outer(sizes, share)) @ share))
    assert_close(np.mean(unseen), 0.0, np.std(unseen) / math.sqrt(40))
    assert_far(np.mean(wrong), 0.0, np.std(wrong) / math.sqrt(40))
    # The exponent is from the singletons of one sample: of some per cent, and more at 8 times its size.
    for ratio, bias in zip(np.transpose(later), (0.01, 0.02, 0.1), strict=True):
        assert_close(ratio.mean(), 1.0, ratio.std() / math.sqrt(40), bias=bias)


def test_weights_of_few_clusters():
    weights = cluster_weights(np.repeat([3, 7], [600, 200]))
    assert weights.mass[:UNSEEN_WEIGHTS].sum() == 0.0
    large = weights.weight > 0.5
    assert weights.mass[large].sum() == pytest.approx(0.75)
    # The cluster of a random point is size-biased: (s + 1)/n, over s/n for the weight itself.
    assert np.average(weights.weight[large], weights=weights.mass[large]) == pytest.approx(
        601 / 800, rel=0.01
    )
    one = cluster_weights(np.zeros(500, dtype=int))
    assert one.mass.sum() == pytest.approx(1.0)
    with pytest.raises(ValueError, match="a cluster of its own"):
        cluster_weights(np.arange(50))
    with pytest.raises(ValueError, match="one point at least"):
        cluster_weights([])


@pytest.mark.parametrize(
    ("share", "scale", "exponent", "tolerance"),
    [(SHARE, 100.0, 1.0, 0.1), (zipf(10**5, 2.0), 5.0, 0.5, 0.05), (zipf(40, 1.0), 50.0, 2.0, 0.2)],
)
def test_percolation_predicts_what_clusters_do(share, scale, exponent, tolerance):
    ids = sample(share, 2000)
    curve, exact = (losses(share, m, scale, exponent) for m in (SMALL, LARGE))
    forms = predicted(Evidence(ids), once(3 * curve), LARGE)
    np.testing.assert_allclose(np.log(forms[PERCOLATION] / (3 * exact)), 0.0, atol=tolerance)
    for name in (OFFSET, ONE_CLUSTER, MISSING_MASS, NO_CHANGE):
        assert np.abs(np.log(forms[name] / (3 * exact))).max() > tolerance


def test_every_rival_is_right_on_its_own_losses():
    share = zipf(10**5, 2.0)
    ids = sample(share, 2000)
    truth = {
        OFFSET: lambda m: m**-0.7 + 0.02,
        ONE_CLUSTER: lambda m: 2.0 * m**-0.4,
        MISSING_MASS: lambda m: 0.3 * missing_mass(cluster_weights(ids), m),
        NO_CHANGE: lambda m: np.full(len(m), 0.7),
    }
    for name, form in truth.items():
        forms = predicted(Evidence(ids), once(form(SMALL.astype(float))), LARGE)
        np.testing.assert_allclose(forms[name], form(LARGE.astype(float)), rtol=1e-3)
        assert tuple(forms) == FORMS
        assert np.isnan(forms[BY_RANK]).all()
    # Through the last loss, whatever the first was.
    bent = predicted(Evidence(ids), once(2.0 * np.maximum(SMALL, 240) ** -0.4), LARGE)
    np.testing.assert_allclose(bent[ONE_CLUSTER], 2.0 * LARGE**-0.4)
    # Flat losses go on flat, clusters or not.
    flat = predicted(Evidence(ids), once(np.full(7, 0.7)), LARGE)
    np.testing.assert_allclose(flat[PERCOLATION], 0.7, rtol=0.02)


def test_agreement_by_rank_of_the_first_points_goes_on():
    # Domains of a line: disagreement grows with volume until half of all disagree.
    ids, sizes = np.repeat(np.arange(5), 100), np.array([10, 20, 40, 80, 160, 320])
    by_rank = label_loss(500 * (1 - np.minimum(20 * np.arange(1, 500) / 500, 0.5)))
    small = LearningCurve(sizes, 3 * nearest_neighbor_curve(by_rank, sizes).loss[None])
    forms = predicted(Evidence(ids, by_rank), small, [640, 2560])
    np.testing.assert_allclose(
        forms[BY_RANK], 3 * smooth_domain_loss([640, 2560], 20.0, 1.0), rtol=0.04
    )
    # Where no neighbour disagrees there is nothing to go on with.
    same = label_loss(np.full(499, 500.0))
    silent = predicted(Evidence(ids, same), small, [640])
    assert np.isnan(silent[BY_RANK]).all()


def test_mean_losses_leave_out_a_repeat_each():
    rows = mean_losses(np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 9.0]]))
    np.testing.assert_allclose(rows, [[3, 5], [4, 6.5], [3, 5.5], [2, 3]])
    assert mean_losses(np.array([[1.0, 2.0]])).shape == (1, 2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: predicted(Evidence(np.zeros(9, int)), once(SMALL * 0.0), LARGE), "loss is 0"),
        (
            lambda: predicted(
                Evidence(np.zeros(9, int)), LearningCurve(SMALL[:5], np.ones((1, 5))), LARGE
            ),
            "6 sizes or more; got 5",
        ),
        (lambda: predicted(Evidence(np.arange(9)), once(1.0 / SMALL), LARGE), "of its own"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(ValueError, match=message):
        call()
